"""Each filter keeps what transformers keeps, whatever rung of the ladder finds it; the draw follows what was kept."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from modeling.generation import filters
from modeling.generation.filters import Settings

V = 1000
LOOKS = [4, 64, 500]
WHOLE = ["sorting", "buckets"]


@dataclass(frozen=True)
class Case:
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0

    @property
    def nucleus(self) -> bool:
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0


def settings(*cases: Case) -> Settings:
    def column(name: str, dtype: torch.dtype, off: float) -> Tensor | None:
        values = [[getattr(case, name)] for case in cases]
        return None if all(value == off for (value,) in values) else torch.tensor(values, dtype=dtype)

    return Settings(
        temperature=torch.tensor([[case.temperature] for case in cases]),
        mass_dtype=torch.float64,
        top_k=column("top_k", torch.int64, 0),
        top_p=column("top_p", torch.float64, 1),
        min_p=column("min_p", torch.float64, 0),
        typical_p=column("typical_p", torch.float64, 1),
        most=max(case.top_k for case in cases),
    )


@pytest.fixture(params=WHOLE)
def whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to find the nearest tokens of a whole row, whatever its length."""
    way: str = request.param
    monkeypatch.setattr(filters, "_SORTABLE", 0 if way == "buckets" else 10**9)
    return way


def kept_by_transformers(logits: Tensor, case: Case) -> Tensor:
    """Scores (v) after transformers' warpers, in its order; −inf where filtered out."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(case.temperature)] if case.temperature != 1 else [])
    if case.top_k:
        warpers.append(TopKLogitsWarper(case.top_k))
    if case.top_p < 1:
        warpers.append(TopPLogitsWarper(case.top_p))
    if case.min_p > 0:
        warpers.append(MinPLogitsWarper(case.min_p))
    if case.typical_p < 1:
        warpers.append(TypicalLogitsWarper(case.typical_p))
    return warpers(torch.zeros(1, 1, dtype=torch.int64), logits[None].clone())[0]


def kept_by_us(logits: Tensor, case: Case) -> Tensor:
    """Weights (v) of the kept tokens, as `choose_among_all` finds them."""
    s = settings(case)
    scaled, weights = filters.weigh(logits[None], logits.max(), s)
    weights = filters.keep_front(scaled, filters.keep_by_rank(logits[None], weights, s), s)
    return filters.keep_typical(scaled, weights, s)[0]


def random_case(rng: random.Random) -> Case:
    def sometimes(value: Any, off: Any) -> Any:
        return value if rng.random() < 0.5 else off

    return Case(
        temperature=rng.choice([0.3, 0.7, 1.0, 1.7, 5.0]),
        top_k=sometimes(rng.choice([1, 2, 3, 40, 63, 64, 65, 500, V]), 0),
        top_p=sometimes(rng.choice([0.01, 0.2, 0.5, 0.9, 0.95, 0.999]), 1.0),
        min_p=sometimes(rng.choice([0.001, 0.02, 0.1, 0.5]), 0.0),
        typical_p=sometimes(rng.choice([0.1, 0.5, 0.9, 0.99]), 1.0),
    )


SINGLES = (
    [Case(top_k=k) for k in (1, 2, 50, V)]
    + [Case(top_p=p) for p in (0.05, 0.5, 0.9, 0.99)]
    + [Case(min_p=p) for p in (0.001, 0.1, 0.9)]
    + [Case(typical_p=p) for p in (0.05, 0.5, 0.9, 0.99)]
    + [Case(temperature=t) for t in (0.01, 0.5, 3.0)]
)


@pytest.mark.usefixtures("whole")
def test_kept_set_equals_transformers() -> None:
    rng = random.Random(0)
    torch.manual_seed(0)
    for case in [*SINGLES, *(random_case(rng) for _ in range(150))]:
        for spread in (0.5, 3.0, 40.0):  # flat, like a language model, far beyond the range of the buckets
            logits = torch.randn(V) * spread
            theirs, ours = kept_by_transformers(logits, case), kept_by_us(logits, case)
            # A token whose weight underflows can never be drawn: whether it counts as kept is all the same.
            assert torch.equal(ours > 0, (theirs > -torch.inf) & (theirs.softmax(-1) > 0)), case
            torch.testing.assert_close(ours / ours.sum(), theirs.softmax(-1), rtol=1e-4, atol=1e-9)


@pytest.mark.usefixtures("whole")
def test_kept_values_equal_transformers_among_ties() -> None:
    """With few distinct logits (as bf16 gives) the kept *values* agree. top-p may cut a tie: it keeps the lowest ids."""
    rng = random.Random(1)
    generator = torch.Generator().manual_seed(1)
    for _ in range(300):
        logits = torch.randint(-3, 4, (60,), generator=generator).float()
        case = random_case(rng)
        theirs = kept_by_transformers(logits, case)
        ours = kept_by_us(logits, case) > 0
        assert torch.equal(logits[ours].sort().values, logits[theirs > -torch.inf].sort().values), case
        if case.typical_p == 1:
            tied = ours[logits == logits[ours].min()]
            assert torch.equal(tied, tied.sort(descending=True).values)


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("case", [Case(top_p=0.0), Case(top_k=1), Case(typical_p=0.0), Case(min_p=1.0)], ids=str)
def test_the_narrowest_setting_keeps_exactly_one(case: Case) -> None:
    logits = torch.linspace(-3, 3, V)[torch.randperm(V, generator=torch.Generator().manual_seed(2))]
    kept = kept_by_us(logits, case) > 0
    assert kept.sum() == 1
    if case.typical_p == 1:
        assert kept.nonzero().item() == logits.argmax()


@pytest.mark.usefixtures("whole")
def test_top_p_zero_keeps_the_lowest_id_of_equal_logits() -> None:
    assert kept_by_us(torch.zeros(V), Case(top_p=0.0)).nonzero().tolist() == [[0]]


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("name", ["top_p", "typical_p"])
def test_a_filter_that_is_off_keeps_what_sums_round_away(name: str) -> None:
    """A row without the filter, beside one with it: its tail weighs e⁻⁴⁰, which fp64 cannot add to 1."""
    logits = torch.full((2, V), -40.0).index_fill(1, torch.tensor([5]), 0.0)
    scaled, weights = filters.weigh(logits, torch.zeros(2, 1), s := settings(Case(**{name: 0.5}), Case()))
    kept = filters.keep_typical(scaled, filters.keep_front(scaled, weights, s), s) > 0
    assert kept.sum(-1).tolist() == [1, V]


def test_ranking_breaks_ties_by_id() -> None:
    values = torch.tensor([[1.0, 2.0, 1.0, 2.0, 2.0, 0.0]])
    for width, certain in ((4, 3), (6, 6), (100, 6)):  # at a width of 4 either of the two ones may be the last
        best, ids = filters.ranked(values, width)
        assert ids[0, :certain].tolist() == [1, 3, 4, 0, 2, 5][:certain]
        assert best[0].tolist() == [2, 2, 2, 1, 1, 0][: min(width, 6)]


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("ranked", [True, False])
def test_a_look_at_the_best_chooses_what_the_whole_row_does_beside_any_neighbour(ranked: bool) -> None:
    rng = random.Random(3)
    torch.manual_seed(3)
    cases = [case for case in (random_case(rng) for _ in range(250)) if case.nucleus and (case.top_k > 0) == ranked]
    logits = torch.randn(len(cases), V) * torch.tensor([[rng.choice([0.2, 1.0, 4.0])] for _ in cases])
    logits[::2] = (logits[::2] * 4).round() / 4  # ties
    u = torch.rand(len(cases), dtype=torch.float64)
    alone = [filters.choose_among_all(logits[i : i + 1], settings(case), u[i : i + 1]).item() for i, case in enumerate(cases)]
    for width in LOOKS:
        assert filters.choose(logits, settings(*cases), u, width).tolist() == alone
    assert filters.choose_among_all(logits, settings(*cases), u).tolist() == alone


def test_a_row_within_sight_is_not_looked_at_in_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(2, V, generator=torch.Generator().manual_seed(8)) * 3
    u = torch.rand(2, dtype=torch.float64)
    monkeypatch.setattr(filters, "choose_among_all", None)
    for case in (Case(top_k=40), Case(top_k=40, top_p=0.9), Case(top_p=0.5), Case(min_p=0.1)):
        filters.choose(logits, settings(case, case), u, 128)
    with pytest.raises(TypeError):
        filters.choose(logits[:1], settings(Case(top_k=128)), u[:1], 128)


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case(temperature=2.0),
        Case(top_k=7, temperature=0.8),
        Case(top_p=0.8),
        Case(min_p=0.1, top_p=0.95),
        Case(typical_p=0.6),
        Case(typical_p=0.6, top_k=12),
    ],
    ids=str,
)
def test_draws_follow_the_filtered_distribution(case: Case) -> None:
    v, n = 40, 20_000
    logits = torch.randn(v, generator=torch.Generator().manual_seed(4)) * 1.5
    expected = kept_by_transformers(logits, case).softmax(-1).double() * n
    u = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    s = settings(case).rows(torch.zeros(n, dtype=torch.int64))
    rows = logits.expand(n, v)
    drawn = filters.choose(rows, s, u, 8) if case.nucleus else filters.choose_among_all(rows, s, u)
    counts = drawn.bincount(minlength=v)
    assert counts[expected == 0].sum() == 0
    likely = expected >= 5
    chi2 = ((counts - expected)[likely] ** 2 / expected[likely]).sum().item()
    freedom = int(likely.sum()) - 1
    assert chi2 < freedom + 4 * (2 * max(freedom, 1)) ** 0.5 + 4


def test_the_draw_never_takes_a_token_without_weight() -> None:
    largest = 1 - 2.0**-53
    u = torch.tensor([0.0, 2.0**-53, 0.3, 0.5, largest], dtype=torch.float64)
    generator = torch.Generator().manual_seed(6)
    for _ in range(200):
        weights = torch.rand(len(u), 50, generator=generator) * (torch.rand(len(u), 50, generator=generator) < 0.2)
        weights *= 10.0 ** torch.randint(-30, 1, weights.shape, generator=generator)
        weights[:, 25] = 1.0
        index = filters.draw(weights, u)
        assert (weights.gather(-1, index) > 0).all()
    one_hot = torch.zeros(5, 50).index_fill(1, torch.tensor([49]), 1.0)
    assert filters.draw(one_hot, u).squeeze(-1).tolist() == [49] * 5


def test_the_draw_inverts_the_cumulative_distribution() -> None:
    weights = torch.tensor([[1.0, 0.0, 2.0, 1.0]])
    for u, expected in [(0.0, 0), (0.2499, 0), (0.25, 2), (0.7499, 2), (0.75, 3), (0.9999, 3)]:
        assert filters.draw(weights, torch.tensor([u], dtype=torch.float64)).item() == expected


def test_extreme_temperatures_stay_finite() -> None:
    logits = torch.tensor([[900.0, -1e4, 899.0, 1e4]])
    u = torch.tensor([0.999], dtype=torch.float64)
    for temperature in (filters.COLDEST, 1e-6, 100.0):
        for case in (Case(temperature), Case(temperature, top_p=0.9), Case(temperature, typical_p=0.9)):
            assert filters.choose_among_all(logits, settings(case), u).item() == 3
            assert not case.nucleus or filters.choose(logits, settings(case), u, 2).item() == 3


def test_repetition_penalty_equals_transformers() -> None:
    torch.manual_seed(7)
    logits = torch.randn(1, V)
    ids = torch.randint(V, (1, 300))
    counts = torch.bincount(ids[0], minlength=V)[None].int()
    for penalty in (0.5, 1.1, 1.3, 8.0):
        theirs = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
        assert torch.equal(filters.penalize(logits, counts, torch.tensor([[penalty]])), theirs)


def test_presence_is_subtracted_once_and_frequency_each_time() -> None:
    logits = torch.tensor([[1.0, -1.0, 3.0]])
    counts = torch.tensor([[0, 1, 3]], dtype=torch.int32)
    out = filters.penalize(logits, counts, torch.ones(1, 1), torch.tensor([[0.5]]), torch.tensor([[0.25]]))
    assert out.tolist() == [[1.0, -1.75, 1.75]]
