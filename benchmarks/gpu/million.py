"""A prompt of a million tokens through FalconMamba-7B's shape: the memory it takes is that of one chunk.

python benchmarks/gpu/million.py modeling/checkpoint/shapes/falcon-mamba-7b [tokens]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from modeling import kernels
from modeling.checkpoint.noise import random_model
from modeling.config import load_config
from modeling.generation.runner import Runner
from modeling.messages import ModelSpec

CHUNK = 4096


def main(folder: str, tokens: int) -> None:
    spec = ModelSpec(folder, device="cuda")
    model = random_model(load_config(Path(folder)), spec, slots=1, seed=0)
    print("kernels", kernels.choose("auto", model.device))
    runner = Runner(model, 1, CHUNK)
    started, peak = time.perf_counter(), 0
    for done in range(0, tokens, CHUNK):
        ids = torch.randint(0, runner.vocab_size, (min(CHUNK, tokens - done),)).tolist()
        logits = runner.prefill([ids], 0)
        if done in (CHUNK, 9 * CHUNK, 99 * CHUNK) or done + CHUNK >= tokens:
            torch.cuda.synchronize()
            seconds, now = time.perf_counter() - started, torch.cuda.max_memory_allocated()
            peak = peak or now
            rate = (done + len(ids)) / seconds
            memory = f"peak {now / 2**30:.3f} GiB ({now / peak - 1:+.2%})"
            print(f"{done + len(ids):>8} tokens: {seconds:7.2f} s, {rate:8.0f} tok/s, {memory}")
    assert logits.isfinite().all()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2**20)
