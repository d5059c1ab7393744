"""Tests of agent/settings.py: five layers, their order, and what a workspace may not do."""

import os
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings import Settings, load_settings, make_home
from agent.settings_file import write_setting


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def _load(home: Path, workspace: Path, **more: object) -> Settings:
    environ = {"TUNEWARD_HOME": str(home), **more.pop("environ", {})}  # type: ignore[dict-item]  # test
    return load_settings(workspace=workspace, environ=environ, options=more)


def _mistakes(home: Path, workspace: Path, **more: object) -> list[str]:
    with pytest.raises(SettingsError) as error:
        _load(home, workspace, **more)
    return str(error.value).splitlines()


def test_without_any_layer_all_is_default(home: Path, workspace: Path) -> None:
    settings = _load(home, workspace)
    assert (settings.model, settings.mode, settings.memory) == ("default", "ask", "read")
    assert settings.workspace == workspace
    assert settings.provenance == {}


def test_the_command_line_beats_the_environment_beats_the_users_file(
    home: Path, workspace: Path
) -> None:
    (home / "settings.yaml").write_text("model: from-file\nmode: deny\ndevice: cpu\n")
    environ = {"TUNEWARD_MODEL": "from-env", "TUNEWARD_MODE": "auto"}
    settings = _load(home, workspace, environ=environ, model="from-line")
    assert (settings.model, settings.mode, settings.device) == ("from-line", "auto", "cpu")
    assert settings.provenance["model"] == "the command line"
    assert settings.provenance["mode"] == "TUNEWARD_MODE"
    assert settings.provenance["device"] == f"{home / 'settings.yaml'}:3:9"


def test_every_setting_has_a_variable(home: Path, workspace: Path) -> None:
    environ = {
        "TUNEWARD_BUDGET_STEPS": "7",
        "TUNEWARD_BUDGET_TUNING_SECONDS": "90",
        "TUNEWARD_TOOLS": "files, data",
        "TUNEWARD_MEMORY": "off",
        "TUNEWARD_QUANT": "4bit",
    }
    settings = _load(home, workspace, environ=environ)
    assert (settings.budget.steps, settings.budget.tuning_seconds) == (7, 90)
    assert settings.tools == ("files", "data")
    assert (settings.memory, settings.quant) == ("off", "4bit")


def test_plugins_are_files_relative_to_where_they_are_named_or_names_of_packages(
    home: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (home / "settings.yaml").write_text("plugins: [mine.py, letters]\n")
    assert _load(home, workspace).plugins == (str(home / "mine.py"), "letters")
    assert _load(home, workspace, plugins=["x.py"]).plugins == (str(tmp_path / "x.py"),)


def test_own_names_for_models(home: Path, workspace: Path) -> None:
    (home / "settings.yaml").write_text("models:\n  big: openai:Qwen3@http://gpu:8000/v1\n")
    settings = _load(home, workspace, model="big")
    assert settings.target(settings.model) == "openai:Qwen3@http://gpu:8000/v1"
    assert settings.target("default") == "default"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("quants: 4bit", "unknown setting `quants`; did you mean quant?"),
        ("mode: yolo", "`mode` is 'yolo'; it is one of auto, ask, deny, read-only"),
        ("budget: {steps: 0}", "`budget.steps` is 0; it is a whole number from 1"),
        ("budget: {steps: true}", "`budget.steps` is True; it is a whole number from 1"),
        ("budget: {stepz: 3}", "unknown setting `budget.stepz`; did you mean budget.steps?"),
        ("budget: 5", "`budget` is 5; it holds `name: value` lines"),
        ("tools: [1]", "`tools` is [1]; it is a list of words"),
        ("model: ''", "`model` is ''; it is a word"),
        ("home: /tmp", "`home` is set with the environment variable TUNEWARD_HOME"),
        ("model: a\nmodel: b", "the key `model` is there twice"),
        ("a: &x 1\nb: *x", "aliases are not allowed"),
        ("- model", "expected lines of `name: value`"),
        ("model: [a b: c", "a comma or the closing bracket is missing"),
    ],
)
def test_a_mistake_in_the_users_file_is_named_with_its_place(
    home: Path, workspace: Path, line: str, message: str
) -> None:
    file = home / "settings.yaml"
    file.write_text(f"# mine\n{line}\n")
    mistakes = _mistakes(home, workspace)
    assert any(message in mistake for mistake in mistakes)
    assert all(mistake.startswith(f"{file}:") for mistake in mistakes)


def test_all_mistakes_are_told_at_once(home: Path, workspace: Path) -> None:
    (home / "settings.yaml").write_text("mode: yolo\nbudget:\n  steps: many\n")
    (workspace / "tuneward.yaml").write_text("model: default\n")
    mistakes = _mistakes(home, workspace, environ={"TUNEWARD_MODLE": "x", "TUNEWARD_MODE": "no"})
    assert len(mistakes) == 5
    variable = "the environment variable TUNEWARD_MODLE is no setting; did you mean TUNEWARD_MODE"
    assert any(variable in mistake for mistake in mistakes)
    assert mistakes[0].startswith(f"{home / 'settings.yaml'}:1:7: `mode` is 'yolo'")


def test_hostile_text_in_a_settings_file_reaches_no_terminal(home: Path, workspace: Path) -> None:
    (home / "settings.yaml").write_text('mode: "\\e[2J"\n"\\e]0;x\\a": 1\n')
    assert all(
        "\x1b" not in mistake and "\x07" not in mistake for mistake in _mistakes(home, workspace)
    )


@pytest.mark.parametrize(
    ("setting", "value", "kept"),
    [("mode", "read-only", "read-only"), ("mode", "deny", "deny"), ("memory", "off", "off")],
)
def test_a_workspace_may_be_stricter(
    home: Path, workspace: Path, setting: str, value: str, kept: str
) -> None:
    (workspace / "tuneward.yaml").write_text(f"{setting}: {value}\n")
    settings = _load(home, workspace)
    assert getattr(settings, setting) == kept
    assert settings.provenance[setting].startswith(str(workspace / "tuneward.yaml"))


@pytest.mark.parametrize(
    ("users", "asked"),
    [
        ("mode: deny", "mode: auto"),
        ("mode: read-only", "mode: deny"),
        ("memory: off", "memory: write"),
        ("budget: {steps: 5}", "budget: {steps: 6}"),
        ("", "mode: auto"),
        ("", "memory: write"),
    ],
)
def test_a_workspace_cannot_widen_and_is_told_so(
    home: Path, workspace: Path, users: str, asked: str
) -> None:
    (home / "settings.yaml").write_text(users)
    before = _load(home, workspace)
    (workspace / "tuneward.yaml").write_text(asked)
    after = _load(home, workspace)
    assert (after.mode, after.memory, after.budget) == (before.mode, before.memory, before.budget)
    assert len(after.ignored) == 1
    assert "can only narrow" in after.ignored[0]


def test_the_person_at_the_command_line_beats_the_workspace(home: Path, workspace: Path) -> None:
    (workspace / "tuneward.yaml").write_text("mode: read-only\n")
    assert _load(home, workspace, mode="auto").mode == "auto"


def test_a_workspaces_tools_are_a_limit_that_nothing_lifts(home: Path, workspace: Path) -> None:
    (workspace / "tuneward.yaml").write_text("tools: [files]\n")
    settings = _load(home, workspace, tools=["files", "shell"])
    assert (settings.tools, settings.tools_limit) == (("files", "shell"), ("files",))


@pytest.mark.parametrize(
    "line",
    [
        "model: /evil",
        "model: default",
        "models: {default: openai:x@http://evil/v1}",
        "plugins: [evil.py]",
        "device: cuda",
        "quant: 4bit",
    ],
)
def test_a_workspace_can_never_name_a_model_an_endpoint_or_a_plugin(
    home: Path, workspace: Path, line: str
) -> None:
    (workspace / "tuneward.yaml").write_text(line)
    (mistake,) = _mistakes(home, workspace)
    assert mistake.startswith(f"{workspace / 'tuneward.yaml'}:1:")
    assert "a workspace cannot set" in mistake


def test_a_link_as_a_workspaces_file_is_refused(
    home: Path, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.yaml").write_text("mode: deny\n")
    (workspace / "tuneward.yaml").symlink_to(tmp_path / "other.yaml")
    assert "is a link" in _mistakes(home, workspace)[0]


def test_a_pipe_as_a_settings_file_is_refused_and_not_waited_for(
    home: Path, workspace: Path
) -> None:
    os.mkfifo(workspace / "tuneward.yaml")
    assert "is no plain file" in _mistakes(home, workspace)[0]


@pytest.mark.parametrize("below", ["file/home", "/proc/nosuch/home"])
def test_a_home_that_cannot_be_made_is_one_line_with_the_way_out(
    tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="set TUNEWARD_HOME to a folder that can be written"):
        make_home(tmp_path / below)


def test_a_missing_workspace_or_a_file_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "does not exist" in _mistakes(home, tmp_path / "none")[0]
    assert "is a file" in _mistakes(home, tmp_path / "file")[0]


def test_our_own_state_is_no_workspace(home: Path) -> None:
    (home / "runs").mkdir()
    assert "part of Tuneward's own state" in _mistakes(home, home / "runs")[0]


def test_a_setting_is_written_without_touching_the_rest(home: Path, workspace: Path) -> None:
    file = home / "settings.yaml"
    write_setting(file, "model", "first")
    file.write_text("# mine\n" + file.read_text() + "mode: deny  # careful\n")
    write_setting(file, "model", "openai:x@http://h/v1")
    assert file.read_text() == '# mine\nmodel: "openai:x@http://h/v1"\nmode: deny  # careful\n'
    assert _load(home, workspace).model == "openai:x@http://h/v1"


def test_a_broken_settings_file_is_not_overwritten(home: Path) -> None:
    file = home / "settings.yaml"
    file.write_text("model: [\n")
    with pytest.raises(SettingsError):
        write_setting(file, "model", "x")
    assert file.read_text() == "model: [\n"
