"""A transformers tokenizer as the engine uses it: special tokens, ends, templates, grammar."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from models.errors import ModelUnavailable
from models.grammar import Grammars
from models.hub_tokenizer import HubTokenizer
from models.text_stream import TextStream
from tests.models import tiny


@pytest.fixture(scope="module")
def tokenizer() -> HubTokenizer:
    return HubTokenizer(tiny.tokenizer(), vocab_size=400, end_ids=[7])


def spaced() -> HubTokenizer:
    """Words with their space in front and bytes for the rest, as older models have it."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>", "</s>", *(f"<0x{i:02X}>" for i in range(256))],
        show_progress=False,
    )
    backend.train_from_iterator([line.split(".")[0] for line in tiny.CORPUS[:3]] * 4, trainer)
    hub = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")  # type: ignore[no-untyped-call]
    return HubTokenizer(hub, vocab_size=500)


def test_special_tokens_in_text_are_read_as_such_or_as_plain_text(tokenizer: HubTokenizer) -> None:
    start = tiny.SPECIAL.index("<|im_start|>")
    assert tokenizer.encode("<|im_start|>")[0] == start
    plain = tokenizer.encode("<|im_start|>", special=False)
    assert start not in plain
    assert tokenizer.decode(plain) == "<|im_start|>"


def test_nothing_is_added_or_lost_on_the_way_there_and_back(tokenizer: HubTokenizer) -> None:
    for text in (*tiny.CORPUS, "", "  two  spaces  ", "a\n\n\tb ,c .", "👩🏽‍🚀\x00"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ends_are_those_of_model_tokenizer_and_chat_format(tokenizer: HubTokenizer) -> None:
    assert tokenizer.end_ids == {7, 0, tiny.SPECIAL.index("<|im_end|>")}


def test_the_template_gives_text(tokenizer: HubTokenizer) -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(messages) == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    closed = tokenizer.apply_chat_template(messages, add_generation_prompt=False)
    assert closed.endswith("<|im_end|>\n")


def test_the_grammar_sees_as_many_tokens_as_the_logits_have(tokenizer: HubTokenizer) -> None:
    assert tokenizer.llguidance.vocab_size == 400
    matcher = Grammars(tokenizer.llguidance, 400).matcher('start: "tickets"')
    assert tokenizer.decode(matcher.forced()) == "tickets"
    assert not matcher.mask()[384:].any()


def test_a_tokenizer_without_its_json_form_is_an_error_that_says_so() -> None:
    class Slow:
        eos_token_id = 0
        is_fast = False

        def get_added_vocab(self) -> dict[str, int]:
            return {}

        def __len__(self) -> int:
            return 10

    with pytest.raises(ModelUnavailable, match=r"Slow.*tokenizer\.json"):
        _ = HubTokenizer(Slow(), vocab_size=10).llguidance


@pytest.mark.parametrize("text", ["Read the tickets", "Grüße 你好 👋🏽 x", "a  b", "the rows that"])
def test_words_with_their_space_in_front_stream_as_they_decode(text: str) -> None:
    tokenizer = spaced()
    ids = tokenizer.encode(text)
    stream = TextStream(tokenizer)
    pieces = []
    for token in ids:
        stream.add(token)
        pieces.append(stream.take())
    pieces.append(stream.finish())
    assert "".join(pieces) == tokenizer.decode(ids) == text
    assert "\ufffd" not in "".join(pieces)
