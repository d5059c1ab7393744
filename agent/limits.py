"""When a run must stop: its budget, and the signs that it goes in circles."""

from agent.errors import LimitReached
from agent.goal import Budget
from agent.state import PastCall, RunState
from agent.status import Status

SAME_CALL = 3
"""The same call with the same result so often is a loop; other agents' users report 40."""
NO_PROGRESS = 5
"""Steps without a change in the workspace and without a result not seen before."""
INVALID_OUTPUT = 3
"""Replies in a row that are no legal call."""


def check_limits(state: RunState, budget: Budget, polls: frozenset[str]) -> None:
    """Raise LimitReached with the status that ends the run, if one does.

    Args:
        polls: tools for which asking again makes sense; they are not counted.
    """
    status = _reached(state, budget, polls)
    if status is not None:
        raise LimitReached(status)


def _reached(state: RunState, budget: Budget, polls: frozenset[str]) -> Status | None:
    if state.invalid_in_a_row >= INVALID_OUTPUT:
        return "invalid_output"
    calls = [call for call in state.calls if call.tool not in polls]
    if calls and _times(calls) >= SAME_CALL:
        return "repeat"
    if len(calls) >= NO_PROGRESS and not any(c.progressed for c in calls[-NO_PROGRESS:]):
        return "no_progress"
    if state.step >= budget.steps:
        return "budget_steps"
    if state.usage.seconds >= budget.seconds:
        return "budget_seconds"
    if state.usage.tokens >= budget.tokens:
        return "budget_tokens"
    return None


def _times(calls: list[PastCall]) -> int:
    """How often the last call was made in the same state with the same result."""
    last = calls[-1]
    same = (last.tool, last.arguments, last.result_digest, last.before)
    return sum((c.tool, c.arguments, c.result_digest, c.before) == same for c in calls)
