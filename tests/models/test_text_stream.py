"""Text comes out whole: no half characters, nothing past a stop string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.hub_tokenizer import HubTokenizer
from models.network import Tokenizer
from models.scripted import ByteTokenizer
from models.text_stream import TextStream
from tests.models import tiny

BYTES = ByteTokenizer()


def stream(
    ids: list[int], stop: tuple[str, ...] = (), tokenizer: Tokenizer = BYTES
) -> tuple[TextStream, list[str]]:
    text_stream = TextStream(tokenizer, stop)
    pieces = []
    for token in ids:
        text_stream.add(token)
        pieces.append(text_stream.take())
        if text_stream.stopped:
            break
    return text_stream, [*pieces, text_stream.finish()]


def test_a_character_of_several_tokens_is_shown_only_when_it_is_complete() -> None:
    _, pieces = stream(BYTES.encode("a👋b"))
    assert pieces == ["a", "", "", "", "👋", "b", ""]


def test_a_character_that_is_never_completed_becomes_a_replacement_mark_at_the_end() -> None:
    text_stream, pieces = stream([*b"ok", 0xF0, 0x9F])
    assert "".join(pieces) == text_stream.text == "ok\ufffd"


def test_what_may_begin_a_stop_string_is_held_back_until_it_is_clear() -> None:
    _, pieces = stream(BYTES.encode("one\ntwo"), stop=("\n\n",))
    assert pieces == ["o", "n", "e", "", "\nt", "w", "o", ""]


def test_the_stop_string_and_what_follows_it_are_cut_from_text_and_ids() -> None:
    text_stream, pieces = stream(BYTES.encode("Answer: 4\nObservation: x"), stop=("\nObs",))
    assert "".join(pieces) == text_stream.text == "Answer: 4"
    assert BYTES.decode(text_stream.ids) == "Answer: 4"


def test_a_token_that_straddles_the_stop_string_is_spelled_anew() -> None:
    tokenizer = HubTokenizer(tiny.tokenizer(), vocab_size=384)
    ids = tokenizer.encode("Read the tickets, count")
    tickets = next(i for i in ids if len(tokenizer.decode([i])) > 4)
    stop = tokenizer.decode([tickets])[2:]
    text_stream, _ = stream(ids, stop=(stop,), tokenizer=tokenizer)
    assert "Read the tickets, count".startswith(text_stream.text)
    assert stop not in text_stream.text
    assert tokenizer.decode(text_stream.ids) == text_stream.text
    assert tickets not in text_stream.ids


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_pieces_add_up_to_the_text_before_the_first_stop_string(text: str, stop: list[str]) -> None:
    text = text.encode(errors="replace").decode()
    stop = [s.encode(errors="replace").decode() for s in stop]
    text_stream, pieces = stream(BYTES.encode(text, special=False), stop=tuple(stop))
    # A stop string takes effect at the first character that completes one.
    ends = [text.find(s) + len(s) for s in stop if s in text]
    seen = text[: min(ends)] if ends else text
    cut = min((seen.find(s) for s in stop if s in seen), default=len(text))
    assert "".join(pieces) == text_stream.text == text[:cut]
    assert BYTES.decode(text_stream.ids) == text_stream.text
    assert text_stream.stopped == bool(ends)


@pytest.mark.parametrize("text", tiny.CORPUS)
def test_a_subword_tokenizer_streams_the_text_that_it_encoded(text: str) -> None:
    tokenizer = HubTokenizer(tiny.tokenizer(), vocab_size=384)
    text_stream, pieces = stream(tokenizer.encode(text), tokenizer=tokenizer)
    assert "".join(pieces) == text_stream.text == text
