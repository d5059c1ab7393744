"""Every way to end has the documented exit code and says what to do next."""

import itertools

import pytest

from agent.status import STATUSES, Status, exit_code, next_step, worst

DOCUMENTED: dict[int, set[Status]] = {
    0: {"done", "finished_unchecked"},
    1: {"failed"},
    3: {"unavailable", "disk_full", "oom", "device_lost"},
    4: {"needs_review", "crash_loop"},
    5: {"internal_error"},
    6: {"repeat", "no_progress", "invalid_output"},
    124: {"budget_steps", "budget_seconds", "budget_tokens", "budget_tuning"},
    130: {"interrupted"},
}


def test_exit_codes_are_the_documented_ones() -> None:
    found: dict[int, set[Status]] = {}
    for status in STATUSES:
        found.setdefault(exit_code(status), set()).add(status)
    assert found == DOCUMENTED


def test_the_worst_of_several_goals_decides() -> None:
    order = [5, 3, 130, 4, 124, 6, 1, 0]
    for first, second in itertools.product(STATUSES, repeat=2):
        expected = min(exit_code(first), exit_code(second), key=order.index)
        assert exit_code(worst([first, second])) == expected
    assert worst([]) == "done"


@pytest.mark.parametrize("status", STATUSES)
def test_the_next_step_is_one_line(status: Status) -> None:
    line = next_step(status, "r-42")
    assert "\n" not in line
    assert "{" not in line


@pytest.mark.parametrize("status", ["interrupted", "needs_review", "oom", "disk_full"])
def test_a_run_that_can_go_on_names_the_command(status: Status) -> None:
    assert "`tuneward resume r-42`" in next_step(status, "r-42")


def test_an_unchecked_end_says_so() -> None:
    assert next_step("finished_unchecked", "r").startswith("unchecked")
