"""Full fine-tuning: learns every kind of task, sees how words are written, loads elsewhere."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForTokenClassification

from models.errors import OutOfMemory
from tests.tools.tuning.methods.problems import CLASSES, PROBLEMS, TAGS, classes, tags
from tests.tools.tuning.methods.test_contract import distance
from tools.tuning.examples import Example, TagExample, TokenInput, inputs_of
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.methods.encoder import Encoder
from tools.tuning.methods.encoder_inputs import Row
from tools.tuning.methods.encoder_network import EncoderNetwork
from tools.tuning.tally import mean_score, tally
from tools.tuning.task import Task

QUICK = {"epochs": 15, "lr": 3e-3, "batch": 8}


@pytest.mark.parametrize(
    ("problem", "least"), [("classes", 0.95), ("several", 0.8), ("pairs", 0.8), ("tags", 0.95)]
)
def test_learns_every_kind_of_task(problem: str, least: float, tiny_bench: Bench) -> None:
    task, make = PROBLEMS[problem]
    method = Encoder(task, {**QUICK, "epochs": 40 if problem == "pairs" else 12})
    method.fit(make(48), make(16, seed=1), tiny_bench)
    test = make(40, seed=2)
    assert mean_score(tally(test, method.predict(inputs_of(test)))) >= least


def test_overfits_four_rows_in_sixty_steps(tiny_bench: Bench) -> None:
    train = classes(4)
    method = Encoder(CLASSES, {"epochs": 60, "batch": 4, "lr": 3e-3})
    method.fit(train, [], tiny_bench)
    assert method.trained is not None
    assert method.trained.steps == 60
    assert mean_score(tally(train, method.predict(inputs_of(train)))) == 1


def capitals(count: int, seed: int = 0) -> list[Example]:
    """A word is a name where it begins with a capital; its letters say nothing."""
    found: list[Example] = []
    dice = random.Random(seed)
    for line, example in enumerate(classes(count, seed)):
        words = list(getattr(example.input, "text", "").split())
        place = dice.randrange(len(words))
        words[place] = words[place].capitalize()
        marks = tuple("B-PER" if i == place else "O" for i in range(len(words)))
        found.append(TagExample(TokenInput(tuple(words)), marks, line + 1))
    return found


@pytest.mark.weights
def test_an_encoder_without_capitals_sees_them_through_shapes(weights: Path) -> None:
    scores = {}
    for shapes in (True, False):
        method = Encoder(Task("ner", ("PER",)), {"epochs": 8, "batch": 16, "shapes": shapes})
        method.fit(capitals(48), [], Bench(weights, device="cpu"))
        test = capitals(24, seed=1)
        scores[shapes] = mean_score(tally(test, method.predict(inputs_of(test))))
    assert scores[True] > 0.9
    assert scores[True] > scores[False] + 0.3


@pytest.mark.parametrize("problem", ["classes", "several", "tags"])
def test_held_out_rows_that_do_not_fit_the_memory_are_read_in_halves(
    problem: str, tiny_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, make = PROBLEMS[problem]
    method = Encoder(task, {"epochs": 1})
    method.fit(make(12), [], tiny_bench)
    labeller, dev = method.labeller, make(13, seed=1)
    targets, read, most = labeller.targets(dev), labeller._scores, 2
    sizes: list[int] = []

    def scarce(rows: Sequence[Row]) -> torch.Tensor:
        if len(rows) > most:
            raise MemoryError
        sizes.append(len(rows))
        return read(rows)

    with torch.no_grad():
        wanted = labeller.dev(targets, dev)
        said = labeller.predict(inputs_of(dev))
        monkeypatch.setattr(labeller, "_scores", scarce)
        found = labeller.dev(targets, dev)
        assert found.loss == pytest.approx(wanted.loss, abs=1e-5)
        assert found.score == wanted.score
        again = labeller.predict(inputs_of(dev))
        assert distance(again, said) < 1e-5
        most, labeller.halvings = 13, 4
        sizes.clear()
        labeller.dev(targets, dev)
        assert max(sizes) == 8
        most = 0
        with pytest.raises(OutOfMemory):
            labeller.dev(targets, dev)


def test_shapes_change_nothing_before_they_are_learned(tiny_bench: Bench) -> None:
    from tools.tuning.methods.encoder_files import open_encoder
    from tools.tuning.methods.encoder_inputs import EncoderInputs

    base = open_encoder(tiny_bench)
    inputs = EncoderInputs(base, max_tokens=64)
    batch = inputs.batch(inputs.sentences(inputs_of(tags(4))), "cpu")
    with torch.no_grad():
        plain = EncoderNetwork(base.model, 3).eval().states(batch)
        shaped = EncoderNetwork(base.model, 3, shapes=True).eval().states(batch)
    assert torch.allclose(plain, shaped, atol=1e-6)


def test_the_best_evaluation_is_what_is_kept(tiny_bench: Bench) -> None:
    told: list[Progress] = []
    dev = tags(20, seed=1)
    method = Encoder(TAGS, QUICK)
    method.fit(tags(40), dev, replace(tiny_bench, on_progress=told.append))
    assert method.trained is not None
    assert method.trained.dev is not None
    scores = [one.score for one in told if one.score is not None]
    assert method.trained.dev.score == max(scores)
    assert mean_score(tally(dev, method.predict(inputs_of(dev)))) == pytest.approx(max(scores))


def test_the_saved_encoder_loads_in_plain_transformers(tiny_bench: Bench, tmp_path: Path) -> None:
    method = Encoder(CLASSES, QUICK)
    method.fit(classes(24), [], tiny_bench)
    method.save(tmp_path / "skill")
    plain = AutoModel.from_pretrained(tmp_path / "skill", local_files_only=True)
    ours = method.labeller.network.encoder.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in plain.state_dict().items())


def test_a_saved_tagger_is_one_of_plain_transformers(tiny_bench: Bench, tmp_path: Path) -> None:
    method = Encoder(TAGS, QUICK)
    method.fit(tags(24), [], tiny_bench)
    method.save(tmp_path / "skill")
    plain = AutoModelForTokenClassification.from_pretrained(tmp_path / "skill").eval()
    assert plain.config.id2label == dict(enumerate(("O", "B-LOC", "I-LOC", "B-PER", "I-PER")))
    network, inputs = method.labeller.network.eval(), method.labeller.inputs
    rows = inputs.sentences(inputs_of(tags(3, seed=4)))
    for row in rows:
        batch = inputs.batch([row], "cpu")
        assert batch.shapes is not None
        with torch.no_grad():
            ours = network.word_scores(batch, [row])
            theirs = plain(input_ids=batch.ids, token_type_ids=2 + batch.shapes).logits[0]
        assert torch.allclose(ours, theirs[row.places], atol=1e-5)


def test_the_same_seed_gives_the_same_weights(tiny_bench: Bench) -> None:
    found = []
    for seed in (3, 3, 4):
        method = Encoder(CLASSES, {**QUICK, "epochs": 3})
        method.fit(classes(24), [], replace(tiny_bench, seed=seed))
        found.append(method.labeller.network.head.weight.detach().clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
