"""The command in a folder of its own, as the tests of bad input give it what is bad."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.commands import Commands
from tests.house.refusals import WORK


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """One process for all tests, since importing everything is what takes long."""
    folder = tmp_path_factory.mktemp("commands")
    commands = Commands(folder / "run", folder / "home")
    yield commands
    commands.close()


@pytest.fixture
def command(shared: Commands, tmp_path: Path, home: Path) -> Commands:
    """A folder with a small workspace `work`, and a home of this test."""
    shared.folder, shared.home = tmp_path, home
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "notes.txt").write_bytes(WORK["notes.txt"])
    return shared
