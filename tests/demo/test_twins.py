"""The operations arranged for training give what the references give, and the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from modeling.kernels import reference
from scripts.demo import twins

B, L, H, P, G, N = 2, 150, 4, 8, 2, 5


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


CASES: dict[str, tuple[Any, ...]] = {
    "causal_conv": (noise(B, L, 6), noise(6, 4), noise(6)),
    "attention": (noise(B, L, H, P), noise(B, L, G, P), noise(B, L, G, P)),
    "ssd": (
        *(noise(B, L, H, P), noise(B, L, H), -noise(H).abs(), noise(B, L, G, N), noise(B, L, G, N)),
        *(noise(H), noise(H), (0.0, float("inf"))),
    ),
}


def with_gradients(operation: Callable[..., torch.Tensor], arguments: tuple[Any, ...]) -> list[torch.Tensor]:
    leaves = [a.clone().requires_grad_(True) if isinstance(a, torch.Tensor) else a for a in arguments]
    y = operation(*leaves)
    (y * noise(*y.shape)).sum().backward()
    return [y.detach(), *(leaf.grad for leaf in leaves if isinstance(leaf, torch.Tensor))]


@pytest.mark.parametrize("name", CASES)
def test_twins(name: str) -> None:
    ours, law = (with_gradients(getattr(room, name), CASES[name]) for room in (twins, reference))
    for one, other in zip(ours, law, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm() + 1e-7


def test_references_come_back() -> None:
    from modeling import kernels

    before = kernels.ssd
    with twins.in_place_of_references(torch.device("cpu")):
        assert kernels.ssd is twins.ssd
    assert kernels.ssd is before


@pytest.mark.gpu
def test_scan_on_a_gpu() -> None:
    from scripts.demo.scan import selective_scan

    e, n = 64, 16
    shapes = ((B, L, e), (B, L, e), (e, n), (B, L, n), (B, L, n), (e,), (e,), (B, L, e))
    arguments = [noise(*shape).cuda() for shape in shapes]
    arguments[2] = -arguments[2].abs()
    ours, law = (with_gradients_on(operation, arguments) for operation in (selective_scan, reference.selective_scan))
    for one, other in zip(ours, law, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm()


def with_gradients_on(operation: Callable[..., torch.Tensor], arguments: list[torch.Tensor]) -> list[torch.Tensor]:
    leaves = [a.clone().requires_grad_(True) for a in arguments]
    y = operation(*leaves)
    (y * noise(*y.shape).to(y.device)).sum().backward()
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]
