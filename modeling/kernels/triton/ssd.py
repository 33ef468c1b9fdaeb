"""Mamba-2's scan as matrix products: chunks of Q tokens, quadratic inside, a state from each to the next (Dao & Gu 2024, §6).

    prepare   (heads or tile, chunk, row)   Δ = clamp(softplus(dt + bias)) and the running sum of Δ A inside the chunk, in log₂;
                                            C Bᵀ of a chunk's tokens, at and below the diagonal: once for all heads of a group
    walk      (tile of S, head, row)        S before every chunk, from first to last: S ← S · decay + xᵀ (Δ · decay) B
    speak     (tile of y, head, row)        y = (C S) · decay + (C Bᵀ ∘ decay ∘ Δ) x + D x

Only `walk` is sequential, over chunks, and it holds its tile of the state in registers all the way.

Decays are differences of sums inside one chunk, and where steps are violent a sum in fp32 has no room for the small steps
beside them. So it is worked out in fp64 and kept as s + r in fp32: differences of s are exact, and 2^(s_i − s_j + r_i − r_j) is
2^(s_i − s_j) with 2^(−r_j) inside Δ_j and 2^(r_i) a factor of the output: nothing more to do for a pair of tokens.

What is rounded when x, B and C are of 16 bits (products need operands of one dtype; they add up in fp32): the masked scores, x
times its weight in the state, and the copy of the state that a chunk reads. The state that is carried on stays fp32.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import cdiv, power_of_two, row_of
from modeling.kernels.triton.rows import INTERPRETED, dot, softplus
from modeling.padded import PaddedSlots, unpadded

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
NOTHING: tl.constexpr = tl.constexpr(-150.0)  # 2^NOTHING is 0 in fp32: a step need not count for more
HEADS = 8  # of a program of `prepare`


@dataclass(frozen=True, slots=True)
class Sizes:
    """Powers of two ≥ 16, tiles of tokens no larger than the chunk. `chunk` tokens; tiles of the state (p, n) in `walk`; of the
    output (tokens, p) in `speak`, which takes earlier tokens and the state's n in steps; of the scores (tokens, tokens)."""

    chunk: int
    walk: tuple[int, int]
    speak: tuple[int, int]
    speak_steps: tuple[int, int]  # tokens, n
    scores: int
    walk_warps: int = 4
    walk_stages: int = 2
    speak_warps: int = 4
    speak_stages: int = 3


LARGE = Sizes(256, (64, 128), (64, 128), (32, 64), 64, walk_warps=8)
SMALL = Sizes(64, (64, 64), (64, 128), (32, 64), 64, speak_stages=2)  # for a GPU of little shared memory, or few tokens
FULL = Sizes(64, (32, 32), (32, 32), (32, 32), 32, walk_stages=1, speak_stages=1)


def choose(x: Tensor) -> Sizes:
    """Block sizes for x (b, l, h, p), as measured (benchmarks/gpu/prefill_falcon_h1.py)."""
    if x.dtype == torch.float32:
        return FULL
    return LARGE if x.shape[1] > 128 and roomy(x.device) else SMALL


@cache
def roomy(device: torch.device) -> bool:
    """Whether a program can have 163 KiB of shared memory to itself, as on the GPUs of data centres."""
    if device.type != "cuda":
        return True
    found = triton.runtime.driver.active.utils.get_device_properties(device.index or 0)
    return bool(found["max_shared_mem"] >= 163 << 10)


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    dt_limit: tuple[float, float],
    state: Tensor | PaddedSlots | None = None,
) -> Tensor:
    """The twin of `reference.ssd`: x (b, l, h, p), dt (b, l, h), B, C (b, l, g, n), state (b, h, p, n) → y (b, l, h, p) fp32.

    x, B and C may be views of one tensor, of unit stride in their last dimension.
    """
    return ssd_in_chunks(x, dt, A, B, C, D, dt_bias, dt_limit, state, choose(x))


def ssd_in_chunks(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    dt_limit: tuple[float, float],
    state: Tensor | PaddedSlots | None,
    sizes: Sizes,
) -> Tensor:
    """`ssd` with its block sizes."""
    x, B, C = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (x, B, C))
    (b, length, h, p), (g, n), device = x.shape, B.shape[2:], x.device
    q, chunks = sizes.chunk, cdiv(length, sizes.chunk)
    x_strides, b_strides, c_strides = x.stride()[:3], B.stride()[:3], C.stride()[:3]
    # Δ · 2^−r, s and 2^r (b, h, chunks · Q), and the scores (b, g, chunks, Q, Q): one allocation, one argument
    space = torch.empty(b * chunks * q * (3 * h + g * q), dtype=torch.float32, device=device)
    states = torch.empty((b, chunks, h, p, n), dtype=x.dtype, device=device)
    y = torch.empty((b, length, h, p), dtype=torch.float32, device=device)
    memory, rows = unpadded(state)
    shape = (rows, length, chunks, h, h // g)

    tile, parts = sizes.scores, cdiv(h, HEADS)
    _prepare[(parts + g * (q // tile) ** 2, chunks, b)](
        *(dt, A, dt_bias, B, C, space, *shape, *dt_limit, *dt.stride(), *b_strides, *c_strides),
        *(n, q, HEADS, tile, min(64, _wide(n))),
        num_warps=4,
    )
    kept = None if memory is None else memory.contiguous()
    tp, tn = min(sizes.walk[0], _wide(p)), min(sizes.walk[1], _wide(n))
    _walk[(cdiv(p, tp) * cdiv(n, tn), h, b)](
        *(x, B, space, states, states if kept is None else kept, *shape, *x_strides, *b_strides),
        *(kept is not None, p, n, q, tp, tn, sizes.walk_stages),
        num_warps=sizes.walk_warps,
    )
    if memory is not None and kept is not None and kept is not memory:
        memory.copy_(kept)
    ti, tp = sizes.speak[0], min(sizes.speak[1], _wide(p))
    tj, tn = sizes.speak_steps[0], min(sizes.speak_steps[1], _wide(n))
    _speak[(h * cdiv(p, tp), chunks * (q // ti), b)](
        *(x, C, D, space, states, y, *shape, *x_strides, *c_strides),
        *(p, n, q, ti, tp, tj, tn, sizes.speak_stages),
        num_warps=sizes.speak_warps,
    )
    return y


def _wide(width: int) -> int:
    """The power of two that holds it and that tensor cores take."""
    return int(max(16, power_of_two(width)))


@triton.jit(do_not_specialize=["length", "chunks"])
def _prepare(
    dt,  # (b, l, h)
    A,  # (h) fp32
    dt_bias,  # (h)
    B,  # (b, l, g, n)
    C,  # (b, l, g, n)
    space,  # out: Δ · 2^−r, s, 2^r, scores
    rows,  # (b, 3), or none: all rows have `length` tokens, and row i of the memory is theirs
    length,
    chunks,
    h,
    heads_a_group,
    shortest,
    longest,
    dt_row,
    dt_token,
    dt_head,
    b_row,
    b_token,
    b_group,
    c_row,
    c_token,
    c_group,
    N: tl.constexpr,
    Q: tl.constexpr,
    HEADS: tl.constexpr,
    T: tl.constexpr,
    TN: tl.constexpr,
):
    program, chunk, row = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    if rows is not None:
        _, _, length = row_of(rows, row)
    parts = tl.cdiv(h, HEADS)
    sums, rests, scores = _rooms(space, tl.num_programs(2), chunks, h, Q)
    first = (chunk * Q).to(tl.int64)
    if program < parts:
        i = program * HEADS + tl.arange(0, HEADS)
        at = dt + row * dt_row + first * dt_token + i[None, :] * dt_head
        place = (row * h + i[None, :]) * (chunks * Q) + first + tl.arange(0, Q)[:, None]
        _steps(
            at, A, dt_bias, space + place, sums + place, rests + place, i, i < h, length - first, dt_token, shortest, longest, Q
        )
    else:
        group, tile = (program - parts) // ((Q // T) * (Q // T)), (program - parts) % ((Q // T) * (Q // T))
        asks = C + row * c_row + group * c_group + first * c_token
        told = B + row * b_row + group * b_group + first * b_token
        to = scores + ((row * (h // heads_a_group) + group) * chunks + chunk) * (Q * Q)
        if tile % (Q // T) <= tile // (Q // T):  # above the diagonal, scores are left as they are
            _score(asks, told, to, tile // (Q // T) * T, tile % (Q // T) * T, length - first, c_token, b_token, N, Q, T, TN)


@triton.jit
def _rooms(space, rows, chunks, h, Q: tl.constexpr):
    """Where in `space` s, 2^r and the scores begin."""
    one = rows.to(tl.int64) * h * chunks * Q
    return space + one, space + 2 * one, space + 3 * one


@triton.jit
def _steps(dt, A, dt_bias, delta, sums, rests, i, real, length, dt_token, shortest, longest, Q: tl.constexpr):
    """Δ · 2^−r, 0 after the last token, s and 2^r of the heads i: all pointers but A and dt_bias are to tiles."""
    t = tl.arange(0, Q)[:, None]
    inside = (t < length) & real[None, :]
    v = tl.load(dt + t * dt_token, mask=inside, other=0.0).to(tl.float32)
    v += tl.load(dt_bias + i, mask=real, other=0.0).to(tl.float32)[None, :]
    step = tl.minimum(tl.maximum(softplus(v), shortest), longest)
    step = tl.where(inside, step, 0.0)
    rate = tl.load(A + i, mask=real, other=0.0) * LOG2_E
    exact = tl.cumsum(tl.maximum(step * rate[None, :], NOTHING).to(tl.float64), axis=0)
    rounded = exact.to(tl.float32)
    rest = (exact - rounded.to(tl.float64)).to(tl.float32)
    tl.store(delta, step * tl.exp2(-rest), mask=real[None, :])
    tl.store(sums, rounded, mask=real[None, :])
    tl.store(rests, tl.exp2(rest), mask=real[None, :])


@triton.jit
def _score(
    asks, told, to, i, j, length, c_token, b_token, N: tl.constexpr, Q: tl.constexpr, T: tl.constexpr, TN: tl.constexpr
):  # fmt: skip
    """A tile of C Bᵀ, from (i, j) on."""
    i += tl.arange(0, T)
    j += tl.arange(0, T)
    found = tl.zeros((T, T), tl.float32)
    for start in range(0, N, TN):
        n = start + tl.arange(0, TN)
        c = tl.load(asks + (i[:, None] * c_token + n[None, :]), mask=(i < length)[:, None] & (n < N)[None, :], other=0.0)
        b = tl.load(told + (j[:, None] * b_token + n[None, :]), mask=(j < length)[:, None] & (n < N)[None, :], other=0.0)
        found = dot(c, tl.trans(b), found)
    tl.store(to + i[:, None] * Q + j[None, :], found)


@triton.jit(do_not_specialize=["length", "chunks"])
def _walk(
    x,  # (b, l, h, p)
    B,  # (b, l, g, n)
    space,  # Δ · 2^−r, s, 2^r, scores
    states,  # (b, chunks, h, p, n): S before each chunk
    state,  # (b, h, p, n) fp32, in and out
    rows,
    length,
    chunks,
    h,
    heads_a_group,
    x_row,
    x_token,
    x_head,
    b_row,
    b_token,
    b_group,
    KEPT: tl.constexpr,
    P: tl.constexpr,
    N: tl.constexpr,
    Q: tl.constexpr,
    TP: tl.constexpr,
    TN: tl.constexpr,
    STAGES: tl.constexpr,
):
    TILES: tl.constexpr = (N + TN - 1) // TN
    head, row = tl.program_id(1), tl.program_id(2).to(tl.int64)
    p, n = tl.program_id(0) // TILES * TP + tl.arange(0, TP), tl.program_id(0) % TILES * TN + tl.arange(0, TN)
    inside = (p < P)[:, None] & (n < N)[None, :]
    slot = row
    if rows is not None:
        slot, _, length = row_of(rows, row)
        inside &= length > 0
    x += row * x_row + head * x_head
    B += row * b_row + head // heads_a_group * b_group
    of_head = (row * h + head) * chunks * Q
    sums, rests, _ = _rooms(space, tl.num_programs(2), chunks, h, Q)
    delta = space + of_head
    sums += of_head
    rests += of_head
    to = states + (row * chunks * h + head) * (P * N) + (p[:, None] * N + n[None, :])
    s = tl.zeros((TP, TN), tl.float32)
    at = state + (slot * h + head) * (P * N) + (p[:, None] * N + n[None, :])
    if KEPT:
        s = tl.load(at, mask=inside, other=0.0)
    if INTERPRETED:  # there, no range is made of an argument
        chunk = tl.program_id(1) * 0
        while chunk < chunks:
            s = _carry(s, chunk, x, B, delta, sums, rests, to, p, n, inside, length, h, x_token, b_token, P, N, Q)
            chunk += 1
    else:
        for chunk in tl.range(0, chunks, num_stages=STAGES):
            s = _carry(s, chunk, x, B, delta, sums, rests, to, p, n, inside, length, h, x_token, b_token, P, N, Q)
    if KEPT:
        tl.store(at, s, mask=inside)


@triton.jit
def _carry(
    s, chunk, x, B, delta, sums, rests, to, p, n, inside, length, h, x_token, b_token,
    P: tl.constexpr, N: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """Over one chunk: a copy of S (p, n) is left behind, and S goes on."""
    tl.store(to + chunk.to(tl.int64) * h * (P * N), s.to(to.dtype.element_ty), mask=inside)
    j = tl.arange(0, Q)
    first = (chunk * Q).to(tl.int64)
    real = (j < length - first)[:, None]
    xs = tl.load(x + first * x_token + (j[:, None] * x_token + p[None, :]), mask=real & (p < P)[None, :], other=0.0)
    Bs = tl.load(B + first * b_token + (j[:, None] * b_token + n[None, :]), mask=real & (n < N)[None, :], other=0.0)
    whole, rest = tl.load(sums + first + (Q - 1)), tl.load(rests + first + (Q - 1))
    weights = tl.load(delta + first + j) * (tl.exp2(whole - tl.load(sums + first + j)) * rest)
    weighed = (xs.to(tl.float32) * weights[:, None]).to(xs.dtype)
    return dot(tl.trans(weighed), Bs, s * (tl.exp2(whole) * rest))


@triton.jit(do_not_specialize=["length", "chunks"])
def _speak(
    x,  # (b, l, h, p)
    C,  # (b, l, g, n)
    D,  # (h)
    space,  # Δ · 2^−r, s, 2^r, scores
    states,  # (b, chunks, h, p, n)
    y,  # (b, l, h, p) fp32
    rows,
    length,
    chunks,
    h,
    heads_a_group,
    x_row,
    x_token,
    x_head,
    c_row,
    c_token,
    c_group,
    P: tl.constexpr,
    N: tl.constexpr,
    Q: tl.constexpr,
    TI: tl.constexpr,
    TP: tl.constexpr,
    TJ: tl.constexpr,
    TN: tl.constexpr,
    STAGES: tl.constexpr,
):
    TILES: tl.constexpr = (P + TP - 1) // TP
    head, row = tl.program_id(0) // TILES, tl.program_id(2).to(tl.int64)
    chunk, tile = tl.program_id(1) // (Q // TI), tl.program_id(1) % (Q // TI)
    group = head // heads_a_group
    p, i = tl.program_id(0) % TILES * TP + tl.arange(0, TP), tile * TI + tl.arange(0, TI)
    first = (chunk * Q).to(tl.int64)
    wide = length  # of y
    if rows is not None:
        _, _, length = row_of(rows, row)
    real = (first + i < length)[:, None]
    x += row * x_row + head * x_head + first * x_token
    C += row * c_row + group * c_group + first * c_token
    of_head = (row * h + head) * chunks * Q + first
    states += ((row * chunks + chunk) * h + head) * (P * N)
    sums, rests, scores = _rooms(space, tl.num_programs(2), chunks, h, Q)
    delta = space + of_head
    sums += of_head
    scores += ((row * (h // heads_a_group) + group) * chunks + chunk) * (Q * Q)

    acc = tl.zeros((TI, TP), tl.float32)
    for start in tl.range(0, N, TN, num_stages=STAGES):  # what the chunk inherits
        n = start + tl.arange(0, TN)
        asks = tl.load(C + (i[:, None] * c_token + n[None, :]), mask=real & (n < N)[None, :], other=0.0)
        s = tl.load(states + (p[:, None] * N + n[None, :]), mask=(p < P)[:, None] & (n < N)[None, :], other=0.0)
        acc = dot(asks, tl.trans(s), acc)
    until = tl.load(sums + i)
    acc *= tl.exp2(until)[:, None]

    last = (tile + 1) * TI
    if INTERPRETED:
        start = tile * 0
        while start < last:
            acc = _say(acc, start, x, delta, sums, scores, i, p, until, length - first, x_token, P, Q, TJ)
            start += TJ
    else:
        for start in tl.range(0, last, TJ, num_stages=STAGES):
            acc = _say(acc, start, x, delta, sums, scores, i, p, until, length - first, x_token, P, Q, TJ)

    own = tl.load(x + (i[:, None] * x_token + p[None, :]), mask=real & (p < P)[None, :], other=0.0).to(tl.float32)
    acc = acc * tl.load(rests + of_head + i)[:, None] + tl.load(D + head).to(tl.float32) * own
    to = y + ((row * wide + first) * h + head) * P + (i[:, None] * (h * P) + p[None, :])
    tl.store(to, acc, mask=real & (p < P)[None, :])


@triton.jit
def _say(
    acc, start, x, delta, sums, scores, i, p, until, length, x_token, P: tl.constexpr, Q: tl.constexpr, TJ: tl.constexpr
):  # fmt: skip
    """What the tokens i of a chunk hear of its tokens j, start ≤ j < start + TJ."""
    j = start + tl.arange(0, TJ)
    xs = tl.load(x + (j[:, None] * x_token + p[None, :]), mask=(j < length)[:, None] & (p < P)[None, :], other=0.0)
    found = tl.load(scores + (i[:, None] * Q + j[None, :]))
    apart = tl.minimum(until[:, None] - tl.load(sums + j)[None, :], 0.0)  # positive only where j is later than i
    decay = tl.exp2(apart) * tl.load(delta + j)[None, :]
    weights = tl.where(i[:, None] >= j[None, :], found * decay, 0.0)
    return dot(weights.to(xs.dtype), xs, acc)
