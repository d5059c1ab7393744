"""Opens a model by name: `load_chat("default", home)` is what every caller starts with.

A name is one of the catalogue (`default`), a hub id (`owner/name` or `owner/name@revision`), a
folder (`./folder`), a GGUF file, or `openai:MODEL@URL` for a server. What is missing is pulled.
Nothing in a model may run code: see `untrusted.py`. On a CPU models compute in fp32 while that fits
(bf16 reads a prompt two to five times slower on a CPU without bf16 units), on CUDA in bf16.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models import catalogue
from models.catalogue import Entry, Hub
from models.digest import Digests, Progress
from models.errors import ConnectionLost, ModelUnavailable, OutOfMemory
from models.footprint import WORKING_BYTES, machine_memory
from models.gguf_file import check_numbers, converted, count_weights
from models.pull import pull
from models.quiet import hush
from models.untrusted import check_folder

if TYPE_CHECKING:
    from models.chat import ChatLocal
    from models.remote import ChatRemote
    from models.torch_network import TorchNetwork

Quant = Literal["4bit"]
WRAPS_BELOW = 3_000_000_000
"""Up to here a thought and its call are one JSON object: measured with 1.5B (docs/log.md)."""
REMOTE = "openai:"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a named model lies on this machine."""

    name: str
    path: Path
    """A folder of safetensors or a GGUF file."""

    @property
    def is_gguf(self) -> bool:
        """It must be converted before it can be loaded."""
        return self.path.suffix.lower() == ".gguf"


def load_chat(
    name: str,
    home: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    quant: Quant | None = None,
    progress: Progress | None = None,
    cache_bytes: int | None = None,
    **kw: Any,
) -> "ChatLocal | ChatRemote":
    """The chat model of that name, pulled and converted if need be. `kw` goes to the chat model."""
    if name.startswith(REMOTE):
        if find_spec("langchain_openai") is None:
            raise ModelUnavailable(
                "an endpoint needs the extra `remote`: run `pip install 'tuneward[remote]'`"
            )
        from models.remote import open_remote

        return open_remote(name, **kw)
    network = load_network(name, home, device=device, dtype=dtype, quant=quant, progress=progress)
    from models.chat import ChatLocal
    from models.engine import Engine

    engine = Engine(network) if cache_bytes is None else Engine(network, cache_bytes=cache_bytes)
    # A CPU reads a long prompt for minutes: schemas of all tools in a template's own listing.
    kw.setdefault("listing", "short" if network.on_cpu else "template")
    wrapped = catalogue.THINKS <= network.parameters < WRAPS_BELOW
    kw.setdefault("calls", "wrapped" if wrapped else "template")
    return ChatLocal(engine=engine, **kw)


def load_network(
    name: str,
    home: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    quant: Quant | None = None,
    progress: Progress | None = None,
) -> "TorchNetwork":
    """The network behind `load_chat`, without a chat model around it."""
    if catalogue.is_known(name) and catalogue.find(name).kind != "chat":
        raise ModelUnavailable(f"`{name}` makes vectors, it cannot chat; take `default` or another")
    source = locate(name, home, progress)
    check_files(source)  # before torch is imported, so that a wrong path is said at once
    device = device or best_device()
    if quant is None and device.startswith("cuda") and catalogue.is_known(name):
        quant = catalogue.find(name).quant
    if quant is not None:
        _check_quant(quant, device)
    if source.is_gguf:
        dtype = dtype or best_dtype(device, lambda: count_weights(source.path, home))
        folder, digest = converted(source.path, home, dtype, progress)
    else:
        folder = source.path
        dtype = dtype or best_dtype(device, lambda: _weights_in(folder))
        digest = Digests(home / "models").of_weights(folder, progress)
    network = _open(folder, source, digest, device=device, dtype=dtype, quant=quant)
    if not source.is_gguf:
        _check_once(network, source, Digests(home / "models"))
    return network


def check_files(source: Source) -> None:
    """Raises ModelUnavailable where the file or folder is missing or no model."""
    if not source.is_gguf:
        check_folder(source.path)
    elif not source.path.is_file():
        raise ModelUnavailable(f"there is no model file {source.path}; check the path")


def locate(name: str, home: Path, progress: Progress | None = None) -> Source:
    """The files of the named model, pulled if need be. A plain word is always a catalogue name."""
    if not name.strip():
        raise ModelUnavailable(
            "the model's name is empty; set TUNEWARD_MODEL, pass --model, or leave it out"
        )
    if name.lower().endswith(".gguf"):
        path = Path(name).expanduser()
        return Source(path.stem, path)
    if name.startswith((".", "/", "~")):
        folder = Path(name).expanduser()
        return Source(folder.resolve().name, folder)
    if "/" not in name:
        return located(catalogue.find(name), home, progress)
    try:
        return located(hub_entry(name), home, progress)
    except ConnectionLost as error:
        if Path(name).is_dir():
            raise ConnectionLost(f"{error}; if you mean the folder, write ./{name}") from error
        raise


def located(entry: Entry, home: Path, progress: Progress | None = None) -> Source:
    """The files of a catalogue entry, pulled if they are not there."""
    folder = pull(entry, home, progress)
    gguf = folder / "model.gguf"
    return Source(entry.name, gguf if gguf.exists() else folder)


def hub_entry(name: str) -> Entry:
    """An entry for any repository of the hub: `owner/name` or `owner/name@revision`."""
    repository, _, revision = name.partition("@")
    for entry in catalogue.HUB_MODELS:
        known = entry.source
        if isinstance(known, Hub) and name in (
            known.repository,
            f"{known.repository}@{known.revision}",
        ):
            return entry
    source = Hub(repository, revision or "main")
    slug = f"hub/{repository.replace('/', '--')}@{source.revision.replace('/', '--')}"
    return Entry(
        name=slug,
        kind="chat",
        source=source,
        licence="not known here: see its repository",
        parameters=0,
        window=0,
        shape=None,
        purpose="a model of the hub",
    )


def best_device() -> str:
    """`cuda` where torch sees a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def best_dtype(device: str, count_weights: Callable[[], int]) -> str:
    """bf16 on a GPU that has it; on a CPU fp32, unless only half of that fits the free memory."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if 4 * count_weights() + WORKING_BYTES <= machine_memory()[1]:
        return "float32"
    return "bfloat16"


def _weights_in(folder: Path) -> int:
    """An upper bound of the number of weights: two bytes each is the least we meet."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) // 2


def _check_quant(quant: str, device: str) -> None:
    if quant != "4bit":
        raise ModelUnavailable(f"there is no quantisation {quant!r}; `4bit` is the one there is")
    if not device.startswith("cuda"):
        raise ModelUnavailable(
            "4-bit needs a CUDA GPU and there is none here; leave TUNEWARD_QUANT out, or take a "
            "GGUF file"
        )
    if find_spec("bitsandbytes") is None:
        raise ModelUnavailable(
            "4-bit weights need the extra `quant`: run `pip install -e '.[quant]'`, or take a "
            "smaller model (`tuneward model list`)"
        )


def _open(
    folder: Path, source: Source, digest: str, *, device: str, dtype: str, quant: Quant | None
) -> "TorchNetwork":
    """Reads tokenizer and weights from plain files; refuses weights that are not all there."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    from models.torch_network import TorchNetwork

    hush()
    number: torch.dtype = getattr(torch, dtype)
    options: dict[str, Any] = {}
    if quant is not None:
        settings: Any = BitsAndBytesConfig  # its constructor is not annotated
        options["quantization_config"] = settings(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=number,
        )
    if device != "cpu":
        options["device_map"] = {"": device}
    _check_kind(folder)
    with load_errors_are_clear(source, device):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=number,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **options,
        )
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelUnavailable(
            f"`{source.name}` lacks {len(missing)} of its weights (first: {missing[0]}); "
            "fetch it again"
        )
    model.eval()
    return TorchNetwork(model, tokenizer, name=source.name, digest=digest)


def _check_once(network: "TorchNetwork", source: Source, digests: Digests) -> None:
    """Looks at every number of these weights the first time that they are loaded."""
    if digests.is_sound(network.digest):
        return
    try:
        check_numbers(network.model)
    except ValueError as error:
        raise ModelUnavailable(f"`{source.name}` is broken: {error}; fetch it again") from error
    digests.mark_sound(network.digest)


def _check_kind(folder: Path) -> None:
    """The config names a kind of causal language model that transformers knows by itself."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = json.loads((folder / "config.json").read_text()).get("model_type")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelUnavailable(
            f"{folder}: transformers knows no language model of kind {kind!r}; take one that it "
            "does, or serve this one and use openai:MODEL@URL"
        )


@contextmanager
def load_errors_are_clear(source: Source, device: str) -> Iterator[None]:
    """Turns what torch, transformers and safetensors raise into one line with the way out."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(
            f"`{source.name}` does not fit the memory of {device}; take a smaller model or "
            f"TUNEWARD_QUANT=4bit on a GPU (`tuneward model show {source.name}` prints what it "
            "needs)"
        ) from error
    except SafetensorError as error:
        raise ModelUnavailable(
            f"`{source.name}` is broken ({error}); delete {source.path}, fetch it again"
        ) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        ImportError,
    ) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnavailable(
            f"`{source.name}` cannot be loaded from {source.path}: {first}; fetch it again or take "
            "another model"
        ) from error
