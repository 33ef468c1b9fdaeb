"""One token of the Mamba-1 mixer after its convolution, against the law in fp64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference
from modeling.kernels.packed import Packed4

mamba1_step = pytest.importorskip("modeling.kernels.triton.mamba1_step")
nf4 = pytest.importorskip("modeling.kernels.triton.nf4")
products = pytest.importorskip("modeling.kernels.triton.packed")
projection = pytest.importorskip("modeling.kernels.triton.projection")

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}  # the interpreter cuts bfloat16 off
SHAPES = ((48, 5, 8), (70, 20, 12))  # e, r, n


def mixer(e: int, r: int, n: int, dtype: torch.dtype, device: torch.device) -> mamba1_step.Recurrence:
    generator = torch.Generator().manual_seed(e)

    def random(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Tensor:
        return mean + scale * torch.randn(*shape, generator=generator)

    weights = (
        random(r + 2 * n, e, scale=e**-0.5),
        random(e, r, scale=r**-0.5),
        random(e, mean=-2.0),
        -torch.exp(2.5 * torch.rand(e, n, generator=generator)),
        random(e, mean=1.0, scale=0.3),
    )
    return mamba1_step.Recurrence(*(w.to(device, torch.float32 if i == 3 else dtype) for i, w in enumerate(weights)), eps=1e-6)


def law(xz: Tensor, m: mamba1_step.Recurrence, state: Tensor) -> Tensor:
    """In fp64, in the order of `layers.mamba1`; the state in place."""
    r, n = m.dt_proj.shape[1], m.A.shape[1]
    x, z = xz.double().chunk(2, dim=-1)
    dt, B, C = (x @ m.x_proj.double().T).split((r, n, n), dim=-1)
    dt, B, C = (reference.rms_norm(part, None, m.eps) for part in (dt, B, C))
    dt = F.softplus(dt @ m.dt_proj.double().T + m.dt_bias.double())
    state.copy_((dt[..., None] * m.A.double()).exp() * state + (dt * x)[..., None] * B[:, None])
    return ((state @ C[..., None]).squeeze(-1) + m.D.double() * x) * F.silu(z)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def gate_of(e: int, d: int, dtype: torch.dtype, device: torch.device, biased: bool = True) -> mamba1_step.Gate:
    generator = torch.Generator().manual_seed(d)
    weight, gains, bias = (torch.randn(*shape, generator=generator).to(device, dtype) for shape in ((e, d), (d,), (e,)))
    h = torch.randn(1, d, generator=generator).to(device)
    return mamba1_step.Gate(h, projection.Norm(gains, 1e-5), weight * d**-0.5, bias if biased else None)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_row(shape: tuple[int, int, int], dtype: torch.dtype, biased: bool, device: torch.device) -> None:
    """Tokens of one row, with z worked out by the way; channels and rows of z are cut where nothing divides; the second token
    is of a slot that is not active. The gate is not in the result yet."""
    e, _, n = shape
    m, gate = mixer(*shape, dtype, device), gate_of(e, 40, dtype, device, biased)
    z = reference.rms_norm(gate.h.to(dtype).double(), gate.norm.weight.double(), 1e-5) @ gate.weight.double().T
    z = z if gate.bias is None else z + gate.bias
    generator = torch.Generator().manual_seed(1)
    state = torch.randn(1, e, n, generator=generator).to(device)
    expected_state = state.double()
    for active, early, before in ((1, e // 2, (0, 0)), (0, e, (2, 1)), (1, 0, (1, 100))):
        blocks = projection.Blocks(2, 0, 4, repeat=4 if early else 1)
        sizes = mamba1_step.Sizes(8, 32, channels=16, warps=4, z=blocks, early=early, before=before)
        scratch = mamba1_step.Scratch.empty(1, m, sizes)
        scratch.parts.fill_(torch.nan)
        xz = torch.randn(1, 2 * e, generator=generator).to(device, dtype)
        xz[:, e:] = torch.nan
        out = torch.full((1, e), torch.nan, dtype=dtype, device=device)
        before_step = expected_state.clone()
        expected = law(torch.cat((xz[:, :e].double(), z), dim=-1), m, expected_state) / F.silu(z)
        if not active:
            expected_state.copy_(before_step)
        flag = torch.tensor([active], dtype=torch.int32, device=device)
        mamba1_step.step_row(xz, m, gate, state, flag, scratch, out, sizes)
        assert error(xz[:, e:], z) < TOLERANCE[dtype]
        assert error(out, expected) < TOLERANCE[dtype]
        assert error(state, expected_state) < TOLERANCE[dtype]


@pytest.mark.parametrize(("e", "d", "comb"), [(48, 96, True), (70, 160, False), (37, 1184, False)])
@pytest.mark.parametrize("biased", [True, False])
def test_row_gated(e: int, d: int, comb: bool, biased: bool, device: torch.device) -> None:
    """The same with a packed in_proj, whose z is made beside x_proj, of what is normed or (without a bias) has yet to be:
    channels that fill no program, rows that take turns."""
    functional = pytest.importorskip("bitsandbytes.functional", reason="no bitsandbytes: pip install '.[quant]' brings it")
    m, generator = mixer(e, 5, 8, torch.float32, device), torch.Generator().manual_seed(d)
    weight, bias = torch.randn(2 * e, d, generator=generator) * d**-0.5, torch.randn(2 * e, generator=generator).to(device)
    codes, quantized = functional.quantize_4bit(weight, blocksize=32, quant_type="nf4")
    codes, scales, values = (part.to(device) for part in (codes.view(torch.uint8), quantized.absmax, quantized.code))
    packed = Packed4(codes.flatten(), scales, values, (2 * e, d), 32)
    u = torch.randn(1, d, generator=generator).to(device)
    z = u.double() @ packed.dequantized(torch.float32).double().T[:, e:] + (bias[e:] if biased else 0)
    gate = mamba1_step.PackedGate(nf4.combed(u), nf4.Matrix4.of(packed), bias if biased else None)
    if not biased:
        gate = replace(gate, deferred=products.Deferred(torch.tensor([2.0, 0.5, 0.0, 1.0], device=device), 0.25))
        z /= (3.5 / d + 0.25) ** 0.5
    state = torch.randn(1, e, 8, generator=generator).to(device)
    expected_state, flag = state.double(), torch.ones(1, dtype=torch.int32, device=device)
    scratch = mamba1_step.Scratch.empty(1, m)
    scratch.parts.fill_(torch.nan)
    xz = torch.randn(1, 2 * e, generator=generator).to(device)
    xz[:, e:] = torch.nan
    out = torch.full((1, e), torch.nan, device=device)
    expected = law(torch.cat((xz[:, :e].double(), z), dim=-1), m, expected_state)
    mamba1_step.step_row_gated(xz, m, state, flag, scratch, out, comb, gate)
    assert error(xz[:, e:], z) < 1e-6
    assert error(out, nf4.combed(expected) if comb else expected) < 2e-6
    assert error(state, expected_state) < 2e-6


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [2, 17])
def test_rows(rows: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    """Two tokens; rows 1, 4, 7, … are not active."""
    e, _, n = shape
    m = mixer(*shape, dtype, device)
    generator = torch.Generator().manual_seed(rows)
    state = torch.randn(rows, e, n, generator=generator).to(device)
    expected_state = state.double()
    active = torch.tensor([i % 3 != 1 for i in range(rows)], device=device)
    for sizes in (None, mamba1_step.Sizes(16, 32, channels=16, warps=4)):
        scratch = mamba1_step.Scratch.empty(rows, m, sizes)
        scratch.parts.fill_(torch.nan)
        xz = torch.randn(rows, 2 * e, generator=generator).to(device, dtype)
        out = torch.full((rows, e), torch.nan, dtype=dtype, device=device)
        before = expected_state.clone()
        expected = law(xz, m, expected_state)
        expected_state[~active] = before[~active]
        mamba1_step.step_rows(xz, m, state, active.to(torch.int32), scratch, out, sizes)
        assert error(out[active], expected[active]) < TOLERANCE[dtype]
        assert error(state, expected_state) < TOLERANCE[dtype]
        assert torch.equal(state[~active].double(), expected_state[~active])


@pytest.mark.parametrize("rows", [1, 2])
def test_small_steps(rows: int, device: torch.device) -> None:
    """Δ is exact where softplus is nearly 0, which its naive form is not, and nearly the identity: the state is Δ x B."""
    e, r, n = 32, 4, 8
    m, gate = mixer(e, r, n, torch.float32, device), gate_of(e, 16, torch.float32, device)
    m.dt_bias.copy_(torch.linspace(-30, 30, e))
    xz = torch.ones(rows, 2 * e, device=device)
    state, expected = torch.zeros(rows, e, n, device=device), torch.zeros(rows, e, n, device=device, dtype=torch.float64)
    out, active = torch.empty(rows, e, device=device), torch.ones(rows, dtype=torch.int32, device=device)
    law(xz, m, expected)
    if rows == 1:
        mamba1_step.step_row(xz, m, gate, state, active, mamba1_step.Scratch.empty(1, m), out)
    else:
        mamba1_step.step_rows(xz, m, state, active, mamba1_step.Scratch.empty(rows, m), out)
    torch.testing.assert_close(state.double(), expected, rtol=1e-5, atol=0)
