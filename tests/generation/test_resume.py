"""Going on from a kept state: the same answer as from the whole prompt, and nothing is fed twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modeling.errors import InvalidRequest
from modeling.generation.engine import Engine
from modeling.messages import Finished, Request, SamplingParams

Make = Callable[..., tuple[Engine, Any]]


def finished(events: list[Any]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


@pytest.mark.parametrize(
    "sampling", [{"temperature": 0.0}, {"temperature": 1.0, "seed": 9, "repetition_penalty": 1.3}], ids=["greedy", "drawn"]
)
def test_turns_from_kept_states_equal_whole_prompts(make_engine: Make, solo: Callable[..., Any], sampling: Any) -> None:
    engine, model = make_engine(slots=2, prefill_chunk=3)
    ids: tuple[int, ...] = ()
    kept: Any = None
    for turn in range(8):
        ids += tuple(range(40 + turn, 52))
        request = Request(ids, SamplingParams(max_tokens=5 + turn, ignore_eos=True, **sampling))
        states: list[Any] = []
        fed = sum(count for _, count in model.calls)
        end = finished(list(engine.generate(request, start=kept, keep=states.append)))
        assert end.token_ids == finished(solo(request)).token_ids
        before = 0 if kept is None else kept.length
        in_vain = end.stats.looked_up_tokens - end.stats.accepted_tokens
        assert (end.stats.reused_tokens, end.stats.prefilled_tokens) == (before, len(ids) - before)
        assert sum(count for _, count in model.calls) - fed == len(ids) - before + len(end.token_ids) - 1 + in_vain
        ids += end.token_ids
        (kept,) = states
        assert kept.tokens == ids[:-1]  # the last token was drawn and never fed


def test_a_state_is_kept_from_among_neighbours(make_engine: Make) -> None:
    engine, _ = make_engine(slots=3, prefill_chunk=2)
    kept: dict[int, Any] = {}
    prompts = {}
    for size in (5, 1, 9, 3, 7):
        prompt = tuple(range(60, 60 + size))
        request = Request(prompt, SamplingParams(temperature=0.0, max_tokens=size, ignore_eos=True))
        prompts[engine.submit(request, keep=lambda state, size=size: kept.__setitem__(size, state))] = prompt
    for request_id, event in engine.run():
        if isinstance(event, Finished):
            prompt = prompts[request_id]
            assert kept[len(prompt)].tokens == prompt + event.token_ids[:-1]
    assert len(kept) == 5


def test_a_cancelled_request_keeps_what_was_fed(make_engine: Make) -> None:
    engine, _ = make_engine(prefill_chunk=2)
    states: list[Any] = []
    events = engine.generate(Request((50, 51, 52), SamplingParams(temperature=0.0, ignore_eos=True)), keep=states.append)
    drawn = [next(events).id, next(events).id]
    engine.cancel()
    end = finished(list(events))
    assert end.reason == "interrupt" and list(end.token_ids) == drawn
    assert states[0].tokens == (50, 51, 52, *drawn)[: states[0].length] and states[0].length >= 4


def test_a_state_that_leaves_nothing_to_feed_is_refused(make_engine: Make) -> None:
    engine, _ = make_engine()
    states: list[Any] = []
    list(engine.generate(Request((50, 51), SamplingParams(max_tokens=0)), keep=states.append))
    assert states[0].tokens == (50, 51)
    with pytest.raises(InvalidRequest, match="leaves none"):
        engine.submit(Request((50, 51)), start=states[0])
