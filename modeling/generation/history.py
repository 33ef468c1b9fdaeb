"""How often each row has seen each token in its window: what the three penalties read. Kept incrementally, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_LONGEST_WINDOW = 2**24
"""A window of more tokens than this counts everything: a ring for it would only cost memory."""


class History:
    """Token counts by slot over the last `window` tokens of prompt and answer.

    `counts` (slots, v) int32. A ring (slots, longest window) int64 holds what is inside the windows, so that a token that
    leaves one is counted out again; slot i uses its first `windows[i]` cells, a slot that counts everything (window 0 here)
    uses none. Both are allocated when the first slot needs them: a model that nobody penalises pays nothing.
    """

    def __init__(self, slots: int, vocab_size: int, device: torch.device) -> None:
        self.slots = slots
        self.vocab_size = vocab_size
        self.device = device
        self.counts: Tensor | None = None
        self._ring: Tensor | None = None
        self._windows = torch.zeros(slots, dtype=torch.int64, device=device)

    def begin(self, slot: int, ids: Sequence[int], window: int) -> None:
        """Make `slot` the history of the tokens `ids`, of which the last `window` count (-1: all)."""
        if self.counts is None:
            self.counts = torch.zeros(self.slots, self.vocab_size, dtype=torch.int32, device=self.device)
        limited = 0 <= window <= _LONGEST_WINDOW
        kept = torch.tensor(ids[max(0, len(ids) - window) :] if limited else ids, dtype=torch.int64, device=self.device)
        self.counts[slot] = torch.bincount(kept, minlength=self.vocab_size)
        self._windows[slot] = window if limited else 0
        if limited:
            ring = self._widen(window)
            cells = torch.arange(len(ids) - len(kept), len(ids), device=self.device) % window
            ring[slot, cells] = kept

    def push(self, slots: Tensor, ids: Tensor, positions: Tensor) -> None:
        """Append one token to each of some slots: `slots`, `ids`, `positions` (b) int64; a position is the token's index in
        its sequence."""
        assert self.counts is not None
        one = torch.ones((), dtype=torch.int32, device=self.device)
        self.counts.index_put_((slots, ids), one, accumulate=True)
        if self._ring is None:
            return
        windows = self._windows[slots]
        cells = positions % windows.clamp(min=1)  # cell 0 of a slot that counts everything is scratch
        leaving = (windows > 0) & (positions >= windows)
        self.counts.index_put_((slots, self._ring[slots, cells]), -leaving.int(), accumulate=True)
        self._ring[slots, cells] = ids

    def move(self, source: int, target: int) -> None:
        """Let `target` continue the history of `source`."""
        for tensor in (self.counts, self._ring, self._windows):
            if tensor is not None:
                tensor[target] = tensor[source]

    def _widen(self, window: int) -> Tensor:
        """The ring with at least `window` cells a slot; what it holds stays where it is."""
        old = self._ring
        if old is None or old.shape[1] < window:
            self._ring = torch.zeros(self.slots, window, dtype=torch.int64, device=self.device)
            if old is not None:
                self._ring[:, : old.shape[1]] = old
            return self._ring
        return old
