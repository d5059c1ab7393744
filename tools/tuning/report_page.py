"""A job's report as one HTML page that needs nothing else: no script, no font, no network.

    (folder / "report.html").write_text(page(report), "utf-8")

Everything that comes from data or models is escaped. Charts are SVG of our own.
"""

from collections.abc import Iterable, Sequence
from html import escape

from tools.tuning.job_report import Figures, JobReport
from tools.tuning.metrics import ClassRow, Metrics
from tools.tuning.report_charts import curve_chart, race_chart
from tools.tuning.report_tables import confused_pairs

MATRIX_LABELS = 30
"""A confusion matrix of more labels is shown as the pairs that are confused most."""
PAIRS = 40

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --line: #d5d9de; --mark: #2f6fb0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --soft: #9aa3ad; --line: #3a4047; --mark: #7fb2e5; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); margin: 2rem auto; padding: 0 1rem;
  max-width: 70rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.fact { color: var(--soft); margin: .2rem 0; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; } td.n, th.n { text-align: right; }
td.hit, td.miss { text-align: right; min-width: 2.2rem; }
.side { display: flex; flex-wrap: wrap; gap: 2rem; } .scroll { overflow-x: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.text { max-width: 34rem; overflow-wrap: anywhere; }
"""


def page(report: JobReport) -> str:
    """The whole page."""
    parts = [
        f"<h1>{escape(report.skill)} <small>({escape(report.kind)})</small></h1>",
        _facts(report),
        _section("Data", _listed(report.data)),
        _section("Race", _race(report)),
        _section("Learning curves", "".join(curve_chart(curve) for curve in report.curves)),
        _section("On the sealed test rows", _figures(report.test)),
        _section("On the rows that the choice was made on", _figures(report.dev)),
        _section("Worst errors", _wrong(report)),
        _section("Notes", _listed(report.notes)),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
        " style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.skill)}: {escape(report.job)}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """An HTML table of texts; columns of `numbers` are set to the right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}>{escape(cell)}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    return f'<div class="scroll"><table><tr>{cells("th", head)}</tr>\n{body}</table></div>'


def _section(title: str, inside: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{inside}" if inside else ""


def _facts(report: JobReport) -> str:
    rows = ", ".join(f"{name} {count}" for name, count in report.rows.items())
    lines = [
        report.status,
        f"job {report.job}, {report.made}",
        f"{report.seconds:.0f} s of a budget of {report.budget_seconds:.0f} s; rows: {rows}",
        report.why,
    ]
    if report.template_spread is not None:
        lines.append(f"standard deviation over templates: {report.template_spread:.3f}")
    return "".join(f'<p class="fact">{escape(line)}</p>\n' for line in lines if line)


def _listed(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>" if lines else ""


def _race(report: JobReport) -> str:
    if not report.race:
        return ""
    head = ("method", "score", "95 % interval", "sd", "blocks", "seconds a block", "verdict")
    rows = [
        (
            row.label,
            f"{row.score:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
            f"{row.spread:.3f}",
            str(row.blocks),
            f"{row.seconds:.1f}",
            row.verdict,
        )
        for row in report.race
    ]
    left_out = [f"left out: {label}: {why}" for label, why in report.skipped]
    return race_chart(report.race) + table(head, rows, numbers=(1, 2, 3, 4, 5)) + _listed(left_out)


def _figures(figures: Figures | None) -> str:
    if figures is None:
        return ""
    found = figures.read()
    controls = "; ".join(f"control {name} {value:.3f}" for name, value in figures.controls.items())
    speed = figures.milliseconds_per_row
    said = (
        f"{found.name} {found.score:.3f} (95 % interval {figures.low:.3f} to {figures.high:.3f}), "
        f"{found.examples} examples" + (f"; {controls}" if controls else "")
    ) + (f"; {speed:.2f} ms a row" if speed is not None else "")
    return (
        f'<p class="fact">{escape(said)}</p>\n<div class="side">'
        + _report_tables(found)
        + "</div>\n"
        + _confusion(found)
    )


def _report_tables(found: Metrics) -> str:
    head = ("precision", "recall", "F1", "support")
    rows = [_class_row(row) for row in found.rows]
    total = sum(row.support for row in found.rows)
    three = [f"{value:.3f}" for value in (found.precision, found.recall, found.micro_f1)]
    rows += [
        ("micro average", *three, str(total)),
        ("macro average", "", "", f"{found.macro_f1:.3f}", ""),
        ("weighted average", "", "", f"{found.weighted_f1:.3f}", ""),
    ]
    by_label = "entity" if found.token_rows else "label"
    tables = table((by_label, *head), rows, numbers=(1, 2, 3, 4))
    if found.token_rows:
        tags = [_class_row(row) for row in found.token_rows]
        tags.append(("tokens right", "", "", f"{found.accuracy:.3f}", ""))
        tables += table(("token tag", *head), tags, numbers=(1, 2, 3, 4))
    return tables


def _class_row(row: ClassRow) -> tuple[str, ...]:
    three = (f"{value:.3f}" for value in (row.precision, row.recall, row.f1))
    return (row.label, *three, str(row.support))


def _confusion(found: Metrics) -> str:
    """The matrix, shaded by the share of its line; or the pairs that are confused most."""
    labels = found.confusion_labels
    if not labels:
        return ""
    if len(labels) > MATRIX_LABELS:
        pairs = [(right, said, str(n)) for right, said, n in confused_pairs(found)[:PAIRS]]
        return table(("right", "said", "times"), pairs, numbers=(2,)) if pairs else ""
    head = "".join(f"<th class=n>{escape(label)}</th>" for label in labels)
    lines = []
    for i, counts in enumerate(found.confusion):
        whole = max(1, sum(counts))
        cells = "".join(_shaded(count, count / whole, i == j) for j, count in enumerate(counts))
        lines.append(f"<tr><th>{escape(labels[i])}</th>{cells}</tr>\n")
    note = '<p class="fact">Lines: the right label; columns: what was said.</p>'
    return (
        f'{note}<div class="scroll"><table><tr><th></th>{head}</tr>\n{"".join(lines)}</table></div>'
    )


def _shaded(count: int, share: float, is_hit: bool) -> str:
    colour = "47, 111, 176" if is_hit else "200, 80, 50"
    name = "hit" if is_hit else "miss"
    return f'<td class={name} style="background: rgba({colour}, {0.75 * share:.2f})">{count}</td>'


def _wrong(report: JobReport) -> str:
    if not report.wrong:
        return ""
    rows = "".join(
        f"<tr><td class=n>{wrong.line}</td><td>{escape(wrong.right)}</td>"
        f"<td>{escape(wrong.said)}</td>"
        f"<td class=n>{'' if wrong.score is None else format(wrong.score, '.2f')}</td>"
        f'<td class="text">{escape(wrong.text)}</td></tr>\n'
        for wrong in report.wrong
    )
    head = "<th class=n>line</th><th>right</th><th>said</th><th class=n>sure</th><th>text</th>"
    return f'<div class="scroll"><table><tr>{head}</tr>\n{rows}</table></div>'
