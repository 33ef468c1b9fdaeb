"""A text through a model, piece by piece: the log-probabilities of all tokens of the vocabulary, where they count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modeling.errors import InvalidRequest, NumericalFailure
from modeling.generation.runner import memory_errors
from modeling.messages import Progress, ProgressSink
from modeling.models import LanguageModel
from modeling.scores import LEAST, Estimate
from modeling.state import ModelState

_LOGITS = 2**25  # at a time: 128 MiB in fp32


@dataclass(frozen=True, slots=True)
class Scored:
    """Some tokens in a row: `ids` (s), and `logs` (s, v) fp32, the log-probabilities before each of them."""

    ids: Tensor
    logs: Tensor

    @property
    def nll(self) -> Tensor:
        """(s) fp32: minus the log-probability of each token."""
        return -self.logs.gather(-1, self.ids[:, None])[:, 0]

    @property
    def best(self) -> Tensor:
        """(s) int64: the likeliest tokens."""
        return self.logs.argmax(-1)


def cut(ids: Sequence[int], context: int, most: int | None, bos: int | None) -> Tensor:
    """ids → pieces (p, l) of `context` tokens, what is left over at the end not among them; a shorter text is one piece.

    Where the tokenizer puts a `bos` before a text, every piece begins with one. Raises `InvalidRequest` for too few tokens.
    """
    if len(ids) < LEAST:
        raise InvalidRequest(f"the text has {len(ids)} tokens", f"a text to score has at least {LEAST}")
    length = min(context, len(ids))
    pieces = torch.tensor(ids[: len(ids) // length * length]).view(-1, length)[:most].clone()  # p l
    if bos is not None and ids[0] == bos:
        pieces[:, 0] = bos
    return pieces


def counted(length: int) -> int:
    """How many tokens of a piece count: those of its second half. The first half is there to be known."""
    return length - max(1, length // 2)


@torch.inference_mode()
def score(
    model: LanguageModel, state: ModelState, pieces: Tensor, chunk: int, progress: ProgressSink | None = None
) -> Iterator[Scored]:
    """The tokens of pieces (p, l) that count, in order, some at a time; at most `chunk` tokens go through the model at once.

    `state` has room for l tokens in its slot 0. Raises `NumericalFailure` for scores that are no numbers, `MemoryExceeded`.
    """
    report = progress or (lambda _: None)
    count, length = pieces.shape
    rows = max(1, _LOGITS // model.config.vocab_size)
    report(Progress("score", 0, count * length))
    for number, piece in enumerate(pieces.to(model.device), start=1):
        with memory_errors():
            h = _hidden(model, state, piece, chunk)[length - counted(length) - 1 : -1]  # s d: known before what counts
            for ids, some in zip(piece[-counted(length) :].split(rows), h.split(rows), strict=True):
                logs = model.logits(some).log_softmax(-1)  # s v
                if not bool(logs.sum(-1).isfinite().all()):
                    raise NumericalFailure(
                        f"the scores for piece {number} of the text are no numbers",
                        "the weights may be damaged, or the number format too narrow: try --dtype float32",
                    )
                yield Scored(ids.to(logs.device), logs)
        report(Progress("score", number * length, count * length))


def _hidden(model: LanguageModel, state: ModelState, ids: Tensor, chunk: int) -> Tensor:
    """ids (l) from an empty state → last hidden states (l, d)."""
    state.reset(0)
    parts = []
    for part in ids.split(chunk):
        with state.extend(0, 1, part.shape[0]) as extension:
            parts.append(model.hidden(part[None], extension)[0])
    return torch.cat(parts)


def estimate(values: Tensor) -> Estimate:
    """values (n) → their mean and its standard error; 0 for one value, whose error nobody knows."""
    values = values.double()
    error = values.std() / values.numel() ** 0.5 if values.numel() > 1 else torch.zeros(())
    return Estimate(float(values.mean()), float(error))
