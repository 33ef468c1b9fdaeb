"""States put aside, each found again by the tokens that it is the record of.

Whoever wants to go on from some ids asks for the deepest state of a prefix of them; how the conversation came there (a next
turn, undo, another branch, a system prompt that was there before) does not matter. What does not fit the budget is forgotten,
the least recently used first: a lost state costs a longer prefill, never a wrong answer.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from modeling.generation.answer import Saved

Key = tuple[int, bytes]  # how many ids, and their digest


class Snapshots:
    """Keeps up to `budget` bytes of states (always the newest), and the latest pinned one besides."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._states: OrderedDict[Key, Saved] = OrderedDict()  # the least recently used first
        self._pinned: Key | None = None

    def __len__(self) -> int:
        return len(self._states)

    @property
    def nbytes(self) -> int:
        return sum(state.nbytes for state in self._states.values())

    def add(self, ids: Sequence[int], state: Saved, *, pinned: bool = False) -> None:
        """Keep `state`, the record of the first `state.length` of `ids`."""
        (key,) = _keys(ids, [state.length])
        self._states[key] = state
        self._states.move_to_end(key)
        if pinned:
            self._pinned = key
        spare = [other for other in self._states if other not in (key, self._pinned)]
        while spare and self.nbytes > self.budget:
            del self._states[spare.pop(0)]

    def deepest(self, ids: Sequence[int], left: int = 1) -> Saved | None:
        """The state of the longest prefix of `ids` that leaves at least `left` of them to feed."""
        lengths = sorted({length for length, _ in self._states if length <= len(ids) - left})
        for key in reversed(_keys(ids, lengths)):
            if key in self._states:
                self._states.move_to_end(key)
                return self._states[key]
        return None

    def forget_half(self, kept: Saved | None) -> bool:
        """Make room where memory runs out, but keep `kept`; whether there was anything to forget."""
        spare = [key for key, state in self._states.items() if state is not kept]
        for key in spare[: (len(spare) + 1) // 2]:
            del self._states[key]
        return bool(spare)


def digest(ids: Sequence[int]) -> str:
    """What names a sequence of ids: 32 hexadecimal digits."""
    ((_, name),) = _keys(ids, [len(ids)])
    return name.hex()


def _keys(ids: Sequence[int], lengths: Sequence[int]) -> list[Key]:
    """The keys of the prefixes of these lengths, which ascend: one pass over the ids."""
    numbers, hasher, done, keys = memoryview(array("q", ids)), blake2b(digest_size=16), 0, []
    for length in lengths:
        hasher.update(numbers[done:length])
        keys.append((length, hasher.copy().digest()))
        done = length
    return keys
