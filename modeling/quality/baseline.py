"""The log-probabilities of one model in a file: safetensors, two bytes for each token of the vocabulary at each place.

    logs  (n, v) F16    before each token that counts
    nll   (n)    F32    minus the log-probability of the token itself, not rounded
    best  (n)    I32    the likeliest token
    ids   (p, l) I32    the text

Both models are rounded alike when they are compared, so a model does not differ from itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from modeling.checkpoint.header import read_header, read_metadata
from modeling.checkpoint.reader import Reader
from modeling.checkpoint.tensorfile import Entry, content, header
from modeling.durable import replacing
from modeling.errors import BadModelFile, InvalidRequest, WriteFailed
from modeling.quality.perplexity import Scored, counted, estimate
from modeling.scores import Estimate

FORMAT = "falcon log-probabilities 1"


def require_replaceable(path: Path) -> None:
    """Raises `InvalidRequest` for a file that is something else than an older one of these."""
    if not path.is_file() or not path.stat().st_size:
        return
    with suppress(BadModelFile, OSError):
        if read_metadata(path).get("format") == FORMAT:
            return
    raise InvalidRequest(f"{path} is there, and holds no log-probabilities", "name another file, or remove it first")


def keep(scores: Iterable[Scored], pieces: Tensor, vocabulary: int, path: Path | None) -> Estimate:
    """The mean negative log-likelihood of what `score` gives for pieces (p, l), which becomes the file `path`, if there is one.

    The file is there when it is whole; otherwise what was there before is. Raises `WriteFailed`.
    """
    n = pieces.shape[0] * counted(pieces.shape[1])
    nll, best = torch.empty(n), torch.empty(n, dtype=torch.int32)
    entries = {
        "logs": Entry("F16", (n, vocabulary)),
        "nll": Entry.of(nll),
        "best": Entry.of(best),
        "ids": Entry("I32", tuple(pieces.shape)),
    }
    with _replacing(path) as write:
        write(header(entries, {"format": FORMAT}))
        done = 0
        for scored in scores:
            places = slice(done, done := done + scored.ids.numel())
            nll[places], best[places] = scored.nll, scored.best
            if path is not None:
                write(content(rounded(scored.logs).cpu()))
        for tensor in (nll, best, pieces.to(torch.int32)):
            write(content(tensor))
    return estimate(nll)


@contextmanager
def _replacing(path: Path | None) -> Iterator[Callable[[bytes | memoryview], object]]:
    """Writes to a file that is there when the block ends well; without a path, to nowhere."""
    if path is None:
        yield len
        return
    try:
        with replacing(path) as file:
            yield file.write
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror or error}"
        raise WriteFailed(what, "make room or choose another file; what was there before is untouched") from None


class Baseline:
    """A file of them, read. Raises `InvalidRequest` for one that is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._stored = read_header(path)
            if read_metadata(path).get("format") != FORMAT:
                raise InvalidRequest(f"{path} holds no log-probabilities", "write some with --kl-divergence-base alone")
            self._reader = Reader()
            self.pieces = self._reader.exact(self._stored["ids"], torch.int32).long()  # p l
            self.nll = self._reader.exact(self._stored["nll"], torch.float32)  # n
            self.best = self._reader.exact(self._stored["best"], torch.int32).long()  # n
            self._logs = self._stored["logs"]
            count, length = self.pieces.shape
            n, self.vocabulary = self._logs.shape
            self.require_numbers(self.nll)
            if not (n == count * counted(length) == self.nll.numel() == self.best.numel() and self._logs.dtype == "F16"):
                raise ValueError
        except BadModelFile as error:
            raise InvalidRequest(str(error), "write it anew with --kl-divergence-base alone") from None
        except (KeyError, ValueError):
            raise InvalidRequest(f"{path} is damaged", "write it anew with --kl-divergence-base alone") from None

    @property
    def context(self) -> int:
        """Tokens of a piece."""
        return self.pieces.shape[1]

    def matching(self, pieces: Tensor, vocabulary: int) -> Tensor:
        """Those of pieces (p, l) that this file knows. Raises `InvalidRequest` for another text or another tokenizer."""
        if pieces.shape[1] != self.context:
            what = f"{self.path} was made from pieces of {self.context} tokens, and here they have {pieces.shape[1]}"
            raise InvalidRequest(what, f"use --ctx-size {self.context} and the text that it was made from")
        pieces = pieces[: len(self.pieces)]
        if vocabulary != self.vocabulary or not torch.equal(pieces, self.pieces[: len(pieces)]):
            raise InvalidRequest(
                f"{self.path} was made from another text, or with another tokenizer", "use the text that it was made from"
            )
        return pieces

    def require_numbers(self, values: Tensor) -> None:
        """Raises `InvalidRequest` if what comes from this file is not finite: nothing else is written."""
        if not bool(values.isfinite().all()):
            raise InvalidRequest(f"{self.path} is damaged", "write it anew with --kl-divergence-base alone")

    def logs(self, start: int, stop: int) -> Tensor:
        """(stop − start, v) fp32 on the CPU, of these places."""
        row = 2 * self.vocabulary  # bytes
        offset, count = self._logs.offset + start * row, stop - start
        rows = replace(self._logs, shape=(count, self.vocabulary), offset=offset, nbytes=count * row)
        return self._reader.exact(rows, torch.float16).float()


def rounded(logs: Tensor) -> Tensor:
    """As they lie in the file; what no float16 holds is its least number, a probability of 0 all the same."""
    return logs.clamp(min=torch.finfo(torch.float16).min).half()
