"""Mamba-2's scan as matrix products: chunks of Q tokens, quadratic inside, a state from each to the next (Dao & Gu 2024, §6).

    steps    (chunk, heads, row)          Δ = clamp(softplus(dt + bias)), and the running sum of Δ A inside the chunk, in log₂
    scores   (tile, chunk, group, row)    C Bᵀ of a chunk's tokens, at and below the diagonal: once for all heads of a group
    walk     (tile of S, head, row)       S before every chunk, from the first to the last: S ← S · decay + xᵀ (Δ · decay) B
    speak    (tile of y, head, row)       y = (C S) · decay + (scores ∘ decay ∘ Δ) x + D x

Only `walk` is sequential, over chunks, and it holds its tile of the state in registers all the way. Decays are differences of
sums inside one chunk, never over a longer distance; a step's share is cut off where its decay is 0 in fp32 anyway (2⁻¹⁵⁰), so
that one violent step does not drown the small ones beside it.

What is rounded when x, B and C are of 16 bits (products need operands of one dtype; they add up in fp32): the masked scores, x
times its weight in the state, and the copy of the state that a chunk reads. The state that is carried on stays fp32.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.mamba1_step import _softplus as softplus
from modeling.kernels.triton.rows import INTERPRETED, dot

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
NOTHING: tl.constexpr = tl.constexpr(-150.0)  # 2^NOTHING is 0 in fp32
HEADS = 8  # of a program of `steps`


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
    walk_stages: int = 3
    speak_warps: int = 4
    speak_stages: int = 2


HALF = Sizes(chunk=128, walk=(64, 64), speak=(64, 128), speak_steps=(64, 64), scores=64)
FULL = Sizes(chunk=64, walk=(32, 32), speak=(32, 32), speak_steps=(32, 32), scores=32, walk_stages=1, speak_stages=1)


def choose(x: Tensor) -> Sizes:
    """Block sizes for x (b, l, h, p), as measured (benchmarks/gpu/prefill_falcon_h1.py)."""
    return FULL if x.dtype == torch.float32 else HALF


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    dt_limit: tuple[float, float],
    state: Tensor | None = None,
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
    state: Tensor | None,
    sizes: Sizes,
) -> Tensor:
    """`ssd` with its block sizes."""
    x, B, C = (tensor.to(x.dtype) if tensor.stride(-1) == 1 else tensor.to(x.dtype).contiguous() for tensor in (x, B, C))
    (b, length, h, p), (g, n) = x.shape, B.shape[2:]
    q, chunks = sizes.chunk, triton.cdiv(length, sizes.chunk)

    def made(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=x.device)

    delta, sums = made(b, h, chunks * q), made(b, h, chunks * q)
    _steps[(chunks, triton.cdiv(h, HEADS), b)](
        *(dt, A, dt_bias, delta, sums, length, chunks * q, h, *dt_limit, *dt.stride()), Q=q, HEADS=HEADS, num_warps=4
    )
    scores = made(b, g, chunks, q, q)
    tile = sizes.scores
    _scores[((q // tile) ** 2, chunks, b * g)](
        *(B, C, scores, length, g, *B.stride()[:3], *C.stride()[:3]), N=n, Q=q, T=tile, TN=min(64, _wide(n)), num_warps=4
    )
    kept = None if state is None else state.contiguous()
    states = made(b, chunks, h, p, n, dtype=x.dtype)
    tp, tn = (min(most, _wide(width)) for most, width in zip(sizes.walk, (p, n), strict=True))
    _walk[(triton.cdiv(p, tp) * triton.cdiv(n, tn), h, b)](
        *(x, B, delta, sums, states, states if kept is None else kept),
        *(length, chunks, h, h // g, *x.stride()[:3], *B.stride()[:3]),
        *(kept is not None, p, n, q, tp, tn, sizes.walk_stages),
        num_warps=sizes.walk_warps,
    )
    if state is not None and kept is not None and kept is not state:
        state.copy_(kept)
    y = made(b, length, h, p)
    (ti, tp), (tj, tn) = (
        (sizes.speak[0], min(sizes.speak[1], _wide(p))),
        (sizes.speak_steps[0], min(sizes.speak_steps[1], _wide(n))),
    )
    _speak[(h * triton.cdiv(p, tp), chunks * (q // ti), b)](
        *(x, C, D, delta, sums, scores, states, y),
        *(length, chunks, h, h // g, *x.stride()[:3], *C.stride()[:3]),
        *(p, n, q, ti, tp, tj, tn, sizes.speak_stages),
        num_warps=sizes.speak_warps,
    )
    return y


def _wide(width: int) -> int:
    """The power of two that holds it and that tensor cores take."""
    return int(max(16, triton.next_power_of_2(width)))


@triton.jit(do_not_specialize=["length", "padded"])
def _steps(
    dt,  # (b, l, h)
    A,  # (h) fp32
    dt_bias,  # (h)
    delta,  # (b, h, chunks · Q) fp32, Δ; 0 after the last token
    sums,  # (b, h, chunks · Q) fp32
    length,
    padded,
    h,
    shortest,
    longest,
    dt_row,
    dt_token,
    dt_head,
    Q: tl.constexpr,
    HEADS: tl.constexpr,
):
    row = tl.program_id(2).to(tl.int64)
    t, i = tl.program_id(0) * Q + tl.arange(0, Q), tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    real = i < h
    inside = (t < length)[:, None] & real[None, :]
    at = dt + row * dt_row + t.to(tl.int64)[:, None] * dt_token + i[None, :] * dt_head
    v = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    v += tl.load(dt_bias + i, mask=real, other=0.0).to(tl.float32)[None, :]
    step = tl.minimum(tl.maximum(softplus(v), shortest), longest)
    step = tl.where(inside, step, 0.0)
    rate = tl.load(A + i, mask=real, other=0.0) * LOG2_E
    to = (row * h + i[None, :]) * padded + t[:, None]
    tl.store(delta + to, step, mask=real[None, :])
    tl.store(sums + to, tl.cumsum(tl.maximum(step * rate[None, :], NOTHING), axis=0), mask=real[None, :])


@triton.jit(do_not_specialize=["length"])
def _scores(
    B,  # (b, l, g, n)
    C,  # (b, l, g, n)
    scores,  # (b, g, chunks, Q, Q) fp32; tiles above the diagonal are left as they are
    length,
    g,
    b_row,
    b_token,
    b_group,
    c_row,
    c_token,
    c_group,
    N: tl.constexpr,
    Q: tl.constexpr,
    T: tl.constexpr,
    TN: tl.constexpr,
):
    ti, tj = tl.program_id(0) // (Q // T), tl.program_id(0) % (Q // T)
    if tj <= ti:
        chunk, row, group = tl.program_id(1), (tl.program_id(2) // g).to(tl.int64), tl.program_id(2) % g
        i, j = ti * T + tl.arange(0, T), tj * T + tl.arange(0, T)
        first = (chunk * Q).to(tl.int64)
        asks = C + row * c_row + group * c_group + (first + i)[:, None] * c_token
        told = B + row * b_row + group * b_group + (first + j)[:, None] * b_token
        found = tl.zeros((T, T), tl.float32)
        for start in range(0, N, TN):
            n = start + tl.arange(0, TN)
            c = tl.load(asks + n[None, :], mask=(first + i < length)[:, None] & (n < N)[None, :], other=0.0)
            b = tl.load(told + n[None, :], mask=(first + j < length)[:, None] & (n < N)[None, :], other=0.0)
            found = dot(c, tl.trans(b), found)
        to = scores + (tl.program_id(2).to(tl.int64) * tl.num_programs(1) + chunk) * (Q * Q)
        tl.store(to + i[:, None] * Q + j[None, :], found)


@triton.jit(do_not_specialize=["length", "chunks"])
def _walk(
    x,  # (b, l, h, p)
    B,  # (b, l, g, n)
    delta,  # (b, h, chunks · Q)
    sums,  # (b, h, chunks · Q)
    states,  # (b, chunks, h, p, n): S before each chunk
    state,  # (b, h, p, n) fp32, in and out
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
    x += row * x_row + head * x_head
    B += row * b_row + head // heads_a_group * b_group
    of_head = (row * h + head) * chunks * Q
    delta += of_head
    sums += of_head
    to = states + (row * chunks * h + head) * (P * N) + (p[:, None] * N + n[None, :])
    s = tl.zeros((TP, TN), tl.float32)
    at = state + (row * h + head) * (P * N) + (p[:, None] * N + n[None, :])
    if KEPT:
        s = tl.load(at, mask=inside, other=0.0)
    if INTERPRETED:  # there, no range is made of an argument
        chunk = tl.program_id(1) * 0
        while chunk < chunks:
            s = _carry(s, chunk, x, B, delta, sums, to, p, n, inside, length, h, x_token, b_token, P, N, Q)
            chunk += 1
    else:
        for chunk in tl.range(0, chunks, num_stages=STAGES):
            s = _carry(s, chunk, x, B, delta, sums, to, p, n, inside, length, h, x_token, b_token, P, N, Q)
    if KEPT:
        tl.store(at, s, mask=inside)


@triton.jit
def _carry(
    s, chunk, x, B, delta, sums, to, p, n, inside, length, h, x_token, b_token,
    P: tl.constexpr, N: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """Over one chunk: a copy of S (p, n) is left behind, and S goes on."""
    tl.store(to + chunk.to(tl.int64) * h * (P * N), s.to(to.dtype.element_ty), mask=inside)
    j = tl.arange(0, Q)
    first = (chunk * Q).to(tl.int64)
    real = (j < length - first)[:, None]
    xs = tl.load(x + first * x_token + (j[:, None] * x_token + p[None, :]), mask=real & (p < P)[None, :], other=0.0)
    Bs = tl.load(B + first * b_token + (j[:, None] * b_token + n[None, :]), mask=real & (n < N)[None, :], other=0.0)
    whole = tl.load(sums + first + (Q - 1))
    weights = tl.load(delta + first + j) * tl.exp2(whole - tl.load(sums + first + j))
    weighed = (xs.to(tl.float32) * weights[:, None]).to(xs.dtype)
    return dot(tl.trans(weighed), Bs, s * tl.exp2(whole))


@triton.jit(do_not_specialize=["length", "chunks"])
def _speak(
    x,  # (b, l, h, p)
    C,  # (b, l, g, n)
    D,  # (h)
    delta,  # (b, h, chunks · Q)
    sums,  # (b, h, chunks · Q)
    scores,  # (b, g, chunks, Q, Q)
    states,  # (b, chunks, h, p, n)
    y,  # (b, l, h, p) fp32
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
    real = (first + i < length)[:, None]
    x += row * x_row + head * x_head + first * x_token
    C += row * c_row + group * c_group + first * c_token
    of_head = (row * h + head) * chunks * Q + first
    states += ((row * chunks + chunk) * h + head) * (P * N)
    scores += ((row * (h // heads_a_group) + group) * chunks + chunk) * (Q * Q)

    acc = tl.zeros((TI, TP), tl.float32)
    for start in tl.range(0, N, TN, num_stages=STAGES):  # what the chunk inherits
        n = start + tl.arange(0, TN)
        asks = tl.load(C + (i[:, None] * c_token + n[None, :]), mask=real & (n < N)[None, :], other=0.0)
        s = tl.load(states + (p[:, None] * N + n[None, :]), mask=(p < P)[:, None] & (n < N)[None, :], other=0.0)
        acc = dot(asks, tl.trans(s), acc)
    until = tl.load(sums + of_head + i)
    acc *= tl.exp2(until)[:, None]

    last = (tile + 1) * TI
    if INTERPRETED:
        start = tile * 0
        while start < last:
            acc = _say(acc, start, x, delta + of_head, sums + of_head, scores, i, p, until, length - first, x_token, P, Q, TJ)
            start += TJ
    else:
        for start in tl.range(0, last, TJ, num_stages=STAGES):
            acc = _say(acc, start, x, delta + of_head, sums + of_head, scores, i, p, until, length - first, x_token, P, Q, TJ)

    own = tl.load(x + (i[:, None] * x_token + p[None, :]), mask=real & (p < P)[None, :], other=0.0).to(tl.float32)
    acc += tl.load(D + head).to(tl.float32) * own
    to = y + ((row * length + first) * h + head) * P + (i[:, None] * (h * P) + p[None, :])
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
