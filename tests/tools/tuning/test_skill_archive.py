"""Skills travel as archives: what comes back is what was sent, and everything else is refused.

Every hostile archive must be refused in one line, with nothing registered, nothing left in the
store and nothing written outside it.
"""

import io
import json
import os
import pickle
import resource
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.long_list import sample
from tests.tools.tuning.cards import card, weights
from tests.tools.tuning.test_skill_files import BAD_TENSORS, JSON_WITH_CODE, Canary
from tools.tuning import skill_archive
from tools.tuning.errors import SkillError
from tools.tuning.examples import TextExample, TextInput
from tools.tuning.kept_examples import FILE, write_examples
from tools.tuning.skill_archive import export_skill, import_skill
from tools.tuning.skill_files import names_in, write_manifest
from tools.tuning.skill_store import Skill, SkillStore

EXAMPLES = [TextExample(TextInput(f"text {i}"), ("good",), i) for i in range(5)]


@pytest.fixture
def store(home: Path) -> SkillStore:
    return SkillStore(home)


@pytest.fixture
def other(tmp_path: Path) -> SkillStore:
    """The store of another machine."""
    return SkillStore(tmp_path / "other")


@pytest.fixture
def skill(store: SkillStore) -> Skill:
    def write(folder: Path) -> None:
        weights()(folder)
        write_examples(folder, EXAMPLES)

    return store.register("sentiment", card(), write)


@pytest.fixture
def archive(skill: Skill, tmp_path: Path) -> Path:
    return export_skill(skill, tmp_path / "sentiment.skill")


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names_in(folder)}


def everything(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def is_refused(path: Path, store: SkillStore, root: Path) -> str:
    """What is said; and nothing has changed anywhere."""
    store.folder.mkdir(parents=True, exist_ok=True)
    before = [each for each in everything(root) if not each.endswith(".lock")]
    began, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SkillError) as refused:
        import_skill(path, store)
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 256_000
    assert [each for each in everything(root) if not each.endswith(".lock")] == before
    assert store.names() == []
    said = str(refused.value)
    assert "\n" not in said
    assert str(path) in said
    assert ".new-" not in said
    return said


# there and back


def test_a_skill_arrives_as_it_was_sent(skill: Skill, archive: Path, other: SkillStore) -> None:
    arrived = import_skill(archive, other)
    assert (arrived.name, arrived.version) == ("sentiment", 1)
    assert arrived.card == skill.card
    sent = content(skill.folder)
    assert sent.pop(FILE)
    assert content(arrived.folder) == sent
    other.get("sentiment").check()


def test_an_import_is_the_next_version_and_can_have_another_name(
    skill: Skill, archive: Path, store: SkillStore
) -> None:
    again = import_skill(archive, store)
    assert (again.version, store.get("sentiment").version) == (2, 2)
    named = import_skill(archive, store, name="reviews")
    assert (named.name, named.version, named.card.name) == ("reviews", 1, "reviews")
    with pytest.raises(SkillError, match="is no skill's name"):
        import_skill(archive, store, name="../x")
    assert store.names() == ["reviews", "sentiment"]


def test_training_examples_go_along_only_when_asked_for(
    skill: Skill, tmp_path: Path, other: SkillStore
) -> None:
    path = export_skill(skill, tmp_path / "with.skill", with_examples=True)
    assert content(import_skill(path, other).folder) == content(skill.folder)


def test_the_same_skill_gives_the_same_bytes(skill: Skill, archive: Path, tmp_path: Path) -> None:
    assert export_skill(skill, tmp_path / "b.skill").read_bytes() == archive.read_bytes()


def test_an_export_never_overwrites_and_never_sends_what_is_broken(
    skill: Skill, archive: Path, tmp_path: Path
) -> None:
    with pytest.raises(SkillError, match="is there already"):
        export_skill(skill, archive)
    (skill.folder / "method.json").write_text("{}")
    with pytest.raises(SkillError, match="is not as it was registered"):
        export_skill(skill, tmp_path / "b.skill")
    assert not (tmp_path / "b.skill").exists()


@pytest.mark.parametrize(
    ("format", "files"),
    [
        ("hf", ["config.json", "model.safetensors", "tokenizer.json"]),
        ("peft", ["adapter_config.json", "adapter_model.safetensors"]),
    ],
)
@pytest.mark.parametrize("inner", ["", "weights/"])
def test_other_libraries_get_their_own_files_only(
    store: SkillStore, tmp_path: Path, format: Any, files: list[str], inner: str
) -> None:
    def write(folder: Path) -> None:
        (folder / "method.json").write_text("{}")
        write_examples(folder, EXAMPLES)
        (folder / inner).mkdir(exist_ok=True)
        for name in files:
            (folder / inner / name).write_text("{}")
            if name.endswith(".safetensors"):
                save_file({"w": np.zeros(2, np.float32)}, folder / inner / name)

    made = store.register("sentiment", card(), write)
    out = export_skill(made, tmp_path / "out", format=format)
    assert sorted(path.name for path in out.iterdir()) == files


@pytest.mark.parametrize("format", ["hf", "peft"])
def test_a_method_without_such_weights_says_which_format_there_is(
    skill: Skill, tmp_path: Path, format: Any
) -> None:
    with pytest.raises(SkillError, match="take --format tuneward"):
        export_skill(skill, tmp_path / "out", format=format)
    assert not (tmp_path / "out").exists()


# hostile names and kinds


def packed(path: Path, entries: list[tuple[zipfile.ZipInfo | str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries:
            made.writestr(name, data)
    return path


def like(archive: Path) -> list[tuple[zipfile.ZipInfo | str, bytes]]:
    """The entries of a good archive."""
    with zipfile.ZipFile(archive) as good:
        return [(name, good.read(name)) for name in good.namelist()]


NAMES = [
    "../evil.json",
    "../../evil.json",
    "inner/../../evil.json",
    "/tmp/evil.json",
    "//evil.json",
    "./evil.json",
    "inner//evil.json",
    "inner/./evil.json",
    "..\\evil.json",
    "C:\\evil.json",
    "C:evil.json",
    "~/evil.json",
    ".hidden.json",
    "inner/.ssh/evil.json",
    "evil.json.",
    "evil .json",
    "evil\n.json",
    "evil\x1b[2J.json",
    "evil\x00.json",
    "e\u202evil.json",
    "évil.json",
    "con/evil.json",
    "a/b/c/d/e/evil.json",
    "x" * 300 + ".json",
    "evil.pkl",
    "evil.py",
    "evil.safetensors.bin",
    "evil",
    "__init__.py",
    "evil.PKL",
    "evil.json/",
]


@pytest.mark.stress("skill-archives")
@pytest.mark.parametrize("name", sample(NAMES, 12))
def test_a_name_that_is_not_plain_is_refused(
    archive: Path, other: SkillStore, tmp_path: Path, name: str
) -> None:
    bad = packed(tmp_path / "bad.skill", [*like(archive), (zipfile.ZipInfo(name), b"{}")])
    if "\x00" in name:  # the library cuts such a name itself, so it is put in afterwards
        bad.write_bytes(bad.read_bytes().replace(b"evil.json", b"evi\x00.json"))
    is_refused(bad, other, tmp_path)


def test_the_names_of_a_good_archive_pass(archive: Path, other: SkillStore, tmp_path: Path) -> None:
    import_skill(packed(tmp_path / "again.skill", like(archive)), other)


def kind(mode: int, name: str = "link.json") -> zipfile.ZipInfo:
    facts = zipfile.ZipInfo(name)
    facts.external_attr = mode << 16
    return facts


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK]
)
def test_an_entry_that_is_no_regular_file_is_refused(
    archive: Path, other: SkillStore, tmp_path: Path, mode: int
) -> None:
    bad = packed(tmp_path / "bad.skill", [*like(archive), (kind(mode | 0o777), b"/etc/passwd")])
    assert "only regular files are taken" in is_refused(bad, other, tmp_path)


def test_writing_through_a_link_is_not_possible(
    archive: Path, other: SkillStore, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    entries: list[tuple[zipfile.ZipInfo | str, bytes]] = [
        (kind(stat.S_IFLNK | 0o777, "inner2.json"), str(outside).encode()),
        ("inner2.json/evil.json", b"{}"),
    ]
    is_refused(packed(tmp_path / "bad.skill", [*like(archive), *entries]), other, tmp_path)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("twin", ["card.json", "CARD.JSON", "card.json/x.json"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_for_one_place_are_refused(
    archive: Path, other: SkillStore, tmp_path: Path, twin: str
) -> None:
    is_refused(packed(tmp_path / "bad.skill", [*like(archive), (twin, b"{}")]), other, tmp_path)


def test_an_encrypted_entry_is_refused(archive: Path, other: SkillStore, tmp_path: Path) -> None:
    data = bytearray(archive.read_bytes())
    for start in places(bytes(data), b"PK\1\2"):
        data[start + 8] |= 1
    path = tmp_path / "bad.skill"
    path.write_bytes(data)
    assert "encrypted" in is_refused(path, other, tmp_path)


def places(data: bytes, mark: bytes) -> list[int]:
    return [i for i in range(len(data)) if data.startswith(mark, i)]


# too much


def test_a_bomb_is_refused_before_it_grows(
    archive: Path, other: SkillStore, tmp_path: Path
) -> None:
    bad = packed(tmp_path / "bad.skill", [*like(archive), ("zeros.txt", b"\0" * 60_000_000)])
    assert bad.stat().st_size < 1_000_000
    assert "it is a trap" in is_refused(bad, other, tmp_path)


def test_an_entry_that_claims_less_than_it_holds_is_refused(
    archive: Path, other: SkillStore, tmp_path: Path
) -> None:
    bad = packed(tmp_path / "bad.skill", [*like(archive), ("zeros.txt", b"\0" * 3_000_000)])
    data = bytearray(bad.read_bytes())
    for start in places(bytes(data), b"PK\1\2"):
        if data[start + 46 : start + 55] == b"zeros.txt":
            data[start + 24 : start + 28] = struct.pack("<L", 10)
    bad.write_bytes(data)
    is_refused(bad, other, tmp_path)


def test_entries_that_share_their_bytes_are_refused(
    archive: Path, other: SkillStore, tmp_path: Path
) -> None:
    block = os.urandom(200_000)
    bad = packed(tmp_path / "bad.skill", [(f"{i:02}.txt", block) for i in range(3)])
    data = bytearray(bad.read_bytes())
    first = places(bytes(data), b"PK\1\2")
    for start in first[1:]:  # all of them point to the first one's bytes
        data[start + 42 : start + 46] = data[first[0] + 42 : first[0] + 46]
    bad.write_bytes(data)
    is_refused(bad, other, tmp_path)
    cut = data[:200_000] + data[first[0] :]
    (tmp_path / "short.skill").write_bytes(cut)
    is_refused(tmp_path / "short.skill", other, tmp_path)


@pytest.mark.parametrize("count", [201, 3_000])
def test_too_many_entries_are_refused_before_they_are_listed(
    other: SkillStore, tmp_path: Path, count: int
) -> None:
    entries: list[tuple[zipfile.ZipInfo | str, bytes]] = [(f"{i}.txt", b"") for i in range(count)]
    bad = packed(tmp_path / "bad.skill", entries)
    assert f"it lists {count:,} files" in is_refused(bad, other, tmp_path)


def test_more_bytes_than_allowed_are_refused(
    archive: Path, other: SkillStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skill_archive, "MOST_BYTES", 500)
    assert "it holds more than 500 bytes" in is_refused(archive, other, tmp_path)


# no archive


def no_archive(tmp_path: Path) -> dict[str, Callable[[Path], object]]:
    def tar(path: Path) -> None:
        with tarfile.open(path, "w") as made:
            made.addfile(tarfile.TarInfo("card.json"), io.BytesIO())

    return {
        "missing": lambda path: None,
        "a folder": lambda path: path.mkdir(),
        "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("hello"),
        "tar": tar,
        "pickle": lambda path: path.write_bytes(pickle.dumps(Canary(tmp_path / "canary"))),
        "a fifo": lambda path: os.mkfifo(path),
        "an empty zip": lambda path: packed(path, []),
        "only an end": lambda path: path.write_bytes(b"PK\5\6" + b"\0" * 18),
        "a cut end": lambda path: path.write_bytes(b"PK\5\6" + b"\0" * 5),
        "no card": lambda path: packed(path, [("a.txt", b"x")]),
        "random": lambda path: path.write_bytes(os.urandom(5_000) + b"PK\5\6" + os.urandom(18)),
    }


@pytest.mark.parametrize("case", no_archive(Path()))
def test_what_is_no_archive_is_refused(other: SkillStore, tmp_path: Path, case: str) -> None:
    path = tmp_path / "bad.skill"
    no_archive(tmp_path)[case](path)
    is_refused(path, other, tmp_path)
    assert not (tmp_path / "canary").exists()


# a whole archive of something else


def forged(archive: Path, path: Path, change: Callable[[Path], object]) -> Path:
    """The archive with something changed in it and a manifest that says so."""
    folder = path.with_suffix("")
    folder.mkdir()
    with zipfile.ZipFile(archive) as good:
        good.extractall(folder)
    change(folder)
    write_manifest(folder)
    return packed(
        path,
        [
            (file.relative_to(folder).as_posix(), file.read_bytes())
            for file in folder.rglob("*")
            if file.is_file()
        ],
    )


@pytest.mark.stress("skill-archives")
@pytest.mark.parametrize("case", sample(BAD_TENSORS, 10))
def test_broken_weights_are_refused(
    archive: Path, other: SkillStore, tmp_path: Path, case: str
) -> None:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(BAD_TENSORS[case])

    is_refused(forged(archive, tmp_path / "bad.skill", change), other, tmp_path)


@pytest.mark.parametrize("case", JSON_WITH_CODE)
def test_configurations_that_run_code_are_refused(
    archive: Path, other: SkillStore, tmp_path: Path, case: str
) -> None:
    def change(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(JSON_WITH_CODE[case]))

    said = is_refused(forged(archive, tmp_path / "bad.skill", change), other, tmp_path)
    assert "run code" in said


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": 1}', '{"name": "x", "name": "y"}', "x" * 3_000_000, "\x00"],
)
def test_a_card_that_is_none_is_refused(
    archive: Path, other: SkillStore, tmp_path: Path, text: str
) -> None:
    bad = forged(archive, tmp_path / "bad.skill", lambda f: (f / "card.json").write_text(text))
    is_refused(bad, other, tmp_path)


def test_a_card_with_a_name_that_leads_elsewhere_is_refused(
    archive: Path, other: SkillStore, tmp_path: Path
) -> None:
    def change(folder: Path) -> None:
        facts = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**facts, "name": "../../evil"}))

    path = forged(archive, tmp_path / "bad.skill", change)
    assert "is no skill's name" in is_refused(path, other, tmp_path)


@pytest.mark.parametrize("what", ["left out", "added", "exchanged"])
def test_an_archive_that_is_not_as_its_manifest_says_is_refused(
    archive: Path, other: SkillStore, tmp_path: Path, what: str
) -> None:
    entries = dict((str(name), data) for name, data in like(archive))
    if what == "left out":
        del entries["inner/labels.txt"]
    elif what == "added":
        entries["more.txt"] = b"x"
    else:
        entries["inner/labels.txt"] = b"good\nbad\n"
    bad = packed(tmp_path / "bad.skill", list(entries.items()))
    is_refused(bad, other, tmp_path)


@pytest.mark.stress("skill-archives")
@pytest.mark.parametrize("place", sample(range(0, 1_000, 2), 40))
def test_a_changed_bit_is_refused_or_changes_nothing(
    archive: Path, other: SkillStore, skill: Skill, tmp_path: Path, place: int
) -> None:
    data = bytearray(archive.read_bytes())
    data[place * len(data) // 1_000] ^= 1 << place % 8
    bad = tmp_path / "bad.skill"
    bad.write_bytes(data)
    try:
        arrived = import_skill(bad, other)
    except SkillError:
        assert other.names() == []
        return
    sent = content(skill.folder)
    del sent[FILE]
    assert content(arrived.folder) == sent  # the bit was in a time or an attribute


@pytest.mark.stress("skill-archives")
@pytest.mark.parametrize("share", sample(range(0, 100), 12))
def test_a_shortened_archive_is_refused(
    archive: Path, other: SkillStore, tmp_path: Path, share: int
) -> None:
    data = archive.read_bytes()
    bad = tmp_path / "bad.skill"
    bad.write_bytes(data[: len(data) * share // 100])
    is_refused(bad, other, tmp_path)
