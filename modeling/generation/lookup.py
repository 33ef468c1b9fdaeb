"""Guessing the next tokens without a model: what followed the last time that the same few tokens stood there.

Prompt-lookup decoding (Saxena 2023): answers that copy from their prompt, or repeat themselves, are guessed right for long
stretches, and a guess costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

_SIZES = (3, 2)  # tokens that have to agree; the longer agreement first


class Lookup:
    """An index of a sequence that grows: where each run of a few tokens was seen last, and what came then."""

    def __init__(self, ids: Sequence[int] = ()) -> None:
        self._ids: list[int] = []
        self._behind: dict[tuple[int, ...], int] = {}  # a run → the index behind its latest occurrence
        self.extend(ids)

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Sequence[int]) -> None:
        """Take in what follows. A run is known as soon as something stands behind it."""
        for id in ids:
            here = len(self._ids)
            for size in _SIZES:
                if here >= size:
                    self._behind[tuple(self._ids[-size:])] = here
            self._ids.append(id)

    def guess(self, most: int) -> list[int]:
        """Up to `most` tokens that may come next; none if the last ones were never seen before.

        Where the earlier place reaches the end, it goes on with what it has guessed: a loop goes round.
        """
        for size in _SIZES:
            place = self._behind.get(tuple(self._ids[-size:])) if len(self._ids) >= size else None
            if place is not None:
                found: list[int] = []
                known = len(self._ids)
                for index in range(place, place + most):
                    found.append(self._ids[index] if index < known else found[index - known])
                return found
        return []
