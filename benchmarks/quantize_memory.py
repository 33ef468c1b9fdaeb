"""What `falcon quantize` needs of the host's memory for a model of 34 billion weights: the figures of benchmarks/quality.md.

    python benchmarks/quantize_memory.py FOLDER [--shape falcon-h1-34b] [--layers 8,24] [--limit 1200MB] [--head]

For each number of layers, a checkpoint of the published shape in files of 5 GB with an index, whose tensors are holes and take
no room on the disk; then `falcon quantize` on it in a process that may not allocate more than the limit. Printed is the most
that it held at once (resident, all libraries included; what they alone hold is measured first), and how fast it went. The
output takes room, 0.25 GB a layer and 5.4 GB for embedding and head, and is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import torch

from falcon_cli.sizes import parse_size
from modeling.checkpoint.load import blueprint
from modeling.checkpoint.tensorfile import Entry, header
from modeling.config import load_config

SHAPES = Path(__file__).parent.parent / "modeling" / "checkpoint" / "shapes"
SHARD = 5 * 10**9
BARE = (
    "import torch, bitsandbytes.functional as f; from falcon_cli.commands import quantize; from modeling import api; "
    "f.quantize_4bit(torch.zeros(64, 64))"
)


def write(folder: Path, shape: str, layers: int) -> tuple[int, int]:
    """A checkpoint of holes; its bytes, and those of the largest tensor."""
    fields = json.loads((SHAPES / shape / "config.json").read_text()) | {"num_hidden_layers": layers}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(fields))
    shards: list[dict[str, Entry]] = [{}]
    entries = {
        name: Entry("BF16", tuple(weight.shape))
        for name, weight in blueprint(load_config(folder), torch.bfloat16).named_parameters()
    }
    for name, entry in entries.items():
        if sum(other.nbytes for other in shards[-1].values()) + entry.nbytes > SHARD:
            shards.append({})
        shards[-1][name] = entry
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        path = folder / f"model-{number:05}-of-{len(shards):05}.safetensors"
        with path.open("wb") as file:
            file.write(header(shard, {"format": "pt"}))
            file.truncate(file.tell() + sum(entry.nbytes for entry in shard.values()))
        weight_map |= dict.fromkeys(shard, path.name)
    total = sum(entry.nbytes for entry in entries.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total, max(entry.nbytes for entry in entries.values())


def peak(command: list[str], limit: int | None = None) -> int:
    """Run it; the most bytes that it held. Ends with its error if it fails."""

    def bounded() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    process = subprocess.Popen(command, preexec_fn=bounded, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"it ended with {process.returncode}")
    return usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", default="falcon-h1-34b")
    parser.add_argument("--layers", default="8,24")
    parser.add_argument("--limit", default="1200MB")
    parser.add_argument("--head", action="store_true", help="pack lm_head, too, the largest tensor")
    arguments = parser.parse_args()
    bare = peak([sys.executable, "-c", BARE])
    print(f"libraries alone {bare / 1e9:.2f} GB; no more than {arguments.limit} of data may be allocated")
    for layers in map(int, arguments.layers.split(",")):
        source, out = arguments.folder / f"source-{layers}", arguments.folder / f"out-{layers}"
        try:
            total, largest = write(source, arguments.shape, layers)
            command = [sys.executable, "-m", "falcon_cli", "quantize", str(source), "-o", str(out), "--device", "cpu"]
            began = perf_counter()
            held = peak(command + ["--quantize-head"] * arguments.head, parse_size(arguments.limit))
            seconds = perf_counter() - began
            found = f"{total / 1e9:.1f} GB, largest tensor {largest / 1e9:.2f} GB; held {held / 1e9:.2f} GB"
            more = f"{(held - bare) / 1e9:.2f} GB more than the libraries"
            speed = f"{seconds:.0f} s, {total / seconds / 1e6:.0f} MB/s"
            print(f"{arguments.shape}, {layers} layers: {found}, {more}; {speed}", flush=True)
        finally:
            shutil.rmtree(source, ignore_errors=True)
            shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
