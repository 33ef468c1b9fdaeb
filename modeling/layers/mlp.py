"""The gated MLP of Falcon-H1."""

from __future__ import annotations

from torch import Tensor

from modeling import kernels
from modeling.config import FalconH1Config
from modeling.layers.layer import Layer
from modeling.layers.linear import Linear


class MLP(Layer):
    """down(up(v) · SiLU(gate(v) · m₀)) · m₁ (SwiGLU, Shazeer 2020, with the two MLP multipliers)."""

    def __init__(self, c: FalconH1Config) -> None:
        super().__init__()
        d, f = c.hidden_size, c.intermediate_size
        self.multipliers = c.multipliers.mlp
        self.gate_proj = Linear(d, f, bias=c.mlp_bias)
        self.up_proj = Linear(d, f, bias=c.mlp_bias)
        self.down_proj = Linear(f, d, bias=c.mlp_bias)

    def forward(self, v: Tensor) -> Tensor:
        """v (b, l, d), normed → (b, l, d)."""
        gate, down = self.multipliers
        return self.down_proj(kernels.swiglu(self.gate_proj(v), self.up_proj(v), gate)) * down
