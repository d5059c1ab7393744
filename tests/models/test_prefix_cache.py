"""What was read before is not read again, never for the wrong adapter, and within the bytes."""

from pathlib import Path

import pytest

from models.engine import Engine
from models.prefix_cache import FORK_ABOVE
from models.request import Request
from models.scripted import BYTES_PER_TOKEN, ScriptedNetwork

LONG = FORK_ABOVE + 50


def engine(cache_bytes: int = 1 << 20) -> Engine:
    return Engine(ScriptedNetwork(lambda request: "reply"), cache_bytes=cache_bytes)


def cached(engine: Engine, ids: list[int], adapter: str | None = None) -> int:
    reply = engine.generate([Request(tuple(ids), adapter=adapter)])[0]
    assert reply.text == "reply"
    return reply.usage.cached_tokens


def test_a_longer_prompt_starts_where_the_reply_before_it_ended() -> None:
    e = engine()
    prompt = [1] * 40
    assert cached(e, prompt) == 0
    # The last token of a reply is chosen but not read, unless the end token was asked for after it.
    assert cached(e, [*prompt, *b"reply", 7, 7, 7]) == len(prompt) + len(b"reply")


def test_the_same_prompt_again_reads_only_its_last_token() -> None:
    e = engine()
    cached(e, [1] * 40)
    assert cached(e, [1] * 40) == 39


def test_a_prompt_that_turns_off_keeps_what_it_shares() -> None:
    e = engine()
    cached(e, [1] * 40)
    assert cached(e, [1] * 25 + [2] * 30) == 25
    assert cached(e, [3] * 40) == 0


def test_two_long_branches_are_both_kept() -> None:
    e = engine()
    stem = [1] * 50
    cached(e, stem + [2] * LONG)
    assert cached(e, stem + [3] * LONG) == 50
    assert cached(e, stem + [2] * LONG + [4]) == 50 + LONG
    assert cached(e, stem + [3] * LONG + [4]) == 50 + LONG


def test_a_short_dead_end_is_given_up_for_the_new_branch() -> None:
    e = engine()
    cached(e, [1] * 50 + [2] * 10)
    cached(e, [1] * 50 + [3] * 10)
    assert len(e.cache) == 1


def test_adapters_never_share_a_state(tmp_path: Path) -> None:
    e = engine()
    for name in ("a", "b"):
        e.network.adapters.load(name, tmp_path / name)
    prompt = [1] * 40
    assert cached(e, prompt, "a") == 0
    assert cached(e, prompt, "b") == 0
    assert cached(e, prompt) == 0
    assert [cached(e, prompt, name) for name in ("a", "b", None)] == [39, 39, 39]


def test_other_weights_under_the_same_name_start_anew(tmp_path: Path) -> None:
    e = engine()
    e.network.adapters.load("a", tmp_path / "first")
    cached(e, [1] * 40, "a")
    e.network.adapters.load("a", tmp_path / "second")
    assert cached(e, [1] * 40, "a") == 0


def test_the_least_recently_used_entry_goes_when_the_bytes_run_out() -> None:
    e = engine(cache_bytes=250 * BYTES_PER_TOKEN)
    cached(e, [1] * 100)
    cached(e, [2] * 100)
    cached(e, [1] * 100)
    cached(e, [3] * 100)
    assert e.cache.bytes <= 250 * BYTES_PER_TOKEN
    assert cached(e, [1] * 100) == 99
    assert cached(e, [2] * 100) == 0


def test_a_state_larger_than_the_whole_cache_is_not_kept_and_evicts_nothing() -> None:
    e = engine(cache_bytes=100 * BYTES_PER_TOKEN)
    cached(e, [1] * 50)
    cached(e, [2] * 200)
    assert cached(e, [2] * 200) == 0
    assert cached(e, [1] * 50) == 49


@pytest.mark.parametrize("use", [True, False])
def test_the_cache_can_be_left_out(use: bool) -> None:
    e = engine()
    for _ in range(2):
        reply = e.generate([Request((1, 2, 3), use_cache=use)])[0]
    assert reply.usage.cached_tokens == (2 if use else 0)
    assert len(e.cache) == int(use)
