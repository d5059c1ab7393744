"""Tags: every scheme becomes BIO, illegal ones are refused or mended, entities come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tuning.errors import DataError
from tools.tuning.tagging import (
    Entity,
    Scheme,
    entities,
    first_illegal,
    legal,
    scheme_of,
    tags_of,
    to_bio,
    types_of,
)

BIO = ("B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-LOC")
WRITTEN: dict[Scheme, tuple[str, ...]] = {
    "BIO": BIO,
    "IOB1": ("I-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-LOC"),
    "BIOES": ("B-PER", "E-PER", "O", "S-LOC", "B-LOC", "E-LOC"),
    "BILOU": ("B-PER", "L-PER", "O", "U-LOC", "B-LOC", "L-LOC"),
}


def bio_sentences() -> st.SearchStrategy[tuple[str, ...]]:
    """Legal BIO, from random entities."""
    pieces = st.tuples(st.sampled_from(["O", "A", "B-1"]), st.integers(1, 3))
    return st.lists(pieces, max_size=8).map(
        lambda runs: tuple(
            tag
            for type_, n in runs
            for tag in (["O"] * n if type_ == "O" else [f"B-{type_}", *[f"I-{type_}"] * (n - 1)])
        )
    )


def as_bioes(tags: tuple[str, ...], last: str, single: str) -> tuple[str, ...]:
    written = list(tags)
    for _, start, end in entities(tags):
        name = tags[start][2:]
        if end - start == 1:
            written[start] = f"{single}-{name}"
        else:
            written[end - 1] = f"{last}-{name}"
    return tuple(written)


def as_iob1(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        f"I{tag[1:]}" if tag[0] == "B" and (i == 0 or tags[i - 1][2:] != tag[2:]) else tag
        for i, tag in enumerate(tags)
    )


@pytest.mark.parametrize("scheme", WRITTEN)
def test_finds_the_scheme_and_makes_it_bio(scheme: Scheme) -> None:
    assert scheme_of([WRITTEN[scheme]]) == scheme
    assert to_bio(WRITTEN[scheme]) == BIO


@given(bio_sentences())
def test_every_scheme_says_the_same(tags: tuple[str, ...]) -> None:
    assert legal(tags)
    assert to_bio(tags, "BIO") == tags
    assert to_bio(as_iob1(tags), "IOB1") == tags
    assert to_bio(as_bioes(tags, "E", "S"), "BIOES") == tags
    assert to_bio(as_bioes(tags, "L", "U"), "BILOU") == tags
    assert tags_of(entities(tags), len(tags)) == tags


def test_reads_bmes_of_chinese_data() -> None:
    assert to_bio(["B-NAME", "M-NAME", "E-NAME", "S-ORG"]) == (
        *("B-NAME", "I-NAME", "I-NAME", "B-ORG"),
    )


def test_reads_an_underscore_and_a_hyphen_inside_a_type() -> None:
    assert to_bio(["B_PER", "I_PER"]) == ("B-PER", "I-PER")
    assert types_of([["B-creative-work", "O"]]) == ("creative-work",)


def test_tags_without_any_b_are_read_as_io() -> None:
    assert scheme_of([["I-PER", "I-PER"], ["O"]]) == "IO"
    assert to_bio(["I-PER", "I-PER", "I-LOC"]) == ("B-PER", "I-PER", "B-LOC")


def test_the_whole_file_decides_between_bio_and_iob1() -> None:
    assert scheme_of([["B-PER"], ["O", "B-LOC", "I-LOC"]]) == "BIO"
    assert scheme_of([["I-PER"], ["I-LOC", "B-LOC"]]) == "IOB1"


@pytest.mark.parametrize(
    ("tags", "scheme", "at"),
    [
        (["O", "I-PER", "B-PER"], "BIO", 1),
        (["B-PER", "I-LOC"], "BIO", 1),
        (["B-PER", "O"], "BIOES", 1),
        (["B-PER"], "BIOES", 0),
        (["E-PER"], "BIOES", 0),
        (["S-PER", "I-PER"], "BIOES", 1),
        (["B-PER", "E-LOC"], "BIOES", 1),
        (["U-PER", "L-PER"], "BILOU", 1),
        (["B-PER"], "IOB1", 0),
        (["B-PER"], "IO", 0),
        (["B-PER", "S-PER"], "BIO", 1),
    ],
)
def test_refuses_what_is_illegal_and_says_where(tags: list[str], scheme: Scheme, at: int) -> None:
    assert first_illegal(tags, scheme) == at
    with pytest.raises(DataError, match=f"tag {at + 1} of the sentence"):
        to_bio(tags, scheme)


def test_mends_illegal_tags_on_request() -> None:
    assert to_bio(["O", "I-PER", "I-PER", "I-LOC"], "BIO", mend=True) == (
        *("O", "B-PER", "I-PER", "B-LOC"),
    )
    assert legal(to_bio(["E-PER", "B-PER", "O", "I-LOC"], "BIOES", mend=True))


@pytest.mark.parametrize("tag", ["", "PER", "B-", "X-PER", "o", "B PER"])
def test_refuses_what_is_no_tag(tag: str) -> None:
    with pytest.raises(DataError, match="is no tag"):
        to_bio(["O", tag])
    assert not legal([tag])


def test_entities_have_types_and_ends() -> None:
    assert entities(BIO) == [Entity("PER", 0, 2), Entity("LOC", 3, 4), Entity("LOC", 4, 6)]
    assert entities(["I-A", "I-B"]) == [Entity("A", 0, 1), Entity("B", 1, 2)]


def test_overlapping_entities_have_no_tags() -> None:
    with pytest.raises(ValueError, match="overlaps"):
        tags_of([Entity("A", 0, 2), Entity("B", 1, 3)], 3)
