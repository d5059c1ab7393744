"""`tuneward tune` and `jobs`: words in, lines and exit codes out.

The jobs are real processes whose work is the stand-in of tests/tools/tuning; what real tuning gives
is tested where it is.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]  # has no stubs
import pytest

from agent.commands.tune import _settings_of
from agent.interrupt import SIGNALS
from agent.job_door import seconds_of
from agent.job_view import JobView, line_of, lines_of
from tests.agent.tuning_cli import COMMAND, Done
from tests.tools.tuning.cards import card, weights
from tools.tuning.errors import JobError
from tools.tuning.job_folder import Job
from tools.tuning.job_store import JobStore
from tools.tuning.skill_store import SkillStore

PATIENCE = 60.0


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def newest(home: Path) -> Job:
    return JobStore(home).get("last")


def started(tmp_path: Path, *words: str, **how: Any) -> "subprocess.Popen[str]":
    """The command in a process of its own, at work."""
    (tmp_path / "reviews.csv").write_text("text,label\nfine,good\npoor,bad\n")
    return subprocess.Popen(
        [*COMMAND, *(words or ("tune", "classification", "--train", "reviews.csv"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "WALK": json.dumps(how)},
    )


# tune


def test_a_job_is_followed_to_its_end(tuneward: Callable[..., Done], home: Path) -> None:
    done = tuneward("tune", "classification", "--train", "reviews.csv", "--seed", "3")
    job = newest(home)
    assert done.code == 0, done.err
    assert f"job {job.id}: skill `reviews` from reviews.csv" in done.err
    assert "tune, step 1/20" in done.err
    assert done.last == f"done: `tuneward jobs show {job.id}` says what came of it"
    spec = job.spec()
    assert (spec.skill, spec.seed, spec.method, spec.budget_seconds) == (
        "reviews",
        3,
        "auto",
        1_200,
    )


def test_json_gives_the_job_and_nothing_else_on_stdout(
    tuneward: Callable[..., Done], home: Path
) -> None:
    done = tuneward("tune", "classification", "--train", "reviews.csv", "--json")
    facts = json.loads(done.out)
    assert (facts["job"], facts["status"], facts["exit_code"]) == (newest(home).id, "done", 0)
    assert facts["spec"]["train"]["path"].endswith("/reviews.csv")
    assert "place" in facts["result"]


def test_a_detached_job_goes_on_by_itself(tuneward: Callable[..., Done], home: Path) -> None:
    done = tuneward("tune", "ner", "--train", "reviews.csv", "--detach", "--skill", "names")
    job = newest(home)
    assert (done.code, done.out, done.err) == (0, f"{job.id}\n", "")
    until(lambda: job.state().status == "done")
    until(lambda: not job.is_held())
    assert (job.spec().kind, job.spec().skill) == ("ner", "names")


def test_every_option_reaches_the_spec(
    tuneward: Callable[..., Done], home: Path, tmp_path: Path
) -> None:
    SkillStore(home).register("older", card(), weights())
    for name in ("dev.csv", "test.csv"):
        (tmp_path / name).write_text("text,label\nfine,good\n")
    words = "--dev dev.csv --test test.csv --method linear_head --base minilm-l6 --budget 90s"
    words += " --from older --text-column a --label-column b --pair-column c --set c=10"
    words += " --set max_tokens=64 --licence CC0"
    done = tuneward("tune", "classification", "--train", "reviews.csv", "--detach", *words.split())
    assert done.code == 0, done.err
    spec = newest(home).spec()
    assert list(spec.files) == ["train", "dev", "test"]
    assert (spec.method, spec.base, spec.budget_seconds) == ("linear_head", "minilm-l6", 90)
    assert (spec.from_skill, spec.text_column, spec.label_column, spec.pair_column) == (
        "older",
        "a",
        "b",
        "c",
    )
    assert (spec.settings, spec.licence) == ({"c": 10, "max_tokens": 64}, "CC0")
    until(lambda: newest(home).state().status in ("done", "failed"))
    until(lambda: not newest(home).is_held())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["chess", "--train", "reviews.csv"], 2, "'chess' is not one of"),
        (["ner"], 2, "--train"),
        (["ner", "--train", "no.csv"], 2, "no.csv: the data file is not there"),
        (["ner", "--train", "."], 2, ".: the data file is a folder"),
        (["ner", "--train", "reviews.csv", "--dev", "no.csv"], 2, "no.csv: the data file"),
        (["ner", "--train", "reviews.csv", "--skill", "My Skill"], 2, "--skill: 'My Skill' is no"),
        (["ner", "--train", "reviews.csv", "--method", "linear"], 2, "did you mean linear_head?"),
        (["ner", "--train", "reviews.csv", "--set", "lr=1"], 2, "name it with --method"),
        (
            ["ner", "--train", "reviews.csv", "--method", "encoder_lora", "--set", "rank=4"],
            2,
            "encoder_lora knows no setting 'rank'; it has lr, head_lr, shape_lr, batch, epochs, ",
        ),
        (
            ["ner", "--train", "reviews.csv", "--method", "encoder_lora", "--set", "lr=fast"],
            2,
            "encoder_lora: lr is a number from 0 on, not 'fast'",
        ),
        (
            ["ner", "--train", "reviews.csv", "--method", "soft_prompt", "--set", "placement=x"],
            2,
            "soft_prompt: placement is one of front, suffix, not 'x'",
        ),
        (
            ["ner", "--train", "reviews.csv", "--method", "encoder", "--set", "lr"],
            2,
            "write --set NAME=VALUE",
        ),
        (["ner", "--train", "reviews.csv", "--licence", " "], 2, "--licence: write 1 to 500"),
        (["ner", "--train", "reviews.csv", "--budget", "soon"], 2, "'soon' is no time"),
        (["ner", "--train", "reviews.csv", "--budget", "0"], 2, "'0' is no time"),
        (["ner", "--train", "reviews.csv", "--from", "no"], 3, "there is no skill `no`"),
        (["ner", "--train", "reviews.csv", "--track", "wandb"], 3, "needs the extra `track`"),
        (["ner", "--train", "reviews.csv", "--track", "x"], 2, "'x' is not one of"),
    ],
)
def test_wrong_words_start_no_job(
    tuneward: Callable[..., Done],
    home: Path,
    words: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tools.tuning.tracking.find_spec", lambda _: None)
    done = tuneward("tune", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.last
    assert len(done.err.splitlines()) == 1
    assert JobStore(home).ids() == []


@pytest.mark.parametrize(
    ("method", "given", "found"),
    [
        ("soft_prompt", "placement=front", "front"),
        ("lora", "quant=4bit", "4bit"),
        ("lora", "quant=null", None),
        ("lora", "head=false", False),
        ("encoder", "lr=2e-5", 2e-5),
        ("few_shot", "encoder=./my encoder", "./my encoder"),
    ],
)
def test_a_setting_is_what_json_has_or_a_word(method: str, given: str, found: object) -> None:
    assert _settings_of(method, [given]) == {given.partition("=")[0]: found}


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [("90", 90), ("90s", 90), ("20m", 1_200), ("1.5h", 5_400), (" 2 H ", 7_200)],
)
def test_a_time_is_written_in_seconds_minutes_or_hours(budget: str, seconds: float) -> None:
    assert seconds_of(budget) == seconds


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("data", 2, "train.csv:7: one class only"),
        ("not_better", 1, "failed: nothing beat `nearest`"),
        ("oom", 3, "oom: "),
        ("bug", 5, "internal_error: "),
    ],
)
def test_how_a_job_failed_is_the_commands_last_line_and_exit_code(
    tuneward: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    error: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("WALK", json.dumps({"fail_at": 3, "error": error}))
    done = tuneward("tune", "classification", "--train", "reviews.csv")
    assert done.code == code
    assert done.last.startswith(said)
    assert "Traceback" not in done.err


# signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_job_in_order_with_130_and_it_can_be_resumed(
    tmp_path: Path, home: Path, number: int
) -> None:
    process = started(tmp_path, hang_at=6, polite=True)
    until(lambda: JobStore(home).ids() and (newest(home).folder / "hung").exists())
    job = newest(home)
    began = time.monotonic()
    process.send_signal(number)
    err = process.communicate(timeout=PATIENCE)[1]
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("interrupted: ")
    assert "jobs resume" in err.splitlines()[-1]
    assert not job.is_held()  # nobody is left behind
    assert job.state().status == "interrupted"
    again = started(tmp_path, "jobs", "resume", "last")
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert job.state().status == "done"


def test_a_job_that_does_not_stop_is_killed_by_a_second_ctrl_c(tmp_path: Path, home: Path) -> None:
    process = started(tmp_path, hang_at=6)
    until(lambda: JobStore(home).ids() and (newest(home).folder / "hung").exists())
    job = newest(home)
    process.send_signal(signal.SIGINT)
    until(job.stop_wanted)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130
    assert "jobs resume" in err.splitlines()[-1]
    assert not job.is_held()


def test_ctrl_c_at_a_terminal_reaches_the_job_through_the_command_alone(
    tmp_path: Path, home: Path
) -> None:
    (tmp_path / "reviews.csv").write_text("text,label\nfine,good\npoor,bad\n")
    terminal = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "tune", "classification", "--train", "reviews.csv"],
        cwd=str(tmp_path),
        env={**os.environ, "WALK": json.dumps({"hang_at": 6, "polite": True}), "TERM": "xterm"},
        timeout=PATIENCE,
        dimensions=(24, 100),
        encoding="utf-8",
    )
    terminal.expect("6/20")  # the live bar
    terminal.sendintr()
    terminal.expect("interrupted: ")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert newest(home).state().status == "interrupted"


# jobs


def test_jobs_are_listed_shown_and_logged(tuneward: Callable[..., Done], home: Path) -> None:
    assert "no jobs yet" in tuneward("jobs", "list").last
    tuneward("tune", "classification", "--train", "reviews.csv")
    job = newest(home)
    listed = tuneward("jobs", "list")
    assert listed.out.splitlines()[0].split() == [
        "JOB",
        "STATUS",
        "SKILL",
        "TASK",
        "METHOD",
        "SECONDS",
    ]
    assert listed.out.splitlines()[1].split()[:3] == [job.id, "done", "reviews"]
    (facts,) = json.loads(tuneward("jobs", "list", "--json").out)
    assert (facts["job"], facts["status"]) == (job.id, "done")
    shown = tuneward("jobs", "show", job.id[:-1]).out
    assert "classification" in shown
    assert "reviews.csv" in shown
    assert "tune, step 20/20" in shown
    assert json.loads(tuneward("jobs", "show", "last", "--json").out)["last"]["step"] == 20
    log = tuneward("jobs", "log", "last").out.splitlines()
    assert len(log) == 21  # a line a step, and what the process said
    assert "tune, step 1/20, loss" in log[0]
    assert len(tuneward("jobs", "log", "last", "--json").out.splitlines()) == 20


def test_a_job_of_another_terminal_is_cancelled_and_resumed(
    tuneward: Callable[..., Done], tmp_path: Path, home: Path
) -> None:
    process = started(tmp_path, hang_at=6, polite=True)
    until(lambda: JobStore(home).ids() and (newest(home).folder / "hung").exists())
    done = tuneward("jobs", "cancel", "last")
    assert (done.code, done.out) == (0, "")
    assert done.last.startswith("cancelled: ")
    err = process.communicate(timeout=PATIENCE)[1]
    assert (process.returncode, err.splitlines()[-1]) == (130, done.last)
    assert tuneward("jobs", "cancel", "last").last.startswith("usage: job ")
    resumed = tuneward("jobs", "resume", "last", "--budget", "1h")
    assert resumed.code == 0
    assert "step 1/20," not in resumed.err  # only what is new is shown
    assert newest(home).state().budget_seconds == 3_600


@pytest.mark.parametrize("command", ["show", "log", "cancel", "resume"])
def test_a_job_that_is_not_there_is_a_usage_error(
    tuneward: Callable[..., Done], command: str
) -> None:
    done = tuneward("jobs", command, "20260101-000000-0000")
    assert (done.code, done.out) == (2, "")
    assert done.last.startswith("usage: there is no job")


def test_one_broken_job_does_not_hide_the_others(tuneward: Callable[..., Done], home: Path) -> None:
    for _ in range(2):
        tuneward("tune", "classification", "--train", "reviews.csv", "--detach")
        until(lambda: newest(home).state().status == "done")
        until(lambda: not newest(home).is_held())
    broken = newest(home)
    (broken.folder / "state.json").write_text("{")
    done = tuneward("jobs", "list")
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert f"the state of job {broken.id} is broken" in done.err
    with pytest.raises(JobError):
        broken.state()


# what is shown


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            {"type": "progress", "method": "lora", "stage": "tune", "step": 3, "steps": 9},
            "lora tune, step 3/9",
        ),
        (
            {"type": "progress", "stage": "infer", "step": 0, "loss": 0.123456, "score": 1},
            "infer, loss 0.1235, score 1",
        ),
        (
            {"type": "scored", "label": "linear_head C=1", "block": 1, "blocks": 5, "score": 0.5},
            "linear_head C=1 scored, block 2/5, score 0.5",
        ),
        ({"type": "skipped", "label": "full", "why": "too dear"}, "full skipped, too dear"),
        ({"type": "out_of_memory", "note": "halved"}, "out of memory, halved"),
        ({"type": "registered", "skill": "x", "version": 2}, "registered, skill x, version 2"),
        ({"type": "note", "note": "\x1b[2Jevil\nline"}, "note, \\x1b[2Jevil\\nline"),
        ({}, ""),
    ],
)
def test_an_event_is_a_line_that_cannot_move_the_cursor(event: dict[str, Any], line: str) -> None:
    assert line_of(event) == line


def test_a_report_of_several_lines_is_shown_in_all_of_them() -> None:
    assert lines_of({"type": "data", "lines": ["a", "b\x07"]}) == ["data", "  a", "  b\\x07"]


def test_without_a_terminal_a_fit_is_told_of_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds = iter(range(1_000))
    with JobView(clock=lambda: next(seconds)) as view:
        for step in range(1, 41):
            view({"type": "progress", "stage": "tune", "step": step, "steps": 40})
        view({"type": "progress", "stage": "tune", "step": 40, "steps": 40, "note": "done"})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "tune, step 1/40"
    assert 4 < len(lines) < 12
    assert lines[-1] == "tune, step 40/40, done"


def test_help_of_the_commands_imports_nothing_heavy() -> None:
    code = (
        "import sys; from agent.cli import main; main([sys.argv[1], '--help']);"
        "heavy = {'torch', 'transformers', 'langchain_core', 'polars', 'numpy'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    for command in ("tune", "jobs", "skills"):
        done = subprocess.run(
            [sys.executable, "-c", code, command], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
