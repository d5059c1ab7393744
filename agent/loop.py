"""One run: plan, act, observe, reflect, verify, until the checks hold or a limit is reached.

Every step is journalled as intent, effect, outcome: the call is committed before it happens and
its result after it. A process that dies in between leaves an intent without an outcome, and
`resume` knows what to do with it (`_recover`).
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage

from agent.approval import Approver
from agent.check_specs import MetricSpec, parts_of
from agent.checks import CheckResult, Evidence, Figures, evaluate, paths_to_write, skill_place
from agent.context import to_drop
from agent.errors import Interrupted, LimitReached, SettingsError
from agent.gate import Gate
from agent.goal import Goal
from agent.interrupt import Interrupt
from agent.limits import NO_PROGRESS, check_limits
from agent.permissions import Permissions
from agent.planner import Planner, Reply
from agent.recorder import Recorder
from agent.status import RESUMABLE, Status, exit_code, next_step
from memory.errors import DiskFull, StoreError
from models.errors import (
    Cancelled,
    DeviceLost,
    ModelError,
    OutOfMemory,
    ReplyNotUnderstood,
)
from prompts.render import render
from tools.control import ASK_USER, CANNOT, CONTROL, FINISH
from tools.errors import ToolError, ToolHung, ToolStopped, TuningSpent, WorkspaceError
from tools.toolbox import Toolbox
from tools.workspace import Workspace

TOOL_SECONDS = 120.0
"""A tool that takes longer is no longer waited for."""
REPLAN_STEPS = 6
MOST_CRASHES = 3
"""Resumes in a row that came to nothing before the run is left alone."""
LOOK = "may or may not have happened; look, then resume: the model is told to look as well"


class Loop:
    """Carries one run from where its state stands to its end."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        planner: Planner,
        toolbox: Toolbox,
        workspace: Workspace,
        permissions: Permissions,
        approver: Approver,
        interrupt: Interrupt,
        window: int,
        skills: Figures | None = None,
        progress: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        """Args:
        skills: what metric checks look at.
        progress: what the run's jobs told since it was last asked.
        """
        assert recorder.state.goal is not None
        self.state = recorder.state
        self.goal: Goal = recorder.state.goal
        self._record = recorder
        self._planner = planner
        self._toolbox = toolbox
        self._workspace = workspace
        self._gate = Gate(permissions, toolbox, approver, recorder.at_once, self._spelled)
        self._approver = approver
        self._listen = recorder.listener.text
        self._interrupt = interrupt
        self._window = window
        self._skills = skills
        self._progress = progress
        self._to_write = paths_to_write(self.goal.success)
        self._answer: str | None = None
        self.advice = ""
        polls = {name for name in toolbox.names if toolbox.facts(name).polls}
        self._polls = frozenset(polls.union(CONTROL))

    def run(self) -> Status:
        """Go on until the run ends; the status and everything that led to it are journalled."""
        message = ""
        try:
            self._record.commit()  # what was added before: that the run starts, or goes on
            if self.state.resumed_without_progress > MOST_CRASHES:
                raise LimitReached("crash_loop")
            if self.state.open_call is not None:
                self._recover()
            status: Status | None = None
            if self.state.options["plan"] != "off" and not self.state.plan:
                self._plan("plan")
            while status is None:
                check_limits(self.state, self.goal.budget, self._polls)
                status = self._step()
        except LimitReached as limit:
            status, message = limit.status, limit.message
        except (Interrupted, KeyboardInterrupt):
            status = "interrupted"
        except Cancelled:  # the model stops for either reason; see `_cancel`
            status = "interrupted" if self._interrupt.requested else "budget_seconds"
        except DiskFull as error:
            status, message = "disk_full", str(error)
        except OutOfMemory as error:
            status, message = "oom", str(error)
        except DeviceLost as error:
            status, message = "device_lost", str(error)
        except (ModelError, SettingsError, StoreError, ToolError) as error:
            # ToolError: there is no workspace any more.
            status, message = "unavailable", str(error)
        except BaseException as error:
            self._finish("internal_error", f"{type(error).__name__}: {error}")
            raise
        return self._finish(status, message)

    def _step(self) -> Status | None:
        """Think, call one tool, observe; the status where the run ends with it."""
        self._make_room()
        call = self.state.pending or self._act()
        if call is None:
            return None
        name, arguments = call["name"], call["arguments"]
        if name == FINISH:
            return self._finish_called(arguments)
        if name == CANNOT:
            self._called(arguments)
            self._record.commit()
            self._record.returned(True, "(the run ends)")
            self._answer = str(arguments["reason"])
            return "failed"
        if name == ASK_USER:
            self._ask_user(arguments)
            return None
        self._observe(name, arguments)
        self._reflect()
        return self._verify()

    # plan

    def _plan(self, prompt: str) -> None:
        ask = render(prompt)
        try:
            steps, reply = self._planner.plan(
                self.state.messages, ask, cancel=self._cancel, on_text=self._listen
            )
        except ReplyNotUnderstood:
            return  # A model that cannot write a plan can still act.
        self._look_for_interrupt()
        self._record.add(
            "planned",
            {"plan": steps, "revision": self.state.plan_revision + 1, "usage": reply.usage},
            {"ask": ask, **reply.generated},
        )
        self._record.commit()

    # act

    def _act(self) -> dict[str, Any] | None:
        """The model's next call, recorded; None where the reply is no legal call."""
        before = self._record.world()
        done = [(c.tool, c.arguments) for c in self.state.calls if c.before == before]
        allowed = self._toolbox.allowed(self._gate.possible, done)
        reply, usage = self._ask(allowed, 0)
        calls = reply.message.tool_calls
        if calls and (calls[0]["name"], calls[0]["args"]) in done and not self._is_poll(calls[0]):
            reply, again = self._ask(allowed, 1)
            usage = {key: usage[key] + again[key] for key in usage}
            calls = reply.message.tool_calls
        data: dict[str, Any] = {"step": self.state.step + 1, "usage": usage}
        if not calls:
            reason = _why_invalid(reply)
            message = render("invalid_reply", reason=reason)
            text = reply.raw[:2_000]
            self._record.add(
                "replied", {**data, "thought": "", "call": None, "text": text}, {"message": message}
            )
            self._record.commit()
            return None
        call = {"name": calls[0]["name"], "arguments": calls[0]["args"]}
        self._record.add(
            "replied",
            {**data, "thought": reply.message.text, "call": call, "text": reply.raw},
            {
                **reply.generated,
                "call_id": calls[0]["id"] or f"call_{self.state.step + 1}",
            },
        )
        return self.state.pending

    def _ask(self, allowed: Mapping[str, Any], attempt: int) -> tuple[Reply, dict[str, Any]]:
        try:
            reply = self._planner.act(
                self.state.messages,
                allowed,
                cancel=self._cancel,
                on_text=self._listen,
                attempt=attempt,
            )
        except ReplyNotUnderstood as error:
            message = AIMessage("", response_metadata={"raw": error.reply or str(error)})
            reply = Reply(message, {"prompt": 0, "cached": 0, "generated": 0})
        self._look_for_interrupt()
        return reply, reply.usage

    def _is_poll(self, call: Mapping[str, Any]) -> bool:
        return call["name"] in self._polls

    # observe

    def _observe(self, name: str, arguments: dict[str, Any]) -> None:
        """Put the call through the gate, record the intent, make it, record the outcome."""
        with self._record.waiting():
            passage = self._gate.judge(name, arguments)
        self._called(passage.arguments)
        if passage.allowed:
            self._record.commit()
            self._execute(name, passage.arguments)
        else:  # not committed before its outcome, or a resume would make the call
            self._record.returned(False, f"not allowed: {passage.rule}")

    def _execute(self, name: str, arguments: Mapping[str, Any]) -> None:
        started = time.monotonic()
        left = max(self.goal.budget.seconds - self._record.elapsed(), 1.0)
        try:
            text = self._toolbox.call(
                name,
                arguments,
                seconds=min(left, TOOL_SECONDS),
                cancelled=self._waiting,
            )
            ok = True
        except TuningSpent as error:
            self._record.returned(False, str(error), seconds=time.monotonic() - started)
            raise LimitReached("budget_tuning", str(error)) from None
        except (ToolStopped, ToolHung) as error:
            # What may still take effect leaves its intent open: resume knows what to do.
            facts = self._toolbox.facts(name)
            if isinstance(error, ToolStopped) and facts.effect != "read":
                raise Interrupted(str(error)) from None
            if isinstance(error, ToolHung) and facts.effect != "read" and not facts.idempotent:
                raise LimitReached("needs_review", f"{error} and {LOOK}") from None
            text, ok = str(error), False
        except ToolError as error:
            text, ok = str(error), False
        missing = [path for path in self._to_write if path not in self._workspace.written]
        note = render("to_write", paths=", ".join(missing)) if missing else ""
        self._record.returned(ok, text, note=note, seconds=time.monotonic() - started)
        self._look_for_interrupt()

    def _waiting(self) -> bool:
        """Asked while a tool is at work: tells of its jobs; True ends the wait."""
        for told in self._progress():
            self._record.add("job_progress", {"step": self.state.step, **told})
            self._record.commit()
        return self._interrupt.requested

    def _ask_user(self, arguments: Mapping[str, Any]) -> None:
        self._record.commit()
        question = str(arguments["question"])
        with self._record.waiting():
            reply = self._approver.reply(question)
        if reply is None:
            raise LimitReached("needs_review", f"the model asks: {question}")
        self._called(arguments)
        self._record.commit()
        self._record.returned(True, reply)
        self._record.commit()

    # reflect

    def _reflect(self) -> None:
        """After two failures in a row, or just before the rule against no progress ends the run."""
        calls = [c for c in self.state.calls if c.tool not in self._polls]
        idle = calls[-(NO_PROGRESS - 2) :]
        stuck = len(idle) == NO_PROGRESS - 2 and not any(c.progressed for c in idle)
        failing = self.state.failures_in_a_row == 2
        adaptive = self.state.options["plan"] == "adaptive"
        if failing or stuck:
            problem = "The last calls failed." if failing else "The last calls brought nothing new."
            self._record.commit()
            if self.state.options["thought_chars"]:
                self._reflect_with_model(problem)
            else:
                self._record.add(
                    "reflected", {"step": self.state.step, "text": render("hint", problem=problem)}
                )
            if adaptive:
                self._plan("replan")
        elif adaptive and self.state.step % REPLAN_STEPS == 0:
            self._plan("replan")

    def _reflect_with_model(self, problem: str) -> None:
        reply = self._planner.reflect(
            self.state.messages, problem, cancel=self._cancel, on_text=self._listen
        )
        self._look_for_interrupt()
        self._record.add(
            "reflected",
            {"step": self.state.step, "text": reply.raw, "usage": reply.usage},
            {"ask": render("reflect", problem=problem), **reply.generated},
        )

    # verify

    def _verify(self) -> Status | None:
        """After a step that changed something: does everything hold already?"""
        changed = self.state.calls[-1].changed
        done = False
        if changed and self.goal.success and self.goal.stop == "checks":
            results = self._evaluate("success", None, tell=self._just_made())
            done = all(result.passed for result in results) and self.goal.output is None
        self._record.commit()
        return "done" if done else None

    def _just_made(self) -> set[str]:
        """What the model is told of where a check of it fails."""
        made = set(self._workspace.written)
        last = self.state.calls[-1].tool
        if last in self._toolbox and self._toolbox.facts(last).effect == "train":
            named = (parts_of(check)[1] for check in self.goal.success)
            made |= {skill_place(spec.skill) for spec in named if isinstance(spec, MetricSpec)}
        return made

    def _finish_called(self, arguments: Mapping[str, Any]) -> Status | None:
        answer = arguments["answer"]
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        self._called(arguments)
        self._record.commit()
        results = self._evaluate("success", text, retry=True)
        failed = [result for result in results if not result.passed]
        if failed and self.state.retries_used <= self.goal.retries:
            self._record.returned(False, _said(failed))
            self._record.commit()
            return None
        self._record.returned(True, "(the run ends)")
        self._answer = text
        if failed:
            return "failed"
        return "done" if self.goal.success else "finished_unchecked"

    def _evaluate(
        self,
        when: str,
        answer: str | None,
        *,
        retry: bool = False,
        tell: Collection[str] = (),
    ) -> list[CheckResult]:
        """The checks' results, recorded; the model is told of failures in the files `tell`."""
        checks = self.goal.success if when == "success" else self.goal.audit
        evidence = Evidence(
            workspace=self._workspace,
            written=frozenset(self._workspace.written),
            answer=answer,
            folder=self.goal.source.parent if self.goal.source else self.goal.workspace,
            skills=self._skills,
        )
        results = [evaluate(check, evidence) for check in checks]
        if results:
            failed = [result for result in results if not result.passed]
            told = [result for result in failed if result.path in tell]
            self._record.add(
                "checked",
                {
                    "when": when,
                    "results": [
                        {"check": r.check, "passed": r.passed, "found": r.found} for r in results
                    ],
                },
                {"retry": retry and bool(failed), **({"message": _said(told)} if told else {})},
            )
        return results

    # the ends

    def _recover(self) -> None:
        """An intent without an outcome: redo it where that is safe, else a person must look."""
        call = self.state.open_call
        assert call is not None
        if call["tool"] in CONTROL:
            return  # It is still pending and has no effect of its own: it is taken up again.
        facts = self._toolbox.facts(call["tool"]) if call["tool"] in self._toolbox else None
        if facts is not None and (facts.effect == "read" or facts.idempotent):
            self._execute(call["tool"], call["arguments"])
        elif self.state.reviewed:
            self._record.returned(False, "(interrupted: look whether it happened before you go on)")
        else:
            values = ", ".join(f"{k}={v!r:.80}" for k, v in call["arguments"].items())
            raise LimitReached(
                "needs_review",
                f"{call['tool']}({values}) was interrupted and {LOOK}",
            )
        self._record.commit()

    def _finish(self, status: Status, message: str = "") -> Status:
        if status not in RESUMABLE and self.goal.audit:
            results = self._evaluate("audit", self._answer)
            if status in ("done", "finished_unchecked"):
                status = "done" if all(result.passed for result in results) else "failed"
        advice = next_step(status, self.state.run)
        self.advice = f"{message}; {advice}" if message else advice
        self._record.add(
            "run_finished",
            {
                "status": status,
                "exit_code": exit_code(status),
                "answer": self._answer,
                "checks": self.state.checks,
                "usage": {**self.state.usage.public(), "seconds": round(self._record.elapsed(), 3)},
                "next": self.advice,
            },
        )
        if status == "disk_full":
            # The journal cannot grow; what it holds is whole, and a resume goes on from there.
            self._record.forget()
            return status
        self._record.commit()
        return status

    # small parts

    def _make_room(self) -> None:
        """Summarise the oldest half of the messages when the window is full."""
        if self.state.pending is not None:
            return
        limit = self._window - self.state.options["reserve"]
        drop = to_drop(self.state, self._planner.count, limit)
        while drop is not None:
            dropped, summary = drop
            self._record.add(
                "reflected", {"step": self.state.step, "text": summary}, {"dropped": dropped}
            )
            self._record.commit()
            drop = to_drop(self.state, self._planner.count, limit)

    def _called(self, arguments: Mapping[str, Any]) -> None:
        assert self.state.pending is not None
        name = self.state.pending["name"]
        self._record.called(
            arguments, self._toolbox.facts(name).effect if name in self._toolbox else "read"
        )

    def _spelled(self, path: str) -> str:
        try:
            return self._workspace.relative(path)
        except WorkspaceError:
            return path  # no path of the workspace: a text, or one that the tool will refuse

    def _cancel(self) -> bool:
        return self._interrupt.requested or self._record.elapsed() >= self.goal.budget.seconds

    def _look_for_interrupt(self) -> None:
        if self._interrupt.requested:
            raise Interrupted("stopped by the user")
        if self._record.elapsed() >= self.goal.budget.seconds:
            raise LimitReached("budget_seconds")


def _said(failed: Iterable[CheckResult]) -> str:
    lines = "\n".join(f"- {result.check}: {result.found}" for result in failed)
    return render("checks_failed", failed=lines)


def _why_invalid(reply: Reply) -> str:
    broken = reply.message.invalid_tool_calls
    if broken and broken[0].get("error"):
        return str(broken[0]["error"])[:300]
    return "reply with one call of a listed tool"
