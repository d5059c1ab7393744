"""What every tuned method on a language model must do; the known bugs of such methods among it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

from models.errors import OutOfMemory
from tests.models.tiny import publish
from tests.tools.tuning.methods.tiny_task import SEVERAL, TASK, TEXTS, bench, labels, rows, table
from tools.tuning.design import TEMPLATES
from tools.tuning.errors import BudgetSpent, MethodUnsuitable, SkillError, Stopped
from tools.tuning.examples import TextExample, TextInput, inputs_of
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.methods.full import Full
from tools.tuning.methods.kv_prefix import KVPrefix
from tools.tuning.methods.label_tuning import LabelTuning
from tools.tuning.methods.lora import Lora
from tools.tuning.methods.soft_prompt import SoftPrompt
from tools.tuning.methods.tuned_rows import Rows
from tools.tuning.task import Task

Case = tuple[type[LabelTuning], dict[str, Any]]
CASES: dict[str, Case] = {
    "soft_prompt front": (SoftPrompt, {"placement": "front", "lr": 0.3}),
    "soft_prompt suffix": (SoftPrompt, {"placement": "suffix", "lr": 0.2}),
    "kv_prefix front": (KVPrefix, {"placement": "front", "lr": 0.1}),
    "kv_prefix suffix": (KVPrefix, {"placement": "suffix", "lr": 0.1}),
    "lora": (Lora, {"lr": 1e-2}),
    "full": (Full, {"lr": 1e-3}),
}
FOUR = rows(dict(list(TEXTS.items())[:4]))
INPUTS = [example.input for example in rows()]


@dataclass(frozen=True)
class Tuned:
    """A method after a few steps, and the folder that it was saved in."""

    method: LabelTuning
    at: Bench
    folder: Path


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    at = bench(folder)
    method = fit(request.param, at, steps=12)
    method.save(folder / "skill")
    return Tuned(method, at, folder / "skill")


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def fit(case: Case, at: Bench, *, steps: int = 4, **settings: Any) -> LabelTuning:
    kind, own = case
    shared = {"steps": steps, "epochs": 99, "batch": 4, "evaluate_every": 99}
    method = kind(TASK, {**own, **shared, **settings})
    method.fit(rows(), [], at)
    return method


def scores_of(method: LabelTuning, texts: Sequence[TextInput]) -> torch.Tensor:
    """[texts, labels]: before softmax, which hides differences once the answers are sure."""
    return method.all_scores(method.prepare(texts, once=True))


def test_four_rows_are_learned_by_heart_in_less_than_sixty_steps(
    case: Case, tmp_path: Path
) -> None:
    kind, own = case
    shared = {"steps": 32, "epochs": 99, "batch": 4, "evaluate_every": 99}
    method = kind(TASK, {**own, **shared})
    method.fit(FOUR, [], bench(tmp_path))
    assert labels(method.predict(inputs_of(FOUR))) == [example.labels for example in FOUR]


def test_loading_brings_the_answers_back_to_the_bit(tuned: Tuned) -> None:
    again = type(tuned.method).load(tuned.folder, tuned.at)
    assert (table(again.predict(INPUTS)) == table(tuned.method.predict(INPUTS))).all()
    assert torch.equal(scores_of(again, INPUTS), scores_of(tuned.method, INPUTS))
    files = {path.suffix for path in tuned.folder.rglob("*") if path.is_file()}
    assert files <= {".json", ".safetensors", ".jinja"}


def test_tuning_changes_the_answers(tuned: Tuned) -> None:
    kind = type(tuned.method)
    assert tuned.method.trained is not None
    untuned = fit((kind, dict(tuned.method.settings)), tuned.at, steps=1, lr=1e-12)
    difference = table(untuned.predict(INPUTS)) - table(tuned.method.predict(INPUTS))
    assert abs(difference).max() > 1e-3


def test_a_text_is_answered_the_same_alone_and_among_others(tuned: Tuned) -> None:
    texts = [*INPUTS, TextInput("the fox " * 30), TextInput("")]
    alone = torch.cat([scores_of(tuned.method, [text]) for text in texts])
    torch.testing.assert_close(scores_of(tuned.method, texts), alone, atol=1e-4, rtol=1e-5)


def test_texts_that_do_not_fit_the_memory_are_read_in_halves(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, most = tuned.method, 2
    ready = method.prepare(INPUTS, once=True)
    wanted = method.all_scores(ready)
    read = method.read

    def scarce(given: Rows, places: Sequence[int]) -> torch.Tensor:
        if len(places) > most:
            raise MemoryError
        return read(given, places)

    monkeypatch.setattr(method, "read", scarce)
    torch.testing.assert_close(method.all_scores(ready), wanted, atol=1e-4, rtol=0)
    most = 0
    with pytest.raises(OutOfMemory):
        method.all_scores(ready)


def test_a_job_that_ran_out_of_memory_reads_smaller_batches(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = fit(case, bench(tmp_path, batch_halvings=3), steps=1)
    sizes: list[int] = []
    scores = method.scores

    def counted(given: Rows, places: Sequence[int]) -> torch.Tensor:
        sizes.append(len(places))
        return scores(given, places)

    monkeypatch.setattr(method, "scores", counted)
    method.predict([TextInput(f"film {i}") for i in range(20)])
    assert (sum(sizes), max(sizes)) == (20, 8)


def test_the_gradient_reaches_what_is_trained_and_nothing_else(case: Case, tmp_path: Path) -> None:
    method = fit(case, bench(tmp_path), steps=1)
    ready = method.prepare([example.input for example in rows()])
    method.mode(training=True)
    method.scores(ready, [0, 1, 2]).logsumexp(-1).sum().backward()  # type: ignore[no-untyped-call]
    mine = method.weights()
    assert all(weight.grad is not None for weight in mine.values())
    assert any(bool((weight.grad != 0).any()) for weight in mine.values())  # type: ignore[union-attr]
    own = {id(weight) for weight in mine.values()}
    model = method.opened.reader.model
    assert all(weight.grad is None for weight in model.parameters() if id(weight) not in own)


def test_a_fit_that_is_stopped_and_resumed_ends_as_one_that_was_not(
    case: Case, tmp_path: Path
) -> None:
    whole = fit(case, bench(tmp_path), steps=5)
    seen: list[int] = []

    def note(progress: Progress) -> None:
        seen.append(progress.step if progress.stage == "tune" else 0)

    half = bench(tmp_path, checkpoints=tmp_path / "state", on_progress=note)
    half.cancelled = lambda: max(seen, default=0) >= 3
    with pytest.raises(Stopped):
        fit(case, half, steps=5)
    assert max(seen) == 3
    resumed = fit(case, bench(tmp_path, checkpoints=tmp_path / "state"), steps=5)
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name


def test_a_skill_is_refused_by_another_base_model(tuned: Tuned, tmp_path: Path) -> None:
    if isinstance(tuned.method, Full):
        return  # brings its own model
    with pytest.raises(SkillError, match="made for the weights"):
        type(tuned.method).load(tuned.folder, bench(tmp_path, seed=1))


def test_a_skill_is_refused_by_another_tokenizer(tuned: Tuned, tmp_path: Path) -> None:
    folder, base = tmp_path / "skill", tmp_path / "base"
    copytree(tuned.folder, folder)
    copytree(tuned.at.base or "", base)
    changed = folder / "model" if isinstance(tuned.method, Full) else base
    file = changed / "tokenizer.json"
    file.write_text(_other_ids(file.read_text("utf-8")), "utf-8")
    with pytest.raises(SkillError, match="tokenizer"):
        type(tuned.method).load(folder, replace(tuned.at, base=str(base)))


def _other_ids(text: str) -> str:
    """The tokenizer's file with the ids of some letters exchanged."""
    import json

    stored = json.loads(text)
    words = stored["model"]["vocab"]
    tokens = [token for token in words if len(token) <= 2]
    for token, number in zip(tokens, [words[token] for token in reversed(tokens)], strict=True):
        words[token] = number
    stored["model"]["merges"] = []
    return json.dumps(stored)


def test_weights_that_are_gone_broken_or_of_another_shape_are_refused(
    tuned: Tuned, tmp_path: Path
) -> None:
    folder = tmp_path / "skill"
    copytree(tuned.folder, folder)
    [weights] = folder.rglob("*.safetensors")
    whole = weights.read_bytes()
    for broken in (b"", whole[:-40], b"\x80\x04pickle" + whole):
        weights.write_bytes(broken)
        with pytest.raises(SkillError):
            type(tuned.method).load(folder, tuned.at)
    weights.unlink()
    with pytest.raises(SkillError):
        type(tuned.method).load(folder, tuned.at)


@pytest.mark.parametrize("name", ["kv_prefix suffix", "lora"])
def test_held_out_rows_decide_what_is_kept(name: str, tmp_path: Path) -> None:
    """Trained on labels that are wrong for dev, the first state is the better one."""
    kind, own = CASES[name]
    wrong = rows(dict(zip(TEXTS, ["bad", "bad", "good", "good", "bad", "bad"], strict=True)))
    notes: list[Progress] = []
    method = kind(TASK, {**own, "steps": 20, "epochs": 99, "evaluate_every": 10, "patience": 1})
    method.fit(wrong, rows(), bench(tmp_path, on_progress=notes.append))
    first = next(progress for progress in notes if "to begin from" in progress.note)
    found = method.measure(rows())
    assert first.loss is not None
    assert found.loss <= first.loss + 1e-5


@pytest.mark.parametrize("name", ["kv_prefix front", "full"])
def test_several_labels_are_learned_each_for_itself(name: str, tmp_path: Path) -> None:
    kind, own = CASES[name]
    texts: dict[str, tuple[str, ...]] = {
        "a song": ("music",),
        "a song at a match": ("music", "sport"),
        "rain": (),
        "tea": ("food",),
    }
    given = [TextExample(TextInput(t), found, i) for i, (t, found) in enumerate(texts.items(), 1)]
    method = kind(SEVERAL, {**own, "steps": 59, "epochs": 99, "batch": 4, "evaluate_every": 99})
    method.fit(given, [], bench(tmp_path))
    found = method.predict(inputs_of(given))
    assert labels(found) == [example.labels for example in given]
    assert table(found).shape == (4, 3)


def test_the_template_whose_first_state_does_best_is_taken_and_kept(tmp_path: Path) -> None:
    notes: list[Progress] = []
    at = bench(tmp_path, on_progress=notes.append)
    method = fit(CASES["kv_prefix suffix"], at, steps=1)
    tried = {note.note: note.loss for note in notes if note.stage == "design" and note.steps}
    assert set(tried) == set(TEMPLATES)
    assert method.design.template == min(tried, key=lambda name: tried[name] or 0)
    method.save(tmp_path / "skill")
    assert KVPrefix.load(tmp_path / "skill", at).design == method.design
    other = next(name for name in TEMPLATES if name != method.design.template)
    asked = fit(CASES["kv_prefix suffix"], at, steps=1, template=other)
    assert asked.design.template == other


def test_the_time_is_kept_to(tmp_path: Path) -> None:
    with pytest.raises(BudgetSpent):
        fit(CASES["lora"], bench(tmp_path, deadline=0.0))


def test_a_rate_that_is_far_too_high_leaves_the_first_state(tmp_path: Path) -> None:
    notes: list[str] = []
    at = bench(tmp_path, on_progress=lambda progress: notes.append(progress.note))
    method = fit(CASES["soft_prompt suffix"], at, steps=9, lr=1e30)
    assert any("the first state is the better one" in note for note in notes)
    assert table(method.predict(INPUTS)).sum(1) == pytest.approx(1)


def test_a_loss_that_does_not_fall_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    notes: list[str] = []
    at = bench(tmp_path, on_progress=lambda progress: notes.append(progress.note))
    with pytest.raises(MethodUnsuitable, match="three times the rate"):
        fit(CASES["soft_prompt suffix"], at, steps=120, lr=1e-9, evaluate_every=20)
    assert sum("again with three times the rate" in note for note in notes) == 1


def test_a_fit_can_begin_from_a_skill(tuned: Tuned) -> None:
    at = replace(tuned.at, start=tuned.folder)
    warm = fit((type(tuned.method), dict(tuned.method.settings)), at, steps=1, lr=1e-12)
    assert table(warm.predict(INPUTS)) == pytest.approx(
        table(tuned.method.predict(INPUTS)), abs=1e-3
    )


@pytest.mark.parametrize("name", ["soft_prompt suffix", "kv_prefix front", "lora", "full"])
def test_a_start_that_does_not_fit_is_said_and_nothing_breaks(name: str, tmp_path: Path) -> None:
    notes: list[str] = []
    at = bench(tmp_path, start=tmp_path, on_progress=lambda p: notes.append(p.note))
    fit(CASES[name], at, steps=1)
    assert any("begins anew" in note for note in notes)


def test_wrong_settings_and_tasks_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="placement is one of"):
        SoftPrompt(TASK, {"placement": "middle"})
    with pytest.raises(ValueError, match="quant"):
        Lora(TASK, {"quant": "8bit"})
    with pytest.raises(ValueError, match="knows no setting 'rate'"):
        Full(TASK, {"rate": 1})
    for kind, _ in CASES.values():
        assert "encoder" in str(kind.unsuitable(Task("ner", ("PER",)), 100))
        assert kind.unsuitable(TASK, 10) is None
        assert kind(TASK).cost(100, 30, bench(tmp_path)).seconds > 0
    with pytest.raises(MethodUnsuitable, match="labelled rows"):
        SoftPrompt(TASK).fit([], [], bench(tmp_path))


@pytest.mark.parametrize("kind", ["lfm2", "qwen3_next"])
def test_layers_that_keep_no_keys_are_tuned_by_what_needs_none(kind: str, tmp_path: Path) -> None:
    publish(tmp_path, kind)
    at = bench(tmp_path, kind)
    fit(CASES["soft_prompt front"], at, steps=2)
    fit(CASES["lora"], at, steps=2)
    for name in ("soft_prompt suffix", "kv_prefix front", "kv_prefix suffix"):
        with pytest.raises(MethodUnsuitable, match="lora"):
            fit(CASES[name], at, steps=2)
