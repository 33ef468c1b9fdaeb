"""The end of a step without randomness: the best token of each row becomes its next one, in two kernels.

torch takes a dozen launches for the same; beside a step of half a millisecond that shows.
"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096  # logits of one program


@dataclass(frozen=True, slots=True)
class Picked:
    """`ids` (b) int64, the lowest of the best; `finite` (b) bool: whether all logits of the row are. `best` (b, s) fp32 and
    `places` (b, s) int32 are the best of each of s parts of the vocabulary, NaN where a part is not finite."""

    ids: Tensor
    finite: Tensor
    best: Tensor
    places: Tensor

    @classmethod
    @torch.inference_mode(False)
    def empty(cls, rows: int, vocabulary: int, device: torch.device) -> Picked:
        parts = triton.cdiv(vocabulary, BLOCK)
        return cls(
            torch.empty(rows, dtype=torch.int64, device=device),
            torch.empty(rows, dtype=torch.bool, device=device),
            torch.empty(rows, parts, dtype=torch.float32, device=device),
            torch.empty(rows, parts, dtype=torch.int32, device=device),
        )


def pick(logits: Tensor, out: Picked, ids: Tensor, active: Tensor, lengths: Tensor, stops: Tensor, heeds: Tensor) -> None:
    """Pick from logits (b, v) fp32 and feed back: `ids` (b) int64 become what was picked, `lengths` (b) int32 grow by `active`
    (b) int32, and whoever heeds (b) bool and got one of `stops` (k) int64 is not active any more."""
    (b, v), parts = logits.shape, out.best.shape[1]
    _parts[(b, parts)](logits, out.best, out.places, v, PARTS=parts, BLOCK=BLOCK)
    wide = triton.next_power_of_2(max(parts, 2))
    k = stops.shape[0]
    _whole[(b,)](
        out.best, out.places, out.ids, out.finite, ids, active, lengths, stops, heeds,
        PARTS=parts, WIDE=wide, K=k, K_WIDE=triton.next_power_of_2(max(k, 2)), num_warps=1,
    )  # fmt: skip


@triton.jit
def _parts(logits, best, places, v, PARTS: tl.constexpr, BLOCK: tl.constexpr):
    """The best of logits[row, part · BLOCK …] and where it is; NaN if one of them is not finite."""
    row, part = tl.program_id(0), tl.program_id(1)
    i = part * BLOCK + tl.arange(0, BLOCK)
    inside = i < v
    x = tl.load(logits + row.to(tl.int64) * v + i, mask=inside, other=float("-inf"))
    wrong = tl.sum((inside & ~(tl.abs(x) < float("inf"))).to(tl.int32))  # NaN compares false, too
    top = tl.max(x)
    place = tl.min(tl.where(x == top, i, 2147483647))
    tl.store(best + row * PARTS + part, tl.where(wrong > 0, float("nan"), top))
    tl.store(places + row * PARTS + part, place)


@triton.jit
def _whole(
    best, places, out_ids, out_finite, ids, active, lengths, stops, heeds,
    PARTS: tl.constexpr, WIDE: tl.constexpr, K: tl.constexpr, K_WIDE: tl.constexpr,
):  # fmt: skip
    """The best of all parts of a row, and what follows from it."""
    row = tl.program_id(0)
    i = tl.arange(0, WIDE)
    inside = i < PARTS
    x = tl.load(best + row * PARTS + i, mask=inside, other=float("-inf"))
    place = tl.load(places + row * PARTS + i, mask=inside, other=2147483647)
    finite = tl.sum((inside & ~(tl.abs(x) < float("inf"))).to(tl.int32)) == 0
    top = tl.max(tl.where(inside & finite, x, float("-inf")))
    found = tl.where(finite, tl.min(tl.where(inside & (x == top), place, 2147483647)), 0)
    tl.store(out_ids + row, found.to(tl.int64))
    tl.store(out_finite + row, finite)
    tl.store(ids + row, found.to(tl.int64))
    j = tl.arange(0, K_WIDE)
    stop = tl.load(stops + j, mask=j < K, other=-1)
    stopped = (tl.sum((stop == found.to(tl.int64)).to(tl.int32)) > 0) & (tl.load(heeds + row) != 0)
    works = tl.load(active + row)
    tl.store(lengths + row, tl.load(lengths + row) + works)
    tl.store(active + row, tl.where(stopped, 0, works))
