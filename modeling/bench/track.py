"""Timed prefill and decode through the engine's own path.

What a test finds in the state (its depth) is read once, put aside and brought back for every repetition, untimed.

    pp    from submission (at a depth: from the moment the state stands there) to the last sequence's first token
    tg    from the moment all sequences have their first token, through n steps, to the last token
    pg    both, as one request
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from time import perf_counter

from modeling.bench.ceiling import settle
from modeling.bench.subject import Subject, warm_ups
from modeling.generation.answer import Saved
from modeling.memory import PAGE
from modeling.messages import Failed, Finished, ProgressSink, Request, Token
from modeling.state import ModelState, Snapshot
from modeling.timings import BenchCase

WARM_STEPS = 24  # enough for every graph to be captured once


@dataclass(slots=True)
class Sample:
    """One repetition: its seconds, each sequence's wait for its first token, the times between tokens of one sequence, and
    that sequence's tokens."""

    seconds: float
    waits: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    ids: tuple[int, ...] = ()


def random_ids(count: int, vocabulary: int) -> tuple[int, ...]:
    """Always the same ones."""
    return tuple(random.Random(1).choices(range(vocabulary), k=count))


class Track:
    """An engine with room for `batch` sequences, each of which begins with `depth` tokens in its state."""

    def __init__(self, subject: Subject, batch: int, depth: int, context: int, progress: ProgressSink | None = None) -> None:
        """`progress` is told how far the reading of a long past is."""
        self.engine = subject.engine(batch, context)
        self.batch = batch
        self.depth = depth
        self._device = subject.model.device
        # all that can end an answer or hold a token's text back is off
        self._sampling = replace(subject.sampling, ignore_eos=True, stop=(), logprobs=None)
        self.ids = random_ids(context, self.engine.runner.vocab_size)
        self._starts: list[Saved | None] = [None] * batch
        if depth > 1:  # one token less: every request has to feed one, and the clock starts behind it
            self.engine.progress = progress
            first = self._saved(depth - 1)
            self.engine.progress = None
            self._starts = [first, *(self._twin(first) for _ in range(batch - 1))]

    def warm(self, case: BenchCase) -> None:
        """Run the shapes of a case: a full chunk and the last one of its prompt, and some steps."""
        chunk = self.engine.runner.prefill_chunk
        prompt = case.n_prompt if case.n_prompt <= 2 * chunk else chunk + case.n_prompt % chunk
        for _ in range(warm_ups(self._device)):
            self.time(replace(case, n_prompt=prompt, n_gen=min(case.n_gen, WARM_STEPS)))

    def time(self, case: BenchCase) -> Sample:
        """Measure one repetition."""
        gc.collect()
        settle(self._device)
        if not case.n_gen:
            return self._read(case.n_prompt)
        return self._write(case.n_prompt, case.n_gen)

    def _read(self, tokens: int) -> Sample:
        """pp: all sequences, together as far as a chunk holds them and at a depth one after the other, read `tokens` tokens and
        draw one."""
        stood: dict[int, float] = {}
        submitted = perf_counter()
        requests = [self._submit(row, tokens, 1, stood) for row in range(self.batch)]
        ended = {request: event for request, event in self._events() if isinstance(event, Finished)}
        ids, waits = ended[requests[0]].token_ids, [ended[request].stats.first_token_seconds for request in requests]
        if not self.depth:
            return Sample(max(waits), waits, [], ids)
        took = [submitted + wait - stood[row] for row, wait in enumerate(waits)]
        return Sample(sum(took), list(accumulate(took)), [], ids)

    def _write(self, prompt: int, tokens: int) -> Sample:
        """tg, and pg with a prompt: all sequences draw their first token, and then `tokens` more by as many steps.

        They ask for one more, so that nobody leaves before the clock is read.
        """
        stood: dict[int, float] = {}
        submitted = perf_counter()
        requests = [self._submit(row, prompt, tokens + 2, stood) for row in range(self.batch)]
        stamps: dict[int, list[float]] = {request: [] for request in requests}
        ids: list[int] = []
        for request, event in self._events():
            if isinstance(event, Token):
                stamps[request].append(perf_counter())
                if request == requests[0]:
                    ids.append(event.id)
        firsts, lasts = [of[0] for of in stamps.values()], [of[tokens] for of in stamps.values()]
        gaps = [after - before for before, after in pairwise(stamps[requests[0]][: tokens + 1])]
        if not prompt:
            return Sample(max(lasts) - max(firsts), [], gaps, tuple(ids))
        began = stood[0] if self.depth else submitted
        return Sample(max(lasts) - began, [first - began for first in firsts], gaps, tuple(ids))

    def _events(self) -> Iterator[tuple[int, Token | Finished]]:
        for request, event in self.engine.run():
            if isinstance(event, Failed):
                raise event.error
            yield request, event

    def _submit(self, row: int, prompt: int, tokens: int, stood: dict[int, float]) -> int:
        """Queue the request of one sequence; `stood` is told when its state has the depth, if a prompt follows there."""
        request = Request(self.ids[: self.depth + prompt or 1], replace(self._sampling, max_tokens=tokens, sample_index=row))
        if not (self.depth and prompt):
            return self.engine.submit(request, start=self._starts[row])

        def keep(saved: Saved) -> None:
            if saved.length == self.depth:
                stood[row] = perf_counter()

        return self.engine.submit(request, start=self._starts[row], keep=keep, marks=(self.depth,))

    def _saved(self, tokens: int) -> Saved:
        """The state behind the first `tokens` ids."""
        kept: list[Saved] = []
        for _ in self.engine.generate(Request(self.ids[:tokens], replace(self._sampling, max_tokens=0)), keep=kept.append):
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
        twin = Snapshot(saved.length, saved.blocks, pages, pool)
        pool.release(pages)  # the twin holds them now
        return twin
