"""zero_shot and few_shot on tiny models: what they choose, keep, show and refuse."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.models.tiny_encoder import write_encoder
from tests.tools.tuning.methods.tiny_task import SEVERAL, TASK, TEXTS, bench, labels, rows, table
from tools.tuning.design import TEMPLATES
from tools.tuning.errors import BudgetSpent, MethodUnsuitable, SkillError
from tools.tuning.examples import TextExample, TextInput, inputs_of
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.methods.few_shot import FewShot
from tools.tuning.methods.label_scoring import LabelScorer
from tools.tuning.methods.zero_shot import ZeroShot
from tools.tuning.task import Task

INPUTS = inputs_of(rows())


@pytest.fixture
def at(tmp_path: Path) -> Bench:
    return bench(tmp_path)


@pytest.fixture
def few(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "encoder").mkdir()
    return {"encoder": str(write_encoder(tmp_path / "encoder"))}


def test_zero_shot_tries_every_design_and_keeps_the_best(at: Bench) -> None:
    notes: list[Progress] = []
    method = ZeroShot(TASK)
    method.fit(rows(), [], replace(at, on_progress=notes.append))
    assert len(notes) == 5
    assert {note.note.partition("/")[0] for note in notes} == set(TEMPLATES)
    assert method.design is not None
    best = max(notes, key=lambda note: (note.score or 0, -(note.loss or 0)))
    assert best.note == f"{method.design.name}, calibration {method.calibration}"
    assert table(method.predict(INPUTS)).sum(1) == pytest.approx(1)


def test_zero_shot_chooses_on_dev_where_there_is_one(at: Bench) -> None:
    """Labels that are turned round on dev make another choice than those of train."""
    swap = {"good": "bad", "bad": "so so", "so so": "good"}
    turned = rows({text: swap[label] for text, label in TEXTS.items()})
    one, two = ZeroShot(TASK), ZeroShot(TASK)
    one.fit(rows(), [], at)
    two.fit(rows(), turned, at)
    assert (table(one.predict(INPUTS)) != table(two.predict(INPUTS))).any()


def test_zero_shot_loads_as_it_was_saved(at: Bench, tmp_path: Path) -> None:
    method = ZeroShot(TASK)
    method.fit(rows(), [], at)
    method.save(tmp_path / "skill")
    again = ZeroShot.load(tmp_path / "skill", at)
    assert (table(again.predict(INPUTS)) == table(method.predict(INPUTS))).all()
    with pytest.raises(SkillError, match="made for the weights"):
        ZeroShot.load(tmp_path / "skill", bench(tmp_path, seed=1))
    (tmp_path / "skill" / "prompt.json").write_text("[]")
    with pytest.raises(SkillError, match="broken"):
        ZeroShot.load(tmp_path / "skill", at)


@pytest.mark.parametrize("calibration", ["none", "contextual", "pmi", "prior"])
def test_each_calibration_can_be_asked_for(calibration: str, at: Bench) -> None:
    asked = {"template": "label", "verbalizer": "names", "calibration": calibration}
    method = ZeroShot(TASK, asked)
    method.fit(rows(), [], at)
    assert method.calibration == calibration


def test_a_calibration_moves_the_scores(at: Bench) -> None:
    found = []
    for calibration in ("none", "contextual", "pmi", "prior"):
        method = ZeroShot(
            TASK, {"template": "label", "verbalizer": "names", "calibration": calibration}
        )
        method.fit(rows(), [], at)
        found.append(table(method.predict(INPUTS)).tolist())
    assert all(found[i] != found[j] for i in range(4) for j in range(i))


def test_a_job_that_ran_out_of_memory_is_asked_in_smaller_batches(
    at: Bench, few: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    batch = LabelScorer._batch

    def counted(scorer: LabelScorer, some: Sequence[Sequence[int]]) -> torch.Tensor:
        sizes.append(len(some))
        return batch(scorer, some)

    monkeypatch.setattr(LabelScorer, "_batch", counted)
    many = [TextInput(f"film {i}") for i in range(40)]
    both: list[ZeroShot | FewShot] = [
        ZeroShot(TASK, {"template": "label", "verbalizer": "names"}),
        FewShot(TASK, {**few, "template": "label", "longest": 40}),
    ]
    for method in both:
        method.fit(rows(), [], replace(at, batch_halvings=3))
        sizes.clear()
        method.predict(many)
        assert sum(sizes) == 40
        assert max(sizes) == 8


def test_the_time_is_kept_to_and_what_was_found_is_kept(at: Bench) -> None:
    with pytest.raises(BudgetSpent):
        ZeroShot(TASK).fit(rows(), [], replace(at, deadline=0.0))
    notes: list[Progress] = []
    late = replace(at, on_progress=notes.append)

    def stop_after_two(progress: Progress) -> None:
        notes.append(progress)
        if len(notes) == 2:
            late.deadline = 0.0

    late.on_progress = stop_after_two
    method = ZeroShot(TASK)
    method.fit(rows(), [], late)
    assert notes[-1].note == "the time is over; the best so far"
    assert method.predict(INPUTS)


def test_several_labels_and_pairs_are_asked_for_too(at: Bench, few: dict[str, object]) -> None:
    given = [
        TextExample(TextInput("a song"), ("music",), 1),
        TextExample(TextInput("rain"), (), 2),
        TextExample(TextInput("a match with songs"), ("music", "sport"), 3),
    ]
    several: list[ZeroShot | FewShot] = [ZeroShot(SEVERAL), FewShot(SEVERAL, few)]
    for method in several:
        method.fit(given, [], at)
        assert table(method.predict(inputs_of(given))).shape == (3, 3)
    task = Task("classification", ("no", "yes"), pairs=True)
    pairs = [
        TextExample(TextInput("it rains", "the street is wet"), ("yes",), 1),
        TextExample(TextInput("it rains", "the sun shines"), ("no",), 2),
    ]
    both: list[ZeroShot | FewShot] = [ZeroShot(task), FewShot(task, few)]
    for method in both:
        method.fit(pairs, [], at)
        first, second = table(method.predict(inputs_of(pairs)))
        assert (first != second).any(), "the second text is not read"


def test_few_shot_shows_the_nearest_example_last(at: Bench, few: dict[str, object]) -> None:
    method = FewShot(TASK, {**few, "examples": 3, "template": "label"})
    method.fit(rows(), [], at)
    text = method.opened.tokenizer.decode(method.prompt(TextInput("dull and long")))
    shown = [text.index(row) for row in ("a fine film", "dull and long") if row in text]
    assert text.endswith("Text: dull and long\nLabel:")
    assert text.index("Text: dull and long\nLabel: bad") == max(
        text.index(f"Text: {row}\nLabel: ") for row in TEXTS if f"Text: {row}\nLabel: " in text
    )
    assert shown
    assert all(f"Label: {label}" in text for label in TASK.labels), "each class is among them"


def test_few_shot_takes_the_template_that_does_best(at: Bench, few: dict[str, object]) -> None:
    notes: list[Progress] = []
    method = FewShot(TASK, few)
    method.fit(rows(), [], replace(at, on_progress=notes.append))
    tried = [note for note in notes if note.stage == "select"]
    assert [note.note.partition("/")[0] for note in tried] == list(TEMPLATES)
    best = max(tried, key=lambda note: (note.score or 0, -(note.loss or 0)))
    assert best.note == f"{method.design.name}, calibration {method.calibration}"


def test_few_shot_leaves_out_what_has_no_room(at: Bench, few: dict[str, object]) -> None:
    method = FewShot(TASK, {**few, "examples": 6, "longest": 60, "template": "label"})
    method.fit(rows(), [], at)
    ids = method.prompt(TextInput("the fox jumps " * 40))
    assert len(ids) <= 60
    assert method.opened.tokenizer.decode(ids).endswith("\nLabel:")


def test_few_shot_loads_as_it_was_saved(at: Bench, few: dict[str, object], tmp_path: Path) -> None:
    method = FewShot(TASK, few)
    method.fit(rows(), [], at)
    method.save(tmp_path / "skill")
    again = FewShot.load(tmp_path / "skill", at)
    assert (table(again.predict(INPUTS)) == table(method.predict(INPUTS))).all()
    assert labels(again.predict([])) == []
    about = json.loads((tmp_path / "skill" / "method.json").read_text("utf-8"))
    assert about["base"]["encoder"]["dimension"] == 32
    write_encoder(tmp_path / "encoder", seed=5)
    with pytest.raises(SkillError, match="another encoder"):
        FewShot.load(tmp_path / "skill", at)
    (tmp_path / "skill" / "vectors.safetensors").write_bytes(b"no tensors")
    with pytest.raises(SkillError, match="broken"):
        FewShot.load(tmp_path / "skill", at)


def without(name: str) -> dict[str, object]:
    return {name: None}


def spoiled(folder: Path, file: str, changes: dict[str, object]) -> None:
    """Other facts in the file; those that are None are left out."""
    path = folder / file
    about = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in about.items() if v is not None}), "utf-8")


SPOILED: dict[str, dict[str, object]] = {
    "no template": without("template"),
    "an unknown template": {"template": "poem"},
    "a template that is none": {"template": ["label"]},
    "no calibration": without("calibration"),
    "no offsets": without("offsets"),
    "too few offsets": {"offsets": [0.0]},
    "offsets that are words": {"offsets": ["a", "b", "c"]},
    "one offset": {"offsets": 0.5},
}


@pytest.mark.parametrize("changes", [*SPOILED.values(), without("verbalizer")])
def test_a_prompt_of_a_skill_that_is_broken_is_said_in_one_line(
    changes: dict[str, object], at: Bench, tmp_path: Path
) -> None:
    method = ZeroShot(TASK, {"template": "label", "verbalizer": "names", "calibration": "none"})
    method.fit(rows(), [], at)
    method.save(tmp_path / "skill")
    spoiled(tmp_path / "skill", "prompt.json", changes)
    with pytest.raises(SkillError) as error:
        ZeroShot.load(tmp_path / "skill", at)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        *SPOILED.values(),
        without("examples"),
        {"examples": []},
        {"examples": [["a film", "", ["good"], 1]]},
        {"examples": [[f"film {i}", "", ["great"], i] for i in range(6)]},
        {"examples": [[i, "", ["good"], i] for i in range(6)]},
    ],
)
def test_examples_of_a_skill_that_are_broken_are_said_in_one_line(
    changes: dict[str, object], at: Bench, few: dict[str, object], tmp_path: Path
) -> None:
    method = FewShot(TASK, {**few, "template": "label"})
    method.fit(rows(), [], at)
    method.save(tmp_path / "skill")
    spoiled(tmp_path / "skill", "examples.json", changes)
    with pytest.raises(SkillError) as error:
        FewShot.load(tmp_path / "skill", at)
    assert "\n" not in str(error.value)


def test_what_cannot_be_labelled_is_said(at: Bench) -> None:
    assert "encoder" in str(ZeroShot.unsuitable(Task("ner", ("PER",)), 100))
    with pytest.raises(MethodUnsuitable, match="labelled rows"):
        ZeroShot(TASK).fit([], [], at)
    with pytest.raises(MethodUnsuitable, match="labelled examples"):
        FewShot(TASK).fit([], [], at)
    with pytest.raises(ValueError, match="template is one of auto, label, .* not 'poem'"):
        ZeroShot(TASK, {"template": "poem"})
    many = Task("classification", tuple(f"a label with a long name {i}" for i in range(400)))
    given = [TextExample(TextInput("x"), (many.labels[0],), 1)]
    with pytest.raises(MethodUnsuitable, match="fill the window"):
        ZeroShot(many, {"template": "label"}).fit(given, [], at)
