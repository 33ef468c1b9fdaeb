"""The Mamba-1 mixer as FalconMamba uses it: with weightless RMS norms on Δ, B and C (Zuo et al. 2024, §3)."""

from __future__ import annotations

from torch import Tensor, nn

from modeling import kernels
from modeling.config import FalconMambaConfig
from modeling.layers.linear import Linear
from modeling.layers.state_space import StateSpace
from modeling.state import MixerMemory


class Mamba1(StateSpace):
    """One selective state space over e channels of n states each."""

    def __init__(self, c: FalconMambaConfig) -> None:
        e, n, r = c.intermediate_size, c.state_size, c.time_step_rank
        super().__init__(e, n)
        self.sizes = (r, 2 * n)
        self.eps = c.mixer_rms_eps
        self.in_proj = Linear(c.hidden_size, 2 * e, bias=c.use_bias)
        self.conv1d = nn.Conv1d(e, e, c.conv_kernel, groups=e, bias=c.use_conv_bias)
        self.x_proj = Linear(e, r + 2 * n, bias=False)
        self.dt_proj = Linear(r, e, bias=True)
        self.out_proj = Linear(e, c.hidden_size, bias=c.use_bias)

    def forward(self, u: Tensor, state: MixerMemory | None = None) -> Tensor:
        """u (b, l, d) → (b, l, d); `state` is extended by the l tokens in place."""
        conv, ssm = (state.conv, state.ssm) if state else (None, None)
        x, z = self.in_proj(u).chunk(2, dim=-1)  # b l e
        x = kernels.causal_conv(x, self.conv1d.weight[:, 0], self.conv1d.bias, conv)

        dt, BC = self.x_proj(x).split(self.sizes, dim=-1)  # b l r, b l 2n
        dt = self.dt_proj.product(kernels.rms_norm(dt, None, self.eps))  # b l e; the scan adds the bias
        B, C = kernels.rms_norm(BC.unflatten(-1, (2, -1)), None, self.eps).unbind(-2)  # b l n, each normed by itself

        return self.out_proj(kernels.selective_scan(x, dt, self.A, B, C, self.D, self.dt_proj.bias, z, ssm))
