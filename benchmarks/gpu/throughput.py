"""A batch of prompts through the engine, beside the steady rate of its decode steps with all slots full, in one process.

    python benchmarks/gpu/throughput.py FOLDER_WITH_CONFIG [--rows 512] [--prompt 128] [--generate 256] [--slots 128] [--rate R]

Random weights of that shape, random prompts, greedy. `steady` is decoding with all slots taken and nobody coming or going. Then
three batches: every answer of the same length; answers of lengths drawn evenly between half of it and one and a half times it,
so that rows leave one by one ("ragged"); and the same with prompts of lengths drawn in the same way. For each: tokens a second
over the whole batch, prompts and the emptying of the slots at its end included, its share of `steady` (or of `--rate`), and
where the rest of the time went: seconds in passes over prompts, how many there were, and how many slots were taken in a step on
the average.

The clock of the passes waits for the device at each of them, which the engine by itself does, too (it reads the first tokens).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from modeling import kernels
from modeling.bench.subject import Numbers
from modeling.checkpoint.noise import random_model
from modeling.config import load_config
from modeling.decode.prompts import prompts_for
from modeling.equipment import programs_of, with_ready
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.messages import Finished, ModelSpec, Request, SamplingParams, Token
from modeling.state import ModelState


class Passes:
    """Counts and times what an engine does with prompts, and counts its steps and their rows."""

    def __init__(self, engine: Engine) -> None:
        self.clear()
        self._prefill: Callable[..., Any] = engine.runner.prefill
        self._next: Callable[..., Any] = engine._steps.next
        engine.runner.prefill = self._timed  # type: ignore[method-assign]
        engine._steps.next = self._counted  # type: ignore[method-assign]

    def _timed(self, ids: Sequence[Sequence[int]], slot: int, cancelled: Callable[[], bool] | None = None) -> Any:
        wait()
        started = perf_counter()
        logits = self._prefill(ids, slot, cancelled)
        wait()
        self.seconds += perf_counter() - started
        self.count += 1
        self.tokens += sum(map(len, ids))
        return logits

    def _counted(self, answers: Sequence[Any]) -> Any:
        self.steps += 1
        self.rows += len(answers)
        return self._next(answers)

    def clear(self) -> None:
        self.count, self.seconds, self.tokens, self.steps, self.rows = 0, 0.0, 0, 0, 0


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def requests(rows: int, prompt: Callable[[], int], answer: Callable[[], int], size: int, dice: random.Random) -> list[Request]:
    return [
        Request(
            tuple(dice.choices(range(size), k=prompt())),
            SamplingParams(temperature=0.0, max_tokens=answer(), ignore_eos=True),
        )
        for _ in range(rows)
    ]


def steady(engine: Engine, prompt: int, steps: int) -> float:
    """Tokens a second of decode steps with every slot taken."""
    slots, size = engine.rows, engine.runner.vocab_size
    for request in requests(slots, lambda: prompt, lambda: steps + 40, size, random.Random(1)):
        engine.submit(request)
    seen: dict[int, int] = {}
    started, counted = 0.0, 0
    for request_id, event in engine.run():
        if not isinstance(event, Token):
            continue
        seen[request_id] = seen.get(request_id, 0) + 1
        if not started and len(seen) == slots and min(seen.values()) >= 20:
            started = perf_counter()
        elif started and counted < slots * steps:
            counted += 1
            ended = perf_counter()
    return counted / (ended - started)


def batch(name: str, engine: Engine, passes: Passes, wanted: Sequence[Request], rate: float) -> None:
    passes.clear()
    waiting, tokens, live = list(reversed(wanted)), 0, 0
    wait()
    started = perf_counter()
    while waiting or live:
        while waiting and live < 2 * engine.runner.slots:  # as a batch does: no more wait than decode
            engine.submit(waiting.pop())
            live += 1
        for _, event in engine.run():
            if isinstance(event, Finished):
                tokens += len(event.token_ids)
                live -= 1
                if waiting:
                    engine.submit(waiting.pop())
                    live += 1
    seconds = perf_counter() - started
    found = tokens / seconds
    prompts = f"{passes.count} passes over {passes.tokens} prompt tokens, {passes.seconds:.2f} s"
    taken = f"{passes.rows / passes.steps:.1f} slots taken in a step"
    print(
        f"{name}: {tokens} tokens in {seconds:.2f} s, {found:,.0f} tokens/s, {found / rate:.1%} of steady; {prompts}; {taken}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, default in (("rows", 512), ("prompt", 128), ("generate", 256), ("slots", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--ready", type=int, help="Slots more, for those who are to follow (default: as many as `falcon` has)")
    parser.add_argument("--rate", type=float, help="What shares are of, in tokens a second")
    parser.add_argument("--gather", type=int, nargs="*", help="Free slots to wait for, one run each (default: the engine's)")
    given = parser.parse_args()
    spec = ModelSpec(str(given.folder), device=given.device)
    model = random_model(load_config(given.folder), spec, slots=given.slots, seed=0)
    print(given.folder.name, "kernels", kernels.choose("auto", model.device))
    context = 2 * (given.prompt + 2 * given.generate)
    rows = given.slots
    slots = with_ready(rows, model.device) if given.ready is None else rows + given.ready
    runner = Runner(model, slots, 4096 if model.device.type == "cuda" else 512, context)
    programs = programs_of(model, runner, rows)
    assert isinstance(runner.state, ModelState)
    runner.prompts = prompts_for(model, runner.state)
    engine = Engine(runner, Numbers, (), programs=programs, rows=rows)
    passes = Passes(engine)
    rate = steady(engine, given.prompt, min(100, given.generate))
    rate = steady(engine, given.prompt, min(100, given.generate))  # the first one compiled kernels
    print(f"steady, {given.slots} slots: {rate:,.0f} tokens/s")
    prompt, answer = given.prompt, given.generate
    for gather in given.gather or [engine._gather]:
        engine._gather = gather
        print(f"new prompts are read when {gather} of {runner.slots} slots are free")
        dice = random.Random(2)

        def around(middle: int) -> Callable[[], int]:
            return lambda: dice.randint(middle // 2, middle + middle // 2)  # noqa: B023

        cases = {
            "even": (lambda: prompt, lambda: answer),
            "ragged answers": (lambda: prompt, around(answer)),
            "ragged answers and prompts": (around(prompt), around(answer)),
        }
        few = requests(2 * rows, lambda: prompt, around(24), runner.vocab_size, dice)
        batch("first, while kernels are compiled", engine, passes, few, given.rate or rate)
        for name, (of_prompt, of_answer) in cases.items():
            wanted = requests(given.rows, of_prompt, of_answer, runner.vocab_size, dice)
            batch(name, engine, passes, wanted, given.rate or rate)


if __name__ == "__main__":
    main()
