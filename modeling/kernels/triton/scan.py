"""Mamba-1's selective scan in one pass over time, with its softplus, skip connection and gate.

A program is one warp. It owns a few channels with all their states, in registers, and walks a row of tokens in tiles of T. At
the 7B's size the states of a single sequence fill the machine so, and the exponentials (one a token, channel and state) are
what takes the time; all else is arranged around them:

* The recurrence s_t = a_t ∘ s_{t−1} + u_t of a tile is laid out as (T, N, E): by the compiler's default E lies across the lanes
  and T within a thread, so that the scan over T is one multiply-add a state, and a sum over N needs a shuffle or two.
* What belongs to a channel alone (Δ, the gate, the skip) is worked out for the next tile while its tokens are at hand once, in
  the layout of its loads, then handed to the lanes that need it. Carried through a `while` it stays so: a compiler that sees
  through a loop would repeat that work in every lane that shares a channel.
* The next tile's tokens are on their way while a tile is worked on.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
STATES = 256  # of one program, 8 a lane: 512 warps for the 7B's 8,192 · 16
TILE = 2048  # states at T tokens, of which decays and drives are in registers: T = 8 for the 7B


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    z: Tensor,
    state: Tensor | None = None,
) -> Tensor:
    """The twin of `reference.selective_scan`: x, dt, z (b, l, e); A (e, n) fp32; B, C (b, l, n); D, dt_bias (e) → y (b, l, e).

    `state` (b, e, n) fp32 goes on in place. x, dt, z, B and C may be views, of unit stride in their last dimension.
    """
    n = triton.next_power_of_2(A.shape[1])
    channels = max(1, min(32, STATES // n))
    return scan_in_tiles(x, dt, A, B, C, D, dt_bias, z, state, channels, max(1, min(16, TILE // (n * channels))))


def scan_in_tiles(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    z: Tensor,
    state: Tensor | None,
    channels: int,
    tokens: int,
) -> Tensor:
    """`selective_scan` with the shape of its tiles."""
    x, dt, B, C, z = (t if t.stride(-1) == 1 else t.contiguous() for t in (x, dt, B, C, z))
    (b, length, e), n = x.shape, A.shape[1]
    y = torch.empty((b, length, e), dtype=z.dtype, device=z.device)
    kept = A if state is None else state  # without a state the kernel looks at none
    _scan[(triton.cdiv(e, channels), b)](
        *(x, dt, z, A, B, C, D, dt_bias, kept, y),
        *(length, e, n),
        *(x.stride(0), x.stride(1), dt.stride(0), dt.stride(1), z.stride(0), z.stride(1)),
        *(B.stride(0), B.stride(1), C.stride(0), C.stride(1)),
        *(A.stride(0), A.stride(1), 0 if state is None else state.stride(0), kept.stride(-2), kept.stride(-1)),
        KEPT=state is not None,
        N=triton.next_power_of_2(n),
        E=channels,
        T=tokens,
        num_warps=1,
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
    N: tl.constexpr,
    E: tl.constexpr,
    T: tl.constexpr,
):
    row = tl.program_id(1).to(tl.int64)
    e = tl.program_id(0) * E + tl.arange(0, E)
    n, t = tl.arange(0, N), tl.arange(0, T)
    on, of_state = e < width, n < states
    inside = on[:, None] & of_state[None, :]
    rate = tl.load(A + e[:, None] * A_channel + n[None, :] * A_state, mask=inside, other=0.0).trans() * LOG2_E  # N E
    skip = tl.load(D + e, mask=on, other=0.0).to(tl.float32)
    shift = tl.load(dt_bias + e, mask=on, other=0.0).to(tl.float32)
    cell = kept + row * kept_row + e[:, None] * kept_channel + n[None, :] * kept_state
    s = tl.load(cell, mask=inside, other=0.0).trans() if KEPT else tl.zeros((N, E), tl.float32)

    # Pointers to a tile are those of its first token, which move, and offsets, which do not.
    x, dt, z = x + row * x_row, dt + row * dt_row, z + row * z_row
    B, C, y = B + row * B_row, C + row * C_row, y + row * length * width
    x_tile, dt_tile = t[:, None] * x_token + e[None, :], t[:, None] * dt_token + e[None, :]
    z_tile, y_tile = t[:, None] * z_token + e[None, :], t[:, None] * width + e[None, :]
    B_tile, C_tile = t[:, None] * B_token + n[None, :], t[:, None] * C_token + n[None, :]

    left = length
    live, given = (t < left)[:, None] & on[None, :], (t < left)[:, None] & of_state[None, :]
    delta, drive, gate, skipped = _of_channels(
        tl.load(x + x_tile, mask=live, other=0.0),
        tl.load(dt + dt_tile, mask=live, other=0.0),
        tl.load(z + z_tile, mask=live, other=0.0),
        *(skip, shift, live),
    )
    b_t = tl.load(B + B_tile, mask=given, other=0.0).to(tl.float32)
    c_t = tl.load(C + C_tile, mask=given, other=0.0).to(tl.float32)
    while left > 0:
        now = (t < left)[:, None] & on[None, :]
        left -= T
        live, given = (t < left)[:, None] & on[None, :], (t < left)[:, None] & of_state[None, :]
        x, dt, z, B, C = x + T * x_token, dt + T * dt_token, z + T * z_token, B + T * B_token, C + T * C_token
        next_x = tl.load(x + x_tile, mask=live, other=0.0)
        next_dt = tl.load(dt + dt_tile, mask=live, other=0.0)
        next_z = tl.load(z + z_tile, mask=live, other=0.0)
        next_b = tl.load(B + B_tile, mask=given, other=0.0)
        next_c = tl.load(C + C_tile, mask=given, other=0.0)

        decay = tl.exp2(delta[:, None, :] * rate[None, :, :])  # T N E
        u = drive[:, None, :] * b_t[:, :, None]
        u = tl.where(t[:, None, None] == 0, u + decay * s[None, :, :], u)
        _, s_t = tl.associative_scan((decay, u), 0, _after)
        s = _last(s_t, T)
        y_t = tl.sum(s_t * c_t[:, :, None], axis=1)  # T E
        tl.store(y + y_tile, (y_t * gate + skipped).to(y.dtype.element_ty), mask=now)
        y += T * width

        delta, drive, gate, skipped = _of_channels(next_x, next_dt, next_z, skip, shift, live)
        b_t, c_t = next_b.to(tl.float32), next_c.to(tl.float32)
    if KEPT:
        tl.store(cell, s.trans(), mask=inside)


@triton.jit
def _of_channels(x, dt, z, skip, shift, live):
    """Of a tile (T, E): Δ, Δ x, SiLU(z) and D x SiLU(z). A token that is not there has Δ = 0: it leaves the state as it is."""
    x, z = x.to(tl.float32), z.to(tl.float32)
    delta = tl.where(live, _softplus(dt.to(tl.float32) + shift[None, :]), 0.0)
    gate = z / (1.0 + tl.exp2(-LOG2_E * z))
    return delta, delta * x, gate, skip[None, :] * x * gate


@triton.jit
def _softplus(v):
    """log(1 + eᵛ) = max(v, 0) + log(1 + w), w = e^−|v| in (0, 1]: the latter as w times a polynomial, to 2·10⁻⁷ of itself."""
    w = tl.exp2(-LOG2_E * tl.abs(v))
    p = 0.0052326727 * w - 0.02950516
    p = p * w + 0.078225835
    p = p * w - 0.13663237
    p = p * w + 0.19106004
    p = p * w - 0.24842982
    p = p * w + 0.33319097
    p = p * w - 0.49999493
    return tl.maximum(v, 0.0) + w * (p * w + 1.0)


@triton.jit
def _after(a, u, later_a, later_u):
    """Two steps s → a s + u of a recurrence as one."""
    return later_a * a, later_a * u + later_u


@triton.jit
def _last(s, T: tl.constexpr):
    """s (T, …) at the last token. As integers: adding zeros to those is no work."""
    of_last = (tl.arange(0, T) == T - 1)[:, None, None]
    return tl.sum(tl.where(of_last, s.to(tl.int32, bitcast=True), 0), axis=0).to(tl.float32, bitcast=True)
