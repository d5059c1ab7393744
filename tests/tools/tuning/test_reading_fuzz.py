"""Whatever the bytes of a file are, reading gives examples or one line that says what is wrong."""

import random
from pathlib import Path

import pytest

from tests.long_list import in_full
from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, TagExample
from tools.tuning.input_rows import read_inputs
from tools.tuning.reading import read_dataset
from tools.tuning.tagging import legal
from tools.tuning.task import TaskKind

SOUND: dict[str, bytes] = {
    "a.csv": 'text,label\n"one, two",x\nthree,y\nfour,x\nfünf,y\n'.encode(),
    "a.tsv": b'text\tlabel\n"one" two\tx\nthree\ty\nfour\tx|y\nfive\ty\n',
    "a.jsonl": b"".join(
        b'{"text": "Ann met %d", "label": "%s", "entities": [[0, 3, "P"]]}\n'
        % (i, b"xy"[i % 2 :][:1])
        for i in range(4)
    ),
    "b.jsonl": b'{"tokens": ["a", "b"], "tags": ["B-X", "I-X"], "label": ["x", "y"]}\n' * 4,
    "a.conll": b"# id = 1\nAnn\tB-P\nLee\tI-P\n\nmet\tO\n\nBob\tB-P\n\nx\tO\n",
    "a.txt": b"Ann NN S-P\nmet VB O\n\nLee NN B-P\nLi NN E-P\n",
}
PIECES = [
    *(
        b"\0",
        b"\xff",
        b'"',
        b"\n",
        b"\r",
        b"\t",
        b",",
        b"[",
        b"{",
        b"null",
        b"-1",
        b"1e999",
        b"NaN",
    ),
    *(
        b"I-X",
        b"O ",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\xc3",
        b"\xe4\xba\xac",
        b"|",
        b";",
    ),
    *(b"", b"\xff\xfe", b"\x85", b"\xe2\x80\xa8", b"9" * 5000, b"true", b'"tags"', b"# "),
]


def mutated(data: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 4)):
        at, end = sorted(draw.choices(range(len(data) + 1), k=2))
        what = draw.randrange(3)
        if what == 0:
            data = data[:at] + draw.choice(PIECES) + data[at:]
        elif what == 1:
            data = data[:at] + draw.choice(PIECES) + data[at + draw.randint(1, 4) :]
        else:
            data = data[:at] + data[end:] if draw.random() < 0.5 else data + data[at:end]
    return data


def read_or_say_why(path: Path, kind: TaskKind) -> Dataset | str:
    try:
        return read_dataset(path, kind)
    except DataError as error:
        return str(error)


@pytest.mark.stress("data-files")
@pytest.mark.parametrize("kind", ["classification", "ner"])
@pytest.mark.parametrize("name", SOUND)
def test_a_damaged_file_is_read_or_refused_in_one_line(
    tmp_path: Path, name: str, kind: TaskKind
) -> None:
    path = tmp_path / name
    outcomes = {"read": 0, "refused": 0}
    for seed in range(3_000 if in_full() else 60):
        path.write_bytes(mutated(SOUND[name], random.Random(seed)))
        data = read_or_say_why(path, kind)
        if isinstance(data, str):
            assert "\n" not in data
            assert data.startswith(str(path))
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        for example in data.examples:
            assert example.line >= 1
            if isinstance(example, TagExample):
                assert legal(example.tags)
                assert len(example.tags) == len(example.input.tokens)
                assert all(example.input.tokens)
            else:
                assert set(example.labels) <= set(data.task.labels)
        assert all(row.line for row in read_inputs(path, data.task))
    assert outcomes["refused"] > 0
