"""Diagrams as a picture, by matplotlib: for a page, be it light or dark.

The ground is transparent and everything else of middling lightness, so that both grounds let it stand out.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from textwrap import fill
from typing import Any

from falcon_cli.figures.series import Line, Panel

ENDINGS = (".png", ".svg", ".pdf")
_LETTERS, _DIGITS = 95, 56  # of the caption below a diagram; of the numbers along it
_INK = "#7d8590"  # contrast of 3.7 to white, of 5.1 to GitHub's dark ground
_SIGNS = "os^D"  # where there are more curves than colours
_COLORS = ("#2f81f7", "#e3742f", "#2da44e", "#a371f7", "#d2388c", "#b8860b")
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.titlecolor": _INK,
    "axes.titleweight": "bold",
    "axes.titlesize": 12.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 2.2,
    "svg.fonttype": "none",
    "savefig.transparent": True,
}


def picture(panels: Sequence[Panel], format: str, caption: str) -> bytes:
    """The diagrams side by side, as a file of the format "png", "svg" or "pdf"."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with pyplot.rc_context(_STYLE):  # type: ignore[arg-type]
        figure, row = pyplot.subplots(
            1, len(panels), figsize=(6.2 * len(panels), 4.3), squeeze=False, layout=ConstrainedLayoutEngine(wspace=0.05)
        )
        for axes, panel in zip(row[0], panels, strict=True):
            _draw(axes, panel)
        most = max(len(panel.lines) for panel in panels)
        text = fill(caption, _LETTERS * len(panels), break_on_hyphens=False)
        figure.text(0.995, -0.02 - 0.048 * most, text, ha="right", va="top", fontsize=8.5)
        file = BytesIO()
        figure.savefig(file, format=format, dpi=160, bbox_inches="tight", pad_inches=0.12)
        pyplot.close(figure)
    return file.getvalue()


def _draw(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import LogLocator

    for line in panel.lines:
        _curve(axes, line)
    axes.set_title(panel.title, loc="left", pad=12)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.up)
    ticks = _apart(panel.ticks)
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
    else:
        axes.set_ylim(0, 1.06 * panel.top)
    axes.margins(x=0.04)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:g}")
    axes.grid(axis="y")
    axes.tick_params(length=0)
    legend = axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=9.5, borderaxespad=0, handlelength=2.6)
    legend.set_in_layout(False)  # long names are not to narrow the diagram


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those that can be read beside each other: the last, and of the others from the first on what has room."""
    width = (ticks[-1][0] - ticks[0][0]) / _DIGITS

    def reads(left: tuple[float, str], right: tuple[float, str]) -> bool:
        return right[0] - left[0] >= width * ((len(left[1]) + len(right[1])) / 2 + 1)

    found = [ticks[0]]
    for tick in ticks[1:-1]:
        if reads(found[-1], tick) and reads(tick, ticks[-1]):
            found.append(tick)
    return [*found, ticks[-1]]


def _curve(axes: Any, line: Line) -> None:
    """What was measured as points with their spread, hollow where it is not ours; a roofline in dashes."""
    color = _COLORS[line.group % len(_COLORS)]
    if line.kind == "roofline":
        axes.plot(line.xs, line.ys, linestyle=(0, (4, 3)), label=line.label, color=color, alpha=0.75, linewidth=1.4)
        return
    face = color if line.kind == "ours" else "none"
    sign = _SIGNS[line.group // len(_COLORS) % len(_SIGNS)]
    width, dashes = (2.2, "-") if line.kind == "ours" else (1.6, ":")
    if line.errors:
        axes.errorbar(line.xs, line.ys, yerr=line.errors, fmt="none", ecolor=color, elinewidth=1.1, capsize=2.5)
    axes.plot(line.xs, line.ys, dashes, label=line.label, color=color, linewidth=width, marker=sign, markersize=5.5,
              markerfacecolor=face)  # fmt: skip
