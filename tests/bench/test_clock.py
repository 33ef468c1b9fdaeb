"""The clock stopped: a prompt's chunk takes 10 seconds, a step 1, and nothing else any. So every figure is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from falcon_cli import demo
from modeling import api
from modeling.bench import ceiling, reference, states, track, turns
from modeling.generation import answer, engine
from modeling.messages import ModelSpec
from modeling.models import LanguageModel
from modeling.timings import BenchCase, BenchResult, Ceiling, Conversation, Plan, StateResult, TurnResult


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def ticks(self, seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, which takes so long."""

        def slow(*args: Any, **kwargs: Any) -> Any:
            self.now += seconds
            return function(*args, **kwargs)

        return slow


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, ceiling: Ceiling) -> Clock:
    """In every room that reads one."""
    clock = Clock()
    for room in (track, turns, states, reference, answer, engine, api):
        monkeypatch.setattr(room, "perf_counter", clock)
    monkeypatch.setattr(LanguageModel, "prefill", clock.ticks(10.0, LanguageModel.prefill))
    monkeypatch.setattr(LanguageModel, "step", clock.ticks(1.0, LanguageModel.step))
    return clock


def measured(path: Path | str, plan: Plan, **options: Any) -> Iterator[Any]:
    spec = ModelSpec(str(path), device="cpu", dtype="float32", prefill_chunk=8)
    return api.measure(spec, plan, random_weights=True, **options)


@pytest.mark.parametrize("family", ["falcon_mamba", "falcon_h1"])
def test_each_test_is_timed_from_its_begin_to_its_end(family: str, small: dict[str, Path], clock: Clock) -> None:
    cases = {
        BenchCase(8): (10.0, 10.0),
        BenchCase(20): (30.0, 30.0),  # three chunks
        BenchCase(8, 0, batch=3): (30.0, 20.0),  # one after the other: 10, 20 and 30 of wait
        BenchCase(0, 5): (5.0, None),
        BenchCase(0, 5, batch=3): (5.0, None),
        BenchCase(8, 5): (15.0, 10.0),
        BenchCase(8, 0, 30): (10.0, 10.0),  # its past is not timed
        BenchCase(0, 5, 30): (5.0, None),
        BenchCase(8, 5, 30): (15.0, 10.0),
    }
    results = list(measured(small[family], Plan(tuple(cases), repetitions=2)))
    for result, (seconds, first) in zip(results, cases.values(), strict=True):
        assert isinstance(result, BenchResult)
        assert (result.seconds, result.first_token) == ((seconds, seconds), first), result.test
        assert result.gaps == (1.0,) * (2 * result.case.n_gen)
        assert result.mean_rate == result.case.tokens / seconds and result.spread_rate == 0.0


@pytest.mark.parametrize("family", ["falcon_mamba", "falcon_h1"])
def test_a_turn_waits_for_its_own_tokens_or_for_all(family: str, small: dict[str, Path], clock: Clock) -> None:
    told: list[str] = []
    plan = Plan(conversation=Conversation(4, reads=7, writes=9), repetitions=3)
    for number, result in enumerate(measured(small[family], plan, began=told.append)):
        assert isinstance(result, TurnResult)
        assert (result.turn, result.depth, result.reads) == (number + 1, 16 * number, 7)
        assert result.seconds == (10.0,) * 3  # one chunk: its own tokens, and the one that ended the last answer
        chunks = -(-(16 * number + 7) // 8)
        assert result.again == (10.0 * chunks,) * 3 and result.saving == chunks
    assert told == ["turn 1", "turn 2", "turn 3", "turn 4"]


@pytest.mark.parametrize("family", ["falcon_mamba", "falcon_h1"])
def test_a_state_comes_back_as_it_was(family: str, small: dict[str, Path], ceiling: Ceiling) -> None:
    plan = Plan(states=(0, 300), repetitions=2)
    results = list(measured(small[family], plan))
    assert [result.test for result in results] == [
        f"{operation} @ d{depth}" for depth in (1, 300) for operation in ("snapshot", "restore", "fork", "save", "load")
    ]
    for result in results:
        assert isinstance(result, StateResult)
        info = result.setup.info
        empty = info.state_bytes // 2  # the engine has two slots
        assert len(result.seconds) == 2 and min(result.seconds) > 0
        whole = empty + result.depth * info.token_bytes
        if result.operation in ("save", "load"):  # a header, ids and checksums more
            assert whole + 4 * result.depth < result.bytes < whole + 4 * result.depth + 10_000
            assert result.moved == result.bytes
        else:  # keys and values are shared, and no rate is to count them
            assert (result.bytes, result.moved) == (whole, empty)
            assert result.bytes_per_second == empty / result.mean_seconds


def test_what_a_disk_lacks_is_told(small: dict[str, Path], ceiling: Ceiling, monkeypatch: pytest.MonkeyPatch) -> None:
    from modeling.errors import WriteFailed

    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(states, "TemporaryDirectory", full)
    with pytest.raises(WriteFailed, match="No space left on device"):
        list(measured(small["falcon_mamba"], Plan(states=(3,))))


def test_nothing_is_timed_before_the_device_has_done_its_work(
    small: dict[str, Path], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that is behind by 5 seconds until somebody waits for it."""
    waited: list[torch.device] = []

    def settle(device: torch.device) -> None:
        waited.append(device)
        clock.now += 5.0

    monkeypatch.setattr(states, "settle", settle)
    results = list(measured(small["falcon_mamba"], Plan(states=(3,), repetitions=1)))
    assert [result.seconds for result in results] == [(5.0,)] * 5 and len(waited) == 20
    assert ceiling.settle(torch.device("cpu")) is None


def test_load_time_is_that_of_the_load(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_load", clock.ticks(7.0, api._load))
    spec = ModelSpec(demo.resolve("demo"), device="cpu", dtype="float32")
    (result,) = api.measure(spec, Plan((BenchCase(3),), repetitions=1))
    assert result.setup.load_seconds == 7.0
