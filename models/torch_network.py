"""A transformers model behind the `Network` protocol. Import it lazily: it brings torch along."""

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from models.adapters import TorchAdapters
from models.errors import DeviceLost, ModelError, OutOfMemory
from models.hub_tokenizer import HubTokenizer
from models.network import Logits
from models.request import Request
from models.torch_state import TorchState

DEFAULT_WINDOW = 2048
"""For models that do not say how many tokens they can read."""

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
_NO_DEVICE = re.compile(
    r"\b(CUDA|HIP|XPU|MPS|cuBLAS|cuDNN|NCCL|device-side)\b.*(error|assert|fail)", re.IGNORECASE
)


class TorchNetwork:
    """One loaded causal language model and its tokenizer."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        digest: str,
        window: int | None = None,
    ) -> None:
        self.model = model.eval()
        self.name = name
        self.digest = digest
        config = model.config.get_text_config(decoder=True)
        self.window: int = window or getattr(config, "max_position_embeddings", 0) or DEFAULT_WINDOW
        self.vocab_size = _logits_width(model, config)
        self.parameters: int = model.num_parameters()
        self.chunk = _chunk(self.parameters, str(model.device.type))
        ends = getattr(model.generation_config, "eos_token_id", None)
        self.tokenizer = HubTokenizer(
            tokenizer,
            vocab_size=self.vocab_size,
            end_ids=ends if isinstance(ends, list) else [] if ends is None else [ends],
        )
        self.adapters = TorchAdapters(model, digest)
        self._keeps_rows = "logits_to_keep" in inspect.signature(model.forward).parameters

    @property
    def on_cpu(self) -> bool:
        """It computes on the processor, where long prompts are slow."""
        return bool(self.model.device.type == "cpu")

    def begin(self, request: Request) -> None:
        """Nothing to prepare."""

    def new_state(self, adapter: str | None = None) -> TorchState:
        """An empty sequence, read through that adapter."""
        return TorchState(self, adapter)

    def free_memory(self) -> None:
        """Gives cached blocks back to the device."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def run(
        self, ids: Sequence[int], cache: Any, *, adapter: str | None, first: bool, rows: int
    ) -> Logits:
        """One pass over new tokens; the scores of the last `rows` positions. Grows `cache`."""
        soft_prompt = self.adapters.switch(adapter)
        with _device_errors(), torch.inference_mode():
            tokens = torch.tensor([list(ids)], dtype=torch.long, device=self.model.device)
            inputs: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
            if first and soft_prompt is not None:
                embedded = self.model.get_input_embeddings()(tokens)
                prompt = soft_prompt.to(embedded.device, embedded.dtype).unsqueeze(0)
                inputs["inputs_embeds"] = torch.cat([prompt, embedded], dim=1)
            else:
                inputs["input_ids"] = tokens
            if self._keeps_rows:
                inputs["logits_to_keep"] = rows
            logits = self.model(**inputs).logits[0, -rows:]
            scores: Logits = logits.float().cpu().numpy()
        return scores


def _chunk(parameters: int, device: str) -> int:
    """A second or two of reading on a small CPU; the same on every run, so that results are."""
    if device != "cpu":
        return 1024
    return next((size for size in (512, 256, 128) if size * parameters <= 1e11), 64)


def _logits_width(model: Any, config: Any) -> int:
    head = model.get_output_embeddings()
    width = getattr(head, "out_features", None) or getattr(config, "vocab_size", None)
    if width is None:
        raise ModelError(f"{type(model).__name__} does not say how wide its logits are")
    return int(width)


@contextmanager
def _device_errors() -> Iterator[None]:
    """Turns the many ways of running out of memory, or of a device, into our two."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _out_of_memory(error) from error
    except RuntimeError as error:
        if _NO_MEMORY.search(str(error)):
            raise _out_of_memory(error) from error
        if isinstance(error, torch.AcceleratorError) or _NO_DEVICE.search(str(error)):
            text = str(error).splitlines()[0]
            raise DeviceLost(
                f"the device failed: {text}; start again, or use another device (--device cpu)"
            ) from error
        raise


def _out_of_memory(error: BaseException) -> OutOfMemory:
    text = (str(error) or "no more memory").splitlines()[0]
    return OutOfMemory(
        f"out of memory while running the model: {text}; use a smaller model, 4-bit weights "
        "(TUNEWARD_QUANT=4bit, on CUDA) or a shorter prompt"
    )
