"""Mamba-1's selective scan in one pass over time, with its softplus, skip connection and gate.

A program owns some channels with all their states, in registers, and walks a row of tokens in tiles. At the 7B's size the
states of a single sequence fill the machine so, and the exponentials (one a token, channel and state) bound the time; all else
is arranged around them:

* A tile's recurrence s_t = a_t ∘ s_{t−1} + u_t is laid out as (T, M, G, K, E). By the compiler's default E channels lie across
  the lanes of a warp, K lanes share each (the state n = m K + k belongs to lane k), every warp has its groups G, and T and M
  stay within a lane. So the scan over T is one multiply-add a state, and no warp needs another's sums.
* What belongs to a channel alone (Δ, the gate, the skip) is worked out once, in the layout of the loads, and a tile ahead; then
  it is handed to the lanes that share the channel. Carried through a `while` it stays so: a compiler that sees through a loop
  would repeat that work in each of them.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels.triton.launch import cdiv, power_of_two, row_of
from modeling.padded import PaddedSlots, unpadded

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


class Tile(NamedTuple):
    """What a program works on at a time, and how it is spread over its warps."""

    warps: int
    groups: int  # of 32 / lanes channels: one or more for each warp
    lanes: int  # that share a channel
    tokens: int


def choose(channels: int, states: int) -> Tile:
    """The tile for so many channels in all rows, of a power of two of states each: at most 64 states · tokens in a lane."""
    warps = 4 if channels >= 4096 else 1  # fewer channels spread over more programs, as there are processors to spare
    lanes = min(states, 32, max(4, states // 16))
    return Tile(warps, warps, lanes, max(1, min(16, 64 * lanes // states)))


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    z: Tensor,
    state: Tensor | PaddedSlots | None = None,
) -> Tensor:
    """The twin of `reference.selective_scan`: x, dt, z (b, l, e); A (e, n) fp32; B, C (b, l, n); D, dt_bias (e) → y (b, l, e).

    `state` (b, e, n) fp32 goes on in place. x, dt, z, B and C may be views, of unit stride in their last dimension.
    """
    tile = choose(x.shape[0] * x.shape[2], power_of_two(A.shape[1]))
    return scan_in_tiles(x, dt, A, B, C, D, dt_bias, z, state, tile)


def scan_in_tiles(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    z: Tensor,
    state: Tensor | PaddedSlots | None,
    tile: Tile,
) -> Tensor:
    """`selective_scan` in tiles of a given shape."""
    x, dt, B, C, z = (t if t.stride(-1) == 1 else t.contiguous() for t in (x, dt, B, C, z))
    (b, length, e), n = x.shape, A.shape[1]
    y = torch.empty((b, length, e), dtype=z.dtype, device=z.device)
    memory, rows = unpadded(state)
    kept = A if memory is None else memory  # without a state the kernel looks at none
    width = power_of_two(n)
    lanes = min(tile.lanes, width)
    channels = 32 // lanes
    _scan[(cdiv(e, tile.groups * channels), b)](
        *(x, dt, z, A, B, C, D, dt_bias, kept, y, rows),
        *(length, e, n),
        *(x.stride(0), x.stride(1), dt.stride(0), dt.stride(1), z.stride(0), z.stride(1)),
        *(B.stride(0), B.stride(1), C.stride(0), C.stride(1)),
        *(A.stride(0), A.stride(1), 0 if memory is None else memory.stride(0), kept.stride(-2), kept.stride(-1)),
        KEPT=state is not None,
        T=tile.tokens,
        M=width // lanes,
        G=tile.groups,
        K=lanes,
        E=channels,
        num_warps=tile.warps,
    )
    return y


# One kernel for all lengths. And strides of the states unknown to the compiler: it would carry the state in a layout that suits
# its one load, not the scan.
@triton.jit(do_not_specialize=["length", "A_channel", "A_state", "kept_channel", "kept_state"])
def _scan(
    x,  # (b, l, e)
    dt,  # (b, l, e)
    z,  # (b, l, e)
    A,  # (e, n)
    B,  # (b, l, n)
    C,  # (b, l, n)
    D,  # (e)
    dt_bias,  # (e)
    kept,  # (b, e, n), in and out
    y,  # (b, l, e), contiguous
    rows,  # (b, 3), or none: all rows have `length` tokens, and row i of the memory is theirs
    length,
    width,
    states,
    x_row,
    x_token,
    dt_row,
    dt_token,
    z_row,
    z_token,
    B_row,
    B_token,
    C_row,
    C_token,
    A_channel,
    A_state,
    kept_row,
    kept_channel,
    kept_state,
    KEPT: tl.constexpr,
    T: tl.constexpr,
    M: tl.constexpr,
    G: tl.constexpr,
    K: tl.constexpr,
    E: tl.constexpr,
):
    first, row = tl.program_id(0) * G * E, tl.program_id(1).to(tl.int64)
    e, n, t = first + tl.arange(0, G * E), tl.arange(0, M * K), tl.arange(0, T)
    on, of_state = e < width, n < states
    skip = tl.load(D + e, mask=on, other=0.0).to(tl.float32)
    shift = tl.load(dt_bias + e, mask=on, other=0.0).to(tl.float32)

    # Of the states: loaded as (E, K, G, M), so that the lanes which load them are the lanes which keep them.
    channel = first + tl.arange(0, G)[None, None, :, None] * E + tl.arange(0, E)[:, None, None, None]
    state = tl.arange(0, M)[None, None, None, :] * K + tl.arange(0, K)[None, :, None, None]
    inside = (channel < width) & (state < states)
    slot, left = row, length
    if rows is not None:
        slot, _, left = row_of(rows, row)
        inside &= left > 0
    rate = tl.load(A + channel * A_channel + state * A_state, mask=inside, other=0.0) * LOG2_E
    rate = tl.permute(rate, (3, 2, 1, 0))  # M G K E
    cell = kept + slot * kept_row + channel * kept_channel + state * kept_state
    if KEPT:
        s = tl.permute(tl.load(cell, mask=inside, other=0.0), (3, 2, 1, 0))
    else:
        s = tl.zeros((M, G, K, E), tl.float32)

    # Pointers to a tile are those of its first token, which move, and offsets, which do not.
    x, dt, z = x + row * x_row, dt + row * dt_row, z + row * z_row
    B, C, y = B + row * B_row, C + row * C_row, y + row * length * width
    x_tile, dt_tile = t[:, None] * x_token + e[None, :], t[:, None] * dt_token + e[None, :]
    z_tile, y_tile = t[:, None] * z_token + e[None, :], t[:, None] * width + e[None, :]
    B_tile, C_tile = t[:, None] * B_token + n[None, :], t[:, None] * C_token + n[None, :]

    live, given = (t < left)[:, None] & on[None, :], (t < left)[:, None] & of_state[None, :]
    x_t = tl.load(x + x_tile, mask=live, other=0.0)
    dt_t = tl.load(dt + dt_tile, mask=live, other=0.0)
    z_t = tl.load(z + z_tile, mask=live, other=0.0)
    delta, drive, gate, skipped = _of_channels(x_t, dt_t, z_t, skip, shift, live)
    b_t = tl.load(B + B_tile, mask=given, other=0.0).to(tl.float32)
    c_t = tl.load(C + C_tile, mask=given, other=0.0).to(tl.float32)
    while left > 0:
        now = (t < left)[:, None] & on[None, :]
        left -= T
        live, given = (t < left)[:, None] & on[None, :], (t < left)[:, None] & of_state[None, :]
        x, dt, z, B, C = x + T * x_token, dt + T * dt_token, z + T * z_token, B + T * B_token, C + T * C_token
        x_t = tl.load(x + x_tile, mask=live, other=0.0)  # of the next tile
        dt_t = tl.load(dt + dt_tile, mask=live, other=0.0)
        z_t = tl.load(z + z_tile, mask=live, other=0.0)
        next_b = tl.load(B + B_tile, mask=given, other=0.0)
        next_c = tl.load(C + C_tile, mask=given, other=0.0)

        y_t, s = _recurrence(delta, drive, b_t, c_t, rate, s, T, M, G, K, E)
        tl.store(y + y_tile, (y_t * gate + skipped).to(y.dtype.element_ty), mask=now)
        y += T * width
        delta, drive, gate, skipped = _of_channels(x_t, dt_t, z_t, skip, shift, live)
        b_t, c_t = next_b.to(tl.float32), next_c.to(tl.float32)
    if KEPT:
        tl.store(cell, tl.permute(s, (3, 2, 1, 0)), mask=inside)


@triton.jit
def _of_channels(x, dt, z, skip, shift, live):
    """Of a tile (T, GE): Δ, Δ x, SiLU(z) and D x SiLU(z). A token that is not there has Δ = 0: it leaves the state as it is."""
    x, z = x.to(tl.float32), z.to(tl.float32)
    delta = tl.where(live, _softplus(dt.to(tl.float32) + shift[None, :]), 0.0)
    gate = z / (1.0 + tl.exp2(z * -LOG2_E))
    return delta, delta * x, gate, skip[None, :] * x * gate


@triton.jit
def _softplus(v):
    """log(1 + eᵛ) = max(v, 0) + log(1 + w), w = e^−|v| in (0, 1]: the latter as w times a polynomial, to 2·10⁻⁷ of itself."""
    w = tl.exp2(tl.abs(v) * -LOG2_E)
    p = 0.0052326727 * w - 0.02950516
    p = p * w + 0.078225835
    p = p * w - 0.13663237
    p = p * w + 0.19106004
    p = p * w - 0.24842982
    p = p * w + 0.33319097
    p = p * w - 0.49999493
    return tl.maximum(v, 0.0) + w * (p * w + 1.0)


@triton.jit
def _recurrence(
    delta, drive, b, c, rate, s, T: tl.constexpr, M: tl.constexpr, G: tl.constexpr, K: tl.constexpr, E: tl.constexpr
):
    """A tile's way through the states: delta, drive (T, GE), b, c (T, MK), rate, s (M, G, K, E) → S C (T, GE), S at its end."""
    begins = (tl.arange(0, T) == 0)[:, None, None, None, None]
    delta, drive = tl.reshape(delta, (T, G, E))[:, None, :, None, :], tl.reshape(drive, (T, G, E))[:, None, :, None, :]
    b, c = tl.reshape(b, (T, M, K))[:, :, None, :, None], tl.reshape(c, (T, M, K))[:, :, None, :, None]
    decay = tl.exp2(delta * rate[None, :, :, :, :])  # T M G K E
    u = drive * b
    u = tl.where(begins, u + decay * s[None, :, :, :, :], u)
    _, s_t = tl.associative_scan((decay, u), 0, _after)
    y = tl.sum(tl.sum(s_t * c, axis=1), axis=2)  # T G E

    # The last token's states. As integers: adding zeros to those is no work.
    ends = (tl.arange(0, T) == T - 1)[:, None, None, None, None]
    last = tl.sum(tl.where(ends, s_t.to(tl.int32, bitcast=True), 0), axis=0)
    return tl.reshape(y, (T, G * E)), last.to(tl.float32, bitcast=True)


@triton.jit
def _after(a, u, later_a, later_u):
    """Two steps s → a s + u of a recurrence as one."""
    return later_a * a, later_a * u + later_u
