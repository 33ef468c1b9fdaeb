"""The norms in Triton against the law: its rounding, its dtypes, and rows that are slices of others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from modeling.kernels import reference

norm = pytest.importorskip("modeling.kernels.triton.norm")

EPS = 1e-5
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 1e-3}  # the interpreter cuts bfloat16 off
VIEWS: dict[str, Callable[[Tensor], Tensor]] = {  # of (b, l, 40)
    "whole": lambda x: x,
    "left": lambda x: x[..., :24],
    "right": lambda x: x[..., 17:],
    "two halves": lambda x: x[..., 24:].unflatten(-1, (2, -1)),
    "of a token": lambda x: x[:, :1, 24:].unflatten(-1, (2, -1)),
    "of other tokens": lambda x: x[:, 1::2, 8:32],
    "halves of other tokens": lambda x: x[:, 1::2, 8:32].unflatten(-1, (2, -1)),  # three levels of rows: copied
    "transposed": lambda x: x.mT,
    "one row": lambda x: x[0, 0],
    "one number": lambda x: x[..., 3:4],
}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory is full of NaN."""
    torch.manual_seed(0)
    monkeypatch.setattr(norm.torch, "empty", lambda shape, **options: torch.full(shape, torch.nan, **options))


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_rms_norm(view: str, dtype: torch.dtype, device: torch.device) -> None:
    x = VIEWS[view](torch.randn(2, 7, 40, device=device).to(dtype))
    for weight in (None, torch.randn(x.shape[-1], device=device).to(dtype)):
        y = norm.rms_norm(x, weight, EPS)
        assert y.dtype == dtype and y.shape == x.shape and y.is_contiguous()
        exact = None if weight is None else weight.float()
        assert error(y, reference.rms_norm(x.float(), exact, EPS)) < TOLERANCE[dtype]


def test_a_wide_stream_under_narrow_weights(device: torch.device) -> None:
    """fp32 × bf16 is fp32, as in the last norm of FalconMamba."""
    x, weight = torch.randn(3, 24, device=device), torch.randn(24, device=device).bfloat16()
    y = norm.rms_norm(x, weight, EPS)
    assert y.dtype == torch.float32
    assert error(y, reference.rms_norm(x, weight, EPS)) < 1e-6


def test_a_narrow_stream_under_wide_weights(device: torch.device) -> None:
    """Rounded before the weight, not after it."""
    x, weight = torch.randn(3, 24, device=device).half(), torch.randn(24, device=device)
    y = norm.rms_norm(x, weight, EPS)
    assert y.dtype == torch.float32
    assert (y / weight).half().equal(norm.rms_norm(x, None, EPS))
    assert error(y, reference.rms_norm(x, weight, EPS)) < 1e-3


def test_many_rows(device: torch.device) -> None:
    """More than one program's share, and a row does not see its neighbours."""
    x = torch.randn(3, 70, 100, device=device)
    y = norm.rms_norm(x, None, EPS)
    assert error(y, reference.rms_norm(x, None, EPS)) < 1e-6
    assert torch.equal(norm.rms_norm(x[1:2, 33:34], None, EPS), y[1:2, 33:34])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("norm_before_gate", [False, True])
def test_gated_rms_norm(norm_before_gate: bool, groups: int, dtype: torch.dtype, device: torch.device) -> None:
    gate = torch.randn(2, 5, 60, device=device).to(dtype)[..., 7:43]
    weight = torch.randn(36, device=device).to(dtype)
    for y in (torch.randn(2, 5, 36, device=device), torch.randn(2, 5, 6, 6, device=device).flatten(-2)):
        found = norm.gated_rms_norm(y, gate, weight, 1e-3, groups, norm_before_gate)
        assert found.dtype == torch.float32 and found.is_contiguous()
        assert error(found, reference.gated_rms_norm(y, gate, weight, 1e-3, groups, norm_before_gate)) < 1e-6
