"""Tests of the skill tools: rows, texts and files are answered by registered skills only."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from langchain_core.tools import BaseTool

from tests.tools.tuning.plain_job import modules
from tests.tools.tuning.plain_methods import reviews
from tests.tools.tuning.test_tuning import write_csv
from tools import skills
from tools.context import ToolContext
from tools.errors import ToolFailed, ToolRetry
from tools.grounding import ground
from tools.pages import pages_of
from tools.results import RunResults
from tools.toolbox import arguments_schema
from tools.tuning.job_spec import DataFile, JobSpec
from tools.tuning.job_store import JobStore
from tools.tuning.skill_shelf import SkillShelf
from tools.tuning.tuning import run
from tools.workspace import Workspace
from tools.world import WorkspaceWorld

NAMES = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Tony", "John"]


class Place:
    """A workspace beside a home with two skills: `mood` and `people`."""

    def __init__(self, home: Path, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.home = home
        train = write_csv(home / "reviews.csv", reviews(80))
        self._register("mood", "classification", train)
        tagged = home / "people.conll"
        rows = [f"{NAMES[i % 8]} B-PER\nmet O\nRome B-LOC\nn{i} O\n" for i in range(40)]
        tagged.write_text("\n".join(rows))
        self._register("people", "ner", tagged)
        self.shelf = SkillShelf(home)
        self.context = ToolContext(Workspace(folder), skills=self.shelf)
        self.tools: dict[str, BaseTool] = {t.name: t for t in skills.get_tools(self.context)}

    def _register(self, name: str, kind: str, train: Path) -> None:
        spec = JobSpec.model_validate(
            {
                "kind": kind,
                "skill": name,
                "train": DataFile.at(train),
                "method": "linear_head",
                "budget_seconds": 60,
            }
        )
        run(spec, JobStore(self.home).new(spec).folder, self.home)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def call(self, name: str, **arguments: object) -> str:
        return str(self.tools[name].invoke(arguments))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("skills")
    (folder / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules().items():
            patch.setitem(sys.modules, name, module)
        yield Place(folder / "home", folder / "work")


def test_the_skills_are_listed_with_what_they_do(place: Place) -> None:
    assert place.call("list_skills").splitlines() == [
        "mood: Says which of bad, good a text is. (accuracy 1.00 on test)",
        "people: Finds LOC, PER in a text. (entity_f1 1.00 on test)",
    ]


def test_every_row_of_a_table_is_answered_in_order(place: Place) -> None:
    place.write("new.csv", "id,text,label\n1,a fine story,old\n2,an awful one,old\n3,,x\n")
    said = place.call("apply_skill", skill="mood", path="new.csv", save_as="out/a.csv")
    assert "Wrote 3 rows to out/a.csv, with predicted_label, score." in said
    frame = pl.read_csv(place.folder / "out" / "a.csv")
    assert frame.columns == ["id", "text", "label", "predicted_label", "score"]
    assert frame["id"].to_list() == [1, 2, 3]
    assert frame["predicted_label"].to_list()[:2] == ["good", "bad"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_answers_are_written_in_the_form_that_the_name_says(place: Place, ending: str) -> None:
    place.write("lines.txt", "a fine story\nan awful one\n")
    name = f"answers.{ending}"
    place.call("apply_skill", skill="mood", path="lines.txt", save_as=name)
    assert place.context.tables.frame(name).height == 2


def test_a_table_is_never_answered_into_itself(place: Place) -> None:
    place.write("self.csv", "text\na fine story\n")
    with pytest.raises(ToolRetry, match="another name"):
        place.call("apply_skill", skill="mood", path="self.csv", save_as="self.csv")
    with pytest.raises(ToolRetry, match="must end with"):
        place.call("apply_skill", skill="mood", path="self.csv", save_as="self.parquet")


def test_a_broken_row_is_named_by_its_file_and_line(place: Place) -> None:
    place.write("broken.jsonl", '{"text": "a fine story"}\n{"text": \n')
    with pytest.raises(ToolRetry, match=r"broken\.jsonl:2: "):
        place.call("apply_skill", skill="mood", path="broken.jsonl", save_as="b.csv")
    assert not (place.folder / "b.csv").exists()


def test_a_file_that_takes_too_long_is_given_up_and_nothing_is_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("long.csv", "text\n" + "a fine story\n" * 500)
    monkeypatch.setattr("tools.skills.APPLY_SECONDS", 0.0)
    with pytest.raises(ToolFailed, match="`tuneward skills apply`"):
        place.call("apply_skill", skill="mood", path="long.csv", save_as="long-out.csv")
    assert not (place.folder / "long-out.csv").exists()


def test_a_text_is_classified(place: Place) -> None:
    assert place.call("classify_text", skill="mood", text="a lovely fine film").startswith("good")
    with pytest.raises(ToolRetry, match="empty"):
        place.call("classify_text", skill="mood", text=" ")


def test_entities_of_a_file_are_found_and_saved(place: Place) -> None:
    place.write("letter.txt", "Dear Ada,\n\nAlan was in Rome with Grace.\n")
    said = place.call(
        "extract_entities", skill="people", path="letter.txt", types=["PER"], save_as="people.csv"
    )
    assert "3 entities in letter.txt" in said
    frame = pl.read_csv(place.folder / "people.csv")
    assert frame.select("type", "text", "line").rows() == [
        ("PER", "Ada", 1),
        ("PER", "Alan", 3),
        ("PER", "Grace", 3),
    ]


def test_a_file_without_entities_gives_an_empty_table_with_its_columns(place: Place) -> None:
    place.write("plain.txt", "nobody is here\n")
    said = place.call(
        "extract_entities", skill="people", path="plain.txt", types=["PER"], save_as="none.csv"
    )
    assert "0 entities in plain.txt" in said
    assert pl.read_csv(place.folder / "none.csv").columns == ["type", "text", "line", "score"]


def test_a_skill_of_the_wrong_kind_names_the_right_tool(place: Place) -> None:
    with pytest.raises(ToolRetry, match="use extract_entities"):
        place.call("classify_text", skill="people", text="Ada")
    with pytest.raises(ToolRetry, match="use classify_text"):
        place.call("extract_entities", skill="mood", path="letter.txt", types=["good"])
    with pytest.raises(ToolRetry, match="knows no 'ORG'; it finds LOC, PER"):
        place.call("extract_entities", skill="people", path="letter.txt", types=["ORG"])


def test_an_unknown_skill_and_a_changed_one_fail_with_the_way_out(
    place: Place, tmp_path: Path
) -> None:
    with pytest.raises(ToolFailed, match="there is no skill `moot`; there are mood, people"):
        place.call("classify_text", skill="moot", text="fine")
    folder = place.shelf.get("mood").folder
    learned = folder / "learned.json"
    before = learned.read_bytes()
    learned.write_bytes(before.replace(b"fine", b"fime"))
    try:
        fresh = ToolContext(Workspace(place.folder), skills=SkillShelf(place.home))
        tools = {tool.name: tool for tool in skills.get_tools(fresh)}
        with pytest.raises(ToolFailed, match="skills rollback mood"):
            tools["classify_text"].invoke({"skill": "mood", "text": "fine"})
    finally:
        learned.write_bytes(before)


def test_arguments_are_skills_and_labels_that_exist(place: Place) -> None:
    workspace = place.context.workspace
    place.write("letter.txt", "Dear Ada\n")
    world = WorkspaceWorld(
        workspace,
        place.context.tables,
        pages_of(workspace).count,
        RunResults(),
        skills=place.shelf,
    )
    found = {name: ground(arguments_schema(tool), world) for name, tool in place.tools.items()}
    text = json.dumps(found["apply_skill"])
    assert '"enum": ["mood", "people"]' in text
    assert '"enum": ["mood"]' in json.dumps(found["classify_text"])
    entities = json.dumps(found["extract_entities"])
    assert '"enum": ["people"]' in entities
    assert '"enum": ["LOC", "PER"]' in entities


def test_a_new_version_is_used_at_once(place: Place) -> None:
    before = place.shelf.state()
    version = place.shelf.get("mood").version
    place._register("mood", "classification", place.home / "reviews.csv")
    assert place.shelf.state() != before
    assert place.shelf.get("mood").version == version + 1


def test_figures_are_those_of_the_version_in_use(place: Place) -> None:
    assert place.shelf.figure("mood", "accuracy", "test") == 1.0
    assert place.shelf.figure("people", "entity_f1", "dev") == 1.0
    for name, metric, split, why in (
        ("mood", "entity_f1", "test", "has no figure 'entity_f1'; it has accuracy"),
        ("moot", "accuracy", "test", "there is no skill"),
        ("mood", "accuracy", "train", "was not measured on train"),
    ):
        with pytest.raises(Exception, match=why):
            place.shelf.figure(name, metric, split)


def test_without_skills_there_are_no_tools(tmp_path: Path) -> None:
    assert skills.get_tools(ToolContext(Workspace(tmp_path))) == []
