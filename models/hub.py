"""Fetches a model from the model hub: safetensors, tokenizer and config, never code or pickles.

The server's file list gives sizes and sha256 sums beforehand; both are compared with what arrived,
because the hub client returns a half-filled folder without an error when the network goes away.
`HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean elsewhere.
"""

import fnmatch
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.catalogue import Hub
from models.digest import Progress, file_sha256
from models.errors import ConnectionLost, ModelUnavailable
from models.transport import library_under

WANTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE*",
    *("modules.json", "sentence_*_config.json", "config_sentence_transformers.json"),
    *("[0-9]_Pooling/config.json", "[0-9]_Dense/config.json"),
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file that the hub offers."""

    name: str
    size: int
    sha256: str | None
    """None for small files, which the hub keeps under a git hash instead."""


def download(
    source: Hub, folder: Path, progress: Progress | None, need_space: Callable[[int], None]
) -> dict[str, int]:
    """Fetches the data files into the folder, going on with what is there; returns their sizes."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    with _hub_errors_are_clear(source):
        files = _offered(source)
        total = sum(file.size for file in files)
        need_space(total - _bytes_in(folder))
        with _watched(folder, total, f"downloading {source.repository}", progress):
            snapshot_download(
                source.repository,
                revision=source.revision,
                local_dir=folder,
                allow_patterns=[file.name for file in files],
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
    for file in files:
        _verify(file, folder, source, progress)
    return {file.name: file.size for file in files}


def _offered(source: Hub) -> list[RemoteFile]:
    """The wanted files of the repository; none with weights is an error."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    # This call fails at once without a network; the client's own listing tries for 20 s.
    found = api.model_info(source.repository, revision=source.revision, files_metadata=True)
    files = [
        RemoteFile(item.rfilename, item.size or 0, item.lfs.sha256 if item.lfs else None)
        for item in found.siblings or ()
        if any(fnmatch.fnmatchcase(item.rfilename, pattern) for pattern in WANTED)
    ]
    names = {file.name for file in files}
    if not any(name.endswith(".safetensors") for name in names) or "config.json" not in names:
        raise ModelUnavailable(
            f"{source.repository}@{source.revision} offers no safetensors with a config.json; "
            "take a repository that does, or a GGUF file"
        )
    return files


def _verify(file: RemoteFile, folder: Path, source: Hub, progress: Progress | None) -> None:
    path = folder / file.name
    if not path.is_file() or path.stat().st_size != file.size:
        raise ConnectionLost(
            f"{source.repository}: {file.name} did not arrive whole; run the same command again"
        )
    if file.sha256 is not None and file_sha256(path, progress) != file.sha256:
        path.unlink()  # else the next try would take it for whole
        raise ModelUnavailable(
            f"{source.repository}: {file.name} arrived with a wrong hash (expected sha256 "
            f"{file.sha256[:12]}...); it was deleted, run the same command again"
        )


@contextmanager
def _hub_errors_are_clear(source: Hub) -> Iterator[None]:
    """Turns the hub client's exceptions into one line with the way out."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"{source.repository}@{source.revision}"
    unreachable: tuple[type[Exception], ...] = (LocalEntryNotFoundError, *_connection_errors())
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ModelUnavailable(
            f"{name} is not on this machine and HF_HUB_OFFLINE forbids fetching it"
        ) from error
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{name} asks for consent: accept its licence on the hub and set HF_TOKEN, or take "
            "another model"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"the hub has no {source.repository} (or it is private and HF_TOKEN is not set); check "
            "the spelling"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelUnavailable(f"{source.repository} has no revision {source.revision}") from error
    except HFValidationError as error:
        raise ModelUnavailable(f"`{source.repository}` is no hub id (owner/name)") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        kind = ConnectionLost if status in (0, 408, 429) or status >= 500 else ModelUnavailable
        raise kind(f"the hub refused {name} (HTTP {status}); try again later") from error
    except unreachable as error:
        raise ConnectionLost(
            f"the model hub was not reached for {name}; check the network (HF_ENDPOINT names "
            "another hub) and try again, or use an embedded model: `tuneward model pull default`"
        ) from error


def _connection_errors() -> tuple[type[Exception], ...]:
    """The transport errors of whichever HTTP client the hub client was built on."""
    from huggingface_hub.errors import HfHubHTTPError

    transport = library_under(HfHubHTTPError, "HTTPError")
    return (transport.TransportError, ConnectionError, TimeoutError)


@contextmanager
def _watched(folder: Path, total: int, what: str, progress: Progress | None) -> Iterator[None]:
    """Reports the folder's growth from a second thread while the body runs."""
    finished = threading.Event()

    def report() -> None:
        while not finished.wait(0.2):
            assert progress is not None
            progress(what, min(_bytes_in(folder), total), total)

    watcher = threading.Thread(target=report, daemon=True)
    if progress is not None:
        watcher.start()
    try:
        yield
    finally:
        finished.set()
        if progress is not None:
            watcher.join()


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # a part file may vanish while we look
            continue
    return total
