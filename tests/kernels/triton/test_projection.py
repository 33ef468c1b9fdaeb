"""Products of a decode step against fp64, for every epilogue, dtype and shape of the rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference

projection = pytest.importorskip("modeling.kernels.triton.projection")
products = pytest.importorskip("modeling.kernels.triton.rows")
Convolved, Norm = projection.Convolved, projection.Norm

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = {
    torch.float32: 1e-6,
    torch.bfloat16: 2e-2,
    torch.float16: 2e-3,
}  # the interpreter cuts bfloat16 off, instead of rounding
ROWS = (1, 2, 17, 70)
EPS = 1e-5


def random(*shape: int, seed: int, dtype: torch.dtype, device: torch.device, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator)).to(device, dtype)


def poisoned(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full(shape, torch.nan, dtype=dtype, device=device)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def normed(x: Tensor, norm: Norm | None) -> Tensor:
    """In fp64, from what the norm sees: x in the weights' dtype."""
    if norm is None:
        return x.double()
    return F.rms_norm(x.to(norm.weight.dtype).double(), x.shape[-1:], norm.weight.double(), norm.eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("shape", [(70, 24), (33, 130)])
def test_product(rows: int, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> None:
    o, d = shape
    x = random(rows, d, seed=1, dtype=torch.float32, device=device)
    w = random(o, d, seed=2, dtype=dtype, device=device, scale=d**-0.5)
    x = x.to(dtype)  # without a norm, x comes in the weights' dtype or is rounded to it
    out = poisoned(rows, o, dtype=torch.float32, device=device)
    projection.project(x, w, out)
    assert error(out, x.double() @ w.double().T) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
def test_everything_at_once(rows: int, dtype: torch.dtype, device: torch.device) -> None:
    """Norm, bias, multipliers, a second product and the residual, in place."""
    o, d, d2 = 37, 40, 24
    x = random(rows, d, seed=1, dtype=torch.float32, device=device, scale=3.0)
    x2 = random(rows, d2, seed=2, dtype=dtype, device=device)
    w = random(o, d, seed=3, dtype=dtype, device=device, scale=d**-0.5)
    w2 = random(o, d2, seed=4, dtype=dtype, device=device, scale=d2**-0.5)
    bias, bias2 = (random(o, seed=seed, dtype=dtype, device=device) for seed in (5, 6))
    norm = Norm(random(d, seed=7, dtype=dtype, device=device), EPS)
    h = random(rows, o, seed=8, dtype=torch.float32, device=device)
    expected = h.double() + 0.7 * (normed(x, norm) @ w.double().T + bias) + 1.3 * (x2.double() @ w2.double().T + bias2)
    projection.project(x, w, h, norm=norm, bias=bias, multiplier=0.7, residual=h, second=(x2, w2, bias2, 1.3))
    assert error(h, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_narrow_output(dtype: torch.dtype, device: torch.device) -> None:
    """The result may be wanted in the weights' dtype."""
    for rows in ROWS:
        x = random(rows, 24, seed=1, dtype=dtype, device=device)
        w = random(20, 24, seed=2, dtype=dtype, device=device)
        out = poisoned(rows, 20, dtype=dtype, device=device)
        projection.project(x, w, out)
        assert error(out, x.double() @ w.double().T) < TOLERANCE[dtype]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
def test_gated(rows: int, dtype: torch.dtype, biased: bool, device: torch.device) -> None:
    f, d = 45, 40
    x = random(rows, d, seed=1, dtype=dtype, device=device)
    w = random(2 * f, d, seed=2, dtype=dtype, device=device, scale=d**-0.5)
    bias = random(2 * f, seed=3, dtype=dtype, device=device) if biased else None
    norm = Norm(random(d, seed=4, dtype=dtype, device=device), EPS)
    out = poisoned(rows, f, dtype=torch.float32, device=device)
    both = normed(x, norm) @ w.double().T + (0 if bias is None else bias.double())
    projection.project_gated(x, w, out, norm=norm, bias=bias, multiplier=0.6)
    assert error(out, both[:, f:] * F.silu(0.6 * both[:, :f])) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("taps", "biased"), [(4, True), (3, False), (1, True)])
def test_convolved(rows: int, taps: int, biased: bool, dtype: torch.dtype, device: torch.device) -> None:
    """Three tokens one after the other; rows 1, 4, 7, … are not active: their state must not move."""
    o, d, first, c = 50, 24, 7, 30
    w = random(o, d, seed=1, dtype=dtype, device=device, scale=d**-0.5)
    conv_weight = random(c, taps, seed=2, dtype=dtype, device=device)
    conv_bias = random(c, seed=3, dtype=dtype, device=device) if biased else None
    norm = Norm(random(d, seed=4, dtype=dtype, device=device), EPS)
    scale = random(o, seed=5, dtype=torch.float32, device=device)
    bias = random(o, seed=6, dtype=dtype, device=device)
    state = random(rows, taps, c, seed=7, dtype=dtype, device=device).mT
    active = torch.tensor([i % 3 != 1 for i in range(rows)], device=device)
    law = state.double().mT.contiguous().mT
    conv = Convolved(first, conv_weight, conv_bias, state, active.to(torch.int32))
    wide_bias = None if conv_bias is None else conv_bias.double()
    for token in range(3):
        x = random(rows, d, seed=10 + token, dtype=torch.float32, device=device)
        out = poisoned(rows, o, dtype=dtype, device=device)
        before = law.clone()
        expected = scale.double() * (normed(x, norm) @ w.double().T + bias)
        part = expected[:, first : first + c]
        part.copy_(reference.causal_conv(part[:, None], conv_weight.double(), wide_bias, law)[:, 0])
        law[~active] = before[~active]
        projection.project_convolved(x, w, out, conv, norm=norm, scale=scale, bias=bias)
        assert error(out, expected) < TOLERANCE[dtype]
        assert error(state, law) < TOLERANCE[dtype]
        assert torch.equal(state[~active].double(), law[~active])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_see_each_other(dtype: torch.dtype, device: torch.device) -> None:
    w = random(33, 40, seed=1, dtype=dtype, device=device)
    norm = Norm(random(40, seed=2, dtype=dtype, device=device), EPS)
    x = random(17, 40, seed=3, dtype=dtype, device=device)
    found = [poisoned(17, 33, dtype=torch.float32, device=device) for _ in range(2)]
    projection.project(x, w, found[0], norm=norm)
    x[1:] = torch.nan
    projection.project(x, w, found[1], norm=norm)
    assert torch.equal(found[0][0], found[1][0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40, 130, 3), (33, 64, 2), (20, 24, 4)])
def test_product_in_parts(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    """Their sum is the product, however the columns fall, also where rows of x lie apart; the norm behind adds them to x."""
    (o, d, splits), rows = shape, 3
    x = random(rows, 2 * d, seed=1, dtype=dtype, device=device)
    w = random(o, d, seed=2, dtype=dtype, device=device, scale=d**-0.5)
    parts = poisoned(splits, rows, o, dtype=torch.float32, device=device)
    products.project_parts(x[:, :d], w, parts, 16, 32)
    expected = x[:, :d].double() @ w.double().T
    assert error(parts.sum(0), expected) < TOLERANCE[dtype]
    h = random(rows, o, seed=3, dtype=torch.float32, device=device)
    norm = Norm(random(o, seed=4, dtype=dtype, device=device), EPS)
    bias = random(o, seed=5, dtype=dtype, device=device)
    expected = h.double() + expected + bias
    found = products.normed(h, norm.weight, norm.eps, parts=parts, bias=bias)
    assert error(h, expected) < TOLERANCE[dtype]
    assert error(found, normed(h, norm)) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("twice", [False, True])
def test_few_outputs(dtype: torch.dtype, twice: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many columns, which are cut too then: the same result."""
    monkeypatch.setattr(projection, "PROCESSORS", 3)
    o, d, d2, rows = 40, 1024, 130, 2
    monkeypatch.setattr(projection, "SMALL", o * d)
    w = random(o, d, seed=3, dtype=dtype, device=device, scale=d**-0.5)
    x, x2 = (random(rows, width, seed=width, dtype=dtype, device=device) for width in (d, d2))
    w2 = random(o, d2, seed=4, dtype=dtype, device=device, scale=d2**-0.5)
    bias, bias2 = (random(o, seed=seed, dtype=dtype, device=device) for seed in (5, 6))
    h = random(rows, o, seed=8, dtype=torch.float32, device=device)
    expected = h.double() + 0.7 * (x.double() @ w.double().T + bias)
    if twice:
        expected += 1.3 * (x2.double() @ w2.double().T + bias2)
    second = (x2, w2, bias2, 1.3) if twice else None
    projection.project(x, w, h, bias=bias, multiplier=0.7, residual=h, second=second)
    assert error(h, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("repeat", [1, 4])
def test_several_tiles_a_program(repeat: int, device: torch.device) -> None:
    """One row with a convolution or a gate: outputs that no number of tiles divides."""
    d, f, c = 40, 23, 11
    x = random(1, d, seed=1, dtype=torch.float32, device=device)
    w = random(2 * f, d, seed=2, dtype=torch.float32, device=device, scale=d**-0.5)
    norm = Norm(random(d, seed=3, dtype=torch.float32, device=device), EPS)
    blocks = projection.Blocks(4, 0, 4, repeat=repeat)
    both = normed(x, norm) @ w.double().T
    out = poisoned(1, f, dtype=torch.float32, device=device)
    projection.project_gated(x, w, out, norm=norm, blocks=blocks)
    assert error(out, both[:, f:] * F.silu(both[:, :f])) < 1e-6
    state = torch.zeros(1, 1, c, device=device).mT
    taps, active = torch.ones(c, 1, device=device), torch.ones(1, dtype=torch.int32, device=device)
    out = poisoned(1, 2 * f, dtype=torch.float32, device=device)
    projection.project_convolved(x, w, out, Convolved(5, taps, None, state, active), norm=norm, blocks=blocks)
    assert error(state[..., 0], both[:, 5 : 5 + c]) < 1e-6
    both[:, 5 : 5 + c] = F.silu(both[:, 5 : 5 + c])
    assert error(out, both) < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("repeat", [1, 4])
def test_swished(dtype: torch.dtype, repeat: int, device: torch.device) -> None:
    o, d = 23, 40
    x, gate = (random(1, d, seed=seed, dtype=dtype, device=device) for seed in (1, 2))
    w = random(o, d, seed=3, dtype=dtype, device=device, scale=d**-0.5)
    bias, h = random(o, seed=4, dtype=dtype, device=device), random(1, o, seed=5, dtype=torch.float32, device=device)
    expected = h.double() + (x.double() * F.silu(gate.double())) @ w.double().T + bias
    projection.project_swished(x, gate, w, h, h, bias, projection.Blocks(2, 0, 4, repeat=repeat))
    assert error(h, expected) < TOLERANCE[dtype]
