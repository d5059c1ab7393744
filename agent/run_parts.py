"""What one run works with: workspace, tools and skills, by the lists of goal and settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from langchain_core.tools import BaseTool

from agent.check_specs import MetricCheck
from agent.errors import SettingsError
from agent.goal import Budget, Goal
from agent.interrupt import Interrupt
from agent.mentions import mentioned_files
from agent.reader import ModelReader
from agent.run_notes import RunNotes
from agent.settings import Settings
from agent.state import RunState
from tools import catalogue, control
from tools.base import facts_of
from tools.context import ToolContext
from tools.pages import pages_of
from tools.plugins import load_plugins
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
SKILL_FAMILIES = {"skills", "tuning"}
OFFERED = ("read", "remember", "write")
"""Effects of the tools that a goal gets when it names none."""


@dataclass(frozen=True)
class RunParts:
    """What a run holds while it lasts."""

    workspace: Workspace
    world: WorkspaceWorld
    toolbox: Toolbox
    notes: RunNotes | None
    skills: "SkillShelf | None"
    tuning: "RunTuning | None"

    def skill_lines(self) -> list[str]:
        """What there is to say of each skill, where a tool is about skills."""
        families = {self.toolbox.facts(name).family for name in self.toolbox.names}
        return self.skills.lines() if self.skills and families & SKILL_FAMILIES else []


class RunBuilder:
    """Chooses the parts of runs for one agent."""

    def __init__(
        self,
        *,
        own_tools: Sequence[BaseTool],
        plugin_sources: Sequence[str],
        interrupt: Interrupt,
        on_note: Callable[[str], None],
    ) -> None:
        """Args:
        own_tools: given as objects.
        plugin_sources: paths of Python files and names of installed plug-ins.
        interrupt: stops the model where a tool asks it.
        on_note: called for each plug-in that was left out.
        """
        self._own_tools = own_tools
        self._plugin_sources = plugin_sources
        self._interrupt = interrupt
        self._on_note = on_note

    def parts(
        self,
        goal: Goal,
        model: Any,
        state: RunState,
        notes: RunNotes | None,
        settings: Settings,
        folder: Path,
    ) -> RunParts:
        """The parts of one run.

        Args:
            model: None where nothing will be asked of it.
            settings: of the goal's workspace.
            folder: the run's.

        Raises:
            SettingsError: the goal or a setting lists a tool that there is not.
        """
        workspace = Workspace(
            goal.workspace,
            versions=folder / "versions",
            protected=_protected(goal, settings.home),
        )
        workspace.written |= state.written
        reader = ModelReader(model, lambda: self._interrupt.requested)
        memory = notes.book.memory if notes is not None else None
        skills, tuning = self._skills(goal, settings, folder)
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
            self._select(goal, settings, context, state),
            world,
            spent=lambda: ("tune_skill",) if tuning is not None and tuning.is_spent else (),
        )
        return RunParts(workspace, world, toolbox, notes, skills, tuning)

    def _skills(
        self, goal: Goal, settings: Settings, folder: Path
    ) -> tuple["SkillShelf | None", "RunTuning | None"]:
        """The trained skills where there are any or the goal is about some, and what trains them
        where the goal lists a tool for it."""
        home = settings.home
        wanted = set(goal.tools if goal.tools is not None else settings.tools or ())
        tunes = not TUNING_WORDS.isdisjoint(wanted)
        measures = any(isinstance(check, MetricCheck) for check in (*goal.success, *goal.audit))
        asked = tunes or measures or not SKILL_WORDS.isdisjoint(wanted)
        from tools.tuning.run_tuning import RunTuning
        from tools.tuning.skill_shelf import SkillShelf

        device = settings.device
        shelf = SkillShelf(home, device=device)
        if not asked and not shelf.names():
            return None, None
        if not tunes:
            return shelf, None
        seconds = narrowed(goal.budget, settings).tuning_seconds
        return shelf, RunTuning(home, folder, seconds, scope=goal.goal, device=device)

    def _select(
        self, goal: Goal, settings: Settings, context: ToolContext, state: RunState
    ) -> list[BaseTool]:
        """The tools by the goal's and the settings' lists; without a list, the harmless ones."""
        # A resumed run has the plug-ins that it began with; the operator named them then.
        sources = [*state.options.get("plugins", ()), *self._plugin_sources]
        own = catalogue.built_in(context)
        taken = [tool.name for tool in own] + list(control.CONTROL)
        plugins = load_plugins(sources, context, taken=taken)
        for plugin in plugins:
            if plugin.problem:
                self._on_note(f"left out: {plugin.source}: {plugin.problem}")
        loaded = [tool for plugin in plugins for tool in plugin.tools] + list(self._own_tools)
        wanted = goal.tools if goal.tools is not None else settings.tools
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
        limit = settings.tools_limit
        if limit is not None:
            chosen = [t for t in chosen if {t.name, facts_of(t).family} & set(limit)]
        names = {tool.name for tool in chosen}
        more = [t for t in own if facts_of(t).family == "results" and t.name not in names]
        output = goal.output.schema_ if goal.output is not None else None
        return [*chosen, *more, *control.get_tools(cast(dict[str, Any] | None, output))]


def narrowed(budget: Budget, settings: Settings) -> Budget:
    """The goal's budget, no part of it above the settings'."""
    limits = {
        key: limit
        for key in ("steps", "seconds", "tokens", "tuning_seconds")
        if (limit := getattr(settings.budget, key)) is not None
    }
    return budget.model_copy(
        update={key: min(getattr(budget, key), limit) for key, limit in limits.items()}
    )


def _protected(goal: Goal, home: Path) -> tuple[Path, ...]:
    """What a run must not change even where it lies in the workspace: its own orders."""
    return (home, goal.source) if goal.source is not None else (home,)
