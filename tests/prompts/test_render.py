"""Every prompt file renders with the values that its first line names, and only with those."""

import pytest

from prompts.errors import PromptError
from prompts.render import load, names, parse, render


@pytest.mark.parametrize("name", names())
def test_every_prompt_renders_with_the_values_it_names(name: str) -> None:
    values = {value: f"<{value}>" for value in load(name).values}
    text = render(name, **values)
    assert "{{" not in text
    assert all(value in text for value in values.values())
    assert text.strip()


@pytest.mark.parametrize("name", [name for name in names() if load(name).values])
def test_every_prompt_misses_a_value_that_is_left_out(name: str) -> None:
    left_out, *rest = sorted(load(name).values)
    with pytest.raises(PromptError, match=f"{name}.*misses.*{left_out}"):
        render(name, **dict.fromkeys(rest, "x"))


def test_an_extra_value_is_refused() -> None:
    with pytest.raises(PromptError, match="knows no 'colour'"):
        render("tool_result", name="a", result="b", colour="red")


def test_braces_inside_a_value_are_left_alone() -> None:
    assert "{{ name }}" in render("tool_result", name="read", result="{{ name }}")


def test_an_unknown_prompt_is_named() -> None:
    with pytest.raises(PromptError, match="no prompt 'no_such_prompt'"):
        render("no_such_prompt")


@pytest.mark.parametrize("name", ["../secrets", "/etc/passwd", "a b", ""])
def test_a_name_cannot_lead_out_of_the_folder(name: str) -> None:
    with pytest.raises(PromptError, match="no name of a prompt"):
        render(name)


def test_a_file_without_its_first_line_is_refused() -> None:
    with pytest.raises(PromptError, match="must begin with"):
        parse("x", "Hello {{ name }}\n")


def test_a_value_that_is_used_but_not_named_is_refused() -> None:
    with pytest.raises(PromptError, match="uses undeclared 'b'"):
        parse("x", "{{# values: a #}}\n{{ a }} {{ b }}\n")


def test_a_value_that_is_named_but_not_used_is_refused() -> None:
    with pytest.raises(PromptError, match="names 'b'"):
        parse("x", "{{# values: a, b #}}\n{{ a }}\n")
