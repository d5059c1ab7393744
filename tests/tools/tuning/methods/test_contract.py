"""What every method on an encoder, and every control, must do: one list of promises for all."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.tiny_encoder import write_encoder
from tests.tools.tuning.methods.problems import CLASSES, PROBLEMS, TAGS, classes, tags
from tools.tuning.errors import MethodUnsuitable, SkillError, Stopped
from tools.tuning.examples import (
    ClassPrediction,
    Example,
    Input,
    Prediction,
    TagPrediction,
    TextExample,
    TextInput,
    TokenInput,
    inputs_of,
)
from tools.tuning.method_catalogue import method_class
from tools.tuning.methods.base import Bench, Method, Progress
from tools.tuning.methods.labels import tag_examples, text_examples
from tools.tuning.tagging import legal

QUICK = {
    "majority": {},
    "nearest": {},
    "linear_head": {},
    "contrastive": {"steps": 12, "lr": 1e-3},
    "encoder": {"epochs": 12, "lr": 3e-3, "batch": 8},
    "encoder_lora": {"epochs": 12, "lr": 1e-2, "batch": 8},
}
"""Settings under which a tiny random encoder learns in a second."""
ONE_EPOCH = {"epochs": 1}
CASES = [
    (name, problem)
    for name in QUICK
    for problem in PROBLEMS
    if not (name == "contrastive" and problem == "tags")
]
STRANGE_TEXTS = [
    "",
    " ",
    "\0",
    "\ud800",
    "x" * 3_000,
    "word " * 2_000,
    "你好，世界",
    "👩‍👩‍👧‍👦",
    "a\u200bb\r\n\tc",
]


def fitted(name: str, problem: str, bench: Bench) -> tuple[Method, list[Example]]:
    task, make = PROBLEMS[problem]
    method = method_class(name)(task, QUICK[name])
    method.fit(make(32), make(8, seed=1), bench)
    return method, make(12, seed=2)


@pytest.fixture(scope="session")
def skills(
    tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], tuple[Method, Path]]:
    """A fitted method by its name and problem, and the folder that it was saved in."""
    bench = Bench(tmp_path_factory.mktemp("skills-home"), base=str(tiny_folder), device="cpu")
    made: dict[tuple[str, str], tuple[Method, Path]] = {}

    def skill(name: str, problem: str) -> tuple[Method, Path]:
        if (name, problem) not in made:
            method, _ = fitted(name, problem, bench)
            folder = tmp_path_factory.mktemp("skills") / name
            method.save(folder)
            made[name, problem] = method, folder
        return made[name, problem]

    return skill


Skills = Callable[[str, str], tuple[Method, Path]]


def distance(some: list[Prediction], others: list[Prediction]) -> float:
    """The largest difference of any probability; the answers must be the same."""
    worst = 0.0
    for one, other in zip(some, others, strict=True):
        if isinstance(one, ClassPrediction) and isinstance(other, ClassPrediction):
            assert one.labels == other.labels
            pairs = zip(one.probabilities, other.probabilities, strict=True)
        else:
            assert isinstance(one, TagPrediction)
            assert isinstance(other, TagPrediction)
            assert one.tags == other.tags
            pairs = zip(one.scores, other.scores, strict=True)
        worst = max([worst, *(abs(a - b) for a, b in pairs)])
    return worst


@pytest.mark.parametrize(("name", "problem"), CASES)
def test_fits_predicts_saves_and_loads(
    name: str, problem: str, tiny_bench: Bench, skills: Skills
) -> None:
    method, folder = skills(name, problem)
    inputs = inputs_of(PROBLEMS[problem][1](12, seed=2))
    predictions = method.predict(inputs)
    assert len(predictions) == len(inputs)
    check_shape(method, inputs, predictions)

    one_by_one = [method.predict([given])[0] for given in inputs]
    assert distance(predictions, one_by_one) < 1e-5

    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}
    again = type(method).load(folder, tiny_bench)
    assert type(again) is type(method)
    assert again.settings == method.settings
    assert distance(again.predict(inputs), predictions) < 1e-6
    assert again.base_facts() == method.base_facts()


def check_shape(method: Method, inputs: list[Input], predictions: list[Prediction]) -> None:
    for given, said in zip(inputs, predictions, strict=True):
        if isinstance(said, TagPrediction):
            assert isinstance(given, TokenInput)
            assert len(said.tags) == len(said.scores) == len(given.tokens)
            assert legal(said.tags)
            assert all(0 <= score <= 1 for score in said.scores)
            continue
        assert len(said.probabilities) == len(method.task.labels)
        assert all(0 <= p <= 1 for p in said.probabilities)
        if method.task.multi_label:
            sure = [p > 0.5 for p in said.probabilities]
            assert said.labels == tuple(
                label for label, is_sure in zip(method.task.labels, sure, strict=True) if is_sure
            )
        else:
            assert sum(said.probabilities) == pytest.approx(1)
            assert said.labels == (method.task.labels[int(np.argmax(said.probabilities))],)


@pytest.mark.parametrize("name", QUICK)
def test_takes_any_text(name: str, skills: Skills) -> None:
    method, _ = skills(name, "classes")
    inputs: list[Input] = [TextInput(text) for text in STRANGE_TEXTS]
    check_shape(method, inputs, method.predict(inputs))
    assert method.predict([]) == []


@pytest.mark.parametrize("name", [name for name in QUICK if name != "contrastive"])
def test_takes_any_words(name: str, skills: Skills) -> None:
    method, _ = skills(name, "tags")
    inputs: list[Input] = [
        TokenInput(tuple(STRANGE_TEXTS)),
        TokenInput(("Anna", "went", "to", "Berlin", ".") * 60),
        TokenInput(()),
        TokenInput(("Anna",)),
    ]
    check_shape(method, inputs, method.predict(inputs))


@pytest.mark.parametrize(
    "name", ["nearest", "linear_head", "contrastive", "encoder", "encoder_lora"]
)
def test_one_label_is_nothing_to_learn(name: str, tiny_bench: Bench) -> None:
    one_label: list[Example] = [
        example for example in text_examples(classes(30)) if example.labels == ("bad",)
    ]
    with pytest.raises(MethodUnsuitable, match="two labels.*'bad'"):
        method_class(name)(CLASSES).fit(one_label, [], tiny_bench)


@pytest.mark.parametrize("name", QUICK)
def test_no_examples_are_refused(name: str, tiny_bench: Bench) -> None:
    with pytest.raises(MethodUnsuitable, match="there are none"):
        method_class(name)(CLASSES).fit([], [], tiny_bench)


@pytest.mark.parametrize("name", QUICK)
def test_a_label_without_an_example_can_be_in_the_task(name: str, tiny_bench: Bench) -> None:
    some: list[Example] = [
        example for example in text_examples(classes(30)) if example.labels != ("odd",)
    ]
    method = method_class(name)(CLASSES, QUICK[name])
    method.fit(some, [], tiny_bench)
    said = method.predict(inputs_of(some))
    assert all(isinstance(one, ClassPrediction) and one.labels != ("odd",) for one in said)


@pytest.mark.parametrize("name", QUICK)
def test_one_example_a_label_is_enough(name: str, tiny_bench: Bench) -> None:
    method = method_class(name)(CLASSES, QUICK[name])
    method.fit(classes(3), [], tiny_bench)
    check_shape(method, inputs_of(classes(5)), method.predict(inputs_of(classes(5))))


@pytest.mark.parametrize("name", QUICK)
def test_a_stopped_fit_stops(name: str, tiny_bench: Bench) -> None:
    with pytest.raises(Stopped):
        fitted(name, "classes", replace(tiny_bench, cancelled=lambda: True))


@pytest.mark.parametrize("name", ["contrastive", "encoder", "encoder_lora"])
def test_a_resumed_fit_equals_an_uninterrupted_one(
    name: str, tiny_bench: Bench, tmp_path: Path
) -> None:
    whole, test = fitted(name, "classes", tiny_bench)
    looks = iter(range(1_000))
    bench = replace(tiny_bench, checkpoints=tmp_path / "state")
    with pytest.raises(Stopped):
        fitted(name, "classes", replace(bench, cancelled=lambda: next(looks) > 7))
    told: list[Progress] = []
    resumed, _ = fitted(name, "classes", replace(bench, on_progress=told.append))
    assert any("goes on after step" in one.note for one in told)
    assert resumed.predict(inputs_of(test)) == whole.predict(inputs_of(test))


@pytest.mark.parametrize("name", ["nearest", "linear_head", "encoder_lora"])
@pytest.mark.parametrize("problem", ["classes", "tags"])
def test_another_encoder_or_tokenizer_is_refused(
    name: str, problem: str, tiny_bench: Bench, tmp_path: Path, skills: Skills
) -> None:
    method, folder = skills(name, problem)
    shutil.copytree(folder, tmp_path / "skill")
    other = write_encoder(tmp_path / "other", window=64, seed=1)
    with pytest.raises(SkillError, match="made for the weights"):
        type(method).load(tmp_path / "skill", replace(tiny_bench, base=str(other)))
    with pytest.raises(SkillError, match="needs the encoder"):
        type(method).load(tmp_path / "skill", replace(tiny_bench, base=str(tmp_path / "nowhere")))
    path = tmp_path / "skill" / "method.json"
    about = json.loads(path.read_text())
    about["base"]["tokenizer_digest"] = "0" * 64
    path.write_text(json.dumps(about))
    with pytest.raises(SkillError, match="made for the tokenizer 000000000000"):
        type(method).load(tmp_path / "skill", tiny_bench)


def nothing(path: Path) -> None:
    path.unlink()


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_numbers(path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    broken = {n: t * np.float32(np.nan) for n, t in tensors.items() if t.dtype == np.float32}
    save_file(tensors | broken, path)


def another_shape(path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    save_file({name: np.zeros((2, 3), np.float32) for name in tensors}, path)


def other_names(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"something": np.zeros(2, np.float32)}, path)


@pytest.mark.parametrize(
    "name", ["nearest", "linear_head", "contrastive", "encoder", "encoder_lora"]
)
@pytest.mark.parametrize("harm", [nothing, half, not_numbers, another_shape, other_names])
def test_a_broken_file_is_named(
    name: str, harm: Callable[[Path], None], tiny_bench: Bench, tmp_path: Path, skills: Skills
) -> None:
    method, whole = skills(name, "classes")
    for file in sorted(path.name for path in whole.glob("*.safetensors")):
        folder = tmp_path / file
        shutil.copytree(whole, folder)
        harm(folder / file)
        with pytest.raises(SkillError) as error:
            type(method).load(folder, tiny_bench)
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    "harm",
    [
        lambda about: about.pop("base"),
        lambda about: about.pop("task"),
        lambda about: about.pop("settings"),
        lambda about: about.update(base="minilm-l6"),
        lambda about: about.update(settings=[1]),
        lambda about: about.update(settings=dict.fromkeys(about["settings"], "many") | {"x": 1}),
        lambda about: about["task"].pop("labels"),
        lambda about: about["task"].update(colour="red"),
    ],
)
def test_broken_facts_are_an_error_of_the_skill_in_one_line(
    name: str,
    harm: Callable[[dict[str, Any]], object],
    tiny_bench: Bench,
    tmp_path: Path,
    skills: Skills,
) -> None:
    method, whole = skills(name, "classes")
    shutil.copytree(whole, tmp_path / "skill")
    path = tmp_path / "skill" / "method.json"
    about = json.loads(path.read_text())
    harm(about)
    path.write_text(json.dumps(about))
    with pytest.raises(SkillError, match=r"method\.json is broken: .") as error:
        type(method).load(tmp_path / "skill", tiny_bench)
    assert "\n" not in str(error.value)


def test_neighbours_of_another_encoder_are_refused_and_not_compared(
    tiny_bench: Bench, tmp_path: Path, skills: Skills
) -> None:
    from safetensors.numpy import load_file, save_file

    method, whole = skills("nearest", "classes")
    for part in ("vectors", "voters"):
        folder = tmp_path / part
        shutil.copytree(whole, folder)
        tensors = load_file(folder / "neighbours.safetensors")
        tensors[part] = tensors[part].reshape(-1, 1).repeat(7, axis=1)[: len(tensors["answers"])]
        save_file(tensors, folder / "neighbours.safetensors")
        with pytest.raises(SkillError, match="does not make|is broken"):
            type(method).load(folder, tiny_bench)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lr", "high", "a number from 0 on, not 'high'"),
        ("lr", float("nan"), "a number from 0 on, not 'nan'"),
        ("batch", 0, "a whole number from 1 on, not '0'"),
        ("batch", 8.5, "a whole number from 1 on"),
        ("batch", True, "a whole number from 1 on"),
        ("dropout", 1.5, "a number from 0 to 1"),
        ("shapes", 1, "true or false"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"encoder: {name} is {said}"):
        method_class("encoder")(CLASSES, {name: value})
    assert method_class("encoder")(CLASSES, {"patience": 0, "lr": 1, "epochs": 0}).settings["lr"]


@pytest.mark.parametrize("name", QUICK)
def test_says_what_it_costs_and_which_settings_are_worth_trying(
    name: str, tiny_bench: Bench
) -> None:
    kind = method_class(name)
    for changes in kind.grid(CLASSES, 100):
        kind(CLASSES, changes)
    method = kind(CLASSES)
    small, large = method.cost(100, 20, tiny_bench), method.cost(10_000, 20, tiny_bench)
    assert 0 < small.seconds < large.seconds
    assert large.bytes > 0
    with pytest.raises(ValueError, match="knows no setting 'colour'"):
        kind(CLASSES, {"colour": "red"})


@pytest.mark.parametrize("name", QUICK)
def test_says_which_kinds_it_serves(name: str) -> None:
    kind = method_class(name)
    assert kind.unsuitable(CLASSES, 10) is None
    assert (kind.unsuitable(TAGS, 10) is None) == (name != "contrastive")


@pytest.mark.parametrize("name", ["majority", "nearest", "linear_head", "encoder"])
def test_sentences_may_lack_entities(name: str, tiny_bench: Bench) -> None:
    without: list[Example] = [
        replace(example, tags=("O",) * len(example.tags)) for example in tag_examples(tags(6))
    ]
    method = method_class(name)(TAGS, {**QUICK[name], **(ONE_EPOCH if name == "encoder" else {})})
    if name == "linear_head":
        with pytest.raises(MethodUnsuitable, match="two labels"):
            method.fit(without, [], tiny_bench)
        return
    method.fit(without, [], tiny_bench)
    inputs = inputs_of(without)
    check_shape(method, inputs, method.predict(inputs))


def test_text_examples_keep_their_order(skills: Skills) -> None:
    method, _ = skills("linear_head", "classes")
    train = classes(32)
    said = method.predict(inputs_of(train))
    right = [
        isinstance(one, ClassPrediction)
        and isinstance(example, TextExample)
        and one.labels == example.labels
        for one, example in zip(said, train, strict=True)
    ]
    assert sum(right) >= 28
