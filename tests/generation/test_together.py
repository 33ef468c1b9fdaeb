"""Prompts that are read together, and prompts that are read once for many samples: each answer is what it would be alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.errors import MemoryExceeded
from modeling.messages import Failed, Finished, Request, SamplingParams, Token

MakeEngine = Callable[..., Any]


def outcome(events: list[Any]) -> tuple[Any, ...]:
    *tokens, end = events
    return tuple(tokens), end.reason, end.stop, end.text


def collect(engine: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for request_id, event in engine.run():
        found.setdefault(request_id, []).append(event)
    return found


def prefills(model: Any) -> list[int]:
    return [size for call, size in model.calls if call == "prefill"]


def asking(prompt: tuple[int, ...], **sampling: Any) -> Request:
    return Request(prompt, SamplingParams(**{"max_tokens": 9, "seed": 3, **sampling}))


# ---- samples ----


@pytest.mark.promise
@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_samples_are_those_of_separate_runs_from_one_reading(make_engine: MakeEngine, solo: Any, slots: int) -> None:
    how: dict[str, Any] = {"repetition_penalty": 1.4, "repeat_last_n": 5, "stop": ("q", "Z"), "logprobs": 2, "sample_index": 4}
    prompt = tuple(range(1, 12))
    engine, model = make_engine(slots=slots, prefill_chunk=4)
    beside = engine.submit(asking((7, 8), max_tokens=30, ignore_eos=True))
    ids = engine.submit_samples(asking(prompt, **how), 6)
    found = collect(engine)
    assert sum(prefills(model)) == 2 + len(prompt)
    for index, request_id in enumerate(ids, 4):
        assert outcome(found[request_id]) == outcome(solo(asking(prompt, **{**how, "sample_index": index})))
    assert outcome(found[beside]) == outcome(solo(asking((7, 8), max_tokens=30, ignore_eos=True)))
    assert len({found[request_id][-1].token_ids for request_id in ids}) > 3
    assert [found[i][-1].stats.prefilled_tokens for i in ids] == [len(prompt), 0, 0, 0, 0, 0]
    assert model.state.tokens == [[]] * slots


@pytest.mark.parametrize("slots", [2, 8])
def test_a_sample_that_is_cancelled_before_its_prompt_is_read_leaves_the_reading_to_the_next(
    make_engine: MakeEngine, solo: Any, slots: int
) -> None:
    engine, model = make_engine(slots=slots, prefill_chunk=4)
    prompt = tuple(range(1, 12))
    ids = engine.submit_samples(asking(prompt), 4)
    model.before_call = lambda: engine.cancel(ids[0]) or engine.cancel(ids[2])
    found = collect(engine)
    assert [found[i][-1].reason == "interrupt" for i in ids] == [True, False, True, False]
    for index in (1, 3):
        assert outcome(found[ids[index]]) == outcome(solo(asking(prompt, sample_index=index)))
    assert model.state.tokens == [[]] * slots


def test_samples_go_on_from_a_kept_state_and_one_of_them_keeps_it(make_engine: MakeEngine, solo: Any) -> None:
    engine, model = make_engine(slots=2, prefill_chunk=64)
    prompt = tuple(range(1, 12))
    kept: list[Any] = []
    collect_first = engine.submit(asking(prompt, max_tokens=0), keep=kept.append, marks=(8,))
    assert collect(engine)[collect_first][-1].reason == "length" and kept[0].tokens == prompt[:8]
    del model.calls[:]
    ids = engine.submit_samples(asking(prompt), 3, start=kept[0])
    found = collect(engine)
    assert prefills(model) == [3]
    assert [outcome(found[i]) for i in ids] == [outcome(solo(asking(prompt, sample_index=n))) for n in range(3)]
    assert [found[i][-1].stats.reused_tokens for i in ids] == [8, 11, 11]


# ---- prompts read together ----


def test_prompts_of_one_length_cost_one_pass(make_engine: MakeEngine, solo: Any) -> None:
    engine, model = make_engine(slots=4, prefill_chunk=20)
    requests = [asking((n, 2, 3, 4, 5)) for n in range(1, 5)]
    ids = [engine.submit(request) for request in requests]
    found = collect(engine)
    assert prefills(model) == [20]
    assert [outcome(found[i]) for i in ids] == [outcome(solo(request)) for request in requests]
    assert all(found[i][-1].stats.prefilled_tokens == 5 for i in ids)


@pytest.mark.promise
@pytest.mark.parametrize("seed", range(4))
def test_prompts_of_any_lengths_are_read_in_no_more_passes_than_there_are_prompts(
    make_engine: MakeEngine, solo: Any, seed: int
) -> None:
    rng = random.Random(seed)
    lengths = [rng.choice([1, 2, 5, 5, 5, 9, 14]) for _ in range(6)]
    requests = [asking(tuple(rng.randrange(1, 256) for _ in range(n)), max_tokens=rng.choice([0, 1, 6])) for n in lengths]
    engine, model = make_engine(slots=6, prefill_chunk=100)
    ids = [engine.submit(request) for request in requests]
    found = collect(engine)
    assert len(prefills(model)) == len(set(lengths)) and sum(prefills(model)) == sum(lengths)
    assert [outcome(found[i]) for i in ids] == [outcome(solo(request)) for request in requests]
    assert model.state.tokens == [[]] * 6


def test_what_does_not_fit_together_is_read_alone(make_engine: MakeEngine, solo: Any) -> None:
    engine, model = make_engine(slots=3, prefill_chunk=100)
    requests = [asking((n, 2, 3)) for n in range(1, 4)]
    ids = [engine.submit(request) for request in requests]
    attempts = iter([True, False, False, True])

    def full() -> None:
        if next(attempts, False):  # all three; later the last one alone
            raise MemoryExceeded("full")

    model.before_call = full
    found = collect(engine)
    assert [type(found[i][-1]) for i in ids] == [Finished, Finished, Failed]
    assert [outcome(found[i]) for i in ids[:2]] == [outcome(solo(request)) for request in requests[:2]]
    assert model.state.tokens == [[]] * 3


def test_one_of_those_who_are_read_together_may_leave(make_engine: MakeEngine, solo: Any) -> None:
    engine, model = make_engine(slots=3, prefill_chunk=100)
    requests = [asking(tuple(range(1, 4 + n))) for n in range(3)]
    ids = [engine.submit(request) for request in requests]
    model.before_call = lambda: engine.cancel(ids[1])
    found = collect(engine)
    assert [found[i][-1].reason for i in ids].count("interrupt") == 1 and found[ids[1]][-1].reason == "interrupt"
    for place in (0, 2):
        assert outcome(found[ids[place]]) == outcome(solo(requests[place]))


def test_a_device_that_runs_ahead_reads_when_an_eighth_of_the_slots_is_free(make_ahead: MakeEngine) -> None:
    engine, model = make_ahead(slots=16, prefill_chunk=100)
    for n in range(16):
        engine.submit(asking((n + 1,), max_tokens=3 + n, ignore_eos=True))
    for n in range(3):
        engine.submit(asking((n + 1,), max_tokens=20, ignore_eos=True))
    found = collect(engine)
    assert prefills(model) == [16, 2, 1], "the third has nobody to wait for"
    assert all(len([event for event in events if isinstance(event, Token)]) >= 3 for events in found.values())


# ---- unequal prompts in one pass ----


class Reader:
    """Reads up to four prompts of up to nine tokens at once."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.read_at_once: list[list[int]] = []

    def takes(self, lengths: Sequence[int]) -> bool:
        return len(lengths) <= 4 and max(lengths) <= 9

    def share(self, lengths: Sequence[int]) -> Sequence[int]:
        taken = lengths[:4]
        return taken if self.takes(taken) else [lengths[0]] * len(lengths)

    def read(self, ids: Sequence[Sequence[int]], slot: int, cancelled: Callable[[], bool]) -> Tensor:
        self.read_at_once.append([len(row) for row in ids])
        model = self.model
        return torch.cat([model.prefill(torch.tensor([row]), model.state, slot + i) for i, row in enumerate(ids)])


@pytest.mark.parametrize("seed", range(3))
def test_unequal_prompts_are_read_in_one_pass_where_there_is_a_way(make_engine: MakeEngine, solo: Any, seed: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.choice([1, 2, 5, 7, 9, 14]) for _ in range(9)]
    requests = [asking(tuple(rng.randrange(1, 256) for _ in range(n)), max_tokens=rng.choice([0, 1, 6])) for n in lengths]
    engine, model = make_engine(slots=6, prefill_chunk=40)
    reader = engine.runner.prompts = Reader(model)
    ids = [engine.submit(request) for request in requests]
    found = collect(engine)
    assert any(len(set(read)) > 1 for read in reader.read_at_once)
    assert sum(prefills(model)) == sum(lengths)
    assert [outcome(found[i]) for i in ids] == [outcome(solo(request)) for request in requests]
    assert model.state.tokens == [[]] * 6


@pytest.mark.parametrize("error", [MemoryExceeded("full"), KeyboardInterrupt()])
def test_what_happens_to_some_of_them(make_engine: MakeEngine, solo: Any, error: BaseException) -> None:
    """Without room together, each is read alone, and so are those who come later; an interrupt ends all of them."""
    engine, model = make_engine(slots=6, prefill_chunk=40)
    requests = [asking(tuple(range(1, 3 + n))) for n in range(6)]
    ids = [engine.submit(request) for request in requests]
    reader = engine.runner.prompts = Reader(model)
    read = reader.read

    def fail(rows: Sequence[Sequence[int]], *rest: Any) -> Tensor:
        if len(rows) > 1:
            raise error
        return read(rows, *rest)

    reader.read = fail
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            collect(engine)
        assert [event.reason for _, event in engine.run()] == ["interrupt"] * 6
    else:
        found = collect(engine)
        assert [outcome(found[i]) for i in ids] == [outcome(solo(request)) for request in requests]
    assert model.state.tokens == [[]] * 6
