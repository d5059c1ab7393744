"""Full fine-tuning of an encoder: a head on pooled texts, or on the first token of each word.

    method = Encoder(task, {"epochs": 5})
    method.fit(train, dev, bench)

Taggers see how words are written (`word_shapes.py`), are trained on the first token of each word
and answer with the likeliest legal BIO sequence. The state of the best evaluation is kept.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from models.trainable import Trainable
from tools.tuning.errors import SkillError
from tools.tuning.examples import Example, Input, Prediction
from tools.tuning.methods import checkpoint, training
from tools.tuning.methods.base import Bench, Cost, Method, Settings
from tools.tuning.methods.batches import LengthBatches
from tools.tuning.methods.beginning import skill_to_begin_as, take_over
from tools.tuning.methods.device_state import seeded
from tools.tuning.methods.encoder_cost import training_cost
from tools.tuning.methods.encoder_files import (
    facts_of,
    load_tuned_encoder,
    open_encoder,
    read_tensors,
    save_tuned_encoder,
    write_tensors,
)
from tools.tuning.methods.encoder_inputs import EncoderInputs
from tools.tuning.methods.encoder_network import EncoderNetwork, trainable_weights
from tools.tuning.methods.labeller import Labeller, Target
from tools.tuning.methods.labels import need_examples
from tools.tuning.methods.recipe import Dev, Recipe, Trained
from tools.tuning.methods.tagger_files import save_tagger
from tools.tuning.task import Task, TaskKind

HEAD_FILE = "head.safetensors"
RATES: dict[TaskKind, float] = {"ner": 3e-4, "classification": 1e-4}
EVALUATIONS = 20
"""At most so many during one fit, so that a small training set with a large dev set is not spent
on looking."""


class Encoder(Method):
    """Every weight of the encoder is trained."""

    name: ClassVar[str] = "encoder"
    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification", "ner")
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "encoder"
    rung: ClassVar[int] = 50
    trained_share: ClassVar[float] = 1.0
    """Of the encoder's weights, about."""

    def __init__(self, task: Task, settings: Settings | None = None) -> None:
        super().__init__(task, settings)
        self.trained: Trained | None = None
        self._labeller: Labeller | None = None
        self._opened: Trainable | None = None
        self._facts: dict[str, Any] = {}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            "lr": 0.0,  # 0: 3e-4 for words, 1e-4 for texts; small encoders want 1e-4 to 3e-4
            # Times lr. Wikigold, 400 sentences, F1 after 25/50/75 steps of 16: 5 gave 0.19/0.51,
            # 10 gave 0.25/0.66/0.71, 20 gave 0.37/0.59; without shapes 0.26/0.58.
            "head_lr": 10.0,
            "shape_lr": 10.0,
            "batch": 32,
            "epochs": 0,  # 0: 20 below 1,000 rows (Mosbach et al. 2021), 10 below 5,000, else 5
            "warmup": 0.1,
            "weight_decay": 0.01,
            "dropout": 0.1,  # before the head; the encoder has its own
            "patience": 6,  # evaluations, one an epoch
            "max_tokens": 256,
            "shapes": True,  # of words, for ner
        }

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"lr": 1e-4 if task.kind == "ner" else 3e-4}]

    @property
    def labeller(self) -> Labeller:
        """There after `fit` and `load`."""
        if self._labeller is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._labeller

    @property
    def _base(self) -> Trainable:
        if self._opened is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._opened

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        length = min(tokens, int(self.settings["max_tokens"]))
        seen = self._steps(rows) * int(self.settings["batch"])
        batch = int(self.settings["batch"]) * length
        return training_cost(seen * length, batch, bench, trained=self.trained_share)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        need_examples(self.name, self.task, train)
        base = open_encoder(bench)
        facts = facts_of(base, bench)
        with seeded(bench.seed, base.model.device):
            labeller = self._built(base)
            labeller.halvings = bench.batch_halvings
        self._warm(labeller, facts, bench)
        targets, held_out = labeller.targets(train), labeller.targets(dev)
        batches = LengthBatches(
            [len(target.row.ids) for target in targets], self.settings["batch"], seed=bench.seed
        )

        def pick(step: int) -> list[Target]:
            return [targets[i] for i in batches(step)]

        def evaluate() -> Dev:
            return labeller.dev(held_out, dev)

        weights = trainable_weights(labeller.network)
        self.trained = training.train(
            weights,
            pick,
            labeller.loss,
            self._recipe(len(targets), batches.per_epoch),
            bench,
            identity=checkpoint.identity_of(
                self.name, self.settings, self.task, facts, bench.seed, train, dev
            ),
            evaluate=evaluate if held_out else None,
            rates={"head.": self.settings["head_lr"], "shapes.": self.settings["shape_lr"]},
        )
        self._labeller, self._opened, self._facts = labeller, base, facts

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return self.labeller.predict(inputs)

    def base_facts(self) -> dict[str, Any]:
        return self._facts

    def save_weights(self, folder: Path) -> None:
        """The encoder and its tokenizer as transformers saves them, head and shapes beside them.

        A tagger is saved as transformers' own kind of tagger where it has one.
        """
        network = self.labeller.network
        save_tuned_encoder(folder, self._base)
        if self.task.kind == "ner":
            shapes = None if network.shapes is None else network.shapes.weight
            save_tagger(folder, self._base, network.head, shapes, self.labeller.tags)
        write_tensors(folder / HEAD_FILE, network.top())

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        """The skill brings its whole encoder, so none other is needed."""
        self._rebuild(folder, load_tuned_encoder(folder, bench), base)

    def wrapped(self, encoder: Any) -> Any:
        """The encoder as it is trained."""
        return encoder

    def _built(self, base: Trainable) -> Labeller:
        encoder = self.wrapped(base.model)
        assert base.sentence is not None
        network = EncoderNetwork(
            encoder,
            Labeller.outputs(self.task),
            pooling=base.sentence.pooling if self.task.kind != "ner" else ("mean",),
            shapes=bool(self.settings["shapes"]) and self.task.kind == "ner",
            dropout=float(self.settings["dropout"]),
        ).to(base.model.device)
        inputs = EncoderInputs(base, max_tokens=int(self.settings["max_tokens"]))
        return Labeller(self.task, network, inputs)

    def _warm(self, labeller: Labeller, facts: Mapping[str, Any], bench: Bench) -> None:
        """Begins as the skill of the bench, where there is one that fits."""
        if (skill := skill_to_begin_as(self, facts, bench)) is not None:
            take_over(labeller.network, skill.labeller.network.state_dict())

    def _recipe(self, rows: int, per_epoch: int) -> Recipe:
        steps = self._steps(rows)
        return Recipe(
            steps=steps,
            lr=float(self.settings["lr"]) or RATES[self.task.kind],
            warmup=float(self.settings["warmup"]),
            weight_decay=float(self.settings["weight_decay"]),
            evaluate_every=max(per_epoch, -(-steps // EVALUATIONS)),
            patience=int(self.settings["patience"]),
            best_by="score",
        )

    def _steps(self, rows: int) -> int:
        batch = max(1, int(self.settings["batch"]))
        per_epoch = -(-rows // batch)
        epochs = int(self.settings["epochs"]) or (20 if rows < 1_000 else 10 if rows < 5_000 else 5)
        return per_epoch * epochs

    def _rebuild(self, folder: Path, base: Trainable, facts: Mapping[str, Any]) -> None:
        """The labeller over this encoder, with the head that was saved."""
        labeller = self._built(base)
        path = folder / HEAD_FILE
        try:
            labeller.network.set_top(read_tensors(path))
        except (RuntimeError, KeyError) as error:
            first = " ".join(str(error).split())[:200]
            raise SkillError(f"{path} does not fit the skill's labels: {first}") from error
        self._labeller, self._opened, self._facts = labeller, base, dict(facts)
