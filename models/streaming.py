"""A reply as an iterator: the engine works in a thread of its own and hands over each piece.

A reader that is slower than the engine gets all that has come since in one piece.
"""

import contextvars
import queue
import threading
from collections.abc import Iterator

from models.engine import Engine
from models.request import Cancel, Reply, Request


def streamed(engine: Engine, request: Request, cancel: Cancel | None) -> Iterator[str | Reply]:
    """The reply's text as it is generated, then the reply. Leaving early stops the engine."""
    items: queue.SimpleQueue[str | Reply | BaseException] = queue.SimpleQueue()
    left = threading.Event()

    def work() -> None:
        try:
            replies = engine.generate(
                [request],
                on_text=lambda _, piece: items.put(piece),
                cancel=lambda: left.is_set() or (cancel is not None and cancel()),
            )
            items.put(replies[0])
        except BaseException as error:  # handed to the reader, who raises it
            items.put(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="stream", daemon=True)
    thread.start()
    try:
        while True:
            piece, last = _next(items)
            if piece:
                yield piece
            if isinstance(last, BaseException):
                raise last
            if last is not None:
                yield last
                return
    finally:
        left.set()
        thread.join()


def _next(
    items: "queue.SimpleQueue[str | Reply | BaseException]",
) -> tuple[str, Reply | BaseException | None]:
    """Waits for a piece; all text that is there, and how it ended where it has."""
    pieces: list[str] = []
    item = items.get()
    while isinstance(item, str):
        pieces.append(item)
        try:
            item = items.get_nowait()
        except queue.Empty:
            return "".join(pieces), None
    return "".join(pieces), item
