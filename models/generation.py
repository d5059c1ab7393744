"""One reply in the making.

The loop, in order: is it cancelled? Does the grammar leave no choice? Then append without a pass.
Else read what is pending in one pass, mask the scores, choose a token. Pending is what was appended
since the last pass, and at first also the rest of the prompt.
"""

import time
from collections.abc import Callable

import numpy as np

from models.errors import Cancelled
from models.grammar import Mask, Matcher
from models.network import Logits, Network
from models.reading import Reading
from models.request import Cancel, Finish, Reply, Request, Usage
from models.sampling import Sampler
from models.text_stream import TextStream


class Generation:
    """Continues one prompt to its end; `run` is called once."""

    def __init__(
        self,
        network: Network,
        request: Request,
        reading: Reading,
        matcher: Matcher | None,
        *,
        show: Callable[[str], None],
        cancel: Cancel,
    ) -> None:
        self._request = request
        self._reading = reading
        self._matcher = matcher
        self._show = show
        self._cancel = cancel
        self._end_ids = network.tokenizer.end_ids
        self._limit = min(request.sampling.max_tokens, network.window - len(request.prompt_ids))
        self._sampler = Sampler(request.sampling)
        self._stream = TextStream(network.tokenizer, request.sampling.stop)
        self._prompt_rest: tuple[int, ...] = ()
        self._prompt_done = False
        self._pending: list[int] = []
        self._generated = self._forced = self._cached = 0
        self._prompt_passes = 0
        self._started = self._prompt_read = time.perf_counter()

    def run(self) -> Reply:
        """Generates until model or grammar end the reply, a limit is reached or it is cancelled."""
        self._cached = self._reading.start(self._request.prompt_ids)
        self._prompt_rest = self._request.prompt_ids[self._cached :]
        finish: Finish | None = None
        while finish is None:
            try:
                finish = self._step()
            except Cancelled:
                finish = "cancelled"
        self._show(self._stream.finish())
        ids = tuple(self._stream.ids)
        return Reply(ids=ids, text=self._stream.text, finish=finish, usage=self._usage())

    def _step(self) -> Finish | None:
        if self._cancel():
            return "cancelled"
        if self._stream.stopped:
            return "stop"
        if self._matcher is not None and self._matcher.finished:
            return "stop"
        room = self._limit - self._generated
        if room <= 0:
            return "length"
        forced, mask = self._choices()
        if forced:
            self._forced += len(forced[:room])
            self._append(forced[:room])
            return None
        if mask is not None and self._only_end(mask):
            return "stop"
        token = self._sampler.choose(self._read_pending(), mask)
        if token in self._end_ids:
            return "stop"
        self._append([token])
        return None

    def _choices(self) -> tuple[list[int], Mask | None]:
        """The tokens that must follow, or else the mask of those that may; None where all may."""
        if self._matcher is None:
            return [], None
        forced = self._matcher.forced()
        if forced:
            return forced, None
        mask = self._matcher.mask()
        if np.count_nonzero(mask) == 1 and not self._only_end(mask):
            return [int(np.argmax(mask))], mask
        return [], mask

    def _only_end(self, mask: Mask) -> bool:
        """The grammar allows nothing but the end."""
        if not 0 < np.count_nonzero(mask) <= len(self._end_ids):
            return False
        return self._end_ids.issuperset(np.flatnonzero(mask).tolist())

    def _append(self, ids: list[int]) -> None:
        if self._matcher is not None:
            self._matcher.consume(ids)
        for token in ids:
            self._generated += 1
            self._pending.append(token)
            self._stream.add(token)
            if self._stream.stopped:
                break
        self._show(self._stream.take())

    def _read_pending(self) -> Logits:
        """The scores after everything so far."""
        fast, reading = self._request.fast_forward, self._reading
        if not self._prompt_done:
            ids = list(self._prompt_rest)
            if fast and not reading.state.needs_marks:
                ids, self._pending = ids + self._pending, []
            logits = reading.read(ids)
            self._prompt_done = True
            self._prompt_passes = reading.passes
            self._prompt_read = time.perf_counter()
        for piece in [self._pending] if fast else [[i] for i in self._pending]:
            if piece:
                logits = reading.read(piece)
        self._pending = []
        return logits

    def _usage(self) -> Usage:
        now = time.perf_counter()
        read = self._prompt_read if self._prompt_done else now
        return Usage(
            prompt_tokens=len(self._request.prompt_ids),
            cached_tokens=self._cached,
            generated_tokens=self._generated,
            forced_tokens=self._forced,
            forward_passes=self._reading.passes - self._prompt_passes if self._prompt_done else 0,
            prefill_seconds=read - self._started,
            decode_seconds=now - read,
        )
