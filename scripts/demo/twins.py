"""The house's operations, arranged for training: all rows and all chunks of a sequence at once.

Each has a reference of the same name in `modeling.kernels.reference`, which is the law, and which a test compares it with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling import kernels
from modeling.kernels.reference import segment_sums

CHUNK = 64


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None = None) -> Tensor:
    """SiLU of the depthwise convolution as a sum over its taps: x (b, l, c), weight (c, k) → (b, l, c)."""
    assert state is None
    taps, length = weight.shape[-1], x.shape[1]
    window = F.pad(x, (0, 0, taps - 1, 0))  # b k-1+l c
    weight = weight.to(x.dtype)
    y = window[:, :length] * weight[:, 0]
    for k in range(1, taps):
        y = torch.addcmul(y, window[:, k : k + length], weight[:, k])
    return F.silu(y if bias is None else y + bias.to(x.dtype))


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
    """Mamba-2's scan with all chunks in parallel (Dao & Gu 2024, listing 1): shapes as in `reference.ssd`."""
    assert state is None
    with torch.autocast(x.device.type, enabled=False):
        length, chunk = x.shape[1], min(CHUNK, x.shape[1])
        x, B, C = x.float(), B.float(), C.float()
        dt = F.softplus(dt.float() + dt_bias.float()).clamp(*dt_limit)
        gap = -length % chunk
        pads = [F.pad(part, (*(0, 0) * (part.dim() - 2), 0, gap)) for part in (x * dt[..., None], dt * A, B, C)]
        drive, rate, B, C = (part.unflatten(1, (-1, chunk)) for part in pads)  # b c t …
        heads = x.shape[2] // B.shape[3]
        B, C = B.transpose(2, 3), C.transpose(2, 3)  # b c g t n
        rate = rate.permute(0, 1, 3, 2)  # b c h t
        drive = drive.transpose(2, 3)  # b c h t p

        within = segment_sums(rate).exp()  # b c h t t
        scores = (C @ B.mT).repeat_interleave(heads, dim=2)  # b c h t t
        y = (scores * within) @ drive  # b c h t p
        running = rate.cumsum(-1)  # b c h t
        to_end = drive * (running[..., -1:] - running).exp()[..., None]
        B, C = B.repeat_interleave(heads, dim=2), C.repeat_interleave(heads, dim=2)  # b c h t n
        finals = to_end.mT @ B  # b c h p n
        total = F.pad(running[..., -1], (0, 0, 1, 0)).transpose(1, 2)  # b h 1+c
        between = segment_sums(total).exp()[:, :, :-1, 1:]  # b h c c: [i, j] from the end of chunk j to the start of chunk i
        between = between.tril(-1)
        initials = torch.einsum("bhij,bjhpn->bihpn", between, finals)
        y = y + (C @ initials.mT) * running.exp()[..., None]
        y = y.transpose(2, 3).flatten(1, 2)[:, :length]  # b l h p
        whole: Tensor = y + x * D.float()[:, None]
        return whole


def attention(q: Tensor, k: Tensor, v: Tensor, cache: object = None) -> Tensor:
    """Causal grouped-query attention of all rows in one call: q (b, l, h, p); k, v (b, l, g, p) → (b, l, h, p)."""
    assert cache is None
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)


@contextmanager
def in_place_of_references(device: torch.device) -> Iterator[None]:
    """Let the layers compute with these, inside the block; with Triton's scan on a GPU."""
    twins = {"causal_conv": causal_conv, "ssd": ssd, "attention": attention}
    if device.type == "cuda":
        from scripts.demo.scan import selective_scan

        twins["selective_scan"] = selective_scan
    kept = {name: getattr(kernels, name) for name in twins}
    try:
        for name, twin in twins.items():
            setattr(kernels, name, twin)
        yield
    finally:
        for name, reference in kept.items():
            setattr(kernels, name, reference)
