"""A job's report as lines for a terminal: the race, the classification report, the worst errors."""

from collections.abc import Sequence

from wcwidth import wcswidth

from tools.tuning.job_report import Figures, JobReport
from tools.tuning.metrics import ClassRow, Metrics

MATRIX_LABELS = 12
"""A confusion matrix of more labels is shown as the pairs that are confused most."""
PAIRS = 15
WRONG_SHOWN = 8
ROWS_SHOWN = 60
"""Labels of the classification report; a page shows all."""
TEXT_CHARACTERS = 60

Row = Sequence[str]


def report_lines(report: JobReport) -> list[str]:
    """Everything that the page has, as far as it fits a terminal."""
    lines = [
        f"{report.skill} ({report.kind}): {report.status}",
        f"job {report.job}, {report.seconds:.0f} s of {report.budget_seconds:.0f} s; rows "
        + ", ".join(f"{name} {count}" for name, count in report.rows.items()),
    ]
    if report.data:
        lines += ["", "data", *(f"  {line}" for line in report.data)]
    if report.race:
        lines += ["", f"race on {_held_out(report)}", *indented(race_table(report))]
    if report.why:
        lines += [f"  {report.why}"]
    if report.skipped:
        lines += ["", "left out", *(f"  {label}: {why}" for label, why in report.skipped)]
    for name, figures in (("dev", report.dev), ("test", report.test)):
        if figures is not None:
            lines += ["", *figures_lines(name, figures)]
    if report.template_spread is not None:
        lines += ["", f"spread over templates (sd): {report.template_spread:.3f}"]
    if report.wrong:
        lines += ["", "worst errors", *indented(wrong_table(report))]
    if report.notes:
        lines += ["", "notes", *(f"  {note}" for note in report.notes)]
    return [_plain(line) for line in lines]


def race_table(report: JobReport) -> list[str]:
    """One line a candidate, the best first."""
    head = ("METHOD", "SCORE", "95 %", "SD", "BLOCKS", "SECONDS", "VERDICT")
    rows = [
        (
            row.label,
            f"{row.score:.3f}",
            f"{row.low:.3f}-{row.high:.3f}",
            f"{row.spread:.3f}",
            str(row.blocks),
            f"{row.seconds:.1f}",
            row.verdict,
        )
        for row in report.race
    ]
    return table(head, rows, right=(1, 3, 4, 5))


def figures_lines(name: str, figures: Figures) -> list[str]:
    """The main figure, the classification report and what is confused."""
    found = figures.read()
    controls = ", ".join(f"{key} {value:.3f}" for key, value in figures.controls.items())
    lines = [
        f"{name}: {found.name} {found.score:.3f} (95 % {figures.low:.3f}-{figures.high:.3f}), "
        f"{found.examples} examples" + (f"; controls: {controls}" if controls else "")
    ]
    lines += indented(classification_report(found))
    if confused := confusion_lines(found):
        lines += [f"{name}: right label (line) against what was said (column)", *indented(confused)]
    return lines


def classification_report(found: Metrics) -> list[str]:
    """Precision, recall, F1 and support of each label; for ner entities beside tokens."""
    head = ("LABEL", "PRECISION", "RECALL", "F1", "SUPPORT")
    rows = [_class_row(row) for row in found.rows[:ROWS_SHOWN]]
    total = sum(row.support for row in found.rows)
    rows += [
        ("micro", *_three(found.precision, found.recall, found.micro_f1), str(total)),
        ("macro", "", "", f"{found.macro_f1:.3f}", ""),
        ("weighted", "", "", f"{found.weighted_f1:.3f}", ""),
    ]
    if not found.token_rows:
        return table(head, rows, right=(1, 2, 3, 4))
    entities = table(("ENTITIES", *head[1:]), rows, right=(1, 2, 3, 4))
    tags = [_class_row(row) for row in found.token_rows[:ROWS_SHOWN]]
    tags.append(("tokens right", "", "", f"{found.accuracy:.3f}", ""))
    tokens = table(("TOKENS", *head[1:]), tags, right=(1, 2, 3, 4))
    return beside(entities, tokens)


def confusion_lines(found: Metrics) -> list[str]:
    """The matrix where it is small, else the pairs that are confused most."""
    labels = found.confusion_labels
    if not labels:
        return []
    if len(labels) <= MATRIX_LABELS:
        rows = [
            (label, *map(str, counts))
            for label, counts in zip(labels, found.confusion, strict=True)
        ]
        return table(("", *labels), rows, right=tuple(range(1, len(labels) + 1)))
    pairs = confused_pairs(found)[:PAIRS]
    return table(("RIGHT", "SAID", "TIMES"), [(r, s, str(n)) for r, s, n in pairs], right=(2,))


def confused_pairs(found: Metrics) -> list[tuple[str, str, int]]:
    """(right label, said label, times), the most frequent first."""
    labels = found.confusion_labels
    pairs = [
        (labels[i], labels[j], count)
        for i, counts in enumerate(found.confusion)
        for j, count in enumerate(counts)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def wrong_table(report: JobReport) -> list[str]:
    """The errors that the method was surest of."""
    rows = [
        (
            str(wrong.line),
            short(wrong.right, 30),
            short(wrong.said, 30),
            "" if wrong.score is None else f"{wrong.score:.2f}",
            short(wrong.text, TEXT_CHARACTERS),
        )
        for wrong in report.wrong[:WRONG_SHOWN]
    ]
    return table(("LINE", "RIGHT", "SAID", "SURE", "TEXT"), rows, right=(0, 3))


def table(head: Row, rows: Sequence[Row], *, right: Sequence[int] = ()) -> list[str]:
    """Columns as wide as their widest cell; those of `right` end at the right."""
    cells = [[_plain(cell) for cell in row] for row in (head, *rows)]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(head))]
    return [
        "  ".join(
            _padded(cell, widths[i], at_right=i in right) for i, cell in enumerate(row)
        ).rstrip()
        for row in cells
    ]


def beside(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Two blocks of lines next to each other."""
    width = max(map(_width, left), default=0)
    count = max(len(left), len(right))
    lines = []
    for i in range(count):
        one = left[i] if i < len(left) else ""
        other = right[i] if i < len(right) else ""
        lines.append(f"{_padded(one, width)}    {other}".rstrip())
    return lines


def indented(lines: Sequence[str]) -> list[str]:
    """The lines, two blanks in."""
    return [f"  {line}" for line in lines]


def short(text: str, characters: int) -> str:
    """At most so many characters."""
    return text if len(text) <= characters else f"{text[: characters - 3]}..."


def _held_out(report: JobReport) -> str:
    return "held-out folds" if report.cross_validated else f"{report.rows.get('dev', 0)} dev rows"


def _class_row(row: ClassRow) -> tuple[str, ...]:
    return (short(row.label, 30), *_three(row.precision, row.recall, row.f1), str(row.support))


def _three(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.3f}" for value in values)


def _plain(cell: str) -> str:
    """One line without anything that a terminal could take for a command."""
    return "".join(c if c.isprintable() else " " for c in cell)


def _width(text: str) -> int:
    width = wcswidth(text)
    return width if width >= 0 else len(text)


def _padded(text: str, width: int, *, at_right: bool = False) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if at_right else text + blanks
