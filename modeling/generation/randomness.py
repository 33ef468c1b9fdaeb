"""Random numbers without a generator: each is a pure function of (seed, sample index, position).

A generator has a state, and a state is something that batch neighbours, streaming, undo and retry can disturb. A hash has
none: the draw at a position is the same whenever and beside whomever it is made. The hash is SplitMix64 (Steele, Lea & Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014), one 64-bit word a draw, computed on the device in int64
tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _signed(word: int) -> int:
    """The int64 with the same bits as an unsigned 64-bit word."""
    return word - 2**64 if word >= 2**63 else word


_GAMMA = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shift(words: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: `>>` on int64 copies the sign, which the mask takes away."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def mix(words: Tensor) -> Tensor:
    """SplitMix64's finalizer, a bijection of 64-bit words in which each input bit flips each output bit half of the time.

    int64 → int64, elementwise. Products wrap modulo 2⁶⁴, as int64 tensors do.
    """
    words = (words ^ _shift(words, 30)) * _FIRST
    words = (words ^ _shift(words, 27)) * _SECOND
    return words ^ _shift(words, 31)


def stream(seed: int, sample_index: int) -> Tensor:
    """The key () int64 of one sample's random numbers: to be passed to `uniform` with a position."""
    root = mix(torch.tensor(seed, dtype=torch.int64) + _GAMMA)
    return mix(root + (sample_index + 1) * torch.tensor(_GAMMA))


def uniform(keys: Tensor, positions: Tensor, dtype: torch.dtype) -> Tensor:
    """One number in [0, 1) for each row: `keys`, `positions` (b) int64 → (b) of `dtype`.

    As many leading bits of the hash as the dtype's significand holds (53 or 24), so that 1.0 is never reached by rounding.
    """
    words = mix(keys + (positions + 1) * _GAMMA)
    bits = 53 if dtype == torch.float64 else 24
    return _shift(words, 64 - bits).to(dtype) * 2.0**-bits
