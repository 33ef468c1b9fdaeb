"""Logit for logit what transformers computes, on every quirk of both families, in one pass and token by token."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.config import parse_config
from modeling.models import LanguageModel

Pair = Callable[..., tuple[LanguageModel, Any]]


def tokens(length: int, vocabulary: int = 97, rows: int = 1, seed: int = 3) -> Tensor:
    return torch.randint(vocabulary, (rows, length), generator=torch.Generator().manual_seed(seed))


def reference(theirs: Any, ids: Tensor) -> Tensor:
    """Its logits from one call without a cache: its continuation of a FalconMamba cache is wrong."""
    return theirs(ids, use_cache=False).logits.float()


def error(got: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest logit."""
    return ((got - expected).abs().max() / expected.abs().max()).item()


@torch.inference_mode()
@pytest.mark.parametrize("length", [1, 2, 23, 70])
def test_whole_sequences(name: str, length: int, make_pair: Pair) -> None:
    ours, theirs = make_pair(name)
    ids = tokens(length, rows=2)
    expected, got = reference(theirs, ids), ours(ids)
    assert got.dtype == torch.float32 and got.shape == expected.shape
    assert error(got, expected) < 1e-5
    assert torch.equal(got.argmax(-1), expected.argmax(-1))


@torch.inference_mode()
def test_token_by_token(name: str, make_pair: Pair) -> None:
    """A prompt, then one token at a time: each answer is that of a whole pass over everything so far."""
    ours, theirs = make_pair(name)
    ids = tokens(29)
    expected = reference(theirs, ids)[0]
    state = ours.make_state(1, tokens=32)
    got = [ours.prefill(ids[0, :9], state, 0)] + [ours.step(ids[0, i : i + 1], state)[0] for i in range(9, 29)]
    assert error(torch.stack(got), expected[8:]) < 1e-5


@torch.inference_mode()
def test_greedy_continuation(name: str, make_pair: Pair) -> None:
    """The same 20 tokens as repeated whole passes of the reference implementation."""
    ours, theirs = make_pair(name, seed=1)
    prompt = tokens(7)[0]
    expected = prompt
    for _ in range(20):
        expected = torch.cat((expected, reference(theirs, expected[None])[0, -1].argmax()[None]))
    state = ours.make_state(1, tokens=32)
    logits, answer = ours.prefill(prompt, state, 0), []
    for _ in range(20):
        answer.append(int(logits.argmax()))
        logits = ours.step(torch.tensor(answer[-1:]), state)[0]
    assert answer == expected[len(prompt) :].tolist()


@torch.inference_mode()
def test_step_limit_binds(make_model: Callable[..., LanguageModel]) -> None:
    """The clamp of Δ changes this model's answers, prompt and steps; else the tests above would show nothing."""
    limited, free = make_model("falcon_h1 limited step"), make_model("falcon_h1")
    ids = tokens(12)[0]
    states = [model.make_state(1, tokens=16) for model in (limited, free)]
    first = [model.prefill(ids[:1], state, 0) for model, state in zip((limited, free), states, strict=True)]
    assert error(*first) > 1e-4
    for token in ids[1:]:
        last = [model.step(token[None], state)[0] for model, state in zip((limited, free), states, strict=True)]
    assert error(*last) > 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("which", ["falcon_mamba", "falcon_mamba narrow residual", "falcon_h1", "falcon_h1 no norm"])
def test_bf16(which: str, make_pair: Pair) -> None:
    """Rounding happens where the reference rounds, or later: bf16 costs no more accuracy than there."""
    ids = tokens(40, rows=2)
    costs = []
    for seed in range(4):
        ours, theirs = make_pair(which, dtype=torch.bfloat16, seed=seed)
        ours32, theirs32 = make_pair(which, seed=seed)
        ours32.load_state_dict(ours.state_dict())
        theirs32.load_state_dict(theirs.state_dict())
        exact = ours32(ids)
        state = ours.make_state(2, tokens=40)
        steps = torch.stack([ours.step(ids[:, i], state) for i in range(40)], dim=1)
        costs.append([error(reference(theirs, ids), reference(theirs32, ids)), error(ours(ids), exact), error(steps, exact)])
    their_cost, cost, step_cost = torch.tensor(costs).mean(0).tolist()
    assert 1e-4 < cost < 1.3 * their_cost
    assert step_cost < 1.3 * their_cost


def test_names_and_shapes(name: str, make_pair: Pair) -> None:
    """A checkpoint of either is a checkpoint of the other, with its tied weights tied."""
    ours, theirs = make_pair(name)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    assert {key for key, _ in ours.named_parameters()} == {key for key, _ in theirs.named_parameters()}


@pytest.mark.parametrize("only_changes", [True, False])
def test_config_written_by_transformers(name: str, only_changes: bool, make_pair: Pair, case: Callable[[str], Any]) -> None:
    """What transformers saves describes the same model, whether it writes its defaults down or not."""
    _, theirs = make_pair(name)
    written = json.loads(theirs.config.to_json_string(use_diff=only_changes))
    assert parse_config(written) == replace(parse_config(case(name)), dtype="float32")
