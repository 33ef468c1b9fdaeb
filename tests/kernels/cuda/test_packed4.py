"""The tensor cores' products with 4-bit matrices against fp64 products with the exact weights. Run with `pytest -m gpu`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.kernels import reference
from modeling.kernels.packed import Packed4, Scales8

nf4 = pytest.importorskip("modeling.kernels.triton.nf4")
products = pytest.importorskip("modeling.kernels.triton.packed")
projection = pytest.importorskip("modeling.kernels.triton.projection")
packed4 = pytest.importorskip("modeling.kernels.cuda.packed4")

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
SHAPES = [(37, 128), (100, 640), (64, 1152), (5000, 3072), (4096, 4096), (600, 12288)]
ROWS = [1, 2, 3, 4, 5, 8, 13, 16]
EXACT = 4e-4  # what is left of a sum when values of the table are rounded to half
TOLERANCE = {torch.float32: EXACT, torch.bfloat16: 4e-3, torch.float16: 7e-4}  # of what is rounded to that in the end


def random(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator, device="cuda")).to(dtype)


def poisoned(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.full(shape, torch.nan, dtype=dtype, device="cuda")


def packed(o: int, d: int, doubled: bool = True, seed: int = 2) -> Packed4:
    """A random matrix, whose every block has another scale."""
    generator = torch.Generator("cuda").manual_seed(seed)
    blocks = o * d // 64
    codes = torch.randint(0, 256, (o * d // 2,), dtype=torch.uint8, device="cuda", generator=generator)
    scales: Tensor | Scales8 = (torch.rand(blocks, device="cuda", generator=generator) + 0.2) * d**-0.5
    if doubled:
        eight = torch.randint(0, 256, (blocks,), dtype=torch.uint8, device="cuda", generator=generator)
        absmax = (torch.rand(-(-blocks // 256), device="cuda", generator=generator) + 0.2) * d**-0.5
        scales = Scales8(eight, torch.linspace(-1, 1, 256, device="cuda"), absmax, torch.tensor(2 * d**-0.5, device="cuda"))
    return Packed4(codes, scales, torch.tensor(NF4, device="cuda"), (o, d))


def read(matrix: Packed4, dtype: torch.dtype) -> nf4.Matrix4:
    """As this kernel reads it, and no other."""
    found = nf4.Matrix4.of(matrix)
    rows = packed4.most_rows(found, dtype)
    assert rows
    return replace(found, rows=rows)


def law(x: Tensor, matrix: Packed4) -> Tensor:
    return x.double() @ matrix.dequantized(torch.float32).double().T


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("doubled", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(shape: tuple[int, int], dtype: torch.dtype, doubled: bool) -> None:
    """Alone, and with bias, multiplier and residual in place; rows of x that lie apart; sums of parts."""
    (o, d), matrix = shape, packed(*shape, doubled)
    for rows in ROWS:
        x = random(rows, d + 64, seed=rows, dtype=dtype)[:, :d]
        expected, out = law(x, matrix), poisoned(rows, o)
        products.project(x, read(matrix, dtype), out)
        assert error(out, expected) < EXACT
        bias, h = random(o, seed=3, dtype=dtype), random(rows, o, seed=4, dtype=dtype)
        expected = h.double() + 0.7 * (expected + bias.double())
        products.project(x, read(matrix, dtype), h, bias=bias, multiplier=0.7, residual=h)
        assert error(h, expected) < TOLERANCE[dtype]
        for splits in (1, 2, 3):
            parts = poisoned(splits, rows, o)
            products.project_parts(x, read(matrix, dtype), parts)
            assert error(parts.sum(0), law(x, matrix)) < EXACT


@pytest.mark.parametrize("doubled", [True, False])
def test_each_weight(doubled: bool) -> None:
    """Through activations of one 1: the table's value in half precision times the scale."""
    o, d = 48, 512
    matrix = packed(o, d, doubled)
    halves = replace(matrix, values=matrix.values.half().float()).dequantized(torch.float32)
    for rows in (1, 16):
        out = poisoned(d, o)
        for i in range(0, d, rows):
            products.project(
                torch.eye(d, device="cuda").bfloat16()[i : i + rows], read(matrix, torch.bfloat16), out[i : i + rows]
            )
        assert torch.equal(out.T, halves)


def test_activations_of_any_size() -> None:
    """Beyond what a half can be in either direction; columns far apart in size keep what they add."""
    matrix, x = packed(64, 1024), random(6, 1024, dtype=torch.bfloat16)
    x[0] *= 1e30
    x[1] *= 1e-30
    x[2] = 0
    x[3, ::2] *= 1e6
    x[4] = x[4].abs() * 60000
    for rows in (slice(0, 6), slice(0, 1), slice(3, 4)):
        out = poisoned(len(x[rows]), 64)
        products.project(x[rows], read(matrix, torch.bfloat16), out)
        for found, expected in zip(out, law(x[rows], matrix), strict=True):
            assert torch.equal(found, torch.zeros_like(found)) if not expected.any() else error(found, expected) < EXACT
    x[5, 7] = torch.inf
    out = poisoned(6, 64)
    products.project(x, read(matrix, torch.bfloat16), out)
    assert not out[5].isfinite().any() and out[:5].isfinite().all()


@pytest.mark.parametrize("rows", [2, 5, 16])
def test_a_row_knows_nothing_of_its_neighbours(rows: int) -> None:
    matrix, x = read(packed(500, 2048), torch.bfloat16), random(rows, 2048, dtype=torch.bfloat16)
    alone = x.clone()
    alone[1:] = torch.nan
    outs = poisoned(2, rows, 500)
    for each, out in zip((x, alone), outs, strict=True):
        products.project(each, matrix, out)
    assert torch.equal(outs[0, 0], outs[1, 0])


def test_rows_behind_2_gib() -> None:
    o, d = 1_100_000, 4096
    codes = torch.zeros(o * d // 2, dtype=torch.uint8, device="cuda")
    last = packed(16, d, doubled=False)
    codes[-8 * d :] = last.codes
    scales = torch.ones(o * d // 64, device="cuda")
    scales[-16 * d // 64 :] = last.scales
    x, out = random(1, d, dtype=torch.bfloat16), poisoned(1, o)
    products.project(x, read(Packed4(codes, scales, torch.tensor(NF4, device="cuda"), (o, d)), torch.bfloat16), out)
    assert error(out[:, -16:], law(x, last)) < EXACT
    assert error(out[:, :-16], -x.double().sum().expand(1, o - 16)) < 1e-5


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("combed", [False, True])
def test_gate(rows: int, combed: bool) -> None:
    matrix, x, bias = packed(2 * 200, 768), random(rows, 768, dtype=torch.bfloat16), random(400, seed=5, scale=0.1)
    both = law(x, matrix) + bias.double()
    expected = both[:, 200:] * F.silu(0.6 * both[:, :200])
    out = poisoned(rows, 200, dtype=torch.bfloat16)
    products.project_gated(x, read(matrix, torch.bfloat16), out, bias=bias, multiplier=0.6, out_combed=combed)
    assert error(out, nf4.combed(expected) if combed else expected) < TOLERANCE[torch.bfloat16]


@pytest.mark.parametrize("taps", [2, 4])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("biased", [True, False])
def test_convolution(rows: int, taps: int, biased: bool) -> None:
    """Some outputs are inputs of a convolution, whose state moves on for active rows only; twice."""
    o, d, first, channels = 300, 256, 24, 200
    matrix, dtype = packed(o + 50, d), torch.bfloat16
    scale, bias = random(o + 50, seed=6).abs(), random(o + 50, seed=7) if biased else None
    weight = random(channels, taps, seed=8)
    conv_bias = random(channels, seed=9) if biased else None
    state = random(rows + 1, taps, channels, seed=10, dtype=dtype).mT  # taps apart
    active = torch.tensor([1, 0, 1, 1][: rows + 1], dtype=torch.int32, device="cuda")
    conv = projection.Convolved(first, weight, conv_bias, state, active)
    kept = state.double()
    for seed in (11, 12):
        x, out = random(rows, d, seed=seed, dtype=dtype), poisoned(rows, o)
        products.project_convolved(x, read(matrix, dtype), out, conv, scale=scale, bias=bias)
        y = (law(x, matrix) + (0 if bias is None else bias.double()))[:, :o] * scale[:o].double()
        window = torch.cat((kept[:rows, :, 1:], y[:, first : first + channels, None].to(dtype).double()), 2)
        kept[:rows] = torch.where(active[:rows, None, None] != 0, window, kept[:rows])
        total = (window * weight.double()).sum(2) + (0 if conv_bias is None else conv_bias.double())
        y[:, first : first + channels] = F.silu(total)
        assert error(out, y) < TOLERANCE[dtype]
        assert error(state, kept) < 1e-3
    assert torch.equal(state[rows:], random(rows + 1, taps, channels, seed=10, dtype=dtype).mT[rows:])


@pytest.mark.parametrize("combed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("widths", [(256, 640), (3072, 1536), (8192,)], ids=str)
def test_growth(widths: tuple[int, ...], dtype: torch.dtype, combed: bool) -> None:
    """One product or two, added to h, and the norm that this begins, ended by who reads it."""
    o = 400
    matrices = [packed(o, d, seed=d) for d in widths]
    xs = [random(1, d, seed=d, dtype=torch.bfloat16) for d in widths]
    h, bias, weight = random(1, o, seed=3, dtype=dtype), random(o, seed=4), random(o, seed=5, dtype=torch.bfloat16)
    expected = torch.stack([law(x, matrix) for x, matrix in zip(xs, matrices, strict=True)]).sum(0) + h.double() + bias.double()
    readers = [read(matrix, torch.bfloat16) for matrix in matrices]
    squares = torch.full_like(products.Growth.no_squares(readers[0]), torch.nan)  # somebody else's
    x = poisoned(1, o, dtype=torch.bfloat16)
    products.project_grown(list(zip(xs, readers, strict=True)), products.Growth(h, bias, weight, x, squares, combed))
    assert error(h, expected) < (TOLERANCE[dtype] if dtype == torch.bfloat16 else EXACT)
    rounded = h.bfloat16().double()
    grown = rounded * weight.double()
    assert error(x, nf4.combed(grown) if combed else grown) < TOLERANCE[torch.bfloat16]
    assert float(squares.sum()) == pytest.approx(float((rounded**2).sum()), rel=1e-5)


def test_a_norm_is_ended() -> None:
    o, d, eps = 64, 1024, 1e-2
    matrix, h = packed(2 * o, d), random(1, d, dtype=torch.bfloat16)
    squares = torch.zeros(256, device="cuda")
    squares[:64] = h.float().view(64, 16).square().sum(1)
    deferred = products.Deferred(squares, eps)
    both = law(reference.rms_norm(h.double(), torch.ones(d, device="cuda").double(), eps), matrix)
    out = poisoned(1, o)
    products.project_gated(h, read(matrix, torch.bfloat16), out, multiplier=0.6, deferred=deferred)
    assert error(out, both[:, o:] * F.silu(0.6 * both[:, :o])) < EXACT
    out = poisoned(1, o)
    state = torch.zeros(1, 1, 8, device="cuda").mT
    one = torch.ones(1, dtype=torch.int32, device="cuda")
    conv = projection.Convolved(8, torch.ones(8, 1, device="cuda"), None, state, one)
    products.project_convolved(h, read(matrix, torch.bfloat16), out, conv, deferred=deferred)
    both[:, 8:16] = F.silu(both[:, 8:16])
    assert error(out, both[:, :o]) < EXACT


def test_who_is_not_taken() -> None:
    """Activations in fp32, other blocks, widths that are not whole."""
    assert packed4.most_rows(nf4.Matrix4.of(packed(64, 256)), torch.float32) == 0
    assert packed4.most_rows(nf4.Matrix4.of(packed(64, 192)), torch.bfloat16) == 0
    assert packed4.most_rows(replace(nf4.Matrix4.of(packed(64, 256)), block=128), torch.bfloat16) == 0
