"""A server for the tests of remote models, and LangChain's suites without what we do not promise.

What a text model in this process has no use for is left out: skipping it would look like a gap, and
a test that stays must pass.
"""

from collections.abc import Iterator

import pytest
from tenacity import wait_none

from tests.models.openai_server import Behaviour, Served, serving

NOT_PROMISED = {
    "test_image_inputs": "text only",
    "test_image_tool_message": "text only",
    "test_pdf_inputs": "text only",
    "test_pdf_tool_message": "text only",
    "test_audio_inputs": "text only",
    "test_invoke_with_model_override": "an engine holds one model",
    "test_ainvoke_with_model_override": "an engine holds one model",
    "test_stream_with_model_override": "an engine holds one model",
    "test_astream_with_model_override": "an engine holds one model",
    "test_stream_time": "needs recorded network traffic",
    "test_init_from_env": "takes no settings from the environment",
    "test_serdes": "loaded weights do not serialise",
    "test_init_time": "a benchmark",
}


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server is asked again at once."""
    monkeypatch.setattr("models.endpoint.RETRY_WAIT", wait_none())


@pytest.fixture
def behaviour() -> Behaviour:
    """What `server` does; a test changes it at any time."""
    return Behaviour()


@pytest.fixture
def server(behaviour: Behaviour) -> Iterator[Served]:
    with serving(behaviour) as served:
        yield served


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _base_name(item) in NOT_PROMISED and _is_standard(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _base_name(item: pytest.Item) -> str:
    return item.name.partition("[")[0]


def _is_standard(item: pytest.Item) -> bool:
    function = getattr(item, "function", None)
    return str(getattr(function, "__module__", "")).startswith("langchain_tests")
