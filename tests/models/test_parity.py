"""The same numbers as transformers: a forward of whole sequences without a cache, in fp32 on a CPU, for every case."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from modeling.config import load_config, parse_config
from modeling.fields import WITHOUT_EFFECT

# tests/models/conftest.py hands in `case` (each shape of the table), `quirky` (one a family) and `cases` (the table itself).
LENGTH = 23  # no multiple of a chunk of 8 or 64
NEW = 20  # tokens of a greedy continuation


def expected(reference: Any, ids: Tensor) -> Tensor:
    with torch.inference_mode():
        return reference(ids, use_cache=False).logits.float()


def test_logits(case: Any, cases: Any) -> None:
    ids = cases.tokens(case, 2, LENGTH)
    theirs, ours = expected(cases.reference(case), ids), cases.model(case)(ids)
    assert ours.dtype == torch.float32
    assert cases.relative_error(ours, theirs) < 1e-5
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))


def test_greedy_continuation(case: Any, cases: Any) -> None:
    """Prefill and steps with a state choose what transformers chooses when it reads everything again for each token."""
    reference, model = cases.reference(case), cases.model(case)
    prompt = cases.tokens(case, 9, seed=2)
    whole = prompt
    while whole.shape[0] < 9 + NEW:
        whole = torch.cat((whole, expected(reference, whole[None])[0, -1:].argmax(-1)))

    state = model.make_state(1, 9 + NEW)
    chosen = [model.prefill(prompt, state, 0).argmax(-1, keepdim=True)]
    while len(chosen) < NEW:
        chosen.append(model.step(chosen[-1], state).argmax(-1))
    assert torch.cat(chosen).tolist() == whole[9:].tolist()


@pytest.mark.parametrize("short", [1, 2, 3, 7])
def test_rows_of_different_lengths(short: int, quirky: Any, cases: Any) -> None:
    """Slots that share every step give what transformers gives for each sequence by itself: there is no padding."""
    model, lengths = cases.model(quirky), (11, short, 5)
    rows = [cases.tokens(quirky, length + 6, seed=length) for length in lengths]
    state = model.make_state(3, 32)
    for slot, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        model.prefill(row[:length], state, slot)
    for i in range(6):
        logits = model.step(torch.stack([row[length + i] for row, length in zip(rows, lengths, strict=True)]), state)
    for row, found in zip(rows, logits, strict=True):
        assert cases.relative_error(found, expected(cases.reference(quirky), row[None])[0, -1]) < 1e-5


def test_time_steps_are_limited_in_every_way_of_feeding(cases: Any) -> None:
    """transformers forgets the limit in its cached step; the reference is its forward without a cache."""
    case = cases.BY_NAME["h1, time steps limited"]
    model, ids = cases.model(case), cases.tokens(case, 12)
    unlimited = cases.Case("unlimited", case.fields | {"time_step_limit": (0.0, float("inf"))})
    theirs = expected(cases.reference(case), ids[None])[0, -1]
    assert cases.relative_error(expected(cases.reference(unlimited), ids[None])[0, -1], theirs) > 1e-3  # the limit counts
    state = model.make_state(2, 32)
    for i in range(12):
        stepped = model.step(ids[i : i + 1], state)[0]
    model.prefill(ids[:7], state, 1)
    assert cases.relative_error(stepped, theirs) < 1e-5
    assert cases.relative_error(model.prefill(ids[7:], state, 1), theirs) < 1e-5


def test_names_and_shapes_are_the_checkpoints(case: Any, cases: Any, tmp_path: Path) -> None:
    cases.reference(case).save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    own = {name: tuple(parameter.shape) for name, parameter in cases.model(case).named_parameters()}
    assert own == stored
    assert load_config(tmp_path) == replace(case.config, dtype="float32")


@pytest.mark.parametrize("use_diff", [True, False])
def test_configs_written_by_transformers(case: Any, cases: Any, use_diff: bool, tmp_path: Path) -> None:
    cases.reference(case).config.to_json_file(tmp_path / "config.json", use_diff=use_diff)
    assert load_config(tmp_path) == replace(case.config, dtype="float32")


def test_bf16_is_as_near_to_fp32_as_transformers_is(case: Any, cases: Any) -> None:
    """The places where bf16 rounds make sense if the noise is no more than that of the reference, with weights of bf16."""
    ids = cases.tokens(case, 4, 64)
    exact = copy.deepcopy(cases.reference(case)).bfloat16().float()
    theirs, ours = copy.deepcopy(cases.reference(case)).bfloat16(), copy.deepcopy(cases.model(case)).bfloat16()
    truth = expected(exact, ids)

    def noise(logits: Tensor) -> float:
        return float((logits - truth).square().mean().sqrt() / truth.square().mean().sqrt())

    assert noise(ours(ids)) < 1.2 * noise(expected(theirs, ids))


def test_bf16_steps_are_as_near_to_fp32_as_a_whole_pass_of_transformers(quirky: Any, cases: Any) -> None:
    """One token at a time, alone (past oneDNN) and beside another row, rounds no worse than the reference does in one go."""
    ids = cases.tokens(quirky, 2, 40)
    truth = expected(copy.deepcopy(cases.reference(quirky)).bfloat16().float(), ids)
    theirs, ours = copy.deepcopy(cases.reference(quirky)).bfloat16(), copy.deepcopy(cases.model(quirky)).bfloat16()
    noise = (expected(theirs, ids) - truth).square().mean()
    for rows in (1, 2):
        state = ours.make_state(rows, 40)
        steps = torch.stack([ours.step(ids[:rows, i], state) for i in range(40)], dim=1)
        assert (steps - truth[:rows]).square().mean() < 1.2**2 * noise


@pytest.mark.parametrize("name", ["mamba, all quirks", "mamba, narrow residual", "h1, all quirks"])
def test_the_residual_stream_is_as_wide_as_in_transformers(name: str, cases: Any) -> None:
    """In a bf16 model: fp32 for a FalconMamba that says so, bf16 otherwise. Logits of so few layers would hardly show it."""
    case = cases.BY_NAME[name]
    reference, model = copy.deepcopy(cases.reference(case)).bfloat16(), copy.deepcopy(cases.model(case)).bfloat16()
    streams: list[Tensor] = []
    for block in (*reference.base_model.layers, *model.blocks):
        block.register_forward_hook(lambda block, given, h: streams.append(h[0] if isinstance(h, tuple) else h))
    for run in (model, lambda ids: expected(reference, ids)):
        run(cases.tokens(case, 1, 5))
    ours, theirs = streams[: len(model.blocks)], streams[len(model.blocks) :]
    assert [h.dtype for h in ours] == [h.dtype for h in theirs]


def test_an_ignored_field_is_ignored_by_transformers(quirky: Any, cases: Any) -> None:
    """What the config reader lets pass unread, as it comes in a file of transformers, changes nothing in its forward either."""
    reference = cases.reference(quirky)
    ids = cases.tokens(quirky, 1, LENGTH)
    theirs = expected(reference, ids)
    written = reference.config.to_dict()
    for name in sorted(WITHOUT_EFFECT & written.keys()):
        value = written[name]
        changed = copy.deepcopy(reference.config)
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, (int, float)) else None
        if other is None or name in ("use_cache", "return_dict", "output_hidden_states", "output_attentions"):
            continue
        setattr(changed, name, other)
        model = type(reference)(changed).eval()
        model.load_state_dict(reference.state_dict())
        assert torch.equal(expected(model, ids), theirs), name
        assert parse_config(quirky.fields | {name: other}) == quirky.config


@pytest.mark.parametrize("chunk", [None, 8], ids=["one chunk", "many chunks"])
def test_gradients(quirky: Any, cases: Any, chunk: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a state the forward is functional: its gradients by every parameter are those of transformers."""
    if chunk:
        monkeypatch.setattr("modeling.kernels.reference.SSD_CHUNK", chunk)
        monkeypatch.setattr("modeling.kernels.reference.SCAN_ELEMENTS", 1)
    reference = copy.deepcopy(cases.reference(quirky)).requires_grad_()
    model = copy.deepcopy(cases.model(quirky)).requires_grad_()
    ids = cases.tokens(quirky, 2, LENGTH)
    target = cases.tokens(quirky, 2 * LENGTH, seed=3)
    for logits in (reference(ids, use_cache=False).logits, model(ids)):
        torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), target).backward()
    theirs = {name: parameter.grad for name, parameter in reference.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        assert cases.relative_error(parameter.grad, theirs[name]) < 1e-4, name
