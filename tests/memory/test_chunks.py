"""Cutting text into chunks: nothing is lost, each says where it stands, pieces overlap."""

import random
import re
import time

import pytest

from memory.chunks import CHUNK_SIZE, MAX_HEADING, OVERLAP, Section, cut, joined, lines

SENTENCES = [
    f"Sentence {i} tells of item {i * 7} and of its price of {i} euros." for i in range(80)
]
PROSE = "\n".join(SENTENCES)
CHINESE = "".join(f"第{i}条规定退款需要十四天才能到账。" for i in range(200))


def span(position: str) -> tuple[int, int]:
    numbers = [int(number) for number in re.findall(r"\d+", position)]
    return numbers[0], numbers[-1]


def test_a_short_text_is_one_chunk() -> None:
    (chunk,) = cut(lines("one\ntwo"))
    assert (chunk.text, chunk.position) == ("one\ntwo", "lines 1-2")


def test_one_line_is_called_a_line() -> None:
    assert cut(lines("only this", first=7))[0].position == "line 7"


def test_every_chunk_stands_in_the_lines_that_it_names() -> None:
    rows = PROSE.split("\n")
    chunks = cut(lines(PROSE, first=11))
    assert len(chunks) > 5
    for chunk in chunks:
        first, last = span(chunk.position)
        assert chunk.text == "\n".join(rows[first - 11 : last - 10])


def test_chunks_end_between_sentences_and_overlap() -> None:
    chunks = cut(lines(" ".join(SENTENCES)))
    assert all(chunk.text.endswith("euros.") for chunk in chunks)
    for before, after in zip(chunks, chunks[1:], strict=False):
        shared = next(s for s in SENTENCES if after.text.startswith(s))
        assert before.text.endswith(shared)


def test_no_word_is_lost_and_no_chunk_too_long() -> None:
    chunks = cut(lines(PROSE))
    assert all(0 < len(chunk.text) <= CHUNK_SIZE for chunk in chunks)
    found = {word for chunk in chunks for word in chunk.text.split()}
    assert found == set(PROSE.split())


def test_chinese_counts_for_more_since_each_character_is_a_token() -> None:
    chunks = cut(lines(CHINESE))
    assert all(len(chunk.text) <= CHUNK_SIZE // 2 for chunk in chunks)
    assert all(chunk.text.endswith("。") for chunk in chunks)
    assert all(any(f"第{i}条" in chunk.text for chunk in chunks) for i in range(200))


def test_repeated_text_keeps_its_positions() -> None:
    """The same line again and again: a search for the chunk's text alone would find the first."""
    rows = 400
    chunks = cut(lines("\n".join(["the same line again"] * rows)))
    starts = [span(chunk.position)[0] for chunk in chunks]
    assert starts == sorted(set(starts))
    assert span(chunks[-1].position)[1] == rows
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert span(after.position)[0] <= span(before.position)[1] + 1


def test_pages_are_joined_so_that_a_sentence_may_cross_them() -> None:
    pages = ["x " * 500 + "The refund is paid", "within 14 days. " + "y " * 500]
    chunks = cut(joined(pages, "page", " "))
    crossing = [c for c in chunks if "refund is paid within 14 days" in c.text]
    assert crossing[0].position == "pages 1-2"
    assert chunks[0].position == "page 1"
    assert chunks[-1].position == "page 2"


def test_several_rows_share_a_chunk_and_none_is_torn() -> None:
    rows = [f"name: Item {i}\nprice: {i}.50\nstock: {i * 3}" for i in range(60)]
    chunks = cut(joined(rows, "row"))
    assert len(chunks) < 12
    for chunk in chunks:
        first, last = span(chunk.position)
        assert chunk.text == "\n\n".join(rows[first - 1 : last])


def test_headings_stand_before_every_chunk() -> None:
    chunks = cut(lines(PROSE, heading="Prices > Items"))
    assert all(chunk.text.startswith("Prices > Items\nSentence") for chunk in chunks)


def test_a_heading_without_end_is_cut() -> None:
    (chunk,) = cut(lines("text", heading="h" * 5_000))
    assert chunk.text == "h" * MAX_HEADING + "\ntext"


@pytest.mark.parametrize("text", ["", " \n\t\n ", "-----\n=====", "* * *"])
def test_text_without_a_letter_gives_no_chunk(text: str) -> None:
    assert cut(lines(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        " " * 300_000 + "end",
        "\n" * 300_000 + "end",
        "a " * 150_000,
        "。" * 100_000 + "a",
        "\0" * 1000 + "a",
        "word\u2028word\u0085 \ud800 half",
    ],
    ids=["one word", "spaces", "lines", "words", "stops", "nul", "separators"],
)
def test_odd_texts_are_cut_in_a_moment(text: str) -> None:
    started = time.process_time()
    chunks = cut(lines(text))
    assert chunks
    assert max(len(chunk.text) for chunk in chunks) <= CHUNK_SIZE
    assert time.process_time() - started < 20


def test_any_text_is_found_again_at_its_position() -> None:
    chance = random.Random(7)
    for _ in range(60):
        parts = chance.choices(["a", "bc. ", "\n", "\n\n", "  ", "退款。", "xyz " * 60, "-"], k=200)
        text = "".join(parts)
        rows = text.split("\n")
        for chunk in cut(lines(text)):
            first, last = span(chunk.position)
            assert chunk.text in "\n".join(rows[first - 1 : last])


def test_the_overlap_is_smaller_than_a_chunk() -> None:
    assert 0 < OVERLAP < CHUNK_SIZE // 2
    assert Section("a", "row", [0]).first == 1
