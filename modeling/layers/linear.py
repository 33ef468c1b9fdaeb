"""The matrix product y = x Wᵀ + b under the checkpoint's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn


class Linear(nn.Linear):
    """weight (out, in), bias (out) or none; x (…, in) → (…, out) in x's dtype."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...
