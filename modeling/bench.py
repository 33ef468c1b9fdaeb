"""Timed prefill and decode through the engine's own path: runner, engine, sampler, detokenizing.

Prompts are random ids, the end of a sequence is ignored, each shape is warmed up first. What a test finds in the state (its
depth) is read once, put aside and brought back for every repetition, untimed. The clock is read on the host after a token has
arrived there, so that the device has done its work by then.

    pp    from submission (at a depth: from the moment the state stands there) to the last sequence's first token
    tg    from the moment all sequences have their first token, through n steps, to the last token
    pg    both, as one request
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import accumulate, groupby, pairwise
from time import perf_counter

import torch

from modeling.ceiling import cpu_name
from modeling.errors import ContextExceeded, InvalidRequest
from modeling.generation.answer import Saved
from modeling.generation.engine import Engine
from modeling.messages import Failed, Finished, ModelInfo, Request, SamplingParams, Token
from modeling.models import LanguageModel
from modeling.peak import forget_peak, peak_bytes
from modeling.roofline import Roofline, Work
from modeling.state import PAGE, ModelState, Snapshot
from modeling.timings import BenchCase, BenchResult, Ceiling

WARM_STEPS = 24  # enough for every graph to be captured once


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a model with `engine(slots, context)`, which makes a new engine on it, and what is told of it."""

    model: LanguageModel
    engine: Callable[[int, int], Engine]
    describe: Callable[[Engine], ModelInfo]
    roofline: Roofline
    ceiling: Ceiling
    sampling: SamplingParams
    load_seconds: float
    random_weights: bool


@dataclass(slots=True)
class Sample:
    """One repetition: its seconds, each sequence's wait for its first token, the times between tokens of one sequence."""

    seconds: float
    waits: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)


class Numbers:
    """ids → text without a tokenizer."""

    def push(self, id: int) -> str:
        return f"{id} "

    def flush(self) -> str:
        return ""


def check(cases: Sequence[BenchCase], positions: int | None, prefill_chunk: int) -> None:
    """Raise `ContextExceeded` or `InvalidRequest` for the first case that cannot be measured, before anything is loaded."""
    for case in cases:
        if positions is not None and case.positions > positions:
            raise ContextExceeded(
                f"{case.test} needs {case.positions} positions, and the model has {positions}", "choose smaller numbers"
            )
        if case.n_gen and case.batch > prefill_chunk:
            raise InvalidRequest(
                f"a batch of {case.batch} does not begin together with {prefill_chunk} prompt tokens at once",
                f"use --prefill-chunk {case.batch} or more",
            )


def run(
    subject: Subject, cases: Sequence[BenchCase], repetitions: int, began: Callable[[BenchCase], None] | None = None
) -> Iterator[BenchResult]:
    """Measure case after case; `began` is told of each. Cases of the same batch and depth that stand together share an engine.

    Raises what the engine raises, `MemoryExceeded` above all.
    """
    for (batch, depth), group in groupby(cases, lambda case: (case.batch, case.depth)):
        together = list(group)
        clear()
        track = Track(subject, batch, depth, max(case.positions for case in together))
        for case in together:
            if began is not None:
                began(case)
            yield _measured(subject, track, case, repetitions)
        del track


def _measured(subject: Subject, track: Track, case: BenchCase, repetitions: int) -> BenchResult:
    started = datetime.now(UTC)
    device = subject.model.device
    forget_peak(str(device))
    track.warm(case)
    samples = [track.time(case) for _ in range(repetitions)]
    waits = [wait for sample in samples for wait in sample.waits]
    gaps = sorted(gap for sample in samples for gap in sample.gaps)
    reading = subject.roofline.prefill(case.batch, case.n_prompt, case.depth) if case.n_prompt else Work(0, 0, 0)
    writing = subject.roofline.decode(case.batch, case.n_gen, case.before)
    cached = case.n_gen > 0 and writing.cached(subject.ceiling)
    return BenchResult(
        case=case,
        info=subject.describe(track.engine),
        ceiling=subject.ceiling,
        sampling=subject.sampling,
        seconds=tuple(sample.seconds for sample in samples),
        first_token=sum(waits) / len(waits) if waits else None,
        gaps=(quantile(gaps, 0.5), quantile(gaps, 0.9), quantile(gaps, 0.99)) if gaps else None,
        state_bytes=case.batch * subject.model.state_bytes(case.before + case.n_gen),
        peak_bytes=peak_bytes(str(device)),
        bytes=reading.bytes + writing.bytes,
        flops=reading.flops + writing.flops,
        floor=None if cached else reading.seconds(subject.ceiling) + writing.seconds(subject.ceiling),
        load_seconds=subject.load_seconds,
        prefill_chunk=track.engine.runner.prefill_chunk,
        threads=torch.get_num_threads(),
        cpu=cpu_name(),
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        versions=f"python {sys.version.split()[0]}, torch {torch.__version__}",
        started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        random_weights=subject.random_weights,
    )


class Track:
    """An engine with room for `batch` sequences, each of which begins with `depth` tokens in its state."""

    def __init__(self, subject: Subject, batch: int, depth: int, context: int) -> None:
        self.engine = subject.engine(batch, context)
        self.batch = batch
        self.depth = depth
        self._device = subject.model.device
        # all that can end an answer or hold a token's text back is off
        self._sampling = replace(subject.sampling, ignore_eos=True, stop=(), logprobs=None)
        dice = random.Random(1)
        self._ids = tuple(dice.choices(range(self.engine.runner.vocab_size), k=context))
        self._starts: list[Saved | None] = [None] * batch
        if depth > 1:  # one token less: every request has to feed one, and the clock starts behind it
            first = self._saved(depth - 1)
            self._starts = [first, *(self._twin(first) for _ in range(batch - 1))]

    def warm(self, case: BenchCase) -> None:
        """Run the shapes of a case once: a full chunk and the last one of its prompt, and some steps."""
        chunk = self.engine.runner.prefill_chunk
        prompt = case.n_prompt if case.n_prompt <= 2 * chunk else chunk + case.n_prompt % chunk
        self.time(replace(case, n_prompt=prompt, n_gen=min(case.n_gen, WARM_STEPS)))

    def time(self, case: BenchCase) -> Sample:
        """Measure one repetition."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        if not case.n_gen:
            return self._read(case.n_prompt)
        return self._write(case.n_prompt, case.n_gen)

    def _read(self, tokens: int) -> Sample:
        """pp: all sequences, together as far as a chunk holds them and at a depth one after the other, read `tokens` tokens and
        draw one."""
        stood: dict[int, float] = {}
        submitted = perf_counter()
        requests = [self._submit(row, tokens, 1, stood) for row in range(self.batch)]
        ended = {request: event.stats for request, event in self._events() if isinstance(event, Finished)}
        waits = [ended[request].first_token_seconds for request in requests]
        if not self.depth:
            return Sample(max(waits), waits)
        took = [submitted + wait - stood[row] for row, wait in enumerate(waits)]
        return Sample(sum(took), list(accumulate(took)))

    def _write(self, prompt: int, tokens: int) -> Sample:
        """tg, and pg with a prompt: all sequences draw their first token, and then `tokens` more by as many steps.

        They ask for one more, so that nobody leaves before the clock is read.
        """
        stood: dict[int, float] = {}
        submitted = perf_counter()
        requests = [self._submit(row, prompt, tokens + 2, stood) for row in range(self.batch)]
        stamps: dict[int, list[float]] = {request: [] for request in requests}
        for request, event in self._events():
            if isinstance(event, Token):
                stamps[request].append(perf_counter())
        firsts, lasts = [of[0] for of in stamps.values()], [of[tokens] for of in stamps.values()]
        gaps = [after - before for before, after in pairwise(stamps[requests[0]][: tokens + 1])]
        if not prompt:
            return Sample(max(lasts) - max(firsts), [], gaps)
        began = stood[0] if self.depth else submitted
        return Sample(max(lasts) - began, [first - began for first in firsts], gaps)

    def _events(self) -> Iterator[tuple[int, Token | Finished]]:
        for request, event in self.engine.run():
            if isinstance(event, Failed):
                raise event.error
            yield request, event

    def _submit(self, row: int, prompt: int, tokens: int, stood: dict[int, float]) -> int:
        """Queue the request of one sequence; `stood` is told when its state has the depth, if a prompt follows there."""
        request = Request(self._ids[: self.depth + prompt or 1], replace(self._sampling, max_tokens=tokens, sample_index=row))
        if not (self.depth and prompt):
            return self.engine.submit(request, start=self._starts[row])

        def keep(saved: Saved) -> None:
            if saved.length == self.depth:
                stood[row] = perf_counter()

        return self.engine.submit(request, start=self._starts[row], keep=keep, marks=(self.depth,))

    def _saved(self, tokens: int) -> Saved:
        """The state behind the first `tokens` ids."""
        kept: list[Saved] = []
        for _ in self.engine.generate(Request(self._ids[:tokens], replace(self._sampling, max_tokens=0)), keep=kept.append):
            pass
        return kept[-1]

    def _twin(self, saved: Saved) -> Saved:
        """The same state for another sequence, with keys and values of its own: shared ones would be read from the cache."""
        state = self.engine.runner.state
        if not isinstance(state, ModelState) or not isinstance(saved, Snapshot) or state.pool is None:
            return saved
        pool = state.pool
        pages = [pool.take() for _ in saved.pages]
        for memory in (*pool.keys, *pool.values):
            for old, new in zip(saved.pages, pages, strict=True):
                memory[new * PAGE : (new + 1) * PAGE] = memory[old * PAGE : (old + 1) * PAGE]
        twin = Snapshot(saved.length, saved.mamba, pages, pool)
        pool.release(pages)  # the twin holds them now
        return twin


def clear() -> None:
    """Give back the memory of models and engines that nobody holds any more: they are full of cycles."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of the others lie; between two of them the one in between."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def weights_read(model: LanguageModel) -> int:
    """Bytes of all weights but an embedding that serves for nothing else: a step reads some rows of that."""
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    multiplied = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Linear)}
    return sum(weight.nbytes for weight in model.parameters() if id(weight) not in looked_up - multiplied)
