"""Versions of skills: kept whole, never changed, switched at once; what is broken is said."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memory import durable
from tests.long_list import sample
from tests.tools.tuning.cards import card, weights
from tools.tuning.errors import SkillError
from tools.tuning.skill_card import SkillCard
from tools.tuning.skill_files import MANIFEST, names_in
from tools.tuning.skill_store import DRAFT, Skill, SkillStore


@pytest.fixture
def store(home: Path) -> SkillStore:
    return SkillStore(home)


def register(store: SkillStore, value: float = 1.0, **values: Any) -> Skill:
    return store.register("sentiment", card(**values), weights(value))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_registered_skill_is_found_with_its_card(store: SkillStore) -> None:
    made = register(store)
    found = store.get("sentiment")
    assert found == made
    assert store.names() == ["sentiment"]
    assert (found.version, found.card.name, found.card.version) == (1, "sentiment", 1)
    assert found.card.size_bytes == sum(
        len(data) for name, data in files_of(found.folder).items() if not name.endswith("t.json")
    ) - len((found.folder / "card.json").read_bytes())
    assert found.card.created.endswith("+00:00")
    found.check()
    assert names_in(found.folder) == [
        "card.json",
        "inner/labels.txt",
        "method.json",
        "model.safetensors",
    ]


def test_a_card_survives_being_written_and_read(store: SkillStore) -> None:
    made = card(version=3)
    assert SkillCard.from_json(made.to_json(), where="card.json") == made
    scores = made.scores("test")
    assert scores is not None
    assert (scores.named("accuracy"), scores.named("macro_f1"), scores.named("x")) == (
        0.91,
        0.9,
        None,
    )
    assert made.scores("train") is None


def test_a_new_version_takes_over_and_the_old_one_stays_as_it_was(store: SkillStore) -> None:
    first = register(store, 1.0)
    before = files_of(first.folder)
    second = register(store, 2.0)
    assert (second.version, store.get("sentiment").version) == (2, 2)
    assert files_of(first.folder) == before
    assert store.versions("sentiment") == [1, 2]
    assert store.get("sentiment", 1).card.version == 1


def test_a_version_can_be_kept_without_being_used(store: SkillStore) -> None:
    register(store)
    store.register("sentiment", card(), weights(2.0), promote=False)
    assert (store.get("sentiment").version, store.versions("sentiment")) == (1, [1, 2])
    assert store.promote("sentiment", 2).version == store.get("sentiment").version == 2


def test_a_version_whose_maker_died_is_taken_up_unless_a_later_one_is_used(
    store: SkillStore,
) -> None:
    for value in (1.0, 2.0):
        store.register("sentiment", card(), weights(value), promote=False)
    (store.folder / "sentiment" / "current.json").unlink()  # the first maker died before it
    assert store.take_up("sentiment", 1).version == store.get("sentiment").version == 1
    assert store.take_up("sentiment", 2).version == store.get("sentiment").version == 2
    store.take_up("sentiment", 1)
    assert store.get("sentiment").version == 2
    with pytest.raises(SkillError, match="no version 3"):
        store.take_up("sentiment", 3)


def test_rollback_goes_back_step_by_step_and_then_says_that_there_is_no_more(
    store: SkillStore,
) -> None:
    for value in (1.0, 2.0, 3.0):
        register(store, value)
    assert [store.rollback("sentiment").version for _ in range(2)] == [2, 1]
    with pytest.raises(SkillError, match="no version before 1; `tuneward skills remove"):
        store.rollback("sentiment")
    assert store.get("sentiment").version == 1
    assert register(store).version == 4  # a number is never given twice
    assert store.rollback("sentiment").version == 1


def test_rollback_refuses_a_version_that_is_broken(store: SkillStore) -> None:
    first = register(store)
    register(store)
    (first.folder / "model.safetensors").unlink()
    with pytest.raises(SkillError, match=r"model\.safetensors is missing"):
        store.rollback("sentiment")
    assert store.get("sentiment").version == 2


def test_remove_leaves_nothing(store: SkillStore) -> None:
    register(store)
    store.remove("sentiment")
    assert store.names() == []
    assert files_of(store.folder) == {".lock": b""}
    with pytest.raises(SkillError, match="there is no skill `sentiment`; there are none yet"):
        store.remove("sentiment")
    assert register(store).version == 1


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "../x", "a/b", ".hidden", "-x", "a" * 65, "über", "a\n", "con.", "x\0"],
)
def test_a_name_that_is_no_folders_name_everywhere_is_refused(store: SkillStore, name: str) -> None:
    for attempt in (
        lambda: store.register(name, card(), weights()),
        lambda: store.get(name),
        lambda: store.remove(name),
        lambda: store.versions(name),
    ):
        with pytest.raises(SkillError, match="is no skill's name"):
            attempt()
    assert store.names() == []


def test_an_unknown_skill_or_version_names_those_that_there_are(store: SkillStore) -> None:
    register(store)
    with pytest.raises(SkillError, match="there is no skill `other`; there are sentiment"):
        store.get("other")
    with pytest.raises(SkillError, match="no version 7; it has 1"):
        store.get("sentiment", 7)


def test_what_fails_while_it_is_written_leaves_nothing(store: SkillStore) -> None:
    def fail(folder: Path) -> None:
        weights()(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.register("sentiment", card(), fail)
    assert store.names() == []
    assert files_of(store.folder) == {}


# broken


def spots() -> list[tuple[str, int]]:
    """Files of a version, and where in each a bit is turned, in hundredths of its length."""
    names = ("card.json", "inner/labels.txt", "method.json", "model.safetensors", MANIFEST)
    return [(name, place) for name in names for place in range(0, 100, 2)]


@pytest.mark.stress("skill-bits")
@pytest.mark.parametrize(("name", "place"), sample(spots(), 40))
def test_a_changed_bit_is_noticed_wherever_it_is(store: SkillStore, name: str, place: int) -> None:
    skill = register(store)
    path = skill.folder / name
    data = bytearray(path.read_bytes())
    data[place * len(data) // 100] ^= 0x10
    path.write_bytes(data)
    said = broken(store)
    if said is None:
        # Only in the space between two words of the manifest.
        assert name == MANIFEST
        assert store.get("sentiment") == skill
    else:
        assert "\n" not in said
        assert "sentiment" in said


def broken(store: SkillStore) -> str | None:
    """What is said of the skill; None where it can be used."""
    try:
        store.get("sentiment").check()
    except SkillError as error:
        return str(error)
    return None


@pytest.mark.parametrize("size", [0, 1, 100])
@pytest.mark.parametrize("name", ["card.json", "model.safetensors", MANIFEST])
def test_a_shortened_file_is_noticed(store: SkillStore, name: str, size: int) -> None:
    skill = register(store)
    path = skill.folder / name
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SkillError, match="skill `sentiment` cannot be used"):
        store.get("sentiment").check()


def test_a_file_that_was_added_is_noticed(store: SkillStore) -> None:
    skill = register(store)
    (skill.folder / "more.txt").write_text("x")
    with pytest.raises(SkillError, match=r"more\.txt was added"):
        skill.check()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "x", "earlier": []}', "null", "\0"])
def test_a_broken_pointer_names_the_command_that_mends_it(store: SkillStore, text: str) -> None:
    register(store)
    register(store)
    (store.folder / "sentiment" / "current.json").write_text(text)
    with pytest.raises(SkillError, match="rollback sentiment --to 2"):
        store.get("sentiment")
    assert store.promote("sentiment", 1).version == store.get("sentiment").version == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"test": {"rows": 1, "metric": "accuracy", "value": "NaN"}}, "value"),
        ({"task": {"kind": "chess", "labels": []}}, "kind"),
        ({"description": "x" * 3_000}, "description"),
    ],
)
def test_a_card_that_is_none_is_refused_with_the_place(change: dict[str, Any], said: str) -> None:
    stored = {**json.loads(card().to_json()), **change}
    with pytest.raises(SkillError, match=rf"card\.json is no skill's card: .*{said}") as refused:
        SkillCard.from_json(json.dumps(stored), where="card.json")
    assert "\n" not in str(refused.value)


# killed, and many at once


def test_a_process_killed_at_any_point_leaves_a_whole_version_in_use(tmp_path: Path) -> None:
    script = Path(__file__).parent / "store_crash.py"
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    points = int(done.stdout)
    assert points > 40
    seen = set()
    for home in sorted(tmp_path.iterdir()):
        store = SkillStore(home)
        skill = store.get("sentiment")
        skill.check()
        seen.add(skill.version)
        number = register(store, 3.0).version
        assert number == max(store.versions("sentiment")) > skill.version
    assert seen == {1, 2}


def test_what_a_dead_process_left_is_swept_and_what_a_live_one_makes_is_not(
    store: SkillStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store)
    dead = store.folder / f"{DRAFT}dead"
    dead.mkdir()
    (dead / "x").write_text("x")
    monkeypatch.setattr(durable, "LEFTOVER_SECONDS", -1)
    with store.drafting() as live:
        (live / "y").write_text("y")
        assert not dead.exists()
        register(store)
        assert (live / "y").exists()


def test_several_processes_register_at_once_and_none_is_lost(store: SkillStore) -> None:
    count, each = 4, 5
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for i in range(each):
                    register(store, number * each + i)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count
    versions = store.versions("sentiment")
    assert versions == list(range(1, count * each + 1))
    values = {
        (store.get("sentiment", v).folder / "model.safetensors").read_bytes() for v in versions
    }
    assert len(values) == count * each
    assert store.get("sentiment").version == versions[-1]
