"""RMSNorm with a learned scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modeling import kernels
from modeling.layers.layer import Layer


class RMSNorm(Layer):
    """x / √(mean x² + ε) · weight over the last dimension (Zhang & Sennrich 2019); weight (d)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return kernels.rms_norm(x, self.weight, self.eps)
