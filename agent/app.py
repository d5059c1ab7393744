"""Starts, resumes and ends runs: the one place where concrete classes are chosen.

    from tuneward import Agent
    result = Agent(workspace="examples/tickets").invoke("Count the rows of tickets.csv")
    print(result.status, result.answer)

`Agent` is a LangChain Runnable, so it composes with chains and graphs.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool

from agent import memory_door
from agent import settings as settings_file
from agent.approval import Approver, Headless
from agent.checks import label
from agent.context import overview
from agent.drafted_checks import draft_checks
from agent.errors import SettingsError, UsageError
from agent.events import Listener, Silent
from agent.goal import Goal
from agent.goal_file import goal_from_mapping, goal_from_text
from agent.interrupt import Interrupt
from agent.journal import Journal
from agent.loop import Loop
from agent.permissions import Mode, Permissions, Rules, load_grants
from agent.planner import Planner
from agent.recorder import Recorder
from agent.run_notes import MODES, RunNotes, notes_of
from agent.run_parts import RunBuilder, RunParts, narrowed
from agent.runs import JOURNAL, RunStore
from agent.setting_values import stricter
from agent.settings import Memory, Settings
from agent.state import RunState
from agent.status import Status, exit_code
from memory.errors import StoreError
from models.catalogue import THINKS
from models.errors import ModelError
from prompts.render import render
from tools.toolbox import Toolbox
from tools.workspace import Workspace

PLANNER = 3_000_000_000
"""From so many on, a plan is written first. It hurt 1.5B (docs/log.md); more is not measured."""
NOTES_SHARE = 16
"""Notes take at most this part of the model's window."""
THOUGHT_CHARS = 200
SEED = 0


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    run: str
    status: Status
    exit_code: int
    answer: str | None
    checks: list[dict[str, Any]]
    usage: dict[str, Any]
    plan: list[str]
    next: str
    """What to do next, in one line."""


class Agent(Runnable[Any, RunResult]):
    """Takes goals and carries them out on one loaded model."""

    def __init__(
        self,
        model: str | BaseChatModel | None = None,
        *,
        workspace: str | Path | None = None,
        tools: Sequence[BaseTool | str | Path] = (),
        mode: Mode | None = None,
        home: str | Path | None = None,
        approver: Approver | None = None,
        listener: Listener | None = None,
        settings: Settings | None = None,
        memory: Memory | None = None,
        embedder: Embeddings | None = None,
        plan: str | None = None,
        thought_chars: int | None = None,
        interrupt: Interrupt | None = None,
        on_progress: Callable[[str, int, int | None], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> None:
        """Nothing is loaded before the first goal.

        Args:
            model: a catalogue name, hub id, folder, .gguf file, `openai:MODEL@URL`, or any
                LangChain chat model that calls tools.
            workspace: folder for goals given as text; the current one where left out.
            tools: your own tools, or paths of Python files and names of installed plug-ins.
            mode: `read-only`, `ask`, `auto` or `deny`.
            home: where state lives; TUNEWARD_HOME or the user's data folder where left out.
            approver: answers what must be asked; nobody where left out.
            listener: watches every event.
            memory: `off`, `read` or `write` where goal and settings do not say; else `read`.
            embedder: makes the vectors of the long-term memory; the settings' one where left out.
            plan: `off`, `once` or `adaptive`; by the model's size where left out.
            thought_chars: length of the thought before each call; by the model's size likewise.
            on_progress: called with (what, done, total) while a model is fetched.
            on_note: called with what a person should know: a plug-in that was left out.

        Raises:
            SettingsError: a setting is wrong.
        """
        chosen = settings or settings_file.load_settings(
            workspace=Path(workspace) if workspace is not None else None
        )
        if home is not None:
            chosen = replace(chosen, home=Path(home).resolve())
        if isinstance(model, str):
            chosen = replace(chosen, model=model)
        if mode is not None:
            chosen = replace(chosen, mode=mode)
        self.settings = chosen
        self.runs = RunStore(chosen.home)
        self.interrupt = interrupt or Interrupt()
        named = [str(tool) for tool in tools if not isinstance(tool, BaseTool)]
        self._plugin_sources = [*chosen.plugins, *named]
        self._approver: Approver = approver or Headless()
        self._listener: Listener = listener or Silent()
        self._memory = memory
        self._embeddings = embedder
        self._plan = plan
        self._thought_chars = thought_chars
        self._on_progress = on_progress
        self._on_note = on_note or (lambda _: None)
        self._models: dict[str, Any] = {}
        self._given = model if isinstance(model, BaseChatModel) else None
        self._loading = threading.Lock()
        self._builder = RunBuilder(
            own_tools=[tool for tool in tools if isinstance(tool, BaseTool)],
            plugin_sources=self._plugin_sources,
            interrupt=self.interrupt,
            on_note=self._on_note,
        )

    # Runnable

    def invoke(
        self, input: str | Goal | Mapping[str, Any], config: RunnableConfig | None = None, **_: Any
    ) -> RunResult:
        """Carry out a goal: a sentence, a `Goal`, or a mapping with the keys of a goal file.

        Raises:
            GoalError: the goal is not valid.
            SettingsError: the model or a setting is not available.
        """
        return self.run(self.goal(input))

    def goal(self, given: str | Goal | Mapping[str, Any], *, drafted: bool = True) -> Goal:
        """The goal as it will run; a sentence gets drafted checks unless told not to."""
        if isinstance(given, Goal):
            return given
        if isinstance(given, str):
            goal = goal_from_text(given, self.settings.workspace)
            if drafted:
                workspace = Workspace(goal.workspace)
                goal = goal.model_copy(update={"success": draft_checks(goal.goal, workspace)})
            return goal
        return goal_from_mapping(given, self.settings.workspace)

    # runs

    def run(self, goal: Goal) -> RunResult:
        """Carry out one goal in a run of its own."""
        if not goal.workspace.is_dir():
            raise SettingsError(f"the workspace {goal.workspace} does not exist; make it first")
        self.interrupt.clear()
        model = self._model(goal.model)
        run = self.runs.new()
        try:
            with Journal(self.runs.folder(run) / JOURNAL, run) as journal:
                state = RunState(run)
                with self._notes(state, goal) as notes:
                    return self._start(state, journal, goal, model, notes, follow_up=False)
        except BaseException:
            self.runs.discard_if_empty(run)
            raise

    def follow_up(self, run: str, text: str) -> RunResult:
        """A further goal in the same run: the model keeps what it has seen."""
        self.interrupt.clear()
        with Journal(self.runs.journal(run), run) as journal:
            state = _replayed(run, journal)
            assert state.goal is not None
            goal = self.goal(text).model_copy(
                update={"workspace": state.goal.workspace, "model": state.goal.model}
            )
            model = self._model(goal.model)
            with self._notes(state, goal) as notes:
                return self._start(state, journal, goal, model, notes, follow_up=True)

    def resume(self, run: str) -> RunResult:
        """Go on with a run that was interrupted, died, or waits for a person.

        Raises:
            UsageError: the run has ended.
        """
        self.interrupt.clear()
        with Journal(self.runs.journal(run), run) as journal:
            state = _replayed(run, journal)
            if state.goal is None:
                raise UsageError(f"run {run} died before it began; start its goal anew")
            if not state.resumable:
                raise UsageError(f"run {run} ended as {state.status}; there is nothing to resume")
            model = self._model(state.options["model"])
            event = journal.add("run_started", {"goal": state.goal.goal, "resumed": True})
            state.apply(event)
            with self._notes(state, state.goal) as notes:
                parts = self._parts(state.goal, model, state, notes)
                return self._go(state, journal, model, parts)

    def _start(
        self,
        state: RunState,
        journal: Journal,
        goal: Goal,
        model: Any,
        notes: RunNotes | None,
        *,
        follow_up: bool,
    ) -> RunResult:
        goal = goal.model_copy(update={"budget": narrowed(goal.budget, self.settings)})
        size = getattr(model, "parameters", PLANNER)
        plan = self._plan or ("once" if size >= PLANNER else "off")
        thought = self._thought_chars
        if thought is None:
            thought = THOUGHT_CHARS if size >= THINKS else 0
        parts = self._parts(goal, model, state, notes)
        files = overview(parts.world, parts.skill_lines())
        asked = render("follow_up" if follow_up else "goal", goal=goal.goal, overview=files)
        recalled: list[str] = []
        if notes is not None:
            room = getattr(model, "window", 8_192) // NOTES_SHARE
            text, recalled = self._recalled(goal, notes, model, room)
            asked = f"{text}\n\n{asked}" if text else asked
        messages = [("user", asked)]
        if not follow_up:
            system = render("agent") + (f" {render('thought')}" if thought else "")
            messages.insert(0, ("system", system))
        options = {
            "model": self._name(goal.model) if self._given is None else "given",
            "mode": self.settings.mode,
            "plugins": list(self._plugin_sources),
            "plan": plan,
            "thought_chars": thought,
            "reserve": _reserve(model),
        }
        event = journal.add(
            "run_started",
            {
                "goal": goal.goal,
                "name": goal.name,
                "model": str(getattr(model, "name", None) or self.settings.model),
                "workspace": str(goal.workspace),
                "mode": self.settings.mode,
                "tools": parts.toolbox.names,
                "checks": [label(check) for check in goal.success],
                "budget": goal.budget.model_dump(),
            },
            {
                "goal": goal.model_dump(mode="json", by_alias=True),
                "options": options,
                "messages": messages,
                **({"recalled": recalled} if recalled else {}),
            },
        )
        state.apply(event)
        parts.workspace.written.clear()  # what an earlier goal of the run wrote is not of this one
        return self._go(state, journal, model, parts)

    def _go(self, state: RunState, journal: Journal, model: Any, parts: RunParts) -> RunResult:
        assert state.goal is not None
        goal = state.goal
        planner = Planner(
            model,
            parts.toolbox.tools,
            thought_chars=state.options["thought_chars"],
            seed=SEED,
        )
        window = getattr(model, "window", 8_192)
        recorder = Recorder(
            state=state,
            journal=journal,
            listener=self._listener,
            workspace=parts.workspace,
            count_text=model.get_num_tokens,
            result_tokens=max(window // 8, 100),
            beside=parts.skills.state if parts.skills else str,
        )
        loop = Loop(
            recorder=recorder,
            planner=planner,
            toolbox=parts.toolbox,
            workspace=parts.workspace,
            permissions=Permissions(
                # A run goes on at most as freely as it began.
                mode=stricter("mode", self.settings.mode, state.options["mode"]),
                grants=load_grants(self.settings.home / "grants.yaml"),
                goal=_goal_rules(goal),
            ),
            approver=self._approver,
            interrupt=self.interrupt,
            window=window,
            skills=parts.skills,
            progress=parts.tuning.progress if parts.tuning else list,
        )
        try:
            status = loop.run()
        finally:
            if parts.tuning is not None:
                parts.tuning.close()
        if parts.notes is not None:
            try:
                parts.notes.settle()
            except (ModelError, StoreError) as error:  # the run itself has ended as it has
                self._on_note(f"nothing was kept of this run: {error}")
        return RunResult(
            state.run,
            status,
            exit_code(status),
            state.answer,
            state.checks,
            state.usage.public(),
            state.plan,
            loop.advice,
        )

    # parts

    def tools(self, goal: Goal) -> Toolbox:
        """The tools that a goal would be offered; loads no model."""
        return self._parts(goal, None, RunState("none"), None).toolbox

    def _parts(self, goal: Goal, model: Any, state: RunState, notes: RunNotes | None) -> RunParts:
        folder = self.runs.folder(state.run)
        return self._builder.parts(goal, model, state, notes, self.settings, folder)

    @contextmanager
    def _notes(self, state: RunState, goal: Goal) -> Iterator[RunNotes | None]:
        """The long-term memory as this run may use it, while it lasts.

        Where only a default asks for it, a run goes on without a memory that cannot be opened.
        """
        mode = goal.memory or self._memory or self.settings.memory
        if "memory" in self.settings.provenance:  # somebody limited it
            mode = min(mode, self.settings.memory, key=MODES.index)
        with ExitStack() as opened:
            notes = None
            try:
                notes = opened.enter_context(
                    notes_of(state, goal.goal, mode, self.settings.home, self._embedder)
                )
            except (ModelError, StoreError) as error:
                if goal.memory is not None:
                    raise
                self._on_note(f"going on without memory: {error}")
            yield notes

    def _recalled(
        self, goal: Goal, notes: RunNotes, model: Any, room: int
    ) -> tuple[str, list[str]]:
        """What notes say to the goal, in at most `room` tokens, and their ids."""
        try:
            return notes.for_context(model.get_num_tokens, room)
        except StoreError as error:
            if goal.memory is not None:
                raise
            self._on_note(f"going on without notes: {error}")
            return "", []

    def _embedder(self) -> Embeddings:
        """What makes the vectors, loaded once per agent."""
        with self._loading:
            if self._embeddings is None:
                self._embeddings = memory_door.embedder(self.settings, self._on_progress)
            return self._embeddings

    def _name(self, model: str) -> str:
        """A goal's model by name: its own, or the settings' where it names none."""
        return self.settings.model if model == "default" else model

    def _model(self, name: str) -> Any:
        """The chat model of a run, loaded once per agent."""
        if self._given is not None:
            return self._given
        target = self.settings.target(self._name(name))
        with self._loading:
            if target not in self._models:
                with self.interrupt.at_once():
                    from models.load import load_chat

                    self._models[target] = load_chat(
                        target,
                        self.settings.home,
                        device=self.settings.device,
                        dtype=self.settings.dtype,
                        quant=self.settings.quant,  # type: ignore[arg-type] # load checks the word
                        progress=self._on_progress,
                    )
            return self._models[target]


def _replayed(run: str, journal: Journal) -> RunState:
    state = RunState(run)
    for event in journal.events():
        state.apply(event)
    return state


def _goal_rules(goal: Goal) -> Rules:
    return Rules.parse(goal.permissions.allow, goal.permissions.deny)


def _reserve(model: Any) -> int:
    """Tokens of the window kept free for the tool list's growth and one reply."""
    return min(int(getattr(model, "window", 8_192)) // 4, 1_500)
