"""Decoding with tokens that are looked up beside decoding without: alternating paired runs in one process, the same prompts.

    python benchmarks/cpu_speculate.py CHECKPOINT [--quantize nf4] [--speculate 8] [--generate 64] [--pairs 5] [--free FILE]

Random weights copy nothing, and no model copies on demand. So two answers are dictated: whatever the logits are, the next token
of a script is drawn from them, and all work of a real run is done. `copy` repeats stretches of 16 to 64 tokens of its prompt
with a new token between them, as an edited file does; `free` is the second half of a text, read by the checkpoint's tokenizer,
its first half being the prompt. `own` is what the model itself says to that prompt, greedy.

Tells decode tokens a second of both, the median of the ratios with the extremes, and what was looked up and accepted. Whatever
is said, both must say the same.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from modeling.api import open_language_model
from modeling.bench.subject import Numbers
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.messages import Finished, ModelSpec, Request, SamplingParams
from modeling.models import LanguageModel
from modeling.text.tokenizer import Tokenizer


class Dictated:
    """A model whose next token is that of `script`: each time that logits are made, the next one."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.config, self.device, self.max_positions = model.config, model.device, model.max_positions
        self.make_state, self.walk = model.make_state, model.walk
        self.script: list[int] = []

    def prefill(self, ids: Tensor, state: Any, slot: int, cancelled: Callable[[], bool] | None = None) -> Tensor:
        return self._dictate(self.model.prefill(ids, state, slot, cancelled))

    def step(self, ids: Tensor, state: Any) -> Tensor:
        return self._dictate(self.model.step(ids, state))

    def scores(self, h: Tensor) -> Tensor:
        return self._dictate(self.model.scores(h))

    def _dictate(self, logits: Tensor) -> Tensor:
        if self.script:
            logits[0, self.script.pop(0)] = 1e6
        return logits


def copied(dice: random.Random, prompt: Sequence[int], size: int, length: int) -> list[int]:
    """Stretches of the prompt with something new between them."""
    said: list[int] = []
    while len(said) < length:
        stretch = dice.randrange(16, 65)
        start = dice.randrange(len(prompt) - 16)
        said += [*prompt[start : start + stretch], dice.randrange(size)]
    return said[:length]


def run(engine: Engine, prompt: Sequence[int], script: Sequence[int], length: int) -> Finished:
    model = engine.runner.model
    assert isinstance(model, Dictated)
    model.script = list(script)
    sampling = SamplingParams(temperature=0.0, max_tokens=length, ignore_eos=True)
    *_, end = engine.generate(Request(tuple(prompt), sampling))
    assert isinstance(end, Finished)
    return end


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--quantize", choices=["none", "nf4", "int8"], default="none")
    parser.add_argument("--free", default="CONTRIBUTING.md", help="a text")
    for name, default in (("speculate", 8), ("prompt", 256), ("generate", 64), ("pairs", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    dictated = Dictated(open_language_model(ModelSpec(given.checkpoint, device="cpu", quantize=given.quantize)))
    size, room = dictated.config.vocab_size, given.prompt + given.generate + 1
    plain, speculating = (
        Engine(Runner(dictated, 1, max(512, given.prompt), room), Numbers, (), speculate=most) for most in (0, given.speculate)
    )
    dice = random.Random(0)
    prompt = tuple(dice.choices(range(size), k=given.prompt))
    text = Tokenizer.from_folder(Path(given.checkpoint)).encode(Path(given.free).read_text())[: room - 1]
    cases: dict[str, tuple[Sequence[int], Sequence[int]]] = {
        "copy": (prompt, copied(dice, prompt, size, given.generate)),
        "free": (text[: given.prompt], text[given.prompt :]),
        "own": (text[: given.prompt], ()),
    }
    print(f"{given.checkpoint}, {given.quantize}: {torch.get_num_threads()} threads, up to {given.speculate} tokens looked up")
    for name, (beginning, script) in cases.items():
        ratios, rates = [], []
        for pair in range(given.pairs + 1):
            one, other = (run(engine, beginning, script, given.generate) for engine in (plain, speculating))
            assert one.token_ids == other.token_ids, "the promise"
            if pair:  # the first one warms up
                ratios.append(one.stats.decode_seconds / other.stats.decode_seconds)
                rates.append([(given.generate - 1) / each.stats.decode_seconds for each in (one, other)])
        before, after = (median(column) for column in zip(*rates, strict=True))
        counts = f"{other.stats.accepted_tokens} of {other.stats.looked_up_tokens} accepted"
        spread = f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        print(f"  {name}: {before:.1f} → {after:.1f} tokens/s, {spread}, {counts}", flush=True)


if __name__ == "__main__":
    main()
