"""Eight answers at once beside one after the other on a CPU: alternating paired runs in one process, the same prompts.

    python benchmarks/cpu_batch.py CHECKPOINT [--rows 8] [--prompt 32] [--generate 32] [--pairs 5]

Tells decode tokens a second of both (the clock runs from the moment when all rows have their first token) and the median of the
ratios; and the same for whole batches, prompts included.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import torch

from modeling.api import open_language_model
from modeling.bench.subject import Numbers
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.messages import ModelSpec, Request, SamplingParams, Token


def run(engine: Engine, prompts: Sequence[tuple[int, ...]], tokens: int) -> tuple[float, float]:
    """Seconds for all of it, and from the last first token to the end."""
    started = perf_counter()
    sampling = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True)
    firsts = {engine.submit(Request(prompt, sampling)): 0.0 for prompt in prompts}
    for request, event in engine.run():
        if isinstance(event, Token) and not firsts[request]:
            firsts[request] = perf_counter()
    ended = perf_counter()
    return ended - started, ended - max(firsts.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    for name, default in (("rows", 8), ("prompt", 32), ("generate", 32), ("pairs", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    model = open_language_model(ModelSpec(given.checkpoint, device="cpu"), slots=given.rows)
    dice = random.Random(0)
    engines = {
        rows: Engine(Runner(model, rows, 512, given.prompt + given.generate + 1), Numbers, ()) for rows in (1, given.rows)
    }
    size = engines[1].runner.vocab_size
    prompts = [tuple(dice.choices(range(size), k=given.prompt)) for _ in range(given.rows)]
    print(f"{given.checkpoint}: {torch.get_num_threads()} threads, {next(model.parameters()).dtype}")
    decode, whole = [], []
    for pair in range(given.pairs + 1):
        one, alone = run(engines[1], prompts[:1], given.generate)
        many, together = run(engines[given.rows], prompts, given.generate)
        rates = (given.generate - 1) / alone, given.rows * (given.generate - 1) / together
        if pair:  # the first one warms up
            decode.append(rates[1] / rates[0])
            whole.append(one * given.rows / many)
            print(f"decode {rates[0]:.1f} → {rates[1]:.1f} tokens/s: {decode[-1]:.2f}; with prompts {whole[-1]:.2f}")
    print(f"median: decode {median(decode):.2f}, with prompts {median(whole):.2f}")


if __name__ == "__main__":
    main()
