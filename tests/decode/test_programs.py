"""The whole way of a decode step by programs: the engine says what it says in lockstep, and keeps the states it keeps there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from modeling.config import parse_config
from modeling.decode.programs import programs_for
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.memory import PAGE
from modeling.messages import Finished, Request, SamplingParams
from modeling.models import LanguageModel, build
from modeling.state import ModelState, Snapshot

Fields = dict[str, Any]
MAMBA = Fields(
    model_type="falcon_mamba", vocab_size=61, hidden_size=24, state_size=8, num_hidden_layers=1, intermediate_size=40,
    time_step_rank=5, conv_kernel=4, tie_word_embeddings=False,
)  # fmt: skip
H1 = Fields(
    model_type="falcon_h1", vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=1, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=2, mamba_d_state=12,
    mamba_d_conv=4, mamba_norm_before_gate=False, mamba_rms_norm=True, rope_theta=1e4, key_multiplier=0.4,
    embedding_multiplier=5.0, ssm_in_multiplier=1.2, attention_out_multiplier=0.9, max_position_embeddings=1024,
)  # fmt: skip
STOPS = range(0, 61, 5)
Make = Callable[..., tuple[Engine, LanguageModel]]


class Silent:
    """A decoder of ids that have no text."""

    def push(self, id: int) -> str:
        return ""

    def flush(self) -> str:
        return ""


@pytest.fixture(params=[MAMBA, H1], ids=["mamba", "h1"])
def make(request: pytest.FixtureRequest, device: torch.device) -> Make:
    """An engine over a random model in fp32, with programs or in lockstep."""
    torch.manual_seed(3)
    model = build(parse_config(request.param))
    for name, parameter in model.named_parameters():
        if not name.endswith(("A_log", "D", "norm.weight", "layernorm.weight")):
            torch.nn.init.normal_(parameter, std=0.4)
    model.to(device).requires_grad_(False).eval()

    def start(*, ahead: bool, slots: int = 3) -> tuple[Engine, LanguageModel]:
        runner = Runner(model, slots, 64)
        assert isinstance(runner.state, ModelState)
        programs = programs_for(model, runner.state, runner.slots, runner.max_positions) if ahead else None
        assert (programs is not None) == ahead
        return Engine(runner, Silent, STOPS, programs=programs), model

    return start


REQUESTS = [
    Request((3, 4, 5), SamplingParams(temperature=0.0, max_tokens=5, ignore_eos=True)),
    Request((9,), SamplingParams(temperature=2.0, seed=4, max_tokens=12)),  # ends by its stop id, sooner or later
    Request(tuple(range(1, 40)), SamplingParams(temperature=1.0, top_k=9, seed=8, max_tokens=4, ignore_eos=True)),
    Request((5, 5), SamplingParams(temperature=1.0, repetition_penalty=1.3, seed=1, max_tokens=6, ignore_eos=True)),
]


def outcomes(engine: Engine) -> dict[int, tuple[Any, Any]]:
    """Ids of each of `REQUESTS`, decoded together, and the state that was kept."""
    kept: dict[int, Snapshot] = {}
    ends: dict[int, Finished] = {}
    numbers = {engine.submit(r, keep=lambda state, i=i: kept.__setitem__(i, state)): i for i, r in enumerate(REQUESTS)}
    for number, event in engine.run():
        if isinstance(event, Finished):
            ends[numbers[number]] = event
    return {i: (ends[i], kept[i]) for i in ends}


def test_programs_say_and_keep_what_lockstep_does(make: Make) -> None:
    (ahead, _), (lockstep, _) = make(ahead=True), make(ahead=False)
    expected, got = outcomes(lockstep), outcomes(ahead)
    assert any(end.reason == "stop" for end, _ in expected.values())
    for i, (end, state) in expected.items():
        assert (got[i][0].token_ids, got[i][0].reason) == (end.token_ids, end.reason)
        assert got[i][1].length == state.length
        theirs = state.tensors()
        for name, tensor in got[i][1].tensors().items():
            torch.testing.assert_close(tensor, theirs[name], rtol=2e-4, atol=1e-5)


def test_a_step_across_a_page_finds_the_next_one(make: Make) -> None:
    prompt = tuple(2 + i % 50 for i in range(PAGE - 3))
    request = Request(prompt, SamplingParams(temperature=0.0, max_tokens=6, ignore_eos=True))
    (ahead, _), (lockstep, _) = make(ahead=True, slots=1), make(ahead=False, slots=1)
    assert [event for event in ahead.generate(request) if not isinstance(event, Finished)] == [
        event for event in lockstep.generate(request) if not isinstance(event, Finished)
    ]


def test_a_state_that_was_kept_goes_on(make: Make) -> None:
    """Undo and another way: the shared page is copied before a program writes into it."""
    engine, _ = make(ahead=True)
    fresh, _ = make(ahead=False)
    kept: list[Any] = []
    greedy = SamplingParams(temperature=0.0, max_tokens=3, ignore_eos=True)
    *_, first = engine.generate(Request((3, 4, 5), greedy), keep=kept.append)
    ids = (3, 4, 5, *first.token_ids)
    for tail in ((11,), (12, 13)):
        *_, end = engine.generate(Request(ids + tail, greedy), start=kept[0])
        *_, expected = fresh.generate(Request(ids + tail, greedy))
        assert end.token_ids == expected.token_ids
        assert end.stats.reused_tokens == len(ids) - 1
