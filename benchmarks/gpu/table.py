"""The table of all sizes on one GPU: prompt and decode of each published shape, beside transformers in the same run.

    python benchmarks/gpu/table.py [OUT] [--minutes 7.5] [--device cuda] [--quantize FORM] [--only NAME …]

Each shape is a process of its own, `falcon bench NAME --random-weights --against transformers …`; OUT (default: table/) gets
the JSON of each, and table.md with the table and the commands. With --quantize nf4 or fp4 transformers runs the same 4-bit
weights by way of bitsandbytes. Kernels are compiled first, for several shapes side by side: that needs processors, not the
GPU. Shapes stand in the order of their weight; what the minutes do not hold is named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Row = dict[str, Any]
SHAPES = (
    "tiiuae/falcon-mamba-7b",
    "tiiuae/Falcon-H1-7B-Base",
    "tiiuae/Falcon-H1-0.5B-Base",
    "tiiuae/Falcon-H1-3B-Base",
    "tiiuae/Falcon-H1-1.5B-Base",
    "tiiuae/Falcon-H1-1.5B-Deep-Base",
    "tiiuae/Falcon-H1-34B-Base",
)
SIDE_BY_SIDE = SHAPES[:-1]  # the last fills most of a GPU
TESTS = ["-p", "512", "-n", "48", "-r", "3", "--against", "transformers"]
WARM = ["-p", "512", "-n", "2", "-r", "1", "--output-file", "/dev/null"]
HEADS = ("shape", "weights GiB", "decode tokens/s", "% floor", "transformers", "ratio", "same ids", "prompt of 512 tokens/s",
         "first token ms", "transformers", "ratio", "state MiB", "peak GiB")  # fmt: skip


def command(name: str, args: argparse.Namespace, tests: Sequence[str]) -> list[str]:
    form = [] if args.quantize == "none" else ["--quantize", args.quantize]
    return ["bench", name, "--random-weights", "--device", args.device, *form, *tests]


def falcon(arguments: Sequence[str], seconds: float) -> str:
    """Run it; returns what it has to say of a failure, "" if there is none."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "falcon_cli", *arguments], capture_output=True, text=True, timeout=max(5.0, seconds)
        )
    except subprocess.TimeoutExpired:
        return "the minutes are over"
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"


def line(rows: Sequence[Row]) -> tuple[str, ...]:
    """A row of the table from those of one shape."""
    found = {(row["engine"] == "falcon", row["test"]): row for row in rows}
    write, read = found[True, "tg48"], found[True, "pp512"]
    other_write, other_read = found.get((False, "tg48")), found.get((False, "pp512"))

    def rate(row: Row | None) -> str:
        return "" if row is None else f"{row['avg_ts']:,.1f} ± {row['stddev_ts']:,.1f}"

    def ratio(row: Row) -> str:
        return row["against_missing"] or f"{row['ratio']:.1f} ×"

    same = "" if write["same_tokens"] is None else f"{write['same_tokens']}/{write['compared_tokens']}"
    floor = "" if write["floor_share"] is None else f"{100 * write['floor_share']:.1f}"
    return (
        write["model_filename"].partition("/")[2], f"{write['model_size'] / 2**30:.1f}", rate(write), floor, rate(other_write),
        ratio(write), same, rate(read), f"{read['ttft_ms']:.1f}",
        rate(other_read), ratio(read), f"{write['state_bytes'] / 2**20:.0f}", f"{(write['peak_bytes'] or 0) / 2**30:.1f}",
    )  # fmt: skip


def page(results: dict[str, list[Row]], commands: dict[str, str], left: dict[str, str]) -> str:
    """The table, what it was measured on, and how."""
    head = f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}\n"
    body = "".join(f"| {' | '.join(line(rows))} |\n" for rows in results.values())
    first, *_ = [*results.values(), [{}]]
    row = first[0]
    where = ""
    if row:
        reads, multiplies = row["ceiling_bytes_per_second"] / 1e12, row["ceiling_flops_per_second"] / 1e12
        where = f"{row['gpu_info'] or row['cpu_info']}: reads {reads:.2f} TB/s, multiplies {multiplies:.1f} TFLOP/s; "
        where += f"{row['versions']}; beside {row['against']}. {row['void'] and 'VOID: ' + row['void']}\n\n"
    told = "".join(f"    {text}\n" for text in commands.values())
    missing = "".join(f"\nleft out: {name}: {why}" for name, why in left.items())
    return f"{where}{head}{body}\n{told}{missing}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path("table"))
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quantize", default="none", metavar="FORM", help="none, nf4, fp4 or int8, as falcon bench has them")
    parser.add_argument("--only", nargs="*", default=list(SHAPES))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * args.minutes
    if args.device.startswith("cuda"):
        with ThreadPoolExecutor(4) as pool:
            together = [name for name in args.only if name in SIDE_BY_SIDE]
            for name, said in zip(
                together,
                pool.map(lambda name: falcon(command(name, args, WARM), end - time.monotonic()), together),
                strict=True,
            ):
                print(f"compiled {name} {said}", flush=True)
    results: dict[str, list[Row]] = {}
    commands: dict[str, str] = {}
    left: dict[str, str] = {}
    for name in args.only:
        began = time.monotonic()
        file = args.out / f"{name.partition('/')[2]}.json"
        asked = command(name, args, TESTS)
        left[name] = "the minutes are over"
        if began < end and not (said := falcon([*asked, "--output-file", str(file)], end - began)):
            results[name] = json.loads(file.read_text())
            commands[name] = f"falcon {' '.join(asked)}"
            del left[name]
        elif began < end:
            left[name] = said.splitlines()[-1] if said else ""
            print(said, flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        (args.out / "table.md").write_text(
            page(results, commands, left), encoding="utf-8"
        )  # whatever happens next, it is there
    print((args.out / "table.md").read_text())


if __name__ == "__main__":
    main()
