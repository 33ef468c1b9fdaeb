"""The hash is SplitMix64 to the bit, and its numbers behave like random ones along every coordinate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modeling.generation.randomness import mix, stream, uniform

MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15


def mix_scalar(word: int) -> int:
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & MASK
    return word ^ word >> 31


def uniform_scalar(seed: int, sample_index: int, position: int) -> float:
    key = mix_scalar((mix_scalar((seed + GAMMA) & MASK) + (sample_index + 1) * GAMMA) & MASK)
    return (mix_scalar((key + (position + 1) * GAMMA) & MASK) >> 11) * 2.0**-53


def test_known_answers_of_splitmix64() -> None:
    """The published sequence for seed 1234567 is mix(seed + n·γ)."""
    words = torch.tensor([(1234567 + n * GAMMA) & MASK for n in (1, 2, 3)], dtype=torch.uint64).view(torch.int64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [word & MASK for word in mix(words).tolist()] == expected


def test_vectorised_equals_scalar() -> None:
    cases = [(seed, i, p) for seed in (0, 1, 42, 2**40 + 7, 2**63 - 1) for i in (0, 1, 2**31 - 1) for p in (0, 1, 511, 10**6)]
    keys = torch.stack([stream(seed, i) for seed, i, _ in cases])
    drawn = uniform(keys, torch.tensor([p for *_, p in cases]), torch.float64)
    assert drawn.tolist() == [uniform_scalar(*case) for case in cases]


def test_single_precision_keeps_the_leading_bits() -> None:
    keys, positions = stream(3, 0).expand(1000), torch.arange(1000)
    double, single = (uniform(keys, positions, dtype) for dtype in (torch.float64, torch.float32))
    assert single.dtype == torch.float32 and single.max() < 1
    assert ((double - single) >= 0).all() and (double - single).max() < 2**-24


def axes() -> dict[str, torch.Tensor]:
    """10,000 numbers, each set along one coordinate with the other two fixed."""
    n = 10_000
    here = torch.full((n,), 17)
    return {
        "position": uniform(stream(5, 0).expand(n), torch.arange(n), torch.float64),
        "seed": uniform(torch.stack([stream(seed, 0) for seed in range(n)]), here, torch.float64),
        "sample_index": uniform(torch.stack([stream(5, i) for i in range(n)]), here, torch.float64),
    }


def test_uniform_and_uncorrelated_along_each_coordinate() -> None:
    for name, u in axes().items():
        x = u.numpy()
        assert x.min() >= 0 and x.max() < 1
        counts = np.histogram(x, bins=100, range=(0, 1))[0]
        chi2 = ((counts - 100) ** 2 / 100).sum()
        assert chi2 < 160, (name, chi2)  # 99 degrees of freedom: beyond 160 once in 10⁴
        for lag in (1, 2, 3, 64):
            r = np.corrcoef(x[:-lag], x[lag:])[0, 1]
            assert abs(r) < 4 / np.sqrt(len(x)), (name, lag, r)


@pytest.mark.parametrize("one, other", [((5, 0), (6, 0)), ((5, 0), (5, 1)), ((0, 1), (1, 0))])
def test_streams_are_independent_of_each_other(one: tuple[int, int], other: tuple[int, int]) -> None:
    positions = torch.arange(20_000)
    x, y = (uniform(stream(*key).expand(20_000), positions, torch.float64).numpy() for key in (one, other))
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(20_000)
    assert not set(x) & set(y)
