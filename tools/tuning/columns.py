"""Which columns hold the text and the labels: as a person named them, or by their usual names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.tuning.errors import DataError

TEXT = (
    *("text", "sentence", "content", "review", "utterance", "question", "query", "document"),
    *("body", "message", "title", "comment", "tweet", "input", "description", "headline"),
    *("premise", "文本", "句子", "内容", "评论"),
)
PAIRS = (
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("text", "text_pair"),
    ("text", "pair"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("query", "passage"),
)
# Where a data set has numbers and their names, the names are what a model can read.
LABEL = (
    *("label_text", "label_name", "label", "labels", "class", "category", "categories", "intent"),
    *("sentiment", "topic", "target", "gold_label", "tag", "y", "标签", "类别"),
)
TOKENS = ("tokens", "words", "token", "word", "sentence", "text")
TAGS = ("tags", "ner_tags", "ner", "labels", "label", "bio", "iob", "tag")
SPANS = ("entities", "spans", "labels", "label", "annotations", "ents", "slots")
IDENTITY = ("id", "idx", "index", "guid", "uid", "key", "row", "split")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns to read."""

    text: str
    label: str
    pair: str = ""


def find_columns(
    known: Sequence[str],
    path: Path,
    *,
    text: str | None,
    label: str | None,
    pair: str | None,
    may_pair: bool = True,
) -> Columns:
    """The columns of a classification file: named ones, usual ones, or the only one left.

    Args:
        may_pair: two text columns with the usual names make a pair; not where one was named.

    Raises:
        DataError: a named column is not there, or none has a usual name.
    """
    if may_pair and text is None and pair is None:
        text, pair = _usual_pair(known)
    usual = None if label is not None else first_of([n for n in known if n != text], LABEL)
    text = pick(known, path, text, TEXT, what="text", taken=(label or usual, pair))
    label = pick(known, path, label, LABEL, what="label", taken=(text, pair))
    if pair is not None:
        pair = pick(known, path, pair, (), what="pair", taken=(text, label))
    return Columns(text, label, pair or "")


def find_text(
    known: Sequence[str], path: Path, text: str | None, *, pairs: bool
) -> tuple[str, str]:
    """The column of the text, and of the second one where there are pairs, else "".

    Raises:
        DataError: see `find_columns`.
    """
    pair = None
    if pairs:
        usual, pair = _usual_pair(known)
        text = text or usual
        if pair is None or pair == text:
            raise DataError(
                f"no two columns look like the two texts; name them as in {PAIRS[0]}, there are: "
                f"{_listed(known)}",
                path=str(path),
                line=1,
            )
    label = first_of(known, LABEL) if len(known) > 1 else None
    return pick(known, path, text, TEXT, what="text", taken=(pair, label), alone=True), pair or ""


def pick(
    known: Sequence[str],
    path: Path,
    named: str | None,
    usual: Iterable[str],
    *,
    what: str,
    taken: Iterable[str | None] = (),
    alone: bool = False,
) -> str:
    """One column: the named one, else the first with a usual name, else the only one left.

    Args:
        taken: columns that are something else.
        alone: the only column left counts although no other one has a usual name.

    Raises:
        DataError: it is not there, or there are several and none has a usual name.
    """
    if named is not None:
        if named in known:
            return named
        raise DataError(f"no column {named!r}; there are: {_listed(known)}", path=str(path), line=1)
    free = [name for name in known if name not in set(taken)]
    found = first_of(free, usual)
    if found is not None:
        return found
    left = [name for name in free if name.lower() not in IDENTITY]
    # In a file without a header, the first row would pass for one.
    if len(left) == 1 and (alone or first_of(known, (*LABEL, *TEXT, *TOKENS)) is not None):
        return left[0]
    raise DataError(
        f"no column looks like the {what}; name it with --{what}-column, there are: "
        f"{_listed(known)}",
        path=str(path),
        line=1,
    )


def first_of(known: Sequence[str], usual: Iterable[str]) -> str | None:
    """The first usual name that a column has, whatever its case."""
    by_name = {name.strip().lower(): name for name in reversed(known)}
    return next((by_name[name] for name in usual if name in by_name), None)


def _usual_pair(known: Sequence[str]) -> tuple[str | None, str | None]:
    for one, other in PAIRS:
        a, b = first_of(known, [one]), first_of(known, [other])
        if a is not None and b is not None:
            return a, b
    return None, None


def _listed(known: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(repr(name[:40]) for name in known[:most])
    return shown + (f" and {len(known) - most} more" if len(known) > most else "")
