"""What a measurement asks and tells: cases, ceilings of the machine, results. Standard library only.

CLI ── Plan ──────► measure      BenchCase: read P tokens, write N, behind D others, B sequences at once; Conversation; states
CLI ◄─ BenchResult               seconds of each repetition, memory, and what the machine could have done
CLI ◄─ TurnResult                the wait for a turn's first token, with the state carried and without
CLI ◄─ StateResult               what it takes to put a state aside and bring it back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

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
    def label(self) -> str:
        """The same with its batch, for whoever waits."""
        return self.test + (f", batch {self.batch}" if self.batch > 1 else "")

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
class Conversation:
    """A chat to measure: in each of `turns` turns the model reads `reads` new tokens and answers with `writes`.

    Raises `InvalidRequest` for numbers that make none.
    """

    turns: int
    reads: int = 64
    writes: int = 64

    def __post_init__(self) -> None:
        if min(self.turns, self.reads, self.writes) < 1:
            raise InvalidRequest("a conversation has at least one turn", "for example --turns 8")

    @property
    def positions(self) -> int:
        return self.turns * (self.reads + self.writes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured of one model, each thing `repetitions` times: cases, a conversation, what can be done with a state of
    so many tokens; and whether transformers runs the cases, too, in turn with us."""

    cases: tuple[BenchCase, ...] = ()
    conversation: Conversation | None = None
    states: tuple[int, ...] = ()
    repetitions: int = 5
    against: bool = False

    @property
    def steps(self) -> int:
        """Into how many parts it falls, each of which is told as it begins."""
        return len(self.cases) + (self.conversation.turns if self.conversation else 0) + len(self.states)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a figure depends on besides the case: model, machine, versions. `sampling` is how tokens were drawn."""

    info: ModelInfo
    ceiling: Ceiling
    sampling: SamplingParams
    load_seconds: float
    prefill_chunk: int
    threads: int
    cpu: str
    gpu: str
    versions: str
    random_weights: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One thing, measured: `seconds` are those of each repetition, in order; `started` is in UTC."""

    setup: Setup
    started: str
    seconds: tuple[float, ...]

    @property
    def test(self) -> str:
        """What was measured, in a word: the name of a row."""
        raise NotImplementedError

    @property
    def mean_seconds(self) -> float:
        return mean(self.seconds)

    @property
    def spread_seconds(self) -> float:
        return spread(self.seconds)


@dataclass(frozen=True, slots=True)
class Rival:
    """The same case by another engine on the same weights, in runs that alternate with ours.

    `same` of `compared` tokens that we chose were its likeliest, too, behind the same text. `missing` says why there are no
    figures ("" if there are).
    """

    name: str
    seconds: tuple[float, ...] = ()
    first_token: float | None = None
    gaps: tuple[float, ...] = ()
    same: int = 0
    compared: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult(Measured):
    """One case, measured.

    `first_token` is the mean time from submission to a sequence's first token, where a prompt was read. `gaps` are the times
    between two tokens of a sequence, in ascending order, where some were written. `state_bytes` are those of all sequences at
    the end; `peak_bytes` the most memory there was (None where nobody knows). `bytes` and `flops` are what one repetition must
    move and compute at the least, and `floor` the seconds that this takes at the ceiling; None if all of it fits the machine's
    caches, so that its memory is no floor.
    """

    case: BenchCase
    first_token: float | None
    gaps: tuple[float, ...]
    state_bytes: int
    peak_bytes: int | None
    bytes: int
    flops: int
    floor: float | None
    rival: Rival | None = None

    @property
    def test(self) -> str:
        return self.case.test

    @property
    def rates(self) -> tuple[float, ...]:
        """Tokens a second of each repetition."""
        return tuple(self.case.tokens / seconds for seconds in self.seconds)

    @property
    def mean_rate(self) -> float:
        return mean(self.rates)

    @property
    def spread_rate(self) -> float:
        return spread(self.rates)

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

    @property
    def ratio(self) -> float | None:
        """How many times the rival's speed ours is: the median over pairs of neighbouring runs."""
        if self.rival is None or self.rival.missing:
            return None
        return median([theirs / ours for ours, theirs in zip(self.seconds, self.rival.seconds, strict=True)])


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult(Measured):
    """The wait for the first token of turn `turn`, `reads` tokens behind `depth` others.

    `seconds`: with the state that was carried there. `again`: with the whole conversation read anew.
    """

    turn: int
    depth: int
    reads: int
    again: tuple[float, ...]
    state_bytes: int

    @property
    def test(self) -> str:
        return f"turn {self.turn}"

    @property
    def saving(self) -> float:
        """How many times as long the wait would be without the state: the median over pairs of neighbouring runs."""
        return median([again / carried for carried, again in zip(self.seconds, self.again, strict=True)])


StateOperation = Literal["snapshot", "restore", "fork", "save", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateResult(Measured):
    """What it takes to do `operation` with a state of `depth` tokens, which has `bytes` bytes (of a file: that file's).

    `moved` of them are copied: within the machine's memory, keys and values are shared.
    """

    operation: StateOperation
    depth: int
    bytes: int
    moved: int

    @property
    def test(self) -> str:
        return f"{self.operation} @ d{self.depth}"

    @property
    def bytes_per_second(self) -> float:
        return self.moved / self.mean_seconds


Result = BenchResult | TurnResult | StateResult


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def spread(values: Sequence[float]) -> float:
    """The standard deviation, as far as so many values tell it; 0 for a single one. Importing `statistics` would cost 15 ms."""
    middle = mean(values)
    return sqrt(sum((value - middle) ** 2 for value in values) / max(1, len(values) - 1))


def median(values: Sequence[float]) -> float:
    return quantile(sorted(values), 0.5)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of the others lie, which are in ascending order; between two of them the one in
    between."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
