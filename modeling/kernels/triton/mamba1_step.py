"""One token of Mamba-1 after its convolution: x_proj, the norms of Δ, B and C, dt_proj, the recurrence and the gate.

    one row      parts (x_proj, its sum over the channels cut in pieces) → advance: everything else, by blocks of channels
    more rows    parts → gather (sums and norms, once for all blocks) → advance, with dt_proj on tensor cores

No atomics: a sum always runs in the same order.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import overlaps, release, wait
from modeling.kernels.triton.rows import dot, of_output, padded, prefetch, silu, tile

LOG2_E = tl.constexpr(1.4426950408889634)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The weights of a mixer between its convolution and out_proj.

    x_proj (r+2n, e), dt_proj (e, r), dt_bias (e), A (e, n) fp32 = −exp(A_log), D (e); eps of the norms of Δ, B and C.
    """

    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    A: Tensor
    D: Tensor
    eps: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a program takes on: parts: outputs × columns of x_proj, the columns in steps of `step` for more than one row;
    advance: so many channels. `ahead`: bytes that each thread of `parts` fetches into L2 for whoever comes after."""

    outputs: int
    columns: int
    warps: int
    channels: int
    advance_warps: int
    step: int = 128
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Scratch:
    """What the kernels hand each other: parts (splits, b, r+2n) fp32; for more than one row dt (b, r), BC (b, 2n), normed."""

    parts: Tensor
    dt: Tensor
    BC: Tensor

    @classmethod
    def empty(cls, rows: int, mixer: Recurrence, sizes: Sizes | None = None) -> Scratch:
        (e, r), n, weight = mixer.dt_proj.shape, mixer.A.shape[1], mixer.x_proj
        sizes = sizes or choose(rows, e, weight.dtype)
        return cls(
            torch.empty(triton.cdiv(e, sizes.columns), rows, r + 2 * n, dtype=torch.float32, device=weight.device),
            torch.empty(rows, r, dtype=weight.dtype, device=weight.device),
            torch.empty(rows, 2 * n, dtype=torch.float32, device=weight.device),
        )


def choose(rows: int, channels: int, dtype: torch.dtype) -> Sizes:
    """Block sizes by shape, as measured (benchmarks/gpu/decode_falcon_mamba.py)."""
    if rows == 1:
        return Sizes(16, min(512, triton.next_power_of_2(channels)), 8, channels=64, advance_warps=8, ahead=256)
    if dtype == torch.float32:
        return Sizes(32, min(1024, triton.next_power_of_2(channels)), 4, channels=16, advance_warps=4, step=32)
    return Sizes(32, min(1024, triton.next_power_of_2(channels)), 4, channels=32, advance_warps=4)


def step(
    xz: Tensor,
    mixer: Recurrence,
    state: Tensor,
    active: Tensor,
    scratch: Scratch,
    out: Tensor,
    *,
    ahead: Tensor | None = None,
    sizes: Sizes | None = None,
) -> None:
    """out (b, e) = (S C + D ∘ x) ∘ SiLU(z) after one step of the recurrence; xz (b, 2e) = x, convolved, and z.

    state (slots, e, n) fp32 is updated in place for rows whose active (slots) int32 is not 0. `ahead` is a weight that the next
    kernel will read: its beginning is fetched into L2 meanwhile.
    """
    b, (e, r), n = xz.shape[0], mixer.dt_proj.shape, mixer.A.shape[1]
    sizes = sizes or choose(b, e, mixer.x_proj.dtype)
    pdl = overlaps(xz.device)
    width, splits = r + 2 * n, triton.cdiv(e, sizes.columns)
    grid = (triton.cdiv(width, sizes.outputs), splits)
    shape = {"E": e, "N": n, "R": r, "SPLITS": splits, "PDL": pdl, "launch_pdl": pdl}
    padding = {"R_WIDE": max(16, triton.next_power_of_2(r)), "N_WIDE": triton.next_power_of_2(n)}
    memory = (mixer.dt_proj, mixer.dt_bias, mixer.A, mixer.D, state, active, out)
    if b == 1:
        if ahead is not None and (not sizes.ahead or ahead.nbytes < sizes.ahead or ahead.nbytes % 16 or ahead.data_ptr() % 16):
            ahead = None  # the instruction takes 16 bytes at a time
        _parts_row[grid](
            xz, mixer.x_proj, scratch.parts, ahead, 0 if ahead is None else ahead.nbytes, WIDTH=width, E=e,
            OUTPUTS=sizes.outputs, COLUMNS=sizes.columns, AHEAD=sizes.ahead, PDL=pdl, THREADS=32 * sizes.warps,
            num_warps=sizes.warps, launch_pdl=pdl,
        )  # fmt: skip
        _advance_row[(triton.cdiv(e, sizes.channels),)](
            xz, scratch.parts, *memory, mixer.eps, CHANNELS=sizes.channels, SPLITS_WIDE=triton.next_power_of_2(splits),
            num_warps=sizes.advance_warps, **shape, **padding,
        )  # fmt: skip
        return
    _parts_rows[grid](
        xz, mixer.x_proj, scratch.parts, b, WIDTH=width, E=e, OUTPUTS=sizes.outputs, ROWS=padded(b), SPAN=sizes.columns,
        COLUMNS=min(sizes.step, sizes.columns), PDL=pdl, num_warps=sizes.warps, num_stages=4, launch_pdl=pdl,
    )  # fmt: skip
    _gather[(b,)](
        scratch.parts, scratch.dt, scratch.BC, b, mixer.eps, SPLITS_WIDE=triton.next_power_of_2(splits), num_warps=4,
        **shape, **padding,
    )  # fmt: skip
    _advance_rows[(triton.cdiv(e, sizes.channels), triton.cdiv(b, 16))](
        xz, scratch.dt, scratch.BC, *memory, b, CHANNELS=sizes.channels, ROWS=16, num_warps=sizes.advance_warps,
        **shape, **padding,
    )  # fmt: skip


@triton.jit
def _softplus(x):
    """log(1 + eˣ) = max(x, 0) + log1p(u), u = e^−|x|; log1p(u) = 2 artanh(u / (2 + u)) as a series, exact where u is small."""
    u = tl.exp(-tl.abs(x))
    t = u / (2.0 + u)  # ≤ ⅓
    q = t * t
    series = 1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13 + q * (1 / 15)))))))
    return tl.maximum(x, 0.0) + 2.0 * t * series


@triton.jit
def _parts_row(
    xz, w, parts, ahead, ahead_bytes, WIDTH: tl.constexpr, E: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr,
    AHEAD: tl.constexpr, THREADS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """parts[split] = x_proj · x over the channels of this split."""
    release(PDL)
    block, split = tl.program_id(0), tl.program_id(1)
    o, i = block * OUTPUTS + tl.arange(0, OUTPUTS), split * COLUMNS + tl.arange(0, COLUMNS)
    weights = tile(w, o, i, WIDTH, E, WIDTH % OUTPUTS == 0 and E % COLUMNS == 0)
    if PDL and ahead is not None:
        thread = (split * tl.num_programs(0) + block) * THREADS + tl.arange(0, THREADS)
        prefetch(ahead.to(tl.int64) + tl.minimum(thread.to(tl.int64) * AHEAD, ahead_bytes - AHEAD), AHEAD, PDL)
    wait(PDL)
    x = tl.load(xz + i, mask=i < E, other=0.0).to(tl.float32)
    tl.store(parts + split * WIDTH + o, tl.sum(weights.to(tl.float32) * x[None, :], axis=1), mask=o < WIDTH)


@triton.jit
def _summed(
    parts, row, b, first, width, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, ALL: tl.constexpr, WIDE: tl.constexpr
):
    """Σ parts[:, row, first : first+width] (WIDE), 0 beyond the width; parts (SPLITS, b, ALL)."""
    s, i = tl.arange(0, SPLITS_WIDE)[:, None], tl.arange(0, WIDE)[None, :]
    return tl.sum(tl.load(parts + (s * b + row) * ALL + first + i, mask=(s < SPLITS) & (i < width), other=0.0), axis=0)


@triton.jit
def _rms(v, width, eps):
    """v / √(mean v² + ε), v being 0 beyond its width."""
    return v * tl.rsqrt(tl.sum(v * v) / width + eps)


@triton.jit
def _advance_row(
    xz, parts, w, bias, A, D, state, active, out, eps,
    E: tl.constexpr, N: tl.constexpr, R: tl.constexpr, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, R_WIDE: tl.constexpr,
    N_WIDE: tl.constexpr, CHANNELS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Δ, the recurrence and the gate for a block of channels of one row."""
    ALL: tl.constexpr = R + 2 * N
    release(PDL)
    e, k, n = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, R_WIDE), tl.arange(0, N_WIDE)
    at = e[:, None] * N + n[None, :]
    inside = (e < E)[:, None] & (n < N)[None, :]
    weights = tile(w, e, k, E, R, E % CHANNELS == 0 and R == R_WIDE)
    rate = tl.load(A + at, mask=inside, other=0.0) * LOG2_E
    dt_bias = tl.load(bias + e, mask=e < E, other=0.0).to(tl.float32)
    skip = tl.load(D + e, mask=e < E, other=0.0).to(tl.float32)
    wait(PDL)
    s = tl.load(state + at, mask=inside, other=0.0)
    x = tl.load(xz + e, mask=e < E, other=0.0).to(tl.float32)
    z = tl.load(xz + E + e, mask=e < E, other=0.0).to(tl.float32)
    writes = tl.load(active) != 0
    dt = _rms(_summed(parts, 0, 1, 0, R, SPLITS, SPLITS_WIDE, ALL, R_WIDE), R, eps)
    B = _rms(_summed(parts, 0, 1, R, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
    C = _rms(_summed(parts, 0, 1, R + N, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
    dt = _softplus(tl.sum(weights.to(tl.float32) * dt[None, :], axis=1) + dt_bias)
    s = tl.exp2(dt[:, None] * rate) * s + (dt * x)[:, None] * B[None, :]
    tl.store(state + at, s, mask=inside & writes)
    y = tl.sum(s * C[None, :], axis=1) + skip * x
    tl.store(out + e, (y * silu(z)).to(out.dtype.element_ty), mask=e < E)


@triton.jit
def _parts_rows(
    xz, w, parts, b, WIDTH: tl.constexpr, E: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr, SPAN: tl.constexpr,
    COLUMNS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """parts[split] = x_proj · x over the SPAN channels of this split, for all rows."""
    EVEN: tl.constexpr = WIDTH % OUTPUTS == 0 and E % SPAN == 0
    release(PDL)
    split = tl.program_id(1)
    o, r = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, ROWS)
    acc = tl.zeros((OUTPUTS, ROWS), dtype=tl.float32)
    wait(PDL)
    for start in range(0, SPAN, COLUMNS):
        i = split * SPAN + start + tl.arange(0, COLUMNS)
        weights = tile(w, o, i, WIDTH, E, EVEN)
        x = tl.load(xz + r[None, :] * (2 * E) + i[:, None], mask=(r < b)[None, :] & (i < E)[:, None], other=0.0)
        acc = dot(weights, x, acc)
    tl.store(parts + (split * b + r[None, :]) * WIDTH + o[:, None], acc, mask=(r < b)[None, :] & (o < WIDTH)[:, None])


@triton.jit
def _gather(
    parts, dt, BC, b, eps, E: tl.constexpr, N: tl.constexpr, R: tl.constexpr, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr,
    R_WIDE: tl.constexpr, N_WIDE: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Δ's low rank (b, R), and B and C (b, 2N), each normed by itself."""
    ALL: tl.constexpr = R + 2 * N
    release(PDL)
    row, k, n = tl.program_id(0), tl.arange(0, R_WIDE), tl.arange(0, N_WIDE)
    wait(PDL)
    low = _rms(_summed(parts, row, b, 0, R, SPLITS, SPLITS_WIDE, ALL, R_WIDE), R, eps)
    B = _rms(_summed(parts, row, b, R, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
    C = _rms(_summed(parts, row, b, R + N, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
    tl.store(dt + row * R + k, low.to(dt.dtype.element_ty), mask=k < R)
    tl.store(BC + row * 2 * N + n, B, mask=n < N)
    tl.store(BC + row * 2 * N + N + n, C, mask=n < N)


@triton.jit
def _advance_rows(
    xz, low, BC, w, bias, A, D, state, active, out, b,
    E: tl.constexpr, N: tl.constexpr, R: tl.constexpr, SPLITS: tl.constexpr, R_WIDE: tl.constexpr, N_WIDE: tl.constexpr,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Δ, the recurrence and the gate for a block of channels of ROWS rows: tiles are rows by channels (by states)."""
    release(PDL)
    e, k, n = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, R_WIDE), tl.arange(0, N_WIDE)
    r = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    rate = tl.load(A + e[:, None] * N + n[None, :], mask=(e < E)[:, None] & (n < N)[None, :], other=0.0) * LOG2_E
    weights = tl.load(w + e[None, :] * R + k[:, None], mask=(e < E)[None, :] & (k < R)[:, None], other=0.0)
    dt_bias = of_output(bias, e, E).reshape(1, CHANNELS)
    skip = of_output(D, e, E).reshape(1, CHANNELS)
    here = (r < b)[:, None] & (e < E)[None, :]
    inside = here[:, :, None] & (n < N)[None, None, :]
    at = state + r.to(tl.int64)[:, None, None] * (E * N) + (e[:, None] * N + n[None, :])[None, :, :]
    wait(PDL)
    s = tl.load(at, mask=inside, other=0.0)
    writes = tl.load(active + r, mask=r < b, other=0) != 0
    x = tl.load(xz + r[:, None] * (2 * E) + e[None, :], mask=here, other=0.0).to(tl.float32)
    z = tl.load(xz + r[:, None] * (2 * E) + E + e[None, :], mask=here, other=0.0).to(tl.float32)
    of_row = r[:, None] * (2 * N) + n[None, :]
    named = (r < b)[:, None] & (n < N)[None, :]
    B = tl.load(BC + of_row, mask=named, other=0.0)
    C = tl.load(BC + N + of_row, mask=named, other=0.0)
    ranks = tl.load(low + r[:, None] * R + k[None, :], mask=(r < b)[:, None] & (k < R)[None, :], other=0.0)
    dt = _softplus(dot(ranks, weights, tl.zeros((ROWS, CHANNELS), dtype=tl.float32)) + dt_bias)
    s = tl.exp2(dt[:, :, None] * rate[None, :, :]) * s + (dt * x)[:, :, None] * B[:, None, :]
    tl.store(at, s, mask=inside & writes[:, None, None])
    y = tl.sum(s * C[:, None, :], axis=2) + skip * x
    tl.store(out + r[:, None] * E + e[None, :], (y * silu(z)).to(out.dtype.element_ty), mask=here)
