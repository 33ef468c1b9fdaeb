"""The short causal convolution before a scan: all its taps and SiLU in one pass over the tokens.

A program takes some channels and walks a stretch of their tokens, T at a time: it fetches these and the k−1 inputs before them,
all at once, and works from registers. Only the first program of a row looks at its state; so it also writes the new state, from
the inputs, once all that is needed of the old one is in registers.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,untyped-decorator,import-not-found,import-untyped,assignment"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from modeling.kernels import reference
from modeling.kernels.padding import row_by_row
from modeling.kernels.triton.launch import cdiv, power_of_two, row_of
from modeling.padded import PaddedSlots, unpadded

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
TOKENS, CHANNELS, WARPS = 16, 128, 1  # at a time, in a program
PROGRAMS = 512  # occupy a GPU: where there were more, each takes up to four steps, and the weights are fetched less often


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | PaddedSlots | None = None) -> Tensor:
    """The twin of `reference.causal_conv`: x (b, l, c), weight (c, k), bias (c) → y (b, l, c), contiguous.

    `state` (b, c, k), of any strides, is the last k inputs and goes on in place. x may be a view of unit stride in c.
    """
    steps = min(4, max(1, x.numel() // (TOKENS * CHANNELS * PROGRAMS)))
    return conv_in_tiles(x, weight, bias, state, TOKENS, steps, CHANNELS, WARPS)


def conv_in_tiles(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    state: Tensor | PaddedSlots | None,
    tokens: int,
    steps: int,
    channels: int,
    warps: int,
) -> Tensor:
    """`causal_conv` with the shape of its tiles. A kernel longer than a tile, which no model has, is left to the law."""
    taps = weight.shape[-1]
    if taps > tokens:
        return row_by_row(0)(reference.causal_conv)(x, weight, bias, state)
    x = x if x.stride(-1) == 1 else x.contiguous()
    b, length, c = x.shape
    y = torch.empty((b, length, c), dtype=x.dtype, device=x.device)
    memory, rows = unpadded(state)
    kept = x if memory is None else memory  # without a state the kernel looks at none
    _conv[(cdiv(c, channels), cdiv(length, tokens * steps), b)](
        *(x, weight, weight if bias is None else bias, kept, y, rows),
        *(length, steps, c, x.stride(0), x.stride(1), weight.stride(0), weight.stride(1), *kept.stride()),
        BIASED=bias is not None,
        KEPT=state is not None,
        K=taps,
        KEPT_TAPS=power_of_two(taps),
        T=tokens,
        C=channels,
        num_warps=warps,
    )
    return y


@triton.jit(do_not_specialize=["length", "steps"])
def _conv(
    x,  # (b, l, c)
    weight,  # (c, k)
    bias,  # (c)
    kept,  # (b, c, k), in and out
    y,  # (b, l, c), contiguous
    rows,  # (b, 3), or none: all rows have `length` tokens, and row i of the memory is theirs
    length,
    steps,
    width,
    x_row,
    x_token,
    weight_channel,
    weight_tap,
    kept_row,
    kept_channel,
    kept_tap,
    BIASED: tl.constexpr,
    KEPT: tl.constexpr,
    K: tl.constexpr,
    KEPT_TAPS: tl.constexpr,
    T: tl.constexpr,
    C: tl.constexpr,
):
    begin, row = tl.program_id(1) * T * steps, tl.program_id(2).to(tl.int64)
    c = tl.program_id(0) * C + tl.arange(0, C)
    on = c < width
    x += row * x_row + c
    y += row * length * width + c
    slot = row
    if rows is not None:
        slot, _, length = row_of(rows, row)
        on &= length > 0
    kept += slot * kept_row + c * kept_channel
    taps = ()
    for i in tl.static_range(K):
        tap = tl.load(weight + c * weight_channel + i * weight_tap, mask=on, other=0.0)
        taps = taps + (tap.to(tl.float32),)  # noqa: RUF005 – Triton knows no stars
    start = tl.load(bias + c, mask=on, other=0.0).to(tl.float32) if BIASED else tl.zeros((C,), tl.float32)

    first, end = begin, tl.minimum(begin + T * steps, length)
    while first < end:
        x_first = x + first.to(tl.int64) * x_token
        inputs = ()  # of the tokens first − (k−1) … first + T − 1
        for i in tl.static_range(K - 1):
            before = tl.load(x_first + (i - (K - 1)) * x_token, mask=on & (first + i >= K - 1), other=0.0)
            if KEPT and first == 0:  # the input i − (k−1) is the state's tap i + 1
                before = tl.load(kept + (i + 1) * kept_tap, mask=on, other=0.0)
            inputs = inputs + (before,)  # noqa: RUF005
        for t in tl.static_range(T):
            now = tl.load(x_first + t * x_token, mask=on & (first + t < length), other=0.0)
            inputs = inputs + (now,)  # noqa: RUF005
        y_first = y + first.to(tl.int64) * width
        for t in tl.static_range(T):
            total = start
            for i in tl.static_range(K):
                total += inputs[t + i].to(tl.float32) * taps[i]
            total = total / (1.0 + tl.exp2(total * -LOG2_E))
            tl.store(y_first + t * width, total.to(y.dtype.element_ty), mask=on & (first + t < length))
        first += T
    if KEPT and begin == 0:
        _keep(x[None, :], kept[None, :], on, length, x_token, kept_tap, K, KEPT_TAPS)


@triton.jit
def _keep(x, kept, on, length, x_token, kept_tap, K: tl.constexpr, KEPT_TAPS: tl.constexpr):
    """The last k inputs become the state: x and kept are pointers to the channels (1, C) of a row."""
    tap = tl.arange(0, KEPT_TAPS)[:, None]
    token = length - K + tap
    inside = (tap < K) & on[None, :]
    inputs = tl.load(x + token.to(tl.int64) * x_token, mask=(token >= 0) & inside, other=0.0)
    inputs += tl.load(kept + (token + K) * kept_tap, mask=(token < 0) & inside, other=0.0)  # of before this call
    tl.debug_barrier()  # every lane has read before one writes
    tl.store(kept + tap * kept_tap, inputs, mask=inside)
