"""From logits to one token: penalties, temperature, top-k, top-p, min-p, typical-p, the draw. Pure functions on rows.

The order and the meaning of each filter are those of transformers, which sorts every row in full; on a CPU that costs 5 ms for
65k logits. Here `choose_among_all` is the definition, and `choose` a shorter way to the same token: it looks at the few best
logits, and goes the long way only for rows whose kept set is not *proven* to lie among them.

Tokens stand in the order of their ids, in what is looked at and in the cumulative distribution of the draw. So the outcome
does not depend on the way, on the device, nor on the other rows. Of equal logits, the lowest ids are kept first.

Weights are unnormalised probabilities, fp32: 1 for the best token, 0 for what is filtered out. Masses are sums of weights in
`Settings.mass_dtype`, fp64 where the device has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COLDEST = 1e-30
"""The lowest temperature above 0 that fp32 divides by safely."""

_SORTABLE = 2048
"""Longer rows are not sorted on a CPU but divided into buckets, of which one is sorted: 0.4 ms instead of 5 for 65k tokens."""

_BUCKETS = 4096
_BUCKETS_PER_UNIT = 128
"""Of a scaled logit: the buckets cover weights down to e⁻³², and the last one takes the rest."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The filters of b rows, each a column (b, 1): `temperature` fp32, `top_k` int64, the others in `mass_dtype`.

    A filter that no row uses is None. Where only some rows use it, the others have the value that keeps everything (top_p 1,
    min_p 0, typical_p 1); but rows with and without top-k are never mixed. `most` is the largest top_k.
    """

    temperature: Tensor
    mass_dtype: torch.dtype
    top_k: Tensor | None = None
    top_p: Tensor | None = None
    min_p: Tensor | None = None
    typical_p: Tensor | None = None
    most: int = 0

    def rows(self, index: Tensor) -> Settings:
        """The settings of some rows: `index` (n) int64."""
        columns = (self.top_k, self.top_p, self.min_p, self.typical_p)
        top_k, top_p, min_p, typical_p = (None if column is None else column[index] for column in columns)
        return Settings(self.temperature[index], self.mass_dtype, top_k, top_p, min_p, typical_p, self.most)


def penalize(
    logits: Tensor, counts: Tensor, repetition: Tensor, presence: Tensor | None = None, frequency: Tensor | None = None
) -> Tensor:
    """Make seen tokens less likely: logits (b, v) fp32, counts (b, v) int32, penalties (b, 1) fp32 → (b, v).

    Repetition as in transformers: a positive logit is divided by the penalty, a negative one multiplied. Presence and frequency
    as in OpenAI's interface: subtracted once if the token was seen, and once for each time.
    """
    # One of the two terms is 0. This is 8 times quicker on a CPU than `where`, whose branches are hard to predict.
    penalized = (logits.clamp(min=0) / repetition).add_(logits.clamp(max=0).mul_(repetition))
    if presence is not None:
        penalized.sub_(presence)
    if frequency is not None:
        penalized.sub_(counts * frequency)
    return torch.where(counts > 0, penalized, logits)


def ranked(values: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` largest of each row of (b, v), and their ids: (b, width) each, in descending order, equal values by id.

    If the last value occurs more often than it fits, which of its ids are in is not specified (unless `width` is v).
    """
    if width >= values.shape[-1]:
        return torch.sort(values, dim=-1, descending=True, stable=True)
    ids = values.topk(width, dim=-1, sorted=False).indices.sort(dim=-1).values
    best, order = torch.sort(values.gather(-1, ids), dim=-1, descending=True, stable=True)
    return best, ids.gather(-1, order)


def choose_among_all(logits: Tensor, settings: Settings, u: Tensor) -> Tensor:
    """One token for each row: logits (b, v), u (b) in [0, 1) → ids (b) int64."""
    scaled, weights = weigh(logits, logits.amax(-1, keepdim=True), settings)
    weights = keep_front(scaled, keep_by_rank(logits, weights, settings), settings)
    return draw(keep_typical(scaled, weights, settings), u).squeeze(-1)


def choose(logits: Tensor, settings: Settings, u: Tensor, width: int) -> Tensor:
    """The same, for rows with a top-k, top-p or min-p filter, by a look at the `width` best logits.

    That is proof enough if all that is kept is larger than the smallest logit in sight: what is out of sight would not be kept.
    """
    ids = logits.topk(width, dim=-1, sorted=False).indices.sort(dim=-1).values
    near = logits.gather(-1, ids)
    best, floor = near.amax(-1, keepdim=True), near.amin(-1, keepdim=True)
    scaled, weights = weigh(near, best, settings)
    if settings.top_k is not None:
        weights = keep_by_rank(near, weights, settings)
        proven = _in_sight(near, weights, floor)
        weights = keep_front(scaled, weights, settings)
    else:
        total = None if settings.top_p is None else _mass(weigh(logits, best, settings)[1], settings)
        weights = keep_front(scaled, weights, settings, total)
        proven = _in_sight(near, weights, floor)
    chosen = ids.gather(-1, draw(keep_typical(scaled, weights, settings), u)).squeeze(-1)
    if not bool(proven.all()):
        rows = (~proven).nonzero().squeeze(-1)
        chosen[rows] = choose_among_all(logits[rows], settings.rows(rows), u[rows])
    return chosen


def _in_sight(near: Tensor, weights: Tensor, floor: Tensor) -> Tensor:
    """Whether all that is kept is larger than `floor` (b, 1), the smallest of the logits in sight: (b) bool."""
    return torch.where(weights > 0, near, torch.inf).amin(-1) > floor.squeeze(-1)


def weigh(logits: Tensor, best: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Scaled logits (logits − best) / temperature, and weights, their exponential, which cannot overflow: (b, w) each.

    Scaled logits are finite at any temperature: below −10,000, where weights have long been 0, they are cut off.
    """
    scaled = (logits - best).div_(settings.temperature).clamp_(min=-1e4)
    return scaled, scaled.exp()


def _mass(weights: Tensor, settings: Settings) -> Tensor:
    """Sum of each row: (b, 1)."""
    return weights.sum(-1, keepdim=True, dtype=settings.mass_dtype)


def keep_by_rank(logits: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """top-k: keep the weights (b, w) whose logit is no smaller than the k-th, so its equals, too."""
    if settings.top_k is None:
        return weights
    width = logits.shape[-1]
    best = logits.topk(min(settings.most, width), dim=-1).values
    kth = best.gather(-1, (settings.top_k - 1).clamp(max=best.shape[-1] - 1))
    return weights * (logits >= kth)


def keep_front(scaled: Tensor, weights: Tensor, settings: Settings, total: Tensor | None = None) -> Tensor:
    """top-p: keep a token while the mass of the better ones is below p of `total` (b, 1), by default the mass of all weights;
    then min-p: keep weights of at least min_p, the best one's being 1. The best token stays in any case."""
    if settings.top_p is not None:
        total = _mass(weights, settings) if total is None else total
        weights = weights * _nearest(-scaled, weights, _share(settings.top_p, total), equals=False)
    if settings.min_p is not None:
        weights = weights * (weights >= settings.min_p)
    return weights


def keep_typical(scaled: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """Locally typical sampling (Meister et al. 2023): keep the tokens whose surprise −log p is nearest to the entropy, until
    their mass is typical_p, and whatever is as near as the last of them.

    With −log p = log Z − s for a scaled logit s, the distance is |s − E[s]|: neither Z nor a logarithm is needed.
    """
    if settings.typical_p is None:
        return weights
    total = _mass(weights, settings)
    expected = _mass(scaled * weights, settings) / total
    distance = (scaled - expected.to(scaled.dtype)).abs_()
    return weights * _nearest(distance, weights, _share(settings.typical_p, total), equals=True)


def _share(p: Tensor, total: Tensor) -> Tensor:
    """The mass at which a filter stops: p · total, and never where p is 1, whatever rounding does to sums. (b, 1) each."""
    return torch.where(p < 1, p * total, torch.inf)


def _nearest(distance: Tensor, weights: Tensor, mass: Tensor, equals: bool) -> Tensor:
    """Which tokens (b, w) are passed, going outwards from the nearest, until `mass` (b, 1) is reached; never none.

    Of equal distances the lowest ids come first; with `equals`, those equal to the last one are taken in.
    """
    if distance.device.type != "cpu" or distance.shape[-1] <= _SORTABLE:
        return _nearest_by_sorting(distance, weights, mass, equals)
    rows = zip(distance, weights, mass, strict=True)
    return torch.stack([_nearest_by_buckets(*row, equals) for row in rows])


def _nearest_by_sorting(distance: Tensor, weights: Tensor, mass: Tensor, equals: bool) -> Tensor:
    ordered, order = torch.sort(distance, dim=-1, stable=True)
    step = weights.gather(-1, order)
    passed = step.cumsum(-1, dtype=mass.dtype) - step < mass
    passed[:, 0] = True
    if equals:
        last = ordered.gather(-1, passed.sum(-1, keepdim=True) - 1)
        return distance <= last
    return torch.zeros_like(passed).scatter_(-1, order, passed)


def _nearest_by_buckets(distance: Tensor, weights: Tensor, mass: Tensor, equals: bool) -> Tensor:
    """The same for one row (w): mass by bucket of distance, then only the bucket in which `mass` (1) is reached is sorted."""
    if not bool(mass.isfinite()):  # a filter that is off, or a row of NaN
        return torch.ones_like(distance, dtype=torch.bool)
    bucket = (distance * _BUCKETS_PER_UNIT).clamp_(max=_BUCKETS - 1).long()
    reached = torch.bincount(bucket, weights=weights.to(mass.dtype), minlength=_BUCKETS).cumsum(0)
    mass = mass.clamp(min=torch.finfo(mass.dtype).tiny).minimum(reached[-1])
    last = torch.searchsorted(reached, mass)
    passed = bucket < last
    inside = (bucket == last).nonzero().squeeze(-1)
    before = reached[last - 1] if last > 0 else 0
    passed[inside] = _nearest_by_sorting(distance[None, inside], weights[None, inside], (mass - before)[None], equals)[0]
    return passed


def draw(weights: Tensor, u: Tensor) -> Tensor:
    """Invert the cumulative distribution: weights (b, w) ≥ 0, u (b) in [0, 1) → indices (b, 1).

    Takes the first index whose cumulative weight *exceeds* u · total: it has a weight above 0, and it exists, because rounding
    cannot lift u · total to the total (u is at least half a unit in the last place below 1).
    """
    cumulative = weights.cumsum(-1, dtype=u.dtype)
    target = u[:, None] * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target, right=True)
    return index.clamp_(max=weights.shape[-1] - 1)  # only a row of NaN, which is an error elsewhere, runs past its end
