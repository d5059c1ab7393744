"""Finding files: names that stay the same, and what is passed over."""

import os
from pathlib import Path

import pytest

from memory.sources import find_sources, is_below, source_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "docs/one.md", "docs/deep/two.md", ".git/config", "docs/.x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    return tmp_path


def test_a_folder_gives_its_files_sorted_without_hidden_ones(root: Path) -> None:
    found = find_sources(["."], root)
    assert list(found.files) == ["a.txt", "b.txt", "docs/one.md", "docs/deep/two.md"]
    assert found.named == set()


def test_a_hidden_file_is_found_where_it_is_named(root: Path) -> None:
    found = find_sources([".git/config"], root)
    assert list(found.files) == [".git/config"]
    assert found.named == {".git/config"}


def test_one_file_has_one_name_however_it_is_written(root: Path) -> None:
    paths = ["docs/one.md", "./docs//one.md", "docs/deep/../one.md", str(root / "docs/one.md")]
    assert list(find_sources(paths, root).files) == ["docs/one.md"]


def test_a_file_outside_the_root_has_its_whole_path(root: Path) -> None:
    outside = root / "a.txt"
    assert list(find_sources(["../a.txt"], root / "docs").files) == [outside.as_posix()]


def test_links_in_a_folder_are_not_followed(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("key")
    (root / "link.txt").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent, target_is_directory=True)
    assert not any("link" in name or "secret" in name for name in find_sources(["."], root).files)
    assert list(find_sources(["link.txt"], root).files) == ["link.txt"]  # named by a person


def test_what_is_missing_is_told_apart_from_what_failed(root: Path) -> None:
    os.mkfifo(root / "pipe")
    found = find_sources(["gone.txt", "a.txt/inside", "pipe", "x" * 300], root)
    assert found.missing == ["gone.txt", "a.txt/inside"]
    assert found.failed["pipe"] == "it is neither a file nor a folder"
    assert "too long" in found.failed["x" * 300]


def test_a_pipe_in_a_folder_is_passed_over(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert "pipe" not in find_sources(["."], root).files


def test_a_folder_that_cannot_be_listed_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = find_sources(["."], root)
    assert found.failed == {"docs/deep": "the folder cannot be listed (Permission denied)"}
    assert "docs/one.md" in found.files


def test_a_name_that_is_no_text_can_be_stored(root: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt"))
    path.write_text("text")
    (name,) = [name for name in find_sources(["."], root).files if "caf" in name]
    assert name.encode()
    assert source_of(path, root) == name


@pytest.mark.parametrize(
    ("source", "folder", "below"),
    [
        ("docs/a", "docs", True),
        ("docs", "docs", True),
        ("docs2/a", "docs", False),
        ("a", ".", True),
        ("/outside/a", ".", False),
        ("/outside/a", "/", True),
        ("/outside/a", "/outside", True),
    ],
)
def test_below_goes_by_whole_names(source: str, folder: str, below: bool) -> None:
    assert is_below(source, [folder]) is below
