"""The sampler: what each slot's `SamplingParams` ask for, applied to all rows of a batch at once, on the device.

Parameters are written into tensors by slot when a request joins, and the kinds of work that a batch needs (its `Plan`) are
worked out once for as long as the same requests stay together. So a step costs what its rows ask for: an argmax if all are
greedy, no penalties if nobody is penalised, no sort where a look at the best few hundred tokens proves enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from modeling.generation import filters
from modeling.generation.filters import Settings
from modeling.generation.history import History
from modeling.generation.randomness import stream, uniform
from modeling.messages import SamplingParams

_WIDTH = 128
"""How many of the best tokens to look at first. With 65k logits on a CPU their selection costs 0.13 ms."""

_ALTERNATIVES = 128
"""Ranked for logprobs whatever K is, so that the order of equal logits does not depend on what a neighbour asks for."""

Route = Literal["greedy", "whole", "nucleus", "ranked"]


@dataclass(frozen=True, slots=True)
class Draw:
    """One row's outcome on the host. `finite` False: the logits held NaN or infinity and `id` means nothing."""

    id: int
    finite: bool
    logprob: float | None = None
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Logprobs:
    """`chosen` (n) fp32, `best` (n, K) fp32 and `best_ids` (n, K) int64 of the rows that ask; `wanted` maps each to its own
    K."""

    wanted: dict[int, int]
    chosen: Tensor
    best: Tensor
    best_ids: Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """The outcome of b rows on the device: `ids` (b) int64, `finite` (b) bool."""

    ids: Tensor
    finite: Tensor
    logprobs: Logprobs | None = None

    def to_host(self) -> Draws:
        """The same in host memory, as soon as the device has got there; nobody waits."""
        asked = self.logprobs
        if asked is not None:
            asked = Logprobs(asked.wanted, *(_to_host(t) for t in (asked.chosen, asked.best, asked.best_ids)))
        return Draws(_to_host(self.ids), _to_host(self.finite), asked)

    def fetch(self) -> list[Draw]:
        """Bring the outcome to the host: the one moment at which it waits for the device."""
        draws = [Draw(id, finite) for id, finite in zip(self.ids.tolist(), self.finite.tolist(), strict=True)]
        if self.logprobs is not None:
            asked = self.logprobs
            columns = (asked.wanted.items(), asked.chosen.tolist(), asked.best_ids.tolist(), asked.best.tolist())
            for (row, wanted), chosen, ids, values in zip(*columns, strict=True):
                alternatives = tuple(zip(ids[:wanted], values[:wanted], strict=True))
                draws[row] = Draw(draws[row].id, draws[row].finite, chosen, alternatives)
        return draws


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a batch that take the same route. `rows` (n) int64 are their indices; None: the whole batch."""

    route: Route
    rows: Tensor | None
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class Penalized:
    """The rows (n) int64 of a batch whose history counts, their slots, and their penalties (n, 1); None where no row has
    one."""

    rows: Tensor
    slots: Tensor
    repetition: Tensor
    presence: Tensor | None
    frequency: Tensor | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rows in slots `first` … `stop`−1 need, as long as the same requests are there.

    `reporting` (n) int64 are the rows that ask for logprobs, `wanted` maps them to how many; None and empty if there is none.
    """

    first: int
    stop: int
    groups: tuple[Group, ...]
    penalized: Penalized | None
    reporting: Tensor | None
    wanted: dict[int, int]

    @property
    def plain(self) -> bool:
        """Whether each row just takes its best token, and nobody asks for more."""
        return self.penalized is None and self.reporting is None and all(group.route == "greedy" for group in self.groups)


class Sampler:
    """Draws the next token of each row by the parameters of its slot.

    Nothing here depends on which slots are neighbours, nor on the order of joining: a row's draws are a function of its logits,
    its parameters and its own past.
    """

    def __init__(self, slots: int, vocab_size: int, device: torch.device) -> None:
        # MPS has no fp64; sums of 65k fp32 weights are then good to six digits instead of fifteen.
        self._mass_dtype = torch.float32 if device.type == "mps" else torch.float64
        # Elsewhere the whole way is quicker than asking the device whether a look at the best was enough.
        self._looks = device.type == "cpu" and vocab_size > 4 * _WIDTH
        self._vocab_size = vocab_size
        self._device = device
        self._params = [SamplingParams()] * slots
        self._history = History(slots, vocab_size, device)
        self._plan: Plan | None = None

        def column(dtype: torch.dtype) -> Tensor:
            return torch.zeros(slots, 1, dtype=dtype, device=device)

        self._temperature = column(torch.float32)
        self._top_k = column(torch.int64)
        self._top_p, self._min_p, self._typical_p = (column(self._mass_dtype) for _ in range(3))
        self._penalties = torch.zeros(slots, 3, device=device)  # repetition, presence, frequency
        self._streams = torch.zeros(slots, dtype=torch.int64, device=device)
        self._positions = torch.zeros(slots, dtype=torch.int64, device=device)

    @torch.inference_mode()
    def join(self, slot: int, params: SamplingParams, ids: Sequence[int]) -> None:
        """Let `slot` draw by `params`. `ids` are all tokens of its sequence so far: their number is the position of its next
        draw."""
        if params.top_k >= self._vocab_size:
            params = replace(params, top_k=0)
        self._params[slot] = params
        self._plan = None
        self._temperature[slot] = max(params.temperature, filters.COLDEST)
        self._top_k[slot] = params.top_k
        self._top_p[slot] = params.top_p
        self._min_p[slot] = params.min_p
        self._typical_p[slot] = params.typical_p
        self._streams[slot] = stream(params.seed, params.sample_index)
        self._positions[slot] = len(ids)
        if _counts(params):
            penalties = (params.repetition_penalty, params.presence_penalty, params.frequency_penalty)
            self._penalties[slot] = torch.tensor(penalties, device=self._device)
            self._history.begin(slot, ids, params.repeat_last_n)

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Let `target` go on where `source` is, as the model's state does."""
        self._params[target] = self._params[source]
        self._plan = None
        columns = (self._temperature, self._top_k, self._top_p, self._min_p, self._typical_p)
        for tensor in (*columns, self._penalties, self._streams, self._positions):
            tensor[target] = tensor[source]
        if _counts(self._params[target]):
            self._history.move(source, target)

    @torch.inference_mode()
    def sample(self, logits: Tensor, first: int = 0, allowed: Tensor | None = None) -> Draws:
        """Draw one token for each of slots first … first+b−1: logits (b, v) fp32, which stay as they are.

        Only ids in `allowed` (b, v) bool, at least one in each row, are drawn; None: any.
        """
        plan = self.plan(first, first + logits.shape[0])
        scores = logits if plan.penalized is None else self._penalize(logits, plan)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        ids = self._choose(scores, plan)
        positions = self._positions[plan.first : plan.stop]
        if plan.penalized is not None:
            rows = plan.penalized.rows
            self._history.push(plan.penalized.slots, ids[rows], positions[rows])
        positions.add_(1)
        # One number a row says whether all are finite: NaN and infinity survive a sum.
        return Draws(ids, logits.sum(-1).isfinite(), _logprobs(logits, ids, plan))

    def plan(self, first: int, stop: int) -> Plan:
        """What slots first … stop−1 need: the same object until one of them joins or moves."""
        if self._plan is None or (self._plan.first, self._plan.stop) != (first, stop):
            self._plan = self._make_plan(first, stop)
        return self._plan

    def _penalize(self, logits: Tensor, plan: Plan) -> Tensor:
        """Logits (b, v) with the penalties in force."""
        p, counts = plan.penalized, self._history.counts
        assert p is not None and counts is not None
        if len(p.rows) == len(logits):
            return filters.penalize(logits, counts[plan.first : plan.stop], p.repetition, p.presence, p.frequency)
        rows, counts = logits.index_select(0, p.rows), counts.index_select(0, p.slots)
        return logits.index_copy(0, p.rows, filters.penalize(rows, counts, p.repetition, p.presence, p.frequency))

    def _choose(self, scores: Tensor, plan: Plan) -> Tensor:
        """One id for each row of scores (b, v), each group of rows by its own route."""
        if all(group.route == "greedy" for group in plan.groups):
            return scores.argmax(-1)
        u = uniform(self._streams[plan.first : plan.stop], self._positions[plan.first : plan.stop], self._mass_dtype)
        ids = torch.empty(len(scores), dtype=torch.int64, device=scores.device)
        for group in plan.groups:
            if group.rows is None:
                return self._route(group, scores, u)
            ids[group.rows] = self._route(group, scores[group.rows], u[group.rows])
        return ids

    def _make_plan(self, first: int, stop: int) -> Plan:
        params = self._params[first:stop]
        routes = [_route_of(p) for p in params]
        groups = tuple(self._group(route, routes, first) for route in dict.fromkeys(routes))
        wanted = {row: p.logprobs for row, p in enumerate(params) if p.logprobs is not None}
        return Plan(first, stop, groups, self._penalized(params, first), self._index(wanted), wanted)

    def _penalized(self, params: Sequence[SamplingParams], first: int) -> Penalized | None:
        rows = self._index(row for row, p in enumerate(params) if _counts(p))
        if rows is None:
            return None
        slots = rows + first
        repetition, presence, frequency = self._penalties[slots].split(1, dim=-1)
        return Penalized(
            rows,
            slots,
            repetition,
            presence if any(p.presence_penalty for p in params) else None,
            frequency if any(p.frequency_penalty for p in params) else None,
        )

    def _index(self, rows: Iterable[int]) -> Tensor | None:
        rows = list(rows)
        return torch.tensor(rows, device=self._device) if rows else None

    def _group(self, route: Route, routes: Sequence[Route], first: int) -> Group:
        members = [row for row, other in enumerate(routes) if other == route]
        rows = None if len(members) == len(routes) else torch.tensor(members, device=self._device)
        if route == "greedy":
            return Group(route, rows)
        params = [self._params[first + row] for row in members]
        here = slice(first, first + len(routes)) if rows is None else rows + first
        settings = Settings(
            temperature=self._temperature[here],
            mass_dtype=self._mass_dtype,
            top_k=self._top_k[here] if route == "ranked" else None,
            top_p=self._top_p[here] if any(p.top_p < 1 for p in params) else None,
            min_p=self._min_p[here] if any(p.min_p > 0 for p in params) else None,
            typical_p=self._typical_p[here] if any(p.typical_p < 1 for p in params) else None,
            most=max(p.top_k for p in params),
        )
        return Group(route, rows, settings)

    def _route(self, group: Group, scores: Tensor, u: Tensor) -> Tensor:
        """scores (n, v), u (n) → ids (n)."""
        if group.settings is None:
            return scores.argmax(-1)
        if group.route == "whole" or not self._looks:
            return filters.choose_among_all(scores, group.settings, u)
        return filters.choose(scores, group.settings, u, _WIDTH)


def _to_host(tensor: Tensor) -> Tensor:
    return tensor.to("cpu", non_blocking=True, copy=True)  # into pinned memory; the next draw may overwrite its source


def _counts(params: SamplingParams) -> bool:
    """Whether the slot's history has an effect."""
    return params.penalized and params.repeat_last_n != 0


def _route_of(params: SamplingParams) -> Route:
    if params.temperature == 0:
        return "greedy"
    if params.top_k > 0:
        return "ranked"
    return "nucleus" if params.top_p < 1 or params.min_p > 0 else "whole"


def _logprobs(logits: Tensor, ids: Tensor, plan: Plan) -> Logprobs | None:
    """The model's own log-probabilities, before penalties, temperature and filters, for the rows that ask."""
    if plan.reporting is None:
        return None
    if len(plan.reporting) < len(logits):
        logits, ids = logits[plan.reporting], ids[plan.reporting]
    normalizer = logits.logsumexp(-1, keepdim=True)
    chosen = logits.gather(-1, ids[:, None]) - normalizer
    most = max(plan.wanted.values())
    best, best_ids = (t[:, :most] for t in filters.ranked(logits, _ALTERNATIVES if most else 0))
    return Logprobs(plan.wanted, chosen.squeeze(-1), best - normalizer, best_ids)
