"""File names are found in sentences of any script, and only file names."""

import pytest

from agent.mentions import mentioned_files


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Read tickets.csv and write out/refunds.txt.", ["tickets.csv", "out/refunds.txt"]),
        ("把data/评论.csv里的行写入out/结果.txt。", ["data/评论.csv", "out/结果.txt"]),
        ("读取sales.csv文件", ["sales.csv"]),
        ("Write 'my report.txt' (see a.b.csv).", ["my report.txt", "a.b.csv"]),
        ("写入「报告.md」", ["报告.md"]),
        ("See http://x.org/a.csv, e.g. version 1.2 or 3.14", []),
        ("./a.csv and a.csv", ["a.csv"]),
        ("out/a-b_c.jsonl; ../x.csv", ["out/a-b_c.jsonl"]),
    ],
)
def test_names_are_found(text: str, names: list[str]) -> None:
    assert mentioned_files(text) == names
