"""The kernels of the papers' authors, from the packages mamba-ssm and causal-conv1d, under the law's signatures.

Never needed: `triton` holds the house's own. They are here to compare with, for whoever has them built. What they lack is
worked out beside them: their Mamba-1 scan starts from zero, and their convolution has two to four taps.
"""

from __future__ import annotations

import torch
from causal_conv1d import causal_conv1d_fn, causal_conv1d_update
from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
from mamba_ssm.ops.triton.selective_state_update import selective_state_update
from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference

TAPS = (2, 3, 4)
CHUNK = 256  # tokens of a Mamba-2 chunk
INHERITED = 2**26  # elements (b, t, e, n) at a time, of what a carried state adds


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None = None) -> Tensor:
    """The twin of `reference.causal_conv`: x (b, l, c), weight (c, k), bias (c), state (b, c, k) → y (b, l, c)."""
    taps = weight.shape[-1]
    if taps not in TAPS:
        return reference.causal_conv(x, weight, bias, state)
    weight = weight.contiguous()
    if state is None:
        y: Tensor = causal_conv1d_fn(x.mT, weight, bias, activation="silu")
    elif x.shape[1] == 1:
        y = causal_conv1d_update(x.mT, state, weight, bias, activation="silu")
    else:
        before = state.mT[:, 1:].contiguous()  # b k-1 c
        y = causal_conv1d_fn(x.mT, weight, bias, initial_states=before.mT, activation="silu")
        state.mT.copy_(torch.cat((before[:, -taps:], x[:, -taps:]), dim=1)[:, -taps:])
    return y.mT


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    z: Tensor,
    state: Tensor | None = None,
) -> Tensor:
    """The twin of `reference.selective_scan`: x, dt, z (b, l, e); B, C (b, l, n); state (b, e, n) fp32 → y (b, l, e)."""
    D, bias = D.float(), dt_bias.float()
    if x.shape[1] == 1 and state is not None:
        step = (t[:, 0] for t in (x, dt))
        y: Tensor = selective_state_update(state, *step, A, B[:, 0], C[:, 0], D, z[:, 0], bias, dt_softplus=True)
        return y[:, None]
    inputs = (x.mT, dt.mT, A, B.mT, C.mT, D)
    if state is None:
        return _rows(selective_scan_fn(*inputs, z.mT, bias, delta_softplus=True))
    if not state.any():
        y, final = selective_scan_fn(*inputs, z.mT, bias, delta_softplus=True, return_last_state=True)
        state.copy_(final)
        return _rows(y)
    y, final = selective_scan_fn(*inputs, None, bias, delta_softplus=True, return_last_state=True)
    inherited = _inherited(F.softplus(dt.float() + bias), A, C.float(), state)
    state.add_(final)
    return ((_rows(y).float() + inherited) * F.silu(z.float())).to(z.dtype)


def _inherited(dt: Tensor, A: Tensor, C: Tensor, state: Tensor) -> Tensor:
    """What a carried state adds to each output, C_t (exp(A Σ_{j≤t} Δ_j) ∘ S); `state` decays to the end in place.

    dt (b, l, e), C (b, l, n), state (b, e, n), all fp32 → (b, l, e).
    """
    size, ys = max(1, INHERITED // state.numel()), []
    for part in (slice(i, i + size) for i in range(0, dt.shape[1], size)):
        decay = (dt[:, part].cumsum(1)[..., None] * A).exp_()  # b t e n
        decay *= state[:, None]
        ys.append((decay @ C[:, part, :, None]).squeeze(-1))  # b t e
        state.copy_(decay[:, -1])
    return torch.cat(ys, dim=1)


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    dt_bias: Tensor,
    dt_limit: tuple[float, float],
    state: Tensor | None = None,
) -> Tensor:
    """The twin of `reference.ssd`: x (b, l, h, p); dt (b, l, h); B, C (b, l, g, n); state (b, h, p, n) fp32 → (b, l, h, p)."""
    D, bias = D.float(), dt_bias.float()
    if x.shape[1] == 1 and state is not None:
        if dt_limit != (0.0, float("inf")):  # their step knows no limits
            return reference.ssd(x, dt, A, B, C, D, dt_bias, dt_limit, state)
        of_heads = (t[..., None].expand(*t.shape, x.shape[3]) for t in (dt[:, 0], D, bias))
        step_dt, step_D, step_bias = of_heads  # b h p, h p, h p
        step_A = A[:, None, None].expand(state.shape[1:])  # h p n
        y: Tensor = selective_state_update(
            *(state, x[:, 0], step_dt, step_A, B[:, 0], C[:, 0], step_D),
            dt_bias=step_bias,
            dt_softplus=True,
        )
        return y[:, None].float()
    y, final = mamba_chunk_scan_combined(
        *(x, dt, A, B, C, CHUNK),
        D=D,
        dt_bias=bias,
        initial_states=state,
        dt_softplus=True,
        dt_limit=dt_limit,
        return_final_states=True,
    )
    if state is not None:
        state.copy_(final)
    return y.float()


def _rows(y: Tensor) -> Tensor:
    """(b, e, l) → (b, l, e)."""
    return y.mT
