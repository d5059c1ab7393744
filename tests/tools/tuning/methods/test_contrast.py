"""Contrastive learning: likeness of labels, the loss, and batches in which texts have partners."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.tuning.methods import training
from tools.tuning.methods.base import Bench
from tools.tuning.methods.contrast import PartnerBatches, contrastive_loss, likeness
from tools.tuning.methods.recipe import Loss, Recipe

ANSWERS = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1], [1, 1], [0, 0], [0, 0]])


def test_likeness_is_the_share_of_common_labels() -> None:
    alike = likeness(ANSWERS)
    assert alike[0].tolist() == [1, 1, 0, 0, 0.5, 0, 0]
    assert alike[5].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert torch.equal(alike, alike.T)


def test_the_loss_is_lower_where_like_texts_are_near() -> None:
    near = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]])
    mixed = near[[0, 2, 1, 3]]
    labels = ANSWERS[:4]
    assert contrastive_loss(near, labels).total < contrastive_loss(mixed, labels).total / 3
    scaled = contrastive_loss(near * 7, labels).total
    assert float(scaled) == pytest.approx(float(contrastive_loss(near, labels).total), abs=1e-5)


def test_texts_without_a_partner_count_for_nothing() -> None:
    vectors = torch.randn(3, 4, requires_grad=True)
    alone = contrastive_loss(vectors, torch.eye(3))
    assert alone.count == 0
    alone.total.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert float(vectors.grad.abs().sum()) == 0


def test_training_on_it_pulls_labels_together() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(4, 8, requires_grad=True)
    optimizer = torch.optim.SGD([vectors], lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        contrastive_loss(vectors, ANSWERS[:4]).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    unit = torch.nn.functional.normalize(vectors.detach(), dim=1)
    cosine = unit @ unit.T
    assert min(cosine[0, 1], cosine[2, 3]) > 0.6
    assert cosine[:2, 2:].max() < 0.2


def test_every_label_of_a_batch_has_partners() -> None:
    answers = np.eye(5, dtype=np.float32)[np.arange(100) % 5]
    batches = PartnerBatches(answers, 20, seed=0)
    for step in range(20):
        rows = batches(step)
        assert len(rows) == len(set(rows)) == 20
        assert answers[rows].sum(0).tolist() == [4] * 5
    assert batches(3) == PartnerBatches(answers, 20, seed=0)(3)
    assert batches(3) != PartnerBatches(answers, 20, seed=1)(3)


@pytest.mark.parametrize("labels", [2, 3, 8])
@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_every_piece_of_a_halved_batch_has_partners_and_others(labels: int, halvings: int) -> None:
    answers = np.eye(labels, dtype=np.float32)[np.arange(40 * labels) % labels]
    for step in range(20):
        rows = PartnerBatches(answers, 32, seed=0)(step)
        size = -(-len(rows) // 2**halvings)
        for start in range(0, len(rows) - size + 1, size):
            counts = answers[rows[start : start + size]].sum(0)
            assert (counts > 0).sum() >= 2
            assert counts.max() >= 2


@pytest.mark.parametrize("halvings", [0, 1])
def test_labels_come_apart_though_each_batch_goes_in_halves(halvings: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    # All texts stand at one place: without pairs of two labels nothing moves them apart.
    vectors = torch.nn.Parameter(torch.randn(1, 8) + 0.05 * torch.randn(8, 8))
    answers = torch.eye(2)[torch.arange(8) % 2]

    def loss(rows: Sequence[int]) -> Loss:
        return contrastive_loss(vectors[list(rows)], answers[list(rows)])

    training.train(
        {"vectors": vectors},
        PartnerBatches(answers.numpy(), 8, seed=0),
        loss,
        Recipe(steps=80, lr=0.1),
        Bench(tmp_path, batch_halvings=halvings),
    )
    unit = torch.nn.functional.normalize(vectors.detach(), dim=1)
    cosine = unit @ unit.T
    alike = answers @ answers.T > 0
    assert cosine[alike].min() > 0.8
    assert cosine[~alike].max() < 0.2


def test_with_many_labels_some_take_part_in_turn() -> None:
    answers = np.eye(150, dtype=np.float32)[np.arange(600) % 150]
    batches = PartnerBatches(answers, 32, seed=0)
    seen = set()
    for step in range(100):
        counts = answers[batches(step)].sum(0)
        assert set(counts[counts > 0].tolist()) == {2.0}
        seen |= set(np.flatnonzero(counts).tolist())
    assert len(seen) == 150


def test_texts_with_several_or_no_labels_are_drawn_too() -> None:
    rows = {row for step in range(50) for row in PartnerBatches(ANSWERS.numpy(), 6, seed=0)(step)}
    assert rows == set(range(7))
