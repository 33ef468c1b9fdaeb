"""The sampler: parameters by slot, penalties over a window, draws that depend on (seed, sample index, position) alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from modeling.generation.sampling import Draw, Sampler
from modeling.messages import SamplingParams

V = 500
CPU = torch.device("cpu")


def logits_for(*key: int, v: int = V) -> Tensor:
    """Logits (v) that depend on a row's own past only."""
    return torch.randn(v, generator=torch.Generator().manual_seed(hash(key) % 2**31)) * 2


def random_params(rng: random.Random) -> SamplingParams:
    def sometimes(value: float, off: float) -> float:
        return value if rng.random() < 0.4 else off

    return SamplingParams(
        temperature=rng.choice([0.0, 0.7, 1.0, 1.5]),
        top_k=int(sometimes(rng.choice([1, 20, 300, V, 10**6]), 0)),
        top_p=sometimes(rng.choice([0.0, 0.5, 0.95]), 1.0),
        min_p=sometimes(0.05, 0.0),
        typical_p=sometimes(rng.choice([0.2, 0.9]), 1.0),
        repetition_penalty=sometimes(1.3, 1.0),
        presence_penalty=sometimes(0.5, 0.0),
        frequency_penalty=sometimes(0.3, 0.0),
        repeat_last_n=rng.choice([-1, 0, 1, 5, 64]),
        seed=rng.randrange(1000),
        logprobs=rng.choice([None, 0, 3]),
    )


def solo(params: SamplingParams, prompt: Sequence[int], key: int, count: int) -> list[Draw]:
    """A row by itself, in a sampler of one slot."""
    sampler = Sampler(1, V, CPU)
    sampler.join(0, params, prompt)
    past, draws = list(prompt), []
    for _ in range(count):
        draws += sampler.sample(logits_for(key, *past)[None]).fetch()
        past.append(draws[-1].id)
    return draws


def penalized_reference(logits: Tensor, params: SamplingParams, past: Sequence[int]) -> Tensor:
    """The definition, in a loop over tokens."""
    window = list(past) if params.repeat_last_n < 0 else list(past)[max(0, len(past) - params.repeat_last_n) :]
    out = logits.clone()
    for id, count in Counter(window).items():
        out[id] = out[id] * params.repetition_penalty if out[id] < 0 else out[id] / params.repetition_penalty
        out[id] -= params.presence_penalty + params.frequency_penalty * count
    return out


@pytest.mark.parametrize("window", [-1, 0, 1, 2, 7, 1000])
def test_penalties_count_over_the_window_of_prompt_and_answer(window: int) -> None:
    params = SamplingParams(
        temperature=0, repetition_penalty=1.01, presence_penalty=0.4, frequency_penalty=0.3, repeat_last_n=window
    )
    sampler = Sampler(2, V, CPU)
    past = [3, 3, 7, 1, 3, 9, 9, 2, 4, 3]
    sampler.join(1, params, past)
    repeats = 0
    for step in range(60):
        logits = torch.linspace(30, -30, V).roll(step % 3)  # penalties decide which of the first few ids comes next
        id = sampler.sample(logits[None], 1).fetch()[0].id
        assert id == penalized_reference(logits, params, past).argmax()
        repeats += id in past
        past.append(id)
    assert repeats > 0


def test_a_longer_window_that_joins_later_leaves_the_shorter_one_alone() -> None:
    short, long = (SamplingParams(temperature=0, frequency_penalty=1.0, repeat_last_n=n) for n in (3, 50))
    sampler = Sampler(2, V, CPU)
    pasts = [[1, 2, 3, 4, 5], [6, 7]]
    sampler.join(0, short, pasts[0])
    for step in range(40):
        if step == 5:
            sampler.join(1, long, pasts[1])
        rows = pasts if step >= 5 else pasts[:1]
        logits = torch.linspace(4, 0, V).expand(len(rows), V)
        for past, params, draw in zip(rows, (short, long), sampler.sample(logits).fetch(), strict=False):
            assert draw.id == penalized_reference(logits[0], params, past).argmax()
            past.append(draw.id)


def test_a_slot_taken_again_starts_with_a_clean_history() -> None:
    params = SamplingParams(temperature=0, presence_penalty=100.0, repeat_last_n=4)
    sampler = Sampler(1, V, CPU)
    logits = torch.linspace(3, 0, V)[None]
    sampler.join(0, params, [0, 1, 2, 3])
    assert [sampler.sample(logits).fetch()[0].id for _ in range(5)] == [4, 0, 1, 2, 3]
    sampler.join(0, params, [5])
    assert sampler.sample(logits).fetch()[0].id == 0


def test_nobody_penalized_allocates_no_counts() -> None:
    sampler = Sampler(2, V, CPU)
    for slot, params in enumerate([SamplingParams(), SamplingParams(repetition_penalty=1.2, repeat_last_n=0)]):
        sampler.join(slot, params, [1, 2])
    sampler.sample(torch.zeros(2, V))
    assert sampler._history.counts is None


@pytest.mark.parametrize(
    "filters",
    [{}, {"top_k": 5}, {"top_p": 0.3}, {"min_p": 0.5}, {"typical_p": 0.1}, {"top_k": 3, "top_p": 0.1, "typical_p": 0.2}],
)
def test_temperature_zero_is_argmax_whatever_the_filters(filters: dict[str, float]) -> None:
    sampler = Sampler(1, V, CPU)
    sampler.join(0, SamplingParams(temperature=0, seed=9, **filters), [1])  # type: ignore[arg-type]
    for step in range(20):
        logits = logits_for(step).round()  # rounded: many equal maxima, of which the lowest id is right
        expected = int((logits == logits.max()).nonzero()[0])
        assert sampler.sample(logits[None]).fetch()[0].id == expected


@pytest.mark.promise
def test_a_row_does_not_depend_on_its_neighbours_nor_on_its_slot() -> None:
    """Rows with random parameters join, move into holes and leave; each draws exactly what it draws alone, logprobs
    included."""
    for seed in range(6):
        rng = random.Random(seed)
        slots, length = 5, 12
        sampler = Sampler(slots, V, CPU)
        rows: list[tuple[int, SamplingParams, list[int], list[Draw]]] = []
        finished = []
        for key in range(25):
            while len(rows) == slots or (rows and rng.random() < 0.6):
                logits = torch.stack([logits_for(k, *past) for k, _, past, _ in rows])
                for (_, _, past, draws), draw in zip(rows, sampler.sample(logits).fetch(), strict=True):
                    past.append(draw.id)
                    draws.append(draw)
                for slot in reversed(range(len(rows))):
                    if len(rows[slot][3]) == length:
                        finished.append(rows[slot])
                        last = rows.pop()
                        if slot < len(rows):
                            sampler.move(len(rows), slot)
                            rows[slot] = last
            params, prompt = random_params(rng), [rng.randrange(V) for _ in range(rng.randrange(1, 30))]
            sampler.join(len(rows), params, prompt)
            rows.append((key, params, prompt, []))
        assert len(finished) > 15
        for key, params, past, draws in finished:
            alone = solo(params, past[:-length], key, length)
            assert [draw.id for draw in alone] == past[-length:], params
            for one, other in zip(alone, draws, strict=True):
                assert one.logprob == pytest.approx(other.logprob, abs=1e-5)
                assert [id for id, _ in one.alternatives] == [id for id, _ in other.alternatives]


def draws_at(positions: Sequence[int], **params: int) -> list[int]:
    ids = []
    for position in positions:
        sampler = Sampler(1, V, CPU)
        sampler.join(0, SamplingParams(**params), [0] * position)  # type: ignore[arg-type]
        ids.append(sampler.sample(torch.zeros(1, V)).fetch()[0].id)
    return ids


def test_a_draw_is_a_function_of_seed_sample_index_and_position() -> None:
    sampler = Sampler(1, V, CPU)
    sampler.join(0, SamplingParams(seed=4), [0] * 10)
    onwards = [sampler.sample(torch.zeros(1, V)).fetch()[0].id for _ in range(20)]
    assert draws_at(range(10, 30), seed=4) == onwards, "a position reached by drawing or by a prompt is the same position"
    assert draws_at(range(10, 30), seed=5) != onwards
    assert draws_at(range(10, 30), seed=4, sample_index=1) != onwards
    assert len(set(onwards)) > 10


def test_logprobs_are_the_models_own() -> None:
    """Temperature, filters and penalties change what is drawn, not what is reported."""
    sampler = Sampler(3, V, CPU)
    sampler.join(0, SamplingParams(temperature=0.2, top_k=3, repetition_penalty=2.0, logprobs=4), [1, 2])
    sampler.join(1, SamplingParams(logprobs=0), [1])
    sampler.join(2, SamplingParams(), [1])
    logits = torch.stack([logits_for(row) for row in range(3)])
    first, second, third = sampler.sample(logits).fetch()
    expected = logits.log_softmax(-1)
    assert first.logprob == pytest.approx(expected[0, first.id].item(), abs=1e-5)
    values, ids = expected[0].topk(4)
    assert [id for id, _ in first.alternatives] == ids.tolist()
    assert [value for _, value in first.alternatives] == pytest.approx(values.tolist(), abs=1e-5)
    assert second.logprob == pytest.approx(expected[1, second.id].item(), abs=1e-5) and second.alternatives == ()
    assert third.logprob is None


def test_more_alternatives_than_tokens() -> None:
    sampler = Sampler(1, 5, CPU)
    sampler.join(0, SamplingParams(logprobs=20), [1])
    assert len(sampler.sample(torch.zeros(1, 5)).fetch()[0].alternatives) == 5


@pytest.mark.promise
@pytest.mark.parametrize("v", [V, 5000])
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("params", [{"temperature": 0.0}, {}, {"top_k": 9}, {"top_p": 0.9}, {"typical_p": 0.5}, {"min_p": 0.1}])
def test_a_number_that_is_none_is_noticed_in_its_row_only(poison: float, params: dict[str, float], v: int) -> None:
    def sample() -> list[Draw]:
        sampler = Sampler(3, v, CPU)
        for slot in range(3):
            sampler.join(slot, SamplingParams(logprobs=2, repetition_penalty=1.1, **params), [1, 2])  # type: ignore[arg-type]
        return sampler.sample(logits).fetch()

    logits = torch.stack([logits_for(row, v=v) for row in range(3)])
    healthy = sample()
    logits[1, 123] = poison
    draws = sample()
    assert [draw.finite for draw in draws] == [True, False, True]
    assert draws[0] == healthy[0] and draws[2] == healthy[2]
    assert 0 <= draws[1].id < v


def test_logits_stay_as_they_are() -> None:
    sampler = Sampler(2, V, CPU)
    sampler.join(0, SamplingParams(top_p=0.9, repetition_penalty=1.5, temperature=0.5), [1])
    sampler.join(1, SamplingParams(temperature=0.5), [1])
    logits = torch.stack([logits_for(0), logits_for(1)])
    before = logits.clone()
    sampler.sample(logits)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 100.0])
def test_the_edges_of_the_allowed_ranges_work(temperature: float, seed: int) -> None:
    sampler = Sampler(1, V, CPU)
    params = SamplingParams(
        temperature=temperature, top_k=10**18, top_p=0.5, seed=seed, sample_index=2**31 - 1, repeat_last_n=10**18
    )
    sampler.join(0, params, [1])
    draw = sampler.sample(logits_for(1)[None]).fetch()[0]
    assert draw.finite and (temperature > 1 or draw.id == logits_for(1).argmax())
    sampler.join(0, SamplingParams(temperature=1, frequency_penalty=1.0, repeat_last_n=10**18), [1, 2])
    sampler.sample(logits_for(1)[None])
