"""The reference operations against their equations, written out token by token in fp64."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference
from modeling.memory import KVCache

LENGTHS = [1, 2, 3, 63, 64, 65, 500]


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory holds NaN, so that an element nobody wrote shows."""

    def poisoned(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *args, **kwargs: make(*args, **kwargs).fill_(torch.nan)

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poisoned(getattr(torch, name)))
    torch.manual_seed(0)


def assert_near(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Equal but for rounding, measured by the largest element expected."""
    assert found.shape == expected.shape
    assert found.isfinite().all()
    error = (found.double() - expected.double()).abs().max()
    assert error <= tolerance * expected.double().abs().max().clamp(min=1e-30), float(error)


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


# Norms


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rms_norm(dtype: torch.dtype) -> None:
    x, weight = (7 * torch.randn(2, 5, 48)).to(dtype), torch.randn(48).to(dtype)
    normed = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-5).sqrt()
    assert_near(reference.rms_norm(x, None, 1e-5), normed.to(dtype), 1e-6 if dtype == torch.float32 else 2**-8)
    rounded = normed.to(dtype).double() * weight.double()  # the norm is rounded before the weight counts
    assert_near(reference.rms_norm(x, weight, 1e-5), rounded.to(dtype), 1e-6 if dtype == torch.float32 else 2**-8)


def test_epsilon_keeps_a_row_of_zeros_at_zero() -> None:
    assert reference.rms_norm(torch.zeros(1, 4), torch.ones(4), 1e-6).tolist() == [[0.0] * 4]


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("norm_before_gate", [False, True])
def test_gated_rms_norm(groups: int, norm_before_gate: bool) -> None:
    y, gate, weight = torch.randn(2, 5, 48), torch.randn(2, 5, 48), torch.randn(48)
    expected = torch.zeros(2, 5, 48, dtype=torch.float64)
    width = 48 // groups
    for part in (slice(i * width, (i + 1) * width) for i in range(groups)):
        g = silu(gate[..., part].double())
        u = y[..., part].double() * (1 if norm_before_gate else g)
        u = u / (u.square().mean(-1, keepdim=True) + 1e-3).sqrt() * weight[part].double()
        expected[..., part] = u * (g if norm_before_gate else 1)
    assert_near(reference.gated_rms_norm(y, gate, weight, 1e-3, groups, norm_before_gate), expected)


# Convolution


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("biased", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("continued", [False, True])
def test_causal_conv(length: int, taps: int, biased: bool, continued: bool) -> None:
    x, weight = torch.randn(2, length, 6), torch.randn(6, taps)
    bias = torch.randn(6) if biased else None
    state = torch.randn(2, 6, taps) if continued else None
    past = torch.zeros(2, taps, 6) if state is None else state.clone().mT
    inputs = torch.cat((past, x), dim=1).double()
    expected = torch.zeros(2, length, 6, dtype=torch.float64)
    for t in range(length):
        for j in range(taps):
            expected[:, t] += weight[:, j].double() * inputs[:, taps + t - (taps - 1) + j]
    expected = silu(expected + (0 if bias is None else bias.double()))
    assert_near(reference.causal_conv(x, weight, bias, state), expected)
    if state is not None:
        assert torch.equal(state, inputs[:, -taps:].mT.float())


# Scans

DECAYS = {
    "usual": (-torch.rand(6, 4) * 3 - 0.1, -2.0),
    "violent": (-torch.rand(6, 4) * 1e4, 1.0),
    "none": (torch.zeros(6, 4), -2.0),
    "slight": (-torch.rand(6, 4) * 1e-6, -1.0),
    "from none to violent": (-(10.0 ** torch.linspace(-8, 4, 24)).view(6, 4), 0.0),
    "underflowing step": (-torch.rand(6, 4), -120.0),
}


def softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x.double(), torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("elements", [1, 2**20], ids=["chunks of 8", "one chunk"])
def test_selective_scan(length: int, decay: str, continued: bool, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "SCAN_ELEMENTS", elements)
    A, shift = DECAYS[decay]
    x, dt = torch.randn(2, length, 6), torch.randn(2, length, 6)
    B, C = torch.randn(2, length, 4), torch.randn(2, length, 4)
    D, dt_bias, z = torch.randn(6), torch.randn(6) + shift, torch.randn(2, length, 6)
    state = torch.randn(2, 6, 4) if continued else None
    S = torch.zeros(2, 6, 4, dtype=torch.float64) if state is None else state.double()
    steps = softplus(dt + dt_bias)
    expected = []
    for t in range(length):
        S = torch.exp(steps[:, t, :, None] * A) * S + (steps[:, t] * x[:, t])[..., None] * B[:, t, None]
        expected.append(((S * C[:, t, None]).sum(-1) + D * x[:, t]) * silu(z[:, t].double()))
    assert_near(reference.selective_scan(x, dt, A, B, C, D, dt_bias, z, state), torch.stack(expected, dim=1))
    if state is not None:
        assert_near(state, S)


@pytest.mark.parametrize(("length", "groups"), [*((length, 3) for length in LENGTHS), (3, 1), (65, 1), (65, 2), (65, 6)])
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("continued", [False, True])
def test_ssd(length: int, groups: int, decay: str, continued: bool) -> None:
    h, p, n = 6, 5, 4
    A, shift = DECAYS[decay]
    A = A[:, 1]
    x, dt = torch.randn(2, length, h, p), torch.randn(2, length, h)
    B, C = torch.randn(2, length, groups, n), torch.randn(2, length, groups, n)
    D, dt_bias = torch.randn(h), torch.randn(h) + shift
    state = torch.randn(2, h, p, n) if continued else None
    expected, S = naive_ssd(x, softplus(dt + dt_bias), A, B, C, D, state)
    assert_near(reference.ssd(x, dt, A, B, C, D, dt_bias, (0.0, inf), state), expected)
    if state is not None:
        assert_near(state, S)


def naive_ssd(
    x: Tensor, steps: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    b, length, h, p = x.shape
    heads_a_group = h // B.shape[2]
    S = torch.zeros(b, h, p, B.shape[3], dtype=torch.float64) if state is None else state.double().clone()
    outputs = []
    for t in range(length):
        y = torch.zeros(b, h, p, dtype=torch.float64)
        for i in range(h):
            group = i // heads_a_group
            grown = (steps[:, t, i, None] * x[:, t, i])[..., None] * B[:, t, group, None]
            S[:, i] = torch.exp(steps[:, t, i] * A[i])[:, None, None] * S[:, i] + grown
            y[:, i] = (S[:, i] * C[:, t, group, None].double()).sum(-1) + D[i] * x[:, t, i]
        outputs.append(y)
    return torch.stack(outputs, dim=1), S


@pytest.mark.parametrize("length", [1, 3, 65])
@pytest.mark.parametrize("limit", [(0.01, 0.05), (0.5, 0.5), (0.0, 0.1), (0.2, inf)], ids=str)
def test_ssd_limits_the_time_steps_whatever_the_length(length: int, limit: tuple[float, float]) -> None:
    x, dt = torch.randn(1, length, 2, 3), torch.randn(1, length, 2)
    B, C = torch.randn(1, length, 1, 4), torch.randn(1, length, 1, 4)
    A, D, dt_bias, state = -torch.rand(2), torch.randn(2), torch.randn(2), torch.randn(1, 2, 3, 4)
    expected, S = naive_ssd(x, softplus(dt + dt_bias).clamp(*limit), A, B, C, D, state)
    assert_near(reference.ssd(x, dt, A, B, C, D, dt_bias, limit, state), expected)
    assert_near(state, S)


def test_scans_keep_a_state_of_fp32_for_inputs_of_bf16() -> None:
    """Rounding goes into the inputs only: the result is that of the same numbers in fp32."""
    inputs = [torch.randn(1, 70, *shape).bfloat16() for shape in ((6,), (6,), (4,), (4,))]
    A, D, dt_bias, z = -torch.rand(6, 4), torch.randn(6).bfloat16(), torch.randn(6).bfloat16(), torch.randn(1, 70, 6)
    states = [torch.zeros(1, 6, 4), torch.zeros(1, 6, 4)]
    x, dt, B, C = inputs
    low = reference.selective_scan(x, dt, A, B, C, D, dt_bias, z, states[0])
    x, dt, B, C = (tensor.float() for tensor in inputs)
    high = reference.selective_scan(x, dt, A, B, C, D.float(), dt_bias.float(), z, states[1])
    assert low.dtype == states[0].dtype == torch.float32
    assert torch.equal(low, high)
    assert torch.equal(*states)


@pytest.mark.parametrize("grad", [False, True], ids=["in place", "functional"])
def test_linear_recurrence_at_every_length(grad: bool) -> None:
    for t in range(1, 71):
        a, u = torch.rand(2, t, 3), torch.randn(2, t, 3)
        a[:, ::5] = 0.0
        a[:, 3::7] = 1e-30
        s, expected = torch.zeros(2, 3, dtype=torch.float64), []
        for i in range(t):
            s = a[:, i].double() * s + u[:, i]
            expected.append(s)
        assert_near(reference.linear_recurrence(a, u.requires_grad_(grad)).detach(), torch.stack(expected, dim=1))


@pytest.mark.parametrize("t", [1, 2, 3, 17, 64])
def test_segment_sums(t: int) -> None:
    a = -(10 ** (6 * torch.rand(3, t) - 3))
    sums = reference.segment_sums(a)
    for i in range(t):
        assert (sums[:, i, i + 1 :] == -inf).all()
        for j in range(i + 1):
            torch.testing.assert_close(sums[:, i, j].double(), a[:, j + 1 : i + 1].double().sum(-1), rtol=1e-5, atol=0)


def test_small_decays_survive_beside_large_ones() -> None:
    """As a difference of running sums, the last two tokens' −10⁻³ would drown in the first's −10⁵."""
    sums = reference.segment_sums(torch.tensor([-1e5, -1e5, -1e-3, -1e-3]))
    assert sums[3, 1].item() == pytest.approx(-2e-3, rel=1e-5)


# Attention


def test_rotary_turns_pairs_by_their_angle() -> None:
    x = torch.randn(2, 5, 3, 8)
    angles = torch.randn(2, 5, 1, 4)
    turned = torch.complex(x[..., :4].double(), x[..., 4:].double()) * torch.exp(1j * angles.double())
    cos, sin = torch.cat((angles.cos(),) * 2, -1), torch.cat((-angles.sin(), angles.sin()), -1)
    assert_near(reference.rotary(x, cos, sin), torch.cat((turned.real, turned.imag), -1))


def naive_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One row: q (l, h, p), the last of the m positions of k, v (m, g, p)."""
    (length, h, p), (m, g) = q.shape, k.shape[:2]
    out = torch.zeros(length, h, p, dtype=torch.float64)
    for t in range(length):
        seen = m - length + t + 1
        for i in range(h):
            scores = k[:seen, i // (h // g)].double() @ q[t, i].double() / p**0.5
            out[t, i] = scores.softmax(0) @ v[:seen, i // (h // g)].double()
    return out


@pytest.mark.parametrize("heads", [(6, 2), (4, 4), (3, 1)], ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 33, 64, 65])
@pytest.mark.parametrize("elements", [1, 200, 2**21])
def test_attention(heads: tuple[int, int], length: int, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "ATTENTION_ELEMENTS", elements)  # 1: a block for every query
    (h, g), p = heads, 8
    q, k, v = torch.randn(2, length, h, p), torch.randn(2, length, g, p), torch.randn(2, length, g, p)
    expected = torch.stack([naive_attention(q[i], k[i], v[i]) for i in range(2)])
    assert_near(reference.attention(q, k, v), expected)


@pytest.mark.parametrize("length", [1, 2, 5, 40])
@pytest.mark.parametrize("elements", [1, 200, 2**21])
def test_attention_over_a_scattered_past(length: int, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with pasts of different lengths, in neighbouring places and in scattered ones; what is not theirs is NaN."""
    monkeypatch.setattr(reference, "ATTENTION_ELEMENTS", elements)
    h, g, p, pasts = 6, 2, 8, (0, 7, 31)
    places = torch.randperm(200)
    keys, values = torch.empty(400, g, p), torch.empty(400, g, p)
    context: list[Any] = [slice(300, 300 + length), places[: 7 + length], places[100 : 131 + length]]
    rows = [torch.arange(300, 300 + length), context[1], context[2]]
    k_past, v_past = ([torch.randn(past, g, p) for past in pasts] for _ in range(2))
    for row, past, k, v in zip(rows, pasts, k_past, v_past, strict=True):
        keys[row[:past]], values[row[:past]] = k, v
    q, k, v = torch.randn(3, length, h, p), torch.randn(3, length, g, p), torch.randn(3, length, g, p)
    written = torch.cat([row[past:] for row, past in zip(rows, pasts, strict=True)])
    found = reference.attention(q, k, v, KVCache(keys, values, written, context))
    for i in range(3):
        expected = naive_attention(q[i], torch.cat((k_past[i], k[i])), torch.cat((v_past[i], v[i])))
        assert_near(found[i], expected)
