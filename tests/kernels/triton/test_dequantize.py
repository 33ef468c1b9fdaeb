"""Packed matrices made plain: what the law makes of them, bit by bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference
from modeling.kernels.packed import Packed4, Packed8, Scales8

dequantize = pytest.importorskip("modeling.kernels.triton.dequantize")


def packed(o: int, d: int, block: int, doubled: bool, device: torch.device) -> Packed4:
    """Random codes and scales: what they are does not matter to the arithmetic."""
    generator = torch.Generator().manual_seed(o + d)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    blocks = -(-o * d // block)
    codes = torch.randint(0, 256, (-(-o * d // 2),), generator=generator, dtype=torch.uint8).to(device)
    scales: Tensor | Scales8 = random(blocks).abs()
    if doubled:
        eight = torch.randint(0, 256, (blocks,), generator=generator, dtype=torch.uint8).to(device)
        scales = Scales8(eight, random(256), random(-(-blocks // 256)).abs(), random(1)[0])
    return Packed4(codes, scales, random(16), (o, d), block)


def exact(found: Tensor, expected: Tensor) -> None:
    """Equal; in the interpreter bfloat16 is cut off, so there the nearest number is at most one away."""
    if found.dtype == torch.bfloat16 and not found.is_cuda:
        assert (found.view(torch.int16).int() - expected.view(torch.int16).int()).abs().max() <= 1
    else:
        assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize(
    ("o", "d", "block"), [(7, 33, 64), (40, 256, 64), (9, 100, 32), (3, 5, 64), (70, 512, 128), (5, 8192, 4096)]
)
def test_four_bits(o: int, d: int, block: int, doubled: bool, dtype: torch.dtype, device: torch.device) -> None:
    """Any shape: odd counts, blocks that straddle rows, a last block that is not full, groups of scales."""
    weight = packed(o, d, block, doubled, device)
    exact(dequantize.dequantized(weight, dtype), weight.dequantized(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("o", "d"), [(7, 33), (3, 4100)])
def test_eight_bits(o: int, d: int, dtype: torch.dtype, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(d)
    codes = torch.randint(-127, 128, (o, d), generator=generator, dtype=torch.int8)
    weight = Packed8(codes.to(device), torch.rand(o, generator=generator).to(device))
    exact(dequantize.dequantized(weight, dtype), weight.dequantized(dtype))


def test_linear(device: torch.device) -> None:
    weight = packed(40, 64, 64, True, device)
    x, bias = torch.randn(2, 3, 64, device=device), torch.randn(40, device=device)
    expected = x.double() @ weight.dequantized(torch.float32).double().T + bias
    for operation in (dequantize.packed_linear, reference.packed_linear):
        torch.testing.assert_close(operation(x, weight, bias).double(), expected, rtol=1e-4, atol=1e-4)
