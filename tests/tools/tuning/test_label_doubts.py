"""Doubts about labels: exchanged ones are found among texts that are alike."""

import random

from tools.tuning.examples import Example, TextExample, TextInput
from tools.tuning.label_doubts import MOST_ROWS, label_doubts

TOPICS = {
    "food": "soup bread plate menu cook spoon",
    "sport": "goal team ball match coach league",
    "law": "court judge trial jury appeal verdict",
}


def rows(count: int, seed: int = 0) -> list[TextExample]:
    draw = random.Random(seed)
    found = []
    for i in range(1, count + 1):
        topic = draw.choice(list(TOPICS))
        text = " ".join(draw.sample(TOPICS[topic].split(), 4))
        found.append(TextExample(TextInput(f"{text} {i}"), (topic,), i))
    return found


def test_finds_the_exchanged_labels_and_hardly_others() -> None:
    found = rows(200)
    wrong = [17, 58, 101, 150]
    for line in wrong:
        e = found[line - 1]
        other = "law" if e.labels != ("law",) else "food"
        found[line - 1] = TextExample(e.input, (other,), line)
    doubts = label_doubts(found)
    assert doubts is not None
    assert set(wrong) <= set(doubts.lines)
    assert len(doubts.lines) <= 6
    assert doubts.agreeing > 0.95


def test_chinese_is_compared_by_character() -> None:
    draw = random.Random(1)
    found: list[Example] = []
    for i in range(1, 81):
        label, pieces = draw.choice(
            [("好", "物流很快东西喜欢推荐"), ("差", "质量太坏退货失望糟糕")]
        )
        text = "".join(draw.sample(pieces, 6))
        found.append(
            TextExample(TextInput(text), ("差" if i == 5 and label == "好" else label,), i)
        )
    doubts = label_doubts(found)
    assert doubts is not None
    assert doubts.agreeing > 0.9


def test_says_nothing_where_there_is_nothing_to_compare() -> None:
    assert label_doubts(rows(20)) is None
    assert (
        label_doubts([TextExample(TextInput("?!"), ("ab"[i % 2],), i) for i in range(60)]) is None
    )
    several = [TextExample(TextInput(f"x {i}"), ("a", "b"), i) for i in range(60)]
    assert label_doubts(several) is None


def test_a_long_file_is_looked_at_in_part() -> None:
    doubts = label_doubts(rows(MOST_ROWS + 500))
    assert doubts is not None
    assert doubts.rows == MOST_ROWS
