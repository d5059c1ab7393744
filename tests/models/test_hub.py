"""Pulling from a model hub: the real client against a hub served from a folder here."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tenacity import wait_none

from models import pull as pulling
from models.catalogue import Entry
from models.chat import ChatLocal
from models.embedder import load_embedder
from models.errors import ConnectionLost, ModelUnavailable
from models.load import hub_entry, load_chat
from models.pull import pull, pulled_folder
from tests.models.tiny import publish
from tests.models.tiny_encoder import write_encoder

COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """`owner/llama` at one commit, file list and files; may be told to misbehave."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.cuts: set[str] = set()
        """Files that arrive only in half."""
        self.lies: set[str] = set()
        """Files that arrive with another content than the list says."""
        self.status = 200
        self.fetched: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def rows(self) -> list[dict[str, object]]:
        """Every file of the repository, the way the hub lists it."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [_row(path, path.relative_to(self.folder).as_posix()) for path in files]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `fetched`."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        if hub.status != 200:
            self._send(b"{}", status=hub.status, headers=_REASONS.get(hub.status, {}))
        elif path.startswith("/api/models/owner/llama/tree/"):
            self._send(json.dumps(hub.rows()).encode())
        elif path.startswith(("/api/models/owner/llama/revision/", "/api/models/owner/llama")):
            files = [row | {"rfilename": row["path"]} for row in hub.rows()]
            self._send(json.dumps({"id": "owner/llama", "sha": COMMIT, "siblings": files}).encode())
        elif path.startswith("/owner/llama/resolve/"):
            self._file(hub.folder / path.split("/", 5)[5])
        else:
            self._send(b"{}", status=404, headers={"X-Error-Code": "RepoNotFound"})

    def _file(self, path: Path) -> None:
        hub = self.server
        data = path.read_bytes()
        if self.command == "GET":
            hub.fetched.append(path.name)
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if path.name in hub.lies:
            data = bytes(len(data))
        self._send(data, headers=headers, cut=path.name in hub.cuts)

    def _send(
        self,
        data: bytes,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: len(data) // 2] if cut else data)


_REASONS = {404: {"X-Error-Code": "RepoNotFound"}, 403: {"X-Error-Code": "GatedRepo"}}


def _row(path: Path, name: str) -> dict[str, object]:
    data = path.read_bytes()
    row: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
    if path.suffix == ".safetensors":
        sha256 = hashlib.sha256(data).hexdigest()
        row["lfs"] = {"oid": sha256, "sha256": sha256, "size": len(data), "pointerSize": 130}
    return row


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = publish(tmp_path / "published", "llama")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_custom.py").write_text("boom")
    (folder / "README.md").write_text("Read me.")
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(pulling, "RETRY_WAIT", wait_none())
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def entry() -> Entry:
    return hub_entry("owner/llama")


def test_a_hub_id_is_pulled_and_opened(hub: Hub, home: Path) -> None:
    model = load_chat("owner/llama", home, max_tokens=3)
    assert isinstance(model, ChatLocal)
    assert model.invoke("Hello").text is not None


def test_a_sentence_encoder_is_pulled_with_all_its_steps(hub: Hub, home: Path) -> None:
    shutil.rmtree(hub.folder)
    write_encoder(hub.folder, dense=8, prompts={"query": "find: "})
    (hub.folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"a pickle")
    pulled = load_embedder("owner/llama", home, device="cpu")
    local = write_encoder(home / "local", dense=8, prompts={"query": "find: "})
    same = load_embedder(str(local), home, device="cpu")
    assert pulled.embed_query("refunds") == pytest.approx(same.embed_query("refunds"), abs=1e-6)
    assert pulled.fingerprint.revision == same.fingerprint.revision
    assert "pytorch_model.bin" not in hub.fetched


def test_only_data_files_are_fetched(hub: Hub, home: Path, entry: Entry) -> None:
    folder = pull(entry, home)
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "pulled.json"} <= names
    assert not names & {"pytorch_model.bin", "modeling_custom.py", "README.md"}
    assert "modeling_custom.py" not in hub.fetched


def test_a_pulled_model_needs_no_hub_any_more(hub: Hub, home: Path, entry: Entry) -> None:
    pull(entry, home)
    hub.status = 503
    assert pull(entry, home) == pulled_folder(entry, home)


def test_a_download_that_breaks_off_leaves_no_model_and_can_go_on(
    hub: Hub, home: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "ATTEMPTS", 1)  # the hub's client tries again by itself, slowly
    hub.cuts = {"model.safetensors"}
    with pytest.raises(ModelUnavailable):
        pull(entry, home)
    assert not pulled_folder(entry, home).exists()
    hub.cuts = set()
    assert (pull(entry, home) / "model.safetensors").is_file()


def test_files_that_arrived_are_not_fetched_again(hub: Hub, home: Path, entry: Entry) -> None:
    hub.lies = {"model.safetensors"}
    with pytest.raises(ModelUnavailable):
        pull(entry, home)
    hub.lies, hub.fetched = set(), []
    pull(entry, home)
    assert "tokenizer.json" not in hub.fetched


def test_a_wrong_hash_is_refused_and_not_kept(hub: Hub, home: Path, entry: Entry) -> None:
    hub.lies = {"model.safetensors"}
    with pytest.raises(ModelUnavailable, match="model.safetensors arrived with a wrong hash"):
        pull(entry, home)
    assert not list(home.rglob("model.safetensors"))


def test_a_hub_that_is_down_is_said(hub: Hub, home: Path, entry: Entry) -> None:
    hub.status = 503
    with pytest.raises(ConnectionLost, match=r"refused owner/llama@main \(HTTP 503\)"):
        pull(entry, home)


def test_no_network_is_said(home: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "RETRY_WAIT", wait_none())
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionLost, match="hub was not reached.*tuneward model pull default"):
        pull(entry, home)


def test_a_repository_that_is_not_there_is_said(hub: Hub, home: Path) -> None:
    with pytest.raises(ModelUnavailable, match="the hub has no owner/other"):
        pull(hub_entry("owner/other"), home)


def test_a_repository_that_asks_for_consent_is_said(hub: Hub, home: Path, entry: Entry) -> None:
    hub.status = 403
    with pytest.raises(ModelUnavailable, match="accept its licence on the hub and set HF_TOKEN"):
        pull(entry, home)


def test_a_repository_without_safetensors_is_refused(hub: Hub, home: Path, entry: Entry) -> None:
    (hub.folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match="offers no safetensors"):
        pull(entry, home)


def test_too_little_space_is_said(
    hub: Hub, home: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(home)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ModelUnavailable, match="make room there"):
        pull(entry, home)
    assert "model.safetensors" not in hub.fetched
