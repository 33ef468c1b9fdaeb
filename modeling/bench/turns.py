"""The wait for the first token of each turn of a chat: with the state carried there, and with everything read anew."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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

    Before each wait with the state carried, the end of the turn before is said again: in a chat, too, a turn begins where the
    one before has left its slot.
    """
    clear()
    sampling = replace(subject.sampling, ignore_eos=True, stop=(), logprobs=None)
    engine = subject.engine(2, conversation.positions + 2)  # two slots: the state that is kept has pages of its own
    said = random_ids(conversation.turns * conversation.reads, engine.runner.vocab_size)
    ids: tuple[int, ...] = ()
    end: _End | None = None
    warm = warm_ups(subject.model.device)
    for turn in range(1, conversation.turns + 1):
        began(f"turn {turn}")
        depth, started = len(ids), now()
        ids += said[(turn - 1) * conversation.reads : turn * conversation.reads]
        carried, again = list[float](), list[float]()
        for number in range(-warm, repetitions):
            pair = [(carried, end), (again, None)]
            for times, before in pair if number % 2 else pair[::-1]:
                start = before.say(engine) if before is not None else None
                times.append(_wait(engine, ids, start, sampling))
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
        end = _answer(engine, ids, end, sampling, conversation.writes)
        ids = end.after


@dataclass(frozen=True)
class _End:
    """The last token of an answer to `ids`, drawn from the state `start`; `after` are all tokens with it."""

    ids: tuple[int, ...]
    start: Saved | None
    sampling: SamplingParams
    after: tuple[int, ...]

    def say(self, engine: Engine) -> Saved:
        """The state that it leaves, in the slot and by itself: behind all tokens but the last, which the next turn feeds."""
        _, kept = _said(engine, self.ids, self.start, self.sampling, 1)
        return kept


def _wait(engine: Engine, ids: tuple[int, ...], start: Saved | None, sampling: SamplingParams) -> float:
    """Seconds from the submission of a prompt to its first token on the host."""
    gc.collect()
    settle(engine.runner.device)
    submitted = perf_counter()
    for event in engine.generate(Request(ids, replace(sampling, max_tokens=1)), start=start):
        if isinstance(event, Token):
            waited = perf_counter() - submitted
    return waited


def _answer(engine: Engine, ids: tuple[int, ...], before: _End | None, sampling: SamplingParams, writes: int) -> _End:
    """The end of an answer of so many tokens to `ids`, the turn before having ended like that."""
    start = None if before is None else before.say(engine)
    if writes > 1:
        drawn, start = _said(engine, ids, start, sampling, writes - 1)
        ids += drawn
    drawn, _ = _said(engine, ids, start, sampling, 1)
    return _End(ids, start, sampling, ids + drawn)


def _said(
    engine: Engine, ids: tuple[int, ...], start: Saved | None, sampling: SamplingParams, count: int
) -> tuple[tuple[int, ...], Saved]:
    """So many tokens that answer `ids`, and the state behind all of them but the last."""
    kept: list[Saved] = []
    events = engine.generate(Request(ids, replace(sampling, max_tokens=count)), start=start, keep=kept.append)
    drawn = tuple(event.id for event in events if isinstance(event, Token))
    return drawn, kept[-1]
