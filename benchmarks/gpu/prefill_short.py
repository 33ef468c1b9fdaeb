"""Short prompts, read layer by layer and by graphs (`modeling.decode.prompts`): whether both come to the same, then times.

    python benchmarks/gpu/prefill_short.py [--seconds 270] [--shapes falcon-mamba-7b falcon-h1-7b]

Random weights at the published shapes. Right or wrong is told of the first layers of each, in fp32: reads of odd lengths into
slots with a past, several at once, slots that move, a block table that grows, more shapes than are kept, a capture that is
interrupted or finds no memory; then answers of the engine. "RIGHT" or "WRONG" stands before each. The whole model follows in
bf16: how far its logits are from those of the plain path, what a graph costs to make and in memory, and the time of a pass and
of a first token either way. The last are of nf4 weights, and of prompts behind a long context.

`--device cpu` runs the same by the laws, with few layers and without graphs: to see that this program itself works.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modeling import kernels
from modeling.bench.subject import Numbers, clear
from modeling.checkpoint import catalogue
from modeling.checkpoint.noise import random_model
from modeling.config import load_config
from modeling.decode import prompts as programs
from modeling.decode.programs import programs_for
from modeling.decode.prompts import Prompts
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.messages import Finished, ModelSpec, Request, SamplingParams
from modeling.models import LanguageModel
from modeling.state import ModelState

START = time.perf_counter()
LENGTHS = (16, 64, 100, 128, 256, 384, 512, 640, 1024, 1500, 2048)
Read = tuple[int, list[list[int]]]  # the first slot, and ids


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def milliseconds(run: Callable[[], object], repeats: int = 7) -> float:
    """The median time of a call, launches included, until the device is done."""
    found = []
    for _ in range(repeats):
        wait()
        began = time.perf_counter()
        run()
        wait()
        found.append((time.perf_counter() - began) * 1e3)
    return sorted(found)[repeats // 2]


def free_bytes() -> int:
    """Of the device, once torch has given back what it does not use."""
    clear()
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30))


class Session:
    """One run of this program: what to measure on, and when to stop."""

    def __init__(self, device: str, seconds: float) -> None:
        self.device = device
        self.seconds = seconds
        self.dice = random.Random(0)

    def attempt(self, name: str, run: Callable[[], str]) -> None:
        """Print what `run` says, or what went wrong; nothing when time is up."""
        if time.perf_counter() - START > self.seconds:
            print(f"{name:28s} no time left")
            return
        try:
            print(f"{name:28s} {run()}", flush=True)
        except Exception as problem:
            last = (str(problem).strip().splitlines() or [""])[-1][:300]
            print(f"{name:28s} WRONG {type(problem).__name__} {last}", flush=True)

    def model(self, shape: str, layers: int = 0, **options: Any) -> LanguageModel:
        clear()
        spec = ModelSpec(shape, device=self.device, **options)
        config = load_config(folder(shape))
        if layers or self.device == "cpu":
            config = replace(config, num_hidden_layers=layers or 2)
        model = random_model(config, spec, slots=8, seed=0)
        kernels.choose("auto", model.device)
        return model

    def ids(self, *lengths: int) -> list[list[int]]:
        return [self.dice.choices(range(1000), k=length) for length in lengths]


def folder(shape: str) -> Path:
    return Path(shape) if Path(shape).is_dir() else Path(catalogue.__file__).parent / "shapes" / shape


# Right or wrong


def by_model(model: LanguageModel, state: ModelState, read: Read) -> Tensor:
    """One row after the other, layer by layer."""
    slot, rows = read
    ids = [torch.tensor([row], device=model.device) for row in rows]
    return torch.cat([model.prefill(row, state, slot + i) for i, row in enumerate(ids)])


def apart(ours: ModelState, theirs: ModelState) -> float:
    """The largest error of what two memories hold."""
    assert ours.lengths == theirs.lengths, f"lengths {ours.lengths} and {theirs.lengths}"
    worst = 0.0
    for slot, length in enumerate(ours.lengths):
        if length:
            expected = theirs.snapshot(slot).tensors()
            worst = max([worst, *(error(t, expected[name]) for name, t in ours.snapshot(slot).tensors().items())])
        else:
            assert not any(layer.ssm[slot].any() or layer.conv[slot].any() for layer in ours.mamba), f"slot {slot} is not empty"
    return worst


def verdict(worst: Sequence[float], limit: float = 2e-4) -> str:
    return f"{'RIGHT' if max(worst) <= limit else 'WRONG'} (errors up to {max(worst):.1e}, {len(worst)} passes)"


@torch.inference_mode()
def check_reads(session: Session, model: LanguageModel) -> str:
    """Each shape three times and more: as it is, captured, replayed; slots move and are forked in between."""
    law, ours = model.make_state(8, 3000), model.make_state(8, 3000)
    prompts, dice, worst = Prompts(model, ours), session.dice, []
    shapes = ((1, 16), (1, 32), (2, 32), (4, 64), (8, 128), (1, 256), (2, 384), (1, 512), (8, 256), (1, 2048))
    for turn in range(4):
        for rows, most in shapes:
            lengths = [dice.randint(1, most) for _ in range(rows - (rows > 2))]
            lengths[0] = most - turn
            read = dice.randint(0, 8 - rows), session.ids(*lengths)
            while max(law.lengths) + most > 2900:
                longest = max(range(8), key=law.lengths.__getitem__)
                for state in (law, ours):
                    state.reset(longest)
            expected = by_model(model, law, read)
            worst.append(error(prompts.read(read[1], read[0]), expected))
        source, target = dice.sample([slot for slot in range(8) if law.lengths[slot]], 2)
        for state in (law, ours):
            state.move(source, target)
            state.fork(target, source)
        worst.append(apart(ours, law))
    graphs = sum(run._graph is not None for _, run in prompts._programs.values())
    return verdict(worst) + f"; {graphs} graphs of {len(prompts._programs)} shapes" + ("; FAILED" if prompts._failed else "")


@torch.inference_mode()
def check_evictions(session: Session, model: LanguageModel) -> str:
    """More shapes than are kept, in turn: graphs go and come, and their memory with them."""
    law, ours = model.make_state(2, 3000), model.make_state(2, 3000)
    kept, programs.KEPT = programs.KEPT, 2
    try:
        prompts, worst = Prompts(model, ours), []
        for length in (10, 10, 10, 50, 50, 50, 100, 200, 10, 10, 100, 100, 100, 30, 300, 30, 300, 30):
            read = 1, session.ids(length)
            worst.append(error(prompts.read(read[1], 1), by_model(model, law, read)))
    finally:
        programs.KEPT = kept
    return verdict([*worst, apart(ours, law)]) + ("; FAILED" if prompts._failed else "")


@torch.inference_mode()
def check_breaks(session: Session, model: LanguageModel) -> str:
    """Ctrl-C within a capture, then one that finds no memory, beside a graph that is there."""
    if session.device == "cpu":
        return "there are no graphs here"
    law, ours = model.make_state(2, 3000), model.make_state(2, 3000)
    prompts, logits, worst = Prompts(model, ours), model.logits, []
    for length in (10, 10, 60, 120):
        read = 0, session.ids(length)
        worst.append(error(prompts.read(read[1], 0), by_model(model, law, read)))
    for problem, length in ((KeyboardInterrupt(), 60), (torch.OutOfMemoryError("no memory"), 120)):

        def fail(h: Tensor, problem: BaseException = problem) -> Tensor:
            model.logits = logits  # type: ignore[method-assign]
            raise problem

        read = 1, session.ids(length)
        model.logits = fail  # type: ignore[method-assign]
        with suppress(KeyboardInterrupt):
            found = prompts.read(read[1], 1)
            worst.append(error(found, by_model(model, law, read)))
        model.logits = logits  # type: ignore[method-assign]
        if isinstance(problem, KeyboardInterrupt):
            worst += [error(prompts.read(read[1], 1), by_model(model, law, read)) for _ in range(2)]
    if not prompts._failed:
        return "WRONG: the want of memory went unnoticed"
    return verdict([*worst, apart(ours, law)])


def answers(session: Session, model: LanguageModel, by_graphs: bool) -> list[tuple[int, tuple[int, ...]]]:
    """Ids of requests of many lengths that share three slots, twice; then of one that goes on from a kept state."""
    runner = Runner(model, 3, 256, 2000)
    assert isinstance(runner.state, ModelState)
    steps = programs_for(model, runner.state, runner.slots, runner.max_positions) if session.device != "cpu" else None
    runner.prompts = Prompts(model, runner.state) if by_graphs else None
    engine = Engine(runner, Numbers, (), programs=steps)
    dice, said, kept = random.Random(5), [], list[Any]()
    for turn in range(3):
        for length in (3, 17, 100, 1, 90, 300, 64, 30, 31):
            prompt = tuple(dice.choices(range(1000), k=length + turn))
            sampling = SamplingParams(temperature=0.0, max_tokens=2 + length % 5, ignore_eos=True)
            engine.submit(Request(prompt, sampling), keep=kept.append, marks=(40,) if length == 100 else ())
        if kept:
            start = kept[-1]
            prompt = (7,) * (start.length + 5)
            engine.submit(Request(prompt, SamplingParams(temperature=0.0, max_tokens=4, ignore_eos=True)), start=start)
        said += [(i, event.token_ids) for i, event in engine.run() if isinstance(event, Finished)]
    return sorted(said)


def check_answers(session: Session, model: LanguageModel) -> str:
    expected, found = answers(session, model, False), answers(session, model, True)
    equal = sum(a == b for a, b in zip(expected, found, strict=True))
    return f"{'RIGHT' if found == expected else 'WRONG'} ({equal} of {len(found)})"


# Times


@torch.inference_mode()
def whole(session: Session, model: LanguageModel) -> str:
    """How far the logits of the whole model are from those of the plain path, for odd lengths and rows, and how far those are
    from themselves where the prompt is cut in two; how many greedy ids are equal, either way."""
    law, cut, ours = (model.make_state(8, 1500) for _ in range(3))
    prompts, worst, usual, same, alike, count = Prompts(model, ours), [], [], 0, 0, 0
    for lengths in ((5,), (23,), (77,), (300,), (500,), (3, 50, 64, 20), (100, 2, 128, 77, 31, 90, 128, 12)):
        for _ in range(3):
            rows = session.ids(*lengths)
            expected, found = by_model(model, law, (0, rows)), prompts.read(rows, 0)
            by_model(model, cut, (0, [row[: len(row) // 2] for row in rows]))
            other = by_model(model, cut, (0, [row[len(row) // 2 :] for row in rows]))
            worst.append(error(found, expected))
            usual.append(error(other, expected))
            best, count = expected.argmax(-1), count + len(rows)
            same, alike = same + int((found.argmax(-1) == best).sum()), alike + int((other.argmax(-1) == best).sum())
            for slot in range(8):
                for state in (law, cut, ours):
                    state.reset(slot)
    ids = f"greedy ids equal: {same} of {count}, cut in two {alike}"
    return f"{verdict(worst, 2 * max(usual))}; cut in two up to {max(usual):.1e}; {ids}"


@torch.inference_mode()
def table(session: Session, model: LanguageModel, rows: int, lengths: Sequence[int], past: int = 0) -> str:
    """Of a pass: layer by layer, in the program as it is, its capture, and replayed; with what the graphs take of memory."""
    room = past + 8 * max(lengths) * (1 if past else 4) + 600
    runner = Runner(model, rows, 4096, room)
    state = runner.state
    assert isinstance(state, ModelState)
    prompts = Prompts(model, state)
    for at in range(0, past, 2048):
        for slot in range(rows):
            runner.prefill(session.ids(min(2048, past - at)), slot)
    kept = [state.snapshot(slot) for slot in range(rows)] if past else []
    lines, before = [], free_bytes()

    def again() -> None:
        for slot in range(rows):
            if past:
                state.restore(slot, kept[slot])
            else:
                state.reset(slot)

    for length in lengths:
        ids = session.ids(*[length] * rows)
        runner.prefill(ids, 0)  # compiles
        eager = milliseconds(lambda ids=ids: runner.prefill(ids, 0), 5)  # type: ignore[misc]
        again()
        if not prompts.takes([length] * rows):
            lines.append(f"{length:5d} {eager:9.2f}  (no program)")
            continue
        first, second = (milliseconds(lambda ids=ids: prompts.read(ids, 0), 1) for _ in range(2))  # type: ignore[misc]
        replayed = milliseconds(lambda ids=ids: prompts.read(ids, 0))  # type: ignore[misc]
        again()
        lines.append(f"{length:5d} {eager:9.2f} {first:9.2f} {second:9.2f} {replayed:9.2f}  {eager / replayed:5.2f}×")
    head = f"ms; of the device's memory {(before - free_bytes()) / 2**20:.0f} MiB{'; FAILED' if prompts._failed else ''}"
    return "\n".join([head, "  tokens   layers     as is   capture    replay", *lines])


def first_token(session: Session, model: LanguageModel, turns: Sequence[int]) -> str:
    """From the asking to the first token, in a conversation of turns of so many tokens: the median of the later ones."""
    lines = []
    for by_graphs in (False, True):
        runner = Runner(model, 1, 4096, 8192)
        assert isinstance(runner.state, ModelState)
        steps = programs_for(model, runner.state, runner.slots, runner.max_positions) if session.device != "cpu" else None
        runner.prompts = Prompts(model, runner.state) if by_graphs else None
        engine = Engine(runner, Numbers, (), programs=steps)
        for turn in turns:
            waits, kept, prompt = [], list[Any](), tuple[int, ...]()
            for _ in range(8):
                prompt += tuple(session.ids(turn)[0])
                sampling = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)
                wait()
                *_, end = engine.generate(Request(prompt, sampling), start=kept[-1] if kept else None, keep=kept.append)
                assert isinstance(end, Finished)
                waits.append(end.stats.first_token_seconds * 1e3)
                prompt += end.token_ids
            said = " ".join(f"{each:.1f}" for each in waits)
            lines.append(f"  {'graphs' if by_graphs else 'layers'}, turns of {turn}: {sorted(waits[3:])[2]:.1f} ms ({said})")
    return "\n".join(["to the first token", *lines])


def exactness(session: Session, shape: str) -> None:
    model = session.model(shape, layers=2, dtype="float32")
    print(f"{shape}, 2 layers, fp32: {kernels.current()}")
    for check in (check_reads, check_evictions, check_breaks, check_answers):
        session.attempt(check.__name__.replace("_", " "), partial(check, session, model))


def times(session: Session, shape: str, lengths: Sequence[int]) -> None:
    model = session.model(shape)
    print(f"{shape}, bf16")
    session.attempt("whole model", partial(whole, session, model))
    session.attempt("one row", partial(table, session, model, 1, lengths))
    session.attempt("eight rows", partial(table, session, model, 8, lengths[:5]))
    session.attempt("conversation", partial(first_token, session, model, (20, 100, 200)))
    if model.max_positions:
        session.attempt("one row behind 20,000", partial(table, session, model, 1, lengths[1::3], 20000))


def packed(session: Session, shape: str, lengths: Sequence[int]) -> None:
    model = session.model(shape, quantize="nf4")
    print(f"{shape}, nf4")
    session.attempt("whole model", partial(whole, session, model))
    session.attempt("one row", partial(table, session, model, 1, lengths[1::3]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=270.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", nargs="+", default=["falcon-mamba-7b", "falcon-h1-7b"])
    given = parser.parse_args()
    session = Session(given.device, given.seconds)
    name = torch.cuda.get_device_name() if given.device != "cpu" else "CPU"
    print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, {name}")
    lengths = LENGTHS if given.device != "cpu" else LENGTHS[:2]
    for shape in given.shapes:
        exactness(session, shape)
    for shape in given.shapes:
        times(session, shape, lengths)
    for shape in given.shapes:
        packed(session, shape, lengths)
    print(f"{time.perf_counter() - START:.0f} s")


if __name__ == "__main__":
    main()
