"""Keeps transformers' own bars and warnings off the terminal; what matters we raise or report."""

from typing import Any


def hush() -> None:
    """Call before transformers loads or converts a model."""
    from transformers.utils import logging

    untyped: Any = logging  # its functions carry no annotations
    untyped.set_verbosity_error()
    untyped.disable_progress_bar()
