"""Puts a run together: the one place where concrete classes are chosen.

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
from typing import TYPE_CHECKING, Any, cast

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool

from agent import memory_door
from agent import settings as settings_file
from agent.approval import Approver, Headless
from agent.check_specs import MetricCheck
from agent.checks import label
from agent.context import overview
from agent.drafted_checks import draft_checks
from agent.errors import SettingsError, UsageError
from agent.events import Listener, Silent
from agent.goal import Budget, Goal
from agent.goal_file import goal_from_mapping, goal_from_text
from agent.interrupt import Interrupt
from agent.journal import Journal
from agent.loop import Loop
from agent.mentions import mentioned_files
from agent.permissions import Mode, Permissions, Rules, load_grants
from agent.planner import Planner
from agent.reader import ModelReader
from agent.recorder import Recorder
from agent.run_notes import MODES, RunNotes, notes_of
from agent.runs import JOURNAL, RunStore
from agent.settings import Memory, Settings
from agent.state import RunState
from agent.status import Status, exit_code
from memory.errors import StoreError
from models.catalogue import THINKS
from models.errors import ModelError
from prompts.render import render
from tools import catalogue, control
from tools.base import facts_of
from tools.context import ToolContext
from tools.pages import pages_of
from tools.plugins import Plugin, load_plugins
from tools.toolbox import Toolbox
from tools.workspace import Workspace
from tools.world import WorkspaceWorld

if TYPE_CHECKING:
    from tools.tuning.run_tuning import RunTuning
    from tools.tuning.skill_shelf import SkillShelf

TUNING_WORDS = frozenset(("tuning", "profile_dataset", "tune_skill", "evaluate_skill"))
SKILL_WORDS = frozenset(
    ("skills", "list_skills", "apply_skill", "classify_text", "extract_entities")
)
"""Tools and families of a goal's list that are about skills; without a list they come along where
there are skills."""
PLANNER = 3_000_000_000
"""From so many on, a plan is written first. It hurt 1.5B (docs/log.md); more is not measured."""
NOTES_SHARE = 16
"""Notes take at most this part of the model's window."""
THOUGHT_CHARS = 200
OFFERED = ("read", "remember", "write")
"""Effects of the tools that a goal gets when it names none."""
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
        self._own_tools = [tool for tool in tools if isinstance(tool, BaseTool)]
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
        self.plugins: list[Plugin] = []
        """What each plug-in source gave or why it did not; filled when a run is put together."""

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
        goal = goal.model_copy(update={"budget": _narrowed(goal.budget, self.settings)})
        size = getattr(model, "parameters", PLANNER)
        plan = self._plan or ("once" if size >= PLANNER else "off")
        thought = self._thought_chars
        if thought is None:
            thought = THOUGHT_CHARS if size >= THINKS else 0
        parts = self._parts(goal, model, state, notes)
        files = overview(parts.world, parts.skills.lines() if parts.skills else ())
        asked = render("follow_up" if follow_up else "goal", goal=goal.goal, overview=files)
        recalled: list[str] = []
        if notes is not None:
            room = getattr(model, "window", 8_192) // NOTES_SHARE
            text, recalled = notes.for_context(model.get_num_tokens, room)
            asked = f"{text}\n\n{asked}" if text else asked
        messages = [("user", asked)]
        if not follow_up:
            system = render("agent") + (f" {render('thought')}" if thought else "")
            messages.insert(0, ("system", system))
        options = {
            "model": self.settings.model if self._given is None else "given",
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
        return self._go(state, journal, model, parts)

    def _go(self, state: RunState, journal: Journal, model: Any, parts: "_Parts") -> RunResult:
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
                mode=self.settings.mode,
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

    def _embedder(self) -> Embeddings:
        """What makes the vectors, loaded once per agent."""
        with self._loading:
            if self._embeddings is None:
                self._embeddings = memory_door.embedder(self.settings, self._on_progress)
            return self._embeddings

    def _parts(self, goal: Goal, model: Any, state: RunState, notes: RunNotes | None) -> "_Parts":
        versions = self.runs.folder(state.run) / "versions"
        workspace = Workspace(
            goal.workspace, versions=versions, protected=_protected(goal, self.settings.home)
        )
        workspace.written |= state.written
        reader = ModelReader(model, lambda: self.interrupt.requested)
        memory = notes.book.memory if notes is not None else None
        skills, tuning = self._skills(goal, state)
        context = ToolContext(
            workspace,
            reader,
            state.results,
            memory=memory,
            notes=notes,
            skills=skills,
            tuning=tuning,
        )
        world = WorkspaceWorld(
            workspace,
            context.tables,
            pages_of(workspace).count,
            state.results,
            mentioned=[p for p in mentioned_files(goal.goal) if not workspace.exists(p)],
            skills=skills,
        )
        toolbox = Toolbox(
            self._select(goal, context, state),
            world,
            spent=lambda: ("tune_skill",) if tuning is not None and tuning.is_spent else (),
        )
        return _Parts(workspace, world, toolbox, notes, skills, tuning)

    def _skills(
        self, goal: Goal, state: RunState
    ) -> tuple["SkillShelf | None", "RunTuning | None"]:
        """The trained skills where there are any or the goal is about some, and what trains them
        where the goal lists a tool for it."""
        home = self.settings.home
        wanted = set(goal.tools if goal.tools is not None else self.settings.tools or ())
        tunes = not TUNING_WORDS.isdisjoint(wanted)
        measures = any(isinstance(check, MetricCheck) for check in (*goal.success, *goal.audit))
        asked = tunes or measures or not SKILL_WORDS.isdisjoint(wanted)
        if not asked and not any(home.glob("skills/*/current.json")):
            return None, None
        from tools.tuning.run_tuning import RunTuning
        from tools.tuning.skill_shelf import SkillShelf

        device = self.settings.device
        shelf = SkillShelf(home, device=device)
        if not tunes:
            return shelf, None
        seconds = _narrowed(goal.budget, self.settings).tuning_seconds
        folder = self.runs.folder(state.run)
        return shelf, RunTuning(home, folder, seconds, scope=goal.goal, device=device)

    def _select(self, goal: Goal, context: ToolContext, state: RunState) -> list[BaseTool]:
        """The tools by the goal's and the settings' lists; without a list, the harmless ones."""
        # A resumed run has the plug-ins that it began with; the operator named them then.
        sources = [*state.options.get("plugins", ()), *self._plugin_sources]
        own = catalogue.built_in(context)
        taken = [tool.name for tool in own] + list(control.CONTROL)
        self.plugins = load_plugins(sources, context, taken=taken)
        for plugin in self.plugins:
            if plugin.problem:
                self._on_note(f"left out: {plugin.source}: {plugin.problem}")
        loaded = [tool for plugin in self.plugins for tool in plugin.tools] + self._own_tools
        wanted = goal.tools if goal.tools is not None else self.settings.tools
        if wanted is None:
            chosen = [tool for tool in own if facts_of(tool).effect in OFFERED] + loaded
        else:
            known = {facts_of(t).family for t in own + loaded} | {t.name for t in own + loaded}
            if unknown := [name for name in wanted if name not in known]:
                raise SettingsError(
                    f"tools: there is no tool or family {unknown[0]!r};"
                    " `tuneward tools list` names them"
                )
            chosen = [t for t in own + loaded if {t.name, facts_of(t).family} & set(wanted)]
        limit = self.settings.tools_limit
        if limit is not None:
            chosen = [t for t in chosen if {t.name, facts_of(t).family} & set(limit)]
        names = {tool.name for tool in chosen}
        more = [t for t in own if facts_of(t).family == "results" and t.name not in names]
        output = goal.output.schema_ if goal.output is not None else None
        return [*chosen, *more, *control.get_tools(cast(dict[str, Any] | None, output))]

    def _model(self, name: str) -> Any:
        """The chat model of a run, loaded once per agent."""
        if self._given is not None:
            return self._given
        target = self.settings.target(self.settings.model if name == "default" else name)
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


@dataclass(frozen=True)
class _Parts:
    workspace: Workspace
    world: WorkspaceWorld
    toolbox: Toolbox
    notes: RunNotes | None
    skills: "SkillShelf | None"
    tuning: "RunTuning | None"


def _replayed(run: str, journal: Journal) -> RunState:
    state = RunState(run)
    for event in journal.events():
        state.apply(event)
    return state


def _protected(goal: Goal, home: Path) -> tuple[Path, ...]:
    """What a run must not change even where it lies in the workspace: its own orders."""
    return (home, goal.source) if goal.source is not None else (home,)


def _goal_rules(goal: Goal) -> Rules:
    return Rules.parse(goal.permissions.allow, goal.permissions.deny)


def _narrowed(budget: Budget, settings: Settings) -> Budget:
    """The goal's budget, no part of it above the settings'."""
    limits = {
        key: limit
        for key in ("steps", "seconds", "tokens", "tuning_seconds")
        if (limit := getattr(settings.budget, key)) is not None
    }
    return budget.model_copy(
        update={key: min(getattr(budget, key), limit) for key, limit in limits.items()}
    )


def _reserve(model: Any) -> int:
    """Tokens of the window kept free for the tool list's growth and one reply."""
    return min(int(getattr(model, "window", 8_192)) // 4, 1_500)
