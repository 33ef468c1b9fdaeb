"""From logits to one token: penalties, temperature, top-k, top-p, min-p, typical-p, the draw. Pure functions on rows.

The order and the meaning of each filter are those of transformers. What differs is how the kept set is found: a full sort of
65k logits costs milliseconds on a CPU, while the kept set is almost always among the few hundred best. So a `widths` ladder
is climbed: the best 256 of a row, then the best 8192, then everything, until the kept set is *proven* to lie inside. The last
rung is a full sort, so the answer is exact on every rung, and it does not depend on the rung nor on the other rows.

Equal logits are ordered by id, the lowest first, wherever an order is needed. Weights are unnormalised probabilities, fp32,
1 for the best token; masses are sums of weights in `Settings.mass_dtype` (fp64 where the device has it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

COLDEST = 1e-30
"""The lowest temperature above 0 that fp32 divides by safely."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The filters of b rows, each a column (b, 1): `temperature` fp32, `top_k` int64, the others in the dtype of masses.

    A filter that is off has the value that keeps everything: top_k 0, top_p 1, min_p 0, typical_p 1. What the host knows of
    the rows saves work without asking the device: whether some row has top-p without top-k, and whether some row has
    typical-p.
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    typical_p: Tensor
    some_open_nucleus: bool
    some_typical: bool

    @property
    def mass_dtype(self) -> torch.dtype:
        return self.top_p.dtype

    def rows(self, index: Tensor) -> Settings:
        """The settings of some rows: `index` (n) int64."""
        columns = (self.temperature, self.top_k, self.top_p, self.min_p, self.typical_p)
        temperature, top_k, top_p, min_p, typical_p = (column[index] for column in columns)
        return Settings(temperature, top_k, top_p, min_p, typical_p, self.some_open_nucleus, self.some_typical)


def penalize(logits: Tensor, counts: Tensor, repetition: Tensor, presence: Tensor, frequency: Tensor) -> Tensor:
    """Make seen tokens less likely: logits (b, v) fp32, counts (b, v) int32, penalties (b, 1) fp32 → (b, v).

    Repetition as in transformers: a positive logit is divided by the penalty, a negative one multiplied. Presence and
    frequency as in OpenAI's interface: subtracted once if the token was seen, and once for each time.
    """
    seen = counts > 0
    repeated = torch.where(logits < 0, logits * repetition, logits / repetition)
    return torch.where(seen, repeated - presence - counts * frequency, logits)


def ranked(values: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` largest of each row of (b, v), and their ids: (b, width) each, in descending order, equal values by id.

    If the last value occurs more often than it fits, which of its ids are in is not specified (unless `width` is v).
    """
    if width >= values.shape[-1]:
        return torch.sort(values, dim=-1, descending=True, stable=True)
    ids = values.topk(width, dim=-1, sorted=False).indices.sort(dim=-1).values
    best, order = torch.sort(values.gather(-1, ids), dim=-1, descending=True, stable=True)
    return best, ids.gather(-1, order)


def scale(logits: Tensor, best: Tensor, temperature: Tensor) -> Tensor:
    """(logits − best) / temperature: ≤ 0, so that its exponential cannot overflow at any temperature."""
    return (logits - best).div_(temperature)


def choose(logits: Tensor, settings: Settings, u: Tensor, widths: Sequence[int]) -> Tensor:
    """One token for each row: logits (b, v), u (b) in [0, 1) → ids (b) int64. Rows with a top-k, top-p or min-p filter.

    The kept tokens stand in descending order when u is looked up in their cumulative distribution.
    """
    width, wider = widths[0], widths[1:]
    ids, scaled, weights, proven = nucleus(logits, settings, width)
    weights = typical(scaled, weights, settings, [weights.shape[-1]])
    chosen = ids.gather(-1, draw(weights, u)).squeeze(-1)
    if wider and not bool(proven.all()):
        rows = (~proven).nonzero().squeeze(-1)
        chosen[rows] = choose(logits[rows], settings.rows(rows), u[rows], wider)
    return chosen


def choose_among_all(logits: Tensor, settings: Settings, u: Tensor, widths: Sequence[int]) -> Tensor:
    """The same for rows without a top-k, top-p or min-p filter. The tokens stand in the order of their ids."""
    scaled = scale(logits, logits.amax(-1, keepdim=True), settings.temperature)
    weights = typical(scaled, scaled.exp(), settings, widths)
    return draw(weights, u).squeeze(-1)


def nucleus(logits: Tensor, settings: Settings, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Temperature, top-k, top-p and min-p among the `width` best tokens of each row of logits (b, v).

    Returns their ids, scaled logits and weights (b, width), in descending order and with weight 0 for what was filtered out,
    and `proven` (b) bool: whether a wider look would keep the same tokens. Each filter keeps a front of the order, and at
    least one.

    top-k  keeps what is no smaller than the k-th logit, so its equals, too
    top-p  keeps a token while the mass before it is below p of the mass that top-k left
    min-p  keeps weights of at least min_p, the best one's being 1
    """
    best, ids = ranked(logits, width)
    width = best.shape[-1]
    scaled = scale(best, best[:, :1], settings.temperature)
    weights = scaled.exp()

    by_rank = settings.top_k > 0
    kth = best.gather(-1, (settings.top_k - 1).clamp(0, width - 1))
    kept = (best >= kth) | ~by_rank
    inside = ~by_rank | (kth > best[:, -1:])  # the k-th and its equals are all here

    cumulative = (weights * kept).cumsum(-1, dtype=settings.mass_dtype)
    by_mass = settings.top_p < 1
    total = cumulative[:, -1:]
    if settings.some_open_nucleus:
        total = torch.where(by_rank, total, _mass_of_row(logits, best, settings))
    kept &= (cumulative - weights < settings.top_p * total) | ~by_mass
    kept &= weights >= settings.min_p
    kept[:, 0] = True

    last = best.gather(-1, kept.sum(-1, keepdim=True) - 1)
    proven = inside & (last > best[:, -1:]) if width < logits.shape[-1] else torch.ones_like(inside)
    return ids, scaled, weights * kept, proven.squeeze(-1)


def _mass_of_row(logits: Tensor, best: Tensor, settings: Settings) -> Tensor:
    """Sum of all weights of each row: (b, 1)."""
    weights = scale(logits, best[:, :1], settings.temperature).exp_()
    return weights.sum(-1, keepdim=True, dtype=settings.mass_dtype)


def typical(scaled: Tensor, weights: Tensor, settings: Settings, widths: Sequence[int]) -> Tensor:
    """Locally typical sampling (Meister et al. 2023): scaled logits and weights (b, w) → weights, 0 for what is filtered out.

    Keeps the tokens whose surprise −log p is nearest to the entropy, up to the mass typical_p, with everything as near as the
    last of them. As −log p = log Z − s for a scaled logit s, the distance is |s − E[s]|: neither Z nor a logarithm is needed.
    """
    if not settings.some_typical:
        return weights
    active = settings.typical_p < 1
    alive = weights > 0
    total = weights.sum(-1, keepdim=True, dtype=settings.mass_dtype)
    expected = torch.where(alive, scaled * weights, 0).sum(-1, keepdim=True, dtype=settings.mass_dtype) / total
    nearness = -(scaled - expected.to(scaled.dtype)).abs_()
    nearness = torch.where(alive, nearness, -torch.inf)
    return torch.where(active & (nearness < _typical_edge(nearness, weights, settings.typical_p * total, widths)), 0, weights)


def _typical_edge(nearness: Tensor, weights: Tensor, mass: Tensor, widths: Sequence[int]) -> Tensor:
    """The nearness (b, 1) at which `mass` (b, 1) is reached, going from the nearest token outwards."""
    for width in widths:
        nearest, ids = ranked(nearness, width)
        cumulative = weights.gather(-1, ids).cumsum(-1, dtype=mass.dtype)
        if bool((cumulative[:, -1:] >= mass).all()):
            break
    index = (cumulative < mass).sum(-1, keepdim=True)
    return nearest.gather(-1, index.clamp(max=nearest.shape[-1] - 1))


def draw(weights: Tensor, u: Tensor) -> Tensor:
    """Invert the cumulative distribution: weights (b, w) ≥ 0, u (b) in [0, 1) → indices (b, 1).

    Takes the first index whose cumulative weight *exceeds* u · total: it has a weight above 0, and it exists, because rounding
    cannot lift u · total to the total (u is at least half a unit in the last place below 1).
    """
    cumulative = weights.cumsum(-1, dtype=u.dtype)
    target = u[:, None] * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target, right=True)
    return index.clamp_(max=weights.shape[-1] - 1)  # only a row of NaN, which is an error elsewhere, runs past its end
