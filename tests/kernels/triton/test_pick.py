"""The greedy end of a step: the lowest of the best, and what follows from it."""

from __future__ import annotations

import pytest
import torch

from modeling.kernels.triton.pick import BLOCK, Picked, pick


@pytest.mark.parametrize("v", [1, 3, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 77])
@pytest.mark.parametrize("stops", [(), (2,), (2, 0, 11)])
def test_pick_is_argmax_and_feeds_back(v: int, stops: tuple[int, ...], device: torch.device) -> None:
    torch.manual_seed(v)
    b = 6
    logits = torch.randn(b, v, device=device)
    if v > 2:
        logits[0, 2] = logits[1, 2] = 9.0  # a stop id, for some
        logits[2, [1, v - 1]] = 9.0  # the lowest of two
        logits[3, v // 2], logits[4, v - 1] = torch.nan, torch.inf
        logits[5, 1] = -torch.inf
    ids, active = torch.full((b,), -5, device=device), torch.tensor([1, 1, 1, 1, 0, 1], dtype=torch.int32, device=device)
    lengths = torch.arange(b, dtype=torch.int32, device=device)
    heeds = torch.tensor([1, 0, 1, 1, 1, 1], dtype=torch.bool, device=device)
    out = Picked.empty(b, v, device)
    out.ids.fill_(-7)
    pick(logits, out, ids, active, lengths, torch.tensor(stops, dtype=torch.int64, device=device), heeds)

    finite = logits.isfinite().all(-1)
    assert out.finite.tolist() == finite.tolist()
    for row in finite.nonzero().flatten().tolist():
        assert out.ids[row] == int((logits[row] == logits[row].max()).nonzero()[0])
    assert ids.tolist() == out.ids.tolist()
    assert lengths.tolist() == [1, 2, 3, 4, 4, 6]
    ended = [int(heeds[row]) and int(ids[row]) in stops for row in range(b)]
    assert active.tolist() == [0 if end or row == 4 else 1 for row, end in enumerate(ended)]
    assert v < 3 or 2 not in stops or ended[0]
