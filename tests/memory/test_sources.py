"""Finding files: names that stay the same, and what is passed over."""

import os
from pathlib import Path

import pytest

from memory.sources import Sources, find_sources, is_below, is_gone, shown_source, source_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "docs/one.md", "docs/deep/two.md", ".git/config", "docs/.x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    return tmp_path


def names(found: Sources, root: Path) -> list[str]:
    """The files as people who work in `root` see them."""
    return [shown_source(source, root) for source in found.files]


def test_a_folder_gives_its_files_sorted_without_hidden_ones(root: Path) -> None:
    found = find_sources(["."], root)
    assert names(found, root) == ["a.txt", "b.txt", "docs/one.md", "docs/deep/two.md"]
    assert found.named == set()


def test_a_hidden_file_is_found_where_it_is_named(root: Path) -> None:
    found = find_sources([".git/config"], root)
    assert names(found, root) == [".git/config"]
    assert found.named == {str(root / ".git/config")}


def test_one_file_has_one_name_however_it_is_written(root: Path) -> None:
    paths = ["docs/one.md", "./docs//one.md", "docs/deep/../one.md", str(root / "docs/one.md")]
    assert list(find_sources(paths, root).files) == [str(root / "docs/one.md")]


def test_a_source_is_shown_as_those_see_it_who_work_in_a_folder(root: Path) -> None:
    source = str(root / "docs/one.md")
    assert shown_source(source, root) == "docs/one.md"
    assert shown_source(source, root / "docs") == "one.md"
    assert shown_source(source, root / "docs/deep") == source
    assert shown_source(source, root / "doc") == source
    assert shown_source(source, Path("/")) == source[1:]


def test_what_is_shown_names_the_source_again(root: Path) -> None:
    for source in (str(root / "docs/one.md"), str(root.parent / "x"), "docs/of-an-earlier-version"):
        assert source_of(shown_source(source, root), root) == source
    assert shown_source("docs/a.md", root) == ".../docs/a.md"
    assert shown_source("https://example.org/a", root) == "https://example.org/a"


def test_a_folder_has_one_name_through_all_its_links(root: Path) -> None:
    (root / "link").symlink_to(root / "docs")
    assert source_of("link", root) == source_of("docs", root) == str(root / "docs")
    assert source_of("link/one.md", root) == str(root / "docs/one.md")
    (root / "file-link.md").symlink_to(root / "docs/one.md")
    assert source_of("file-link.md", root) == str(root / "file-link.md")


def test_only_what_is_certainly_not_there_is_gone(root: Path) -> None:
    assert not is_gone(str(root / ".git/config"))
    assert is_gone(str(root / "gone"))
    assert is_gone(str(root / "a.txt/inside"))
    assert is_gone(str(root / "docs"))
    (root / "loop").symlink_to(root / "loop")
    assert not is_gone(str(root / "loop"))  # who knows what it leads to


def test_links_in_a_folder_are_not_followed(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("key")
    (root / "link.txt").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent, target_is_directory=True)
    found = find_sources(["."], root)
    assert not any("link" in name or "secret" in name for name in names(found, root))
    assert names(find_sources(["link.txt"], root), root) == ["link.txt"]  # named by a person


def test_what_is_missing_is_told_apart_from_what_failed(root: Path) -> None:
    os.mkfifo(root / "pipe")
    found = find_sources(["gone.txt", "a.txt/inside", "pipe", "x" * 300], root)
    assert found.missing == [str(root / "gone.txt"), str(root / "a.txt/inside")]
    assert found.failed[str(root / "pipe")] == "it is neither a file nor a folder"
    assert "too long" in found.failed[str(root / ("x" * 300))]


def test_a_pipe_in_a_folder_is_passed_over(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert str(root / "pipe") not in find_sources(["."], root).files


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
    why = "the folder cannot be listed (Permission denied)"
    assert found.failed == {str(root / "docs/deep"): why}
    assert str(root / "docs/one.md") in found.files


def test_a_name_that_is_no_text_can_be_stored(root: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt"))
    path.write_text("text")
    (name,) = [name for name in find_sources(["."], root).files if "caf" in name]
    assert name.encode()
    assert source_of(path.name, root) == name


@pytest.mark.parametrize(
    ("source", "folder", "below"),
    [
        ("/docs/a", "/docs", True),
        ("/docs", "/docs", True),
        ("/docs2/a", "/docs", False),
        ("/outside/a", "/", True),
        ("/outside/a", "/outside", True),
    ],
)
def test_below_goes_by_whole_names(source: str, folder: str, below: bool) -> None:
    assert is_below(source, [folder]) is below
