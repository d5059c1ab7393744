"""What tests of several commands share."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli import main
from agent.interrupt import SIGNALS
from tests.agent.tuning_cli import Done, put_in_stand_in


@pytest.fixture
def tuneward(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., Done]]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    monkeypatch.chdir(tmp_path)
    put_in_stand_in(monkeypatch.setattr)
    (tmp_path / "reviews.csv").write_text("text,label\nfine,good\npoor,bad\n")

    def run(*words: str) -> Done:
        code = main(words)
        return Done(code, *capsys.readouterr())

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)
