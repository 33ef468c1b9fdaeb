"""What a scoring of a text asks and tells, in llama-perplexity's words. Standard library only.

CLI ── ScoreRequest ──► perplexity   a text, cut in pieces; log-probabilities are put into a file, or compared with those in one
CLI ◄─ ScoreResult                   perplexity with its standard error, and how far the two models are from each other
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from pathlib import Path

from modeling.errors import InvalidRequest
from modeling.messages import ModelInfo

CONTEXT = 512  # tokens of a piece, as llama-perplexity has it
VERIFY_CONTEXT = 256  # of the short text that a quantization is verified with
LEAST = 8  # tokens a piece must have for its second half to say anything
PERCENTILES = (99.9, 99.0, 95.0, 90.0, 50.0, 10.0, 5.0, 1.0, 0.1)


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A text to score in pieces of `context` tokens, each read from an empty state; the second half of a piece counts.

    `chunks` bounds the number of pieces. `baseline` is a file: log-probabilities are written there, or compared with those in
    it if `compare`; then its pieces are the pieces. Raises `InvalidRequest`.
    """

    text: str
    context: int | None = None
    chunks: int | None = None
    baseline: Path | None = None
    compare: bool = False

    def __post_init__(self) -> None:
        if self.context is not None and self.context < LEAST:
            raise InvalidRequest(f"a piece of {self.context} tokens is too short", f"use --ctx-size {LEAST} or more")
        if self.chunks is not None and self.chunks < 1:
            raise InvalidRequest("there is nothing to score in no pieces", "use --chunks 1 or more")
        if self.compare and self.baseline is None:
            raise InvalidRequest("there is nothing to compare with", "name the file with --kl-divergence-base")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over tokens, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How a figure is distributed over tokens: its mean, extremes, and a value for each of `PERCENTILES`."""

    mean: Estimate
    maximum: float
    percentiles: tuple[float, ...]
    minimum: float


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far a model (Q) is from another, the base, on the same tokens. Probabilities are shares, not per cent.

    `kld` is the Kullback-Leibler divergence from the base's distribution at a token, in nats; `dp` what the probability of the
    text's own token gained; `same_top` the share of tokens where both find the same one likeliest.
    """

    log_base: Estimate  # mean ln PPL of the base
    log_ratio: Estimate  # mean ln(PPL(Q) / PPL(base))
    correlation: float  # of ln PPL(Q) and ln PPL(base), token by token
    kld: Spread
    dp: Spread
    rms_dp: float
    same_top: Estimate

    @property
    def base(self) -> Estimate:
        """PPL(base)."""
        return perplexity(self.log_base)

    @property
    def ratio(self) -> Estimate:
        """PPL(Q) / PPL(base)."""
        return perplexity(self.log_ratio)

    def difference(self, log_q: Estimate) -> Estimate:
        """PPL(Q) − PPL(base); the two are correlated, and so the error is less than that of either."""
        q, base = perplexity(log_q), self.base
        both = (log_q.error**2 + self.log_base.error**2 - self.log_ratio.error**2) / 2  # covariance of the means
        variance = q.error**2 + base.error**2 - 2 * both * q.value * base.value
        return Estimate(q.value - base.value, sqrt(max(0.0, variance)))


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """`log` is the mean negative log-likelihood of the `tokens` that count, out of `pieces` of `context` tokens."""

    info: ModelInfo
    context: int
    pieces: int
    tokens: int
    seconds: float
    log: Estimate
    divergence: Divergence | None = None

    @property
    def perplexity(self) -> Estimate:
        return perplexity(self.log)


def perplexity(log: Estimate) -> Estimate:
    """exp of a mean logarithm; errors grow as the first derivative."""
    value = exp(min(log.value, 700.0))
    return Estimate(value, value * log.error)
