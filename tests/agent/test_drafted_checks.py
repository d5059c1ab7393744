"""A typed goal's outputs are found by its words, in English and Chinese; its inputs are not."""

from pathlib import Path

import pytest

from agent.checks import Evidence, evaluate, label
from agent.drafted_checks import MAX_DRAFTED, draft_checks, output_files
from tools.workspace import Workspace

THERE = ["tickets.csv", "a.csv", "b.csv", "notes.txt", "data/new.csv", "sales.csv", "README.md"]

ENGLISH: dict[str, list[str]] = {
    "Read tickets.csv, count the rows that mention a refund, and write the number to"
    " out/refunds.txt": ["out/refunds.txt"],
    "Count the rows of tickets.csv": [],
    "Sort a.csv into sorted.csv": ["sorted.csv"],
    "Sort a.csv by price and save it as sorted.csv.": ["sorted.csv"],
    "Compare a.csv to b.csv and tell me the difference": [],
    "Convert a.csv to out.jsonl and b.csv to b.json": ["out.jsonl", "b.json"],
    "Create report.md with the totals of sales.csv": ["report.md"],
    "Create a count report report.md from a.csv": ["report.md"],
    "Append a line to notes.txt": ["notes.txt"],
    "Fix the typos in notes.txt": ["notes.txt"],
    "Update a.csv with the prices from b.csv": ["a.csv"],
    "Summarize notes.txt in summary.txt": ["summary.txt"],
    "Summarize the text in notes.txt": [],
    "Read missing.csv and tell me the sum": [],
    "Write a haiku about README.md into haiku.txt. Do not change README.md.": ["haiku.txt"],
    "Train a sentiment classifier on a.csv, then label data/new.csv into out/labels.csv.": [
        "out/labels.csv"
    ],
    "Merge a.csv and b.csv, write the result to out/all.csv and a summary to out/summary.md": [
        "out/all.csv",
        "out/summary.md",
    ],
    "Save the rows of tickets.csv that mention refunds in out/refunds.csv": ["out/refunds.csv"],
    "Write the rows of a.csv and b.csv into c.csv": ["c.csv"],
    "Make a list of the names in a.csv": [],
    "Delete notes.txt": [],
    "What does example.com say about report.md?": [],
    "Extract the emails from notes.txt to emails.csv with columns name and email": ["emails.csv"],
    'Put the sum of column x into "my result.txt"': ["my result.txt"],
    "The result goes to result.json": ["result.json"],
    "I need a file called todo.md that lists what notes.txt asks for": ["todo.md"],
    "Write it to ../x.txt and to /etc/passwd.txt and to .bashrc.txt": [],
    "Download https://example.com/a/data.csv": [],
}
OTHERS: dict[str, list[str]] = {
    "统计 tickets.csv 中提到退款的行数，把数字写到 out/refunds.txt": ["out/refunds.txt"],
    "读取 tickets.csv，把结果保存为“报告.txt”。": ["报告.txt"],
    "把 a.csv 转换为 out.json": ["out.json"],
    "将 notes.txt 翻译成英文，保存到 notes_en.txt": ["notes_en.txt"],
    "根据 sales.csv 生成汇总 summary.csv": ["summary.csv"],
    "在 out.txt 中写入 a.csv 的行数": ["out.txt"],
    "写入 tickets.csv 的行数到 out.txt": ["out.txt"],
    "合并 a.csv 和 b.csv，输出到 all.csv": ["all.csv"],
    "讀取 a.csv，將結果儲存到 out/結果.csv": ["out/結果.csv"],
    "比较 a.csv 和 b.csv": [],
    "总结 notes.txt": [],
    "不要修改 a.csv，只回答行数": [],
    "请根据“门店销售.csv”统计每个门店的销售总额，保存为“out/三月销售.csv”。": ["out/三月销售.csv"],
    "Lies tickets.csv und schreibe die Anzahl nach out/refunds.txt": ["out/refunds.txt"],
    "Lis tickets.csv et écris le nombre dans out/n.txt": ["out/n.txt"],
    "tickets.csv を読んで、結果を out.txt に書いてください": ["out.txt"],
}


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    for name in THERE:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    return Workspace(tmp_path)


@pytest.mark.parametrize(("goal", "outputs"), ENGLISH.items())
def test_finds_the_outputs_of_an_english_goal(
    space: Workspace, goal: str, outputs: list[str]
) -> None:
    assert output_files(goal, space) == outputs


@pytest.mark.parametrize(("goal", "outputs"), OTHERS.items())
def test_finds_the_outputs_of_a_goal_in_another_language(
    space: Workspace, goal: str, outputs: list[str]
) -> None:
    assert output_files(goal, space) == outputs


def test_the_drafted_check_wants_the_file_written_by_this_run(space: Workspace) -> None:
    (check,) = draft_checks("Append a line to notes.txt", space)
    assert label(check) == "file notes.txt"
    assert not evaluate(check, Evidence(space)).passed
    assert evaluate(check, Evidence(space, frozenset({"notes.txt"}))).passed


def test_drafts_no_more_than_a_person_can_read(space: Workspace) -> None:
    goal = "Write " + ", ".join(f"out/{i}.txt" for i in range(50))
    assert len(draft_checks(goal, space)) == MAX_DRAFTED


@pytest.mark.parametrize("goal", ["a.txt" * 4000, "write " * 3000 + "to a.txt", "把" * 20_000])
def test_a_strange_goal_costs_little(space: Workspace, goal: str) -> None:
    import time

    started = time.process_time()
    draft_checks(goal, space)
    assert time.process_time() - started < 2
