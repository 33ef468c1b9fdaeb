"""Rows of unequal length in one pass: each row's tokens, padding behind them, and the memory that they extend.

A captured graph has one shape and fixed addresses, whatever prompts it reads. So which slot a row extends, and by how many of
its l tokens, is known to the device only:

    rows (b, 3) int32    slot, start, length: the row's first `length` tokens go behind the `start` tokens of `slot`; those that
                         follow are padding. A row of no tokens extends nothing, and reads nothing.

An operation that extends a memory is given the memory of all slots and `rows` (`Padded`). What it gives back behind a row's
tokens means nothing: it may be whatever lay there. Nothing that a row remembers or says depends on it, since every operation
either looks back only (convolution, scans, attention) or at one token only (all others).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from modeling.memory import PAGE, KVCache


class Padded(ABC):
    """A memory for such rows."""

    rows: Tensor

    @abstractmethod
    def of(self, row: int) -> Any:
        """The same for one row by itself, as a pass without padding is given it. Waits for the device."""


@dataclass(slots=True)
class PaddedSlots(Padded):
    """A recurrent memory (slots, …) of one layer."""

    memory: Tensor
    rows: Tensor

    def of(self, row: int) -> Tensor:
        slot = int(self.rows[row, 0])
        return self.memory[slot : slot + 1]


@dataclass(slots=True)
class PaddedMamba:
    """The recurrent memory of one mixer."""

    conv: PaddedSlots
    ssm: PaddedSlots


@dataclass(slots=True)
class PaddedKV(Padded):
    """One layer's keys and values (pages · PAGE, g, p). `pages` (b, m) int32 is the block table: pages[i, j] is the page with
    the positions j·PAGE … (j+1)·PAGE−1 of row i, its new tokens included."""

    keys: Tensor
    values: Tensor
    rows: Tensor
    pages: Tensor

    def of(self, row: int) -> KVCache:
        _, start, length = self.rows[row].tolist()
        places = (self.pages[row].long()[:, None] * PAGE + torch.arange(PAGE, device=self.pages.device)).flatten()
        return KVCache(self.keys, self.values, places[start : start + length], [places[: start + length]])


def unpadded(memory: Tensor | PaddedSlots | None) -> tuple[Tensor | None, Tensor | None]:
    """A recurrent memory's tensor, and `rows` if there are some."""
    return (memory.memory, memory.rows) if isinstance(memory, PaddedSlots) else (memory, None)
