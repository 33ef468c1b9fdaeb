"""Mamba-2's scan in chunks against its law in fp64: any length, any cut, any shape, views as the layer makes them."""

from __future__ import annotations

from math import inf

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference

kernel = pytest.importorskip("modeling.kernels.triton.ssd")
Sizes = kernel.Sizes

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
SMALL = Sizes(chunk=32, walk=(16, 16), speak=(16, 16), speak_steps=(16, 16), scores=16)
LIMIT = (0.0, inf)


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory holds NaN, so that an element nobody wrote shows."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: empty(*args, **kwargs).fill_(torch.nan))


def made(
    length: int, sizes: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device, rows: int = 1
) -> tuple[list[Tensor], Tensor]:
    """x, dt, A, B, C, D, dt_bias: views of one tensor, NaN around them; and a state."""
    h, p, g, n = sizes
    generator = torch.Generator().manual_seed(length + h * p)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    convolved = torch.full((rows, length + 2, h * p + 2 * g * n + 3), torch.nan)
    convolved[:, 1:-1, : h * p + 2 * g * n] = normal(rows, length, h * p + 2 * g * n)
    projected = torch.full((rows, length, h + 5), torch.nan)
    projected[..., 2 : h + 2] = normal(rows, length, h)
    inner = convolved.to(device, dtype)[:, 1:-1]
    x, B, C, _ = inner.split((h * p, g * n, g * n, 3), dim=-1)
    dt = projected.to(device, dtype)[..., 2 : h + 2]
    A = -torch.rand(h, generator=generator).to(device) * 8
    D, bias = normal(h).to(device, dtype), (normal(h) - 2).to(device, dtype)
    tensors = [x.unflatten(-1, (h, p)), dt, A, B.unflatten(-1, (g, n)), C.unflatten(-1, (g, n)), D, bias]
    return tensors, normal(rows, h, p, n).to(device)


def law(tensors: list[Tensor], limit: tuple[float, float], state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Token by token in fp64."""
    x, dt, A, B, C, D, bias = (tensor.double() for tensor in tensors)
    b, length, h, p = x.shape
    B, C = (tensor.repeat_interleave(h // tensor.shape[2], dim=2) for tensor in (B, C))  # b l h n
    step = torch.nn.functional.softplus(dt + bias).clamp(*limit)
    S = torch.zeros(b, h, p, B.shape[-1], dtype=torch.float64, device=x.device) if state is None else state.double()
    ys = []
    for t in range(length):
        S = torch.exp(step[:, t] * A)[..., None, None] * S + (step[:, t, :, None] * x[:, t])[..., None] * B[:, t, :, None]
        ys.append((S @ C[:, t, ..., None]).squeeze(-1) + D[:, None] * x[:, t])
    return torch.stack(ys, dim=1), S


def error(found: Tensor, expected: Tensor) -> float:
    assert found.dtype == torch.float32
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 31, 32, 33, 100])
def test_every_length(length: int, dtype: torch.dtype, device: torch.device) -> None:
    tensors, state = made(length, (4, 16, 2, 20), dtype, device)
    y, S = law(tensors, LIMIT, state)
    assert error(kernel.ssd_in_chunks(*tensors, LIMIT, state, SMALL), y) < TOLERANCE[dtype]
    assert error(state, S) < TOLERANCE[dtype]
    fresh, _ = law(tensors, LIMIT, None)
    assert error(kernel.ssd_in_chunks(*tensors, LIMIT, None, SMALL), fresh) < TOLERANCE[dtype]


@pytest.mark.parametrize("sizes", [(3, 5, 1, 4), (3, 5, 3, 4), (24, 2, 2, 3), (2, 64, 1, 128), (9, 40, 3, 33)], ids=str)
def test_every_shape(sizes: tuple[int, int, int, int], device: torch.device) -> None:
    tensors, state = made(40, sizes, torch.float32, device, rows=2)
    y, S = law(tensors, LIMIT, state)
    assert error(kernel.ssd_in_chunks(*tensors, LIMIT, state, SMALL), y) < 1e-5
    assert error(state, S) < 1e-5


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("length", [1, 70, 130])
def test_the_sizes_that_are_chosen(length: int, dtype: torch.dtype, device: torch.device) -> None:
    tensors, state = made(length, (2, 24, 1, 40), dtype, device)
    y, S = law(tensors, LIMIT, state)
    assert error(kernel.ssd(*tensors, LIMIT, state), y) < TOLERANCE[dtype]
    assert error(state, S) < TOLERANCE[dtype]


@pytest.mark.parametrize("at", [1, 32, 45])
def test_a_cut_changes_nothing(at: int, device: torch.device) -> None:
    tensors, state = made(70, (2, 16, 1, 16), torch.float32, device)
    whole, cut = state.clone(), state.clone()
    y = kernel.ssd_in_chunks(*tensors, LIMIT, whole, SMALL)
    parts = []
    for part in (slice(0, at), slice(at, 70)):
        x, dt, A, B, C, D, bias = (tensor[:, part] if tensor.dim() > 2 else tensor for tensor in tensors)
        parts.append(kernel.ssd_in_chunks(x, dt, A, B, C, D, bias, LIMIT, cut, SMALL))
    assert error(torch.cat(parts, dim=1), y.double()) < 1e-5
    assert error(cut, whole.double()) < 1e-5


@pytest.mark.parametrize("limit", [(0.01, 0.05), (0.5, 0.5), (0.2, inf)], ids=str)
def test_time_steps_are_limited(limit: tuple[float, float], device: torch.device) -> None:
    tensors, state = made(33, (2, 16, 1, 16), torch.float32, device)
    y, S = law(tensors, limit, state)
    assert error(kernel.ssd_in_chunks(*tensors, limit, state, SMALL), y) < 1e-5
    assert error(state, S) < 1e-5


@pytest.mark.parametrize("rates", [(0.0, 0.0), (1e-6, 1e-8), (1e4, 1e3), (1e-8, 1e4)], ids=str)
def test_every_decay(rates: tuple[float, float], device: torch.device) -> None:
    tensors, state = made(70, (2, 16, 1, 16), torch.float32, device)
    tensors[2] = -torch.tensor(rates, device=device)
    y, S = law(tensors, LIMIT, state)
    assert error(kernel.ssd_in_chunks(*tensors, LIMIT, state, SMALL), y) < 1e-5
    assert error(state, S) < 1e-5


@pytest.mark.parametrize("violent", [slice(3, 4), slice(0, None, 2)], ids=["one", "every other"])
@pytest.mark.parametrize("strength", [3.0, 80.0, 1e5])
def test_violent_steps_do_not_drown_the_small_ones_beside_them(violent: slice, strength: float, device: torch.device) -> None:
    tensors, state = made(64, (1, 16, 1, 16), torch.float32, device)
    dt = torch.full((1, 64, 1), -2.0, device=device)
    dt[:, violent] = strength
    tensors[0][:, violent] /= strength  # what they bring is no more than what the others bring
    tensors[1], tensors[2] = dt, torch.tensor([-1.0], device=device)
    y, S = law(tensors, LIMIT, state)
    sizes = Sizes(chunk=64, walk=(16, 16), speak=(16, 16), speak_steps=(16, 16), scores=16)
    assert error(kernel.ssd_in_chunks(*tensors, LIMIT, state, sizes), y) < 2e-6
    assert error(state, S) < 2e-6


def test_a_row_does_not_depend_on_its_neighbours(device: torch.device) -> None:
    tensors, state = made(40, (2, 16, 1, 16), torch.bfloat16, device, rows=3)
    alone = [tensor[1:2] if tensor.dim() > 2 else tensor for tensor in tensors]
    one = state[1:2].clone()
    together = kernel.ssd_in_chunks(*tensors, LIMIT, state, SMALL)
    assert torch.equal(kernel.ssd_in_chunks(*alone, LIMIT, one, SMALL), together[1:2])
    assert torch.equal(one, state[1:2])


def test_the_carried_state_is_not_rounded(device: torch.device) -> None:
    """Without decay and with nothing new, the state stays as it was to the last bit, chunk after chunk."""
    tensors, state = made(100, (2, 16, 1, 16), torch.bfloat16, device)
    tensors[0] = torch.zeros_like(tensors[0])
    tensors[2] = torch.zeros_like(tensors[2])
    before = state.clone()
    kernel.ssd_in_chunks(*tensors, LIMIT, state, SMALL)
    assert torch.equal(state, before)


def test_a_state_that_is_a_view(device: torch.device) -> None:
    tensors, state = made(33, (2, 16, 1, 16), torch.float32, device)
    wide = torch.full((1, 2, 16, 20), torch.nan, device=device)
    wide[..., :16] = state
    y = kernel.ssd_in_chunks(*tensors, LIMIT, state, SMALL)
    assert torch.equal(kernel.ssd_in_chunks(*tensors, LIMIT, wide[..., :16], SMALL), y)
    assert torch.equal(wide[..., :16], state)
    assert wide[..., 16:].isnan().all()


def test_it_takes_the_law_s_arguments(device: torch.device) -> None:
    tensors, state = made(33, (2, 16, 1, 16), torch.float32, device)
    other = state.clone()
    expected = reference.ssd(*tensors, LIMIT, other).double()
    assert error(kernel.ssd(*tensors, LIMIT, state), expected) < 1e-5
    assert error(state, other.double()) < 1e-5
