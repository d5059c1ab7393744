"""The clock of one training: how fast its steps are, and whether it is time to write its state."""

import time
from dataclasses import dataclass, field

TIME_CHECK_STEPS = 10
"""After so many steps, and again after each so many, the speed is compared with the time left."""
SAVE_SECONDS = 30.0
"""The state is written this often: at most so much is lost to a kill, and of a large state more."""
SAVE_SHARE = 0.03
"""Of the time, for writing the state: one of 1.6 GB takes seconds, and is written less often."""


@dataclass(slots=True)
class StepClock:
    """When things were last done, and how long they take."""

    reported: float = field(default_factory=time.monotonic)
    began: float = 0.0
    steps: int = 0
    _saved: float = field(default_factory=time.monotonic)
    _saving: float = 0.0
    """Seconds that it took to write the state."""

    def stepped(self) -> None:
        """The first step is slower than the rest, so the clock starts behind it."""
        if self.began:
            self.steps += 1
        else:
            self.began = time.monotonic()

    def saved(self, seconds: float) -> None:
        """The state was written, which took so long."""
        self._saved, self._saving = time.monotonic(), seconds

    @property
    def is_time_to_save(self) -> bool:
        """At most `SAVE_SHARE` of the time goes into writing."""
        between = max(SAVE_SECONDS, self._saving / SAVE_SHARE)
        return time.monotonic() - self._saved >= between

    @property
    def is_known(self) -> bool:
        """Enough steps have been timed, and it is time to look again."""
        return self.steps > 0 and self.steps % TIME_CHECK_STEPS == 0

    @property
    def seconds_per_step(self) -> float:
        """Evaluations and checkpoints included."""
        return max((time.monotonic() - self.began) / self.steps, 1e-9)
