"""The mathematics of the house: every operation in plain torch, fp32 inside. A faster twin must give what these give.

Rules that all scans and convolutions here share:

* any length ≥ 1, and cutting a sequence anywhere changes nothing but rounding;
* `state` is the initial state going in and the final state coming out, updated in place; with `state=None` the sequence starts
  from nothing, no state is kept, and the operation is functional and differentiable;
* no Python loop over tokens, and no tensor of (tokens, channels, states) beyond one chunk.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels.packed import Packed
from modeling.memory import KVCache

SCAN_ELEMENTS = 2**20  # of a Mamba-1 chunk (b, t, e, n): 4 MiB in fp32, so that its few passes stay in a core's cache
SSD_CHUNK = 64  # tokens of a Mamba-2 chunk: (t, t) matrices per head
LOG2_E = 1.0 / log(2.0)  # exp(x) = exp2(x · log₂ e): half the time, and most of a Mamba-1 scan is exponentials
ATTENTION_ELEMENTS = 2**21  # of the mask of one block of queries against all keys


def packed_linear(x: Tensor, weight: Packed, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b with the exact numbers that a packed weight (out, in) stands for, in x's dtype: x (…, in) → (…, out)."""
    return F.linear(x, weight.dequantized(x.dtype), bias)


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """x / √(mean x² + ε) over the last dimension in fp32, rounded to x's dtype, then times `weight` (d) if there is one."""
    x = F.rms_norm(x, x.shape[-1:], None, eps)
    return x if weight is None else x * weight


def gated_rms_norm(y: Tensor, gate: Tensor, weight: Tensor, eps: float, groups: int, norm_before_gate: bool) -> Tensor:
    """Mamba-2's gated norm: groupRMS(y · SiLU(gate)), or groupRMS(y) · SiLU(gate) with `norm_before_gate`.

    y (b, l, e) fp32, gate (b, l, e), weight (e) → (b, l, e) fp32. Each of the `groups` slices of e is normalised by itself.
    """
    gate = F.silu(gate.float())
    y = y if norm_before_gate else y * gate
    parts = y.unflatten(-1, (groups, -1))  # b l e → b l g e/g
    y = weight.float() * F.rms_norm(parts, parts.shape[-1:], None, eps).flatten(-2)
    return y * gate if norm_before_gate else y


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None = None) -> Tensor:
    """SiLU(depthwise causal convolution): y_t = SiLU(bias + Σ_j weight[:, j] · x_{t−k+1+j}).

    x (b, l, c), weight (c, k), bias (c); state (b, c, k): the last k inputs, the newest last (zeros before the first).
    """
    taps = weight.shape[-1]
    if state is None:
        window = F.pad(x, (0, 0, taps - 1, 0))  # b k-1+l c
    else:
        window = torch.cat((state.mT[:, 1:], x), dim=1)  # b k-1+l c
        state.mT.copy_(window[:, -taps:])
    if x.shape[1] == 1:
        y = (window.float() * weight.T).sum(1, keepdim=True)  # b 1 c
        return F.silu(y if bias is None else y + bias).to(x.dtype)
    y = F.conv1d(window.mT, weight[:, None], bias, groups=weight.shape[0])  # b c l
    return F.silu(y).mT


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
    """Mamba-1's selective scan (Gu & Dao 2023, eq. 2 with zero-order hold on A and Euler on B) under its gate z:

        Δ_t = softplus(dt_t + dt_bias),   S_t = exp(Δ_t A) ∘ S_{t−1} + (Δ_t x_t) ⊗ B_t,   y_t = (S_t C_t + D ∘ x_t) ∘ SiLU(z_t)

    x, dt, z (b, l, e); A (e, n) fp32, negative; B, C (b, l, n); D, dt_bias (e); state (b, e, n) fp32.
    Returns y (b, l, e) in z's dtype, worked out in fp32.
    """
    x, B, C = x.float(), B.float(), C.float()
    dt = F.softplus(dt.float() + dt_bias)
    if x.shape[1] == 1 and state is not None:
        y = _selective_step(x[:, 0], dt[:, 0], A, B[:, 0], C[:, 0], state)[:, None]
    else:
        y = _selective_chunks(x, dt, A, B, C, state)
    return (y.addcmul_(x, D.float()) * F.silu(z)).to(z.dtype)


def _selective_step(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor) -> Tensor:
    """One token: x, dt (b, e); B, C (b, n); state (b, e, n) in place → S C (b, e)."""
    state.mul_(((dt * LOG2_E)[..., None] * A).exp2_())
    state.addcmul_((dt * x)[..., None], B[:, None])
    return (state @ C[..., None]).squeeze(-1)


def _selective_chunks(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None) -> Tensor:
    """The scan in chunks of t tokens, each a parallel prefix (`linear_recurrence`), the state carried between them."""
    size = max(8, SCAN_ELEMENTS // (x.shape[0] * A.numel()))  # t
    carried, ys = state, []
    for part in (slice(i, i + size) for i in range(0, x.shape[1], size)):
        decay = ((dt[:, part] * LOG2_E)[..., None] * A).exp2_()  # b t e n
        drive = (dt[:, part] * x[:, part])[..., None] * B[:, part, None]  # b t e n
        if carried is not None:
            drive[:, 0] += decay[:, 0] * carried
        states = linear_recurrence(decay, drive)  # b t e n
        ys.append((C[:, part, None] @ states.mT).squeeze(-2))  # b t e
        carried = states[:, -1]
    if state is not None and carried is not None:
        state.copy_(carried)
    return torch.cat(ys, dim=1)


def linear_recurrence(a: Tensor, u: Tensor) -> Tensor:
    """All s_t = a_t ∘ s_{t−1} + u_t, s_{−1} = 0, along dimension 1: a, u (b, t, …) → s (b, t, …).

    Takes over its arguments: without gradients s is written into u, and a is lost. A scan is bound by memory traffic, and fresh
    memory for each of its passes costs a CPU ten times the arithmetic.
    """
    if torch.is_grad_enabled() and (a.requires_grad or u.requires_grad):
        s: Tensor = _Recurrence.apply(a, u)  # type: ignore[no-untyped-call]
        return s
    _reduce_(a, u)
    return u


def _reduce_(a: Tensor, u: Tensor) -> None:
    """Blelloch's odd-even reduction in place: u becomes s, a is overwritten.

    Two neighbours make one step of a recurrence over pairs, so the odd positions are a problem of half the size, and the even
    ones follow from their left neighbour. ⌈log₂ t⌉ levels, and no division: decays may underflow to 0.
    """
    t = u.shape[1]
    if t == 1:
        return
    left, right = slice(0, t - 1, 2), slice(1, t, 2)
    u[:, right].addcmul_(a[:, right], u[:, left])
    a[:, right].mul_(a[:, left])
    _reduce_(a[:, right], u[:, right])  # s_1, s_3, …
    u[:, 2::2].addcmul_(a[:, 2::2], u[:, 1 : t - 1 : 2])  # s_2, s_4, …


class _Recurrence(torch.autograd.Function):
    """The recurrence with its gradient, which is the same recurrence backwards: λ_t = ∂s_t + a_{t+1} ∘ λ_{t+1}."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, u: Tensor) -> Tensor:
        s = u.clone()
        _reduce_(a.clone(), s)
        ctx.save_for_backward(a, s)
        return s

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        a, s = ctx.saved_tensors
        later = torch.cat((torch.zeros_like(a[:, :1]), a.flip(1)[:, :-1]), dim=1)  # a_{t+1}, from the last t to the first
        adjoint = gradients[0].flip(1)
        _reduce_(later, adjoint)
        adjoint = adjoint.flip(1)  # λ = ∂u
        before = torch.cat((torch.zeros_like(s[:, :1]), s[:, :-1]), dim=1)  # s_{t−1}
        return adjoint * before, adjoint


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
    """Mamba-2's scan in its dual, quadratic-in-a-chunk form (Dao & Gu 2024, §6):

        Δ_t = clamp(softplus(dt_t + dt_bias)),   S_t = exp(Δ_t A_h) S_{t−1} + Δ_t x_t ⊗ B_t,   y_t = S_t C_t + D_h x_t

    x (b, l, h, p); dt (b, l, h); A (h) fp32, negative; B, C (b, l, g, n), head i reading group i // (h/g); D, dt_bias (h);
    state (b, h, p, n) fp32. Returns y (b, l, h, p) fp32.
    """
    x, B, C = x.float(), B.float(), C.float()
    dt = F.softplus(dt.float() + dt_bias).clamp(*dt_limit)
    if x.shape[1] == 1 and state is not None:
        y = _ssd_step(x[:, 0], dt[:, 0], A, B[:, 0], C[:, 0], state)[:, None]
    else:
        carried, ys = state, []
        for part in (slice(i, i + SSD_CHUNK) for i in range(0, x.shape[1], SSD_CHUNK)):
            y, carried = _ssd_chunk(x[:, part], dt[:, part], A, B[:, part], C[:, part], carried)
            ys.append(y)
        if state is not None and carried is not None:
            state.copy_(carried)
        y = torch.cat(ys, dim=1)
    return y.addcmul_(x, D.float()[:, None])


def _ssd_step(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor) -> Tensor:
    """One token: x (b, h, p), dt (b, h), B, C (b, g, n), state (b, h, p, n) in place → S C (b, h, p)."""
    b, g, n = B.shape
    state.mul_((dt * A).exp_()[..., None, None])
    grouped = state.view(b, g, -1, n)  # b g h/g·p n
    grouped.addcmul_((dt[..., None] * x).view(b, g, -1, 1), B[:, :, None])
    y = C[:, :, None] @ grouped.mT  # b g 1 h/g·p
    return y.view_as(x)


def _ssd_chunk(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """One chunk of t tokens as matrix products: x (b, t, h, p), B, C (b, t, g, n) → y (b, t, h, p), state (b, h, p, n)."""
    g, p = B.shape[2], x.shape[3]
    B, C = B.transpose(1, 2), C.transpose(1, 2)  # b g t n
    decay = segment_sums((dt * A).transpose(1, 2)).exp_()  # b h t t: from token j to token i ≥ j, else 0
    drive = (x * dt[..., None]).transpose(1, 2)  # b h t p

    scores = (C @ B.transpose(-1, -2))[:, :, None] * decay.unflatten(1, (g, -1))  # b g h/g t t
    y = scores.flatten(1, 2) @ drive  # b h t p: what the chunk says to itself
    to_end = drive * decay[:, :, -1, :, None]  # b h t p
    final = to_end.unflatten(1, (g, -1)).permute(0, 1, 2, 4, 3).flatten(2, 3) @ B  # b g h/g·p n
    final = final.unflatten(2, (-1, p)).flatten(1, 2)  # b h p n
    if state is not None:
        from_start = torch.exp(torch.cumsum(dt * A, dim=1)).transpose(1, 2)  # b h t
        inherited = C @ state.unflatten(1, (g, -1)).flatten(2, 3).transpose(-1, -2)  # b g t h/g·p
        inherited = inherited.unflatten(-1, (-1, p)).transpose(2, 3).flatten(1, 2)  # b h t p
        y.addcmul_(inherited, from_start[..., None])
        final.addcmul_(state, from_start[..., -1, None, None])
    return y.transpose(1, 2), final


def segment_sums(a: Tensor) -> Tensor:
    """a (…, t) → (…, t, t) with [i, j] = a_{j+1} + … + a_i for j ≤ i, −∞ above the diagonal.

    Summed pair by pair (Dao & Gu 2024, listing 1) instead of as a difference of running sums, which cancels.
    """
    t = a.shape[-1]
    below = torch.ones(t, t, dtype=torch.bool, device=a.device).tril_(-1)
    sums = (a[..., :, None] * below).cumsum(dim=-2)
    return sums.masked_fill(~below & ~torch.eye(t, dtype=torch.bool, device=a.device), -torch.inf)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, eq. 34): the pair (x_i, x_{i+p/2}) turned by its angle.

    x (b, l, h, p); cos, sin (b, l, 1, p) in x's dtype, the first half of sin negated → (b, l, h, p).
    """
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)


def attention(q: Tensor, k: Tensor, v: Tensor, cache: KVCache | None = None) -> Tensor:
    """Causal grouped-query attention, softmax(q kᵀ / √p) v: q (b, l, h, p); k, v (b, l, g, p) → (b, l, h, p).

    With a cache the new keys and values are written to it first, and the queries see everything before them in their row.
    """
    if cache is None:
        return torch.cat([_attend(q[i], k[i], v[i])[None] for i in range(q.shape[0])])
    cache.write(k, v)
    return torch.cat([_attend(q[i], *cache.read(i))[None] for i in range(q.shape[0])])


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One row: q (l, h, p) are the last l of the m positions of k, v (m, g, p) → (l, h, p)."""
    (m, g), first = k.shape[:2], k.shape[0] - q.shape[0]  # the position of the first query
    k, v = k.transpose(0, 1)[None], v.transpose(0, 1)[None]  # 1 g m p
    if q.shape[0] == 1:  # the heads of a group ask as if they were so many queries of one head: k and v are read once
        out = F.scaled_dot_product_attention(q.view(1, g, -1, q.shape[-1]), k, v)  # 1 g h/g p
        return out.flatten(1, 2)
    if first == 0:
        return F.scaled_dot_product_attention(q.transpose(0, 1)[None], k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1)
    block = max(1, ATTENTION_ELEMENTS // m)
    outputs = []
    for start in range(0, q.shape[0], block):  # queries in blocks: the mask stays small however long the context
        part = q[start : start + block].transpose(0, 1)[None]  # 1 h t p
        mask = torch.ones(part.shape[2], m, dtype=torch.bool, device=q.device).tril_(first + start)
        outputs.append(F.scaled_dot_product_attention(part, k, v, attn_mask=mask, enable_gqa=True)[0].transpose(0, 1))
    return torch.cat(outputs)  # l h p


def swiglu(gate: Tensor, up: Tensor, multiplier: float) -> Tensor:
    """The gate of an MLP, up · SiLU(gate · multiplier): gate, up (…, f) → (…, f), each product rounded to their dtype."""
    return up * F.silu(gate * multiplier)
