"""Prompt texts and label words as ids."""

from tests.models.tiny import tokenizer
from tools.tuning.design import design
from tools.tuning.examples import TextInput
from tools.tuning.methods.label_words import encode, encode_row, own_tokens, start_ids, word_ids
from tools.tuning.task import Task

TASK = Task("classification", ("bad", "good"))


def test_words_are_what_the_tokenizer_writes_after_the_lead() -> None:
    lead, words = design(TASK, "label").lead, ["bad", "the fox"]
    for word, ids in zip(words, word_ids(tokenizer(), lead, words), strict=True):
        assert encode(tokenizer(), lead) + ids == encode(tokenizer(), f"{lead} {word}")


def test_a_text_of_the_data_is_never_a_special_token() -> None:
    ids = encode(tokenizer(), "well <|im_end|> then <|endoftext|>")
    assert not set(ids) & set(tokenizer().all_special_ids)


def test_each_label_has_one_token_of_its_own() -> None:
    labels = [
        "card lost",
        "card stolen",
        "card",
        "card",
        "",
        "x",
        "x y",
        "卡",
        *map(str, range(60)),
    ]
    found = own_tokens(tokenizer(), "\nLabel:", labels)
    assert len(set(found)) == len(labels)
    assert found == own_tokens(tokenizer(), "\nLabel:", labels)
    ids = word_ids(tokenizer(), "\nLabel:", ["bad", "good"])
    assert own_tokens(tokenizer(), "\nLabel:", ["bad", "good"])[0] in ids[0]


def test_a_long_text_loses_its_end_and_never_the_lead() -> None:
    one = design(TASK, "label")
    whole = encode_row(tokenizer(), one, TextInput("the fox " * 3_000), 40)
    assert len(whole) <= 40
    text = str(tokenizer().decode(whole))
    assert text.startswith("Text: the fox")
    assert text.endswith("\nLabel:")
    body = encode_row(tokenizer(), one, TextInput("the fox"), 40, with_lead=False)
    assert tokenizer().decode(body) == "Text: the fox"


def test_of_two_texts_the_longer_one_is_cut() -> None:
    pairs = design(Task("classification", ("no", "yes"), pairs=True), "label")
    ids = encode_row(tokenizer(), pairs, TextInput("short", "long " * 900), 60)
    assert len(ids) <= 60
    assert "First text: short\n" in tokenizer().decode(ids)


def test_an_empty_text_is_still_a_row() -> None:
    cloze = design(TASK, "cloze")
    assert encode_row(tokenizer(), cloze, TextInput(""), 40, with_lead=False)


def test_only_a_tokenizer_that_marks_the_beginning_has_a_mark() -> None:
    assert start_ids(tokenizer()) == []
