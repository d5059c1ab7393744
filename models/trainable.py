"""Opens a model to be tuned: the plain transformers model and tokenizer, and what they are.

    encoder = load_encoder("minilm-l6", home)
    encoder.model(input_ids=..., attention_mask=...).last_hidden_state

Loaded in evaluation mode and, on a CPU, in fp32 always: a tuned part is fp32 and meets the same
numbers wherever it runs. Weights keep `requires_grad`; freezing them is the method's choice.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import catalogue
from models.digest import Digests, Progress
from models.embedder import locate_encoder
from models.errors import ModelUnavailable
from models.load import Quant, best_device, load_network, locate
from models.sentence_folder import SentenceFolder, read_sentence_folder

TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
"""Files that decide which ids a text gets."""


@dataclass(frozen=True, slots=True)
class Trainable:
    """A loaded model that a method may train, or train something for."""

    model: Any
    """The transformers model; of an encoder, the one without a head."""
    tokenizer: Any
    """Its transformers tokenizer."""
    name: str
    """As the catalogue, the hub or the folder calls it."""
    digest: str
    """Hash of its weights, the same on every machine."""
    tokenizer_digest: str
    """Hash of what decides the ids of a text."""
    window: int
    """Tokens that it can read, the marks at a text's ends included."""
    sentence: SentenceFolder | None = None
    """How an encoder's tokens become one vector; None for a language model."""

    @property
    def facts(self) -> dict[str, str]:
        """What a tuned part notes down of the model that it was tuned for."""
        return {
            "name": self.name,
            "digest": self.digest,
            "tokenizer_digest": self.tokenizer_digest,
        }


def load_encoder(
    name: str | None,
    home: Path,
    device: str | None = None,
    *,
    progress: Progress | None = None,
) -> Trainable:
    """The encoder of that name in fp32, pulled if need be.

    Args:
        name: of the catalogue, a hub id (`owner/name` or `owner/name@revision`) or a folder (a
            sentence encoder or any other); `minilm-l6` where left out.
        home: the folder that TUNEWARD_HOME names.
        device: `cpu` or `cuda`; the best there is where left out.

    Raises:
        ModelUnavailable: it is not there, unsafe, broken, or no encoder.
    """
    source = locate_encoder(name or catalogue.EMBEDDER, home, progress)
    folder = read_sentence_folder(source.path)  # before torch is imported: a wrong path is said now
    from models.sentence_network import open_network

    digests = Digests(home / "models")
    network = open_network(folder, source, digests, device=device, progress=progress)
    return Trainable(
        model=network.model,
        tokenizer=network.tokenizer,
        name=source.name,
        digest=digests.of_weights(folder.network, progress),
        tokenizer_digest=_tokenizer_digest(folder.network, digests),
        window=network.window,
        sentence=folder,
    )


def load_language_model(
    name: str | None,
    home: Path,
    device: str | None = None,
    quant: Quant | None = None,
    *,
    progress: Progress | None = None,
) -> Trainable:
    """The causal language model of that name: fp32 on a CPU, bf16 or 4-bit on CUDA.

    Args:
        name: of the catalogue, a hub id, a folder or a GGUF file (converted once); the catalogue's
            `default` where left out.
        home: the folder that TUNEWARD_HOME names.
        device: `cpu` or `cuda`; the best there is where left out.
        quant: `4bit`, on CUDA only.

    Raises:
        ModelUnavailable: it is not there, unsafe, broken, or no language model.
        OutOfMemory: it does not fit.
    """
    name = name or catalogue.DEFAULT
    if name.startswith("openai:"):
        raise ModelUnavailable(
            f"`{name}` is a server, whose weights cannot be tuned; name a model of this machine"
        )
    device = device or best_device()
    dtype = "float32" if device == "cpu" else None
    network = load_network(name, home, device=device, dtype=dtype, quant=quant, progress=progress)
    source = locate(name, home, progress)
    # A GGUF file holds its tokenizer too; the files made from it may change with a library.
    tokenizer_digest = (
        network.digest
        if source.is_gguf
        else _tokenizer_digest(source.path, Digests(home / "models"))
    )
    return Trainable(
        model=network.model,
        tokenizer=network.tokenizer.hub,
        name=network.name,
        digest=network.digest,
        tokenizer_digest=tokenizer_digest,
        window=network.window,
    )


def _tokenizer_digest(folder: Path, digests: Digests) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder / name for name in TOKENIZER_FILES):
        if file.is_file():
            digest.update(f"{file.name}={digests.of_file(file)}\n".encode())
    return digest.hexdigest()
