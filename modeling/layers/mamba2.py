"""The Mamba-2 mixer (Dao & Gu 2024) with Falcon-H1's multipliers and optional gated norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modeling import kernels
from modeling.config import FalconH1Config
from modeling.layers.linear import Linear
from modeling.layers.norm import RMSNorm
from modeling.layers.state_space import StateSpace
from modeling.state import MixerMemory


class Mamba2(StateSpace):
    """A selective state space of h heads, p channels and n states each; groups of heads share B and C."""

    def __init__(self, c: FalconH1Config) -> None:
        super().__init__(c.mamba_n_heads)
        self.config = c
        e, h, gn = c.mamba_d_ssm, c.mamba_n_heads, c.mamba_n_groups * c.mamba_d_state
        self.in_proj = Linear(c.hidden_size, e + c.conv_dim + h, bias=c.mamba_proj_bias)
        self.conv1d = nn.Conv1d(c.conv_dim, c.conv_dim, c.mamba_d_conv, groups=c.conv_dim, bias=c.mamba_conv_bias)
        self.dt_bias = nn.Parameter(torch.zeros(h))
        self.norm = RMSNorm(e, c.rms_norm_eps) if c.mamba_rms_norm else None
        self.out_proj = Linear(e, c.hidden_size, bias=c.projectors_bias)
        self.sizes = (e, c.conv_dim, h)
        self.segments = (e, e, gn, gn, h)  # z, x, B, C, dt: each has its multiplier
        self._scale: Tensor | None = None

    def forward(self, u: Tensor, state: MixerMemory | None = None) -> Tensor:
        """u (b, l, d), normed → (b, l, d); `state` is extended by the l tokens in place."""
        c = self.config
        conv, ssm = (state.conv, state.ssm) if state else (None, None)
        rows, g, n, p = u.shape[:2], c.mamba_n_groups, c.mamba_d_state, c.mamba_d_head
        projected = self.in_proj(u * c.multipliers.ssm_in) * self.scale(u)
        z, xBC, dt = projected.split(self.sizes, dim=-1)  # b l e, b l e+2gn, b l h
        xBC = kernels.causal_conv(xBC, self.conv1d.weight[:, 0], self.conv1d.bias, conv)
        x, B, C = xBC.split((self.sizes[0], g * n, g * n), dim=-1)

        y = kernels.ssd(
            x.reshape(*rows, -1, p),  # b l h p
            dt,
            self.A,
            B.reshape(*rows, g, n),
            C.reshape(*rows, g, n),
            self.D,
            self.dt_bias,
            c.time_step_limit,
            ssm,
        ).flatten(-2)  # b l e
        return self.out_proj(self.gate(y, z).to(u.dtype))

    def gate(self, y: Tensor, z: Tensor) -> Tensor:
        """y (b, l, e) fp32 under its gate z, with the grouped norm before or after it if the model has one."""
        if self.norm is None:
            return y * kernels.silu(z)
        c = self.config
        return kernels.gated_rms_norm(y, z, self.norm.weight, self.norm.eps, c.mamba_n_groups, c.mamba_norm_before_gate)

    def scale(self, like: Tensor) -> Tensor:
        """The multipliers of z, x, B, C and dt as one vector (e + conv_dim + h), in the model's dtype as in training."""
        if self._scale is None or self._scale.dtype != like.dtype or self._scale.device != like.device:
            with torch.inference_mode(False):  # kept for every later pass, of whichever mode
                scale = torch.tensor(self.config.multipliers.ssm).repeat_interleave(torch.tensor(self.segments))
                self._scale = scale.to(like.device, like.dtype)
        return self._scale
