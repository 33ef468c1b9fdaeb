"""Measuring: every test goes through the engine with the tokens it says, and the figures fit what went through."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_cli import demo
from modeling import api
from modeling.bench.subject import Numbers
from modeling.bench.track import Track
from modeling.errors import ContextExceeded, InvalidRequest, MemoryExceeded
from modeling.generation.engine import Engine
from modeling.generation.runner import Runner
from modeling.messages import Finished, ModelSpec, Request, SamplingParams, Stats
from modeling.roofline import roofline
from modeling.state import ModelState
from modeling.timings import BenchCase, BenchResult, Ceiling, Conversation, Plan, quantile

CASES = [
    BenchCase(n_prompt=5),
    BenchCase(n_gen=3),
    BenchCase(4, 2),
    BenchCase(n_prompt=5, depth=7),
    BenchCase(n_gen=3, depth=7),
    BenchCase(4, 2, depth=7),
    BenchCase(n_prompt=2, depth=1),
    BenchCase(n_prompt=5, batch=3),
    BenchCase(n_gen=3, batch=3),
    BenchCase(n_gen=3, depth=300, batch=3),
]


def spec(name: str | Path, **settings: Any) -> ModelSpec:
    return ModelSpec(demo.resolve(str(name)), device="cpu", **settings)


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[Stats]:
    """The stats of every request that the engine has served."""
    seen: list[Stats] = []
    run = Engine.run

    def watched(self: Engine) -> Iterator[tuple[int, Any]]:
        for request, event in run(self):
            if isinstance(event, Finished):
                seen.append(event.stats)
            yield request, event

    monkeypatch.setattr(Engine, "run", watched)
    return seen


@pytest.mark.parametrize("family", ["falcon_mamba", "falcon_h1"])
def test_each_test_reads_and_writes_what_it_says(
    family: str, small: dict[str, Path], ceiling: Ceiling, finished: list[Stats]
) -> None:
    told: list[str] = []
    results = []
    plan = Plan(tuple(CASES), repetitions=2)
    for result in api.measure(spec(small[family]), plan, random_weights=True, began=told.append):
        assert isinstance(result, BenchResult)
        case = result.case
        served, finished[:] = list(finished), []
        assert len(served) == 3 * case.batch  # a warm-up and two repetitions
        for stats in served:
            kept = max(case.depth - 1, 0)
            assert (stats.prompt_tokens, stats.reused_tokens) == (case.before, kept)
            # writing begins with one token, and one more keeps the slots full while the clock runs
            assert stats.completion_tokens == (case.n_gen + 2 if case.n_gen else 1)
        results.append(result)
        _figures_are_sound(result, ceiling)
    assert [result.case for result in results] == CASES and told == [case.label for case in CASES]


def _figures_are_sound(result: BenchResult, ceiling: Ceiling) -> None:
    case = result.case
    assert len(result.seconds) == 2 and min(result.seconds) > 0
    assert result.mean_rate == pytest.approx(sum(case.tokens / seconds for seconds in result.seconds) / 2)
    assert (result.first_token is not None) == (case.n_prompt > 0)
    assert len(result.gaps) == 2 * case.n_gen
    if result.gaps and not case.n_prompt:
        assert [*result.gaps] == sorted(result.gaps) and result.gaps[-1] <= max(result.seconds)
        assert min(result.seconds) <= case.n_gen * result.gaps[-1]
    if result.first_token is not None and case.batch == 1 and not case.n_gen:
        assert result.first_token == pytest.approx(result.mean_seconds)
    if result.first_token is not None and case.batch > 1:  # the last of them waits for all
        assert result.first_token < result.mean_seconds
    assert result.floor == pytest.approx(max(result.bytes / ceiling.read, result.flops / ceiling.multiply), rel=0.3)
    assert result.share == pytest.approx(result.floor / result.mean_seconds)  # type: ignore[operator]
    assert (
        result.state_bytes
        == result.setup.info.state_bytes + case.batch * (case.before + case.n_gen) * result.setup.info.token_bytes
    )
    assert result.setup.random_weights and result.setup.ceiling is ceiling


def test_the_embedded_checkpoint_is_measured_as_it_answers(ceiling: Ceiling) -> None:
    plan = Plan((BenchCase(3, 2),), repetitions=1)
    (result,) = api.measure(spec("demo-h1", dtype="float32"), plan, sampling={"top_k": 7})
    assert isinstance(result, BenchResult)
    setup = result.setup
    assert (setup.info.dtype, setup.info.family, setup.random_weights) == ("float32", "falcon_h1", False)
    assert (setup.sampling.temperature, setup.sampling.top_k) == (0.0, 7)  # what is not said is the checkpoint's
    assert result.spread_rate == 0.0 and setup.load_seconds > 0
    assert result.peak_bytes is None or result.peak_bytes > setup.info.weights_bytes


def test_what_fits_the_cache_has_no_floor_for_writing(small: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    large = Ceiling("abacus", "bfloat16", 1e9, 1e9, 1 << 40, "torch")
    monkeypatch.setattr(api, "measure_ceiling", lambda device, dtype: large)
    plan = Plan((BenchCase(n_gen=1), BenchCase(n_prompt=2)), repetitions=1)
    writing, reading = api.measure(spec(small["falcon_mamba"]), plan, random_weights=True)
    assert isinstance(writing, BenchResult) and isinstance(reading, BenchResult)
    assert writing.floor is writing.share is None
    assert reading.floor == reading.flops / 1e9


def test_the_floor_counts_the_loaded_tensors(small: dict[str, Path], ceiling: Ceiling) -> None:
    model = api.random_language_model(spec(small["falcon_h1"], dtype="float32"))
    plan = Plan((BenchCase(n_gen=1, depth=9),), repetitions=1)
    (result,) = api.measure(spec(small["falcon_h1"], dtype="float32"), plan, random_weights=True)
    assert isinstance(result, BenchResult)
    read = sum(weight.nbytes for name, weight in model.named_parameters() if "embed_tokens" not in name)
    assert result.bytes == read + 2 * model.state_bytes(0) + 10 * (model.state_bytes(1) - model.state_bytes(0))
    assert result.bytes == roofline(model.config, 4).decode(1, 1, 9).bytes


def test_sequences_at_a_depth_have_the_same_past_and_no_page_in_common(small: dict[str, Path]) -> None:
    model = api.random_language_model(spec(small["falcon_h1"], dtype="float32"))

    def engine(slots: int, context: int) -> Engine:
        return Engine(Runner(model, slots, 64, context), Numbers, ())

    subject: Any = type("Subject", (), {"engine": staticmethod(engine), "model": model, "sampling": SamplingParams()})
    track = Track(subject, 3, 600, 700)
    state = track.engine.runner.state
    assert isinstance(state, ModelState)
    pages = [set(start.pages) for start in track._starts]  # type: ignore[union-attr]
    assert all(len(of) == 3 for of in pages) and len(set.union(*pages)) == 9
    own = SamplingParams(max_tokens=4, temperature=0.0)
    requests = [track.engine.submit(Request(track.ids[:600], own), start=start) for start in track._starts]
    ends = {request: event for request, event in track.engine.run() if isinstance(event, Finished)}
    alone = [e for e in engine(1, 700).generate(Request(track.ids[:600], own)) if isinstance(e, Finished)]
    assert {ends[request].token_ids for request in requests} == {alone[0].token_ids}


def test_what_cannot_be_measured_is_told_before_anything_is_loaded(
    small: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "random_model", lambda *args, **named: pytest.fail("loaded"))
    path = small["falcon_h1"]
    with pytest.raises(ContextExceeded, match="tg8 @ d262144 needs 262154 positions, and the model has 262144"):
        next(api.measure(spec(path), Plan((BenchCase(n_gen=8, depth=262144),)), random_weights=True))
    with pytest.raises(InvalidRequest, match="a batch of 8"):
        next(api.measure(spec(path, prefill_chunk=4), Plan((BenchCase(n_gen=8, batch=8),)), random_weights=True))
    with pytest.raises(ContextExceeded, match="a conversation of 9999 turns needs 1279872 positions"):
        next(api.measure(spec(path), Plan(conversation=Conversation(9999)), random_weights=True))
    with pytest.raises(ContextExceeded, match="a state of 262143 tokens"):
        next(api.measure(spec(path), Plan(states=(1, 262143)), random_weights=True))
    endless = small["falcon_mamba"]
    for plan in (
        Plan((BenchCase(n_prompt=10**11),)), Plan((BenchCase(n_gen=10**11),)), Plan((BenchCase(n_gen=1, depth=10**11),)),
        Plan(states=(10**11,)),
    ):  # fmt: skip
        with pytest.raises(MemoryExceeded, match="the ids of 1000000000"):
            next(api.measure(spec(endless), plan, random_weights=True))
    for numbers in (
        {},
        {"n_gen": -1, "n_prompt": 5},
        {"n_gen": 1, "batch": 0},
        {"n_prompt": 1, "n_gen": 1, "depth": 1, "batch": 2},
    ):
        with pytest.raises(InvalidRequest):
            BenchCase(**numbers)


def test_an_interrupt_leaves_what_was_measured(small: dict[str, Path], ceiling: Ceiling) -> None:
    def began(what: str) -> None:
        if what == "tg2":
            raise KeyboardInterrupt

    plan = Plan((BenchCase(n_prompt=2), BenchCase(n_gen=2)), repetitions=1)
    results = api.measure(spec(small["falcon_mamba"]), plan, random_weights=True, began=began)
    assert next(results).test == "pp2"
    with pytest.raises(KeyboardInterrupt):
        next(results)


def test_quantiles_lie_between_their_neighbours() -> None:
    values = sorted(random.Random(3).random() for _ in range(11))
    assert quantile(values, 0.5) == values[5]
    assert quantile([1.0, 2.0], 0.25) == 1.25
    assert quantile([7.0], 0.99) == 7.0
