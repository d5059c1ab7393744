"""Checks judge what is really there, tell what they found, and never what they wanted."""

import hashlib
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agent.check_specs import Check
from agent.checks import CheckResult, Evidence, Figures, evaluate, label
from tools.tuning.errors import SkillError
from tools.workspace import Workspace

CHECK: TypeAdapter[Any] = TypeAdapter(Check)
SALES = "city,total,note\nBerlin,12.50,\nKöln,7,ok\n 上海 ,1e3,x\nBerlin,3,y\n"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def judge(
    space: Workspace, check: dict[str, Any], *, answer: str | None = None, fresh: bool = True
) -> CheckResult:
    """The check's result where this run wrote every file, or none."""
    written = frozenset(space.files()) if fresh else frozenset[str]()
    return evaluate(CHECK.validate_python(check), Evidence(space, written, answer, space.root))


def put(space: Workspace, name: str, content: str | bytes) -> None:
    path = space.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


class TestFresh:
    @pytest.mark.parametrize("kind", ["file", "table", "text", "json"])
    def test_yesterdays_output_does_not_count(self, space: Workspace, kind: str) -> None:
        name = {"table": "a.csv", "json": "a.json"}.get(kind, "a.txt")
        put(space, name, {"table": "a,b\n1,2\n", "json": "{}"}.get(kind, "x"))
        old = judge(space, {kind: name}, fresh=False)
        assert (old.passed, old.found) == (
            False,
            f"{name} was there before; this run has not written it",
        )
        assert judge(space, {kind: name}, fresh=True).passed
        assert judge(space, {kind: {"path": name, "fresh": False}}, fresh=False).passed

    @pytest.mark.parametrize("kind", ["file", "table", "text", "json"])
    def test_a_missing_file_fails(self, space: Workspace, kind: str) -> None:
        result = judge(space, {kind: {"path": "gone.csv", "fresh": False}})
        assert (result.passed, result.found) == (False, "there is no file gone.csv")

    def test_a_link_out_of_the_workspace_is_no_file(self, space: Workspace) -> None:
        (space.root / "a.txt").symlink_to("/etc/passwd")
        assert not judge(space, {"file": {"path": "a.txt", "fresh": False}}).passed


def _zip(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return data.getvalue()


def _docx() -> bytes:
    from docx import Document

    document, data = Document(), io.BytesIO()
    document.add_paragraph("Hello")
    document.save(data)
    return data.getvalue()


def _pdf() -> bytes:
    from pypdf import PdfWriter

    writer, data = PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.write(data)
    return data.getvalue()


def _parquet() -> bytes:
    import polars as pl

    data = io.BytesIO()
    pl.DataFrame({"a": [1, 2]}).write_parquet(data)
    return data.getvalue()


def _gzip() -> bytes:
    import gzip

    return gzip.compress(b"hello" * 100)


GOOD: dict[str, str | bytes] = {
    "a.txt": "hello",
    "a.md": "# 报告",
    "utf16.txt": "hello".encode("utf-16"),
    "a.csv": "a,b\n1,2\n",
    "a.tsv": "a\tb\n1\t2\n",
    "a.jsonl": '{"a": 1}\n{"a": 2}\n',
    "a.ndjson": '{"a": 1}\n\n[2]\n',
    "a.parquet": _parquet(),
    "a.json": '{"a": [1, null]}',
    "a.yaml": "a: &x [1]\nb: *x\n",
    "a.toml": "a = 1\n",
    "a.xml": "<a><b/></a>",
    "a.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a.html": "<p>Hello</p>",
    "a.pdf": _pdf(),
    "a.docx": _docx(),
    "a.xlsx": _zip("[Content_Types].xml", "xl/workbook.xml"),
    "a.zip": _zip("a"),
    "a.gz": _gzip(),
    "a.py": "print(1)\n",
    "a.png": b"\x89PNG\r\n\x1a\n...",
    "a.jpg": b"\xff\xd8\xff\xe0...",
    "a.webp": b"RIFF\x00\x00\x00\x00WEBP",
    "a.gif": b"GIF89a...",
    "a.sqlite": b"SQLite format 3\0...",
    "a.unknown": b"\x00\x01\x02",
    "noending": "x",
}
BAD: dict[str, str | bytes] = {
    "empty.txt": "",
    "blank.md": " \n\n",
    "empty.unknown": b"",
    "binary.txt": b"\x00\x01\x02" * 50,
    "header.jsonl": "a,b\n",
    "ragged.csv": "a,b\n1,2,3\n",
    "twice.csv": "a,a\n1,2\n",
    "cut.json": '{"a": [1, ',
    "nan.json": '{"a": NaN}',
    "huge.json": '{"a": 1e999}',
    "twice.json": '{"a": 1, "a": 2}',
    "deep.json": "[" * 100_000,
    "cut.ndjson": '{"a": 1}\n{"a": ',
    "cut.parquet": _parquet()[:-20],
    "bad.yaml": "a: [1\n",
    "bad.toml": "a = \n",
    "cut.xml": "<a><b></a>",
    "text.html": "no element here",
    "text.pdf": "this is not a PDF",
    "cut.pdf": b"%PDF-1.7\ngarbage",
    "text.docx": "this is not a document",
    "other.docx": _zip("a"),
    "other.xlsx": _zip("a"),
    "cut.zip": _zip("a")[:20],
    "cut.gz": _gzip()[:15],
    "bad.py": "def f(:\n",
    "deep.py": "(" * 100_000,
    "text.png": "this is not a picture",
    "text.sqlite": "this is not a database",
}


class TestFile:
    @pytest.mark.parametrize("name", GOOD)
    def test_a_file_that_is_what_its_name_says_passes(self, space: Workspace, name: str) -> None:
        put(space, name, GOOD[name])
        result = judge(space, {"file": name})
        assert result.passed, result.found

    @pytest.mark.parametrize("name", BAD)
    def test_a_file_that_is_not_fails_with_the_reason(self, space: Workspace, name: str) -> None:
        put(space, name, BAD[name])
        result = judge(space, {"file": name})
        assert not result.passed
        assert result.found.startswith(name), result.found

    def test_entity_bombs_cost_nothing(self, space: Workspace) -> None:
        bomb = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
        put(space, "a.xml", f'<!DOCTYPE a [<!ENTITY e0 "x">{bomb}]><a>&e11;</a>')
        started = time.process_time()
        judge(space, {"file": "a.xml"})
        assert time.process_time() - started < 2

    def test_exact_content(self, space: Workspace) -> None:
        put(space, "a.txt", "hello")
        digest = hashlib.sha256(b"hello").hexdigest()
        check = {"file": {"path": "a.txt", "sha256": digest.upper(), "fresh": False}}
        assert judge(space, check, fresh=False).passed
        put(space, "a.txt", "Hello")
        assert not judge(space, check, fresh=False).passed

    def test_absent(self, space: Workspace) -> None:
        check = {"file": {"path": "a.txt", "absent": True}}
        assert judge(space, check).passed
        put(space, "a.txt", "x")
        assert not judge(space, check).passed


class TestText:
    @pytest.mark.parametrize(
        ("rules", "text", "passes"),
        [
            ({"contains": ["Berlin"]}, "In Berlin.", True),
            ({"contains": ["Berlin", "Paris"]}, "In Berlin.", False),
            ({"contains": "berlin"}, "In Berlin.", False),
            ({"contains": "café"}, "cafe\u0301", True),
            ({"lacks": ["Paris"]}, "In Berlin.", True),
            ({"lacks": ["Berlin"]}, "In Berlin.", False),
            ({"equals": "42"}, " 42\n", True),
            ({"equals": "42"}, "42 rows", False),
            ({"equals": "a\nb"}, "a\r\nb\r\n", True),
            ({"matches": r"^\d+$"}, "17\n", True),
            ({"matches": r"^\d+$"}, "17\r\n", True),
            ({"matches": r"^\d+$"}, "17 rows\n", False),
            ({"matches": r"^\d+$"}, "17\n18\n", False),
            ({"matches": "(?i)DEADLINE"}, "the deadline", True),
            ({"max_words": 2}, "two words", True),
            ({"max_words": 2}, "now three words", False),
            ({"max_words": 4}, "统计行数", True),
            ({"max_words": 3}, "统计行数", False),
            ({"min_words": 2}, "it's well-known", True),
            ({"min_words": 3}, "it's well-known", False),
            ({"max_chars": 5}, " hello \n", True),
            ({"max_chars": 4}, "hello", False),
            ({"contains": "Berlin", "max_words": 1}, "In Berlin.", False),
        ],
    )
    def test_rules(self, space: Workspace, rules: dict[str, Any], text: str, passes: bool) -> None:
        put(space, "a.txt", text)
        assert judge(space, {"text": {"path": "a.txt", **rules}}).passed is passes
        assert judge(space, {"answer": rules}, answer=text.replace("\r", "")).passed is passes

    def test_an_empty_text_fails_even_without_rules(self, space: Workspace) -> None:
        put(space, "a.txt", "\n")
        assert judge(space, {"text": "a.txt"}).found == "a.txt is empty"

    def test_a_pattern_that_backtracks_without_end_fails_in_time(self, space: Workspace) -> None:
        put(space, "a.txt", "ab" * 30 + "!" + "(((" * 5)
        started = time.process_time()
        result = judge(space, {"text": {"path": "a.txt", "matches": r"^(\w+\s?)*\1x$"}})
        assert not result.passed
        assert time.process_time() - started < 3

    def test_binary_is_not_a_text(self, space: Workspace) -> None:
        put(space, "a.txt", bytes(range(256)) * 3)
        assert judge(space, {"text": "a.txt"}).found == "a.txt is not a text file"


class TestTable:
    @pytest.mark.parametrize(
        ("rules", "passes"),
        [
            ({}, True),
            ({"columns": ["total", "city"]}, True),
            ({"columns": ["total", "price"]}, False),
            ({"columns": ["city", "total", "note"], "exact_columns": True}, True),
            ({"columns": ["total", "city", "note"], "exact_columns": True}, False),
            ({"columns": ["city", "total"], "exact_columns": True}, False),
            ({"rows": 4}, True),
            ({"rows": 5}, False),
            ({"min_rows": 4, "max_rows": 4}, True),
            ({"min_rows": 5}, False),
            ({"max_rows": 3}, False),
            ({"contains_rows": [{"city": "Berlin", "total": 12.5}]}, True),
            ({"contains_rows": [{"city": "Berlin", "total": "12.50"}]}, True),
            ({"contains_rows": [{"city": "Berlin", "total": "12.5"}]}, False),
            ({"contains_rows": [{"city": "上海", "total": 1000}]}, True),
            ({"contains_rows": [{"city": "Ko\u0308ln"}]}, True),
            ({"contains_rows": [{"city": "Berlin", "note": None}]}, True),
            ({"contains_rows": [{"city": "Köln", "note": None}]}, False),
            ({"contains_rows": [{"city": "Berlin", "total": 7}]}, False),
            ({"contains_rows": [{"town": "Berlin"}]}, False),
            ({"contains_rows": [{"city": "Berlin"}, {"city": "Berlin"}]}, True),
            ({"contains_rows": [{"city": "Köln"}, {"city": "Köln"}]}, False),
            ({"contains_rows": [{"city": "Berlin"}, {"total": 3}]}, True),
            ({"contains_rows": [{"city": "Berlin"}, {"total": 3}, {"total": 12.5}]}, False),
            ({"contains_rows": [{"total": 7}, {"total": 3}], "ordered": True}, True),
            ({"contains_rows": [{"total": 3}, {"total": 7}], "ordered": True}, False),
            ({"contains_rows": [{"total": 12.4}], "tolerance": 0.1}, True),
            ({"contains_rows": [{"total": 12.3}], "tolerance": 0.1}, False),
            ({"lacks_rows": [{"city": "Paris"}]}, True),
            ({"lacks_rows": [{"city": "Berlin", "total": 3}]}, False),
        ],
    )
    def test_rules(self, space: Workspace, rules: dict[str, Any], passes: bool) -> None:
        put(space, "a.csv", SALES)
        result = judge(space, {"table": {"path": "a.csv", **rules}})
        assert result.passed is passes, result.found

    def test_typed_cells_are_compared_like_text_cells(self, space: Workspace) -> None:
        put(space, "a.jsonl", '{"a": 1, "b": true, "c": null}\n{"a": 2.5, "b": false, "c": "x"}\n')
        rows = [{"a": 1, "b": True, "c": None}, {"a": 2.5, "b": False, "c": "x"}]
        assert judge(space, {"table": {"path": "a.jsonl", "contains_rows": rows}}).passed
        assert not judge(
            space, {"table": {"path": "a.jsonl", "contains_rows": [{"a": 1, "b": False}]}}
        ).passed

    def test_a_broken_table_fails_with_the_line(self, space: Workspace) -> None:
        put(space, "a.csv", "a,b\n1,2\n1,2,3\n")
        result = judge(space, {"table": "a.csv"})
        assert not result.passed
        assert "line 3" in result.found

    def test_many_rows_stay_quick(self, space: Workspace) -> None:
        put(space, "a.csv", "n,city\n" + "".join(f"{i},c{i % 7}\n" for i in range(100_000)))
        rows = [{"n": i * 1000, "city": f"c{i * 1000 % 7}"} for i in range(20)]
        started = time.process_time()
        check = {"table": {"path": "a.csv", "rows": 100_000, "contains_rows": rows}}
        assert judge(space, check).passed
        assert time.process_time() - started < 10


class TestJson:
    @pytest.mark.parametrize(
        ("rules", "passes"),
        [
            ({}, True),
            ({"equals": {"rows": 3, "cities": ["Köln"], "ok": True}}, True),
            ({"equals": {"ok": True, "cities": ["Köln"], "rows": 3.0}}, True),
            ({"equals": {"rows": 3, "cities": ["Köln"], "ok": 1}}, False),
            ({"equals": {"rows": 3}}, False),
            ({"contains": {"rows": 3}}, True),
            ({"contains": {"rows": 4}}, False),
            ({"contains": {"row": 3}}, False),
            ({"schema": {"required": ["rows"]}}, True),
            ({"schema": {"properties": {"rows": {"type": "string"}}}}, False),
            ({"schema": "a.schema.json"}, True),
            ({"schema": "gone.schema.json"}, False),
        ],
    )
    def test_rules(self, space: Workspace, rules: dict[str, Any], passes: bool) -> None:
        put(space, "a.json", '{"rows": 3, "cities": ["Köln"], "ok": true}')
        put(space, "a.schema.json", '{"type": "object"}')
        result = judge(space, {"json": {"path": "a.json", **rules}})
        assert result.passed is passes, result.found

    def test_each_line_of_a_jsonl_file_must_fit(self, space: Workspace) -> None:
        put(space, "a.jsonl", '{"a": 1}\n{"a": "x"}\n')
        loose = {"json": {"path": "a.jsonl", "schema": {"required": ["a"]}}}
        strict = {"json": {"path": "a.jsonl", "schema": {"properties": {"a": {"type": "integer"}}}}}
        assert judge(space, loose).passed
        assert not judge(space, strict).passed

    @pytest.mark.parametrize(
        "schema",
        [
            {"pattern": "^(a+)+$"},
            {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
            {
                "$defs": {
                    "n0": {"type": "string"},
                    **{
                        f"n{i}": {"allOf": [{"$ref": f"#/$defs/n{i - 1}"}] * 2}
                        for i in range(1, 40)
                    },
                },
                "$ref": "#/$defs/n39",
            },
            {"$ref": "#/$defs/gone"},
        ],
    )
    def test_a_hostile_schema_fails_in_time(self, space: Workspace, schema: dict[str, Any]) -> None:
        put(space, "a.json", '"' + "a" * 40 + '!"')
        started = time.process_time()
        result = judge(space, {"json": {"path": "a.json", "schema": schema}})
        assert not result.passed
        assert time.process_time() - started < 4


class TestAnswer:
    def test_without_an_answer_it_fails(self, space: Workspace) -> None:
        result = judge(space, {"answer": {"contains": "Paris"}})
        assert (result.passed, result.found) == (False, "there is no answer yet")

    @pytest.mark.parametrize(
        ("answer", "passes"), [('{"rows": 3}', True), ('{"rows": "3"}', False), ("three", False)]
    )
    def test_schema(self, space: Workspace, answer: str, passes: bool) -> None:
        schema = {"type": "object", "properties": {"rows": {"type": "integer"}}}
        assert judge(space, {"answer": {"schema": schema}}, answer=answer).passed is passes


@pytest.mark.parametrize(
    ("check", "secrets"),
    [
        ({"text": {"path": "a.txt", "contains": ["SECRET"], "equals": "GOLD"}}, ["SECRET", "GOLD"]),
        ({"text": {"path": "a.txt", "matches": "SECRET|4711"}}, ["SECRET", "4711"]),
        ({"text": {"path": "a.txt", "min_words": 4711}}, ["4711"]),
        ({"answer": {"equals": "SECRET"}}, ["SECRET"]),
        ({"answer": {"schema": {"const": "SECRET"}}}, ["SECRET"]),
        ({"table": {"path": "a.csv", "rows": 4711}}, ["4711"]),
        ({"table": {"path": "a.csv", "columns": ["SECRET"]}}, ["SECRET"]),
        ({"table": {"path": "a.csv", "contains_rows": [{"city": "SECRET"}]}}, ["SECRET"]),
        ({"table": {"path": "a.csv", "contains_rows": [{"SECRET": 1}]}}, ["SECRET"]),
        ({"json": {"path": "a.json", "equals": {"a": "SECRET"}}}, ["SECRET"]),
        ({"json": {"path": "a.json", "contains": {"SECRET": 1}}}, ["SECRET"]),
        ({"json": {"path": "a.json", "schema": {"enum": ["SECRET"]}}}, ["SECRET"]),
        ({"file": {"path": "a.txt", "sha256": "ab" * 32}}, ["abab"]),
    ],
)
def test_what_was_found_never_tells_what_was_expected(
    space: Workspace, check: dict[str, Any], secrets: list[str]
) -> None:
    put(space, "a.txt", "hello")
    put(space, "a.csv", SALES)
    put(space, "a.json", "{}")
    result = judge(space, check, answer='"hello"')
    assert not result.passed
    assert result.found
    for secret in secrets:
        assert secret not in result.found
        assert secret not in result.check


def test_a_check_is_named_by_its_kind_and_file() -> None:
    assert label(CHECK.validate_python({"file": "./out//a.txt"})) == "file out/a.txt"
    assert label(CHECK.validate_python({"json": {"path": "a.json"}})) == "json a.json"
    assert label(CHECK.validate_python({"answer": {"contains": "x"}})) == "answer"


class Shelf:
    """One skill, and what was measured of it."""

    def figure(self, name: str, metric: str, split: str) -> float:
        if (name, metric, split) != ("mood", "accuracy", "test"):
            raise SkillError(f"skill `{name}` has no figure {metric!r} on {split}")
        return 0.8214


def measured(check: dict[str, Any], space: Workspace, skills: Figures | None) -> CheckResult:
    return evaluate(CHECK.validate_python({"metric": check}), Evidence(space, skills=skills))


METRIC = {"skill": "mood", "name": "accuracy"}


class TestMetric:
    @pytest.mark.parametrize(
        ("limits", "passes", "found"),
        [
            ({"at_least": 0.8}, True, "mood has accuracy 0.821 on test"),
            ({"at_least": 0.8214}, True, "mood has accuracy 0.821 on test"),
            ({"at_least": 0.9}, False, "mood has accuracy 0.821 on test, which is too low"),
            ({"at_most": 0.7}, False, "mood has accuracy 0.821 on test, which is too high"),
            ({"at_least": 0.8, "at_most": 0.9}, True, "mood has accuracy 0.821 on test"),
        ],
    )
    def test_the_figure_of_the_version_in_use_is_compared(
        self, space: Workspace, limits: dict[str, float], passes: bool, found: str
    ) -> None:
        result = measured({**METRIC, **limits}, space, Shelf())
        assert (result.passed, result.found) == (passes, found)
        assert result.check == "metric mood accuracy"

    @pytest.mark.parametrize("other", [{"skill": "moot"}, {"name": "macro_f1"}, {"split": "dev"}])
    def test_what_was_not_measured_does_not_pass(
        self, space: Workspace, other: dict[str, str]
    ) -> None:
        result = measured({**METRIC, "at_least": 0.0, **other}, space, Shelf())
        assert not result.passed
        assert "has no figure" in result.found

    def test_without_skills_nothing_passes(self, space: Workspace) -> None:
        result = measured({**METRIC, "at_least": 0.0}, space, None)
        assert (result.passed, result.found) == (False, "there is no skill mood")

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {"at_least": 0.9, "at_most": 0.8},
            {"at_least": "high"},
            {"at_least": float("nan")},
            {"at_least": 0.5, "name": "acuracy"},
            {"at_least": 0.5, "skill": "../mood"},
            {"at_least": 0.5, "split": "train"},
        ],
    )
    def test_a_check_that_could_not_be_meant_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            CHECK.validate_python({"metric": {**METRIC, **wrong}})
