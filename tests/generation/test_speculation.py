"""Looking tokens up: the same answer as without, from fewer passes."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor

import modeling.generation.engine
import modeling.generation.speculation
import modeling.generation.steps
from modeling.generation.lookup import Lookup
from modeling.messages import Finished, Request, SamplingParams, Token

Make = Callable[[int], Callable[..., Any]]


def copying(tokens: Sequence[int]) -> Tensor:
    """Says after each token what it said after it before, most of the time; now and then, by all that was said, another."""
    dice = random.Random(bytes(tokens))
    place = next((n for n in range(len(tokens) - 2, -1, -1) if tokens[n] == tokens[-1]), None)
    said = tokens[place + 1] if place is not None and dice.random() < 0.9 else dice.randrange(1, 40)
    logits = torch.tensor([dice.random() for _ in range(256)])
    logits[said] += 12.0
    logits[0] = -9.0
    return logits


def ask(*prompt: int, **sampling: Any) -> Request:
    return Request(prompt or tuple(range(1, 20)), SamplingParams(**{"temperature": 0.0, "max_tokens": 60, **sampling}))


def finished(events: Any) -> Finished:
    *_, end = events
    assert isinstance(end, Finished)
    return end


# ---- guesses ----


def test_a_guess_is_what_followed_the_last_time() -> None:
    assert Lookup([7, 1, 2, 3, 9, 1, 2, 4, 8, 1, 2]).guess(3) == [4, 8, 1]
    assert Lookup([7, 1, 2, 3, 9, 5, 2, 3, 8, 1, 2, 3]).guess(2) == [9, 5], "three that agree say more than two"
    assert Lookup([1, 2, 3]).guess(4) == [] and Lookup().guess(4) == []


def test_a_guess_goes_round_a_loop() -> None:
    assert Lookup([1, 2, 3, 1, 2]).guess(7) == [3, 1, 2, 3, 1, 2, 3]
    assert Lookup([5, 5, 5]).guess(3) == [5, 5, 5]


def test_an_index_grows_as_it_would_have_been_made() -> None:
    dice = random.Random(3)
    ids = dice.choices(range(6), k=300)
    growing = Lookup()
    for place, id in enumerate(ids, 1):
        growing.extend([id])
        assert growing.guess(5) == Lookup(ids[:place]).guess(5)


# ---- answers ----


@pytest.mark.promise
@pytest.mark.parametrize("most", [1, 3, 8])
@pytest.mark.parametrize(
    "sampling",
    [{}, {"temperature": 0.7, "seed": 5}, {"temperature": 1.0, "repetition_penalty": 1.2, "top_p": 0.9, "logprobs": 2}],
    ids=["greedy", "drawn", "penalized"],
)
def test_the_answer_is_that_without(make_speculating: Make, most: int, sampling: Any) -> None:
    for seed in range(4):
        prompt = tuple(random.Random(seed).choices(range(1, 30), k=40))
        plain, _ = make_speculating(0)(copying)
        engine, model = make_speculating(most)(copying)
        expected, got = (list(each.generate(ask(*prompt, **sampling))) for each in (plain, engine))
        assert got[:-1] == expected[:-1] and got[-1].token_ids == expected[-1].token_ids
        stats = got[-1].stats
        assert 0 < stats.accepted_tokens <= stats.looked_up_tokens
        passes = sum(call in ("step", "walk") for call, _ in model.calls)
        assert passes + stats.accepted_tokens == len(got[-1].token_ids) - 1, "each token accepted is a pass saved"
        assert (expected[-1].stats.looked_up_tokens, expected[-1].stats.accepted_tokens) == (0, 0)


def test_nothing_is_read_beyond_the_last_token_asked_for(make_speculating: Make) -> None:
    engine, model = make_speculating(8)(lambda tokens: torch.nn.functional.one_hot(torch.tensor(tokens[-1] % 5 + 1), 256) * 9.0)
    kept: list[Any] = []
    for length in range(1, 30):
        del model.calls[:]
        end = finished(engine.generate(ask(1, 2, 3, 4, 5, 1, 2, max_tokens=length), keep=kept.append))
        assert sum(count for call, count in model.calls if call != "prefill") == length - 1
        assert kept[-1].tokens == (1, 2, 3, 4, 5, 1, 2, *end.token_ids[:-1])


@pytest.mark.promise
def test_a_kept_state_is_the_record_of_what_was_said(make_speculating: Make) -> None:
    """However it ends: at a stop string in the middle of a pass, cancelled, or closed."""
    for cut in range(1, 50):
        engine, model = make_speculating(6)(copying)
        kept: list[Any] = []
        request = ask(*random.Random(cut).choices(range(1, 20), k=30))
        told = []
        stream = engine.generate(request, keep=kept.append)
        for event in stream:
            told += [event.id] if isinstance(event, Token) else []
            if len(told) == cut:
                engine.cancel() if cut % 2 else stream.close()
        assert kept[0].tokens == (*request.prompt_ids, *told[:-1])
        assert model.state.tokens == [[]]


def test_whoever_comes_beside_finds_the_state_gone_back(make_speculating: Make) -> None:
    requests = [ask(*random.Random(n).choices(range(1, 20), k=30), max_tokens=20 + 9 * n) for n in range(5)]
    alone = [finished(make_speculating(0)(copying)[0].generate(request)).token_ids for request in requests]
    engine, model = make_speculating(6)(copying, slots=3, prefill_chunk=16)
    ids = [engine.submit(requests[0])]
    ends: dict[int, Any] = {}
    for told, (request, event) in enumerate(engine.run(), 1):
        if told % 11 == 0 and len(ids) < len(requests):
            ids.append(engine.submit(requests[len(ids)]))
        if isinstance(event, Finished):
            ends[request] = event
    assert [ends[id].token_ids for id in ids] == alone
    assert any(call == "walk" for call, _ in model.calls) and ("step", 2) in model.calls


@pytest.mark.promise
def test_an_interrupt_at_any_line_leaves_no_ghost(make_speculating: Make) -> None:
    """KeyboardInterrupt at the n-th line, for every n: what is kept is the record of what was told, and the next answer is
    that of a fresh engine."""
    request = ask(1, 2, 3, 4, 5, 6, 1, 2, 3, 9, 1, 2, max_tokens=9)
    expected = finished(make_speculating(0)(copying)[0].generate(request)).token_ids
    files = {
        module.__file__ for module in (modeling.generation.engine, modeling.generation.speculation, modeling.generation.steps)
    }
    walks = 0
    for n in itertools.count(1):
        engine, model = make_speculating(4)(copying, prefill_chunk=16)
        kept: list[Any] = []
        left, struck = n, False

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left, struck
            if frame.f_code.co_filename not in files:
                return None
            if event == "line" and not struck:
                left -= 1
                if left == 0:
                    struck = True
                    raise KeyboardInterrupt
            return trace

        told: list[int] = []
        sys.settrace(trace)
        try:
            for event in engine.generate(request, keep=kept.append):
                told += [event.id] if isinstance(event, Token) else []
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        walks += any(call == "walk" for call, _ in model.calls)
        whole = (*request.prompt_ids, *expected)
        assert told == list(expected[: len(told)]), n
        assert all(state.tokens == whole[: state.length] for state in kept), n
        assert model.state.tokens == [[]], n
        assert finished(engine.generate(request)).token_ids == expected, n
        if not struck:
            break
    assert walks > 50
