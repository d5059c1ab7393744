"""A skill's card in words, for `skills show` and for the end of a tuning job."""

from collections.abc import Iterator

from tools.tuning.skill_card import SkillCard, SplitScores

MOST_LABELS = 12
"""Labels that are named in a line; the rest is counted."""


def headline(card: SkillCard) -> str:
    """Name, version, method and the main figure on the sealed test."""
    said = f"skill `{card.name}` version {card.version}: {card.method}"
    scores = card.test or card.dev
    if scores is None:
        return said
    split = "the sealed test" if card.test else "held-out data"
    return f"{said}, {figure(scores)} on {scores.rows} rows of {split}"


def figure(scores: SplitScores) -> str:
    """`accuracy 0.91 [0.89, 0.93]`."""
    interval = ""
    if scores.low is not None and scores.high is not None:
        interval = f" [{scores.low:.3f}, {scores.high:.3f}]"
    return f"{scores.metric} {scores.value:.3f}{interval}"


def facts(card: SkillCard) -> Iterator[tuple[str, str]]:
    """What the card says, as names and values."""
    task = card.task
    yield "description", card.description
    kinds = [task.kind, *["multi-label"] * task.multi_label, *["pairs of texts"] * task.pairs]
    yield "task", ", ".join(kinds)
    shown = ", ".join(task.labels[:MOST_LABELS])
    more = len(task.labels) - MOST_LABELS
    yield "labels", f"{shown} and {more} more" if more > 0 else shown
    settings = ", ".join(f"{name} {value}" for name, value in sorted(card.settings.items()))
    yield "method", f"{card.method} ({settings})" if settings else card.method
    if card.base:
        digest = str(card.base.get("digest", ""))[:12]
        yield "base", f"{card.base.get('name', '?')} {digest}".strip()
    for split, scores in (("test", card.test), ("dev", card.dev)):
        if scores is None:
            continue
        others = [f"{name} {value:.3f}" for name, value in scores.others.items()]
        yield split, f"{', '.join([figure(scores), *others])} ({scores.rows} rows)"
        controls = ", ".join(f"{name} {value:.3f}" for name, value in scores.controls.items())
        if controls:
            yield f"{split}, controls", controls
    if card.seed_spread is not None:
        yield "over seeds", f"sd {card.seed_spread:.3f} ({', '.join(map(str, card.seeds))})"
    if card.template_spread is not None:
        yield "over templates", f"sd {card.template_spread:.3f}"
    for file in card.data:
        yield f"{file.role} data", f"{file.name}, {file.rows} rows, sha256 {file.sha256[:12]}"
    if card.milliseconds_per_row is not None:
        yield "speed", f"{card.milliseconds_per_row:.1f} ms a row"
    yield "size", f"{card.size_bytes / 1e6:.2f} MB"
    yield "licence", card.licence
    yield "made", f"{card.created} by job {card.job or '(none)'}"
    for note in card.notes:
        yield "note", note


def class_rows(scores: SplitScores) -> list[tuple[str, ...]]:
    """The rows of a table with a line for each class."""
    return [
        (row.label, *(f"{value:.3f}" for value in (row.precision, row.recall, row.f1)))
        + (str(row.support),)
        for row in scores.classes
    ]


CLASS_HEAD = ("CLASS", "PRECISION", "RECALL", "F1", "ROWS")
