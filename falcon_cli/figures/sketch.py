"""Diagrams of characters, by plotext."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Any

from falcon_cli.figures.series import Line, Panel
from falcon_cli.terminal import visible

HEIGHT, WIDEST = 18, 100
_SIGNS = {"ours": "●▲■◆▼", "other": "○△□◇▽", "roofline": "·"}
_COLORS = ("cyan", "orange", "green", "magenta", "blue")


def sketch(panels: Sequence[Panel], width: int, color: bool) -> str:
    """The diagrams, one below the other, for a terminal of so many columns."""
    import plotext

    drawn = []
    for panel in panels:
        figure = plotext.figure.clear().theme("colorless")
        figure.plot_size(min(width, WIDEST), HEIGHT)
        for line in panel.lines:
            for signal in _signals(figure, line):
                figure.draw(signal)
        figure.label(panel.across, axis="x")
        figure.ruler("x").ticks([place for place, _ in panel.ticks], [text for _, text in panel.ticks])
        figure.ruler("y").lim(0, 1.05 * panel.top)
        text = figure.build().string(colorless=not color)
        legend = [_legend(line, color) for line in panel.lines]
        title = fill(f"{panel.title} ({panel.up})", width)  # that of plotext is left out where it does not fit
        drawn.append("\n".join([title, *(row.rstrip() for row in text.splitlines()), "", *legend]))
    plotext.figure.clear()
    return "\n\n".join(drawn) + "\n"


def _signals(figure: Any, line: Line) -> Iterator[Any]:
    """A roofline in dots; else a thin line, and a sign at each measured place, filled for what is ours."""
    import plotext

    if line.kind != "roofline":
        yield figure.signal(line.xs, line.ys, marker=plotext.marker("braille", _color(line))).lines()
    yield figure.signal(line.xs, line.ys, marker=plotext.marker(_sign(line), _color(line)))


def _legend(line: Line, color: bool) -> str:
    import plotext

    sign = plotext.colorize(_sign(line), _color(line)).string() if color else _sign(line)
    return f"  {sign} {visible(line.label)}"


def _sign(line: Line) -> str:
    signs = _SIGNS[line.kind]
    return signs[line.group % len(signs)]


def _color(line: Line) -> str:
    return _COLORS[line.group % len(_COLORS)]
