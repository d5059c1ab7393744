"""Lets a skill answer a file or typed texts for a command: opens it, shows progress, prints."""

import json as json_module
from collections.abc import Sequence
from pathlib import Path

from agent.commands.output import json_result, last_line, note, result
from agent.progress import ProgressBar
from agent.safe_text import safe_text
from agent.settings import Settings
from tools.tuning.apply import Answer, answers, apply_file
from tools.tuning.errors import SkillError
from tools.tuning.input_rows import text_input
from tools.tuning.kept_examples import Explainer
from tools.tuning.methods.base import Bench, Method
from tools.tuning.skill_store import Skill

TOLD_ROWS = 10_000


def open_method(settings: Settings, skill: Skill) -> Method:
    """The skill's method, ready to answer.

    Raises:
        SkillError: it is broken, or made for another base model.
        ModelUnavailable: its base model cannot be loaded.
    """
    return skill.load(Bench(home=settings.home, device=settings.device))


def open_explainer(settings: Settings, skill: Skill) -> Explainer | None:
    """What finds the nearest training examples; None, said in a line, where there are none."""
    from models.catalogue import EMBEDDER
    from models.embedder import load_embedder

    with ProgressBar() as bar:
        embedder = load_embedder(EMBEDDER, settings.home, device=settings.device, progress=bar)
    try:
        return Explainer(skill, embedder)
    except SkillError as error:
        note(str(error))
        return None


def answer_file(
    settings: Settings,
    skill: Skill,
    source: Path,
    target: Path,
    *,
    text_column: str | None,
    explain: bool,
    json: bool,
) -> int:
    """Answer every row of a file; says how many there were and how fast it went."""
    method = open_method(settings, skill)
    explainer = open_explainer(settings, skill) if explain else None
    done = apply_file(
        method,
        source,
        target,
        text_column=text_column,
        explainer=explainer,
        probabilities=explain,
        progress=lambda rows: note(f"{rows:,} rows") if rows % TOLD_ROWS < 1_024 else None,
    )
    if json:
        facts = {"rows": done.rows, "seconds": round(done.seconds, 3), "out": str(target)}
        json_result({**facts, "columns": list(done.columns)})
    else:
        result(str(target))
    said = ", ".join(done.columns)
    last_line(
        f"done: {done.rows:,} rows in {done.seconds:.1f} s ({done.rows_per_second:,.0f} a second), "
        f"with {said} in {target}"
    )
    return 0


def answer_texts(
    settings: Settings, skill: Skill, texts: Sequence[str], *, explain: bool, json: bool
) -> int:
    """Answer texts from the command line, a line each."""
    method = open_method(settings, skill)
    explainer = open_explainer(settings, skill) if explain else None
    rows = [text_input(text, skill.card.task, line=i) for i, text in enumerate(texts, 1)]
    found = answers(method, rows, explainer=explainer, probabilities=explain)
    for text, (_, answer) in zip(texts, found, strict=True):
        if json:
            json_result({"text": text, **answer})
        else:
            for line in _lines(text, answer):
                result(line)
    return 0


def _lines(text: str, answer: Answer) -> list[str]:
    shown = safe_text(text, one_line=True, width=60)
    if "entities" in answer:
        found = answer["entities"]
        lines = [f"{each['type']}\t{each['text']}\t{each['score']:.3f}" for each in found]
        lines = lines or [f"(none)\t{shown}"]
    else:
        label = answer["label"]
        name = " | ".join(label) or "(none)" if isinstance(label, list) else label
        lines = [f"{name}\t{answer['score']:.3f}\t{shown}"]
    if "probabilities" in answer:
        ranked = sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])
        lines += [f"  {p:.3f} {label}" for label, p in ranked]
    for near in answer.get("nearest", ()):
        labels = ", ".join(near["labels"]) or "(none)"
        quoted = json_module.dumps(near["text"], ensure_ascii=False)
        lines.append(f"  near {near['similarity']:.3f} {labels}: line {near['line']} {quoted}")
    return [safe_text(line, one_line=False) for line in lines]
