"""What the base model of a job reads: in which languages, how many tokens of a text, which tokens.

    reads = base_reading(None, home)
    reads.languages, reads.longest, reads.count      # ("en",), 256, the count of its own tokenizer

Found without loading the model and without fetching it, so a model that is not here yet has a
language and a window where the catalogue lists it, and its tokens are estimated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import catalogue
from models.catalogue import Entry
from models.errors import ModelUnavailable
from models.load import hub_entry
from models.pull import is_pulled, pulled_folder
from models.sentence_folder import read_sentence_folder
from tools.tuning.job_spec import AUTO
from tools.tuning.method_catalogue import METHODS, method_class

LONGEST_TOKENS = 256
"""What most methods read of a text unless a setting says otherwise."""
LIMITS = ("max_tokens", "longest")
"""The settings that say so."""
CHARACTERS_PER_TOKEN = 64
"""So much of a text is counted for each token that is read of it."""


@dataclass(frozen=True, slots=True)
class BaseReading:
    """What is known of a base model; the defaults are those of one that is not known here."""

    languages: tuple[str, ...] = ()
    """Codes such as `en`; empty where nobody says."""
    longest: int | None = LONGEST_TOKENS
    """Tokens that are read of a text; None where all of it is."""
    count: Callable[[str], int] | None = None
    """Tokens of a text; None where the tokenizer is not at hand."""


def base_reading(
    name: str | None,
    home: Path,
    *,
    method: str = AUTO,
    settings: Mapping[str, Any] | None = None,
) -> BaseReading:
    """What the model of that name reads.

    Args:
        name: by any name that the catalogue takes; the method's own default where left out.
        method: with `auto` the default is the encoder, which the controls build on in any case.
        settings: of the method.
    """
    longest: int | None = LONGEST_TOKENS
    default = catalogue.EMBEDDER
    if method in METHODS:
        named = method_class(method)
        values = {**named.defaults(), **(settings or {})}
        longest = next((int(values[limit]) for limit in LIMITS if limit in values), None)
        default = catalogue.DEFAULT if named.base == "language_model" else default
    name = name or default
    entry = _entry(name)
    folder = _folder(name, entry, home)
    languages = entry.languages if entry is not None else ()
    window = entry.window if entry is not None else 0
    if folder is None:
        return BaseReading(languages, _least(longest, window))
    try:
        about = read_sentence_folder(folder)
    except ModelUnavailable:  # whoever loads it says why
        return BaseReading(languages, _least(longest, window))
    longest = _least(longest, about.window or window or _positions(about.config))
    return BaseReading(languages, longest, _counter(about.network / "tokenizer.json", longest))


def _entry(name: str) -> Entry | None:
    if catalogue.is_known(name):
        return catalogue.find(name)
    is_path = name.startswith((".", "/", "~")) or name.lower().endswith(".gguf")
    return hub_entry(name) if "/" in name and not is_path else None


def _folder(name: str, entry: Entry | None, home: Path) -> Path | None:
    """Where its files lie, where they are here."""
    if entry is not None:
        return pulled_folder(entry, home) if is_pulled(entry, home) else None
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else None


def _positions(config: Mapping[str, Any]) -> int:
    found = config.get("max_position_embeddings")
    return found if isinstance(found, int) else 0


def _least(longest: int | None, window: int) -> int | None:
    """The smaller one, where both are known."""
    return min(longest, window) if longest is not None and window > 0 else longest


def _counter(path: Path, longest: int | None) -> Callable[[str], int] | None:
    """Counts tokens as the file of the tokenizer says, up to what is read and some more."""
    from tokenizers import Tokenizer

    if longest is None or not path.is_file():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # whatever is wrong with the file, whoever loads the model says it
        return None
    tokenizer.no_truncation()  # the file itself may cut and pad
    tokenizer.no_padding()
    characters = CHARACTERS_PER_TOKEN * longest

    def count(text: str) -> int:
        return len(tokenizer.encode(text[:characters]).ids)

    return count
