"""The one training loop; every method that trains anything with torch goes through it.

    batches = LengthBatches(lengths, 16, seed=bench.seed)
    recipe = Recipe(steps=200, lr=3e-4, evaluate_every=25, patience=4)
    trained = train(weights, batches, loss, recipe, bench, identity=..., evaluate=dev_loss)

It knows nothing of models: `weights` are named parameters, `loss` gives the summed loss over a
batch. AdamW with warm-up and decay, gradients clipped; the weights end as they were at the best
evaluation. Covered: NaN and Inf (no weight ever takes one in), memory that runs out (the same batch
in smaller pieces: the same gradient where the loss is a sum over rows; of a loss over pairs, as in
`contrast.py`, only the pairs within a piece count), being stopped or killed at any point (on one
machine, a resumed run is equal to an uninterrupted one bit for bit, as long as the time does not
run out), a time limit (fewer steps, the decay fitted to them). Not covered: several devices.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from models.errors import OutOfMemory
from tools.tuning.errors import BudgetSpent, Diverged, Stopped
from tools.tuning.methods import checkpoint
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.methods.device_state import (
    cuda_devices,
    free_memory,
    memory_errors,
    random_states,
    set_random_states,
)
from tools.tuning.methods.recipe import Dev, Loss, Recipe, Trained, rate
from tools.tuning.methods.step_clock import StepClock

REPORT_SECONDS = 2.0
TIME_SHARE = 0.9
"""Of the time left; the rest is for what comes after the training."""
USEFUL_SHARE = 0.5
"""Of the steps that the recipe wants: without evaluations nothing useful is learned in fewer."""

T = TypeVar("T")


@dataclass(slots=True)
class _Place:
    """Where a run stands; plain JSON."""

    step: int = 0
    steps: int = 0
    halvings: int = 0
    best_step: int = 0
    best_loss: float | None = None
    best_score: float | None = None
    worse: int = 0
    """Evaluations since the best one."""
    loss_sum: float = 0.0
    loss_steps: int = 0
    note: str = ""
    is_over: bool = False


def train(
    weights: Mapping[str, torch.nn.Parameter],
    batches: Callable[[int], Sequence[T]],
    loss: Callable[[Sequence[T]], Loss],
    recipe: Recipe,
    bench: Bench,
    *,
    identity: str = "",
    evaluate: Callable[[], Dev] | None = None,
    rates: Mapping[str, float] | None = None,
) -> Trained:
    """Change `weights` in place until the recipe, the patience or the time is over.

    Args:
        weights: what is trained, by name; fp32, each requires a gradient.
        batches: the rows of a step, from 0; must not depend on what it was asked before.
        loss: of some rows; puts its modules into training mode itself. May be given any part of
            a batch.
        recipe: how.
        bench: asked before each step whether to go on; told of the progress; its `checkpoints`
            keep the state, its `seed` seeds torch (the caller's random state is left alone).
        identity: names this fit (`checkpoint.identity_of`); a state of another is not taken up.
        evaluate: on held-out rows; called without gradients; sets evaluation mode itself.
        rates: beginning of a name to factor of the learning rate; the longest match counts.

    Raises:
        Stopped: somebody asked for it; the state is in the checkpoints.
        BudgetSpent: the time was over before anything useful was learned.
        Diverged: NaN or Inf before there was any good state.
        OutOfMemory: even in pieces of an eighth of a batch.
    """
    if not weights or recipe.steps < 1:
        raise ValueError("nothing to train: no weights or no steps")
    with torch.random.fork_rng(devices=cuda_devices(weights.values())):
        torch.manual_seed(bench.seed)
        return _Run(weights, batches, loss, recipe, bench, identity, evaluate, rates or {}).go()


class _Run(Generic[T]):
    """One call of `train`."""

    def __init__(
        self,
        weights: Mapping[str, torch.nn.Parameter],
        batches: Callable[[int], Sequence[T]],
        loss: Callable[[Sequence[T]], Loss],
        recipe: Recipe,
        bench: Bench,
        identity: str,
        evaluate: Callable[[], Dev] | None,
        rates: Mapping[str, float],
    ) -> None:
        self.weights = dict(weights)
        self.cuda = cuda_devices(weights.values())
        self.batches = batches
        self.loss = loss
        self.recipe = recipe
        self.bench = bench
        shapes = [(name, tuple(weight.shape)) for name, weight in weights.items()]
        self.identity = checkpoint.identity_of(identity, recipe, shapes)
        self.evaluate = evaluate if recipe.evaluate_every > 0 else None
        # Fused: on a CPU a fifth of the time of the plain one (22 million weights: 40 ms a step).
        self.optimizer = torch.optim.AdamW(self._groups(rates), lr=recipe.lr, fused=True)
        self.place = _Place(steps=recipe.steps, halvings=bench.batch_halvings)
        self.best: dict[str, Tensor] = {}
        self.clock = StepClock()

    def go(self) -> Trained:
        self._resume()
        while not self._is_done():
            try:
                self.bench.check()
            except Stopped:
                self._save()
                raise
            except BudgetSpent:
                if not self._is_useful():
                    self._save()
                    raise
                self._end(f"the time was over after {self.place.step} of {self.recipe.steps} steps")
                break
            if not self._step():
                break
            self._fit_to_time()
            self._evaluate_if_due()
            self._report_if_due()
            self._save_if_due()
        return self._finish()

    def _is_done(self) -> bool:
        return self.place.is_over or self.place.step >= self.place.steps

    def _is_useful(self) -> bool:
        """What was reached is worth keeping although the time is over."""
        if self.evaluate is not None:
            return self.place.best_loss is not None
        return self.place.step >= self._fewest

    @property
    def _fewest(self) -> int:
        """Steps without which nothing useful was learned; an evaluation tells it better."""
        return 0 if self.evaluate is not None else math.ceil(USEFUL_SHARE * self.recipe.steps)

    # One update

    def _step(self) -> bool:
        """Make one update; False where it would have let in NaN or Inf."""
        place = self.place
        factor = rate(self.recipe, place.step, place.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr * group["factor"] * factor
        mean = self._gradients(self.batches(place.step))
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.recipe.clip)
        if not (math.isfinite(mean) and bool(torch.isfinite(norm))):
            self.optimizer.zero_grad(set_to_none=True)
            self._diverged("the loss" if not math.isfinite(mean) else "a gradient")
            return False
        with memory_errors():
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        sums = torch.stack([weight.detach().sum() for weight in self.weights.values()])
        if not bool(sums.isfinite().all()):
            self._diverged("a weight", weights_broken=True)
            return False
        place.step += 1
        place.loss_sum += mean
        place.loss_steps += 1
        self.clock.stepped()
        return True

    def _gradients(self, batch: Sequence[T]) -> float:
        """Fill the gradients of the batch's mean loss, which is returned, in as many pieces as
        the memory wants."""
        while True:
            before = random_states(self.cuda)
            try:
                with memory_errors():
                    return self._accumulate(batch)
            except OutOfMemory as error:
                said = str(error)
            # Outside of `except`, whose traceback would hold on to the memory of the failed try.
            self.optimizer.zero_grad(set_to_none=True)
            set_random_states(before)
            free_memory()
            self._halve(len(batch), said)

    def _accumulate(self, batch: Sequence[T]) -> float:
        rows = -(-len(batch) // 2**self.place.halvings)
        total, count = 0.0, 0.0
        for start in range(0, len(batch), rows):
            part = self.loss(batch[start : start + rows])
            part.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            total += part.total.item()
            count += part.count
        for weight in self.weights.values():
            if weight.grad is not None:
                weight.grad.div_(max(count, 1e-12))
        return total / max(count, 1e-12)

    def _halve(self, rows: int, said: str) -> None:
        if self.place.halvings >= self.recipe.max_halvings or 2**self.place.halvings >= rows:
            raise OutOfMemory(
                f"training does not fit the memory, even with a batch of {rows} rows in "
                f"{2**self.place.halvings} pieces ({said}); take a smaller --base or shorter texts"
            )
        self.place.halvings += 1
        pieces = 2**self.place.halvings
        self._tell(note=f"out of memory: each batch now goes in {pieces} pieces")

    # Evaluations and the best state

    def _evaluate_if_due(self) -> None:
        place, recipe = self.place, self.recipe
        if self.evaluate is None:
            return
        if place.step % recipe.evaluate_every and place.step < place.steps:
            return
        dev = self._measured()
        if not math.isfinite(dev.loss):
            self._diverged("the loss on the held-out rows", weights_broken=True)
            return
        if self._is_better(dev):
            place.best_step, place.best_loss, place.best_score = place.step, dev.loss, dev.score
            place.worse = 0
            self.best = {name: _copy(weight) for name, weight in self.weights.items()}
        else:
            place.worse += 1
        self._tell(score=dev.score, note=f"dev loss {dev.loss:.4f}")
        if recipe.patience and place.worse >= recipe.patience:
            self._end(f"no better for {place.worse} evaluations")

    def _measured(self) -> Dev:
        assert self.evaluate is not None
        with torch.no_grad(), torch.random.fork_rng(devices=self.cuda), memory_errors():
            return self.evaluate()

    def _is_better(self, dev: Dev) -> bool:
        place = self.place
        if place.best_loss is None:
            return True
        if self.recipe.best_by == "score" and dev.score is not None:
            best = -math.inf if place.best_score is None else place.best_score
            return (dev.score, -dev.loss) > (best, -place.best_loss)
        return dev.loss < place.best_loss

    def _diverged(self, what: str, *, weights_broken: bool = False) -> None:
        """End in the last good state, or raise where there is none."""
        place = self.place
        if not self.best and (weights_broken or place.step == 0):
            raise Diverged(
                f"{what} became NaN or infinite at step {place.step + 1}; take a lower learning "
                "rate",
                step=place.step + 1,
            )
        self._end(f"{what} became NaN or infinite at step {place.step + 1}")

    def _end(self, note: str) -> None:
        self.place.is_over = True
        self.place.note = note

    def _finish(self) -> Trained:
        place = self.place
        if place.step < self.recipe.steps and not place.note:
            self._end(f"the time allowed {place.step} of {self.recipe.steps} steps")
        place.is_over = True
        if self.best:
            self._set(self.best)
        self._save()
        dev = None if place.best_loss is None else Dev(place.best_loss, place.best_score)
        best_step = place.best_step if self.best else place.step
        if place.note:
            self._tell(note=f"{place.note}; the state of step {best_step} is kept")
        return Trained(place.step, best_step, dev, place.note)

    # Telling and keeping

    def _tell(self, *, score: float | None = None, note: str = "") -> None:
        place = self.place
        mean = place.loss_sum / place.loss_steps if place.loss_steps else None
        self.bench.on_progress(
            Progress("tune", place.step, place.steps, loss=mean, score=score, note=note)
        )
        place.loss_sum, place.loss_steps = 0.0, 0
        self.clock.reported = time.monotonic()

    def _report_if_due(self) -> None:
        every = max(1, self.recipe.steps // 50)
        is_due = time.monotonic() - self.clock.reported >= REPORT_SECONDS
        if self.place.loss_steps and (is_due or self.place.step % every == 0):
            self._tell()

    def _save_if_due(self) -> None:
        every = self.recipe.save_every
        if self.clock.is_time_to_save or (every and self.place.step % every == 0):
            self._save()

    def _save(self) -> None:
        if self.bench.checkpoints is None:
            return
        began = time.monotonic()
        tensors: dict[str, Tensor] = {f"weight/{name}": w for name, w in self.weights.items()}
        tensors |= {f"best/{name}": weight for name, weight in self.best.items()}
        for name, weight in self.weights.items():
            for key, value in self.optimizer.state.get(weight, {}).items():
                tensors[f"{key}/{name}"] = value
        tensors |= {f"random/{k}": v for k, v in random_states(self.cuda).items()}
        facts = {f.name: getattr(self.place, f.name) for f in fields(self.place)}
        state = checkpoint.State(tensors, facts)
        checkpoint.write(self.bench.checkpoints, state, self.identity)
        self.clock.saved(time.monotonic() - began)

    def _resume(self) -> None:
        if self.bench.checkpoints is None:
            return
        state = checkpoint.read(self.bench.checkpoints, self.identity)
        if state is None:
            return
        parts: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.tensors.items():
            kind, _, name = key.partition("/")
            parts.setdefault(kind, {})[name] = tensor
        self._set(parts.pop("weight"))
        self.best = parts.pop("best", {})
        set_random_states(parts.pop("random"))
        for kind, tensors in parts.items():
            for name, tensor in tensors.items():
                weight = self.weights[name]
                self.optimizer.state[weight][kind] = tensor.to(weight.device)
        self.place = _Place(**state.facts)
        self.place.halvings = max(self.place.halvings, self.bench.batch_halvings)
        if not self.place.is_over:
            self.place.steps = self.recipe.steps  # there may be more time than there was
            self._tell(note=f"goes on after step {self.place.step}")

    def _set(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[name])

    def _fit_to_time(self) -> None:
        """Plan as many steps as the time allows, never more than the recipe has, and never fewer
        than are of use: where these come to no end, the time is over."""
        if self.bench.deadline == math.inf or not self.clock.is_known:
            return
        left = int(TIME_SHARE * self.bench.seconds_left / self.clock.seconds_per_step)
        steps = min(self.recipe.steps, max(self.place.step + max(left, 0), self._fewest))
        if steps < self.place.steps == self.recipe.steps:
            self._tell(note=f"the time allows {steps} of {self.recipe.steps} steps")
        self.place.steps = steps

    def _groups(self, rates: Mapping[str, float]) -> list[dict[str, Any]]:
        """Parameters by factor of the rate, and whether they are decayed."""
        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        for name, weight in self.weights.items():
            prefix = max((p for p in rates if name.startswith(p)), key=len, default=None)
            factor = 1.0 if prefix is None else rates[prefix]
            groups.setdefault((factor, weight.ndim > 1), []).append(weight)
        return [
            {
                "params": params,
                "factor": factor,
                "weight_decay": self.recipe.weight_decay if decays else 0.0,
            }
            for (factor, decays), params in groups.items()
        ]


def _copy(weight: Tensor) -> Tensor:
    """Its numbers now, in the computer's own memory."""
    return weight.detach().cpu().clone()
