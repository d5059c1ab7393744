"""The first stage, design: how a task is put to a language model, as a template and a verbalizer.

    design = designs(task)[0]
    design.head()                      # what is said once: the instruction and the labels
    design.row(TextInput("a fine film"))   # the input, up to where the label's word comes next
    design.words                       # the word that stands for each label, in the task's order

A template is three files in `prompts/tasks/KIND/`: NAME_head, NAME_row and NAME_pair (for inputs of
two texts). A verbalizer says which word stands for a label: `names` takes the label's own name
made readable, `letters` one letter each, explained in the head.
"""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from prompts.render import render
from tools.tuning.errors import MethodUnsuitable
from tools.tuning.examples import TextInput
from tools.tuning.task import Task

Verbalizer = Literal["names", "letters"]
VERBALIZERS: tuple[Verbalizer, ...] = get_args(Verbalizer)
TEMPLATES = ("label", "question", "cloze")
"""Of classification, the one to start with first."""
NO_LABEL = "none"
"""The word that each label of a multi-label task is weighed against."""
BETWEEN = "\n\n"
"""Between the head, the examples and the input."""

_MARK = "\u241f"
_SEPARATORS = re.compile(r"[\s_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Design:
    """One way to ask for a label."""

    template: str
    """One of TEMPLATES."""
    verbalizer: Verbalizer
    names: tuple[str, ...]
    """The labels of the task made readable, in its order; `none` after them if multi-label."""
    pairs: bool = False

    @property
    def name(self) -> str:
        """`label/names`, say."""
        return f"{self.template}/{self.verbalizer}"

    @property
    def words(self) -> tuple[str, ...]:
        """What the model is to say for each of `names`; all different."""
        return self.names if self.verbalizer == "names" else tuple(letters(len(self.names)))

    def head(self) -> str:
        """The instruction, with every label in it."""
        shown = (
            self.names
            if self.verbalizer == "names"
            else [f"{word} = {name}" for word, name in zip(self.words, self.names, strict=True)]
        )
        return render(f"tasks/classification/{self.template}_head", labels=", ".join(shown))

    def row(self, given: TextInput) -> str:
        """The input and what leads to its label; a space and the word come next."""
        if self.pairs:
            return render(
                f"tasks/classification/{self.template}_pair",
                text=given.text.strip(),
                pair=given.pair.strip(),
            )
        return render(f"tasks/classification/{self.template}_row", text=given.text.strip())

    def example(self, given: TextInput, labels: Sequence[int]) -> str:
        """A solved row, for a model to follow; `labels` are places in `names`."""
        words = ", ".join(self.words[label] for label in labels) or self.words[-1]
        return f"{self.row(given)} {words}"

    def prompt(self, examples: Sequence[str], row: str) -> str:
        """Head, solved rows and the row to solve."""
        return BETWEEN.join([self.head(), *examples, row])

    @property
    def lead(self) -> str:
        """What every row ends with: the words between the input and its label."""
        return self.row(TextInput(_MARK, _MARK)).rpartition(_MARK)[2]


def designs(task: Task) -> list[Design]:
    """Every design that suits the task, the likeliest first; `letters` where they are enough."""
    kinds: list[Verbalizer] = ["names"]
    if len(task.labels) + task.multi_label <= len(string.ascii_uppercase):
        kinds.append("letters")
    found = [design(task, template, kind) for kind in kinds for template in TEMPLATES]
    # "This is B" explains nothing that "Label: B" does not, so a cloze comes with names only.
    return [one for one in found if one.name != "cloze/letters"]


def design(task: Task, template: str, verbalizer: str = "names") -> Design:
    """The design of that name.

    Raises:
        ValueError: there is no such template or verbalizer.
        MethodUnsuitable: the task has more labels than letters, or is no classification.
    """
    if task.kind != "classification":
        raise MethodUnsuitable(f"there is no template for {task.kind}; an encoder method does it")
    if template not in TEMPLATES:
        raise ValueError(f"there is no template {template!r}; there are {', '.join(TEMPLATES)}")
    names = readable(task.labels)
    if task.multi_label:
        names = (*names, _unused(NO_LABEL, names))
    if verbalizer == "names":
        return Design(template, "names", names, task.pairs)
    if verbalizer != "letters":
        raise ValueError(f"there is no verbalizer {verbalizer!r}; there are names, letters")
    if len(names) > len(string.ascii_uppercase):
        raise MethodUnsuitable(f"{len(names)} labels are more than there are letters; take names")
    return Design(template, "letters", names, task.pairs)


def readable(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels as words: `credit_limit` and `creditLimit` become `credit limit`; all different."""
    names = [_SEPARATORS.sub(" ", _CAMEL.sub(" ", label)).strip() or label for label in labels]
    clash = {name for name in names if names.count(name) > 1}
    return tuple(
        label if name in clash else name for name, label in zip(names, labels, strict=True)
    )


def letters(count: int) -> list[str]:
    """A, B, C ..."""
    return list(string.ascii_uppercase[:count])


def _unused(word: str, names: Sequence[str]) -> str:
    while word in names:
        word = f"no {word}"
    return word
