"""One new query per row against its whole past, which lies in pages: decode attention, its positions split over programs.

    attend   (row, group of heads, split) → softmax over the split's share of the positions, and the logarithm of its sum
    merge    (row, head) → the splits' results, weighed by those sums

The number of splits is fixed and the length is read on the device, so a captured graph stays valid while a context grows: each
split takes its share of the blocks there are, and one without a block ends at once. All query heads of a group ask together, so
that keys and values are read once. Split 0 also turns the new key, stores it with the new value, and starts its softmax by
them: nobody reads what this kernel writes.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import overlaps, release, wait
from modeling.kernels.triton.rows import INTERPRETED, comb, dot

LOG2_E = 1.4426950408889634
MERGED = 32  # columns of one head in a program of `merge`


@dataclass(frozen=True, slots=True)
class Past:
    """One layer's keys, values (pages · size, g, p) and where each slot's lie: `pages` (slots, m) int32, the page of positions
    j·size … (j+1)·size−1 in column j; `lengths` (slots) int32, the position of the new token; `active` (slots) int32."""

    keys: Tensor
    values: Tensor
    pages: Tensor
    lengths: Tensor
    active: Tensor
    size: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """So many splits (a power of two), each in blocks of so many positions (a power of two ≥ 16 that divides a page). `early`:
    the first block is fetched before the previous kernel has ended."""

    splits: int
    positions: int
    warps: int = 4
    stages: int = 4
    early: bool = True


@dataclass(frozen=True, slots=True)
class Scratch:
    """What the splits hand on: partial (b, h, splits, p) fp32, each a softmax of its own; sums (b, h, splits) fp32, log₂ of its
    denominator."""

    partial: Tensor
    sums: Tensor

    @classmethod
    def empty(cls, rows: int, heads: int, width: int, sizes: Sizes, device: torch.device) -> Scratch:
        shape = (rows, heads, sizes.splits)
        return cls(
            torch.empty(*shape, width, dtype=torch.float32, device=device),
            torch.empty(shape, dtype=torch.float32, device=device),
        )


def choose(rows: int, past: Past) -> Sizes:
    """Block sizes by shape, as measured (benchmarks/gpu/decode_falcon_h1.py)."""
    g, p = past.keys.shape[1:]
    narrow = past.keys.dtype == torch.float32 or p > 128
    positions = 32 if narrow else 64
    most = past.pages.shape[1] * past.size // positions  # blocks of the longest context
    splits = min(max(2, triton.next_power_of_2(max(1, 256 // (rows * g)))), triton.next_power_of_2(most))
    return Sizes(splits, positions, stages=2 if narrow or rows == 1 else 3, early=rows == 1)


def frequencies(width: int, theta: float, device: torch.device) -> Tensor:
    """θ^(−2i/p) (p/2) fp32, by which each pair turns from one position to the next."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
    return 1.0 / theta**exponents


def attend(projected: Tensor, first: int, heads: int, past: Past, turns: Tensor, scratch: Scratch, sizes: Sizes) -> None:
    """projected (b, width) holds q (h·p), k (g·p) and v (g·p) from column `first` on, not turned yet; `turns` as `frequencies`.

    Active rows get the new key and value stored at their position.
    """
    arguments = attend_arguments(projected, first, heads, past, turns, scratch, sizes)
    pdl = overlaps(projected.device)
    grid = (attend_programs(projected.shape[0], past, sizes),)
    _attend[grid](**arguments, PDL=pdl, num_warps=sizes.warps, launch_pdl=pdl)


def merge(scratch: Scratch, past: Past, out: Tensor, sizes: Sizes, multiplier: float = 1.0, combed: bool = False) -> None:
    """out (b, h·p), times `multiplier`, `combed` or not."""
    pdl = overlaps(out.device)
    arguments = merge_arguments(scratch, past, out, sizes, multiplier, combed)
    _merge[(merge_programs(scratch),)](**arguments, PDL=pdl, num_warps=4, launch_pdl=pdl)


def attend_programs(rows: int, past: Past, sizes: Sizes) -> int:
    return rows * past.keys.shape[1] * sizes.splits


def merge_programs(scratch: Scratch) -> int:
    b, h, _, p = scratch.partial.shape
    return int(b * h * triton.cdiv(p, MERGED))


def attend_arguments(
    projected: Tensor, first: int, heads: int, past: Past, turns: Tensor, scratch: Scratch, sizes: Sizes
) -> dict[str, Any]:
    g, p = past.keys.shape[1:]
    return {
        "projected": projected, "keys": past.keys, "values": past.values, "pages": past.pages, "lengths": past.lengths,
        "active": past.active, "turns": turns, "partial": scratch.partial, "sums": scratch.sums, "scale": p**-0.5 * LOG2_E,
        "reach": past.pages.shape[1], "PAGE": past.size, "WIDTH": projected.shape[1], "FIRST": first, "H": heads, "G": g,
        "P": p, "P_WIDE": max(16, triton.next_power_of_2(p)), "ASKING": max(16, triton.next_power_of_2(heads // g)),
        "SPLITS": sizes.splits, "POSITIONS": sizes.positions, "STAGES": sizes.stages, "EARLY": sizes.early,
    }  # fmt: skip


def merge_arguments(
    scratch: Scratch, past: Past, out: Tensor, sizes: Sizes, multiplier: float = 1.0, combed: bool = False
) -> dict[str, Any]:
    _, h, splits, p = scratch.partial.shape
    return {
        "partial": scratch.partial, "sums": scratch.sums, "lengths": past.lengths, "active": past.active, "attended": out,
        "out_multiplier": multiplier, "H": h, "P": p, "SPLITS": splits, "POSITIONS": sizes.positions, "COLUMNS": MERGED,
        "MERGED_COMBED": combed,
    }  # fmt: skip


@triton.jit
def _attend(
    projected, keys, values, pages, lengths, active, turns, partial, sums, scale, reach,
    PAGE: tl.constexpr, WIDTH: tl.constexpr, FIRST: tl.constexpr, H: tl.constexpr, G: tl.constexpr, P: tl.constexpr,
    P_WIDE: tl.constexpr, ASKING: tl.constexpr, SPLITS: tl.constexpr, POSITIONS: tl.constexpr, STAGES: tl.constexpr,
    EARLY: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    release(PDL)
    attend_split(
        tl.program_id(0), projected, keys, values, pages, lengths, active, turns, partial, sums, scale, reach,
        PAGE, WIDTH, FIRST, H, G, P, P_WIDE, ASKING, SPLITS, POSITIONS, STAGES, EARLY, PDL,
    )  # fmt: skip


@triton.jit
def _merge(
    partial, sums, lengths, active, attended, out_multiplier, H: tl.constexpr, P: tl.constexpr, SPLITS: tl.constexpr,
    POSITIONS: tl.constexpr, COLUMNS: tl.constexpr, MERGED_COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    release(PDL)
    merge_head(
        tl.program_id(0), partial, sums, lengths, active, attended, out_multiplier, H, P, SPLITS, POSITIONS, COLUMNS,
        MERGED_COMBED, PDL,
    )  # fmt: skip


@triton.jit
def _past(lengths, active, row, SPLITS: tl.constexpr, POSITIONS: tl.constexpr):
    """Of one row: is it active, its tokens so far (none of a row that is not active), their blocks, the splits at work."""
    writes = tl.load(active + row) != 0
    length = tl.where(writes, tl.load(lengths + row), 0)
    blocks = tl.cdiv(length, POSITIONS)
    return writes, length, blocks, tl.maximum(1, tl.minimum(SPLITS, blocks))


@triton.jit
def attend_split(
    program, projected, keys, values, pages, lengths, active, turns, partial, sums, scale, reach,
    PAGE: tl.constexpr, WIDTH: tl.constexpr, FIRST: tl.constexpr, H: tl.constexpr, G: tl.constexpr, P: tl.constexpr,
    P_WIDE: tl.constexpr, ASKING: tl.constexpr, SPLITS: tl.constexpr, POSITIONS: tl.constexpr, STAGES: tl.constexpr,
    EARLY: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """The ASKING query heads of a group (H/G of them real) over one split of one row.

    What lies in pages was written a step ago, so the first block is on its way before this step's q is there (EARLY).
    """
    split, group, row = program % SPLITS, program // SPLITS % G, program // (SPLITS * G)
    writes, length, blocks, working = _past(lengths, active, row, SPLITS, POSITIONS)
    table = pages + row * reach
    begin = tl.where(split < working, split * blocks // working, 0)
    end = tl.where(split < working, (split + 1) * blocks // working, 0)
    first = begin
    if EARLY:
        page = _page(table, begin, end, PAGE, POSITIONS)
        past = tl.where(begin < end, length, 0)
        k_0, v_0, valid_0 = _block(keys, values, page, begin, past, group, PAGE, G, P, P_WIDE, POSITIONS)
        first = begin + 1
    i = tl.arange(0, P_WIDE)
    cos, sin = _rotation(turns, length, i, P, projected.dtype.element_ty)
    wait(PDL)
    if split < working:
        j = tl.arange(0, ASKING)[:, None]
        here = projected + row * WIDTH + FIRST
        q = _turned(here + (group * (H // G) + j) * P, i[None, :], cos[None, :], sin[None, :], j < H // G, P)
        of_group = group * P + i
        new_k = _turned(here + H * P + group * P, i, cos, sin, i < P, P)
        new_v = tl.load(here + (H + G) * P + of_group, mask=i < P, other=0.0)
        opens = split == 0
        newest = tl.load(table + length // PAGE, mask=opens & writes, other=0).to(tl.int64)
        at = (newest * PAGE + length % PAGE) * (G * P) + of_group
        tl.store(keys + at, new_k, mask=(i < P) & opens & writes)
        tl.store(values + at, new_v, mask=(i < P) & opens & writes)

        score = tl.sum(q.to(tl.float32) * new_k.to(tl.float32)[None, :], axis=1) * scale
        top = tl.where(opens, score, float("-inf"))
        total = tl.where(opens, tl.full((ASKING,), 1.0, tl.float32), 0.0)
        acc = tl.where(opens, tl.zeros((ASKING, 1), tl.float32) + new_v.to(tl.float32)[None, :], 0.0)
        if EARLY:
            top, total, acc = _attend_block(q, k_0, v_0, valid_0, top, total, acc, scale)
        if INTERPRETED:  # there, no range is made of what was worked out
            block = first
            while block < end:
                page = _page(table, block, end, PAGE, POSITIONS)
                k, v, valid = _block(keys, values, page, block, length, group, PAGE, G, P, P_WIDE, POSITIONS)
                top, total, acc = _attend_block(q, k, v, valid, top, total, acc, scale)
                block += 1
        else:
            for block in tl.range(first, end, num_stages=STAGES):
                page = _page(table, block, end, PAGE, POSITIONS)
                k, v, valid = _block(keys, values, page, block, length, group, PAGE, G, P, P_WIDE, POSITIONS)
                top, total, acc = _attend_block(q, k, v, valid, top, total, acc, scale)

        to = (row * H + group * (H // G) + tl.arange(0, ASKING)).to(tl.int64) * SPLITS + split
        tl.store(sums + to, top + tl.log2(total), mask=tl.arange(0, ASKING) < H // G)
        tl.store(partial + to[:, None] * P + i[None, :], acc / total[:, None], mask=(j < H // G) & (i < P)[None, :])


@triton.jit
def _rotation(turns, position, i, P: tl.constexpr, DTYPE: tl.constexpr):
    """cos and ±sin of the pairs that i belongs to, rounded as `layers.attention.rotation` rounds them."""
    angle = position.to(tl.float32) * tl.load(turns + i % (P // 2), mask=i < P, other=0.0)
    sin = tl.sin(angle)
    sin = tl.where(i < P // 2, -sin, sin)
    return tl.cos(angle).to(DTYPE).to(tl.float32), sin.to(DTYPE).to(tl.float32)


@triton.jit
def _turned(x, i, cos, sin, real, P: tl.constexpr):
    """The heads at x turned by their angles, rounded as `reference.rotary` rounds."""
    mine = tl.load(x + i, mask=real & (i < P), other=0.0)
    other = tl.load(x + (i + P // 2) % P, mask=real & (i < P), other=0.0).to(tl.float32)
    along = (mine.to(tl.float32) * cos).to(mine.dtype).to(tl.float32)
    return (along + other * sin).to(mine.dtype)


@triton.jit
def _page(table, block, end, PAGE: tl.constexpr, POSITIONS: tl.constexpr):
    """The page in which a block lies, of those before `end`.

    A loop's loads run ahead of it through shared memory; an ordinary load would join them there, and they would wait for it.
    """
    at = table + tl.maximum(tl.minimum(block, end - 1), 0) * POSITIONS // PAGE
    if INTERPRETED:
        page = tl.load(at)
    else:
        page = tl.inline_asm_elementwise(
            "ld.global.nc.b32 $0, [$1];", "=r,l", [at.to(tl.int64)], dtype=tl.int32, is_pure=True, pack=1
        )
    return page.to(tl.int64)


@triton.jit
def _block(
    keys, values, page, block, length, group,
    PAGE: tl.constexpr, G: tl.constexpr, P: tl.constexpr, P_WIDE: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """Keys and values (POSITIONS, P_WIDE) of a block, and which of its positions count."""
    start = block * POSITIONS
    t, i = tl.arange(0, POSITIONS), tl.arange(0, P_WIDE)
    valid = start + t < length
    at = (page * PAGE + start % PAGE) * (G * P) + group * P + t[:, None] * (G * P) + i[None, :]
    inside = valid[:, None]
    if P < P_WIDE:
        inside = inside & (i < P)[None, :]
    k = tl.load(keys + at, mask=inside, other=0.0, eviction_policy="evict_first")
    v = tl.load(values + at, mask=inside, other=0.0, eviction_policy="evict_first")
    return k, v, valid


@triton.jit
def _attend_block(q, k, v, valid, top, total, acc, scale):
    """One more block of the running softmax: its largest score, its sum and its weighed values (ASKING, P_WIDE)."""
    scores = dot(q, tl.trans(k), tl.zeros((q.shape[0], k.shape[0]), tl.float32)) * scale
    scores = tl.where(valid[None, :], scores, float("-inf"))
    new_top = tl.maximum(top, tl.max(scores, axis=1))
    weights = tl.exp2(scores - new_top[:, None])
    shrink = tl.exp2(top - new_top)
    acc = dot(weights.to(v.dtype), v, acc * shrink[:, None])
    return new_top, total * shrink + tl.sum(weights, axis=1), acc


@triton.jit
def merge_head(
    program, partial, sums, lengths, active, attended, out_multiplier, H: tl.constexpr, P: tl.constexpr, SPLITS: tl.constexpr,
    POSITIONS: tl.constexpr, COLUMNS: tl.constexpr, MERGED_COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """COLUMNS of one head of one row."""
    PARTS: tl.constexpr = (P + COLUMNS - 1) // COLUMNS
    head = program // PARTS  # of all rows' heads
    _, _, _, working = _past(lengths, active, head // H, SPLITS, POSITIONS)
    s, i = tl.arange(0, SPLITS), program % PARTS * COLUMNS + tl.arange(0, COLUMNS)
    of_head = head.to(tl.int64) * SPLITS + s
    wait(PDL)
    found = tl.load(sums + of_head, mask=s < working, other=float("-inf"))
    each = tl.load(partial + of_head[:, None] * P + i[None, :], mask=(s < working)[:, None] & (i < P)[None, :], other=0.0)
    weights = tl.exp2(found - tl.max(found))
    y = tl.sum(each * weights[:, None], axis=0) / tl.sum(weights) * out_multiplier
    row, at = head // H, head % H * P + i
    to = row.to(tl.int64) * (H * P) + comb(at, H * P, MERGED_COMBED)
    tl.store(attended + to, y.to(attended.dtype.element_ty), mask=i < P)
