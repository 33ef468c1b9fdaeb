"""Attention over contexts in memory against its law in fp64: neighbouring and scattered positions, any length, any split."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference
from modeling.memory import KVCache

kernel = pytest.importorskip("modeling.kernels.triton.attention")
Sizes = kernel.Sizes

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 1.5e-2}  # the interpreter cuts bfloat16 off
SMALL = Sizes(16, 16, 4, 1)
HEADS = [(6, 2, 16), (4, 4, 10), (3, 1, 24), (8, 2, 64)]  # h, g, p


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: empty(*args, **kwargs).fill_(torch.nan))


def law(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One row: q (l, h, p), the last of the m positions of k, v (m, g, p)."""
    q, k, v = q.double(), k.double(), v.double()
    (length, h, p), (m, g, _) = q.shape, k.shape
    k, v = (tensor.repeat_interleave(h // g, dim=1) for tensor in (k, v))
    scores = torch.einsum("ihp,jhp->hij", q, k) * p**-0.5
    seen = torch.ones(length, m, dtype=torch.bool, device=q.device).tril_(m - length)
    return torch.einsum("hij,jhp->ihp", scores.masked_fill(~seen, -torch.inf).softmax(-1), v)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def made(rows: int, length: int, heads: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """q and k as views of one tensor, and v."""
    h, g, p = heads
    generator = torch.Generator().manual_seed(length + p)
    qk = torch.randn(rows, length, h + g, p, generator=generator).to(device, dtype)
    v = torch.randn(rows, length, g, p, generator=generator).to(device, dtype)
    return [*qk.split((h, g), dim=2), v]


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("heads", HEADS, ids=str)
@pytest.mark.parametrize("length", [1, 3, 16, 37])
def test_alone(length: int, heads: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    q, k, v = made(2, length, heads, dtype, device)
    found = kernel.attention(q, k, v)
    assert found.dtype == dtype
    for row in range(2):
        assert error(found[row], law(q[row], k[row], v[row])) < TOLERANCE[dtype]


def remembered(
    length: int, pasts: tuple[int, ...], heads: tuple[int, int, int], scattered: bool, dtype: torch.dtype, device: torch.device
) -> tuple[list[Tensor], KVCache, list[tuple[Tensor, Tensor]]]:
    """New q, k, v, a cache that holds the rows' pasts (and NaN elsewhere), and each row's whole k and v."""
    new = made(len(pasts), length, heads, dtype, device)
    _, g, p = heads
    most = max(pasts) + length
    keys, values = (torch.full((len(pasts) * most + 50, g, p), torch.nan, device=device, dtype=dtype) for _ in "kv")
    places = torch.randperm(keys.shape[0])
    rows = [
        (places if scattered else torch.arange(50, keys.shape[0]))[i * most :][: past + length] for i, past in enumerate(pasts)
    ]
    whole = []
    for row, past, k, v in zip(rows, pasts, *new[1:], strict=True):
        before = torch.randn(2, past, g, p).to(device, dtype)
        keys[row[:past].to(device)], values[row[:past].to(device)] = before
        whole.append((torch.cat((before[0], k)), torch.cat((before[1], v))))
    context: list[Any] = [row.to(device) if scattered else slice(int(row[0]), int(row[-1]) + 1) for row in rows]
    written = torch.cat([row[past:] for row, past in zip(rows, pasts, strict=True)]).to(device)
    return new, KVCache(keys, values, written, context), whole


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("scattered", [False, True], ids=["neighbours", "scattered"])
@pytest.mark.parametrize("length", [1, 5, 40])
@pytest.mark.parametrize("heads", HEADS[:2], ids=str)
def test_over_a_past(
    heads: tuple[int, int, int], length: int, scattered: bool, dtype: torch.dtype, device: torch.device
) -> None:
    new, cache, whole = remembered(length, (0, 7, 31), heads, scattered, dtype, device)
    found = kernel.attention(*new, cache)
    for row, (k, v) in enumerate(whole):
        assert error(found[row], law(new[0][row], k, v)) < TOLERANCE[dtype]
        kept = cache.read(row)
        assert torch.equal(kept[0], k)
        assert torch.equal(kept[1], v)


@pytest.mark.parametrize("splits", [1, 2, 5, 8])
@pytest.mark.parametrize("length", [1, 3, 20])
@pytest.mark.parametrize("scattered", [False, True], ids=["neighbours", "scattered"])
def test_every_split(scattered: bool, length: int, splits: int, device: torch.device) -> None:
    """More splits than there are blocks too: those see nothing, and say so."""
    new, cache, whole = remembered(length, (70,), (6, 2, 16), scattered, torch.float32, device)
    kernel.write(*new[1:], cache)
    found = kernel.attend(new[0], cache.keys, cache.values, cache.context[0], SMALL, splits)
    assert error(found[0], law(new[0][0], *whole[0])) < 2e-6


def test_splits_fill_the_device() -> None:
    assert kernel._splits(192, 16, 132) == 1  # 2,048 tokens alone: programs enough, and none of them long
    assert kernel._splits(192, 496, 132) == 2  # after 30,720 others: 192 programs are one round and a half, 384 nearly three
    assert kernel._splits(2, 512, 132) == 64
    assert kernel._splits(2, 3, 132) == 1


def test_large_scores(device: torch.device) -> None:
    q, k, v = made(1, 40, (2, 1, 16), torch.float32, device)
    found = kernel.attention(1000 * q, k, v)
    assert error(found[0], law(1000 * q[0], k[0], v[0])) < 1e-4


def test_a_row_does_not_depend_on_its_neighbours(device: torch.device) -> None:
    q, k, v = made(3, 20, (6, 2, 16), torch.bfloat16, device)
    assert torch.equal(kernel.attention(q[1:2], k[1:2], v[1:2]), kernel.attention(q, k, v)[1:2])


def test_it_takes_the_law_s_arguments(device: torch.device) -> None:
    q, k, v = made(2, 20, (6, 2, 16), torch.float32, device)
    assert error(kernel.attention(q, k, v), reference.attention(q, k, v).double()) < 2e-6
