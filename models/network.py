"""What an engine needs of a language model: a tokenizer, growing states and adapters.

Small protocols keep the engine free of torch. `Network` is one loaded model, `State` is one
sequence of tokens that it has read (its key-value cache), `Tokenizer` turns text into ids and back.
`ScriptedNetwork` implements them in plain Python, `TorchNetwork` over a transformers model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.request import Request

if TYPE_CHECKING:
    from llguidance import LLTokenizer

Logits = NDArray[np.float32]
"""Raw scores of the next token: one row of `vocab_size`, or one row for each position."""


class Tokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def end_ids(self) -> frozenset[int]:
        """The ids that end a reply: end of turn, end of text."""

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that the model was trained with; None where there is none."""

    @property
    def llguidance(self) -> "LLTokenizer":
        """The same vocabulary for the grammar matcher, as wide as the logits; built once."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The ids of the text, nothing added; `special=False` reads `<|end|>` as plain text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, special tokens included; broken UTF-8 becomes U+FFFD."""

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The conversation as the model expects to read it, as text."""


class State(Protocol):
    """One sequence that the network has read so far. Only its network may make or grow it."""

    @property
    def length(self) -> int:
        """How many tokens have been read; a soft prompt in front does not count."""

    @property
    def bytes(self) -> int:
        """Memory that this state holds on to."""

    @property
    def logits(self) -> Logits | None:
        """Scores after the last token; None when empty or when a crop has lost them."""

    def forward(self, ids: Sequence[int]) -> Logits:
        """Reads at least one more token in one pass and returns the scores after the last one."""

    def forward_each(self, ids: Sequence[int]) -> Logits:
        """Like `forward`, but with the scores after each of the new tokens, one row each."""

    def reachable(self, length: int) -> int:
        """The longest length, at most `length`, that this state can go back to exactly."""

    def crop(self, length: int) -> None:
        """Forgets all tokens after `length`, which must be reachable."""

    @property
    def needs_marks(self) -> bool:
        """Only marked lengths are reachable (recurrent layers cannot forget single tokens)."""

    def mark(self) -> None:
        """Makes the present length reachable later, with its scores; a no-op where all are."""

    def knows(self, length: int) -> bool:
        """The scores after this reachable length are kept: nothing must be read again."""

    def fork(self, length: int) -> "State":
        """An independent copy of the tokens up to `length`, which must be reachable."""


class Adapters(Protocol):
    """LoRA adapters and soft prompts by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters that are loaded."""

    def load(self, name: str, folder: Path) -> None:
        """Loads or replaces the adapter of that name."""

    def remove(self, name: str) -> None:
        """Forgets the adapter of that name."""

    def key(self, name: str | None) -> str:
        """Identifies the weights behind a name in caches; "" for the base model (None)."""


class Network(Protocol):
    """A loaded language model."""

    @property
    def name(self) -> str:
        """The name that the user knows it by."""

    @property
    def digest(self) -> str:
        """Hash of the base model's weights; adapters and calibrations are bound to it."""

    @property
    def window(self) -> int:
        """How many tokens prompt and reply may have together."""

    @property
    def chunk(self) -> int:
        """How many tokens to read in one pass: bounds memory and the time until a cancel shows."""

    @property
    def vocab_size(self) -> int:
        """Width of the logits (often more than the tokenizer has tokens)."""

    @property
    def parameters(self) -> int:
        """How many weights the model has."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""

    @property
    def adapters(self) -> Adapters:
        """Its adapters."""

    def begin(self, request: Request) -> None:
        """Called before each request is worked on; scripted networks pick their next reply here."""

    def new_state(self, adapter: str | None = None) -> State:
        """An empty sequence, read through that adapter from its first token on."""

    def free_memory(self) -> None:
        """Gives unused memory back to the device after states were dropped."""
