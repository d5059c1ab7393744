"""Ten thousand runs' worth of notes: their number stays within the caps, and so do the files.

    scripts/stress memory -k soak -s          # prints the sizes as they grow

CI lives through a few hundred runs with small caps.
"""

import random
from pathlib import Path

import pytest

from memory.notebook import CAPS, KEPT, Kind, Notebook
from memory.store import FaissMemory
from models.hashing import HashingEmbedder
from tests.long_list import in_full

TOPICS = ("invoices", "stock", "returns", "customers", "prices", "deliveries", "repairs", "fairs")
SHAPES_A_CAP = 3
"""So many different goals as lessons are kept, times this: most lessons have to go again."""


@pytest.mark.stress("memory")
@pytest.mark.timeout(3_600)
def test_soak_of_many_runs_stays_within_the_caps(tmp_path: Path) -> None:
    small: dict[Kind, int] = {"note": 60, "lesson": 40}
    runs, caps = (10_000, dict(CAPS)) if in_full() else (300, small)
    rng = random.Random(7)
    sizes: dict[int, int] = {}
    with FaissMemory(tmp_path / "memory", HashingEmbedder(64)) as memory:
        book = Notebook(memory, caps=caps)
        for run in range(1, runs + 1):
            _live_one_run(book, run, caps["lesson"] * SHAPES_A_CAP, rng)
            for kind, cap in caps.items():
                assert memory.count({"kind": kind}) <= cap
            if run % (runs // 10) == 0:
                sizes[run] = sum(f.stat().st_size for f in (tmp_path / "memory").iterdir())
                print(f"{run} runs: {memory.count()} notes, {sizes[run] / 1e6:.2f} MB")
        assert memory.verify() == []
        assert memory.count({"kind": "note"}) >= caps["note"] * KEPT
    full = [size for run, size in sizes.items() if run > runs // 2]
    assert max(full) <= 1.25 * min(full), f"the files go on growing: {sizes}"


def _live_one_run(book: Notebook, run: int, shapes: int, rng: random.Random) -> None:
    """Recall, keep a note, learn a lesson, and settle what the recalled notes were worth."""
    topic = rng.choice(TOPICS)
    recalled = book.recall(f"what do we know about {topic}", limit=4)
    book.outcome([one.id for one in recalled], passed=rng.random() < 0.5)
    words = " ".join(rng.choice(TOPICS) for _ in range(12))
    book.add(f"Run {run} saw {rng.randrange(10**6)} {topic}: {words}", origin="run", run=str(run))
    shape = f"goal {rng.randrange(shapes)} about {topic}"
    learnt = f"{shape}: filter, then count. {words}"
    book.add(learnt, kind="lesson", origin="run", run=str(run), key=shape)
