"""Weights in 4 and 8 bits as they lie in memory, and the exact numbers that they stand for.

The 4-bit forms are those of QLoRA (Dettmers et al. 2023, §3): each block of consecutive weights, counted through the matrix
row by row, is scaled by its largest magnitude, and every weight is replaced by the nearest of 16 values. With double
quantization the scales themselves are 8-bit numbers: of 256 values, in blocks of 256, around their mean. The layout is
bitsandbytes' own, so a file's tensors need no change; `dequantized` equals its dequantization bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
        pairs = _pairs(self.values)
        weights = torch.empty(scales.numel() * self.block, dtype=dtype, device=self.codes.device)
        piece = max(1, _PIECE // self.block)  # blocks
        for start in range(0, scales.numel(), piece):
            scale = scales[start : start + piece, None]
            codes = self.codes[start * self.block // 2 : (start + piece) * self.block // 2].int()
            values = pairs.index_select(0, codes).view(torch.float32)
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
        o, i = self.shape
        weights = torch.empty(o, i, dtype=dtype, device=self.codes.device)
        piece = max(1, _PIECE // i)  # rows
        for start in range(0, o, piece):
            scale = (self.scales[start : start + piece] / 127)[:, None]
            weights[start : start + piece] = self.codes[start : start + piece] * scale
        return weights

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scales.nbytes


@dataclass(frozen=True)
class Interleaved4:
    """A 4-bit matrix (out, in) in the order in which bitsandbytes' CPU kernels read it: 32 rows at a time, two columns a byte.

    Of the 32 rows of a group, byte 2 r + c of a pair of columns holds row r in its low half and row r + 16 in its high half,
    both of column c. Scales are rounded to bf16, as they are there. Rows are filled up to whole groups, with scales of 0.
    """

    codes: Tensor  # (⌈out / 32⌉ · 32, in / 2) uint8
    scales: Tensor  # (in / block, ⌈out / 32⌉ · 32) bf16
    values: Tensor  # (16,) fp32
    shape: tuple[int, int]
    block: int
    type: Literal["nf4", "fp4"]

    @classmethod
    def of(cls, packed: Packed4, type: Literal["nf4", "fp4"]) -> Interleaved4:
        """The same weights. `in` must be a multiple of the block."""
        (o, i), rows = packed.shape, -(-packed.shape[0] // 32) * 32
        scales = packed.scales.dequantized() if isinstance(packed.scales, Scales8) else packed.scales
        scales = F.pad(scales.view(o, -1).to(torch.bfloat16), (0, 0, 0, rows - o)).T.contiguous()
        pairs = F.pad(packed.codes.view(o, i // 2), (0, 0, 0, rows - o))  # rows i/2: even column in the high half
        halves = torch.stack((pairs >> 4, pairs & 15), -1)  # rows i/2 2
        low, high = halves.view(-1, 2, 16, i // 2, 2).unbind(1)  # rows/32 16 i/2 2
        codes = (high << 4 | low).transpose(1, 2)  # rows/32 i/2 16 2
        return cls(codes.reshape(rows, i // 2), scales, packed.values, packed.shape, packed.block, type)

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """→ (out, in) in `dtype`: multiplied in fp32, then rounded once."""
        o, i = self.shape
        values = _pairs(self.values).index_select(0, self.codes.view(-1).int()).view(torch.float32)  # high half, low half
        values = values.view(-1, i // 2, 16, 2, 2).permute(0, 4, 2, 1, 3).flip(1)  # rows/32 2 16 i/2 2
        weights = values.reshape(-1, i // self.block, self.block) * self.scales.T.float()[..., None]
        return weights.view(-1, i)[:o].to(dtype)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scales.nbytes + self.values.nbytes


def _pairs(values: Tensor) -> Tensor:
    """(256) int64: the two fp32 values of each byte, that of its high half first, looked up as one number."""
    return torch.cartesian_prod(values, values).contiguous().view(torch.int64)[:, 0]


Packed = Packed4 | Packed8 | Interleaved4
"""A weight that is not a plain matrix. Nothing but a linear layer and the kernels of its product ever sees one."""
