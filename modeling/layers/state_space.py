"""What the two mixers share: how fast each state forgets, and the skip connection around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self
from weakref import ref

import torch
from torch import Tensor, nn

from modeling.layers.layer import Layer


class StateSpace(Layer):
    """A diagonal state space with decay rates A = −exp(A_log), (e, n) in Mamba-1 and (h) in Mamba-2, and a skip weight D."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.A_log = nn.Parameter(torch.zeros(shape))  # a logarithm, so that training cannot turn decay into growth
        self.D = nn.Parameter(torch.ones(shape[0]))
        self._kept: tuple[ref[Tensor], int, Tensor] | None = None  # weakly: a visiting A_log must be able to leave

    @property
    def A(self) -> Tensor:
        """−exp(A_log) in fp32. Worked out once for frozen weights: it is as large as a Mamba-1 layer's state."""
        A_log = self.A_log
        # a compiler keeps what it can by itself, and inference tensors keep no count of their changes
        if torch.compiler.is_compiling() or A_log.requires_grad or A_log.is_inference():
            return -A_log.float().exp()
        if self._kept is None or self._kept[0]() is not A_log or self._kept[1] != A_log._version:
            with torch.inference_mode(False):  # kept for every later pass, of whichever mode
                self._kept = (ref(A_log), A_log._version, -A_log.float().exp())
        return self._kept[2]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """`Module.to` and its kin put other numbers under the same parameters: what was kept of the old ones is void."""
        self._kept = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
