"""`--device-map auto` over two GPUs gives the logits of one: Falcon-H1-34B's shape, random weights, eager.

python benchmarks/gpu/two_gpus.py modeling/checkpoint/shapes/falcon-h1-34b SCRATCH
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from start import write

from modeling import kernels
from modeling.checkpoint.files import find
from modeling.checkpoint.load import load
from modeling.config import load_config
from modeling.messages import ModelSpec


def logits(spec: ModelSpec, ids: list[int]) -> list[torch.Tensor]:
    started = time.perf_counter()
    checkpoint = find(spec)
    model = load(checkpoint, load_config(checkpoint.folder), spec)
    kernels.choose("auto", model.device)
    print(f"{model.placement.summary()}; loaded in {time.perf_counter() - started:.1f} s")
    found = []
    with torch.inference_mode():
        state = model.make_state(1, 2048)
        started = time.perf_counter()
        found.append(model.prefill(torch.tensor(ids, device=model.device), state, 0).float().cpu())
        for _ in range(4):
            found.append(model.step(found[-1].argmax()[None].to(model.device).reshape(1), state)[0].float().cpu())
        print(f"prefill of {len(ids)} and 4 steps in {time.perf_counter() - started:.1f} s; kernels {kernels.current()}")
    del model, state
    torch.cuda.empty_cache()
    return found


def main(source: Path, scratch: Path) -> None:
    started = time.perf_counter()
    write(source, scratch)
    torch.cuda.empty_cache()
    print(f"written in {time.perf_counter() - started:.0f} s")
    torch.manual_seed(1)
    ids = torch.randint(0, 2000, (700,)).tolist()
    one = logits(ModelSpec(str(scratch), device="cuda:0"), ids)
    two = logits(ModelSpec(str(scratch), device_map="auto", max_memory={"0": "48GiB", "1": "60GiB"}), ids)
    for number, (a, b) in enumerate(zip(one, two, strict=True)):
        error = ((a - b).norm() / a.norm()).item()
        best = "equal" if a.argmax() == b.argmax() else "DIFFERENT"
        print(f"step {number}: ‖two − one‖ / ‖one‖ = {error:.1e}, argmax {best}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
