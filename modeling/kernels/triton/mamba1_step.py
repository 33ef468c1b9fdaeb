"""One token of Mamba-1 after its convolution: x_proj, the norms of Δ, B and C, dt_proj, the recurrence and the gate.

    one row      x_proj in parts (its sum over the channels cut in pieces) → advance: everything else up to the gate
    more rows    x_proj in parts → gather: their sums, normed → dt_proj → advance: the recurrence and the gate

With one row the two small products would leave the memory idle. in_proj's z, for which nothing has to be waited, streams beside
them, its first half in the one kernel, the rest in the other, and the gate is left to out_proj (`step_row`). A packed z takes
half the time: all of it is made beside x_proj (`step_row_gated`). No sum is made by atomics: it always runs in the same order.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton import packed
from modeling.kernels.triton.launch import overlaps, release, wait
from modeling.kernels.triton.matrix import Matrix, project, project_parts
from modeling.kernels.triton.nf4 import Matrix4, first_words, row4
from modeling.kernels.triton.packed import Deferred, scale_of_norm
from modeling.kernels.triton.projection import Blocks, Norm, stream
from modeling.kernels.triton.rows import comb, of_output, silu, softplus, tile

Z_BLOCKS = Blocks(2, 0, 8, repeat=4)
LOG2_E = tl.constexpr(1.4426950408889634)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The weights of a mixer between its convolution and out_proj.

    x_proj (r+2n, e), dt_proj (e, r), dt_bias (e), A (e, n) fp32 = −exp(A_log), D (e); eps of the norms of Δ, B and C.
    """

    x_proj: Matrix
    dt_proj: Matrix
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
class PackedGate:
    """The same with packed weights: z (1, e) = u Wᵀ + bias of u (1, d), normed (but for what is `deferred`) and combed, and W's
    last e rows; W (2e, d)."""

    u: Tensor
    weight: Matrix4
    bias: Tensor | None
    deferred: Deferred | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a program takes on: of x_proj so many outputs × columns, of the recurrence so many channels, by so many warps.

    One row: `z` and its warps for all, `early` outputs of z beside x_proj, and how many of z's programs come before the small
    products' in each of the two kernels, which still have to wait.
    """

    outputs: int
    columns: int
    channels: int
    warps: int
    z: Blocks = Z_BLOCKS
    early: int = 0
    before: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Scratch:
    """What the kernels hand each other: parts (splits, b, r+2n) fp32; for more than one row low (b, r) and BC (b, 2n) fp32,
    normed, and dt (b, e) fp32."""

    parts: Tensor
    low: Tensor
    BC: Tensor
    dt: Tensor

    @classmethod
    def empty(cls, rows: int, mixer: Recurrence, sizes: Sizes | None = None) -> Scratch:
        (e, r), n, like = mixer.dt_proj.shape, mixer.A.shape[1], mixer.dt_bias
        sizes = sizes or choose(rows, e)

        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=like.device)

        parts = empty(triton.cdiv(e, sizes.columns), rows, r + 2 * n)
        return cls(parts, empty(rows, r, dtype=like.dtype), empty(rows, 2 * n), empty(rows, e))


def choose(rows: int, channels: int) -> Sizes:
    """Block sizes by shape, as measured on an H200 (benchmarks/gpu/decode_falcon_mamba.py)."""
    columns = min(512, triton.next_power_of_2(channels))
    if rows == 1:
        return Sizes(16, columns, channels=32, warps=8, early=channels // 2, before=(132, 132))
    return Sizes(64, columns, channels=128, warps=4)


def step_row(
    xz: Tensor, mixer: Recurrence, gate: Gate, state: Tensor, active: Tensor, scratch: Scratch, out: Tensor,
    sizes: Sizes | None = None,
) -> None:  # fmt: skip
    """out (1, e) = S C + D ∘ x after one step of the recurrence, ungated. xz (1, 2e) has x,
    convolved, in front and gets z.

    state (slots, e, n) fp32 is updated in place if active (slots) int32 is not 0. The kernel before must be the one that made
    x, and it must let this one start only when h is there.
    """
    (e, _), d = mixer.dt_proj.shape, gate.weight.shape[1]
    sizes = sizes or choose(1, e)
    z = sizes.z
    halves = ((0, sizes.early), (sizes.early, e - sizes.early))
    shape = {"D": d, "D_WIDE": triton.next_power_of_2(d), "Z_OUTPUTS": z.outputs, "Z_REPEAT": z.repeat}
    beside = [
        {"h": gate.h, "norm": gate.norm.weight, "norm_eps": gate.norm.eps, "z_weight": gate.weight[first:],
         "z_bias": None if gate.bias is None else gate.bias[first:], "z": xz[:, e + first :], "Z": count, **shape}
        for first, count in halves
    ]  # fmt: skip
    programs = [triton.cdiv(count, z.outputs * z.repeat) for _, count in halves]
    _launch_parts(xz, mixer, scratch, sizes, beside[0], programs[0])
    _launch_advance(xz, mixer, state, active, scratch, out, sizes, beside[1], programs[1], gated=False, combed=False)


def takes_gate(mixer: Recurrence) -> bool:
    """Whether `step_row_gated` makes z itself."""
    return isinstance(mixer.x_proj, Tensor) and isinstance(mixer.dt_proj, Tensor)


def step_row_gated(
    xz: Tensor, mixer: Recurrence, state: Tensor, active: Tensor, scratch: Scratch, out: Tensor, combed: bool = False,
    gate: PackedGate | None = None,
) -> None:  # fmt: skip
    """out (1, e) = (S C + D ∘ x) ∘ SiLU(z), `combed` or not, for xz (1, 2e) = x, convolved, and z, which `gate` makes if it is
    not there yet."""
    if not isinstance(mixer.dt_proj, Tensor):
        step_rows(xz, mixer, state, active, scratch, out, combed=combed)
        return
    e = mixer.dt_proj.shape[0]
    sizes = choose(1, e)
    nothing = dict.fromkeys(("h", "norm", "z_weight", "z_bias")) | {"norm_eps": 0.0, "Z": 0, "z": xz[:, e:]}
    nothing |= {"D": 1, "D_WIDE": 1, "Z_OUTPUTS": 1, "Z_REPEAT": 1}
    if gate is not None:
        _launch_parts_beside(xz, mixer, scratch, sizes, gate)
    elif isinstance(mixer.x_proj, Tensor):
        _launch_parts(xz, mixer, scratch, sizes, nothing, 0)
    else:
        project_parts(xz[:, :e], mixer.x_proj, scratch.parts)
    _launch_advance(xz, mixer, state, active, scratch, out, sizes, nothing, 0, gated=True, combed=combed)


def _launch_parts(
    xz: Tensor, mixer: Recurrence, scratch: Scratch, sizes: Sizes, beside: dict[str, Any], programs: int
) -> None:  # fmt: skip
    """x_proj's parts, and `programs` programs with z `beside`."""
    (e, r), n, pdl = mixer.dt_proj.shape, mixer.A.shape[1], overlaps(xz.device)
    parts = triton.cdiv(r + 2 * n, sizes.outputs) * scratch.parts.shape[0]
    _parts[(parts + programs,)](
        xz, mixer.x_proj, scratch.parts, **beside, BEFORE=min(sizes.before[0], programs), PARTS=parts, ALL=r + 2 * n, E=e,
        OUTPUTS=sizes.outputs, COLUMNS=sizes.columns, PDL=pdl, num_warps=sizes.z.warps, launch_pdl=pdl,
    )  # fmt: skip


def _launch_parts_beside(xz: Tensor, mixer: Recurrence, scratch: Scratch, sizes: Sizes, gate: PackedGate) -> None:
    """x_proj's parts and, beside them, a packed z."""
    (e, r), n, pdl = mixer.dt_proj.shape, mixer.A.shape[1], overlaps(xz.device)
    parts = triton.cdiv(r + 2 * n, sizes.outputs) * scratch.parts.shape[0]
    blocks = packed.choose(1, e, gate.weight)
    outputs = blocks.outputs * max(1, sizes.z.warps // blocks.warps)  # as many for each thread as with fewer warps
    form = packed.options(gate.u, gate.weight, e, replace(blocks, outputs=outputs), 1, True)
    deferred = gate.deferred
    _parts_beside[(parts + triton.cdiv(e, outputs),)](
        xz, mixer.x_proj, scratch.parts, gate.u, packed.arguments(gate.weight), gate.bias, *packed.of_norm(deferred),
        PARTS=parts, ALL=r + 2 * n, E=e, OUTPUTS=sizes.outputs, COLUMNS=sizes.columns, Z_OUTPUTS=outputs,
        **{name: form[name] for name in packed.PRODUCT}, SQUARES=0 if deferred is None else deferred.squares.numel(), PDL=pdl,
        num_warps=sizes.z.warps, launch_pdl=pdl,
    )  # fmt: skip


def _launch_advance(
    xz: Tensor, mixer: Recurrence, state: Tensor, active: Tensor, scratch: Scratch, out: Tensor, sizes: Sizes,
    beside: dict[str, Any], programs: int, *, gated: bool, combed: bool,
) -> None:  # fmt: skip
    """Everything else, and `programs` programs with z `beside`."""
    (e, r), n, splits, pdl = mixer.dt_proj.shape, mixer.A.shape[1], scratch.parts.shape[0], overlaps(xz.device)
    advance = triton.cdiv(e, sizes.channels)
    _advance_row[(advance + programs,)](
        xz, scratch.parts, mixer.dt_proj, mixer.dt_bias, mixer.A, mixer.D, state, active, out, mixer.eps, **beside,
        BEFORE=min(sizes.before[1], programs), ADVANCE=advance, E=e, N=n, R=r,
        N_WIDE=triton.next_power_of_2(n), R_WIDE=triton.next_power_of_2(r), SPLITS=splits,
        SPLITS_WIDE=triton.next_power_of_2(splits), CHANNELS=sizes.channels, GATED=gated, COMBED=combed, PDL=pdl,
        num_warps=sizes.z.warps, launch_pdl=pdl,
    )  # fmt: skip


def step_rows(
    xz: Tensor, mixer: Recurrence, state: Tensor, active: Tensor, scratch: Scratch, out: Tensor, sizes: Sizes | None = None,
    combed: bool = False,
) -> None:  # fmt: skip
    """out (b, e) = (S C + D ∘ x) ∘ SiLU(z), `combed` or not, for rows of xz (b, 2e) = x, convolved, and z; those whose active
    is 0 keep their state."""
    b, (e, r), n = xz.shape[0], mixer.dt_proj.shape, mixer.A.shape[1]
    sizes = sizes or choose(b, e)
    splits = scratch.parts.shape[0]
    project_parts(xz[:, :e], mixer.x_proj, scratch.parts, (sizes.outputs, 128, 4, 4))
    _gather[(b,)](
        scratch.parts, scratch.low, scratch.BC, b, mixer.eps, N=n, R=r, SPLITS=splits,
        SPLITS_WIDE=triton.next_power_of_2(splits), R_WIDE=triton.next_power_of_2(r), N_WIDE=triton.next_power_of_2(n),
        num_warps=4,
    )  # fmt: skip
    project(scratch.low, mixer.dt_proj, scratch.dt, bias=mixer.dt_bias)
    _advance_rows[(triton.cdiv(e, sizes.channels), b)](
        xz, scratch.dt, scratch.BC, mixer.A, mixer.D, state, active, out, E=e, N=n, N_WIDE=triton.next_power_of_2(n),
        CHANNELS=sizes.channels, COMBED=combed, num_warps=sizes.warps,
    )  # fmt: skip


@triton.jit
def _parts(
    xz, w, parts, h, norm, norm_eps, z_weight, z_bias, z, BEFORE: tl.constexpr, PARTS: tl.constexpr, Z: tl.constexpr,
    ALL: tl.constexpr, E: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, D_WIDE: tl.constexpr,
    Z_OUTPUTS: tl.constexpr, Z_REPEAT: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """parts[split] = x_proj · x over the channels of a split, and beside it some of z."""
    release(PDL)
    program = tl.program_id(0)
    if (program >= BEFORE) & (program < BEFORE + PARTS):
        _part(xz, w, parts, program - BEFORE, ALL, E, OUTPUTS, COLUMNS, PDL)
    else:
        if Z > 0:
            turn = program - tl.where(program < BEFORE, 0, PARTS)
            _gate(h, norm, norm_eps, z_weight, z_bias, z, turn, Z, D, D_WIDE, Z_OUTPUTS, Z_REPEAT, PDL)


@triton.jit
def _part(
    xz, w, parts, program, ALL: tl.constexpr, E: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, PDL: tl.constexpr
):  # fmt: skip
    BLOCKS: tl.constexpr = (ALL + OUTPUTS - 1) // OUTPUTS
    block, split = program % BLOCKS, program // BLOCKS
    o, i = block * OUTPUTS + tl.arange(0, OUTPUTS), split * COLUMNS + tl.arange(0, COLUMNS)
    weights = tile(w, o, i, ALL, E, ALL % OUTPUTS == 0 and E % COLUMNS == 0)
    wait(PDL)
    x = tl.load(xz + i, mask=i < E, other=0.0).to(tl.float32)
    tl.store(parts + split * ALL + o, tl.sum(weights.to(tl.float32) * x[None, :], axis=1), mask=o < ALL)


@triton.jit
def _parts_beside(
    xz, w, parts, u, m, bias, squares, norm_eps, PARTS: tl.constexpr, ALL: tl.constexpr, E: tl.constexpr,
    OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, Z_OUTPUTS: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
    GROUP: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr, EVEN: tl.constexpr, DECODE: tl.constexpr,
    SQUARES: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """The same beside all of a packed z, which goes behind x in xz: the second E of the rows of W (2·E, D)."""
    release(PDL)
    program = tl.program_id(0)
    if program < PARTS:
        _part(xz, w, parts, program, ALL, E, OUTPUTS, COLUMNS, PDL)
    else:
        o = E + (program - PARTS) * Z_OUTPUTS + tl.arange(0, Z_OUTPUTS)
        words = first_words(m, o, 0, 2 * E, D, WORDS, SPAN, EVEN)
        wait(PDL)
        norm = scale_of_norm(squares, norm_eps, D, SQUARES)
        z = norm * row4(u, m, words, o, 0, 2 * E, D, BLOCK, GROUP, Z_OUTPUTS, WORDS, SPAN, EVEN, True, DECODE)
        if bias is not None:
            z += of_output(bias, o, 2 * E)
        tl.store(xz + o[:, None], z.to(xz.dtype.element_ty), mask=(o < 2 * E)[:, None])


@triton.jit
def _gate(
    h, norm, eps, weight, bias, z, program, Z: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr, OUTPUTS: tl.constexpr,
    REPEAT: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """z (Z) = norm(h) Wᵀ + bias. h is there: the kernel that made x has waited for it."""
    stream(
        h, None, weight, norm, eps, bias, None, None, z, None, None, None, None, 0, program,
        Z, D, 1, 1, WIDE, OUTPUTS, REPEAT, True, PDL,
    )  # fmt: skip


@triton.jit
def _summed(
    parts, row, b, first, width, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, ALL: tl.constexpr, WIDE: tl.constexpr
):
    """Σ parts[:, row, first : first+width] (WIDE), 0 beyond the width; parts (SPLITS, b, ALL)."""
    s, i = tl.arange(0, SPLITS_WIDE)[:, None], tl.arange(0, WIDE)[None, :]
    return tl.sum(
        tl.load(parts + (s * b + row) * ALL + first + i, mask=(s < SPLITS) & (i < width), other=0.0),
        axis=0,
    )


@triton.jit
def _rms(v, width, eps):
    """v / √(mean v² + ε), v being 0 beyond its width."""
    return v * tl.rsqrt(tl.sum(v * v) / width + eps)


@triton.jit
def _advance_row(
    xz, parts, w, bias, A, skip, state, active, out, eps, h, norm, norm_eps, z_weight, z_bias, z,
    BEFORE: tl.constexpr, ADVANCE: tl.constexpr, Z: tl.constexpr, E: tl.constexpr, N: tl.constexpr, R: tl.constexpr,
    N_WIDE: tl.constexpr, R_WIDE: tl.constexpr, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, CHANNELS: tl.constexpr,
    GATED: tl.constexpr, COMBED: tl.constexpr, D: tl.constexpr, D_WIDE: tl.constexpr, Z_OUTPUTS: tl.constexpr,
    Z_REPEAT: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Δ and the recurrence for a block of channels, and beside it the rest of z, if that is not there yet (GATED)."""
    release(PDL)
    program = tl.program_id(0)
    if (program >= BEFORE) & (program < BEFORE + ADVANCE):
        _advance_block(
            xz, parts, w, bias, A, skip, state, active, out, eps, program - BEFORE,
            E, N, R, N_WIDE, R_WIDE, SPLITS, SPLITS_WIDE, CHANNELS, GATED, COMBED, PDL,
        )  # fmt: skip
    else:
        if Z > 0:
            turn = program - tl.where(program < BEFORE, 0, ADVANCE)
            _gate(h, norm, norm_eps, z_weight, z_bias, z, turn, Z, D, D_WIDE, Z_OUTPUTS, Z_REPEAT, PDL)


@triton.jit
def _advance_block(
    xz, parts, w, bias, A, skip, state, active, out, eps, block, E: tl.constexpr, N: tl.constexpr, R: tl.constexpr,
    N_WIDE: tl.constexpr, R_WIDE: tl.constexpr, SPLITS: tl.constexpr, SPLITS_WIDE: tl.constexpr, CHANNELS: tl.constexpr,
    GATED: tl.constexpr, COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    ALL: tl.constexpr = R + 2 * N
    e, k, n = block * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, R_WIDE), tl.arange(0, N_WIDE)
    at = e[:, None] * N + n[None, :]
    inside = (e < E)[:, None] & (n < N)[None, :]
    weights = tile(w, e, k, E, R, E % CHANNELS == 0 and R == R_WIDE)
    s = tl.load(state + at, mask=inside, other=0.0)  # of the last step, which has ended (projection._embed)
    rate = tl.load(A + at, mask=inside, other=0.0) * LOG2_E
    dt_bias = tl.load(bias + e, mask=e < E, other=0.0).to(tl.float32)
    through = tl.load(skip + e, mask=e < E, other=0.0).to(tl.float32)
    wait(PDL)
    low = _summed(parts, 0, 1, 0, R, SPLITS, SPLITS_WIDE, ALL, R_WIDE)
    B = _summed(parts, 0, 1, R, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE)
    C = _summed(parts, 0, 1, R + N, N, SPLITS, SPLITS_WIDE, ALL, N_WIDE)
    x = tl.load(xz + e, mask=e < E, other=0.0).to(tl.float32)
    writes = tl.load(active) != 0
    dt = tl.sum(weights.to(tl.float32) * low[None, :], axis=1) * tl.rsqrt(tl.sum(low * low) / R + eps)
    dt = softplus(dt + dt_bias)
    s = tl.exp2(dt[:, None] * rate) * s + (dt * x)[:, None] * _rms(B, N, eps)[None, :]
    tl.store(state + at, s, mask=inside & writes)
    y = tl.sum(s * _rms(C, N, eps)[None, :], axis=1) + through * x
    if GATED:
        y *= silu(tl.load(xz + E + e, mask=e < E, other=0.0).to(tl.float32))
    tl.store(out + comb(e, E, COMBED), y.to(out.dtype.element_ty), mask=e < E)


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
def _advance_rows(
    xz, dt, BC, A, D, state, active, out, E: tl.constexpr, N: tl.constexpr, N_WIDE: tl.constexpr, CHANNELS: tl.constexpr,
    COMBED: tl.constexpr,
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
    d = softplus(tl.load(dt + row * E + e, mask=e < E, other=0.0))
    B = tl.load(BC + row * (2 * N) + n, mask=n < N, other=0.0)
    C = tl.load(BC + row * (2 * N) + N + n, mask=n < N, other=0.0)
    s = tl.exp2(d[:, None] * rate) * s + (d * x)[:, None] * B[None, :]
    tl.store(at, s, mask=inside & writes)
    y = tl.sum(s * C[None, :], axis=1) + skip * x
    tl.store(out + row * E + comb(e, E, COMBED), (y * silu(z)).to(out.dtype.element_ty), mask=e < E)
