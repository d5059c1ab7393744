"""The examples of one job: read, looked over, freed of leaks, and split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.tuning.base_reading import base_reading
from tools.tuning.blocks import CROSS_VALIDATE_BELOW, HELD_ROWS
from tools.tuning.data_report import report
from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, Example
from tools.tuning.fingerprint import fingerprint
from tools.tuning.job_spec import DataFile, JobSpec
from tools.tuning.methods.base import Bench
from tools.tuning.reading import read_dataset
from tools.tuning.skill_card import DataFact, Role
from tools.tuning.splits import DEV_SHARE, TEST_SHARE, split
from tools.tuning.task import Task

SPLIT_SEED = 0
"""Whatever the job's seed is: the same rows are sealed for every version of a skill."""


@dataclass(frozen=True, slots=True)
class JobData:
    """What a job learns from and is measured on."""

    task: Task
    train: tuple[Example, ...]
    """All rows to learn from and, without `dev`, to cross-validate on."""
    dev: tuple[Example, ...]
    """For choosing; empty where rows are few and there is no file for it."""
    test: tuple[Example, ...]
    """Sealed: predicted once, at the end."""
    dev_given: bool
    """`dev` is a file of its own, so it is not learned from at the end either."""
    files: tuple[DataFact, ...]
    report_lines: list[str]
    notes: list[str]

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by split."""
        return {"train": len(self.train), "dev": len(self.dev), "test": len(self.test)}

    @property
    def for_last_fit(self) -> tuple[Example, ...]:
        """What the chosen method learns from in the end."""
        return self.train if self.dev_given else (*self.train, *self.dev)

    @property
    def stop_rows(self) -> tuple[Example, ...]:
        """What it stops by; empty where a part of the rows must do."""
        return self.dev[:HELD_ROWS] if self.dev_given else ()


def read_data(spec: JobSpec, bench: Bench) -> JobData:
    """Read and split the job's files.

    Raises:
        DataError: a file cannot be used, has changed, or leaves nothing to learn from.
    """
    train = _read(spec, spec.train, None)
    dev = _read(spec, spec.dev, train.task) if spec.dev else None
    test = _read(spec, spec.test, train.task) if spec.test else None
    named: tuple[tuple[Role, DataFile | None, Dataset | None], ...] = (
        ("train", spec.train, train),
        ("dev", spec.dev, dev),
        ("test", spec.test, test),
    )
    facts = tuple(
        DataFact(role=role, name=Path(file.path).name, sha256=file.sha256, rows=len(found))
        for role, file, found in named
        if file is not None and found is not None
    )
    reads = base_reading(spec.base, bench.home, method=spec.method, settings=spec.settings)
    lines = report(
        train,
        dev,
        test,
        longest_tokens=reads.longest,
        count_tokens=reads.count,
        languages=reads.languages,
    ).lines()
    bench.check()
    notes: list[str] = []
    sealed = test.examples if test else ()
    chosen_on = _without(dev.examples, sealed, "dev", notes) if dev else ()
    learned = _without(train.examples, (*sealed, *chosen_on), "training", notes)
    if not learned:
        raise DataError("every training row is also in the dev or test file", path=spec.train.path)
    parts = split(
        Dataset(train.task, tuple(learned), train.path, train.sha256),
        seed=SPLIT_SEED,
        test=0 if test else TEST_SHARE,
        dev=0 if dev else DEV_SHARE,
    )
    if dev is None and len(parts.train) + len(parts.dev) < CROSS_VALIDATE_BELOW:
        order = {id(example): place for place, example in enumerate(learned)}
        together = sorted((*parts.train, *parts.dev), key=lambda example: order[id(example)])
        rows, held = tuple(together), tuple[Example, ...]()
    else:
        rows, held = parts.train, tuple(chosen_on) if dev else parts.dev
    return JobData(
        task=train.task,
        train=rows,
        dev=held,
        test=tuple(sealed) if test else parts.test,
        dev_given=dev is not None,
        files=facts,
        report_lines=lines,
        notes=notes,
    )


def _read(spec: JobSpec, file: DataFile, task: Task | None) -> Dataset:
    found = read_dataset(
        file.check(),
        spec.kind,
        text_column=spec.text_column,
        label_column=spec.label_column,
        pair_column=spec.pair_column,
        task=task,
    )
    if found.sha256 != file.sha256:
        raise DataError("changed while it was read; start the job again", path=file.path)
    return found


def _without(
    rows: Sequence[Example], others: Sequence[Example], what: str, notes: list[str]
) -> Sequence[Example]:
    """The rows whose text is not among the others: a leak makes every figure too good."""
    known = {fingerprint(example.input) for example in others}
    kept = [example for example in rows if fingerprint(example.input) not in known]
    if gone := len(rows) - len(kept):
        notes.append(f"{gone} {what} rows were left out, since they are also held-out rows")
    return kept
