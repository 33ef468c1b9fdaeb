"""The wait for the first token of each turn of a chat: with the state carried there, and with everything read anew."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter

from modeling.bench.ceiling import settle
from modeling.bench.subject import Subject, clear, now, warm_ups
from modeling.bench.track import random_ids
from modeling.generation.answer import Saved
from modeling.generation.engine import Engine
from modeling.messages import Request, SamplingParams, Token
from modeling.timings import Conversation, TurnResult


def measure_turns(
    subject: Subject, conversation: Conversation, repetitions: int, began: Callable[[str], None]
) -> Iterator[TurnResult]:
    """Turn after turn; `began` is told of each. The two ways alternate, and each is warmed up before it is timed.

    What is carried lies in host memory between turns, as in a chat: to bring it back to the device is part of the wait,
    unless its slot still has it.
    """
    clear()
    sampling = replace(subject.sampling, ignore_eos=True, stop=(), logprobs=None)
    engine = subject.engine(2, conversation.positions + 2)  # two slots: the state that is kept has pages of its own
    said = random_ids(conversation.turns * conversation.reads, engine.runner.vocab_size)
    ids: tuple[int, ...] = ()
    start: Saved | None = None
    warm = warm_ups(subject.model.device)
    for turn in range(1, conversation.turns + 1):
        began(f"turn {turn}")
        depth, started = len(ids), now()
        ids += said[(turn - 1) * conversation.reads : turn * conversation.reads]
        carried, again = list[float](), list[float]()
        for number in range(-warm, repetitions):
            pair = [(carried, start), (again, None)]
            for times, state in pair if number % 2 else pair[::-1]:
                times.append(_wait(engine, ids, state, sampling))
        yield TurnResult(
            setup=subject.setup(engine),
            started=started,
            seconds=tuple(carried[warm:]),
            turn=turn,
            depth=depth,
            reads=conversation.reads,
            again=tuple(again[warm:]),
            state_bytes=subject.model.state_bytes(len(ids)),
        )
        drawn, start = _answer(engine, ids, start, replace(sampling, max_tokens=conversation.writes))
        ids += drawn


def _wait(engine: Engine, ids: tuple[int, ...], start: Saved | None, sampling: SamplingParams) -> float:
    """Seconds from the submission of a prompt to its first token on the host."""
    gc.collect()
    settle(engine.runner.device)
    submitted = perf_counter()
    for event in engine.generate(Request(ids, replace(sampling, max_tokens=1)), start=start):
        if isinstance(event, Token):
            waited = perf_counter() - submitted
    return waited


def _answer(
    engine: Engine, ids: tuple[int, ...], start: Saved | None, sampling: SamplingParams
) -> tuple[tuple[int, ...], Saved]:
    """The tokens that answer `ids`, and the state behind all of them but the last, which is fed with the next turn."""
    kept: list[Saved] = []
    events = engine.generate(Request(ids, sampling), start=start, keep=kept.append)
    drawn = tuple(event.id for event in events if isinstance(event, Token))
    return drawn, kept[-1]
