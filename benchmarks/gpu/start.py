"""From the start of the process to the first token, for a checkpoint of 14 GB in the page cache; Triton's cache cold and warm.

    python benchmarks/gpu/start.py modeling/checkpoint/shapes/falcon-mamba-7b [SCRATCH]

Writes random weights of that shape into SCRATCH first, beside the demo's tokenizer. Python's bytecode goes there, too: the
first start compiles it, as pip does where it installs; a machine image without it would have each start compile all of torch's.
"""

from __future__ import annotations

import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from falcon_cli.demo import resolve
from modeling.checkpoint.noise import random_model
from modeling.config import load_config
from modeling.messages import ModelSpec

SHARD = 4 << 30  # bytes


def write(source: Path, target: Path) -> None:
    """A whole checkpoint: config, tokenizer, shards of random weights."""
    target.mkdir(parents=True, exist_ok=True)
    demo = Path(resolve("demo"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo / name, target / name)
    shutil.copy(source / "config.json", target / "config.json")
    model = random_model(load_config(source), ModelSpec(str(source), device="cuda"), slots=1, seed=0)
    shards: list[dict[str, torch.Tensor]] = [{}]
    size = 0
    for name, weight in model.named_parameters():
        if size + weight.nbytes > SHARD:
            shards.append({})
            size = 0
        shards[-1][name] = weight.detach().cpu().contiguous()
        size += weight.nbytes
    index: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, target / file, {"format": "pt"})
        index |= dict.fromkeys(shard, file)
    (target / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def main(source: Path, scratch: Path) -> None:
    started = time.perf_counter()
    write(source, scratch)
    print(f"written in {time.perf_counter() - started:.0f} s")
    torch.cuda.empty_cache()
    cache = scratch / "triton"
    falcon = [sys.executable, "-m", "falcon_cli", "generate", "-m", str(scratch)]
    command = [*falcon, "-n", "1", "--raw", "Once upon a time", "--stats"]
    environment = os.environ | {"TRITON_CACHE_DIR": str(cache), "PYTHONPYCACHEPREFIX": str(scratch / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for which in ("Triton's cache cold", "warm", "warm", "warm"):
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        print(f"{which}: {time.perf_counter() - started:.2f} s to the end of one token, exit {done.returncode}")
        print("   ", done.stderr.strip().replace("\n", "\n    ")[-600:])
    account(command[1:], environment)


def account(arguments: list[str], environment: dict[str, str]) -> None:
    """Where the time of one more start goes: functions by the time within them. A profiler makes Python's share larger."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        subprocess.run([sys.executable, "-m", "cProfile", "-o", str(profile), *arguments], capture_output=True, env=environment)
        stats = pstats.Stats(str(profile))
    stats.sort_stats("cumulative").print_stats("modeling|falcon_cli|cuda|triton|__init__", 60)
    stats.sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("/tmp/start"))
