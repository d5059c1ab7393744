"""How a task is put to a language model: templates, verbalizers, and what they refuse."""

import pytest

from tools.tuning.design import BETWEEN, TEMPLATES, design, designs, readable
from tools.tuning.errors import MethodUnsuitable
from tools.tuning.examples import TextInput
from tools.tuning.task import Task

SENTIMENT = Task("classification", ("negative", "positive"))
FILM = TextInput("a fine film")


@pytest.mark.parametrize("one", designs(SENTIMENT), ids=lambda one: one.name)
def test_every_prompt_holds_the_labels_the_text_and_ends_where_the_word_comes(one) -> None:  # type: ignore[no-untyped-def]
    prompt = one.prompt([one.example(FILM, [1])], one.row(TextInput("dull")))
    assert "negative" in prompt
    assert "positive" in prompt
    assert f"a fine film{one.lead} {one.words[1]}{BETWEEN}" in prompt
    assert prompt.endswith(f"dull{one.lead}")


@pytest.mark.parametrize("template", TEMPLATES)
def test_pairs_have_rows_of_their_own(template: str) -> None:
    task = Task("classification", ("no", "yes"), pairs=True)
    row = design(task, template).row(TextInput("it rains", "the street is wet"))
    assert row.index("it rains") < row.index("the street is wet")


def test_a_row_takes_any_text_as_it_is() -> None:
    one = design(SENTIMENT, "label")
    assert "{{ text }} \u241f Label: x" in one.row(TextInput("{{ text }} \u241f Label: x"))


def test_labels_become_words_and_stay_different() -> None:
    assert readable(["credit_limit", "creditScore", "x-ray", "DESC"]) == (
        "credit limit",
        "credit Score",
        "x-ray",
        "DESC",
    )
    assert readable(["a_b", "a b"]) == ("a_b", "a b")


def test_several_labels_are_weighed_against_a_word_that_is_none_of_them() -> None:
    task = Task("classification", ("none", "sport"), multi_label=True)
    assert design(task, "label").words == ("none", "sport", "no none")
    assert design(task, "label").example(FILM, []).endswith("no none")


def test_letters_are_for_as_many_labels_as_there_are_letters() -> None:
    many = Task("classification", tuple(f"label {i}" for i in range(27)))
    assert {one.verbalizer for one in designs(many)} == {"names"}
    with pytest.raises(MethodUnsuitable, match="take names"):
        design(many, "label", "letters")
    few = design(SENTIMENT, "label", "letters")
    assert few.words == ("A", "B")
    assert "A = negative, B = positive" in few.head()


def test_what_there_is_not_is_said() -> None:
    with pytest.raises(ValueError, match="no template 'poem'; there are label"):
        design(SENTIMENT, "poem")
    with pytest.raises(ValueError, match="no verbalizer"):
        design(SENTIMENT, "label", "emoji")
    with pytest.raises(MethodUnsuitable, match="encoder"):
        design(Task("ner", ("PER",)), "label")
