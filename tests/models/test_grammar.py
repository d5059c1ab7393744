"""The grammar matcher: masks, forced tokens, the end, and errors in words."""

import numpy as np
import pytest

from models.grammar import GrammarError, Grammars, Matcher
from models.scripted import END_IDS, ByteTokenizer, ScriptedNetwork

TOKENIZER = ByteTokenizer()


def grammars(keep: int = 32) -> Grammars:
    return Grammars(TOKENIZER.llguidance, ScriptedNetwork.vocab_size, keep=keep)


def allowed(matcher: Matcher) -> set[int]:
    return set(np.flatnonzero(matcher.mask()).tolist())


def test_the_mask_allows_what_the_grammar_allows_and_no_early_end() -> None:
    matcher = grammars().matcher('start: "cat" | "dog"')
    assert matcher.mask().shape == (ScriptedNetwork.vocab_size,)
    assert allowed(matcher) == {ord("c"), ord("d")}


def test_what_follows_without_a_choice_is_forced() -> None:
    matcher = grammars().matcher('start: "cat" | "dog"')
    assert matcher.forced() == []
    matcher.consume(b"c")
    assert bytes(matcher.forced()) == b"at"


def test_every_end_token_is_allowed_where_the_reply_may_end_but_need_not() -> None:
    matcher = grammars().matcher("start: /a+/")
    assert not matcher.accepting
    matcher.consume(b"a")
    assert matcher.accepting
    assert not matcher.finished
    assert allowed(matcher) == {ord("a"), *END_IDS}


def test_it_is_finished_once_nothing_may_follow() -> None:
    matcher = grammars().matcher('start: "a"')
    matcher.consume(b"a")
    assert matcher.finished
    assert matcher.accepting


def test_a_special_token_can_be_part_of_a_grammar() -> None:
    matcher = grammars().matcher('start: <|im_start|> "x"')
    assert matcher.forced() == TOKENIZER.encode("<|im_start|>x")


def test_two_matchers_of_one_grammar_do_not_share_their_place() -> None:
    several = grammars()
    first, second = (several.matcher('start: "ab"') for _ in range(2))
    first.consume(b"ab")
    assert first.finished
    assert not second.finished


def test_a_grammar_that_does_not_compile_is_an_error_that_says_where() -> None:
    with pytest.raises(GrammarError, match="nowhere"):
        grammars().matcher("start: nowhere")


def test_a_token_outside_the_grammar_is_an_error_and_stays_one() -> None:
    matcher = grammars().matcher('start: "a"')
    with pytest.raises(GrammarError, match="satisfy the grammar"):
        matcher.consume(b"b")
    with pytest.raises(GrammarError):
        matcher.mask()
    with pytest.raises(GrammarError):
        matcher.forced()


def test_a_grammar_that_was_dropped_from_the_kept_ones_still_works() -> None:
    few = grammars(keep=1)
    for word in ("one", "two", "one"):
        assert bytes(few.matcher(f'start: "{word}"').forced()) == word.encode()
