"""Prefill and decode on a CPU beside transformers: the same weights, prompt and threads, in alternating paired runs.

    python benchmarks/cpu_transformers.py CHECKPOINT [--pairs 7] [--prompt 512] [--generate 64] [--dtype bfloat16]

Prints each pair, the median ratio (transformers' time over ours) and whether both chose the same greedy tokens. An absolute
time on a shared machine means little; the ratio of neighbouring runs does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from modeling.api import open_language_model
from modeling.messages import ModelSpec
from modeling.models import LanguageModel

Run = tuple[float, float, list[int]]  # seconds of prefill, seconds of decode, tokens


@torch.inference_mode()
def ours(model: LanguageModel, ids: torch.Tensor, count: int) -> Run:
    """Prefill in chunks of 512 and greedy decode through prefill() and step()."""
    state = model.make_state(1, len(ids) + count)
    start = perf_counter()
    for chunk in ids.split(512):
        logits = model.prefill(chunk, state, 0)
    tokens = [int(logits.argmax())]
    prefilled = perf_counter()
    while len(tokens) < count + 1:
        tokens.append(int(model.step(torch.tensor(tokens[-1:]), state).argmax()))
    return prefilled - start, perf_counter() - prefilled, tokens


@torch.inference_mode()
def theirs(model: PreTrainedModel, ids: torch.Tensor, count: int) -> Run:
    """The same with transformers' cache, by its forward alone: without the overhead of generate()."""
    mamba = model.config.model_type == "falcon_mamba"
    name = "cache_params" if mamba else "past_key_values"
    start = perf_counter()
    out = model(ids[None], use_cache=True, logits_to_keep=1)
    tokens = [int(out.logits[0, -1].argmax())]
    prefilled = perf_counter()
    while len(tokens) < count + 1:
        out = model(torch.tensor([tokens[-1:]]), use_cache=True, **{name: out[name]})
        tokens.append(int(out.logits[0, -1].argmax()))
    return prefilled - start, perf_counter() - prefilled, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--dtype", default="bfloat16")
    args = parser.parse_args()

    logging.set_verbosity_error()
    dtype = getattr(torch, args.dtype)
    reference = AutoModelForCausalLM.from_pretrained(args.checkpoint, dtype=dtype).eval()
    own = open_language_model(ModelSpec(str(args.checkpoint), dtype=args.dtype, device="cpu"))
    ids = torch.randint(own.config.vocab_size, (args.prompt,), generator=torch.Generator().manual_seed(0))
    print(f"{args.checkpoint.name} {args.dtype}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
          f"prompt {args.prompt}, generate {args.generate}")  # fmt: skip

    ours(own, ids, 4), theirs(reference, ids, 4)
    ratios = []
    for pair in range(args.pairs):
        engines = [(ours, own), (theirs, reference)]
        runs = {run: run(model, ids, args.generate) for run, model in (engines if pair % 2 == 0 else engines[::-1])}
        a, b = runs[ours], runs[theirs]
        same = next((i for i, (x, y) in enumerate(zip(a[2], b[2], strict=True)) if x != y), len(a[2]))
        ratios.append((b[0] / a[0], b[1] / a[1]))
        print(f"  falcon {args.prompt / a[0]:6.0f} / {args.generate / a[1]:5.1f} tok/s   "
              f"transformers {args.prompt / b[0]:6.0f} / {args.generate / b[1]:5.1f} tok/s   "
              f"ratio {ratios[-1][0]:.2f} / {ratios[-1][1]:.2f}   same tokens: {same} of {len(a[2])}", flush=True)  # fmt: skip
    print(f"median ratio: prefill {median(r[0] for r in ratios):.2f}, decode {median(r[1] for r in ratios):.2f}")


if __name__ == "__main__":
    main()
