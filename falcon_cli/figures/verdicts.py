"""Results beside those of an earlier run: faster, slower, or within the noise.

The raw samples of both runs are compared by the Mann-Whitney U test, two-sided: it asks of their order only, so that one slow
repetition decides nothing, and supposes no normal distribution, which times do not have. Its p is exact (ties included) up to
24 samples, by the normal approximation beyond. A difference counts at p < 0.05, for which each run needs four repetitions.
What two processes have not in common (clocks, neighbours, where memory happened to lie) no test of their samples can see.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import comb, erfc, sqrt
from pathlib import Path
from typing import Any, Literal

from modeling.errors import InvalidRequest
from modeling.timings import median

LEVEL = 0.05
_EXACT = 24  # samples
_KEY = (
    "model_filename", "engine", "test", "batch_size", "dtype", "quantization", "kernels_asked", "random_weights", "n_prompt",
    "n_depth",
)  # fmt: skip
_CIRCUMSTANCES = ("cpu_info", "gpu_info", "n_threads", "temperature", "top_k", "top_p", "void")
_YEAR = 3.2e16  # ns

Row = Mapping[str, Any]
Mark = Literal["faster", "slower", "noise", "too few"]
SIGNS: Mapping[Mark, str] = {"faster": "▲ faster", "slower": "▼ slower", "noise": "~ noise", "too few": "? too few"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a row, which stands where `before` stood. `old` and `new` are median seconds.

    `p` is the probability of such an order of samples, or one more extreme, if nothing had changed.
    """

    row: Row
    before: Row
    old: float
    new: float
    p: float
    mark: Mark

    @property
    def speed(self) -> float:
        """Ours over the old one; 1.1: ten percent faster."""
        return self.old / self.new

    @property
    def fields(self) -> dict[str, Any]:
        """What a row of JSON tells of it."""
        return {"old_median_ns": round(self.old * 1e9), "speed": self.speed, "p_value": self.p, "verdict": self.mark}


NO_VERDICT = {"old_median_ns": None, "speed": None, "p_value": None, "verdict": None}


class Earlier:
    """The rows of an earlier run, by what was measured."""

    def __init__(self, path: Path) -> None:
        """Raises `InvalidRequest` for a file that is none of `falcon bench -o json` (or jsonl)."""
        self.path = path
        self._rows = {_key(row): row for row in _read(path)}

    def verdict(self, row: Row) -> Verdict | None:
        """What became of `row`; None if the earlier run did not measure it."""
        before = self._rows.get(_key(row))
        if before is None:
            return None
        samples = before["samples_ns"], row["samples_ns"]
        p, (old, new) = mann_whitney(*samples), map(median, samples)
        mark: Mark = "noise"
        if not decidable(*map(len, samples)):
            mark = "too few"
        elif p < LEVEL and old != new:
            mark = "faster" if new < old else "slower"
        return Verdict(row, before, old / 1e9, new / 1e9, p, mark)


def doubts(verdicts: Iterable[Verdict]) -> list[str]:
    """What else was not the same as in the earlier run, each thing once: another machine, void figures. No test of samples can
    tell its part in a difference."""
    found = (
        f"{name} was {json.dumps(was)}, and is {json.dumps(now)}"
        for verdict in verdicts
        for name in _CIRCUMSTANCES
        if (was := verdict.before.get(name)) != (now := verdict.row[name]) or (name == "void" and now)
    )
    return list(dict.fromkeys(found))


def decidable(old: int, new: int) -> bool:
    """Whether so many samples can differ at all beyond the noise."""
    return 2 / comb(old + new, old) < LEVEL


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """p of the two-sided Mann-Whitney U test.

    Mann and Whitney 1947; with ties the distribution of the rank sum over all ways to divide these very ranks.
    """
    ranks = _doubled_ranks([*first, *second])
    observed = sum(ranks[: len(first)])
    middle = len(first) * (len(ranks) + 1)  # what n doubled ranks add up to on average
    if len(ranks) > _EXACT:
        return _by_normal(ranks, len(first), abs(observed - middle))
    ways: dict[tuple[int, int], int] = defaultdict(int, {(0, 0): 1})  # how many taken, their sum → ways
    for rank in ranks:
        for (taken, total), number in list(ways.items()):
            if taken < len(first):
                ways[taken + 1, total + rank] += number
    as_far = sum(
        number
        for (taken, total), number in ways.items()
        if taken == len(first) and abs(total - middle) >= abs(observed - middle)
    )
    return as_far / comb(len(ranks), len(first))


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value among all; equal ones share the middle of theirs, so that doubled ones are whole."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, begun = [0] * len(values), 0
    for _, group in groupby(order, key=values.__getitem__):
        places = list(group)
        for place in places:
            ranks[place] = 2 * begun + len(places) + 1
        begun += len(places)
    return ranks


def _by_normal(ranks: Sequence[int], n: int, distance: int) -> float:
    """With the variance of these ranks, and a continuity correction of half a rank."""
    total, m = len(ranks), len(ranks) - n
    centre = total + 1
    variance = sum((rank - centre) ** 2 for rank in ranks) / total * n * m / (total - 1)
    return 1.0 if variance == 0 else min(1.0, erfc(max(0, distance - 1) / sqrt(2 * variance)))


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in _KEY)


def _read(path: Path) -> Iterable[Row]:
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")  # some shells put a mark in front
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidRequest(f"--compare {path}: {why}", "name a file that falcon bench -o json wrote") from None
    try:
        try:
            found = json.loads(text)
        except ValueError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        found = None
    rows = [found] if isinstance(found, dict) else found
    if not isinstance(rows, list) or not rows or not all(map(_is_row, rows)):
        raise InvalidRequest(f"--compare {path}: these are no results", "name a file that falcon bench -o json wrote")
    return rows


def _is_row(row: Any) -> bool:
    """Whether a verdict can be made beside it, whoever wrote it."""
    if not isinstance(row, dict) or not isinstance(row.get("test"), str):
        return False
    if any(isinstance(row.get(name), list | dict) for name in _KEY):
        return False
    samples = row.get("samples_ns")
    return isinstance(samples, list) and bool(samples) and all(type(ns) in (int, float) and 1 <= ns <= _YEAR for ns in samples)
