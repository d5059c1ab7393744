"""A transformers encoder from a sentence model's folder. Import it lazily: it brings torch along.

Covered: folders that may run code (`untrusted.py`), kinds that transformers does not know, weights
that are missing or no numbers, running out of memory. Not covered: encoder-decoder models.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.digest import Digests, Progress
from models.errors import ModelUnavailable, OutOfMemory
from models.gguf_file import check_numbers
from models.load import Source, best_device, load_errors_are_clear
from models.pooling import pooled
from models.quiet import hush
from models.sentence_folder import Dense, SentenceFolder

DEFAULT_WINDOW = 512
"""For models that do not say how many tokens they can read."""
NO_WINDOW = 1_000_000
"""Tokenizers say \"no limit\" with a number far above this."""
OFFSET_KINDS = (
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
    "longformer",
    "xmod",
    "data2vec-text",
)
"""These count positions from the padding token's id on, so the first two are no tokens'."""
UNUSED = ("pooler.", "decoder.", "lm_head.", "cls.")
"""Weights that a sentence vector does without."""


class SentenceNetwork:
    """Token ids to sentence vectors: encoder, pooling, further layers, normalisation."""

    def __init__(
        self, model: Any, tokenizer: Any, folder: SentenceFolder, layers: Sequence[nn.Module] = ()
    ) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._folder = folder
        self._layers = list(layers)
        self._tokenizing = threading.Lock()  # a tokenizer refuses two threads at once
        self._padding: int = next(
            (i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0
        )
        self.window = _window(model.config, tokenizer, folder)
        """Tokens that are read of a text, the marks at its ends included."""
        width = int(model.config.hidden_size) * len(folder.pooling)
        self.dimension = folder.dense[-1].outputs if folder.dense else width
        """Numbers in a vector."""

    @property
    def model(self) -> Any:
        """The transformers encoder itself."""
        return self._model

    @property
    def tokenizer(self) -> Any:
        """Its transformers tokenizer."""
        return self._tokenizer

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, at most a window of them and at least one."""
        if not texts:
            return []
        with self._tokenizing:
            found = self._tokenizer(
                texts,
                truncation=True,
                max_length=self.window,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
        return [ids or [self._padding] for ids in found["input_ids"]]

    def forward(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """One row for each list of token ids.

        Raises:
            OutOfMemory: the batch does not fit the device.
        """
        longest = max(map(len, batch))
        ids = torch.full((len(batch), longest), self._padding)
        mask = torch.zeros((len(batch), longest), dtype=torch.long)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        try:
            with torch.inference_mode():
                return self._vectors(ids.to(self._model.device), mask.to(self._model.device))
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemory(
                f"{len(batch)} texts of up to {longest} tokens do not fit the memory of "
                f"{self._model.device}; take a smaller embedder"
            ) from error

    def _vectors(self, ids: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float32]:
        states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        vectors = pooled(states, mask, self._folder.pooling)
        for layer in self._layers:
            vectors = layer(vectors)
        if self._folder.normalise:
            vectors = nn.functional.normalize(vectors, dim=1)
        found: NDArray[np.float32] = vectors.cpu().numpy()
        return found


def open_network(
    folder: SentenceFolder,
    source: Source,
    digests: Digests,
    *,
    device: str | None = None,
    progress: Progress | None = None,
) -> SentenceNetwork:
    """Reads tokenizer and weights from plain files, in fp32.

    Raises:
        ModelUnavailable: the folder holds no encoder that is known, whole and sound.
    """
    from transformers import AutoModel, AutoTokenizer

    hush()
    _check_kind(folder)
    device = device or best_device()
    options: dict[str, Any] = {} if device == "cpu" else {"device_map": {"": device}}
    with load_errors_are_clear(source, device):
        tokenizer = AutoTokenizer.from_pretrained(
            folder.network, local_files_only=True, trust_remote_code=False
        )
        loaded: Any = AutoModel.from_pretrained(
            folder.network,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **options,
        )
        layers = [_layer(dense).to(device) for dense in folder.dense]
    model, report = loaded
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(UNUSED))
    if missing:
        raise ModelUnavailable(
            f"`{source.name}` lacks {len(missing)} of its weights (first: {missing[0]}); "
            "fetch it again"
        )
    _check_once([model, *layers], source, folder, digests, progress)
    return SentenceNetwork(model, tokenizer, folder, layers)


def _check_kind(folder: SentenceFolder) -> None:
    """The config names a kind of encoder that transformers knows by itself."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    kind = folder.config.get("model_type")
    if kind not in MODEL_MAPPING_NAMES:
        raise ModelUnavailable(
            f"{folder.network}: transformers knows no model of kind {kind!r}; take one that it does"
        )
    if folder.config.get("is_encoder_decoder") is True:
        raise ModelUnavailable(
            f"{folder.network} is an encoder-decoder model ({kind}), which is not read here; take "
            "an encoder"
        )


def _layer(dense: Dense) -> nn.Module:
    """A linear layer and its activation, from `model.safetensors` in the step's folder."""
    from safetensors.torch import load_file

    linear = nn.Linear(dense.inputs, dense.outputs, bias=dense.bias)
    weights = load_file(dense.folder / "model.safetensors")
    linear.load_state_dict({name.removeprefix("linear."): w.float() for name, w in weights.items()})
    activation: nn.Module = getattr(nn, dense.activation)()
    return nn.Sequential(linear, activation).eval()


def _check_once(
    parts: Sequence[Any],
    source: Source,
    folder: SentenceFolder,
    digests: Digests,
    progress: Progress | None,
) -> None:
    """Looks at every number of these weights the first time that they are loaded."""
    places = [folder.network, *(dense.folder for dense in folder.dense)]
    unknown = [
        digest
        for place in places
        if not digests.is_sound(digest := digests.of_weights(place, progress))
    ]
    if not unknown:
        return
    try:
        for part in parts:
            check_numbers(part)
    except ValueError as error:
        raise ModelUnavailable(f"`{source.name}` is broken: {error}; fetch it again") from error
    for digest in unknown:
        digests.mark_sound(digest)


def _window(config: Any, tokenizer: Any, folder: SentenceFolder) -> int:
    """The least of what folder, tokenizer and network allow."""
    positions = getattr(config, "max_position_embeddings", 0) or 0
    if positions and getattr(config, "model_type", "") in OFFSET_KINDS:
        positions -= 2
    limits = [folder.window or 0, tokenizer.model_max_length, positions]
    known = [limit for limit in limits if 0 < limit < NO_WINDOW]
    return min(known, default=DEFAULT_WINDOW)
