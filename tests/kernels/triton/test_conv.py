"""The causal convolution in Triton against the law."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference
from modeling.memory import MambaState

conv = pytest.importorskip("modeling.kernels.triton.conv")

LENGTHS = (1, 2, 3, 4, 5, 8, 9, 33)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory is full of NaN."""
    torch.manual_seed(0)
    monkeypatch.setattr(conv.torch, "empty", lambda shape, **options: torch.full(shape, torch.nan, **options))


def inside(b: int, length: int, c: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Noise as a view into wider and longer memory that is NaN everywhere else."""
    whole = torch.full((b + 1, length + 9, 2 * c + 5), torch.nan, dtype=dtype, device=device)
    return whole[:b, 5 : length + 5, c + 2 : 2 * c + 2].copy_(torch.randn(b, length, c))


def memory(b: int, c: int, taps: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return MambaState.zeros(b, conv=(c, taps), ssm=(1,), dtype=dtype, device=device).conv.normal_()


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("taps", [1, 2, 4, 5])
@pytest.mark.parametrize("biased", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("continued", [False, True])
def test_convolution(length: int, taps: int, biased: bool, continued: bool, device: torch.device) -> None:
    """In two steps of 8 tokens of 16 channels, which 33 tokens and 24 channels cross. The state is equal to the bit."""
    x = inside(2, length, 24, torch.float32, device)
    weight, bias = torch.randn(24, taps, device=device), torch.randn(24, device=device) if biased else None
    ours = memory(2, 24, taps, torch.float32, device) if continued else None
    law = None if ours is None else ours.double()
    y = conv.conv_in_tiles(x, weight, bias, ours, 8, 2, 16, 1)
    assert y.is_contiguous()
    exact = reference.causal_conv(x.double(), weight.double(), None if bias is None else bias.double(), law)
    assert error(y, exact) < 1e-6
    if ours is not None and law is not None:
        assert torch.equal(ours.double(), law)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("length", [1, 2, 17])
def test_half_precision(length: int, dtype: torch.dtype, device: torch.device) -> None:
    """With the tiles that are chosen for the GPU. Rounded once, at the end."""
    x, state = inside(1, length, 24, dtype, device), memory(1, 24, 4, dtype, device)
    weight, bias = torch.randn(24, 4, device=device).to(dtype), torch.randn(24, device=device).to(dtype)
    past, law = state.double().mT[:, 1:], state.clone()
    window = torch.cat((past, x.double()), 1).mT
    expected = F.silu(F.conv1d(window, weight.double()[:, None], bias.double(), groups=24)).mT
    y = conv.causal_conv(x, weight, bias, state)
    reference.causal_conv(x, weight, bias, law)
    assert y.dtype == dtype
    # The interpreter cuts bfloat16 off instead of rounding.
    assert error(y, expected) < (8e-3 if dtype == torch.bfloat16 else 1e-3)
    assert torch.equal(state, law)


@pytest.mark.parametrize("cuts", [[0, 1, 2, 3, 11], [0, 8, 11], [0, 3, 10, 11]], ids=str)
@pytest.mark.parametrize("taps", [4, 11])
def test_a_cut(cuts: list[int], taps: int, device: torch.device) -> None:
    """Wherever a sequence is cut, even in pieces shorter than the kernel; more taps than tokens of a tile included."""
    x, weight = inside(1, 11, 6, torch.float32, device), torch.randn(6, taps, device=device)
    whole = memory(1, 6, taps, torch.float32, device)
    state = whole.clone()
    y = conv.conv_in_tiles(x, weight, None, whole, 8, 1, 8, 1)
    parts = [conv.conv_in_tiles(x[:, i:j], weight, None, state, 8, 1, 8, 1) for i, j in pairwise(cuts)]
    assert error(torch.cat(parts, 1), y) < 1e-6
    assert torch.equal(state, whole)


def test_slots_of_a_larger_memory(device: torch.device) -> None:
    """Two of four slots, in either layout: the others stay as they are."""
    x, weight = inside(2, 5, 6, torch.float32, device), torch.randn(6, 4, device=device)
    for slots in (memory(4, 6, 4, torch.float32, device), torch.randn(4, 6, 4, device=device)):
        before, law = slots.clone(), slots[1:3].clone()
        conv.causal_conv(x, weight, None, slots[1:3])
        reference.causal_conv(x, weight, None, law)
        assert torch.equal(slots[1:3], law)
        assert torch.equal(slots[0], before[0]) and torch.equal(slots[3], before[3])
