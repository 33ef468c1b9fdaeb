"""Several tokens of one slot in one pass, each of which finds its memory as the token before has left it.

The bits are those of as many steps, and what was remembered behind each token is kept: the last ones can be undone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from modeling.memory import KVCache, MambaState, layers_of


class Walked(ABC):
    """A memory for several tokens that come one after the other."""

    @abstractmethod
    def at(self, t: int) -> Any:
        """What token t finds. Asked for in order, each token once."""


@dataclass(slots=True)
class Trace(Walked):
    """A recurrent memory `now` (1, …), and as it was behind each token but the last: `kept` (n, 1, …)."""

    now: Tensor
    kept: Tensor

    def at(self, t: int) -> Tensor:
        if t:
            self.kept[t - 1].copy_(self.now)
        return self.now


@dataclass(slots=True)
class WalkedMamba:
    """The recurrent memory of one mixer, on a walk."""

    conv: Trace
    ssm: Trace


@dataclass(slots=True)
class WalkedKV(Walked):
    """One layer's keys and values as each token sees them."""

    caches: tuple[KVCache, ...]

    def at(self, t: int) -> KVCache:
        return self.caches[t]


class Trail:
    """Room for what one slot remembers behind each of n tokens: `blocks` of n slots, and `mamba`, each layer's part of them."""

    def __init__(self, blocks: list[MambaState]) -> None:
        self.blocks = blocks
        self.mamba = layers_of(blocks)
