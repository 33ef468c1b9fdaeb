"""What a measurement asks and tells: cases, ceilings of the machine, results. Standard library only.

CLI ── BenchCase ──► measure      read P tokens, write N, behind D others, B sequences at once
CLI ◄─ BenchResult                seconds of each repetition, memory, and what the machine could have done
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from modeling.errors import InvalidRequest
from modeling.messages import ModelInfo, SamplingParams


@dataclass(frozen=True, slots=True)
class BenchCase:
    """`batch` sequences at once, each with `depth` tokens in its state: read `n_prompt` more, write `n_gen`, or one after the
    other. Raises `InvalidRequest` for numbers that make no case."""

    n_prompt: int = 0
    n_gen: int = 0
    depth: int = 0
    batch: int = 1

    def __post_init__(self) -> None:
        if min(self.n_prompt, self.n_gen, self.depth) < 0 or self.n_prompt + self.n_gen < 1:
            raise InvalidRequest("a test reads or writes at least one token", "for example -p 512 -n 128")
        if self.batch < 1:
            raise InvalidRequest("a batch has at least one sequence", "for example -b 1,8")
        if self.n_prompt and self.n_gen and self.depth and self.batch > 1:
            raise InvalidRequest(
                "--pg at a depth is measured for one sequence only", "leave out --n-depth or --batch-size, or use -p and -n"
            )

    @property
    def test(self) -> str:
        """Its name in llama-bench's manner: pp512, tg128, pp512+tg128, tg128 @ d4096."""
        parts = [f"pp{self.n_prompt}"] if self.n_prompt else []
        parts += [f"tg{self.n_gen}"] if self.n_gen else []
        return "+".join(parts) + (f" @ d{self.depth}" if self.depth else "")

    @property
    def before(self) -> int:
        """Tokens of each sequence before anything is written: without a prompt it takes at least one to write behind."""
        return self.depth + self.n_prompt or 1

    @property
    def positions(self) -> int:
        """Positions that each sequence needs: beside what is timed, the token that writing begins with and one at the end."""
        return self.before + self.n_gen + 2

    @property
    def tokens(self) -> int:
        """Tokens that are counted, over all sequences."""
        return self.batch * (self.n_prompt + self.n_gen)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What this machine does at best, measured in this process.

    `read` bytes a second from its memory (by `reader`: "triton" or "torch"), `multiply` floating-point operations a second in
    products of `dtype`. What is smaller than `cache` bytes need not come from memory each time. `void` says why nothing that is
    measured here counts ("" if it does).
    """

    device: str
    dtype: str
    read: float
    multiply: float
    cache: int
    reader: str
    void: str = ""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One case, measured.

    `seconds` are those of each repetition. `first_token` is the mean time from submission to a sequence's first token, where a
    prompt was read. `gaps` are the times between two tokens of a sequence at p50, p90 and p99, where some were written.
    `state_bytes` are those of all sequences at the end; `peak_bytes` the most memory there was (None where nobody knows).
    `bytes` and `flops` are what one repetition must move and compute at the least, and `floor` the seconds that this takes at
    the ceiling; None if all of it fits the machine's caches, so that its memory is no floor. `started` is in UTC.
    """

    case: BenchCase
    info: ModelInfo
    ceiling: Ceiling
    sampling: SamplingParams
    seconds: tuple[float, ...]
    first_token: float | None
    gaps: tuple[float, float, float] | None
    state_bytes: int
    peak_bytes: int | None
    bytes: int
    flops: int
    floor: float | None
    load_seconds: float
    prefill_chunk: int
    threads: int
    cpu: str
    gpu: str
    versions: str
    started: str
    random_weights: bool

    @property
    def mean_seconds(self) -> float:
        return sum(self.seconds) / len(self.seconds)

    @property
    def spread_seconds(self) -> float:
        return _spread(self.seconds)

    @property
    def rates(self) -> tuple[float, ...]:
        """Tokens a second of each repetition."""
        return tuple(self.case.tokens / seconds for seconds in self.seconds)

    @property
    def mean_rate(self) -> float:
        return sum(self.rates) / len(self.rates)

    @property
    def spread_rate(self) -> float:
        return _spread(self.rates)

    @property
    def share(self) -> float | None:
        """How near to the floor: 1.0 is as fast as this machine can be."""
        return None if self.floor is None else self.floor / self.mean_seconds

    @property
    def bytes_per_second(self) -> float:
        """The bytes that had to be moved, over the time that it took: below the true traffic, never above."""
        return self.bytes / self.mean_seconds

    @property
    def flops_per_second(self) -> float:
        return self.flops / self.mean_seconds


def _spread(values: tuple[float, ...]) -> float:
    """The standard deviation, as far as so many values tell it; 0 for a single one. Importing `statistics` would cost 15 ms."""
    mean = sum(values) / len(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
