"""One token of Mamba-1 after its convolution: x_proj, the norms of Δ, B and C, dt_proj, the recurrence and the gate.

    one row      one kernel: x_proj in parts (its sum over the channels cut in pieces), and beside it the programs of the channels,
                 each of which streams its rows of in_proj's z, and takes its channels a step on when the parts are there
    more rows    x_proj in parts → gather: their sums, normed → dt_proj → advance: the recurrence

With one row the small products by themselves would leave the memory idle; z needs to wait for nothing, so it streams meanwhile.
No sum is made by atomics: it always runs in the same order.
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
from modeling.kernels.triton.projection import Norm, gained, project
from modeling.kernels.triton.rows import project_parts, silu, tile

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
class Gate:
    """The product that makes z (1, e) = norm(h) Wᵀ + bias, for h (1, d): weight (e, d), bias (e) or none."""

    h: Tensor
    norm: Norm
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a program takes on: of x_proj so many outputs × columns, of the recurrence so many channels, by so many warps; `tile`:
    rows of z that are on their way at once."""

    outputs: int
    columns: int
    channels: int
    warps: int
    tile: int = 1


@dataclass(frozen=True, slots=True)
class Scratch:
    """What the programs hand each other: parts (splits, b, r+2n) fp32. One row: flags (2) int32, 0 between kernels: how many parts
    are there, how many programs have seen them all. More: low (b, r) and BC (b, 2n) fp32, normed, and dt (b, e) fp32."""

    parts: Tensor
    flags: Tensor
    low: Tensor
    BC: Tensor
    dt: Tensor

    @classmethod
    def empty(cls, rows: int, mixer: Recurrence, sizes: Sizes | None = None) -> Scratch:
        (e, r), n, weight = mixer.dt_proj.shape, mixer.A.shape[1], mixer.x_proj
        sizes = sizes or choose(rows, e)

        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=weight.device)

        parts, flags = empty(triton.cdiv(e, sizes.columns), rows, r + 2 * n), empty(2, dtype=torch.int32).zero_()
        return cls(parts, flags, empty(rows, r, dtype=weight.dtype), empty(rows, 2 * n), empty(rows, e))


def choose(rows: int, channels: int, width: int = 4096) -> Sizes:
    """Block sizes by shape, as measured on an H200 (benchmarks/gpu/decode_falcon_mamba.py)."""
    columns = triton.next_power_of_2(channels)
    if rows == 1:
        warps = 8 if width > 1024 else 4
        several = 32 * 32 * warps // triton.next_power_of_2(width)  # 32 weights a thread
        return Sizes(16, min(512, columns), channels=16, warps=warps, tile=max(1, min(4, several)))
    return Sizes(64, min(512, columns), channels=128, warps=4)


def step_row(
    xz: Tensor, mixer: Recurrence, gate: Gate, state: Tensor, active: Tensor, scratch: Scratch, out: Tensor,
    sizes: Sizes | None = None,
) -> None:  # fmt: skip
    """out (1, e) = (S C + D ∘ x) ∘ SiLU(z) after one step of the recurrence. xz (1, 2e) has x, convolved, in front and gets z.

    state (slots, e, n) fp32 is updated in place if active (slots) int32 is not 0. The kernel before must be the one that made x,
    and it must let this one start only when h is there.
    """
    (e, r), n, d = mixer.dt_proj.shape, mixer.A.shape[1], gate.weight.shape[1]
    sizes = sizes or choose(1, e, d)
    splits, pdl = scratch.parts.shape[0], overlaps(xz.device)
    parts = triton.cdiv(r + 2 * n, sizes.outputs) * splits
    _row[(parts + triton.cdiv(e, sizes.channels),)](
        xz, mixer.x_proj, scratch.parts, scratch.flags, gate.h, gate.norm.weight, gate.norm.eps, gate.weight, gate.bias,
        mixer.dt_proj, mixer.dt_bias, mixer.A, mixer.D, state, active, out, mixer.eps,
        PARTS=parts, OUTPUTS=sizes.outputs, COLUMNS=sizes.columns, E=e, N=n, R=r, N_WIDE=triton.next_power_of_2(n),
        R_WIDE=triton.next_power_of_2(r), SPLITS=splits, SPLITS_WIDE=triton.next_power_of_2(splits), D=d,
        D_WIDE=triton.next_power_of_2(d), TILE=sizes.tile, CHANNELS=sizes.channels, PDL=pdl, num_warps=sizes.warps,
        launch_pdl=pdl,
    )  # fmt: skip


def step_rows(
    xz: Tensor, mixer: Recurrence, state: Tensor, active: Tensor, scratch: Scratch, out: Tensor, sizes: Sizes | None = None
) -> None:  # fmt: skip
    """The same for rows of xz (b, 2e) = x, convolved, and z; those whose active is 0 keep their state."""
    b, (e, r), n = xz.shape[0], mixer.dt_proj.shape, mixer.A.shape[1]
    sizes = sizes or choose(b, e)
    splits = scratch.parts.shape[0]
    project_parts(xz[:, :e], mixer.x_proj, scratch.parts, sizes.outputs, 128)
    _gather[(b,)](
        scratch.parts, scratch.low, scratch.BC, b, mixer.eps, N=n, R=r, SPLITS=splits,
        SPLITS_WIDE=triton.next_power_of_2(splits), R_WIDE=triton.next_power_of_2(r), N_WIDE=triton.next_power_of_2(n),
        num_warps=4,
    )  # fmt: skip
    project(scratch.low, mixer.dt_proj, scratch.dt, bias=mixer.dt_bias)
    _advance[(triton.cdiv(e, sizes.channels), b)](
        xz, scratch.dt, scratch.BC, mixer.A, mixer.D, state, active, out, E=e, N=n, N_WIDE=triton.next_power_of_2(n),
        CHANNELS=sizes.channels, num_warps=sizes.warps,
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
def _row(
    xz, x_proj, parts, flags, h, norm, norm_eps, z_weight, z_bias, w, bias, A, skip, state, active, out, eps,
    PARTS: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, E: tl.constexpr, N: tl.constexpr, R: tl.constexpr,
    N_WIDE: tl.constexpr, R_WIDE: tl.constexpr, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, D: tl.constexpr,
    D_WIDE: tl.constexpr, TILE: tl.constexpr, CHANNELS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """The first PARTS programs make the parts of x_proj · x, the others (which start later) the channels."""
    release(PDL)
    program = tl.program_id(0)
    if program < PARTS:
        _part(xz, x_proj, parts, flags, program, OUTPUTS, COLUMNS, E, R + 2 * N, PDL)
    else:
        _channels(
            xz, parts, flags, h, norm, norm_eps, z_weight, z_bias, w, bias, A, skip, state, active, out, eps, program - PARTS,
            PARTS, E, N, R, N_WIDE, R_WIDE, SPLITS, SPLITS_WIDE, D, D_WIDE, TILE, CHANNELS, PDL,
        )  # fmt: skip


@triton.jit
def _part(
    xz, w, parts, flags, program, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, E: tl.constexpr, ALL: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """parts[split] = x_proj · x for some outputs over the channels of a split."""
    BLOCKS: tl.constexpr = (ALL + OUTPUTS - 1) // OUTPUTS
    split = program // BLOCKS
    o, i = program % BLOCKS * OUTPUTS + tl.arange(0, OUTPUTS), split * COLUMNS + tl.arange(0, COLUMNS)
    weights = tile(w, o, i, ALL, E, ALL % OUTPUTS == 0 and E % COLUMNS == 0)
    wait(PDL)
    x = tl.load(xz + i, mask=i < E, other=0.0).to(tl.float32)
    tl.store(parts + split * ALL + o, tl.sum(weights.to(tl.float32) * x[None, :], axis=1), mask=o < ALL)
    tl.debug_barrier()
    tl.atomic_add(flags, 1, sem="release")


@triton.jit
def _channels(
    xz, parts, flags, h, norm, norm_eps, z_weight, z_bias, w, bias, A, skip, state, active, out, eps, program,
    PARTS: tl.constexpr, E: tl.constexpr, N: tl.constexpr, R: tl.constexpr, N_WIDE: tl.constexpr, R_WIDE: tl.constexpr,
    SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, D: tl.constexpr, D_WIDE: tl.constexpr, TILE: tl.constexpr,
    CHANNELS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """z = norm(h) Wᵀ + bias in tiles of rows; before the last two, while they are on their way, the recurrence."""
    ALL: tl.constexpr = R + 2 * N
    TURNS: tl.constexpr = CHANNELS // TILE
    EVEN: tl.constexpr = E % CHANNELS == 0 and D == D_WIDE
    i, k, n = tl.arange(0, D_WIDE), tl.arange(0, R_WIDE), tl.arange(0, N_WIDE)
    e, o = program * CHANNELS + tl.arange(0, CHANNELS), program * CHANNELS + tl.arange(0, TILE)
    z_tile = tile(z_weight, o, i, E, D, EVEN)
    gains = tl.load(norm + i, mask=i < D, other=0.0).to(tl.float32)
    v, inverse = gained(h, norm, gains, i, norm_eps, D, z_tile.dtype)  # h is there: the kernel before has waited for it
    at = e[:, None] * N + n[None, :]
    inside = (e < E)[:, None] & (n < N)[None, :]
    weights = tile(w, e, k, E, R, E % CHANNELS == 0 and R == R_WIDE)
    s = tl.load(state + at, mask=inside, other=0.0)  # of the last step, which has ended (projection.embed)
    rate = tl.load(A + at, mask=inside, other=0.0) * LOG2_E
    dt_bias = tl.load(bias + e, mask=e < E, other=0.0).to(tl.float32)
    for turn in tl.static_range(TURNS):
        following = z_tile
        if turn + 1 < TURNS:
            following = tile(z_weight, o + TILE, i, E, D, EVEN)
        if turn == max(0, TURNS - 2):
            wait(PDL)
            while tl.atomic_add(flags, 0, sem="acquire") < PARTS:
                pass
            low = _summed(parts, 0, 1, 0, R, SPLITS, SPLITS_WIDE, ALL, R_WIDE)
            B = _rms(_summed(parts, 0, 1, R, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
            C = _rms(_summed(parts, 0, 1, R + N, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
            x = tl.load(xz + e, mask=e < E, other=0.0).to(tl.float32)
            dt = tl.sum(weights.to(tl.float32) * low[None, :], axis=1) * tl.rsqrt(tl.sum(low * low) / R + eps)
            dt = _softplus(dt + dt_bias)
            s = tl.exp2(dt[:, None] * rate) * s + (dt * x)[:, None] * B[None, :]
            tl.store(state + at, s, mask=inside & (tl.load(active) != 0))
            y = tl.sum(s * C[None, :], axis=1) + tl.load(skip + e, mask=e < E, other=0.0).to(tl.float32) * x
        z = tl.sum(z_tile.to(tl.float32) * v[None, :], axis=1) * inverse
        if z_bias is not None:
            z += tl.load(z_bias + o, mask=o < E, other=0.0).to(tl.float32)
        tl.store(xz + E + o, z.to(xz.dtype.element_ty), mask=o < E)
        z_tile, o = following, o + TILE
    tl.debug_barrier()  # z is there, for all channels of this program
    gate = tl.load(xz + E + e, mask=e < E, other=0.0).to(tl.float32)
    tl.store(out + e, (y * silu(gate)).to(out.dtype.element_ty), mask=e < E)
    if tl.atomic_add(flags + 1, 1) == tl.num_programs(0) - PARTS - 1:  # the last one leaves everything as it was
        tl.store(flags, 0)
        tl.store(flags + 1, 0)


@triton.jit
def _summed(
    parts, row, b, first, width, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, ALL: tl.constexpr, WIDE: tl.constexpr
):
    """Σ parts[:, row, first : first+width] (WIDE), 0 beyond the width; parts (SPLITS, b, ALL)."""
    s, i = tl.arange(0, SPLITS_WIDE)[:, None], tl.arange(0, WIDE)[None, :]
    return tl.sum(tl.load(parts + (s * b + row) * ALL + first + i, mask=(s < SPLITS) & (i < width), other=0.0, cache_modifier=".cg"), axis=0)


@triton.jit
def _rms(v, width, eps):
    """v / √(mean v² + ε), v being 0 beyond its width."""
    return v * tl.rsqrt(tl.sum(v * v) / width + eps)


@triton.jit
def _gather(
    parts, low, BC, b, eps, N: tl.constexpr, R: tl.constexpr, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr,
    R_WIDE: tl.constexpr, N_WIDE: tl.constexpr,
):  # fmt: skip
    """Δ's low rank (b, R), and B and C (b, 2N), each normed by itself."""
    ALL: tl.constexpr = R + 2 * N
    row, k, n = tl.program_id(0), tl.arange(0, R_WIDE), tl.arange(0, N_WIDE)
    dt = _rms(_summed(parts, row, b, 0, R, SPLITS, SPLITS_WIDE, ALL, R_WIDE), R, eps)
    B = _rms(_summed(parts, row, b, R, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
    C = _rms(_summed(parts, row, b, R + N, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE), N, eps)
    tl.store(low + row * R + k, dt.to(low.dtype.element_ty), mask=k < R)
    tl.store(BC + row * 2 * N + n, B, mask=n < N)
    tl.store(BC + row * 2 * N + N + n, C, mask=n < N)


@triton.jit
def _advance(
    xz, dt, BC, A, D, state, active, out, E: tl.constexpr, N: tl.constexpr, N_WIDE: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The recurrence and the gate for a block of channels of one row, Δ before its softplus being there."""
    row = tl.program_id(1).to(tl.int64)
    e, n = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, N_WIDE)
    of_state = e[:, None] * N + n[None, :]
    inside = (e < E)[:, None] & (n < N)[None, :]
    at = state + row * (E * N) + of_state
    s = tl.load(at, mask=inside, other=0.0)
    rate = tl.load(A + of_state, mask=inside, other=0.0) * LOG2_E
    skip = tl.load(D + e, mask=e < E, other=0.0).to(tl.float32)
    writes = tl.load(active + row) != 0
    x = tl.load(xz + row * (2 * E) + e, mask=e < E, other=0.0).to(tl.float32)
    z = tl.load(xz + row * (2 * E) + E + e, mask=e < E, other=0.0).to(tl.float32)
    d = _softplus(tl.load(dt + row * E + e, mask=e < E, other=0.0))
    B = tl.load(BC + row * (2 * N) + n, mask=n < N, other=0.0)
    C = tl.load(BC + row * (2 * N) + N + n, mask=n < N, other=0.0)
    s = tl.exp2(d[:, None] * rate) * s + (d * x)[:, None] * B[None, :]
    tl.store(at, s, mask=inside & writes)
    y = tl.sum(s * C[None, :], axis=1) + skip * x
    tl.store(out + row * E + e, (y * silu(z)).to(out.dtype.element_ty), mask=e < E)
