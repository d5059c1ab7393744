"""What every test gets: an own TUNEWARD_HOME, no network, sampled long lists, no skips in CI.

`weights` tests share one cache of pulled models: the folder that TEST_MODELS names, else one in the
user's cache folder. NOTHING_MAY_SKIP=1 turns a skipped `system` or `weights` test into a failure.
`--stress NAME` runs the long list NAME in full (see `tests/long_list.py`).
"""

import os
import signal
import socket
from collections.abc import Generator
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, settings

from tests import long_list

settings.register_profile(
    "sample", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("stress", settings.get_profile("sample"), max_examples=5_000)
settings.load_profile("sample")

MAY_NOT_SKIP = ("system", "weights")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stress", metavar="NAME", help="run this long list in full; `all`, or `list` to name them"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell ignores SIGINT for what it starts in the background; our children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--stress"):
        long_list.run_in_full()
        settings.load_profile("stress")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="no accelerator on this machine"))
    wanted = config.getoption("--stress")
    if wanted:
        kept = long_list.select(items, wanted)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and os.environ.get("NOTHING_MAY_SKIP")
        and any(item.get_closest_marker(name) for name in MAY_NOT_SKIP)
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may skip: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own TUNEWARD_HOME; no setting of the person who runs the tests reaches it."""
    for name in [name for name in os.environ if name.startswith("TUNEWARD_")]:
        monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TUNEWARD_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine can be reached, so a forgotten download fails at once and by name."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if host is not None and host not in ("localhost", "::1") and not _is_loopback(host):
            raise OSError(f"tests have no network: tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]  # as the caller gave it

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """A home folder whose `models/` holds what `weights` tests pulled, once for all runs."""
    default = platformdirs.user_cache_path("tuneward-tests")
    folder = Path(os.environ.get("TEST_MODELS", default))
    (folder / "models").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def weights(home: Path, model_cache: Path) -> Path:
    """This test's home, with the shared models in it: pulled once, then found."""
    (home / "models").symlink_to(model_cache / "models", target_is_directory=True)
    return home


def _is_loopback(host: object) -> bool:
    return isinstance(host, str) and host.startswith("127.")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
