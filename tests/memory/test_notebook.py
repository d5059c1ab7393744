"""The notebook: notes that replace each other, are ranked, counted and evicted."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from memory.errors import BadNote, DiskFull
from memory.notebook import HALF_LIFE, MAX_NOTE, Notebook
from memory.store import FaissMemory
from models.hashing import HashingEmbedder


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path / "memory", HashingEmbedder()) as opened:
        yield opened


@pytest.fixture
def book(memory: FaissMemory, clock: Clock) -> Notebook:
    return Notebook(memory, caps={"note": 20, "lesson": 5}, now=clock)


def test_a_note_comes_back_with_its_facts(book: Notebook, clock: Clock) -> None:
    id = book.add("The office closes at 18:00", origin="run", run="r1", source="talk")
    [found] = book.recall("when does the office close")
    assert (found.id, found.text) == (id, "The office closes at 18:00")
    assert (found.origin, found.run, found.source) == ("run", "r1", "talk")
    assert (found.trust, found.created) == ("trusted", clock.now)


def test_what_says_the_same_replaces_it_and_keeps_its_worth(book: Notebook) -> None:
    first = book.add("Invoices go to Ms Rossi")
    book.outcome([first], passed=True)
    second = book.add("Invoices  go to\nMs Rossi ")
    assert second == first
    assert book.memory.count() == 1
    [note] = book.memory.get_by_ids([first])
    assert note.metadata["helped"] == 1


def test_notes_that_differ_in_a_number_are_two_notes(book: Notebook) -> None:
    book.add("The key of room 5 is red")
    book.add("The key of room 6 is red")
    assert book.memory.count() == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the limit is 5", "the limit is -5"),
        ("code in C", "code in C++"),
        (
            "the answer of Ms Rossi: \N{THUMBS UP SIGN}",
            "the answer of Ms Rossi: \N{THUMBS DOWN SIGN}",
        ),
        ("the code is Abc", "the code is abc"),
    ],
)
def test_notes_that_differ_in_a_sign_are_two_notes(book: Notebook, one: str, other: str) -> None:
    book.add(one)
    book.add(other)
    assert {note.page_content for note in book.memory.scan()} == {one, other}


def test_a_persons_note_is_not_replaced_by_a_runs(book: Notebook) -> None:
    mine = book.add("Invoices go to Ms Rossi", source="talk")
    assert book.add("Invoices go to Ms Rossi", origin="run", run="r1") == mine
    [note] = book.memory.scan()
    assert (note.metadata["origin"], note.metadata["source"]) == ("user", "talk")
    runs = book.add("The office closes at 18:00", origin="run", run="r1")
    assert book.add("The office closes at 18:00") == runs
    assert book.memory.get_by_ids([runs])[0].metadata["origin"] == "user"


def test_two_who_settle_at_once_both_count(book: Notebook, tmp_path: Path) -> None:
    id = book.add("The office closes at 18:00")

    def settle() -> None:
        with FaissMemory(tmp_path / "memory", HashingEmbedder()) as memory:
            for _ in range(20):
                Notebook(memory).outcome([id], passed=True)

    threads = [Thread(target=settle) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [note] = book.memory.get_by_ids([id])
    assert (note.metadata["uses"], note.metadata["helped"]) == (40, 40)


def test_a_note_is_kept_where_clearing_away_fails(
    book: Notebook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full() -> None:
        raise DiskFull("no room")

    monkeypatch.setattr(book.memory, "compact", full)
    for number in range(21):
        last = book.add(f"number {number} of the notes")
    assert book.memory.get_by_ids([last])
    assert "were not cleared away: no room" in caplog.text


def test_facts_that_are_no_numbers_count_as_nothing(book: Notebook, memory: FaissMemory) -> None:
    odd = {"created": "2024-01-01", "uses": "many", "helped": None, "failed": -1}
    memory.add_texts(["The office closes at 18:00"], [{"kind": "note", **odd}], ids=["odd"])
    assert [note.created for note in book.recall("when does the office close")] == [0.0]
    book.outcome(["odd"], passed=True)
    [note] = memory.get_by_ids(["odd"])
    assert (note.metadata["uses"], note.metadata["helped"]) == (1, 1)


def test_an_untrusted_note_never_replaces_a_trusted_one(book: Notebook) -> None:
    book.add("Invoices go to Ms Rossi")
    book.add("Invoices go to Ms Rossi", trust="untrusted", origin="document")
    assert book.memory.count() == 2
    [trusted] = book.recall("who gets invoices", trusted_only=True)
    assert trusted.origin == "user"


def test_notes_with_one_key_replace_each_other_whatever_they_say(book: Notebook) -> None:
    book.add("Goal: count. What worked: count_rows(a.csv)", kind="lesson", key="count _")
    book.add("Goal: count. What worked: filter_rows(b.csv)", kind="lesson", key="count _")
    book.add("Goal: count. What worked: filter_rows(b.csv)", kind="note", key="count _")
    assert book.memory.count({"kind": "lesson"}) == 1
    assert book.memory.count({"kind": "note"}) == 1


def test_what_helped_comes_before_what_did_not(book: Notebook) -> None:
    good = book.add("Count rows of a table with count_rows today")
    bad = book.add("Count rows of a table with read_file today")
    for _ in range(5):
        book.outcome([good], passed=True)
        book.outcome([bad], passed=False)
    assert [note.id for note in book.recall("count rows of a table")] == [good, bad]
    for _ in range(20):
        book.outcome([good], passed=False)
        book.outcome([bad], passed=True)
    assert [note.id for note in book.recall("count rows of a table")] == [bad, good]


def test_the_newer_of_two_like_notes_comes_first(book: Notebook, clock: Clock) -> None:
    old = book.add("The price of a ticket is 5 euros in town")
    clock.now += 6 * HALF_LIFE
    new = book.add("The price of a ticket is 6 euros in town")
    assert [note.id for note in book.recall("price of a ticket")] == [new, old]


def test_what_has_nothing_to_do_with_it_is_left_out(book: Notebook) -> None:
    book.add("Zebras graze quietly")
    assert book.recall("quarterly invoice totals") == []


def test_a_run_without_checks_counts_as_use_only(book: Notebook) -> None:
    id = book.add("The office closes at 18:00")
    book.outcome([id, id, "unknown"], passed=None)
    [note] = book.memory.get_by_ids([id])
    assert (note.metadata["uses"], note.metadata["helped"], note.metadata["failed"]) == (1, 0, 0)


def test_notes_are_forgotten_by_id_source_and_age(book: Notebook, clock: Clock) -> None:
    first = book.add("alpha one", source="a.txt")
    book.add("beta two", source="b.txt")
    clock.now += 100
    book.add("gamma three", source="b.txt")
    assert book.forget(ids=[first, "unknown"]) == 1
    assert book.forget(source="b.txt", older_than=50) == 1
    assert [note.page_content for note in book.memory.scan()] == ["gamma three"]
    assert book.forget(older_than=0.0, kind="lesson") == 0
    assert book.forget(source="b.txt") == 1
    assert book.forget() == 0


def test_above_the_cap_the_least_worth_go(book: Notebook, clock: Clock) -> None:
    kept = book.add("number 0 is worth keeping")
    book.outcome([kept], passed=True)
    words = ["ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay", "koi", "lynx"]
    words += ["mole", "newt", "owl", "pig", "quail", "ram", "seal", "toad", "urchin", "vole"]
    for word in words:
        clock.now += 1
        book.add(f"{word} {word[::-1]} {word * 2}")
    assert book.memory.count({"kind": "note"}) <= 20
    assert book.memory.get_by_ids([kept])
    assert not book.recall("ant tna antant")
    assert book.memory.verify() == []


def test_a_long_text_is_no_note(book: Notebook) -> None:
    with pytest.raises(BadNote, match="memory ingest"):
        book.add("x" * (MAX_NOTE + 1))
    with pytest.raises(BadNote, match="empty"):
        book.add("  ")
