"""The MLP's gate against its law."""

from __future__ import annotations

import pytest
import torch

from modeling.kernels import reference

kernel = pytest.importorskip("modeling.kernels.triton.swiglu")

TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 1e-3}  # the interpreter cuts bfloat16 off


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 24), (2, 3, 100), (1, 2, 2049), (5, 4608)], ids=str)
def test_swiglu(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    gate, up = (torch.randn(*shape, generator=generator).to(device, dtype) for _ in "gu")
    found = kernel.swiglu(gate, up, 0.29)
    expected = reference.swiglu(gate.double(), up.double(), 0.29)
    assert found.dtype == dtype
    assert found.shape == gate.shape
    assert float((found.double() - expected).norm() / expected.norm()) < TOLERANCE[dtype]


def test_halves_of_one_tensor(device: torch.device) -> None:
    both = torch.randn(2, 3, 140, device=device)
    gate, up = both[..., 10:80], both[..., 70:]
    assert torch.equal(kernel.swiglu(gate, up, 1.5), kernel.swiglu(gate.contiguous(), up.contiguous(), 1.5))


@pytest.mark.filterwarnings("ignore:overflow")  # e^10000 is ∞, and 1/∞ right
def test_no_overflow_far_from_zero(device: torch.device) -> None:
    gate = torch.tensor([[-1e4, -200.0, 0.0, 200.0, 1e4]], device=device)
    assert kernel.swiglu(gate, torch.ones_like(gate), 1.0).tolist() == [[0.0, 0.0, 0.0, 200.0, 1e4]]


def test_the_law_rounds_every_product(device: torch.device) -> None:
    gate, up = (torch.randn(3, 40, device=device).bfloat16() for _ in "gu")
    assert torch.equal(reference.swiglu(gate, up, 0.3), up * torch.nn.functional.silu(gate * 0.3))
