"""Grouped-query attention with rotary positions, as in Falcon-H1."""

from __future__ import annotations

import torch
from torch import Tensor

from modeling import kernels
from modeling.config import FalconH1Config
from modeling.layers.layer import Layer
from modeling.layers.linear import Linear
from modeling.state import AttentionMemory

Rotation = tuple[Tensor, Tensor]  # cos, ±sin (b, l, 1, p)


class Attention(Layer):
    """h query heads over g key and value heads of width p; h·p need not equal d."""

    def __init__(self, c: FalconH1Config) -> None:
        super().__init__()
        d, p, bias = c.hidden_size, c.head_dim, c.attention_bias
        self.head_dim = p
        self.heads = (c.num_attention_heads, c.num_key_value_heads)
        self.key_multiplier = c.multipliers.key
        self.q_proj = Linear(d, c.num_attention_heads * p, bias=bias)
        self.k_proj = Linear(d, c.num_key_value_heads * p, bias=bias)
        self.v_proj = Linear(d, c.num_key_value_heads * p, bias=bias)
        self.o_proj = Linear(c.num_attention_heads * p, d, bias=bias)

    def forward(self, u: Tensor, rotation: Rotation, cache: AttentionMemory | None = None) -> Tensor:
        """u (b, l, d), normed → (b, l, d); the l new keys and values are stored in `cache`."""
        heads = (*u.shape[:2], -1, self.head_dim)
        k = self.k_proj(u) * self.key_multiplier
        qk = torch.cat((self.q_proj(u), k), dim=-1).view(heads)  # b l h+g p
        q, k = kernels.rotary(qk, *rotation).split(self.heads, dim=2)
        y = kernels.attention(q, k, self.v_proj(u).view(heads), cache)  # b l h p
        return self.o_proj(y.flatten(-2))


def rotation(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> Rotation:
    """cos and ±sin of position · θ^(−2i/p), in fp32 and then rounded to `dtype`: positions (b, l) → two (b, l, 1, p).

    The sine's first half is negative: that of the pairs' first members (see `kernels.rotary`).
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions[..., None, None].float() * (1.0 / theta**exponents)  # b l 1 p/2
    cos, sin = kernels.cos(angles), kernels.sin(angles)
    return torch.cat((cos, cos), dim=-1).to(dtype), torch.cat((-sin, sin), dim=-1).to(dtype)
