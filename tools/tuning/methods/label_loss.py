"""The loss over the label set, for one label and for several, and what counts as right."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tools.tuning.examples import TextExample
from tools.tuning.methods.language_model import truths
from tools.tuning.task import Task


def truth_of(task: Task, examples: Sequence[TextExample], device: torch.device | str) -> Tensor:
    """Class numbers [examples]; for several labels 0 and 1 as [examples, labels]."""
    truth = torch.from_numpy(truths(task, examples)).to(device)
    return truth.float() if task.multi_label else truth.int().argmax(-1)


def loss_of(task: Task, scores: Tensor, truth: Tensor) -> Tensor:
    """Negative log-likelihood summed over rows; of several labels, the mean over them.

    Args:
        scores: [rows, labels]; for several labels `none` after them, which each is weighed against.
    """
    if task.multi_label:
        each = binary_cross_entropy_with_logits(against_none(scores), truth, reduction="none")
        return each.mean(-1).sum()
    return cross_entropy(scores, truth, reduction="sum")


def right_share(task: Task, scores: Tensor, truth: Tensor) -> float:
    """The share of right labels; for several, of right decisions on each."""
    if task.multi_label:
        right = (against_none(scores) > 0) == truth.bool()
    else:
        right = scores.argmax(-1) == truth
    return right.float().mean().item()


def against_none(scores: Tensor) -> Tensor:
    """[rows, labels]: how far each label is above `none`."""
    return scores[:, :-1] - scores[:, -1:]


def blind_loss(task: Task) -> float:
    """Of a guess that knows nothing."""
    return log(2) if task.multi_label else log(max(2, len(task.labels)))
