"""What the person set, from five layers, and where each value came from.

    command line > environment TUNEWARD_* > tuneward.yaml in the workspace > HOME/settings.yaml
    > defaults

A workspace may belong to anyone, so its file can only narrow: a stricter mode, a smaller budget,
fewer tools, less memory. It can never name a model, an endpoint or a plug-in.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.errors import SettingsError
from agent.safe_text import safe_text
from agent.setting_values import BUDGET, CHOICES, NAMES, Memory, Mode, nearest, parsed
from agent.settings_file import Placed, read_settings_file
from models.catalogue import EMBEDDER

__all__ = [
    "BudgetSettings",
    "Memory",
    "Mode",
    "Settings",
    "default_home",
    "load_settings",
    "make_home",
]

USER_FILE = "settings.yaml"
WORKSPACE_FILE = "tuneward.yaml"
_PREFIX = "TUNEWARD_"
_NARROWING = ("mode", "memory", "tools", *BUDGET)


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Limits of one run; None leaves the goal's own limit, or its default, as it is."""

    steps: int | None = None
    seconds: int | None = None
    tokens: int | None = None
    tuning_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The resolved settings of one command."""

    home: Path
    """Where state lives: models/ runs/ grants.yaml and the user's settings file."""
    workspace: Path
    """The folder that the agent works in; absolute."""
    model: str = "default"
    """Catalogue name, name from `models`, hub id, folder, .gguf file or `openai:MODEL@URL`."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The person's own names for models: `big: openai:Qwen3@http://gpu:8000/v1`."""
    mode: Mode = "ask"
    tools: tuple[str, ...] | None = None
    """Names or families that a run is offered; None is all that read, remember or write."""
    tools_limit: tuple[str, ...] | None = None
    """Names or families that the workspace's file allows at most; None sets no limit."""
    plugins: tuple[str, ...] = ()
    """Python files and names of installed plug-ins (`--tools`): their tools keep their effects."""
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, `mps`; None takes the best there is."""
    dtype: str | None = None
    quant: str | None = None
    memory: Memory = "read"
    embedder: str = EMBEDDER
    """Makes the vectors of the long-term memory: a catalogue name, hub id or folder."""
    budget: BudgetSettings = BudgetSettings()
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from, by dotted name; what is missing here is a default."""
    ignored: tuple[str, ...] = ()
    """Lines of the workspace's file that would have widened something, and were not followed."""

    @property
    def user_file(self) -> Path:
        return self.home / USER_FILE

    def target(self, model: str) -> str:
        """What a model's name stands for: the person's entry in `models`, or the name itself."""
        return self.models.get(model, model)


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for state: TUNEWARD_HOME, else the user's data folder."""
    if named := environ.get(f"{_PREFIX}HOME"):
        return Path(named).expanduser().resolve()
    import platformdirs

    return platformdirs.user_data_path("tuneward", appauthor=False).resolve()


def make_home(home: Path) -> None:
    """Make the folder for state, the person's alone.

    Raises:
        SettingsError: it cannot be made or written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = "" if os.access(home, os.W_OK) else "not writable"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise SettingsError(
            f"the folder for state {home} cannot be used ({reason});"
            " set TUNEWARD_HOME to a folder that can be written"
        )


def load_settings(
    *,
    workspace: Path | None = None,
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Resolve all layers.

    Args:
        workspace: the folder to work in; the current one where left out.
        options: settings from the command line by dotted name; None and empty values do not count.

    Raises:
        SettingsError: a file, variable or value is wrong; one line for each mistake.
    """
    here = _current_folder()
    home = default_home(environ)
    folder = _existing_workspace(workspace or here)
    if folder.is_relative_to(home):
        raise SettingsError(
            f"the workspace {folder} is part of Tuneward's own state, so a run could change its own"
            " permissions; choose another --workspace, or another folder for TUNEWARD_HOME"
        )
    mistakes: list[str] = []
    layers = [
        _checked(read_settings_file(home / USER_FILE), home, mistakes),
        _checked(_environment(environ, mistakes), here, mistakes),
        _checked(_command_line(options or {}), here, mistakes),
    ]
    narrowing = _narrowing(folder / WORKSPACE_FILE, home / USER_FILE, folder, mistakes)
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    user, *above = layers
    values, ignored = _narrowed(user, narrowing)
    for layer in above:
        values = {**values, **layer}
    return _settings(home, folder, values, ignored)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError(
            f"the current folder cannot be used ({error.strerror}); change to one that exists"
        ) from None


def _existing_workspace(folder: Path) -> Path:
    resolved = folder.expanduser().resolve()
    if not resolved.exists():
        raise SettingsError(f"the workspace {folder} does not exist; make it, or name another")
    if not resolved.is_dir():
        raise SettingsError(f"the workspace {folder} is a file; name the folder that holds it")
    return resolved


def _environment(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, Placed]:
    known = {_PREFIX + name.replace(".", "_").upper(): name for name in NAMES}
    found: dict[str, Placed] = {}
    for variable, value in environ.items():
        if not variable.startswith(_PREFIX) or variable == f"{_PREFIX}HOME":
            continue
        if variable not in known:
            near = nearest(variable, [*known, f"{_PREFIX}HOME"])
            mistakes.append(f"the environment variable {variable} is no setting{near}")
        elif value:
            found[known[variable]] = Placed(value, variable)
    return found


def _command_line(options: Mapping[str, Any]) -> dict[str, Placed]:
    given = {name: value for name, value in options.items() if value not in (None, "", (), [])}
    return {name: Placed(value, "the command line") for name, value in given.items()}


def _checked(layer: Mapping[str, Placed], base: Path, mistakes: list[str]) -> dict[str, Placed]:
    """The layer with every value parsed; relative paths start at `base`."""
    found: dict[str, Placed] = {}
    for name, placed in layer.items():
        try:
            found[name] = replace(placed, value=parsed(name, placed.value, base))
        except ValueError as error:
            mistakes.append(f"{placed.place}: {error}")
    return found


def _narrowing(file: Path, user_file: Path, base: Path, mistakes: list[str]) -> dict[str, Placed]:
    """What the workspace's file asks for; anything that could widen is a mistake."""
    if file.is_symlink():
        mistakes.append(f"{file}: is a link; a workspace's settings are a plain file")
        return {}
    allowed: dict[str, Placed] = {}
    for name, placed in read_settings_file(file).items():
        if name in NAMES and name not in _NARROWING or name.split(".")[0] == "models":
            mistakes.append(
                f"{placed.place}: a workspace cannot set `{safe_text(name, one_line=True)}`;"
                f" give it on the command line or in {user_file}"
            )
        else:
            allowed[name] = placed
    return _checked(allowed, base, mistakes)


def _narrowed(
    user: dict[str, Placed], asked: Mapping[str, Placed]
) -> tuple[dict[str, Placed], list[str]]:
    """The user's values, narrowed where the workspace asks for it, and what was not followed."""
    values, ignored = dict(user), []
    for name, placed in asked.items():
        if name == "tools":
            values["tools_limit"] = placed
            continue
        now = values[name].value if name in values else _DEFAULTS.get(name)
        if now is None or _is_narrower(name, placed.value, now):
            values[name] = placed
        elif placed.value != now:
            ignored.append(
                f"{placed.place}: `{name}: {placed.value}` would widen `{now}`; a workspace can"
                " only narrow, so it was not followed"
            )
    return values, ignored


_DEFAULTS: dict[str, Any] = {"mode": "ask", "memory": "read"}


def _is_narrower(name: str, new: Any, old: Any) -> bool:
    if name in CHOICES:
        order = CHOICES[name]
        return order.index(new) > order.index(old)
    return bool(new < old)


def _settings(
    home: Path, workspace: Path, values: Mapping[str, Placed], ignored: list[str]
) -> Settings:
    plain = {name: p.value for name, p in values.items() if "." not in name}
    budget = {n.split(".")[1]: p.value for n, p in values.items() if n in BUDGET}
    models = {n.split(".", 1)[1]: p.value for n, p in values.items() if n.startswith("models.")}
    return Settings(
        home=home,
        workspace=workspace,
        models=models,
        budget=BudgetSettings(**budget),
        provenance={name: placed.place for name, placed in values.items()},
        ignored=tuple(ignored),
        **plain,
    )
