"""Where the reference operations could go wrong beside their equations: cuts, unwritten memory, gradients at zero decay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from modeling.kernels import reference
from modeling.memory import KVCache


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def cuts(length: int) -> Iterator[list[slice]]:
    """In two, single tokens last, and all tokens single."""
    yield [slice(0, length // 2), slice(length // 2, length)]
    yield [slice(0, length - 3), *(slice(i, i + 1) for i in range(length - 3, length))]
    yield [slice(i, i + 1) for i in range(length)]


@pytest.mark.parametrize("length", [4, 9, 66])
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 70])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_cut_convolution(length: int, taps: int, dtype: torch.dtype) -> None:
    """Its state is the inputs themselves, to the bit, in either layout; even for a kernel longer than the sequence."""
    x, weight, bias = torch.randn(2, length, 6).to(dtype), torch.randn(6, taps).to(dtype), torch.randn(6).to(dtype)
    past = torch.randn(2, 6, taps).to(dtype)
    whole_state = past.clone()
    whole = reference.causal_conv(x, weight, bias, whole_state)
    assert torch.equal(whole_state, torch.cat((past, x.mT), dim=2)[:, :, -taps:])
    for parts in cuts(length):
        for state in (past.clone(), past.mT.contiguous().mT):
            y = torch.cat([reference.causal_conv(x[:, part], weight, bias, state) for part in parts], dim=1)
            assert torch.equal(state, whole_state)
            assert y.dtype == dtype
            tolerance = 2**-6 if dtype == torch.bfloat16 else 1e-5
            assert (y - whole).abs().max() <= tolerance * whole.abs().max()


@pytest.mark.parametrize("t", [1, 2, 3, 4, 5, 8, 13])
def test_gradient_of_the_recurrence(t: int) -> None:
    """By a and by u, each alone and both, where decays are exactly zero, too: nothing is divided by them."""
    a, u = torch.rand(2, t, 2).double(), torch.randn(2, t, 2).double()
    a[:, 1::3] = 0.0
    for wanted in ((True, True), (True, False), (False, True)):
        leaves = [x.clone().requires_grad_(on) for x, on in zip((a, u), wanted, strict=True)]
        assert torch.autograd.gradcheck(lambda a, u: reference.linear_recurrence(a * 1.0, u * 1.0), leaves)


def test_attention_never_sees_unwritten_positions() -> None:
    """Pages are handed out as they are: what lies behind a row's last position may be NaN."""
    keys, values = torch.full((16, 2, 4), torch.nan), torch.full((16, 2, 4), torch.nan)
    for start, length in ((0, 3), (3, 1), (4, 5)):
        cache = KVCache(keys, values, torch.arange(start, start + length), [slice(0, start + length)])
        q, k, v = (torch.randn(1, length, heads, 4) for heads in (6, 2, 2))
        assert reference.attention(q, k, v, cache).isfinite().all()
    assert keys[9:].isnan().all()
