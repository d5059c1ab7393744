"""The skills that come with Tuneward arrive once, and then belong to the user."""

from pathlib import Path

import pytest

from tests.tools.tuning.cards import card, weights
from tools.tuning import shipped_skills
from tools.tuning.shipped_skills import skills_of
from tools.tuning.skill_archive import export_skill
from tools.tuning.skill_store import SkillStore


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of archives, with one skill."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(shipped_skills, "FOLDER", folder)
    ship(folder, tmp_path / "maker")
    return folder


def ship(folder: Path, maker: Path, description: str = "as shipped") -> None:
    made = card().model_copy(update={"description": description})
    skill = SkillStore(maker).register("mood", made, weights())
    (folder / "mood.skill").unlink(missing_ok=True)
    export_skill(skill, folder / "mood.skill")


def test_they_are_there_in_a_fresh_home(home: Path, shipped: Path) -> None:
    assert skills_of(home).names() == ["mood"]
    assert skills_of(home).versions("mood") == [1]
    skills_of(home).get("mood").check()


def test_what_was_removed_stays_removed(home: Path, shipped: Path, tmp_path: Path) -> None:
    skills_of(home).remove("mood")
    assert skills_of(home).names() == []
    ship(shipped, tmp_path / "maker", "better")
    assert skills_of(home).names() == []


def test_a_newer_archive_is_used_where_the_shipped_one_was(
    home: Path, shipped: Path, tmp_path: Path
) -> None:
    skills_of(home)
    ship(shipped, tmp_path / "maker", "better")
    assert skills_of(home).get("mood").card.description == "better"
    assert skills_of(home).get("mood").version == 2


def test_the_users_own_version_stays_in_use(home: Path, shipped: Path, tmp_path: Path) -> None:
    own = card().model_copy(update={"description": "my own"})
    skills_of(home).register("mood", own, weights())
    ship(shipped, tmp_path / "maker", "better")
    assert skills_of(home).get("mood").card.description == "my own"
    assert skills_of(home).versions("mood") == [1, 2, 3]


def test_an_own_skill_of_that_name_stays_in_use(home: Path, shipped: Path) -> None:
    own = card().model_copy(update={"description": "my own"})
    SkillStore(home).register("mood", own, weights())
    assert skills_of(home).get("mood").card.description == "my own"


def test_a_home_that_cannot_be_written_has_its_own(tmp_path: Path, shipped: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert skills_of(tmp_path / "file").names() == []


def test_a_broken_note_is_made_anew(home: Path, shipped: Path) -> None:
    skills_of(home)
    (home / "skills" / shipped_skills.NOTE).write_bytes(b'{"mood": 3')
    assert skills_of(home).names() == ["mood"]
