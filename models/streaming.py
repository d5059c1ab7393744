"""A reply as an iterator: the engine works in a thread of its own and hands over each piece."""

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
            item = items.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, Reply):
                return
    finally:
        left.set()
        thread.join()
