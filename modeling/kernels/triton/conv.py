"""The short causal convolution before a scan: all its taps and SiLU while a token is at hand once.

Every program takes a tile of tokens and channels, and the tokens before it through the cache. Only programs of the first tile
look at the state; so they also write the new one, from the inputs, once all that they need of the old one is in registers.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
TOKENS, CHANNELS, WARPS = 16, 256, 4  # of a program


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None = None) -> Tensor:
    """The twin of `reference.causal_conv`: x (b, l, c), weight (c, k), bias (c) → y (b, l, c), contiguous.

    `state` (b, c, k), of any strides, is the last k inputs and goes on in place. x may be a view of unit stride in c.
    """
    return conv_in_tiles(x, weight, bias, state, TOKENS, CHANNELS, WARPS)


def conv_in_tiles(
    x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None, tokens: int, channels: int, warps: int
) -> Tensor:
    """`causal_conv` with the shape of its tiles."""
    x = x if x.stride(-1) == 1 else x.contiguous()
    (b, length, c), taps = x.shape, weight.shape[-1]
    y = torch.empty((b, length, c), dtype=x.dtype, device=x.device)
    kept = x if state is None else state  # without a state the kernel looks at none
    if taps > tokens:  # the second tile begins after what the state holds
        tokens, channels = triton.next_power_of_2(taps), 32
    _conv[(triton.cdiv(c, channels), triton.cdiv(length, tokens), b)](
        *(x, weight, weight if bias is None else bias, kept, y),
        *(length, c, x.stride(0), x.stride(1), weight.stride(0), weight.stride(1), *kept.stride()),
        BIASED=bias is not None,
        KEPT=state is not None,
        K=taps,
        KEPT_TAPS=triton.next_power_of_2(taps),
        T=tokens,
        C=channels,
        num_warps=warps,
    )
    return y


@triton.jit(do_not_specialize=["length"])
def _conv(
    x,  # (b, l, c)
    weight,  # (c, k)
    bias,  # (c)
    kept,  # (b, c, k), in and out
    y,  # (b, l, c), contiguous
    length,
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
    first, row = tl.program_id(1) * T, tl.program_id(2).to(tl.int64)
    c = tl.program_id(0) * C + tl.arange(0, C)
    t = tl.arange(0, T)
    on = c < width
    x_first = x + row * x_row + first.to(tl.int64) * x_token
    kept += row * kept_row
    sums = tl.zeros((T, C), tl.float32)
    if BIASED:
        sums += tl.load(bias + c, mask=on, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(K):
        back = tap - (K - 1)
        there = (first + t + back >= 0) & (first + t + back < length)
        inputs = tl.load(x_first + (t + back)[:, None] * x_token + c[None, :], mask=there[:, None] & on[None, :], other=0.0)
        if KEPT and first == 0:  # the input −i before the first is the state's tap K−i
            past = (t + back < 0)[:, None] & on[None, :]
            inputs += tl.load(kept + (t + back + K)[:, None] * kept_tap + c[None, :] * kept_channel, mask=past, other=0.0)
        taps = tl.load(weight + c * weight_channel + tap * weight_tap, mask=on, other=0.0)
        sums += inputs.to(tl.float32) * taps.to(tl.float32)[None, :]
    y_tile = y + (row * length + first) * width + t[:, None] * width + c[None, :]
    sums = sums / (1.0 + tl.exp2(-LOG2_E * sums))
    tl.store(y_tile, sums.to(y.dtype.element_ty), mask=(first + t < length)[:, None] & on[None, :])

    if KEPT and first == 0:
        _keep(x + row * x_row + c[None, :], kept + c[None, :] * kept_channel, on, length, x_token, kept_tap, K, KEPT_TAPS)


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
