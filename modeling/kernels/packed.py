"""Weights in 4 and 8 bits as they lie in memory, and the exact numbers that they stand for.

The 4-bit forms are those of QLoRA (Dettmers et al. 2023, §3): each block of consecutive weights, counted through the matrix
row by row, is scaled by its largest magnitude, and every weight is replaced by the nearest of 16 values. With double
quantization the scales themselves are 8-bit numbers: of 256 values, in blocks of 256, around their mean. The layout is
bitsandbytes' own, so a file's tensors need no change; `dequantized` equals its dequantization bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

_PIECE = 2**18  # weights at a time: what is in between stays in a CPU's cache, and memory holds little beside the result


@dataclass(frozen=True)
class Scales8:
    """The scales of blocks, themselves in 8 bits: scale i is values[codes[i]] · absmax[i // block] + mean."""

    codes: Tensor  # (blocks,) uint8
    values: Tensor  # (256,) fp32
    absmax: Tensor  # (⌈blocks / block⌉,) fp32
    mean: Tensor  # () fp32
    block: int = 256

    def dequantized(self) -> Tensor:
        """→ (blocks,) fp32."""
        absmax = self.absmax.repeat_interleave(self.block)[: self.codes.numel()]
        return self.values[self.codes.long()] * absmax + self.mean

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.codes, self.values, self.absmax, self.mean))


@dataclass(frozen=True)
class Packed4:
    """A matrix (out, in) of 4-bit codes; weight i of the flattened matrix is values[code i] · scale[i // block]."""

    codes: Tensor  # (⌈out · in / 2⌉,) uint8: of two neighbours the first is in the high half
    scales: Tensor | Scales8  # (⌈out · in / block⌉,) fp32
    values: Tensor  # (16,) fp32
    shape: tuple[int, int]
    block: int = 64

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """→ (out, in) in `dtype`: multiplied in fp32, then rounded once."""
        o, i = self.shape
        scales = self.scales.dequantized() if isinstance(self.scales, Scales8) else self.scales
        pairs = torch.cartesian_prod(self.values, self.values)  # 256 2: the two weights of each byte
        weights = torch.empty(scales.numel() * self.block, dtype=dtype, device=self.codes.device)
        piece = max(1, _PIECE // self.block)  # blocks
        for start in range(0, scales.numel(), piece):
            scale = scales[start : start + piece, None]
            codes = self.codes[start * self.block // 2 : (start + piece) * self.block // 2].int()
            values = pairs.index_select(0, codes).view(-1)
            if values.numel() < scale.numel() * self.block:  # the last block may be short
                values = F.pad(values, (0, scale.numel() * self.block - values.numel()))
            torch.mul(values.view(-1, self.block), scale, out=values.view(-1, self.block))
            weights[start * self.block : (start + piece) * self.block].copy_(values)
        return weights[: o * i].view(o, i)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scales.nbytes + self.values.nbytes


@dataclass(frozen=True)
class Packed8:
    """A matrix (out, in) whose rows are scaled to −127 … 127 by their largest magnitude (LLM.int8(), Dettmers et al. 2022)."""

    codes: Tensor  # (out, in) int8
    scales: Tensor  # (out,) fp32: each row's largest magnitude

    @property
    def shape(self) -> tuple[int, int]:
        o, i = self.codes.shape
        return o, i

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """→ (out, in) in `dtype`: codes · scale / 127 in fp32, then rounded once."""
        return (self.codes * (self.scales / 127)[:, None]).to(dtype)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scales.nbytes


Packed = Packed4 | Packed8
"""A weight that is not a plain matrix. Nothing but a linear layer and the kernels of its product ever sees one."""
