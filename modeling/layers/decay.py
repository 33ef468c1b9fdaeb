"""A = −exp(A_log): how fast each state forgets. Stored as a logarithm so that training cannot turn it into growth."""

from __future__ import annotations

from torch import Tensor


def decay_rate(A_log: Tensor) -> Tensor:
    """−exp(A_log) in fp32, shape of `A_log`: (e, n) for Mamba-1, (h) for Mamba-2."""
    return -A_log.float().exp()
