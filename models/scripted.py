"""A network without weights that says what a script tells it, for demonstrations and tests.

Tokens are single bytes and a few special ones. Each request takes the next reply of the script and
the scores favour its next byte, so grammar, sampling, cache and usage really run. Where the grammar
forbids that byte, the next allowed byte of the script is taken, and the script is found again by
the fewest edits: `list_files` forced where the script says `read_file` still goes on with the
arguments.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.network import Logits
from models.request import Request

if TYPE_CHECKING:
    from llguidance import LLTokenizer

ScriptedReply = str | Mapping[str, Any]
"""Text, or a tool call as `{"name": ..., "arguments": {...}}`."""
Answer = Callable[[Request], ScriptedReply]
Script = Sequence[ScriptedReply | Answer] | Answer

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|end|>")
END_IDS = frozenset({257, 258})
BYTES_PER_TOKEN = 64
"""Made-up size of a key-value entry, so that cache limits can be tried out."""


class ByteTokenizer:
    """One token for each byte, and the special tokens after them."""

    chat_template: str | None = None
    end_ids = END_IDS

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        ids: list[int] = []
        while special and (found := [(text.find(s), s) for s in SPECIAL if s in text]):
            start, name = min(found)
            ids += [*text[:start].encode(errors="replace"), 256 + SPECIAL.index(name)]
            text = text[start + len(name) :]
        return [*ids, *text.encode(errors="replace")]

    def decode(self, ids: Sequence[int]) -> str:
        pieces = (bytes([i]) if i < 256 else SPECIAL[i - 256].encode() for i in ids)
        return b"".join(pieces).decode(errors="replace")

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        shown = "".join(json.dumps(tool, ensure_ascii=False) + "\n" for tool in tools or ())
        text = f"<|im_start|>system\n{shown}<|im_end|>\n" if shown else ""
        for message in messages:
            text += f"<|im_start|>{message['role']}\n{message.get('content') or ''}<|im_end|>\n"
        return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")

    @cached_property
    def llguidance(self) -> "LLTokenizer":
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(TokenizerWrapper(_Vocabulary()), eos_token=sorted(END_IDS))


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    eos_token_id = min(END_IDS)
    bos_token_id = None
    tokens = [*(bytes([i]) for i in range(256)), *(s.encode() for s in SPECIAL)]
    special_token_ids = tuple(range(256, 256 + len(SPECIAL)))

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


class NoAdapters:
    """A scripted network is the same through every adapter, but keeps their cache keys apart."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def load(self, name: str, folder: Path) -> None:
        self._keys[name] = f"{name}@{folder}"

    def remove(self, name: str) -> None:
        self._keys.pop(name, None)

    def key(self, name: str | None) -> str:
        if name is None:
            return ""
        if name not in self._keys:
            raise ModelError(f"no adapter named {name!r} is loaded; there are {sorted(self._keys)}")
        return self._keys[name]


class ScriptedNetwork:
    """Says the replies of a script, one for each request, as far as the grammar lets it."""

    vocab_size = 256 + len(SPECIAL)
    chunk = 512
    parameters = 0

    def __init__(
        self, replies: Script, *, name: str = "scripted", window: int = 32_768, digest: str = ""
    ) -> None:
        self.name = name
        self.window = window
        self.digest = digest or sha256(b"scripted network").hexdigest()
        self.tokenizer = ByteTokenizer()
        self.adapters = NoAdapters()
        self.requests: list[Request] = []
        """Every request so far, oldest first."""
        self._replies = replies
        self._line = Line(b"", 0)

    def begin(self, request: Request) -> None:
        """Takes the next reply of the script."""
        number = len(self.requests)
        self.requests.append(request)
        reply: Any = self._replies
        if not callable(reply):
            if number >= len(reply):
                raise ModelError(f"the script has {len(reply)} replies, and one more was asked for")
            reply = reply[number]
        if callable(reply):
            reply = reply(request)
        text = _as_text(reply)
        self._line = Line(text.encode(errors="replace"), start=len(request.prompt_ids))

    def new_state(self, adapter: str | None = None) -> "ScriptedState":
        """An empty sequence; the adapter makes no difference."""
        return ScriptedState(self)

    def free_memory(self) -> None:
        """Nothing to give back."""

    def scores_after(self, ids: Sequence[int]) -> Logits:
        """What the network would say after these tokens."""
        return self._line.scores_after(ids)


def _as_text(reply: ScriptedReply) -> str:
    """A call is spelled in our own JSON rendering; another grammar bends it to its own."""
    if isinstance(reply, str):
        return reply
    call = {"name": reply["name"], "arguments": reply.get("arguments", {})}
    return json.dumps(call, ensure_ascii=False)


class Line:
    """One reply of the script and how far it has been said."""

    def __init__(self, text: bytes, start: int) -> None:
        self._script = np.frombuffer(text, dtype=np.uint8).astype(np.int64)
        self._text = text
        self._start = start
        # Edits between what was said and each beginning of the script, and what was said.
        self._edits = np.arange(len(text) + 1)
        self._said: list[int] = []

    def scores_after(self, ids: Sequence[int]) -> Logits:
        """High for the script's next byte, lower for those after it, then what closes things."""
        rest = self._text[self._place(ids[self._start :]) :]
        scores = np.full(ScriptedNetwork.vocab_size, -60.0, dtype=np.float32)
        scores[ord("!") : 127] = -50.0
        for rank, byte in enumerate(b'"}]:,0'):
            scores[byte] = -30.0 - rank
        for byte in set(rest):
            scores[byte] = 20.0 - min(rest.index(byte), 25)
        scores[sorted(END_IDS)] = 40.0 if not rest else -25.0
        if rest:
            scores[rest[0]] = 40.0
        return scores

    def _place(self, said: Sequence[int]) -> int:
        """How much of the script has been said: the beginning with the fewest edits to it."""
        if self._said != list(said[: len(self._said)]):
            self._said, self._edits = [], np.arange(len(self._text) + 1)
        for token in said[len(self._said) :]:
            self._edits = _next_row(self._edits, self._script != token)
        self._said = list(said)
        places = np.flatnonzero(self._edits == self._edits.min())
        # Of several such beginnings, the longest that ends like what was said.
        alike = [p for p in places if p and said and self._script[p - 1] == said[-1]]
        return int(alike[-1] if alike else places[0])


def _next_row(row: NDArray[np.int64], differs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One row of the edit distance table."""
    places = np.arange(row.size)
    candidates = np.concatenate(([row[0] + 1], np.minimum(row[1:] + 1, row[:-1] + differs)))
    # Skipping script bytes costs one each: a running minimum once the place itself is taken off.
    return np.minimum.accumulate(candidates - places) + places


class ScriptedState:
    """The ids that were read; scores come from the script."""

    needs_marks = False

    def __init__(self, network: ScriptedNetwork, ids: Sequence[int] = ()) -> None:
        self._network = network
        self._ids = list(ids)
        self._logits: Logits | None = None

    @property
    def length(self) -> int:
        return len(self._ids)

    @property
    def bytes(self) -> int:
        return len(self._ids) * BYTES_PER_TOKEN

    @property
    def logits(self) -> Logits | None:
        return self._logits

    def forward(self, ids: Sequence[int]) -> Logits:
        self._ids += ids
        self._logits = self._network.scores_after(self._ids)
        return self._logits

    def forward_each(self, ids: Sequence[int]) -> Logits:
        return np.stack([self.forward([i]) for i in ids])

    def reachable(self, length: int) -> int:
        return min(length, len(self._ids))

    def crop(self, length: int) -> None:
        del self._ids[length:]
        self._logits = None

    def mark(self) -> None:
        """Every length can be gone back to."""

    def knows(self, length: int) -> bool:
        return False

    def fork(self, length: int) -> Self:
        return type(self)(self._network, self._ids[:length])
