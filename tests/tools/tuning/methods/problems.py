"""Small labelled problems of every kind that the methods serve, made from a seed."""

import random

from tools.tuning.examples import Example, TagExample, TextExample, TextInput, TokenInput
from tools.tuning.task import Task

GOOD = ("good", "fine", "lovely", "great", "warm")
BAD = ("bad", "dull", "awful", "poor", "cold")
ODD = ("odd", "weird", "strange", "unusual", "queer")
THINGS = ("film", "book", "play", "song", "story")
NAMES = ("Anna", "Boris", "Clara", "David", "Elena")
PLACES = ("Berlin", "Cairo", "Delhi", "Espoo", "Fano")

CLASSES = Task("classification", ("bad", "good", "odd"))
SEVERAL = Task("classification", ("bad", "good", "odd"), multi_label=True)
PAIRS = Task("classification", ("different", "same"), pairs=True)
TAGS = Task("ner", ("LOC", "PER"))


def classes(count: int, seed: int = 0) -> list[Example]:
    """One word of three kinds decides."""
    dice = random.Random(seed)
    found: list[Example] = []
    for line in range(count):
        label, words = [("bad", BAD), ("good", GOOD), ("odd", ODD)][line % 3]
        text = f"a {dice.choice(words)} {dice.choice(THINGS)}"
        found.append(TextExample(TextInput(text), (label,), line + 1))
    return found


def several(count: int, seed: int = 0) -> list[Example]:
    """Each kind of word that occurs is a label; some texts have none."""
    dice = random.Random(seed)
    found: list[Example] = []
    for line in range(count):
        kinds = [k for k, bit in zip(("bad", "good", "odd"), (1, 2, 4), strict=True) if line & bit]
        words = [dice.choice({"bad": BAD, "good": GOOD, "odd": ODD}[kind]) for kind in kinds]
        text = " ".join(["a", *words, dice.choice(THINGS)])
        found.append(TextExample(TextInput(text), tuple(kinds), line + 1))
    return found


def pairs(count: int, seed: int = 0) -> list[Example]:
    """Whether both texts are about the same thing."""
    dice = random.Random(seed)
    found: list[Example] = []
    for line in range(count):
        first = dice.choice(THINGS)
        other = dice.choice([thing for thing in THINGS if thing != first])
        second, label = (first, "same") if line % 2 else (other, "different")
        given = TextInput(f"the {first}", f"the {second}")
        found.append(TextExample(given, (label,), line + 1))
    return found


def tags(count: int, seed: int = 0) -> list[Example]:
    """Names of people and places, some of two words."""
    dice = random.Random(seed)
    found: list[Example] = []
    for line in range(count):
        name, place = dice.choice(NAMES), dice.choice(PLACES)
        words, marks = [name], ["B-PER"]
        if dice.random() < 0.4:
            words.append(dice.choice(("Adams", "Brown")))
            marks.append("I-PER")
        words += ["went", "to", place, "by", "train", "."]
        marks += ["O", "O", "B-LOC", "O", "O", "O"]
        found.append(TagExample(TokenInput(tuple(words)), tuple(marks), line + 1))
    return found


PROBLEMS = {
    "classes": (CLASSES, classes),
    "several": (SEVERAL, several),
    "pairs": (PAIRS, pairs),
    "tags": (TAGS, tags),
}
"""Name to task and maker of examples."""
