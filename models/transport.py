"""Finds the HTTP library under another library: `httpx`, or its successor `httpx2`."""

from importlib import import_module
from types import ModuleType


def library_under(made: type, base: str) -> ModuleType:
    """The library that the base class of that name comes from."""
    found = next(cls for cls in made.__mro__ if cls.__name__ == base)
    return import_module(found.__module__.partition(".")[0])
