"""The kernel that measures how fast memory is read: it must have read it."""

from __future__ import annotations

import torch

from modeling.kernels.triton.read import BLOCK, block_sums


def test_every_element_is_read_once(device: torch.device) -> None:
    x = torch.randn(3 * BLOCK, device=device)
    sums = torch.full((3,), torch.nan, device=device)
    block_sums(x, sums)
    expected = x.double().view(3, BLOCK).sum(-1)
    assert (sums.double() - expected).abs().max() < 1e-2
