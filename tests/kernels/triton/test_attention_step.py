"""Decode attention over pages against the law in fp64: any length, any order of pages, any number of splits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference
from modeling.layers.attention import rotation

attention_step = pytest.importorskip("modeling.kernels.triton.attention_step")
Past, Scratch, Sizes = attention_step.Past, attention_step.Scratch, attention_step.Sizes

PAGE = 32  # small, so that short contexts have many
Heads = tuple[int, int, int]  # h, g, p
FIRST = 7  # where q begins: something else lies before it
THETA = 1e4
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}  # the interpreter cuts bfloat16 off
LENGTHS = (0, 5, 70, 32)


def made(heads: Heads, lengths: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Past]:
    """Rows of `lengths` tokens, their pages shuffled and NaN wherever nothing was written; what the input products give."""
    h, g, p = heads
    generator = torch.Generator().manual_seed(h + p)
    most = max(lengths) // PAGE + 1
    numbers = torch.randperm(len(lengths) * most, generator=generator).view(len(lengths), most).int()
    memory = [torch.full((numbers.numel() * PAGE, g, p), torch.nan) for _ in "kv"]
    for row, length in enumerate(lengths):
        for part in memory:
            part[places(numbers[row], length)] = torch.randn(length, g, p, generator=generator)
    projected = torch.randn(len(lengths), FIRST + (h + 2 * g) * p + 3, generator=generator)
    keys, values = (part.to(device, dtype) for part in memory)
    positions = torch.tensor(lengths, dtype=torch.int32, device=device)
    past = Past(keys, values, numbers.to(device), positions, torch.ones_like(positions), PAGE)
    return projected.to(device, dtype), past


def places(pages: Tensor, length: int) -> Tensor:
    """Where a row's tokens lie."""
    return (pages.cpu().long()[:, None] * PAGE + torch.arange(PAGE)).flatten()[:length]


def law(projected: Tensor, heads: Heads, past: Past, row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of one row: the output (h·p) in fp64, and the new key and value (g, p)."""
    h, g, p = heads
    length = int(past.lengths[row])
    angles = rotation(torch.tensor([[length]], device=projected.device), p, THETA, projected.dtype)
    q, k, v = projected[row, FIRST : FIRST + (h + 2 * g) * p].view(1, 1, -1, p).split((h, g, g), dim=2)
    q, k = reference.rotary(q, *angles)[0, 0], reference.rotary(k, *angles)[0, 0]
    rows = places(past.pages[row], length).to(projected.device)
    keys, values = (torch.cat((part[rows], new)).double() for part, new in ((past.keys, k[None]), (past.values, v[0])))
    scores = torch.einsum("grp,tgp->grt", q.double().view(g, h // g, p), keys) * p**-0.5
    return torch.einsum("grt,tgp->grp", scores.softmax(-1), values).flatten(), k, v[0, 0]


def run(projected: Tensor, heads: Heads, past: Past, sizes: Sizes) -> Tensor:
    h, _, p = heads
    rows, device = projected.shape[0], projected.device
    scratch = Scratch.empty(rows, h, p, sizes, device)
    scratch.partial.fill_(torch.nan), scratch.sums.fill_(torch.nan)
    out = torch.full((rows, h * p), torch.nan, dtype=projected.dtype, device=device)
    turns = attention_step.frequencies(p, THETA, device)
    attention_step.attend(projected, FIRST, h, past, turns, scratch, sizes)
    attention_step.merge(scratch, past, out, sizes)
    return out


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize(
    ("heads", "dtype"),
    [
        ((6, 2, 16), torch.bfloat16),
        ((6, 2, 16), torch.float16),
        ((3, 1, 10), torch.float32),
        ((4, 4, 36), torch.float32),
        ((12, 2, 128), torch.float32),
    ],
)
def test_every_length(heads: Heads, dtype: torch.dtype, device: torch.device) -> None:
    projected, past = made(heads, LENGTHS, dtype, device)
    expected = [law(projected, heads, past, row) for row in range(len(LENGTHS))]
    before = past.keys.clone(), past.values.clone()
    out = run(projected, heads, past, Sizes(4, 16))
    written = []
    for row, (result, k, v) in enumerate(expected):
        assert error(out[row], result) < TOLERANCE[dtype]
        written.append(int(places(past.pages[row], LENGTHS[row] + 1)[-1]))
        assert error(past.keys[written[-1]], k) < TOLERANCE[dtype]
        assert torch.equal(past.values[written[-1]], v)
    for found, start in zip((past.keys, past.values), before, strict=True):
        found[written] = start[written]
        assert torch.equal(found.nan_to_num(nan=9.0), start.nan_to_num(nan=9.0))  # nothing else was touched


@pytest.mark.parametrize(("splits", "positions"), [(1, 16), (2, 32), (8, 16), (4, 16)])
def test_any_number_of_splits(splits: int, positions: int, device: torch.device) -> None:
    heads = (6, 2, 16)
    projected, past = made(heads, (15, 16, 17, 100), torch.float32, device)
    expected = torch.stack([law(projected, heads, past, row)[0] for row in range(4)])
    assert error(run(projected, heads, past, Sizes(splits, positions)), expected) < 2e-6


def test_rows_that_are_not_active(device: torch.device) -> None:
    """Their lengths and pages may be anything; nothing is written for them, and the others do not see them."""
    heads = (4, 2, 16)
    projected, past = made(heads, (40, 33, 65), torch.float32, device)
    expected = law(projected, heads, past, 0)[0]
    past.active[1:] = 0
    past.pages[1:] = 2**30
    past.lengths[1:] = 2**30
    projected[1:] = 100.0
    keys = past.keys.clone()
    out = run(projected, heads, past, Sizes(4, 16))
    assert error(out[0], expected) < 2e-6
    assert int((past.keys.nan_to_num(nan=9.0) != keys.nan_to_num(nan=9.0)).any(dim=(1, 2)).sum()) == 1


def test_far_positions(device: torch.device) -> None:
    """The angle is worked out in fp32 as the law does, however many turns that is."""
    for position in (1, 1000):
        heads = (1, 1, 8)
        projected, past = made(heads, (0,), torch.float32, device)
        pages = torch.zeros(1, position // PAGE + 1, dtype=torch.int32, device=device)
        past = Past(past.keys, past.values, pages, past.lengths.fill_(position), past.active, PAGE)
        past.keys.zero_(), past.values.zero_()
        key = law(projected, heads, past, 0)[1]
        sizes, turns = Sizes(64, 32), attention_step.frequencies(8, THETA, device)
        attention_step.attend(projected, FIRST, 1, past, turns, Scratch.empty(1, 1, 8, sizes, device), sizes)
        assert error(past.keys[position % PAGE], key) < 1e-6


def test_sizes(device: torch.device) -> None:
    """Splits are a power of two that the longest context can use, and fewer for many rows."""
    for rows in (1, 3, 64):
        for pages in (1, 2, 1000):
            table = torch.zeros(rows, pages, dtype=torch.int32)
            keys = torch.zeros(256, 2, 16, dtype=torch.bfloat16)
            sizes = attention_step.choose(rows, Past(keys, keys, table, table[:, 0], table[:, 0], 256))
            assert sizes.splits & (sizes.splits - 1) == 0
            assert 256 % sizes.positions == 0
            assert sizes.splits <= 256 * pages // sizes.positions
