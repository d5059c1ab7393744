"""Splits: the same text on one side, each label in its share, the same sides every time."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, Example, TagExample, TextExample, TextInput, TokenInput
from tools.tuning.fingerprint import fingerprint
from tools.tuning.splits import Splits, folds, split
from tools.tuning.task import Task


def dataset(rows: Sequence[tuple[str, ...]]) -> Dataset:
    """Rows of a text and its labels."""
    examples = tuple(
        TextExample(TextInput(text), tuple(labels), i) for i, (text, *labels) in enumerate(rows, 1)
    )
    labels = tuple(sorted({label for e in examples for label in e.labels}))
    return Dataset(Task("classification", labels), examples, Path("d.csv"), "")


def balanced(count: int, labels: str = "ab") -> Dataset:
    return dataset([(f"text {i}", labels[i % len(labels)]) for i in range(count)])


def sides(found: Splits) -> list[tuple[Example, ...]]:
    return [found.train, found.dev, found.test]


def test_every_label_gives_a_fifth_to_the_test_and_a_tenth_to_dev() -> None:
    found = split(balanced(1000, "aaab"), seed=0)
    assert [len(side) for side in sides(found)] == [700, 100, 200]
    counts = Counter(e.labels[0] for e in found.test if isinstance(e, TextExample))
    assert counts == {"a": 150, "b": 50}


@given(st.lists(st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abc")), max_size=40))
def test_every_example_is_on_one_side_and_no_text_on_two(rows: list[tuple[str, str]]) -> None:
    data = dataset(rows)
    found = split(data)
    assert sorted(e.line for side in sides(found) for e in side) == list(range(1, len(rows) + 1))
    texts = [{fingerprint(e.input) for e in side} for side in sides(found)]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]


def test_texts_that_differ_only_in_case_and_spaces_stay_together() -> None:
    rows = [(text, "ab"[i % 2]) for i in range(200) for text in (f"Text {i}", f" text  {i}")]
    found = split(dataset(rows))
    texts = [{e.input.text.lower().split()[1] for e in s} for s in sides(found)]  # type: ignore[union-attr]
    assert not texts[0] & texts[2] | texts[0] & texts[1]


def test_the_order_of_the_file_does_not_matter_but_the_seed_does() -> None:
    data = balanced(300)
    backwards = Dataset(data.task, data.examples[::-1], data.path, "")
    assert {e.line for e in split(data).test} == {e.line for e in split(backwards).test}
    assert {e.line for e in split(data).test} != {e.line for e in split(data, seed=1).test}


def test_a_file_that_grows_keeps_nearly_all_rows_on_their_side() -> None:
    old, new = split(balanced(1000)), split(balanced(1100))
    kept = {e.line for e in old.test} & {e.line for e in new.test}
    assert len(kept) > 0.9 * len(old.test)


def test_under_a_hundred_labels_there_is_no_dev() -> None:
    assert split(balanced(120)).dev == ()
    assert len(split(balanced(120)).test) == 24
    assert len(split(balanced(130)).dev) > 0


def test_files_of_their_own_leave_the_rest_to_learn_from() -> None:
    assert len(split(balanced(300), test=0).train) == 270
    assert len(split(balanced(300), dev=0).train) == 240
    assert len(split(balanced(300), test=0, dev=0).train) == 300


def test_a_rare_label_is_measured_too_but_a_single_one_is_learned() -> None:
    rows = [(f"t{i}", "a") for i in range(50)]
    rows += [(f"u{i}", "b") for i in range(3)] + [("v", "c")]
    found = split(dataset(rows))
    in_test = {label for e in found.test if isinstance(e, TextExample) for label in e.labels}
    in_train = {label for e in found.train if isinstance(e, TextExample) for label in e.labels}
    assert in_test == {"a", "b"}
    assert in_train == {"a", "b", "c"}


def test_a_rare_label_is_on_every_side_where_it_has_five_texts() -> None:
    rows = [(f"t{i}", "a") for i in range(200)] + [(f"u{i}", "b") for i in range(5)]
    found = split(dataset(rows))
    assert [sum(e.labels == ("b",) for e in side) for side in sides(found)] == [3, 1, 1]  # type: ignore[union-attr]


def test_rows_with_several_labels_count_for_the_rarest() -> None:
    rows = [(f"t{i}", "a", "rare") if i < 10 else (f"t{i}", "a") for i in range(200)]
    found = split(dataset(rows))
    assert sum("rare" in e.labels for e in found.test if isinstance(e, TextExample)) == 2


def test_sentences_are_split_by_their_entity_types() -> None:
    examples = tuple(
        TagExample(TokenInput((f"w{i}",)), ("B-X" if i % 10 == 0 else "O",), i) for i in range(200)
    )
    data = Dataset(Task("ner", ("X",)), examples, Path("d.conll"), "")
    found = split(data)
    assert sum(e.tags == ("B-X",) for e in found.test if isinstance(e, TagExample)) == 4


def test_folds_hold_every_example_once_and_every_label_each_time() -> None:
    data = balanced(50)
    found = folds(data.examples, 5)
    assert sorted(e.line for fold in found for e in fold.held) == list(range(1, 51))
    for fold in found:
        assert len(fold.train) == 40
        assert Counter(e.labels[0] for e in fold.held) == {"a": 5, "b": 5}  # type: ignore[union-attr]


def test_folds_keep_a_text_together_and_are_as_many_as_there_are_texts() -> None:
    data = dataset([("same", "a"), ("SAME", "b"), ("other", "a")])
    found = folds(data.examples, 5)
    assert sorted(len(fold.held) for fold in found) == [1, 2]
    with pytest.raises(DataError, match="at least two different texts"):
        folds(data.examples[:2], 5)
