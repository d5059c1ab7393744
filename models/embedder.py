"""Turns texts into vectors with a sentence encoder: `load_embedder("minilm-l6", home)`.

The forward pass is our own over a transformers encoder; how its tokens become one vector is read
from the model folder (`sentence_folder.py`). Always computed in fp32: the models are small, and a
memory's vectors must not depend on the machine. Longer texts are cut at the model's window.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from models import catalogue
from models.digest import Digests, Progress
from models.errors import ModelUnavailable, OutOfMemory
from models.fingerprint import Fingerprint
from models.load import Source, locate
from models.sentence_folder import SentenceFolder, read_sentence_folder

if TYPE_CHECKING:
    from models.sentence_network import SentenceNetwork

BATCH_TOKENS = 4_096
"""Tokens of one forward pass, padding included: a batch's largest activations stay near 100 MB."""
BATCH_TEXTS = 64
SLAB = 2_048
"""Texts that are tokenized and sorted by length together."""
CHARACTERS_PER_TOKEN = 64
"""So much of a text is shown to the tokenizer for each token of the window; the rest is cut."""
DECISIVE = (
    *("*.safetensors", "config.json", "modules.json", "sentence_*_config.json"),
    *("config_sentence_transformers.json", "*_Pooling/config.json", "tokenizer.json"),
    *("tokenizer_config.json", "vocab.txt"),
)
"""Files that decide what vector a text gets."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class TextEmbedder(Embeddings):
    """Sentence vectors of one model; several threads may use it."""

    def __init__(
        self, network: "SentenceNetwork", folder: SentenceFolder, *, name: str, revision: str
    ) -> None:
        """Use `load_embedder`; this takes what it has loaded."""
        self.name = name
        self.window = network.window
        """Tokens that are read of a text."""
        self.dimension = network.dimension
        self.fingerprint = Fingerprint(name, revision, network.dimension, folder.normalise)
        self._network = network
        self._folder = folder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text, in order; a text's vector does not depend on the others."""
        vectors: list[list[float]] = self.vectors(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.vectors([text], prompt=self._folder.query_prompt)[0].tolist()
        return vector

    def vectors(self, texts: Sequence[str], *, prompt: str | None = None) -> NDArray[np.float32]:
        """The texts' vectors as rows of float32.

        Args:
            prompt: put before each text; the model's own for documents where left out.

        Raises:
            TypeError: one of them is no text.
            OutOfMemory: not even one text fits the device.
        """
        before = self._folder.document_prompt if prompt is None else prompt
        out = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), SLAB):
            slab = [self._readable(before, text) for text in texts[start : start + SLAB]]
            tokens = self._network.tokens(slab)
            for batch in batches([len(ids) for ids in tokens]):
                out[[start + i for i in batch]] = self._forward([tokens[i] for i in batch])
        return out

    def _readable(self, before: str, text: str) -> str:
        """The text as the tokenizer takes it: no half characters, no more than it could read."""
        if not isinstance(text, str):
            raise TypeError(f"only texts have vectors, not a {type(text).__name__}")
        text = _SURROGATE.sub("\ufffd", before + text[: self.window * CHARACTERS_PER_TOKEN])
        return text.lower() if self._folder.lower_case else text

    def _forward(self, batch: list[list[int]]) -> NDArray[np.float32]:
        """The batch's vectors; where it does not fit the memory, in halves."""
        try:
            return self._network.forward(batch)
        except OutOfMemory:
            if len(batch) == 1:
                raise
        half = len(batch) // 2
        return np.concatenate([self._forward(batch[:half]), self._forward(batch[half:])])


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indexes in batches of texts of about one length, longest first.

    Each batch has at most BATCH_TEXTS texts and, padded, BATCH_TOKENS tokens (or one text), and
    none in it is shorter than half the longest, so that less than half is padding.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[batch[0]] if batch else lengths[i]
        is_full = len(batch) == BATCH_TEXTS or (len(batch) + 1) * longest > BATCH_TOKENS
        if batch and (is_full or 2 * lengths[i] < longest):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def load_embedder(
    name: str,
    home: Path,
    *,
    device: str | None = None,
    progress: Progress | None = None,
) -> TextEmbedder:
    """The embedder of that name, pulled if need be.

    Args:
        name: of the catalogue, a hub id (`owner/name` or `owner/name@revision`), or a folder.
        home: the folder that TUNEWARD_HOME names.
        device: `cpu` or `cuda`; the best there is where left out.

    Raises:
        ModelUnavailable: it is not there, unsafe, broken, or no sentence encoder.
    """
    source = locate_encoder(name, home, progress)
    folder = read_sentence_folder(source.path)  # before torch is imported: a wrong path is said now
    from models.sentence_network import open_network

    digests = Digests(home / "models")
    network = open_network(folder, source, digests, device=device, progress=progress)
    revision = _revision(source.path, folder, digests)
    return TextEmbedder(network, folder, name=source.name, revision=revision)


def locate_encoder(name: str, home: Path, progress: Progress | None) -> Source:
    """The files of the named encoder, pulled if need be; refuses chat models and GGUF files."""
    if catalogue.is_known(name) and catalogue.find(name).kind != "embedder":
        raise ModelUnavailable(
            f"`{name}` is a chat model, it makes no vectors; take `{catalogue.EMBEDDER}` or another"
        )
    if name.lower().endswith(".gguf"):
        raise ModelUnavailable(f"{name} is a GGUF file; embedders are read from safetensors only")
    return locate(name, home, progress)


def _revision(path: Path, folder: SentenceFolder, digests: Digests) -> str:
    """A hash of every file that decides what vector a text gets."""
    parts = [path, folder.network, *(dense.folder for dense in folder.dense)]
    decisive = [found for part in parts for glob in DECISIVE for found in part.glob(glob)]
    digest = hashlib.sha256()
    for file in sorted(set(decisive)):
        digest.update(f"{file.relative_to(path).as_posix()}={digests.of_file(file)}\n".encode())
    return digest.hexdigest()
