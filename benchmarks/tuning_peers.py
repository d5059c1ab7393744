"""What `tuning.py` measures ours against: each peer as its own documentation runs it.

All get the same rows and the same encoder (MiniLM) or language model (SmolLM2) as ours.
    frozen + LR        sentence vectors and scikit-learn's LogisticRegression
    SetFit             its Trainer with its defaults; only where the package is installed
    transformers       Trainer with its defaults (lr 5e-5, batch 8, 3 epochs) and a new head;
                       for tags the labels stand on each word's first piece
    PEFT prompt, LoRA  Trainer for at most 100 steps; 20 virtual tokens from text, lr 3e-2; r 8,
                       alpha 16, all linear layers, lr 3e-4; the label's first token is scored
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.tuning.examples import (
    ClassPrediction,
    Prediction,
    TagExample,
    TagPrediction,
    TextExample,
)
from tools.tuning.metrics import evaluate
from tools.tuning.reading import read_dataset
from tools.tuning.tagging import to_bio
from tools.tuning.task import Task

LONGEST = 256
STEPS = 100
TOKENS = 20


@dataclass(frozen=True)
class Score:
    """What a contender reached."""

    value: float
    """In the task's main metric."""
    note: str = ""


Fit = Callable[[Task, Sequence[Any], Sequence[Any], int, Path], list[Prediction]]
"""(task, training examples, test examples, seed, home) to predictions."""


@dataclass(frozen=True)
class Peer:
    """One contender."""

    fit: Fit
    kinds: tuple[str, ...]
    language_model: bool = False
    needs: str = ""
    """The package that must be installed."""

    def available(self) -> bool:
        return not self.needs or find_spec(self.needs) is not None

    def run(self, kind: str, train: Path, test: Path, seed: int, home: Path) -> Score:
        """Learn from one file and be scored on the other."""
        learned = read_dataset(train, kind)  # type: ignore[arg-type]  # one of the kinds
        held = read_dataset(test, kind, task=learned.task)  # type: ignore[arg-type]  # likewise
        said = self.fit(learned.task, learned.examples, held.examples, seed, home)
        return Score(evaluate(learned.task, held.examples, said).score)


def frozen(
    task: Task, train: Sequence[TextExample], test: Sequence[TextExample], seed: int, home: Path
) -> list[Prediction]:
    """Logistic regression on sentence vectors."""
    from sklearn.linear_model import LogisticRegression

    from models.embedder import load_embedder

    embedder = load_embedder("minilm-l6", home)
    head = LogisticRegression(max_iter=1_000, random_state=seed)
    vectors = embedder.embed_documents([example.input.text for example in train])
    head.fit(vectors, [example.labels[0] for example in train])
    said = head.predict(embedder.embed_documents([example.input.text for example in test]))
    return [ClassPrediction((str(label),), ()) for label in said]


def setfit(
    task: Task, train: Sequence[TextExample], test: Sequence[TextExample], seed: int, home: Path
) -> list[Prediction]:
    """SetFit with its defaults."""
    from datasets import Dataset  # type: ignore[import-not-found,unused-ignore]  # optional
    from setfit import (  # type: ignore[import-not-found,unused-ignore]  # optional
        SetFitModel,
        Trainer,
        TrainingArguments,
    )

    rows = Dataset.from_dict(
        {
            "text": [example.input.text for example in train],
            "label": [task.labels.index(example.labels[0]) for example in train],
        }
    )
    model = SetFitModel.from_pretrained(str(encoder_folder(home)))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(output_dir=folder, seed=seed, report_to="none")
        Trainer(model=model, args=arguments, train_dataset=rows).train()
    said = model.predict([example.input.text for example in test])
    return [ClassPrediction((task.labels[int(place)],), ()) for place in said]


def transformers_texts(
    task: Task, train: Sequence[TextExample], test: Sequence[TextExample], seed: int, home: Path
) -> list[Prediction]:
    """A sequence classifier by Trainer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    set_seed(seed)
    folder = encoder_folder(home)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(task.labels))

    def encoded(examples: Sequence[TextExample]) -> list[dict[str, Any]]:
        return [
            {
                **tokenizer(example.input.text, truncation=True, max_length=LONGEST),
                "labels": task.labels.index(example.labels[0]),
            }
            for example in examples
        ]

    scores = trained(model, tokenizer, encoded(train), encoded(test), seed, by_token=False)
    return [ClassPrediction((task.labels[int(row.argmax())],), ()) for row in scores]


def transformers_tags(
    task: Task, train: Sequence[TagExample], test: Sequence[TagExample], seed: int, home: Path
) -> list[Prediction]:
    """A token classifier by Trainer, as the library's own example for entities does it."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer, set_seed

    set_seed(seed)
    names = ["O", *(f"{letter}-{type_}" for type_ in task.labels for letter in "BI")]
    folder = encoder_folder(home)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(names))

    def encoded(example: TagExample) -> dict[str, Any]:
        pieces = tokenizer(
            list(example.input.tokens),
            is_split_into_words=True,
            truncation=True,
            max_length=LONGEST,
        )
        words = pieces.word_ids()
        labels = [
            -100 if word is None or word in words[:place] else names.index(example.tags[word])
            for place, word in enumerate(words)
        ]
        return {**pieces, "labels": labels}

    rows = [encoded(example) for example in test]
    scores = trained(model, tokenizer, [*map(encoded, train)], rows, seed, by_token=True)
    found: list[Prediction] = []
    for example, row, score in zip(test, rows, scores, strict=True):
        best = score.argmax(-1)
        tags = [names[int(best[i])] for i, label in enumerate(row["labels"]) if label != -100]
        tags += ["O"] * (len(example.input.tokens) - len(tags))  # what was cut off
        legal = to_bio(tags, "BIO", mend=True)
        found.append(TagPrediction(legal, (1.0,) * len(legal)))
    return found


def trained(
    model: Any,
    tokenizer: Any,
    train: list[dict[str, Any]],
    test: list[dict[str, Any]],
    seed: int,
    *,
    by_token: bool,
) -> list[Any]:
    """Scores of the test rows after a run with the library's defaults."""
    from transformers import (
        DataCollatorForTokenClassification,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    collator = DataCollatorForTokenClassification if by_token else DataCollatorWithPadding
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, seed=seed, save_strategy="no", report_to=[], disable_tqdm=True
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=train,  # type: ignore[arg-type]  # anything with a length will do
            data_collator=collator(tokenizer),
        )
        trainer.train()
        predicted = trainer.predict(test).predictions  # type: ignore[arg-type]  # likewise
    return list(predicted)


def peft_run(kind: str) -> Fit:
    """PEFT with Trainer on the embedded language model."""

    def fit(
        task: Task, train: Sequence[TextExample], test: Sequence[TextExample], seed: int, home: Path
    ) -> list[Prediction]:
        import torch
        from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
        from transformers import Trainer, TrainingArguments, set_seed

        from models.trainable import load_language_model
        from tools.tuning.design import BETWEEN, design
        from tools.tuning.methods.label_words import encode, own_tokens

        set_seed(seed)
        opened = load_language_model(None, home, device="cpu")
        tokenizer, one = opened.tokenizer, design(task, "label")
        words = encode(tokenizer, one.head() + BETWEEN)
        if kind == "prompt":
            prompt = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=TOKENS)
            model = get_peft_model(opened.model, prompt)
            ids = torch.tensor((words * (TOKENS // len(words) + 1))[:TOKENS])
            with torch.no_grad():
                first = opened.model.get_input_embeddings()(ids)
                model.prompt_encoder["default"].embedding.weight.copy_(first)
            before: list[int] = []
        else:
            lora = LoraConfig(
                task_type=TaskType.CAUSAL_LM,
                r=8,
                lora_alpha=16,
                lora_dropout=0.1,
                target_modules="all-linear",
            )
            model = get_peft_model(opened.model, lora)
            before = words
        answers = own_tokens(tokenizer, one.lead, one.words)

        def ids_of(example: TextExample) -> list[int]:
            return [*before, *encode(tokenizer, one.row(example.input))]

        def collate(batch: list[TextExample]) -> dict[str, torch.Tensor]:
            rows = [[*ids_of(e), answers[task.labels.index(e.labels[0])]] for e in batch]
            longest = max(map(len, rows))
            ids = torch.zeros((len(rows), longest), dtype=torch.long)
            mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
            for i, row in enumerate(rows):
                ids[i, : len(row)] = torch.tensor(row)
                mask[i, : len(row)] = 1
                labels[i, len(row) - 1] = row[-1]
            return {"input_ids": ids, "attention_mask": mask, "labels": labels}

        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder,
                max_steps=STEPS,
                per_device_train_batch_size=8,
                learning_rate=3e-2 if kind == "prompt" else 3e-4,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                remove_unused_columns=False,
                use_cpu=True,
                seed=seed,
            )
            Trainer(
                model=model,
                args=arguments,
                train_dataset=list(train),  # type: ignore[arg-type]  # anything with a length
                data_collator=collate,
            ).train()
        model.eval()
        found: list[Prediction] = []
        for example in test:
            ids = torch.tensor([ids_of(example)])
            with torch.no_grad():
                scores = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
            found.append(ClassPrediction((task.labels[int(scores[answers].argmax())],), ()))
        return found

    return fit


def encoder_folder(home: Path) -> Path:
    """Where the embedded encoder lies, pulled if need be."""
    from models.embedder import locate_encoder

    return locate_encoder("minilm-l6", home, None).path


PEERS: dict[str, Peer] = {
    "frozen + LR": Peer(frozen, ("classification",)),
    "SetFit": Peer(setfit, ("classification",), needs="setfit"),
    "transformers, texts": Peer(transformers_texts, ("classification",)),
    "transformers, tags": Peer(transformers_tags, ("ner",)),
    "PEFT prompt + Trainer": Peer(peft_run("prompt"), ("classification",), language_model=True),
    "PEFT LoRA + Trainer": Peer(peft_run("lora"), ("classification",), language_model=True),
}
"""Every peer by the name that the tables have."""
