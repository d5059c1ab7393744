"""Real architectures, tiny and random: whatever the cache does, the tokens stay the same.

The reference is the library's own `generate` on the whole prompt, with its own cache.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
import torch

from models.engine import Engine
from models.errors import DeviceLost, OutOfMemory
from models.request import Request, Sampling
from models.torch_network import TorchNetwork
from tests.models import tiny

KINDS = tuple(tiny.CONFIGS)
TOKENS = 16
CALL = r"""
start: "{\"name\": \"" ("read_file" | "write_file") "\", \"arguments\": " arguments "}"
arguments: %json {
  "type": "object", "properties": {"path": {"enum": ["data/tickets.csv", "out/refunds.txt"]},
  "text": {"type": "string", "maxLength": 6}}, "required": ["path", "text"],
  "additionalProperties": false, "x-guidance": {"whitespace_flexible": false}
}
"""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny matrices are slower on several threads, far slower beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module", params=KINDS)
def network(request: pytest.FixtureRequest, hub: Path) -> TorchNetwork:
    return tiny.load(tiny.publish(hub, request.param))


@pytest.fixture(scope="module")
def llama(hub: Path) -> TorchNetwork:
    return tiny.load(tiny.publish(hub, "llama"))


def noise(random: Random, count: int) -> list[int]:
    return [random.randrange(len(tiny.SPECIAL), 384) for _ in range(count)]


def reference(network: TorchNetwork, ids: Sequence[int], count: int = TOKENS) -> tuple[int, ...]:
    """The greedy tokens of transformers' own loop."""
    with torch.inference_mode():
        out = network.model.generate(
            torch.tensor([list(ids)]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=sorted(network.tokenizer.end_ids),
            pad_token_id=0,
        )
    return tuple(i for i in out[0, len(ids) :].tolist() if i not in network.tokenizer.end_ids)


def greedy(engine: Engine, ids: Sequence[int], *, use_cache: bool = True) -> tuple[int, ...]:
    request = Request(tuple(ids), sampling=Sampling(max_tokens=TOKENS), use_cache=use_cache)
    return engine.generate([request])[0].ids


def test_turns_that_grow_and_diverge_give_the_tokens_of_a_full_read(network: TorchNetwork) -> None:
    engine, random = Engine(network), Random(1)
    ids = noise(random, 60)
    seen = set()
    for turn in range(6):
        reply = greedy(engine, ids)
        assert reply == greedy(engine, ids, use_cache=False) == reference(network, ids)
        seen.add(reply)
        if turn % 3 == 2:
            ids = [*ids[: random.randrange(20, 50)], *noise(random, 30)]
        else:
            ids = [*ids, *reply, *noise(random, 12)]
    assert len(seen) > 1, "a model that always says the same shows nothing"


def test_the_cache_is_really_used(network: TorchNetwork) -> None:
    engine, random = Engine(network), Random(2)
    stem = noise(random, 60)
    engine.generate([Request(tuple(stem), sampling=Sampling(max_tokens=4))])
    first = engine.generate([Request((*stem, *noise(random, 8)), sampling=Sampling(max_tokens=4))])
    assert first[0].usage.cached_tokens == 60
    # A recurrent model has no way back to the middle at first, but has learnt it for the next.
    middle = stem[:40]
    for turn in range(2):
        branch = Request((*middle, *noise(random, 8)), sampling=Sampling(max_tokens=4))
        cached = engine.generate([branch])[0].usage.cached_tokens
        recurrent = network.name in tiny.RECURRENT
        assert cached == (0 if recurrent and turn == 0 else 40)


def test_two_long_branches_are_taken_in_turns(network: TorchNetwork) -> None:
    engine, random = Engine(network), Random(3)
    stem = noise(random, 30)
    branches = [[*stem, *noise(random, 150)] for _ in range(2)]
    expected = [reference(network, ids) for ids in branches]
    for _ in range(2):
        assert [greedy(engine, ids) for ids in branches] == expected
    assert len(engine.cache) == 2


def test_a_prompt_of_several_chunks_is_read_in_pieces(network: TorchNetwork) -> None:
    ids = noise(Random(4), 2 * network.chunk + 90)
    assert greedy(Engine(network), ids) == reference(network, ids)


def test_fast_forward_and_cache_change_no_token_of_a_call(network: TorchNetwork) -> None:
    engine, random = Engine(network), Random(5)
    ids = noise(random, 40)
    sampling = Sampling(max_tokens=120)
    for _ in range(3):
        replies = [
            engine.generate(
                [Request(tuple(ids), CALL, sampling, use_cache=cache, fast_forward=fast)]
            )[0]
            for cache in (True, False)
            for fast in (True, False)
        ]
        assert len({reply.ids for reply in replies}) == 1
        assert replies[0].usage.forward_passes < replies[1].usage.forward_passes
        call = json.loads(replies[0].text)
        assert call["arguments"]["path"] in ("data/tickets.csv", "out/refunds.txt")
        ids = [*ids, *replies[0].ids, *noise(random, 10)]


def test_candidates_score_as_in_a_full_read(network: TorchNetwork) -> None:
    random = Random(6)
    prefix = noise(random, 40)
    stem = noise(random, 2)
    candidates = [[*stem, *noise(random, 2)], noise(random, 1), [*stem, *noise(random, 3)], []]
    engine = Engine(network)
    for _ in range(2):
        scores = engine.score(prefix, candidates)
        assert scores == pytest.approx([_full(network, prefix, c) for c in candidates], abs=1e-3)
    assert greedy(engine, prefix) == reference(network, prefix)


def _full(network: TorchNetwork, prefix: list[int], candidate: list[int]) -> float:
    with torch.inference_mode():
        logits = network.model(torch.tensor([prefix + candidate])).logits[0].float()
    chances = torch.log_softmax(logits, dim=-1)
    places = range(len(prefix) - 1, len(prefix) + len(candidate) - 1)
    return sum(float(chances[p, t]) for p, t in zip(places, candidate, strict=True))


def test_the_cache_stays_within_its_bytes(network: TorchNetwork) -> None:
    state = network.new_state()
    state.forward(noise(Random(7), 100))
    one = state.bytes
    assert one > 0
    engine = Engine(network, cache_bytes=3 * one)
    for seed in range(8):
        greedy(engine, noise(Random(seed), 100))
        assert 0 < engine.cache.bytes <= 3 * one


def test_a_model_reports_what_it_is(llama: TorchNetwork) -> None:
    assert llama.window == 2048
    assert llama.chunk == 512
    assert llama.vocab_size == 384
    assert llama.parameters == sum(p.numel() for p in llama.model.parameters())
    # End of text from the configuration, end of turn because the vocabulary has it.
    assert llama.tokenizer.end_ids == {0, 2}


def test_logits_wider_than_the_vocabulary_are_never_chosen_from(hub: Path) -> None:
    network = tiny.load(tiny.publish(hub, "llama"))
    network.model.resize_token_embeddings(400)
    wide = TorchNetwork(network.model, network.tokenizer.hub, name="wide", digest="wide")
    assert wide.vocab_size == 400
    reply = Engine(wide).generate([Request((5, 6, 7), CALL, Sampling(temperature=3.0))])[0]
    assert json.loads(reply.text)
    assert max(reply.ids) < 384


FAILURES = {
    "CUDA out of memory. Tried to allocate 2.00 GiB": OutOfMemory,
    "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory": OutOfMemory,
    "MPS backend out of memory": OutOfMemory,
    "CUDA error: device-side assert triggered": DeviceLost,
    "CUDA error: uncorrectable ECC error encountered": DeviceLost,
    "cuBLAS error: CUBLAS_STATUS_EXECUTION_FAILED": DeviceLost,
    "shape '[1, 2]' is invalid for input of size 3": RuntimeError,
}


@pytest.mark.parametrize("text", FAILURES)
def test_a_failing_device_is_told_from_a_bug(
    text: str, llama: TorchNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**inputs: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(llama.model, "forward", fail)
    with pytest.raises(FAILURES[text]) as error:
        llama.new_state().forward([1])
    assert type(error.value) is FAILURES[text]


def test_memory_that_is_really_short_is_out_of_memory(llama: TorchNetwork) -> None:
    def huge(**inputs: object) -> object:
        return torch.empty(1 << 50)

    forward, llama.model.forward = llama.model.forward, huge
    try:
        with pytest.raises(OutOfMemory, match="smaller model"):
            llama.new_state().forward([1])
    finally:
        llama.model.forward = forward
