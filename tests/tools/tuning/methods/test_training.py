"""The training loop: it learns, ends at the best, survives kills, NaN, full memory and no time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.errors import OutOfMemory
from tools.tuning.errors import BudgetSpent, Diverged, Stopped
from tools.tuning.methods import checkpoint
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.methods.batches import LengthBatches
from tools.tuning.methods.recipe import Dev, Loss, Recipe, Trained, rate
from tools.tuning.methods.training import train

RECIPE = Recipe(steps=60, lr=0.05, evaluate_every=10)


class Problem:
    """Rows to fit with a small network that drops out at random, as real ones do."""

    def __init__(self, bench: Bench, *, seed: int = 0) -> None:
        self.bench = bench
        torch.manual_seed(seed)
        self.x = torch.randn(40, 6)
        self.y = self.x @ torch.randn(6, 1) + 0.1 * torch.randn(40, 1)
        self.first = nn.Linear(6, 8)
        self.net = nn.Sequential(self.first, nn.Dropout(0.2), nn.Linear(8, 1))
        self.weights = dict(self.net.named_parameters())
        self.batches = LengthBatches([1] * 32, 8, seed=3)
        self.seen: list[int] = []
        self.before_loss: Callable[[int], None] = lambda rows: None

    def loss(self, rows: Sequence[int]) -> Loss:
        self.before_loss(len(rows))
        self.seen.append(len(rows))
        self.net.train()
        places = torch.tensor(rows)
        return Loss(((self.net(self.x[places]) - self.y[places]) ** 2).sum(), len(rows))

    def evaluate(self) -> Dev:
        self.net.eval()
        loss = float(((self.net(self.x[32:]) - self.y[32:]) ** 2).mean().detach())
        return Dev(loss, -loss)

    def train(self, recipe: Recipe = RECIPE, identity: str = "this fit") -> Trained:
        return train(
            self.weights,
            self.batches,
            self.loss,
            recipe,
            self.bench,
            identity=identity,
            evaluate=self.evaluate,
        )

    def numbers(self) -> torch.Tensor:
        return torch.cat([weight.detach().flatten() for weight in self.weights.values()])


def stop_after(calls: int) -> Callable[[], bool]:
    """A switch that is thrown at the given look at it."""
    looks = iter(range(10**9))
    return lambda: next(looks) >= calls


@pytest.fixture
def bench(home: Path, tmp_path: Path) -> Bench:
    return Bench(home, device="cpu", seed=5, checkpoints=tmp_path / "state")


def test_learns_and_ends_in_the_state_of_the_best_evaluation(bench: Bench) -> None:
    problem = Problem(bench)
    before = problem.evaluate().loss
    trained = problem.train()
    assert trained.dev is not None
    assert trained.dev.loss < before / 4
    assert problem.evaluate().loss == pytest.approx(trained.dev.loss, abs=1e-7)
    assert trained.steps == 60


def test_the_best_state_is_restored_where_more_training_made_it_worse(bench: Bench) -> None:
    problem = Problem(bench)
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    kept: list[torch.Tensor] = []

    def evaluate() -> Dev:
        kept.append(problem.numbers().clone())
        return Dev(next(losses))

    problem.evaluate = evaluate  # type: ignore[method-assign]
    trained = problem.train()
    assert trained.best_step == 20
    assert torch.equal(problem.numbers(), kept[1])


def test_stops_early_when_patience_is_over(bench: Bench) -> None:
    problem = Problem(bench)
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    problem.evaluate = lambda: Dev(next(losses))  # type: ignore[method-assign]
    trained = problem.train(replace(RECIPE, patience=2))
    assert (trained.steps, trained.best_step) == (40, 20)
    assert "no better for 2 evaluations" in trained.note


def test_the_best_can_be_told_by_the_score(bench: Bench) -> None:
    problem = Problem(bench)
    found = iter([Dev(1.0, 0.5), Dev(2.0, 0.9), Dev(0.5, 0.7)] + [Dev(0.1, 0.1)] * 3)
    problem.evaluate = lambda: next(found)  # type: ignore[method-assign]
    assert problem.train(replace(RECIPE, best_by="score")).best_step == 20


@pytest.mark.parametrize("stop_at", [1, 7, 10, 25, 59])
def test_a_resumed_run_equals_an_uninterrupted_one(
    bench: Bench, tmp_path: Path, stop_at: int
) -> None:
    whole = Problem(replace(bench, checkpoints=None))
    expected = whole.train()

    stopped = Problem(replace(bench, cancelled=stop_after(stop_at)))
    with pytest.raises(Stopped):
        stopped.train()
    resumed = Problem(bench, seed=0)
    with torch.no_grad():
        resumed.first.weight.zero_()  # whatever the new process began with is replaced
    found = resumed.train()
    assert found == expected
    assert torch.equal(resumed.numbers(), whole.numbers())
    assert len(resumed.seen) == 60 - stop_at


def test_a_run_that_died_without_a_word_resumes_from_its_last_checkpoint(bench: Bench) -> None:
    whole = Problem(replace(bench, checkpoints=None))
    whole.train(replace(RECIPE, save_every=8))
    killed = Problem(bench)

    def die(rows: int) -> None:
        if len(killed.seen) == 21:
            raise KeyboardInterrupt

    killed.before_loss = die
    with pytest.raises(KeyboardInterrupt):
        killed.train(replace(RECIPE, save_every=8))
    resumed = Problem(bench)
    resumed.train(replace(RECIPE, save_every=8))
    assert len(resumed.seen) == 60 - 16
    assert torch.equal(resumed.numbers(), whole.numbers())


def test_a_finished_run_is_not_made_again(bench: Bench) -> None:
    first = Problem(bench)
    trained = first.train()
    again = Problem(bench)
    assert again.train() == trained
    assert again.seen == []
    assert torch.equal(again.numbers(), first.numbers())


@pytest.mark.parametrize("change", ["identity", "recipe", "broken", "none"])
def test_a_state_of_another_fit_is_not_taken_up(bench: Bench, change: str, tmp_path: Path) -> None:
    stopped = Problem(replace(bench, cancelled=stop_after(20)))
    with pytest.raises(Stopped):
        stopped.train()
    file = tmp_path / "state" / checkpoint.FILE
    if change == "broken":
        file.write_bytes(file.read_bytes()[:-100])
    if change == "none":
        file.unlink()
    other = Problem(bench)
    recipe = replace(RECIPE, lr=0.04) if change == "recipe" else RECIPE
    other.train(recipe, identity="another fit" if change == "identity" else "this fit")
    assert len(other.seen) == 60


def test_a_nan_loss_stops_at_once_and_keeps_the_last_finite_state(bench: Bench) -> None:
    problem = Problem(bench)
    kept: list[torch.Tensor] = []

    def poison(rows: int) -> None:
        kept.append(problem.numbers().clone())
        if len(problem.seen) == 4:
            problem.y[:] = float("nan")

    problem.before_loss = poison
    trained = problem.train()
    assert trained.steps == 4
    assert "NaN" in trained.note
    assert torch.equal(problem.numbers(), kept[4])
    assert len(problem.seen) == 5


def test_an_infinite_gradient_never_reaches_the_weights(bench: Bench) -> None:
    problem = Problem(bench)

    def steepen(rows: int) -> None:
        if len(problem.seen) == 15:
            hooked: Any = problem.first.weight  # torch does not annotate its hooks
            hooked.register_hook(lambda gradient: gradient / 0)

    problem.before_loss = steepen
    trained = problem.train()
    assert "gradient" in trained.note
    assert trained.best_step == 10
    assert bool(problem.numbers().isfinite().all())


def test_diverged_is_raised_where_there_is_no_good_state(bench: Bench) -> None:
    problem = Problem(bench)
    problem.y[:] = float("inf")
    with pytest.raises(Diverged, match="lower learning rate") as error:
        problem.train()
    assert error.value.step == 1


def test_a_broken_weight_is_no_state_to_go_on_from(bench: Bench) -> None:
    problem = Problem(bench)

    def break_it(weight: torch.Tensor) -> None:
        weight.data.fill_(float("inf"))

    hooked: Any = problem.first.weight  # torch does not annotate its hooks
    hooked.register_post_accumulate_grad_hook(break_it)
    with pytest.raises(Diverged, match="a weight"):
        problem.train()


def full_beyond(rows_that_fit: int) -> Callable[[int], None]:
    def check(rows: int) -> None:
        if rows > rows_that_fit:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    return check


def test_full_memory_halves_the_batch_without_changing_what_is_learned(bench: Bench) -> None:
    def without_dropout(bench: Bench) -> Problem:
        problem = Problem(bench)
        problem.net[1] = nn.Identity()
        return problem

    whole = without_dropout(replace(bench, checkpoints=None))
    whole.train()
    told: list[Progress] = []
    halved = without_dropout(replace(bench, on_progress=told.append))
    halved.before_loss = full_beyond(2)
    halved.train()
    assert set(halved.seen) == {2}
    assert torch.allclose(halved.numbers(), whole.numbers(), atol=1e-4)
    assert [p.note for p in told if "out of memory" in p.note] == [
        "out of memory: each batch now goes in 2 pieces",
        "out of memory: each batch now goes in 4 pieces",
    ]


def test_gives_up_after_three_halvings(bench: Bench) -> None:
    problem = Problem(bench)
    problem.before_loss = full_beyond(0)
    with pytest.raises(OutOfMemory, match="8 rows in 8 pieces") as error:
        problem.train()
    assert "\n" not in str(error.value)


def test_begins_with_the_halvings_of_earlier_attempts(bench: Bench) -> None:
    problem = Problem(replace(bench, batch_halvings=1))
    problem.train()
    assert set(problem.seen) == {4}


def test_without_time_for_an_evaluation_nothing_has_been_learned(bench: Bench) -> None:
    problem = Problem(replace(bench, deadline=time.monotonic() - 1))
    with pytest.raises(BudgetSpent):
        problem.train()


def test_plans_as_many_steps_as_the_time_allows(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    told: list[Progress] = []
    problem = Problem(replace(bench, deadline=200.0, on_progress=told.append))

    def work(rows: int) -> None:
        clock[0] += 5.0

    problem.before_loss = work
    trained = problem.train()
    assert 15 <= trained.steps <= 20
    assert clock[0] < 200
    assert trained.dev is not None
    assert any("the time allows" in p.note for p in told)


class Slow(Problem):
    """Each step takes so many seconds of a clock that only this moves; nothing is evaluated."""

    def __init__(self, bench: Bench, clock: list[float], seconds: float) -> None:
        super().__init__(bench)

        def work(rows: int) -> None:
            clock[0] += seconds

        self.before_loss = work

    def train(self, recipe: Recipe = RECIPE, identity: str = "this fit") -> Trained:
        return train(self.weights, self.batches, self.loss, recipe, self.bench, identity=identity)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: found[0])
    return found


def test_without_evaluations_less_than_half_of_the_steps_is_no_result(
    bench: Bench, clock: list[float]
) -> None:
    with pytest.raises(BudgetSpent):
        Slow(replace(bench, deadline=clock[0] + 100), clock, 5.0).train()
    resumed = Slow(bench, clock, 5.0)  # with more time
    assert resumed.train() == Trained(60, 60, None)
    assert 30 < len(resumed.seen) < 60


def test_a_fit_that_was_cut_says_so(bench: Bench, clock: list[float]) -> None:
    told: list[Progress] = []
    short = replace(bench, deadline=clock[0] + 100, on_progress=told.append)
    trained = Slow(short, clock, 2.5).train()
    assert 30 <= trained.steps < 40
    assert trained.note == f"the time allowed {trained.steps} of 60 steps"
    assert trained.note in told[-1].note


def test_writing_a_large_state_takes_a_few_per_cent_of_the_time(
    bench: Bench, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[float] = []

    def write(folder: Path, state: checkpoint.State, identity: str) -> None:
        writes.append(clock[0])
        clock[0] += 6.0

    monkeypatch.setattr(checkpoint, "write", write)
    began = clock[0]
    Slow(bench, clock, 20.0).train()
    assert len(writes) > 2
    assert 6.0 * len(writes) < 0.04 * (clock[0] - began)


def test_tells_of_its_progress(bench: Bench) -> None:
    told: list[Progress] = []
    Problem(replace(bench, on_progress=told.append)).train()
    assert {p.stage for p in told} == {"tune"}
    assert [p.step for p in told if p.score is not None] == [10, 20, 30, 40, 50, 60]
    assert all(p.steps == 60 for p in told)
    assert told[0].loss is not None
    assert told[-1].step == 60


def test_the_callers_random_numbers_are_left_alone(bench: Bench) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    problem = Problem(bench)
    torch.manual_seed(11)
    problem.train()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("decay", ["linear", "cosine", "constant"])
def test_the_rate_rises_and_falls(decay: str) -> None:
    recipe = Recipe(steps=100, lr=1.0, warmup=0.1, decay=decay)  # type: ignore[arg-type]
    rates = [rate(recipe, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert rates[10] == 1.0
    assert rates == [*sorted(rates[:10]), *sorted(rates[10:], reverse=True)]
    assert rates[-1] == (1.0 if decay == "constant" else pytest.approx(0.0, abs=0.02))


def test_parts_of_the_weights_have_a_rate_of_their_own(bench: Bench) -> None:
    problem = Problem(bench)
    still = problem.first.weight.detach().clone()
    train(
        problem.weights, problem.batches, problem.loss, RECIPE, bench, rates={"0.": 0.0, "0.b": 1.0}
    )
    assert torch.equal(problem.first.weight, still)
    assert problem.first.bias.grad is None
    assert float(problem.first.bias.detach().abs().max()) > 0.1
