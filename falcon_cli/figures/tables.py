"""Results for people: Markdown tables, and tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

from falcon_cli.figures.numbers import count, milliseconds, percent, short, spread_milliseconds
from falcon_cli.figures.verdicts import SIGNS, Verdict
from falcon_cli.sizes import shown_size
from modeling.timings import BenchResult, Measured, Result, StateResult, TurnResult, mean, quantile, spread

Cell = Callable[[str, Any], str]
Columns = dict[str, Cell]
Named = tuple[str, Result]

SPEED = "Speed"
_WORDS = ("model", "kernels", "dtype", "test", "state", "verdict")  # columns that stand left
_MODEL: Columns = {
    "model": lambda name, r: name.replace("|", "\\|"),
    "size": lambda name, r: shown_size(r.setup.info.weights_bytes),
    "params": lambda name, r: count(r.setup.info.parameters),
    "kernels": lambda name, r: r.setup.info.kernels,
    "dtype": lambda name, r: r.setup.info.quantization or r.setup.info.dtype,
}
_LESSER = (
    "TFLOP/s", "params", "load s", "state MiB", "peak GiB", "size", "GB/s", "same ids", "TTFT ms", "before", "new",
)  # fmt: skip  # the first to go from a screen


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: `heads`, and the cells of each of its lines."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        widths = [max(3, *(len(line[place]) for line in (self.heads, *self.lines))) for place in range(len(self.heads))]
        left = [name in _WORDS for name in self.heads]

        def row(cells: Sequence[str]) -> str:
            aligned = (
                cell.ljust(width) if stands else cell.rjust(width)
                for cell, width, stands in zip(cells, widths, left, strict=True)
            )
            return f"| {' | '.join(aligned)} |\n"

        rules = (
            ":" + "-" * (width - 1) if stands else "-" * (width - 1) + ":" for width, stands in zip(widths, left, strict=True)
        )
        return row(self.heads) + row([*rules]) + "".join(map(row, self.lines))

    def terminal(self, width: int) -> str:
        """What is the same in all lines stands above, and a narrow screen gets fewer columns."""
        from rich import box
        from rich.console import Console
        from rich.table import Table

        cells = {name: [line[place] for line in self.lines] for place, name in enumerate(self.heads)}
        same = [name for name in (*_MODEL, "batch") if name in cells and len(set(cells[name])) == 1]
        shown = [name for name in self.heads if name not in same and any(cells[name])]
        dropped = []
        percentiles = [name for name in self.heads if name.startswith("p") and name.endswith(" ms")]
        for name in (*percentiles[1:-1], *_LESSER, *percentiles[1:][-1:]):
            if sum(max(map(len, (column, *cells[column]))) + 2 for column in shown) - 2 > width and name in shown:
                shown.remove(name)
                dropped.append(name)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        for name in shown:
            table.add_column(name, justify="left" if name in _WORDS else "right", no_wrap=name != "model")
        for number in range(len(self.lines)):
            table.add_row(*(cells[name][number] for name in shown))
        out = StringIO()
        console = Console(file=out, width=width, color_system=None, highlight=False, markup=False)
        if head := " · ".join(("batch " if name == "batch" else "") + cells[name][0] for name in same):
            console.print(head + "\n")
        console.print(table)
        if dropped:
            console.print(f"not shown, for want of room: {', '.join(dropped)} (-o md shows all)")
        return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def sheets(results: Sequence[Named], percentiles: Sequence[float], verdicts: Sequence[Verdict | None]) -> list[Sheet]:
    """A table for each kind of result there is."""
    found = []
    cases = [(name, result) for name, result in results if isinstance(result, BenchResult)]
    turns = [(name, result) for name, result in results if isinstance(result, TurnResult)]
    states = [(name, result) for name, result in results if isinstance(result, StateResult)]
    if cases:
        found.append(_cases(cases, percentiles))
    if turns:
        found.append(_sheet("Time to the first token of each turn", _MODEL | _TURN, turns))
    if states:
        found.append(_sheet("What can be done with a state", _MODEL | _STATE, states))
    if told := [verdict for verdict in verdicts if verdict is not None]:
        found.append(_verdicts(told))
    return found


def machine(results: Sequence[Named]) -> Iterator[str]:
    """What it was measured on, and what that does at best; one line for each number format."""
    told = set()
    for _, result in results:
        c = result.setup.ceiling
        if c not in told:
            told.add(c)
            yield f"{c.device}: reads {c.read / 1e9:,.0f} GB/s, multiplies {short(c.multiply / 1e12)} TFLOP/s in {c.dtype}"
            if c.void:
                yield f"VOID: {c.void}"
    last = results[-1][1]
    setup = last.setup
    weights = "random weights" if setup.random_weights else "the checkpoint's weights"
    drawn = "greedy" if setup.sampling.temperature == 0 else f"sampled at temperature {setup.sampling.temperature:g}"
    yield f"{weights}, {drawn}, {_many(len(last.seconds), 'repetition')}, {_many(setup.threads, 'thread')}, {setup.versions}"
    missing = {r.rival.missing: r.rival.name for _, r in results if isinstance(r, BenchResult) and r.rival and r.rival.missing}
    yield from (f"without a ratio: {why}" for why in missing)
    if any(isinstance(r, BenchResult) and r.ratio is not None for _, r in results):
        yield "ratio: median over pairs of neighbouring runs; same ids: tokens that both choose behind the same text"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _sheet(title: str, columns: Columns, results: Sequence[tuple[str, Measured]]) -> Sheet:
    lines = tuple(tuple(cell(name, result) for cell in columns.values()) for name, result in results)
    return Sheet(title, tuple(columns), lines)


def _cases(results: Sequence[tuple[str, BenchResult]], percentiles: Sequence[float]) -> Sheet:
    """Behind each case that a rival ran, too, its row."""
    columns = _MODEL | {
        "batch": lambda name, r: str(r.case.batch),
        "test": lambda name, r: r.case.test,
        "t/s": lambda name, r: f"{short(r.mean_rate)} ± {short(r.spread_rate, like=r.mean_rate)}",
        "TTFT ms": lambda name, r: milliseconds(r.first_token),
        **{f"p{percent(share)} ms": partial(_gap, share) for share in percentiles},
        "load s": lambda name, r: f"{r.setup.load_seconds:.2f}",
        "state MiB": lambda name, r: f"{r.state_bytes / 2**20:.1f}",
        "peak GiB": lambda name, r: "" if r.peak_bytes is None else f"{r.peak_bytes / 2**30:.2f}",
        "GB/s": lambda name, r: short(r.bytes_per_second / 1e9),
        "% floor": lambda name, r: "" if r.share is None else f"{r.share:.1%}".rstrip("%"),
        "TFLOP/s": lambda name, r: short(r.flops_per_second / 1e12),
    }
    compared = any(result.rival for _, result in results)
    if compared:
        columns |= {
            "ratio": lambda name, r: "" if r.ratio is None else f"{r.ratio:.2f} ×",
            "same ids": lambda name, r: "" if r.ratio is None else f"{r.rival.same}/{r.rival.compared}",
        }
    lines = []
    for name, result in results:
        cells = {column: cell(name, result) for column, cell in columns.items()}
        lines.append(tuple(cells.values()))
        if (rival := result.rival) is not None and not rival.missing:
            rates = [result.case.tokens / seconds for seconds in rival.seconds]
            cells |= dict.fromkeys(("load s", "state MiB", "peak GiB", "GB/s", "% floor", "TFLOP/s", "ratio", "same ids"), "")
            cells |= {"kernels": rival.name, "t/s": f"{short(mean(rates))} ± {short(spread(rates), like=mean(rates))}"}
            cells |= {"TTFT ms": milliseconds(rival.first_token)}
            cells |= {f"p{percent(share)} ms": _quantile(rival.gaps, share) for share in percentiles}
            lines.append(tuple(cells.values()))
    return Sheet(SPEED, tuple(columns), tuple(lines))


def _gap(share: float, name: str, result: BenchResult) -> str:
    return _quantile(result.gaps, share)


def _quantile(gaps: Sequence[float], share: float) -> str:
    return milliseconds(quantile(gaps, share / 100)) if gaps else ""


_TURN: Columns = {
    "turn": lambda name, r: str(r.turn),
    "before": lambda name, r: str(r.depth),
    "new": lambda name, r: str(r.reads),
    "carried ms": lambda name, r: spread_milliseconds(r.mean_seconds, r.spread_seconds),
    "read anew ms": lambda name, r: spread_milliseconds(mean(r.again), spread(r.again)),
    "saves": lambda name, r: f"{r.saving:.1f} ×",
    "state MiB": lambda name, r: f"{r.state_bytes / 2**20:.1f}",
}
_STATE: Columns = {
    "state": lambda name, r: r.operation,
    "tokens": lambda name, r: str(r.depth),
    "ms": lambda name, r: spread_milliseconds(r.mean_seconds, r.spread_seconds),
    "MiB": lambda name, r: f"{r.bytes / 2**20:.1f}",
    "GB/s": lambda name, r: short(r.bytes_per_second / 1e9),
}


def _verdicts(verdicts: Sequence[Verdict]) -> Sheet:
    heads = ("model", "kernels", "dtype", "batch", "test", "before ms", "now ms", "speed", "p", "verdict")
    lines = tuple(
        (
            verdict.row["model_filename"], verdict.row["kernels"], verdict.row["dtype"], str(verdict.row["batch_size"]),
            verdict.row["test"], milliseconds(verdict.old), milliseconds(verdict.new), f"{verdict.speed - 1:+.1%}",
            f"{verdict.p:.3f}", SIGNS[verdict.mark],
        )
        for verdict in verdicts
    )  # fmt: skip
    return Sheet("Beside the earlier run (Mann-Whitney U, two-sided, p < 0.05)", heads, lines)
