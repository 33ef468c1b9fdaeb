"""Faster, slower, or within the noise: the test of significance, and what --compare and --fail-below make of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.figures.verdicts import decidable, mann_whitney

Falcon = Callable[..., Any]


def by_counting(first: Sequence[float], second: Sequence[float]) -> float:
    """p from all ways to divide the pooled values, by U itself: pairs in which the first is larger, ties counting half."""

    def u(a: Sequence[float], b: Sequence[float]) -> float:
        return sum((x > y) + (x == y) / 2 for x in a for y in b)

    pooled, middle = [*first, *second], len(first) * len(second) / 2
    far = abs(u(first, second) - middle)
    count = 0
    for taken in combinations(range(len(pooled)), len(first)):
        rest = [pooled[place] for place in range(len(pooled)) if place not in taken]
        count += abs(u([pooled[place] for place in taken], rest) - middle) >= far
    return count / comb(len(pooled), len(first))


def test_p_is_that_of_all_ways_to_divide_the_samples() -> None:
    dice = random.Random(5)
    for n, m in ((1, 1), (4, 4), (5, 3), (2, 6), (5, 5)):
        for most in (3, 1000):  # with many ties, and with few
            first, second = ([dice.randrange(most) for _ in range(size)] for size in (n, m))
            assert mann_whitney(first, second) == pytest.approx(by_counting(first, second))


def test_published_values() -> None:
    """The table of Mann and Whitney 1947: for n = m = 5, U = 2 has a one-sided p of 0.016, U = 3 of 0.028."""
    assert mann_whitney([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(2 / 252)
    assert mann_whitney([1, 2, 3, 5, 7], [4, 6, 8, 9, 10]) == pytest.approx(2 * 0.028, abs=0.001)
    assert mann_whitney([3, 3, 3], [3, 3, 3]) == 1.0
    assert mann_whitney([3] * 30, [3] * 30) == 1.0


def test_many_samples_go_by_the_normal_approximation() -> None:
    first, second = [*range(13)], [value + 4.5 for value in range(12)]
    exact = by_counting_fast(first, second)
    assert exact <= mann_whitney(first, second) <= 1.1 * exact  # a little too careful


def by_counting_fast(first: Sequence[float], second: Sequence[float]) -> float:
    """The exact p, by the recursion of Mann and Whitney for samples without ties."""
    ways = {(0, 0): {0: 1}}
    for n in range(len(first) + 1):
        for m in range(len(second) + 1):
            if (n, m) == (0, 0):
                continue
            found: dict[int, int] = {}
            for before, more in (((n - 1, m), m), ((n, m - 1), 0)):
                for u, number in ways.get(before, {}).items():
                    found[u + more] = found.get(u + more, 0) + number
            ways[n, m] = found
    values = ways[len(first), len(second)]
    observed, middle = sum(x > y for x in first for y in second), len(first) * len(second) / 2
    return sum(k for u, k in values.items() if abs(u - middle) >= abs(observed - middle)) / sum(values.values())


def test_four_repetitions_can_decide_and_three_cannot() -> None:
    assert [decidable(n, n) for n in (1, 3, 4, 5)] == [False, False, True, True]


@pytest.fixture
def slower(measured: list[dict[str, Any]], falcon: Falcon, tmp_path: Path) -> Callable[..., Path]:
    """slower(factor, samples): a file of an earlier run whose times were those of `measured` by this factor."""

    def old(factor: float, samples: int = 5, **changes: Any) -> Path:
        rows = falcon("bench", "m", "-p", "30", "-n", "60", "-o", "json").json
        for row in rows:
            row["samples_ns"] = [factor * 2e9 + number for number in range(samples)]
            row.update(changes)
        file = tmp_path / "old.json"
        file.write_text(json.dumps(rows))
        return file

    return old


@pytest.mark.parametrize(
    ("factor", "samples", "verdict", "code"),
    [(2.0, 5, "faster", 0), (0.5, 5, "slower", 1), (0.97, 5, "slower", 0), (1.0, 5, "noise", 0), (0.5, 1, "too few", 1)],
)
def test_what_became_of_each_test(
    factor: float, samples: int, verdict: str, code: int, slower: Callable[..., Path], falcon: Falcon, steady: None
) -> None:
    arguments = ("bench", "m", "-p", "30", "-n", "60", "--compare", str(slower(factor, samples)))
    rows = falcon(*arguments, "-o", "json").json
    assert {row["verdict"] for row in rows} == {verdict}
    assert rows[0]["speed"] == pytest.approx(factor, rel=1e-3) and rows[0]["old_median_ns"] == pytest.approx(factor * 2e9)
    table = falcon(*arguments).out
    sign = {"faster": "▲ faster", "slower": "▼ slower", "noise": "~ noise", "too few": "? too few"}[verdict]
    assert table.count(sign) == 2 and "Mann-Whitney U, two-sided, p < 0.05" in table
    outcome = falcon(*arguments, "--fail-below", "95")
    assert outcome.code == code
    if verdict == "slower" and code:
        assert outcome.err.count("of its speed in") == 2 and "error: m pp30 has 50.0% of its speed" in outcome.err


@pytest.mark.parametrize("changes", [{"dtype": "float64"}, {"kernels_asked": "torch"}, {"model_filename": "other"}])
def test_only_the_same_is_compared(changes: dict[str, str], slower: Callable[..., Path], falcon: Falcon, steady: None) -> None:
    arguments = ("bench", "m", "-p", "30", "-n", "60", "--compare", str(slower(0.5, **changes)))
    outcome = falcon(*arguments)
    assert outcome.code == 0 and "has none of these tests" in outcome.err and "Mann-Whitney" not in outcome.out
    assert {row["verdict"] for row in falcon(*arguments, "-o", "json").json} == {None}
    assert falcon(*arguments, "--fail-below", "50").code == 1  # a gate that compares nothing is no gate


def test_a_gate_needs_repetitions(slower: Callable[..., Path], falcon: Falcon) -> None:
    outcome = falcon("bench", "m", "-r", "3", "--compare", str(slower(1.0)), "--fail-below", "50")
    assert (outcome.code, outcome.out) == (2, "") and "3 repetitions allow no verdict" in outcome.err


def test_one_slow_repetition_decides_nothing(slower: Callable[..., Path], falcon: Falcon, steady: None) -> None:
    """The old run was faster but for one repetition, which alone would turn the mean."""
    old = slower(0.5, samples=9)
    rows = json.loads(old.read_text())
    for row in rows:
        row["samples_ns"][3] = 10**11
    old.write_text(json.dumps(rows))
    outcome = falcon("bench", "m", "-p", "30", "-n", "60", "--compare", str(old), "--fail-below", "95", "-o", "json")
    assert [(row["verdict"], round(row["speed"], 3)) for row in outcome.json] == [("slower", 0.5)] * 2
    assert outcome.code == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cpu_info": "loom", "gpu_info": None}, ['cpu_info was "loom", and is "abacus"', 'gpu_info was null, and is ""']),
        ({"n_threads": 8}, ["n_threads was 8, and is 2"]),
        ({"void": "too slow"}, ['void was "too slow", and is ""']),
        ({"temperature": 1.0}, ["temperature was 1.0, and is 0.0"]),
        ({}, []),
    ],
)
def test_other_circumstances_are_told(
    changes: dict[str, Any], told: list[str], slower: Callable[..., Path], falcon: Falcon, steady: None
) -> None:
    outcome = falcon("bench", "m", "-p", "30", "-n", "60", "-q", "--compare", str(slower(1.0, **changes)))
    assert [line.partition("circumstances: ")[2] for line in outcome.err.splitlines()] == told


def test_what_is_compared_in_part_only_is_told(slower: Callable[..., Path], falcon: Falcon, steady: None) -> None:
    outcome = falcon("bench", "m", "-p", "30,31", "-n", "60", "-q", "--compare", str(slower(1.0)), "--fail-below", "90")
    assert outcome.code == 0 and "has 2 of these 3 tests: the others are not compared" in outcome.err


def test_a_mark_of_the_byte_order_is_no_text(slower: Callable[..., Path], falcon: Falcon, steady: None) -> None:
    file = slower(2.0)
    file.write_text(file.read_text(), encoding="utf-8-sig")
    assert "▲ faster" in falcon("bench", "m", "-p", "30", "-n", "60", "--compare", str(file)).out


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "[1]", '[{"test": "pp1"}]', '[{"test": "pp1", "samples_ns": ["x"]}]', "[" * 9999,
        *(f'[{{"test": "pp1", "samples_ns": [{value}]}}]' for value in ("true", "0", "NaN", "Infinity", "9" * 400, "1e300")),
        '[{"test": "pp1", "samples_ns": [5], "dtype": []}]',
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(text: str, falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(text)
    outcome = falcon("bench", "m", "--compare", str(tmp_path / "old.json"))
    assert (outcome.code, outcome.out, measured) == (2, "", []) and "these are no results" in outcome.err


def test_lines_of_json_will_do(slower: Callable[..., Path], falcon: Falcon, steady: None) -> None:
    file = slower(2.0)
    file.write_text("".join(json.dumps(row) + "\n" for row in json.loads(file.read_text())))
    assert "▲ faster" in falcon("bench", "m", "-p", "30", "-n", "60", "--compare", str(file)).out
