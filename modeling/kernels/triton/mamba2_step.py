"""One token of Mamba-2 after its convolution, alone or with Falcon-H1's attention beside it.

    advance     (row, head, some of its channels) → the recurrence, the skip and the gate
    normalise   (row, group, some of its channels) → the grouped norm, where a model has one

The norm needs all channels of a group: every program of `advance` hands on the sum of its squares, and those are added up in
the same order by whoever needs them. No atomics. `mix` and `finish` launch each of the two together with its like of attention,
which depends on nothing that this one does.
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

from modeling.kernels.triton.attention_step import attend_split, merge_head
from modeling.kernels.triton.launch import overlaps, release, wait
from modeling.kernels.triton.rows import comb, silu, softplus

NORMED = 256  # channels of one group in a program of `normalise`


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A mixer's weights between its convolution and out_proj: A (h) fp32 = −exp(A_log), D, dt_bias (h); the time step's limit;
    g groups of heads that share B and C; the gated norm's weight (e), if there is one, and its place."""

    A: Tensor
    D: Tensor
    dt_bias: Tensor
    limit: tuple[float, float]
    groups: int
    norm: Tensor | None
    eps: float
    norm_before_gate: bool


@dataclass(frozen=True, slots=True)
class Sizes:
    """So many channels (a power of two) of a head in one program."""

    channels: int
    warps: int = 4


@dataclass(frozen=True, slots=True)
class Scratch:
    """What `advance` hands to `normalise`: y (b, e) fp32, and the sums of squares (b, programs of a row) fp32."""

    y: Tensor
    squares: Tensor

    @classmethod
    def empty(cls, rows: int, heads: int, width: int, sizes: Sizes, device: torch.device) -> Scratch:
        return cls(
            torch.empty(rows, heads * width, dtype=torch.float32, device=device),
            torch.empty(rows, heads * triton.cdiv(width, sizes.channels), dtype=torch.float32, device=device),
        )


def choose(rows: int, state: Tensor) -> Sizes:
    """Block sizes by shape, as measured (benchmarks/gpu/decode_falcon_h1.py); state (slots, h, p, n)."""
    width, states = state.shape[2], triton.next_power_of_2(state.shape[3])
    return Sizes(min(triton.next_power_of_2(width), max(1, (4096 if rows == 1 else 2048) // states)))


def advance(
    projected: Tensor,
    mixer: Recurrence,
    state: Tensor,
    active: Tensor,
    scratch: Scratch,
    out: Tensor,
    sizes: Sizes,
    multiplier: float = 1.0,
    combed: bool = False,
) -> None:
    """projected (b, width) begins with z (e), x (e), B, C (g·n) and dt (h); x, B and C convolved. state (slots, h, p, n) fp32
    is updated in place for rows whose active (slots) int32 is not 0.

    Without a norm, out (b, e) is the gated result times `multiplier`; with one, `normalise` makes it of `scratch`.
    """
    arguments = advance_arguments(projected, mixer, state, active, scratch, out, sizes, multiplier, combed)
    pdl = overlaps(projected.device)
    grid = (advance_programs(projected.shape[0], state, sizes),)
    _advance[grid](**arguments, PDL=pdl, num_warps=sizes.warps, launch_pdl=pdl)


def normalise(
    projected: Tensor, mixer: Recurrence, scratch: Scratch, out: Tensor, multiplier: float = 1.0, combed: bool = False
) -> None:
    """out (b, e), the grouped norm of what `advance` has left in `scratch`, times `multiplier`."""
    assert mixer.norm is not None
    pdl = overlaps(out.device)
    arguments = normalise_arguments(projected, mixer, scratch, out, multiplier, combed)
    _normalise[(normalise_programs(mixer, scratch),)](**arguments, PDL=pdl, num_warps=4, launch_pdl=pdl)


def mix(attention: dict[str, Any], attention_programs: int, mamba: dict[str, Any], mamba_programs: int, warps: int) -> None:
    """`attend` and `advance` in one launch, by their arguments and numbers of programs."""
    pdl = overlaps(mamba["projected"].device)
    arguments = attention | mamba
    grid = (attention_programs + mamba_programs,)
    _mix[grid](**arguments, attention_programs=attention_programs, PDL=pdl, num_warps=warps, launch_pdl=pdl)


def finish(merging: dict[str, Any], merging_programs: int, norming: dict[str, Any], norming_programs: int) -> None:
    """`merge` and `normalise` in one launch."""
    pdl = overlaps(merging["partial"].device)
    arguments = merging | norming
    grid = (merging_programs + norming_programs,)
    _finish[grid](**arguments, merging_programs=merging_programs, PDL=pdl, num_warps=4, launch_pdl=pdl)


def advance_programs(rows: int, state: Tensor, sizes: Sizes) -> int:
    return int(rows * state.shape[1] * triton.cdiv(state.shape[2], sizes.channels))


def normalise_programs(mixer: Recurrence, scratch: Scratch) -> int:
    b, e = scratch.y.shape
    return int(b * mixer.groups * triton.cdiv(e // mixer.groups, NORMED))


def advance_arguments(
    projected: Tensor,
    mixer: Recurrence,
    state: Tensor,
    active: Tensor,
    scratch: Scratch,
    out: Tensor,
    sizes: Sizes,
    multiplier: float = 1.0,
    combed: bool = False,
) -> dict[str, Any]:
    _, h, p, n = state.shape
    normed = mixer.norm is not None
    return {
        "projected": projected, "state": state, "active": active, "A": mixer.A, "D": mixer.D, "dt_bias": mixer.dt_bias,
        "shortest": mixer.limit[0], "longest": mixer.limit[1], "multiplier": multiplier, "y": scratch.y if normed else out,
        "squares": scratch.squares if normed else None, "WIDTH": projected.shape[1], "SSM_H": h, "SSM_P": p,
        "SSM_G": mixer.groups, "N": n, "N_WIDE": triton.next_power_of_2(n), "CHANNELS": sizes.channels,
        "GATED": not (normed and mixer.norm_before_gate), "COMBED": combed and not normed,
    }  # fmt: skip


def normalise_arguments(
    projected: Tensor, mixer: Recurrence, scratch: Scratch, out: Tensor, multiplier: float = 1.0, combed: bool = False
) -> dict[str, Any]:
    squares = scratch.squares.shape[1] // mixer.groups
    return {
        "projected": projected, "y": scratch.y, "squares": scratch.squares, "weight": mixer.norm, "eps": mixer.eps,
        "normed": out, "multiplier": multiplier, "WIDTH": projected.shape[1], "E": scratch.y.shape[1], "SSM_G": mixer.groups,
        "SQUARES": squares, "SQUARES_WIDE": triton.next_power_of_2(squares), "CHANNELS": NORMED,
        "GATED": not mixer.norm_before_gate, "COMBED": combed,
    }  # fmt: skip


@triton.jit
def _advance(
    projected, state, active, A, D, dt_bias, shortest, longest, multiplier, y, squares,
    WIDTH: tl.constexpr, SSM_H: tl.constexpr, SSM_P: tl.constexpr, SSM_G: tl.constexpr, N: tl.constexpr, N_WIDE: tl.constexpr,
    CHANNELS: tl.constexpr, GATED: tl.constexpr, COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    release(PDL)
    advance_head(
        tl.program_id(0), projected, state, active, A, D, dt_bias, shortest, longest, multiplier, y, squares,
        WIDTH, SSM_H, SSM_P, SSM_G, N, N_WIDE, CHANNELS, GATED, COMBED, PDL,
    )  # fmt: skip


@triton.jit
def _normalise(
    projected, y, squares, weight, eps, normed, multiplier,
    WIDTH: tl.constexpr, E: tl.constexpr, SSM_G: tl.constexpr, SQUARES: tl.constexpr, SQUARES_WIDE: tl.constexpr,
    CHANNELS: tl.constexpr, GATED: tl.constexpr, COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    release(PDL)
    normalise_group(
        tl.program_id(0), projected, y, squares, weight, eps, normed, multiplier,
        WIDTH, E, SSM_G, SQUARES, SQUARES_WIDE, CHANNELS, GATED, COMBED, PDL,
    )  # fmt: skip


@triton.jit
def _mix(
    projected, keys, values, pages, lengths, active, turns, partial, sums, scale, reach,
    state, A, D, dt_bias, shortest, longest, multiplier, y, squares, attention_programs,
    PAGE: tl.constexpr, WIDTH: tl.constexpr, FIRST: tl.constexpr, H: tl.constexpr, G: tl.constexpr, P: tl.constexpr,
    P_WIDE: tl.constexpr, ASKING: tl.constexpr, SPLITS: tl.constexpr, POSITIONS: tl.constexpr, STAGES: tl.constexpr,
    EARLY: tl.constexpr, SSM_H: tl.constexpr, SSM_P: tl.constexpr, SSM_G: tl.constexpr, N: tl.constexpr, N_WIDE: tl.constexpr,
    CHANNELS: tl.constexpr, GATED: tl.constexpr, COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """The first programs attend, the others advance."""
    release(PDL)
    program = tl.program_id(0)
    if program < attention_programs:
        attend_split(
            program, projected, keys, values, pages, lengths, active, turns, partial, sums, scale, reach,
            PAGE, WIDTH, FIRST, H, G, P, P_WIDE, ASKING, SPLITS, POSITIONS, STAGES, EARLY, PDL,
        )  # fmt: skip
    else:
        advance_head(
            program - attention_programs, projected, state, active, A, D, dt_bias, shortest, longest, multiplier, y, squares,
            WIDTH, SSM_H, SSM_P, SSM_G, N, N_WIDE, CHANNELS, GATED, COMBED, PDL,
        )  # fmt: skip


@triton.jit
def _finish(
    partial, sums, lengths, active, attended, out_multiplier, projected, y, squares, weight, eps, normed, multiplier,
    merging_programs,
    H: tl.constexpr, P: tl.constexpr, SPLITS: tl.constexpr, POSITIONS: tl.constexpr, COLUMNS: tl.constexpr,
    MERGED_COMBED: tl.constexpr, WIDTH: tl.constexpr, E: tl.constexpr, SSM_G: tl.constexpr, SQUARES: tl.constexpr,
    SQUARES_WIDE: tl.constexpr, CHANNELS: tl.constexpr, GATED: tl.constexpr, COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """The first programs merge, the others normalise."""
    release(PDL)
    program = tl.program_id(0)
    if program < merging_programs:
        merge_head(
            program, partial, sums, lengths, active, attended, out_multiplier, H, P, SPLITS, POSITIONS, COLUMNS,
            MERGED_COMBED, PDL,
        )  # fmt: skip
    else:
        normalise_group(
            program - merging_programs, projected, y, squares, weight, eps, normed, multiplier,
            WIDTH, E, SSM_G, SQUARES, SQUARES_WIDE, CHANNELS, GATED, COMBED, PDL,
        )  # fmt: skip


@triton.jit
def advance_head(
    program, projected, state, active, A, D, dt_bias, shortest, longest, multiplier, y, squares,
    WIDTH: tl.constexpr, SSM_H: tl.constexpr, SSM_P: tl.constexpr, SSM_G: tl.constexpr, N: tl.constexpr, N_WIDE: tl.constexpr,
    CHANNELS: tl.constexpr, GATED: tl.constexpr, COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """S ← exp(Δ A) S + Δ x ⊗ B and y = S C + D x, under its gate if GATED, for some channels of one head of one row.

    The state was written a step ago, so it is on its way before this step's x is there.
    """
    BLOCKS: tl.constexpr = (SSM_P + CHANNELS - 1) // CHANNELS
    E: tl.constexpr = SSM_H * SSM_P
    block, head, row = program % BLOCKS, program // BLOCKS % SSM_H, program // (BLOCKS * SSM_H)
    c, n = block * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, N_WIDE)
    e, real = head * SSM_P + c, c < SSM_P
    at = state + (row.to(tl.int64) * E + e)[:, None] * N + n[None, :]
    inside = real[:, None] & (n < N)[None, :]
    s = tl.load(at, mask=inside, other=0.0, eviction_policy="evict_first")
    rate, skip = tl.load(A + head), tl.load(D + head).to(tl.float32)
    bias, writes = tl.load(dt_bias + head).to(tl.float32), tl.load(active + row) != 0
    here = projected + row * WIDTH
    B_at = here + 2 * E + head // (SSM_H // SSM_G) * N + n
    wait(PDL)
    dt = tl.load(here + 2 * E + 2 * SSM_G * N + head).to(tl.float32)
    x = tl.load(here + E + e, mask=real, other=0.0).to(tl.float32)
    B = tl.load(B_at, mask=n < N, other=0.0).to(tl.float32)
    C = tl.load(B_at + SSM_G * N, mask=n < N, other=0.0).to(tl.float32)
    z = tl.load(here + e, mask=real, other=0.0).to(tl.float32)

    dt = tl.minimum(tl.maximum(softplus(dt + bias), shortest), longest)
    s = tl.exp(dt * rate) * s + (dt * x)[:, None] * B[None, :]
    tl.store(at, s, mask=inside & writes)
    result = tl.sum(s * C[None, :], axis=1) + skip * x
    if GATED:
        result *= silu(z)
    if squares is not None:
        tl.store(squares + program, tl.sum(result * result))  # programs of a row, a group and a head are neighbours
    else:
        result *= multiplier
    tl.store(y + row * E + comb(e, E, COMBED), result.to(y.dtype.element_ty), mask=real)


@triton.jit
def normalise_group(
    program, projected, y, squares, weight, eps, normed, multiplier,
    WIDTH: tl.constexpr, E: tl.constexpr, SSM_G: tl.constexpr, SQUARES: tl.constexpr, SQUARES_WIDE: tl.constexpr,
    CHANNELS: tl.constexpr, GATED: tl.constexpr, COMBED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """weight · y / √(mean y² + ε) for some channels of one group of one row; then the gate, unless y was GATED already."""
    OF_GROUP: tl.constexpr = E // SSM_G
    BLOCKS: tl.constexpr = (OF_GROUP + CHANNELS - 1) // CHANNELS
    block, group, row = program % BLOCKS, program // BLOCKS % SSM_G, program // (BLOCKS * SSM_G)
    c, k = block * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, SQUARES_WIDE)
    e, real = group * OF_GROUP + c, c < OF_GROUP
    gain = tl.load(weight + e, mask=real, other=0.0).to(tl.float32)
    wait(PDL)
    total = tl.sum(tl.load(squares + (row * SSM_G + group) * SQUARES + k, mask=k < SQUARES, other=0.0))
    result = tl.load(y + row * E + e, mask=real, other=0.0) * tl.rsqrt(total / OF_GROUP + eps) * (gain * multiplier)
    if not GATED:
        result *= silu(tl.load(projected + row * WIDTH + e, mask=real, other=0.0).to(tl.float32))
    tl.store(normed + row * E + comb(e, E, COMBED), result.to(normed.dtype.element_ty), mask=real)
