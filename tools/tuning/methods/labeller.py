"""An encoder network bound to a task: its loss on labelled examples, its predictions on inputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tools.tuning.examples import Example, Input, Prediction, inputs_of
from tools.tuning.methods.bio import tag_names, tag_numbers, tag_prediction
from tools.tuning.methods.encoder_inputs import EncoderInputs, Row, batches_of
from tools.tuning.methods.encoder_network import EncoderNetwork
from tools.tuning.methods.halving import in_pieces
from tools.tuning.methods.labels import class_flags, class_numbers, class_predictions, tag_examples
from tools.tuning.methods.recipe import Dev, Loss
from tools.tuning.tally import mean_score, tally
from tools.tuning.task import Task

BATCH_TOKENS = 8_192
"""Of one pass without gradients, padding included."""
BATCH_ROWS = 128

Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Target:
    """A row and what it should say."""

    row: Row
    answer: Any
    """A label's number, a flag for each label, or the number of a tag for each word of the row."""


class Labeller:
    """Texts to labels, or sentences to tags."""

    def __init__(self, task: Task, network: EncoderNetwork, inputs: EncoderInputs) -> None:
        self.task = task
        self.network = network
        self.inputs = inputs
        self.tags = tag_names(task.labels)
        self.halvings = 0
        """How often the batches that are read begin halved, as in `Bench.batch_halvings`."""

    @staticmethod
    def outputs(task: Task) -> int:
        """How many scores the head must have."""
        return len(tag_names(task.labels)) if task.kind == "ner" else len(task.labels)

    def rows(self, inputs: Sequence[Input]) -> list[Row]:
        """As the network reads them; a long sentence has several rows."""
        if self.task.kind == "ner":
            return self.inputs.sentences(inputs)
        return self.inputs.texts(inputs)

    def targets(self, examples: Sequence[Example]) -> list[Target]:
        """Rows with their answers, in the order of the examples; those without a word left out."""
        rows = self.rows(inputs_of(examples))
        if self.task.kind == "ner":
            tags = [tag_numbers(self.tags, example.tags) for example in tag_examples(examples)]
            return [
                Target(row, [tags[row.sentence][word] for word in row.words])
                for row in rows
                if row.words
            ]
        if self.task.multi_label:
            answers: Any = class_flags(self.task, examples)
        else:
            answers = class_numbers(self.task, examples).tolist()
        return [Target(row, answer) for row, answer in zip(rows, answers, strict=True)]

    def loss(self, targets: Sequence[Target]) -> Loss:
        """Negative log-likelihood, summed over rows (over words in ner)."""
        self.network.train()
        scores, answers = self._scores_and_answers(targets)
        return Loss(self._lost(scores, answers), len(answers))

    def dev(self, targets: Sequence[Target], examples: Sequence[Example]) -> Dev:
        """Mean loss and main metric on held-out examples, whose `targets` these are."""
        self.network.eval()
        total, count = 0.0, 0.0
        scored: list[tuple[Row, Numbers]] = []
        for batch in self._batches([target.row for target in targets]):
            for lost, said, rows in in_pieces([targets[i] for i in batch], self._judged):
                total, count = total + lost, count + said
                scored += rows
        found = self._predictions(inputs_of(examples), _in_order(targets, scored))
        return Dev(total / max(count, 1.0), mean_score(tally(examples, found)))

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """One prediction for each input, in order."""
        self.network.eval()
        rows = self.rows(inputs)
        scored: list[tuple[int, Numbers]] = []
        with torch.inference_mode():
            for batch in self._batches(rows):
                some = [rows[i] for i in batch]
                answers = self._by_row(some, np.concatenate(in_pieces(some, self._read)))
                scored += [(i, found) for i, (_, found) in zip(batch, answers, strict=True)]
        scored.sort(key=lambda one: one[0])
        return self._predictions(inputs, [(rows[i], found) for i, found in scored])

    def vectors(self, inputs: Sequence[Input]) -> Numbers:
        """One pooled vector of length 1 for each text."""
        self.network.eval()
        rows = self.inputs.texts(inputs)
        found: list[Numbers] = [np.zeros(0, dtype=np.float32)] * len(rows)
        with torch.inference_mode():
            for batch in self._batches(rows):
                some = np.concatenate(in_pieces([rows[i] for i in batch], self._pooled))
                for i, vector in zip(batch, some, strict=True):
                    found[i] = vector
        return np.stack(found) if found else np.zeros((0, 1), dtype=np.float32)

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        lengths = [len(row.ids) for row in rows]
        tokens, most = BATCH_TOKENS >> self.halvings, max(1, BATCH_ROWS >> self.halvings)
        yield from batches_of(lengths, tokens=tokens, rows=most)

    def _scores(self, rows: Sequence[Row]) -> Tensor:
        batch = self.inputs.batch(rows, self.network.device)
        if self.task.kind == "ner":
            return self.network.word_scores(batch, rows)
        return self.network.text_scores(batch)

    def _scores_and_answers(self, targets: Sequence[Target]) -> tuple[Tensor, Tensor]:
        scores = self._scores([target.row for target in targets])
        if self.task.kind == "ner":
            flat = [answer for target in targets for answer in target.answer]
            return scores, torch.tensor(flat, device=scores.device)
        answers = np.asarray([target.answer for target in targets])
        return scores, torch.from_numpy(answers).to(scores.device)

    def _lost(self, scores: Tensor, answers: Tensor) -> Tensor:
        if self.task.multi_label:
            return functional.binary_cross_entropy_with_logits(scores, answers, reduction="sum")
        return functional.cross_entropy(scores, answers, reduction="sum")

    def _judged(self, targets: Sequence[Target]) -> tuple[float, int, list[tuple[Row, Numbers]]]:
        """Summed loss of one batch, what it sums over, and the answers."""
        scores, answers = self._scores_and_answers(targets)
        rows = self._by_row([target.row for target in targets], self._answers(scores))
        return self._lost(scores, answers).item(), len(answers), rows

    def _read(self, rows: Sequence[Row]) -> Numbers:
        """Answers of one batch."""
        return self._answers(self._scores(rows))

    def _pooled(self, rows: Sequence[Row]) -> Numbers:
        """Vectors of one batch."""
        batch = self.inputs.batch(rows, self.network.device)
        vectors: Numbers = functional.normalize(self.network.vectors(batch), dim=1).cpu().numpy()
        return vectors

    def _answers(self, scores: Tensor) -> Numbers:
        """Probabilities of labels, or log-probabilities of tags."""
        if self.task.kind == "ner":
            found = scores.log_softmax(dim=1)
        elif self.task.multi_label:
            found = scores.sigmoid()
        else:
            found = scores.softmax(dim=1)
        answers: Numbers = found.detach().cpu().numpy()
        return answers

    def _by_row(self, rows: Sequence[Row], answers: Numbers) -> list[tuple[Row, Numbers]]:
        if self.task.kind != "ner":
            return list(zip(rows, answers, strict=True))
        ends = np.cumsum([len(row.words) for row in rows])
        return list(zip(rows, np.split(answers, ends[:-1]), strict=True))

    def _predictions(
        self, inputs: Sequence[Input], scored: Sequence[tuple[Row, Numbers]]
    ) -> list[Prediction]:
        if self.task.kind != "ner":
            if not scored:
                return []
            return [*class_predictions(self.task, np.stack([found for _, found in scored]))]
        # A word that the tokenizer drops says nothing: all tags are equal to it.
        sentences = [
            np.zeros((len(getattr(given, "tokens", ())), len(self.tags)), dtype=np.float32)
            - np.float32(np.log(len(self.tags)))
            for given in inputs
        ]
        for row, found in scored:
            sentences[row.sentence][row.words] = found
        return [tag_prediction(self.tags, found) for found in sentences]


def _in_order(
    targets: Sequence[Target], scored: Sequence[tuple[Row, Numbers]]
) -> list[tuple[Row, Numbers]]:
    """The scored rows in the order of the targets."""
    answers = {id(row): found for row, found in scored}
    return [(target.row, answers[id(target.row)]) for target in targets]
