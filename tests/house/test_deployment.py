"""Tests of Dockerfile and docker-compose.yml, field by field, since CI has no Docker engine."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.settings import load_settings
from tuneward import FLOORS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [
        (line.split()[0], " ".join(line.split()[1:]))
        for line in lines
        if line and not line.startswith("#")
    ]


def _arguments(dockerfile: list[tuple[str, str]], word: str) -> list[str]:
    return [arguments for instruction, arguments in dockerfile if instruction == word]


def test_the_services_are_the_agent_and_on_a_gpu_one_more_and_its_server(
    compose: dict[str, Any],
) -> None:
    assert set(compose["services"]) == {"agent", "agent-gpu", "vllm"}
    assert "version" not in compose
    assert set(compose["volumes"]) == {"state", "vllm-models"}


def test_up_without_a_profile_starts_the_agent_alone_and_asks_for_no_gpu(
    compose: dict[str, Any],
) -> None:
    plain = [name for name, each in compose["services"].items() if not each.get("profiles")]
    assert plain == ["agent"]
    agent = compose["services"]["agent"]
    assert "deploy" not in agent
    assert "depends_on" not in agent
    assert agent["build"] == "."
    assert (agent["stdin_open"], agent["tty"], agent["init"]) == (True, True, True)


def test_the_agent_has_its_state_and_one_folder_and_nothing_else(compose: dict[str, Any]) -> None:
    agent = compose["services"]["agent"]
    assert agent["volumes"] == ["./workspace:/workspace", "state:/state"]
    assert agent["environment"] == {"TUNEWARD_HOME": "/state"}
    assert agent["read_only"] is True
    assert agent["tmpfs"] == ["/tmp"]
    assert agent["cap_drop"] == ["ALL"]
    assert agent["security_opt"] == ["no-new-privileges:true"]


def test_the_profile_gpu_gives_the_agent_a_gpu_and_the_servers_address(
    compose: dict[str, Any],
) -> None:
    agent = compose["services"]["agent-gpu"]
    assert agent["profiles"] == ["gpu"]
    assert agent["extends"] == {"service": "agent"}
    assert agent["depends_on"] == {"vllm": {"condition": "service_healthy"}}
    assert agent["environment"]["TUNEWARD_HOME"] == "/state"
    assert _gpu(agent) == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    server = compose["services"]["vllm"]
    assert server["profiles"] == ["gpu"]
    assert _gpu(server) == _gpu(agent)


def test_agent_and_server_mean_the_same_model_and_port(compose: dict[str, Any], home: Path) -> None:
    name = re.escape("${VLLM_MODEL:-Qwen/Qwen3-8B}")
    model = compose["services"]["agent-gpu"]["environment"]["TUNEWARD_MODEL"]
    assert re.fullmatch(rf"openai:{name}@http://vllm:8000/v1", model)
    server = compose["services"]["vllm"]
    assert server["command"][0] == "--model=${VLLM_MODEL:-Qwen/Qwen3-8B}"
    assert "http://localhost:8000/health" in server["healthcheck"]["test"][-1]
    # The variables are ones that the settings know.
    environ = {
        key: str(home) if key == "TUNEWARD_HOME" else value
        for key, value in compose["services"]["agent-gpu"]["environment"].items()
    }
    assert load_settings(workspace=ROOT, environ=environ).model == model


def test_the_server_leaves_room_on_the_card_and_waits_for_its_model(
    compose: dict[str, Any],
) -> None:
    server = compose["services"]["vllm"]
    assert re.fullmatch(r"\$\{VLLM_IMAGE:-vllm/vllm-openai:v\d+\.\d+\.\d+\}", server["image"])
    assert "--gpu-memory-utilization=${VLLM_GPU_SHARE:-0.6}" in server["command"]
    assert server["healthcheck"]["start_period"] == "20m"
    assert server["volumes"] == ["vllm-models:/models"]
    assert server["environment"]["HF_HOME"] == "/models"


def _gpu(service: dict[str, Any]) -> dict[str, Any]:
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    found: dict[str, Any] = device
    return found


def test_the_image_installs_exactly_the_tested_set(dockerfile: list[tuple[str, str]]) -> None:
    (install,) = [run for run in _arguments(dockerfile, "RUN") if run.startswith("pip install")]
    assert "--constraint constraints.txt" in install
    assert '".[remote]"' in install
    assert _arguments(dockerfile, "FROM") == ["python:3.11-slim"]


def test_the_image_runs_as_nobody_special_and_starts_the_command(
    dockerfile: list[tuple[str, str]],
) -> None:
    words = [word for word, _ in dockerfile]
    assert _arguments(dockerfile, "USER") == ["tuneward"]
    assert words.index("USER") > max(i for i, word in enumerate(words) if word == "RUN")
    assert _arguments(dockerfile, "ENTRYPOINT") == ['["tuneward"]']
    assert _arguments(dockerfile, "WORKDIR")[-1] == "/workspace"
    (environment,) = _arguments(dockerfile, "ENV")
    assert "TUNEWARD_HOME=/state" in environment


def test_everything_that_is_copied_exists_and_is_sent_to_the_builder(
    dockerfile: list[tuple[str, str]],
) -> None:
    copied = [
        name.lstrip("./") for line in _arguments(dockerfile, "COPY") for name in line.split()[:-1]
    ]
    assert set(copied) >= {"tuneward", *FLOORS, "pyproject.toml", "constraints.txt", "LICENSE"}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    sent = [line[1:] for line in ignore if line.startswith("!")]
    assert "*" in ignore
    for name in copied:
        assert (ROOT / name).exists(), name
        assert any(fnmatch.fnmatch(name, pattern) for pattern in sent), name
