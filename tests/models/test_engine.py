"""The decode loop: ends, limits, streaming, cancelling, failing, scoring."""

import json
import threading
from collections.abc import Sequence

import pytest

from models.engine import Engine
from models.errors import Cancelled, ContextTooLong, DeviceLost, OutOfMemory
from models.network import Logits
from models.request import Request, Sampling
from models.scripted import ByteTokenizer, Script, ScriptedNetwork, ScriptedState

TOKENIZER = ByteTokenizer()
PROMPT = tuple(TOKENIZER.encode("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"))
CALL = r"""
start: "{\"name\": \"read_file\", \"arguments\": {\"path\": \"" path "\", \"page\": " /[1-9]/ "}}"
path: /[a-z.]{1,8}/
"""


class Fragile(ScriptedNetwork):
    """Fails at chosen passes, in the middle of reading, the way a device does."""

    def __init__(self, replies: Script, failures: dict[int, BaseException]) -> None:
        super().__init__(replies)
        self.failures = failures
        self.passes = 0
        self.freed = 0

    def new_state(self, adapter: str | None = None) -> ScriptedState:
        return FragileState(self)

    def free_memory(self) -> None:
        self.freed += 1


class FragileState(ScriptedState):
    broken = False

    def reachable(self, length: int) -> int:
        assert not self.broken, "a state that failed half way was used again"
        return super().reachable(length)

    def forward(self, ids: Sequence[int]) -> Logits:
        network = self._network
        assert isinstance(network, Fragile)
        assert not self.broken, "a state that failed half way was used again"
        network.passes += 1
        failure = network.failures.pop(network.passes, None)
        if failure is not None:
            self.broken = True
            raise failure
        return super().forward(ids)


def engine(*replies: str) -> Engine:
    return Engine(ScriptedNetwork(list(replies)))


def after(checks: int) -> "Countdown":
    return Countdown(checks)


class Countdown:
    """Asks to cancel once it was asked so often."""

    def __init__(self, checks: int) -> None:
        self.left = checks

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_reply_ends_with_the_end_token_which_is_not_part_of_it() -> None:
    reply = engine("Hello.").generate([Request(PROMPT)])[0]
    assert (reply.text, reply.finish, bytes(reply.ids)) == ("Hello.", "stop", b"Hello.")


def test_the_end_is_not_possible_before_the_grammar_is_complete() -> None:
    reply = engine("").generate([Request(PROMPT, grammar=CALL)])[0]
    assert json.loads(reply.text)["name"] == "read_file"
    assert reply.finish == "stop"


def test_forced_tokens_cost_no_pass_each_and_the_reply_is_the_same() -> None:
    script = '{"name": "read_file", "arguments": {"path": "a.txt", "page": 3}}'
    fast, slow = (
        engine(script).generate([Request(PROMPT, grammar=CALL, fast_forward=fast)])[0]
        for fast in (True, False)
    )
    assert fast.text == script
    assert fast.ids == slow.ids
    assert fast.usage.forced_tokens == slow.usage.forced_tokens > 40
    # Slow reads all but the last three, which are forced and never asked about.
    assert slow.usage.forward_passes >= len(slow.ids) - 3
    assert fast.usage.forward_passes < len(fast.ids) / 4


def test_usage_counts_tokens_and_seconds() -> None:
    usage = engine("abc").generate([Request(PROMPT)])[0].usage
    assert (usage.prompt_tokens, usage.cached_tokens) == (len(PROMPT), 0)
    assert (usage.generated_tokens, usage.forced_tokens, usage.forward_passes) == (3, 0, 3)
    assert usage.prefill_seconds > 0
    assert usage.decode_seconds > 0


def test_a_reply_is_cut_at_the_token_limit_forced_tokens_included() -> None:
    reply = engine("abcdef").generate([Request(PROMPT, sampling=Sampling(max_tokens=3))])[0]
    assert (reply.text, reply.finish) == ("abc", "length")
    reply = engine("").generate([Request(PROMPT, grammar=CALL, sampling=Sampling(max_tokens=9))])[0]
    assert (reply.text, reply.finish) == ('{"name": ', "length")


def test_prompt_and_reply_stay_inside_the_window() -> None:
    small = Engine(ScriptedNetwork(["abcdef"] * 3, window=len(PROMPT) + 4))
    reply = small.generate([Request(PROMPT)])[0]
    assert (reply.text, reply.finish) == ("abcd", "length")
    with pytest.raises(ContextTooLong, match=f"{len(PROMPT) + 4} tokens") as error:
        small.generate([Request((*PROMPT, 1, 2, 3, 4))])
    assert error.value.limit == len(PROMPT) + 4


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        engine("x").generate([Request(())])


def test_text_is_streamed_with_the_number_of_its_request() -> None:
    pieces: list[tuple[int, str]] = []
    requests = [Request(PROMPT, sampling=Sampling(stop=("!",))), Request(PROMPT)]
    engine("ö!no", "b").generate(requests, on_text=lambda i, text: pieces.append((i, text)))
    assert pieces == [(0, "ö"), (1, "b")]


def test_a_stop_string_ends_the_reply_before_it() -> None:
    reply = engine("Thought. STOP more").generate(
        [Request(PROMPT, sampling=Sampling(stop=(" STOP",)))]
    )[0]
    assert (reply.text, reply.finish, bytes(reply.ids)) == ("Thought.", "stop", b"Thought.")


def test_a_cancel_is_noticed_within_one_token() -> None:
    pieces: list[str] = []
    stop = threading.Event()

    def listen(index: int, piece: str) -> None:
        pieces.append(piece)
        if len(pieces) == 3:
            stop.set()

    reply = engine("abcdef").generate([Request(PROMPT)], on_text=listen, cancel=stop.is_set)[0]
    assert (reply.text, reply.finish) == ("abc", "cancelled")


def test_a_cancel_is_noticed_between_two_pieces_of_a_long_prompt_which_stay_read() -> None:
    e = engine("x", "x")
    prompt = tuple([1] * (3 * ScriptedNetwork.chunk))
    reply = e.generate([Request(prompt)], cancel=after(3))[0]
    assert (reply.text, reply.finish) == ("", "cancelled")
    reply = e.generate([Request(prompt)])[0]
    assert (reply.text, reply.usage.cached_tokens) == ("x", 2 * ScriptedNetwork.chunk)


@pytest.mark.parametrize("checks", range(12))
def test_wherever_it_is_cancelled_the_next_reply_is_right(checks: int) -> None:
    e = engine("abcdef", "abcdef")
    first = e.generate([Request(PROMPT)], cancel=after(checks))[0]
    assert "abcdef".startswith(first.text)
    assert e.generate([Request((*PROMPT, *first.ids, 10))])[0].text == "abcdef"


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), DeviceLost("gone"), RuntimeError("bug")])
@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_pass_that_fails_half_way_leaves_nothing_of_it_in_the_cache(
    at: int, failure: BaseException
) -> None:
    network = Fragile(["warm", "abcdef", "abcdef"], {5 + at: failure})
    e = Engine(network)
    e.generate([Request(PROMPT)])
    assert network.passes == 5
    with pytest.raises(type(failure)):
        e.generate([Request((*PROMPT, 10, 10, 10, 10))])
    assert e.generate([Request((*PROMPT, 10, 10, 10, 10))])[0].text == "abcdef"


def test_a_listener_that_fails_costs_only_its_own_reply() -> None:
    e = engine("abcdef", "abcdef")

    def listen(index: int, piece: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        e.generate([Request(PROMPT)], on_text=listen)
    reply = e.generate([Request(PROMPT)])[0]
    assert (reply.text, reply.usage.cached_tokens) == ("abcdef", len(PROMPT) - 1)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_out_of_memory_first_costs_the_cache(at: int) -> None:
    network = Fragile(["other", "abcdef"], {6 + at: OutOfMemory("full")})
    e = Engine(network)
    e.generate([Request((5, 5, 5))])
    assert network.passes == 6
    pieces: list[str] = []
    reply = e.generate([Request(PROMPT)], on_text=lambda _, piece: pieces.append(piece))[0]
    assert reply.text == "".join(pieces) == "abcdef"
    assert network.freed == 1
    assert len(e.cache) == 1


def test_out_of_memory_with_an_empty_cache_is_raised() -> None:
    e = Engine(Fragile(["x"], {1: OutOfMemory("full")}))
    with pytest.raises(OutOfMemory, match="full"):
        e.generate([Request(PROMPT)])


def test_threads_take_turns() -> None:
    e = Engine(ScriptedNetwork(lambda request: f"answer {request.note}"))
    texts: dict[int, str] = {}

    def work(i: int) -> None:
        texts[i] = e.generate([Request((*PROMPT, i), note=i)])[0].text

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {i: f"answer {i}" for i in range(8)}


def test_the_likeliest_candidate_scores_highest_and_the_prefix_is_read_once() -> None:
    e = engine("negative", "then")
    candidates = [TOKENIZER.encode(word) for word in ("positive", "negative", "neutral")]
    scores = e.score(PROMPT, candidates)
    assert max(range(3), key=scores.__getitem__) == 1
    assert e.generate([Request(PROMPT)])[0].usage.cached_tokens == len(PROMPT) - 1


def test_scoring_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        engine("x").score(PROMPT, [[1]], cancel=lambda: True)


def test_candidates_that_do_not_fit_the_window_are_refused() -> None:
    small = Engine(ScriptedNetwork(["x"], window=len(PROMPT) + 2))
    with pytest.raises(ContextTooLong):
        small.score(PROMPT, [[1, 2, 3]])
