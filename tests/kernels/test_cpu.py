"""The scene of a decoding step on a CPU: entered for one row, left as it was found, and the product in it is the same."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from modeling import kernels
from modeling.errors import DeviceUnavailable

CPU = torch.device("cpu")


@pytest.mark.parametrize("enabled", [True, False])
def test_onednn_is_left_as_it_was(enabled: bool) -> None:
    """However the step ends; and nobody else's step is touched."""
    before = torch.backends.mkldnn.enabled
    try:
        torch.backends.mkldnn.enabled = enabled
        with kernels.decode_step(1, CPU):
            assert not torch.backends.mkldnn.enabled
        assert torch.backends.mkldnn.enabled is enabled
        with pytest.raises(KeyboardInterrupt), kernels.decode_step(1, CPU):
            raise KeyboardInterrupt
        assert torch.backends.mkldnn.enabled is enabled
        for rows, device in ((2, CPU), (1, torch.device("cuda"))):
            with kernels.decode_step(rows, device):
                assert torch.backends.mkldnn.enabled is enabled
    finally:
        torch.backends.mkldnn.enabled = before


def test_overlapping_steps_of_two_threads_leave_onednn_on() -> None:
    first, second = kernels.decode_step(1, CPU), kernels.decode_step(1, CPU)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not torch.backends.mkldnn.enabled
    second.__exit__(None, None, None)
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize("width", [1, 7, 333, 4096])
@pytest.mark.parametrize("biased", [False, True])
def test_one_row_past_onednn_is_the_same_product(width: int, biased: bool) -> None:
    """A bf16 row times a bf16 matrix is summed in fp32: right to the one rounding of its result."""
    torch.manual_seed(0)
    x, weight = torch.randn(1, 1, width).bfloat16(), torch.randn(77, width).bfloat16()
    bias = torch.randn(77).bfloat16() if biased else None
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    with kernels.decode_step(1, CPU):
        step = F.linear(x, weight, bias)
    assert step.dtype == torch.bfloat16
    for got in (step, F.linear(x, weight, bias)):
        assert ((got.double() - exact).abs() <= 2**-8 * exact.abs().max()).all()


def test_kernels_that_are_not_here_are_refused() -> None:
    assert kernels.choose("auto", CPU).name == kernels.choose("torch", CPU).name == "torch"
    assert kernels.current().reasons == {}  # on a CPU nothing is missed
    for requested in ("triton", "mamba-ssm"):
        with pytest.raises(DeviceUnavailable, match=requested) as caught:
            kernels.choose(requested, CPU)
        assert "--kernels auto" in caught.value.hint
