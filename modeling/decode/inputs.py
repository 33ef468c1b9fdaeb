"""What a step program reads of the sequences at work: at addresses that never change, so that a captured graph stays valid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class StepInputs:
    """By slot: the token to feed, whether the slot takes part, and where its past lies.

    ids (s) int64; active (s) int32, 0: the slot's state stays as it is and its logits mean nothing; lengths (s) int32: tokens
    in the state before this step, so the position of the new one; pages (s, m) int32, the block table: pages[i, j] is the page
    with the keys and values of positions j·PAGE … (j+1)·PAGE−1 of slot i (m = 1 and unused in a model without attention).
    """

    ids: Tensor
    active: Tensor
    lengths: Tensor
    pages: Tensor

    @classmethod
    @torch.inference_mode(False)
    def zeros(cls, slots: int, pages: int, device: torch.device) -> StepInputs:
        """No slot takes part. `pages` is m, the most pages that one slot can have."""
        return cls(
            torch.zeros(slots, dtype=torch.int64, device=device),
            torch.zeros(slots, dtype=torch.int32, device=device),
            torch.zeros(slots, dtype=torch.int32, device=device),
            torch.zeros(slots, max(1, pages), dtype=torch.int32, device=device),
        )
