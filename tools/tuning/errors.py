"""What can go wrong while tuning, and who acts next.

TuningError
├── DataError         the person: the labelled data cannot be used (exit code 2)
├── MethodUnsuitable  the choice: this method cannot serve this task; a person who named it (2)
├── BudgetSpent       nobody: the time is over before the method had a result (124)
├── Diverged          nobody: NaN or Inf; the last finite state is kept
├── Stopped           nobody: the job was cancelled or interrupted (130)
├── NotBetter         the person: nothing beat the controls, so nothing was registered (1)
├── SkillError        the person: no such skill, broken, or of another base model (3)
└── JobError          the person: no such job, or it is not in the state that this needs (2)

Running out of memory is `models.errors.OutOfMemory`, a model that cannot be loaded
`models.errors.ModelUnavailable`, a full disk `memory.errors.DiskFull`.
"""


class TuningError(Exception):
    """A failure of tuning, with a message that names the way out."""


class DataError(TuningError):
    """The labelled data cannot be used; says the file, the line and the way out in one line."""

    def __init__(self, message: str, *, path: str = "", line: int | None = None) -> None:
        place = f"{path}:{line}" if line is not None else path
        super().__init__(f"{place}: {message}" if place else message)
        self.path = path
        self.line = line


class MethodUnsuitable(TuningError):
    """The method does not serve this kind of task, these labels or so few examples."""


class BudgetSpent(TuningError):
    """The time was over before there was a result."""


class Diverged(TuningError):
    """The loss or a weight became NaN or infinite."""

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(message)
        self.step = step


class Stopped(TuningError):
    """Somebody asked for the job to stop; what was reached is in its checkpoint."""


class NotBetter(TuningError):
    """No method beat the controls on held-out data."""


class SkillError(TuningError):
    """The skill is not there, is broken, or does not fit the model that is loaded."""


class JobError(TuningError):
    """The job is not there, or what is wanted of it does not fit its state."""
