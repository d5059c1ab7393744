"""Skills as files: exported for another machine or for plain transformers and peft, and taken in.

    export_skill(skill, Path("sentiment.skill"))               # ours: a zip of plain data
    export_skill(skill, Path("folder"), format="peft")         # loads with peft alone
    import_skill(Path("sentiment.skill"), store)

An archive comes from anywhere. It is read with our own extractor: regular files with plain names
and known endings only, within limits that are counted while reading, nothing outside the skill's
own folder. Then every file is compared with the manifest and looked into before anything loads it.
"""

import contextlib
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, get_args

from memory import durable
from tools.tuning import kept_examples, skill_files
from tools.tuning.errors import SkillError
from tools.tuning.job_spec import check_skill_name
from tools.tuning.skill_card import CARD_FILE, CARD_LIMIT, SkillCard
from tools.tuning.skill_files import MANIFEST, SUFFIXES
from tools.tuning.skill_store import Skill, SkillStore

Format = Literal["tuneward", "hf", "peft"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIX = ".skill"
MOST_FILES = 200
MOST_BYTES = 16_000_000_000
MOST_RATIO = 200
"""Bytes that one compressed byte may become; weights shrink little, text fivefold."""
MOST_DEPTH = 4
CHUNK = 1 << 20
TAIL = 1 << 17
"""Bytes at a zip's end that hold its own description, however long its comment."""

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_RESERVED = {"con", "prn", "aux", "nul"}
_FOREIGN = {
    "hf": ("config.json", "model.safetensors"),
    "peft": ("adapter_config.json", "adapter_model.safetensors"),
}
"""What the libraries look for."""


def export_skill(
    skill: Skill, target: Path, *, format: Format = "tuneward", with_examples: bool = False
) -> Path:
    """Write a version to a file (tuneward), or into a new folder (hf, peft).

    Args:
        with_examples: training examples go along, for explanations elsewhere.

    Raises:
        SkillError: its files are not as registered, its method has no such format, or the target
            is there already.
        DiskFull, WriteFailed: there is no such file.
    """
    skill.check()
    if target.exists():
        raise SkillError(f"{target} is there already; name another with --out")
    if format == "tuneward":
        _export_own(skill, target, with_examples=with_examples)
    else:
        _export_foreign(skill, target, format)
    return target


def import_skill(
    path: Path, store: SkillStore, *, name: str | None = None, promote: bool = True
) -> Skill:
    """Take an archive in as the next version of its skill.

    Args:
        name: of the skill; the card's own where left out.
        promote: use it from now on.

    Raises:
        SkillError: it is no whole, plain skill; nothing was taken in.
        DiskFull, WriteFailed: nothing was taken in.
    """
    with store.drafting() as draft:
        _extract(path, draft)
        with _about(path, draft):
            skill_files.check_manifest(draft)
            skill_files.check_content(draft)
            name = check_skill_name(name or _card(draft).name)
        return store.take_in(name, draft, promote=promote)


def _card(draft: Path) -> SkillCard:
    path = draft / CARD_FILE
    if not path.is_file() or path.stat().st_size > CARD_LIMIT:
        raise SkillError(f"it has no {CARD_FILE} of at most {CARD_LIMIT} bytes")
    return SkillCard.from_json(path.read_bytes(), where=CARD_FILE)


# out


def _export_own(skill: Skill, target: Path, *, with_examples: bool) -> None:
    left_out = set() if with_examples else {kept_examples.FILE}
    with SkillStore(skill.folder.parents[2]).drafting() as draft:
        copy = draft / "copy"
        for name in skill_files.names_in(skill.folder):
            if name not in left_out:
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(skill.folder / name, copy / name)
        skill_files.write_manifest(copy)
        packed = draft / "packed"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in [*skill_files.names_in(copy), MANIFEST]:
                # The same skill gives the same bytes: no time, no owner.
                facts = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                facts.external_attr = (stat.S_IFREG | 0o644) << 16
                facts.compress_type = zipfile.ZIP_DEFLATED
                with (copy / name).open("rb") as file, archive.open(facts, "w") as entry:
                    shutil.copyfileobj(file, entry, CHUNK)
        with packed.open("rb") as file:
            durable.replace(target.absolute(), iter(lambda: file.read(CHUNK), b""), mode=0o666)


def _export_foreign(skill: Skill, target: Path, format: Format) -> None:
    names = skill_files.names_in(skill.folder)
    root = _place_of(format, names)
    if root is None:
        others = [each for each in _FOREIGN if _place_of(each, names) is not None]
        raise SkillError(
            f"what {skill.card.method} learned has no form that --format {format} could hold; take "
            f"--format {' or '.join([*others, 'tuneward'])}"
        )
    own = {CARD_FILE, "method.json", kept_examples.FILE}
    target.mkdir(parents=True)
    try:
        for name in names:
            inner = name.removeprefix(root)
            if name.startswith(root) and "/" not in inner and name not in own:
                shutil.copyfile(skill.folder / name, target / inner)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _place_of(format: str, names: list[str]) -> str | None:
    """The folder, empty or ending in `/`, in which a library finds its files; None without any."""
    config, weights = _FOREIGN[format]
    roots = [name.removesuffix(config) for name in names if name.rpartition("/")[2] == config]
    return next((root for root in roots if f"{root}{weights}" in names), None)


# in


def _extract(path: Path, folder: Path) -> None:
    """Write the archive's files below `folder`; none is trusted for its name or its size."""
    if not path.is_file():
        raise SkillError(f"there is no file {path}; check the path")
    with _about(path, folder):
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            _extract_entries(archive, folder, path.stat().st_size)


def _extract_entries(archive: zipfile.ZipFile, folder: Path, size: int) -> None:
    entries = archive.infolist()
    if sum(entry.compress_size for entry in entries) > size:
        raise SkillError("its files lie one over the other; it is a trap")
    seen: set[str] = set()
    left = MOST_BYTES
    for entry in entries:
        name = _checked_name(entry)
        if name.lower() in seen:
            raise SkillError(f"it has {name!r} twice")
        seen.add(name.lower())
        if entry.file_size > left:
            raise SkillError(f"it holds more than {MOST_BYTES:,} bytes")
        if entry.file_size > MOST_RATIO * max(entry.compress_size, 1):
            raise SkillError(f"{name!r} grows more than {MOST_RATIO}-fold; it is a trap")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, (folder / name).open("xb") as target:
            left -= _copy(source, target, entry.file_size, name)


def _check_directory(path: Path) -> None:
    """Raises where the list of files is too long to be read at all, before zipfile reads it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) < place + 22:
        raise SkillError("it is no zip file")
    count, size = struct.unpack_from("<HL", tail, place + 10)
    is_large = tail[max(place - 20, 0) : place].startswith(b"PK\6\7")
    place = tail.rfind(b"PK\6\6", 0, place)
    if is_large and place >= 0 and len(tail) >= place + 56:
        large_count, large_size = struct.unpack_from("<QQ", tail, place + 32)
        count, size = max(count, large_count), max(size, large_size)
    if count > MOST_FILES or size > MOST_FILES * 1_000:
        raise SkillError(f"it lists {count:,} files; a skill has at most {MOST_FILES}")


def _checked_name(entry: zipfile.ZipInfo) -> str:
    """The entry's name, where it is a regular file that may be part of a skill."""
    name = entry.filename
    shown = repr(name[:100])
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or entry.is_dir():
        raise SkillError(f"{shown} is a link, a folder or a device; only regular files are taken")
    if entry.flag_bits & 0x1:
        raise SkillError(f"{shown} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SkillError(f"{shown} is packed in an unusual way")
    steps = name.split("/")
    if len(steps) > MOST_DEPTH or not all(map(_is_plain_step, steps)) or len(name) > 200:
        raise SkillError(f"{shown} is no plain relative path")
    if not name.endswith(SUFFIXES):
        raise SkillError(
            f"{shown} may not be part of a skill: only {', '.join(SUFFIXES)} may, since others can "
            "run code when they are loaded"
        )
    return name


def _is_plain_step(step: str) -> bool:
    is_dotted = step.startswith(".") or step.endswith(".")
    return bool(step) and set(step) <= _NAME and not is_dotted and step.lower() not in _RESERVED


def _copy(source: IO[bytes], target: IO[bytes], size: int, name: str) -> int:
    """Copy at most `size` bytes, which the entry claims to have."""
    done = 0
    while block := source.read(CHUNK):
        done += len(block)
        if done > size:
            raise SkillError(f"{name!r} holds more than it claims")
        target.write(block)
    return done


@contextlib.contextmanager
def _about(path: Path, draft: Path) -> Iterator[None]:
    """Whatever is wrong with an archive, the archive is what is named."""

    def said(error: Exception) -> str:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        return text.replace(f"{draft}/", "").replace(str(draft), "the archive")

    try:
        yield
    except SkillError as error:
        raise SkillError(f"{path} is refused: {said(error)}; nothing was taken in") from error
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        EOFError,
        RuntimeError,  # encrypted
        ValueError,
        UnicodeError,
        RecursionError,
        OverflowError,
        FileExistsError,  # a file's name is that of another one's folder
        NotADirectoryError,
        zlib.error,
        struct.error,
    ) as error:
        raise SkillError(
            f"{path} is no whole skill archive ({said(error)}); take another copy"
        ) from error
