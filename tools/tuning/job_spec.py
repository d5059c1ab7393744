"""What a tuning job is to do, in one file: `spec.json` of its folder, written once.

The spec and the files that it names decide the job. A job that is resumed reads the same spec and
finds the same bytes in the files, or it is refused.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
)

from models.digest import file_sha256
from tools.tuning.errors import DataError, SkillError
from tools.tuning.task import TaskKind

AUTO = "auto"
"""The method that measures several and takes the best; see `tools/tuning/selection.py`."""
BUDGET_SECONDS = 20 * 60.0
"""A tuning job's time unless another is given: `--budget 20m`."""
SKILL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
LICENCE_CHARACTERS = 500
Track = Literal["tensorboard", "wandb"]
"""Where a job's figures go beside its own `events.jsonl`."""


def check_skill_name(name: str) -> str:
    """The name, where it is one.

    Raises:
        SkillError: it could not be a folder's name everywhere, or not be typed easily.
    """
    if not SKILL_NAME.fullmatch(name):
        raise SkillError(
            f"{name[:80]!r} is no skill's name; take up to 64 of a-z, 0-9, `-` and `_`, "
            "the first a letter or a digit"
        )
    return name


def _skill_name(name: str) -> str:
    try:
        return check_skill_name(name)
    except SkillError as error:
        raise ValueError(str(error)) from None


class Part(BaseModel):
    """What the models of this file have in common: they never change and take no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataFile(Part):
    """A file of labelled examples, as it was when the job was made."""

    path: str
    """Absolute."""
    sha256: str

    @classmethod
    def at(cls, path: Path) -> "DataFile":
        """The file as it is now.

        Raises:
            DataError: there is none, or it cannot be read.
        """
        if not path.is_file():
            what = "is a folder; name one file" if path.is_dir() else "is not there; check the path"
            raise DataError(f"the data file {what}", path=str(path))
        try:
            return cls(path=str(path.resolve()), sha256=file_sha256(path))
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", path=str(path)) from error

    def check(self) -> Path:
        """Its path, after a look that its bytes are the same.

        Raises:
            DataError: it is gone or has changed.
        """
        if DataFile.at(Path(self.path)).sha256 != self.sha256:
            raise DataError(
                "has changed since the job was made; start a new one with `tuneward tune`",
                path=self.path,
            )
        return Path(self.path)


class JobSpec(Part):
    """One tuning job."""

    version: Literal[1] = 1
    kind: TaskKind
    skill: Annotated[str, AfterValidator(_skill_name)]
    """The name under which the result is registered, as the next version where there is one."""
    train: DataFile
    dev: DataFile | None = None
    """Left out, a part of `train` is held out; under 100 labels it is cross-validated."""
    test: DataFile | None = None
    """Left out, a part of `train` is sealed."""
    text_column: str | None = None
    label_column: str | None = None
    pair_column: str | None = None
    """Columns that are not named are found."""
    method: str = AUTO
    settings: dict[str, Any] = {}
    """For the named method, what differs from its defaults; nothing with `auto`."""
    base: str | None = None
    """Encoder or language model; each method's own default where left out."""
    budget_seconds: Annotated[FiniteFloat, Field(gt=0)] = BUDGET_SECONDS
    """Over all attempts together, so a resume does not begin it anew."""
    seed: int = 0
    from_skill: str | None = None
    """A registered skill whose weights are the start."""
    licence: Annotated[str, StringConstraints(max_length=LICENCE_CHARACTERS)] | None = None
    """Of the training data, for the skill's card."""
    device: str | None = None
    track: Track | None = None

    @property
    def files(self) -> dict[str, DataFile]:
        """The data by role: train, dev, test; those that are given."""
        roles = {"train": self.train, "dev": self.dev, "test": self.test}
        return {role: file for role, file in roles.items() if file is not None}


def skill_name_for(path: Path) -> str:
    """A skill's name made of a data file's, for where none is given."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:64]
    return plain or "skill"
