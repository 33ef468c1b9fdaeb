"""Rows with padding behind their tokens: a kernel does to each slot what the law does with the row alone, and nothing else."""

from __future__ import annotations

from math import inf

import pytest
import torch
from torch import Tensor

from modeling import kernels
from modeling.memory import PAGE, MambaState
from modeling.padded import PaddedKV, PaddedSlots

conv = pytest.importorskip("modeling.kernels.triton.conv")
attention = pytest.importorskip("modeling.kernels.triton.attention")
scan = pytest.importorskip("modeling.kernels.triton.scan")
ssd = pytest.importorskip("modeling.kernels.triton.ssd")

SLOTS, L = 5, 20
ROWS = ((3, 0, 20), (0, 2, 1), (0, 0, 0), (4, 7, 13))  # the third one is none, though it names a slot that another has
SMALL = ssd.Sizes(chunk=16, walk=(16, 16), speak=(16, 16), speak_steps=(16, 16), scores=16)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: empty(*args, **kwargs).fill_(torch.nan))


@pytest.fixture
def rows(device: torch.device) -> Tensor:
    return torch.tensor(ROWS, dtype=torch.int32, device=device)


def noise(*shape: int, device: torch.device) -> Tensor:
    """Of all rows; NaN where the padding is."""
    x = torch.randn(len(ROWS), L, *shape, device=device)
    for row, (_, _, length) in enumerate(ROWS):
        x[row, length:] = torch.nan
    return x


def check(found: Tensor, expected: Tensor, tolerance: float = 3e-6) -> None:
    for row, (_, _, length) in enumerate(ROWS):
        if length:
            error = (found[row, :length] - expected[row, :length]).norm() / expected[row, :length].norm()
            assert error < tolerance


def check_memory(found: Tensor, expected: Tensor, before: Tensor) -> None:
    assert (found - expected).norm() / expected.norm() < 3e-6
    assert not torch.equal(found, before)
    for slot in (1, 2):
        assert torch.equal(found[slot], before[slot])


def test_convolution(rows: Tensor, device: torch.device) -> None:
    """More tiles than a short row has, and fewer tokens than taps."""
    x, weight, bias = noise(24, device=device), torch.randn(24, 4, device=device), torch.randn(24, device=device)
    ours = MambaState.zeros(SLOTS, conv=(24, 4), ssm=(1,), dtype=torch.float32, device=device).conv.normal_()
    before, law = ours.clone(), ours.clone()
    y = conv.conv_in_tiles(x, weight, bias, PaddedSlots(ours, rows), 8, 1, 16, 1)
    check(y, kernels.causal_conv(x, weight, bias, PaddedSlots(law, rows)))
    check_memory(ours, law, before)


def test_scan(rows: Tensor, device: torch.device) -> None:
    e, n = 11, 3
    x, dt, z = (noise(e, device=device) for _ in range(3))
    B, C = noise(n, device=device), noise(n, device=device)
    rest = (-torch.rand(e, n, device=device), B, C, torch.randn(e, device=device), torch.randn(e, device=device) - 2, z)
    ours = torch.randn(SLOTS, e, n, device=device)
    before, law = ours.clone(), ours.clone()
    y = scan.scan_in_tiles(x, dt, *rest, PaddedSlots(ours, rows), scan.Tile(warps=1, groups=1, lanes=4, tokens=4))
    check(y, kernels.selective_scan(x, dt, *rest, PaddedSlots(law, rows)))
    check_memory(ours, law, before)


def test_ssd(rows: Tensor, device: torch.device) -> None:
    """Two chunks, of which a short row has the beginning of one."""
    h, p, g, n = 4, 16, 2, 20
    x, dt = noise(h, p, device=device), noise(h, device=device)
    A, B, C = -torch.rand(h, device=device) * 4, noise(g, n, device=device), noise(g, n, device=device)
    rest = (A, B, C, torch.randn(h, device=device), torch.randn(h, device=device) - 2, (0.0, inf))
    ours = torch.randn(SLOTS, h, p, n, device=device)
    before, law = ours.clone(), ours.clone()
    y = ssd.ssd_in_chunks(x, dt, *rest, PaddedSlots(ours, rows), SMALL)
    check(y, kernels.ssd(x, dt, *rest, PaddedSlots(law, rows)), 1e-5)
    check_memory(ours, law, before)


@pytest.mark.parametrize("splits", [1, 3, 8])
def test_attention(splits: int, device: torch.device) -> None:
    """Contexts that begin within a page or cross into the next one, pages in any order, NaN in all others."""
    rows = torch.tensor([(3, PAGE - 5, 20), (0, 0, 0), (1, 0, 3), (2, PAGE + 9, 11)], dtype=torch.int32, device=device)
    pages = torch.tensor([(6, 2), (0, 0), (7, 0), (5, 1)], dtype=torch.int32, device=device)
    h, g, p = 4, 2, 16
    q, k, v = (torch.randn(4, L, heads, p, device=device) for heads in (h, g, g))
    ours = [torch.full((9 * PAGE, g, p), torch.nan, device=device) for _ in "kv"]
    for row, (_, start, length) in enumerate(rows.tolist()):
        past = (pages[row].long()[:, None] * PAGE + torch.arange(PAGE, device=device)).flatten()[:start]
        for tensor in ours:
            tensor[past] = torch.randn(start, g, p, device=device)
        for tensor in (q, k, v):
            tensor[row, length:] = torch.nan
    laws = [tensor.clone() for tensor in ours]
    cache = PaddedKV(*ours, rows, pages)
    attention.write(k, v, cache)
    found = attention.attend(q, *ours, cache, attention.Sizes(64, 64, 4, 1), splits)
    expected = kernels.attention(q, k, v, PaddedKV(*laws, rows, pages))
    for row, (_, _, length) in enumerate(rows.tolist()):
        if length:
            error = (found[row, :length] - expected[row, :length]).norm() / expected[row, :length].norm()
            assert error < 3e-6
    for mine, law in zip(ours, laws, strict=True):
        assert torch.equal(mine.nan_to_num(), law.nan_to_num()) and torch.equal(mine.isnan(), law.isnan())
