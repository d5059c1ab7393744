"""What a file must have before anything is learned from it or measured on it."""

from collections.abc import Iterable

from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, Example, TagExample, TextExample
from tools.tuning.fingerprint import fingerprint
from tools.tuning.tagging import types_of

FEWEST_TEXTS = 4
"""Different texts: for each of two labels one to learn from and one to measure on."""
MOST_LABELS_A_ROW = 0.5
MANY_LABELS = 20
"""More labels than this, and one for every other row, are ids or texts and no classes."""


def check_trainable(data: Dataset) -> None:
    """There is something to learn: two classes or an entity, and several different texts.

    Raises:
        DataError: there is not.
    """
    count = len(data)
    if not count:
        raise _error(data, "no row has any text")
    if data.task.kind == "ner" and not data.task.labels:
        raise _error(data, f"every tag of {_rows(count)} is 'O'; mark some entities")
    if data.task.kind == "classification":
        _check_classes(data)
    different = len({fingerprint(example.input) for example in data.examples})
    if different == 1 and count > 1:
        raise _error(data, f"all {count} rows hold the same text; give different ones")
    if different < FEWEST_TEXTS:
        raise _error(data, f"{different} different texts are too few; give at least {FEWEST_TEXTS}")


def check_known(data: Dataset) -> None:
    """A file to measure on has rows, and only labels of the task.

    Raises:
        DataError: it has none, or one that the training data lack.
    """
    if not len(data):
        raise _error(data, "no row has any text")
    known = set(data.task.labels)
    for example in data.examples:
        for label in labels_in([example]):
            if label not in known:
                shown = ", ".join(data.task.labels[:10])
                more = ", ..." if len(known) > 10 else ""
                raise DataError(
                    f"the label {label!r} is not in the training data (it has {shown}{more}); "
                    "add rows with it there, or take this one out",
                    path=str(data.path),
                    line=example.line,
                )


def labels_in(examples: Iterable[Example]) -> tuple[str, ...]:
    """The labels or entity types that occur, sorted."""
    found: set[str] = set()
    for example in examples:
        if isinstance(example, TagExample):
            found.update(types_of([example.tags]))
        else:
            found.update(example.labels)
    return tuple(sorted(found))


def _check_classes(data: Dataset) -> None:
    labels, count = data.task.labels, len(data)
    if not labels:
        raise _error(data, "no row has a label")
    if count == 1:
        raise _error(data, "one example is too few; give several for each label")
    occurring = labels_in(data.examples)
    if len(occurring) < 2:
        every = all(isinstance(e, TextExample) and e.labels for e in data.examples)
        if every or not data.task.multi_label:
            raise _error(
                data,
                f"all {count} rows have the label {occurring[0]!r}; add rows with another"
                if occurring
                else "no row with a text has a label",
            )
    if len(labels) > MANY_LABELS and len(labels) > MOST_LABELS_A_ROW * count:
        raise _error(
            data,
            f"{len(labels)} different labels in {count} rows; name the right column with "
            "--label-column",
        )


def _rows(count: int) -> str:
    return "the one row" if count == 1 else f"all {count} rows"


def _error(data: Dataset, message: str) -> DataError:
    lines = [example.line for example in data.examples] or list(data.empty_lines)
    return DataError(message, path=str(data.path), line=lines[0] if lines else 1)
