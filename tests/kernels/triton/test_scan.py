"""Mamba-1's scan in Triton against the law, whatever the length, the tile, the views and the state."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference

scan = pytest.importorskip("modeling.kernels.triton.scan")

SMALL = scan.Tile(warps=1, groups=1, lanes=4, tokens=4)  # 8 channels


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory is full of NaN."""
    torch.manual_seed(0)
    monkeypatch.setattr(scan.torch, "empty", lambda shape, **options: torch.full(shape, torch.nan, **options))


class Inputs(NamedTuple):
    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    dt_bias: Tensor
    z: Tensor

    def part(self, tokens: slice) -> Inputs:
        return Inputs(*(t[:, tokens] if t.dim() == 3 else t for t in self))

    def rows(self, rows: slice) -> Inputs:
        return Inputs(*(t[rows] if t.dim() == 3 else t for t in self))

    def float(self) -> Inputs:
        return Inputs(*(t.float() for t in self))


def inside(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Noise as a view into wider and longer memory that is NaN everywhere else."""
    b, length, width = shape
    whole = torch.full((b + 1, length + 3, 2 * width + 5), torch.nan, dtype=dtype, device=device)
    view = whole[:b, 1 : length + 1, width + 2 : 2 * width + 2]
    return view.copy_(torch.randn(shape))


def make(length: int, e: int, n: int, device: torch.device, dtype: torch.dtype = torch.float32, rows: int = 2) -> Inputs:
    noise = partial(inside, dtype=dtype, device=device)
    x, dt, z = (noise(rows, length, e) for _ in range(3))
    B, C = noise(rows, length, n), noise(rows, length, n)
    A = -(3 * torch.rand(e, n) + 0.1).to(device)
    D, dt_bias = torch.randn(e).to(device, dtype), (torch.randn(e) - 2).to(device, dtype)
    return Inputs(x, dt, A, B, C, D, dt_bias, z)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("tile", [SMALL, scan.Tile(1, 1, 2, 1), scan.Tile(2, 4, 4, 2)], ids=str)
@pytest.mark.parametrize("length", [1, 3, 4, 5, 12])
def test_tiles(length: int, tile: Any, continued: bool, device: torch.device) -> None:
    inputs = make(length, 11, 3, device)
    ours = torch.randn(2, 11, 3, device=device) if continued else None
    law = None if ours is None else ours.clone()
    y = scan.scan_in_tiles(*inputs, ours, tile)
    assert error(y, reference.selective_scan(*inputs, law)) < 3e-6
    if ours is not None and law is not None:
        assert error(ours, law) < 3e-6


@pytest.mark.parametrize(("e", "n"), [(5, 16), (3, 1), (2, 40), (1, 100)])
def test_states(e: int, n: int, device: torch.device) -> None:
    """Any number of them, with the tiles that are chosen for it."""
    inputs, ours = make(5, e, n, device, rows=1), torch.randn(1, e, n, device=device)
    law = ours.clone()
    assert error(scan.selective_scan(*inputs, ours), reference.selective_scan(*inputs, law)) < 3e-6
    assert error(ours, law) < 3e-6


def test_a_cut(device: torch.device) -> None:
    """Wherever a sequence is cut, nothing changes but rounding."""
    inputs, whole = make(11, 4, 4, device), torch.randn(2, 4, 4, device=device)
    states = [whole.clone() for _ in range(2)]
    run = partial(scan.scan_in_tiles, tile=SMALL)
    y = run(*inputs, whole)
    for state, cuts in zip(states, ([0, 1, 4, 11], [0, 8, 9, 10, 11]), strict=True):
        parts = [run(*inputs.part(slice(i, j)), state) for i, j in pairwise(cuts)]
        assert error(torch.cat(parts, 1), y) < 3e-6
        assert error(state, whole) < 3e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(dtype: torch.dtype, device: torch.device) -> None:
    """Only inputs and output are rounded: the state is that of the same numbers in fp32."""
    inputs, ours = make(9, 6, 4, device, dtype), torch.randn(2, 6, 4, device=device)
    law = ours.clone()
    y = scan.scan_in_tiles(*inputs, ours, SMALL)
    assert y.dtype == dtype
    # The interpreter cuts bfloat16 off instead of rounding.
    assert error(y, reference.selective_scan(*inputs.float(), law)) < (8e-3 if dtype == torch.bfloat16 else 1e-3)
    assert error(ours, law) < 3e-6


def test_rows_do_not_see_each_other(device: torch.device) -> None:
    inputs, state = make(5, 6, 3, device, rows=3), torch.randn(3, 6, 3, device=device)
    alone = state.clone()
    y = scan.scan_in_tiles(*inputs, state, SMALL)
    for i in range(3):
        row = slice(i, i + 1)
        assert torch.equal(scan.scan_in_tiles(*inputs.rows(row), alone[row], SMALL), y[row])
    assert torch.equal(alone, state)


@pytest.mark.parametrize(
    ("exponent", "shift"),
    [(4.0, 1.0), (-8.0, -1.0), (0.0, -120.0), (0.0, 30.0)],
    ids=["violent", "slight", "no step", "wide step"],
)
def test_decays(exponent: float, shift: float, device: torch.device) -> None:
    inputs = make(6, 4, 3, device)
    A = -torch.rand(4, 3, device=device) * 10.0**exponent
    inputs = inputs._replace(A=A, dt_bias=torch.full((4,), shift, device=device))
    ours = torch.randn(2, 4, 3, device=device)
    law = ours.clone()
    assert error(scan.scan_in_tiles(*inputs, ours, SMALL), reference.selective_scan(*inputs, law)) < 3e-6
    assert error(ours, law) < 3e-6


def test_small_steps_keep_their_digits(device: torch.device) -> None:
    """softplus(v) ≈ eᵛ for v ≪ 0, where 1 + eᵛ is 1 in fp32. The first step into an empty state shows it: S = Δ x B."""
    v = torch.linspace(-60, 25, 64, device=device)
    one, state = torch.ones(1, 1, 64, device=device), torch.zeros(1, 64, 1, device=device)
    single = torch.ones(1, 1, 1, device=device)
    A, zero = torch.zeros(64, 1, device=device), torch.zeros(64, device=device)
    scan.selective_scan(one, v[None, None], A, single, single, zero, zero, one, state)
    expected = torch.nn.functional.softplus(v.double())
    assert ((state.flatten().double() - expected) / expected).abs().max() < 5e-6


def test_slots_of_a_larger_memory(device: torch.device) -> None:
    """A state of other strides is written in place, and its neighbours are not."""
    memory = torch.full((3, 3, 4), torch.nan, device=device)
    state = memory[1:2].mT.normal_()  # 1 e n, n outermost
    inputs, law = make(4, 4, 3, device, rows=1), state.clone()
    assert error(scan.scan_in_tiles(*inputs, state, SMALL), reference.selective_scan(*inputs, law)) < 3e-6
    assert error(memory[1:2].mT, law) < 3e-6
    assert memory[0].isnan().all() and memory[2].isnan().all()
