"""Every tuning method by its name: an explicit list; a class is imported when it is asked for."""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from tools.tuning.errors import MethodUnsuitable
from tools.tuning.methods.base import Method

METHODS: dict[str, str] = {
    "majority": "majority:Majority",
    "nearest": "nearest:Nearest",
    "zero_shot": "zero_shot:ZeroShot",
    "few_shot": "few_shot:FewShot",
    "linear_head": "linear_head:LinearHead",
    "contrastive": "contrastive:Contrastive",
    "encoder": "encoder:Encoder",
    "encoder_lora": "encoder_lora:EncoderLora",
    "soft_prompt": "soft_prompt:SoftPrompt",
    "kv_prefix": "kv_prefix:KVPrefix",
    "lora": "lora:Lora",
    "full": "full:Full",
}
"""Name to file and class in `tools/tuning/methods/`."""
CONTROLS = ("majority", "nearest")
"""What every other method must beat, or nothing is registered."""
ELASTIC = frozenset(
    ("contrastive", "encoder", "encoder_lora", "soft_prompt", "kv_prefix", "lora", "full")
)
"""Trained by steps: where the time is short they make fewer of them."""


def method_class(name: str) -> type[Method]:
    """The class of that name.

    Raises:
        MethodUnsuitable: there is no such method.
    """
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(METHODS)}"
        raise MethodUnsuitable(f"there is no method {name[:80]!r}; {hint}")
    file, _, title = METHODS[name].partition(":")
    found: type[Method] = getattr(import_module(f"tools.tuning.methods.{file}"), title)
    assert issubclass(found, Method)
    return found


def method_classes(names: Sequence[str] = tuple(METHODS)) -> list[type[Method]]:
    """Those classes, the cheapest rung first."""
    return sorted(map(method_class, names), key=lambda method: method.rung)
