"""One token of the Mamba-2 mixer after its convolution, against the law in fp64; beside attention, against each alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference

attention_step = pytest.importorskip("modeling.kernels.triton.attention_step")
mamba2_step = pytest.importorskip("modeling.kernels.triton.mamba2_step")

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}  # the interpreter cuts bfloat16 off
SHAPES = ((6, 8, 12, 2), (4, 20, 64, 1), (3, 5, 33, 3))  # h, p, n, g
SPARE = 5  # columns of the products that are not Mamba-2's
INF = float("inf")


def mixer(shape: tuple[int, ...], norm: str, dtype: torch.dtype, device: torch.device, limit: tuple[float, float] = (0.0, INF)):
    h, p, _, g = shape
    generator = torch.Generator().manual_seed(h)

    def random(*sizes: int, scale: float = 1.0, mean: float = 0.0) -> Tensor:
        return (mean + scale * torch.randn(*sizes, generator=generator)).to(device, dtype)

    A = -torch.exp(2.5 * torch.rand(h, generator=generator)).to(device)
    weight = None if norm == "none" else random(h * p, mean=1.0, scale=0.3)
    return mamba2_step.Recurrence(A, random(h), random(h, mean=-2.0), limit, g, weight, 1e-5, norm == "before")


def law(projected: Tensor, m: mamba2_step.Recurrence, shape: tuple[int, ...], state: Tensor) -> Tensor:
    """In fp64, in the order of `layers.mamba2`; the state in place."""
    h, p, n, g = shape
    b, e = projected.shape[0], h * p
    z, x, B, C, dt = projected.double()[:, : 2 * e + 2 * g * n + h].split((e, e, g * n, g * n, h), dim=-1)
    dt = F.softplus(dt + m.dt_bias.double()).clamp(*m.limit)
    group = torch.arange(h, device=state.device) // (h // g)
    B, C, x = B.view(b, g, n)[:, group], C.view(b, g, n)[:, group], x.view(b, h, p)
    state.mul_((dt * m.A.double()).exp()[..., None, None])
    state.add_(torch.einsum("bh,bhp,bhn->bhpn", dt, x, B))
    y = torch.einsum("bhpn,bhn->bhp", state, C) + m.D.double()[:, None] * x
    if m.norm is None:
        return y.flatten(1) * F.silu(z)
    gate = F.silu(z)
    y = y.flatten(1) if m.norm_before_gate else y.flatten(1) * gate
    y = F.rms_norm(y.view(b, g, -1), (e // g,), None, m.eps).flatten(1) * m.norm.double()
    return y * gate if m.norm_before_gate else y


def drawn(shape: tuple[int, ...], rows: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Products of the input projections, and states."""
    h, p, n, g = shape
    generator = torch.Generator().manual_seed(rows)
    projected = torch.randn(rows, 2 * h * p + 2 * g * n + h + SPARE, generator=generator)
    return projected.to(device, dtype), torch.randn(rows, h, p, n, generator=generator).to(device)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def check(
    shape: tuple[int, ...], norm: str, rows: int, dtype: torch.dtype, device: torch.device, channels: int, **options
) -> None:
    h, p, _, _ = shape
    m = mixer(shape, norm, dtype, device, **options)
    projected, state = drawn(shape, rows, dtype, device)
    active = torch.tensor([i % 3 != 1 for i in range(rows)], device=device)
    start, expected_state = state.clone(), state.double()
    sizes = mamba2_step.Sizes(channels)
    scratch = mamba2_step.Scratch.empty(rows, h, p, sizes, device)
    scratch.y.fill_(torch.nan), scratch.squares.fill_(torch.nan)
    out = torch.full((rows, h * p), torch.nan, dtype=dtype, device=device)
    expected = law(projected, m, shape, expected_state)
    mamba2_step.advance(projected, m, state, active.int(), scratch, out, sizes)
    if norm != "none":
        mamba2_step.normalise(projected, m, scratch, out)
    assert error(out, expected) < TOLERANCE[dtype]
    assert error(state[active], expected_state[active]) < 1e-6
    assert torch.equal(state[~active], start[~active])


@pytest.mark.parametrize("norm", ["none", "after", "before"])
@pytest.mark.parametrize("shape", SHAPES)
def test_step(shape: tuple[int, ...], norm: str, device: torch.device) -> None:
    check(shape, norm, 3, torch.float32, device, channels=8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype, device: torch.device) -> None:
    for norm in ("none", "after"):
        check(SHAPES[1], norm, 2, dtype, device, channels=16)


def test_any_block(device: torch.device) -> None:
    for channels in (1, 4, 32):
        check(SHAPES[0], "after", 1, torch.float32, device, channels=channels)


def test_limited_time_steps(device: torch.device) -> None:
    check(SHAPES[0], "after", 2, torch.float32, device, channels=8, limit=(0.1, 0.15))


def test_time_steps_of_every_size(device: torch.device) -> None:
    """The softplus is right where it is tiny as where it is large."""
    shape = (25, 2, 4, 1)
    m = mixer(shape, "none", torch.float32, device)
    m.dt_bias.copy_(torch.linspace(-30, 30, 25))
    projected, state = drawn(shape, 1, torch.float32, device)
    projected.fill_(1.0), state.zero_()
    expected = state.double()
    law(projected, m, shape, expected)
    sizes = mamba2_step.Sizes(2)
    active = torch.ones(1, dtype=torch.int32, device=device)
    scratch = mamba2_step.Scratch.empty(1, 25, 2, sizes, device)
    mamba2_step.advance(projected, m, state, active, scratch, torch.empty(1, 50, device=device), sizes)
    torch.testing.assert_close(state.double(), expected, rtol=1e-5, atol=0)


def test_law(device: torch.device) -> None:
    """The law of this file is the law of the house."""
    shape = h, p, n, g = SHAPES[0]
    m = mixer(shape, "after", torch.float32, device)
    projected, state = drawn(shape, 2, torch.float32, device)
    e = h * p
    z, x, B, C, dt = projected[:, None, :-SPARE].split((e, e, g * n, g * n, h), dim=-1)
    heads, groups = (2, 1, h, p), (2, 1, g, n)
    expected = state.double()
    found = reference.ssd(x.view(heads), dt, m.A, B.view(groups), C.view(groups), m.D, m.dt_bias, m.limit, state).flatten(-2)
    found = reference.gated_rms_norm(found, z, m.norm, m.eps, g, False)[:, 0]
    assert error(found, law(projected, m, shape, expected)) < 1e-6
    assert error(state, expected) < 1e-6


@pytest.mark.parametrize("norm", ["none", "after", "before"])
def test_beside_attention(norm: str, device: torch.device) -> None:
    """Two in one launch give what each gives alone."""
    shape, rows, (heads, g, width) = SHAPES[0], 2, (4, 2, 16)
    h, p, _, _ = shape
    m = mixer(shape, norm, torch.float32, device)
    products, _ = drawn(shape, rows, torch.float32, device)
    first = products.shape[1]
    projected = torch.cat((products, products[:, : (heads + 2 * g) * width]), dim=1)
    splits, sizes = attention_step.Sizes(2, 16), mamba2_step.Sizes(4)
    found = []
    for together in (False, True):
        _, state = drawn(shape, rows, torch.float32, device)
        generator = torch.Generator().manual_seed(1)
        keys, values = (torch.randn(128, g, width, generator=generator).to(device) for _ in "kv")
        pages = torch.tensor([[3, 0], [1, 2]], dtype=torch.int32, device=device)
        lengths = torch.tensor([40, 3], dtype=torch.int32, device=device)
        past = attention_step.Past(keys, values, pages, lengths, torch.ones_like(lengths), 32)
        turns = attention_step.frequencies(width, 1e4, device)
        parts = attention_step.Scratch.empty(rows, heads, width, splits, device)
        scratch = mamba2_step.Scratch.empty(rows, h, p, sizes, device)
        attended, mixed = torch.empty(rows, heads * width, device=device), torch.empty(rows, h * p, device=device)
        attention = (projected, first, heads, past, turns, parts, splits)
        mamba = (projected, m, state, past.active, scratch, mixed, sizes)
        if together:
            mamba2_step.mix(
                attention_step.attend_arguments(*attention), attention_step.attend_programs(rows, past, splits),
                mamba2_step.advance_arguments(*mamba), mamba2_step.advance_programs(rows, state, sizes), 4,
            )  # fmt: skip
        else:
            attention_step.attend(*attention)
            mamba2_step.advance(*mamba)
        if together and norm != "none":
            mamba2_step.finish(
                attention_step.merge_arguments(parts, past, attended, splits), attention_step.merge_programs(parts),
                mamba2_step.normalise_arguments(projected, m, scratch, mixed), mamba2_step.normalise_programs(m, scratch),
            )  # fmt: skip
        else:
            attention_step.merge(parts, past, attended, splits)
            if norm != "none":
                mamba2_step.normalise(projected, m, scratch, mixed)
        found.append((attended, mixed, state, keys, values))
    for alone, beside in zip(*found, strict=True):
        assert error(beside, alone) < 1e-6
