"""Prompts read by programs: whatever their lengths, slots and pasts, the states and logits are those of `model.prefill()`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling import graph as graphs
from modeling import kernels
from modeling.bench.subject import Numbers
from modeling.config import parse_config
from modeling.decode.prompts import TOKENS, Prompts
from modeling.errors import InvalidRequest, MemoryExceeded
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.memory import PAGE
from modeling.messages import Finished, Request, SamplingParams
from modeling.models import LanguageModel, build
from modeling.state import Cancelled, ModelState, Snapshot

Fields = dict[str, Any]
Read = tuple[int, tuple[tuple[int, ...], ...]]  # the first slot, and ids
MAMBA = Fields(
    model_type="falcon_mamba", vocab_size=61, hidden_size=16, state_size=4, num_hidden_layers=1, intermediate_size=16,
    time_step_rank=5, conv_kernel=4, tie_word_embeddings=False,
)  # fmt: skip
H1 = Fields(
    model_type="falcon_h1", vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=1, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=2, mamba_d_state=12,
    mamba_d_conv=4, mamba_norm_before_gate=False, mamba_rms_norm=True, rope_theta=1e4, key_multiplier=0.4,
    embedding_multiplier=5.0, ssm_in_multiplier=1.2, attention_out_multiplier=0.9, max_position_embeddings=1024,
)  # fmt: skip
SLOTS = 4


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory is full of NaN: what the padding leaves behind must not reach a token."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: empty(*args, **kwargs).fill_(torch.nan))


@pytest.fixture(params=[MAMBA, H1], ids=["mamba", "h1"])
def model(request: pytest.FixtureRequest, device: torch.device) -> LanguageModel:
    torch.manual_seed(3)
    model = build(parse_config(request.param))
    for name, parameter in model.named_parameters():
        if not name.endswith(("A_log", "D", "norm.weight", "layernorm.weight")):
            torch.nn.init.normal_(parameter, std=0.4)
    return model.to(device).requires_grad_(False).eval()


def reading(slot: int, *lengths: int) -> Read:
    return slot, tuple(tuple((7 * length + 5 * t + slot) % 61 for t in range(length)) for length in lengths)


def by_law(model: LanguageModel, state: ModelState, read: Read) -> Tensor:
    slot, rows = read
    rows_ = [torch.tensor([ids], device=model.device) for ids in rows]
    return torch.cat([model.prefill(ids, state, slot + i) for i, ids in enumerate(rows_)])


def check(ours: ModelState, law: ModelState) -> None:
    assert ours.lengths == law.lengths
    for slot in range(SLOTS):
        theirs = law.snapshot(slot).tensors()
        for name, tensor in ours.snapshot(slot).tensors().items():
            torch.testing.assert_close(tensor, theirs[name], rtol=2e-4, atol=1e-5)


def passes(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of every pass that is made layer by layer, padding included."""
    made: list[int] = []
    hidden = model.hidden

    def counted(ids: Tensor, extension: Any) -> Tensor:
        made.append(ids.numel())
        return hidden(ids, extension)

    monkeypatch.setattr(model, "hidden", counted)
    return made


@torch.inference_mode()
def test_one_graph_reads_any_prompts_of_its_shape(
    model: LanguageModel, capture: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into any slots, behind any past, as many as fit; slots that moved in between."""
    reads = [reading(0, 15, 3), reading(2, 1, 16), reading(1, 9, 2), reading(2, 4, 7), reading(0, 16, 16)]
    law, ours = model.make_state(SLOTS, 200), model.make_state(SLOTS, 200)

    def moved(state: ModelState) -> None:
        state.move(3, 1)
        state.fork(0, 3)

    expected = []
    for i, read in enumerate(reads):
        expected.append(by_law(model, law, read))
        if i == 2:
            moved(law)
    capture()
    prompts, made = Prompts(model, ours), passes(model, monkeypatch)
    for i, (slot, rows) in enumerate(reads):
        found = prompts.read(rows, slot)
        torch.testing.assert_close(found, expected[i], rtol=2e-4, atol=1e-4)
        if i == 2:
            moved(ours)
    assert made == [32, 32]  # once as it is, once for the graph
    check(ours, law)


@torch.inference_mode()
def test_any_split_of_a_prompt_is_the_same_prompt(model: LanguageModel) -> None:
    """Across pages, by the law of the kernels: shapes of many lengths one after the other."""
    whole, state = reading(1, 2 * PAGE + 30), model.make_state(SLOTS, 600)
    expected = by_law(model, state, whole)
    ours = model.make_state(SLOTS, 600)
    prompts = Prompts(model, ours)
    (ids,) = whole[1]
    for begin, end in ((0, 200), (200, 201), (201, 250), (250, 300), (300, len(ids))):
        found = prompts.read([ids[begin:end]], 1)
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=1e-4)
    check(ours, state)


def test_what_is_too_much_for_a_program_is_left_to_the_model(model: LanguageModel) -> None:
    prompts = Prompts(model, model.make_state(1, 8))
    assert prompts.takes([1]) and prompts.takes([512]) and prompts.takes([1, 128, 7, 9, 100, 3, 2, 1])
    assert prompts.takes([TOKENS]) and not prompts.takes([TOKENS + 1]) and not prompts.takes([129] * 16)
    assert not prompts.takes([1] * 65)
    kernels.current().reasons["ssd"] = "it does not compile here"
    assert not prompts.takes([1])
    del kernels.current().reasons["ssd"]


@pytest.mark.parametrize(
    ("left", "read"),
    [
        ([700], [700]),
        ([20], [20]),
        ([5, 9, 100, 110], [5, 9, 100, 110]),  # one pass that reads all weights in place of four
        ([16] * 64, [16] * 64),
        ([300] * 16, [300] * 16),  # enough for a pass without padding
        ([300, 310, 310, 310, 310, 310, 310, 310], [300] * 8),  # what they have in common is; the rest is next
        ([30, 60, 90, 120, 200, 250], [30, 60, 90, 120]),
    ],
    ids=str,
)
def test_who_is_read_together(model: LanguageModel, left: list[int], read: list[int]) -> None:
    assert Prompts(model, model.make_state(1, 8)).share(left) == read


def test_the_engine_says_and_keeps_the_same(model: LanguageModel) -> None:
    """Prompts of many lengths, marks within one of them, rows that leave and move, a state that goes on."""

    def outcomes(with_prompts: bool) -> tuple[list[Any], list[Snapshot]]:
        runner, kept = Runner(model, 3, 64), list[Any]()
        if with_prompts:
            assert isinstance(runner.state, ModelState)
            runner.prompts = Prompts(model, runner.state)
        engine = Engine(runner, Numbers, [0])
        greedy = SamplingParams(temperature=0.0, max_tokens=3, ignore_eos=True)
        for n, length in enumerate((3, 17, 40, 1, 90)):
            prompt = tuple((n + 11 * t) % 60 for t in range(length))
            engine.submit(Request(prompt, replace(greedy, max_tokens=2 + n)), keep=kept.append, marks=(9, 33) if n == 2 else ())
        said = [(i, event.token_ids) for i, event in engine.run() if isinstance(event, Finished)]
        engine.submit(Request((1,) * (kept[0].length + 2), greedy), start=kept[0], keep=kept.append)
        said += [(i, event.token_ids) for i, event in engine.run() if isinstance(event, Finished)]
        return sorted(said), sorted(kept, key=lambda state: state.length)

    (expected, states), (said, ours) = outcomes(False), outcomes(True)
    assert said == expected
    assert [state.length for state in ours] == [state.length for state in states]
    for state, own in zip(states, ours, strict=True):
        theirs = state.tensors()
        for name, tensor in own.tensors().items():
            torch.testing.assert_close(tensor, theirs[name], rtol=2e-4, atol=1e-5)


@torch.inference_mode()
def test_a_pass_that_is_called_off_or_has_no_room_leaves_empty_slots(model: LanguageModel) -> None:
    state = model.make_state(2, PAGE)
    prompts = Prompts(model, state)
    prompts.read([[1, 2, 3], [4]], 0)
    with pytest.raises(Cancelled):
        prompts.read([[1, 2]], 1, lambda: True)
    assert state.lengths == [3, 0] and not state.mamba[0].ssm[1].any()
    with pytest.raises(InvalidRequest):
        prompts.read([[]], 1)
    if state.pool is not None:
        prompts.read([[5] * 500], 1)
        with pytest.raises(MemoryExceeded):
            prompts.read([[5] * 510, [6] * 500], 0)
        assert state.lengths == [3, 500]  # nothing has changed


@torch.inference_mode()
@pytest.mark.parametrize("error", [KeyboardInterrupt, torch.OutOfMemoryError])
def test_a_capture_that_is_broken_off(
    error: type[BaseException], model: LanguageModel, capture: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C: it ends the pass, and the next one is captured after all. For want of memory: the pass goes on without a
    graph, and the model reads what comes later."""
    law, ours = model.make_state(SLOTS, 200), model.make_state(SLOTS, 200)
    expected = by_law(model, law, reading(0, 5))
    capture()
    prompts, logits, begin = Prompts(model, ours), model.logits, graphs.Captured._capture
    prompts.read(*reversed(reading(0, 3)))

    def breaking(captured: Any) -> None:
        def fail(h: Tensor) -> Tensor:
            monkeypatch.setattr(model, "logits", logits)
            raise error

        monkeypatch.setattr(model, "logits", fail)
        begin(captured)
        ours.blocks[0].zero_()  # as it was: CUDA's captures run nothing

    monkeypatch.setattr(graphs.Captured, "_capture", breaking)
    ours.reset(0)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            prompts.read(*reversed(reading(0, 5)))
        assert ours.lengths == [0] * SLOTS and prompts.takes([5])
        monkeypatch.setattr(graphs.Captured, "_capture", begin)
    made = passes(model, monkeypatch)
    found = [prompts.read(*reversed(reading(0, 5)))]
    assert prompts.takes([5]) == (error is KeyboardInterrupt)
    if error is KeyboardInterrupt:
        ours.reset(0)
        found.append(prompts.read(*reversed(reading(0, 5))))
    assert len(made) == (1 if error is KeyboardInterrupt else 2)
    for each in found:
        torch.testing.assert_close(each, expected, rtol=2e-4, atol=1e-4)
    check(ours, law)
