"""What an engine is asked and what it answers: plain data, no tensors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

Finish = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. The same seed and prompt give the same tokens."""

    temperature: float = 0.0
    """0 takes the likeliest token; above that, softmax at this temperature."""
    top_p: float = 1.0
    """Nucleus: the smallest set of tokens whose probability reaches this, 0 < top_p <= 1."""
    seed: int = 0
    max_tokens: int = 512
    """Stop after this many generated tokens, forced ones included."""
    stop: tuple[str, ...] = ()
    """Stop before any of these strings; the string itself is not part of the text."""


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to continue."""

    prompt_ids: tuple[int, ...]
    grammar: str | None = None
    """An llguidance Lark grammar that the reply must match; None leaves the reply free."""
    sampling: Sampling = field(default_factory=Sampling)
    adapter: str | None = None
    """Name of a LoRA adapter or soft prompt that the network knows; None is the base model."""
    use_cache: bool = True
    """Look up and store the prompt's prefix in the key-value cache."""
    fast_forward: bool = True
    """Feed all forced tokens in one pass; False feeds them one by one (for comparison)."""
    note: object = None
    """Passed through to the network's `begin`; scripted networks read the messages here."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, passes and seconds of one reply."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """How many of the prompt's tokens came from the key-value cache."""
    generated_tokens: int = 0
    """Tokens of the reply, forced ones included."""
    forced_tokens: int = 0
    """Tokens of the reply that the grammar left no choice about."""
    forward_passes: int = 0
    """Passes of the network after the prompt's own pass."""
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine generated for one request."""

    ids: tuple[int, ...]
    """The sampled and forced token ids, without the end-of-turn token."""
    text: str
    finish: Finish
    usage: Usage


class Cancel(Protocol):
    """Asked before every token; True stops the generation."""

    def __call__(self) -> bool: ...


OnText = Callable[[int, str], None]
"""Called with the request's index and each new piece of text, in order."""
