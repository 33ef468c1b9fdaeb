"""One token of the Mamba-1 mixer after its convolution, against the law in fp64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference

mamba1_step = pytest.importorskip("modeling.kernels.triton.mamba1_step")
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


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 2, 17])
def test_step(rows: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    """Three tokens; rows 1, 4, 7, … are not active; channels are cut where nothing divides."""
    e, _, n = shape
    m = mixer(*shape, dtype, device)
    generator = torch.Generator().manual_seed(rows)
    state = torch.randn(rows, e, n, generator=generator).to(device)
    expected_state = state.double()
    active = torch.tensor([i % 3 != 1 for i in range(rows)], device=device)
    for sizes in (None, mamba1_step.Sizes(16, 32, 4, channels=16, advance_warps=4, ahead=64)):
        scratch = mamba1_step.Scratch.empty(rows, m, sizes)
        scratch.parts.fill_(torch.nan)
        xz = torch.randn(rows, 2 * e, generator=generator).to(device, dtype)
        out = torch.full((rows, e), torch.nan, dtype=dtype, device=device)
        before = expected_state.clone()
        expected = law(xz, m, expected_state)
        expected_state[~active] = before[~active]
        mamba1_step.step(xz, m, state, active.to(torch.int32), scratch, out, sizes=sizes, ahead=m.x_proj)
        assert error(out[active], expected[active]) < TOLERANCE[dtype]
        assert error(state, expected_state) < TOLERANCE[dtype]
        assert torch.equal(state[~active].double(), expected_state[~active])


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_gate_beside(dtype: torch.dtype, biased: bool, device: torch.device) -> None:
    """z may come from the residual by the way, in whatever pieces."""
    e, r, n, d = 48, 5, 8, 40
    m = mixer(e, r, n, dtype, device)
    generator = torch.Generator().manual_seed(0)
    weight, gains = torch.randn(e, d, generator=generator) * d**-0.5, torch.randn(d, generator=generator)
    bias = torch.randn(e, generator=generator).to(device, dtype) if biased else None
    h = torch.randn(1, d, generator=generator).to(device)
    norm = projection.Norm(gains.to(device, dtype), 1e-5)
    gate = mamba1_step.Gate(h, norm, weight.to(device, dtype), bias)
    z = reference.rms_norm(h.to(dtype).double(), norm.weight.double(), 1e-5) @ gate.weight.double().T
    z = z if bias is None else z + bias
    for blocks in (None, projection.Blocks(2, 0, 4, repeat=3)):
        sizes = replace(mamba1_step.choose(1, e, dtype), gate=blocks)
        xz = torch.randn(1, 2 * e, generator=generator).to(device, dtype)
        state = torch.randn(1, e, n, generator=generator).to(device)
        expected_state = state.double()
        expected = law(torch.cat((xz[:, :e].double(), z), dim=-1), m, expected_state)
        xz[:, e:] = torch.nan
        out = torch.full((1, e), torch.nan, dtype=dtype, device=device)
        active = torch.ones(1, dtype=torch.int32, device=device)
        mamba1_step.step(xz, m, state, active, mamba1_step.Scratch.empty(1, m), out, gate=gate, sizes=sizes)
        assert error(out, expected) < TOLERANCE[dtype]
        assert error(state, expected_state) < TOLERANCE[dtype]


def test_small_steps(device: torch.device) -> None:
    """Δ is exact where softplus is nearly 0, which its naive form is not, and nearly the identity: the state is Δ x B."""
    e, r, n = 32, 4, 8
    m = mixer(e, r, n, torch.float32, device)
    m.dt_bias.copy_(torch.linspace(-30, 30, e))
    xz = torch.ones(1, 2 * e, device=device)
    state, expected = torch.zeros(1, e, n, device=device), torch.zeros(1, e, n, device=device, dtype=torch.float64)
    out = torch.empty(1, e, device=device)
    law(xz, m, expected)
    mamba1_step.step(xz, m, state, torch.ones(1, dtype=torch.int32, device=device), mamba1_step.Scratch.empty(1, m), out)
    torch.testing.assert_close(state.double(), expected, rtol=1e-5, atol=0)
