"""Tests of agent/doctor.py: what is missing is found, and each finding says how to mend it."""

import json
from pathlib import Path

import pytest

from agent.cli import main
from agent.doctor import findings
from agent.findings import Finding


def _of(area: str, found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.area == area]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_installation_has_nothing_missing(workspace: Path) -> None:
    found = list(findings())
    assert [each for each in found if each.verdict == "missing"] == []
    assert {"python", "system", "sqlite", "packages", "state", "machine", "model", "settings"} <= {
        each.area for each in found
    }


def test_every_setting_is_told_with_where_it_came_from(
    workspace: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWARD_MODE", "deny")
    (home / "settings.yaml").write_text("device: cpu\nbudget:\n  steps: 9\n")
    (workspace / "tuneward.yaml").write_text("memory: off\nbudget: {steps: 10}\n")
    lines = [each.text for each in _of("settings", list(findings()))]
    assert "mode: deny  (from TUNEWARD_MODE)" in lines
    assert f"device: cpu  (from {home / 'settings.yaml'}:1:9)" in lines
    assert f"budget.steps: 9  (from {home / 'settings.yaml'}:3:10)" in lines
    assert f"memory: off  (from {workspace / 'tuneward.yaml'}:1:9)" in lines
    assert "quant: not set  (from default)" in lines
    assert any("can only narrow" in line for line in lines)


def test_mistakes_in_settings_are_findings_and_not_the_end(
    workspace: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "settings.yaml").write_text("mode: yolo\n")
    assert main(["doctor"]) == 3
    printed = capsys.readouterr()
    assert "settings.yaml:1:7: `mode` is 'yolo'" in printed.out
    assert printed.err.splitlines()[-1].startswith("unavailable: 1 thing")


def test_a_folder_that_would_shadow_ours_is_told(workspace: Path) -> None:
    (workspace / "tools").mkdir()
    (note,) = _of("names", list(findings()))
    assert note.verdict == "note"
    assert "tools/" in note.text
    assert "python -P" in note.remedy


def test_a_model_that_is_not_here_comes_with_the_command_that_fetches_it(workspace: Path) -> None:
    (note,) = _of("model", list(findings()))
    assert (note.verdict, note.remedy) == ("note", "tuneward model pull default")


def test_a_missing_or_too_old_package_is_found(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = ["nosuchpackage>=1", "pyyaml>=999", 'othermissing; extra == "quant"']
    monkeypatch.setattr("agent.doctor.requires", lambda _: needs)
    found = _of("packages", list(findings()))
    missing = [each.text for each in found if each.verdict == "missing"]
    assert missing[0] == "nosuchpackage is not installed"
    assert missing[1].endswith("is installed, >=999 is needed")
    (extra,) = [each for each in found if each.verdict == "note"]
    assert "othermissing" in extra.text
    assert "[quant]" in extra.remedy


def test_another_package_with_our_names_is_found(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {"tools": ["tuneward", "other-tools"], "agent": ["tuneward"]}
    monkeypatch.setattr("agent.doctor.packages_distributions", lambda: owners)
    (finding,) = _of("names", list(findings()))
    assert finding.verdict == "missing"
    assert finding.remedy.endswith("-m pip uninstall other-tools")


@pytest.mark.parametrize(
    ("system", "release", "said", "verdict"),
    [
        ("Linux", "5.15.0-microsoft-standard-WSL2", "Windows through WSL", "ok"),
        ("Linux", "6.1.0", "Linux 6.1.0", "ok"),
        ("Darwin", "24.0", "macOS", "ok"),
        ("Windows", "11", "Windows is not supported", "missing"),
    ],
)
def test_it_says_which_systems_are_supported(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    release: str,
    said: str,
    verdict: str,
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.release", lambda: release)
    (finding,) = _of("system", list(findings()))
    assert said in finding.text
    assert finding.verdict == verdict


def test_json_is_a_list_of_findings(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found[0]) == {"area", "verdict", "text", "remedy"}
