"""Labels as numbers, and probabilities as predictions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.tuning.errors import MethodUnsuitable
from tools.tuning.examples import ClassPrediction, Example, TagExample, TextExample
from tools.tuning.task import Task

Numbers = NDArray[np.floating]


def class_numbers(task: Task, examples: Sequence[Example]) -> NDArray[np.int64]:
    """The place of each example's one label among the task's labels."""
    places = {label: place for place, label in enumerate(task.labels)}
    return np.array([places[e.labels[0]] for e in text_examples(examples)], dtype=np.int64)


def class_flags(task: Task, examples: Sequence[Example]) -> NDArray[np.float32]:
    """Examples x labels: 1 where the example has the label."""
    flags = np.zeros((len(examples), len(task.labels)), dtype=np.float32)
    places = {label: place for place, label in enumerate(task.labels)}
    for row, example in enumerate(text_examples(examples)):
        flags[row, [places[label] for label in example.labels]] = 1
    return flags


def class_predictions(task: Task, probabilities: Numbers) -> list[ClassPrediction]:
    """One prediction a row.

    Args:
        probabilities: rows x labels; scaled here to sum to 1 unless the task is multi-label.
    """
    found = np.clip(probabilities.astype(np.float64), 0.0, 1.0)
    if not task.multi_label:
        found = found / found.sum(axis=1, keepdims=True)
    predictions = []
    for row in found:
        if task.multi_label:
            labels = tuple(label for label, p in zip(task.labels, row, strict=True) if p > 0.5)
        else:
            labels = (task.labels[int(row.argmax())],)
        predictions.append(ClassPrediction(labels, tuple(row.tolist())))
    return predictions


def text_examples(examples: Sequence[Example]) -> list[TextExample]:
    """The examples, known to be texts."""
    return [example for example in examples if isinstance(example, TextExample)]


def tag_examples(examples: Sequence[Example]) -> list[TagExample]:
    """The examples, known to be tagged sentences."""
    return [example for example in examples if isinstance(example, TagExample)]


def need_examples(name: str, task: Task, examples: Sequence[Example]) -> None:
    """Raises MethodUnsuitable where there is nothing to tell apart."""
    if not examples:
        raise MethodUnsuitable(f"{name} needs labelled examples, and there are none")
    if task.kind == "ner":
        if not task.labels:
            raise MethodUnsuitable(f"{name} needs an entity in the examples, and there is none")
        return
    if task.multi_label:
        return
    found = {example.labels for example in text_examples(examples)}
    if len(found) < 2:
        label = next(iter(found))[0]
        raise MethodUnsuitable(
            f"{name} needs examples of two labels; each of the {len(examples)} has {label!r}"
        )
