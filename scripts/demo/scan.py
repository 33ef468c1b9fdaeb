"""Mamba-1's scan for training on a GPU: one pass over time forwards and one backwards, in Triton.

The recurrence runs in registers. All states are written out by the way forward (1 GB for 32,768 tokens of a layer) and read
again by the way back, which is cheaper than the many passes of a parallel prefix. Its law is `modeling.kernels.reference`.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

CHANNELS = 16  # of one program


@triton.jit
def _forwards(x, dt, A, B, C, y, states, length, width, N: tl.constexpr, E: tl.constexpr):
    """S_t = exp(Δ_t A) ∘ S_{t−1} + Δ_t x_t ⊗ B_t and y_t = S_t C_t, for E channels of one row."""
    row, part = tl.program_id(0), tl.program_id(1)
    e = part * E + tl.arange(0, E)
    n = tl.arange(0, N)
    a_rate = tl.load(A + e[:, None] * N + n[None, :])
    s = tl.zeros((E, N), dtype=tl.float32)
    for t in range(length):
        at = (row * length + t).to(tl.int64)
        dt_t = tl.load(dt + at * width + e)
        x_t = tl.load(x + at * width + e)
        b_t = tl.load(B + at * N + n)
        c_t = tl.load(C + at * N + n)
        s = tl.exp(dt_t[:, None] * a_rate) * s + (dt_t * x_t)[:, None] * b_t[None, :]
        tl.store(states + at * width * N + e[:, None] * N + n[None, :], s)
        tl.store(y + at * width + e, tl.sum(s * c_t[None, :], axis=1))


@triton.jit
def _backwards(x, dt, A, B, C, dy, states, dx, ddt, dA, dB, dC, rows, length, width, N: tl.constexpr, E: tl.constexpr):
    """The adjoint λ_t = dy_t ⊗ C_t + exp(Δ_{t+1} A) ∘ λ_{t+1}, from the last token to the first, and all gradients by it."""
    row, part = tl.program_id(0), tl.program_id(1)
    e = part * E + tl.arange(0, E)
    n = tl.arange(0, N)
    grid = e[:, None] * N + n[None, :]
    a_rate = tl.load(A + grid)
    carried = tl.zeros((E, N), dtype=tl.float32)
    dA_sum = tl.zeros((E, N), dtype=tl.float32)
    for i in range(length):
        t = length - 1 - i
        at = (row * length + t).to(tl.int64)
        dt_t = tl.load(dt + at * width + e)
        x_t = tl.load(x + at * width + e)
        dy_t = tl.load(dy + at * width + e)
        b_t = tl.load(B + at * N + n)
        c_t = tl.load(C + at * N + n)
        before = tl.load(states + (at - 1) * width * N + grid, mask=grid < t * width * N, other=0.0)  # t = 0: none
        decay = tl.exp(dt_t[:, None] * a_rate)
        s = decay * before + (dt_t * x_t)[:, None] * b_t[None, :]
        adjoint = carried + dy_t[:, None] * c_t[None, :]
        drive = tl.sum(adjoint * b_t[None, :], axis=1)
        rate = adjoint * before * decay
        tl.store(dx + at * width + e, drive * dt_t)
        tl.store(ddt + at * width + e, drive * x_t + tl.sum(rate * a_rate, axis=1))
        of_part = (part * rows * length).to(tl.int64) * N
        tl.store(dB + of_part + at * N + n, tl.sum(adjoint * (dt_t * x_t)[:, None], axis=0))
        tl.store(dC + of_part + at * N + n, tl.sum(s * dy_t[:, None], axis=0))
        dA_sum += rate * dt_t[:, None]
        carried = adjoint * decay
    tl.store(dA + row.to(tl.int64) * width * N + grid, dA_sum)


class _Scan(torch.autograd.Function):
    """y = scan(x, Δ, A, B, C) without skip connection; everything fp32 and contiguous."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        b, length, e = x.shape
        n = A.shape[1]
        y = torch.empty_like(x)
        states = x.new_empty((b, length, e, n))
        grid = (b, e // CHANNELS)
        _forwards[grid](x, dt, A, B, C, y, states, length, e, N=n, E=CHANNELS, num_warps=1)
        ctx.save_for_backward(x, dt, A, B, C, states)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, dt, A, B, C, states = ctx.saved_tensors
        b, length, e = x.shape
        n, parts = A.shape[1], e // CHANNELS
        dx, ddt = torch.empty_like(x), torch.empty_like(x)
        dA = x.new_empty((b, e, n))
        dB, dC = x.new_empty((parts, b, length, n)), x.new_empty((parts, b, length, n))
        dy = gradients[0].contiguous()
        arguments = (x, dt, A, B, C, dy, states, dx, ddt, dA, dB, dC, b, length, e)
        _backwards[(b, parts)](*arguments, N=n, E=CHANNELS, num_warps=1)
        return dx, ddt, dA.sum(0), dB.sum(0), dC.sum(0)


def selective_scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt_bias: Tensor, z: Tensor, state: Tensor | None = None
) -> Tensor:
    """The twin of `reference.selective_scan` without a state: x, dt, z (b, l, e); A (e, n); B, C (b, l, n) → y (b, l, e)."""
    assert state is None, "a scan for training starts from nothing"
    x = x.float().contiguous()
    dt = F.softplus(dt.float() + dt_bias.float()).contiguous()
    y: Tensor = _Scan.apply(x, dt, A.contiguous(), B.float().contiguous(), C.float().contiguous())
    return ((y + x * D.float()) * F.silu(z)).to(z.dtype)
