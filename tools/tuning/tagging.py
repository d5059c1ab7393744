"""Tags of tokens: five ways of writing them made one, checked, and read as entities.

    to_bio(["I-PER", "I-PER", "O", "B-PER"])         # IOB1, found by itself
    entities(["B-PER", "I-PER", "O"])                # [Entity("PER", 0, 2)]

A tag is `O` or a letter, `-` (or `_`) and a type. The letters of each scheme:

    BIO    B begins, I goes on                        (also called IOB2)
    IOB1   I begins and goes on; B only begins an entity that touches one of its own type
    IO     I only; entities of one type that touch are one
    BIOES  B, I, E ends, S stands alone               (IOBES, and BMES with M for I)
    BILOU  B, I, L ends, U stands alone               (BMEWO with M, E, W)
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from tools.tuning.errors import DataError

Scheme = Literal["BIO", "IOB1", "IO", "BIOES", "BILOU"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

_TAG = re.compile(r"([BIESMLUW])[-_](.+)", re.DOTALL)
# Single letters of all schemes with ends, in the words of BIOES.
_AS_BIOES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}


class Entity(NamedTuple):
    """A run of tokens of one type."""

    type: str
    start: int
    """Index of the first token, from 0."""
    end: int
    """Index after the last token."""


def to_bio(
    tags: Sequence[str], scheme: Scheme | None = None, *, mend: bool = False
) -> tuple[str, ...]:
    """The tags of one sentence in BIO.

    Args:
        tags: as a file or a model has them.
        scheme: what they are written in; found from these tags where left out. A sentence says
            less than a file, so a reader of files asks `scheme_of` about all of them.
        mend: read an illegal sequence as an evaluator would (what continues nothing begins
            something) instead of refusing it.

    Raises:
        DataError: a tag is none, or the sequence is illegal in its scheme.
    """
    scheme = scheme or scheme_of([tags])
    if not mend and (bad := first_illegal(tags, scheme)) is not None:
        raise DataError(f"tag {bad + 1} of the sentence: {why_illegal(tags, bad, scheme)}")
    bio: list[str] = []
    previous = ("O", "")
    for tag in tags:
        letter, type_ = split_tag(tag)
        if letter == "O":
            bio.append("O")
        else:
            begins = _begins(scheme, previous, (letter, type_))
            bio.append(f"{'B' if begins else 'I'}-{type_}")
        previous = (letter, type_)
    return tuple(bio)


def scheme_of(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme that the tags of a whole file are written in.

    By the letters that occur; between BIO and IOB1 by where the B stand. Tags that are legal in no
    scheme count as BIO.
    """
    letters: set[str] = set()
    legal_bio = legal_iob1 = True
    for tags in sentences:
        letters.update(split_tag(tag)[0] for tag in tags)
        legal_bio = legal_bio and first_illegal(tags, "BIO") is None
        legal_iob1 = legal_iob1 and first_illegal(tags, "IOB1") is None
    if letters & {"L", "U", "W"}:
        return "BILOU"
    if letters & {"E", "S", "M"}:
        return "BIOES"
    if "I" in letters and "B" not in letters:
        return "IO"
    return "IOB1" if legal_iob1 and not legal_bio else "BIO"


def legal(tags: Sequence[str]) -> bool:
    """Legal BIO: every `I-` continues an entity of its own type."""
    try:
        return first_illegal(tags, "BIO") is None
    except DataError:
        return False


def first_illegal(tags: Sequence[str], scheme: Scheme = "BIO") -> int | None:
    """Index of the first tag that cannot stand where it stands; None where all can.

    Raises:
        DataError: a tag is none.
    """
    previous = ("O", "")
    for i, tag in enumerate(tags):
        current = split_tag(tag)
        if not _may_follow(scheme, previous, current):
            return i
        previous = current
    if scheme in ("BIOES", "BILOU") and _as_bioes(previous) in ("B", "I"):
        return len(tags) - 1
    return None


def why_illegal(tags: Sequence[str], index: int, scheme: Scheme) -> str:
    """What is wrong with the tag at `index`, and what would be right."""
    tag, before = tags[index], tags[index - 1] if index else ""
    letter, type_ = split_tag(tag)
    if _may_follow(scheme, split_tag(before) if before else ("O", ""), (letter, type_)):
        return f"{tag!r} ends the sentence and leaves its entity open in {scheme}"
    after = f"after {before!r}" if before else "at the start of a sentence"
    out = f"; an entity begins with 'B-{type_}'" if letter == "I" else ""
    return f"{tag!r} cannot stand {after} in {scheme}{out}"


@lru_cache(10_000)
def split_tag(tag: str) -> tuple[str, str]:
    """`B-PER` is ("B", "PER"), `O` is ("O", "").

    Raises:
        DataError: neither.
    """
    if tag == "O":
        return "O", ""
    match = _TAG.fullmatch(tag)
    if match is None:
        raise DataError(f"{tag!r} is no tag; a tag is 'O' or like 'B-PER' and 'I-PER'")
    return match[1], match[2]


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities that BIO tags mark, from left to right.

    An `I-` that continues nothing begins an entity, so illegal tags have a reading too.
    """
    found: list[Entity] = []
    start, open_type = 0, ""
    for i, tag in enumerate([*tags, "O"]):
        letter, type_ = split_tag(tag)
        if open_type and (letter != "I" or type_ != open_type):
            found.append(Entity(open_type, start, i))
            open_type = ""
        if letter != "O" and not open_type:
            start, open_type = i, type_
    return found


def tags_of(found: Iterable[Entity], length: int) -> tuple[str, ...]:
    """The BIO tags of a sentence of `length` tokens; the way back from `entities`.

    Raises:
        ValueError: two entities overlap, or one leaves the sentence.
    """
    tags = ["O"] * length
    for type_, start, end in found:
        if not 0 <= start < end <= length or any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"{type_} from {start} to {end} overlaps another or leaves {length}")
        tags[start:end] = [f"B-{type_}", *[f"I-{type_}"] * (end - start - 1)]
    return tuple(tags)


def types_of(sentences: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The entity types that occur, sorted."""
    return tuple(sorted({split_tag(tag)[1] for tags in sentences for tag in tags} - {""}))


def _begins(scheme: Scheme, previous: tuple[str, str], current: tuple[str, str]) -> bool:
    """The token is the first of its entity."""
    (before, type_before), (letter, type_) = previous, current
    if letter in ("B", "S", "U", "W") or before == "O" or type_before != type_:
        return True
    return scheme in ("BIOES", "BILOU") and _as_bioes(previous) in ("E", "S")


def _may_follow(scheme: Scheme, previous: tuple[str, str], current: tuple[str, str]) -> bool:
    (before, type_before), (letter, type_) = previous, current
    if scheme in ("BIOES", "BILOU"):
        was_open = _as_bioes(previous) in ("B", "I")
        goes_on = _as_bioes(current) in ("I", "E")
        return was_open == goes_on and (not goes_on or type_before == type_)
    if letter not in ("O", "B", "I"):
        return False
    if scheme == "BIO":
        return letter != "I" or (before != "O" and type_before == type_)
    if scheme == "IOB1":
        return letter != "B" or (before != "O" and type_before == type_)
    return letter != "B"


def _as_bioes(tag: tuple[str, str]) -> str:
    return _AS_BIOES.get(tag[0], "O")
