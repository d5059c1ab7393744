"""Tests of the choice: what is measured, in which order, what is left out, and what wins."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from models.errors import OutOfMemory
from tests.tools.tuning.plain_methods import (
    TASK,
    Backwards,
    Breaks,
    DearWords,
    Endless,
    Hungry,
    Majority,
    Slow,
    Words,
    known,
    reviews,
)
from tools.tuning.blocks import Plan, plan_blocks
from tools.tuning.decision import Choice
from tools.tuning.entrants import candidates
from tools.tuning.errors import BudgetSpent, Diverged, MethodUnsuitable, Stopped
from tools.tuning.examples import TagExample, TokenInput
from tools.tuning.job_spec import AUTO
from tools.tuning.methods.base import Bench, Cost, Method
from tools.tuning.race import Race
from tools.tuning.race_log import RaceLog
from tools.tuning.selection import choose
from tools.tuning.selection_costs import Costs
from tools.tuning.task import Task, TaskKind


class Setting:
    """A race over made-up reviews."""

    def __init__(
        self,
        home: Path,
        plan: Plan,
        *,
        seconds: float = 60.0,
        log: Path | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.plan = plan
        self.events: list[Mapping[str, Any]] = []
        self.stop = False
        self.bench = Bench(
            home,
            deadline=time.monotonic() + seconds,
            cancelled=lambda: self.stop,
            checkpoints=checkpoints,
        )
        kept = RaceLog(log, budget_seconds=seconds)
        self.race = Race(plan, self.bench, kept, on_event=self.events.append)

    def choose(self, *methods: type[Method], named: str = AUTO) -> Choice:
        rows = len(self.plan.pool)
        entrants = candidates(TASK, rows, named, classes=known(*methods))
        costs = Costs(
            TASK,
            block_rows=self.plan.train_rows,
            held_rows=self.plan.held_rows,
            all_rows=rows,
            test_rows=0,
            tokens=8,
            stops=False,
            bench=self.bench,
        )
        return choose(TASK, entrants, self.race, costs, named=named)

    @property
    def measured(self) -> list[str]:
        """Candidates in the order in which they were first measured."""
        return list(dict.fromkeys(e["candidate"] for e in self.events if e["type"] == "scored"))


@pytest.fixture
def setting(home: Path) -> Setting:
    return Setting(home, plan_blocks(reviews(60)))


def skipped(choice: Choice) -> dict[str, str]:
    return {each.label: each.why for each in choice.skipped}


def test_a_method_that_beats_the_controls_wins(setting: Setting) -> None:
    choice = setting.choose(Words)
    assert choice.winner is not None
    assert choice.winner.method is Words
    assert choice.best_control is not None
    assert choice.best_control.method is Majority
    assert "scores" in choice.why


def test_the_controls_come_first_and_cheap_methods_before_dear_ones(setting: Setting) -> None:
    setting.choose(DearWords, Words, Backwards)
    assert setting.measured[:3] == ["majority-0", "nearest-0", "linear_head-0"]


def test_the_cheaper_of_two_equals_wins(home: Path) -> None:
    choice = Setting(home, plan_blocks(reviews(60, noise=5))).choose(DearWords, Words)
    assert choice.winner is not None
    assert choice.winner.method is Words
    assert "dearer" in choice.verdicts["encoder-1"]


def test_nothing_wins_where_nothing_beats_the_controls(setting: Setting) -> None:
    choice = setting.choose(Backwards)
    assert choice.winner is None
    assert choice.verdicts["contrastive-0"] == "not above the controls"
    assert "the control majority scores" in choice.why


def test_at_least_three_seeds_are_behind_the_winner(setting: Setting) -> None:
    setting.choose(Words)
    seeds = {
        setting.plan.blocks[e["block"]].seed
        for e in setting.events
        if e["type"] == "scored" and e["candidate"] == "linear_head-0"
    }
    assert len(seeds) >= 3


def test_a_losing_method_stops_early(home: Path) -> None:
    setting = Setting(home, plan_blocks(reviews(200, noise=5)))
    choice = setting.choose(Words, Backwards)
    blocks = [
        e["block"]
        for e in setting.events
        if e.get("candidate") == "contrastive-0" and "blocks" in e
    ]
    assert blocks == [0, 1]
    assert choice.verdicts["contrastive-0"].startswith("lost to linear_head after 2 blocks")
    assert skipped(choice)["contrastive (smooth=0.1)"] == "its first settings were left behind"


def test_what_does_not_fit_the_budget_is_skipped_with_its_figures(home: Path) -> None:
    choice = Setting(home, plan_blocks(reviews(60, noise=5))).choose(Words, Endless)
    assert "needs about" in skipped(choice)["full"]
    assert choice.winner is not None


def test_a_method_that_never_ends_does_not_eat_the_budget(home: Path) -> None:
    setting = Setting(home, plan_blocks(reviews(60, noise=5)), seconds=5)
    choice = setting.choose(Words, Slow)
    assert choice.winner is not None
    assert "the time is over" in skipped(choice)["lora"]
    assert setting.bench.seconds_left > 0.2


def test_methods_that_diverge_or_lack_memory_are_skipped_with_the_reason(home: Path) -> None:
    setting = Setting(home, plan_blocks(reviews(60, noise=5)))
    choice = setting.choose(Words, Breaks, Hungry)
    assert "NaN" in skipped(choice)["soft_prompt"]
    assert "memory" in skipped(choice)["kv_prefix"]


def test_dear_methods_are_not_tried_where_nothing_can_be_gained(setting: Setting) -> None:
    choice = setting.choose(Words, Breaks)
    assert "near to perfect" in skipped(choice)["soft_prompt"]


@pytest.mark.parametrize(
    ("method", "error"), [(Breaks, Diverged), (Hungry, OutOfMemory), (Slow, BudgetSpent)]
)
def test_the_failure_of_a_named_method_is_raised(
    home: Path, method: type[Method], error: type[Exception]
) -> None:
    setting = Setting(home, plan_blocks(reviews(20)), seconds=1)
    with pytest.raises(error):
        setting.choose(method, named=method.name)


def test_a_named_method_whose_time_is_short_is_measured_on_fewer_blocks(home: Path) -> None:
    class Dear(DearWords):
        """Foresees more than there is, and takes a second for each fit."""

        seconds: ClassVar[float] = 100.0

        def fit(self, train: Any, dev: Any, bench: Bench) -> None:
            time.sleep(0.5)
            bench.check()
            super().fit(train, dev, bench)

    setting = Setting(home, plan_blocks(reviews(60)), seconds=9)
    choice = setting.choose(Dear, named="encoder")
    assert choice.winner is not None
    assert choice.winner.method is Dear
    blocks = [
        e["block"] for e in setting.events if e.get("candidate") == "encoder-0" and "blocks" in e
    ]
    assert 1 <= len(blocks) < 15
    assert setting.bench.seconds_left > 0.5  # for the last fit


def test_a_named_method_is_measured_beside_the_controls_only(setting: Setting) -> None:
    choice = setting.choose(Words, DearWords, named="encoder")
    assert setting.measured == ["majority-0", "nearest-0", "encoder-0", "encoder-1"]
    assert choice.winner is not None
    assert choice.winner.method is DearWords


def test_a_named_method_with_settings_has_no_grid() -> None:
    found = candidates(TASK, 60, "linear_head", {"smooth": 2.0}, classes=known(Words))
    assert [(c.key, dict(c.settings)) for c in found][-1] == ("linear_head-0", {"smooth": 2.0})
    with pytest.raises(ValueError, match="knows no setting 'smoth'"):
        candidates(TASK, 60, "linear_head", {"smoth": 2.0}, classes=known(Words))


class TextsOnly(DearWords):
    """Cannot even say what it would cost for tags."""

    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification",)

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        if self.task.kind not in self.kinds or len(self.task.labels) > 2:
            raise MethodUnsuitable("there is no template for that")
        return super().cost(rows, tokens, bench)


def tagged(home: Path, task: Task, named: str = AUTO) -> Choice:
    rows = [
        TagExample(TokenInput(("Ada", "saw", f"n{i}")), ("B-PER", "O", "O"), i) for i in range(40)
    ]
    bench = Bench(home, deadline=time.monotonic() + 60)
    plan = plan_blocks(rows)
    costs = Costs(
        task,
        block_rows=plan.train_rows,
        held_rows=plan.held_rows,
        all_rows=40,
        test_rows=0,
        tokens=8,
        stops=False,
        bench=bench,
    )
    entrants = candidates(task, 40, named, classes=known(Words, TextsOnly))
    return choose(task, entrants, Race(plan, bench, RaceLog()), costs, named=named)


def test_a_method_for_another_kind_of_task_is_left_out_before_it_is_asked(home: Path) -> None:
    choice = tagged(home, Task("ner", ("PER",)))
    assert choice.winner is not None
    assert choice.winner.method is Words
    assert skipped(choice)["encoder"] == "encoder does not do ner"
    with pytest.raises(MethodUnsuitable, match="does not do ner"):
        tagged(home, Task("ner", ("PER",)), "encoder")


def test_a_method_that_cannot_serve_these_labels_is_left_out_with_its_reason(home: Path) -> None:
    setting = Setting(home, plan_blocks(reviews(60, noise=5)))
    three = Task("classification", ("bad", "good", "so-so"))
    rows = len(setting.plan.pool)
    costs = Costs(
        three,
        block_rows=48,
        held_rows=12,
        all_rows=rows,
        test_rows=0,
        tokens=8,
        stops=False,
        bench=setting.bench,
    )
    entrants = candidates(three, rows, AUTO, classes=known(Words, TextsOnly))
    choice = choose(three, entrants, setting.race, costs)
    assert skipped(choice)["encoder"] == "there is no template for that"
    assert choice.winner is not None


def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(MethodUnsuitable, match="did you mean linear_head"):
        candidates(TASK, 60, "linear_hed")


def test_no_time_at_all_is_said(home: Path) -> None:
    with pytest.raises(BudgetSpent):
        Setting(home, plan_blocks(reviews(20)), seconds=0).choose(Words)


def test_stopping_ends_the_choice(setting: Setting) -> None:
    setting.stop = True
    with pytest.raises(Stopped):
        setting.choose(Words)


def test_a_second_attempt_repeats_no_trial_and_chooses_the_same(home: Path, tmp_path: Path) -> None:
    log, plan = tmp_path / "race.jsonl", plan_blocks(reviews(60, noise=5))
    whole = Setting(home, plan, log=log).choose(Words, Breaks, Backwards)
    lines = log.read_bytes()
    again = Setting(home, plan, log=log)
    choice = again.choose(Words, Breaks, Backwards)
    assert log.read_bytes() == lines
    assert choice.why == whole.why
    assert choice.verdicts == whole.verdicts
    assert choice.skipped == whole.skipped


def test_a_log_torn_by_a_kill_is_gone_on_with(home: Path, tmp_path: Path) -> None:
    log, plan = tmp_path / "race.jsonl", plan_blocks(reviews(60, noise=5))
    whole = Setting(home, plan, log=log).choose(Words, Backwards)
    data = log.read_bytes()
    for cut in (1, len(data) // 3, len(data) // 2, len(data) - 1):
        log.write_bytes(data[:cut])
        choice = Setting(home, plan, log=log).choose(Words, Backwards)
        assert (choice.why, choice.verdicts) == (whole.why, whole.verdicts)


class Dear(DearWords):
    """A block of it is foreseen to take half a minute."""

    seconds: ClassVar[float] = 60.0


def test_what_had_no_time_is_tried_again_with_another_budget_only(
    home: Path, tmp_path: Path
) -> None:
    log, plan = tmp_path / "race.jsonl", plan_blocks(reviews(60, noise=5))
    first = Setting(home, plan, log=log, seconds=20).choose(Words, Dear, Breaks)
    assert "needs about" in skipped(first)["encoder"]
    lines = log.read_bytes()
    again = Setting(home, plan, log=log, seconds=20)
    assert skipped(again.choose(Words, Dear, Breaks)) == skipped(first)
    assert log.read_bytes() == lines
    more = Setting(home, plan, log=log, seconds=2_000)
    choice = more.choose(Words, Dear, Breaks)
    assert "encoder" not in skipped(choice)
    assert "encoder-0" in more.measured
    assert "encoder-1" in more.measured  # its grid was left out only because of its first settings
    assert "NaN" in skipped(choice)["soft_prompt"]  # time does not help there
    assert log.read_text().count('"soft_prompt-0"') == 1


class Keeps(DearWords):
    """Leaves a state behind, as trainings do."""

    def fit(self, train: Any, dev: Any, bench: Bench) -> None:
        assert bench.checkpoints is not None
        bench.checkpoints.mkdir(parents=True)
        (bench.checkpoints / "state").write_text("x")
        bench.check()
        super().fit(train, dev, bench)


class KeepsAndBreaks(Keeps):
    """Leaves one behind and comes to no end."""

    name: ClassVar[str] = "soft_prompt"
    rung: ClassVar[int] = 70

    def fit(self, train: Any, dev: Any, bench: Bench) -> None:
        super().fit(train, dev, bench)
        raise Diverged("the loss became NaN or infinite at step 3", step=3)


def test_no_checkpoint_outlives_the_trial_that_it_was_for(home: Path, tmp_path: Path) -> None:
    folder, plan = tmp_path / "checkpoints", plan_blocks(reviews(60, noise=5))
    setting = Setting(home, plan, log=tmp_path / "race.jsonl", checkpoints=folder)
    choice = setting.choose(Words, Keeps, KeepsAndBreaks)
    assert {"encoder-0", "encoder-1"} <= set(setting.measured)
    assert "NaN" in skipped(choice)["soft_prompt"]
    assert list(folder.iterdir()) == []
    # A kill between a trial and its clearing away: the next attempt sees to it.
    (folder / "encoder-0-0").mkdir()
    Setting(home, plan, log=tmp_path / "race.jsonl", checkpoints=folder).choose(Words, Keeps)
    assert list(folder.iterdir()) == []


def test_a_stopped_fit_keeps_its_checkpoint(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    setting = Setting(home, plan_blocks(reviews(60)), checkpoints=folder)

    class StopsInside(Keeps):
        def fit(self, train: Any, dev: Any, bench: Bench) -> None:
            setting.stop = True
            super().fit(train, dev, bench)

    with pytest.raises(Stopped):
        setting.choose(StopsInside, named="encoder")
    assert [path.name for path in folder.iterdir()] == ["encoder-0-0"]
