"""Causal attention of many queries over a context in memory, in one pass over the keys (Dao 2023).

All query heads of a group ask together: a program's rows are (query, head) pairs, so that keys and values are read once for
all of them, few tokens still make full tiles, and a block of rows spans few positions: all but the last block of keys are seen
whole. Where that leaves processors idle, a context is split over programs, and a second kernel weighs their results by the
logarithms of their sums.

A context is a run of neighbouring positions or a list of them (`KVCache.context`), or stands in a block table on the device
(`PaddedKV`); a block of keys then lies within one page. cuDNN's kernel, which torch takes on Hopper,
is faster over long runs (84 % of the matmul rate against 60 % over 32,768 positions, the same up to 2,048), but it spends 41 ms
on the plan for every new pair of lengths, and half a second on the first: more than a prompt takes.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import cdiv, power_of_two, row_of
from modeling.kernels.triton.rows import INTERPRETED, dot
from modeling.kernels.triton.ssd import roomy
from modeling.memory import PAGE, KVCache
from modeling.padded import PaddedKV

LOG2_E = 1.4426950408889634
MERGED = 64  # (pair, split) rows of a program of `merge`, so the most splits
LEAST_BLOCKS = 4  # of keys, in a split
COLUMNS = 32  # of a program of `merge`
TOKENS = 16  # of a program of `write`


@dataclass(frozen=True, slots=True)
class Sizes:
    """So many rows, (query, head) pairs, and keys at a time: powers of two ≥ 16."""

    rows: int
    keys: int
    warps: int
    stages: int


def choose(q: Tensor, heads_a_group: int) -> Sizes:
    """Block sizes for q (b, l, h, p), as measured (benchmarks/gpu/prefill_falcon_h1.py)."""
    pairs, p = q.shape[1] * heads_a_group, q.shape[-1]
    if q.dtype == torch.float32 or p > 128:
        return Sizes(32 if pairs > 16 else 16, 32, 4, 1)
    stages = 3 if roomy(q.device) else 2
    if pairs <= 64:
        return Sizes(16 if pairs <= 16 else 64, 64, 4, stages)
    return Sizes(128, 64, 8, stages)


def attention(q: Tensor, k: Tensor, v: Tensor, cache: KVCache | PaddedKV | None = None) -> Tensor:
    """The twin of `reference.attention`: q (b, l, h, p); k, v (b, l, g, p) → (b, l, h, p), contiguous."""
    sizes = choose(q, q.shape[2] // k.shape[2])
    if cache is None:
        return attend(q, k, v, slice(0, k.shape[1]), sizes)
    write(k, v, cache)
    if isinstance(cache, PaddedKV):
        return attend(q, cache.keys, cache.values, cache, sizes)
    if q.shape[0] == 1:
        return attend(q, cache.keys, cache.values, cache.context[0], sizes)
    return torch.cat(
        [attend(q[i : i + 1], cache.keys, cache.values, context, sizes) for i, context in enumerate(cache.context)]
    )


def write(k: Tensor, v: Tensor, cache: KVCache | PaddedKV) -> None:
    """`cache.write`, both at once."""
    to = (cache.pages, cache.rows, cache.pages.shape[1]) if isinstance(cache, PaddedKV) else (cache.written, None, 0)
    k, v = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (k, v))
    b, length, g, p = k.shape
    _write[(cdiv(length, TOKENS), b)](
        *(k, v, cache.keys, cache.values, *to, length, *k.stride()[:3], *v.stride()[:3]),
        *(g, p, TOKENS, power_of_two(g * p), PAGE),
        num_warps=4,
    )


def attend(
    q: Tensor, keys: Tensor, values: Tensor, context: slice | Tensor | PaddedKV, sizes: Sizes, splits: int = 0
) -> Tensor:
    """q (b, l, h, p) are the last positions of `context`, which says where in keys, values ((b,) m, g, p) they all lie.

    0 `splits`: as many as are worth it.
    """
    q, keys, values = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (q, keys, values))
    b, length, h, p = q.shape
    g = keys.shape[-2]
    places, page, rows, first, m = _places(context, q)
    blocks = cdiv(length * (h // g), sizes.rows)
    programs = blocks * g * (1 if rows is None else b)
    splits = splits or _splits(programs, cdiv(m - length // 2, sizes.keys), _processors(q.device))
    out = torch.empty((b, length, h, p), dtype=q.dtype, device=q.device)
    partial, sums = out, out
    if splits > 1:
        partial = torch.empty((b, length, h, splits, p), dtype=torch.float32, device=q.device)
        sums = torch.empty((b, length, h, splits), dtype=torch.float32, device=q.device)
    k_row, v_row = (tensor.stride(0) if tensor.dim() == 4 else 0 for tensor in (keys, values))
    _attend[(blocks, g * splits, b)](
        *(q, keys, values, places, rows, partial, sums, length, m, first, splits, p**-0.5 * LOG2_E),
        *(h, *q.stride()[:3], k_row, *keys.stride()[-3:-1], v_row, *values.stride()[-3:-1]),
        *(h // g, p, max(16, power_of_two(p)), sizes.rows, sizes.keys, page, splits > 1, sizes.stages),
        num_warps=sizes.warps,
    )
    if splits > 1:
        lanes = power_of_two(splits)
        pairs, count = MERGED // lanes, b * length * h
        _merge[(cdiv(count, pairs), cdiv(p, COLUMNS))](
            *(partial, sums, out, count, splits), P=p, PAIRS=pairs, SPLITS=lanes, COLUMNS=COLUMNS, num_warps=4
        )
    return out


def _places(context: slice | Tensor | PaddedKV, q: Tensor) -> tuple[Tensor, int, Tensor | None, int, int]:
    """Where a context lies: a table of pages, how many positions each has (0: there is no table), `PaddedKV.rows`, where it
    begins, and how long it is at the most."""
    if isinstance(context, PaddedKV):
        return context.pages, PAGE, context.rows, 0, context.pages.shape[1] * PAGE
    if isinstance(context, Tensor):
        return context, 1, None, 0, context.shape[0]
    return q, 0, None, context.start, context.stop - context.start


@lru_cache(1024)
def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 4


@lru_cache(1024)
def _splits(programs: int, blocks: int, processors: int) -> int:
    """Of a context of so many blocks, for each of so many programs: those of one sequence, whatever the others in the batch do,
    but in a block table, where a batch has one shape.

    Time is counted in blocks: rounds of programs times what one of them does, and the merge.
    """

    def time(splits: int) -> float:
        merge = 10 + programs * splits / 32 if splits > 1 else 0
        return float(-(-programs * splits // processors) * (blocks / splits + 6) + merge)

    return min(range(1, max(1, min(MERGED, blocks // LEAST_BLOCKS)) + 1), key=time)


@triton.jit(do_not_specialize=["m", "length"])
def _write(
    k,  # (b, l, g, p)
    v,  # (b, l, g, p)
    keys,  # (positions, g, p)
    values,  # (positions, g, p)
    places,  # (b · l): positions; or with rows (b, m): pages
    rows,  # (b, 3), or none: all rows have `length` tokens
    m,
    length,
    k_row,
    k_token,
    k_group,
    v_row,
    v_token,
    v_group,
    G: tl.constexpr,
    P: tl.constexpr,
    TOKENS: tl.constexpr,
    WIDTH: tl.constexpr,
    PAGE: tl.constexpr,
):
    t, i, row = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS), tl.arange(0, WIDTH), tl.program_id(1).to(tl.int64)
    if rows is None:
        to = tl.load(places + row * length + t, mask=t < length, other=0).to(tl.int64)
    else:
        _, start, length = row_of(rows, row)
        page = tl.load(places + row * m + (start + t) // PAGE, mask=t < length, other=0)
        to = page.to(tl.int64) * PAGE + (start + t) % PAGE
    to = to[:, None] * (G * P) + i[None, :]
    inside = (t < length)[:, None] & (i < G * P)[None, :]
    t = t.to(tl.int64)[:, None]
    group, p = (i // P)[None, :], (i % P)[None, :]
    tl.store(keys + to, tl.load(k + row * k_row + t * k_token + group * k_group + p, mask=inside, other=0.0), mask=inside)
    tl.store(values + to, tl.load(v + row * v_row + t * v_token + group * v_group + p, mask=inside, other=0.0), mask=inside)


@triton.jit(do_not_specialize=["length", "context", "first", "splits"])
def _attend(
    q,  # (b, l, h, p)
    keys,  # (b, positions, g, p)
    values,  # (b, positions, g, p)
    places,  # ((b,) m / PAGE), if PAGE: the context's pages; else it begins at `first`
    rows,  # (b, 3), or none: all rows have `length` queries and a context of m
    partial,  # (b, l, h, splits, p): the output, or a split's
    sums,  # (b, l, h, splits) fp32: log₂ of a split's denominator
    length,
    context,
    first,
    splits,
    scale,
    h,
    q_row,
    q_token,
    q_head,
    k_row,
    k_token,
    k_group,
    v_row,
    v_token,
    v_group,
    HEADS: tl.constexpr,
    P: tl.constexpr,
    P_WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    PAGE: tl.constexpr,
    SPLIT: tl.constexpr,
    STAGES: tl.constexpr,
):
    block = tl.num_programs(0) - 1 - tl.program_id(0)  # the longest first
    group, split, row = tl.program_id(1) // splits, tl.program_id(1) % splits, tl.program_id(2).to(tl.int64)
    wide = length  # of the output
    if rows is not None:
        places += row * (context // PAGE)
        _, start, length = row_of(rows, row)
        context = start + length
    pair = block * ROWS + tl.arange(0, ROWS)
    query, head = pair // HEADS, group * HEADS + pair % HEADS
    i, real = tl.arange(0, P_WIDE), query < length
    inside = real[:, None] & (i < P)[None, :]
    at = q + row * q_row + query.to(tl.int64)[:, None] * q_token + head[:, None] * q_head + i[None, :]
    asks = tl.load(at, mask=inside, other=0.0)

    before = context - length  # tokens before the first query
    whole = (before + block * ROWS // HEADS + 1) // KEYS  # blocks of keys that all rows see whole
    end = tl.cdiv(before + tl.minimum(length, (block * ROWS + ROWS - 1) // HEADS + 1), KEYS)
    if rows is not None:
        end = tl.where(block * ROWS // HEADS < length, end, 0)  # else there is nothing but padding
    begin = split * end // splits
    end = (split + 1) * end // splits
    sight = before + query
    keys += row * k_row + group * k_group
    values += row * v_row + group * v_group
    if PAGE == 0:
        keys += first.to(tl.int64) * k_token
        values += first.to(tl.int64) * v_token
    top, total = tl.full((ROWS,), float("-inf"), tl.float32), tl.zeros((ROWS,), tl.float32)
    acc = tl.zeros((ROWS, P_WIDE), tl.float32)
    middle = tl.maximum(begin, tl.minimum(end, whole))
    top, total, acc = _over(
        top, total, acc, begin, middle, asks, keys, values, places, sight, context, scale, k_token, v_token,
        P, P_WIDE, KEYS, PAGE, False, STAGES,
    )  # fmt: skip
    top, total, acc = _over(
        top, total, acc, middle, end, asks, keys, values, places, sight, context, scale, k_token, v_token,
        P, P_WIDE, KEYS, PAGE, True, STAGES,
    )  # fmt: skip
    to = ((row * wide + query) * h + head) * splits + split
    if SPLIT or rows is not None:  # a query may have seen nothing here: its `top` tells, or it is padding
        total = tl.where(total > 0.0, total, 1.0)
    if SPLIT:
        tl.store(sums + to, top + tl.log2(total), mask=query < wide)
    tl.store(partial + to[:, None] * P + i[None, :], (acc / total[:, None]).to(partial.dtype.element_ty), mask=inside)


@triton.jit
def _over(
    top, total, acc, begin, end, asks, keys, values, places, sight, context, scale, k_token, v_token,
    P: tl.constexpr, P_WIDE: tl.constexpr, KEYS: tl.constexpr, PAGE: tl.constexpr, MASKED: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """The blocks begin … end−1 of keys; MASKED if some rows do not see all of them."""
    if INTERPRETED:  # there, no range is made of what was worked out
        block = begin
        while block < end:
            top, total, acc = _block(
                top, total, acc, block, asks, keys, values, places, sight, context, scale, k_token, v_token,
                P, P_WIDE, KEYS, PAGE, MASKED,
            )  # fmt: skip
            block += 1
    else:
        for block in tl.range(begin, end, num_stages=STAGES):
            top, total, acc = _block(
                top, total, acc, block, asks, keys, values, places, sight, context, scale, k_token, v_token,
                P, P_WIDE, KEYS, PAGE, MASKED,
            )  # fmt: skip
    return top, total, acc


@triton.jit
def _block(
    top, total, acc, block, asks, keys, values, places, sight, context, scale, k_token, v_token,
    P: tl.constexpr, P_WIDE: tl.constexpr, KEYS: tl.constexpr, PAGE: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """One more block of the running softmax: largest score, sum, and weighed values (ROWS, P_WIDE)."""
    t, i = block * KEYS + tl.arange(0, KEYS), tl.arange(0, P_WIDE)
    place = t.to(tl.int64)
    if PAGE > 1:  # of which a block of keys has a part
        place = tl.load(places + block * KEYS // PAGE).to(tl.int64) * PAGE + block * KEYS % PAGE + tl.arange(0, KEYS)
    elif PAGE == 1:
        if MASKED:
            place = tl.load(places + t, mask=t < context, other=0).to(tl.int64)
        else:
            place = tl.load(places + t).to(tl.int64)
    k_at, v_at = keys + place[:, None] * k_token + i[None, :], values + place[:, None] * v_token + i[None, :]
    if MASKED or P < P_WIDE:
        inside = (t < context)[:, None] & (i < P)[None, :]
        k, v = tl.load(k_at, mask=inside, other=0.0), tl.load(v_at, mask=inside, other=0.0)
    else:
        k, v = tl.load(k_at), tl.load(v_at)
    scores = dot(asks, tl.trans(k), tl.zeros((asks.shape[0], KEYS), tl.float32))
    if MASKED:
        scores = tl.where(t[None, :] <= sight[:, None], scores, float("-inf"))
    new_top = tl.maximum(top, tl.max(scores, axis=1) * scale)
    shift = new_top
    if MASKED:  # −∞ less −∞ is no number
        shift = tl.where(new_top == float("-inf"), 0.0, new_top)
    weights = tl.exp2(scores * scale - shift[:, None])
    shrink = tl.exp2(top - shift)
    acc = dot(weights.to(v.dtype), v, acc * shrink[:, None])
    return new_top, total * shrink + tl.sum(weights, axis=1), acc


@triton.jit(do_not_specialize=["count", "splits"])
def _merge(
    partial,  # (pairs, splits, p) fp32
    sums,  # (pairs, splits) fp32
    out,  # (pairs, p)
    count,
    splits,
    P: tl.constexpr,
    PAIRS: tl.constexpr,
    SPLITS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    pair = tl.program_id(0).to(tl.int64) * PAIRS + tl.arange(0, PAIRS)
    s, i = tl.arange(0, SPLITS), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    real = (pair < count)[:, None] & (s < splits)[None, :]
    at = pair[:, None] * splits + s[None, :]
    found = tl.load(sums + at, mask=real, other=float("-inf"))
    top = tl.max(found, axis=1)
    weights = tl.exp2(found - tl.where(top > float("-inf"), top, 0.0)[:, None])  # −∞: beyond the last pair, or padding
    weights = weights / tl.maximum(tl.sum(weights, axis=1), 1.0)[:, None]  # 1 is the least that a pair's sum can be
    inside = real[:, :, None] & (i < P)[None, None, :]
    each = tl.load(partial + at[:, :, None] * P + i[None, None, :], mask=inside, other=0.0)
    y = tl.sum(each * weights[:, :, None], axis=1)
    tl.store(out + pair[:, None] * P + i[None, :], y.to(out.dtype.element_ty), mask=(pair < count)[:, None] & (i < P)[None, :])
