"""Products with packed matrices against fp64 products with the weights that the law says they stand for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference
from modeling.kernels.packed import Packed4, Packed8, Scales8

functional = pytest.importorskip("bitsandbytes.functional", reason="no bitsandbytes here: pip install '.[quant]' brings it")
nf4 = pytest.importorskip("modeling.kernels.triton.nf4")
int8 = pytest.importorskip("modeling.kernels.triton.int8")
products = pytest.importorskip("modeling.kernels.triton.packed")
projection = pytest.importorskip("modeling.kernels.triton.projection")

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = {
    torch.float32: 1e-6,
    torch.bfloat16: 2e-2,
    torch.float16: 2e-3,
}  # the interpreter cuts bfloat16 off, instead of rounding


def random(*shape: int, seed: int, dtype: torch.dtype, device: torch.device, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator)).to(device, dtype)


def poisoned(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full(shape, torch.nan, dtype=dtype, device=device)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def packed(
    o: int, d: int, device: torch.device, seed: int = 2, kind: str = "nf4", doubled: bool = True, block: int = 64
) -> Packed4:
    """A random matrix, packed by bitsandbytes; each row of another size, so that no scale stands for another."""
    weight = random(o, d, seed=seed, dtype=torch.float32, device=torch.device("cpu"), scale=d**-0.5)
    weight *= torch.linspace(0.5, 2, o)[:, None]
    codes, state = functional.quantize_4bit(weight, blocksize=block, compress_statistics=doubled, quant_type=kind)
    scales: Tensor | Scales8 = state.absmax.to(device)
    if doubled:
        inner = state.state2
        parts = (state.absmax, inner.code, inner.absmax, state.offset.reshape(()))
        scales = Scales8(*(part.to(device) for part in parts), inner.blocksize)
    return Packed4(codes.view(torch.uint8).flatten().to(device), scales, state.code.to(device), (o, d), block)


def multiply(x: Tensor, matrix: Packed4, dtype: torch.dtype) -> Tensor:
    return x.double() @ matrix.dequantized(dtype).double().T


def laid(x: Tensor, comb: bool) -> Tensor:
    return nf4.combed(x) if comb else x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 16, 17])
def test_product(rows: int, dtype: torch.dtype, device: torch.device) -> None:
    o, d = 37, 192  # beyond the blocks on either side
    matrix, x = packed(o, d, device), random(rows, d, seed=1, dtype=dtype, device=device)
    for comb in (False, True):
        out = poisoned(rows, o, dtype=torch.float32, device=device)
        products.project(laid(x, comb), nf4.Matrix4.of(matrix), out, combed=comb)
        assert error(out, multiply(x, matrix, dtype)) < TOLERANCE[dtype]


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("block", [32, 64, 128, 256])
def test_forms(kind: str, doubled: bool, block: int, device: torch.device) -> None:
    """Both tables, scales in 8 bits or 32, all sizes of blocks, more groups of scales than one."""
    o, d = 70, 512
    matrix, x = (
        packed(o, d, device, kind=kind, doubled=doubled, block=block),
        random(3, d, seed=1, dtype=torch.float32, device=device),
    )
    out = poisoned(3, o, dtype=torch.float32, device=device)
    products.project(x, nf4.Matrix4.of(matrix), out)
    assert error(out, multiply(x, matrix, torch.float32)) < 1e-6


@pytest.mark.parametrize("blocks", [(16, 16, 1), (16, 32, 2), (32, 16, 4), (64, 32, 4)])
def test_blocks(blocks: tuple[int, int, int], device: torch.device) -> None:
    """However the work is cut: tiles that fit exactly, and tiles that do not."""
    for o, d in ((64, 1024), (70, 320)):
        matrix, x = packed(o, d, device), random(2, d, seed=1, dtype=torch.float32, device=device)
        out = poisoned(2, o, dtype=torch.float32, device=device)
        products.project(x, nf4.Matrix4.of(matrix), out, blocks=products.PackedBlocks(*blocks))
        assert error(out, multiply(x, matrix, torch.float32)) < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact(dtype: torch.dtype, device: torch.device) -> None:
    """Each weight by itself, through an activation of one 1: equal bit by bit, zeros and the largest included."""
    matrix = packed(16, 128, device)
    out = poisoned(64, 16, dtype=torch.float32, device=device)
    for start in (0, 64):
        x = torch.eye(128, device=device, dtype=dtype)[start : start + 64]
        products.project(x, nf4.Matrix4.of(matrix), out)
        assert torch.equal(out.T, matrix.dequantized(dtype).float()[:, start : start + 64])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_on_the_device(dtype: torch.dtype) -> None:
    """The same with what the interpreter has not: shuffles, conversions, tensor cores."""
    device = torch.device("cuda")
    for kind, doubled in (("nf4", True), ("nf4", False), ("fp4", True)):
        matrix = packed(300, 1024, device, kind=kind, doubled=doubled)
        for rows in (1, 8, 16, 64):
            found = []
            for start in range(0, 1024, rows):
                x = torch.eye(1024, device=device, dtype=dtype)[start : start + rows]
                out = poisoned(rows, 300, dtype=torch.float32, device=device)
                products.project(x, nf4.Matrix4.of(matrix), out)
                found.append(out)
            law = matrix.dequantized(torch.float32 if rows == 1 else dtype)  # one row does not round its weights
            assert torch.equal(torch.cat(found).T, law.float())


@pytest.mark.parametrize(
    ("d", "block", "doubled", "comb"),
    [(1184, 32, True, True), (2048, 128, False, False), (4096, 4096, True, True), (96, 32, False, True)],
)
def test_a_row(d: int, block: int, doubled: bool, comb: bool, device: torch.device) -> None:
    """One row cut otherwise: outputs beyond the last program's, words that take several turns or do not fill one, blocks as
    small as a thread's words and as large as the row; whole, and in parts of which the last may have nothing."""
    o = 5
    matrix, x = packed(o, d, device, doubled=doubled, block=block), random(1, d, seed=1, dtype=torch.float32, device=device)
    expected, laid_x = multiply(x, matrix, torch.float32), laid(x, comb)
    for blocks in (None, products.PackedBlocks(4, 64, 1)):
        out = poisoned(1, o, dtype=torch.float32, device=device)
        products.project(laid_x, nf4.Matrix4.of(matrix), out, combed=comb, blocks=blocks)
        assert error(out, expected) < 1e-6
        for splits in (2, 3):
            parts = poisoned(splits, 1, o, dtype=torch.float32, device=device)
            products.project_parts(laid_x, nf4.Matrix4.of(matrix), parts, combed=comb, blocks=blocks)
            assert error(parts.sum(0), expected) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("widths", [(96, 1184), (1024, 64), (64,)], ids=str)
def test_growth(widths: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """One product, or two of other widths, blocks and scales, added to a row; the norm that this begins is ended by the two
    kinds of products that read it."""
    o, eps = 160, 1e-2
    matrices = [
        packed(o, d, device, seed=d, doubled=i == 0, block=(32, 64)[i % 2] if d % 64 == 0 else 32) for i, d in enumerate(widths)
    ]
    xs = [random(1, d, seed=3 + i, dtype=dtype, device=device) for i, d in enumerate(widths)]
    h, bias = (random(*shape, seed=5, dtype=torch.float32, device=device, scale=0.1) for shape in ((1, o), (o,)))
    weight = random(o, seed=6, dtype=dtype, device=device)
    terms = [multiply(x, matrix, torch.float32) for x, matrix in zip(xs, matrices, strict=True)]
    expected = h.double() + bias.double() + sum(terms)
    readers = [nf4.Matrix4.of(matrix) for matrix in matrices]
    x = poisoned(1, o, dtype=dtype, device=device)
    growth = products.Growth(h, bias, weight, x, products.Growth.no_squares(readers[0]), True)
    products.project_grown([(nf4.combed(x), reader) for x, reader in zip(xs, readers, strict=True)], growth)
    assert error(h, expected) < 1e-6
    h = h.to(dtype).double()
    assert error(x, nf4.combed(h * weight.double())) < TOLERANCE[dtype]

    deferred, normed = products.Deferred(growth.squares, eps), reference.rms_norm(h, weight.double(), eps)
    matrix, f = packed(80, o, device, block=32), 40
    both = multiply(normed, matrix, torch.float32)
    out = poisoned(1, f, dtype=torch.float32, device=device)
    products.project_gated(x, nf4.Matrix4.of(matrix), out, multiplier=0.6, combed=True, deferred=deferred)
    assert error(out, both[:, f:] * F.silu(0.6 * both[:, :f])) < TOLERANCE[dtype]
    out = poisoned(1, 80, dtype=torch.float32, device=device)
    active = torch.ones(1, dtype=torch.int32, device=device)
    state = torch.zeros(1, 2, 8, device=device).mT  # taps apart
    conv = projection.Convolved(8, random(8, 2, seed=7, dtype=torch.float32, device=device), None, state, active)
    products.project_convolved(x, nf4.Matrix4.of(matrix), out, conv, combed=True, deferred=deferred)
    both[:, 8:16] = F.silu(both[:, 8:16] * conv.weight[:, 1])
    assert error(out, both) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3])
def test_everything_at_once(rows: int, dtype: torch.dtype, device: torch.device) -> None:
    """Bias, multiplier and the residual, in place."""
    matrix, x = packed(37, 128, device), random(rows, 128, seed=1, dtype=dtype, device=device)
    bias, h = (
        random(37, seed=5, dtype=dtype, device=device),
        random(rows, 37, seed=8, dtype=torch.float32, device=device),
    )
    expected = h.double() + 0.7 * (multiply(x, matrix, dtype) + bias)
    products.project(x, nf4.Matrix4.of(matrix), h, bias=bias, multiplier=0.7, residual=h)
    assert error(h, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("comb", [False, True])
@pytest.mark.parametrize("splits", [1, 2, 3])
def test_parts(splits: int, comb: bool, device: torch.device) -> None:
    """Their sum is the product, also where rows of x lie apart."""
    o, d, rows = 40, 320, 3
    matrix = packed(o, d, device)
    x = random(rows, 2 * d, seed=1, dtype=torch.float32, device=device)
    x[:, :d] = laid(natural := x[:, :d].contiguous(), comb)
    parts = poisoned(splits, rows, o, dtype=torch.float32, device=device)
    products.project_parts(x[:, :d], nf4.Matrix4.of(matrix), parts, combed=comb, blocks=products.PackedBlocks(16, 16, 1))
    assert error(parts.sum(0), multiply(natural, matrix, torch.float32)) < 1e-6


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 9])
def test_gated(rows: int, dtype: torch.dtype, biased: bool, device: torch.device) -> None:
    f, d = 40, 128
    matrix, x = packed(2 * f, d, device), random(rows, d, seed=1, dtype=dtype, device=device)
    bias = random(2 * f, seed=3, dtype=dtype, device=device) if biased else None
    both = multiply(x, matrix, dtype) + (0 if bias is None else bias.double())
    expected = both[:, f:] * F.silu(0.6 * both[:, :f])
    for comb in (False, True):
        out = poisoned(rows, f, dtype=torch.float32, device=device)
        products.project_gated(x, nf4.Matrix4.of(matrix), out, bias=bias, multiplier=0.6, out_combed=comb)
        assert error(out, laid(expected, comb)) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "taps", "biased"), [(1, 4, True), (5, 3, False), (2, 1, True)])
def test_convolved(rows: int, taps: int, biased: bool, dtype: torch.dtype, device: torch.device) -> None:
    """Three tokens one after the other; rows 1, 4, 7, … are not active: their state must not move."""
    o, d, first, c = 50, 128, 7, 30
    matrix = packed(o, d, device)
    conv_weight = random(c, taps, seed=2, dtype=dtype, device=device)
    conv_bias = random(c, seed=3, dtype=dtype, device=device) if biased else None
    scale = random(o, seed=5, dtype=torch.float32, device=device)
    bias = random(o, seed=6, dtype=dtype, device=device)
    state = random(rows, taps, c, seed=7, dtype=dtype, device=device).mT
    active = torch.tensor([i % 3 != 1 for i in range(rows)], device=device)
    law = state.double().mT.contiguous().mT
    conv = projection.Convolved(first, conv_weight, conv_bias, state, active.to(torch.int32))
    wide_bias = None if conv_bias is None else conv_bias.double()
    for token in range(3):
        x = random(rows, d, seed=10 + token, dtype=dtype, device=device)
        out, before = poisoned(rows, o, dtype=dtype, device=device), law.clone()
        expected = scale.double() * (multiply(x, matrix, dtype) + bias)
        part = expected[:, first : first + c]
        part.copy_(reference.causal_conv(part[:, None], conv_weight.double(), wide_bias, law)[:, 0])
        law[~active] = before[~active]
        products.project_convolved(x, nf4.Matrix4.of(matrix), out, conv, scale=scale, bias=bias)
        assert error(out, expected) < TOLERANCE[dtype]
        assert error(state, law) < TOLERANCE[dtype]
        assert torch.equal(state[~active].double(), law[~active])


def test_rows_do_not_see_each_other(device: torch.device) -> None:
    matrix = nf4.Matrix4.of(packed(33, 128, device))
    x = random(16, 128, seed=3, dtype=torch.bfloat16, device=device)
    found = [poisoned(16, 33, dtype=torch.float32, device=device) for _ in range(2)]
    products.project(x, matrix, found[0])
    x[1:] = torch.nan
    products.project(x, matrix, found[1])
    assert torch.equal(found[0][0], found[1][0])


def test_supported(device: torch.device) -> None:
    matrix = packed(20, 128, device)
    assert nf4.supports(matrix)
    straddling = replace(matrix, shape=(80, 32))
    assert not nf4.supports(straddling)
    assert not nf4.supports(replace(matrix, shape=(5, 512), codes=matrix.codes[: 5 * 256 - 8]))
    with pytest.raises(ValueError, match="no kernel"):
        nf4.Matrix4.of(straddling)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 5])
def test_eight_bits(rows: int, dtype: torch.dtype, device: torch.device) -> None:
    """A scale for each row, which has to wait: odd widths, tiles that fit, parts, a gate."""
    for o, d in ((37, 200), (32, 512)):
        generator = torch.Generator().manual_seed(d)
        codes = torch.randint(-127, 128, (2 * o, d), generator=generator, dtype=torch.int8).to(device)
        matrix = Packed8(codes, (torch.rand(2 * o, generator=generator) * d**-0.5).to(device))
        x = random(rows, d, seed=1, dtype=dtype, device=device)
        both = x.double() @ matrix.dequantized(torch.float32).double().T
        out = poisoned(rows, 2 * o, dtype=torch.float32, device=device)
        products.project(x, int8.Matrix8.of(matrix), out, multiplier=0.5)
        assert error(out, 0.5 * both) < TOLERANCE[dtype]
        parts = poisoned(2, rows, 2 * o, dtype=torch.float32, device=device)
        products.project_parts(x, int8.Matrix8.of(matrix), parts)
        assert error(parts.sum(0), both) < TOLERANCE[dtype]
        gated = poisoned(rows, o, dtype=torch.float32, device=device)
        products.project_gated(x, int8.Matrix8.of(matrix), gated)
        assert error(gated, both[:, o:] * F.silu(both[:, :o])) < TOLERANCE[dtype]
