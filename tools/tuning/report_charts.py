"""The charts of a job's page as SVG: scores with their intervals, and learning curves."""

from collections.abc import Sequence
from html import escape

from tools.tuning.job_report import Curve, RaceRow

WIDTH = 760
LABEL_WIDTH = 300
ROW_HEIGHT = 24
CURVE_WIDTH, CURVE_HEIGHT = 340, 150
EDGE = 34
LABEL_CHARACTERS = 44


def race_chart(rows: Sequence[RaceRow]) -> str:
    """A dot for each candidate's score from 0 to 1, with its 95 % interval."""
    height = ROW_HEIGHT * len(rows) + 30
    room = WIDTH - LABEL_WIDTH - 20

    def x(score: float) -> float:
        return LABEL_WIDTH + room * min(max(score, 0.0), 1.0)

    parts = [
        f'<line x1="{x(i / 4):.1f}" x2="{x(i / 4):.1f}" y1="0" y2="{height - 24}" '
        f'stroke="var(--line)"/><text x="{x(i / 4):.1f}" y="{height - 8}" '
        f'text-anchor="middle">{i / 4:g}</text>'
        for i in range(5)
    ]
    for number, row in enumerate(rows):
        y = ROW_HEIGHT * number + ROW_HEIGHT / 2
        weight = ' font-weight="700"' if row.verdict == "chosen" else ""
        parts.append(
            f'<text x="{LABEL_WIDTH - 10}" y="{y + 4}" text-anchor="end"{weight}>'
            f"{escape(_short(row.label))}</text>"
            f'<line x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{y}" y2="{y}" '
            f'stroke="var(--mark)" stroke-width="2"/>'
            f'<circle cx="{x(row.score):.1f}" cy="{y}" r="4.5" fill="var(--mark)">'
            f"<title>{row.score:.3f}</title></circle>"
        )
    return _svg(WIDTH, height, "scores with 95 % intervals", parts)


def curve_chart(curve: Curve) -> str:
    """Loss (line) and dev score (dots) over the steps of one fit."""
    losses = [(point.step, point.loss) for point in curve.points if point.loss is not None]
    scores = [(point.step, point.score) for point in curve.points if point.score is not None]
    last = max(point.step for point in curve.points) or 1
    top = max((loss for _, loss in losses), default=1.0) or 1.0

    def x(step: float) -> float:
        return EDGE + (CURVE_WIDTH - EDGE - 10) * step / last

    def y(share: float) -> float:
        return 22 + (CURVE_HEIGHT - 44) * (1 - min(max(share, 0.0), 1.0))

    parts = [
        f'<line x1="{EDGE}" x2="{CURVE_WIDTH - 10}" y1="{y(0)}" y2="{y(0)}" stroke="var(--line)"/>',
        f'<text x="{EDGE}" y="14">{escape(_short(curve.label))}</text>',
        f'<text x="{EDGE - 4}" y="{y(1) + 4}" text-anchor="end">{top:.2g}</text>',
        f'<text x="{CURVE_WIDTH - 10}" y="{CURVE_HEIGHT - 6}" text-anchor="end">'
        f"{last} steps</text>",
    ]
    if losses:
        line = " ".join(f"{x(step):.1f},{y(loss / top):.1f}" for step, loss in losses)
        parts.append(f'<polyline points="{line}" fill="none" stroke="var(--mark)"/>')
    parts += [
        f'<circle cx="{x(step):.1f}" cy="{y(score):.1f}" r="2.5" fill="#c85032">'
        f"<title>dev {score:.3f} at {step}</title></circle>"
        for step, score in scores
    ]
    return _svg(CURVE_WIDTH, CURVE_HEIGHT, f"learning curve of {curve.label}", parts)


def _svg(width: int, height: int, name: str, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(name)}">{inside}</svg>\n'
    )


def _short(label: str) -> str:
    if len(label) <= LABEL_CHARACTERS:
        return label
    return f"{label[: LABEL_CHARACTERS - 3]}..."
