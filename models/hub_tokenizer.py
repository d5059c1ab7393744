"""A transformers tokenizer behind the `Tokenizer` protocol."""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from models.errors import ModelUnavailable

if TYPE_CHECKING:
    from llguidance import LLTokenizer

ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|end_of_turn|>", "<end_of_turn>", "<turn|>", "<|end|>"),
    *("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"),
)
"""Ends of a turn and of a text in common formats; some models' settings forget one of them."""


KEPT_TEXTS = 512
"""The ids of so many texts are remembered, those used last."""
KEPT_CHARACTERS = 50_000
"""A longer text is encoded anew each time."""


class HubTokenizer:
    """Text to ids and back for one model of the transformers library."""

    def __init__(self, tokenizer: Any, *, vocab_size: int, end_ids: Sequence[int] = ()) -> None:
        self.hub = tokenizer
        """The transformers tokenizer itself."""
        self._vocab_size = vocab_size
        added = tokenizer.get_added_vocab()
        ends = {*end_ids, tokenizer.eos_token_id, *(added.get(token) for token in ENDS)}
        self.end_ids = frozenset(int(i) for i in ends if i is not None)
        # A run asks for the same pieces of its prompt at every step, and they only get more.
        self._remembered = lru_cache(KEPT_TEXTS)(self._encode)

    @property
    def chat_template(self) -> str | None:
        """The model's template. Of several named ones the default, since tools come with ours."""
        template: Any = self.hub.chat_template
        if isinstance(template, dict):
            template = template.get("default") or next(iter(template.values()), None)
        return None if template is None else str(template)

    @cached_property
    def llguidance(self) -> "LLTokenizer":
        """The vocabulary for the grammar matcher; takes about a second for a large one."""
        from llguidance.hf import from_tokenizer

        if not getattr(self.hub, "is_fast", False):
            raise ModelUnavailable(
                f"the tokenizer {type(self.hub).__name__} has no tokenizer.json, which constrained "
                "replies need; use a model that ships one"
            )
        width = max(self._vocab_size, len(self.hub))
        return from_tokenizer(self.hub, n_vocab=width, eos_token=sorted(self.end_ids) or None)

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The ids of the text, nothing added."""
        encode = self._remembered if len(text) <= KEPT_CHARACTERS else self._encode
        return list(encode(text, special))

    def _encode(self, text: str, special: bool) -> Sequence[int]:
        ids: list[int] = self.hub.encode(
            text, add_special_tokens=False, split_special_tokens=not special, verbose=False
        )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, special tokens included."""
        text: str = self.hub.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The conversation as text, by the model's own template."""
        text: str = self.hub.apply_chat_template(
            list(messages),
            tools=list(tools) if tools else None,
            chat_template=self.chat_template,
            add_generation_prompt=add_generation_prompt,
            tokenize=False,
        )
        return text
