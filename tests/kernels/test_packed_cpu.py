"""Products of packed weights on a CPU: what its kernels read stands for the same numbers, and they give what the law gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from modeling.checkpoint.quantizer import pack
from modeling.kernels import bitsandbytes, cpu, reference
from modeling.kernels.packed import Interleaved4
from modeling.layers.linear import PackedLinear, tensors
from modeling.quantization import Form

needs_library = pytest.mark.skipif(bitsandbytes.library() is None, reason="this CPU, or this bitsandbytes, has no such kernels")
SHAPES = [(3352, 64, 64), (32, 128, 32), (7, 128, 128), (65, 192, 64)]


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.no_grad():
        yield


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).bfloat16()


def error(found: Tensor, law: Tensor) -> float:
    return float((found.double() - law.double()).norm() / law.double().norm())


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize(("o", "i", "block"), SHAPES)
def test_interleaved_weights_differ_only_in_their_scales_rounding(o: int, i: int, block: int, kind: str, double: bool) -> None:
    packed = pack(draw(o, i), Form(kind, block, double))  # type: ignore[arg-type]
    scales = packed.scales if isinstance(packed.scales, Tensor) else packed.scales.dequantized()  # type: ignore[union-attr]
    signs = packed.dequantized(torch.float32).view(-1, block) / scales[:, None]
    law = signs * scales.bfloat16().float()[:, None]
    found = Interleaved4.of(packed, kind).dequantized(torch.float32)  # type: ignore[arg-type]
    torch.testing.assert_close(found, law.view(o, i), rtol=1e-6, atol=0)


@needs_library
def test_the_layout_is_that_of_bitsandbytes() -> None:
    from bitsandbytes import functional

    weight = draw(64, 192)
    codes, state = functional._convert_weight_packed_for_cpu(*functional.quantize_4bit(weight, quant_type="nf4"))
    found = Interleaved4.of(pack(weight, Form("nf4")), "nf4")  # type: ignore[arg-type]
    assert torch.equal(found.codes, codes) and torch.equal(found.scales, state.absmax)


@needs_library
@pytest.mark.parametrize("rows", [(), (1,), (2, 3), (33,)])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize(("o", "i", "block"), SHAPES)
def test_products_of_four_bits(o: int, i: int, block: int, kind: str, rows: tuple[int, ...]) -> None:
    """Any number of rows, those that bitsandbytes' own packing refuses too; within the rounding of the result."""
    weight = Interleaved4.of(pack(draw(o, i), Form(kind, block, True)), kind)  # type: ignore[arg-type]
    x, bias = draw(*rows, i), draw(o)
    law = reference.packed_linear(x.float(), weight, bias.float())
    found = cpu.packed_linear(x, weight, bias)
    assert found.dtype == torch.bfloat16 and found.shape == law.shape
    assert error(found, law) < 4e-3
    assert torch.equal(found, cpu.packed_linear(x, weight, bias))


@pytest.mark.parametrize("rows", [(1,), (2, 3), (40,)])
def test_products_of_eight_bits(rows: tuple[int, ...]) -> None:
    weight, x, bias = pack(draw(40, 112), Form("int8")), draw(*rows, 112), draw(40)
    law = reference.packed_linear(x.float(), weight, bias.float())
    assert error(cpu.packed_linear(x, weight, bias), law) < 5e-3


@needs_library
def test_a_layer_that_is_laid_out_keeps_its_face_and_takes_as_much_room() -> None:
    packed = pack(draw(100, 128), Form("nf4", double=True))
    layer = PackedLinear((100, 128), Form("nf4", double=True), torch.nn.Parameter(draw(100)))
    for name, part in tensors(packed).items():
        layer._parameters[name] = torch.nn.Parameter(part, requires_grad=False)
    x, before = draw(3, 128), layer(draw(3, 128))
    layer.interleave()
    assert isinstance(layer.packed, Interleaved4)
    assert error(layer(x), before) < 6e-3
    assert error(layer.product(x), before - layer.bias) < 6e-3
    assert sum(part.nbytes for part in layer.parameters()) < 1.4 * (packed.nbytes + 200)  # 128 rows for 100
    layer.interleave()  # once more changes nothing
    assert error(layer(x), before) < 6e-3


def test_another_release_of_bitsandbytes_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a C function takes is not written in it."""
    bitsandbytes.library.cache_clear()
    monkeypatch.setattr("modeling.kernels.bitsandbytes.metadata.version", lambda name: "0.99.0")
    try:
        assert bitsandbytes.library() is None
        weight, x = Interleaved4.of(pack(draw(8, 64), Form("nf4")), "nf4"), draw(2, 64)  # type: ignore[arg-type]
        assert torch.equal(cpu.packed_linear(x, weight), reference.packed_linear(x, weight))
    finally:
        bitsandbytes.library.cache_clear()
