"""The results of `falcon bench`: rows for programs (llama-bench's field names, and ours), tables for people."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from shutil import get_terminal_size
from typing import Any, Literal

from falcon_cli.output import Writer
from falcon_cli.sizes import shown_size
from modeling.timings import BenchResult

Form = Literal["md", "csv", "json", "jsonl", "table"]
COLUMNS: dict[str, Callable[[str, BenchResult], str]] = {
    "model": lambda name, r: name.replace("|", "\\|"),
    "size": lambda name, r: shown_size(r.info.weights_bytes),
    "params": lambda name, r: _count(r.info.parameters),
    "kernels": lambda name, r: r.info.kernels,
    "dtype": lambda name, r: r.info.dtype,
    "batch": lambda name, r: str(r.case.batch),
    "test": lambda name, r: r.case.test,
    "t/s": lambda name, r: f"{_short(r.mean_rate)} ± {_short(r.spread_rate, like=r.mean_rate)}",
    "TTFT ms": lambda name, r: _milliseconds(r.first_token),
    "p50 ms": lambda name, r: _milliseconds(r.gaps and r.gaps[0]),
    "p99 ms": lambda name, r: _milliseconds(r.gaps and r.gaps[2]),
    "state MiB": lambda name, r: f"{r.state_bytes / 2**20:.1f}",
    "peak GiB": lambda name, r: "" if r.peak_bytes is None else f"{r.peak_bytes / 2**30:.2f}",
    "GB/s": lambda name, r: _short(r.bytes_per_second / 1e9),
    "% floor": lambda name, r: "" if r.share is None else f"{r.share:.1%}".rstrip("%"),
    "TFLOP/s": lambda name, r: _short(r.flops_per_second / 1e12),
}
_WORDS = ("model", "kernels", "dtype", "test")  # columns that stand left
_LESSER = ("TFLOP/s", "params", "state MiB", "peak GiB", "size", "GB/s", "p99 ms", "TTFT ms")  # the first to go from a screen


def row(name: str, result: BenchResult) -> dict[str, Any]:
    """One result as a flat object. Times in ns (llama-bench's) or ms, sizes in bytes; null: not known."""
    case, info, ceiling = result.case, result.info, result.ceiling
    gaps = result.gaps or (None, None, None)
    return {
        "model_filename": name,
        "model_type": f"{info.family} {_count(info.parameters)} {info.dtype}",
        "model_size": info.weights_bytes,
        "model_n_params": info.parameters,
        "n_batch": case.batch,
        "n_threads": result.threads,
        "n_prompt": case.n_prompt,
        "n_gen": case.n_gen,
        "n_depth": case.depth,
        "test_time": result.started,
        "avg_ns": round(result.mean_seconds * 1e9),
        "stddev_ns": round(result.spread_seconds * 1e9),
        "avg_ts": result.mean_rate,
        "stddev_ts": result.spread_rate,
        "samples_ns": [round(seconds * 1e9) for seconds in result.seconds],
        "samples_ts": list(result.rates),
        "backends": info.device.partition(":")[0].upper(),
        "cpu_info": result.cpu,
        "gpu_info": result.gpu,
        "test": case.test,
        "revision": info.revision,
        "dtype": info.dtype,
        "quantization": info.quantization,
        "device": info.device,
        "kernels": info.kernels,
        "kernel_notes": list(info.notices),
        "random_weights": result.random_weights,
        "prefill_chunk": result.prefill_chunk,
        "temperature": result.sampling.temperature,
        "top_k": result.sampling.top_k,
        "top_p": result.sampling.top_p,
        "load_ms": _ms(result.load_seconds),
        "ttft_ms": _ms(result.first_token),
        "itl_p50_ms": _ms(gaps[0]),
        "itl_p90_ms": _ms(gaps[1]),
        "itl_p99_ms": _ms(gaps[2]),
        "state_bytes": result.state_bytes,
        "peak_bytes": result.peak_bytes,
        "floor_bytes": result.bytes,
        "floor_flops": result.flops,
        "floor_ns": None if result.floor is None else round(result.floor * 1e9),
        "floor_share": result.share,
        "bytes_per_second": result.bytes_per_second,
        "flops_per_second": result.flops_per_second,
        "ceiling_bytes_per_second": ceiling.read,
        "ceiling_flops_per_second": ceiling.multiply,
        "ceiling_reader": ceiling.reader,
        "void": ceiling.void,
        "versions": result.versions,
    }


class Figures:
    """Writes results in one form: line by line where the form allows it, else when all are there."""

    def __init__(self, form: Form, write: Writer) -> None:
        self._form = form
        self._write = write
        self.results: list[tuple[str, BenchResult]] = []

    def add(self, name: str, result: BenchResult) -> None:
        """One more result, of the model that the user calls `name`."""
        self.results.append((name, result))
        if self._form == "jsonl":
            self._write(json.dumps(row(name, result), ensure_ascii=False) + "\n")
        elif self._form == "csv":
            fields = row(name, result)
            if len(self.results) == 1:
                self._write(_comma_separated(fields))
            self._write(_comma_separated(_flat(value) for value in fields.values()))

    def end(self) -> None:
        """There will be no more."""
        if self._form == "json":
            self._write(json.dumps([row(*pair) for pair in self.results], ensure_ascii=False, indent=2) + "\n")
        elif self._form == "md" and self.results:
            self._write(_markdown(self._cells([*COLUMNS])) + "\n" + "".join(f"{line}\n" for line in self._machine()))
        elif self._form == "table" and self.results:
            self._write(self._table(get_terminal_size().columns))

    def _cells(self, names: list[str]) -> list[list[str]]:
        """Headings, and a row for each result."""
        return [names, *([COLUMNS[column](*pair) for column in names] for pair in self.results)]

    def _machine(self) -> Iterator[str]:
        """What it was measured on, and what that does at best; one line for each number format."""
        told = set()
        for _, result in self.results:
            c = result.ceiling
            if c not in told:
                told.add(c)
                yield f"{c.device}: reads {c.read / 1e9:,.0f} GB/s, multiplies {_short(c.multiply / 1e12)} TFLOP/s in {c.dtype}"
                if c.void:
                    yield f"VOID: {c.void}"
        last = self.results[-1][1]
        weights = "random weights" if last.random_weights else "the checkpoint's weights"
        drawn = "greedy" if last.sampling.temperature == 0 else f"sampled at temperature {last.sampling.temperature:g}"
        yield f"{weights}, {drawn}, {len(last.seconds)} repetitions, {last.threads} threads, {last.versions}"

    def _table(self, width: int) -> str:
        """For a terminal: what is the same in all rows stands above, and a narrow screen gets fewer columns."""
        from rich import box
        from rich.console import Console
        from rich.table import Table

        cells = dict(zip(COLUMNS, zip(*self._cells([*COLUMNS])[1:], strict=True), strict=True))
        same = [name for name in ("model", "size", "params", "kernels", "dtype", "batch") if len(set(cells[name])) == 1]
        shown = [name for name in COLUMNS if name not in same and any(cells[name])]
        dropped = []
        for name in _LESSER:
            if sum(max(map(len, (column, *cells[column]))) + 2 for column in shown) - 2 > width and name in shown:
                shown.remove(name)
                dropped.append(name)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        for name in shown:
            table.add_column(name, justify="left" if name in _WORDS else "right", no_wrap=name != "model")
        for number in range(len(self.results)):
            table.add_row(*(cells[name][number] for name in shown))
        out = StringIO()
        console = Console(file=out, width=width, color_system=None, highlight=False, markup=False)
        head = " · ".join(("batch " if name == "batch" else "") + cells[name][0] for name in same)
        if head:
            console.print(head + "\n")
        console.print(table)
        for line in self._machine():
            console.print(line)
        if dropped:
            console.print(f"not shown, for want of room: {', '.join(dropped)} (-o md shows all)")
        return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def default_form(ending: str, *, to_file: bool) -> Form:
    """The form of a file by its ending (".json"), a table on a terminal, Markdown elsewhere."""
    if to_file:
        forms: dict[str, Form] = {".csv": "csv", ".json": "json", ".jsonl": "jsonl"}
        return forms.get(ending.lower(), "md")
    return "table" if sys.stdout is not None and sys.stdout.isatty() else "md"


def _markdown(rows: list[list[str]]) -> str:
    widths = [max(3, *(len(cells[column]) for cells in rows)) for column in range(len(rows[0]))]
    left = [name in _WORDS for name in rows[0]]
    lines = []
    for cells in rows:
        aligned = (
            cell.ljust(width) if stands else cell.rjust(width) for cell, width, stands in zip(cells, widths, left, strict=True)
        )
        lines.append(f"| {' | '.join(aligned)} |\n")
    rule = (":" + "-" * (width - 1) if stands else "-" * (width - 1) + ":" for width, stands in zip(widths, left, strict=True))
    return lines[0] + f"| {' | '.join(rule)} |\n" + "".join(lines[1:])


def _comma_separated(values: Any) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue()


def _flat(value: Any) -> Any:
    """A list as JSON; nothing for null."""
    return json.dumps(value) if isinstance(value, list) else "" if value is None else value


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"


def _short(value: float, like: float | None = None) -> str:
    """Three digits or more: 5,812 · 812.4 · 3.24 · 0.024; as many decimals as `like` another number gets."""
    size = value if like is None else like
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.2g}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f}"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 6)
