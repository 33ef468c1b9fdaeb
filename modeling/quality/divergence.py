"""Two models on the same tokens."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from modeling.quality.baseline import Baseline, rounded
from modeling.quality.perplexity import Scored, estimate
from modeling.scores import PERCENTILES, Divergence, Estimate, Spread


def compare(scores: Iterable[Scored], base: Baseline) -> tuple[Estimate, Divergence]:
    """The mean negative log-likelihood of what `score` gives for `base.matching` pieces, and its distance from the baseline."""
    parts = []
    done = 0
    for scored in scores:
        places = slice(done, done := done + scored.ids.numel())
        p = base.logs(places.start, places.stop).to(scored.logs.device)  # s v
        q = rounded(scored.logs).float()
        kld = (p.exp() * (p - q)).sum(-1)
        found = (scored.nll.cpu(), base.nll[places], kld.cpu(), scored.best.cpu() == base.best[places])
        parts.append(torch.stack([values.double() for values in found]))  # 4 s
    nll, base_nll, kld, same = torch.cat(parts, dim=1)
    dp = (-nll).exp() - (-base_nll).exp()
    divergence = Divergence(
        log_base=estimate(base_nll),
        log_ratio=estimate(nll - base_nll),
        correlation=1.0 if torch.equal(nll, base_nll) else float(torch.corrcoef(torch.stack((nll, base_nll)))[0, 1]),
        kld=_spread(kld),
        dp=_spread(dp),
        rms_dp=float(dp.square().mean().sqrt()),
        same_top=estimate(same),
    )
    return estimate(nll), divergence


def _spread(values: Tensor) -> Spread:
    shares = torch.tensor(PERCENTILES, dtype=values.dtype) / 100
    places = values.sort().values
    at = shares * (places.numel() - 1)
    low, high = places[at.floor().long()], places[at.ceil().long()]
    percentiles = low + (high - low) * (at - at.floor())
    return Spread(estimate(values), float(places[-1]), tuple(percentiles.tolist()), float(places[0]))
