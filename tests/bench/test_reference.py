"""Against transformers: the same weights, the same text, in turn; and what keeps it from running is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from falcon_cli import demo
from modeling import api
from modeling.bench.cases import measure_cases
from modeling.bench.reference import Reference
from modeling.bench.track import Sample, random_ids
from modeling.errors import DeviceUnavailable, InvalidRequest
from modeling.messages import ModelSpec
from modeling.timings import BenchCase, BenchResult, Ceiling, Plan

FAMILIES = ["demo", "demo-h1"]


def spec(name: str) -> ModelSpec:
    return ModelSpec(demo.resolve(name), device="cpu", dtype="float32")


@pytest.mark.parametrize("name", FAMILIES)
def test_it_has_our_very_weights_and_chooses_our_tokens(name: str, ceiling: Ceiling) -> None:
    model = api.open_language_model(spec(name))
    theirs = Reference(model, Path(spec(name).name))
    assert theirs.name.startswith("transformers 5")
    own = {id(weight) for weight in model.parameters()}
    assert {id(weight) for weight in theirs._model.parameters()} == own  # not a copy of one of them
    ids = random_ids(40, model.config.vocab_size)
    with torch.inference_mode():
        state = model.make_state(1, 64)
        logits, chosen = model.prefill(torch.tensor(ids[:24]), state, 0), list[int]()
        for _ in range(6):
            chosen.append(int(logits.argmax()))
            logits = model.step(torch.tensor(chosen[-1:]), state)[0]
    for case in (BenchCase(24, 5), BenchCase(0, 5, 24), BenchCase(0, 5, 24, 2)):
        for _ in range(2):  # the second goes on from what is kept of the past
            sample, same = theirs.time(case, ids, chosen)
            assert same == 6 and len(sample.gaps) == 5 and len(sample.waits) == (case.batch if case.n_prompt else 0)
            assert sum(sample.gaps) <= sample.seconds
    _, same = theirs.time(BenchCase(24, 5), ids, [*chosen[:3], (chosen[3] + 1) % 99, *chosen[4:]])
    assert 3 <= same < 6  # a wrong token is counted, and what follows it is judged behind it


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_cases_in_the_same_run(name: str, ceiling: Ceiling) -> None:
    cases = (BenchCase(12), BenchCase(6, 3), BenchCase(0, 4, 30, 2), BenchCase(5, 0, 30))
    results = list(api.measure(spec(name), Plan(cases, repetitions=2, against=True)))
    for result in results:
        assert isinstance(result, BenchResult) and result.rival is not None
        assert result.setup.sampling.temperature == 0.0 and len(result.seconds) == 2
        case, rival = result.case, result.rival
        if case.depth and case.n_prompt:
            assert "does not carry a state into a prompt" in rival.missing and result.ratio is None
            continue
        assert len(rival.seconds) == 2 and (rival.same, rival.compared) == (case.n_gen + 1, case.n_gen + 1)
        assert len(rival.gaps) == 2 * case.n_gen and (rival.first_token is None) == (case.n_prompt == 0)
        assert result.ratio is not None and result.ratio > 0


def test_weights_of_eight_bits_are_not_compared(ceiling: Ceiling) -> None:
    packed = replace(spec("demo"), quantize="int8")
    (result,) = api.measure(packed, Plan((BenchCase(3),), repetitions=1, against=True))
    assert isinstance(result, BenchResult) and result.rival is not None
    assert "int8 weights are not compared" in result.rival.missing and result.mean_rate > 0


class Slow:
    """A rival that only says when it ran, and fails where it is told to."""

    name = "slow"

    def __init__(self, log: list[str], fails_at: int = 99) -> None:
        self.log, self.left = log, fails_at

    def refusal(self, case: BenchCase) -> str:
        return ""

    def told(self, error: Exception) -> str:
        return f"it said {error}"

    def forget(self) -> None:
        self.log.append("forget")

    def warm(self, *args: Any) -> None:
        self.log.append("warm")

    def time(self, case: BenchCase, ids: Any, chosen: Any) -> tuple[Sample, int]:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("no more")
        self.log.append("theirs")
        return Sample(4.0), len(chosen)


def subject() -> Any:
    """Just enough of one for `measure_cases` with a track that takes 2 seconds."""
    from types import SimpleNamespace

    from modeling.roofline import Roofline

    return SimpleNamespace(
        model=SimpleNamespace(device=torch.device("cpu"), state_bytes=lambda tokens: 1),
        roofline=Roofline(1, 1, 1, 1, 1, 1),
        ceiling=Ceiling("abacus", "float32", 1.0, 1.0, 0, "torch"),
        setup=lambda engine: None,
    )


def test_runs_alternate_and_who_begins_alternates(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    class Track:
        engine, ids = None, (1, 2, 3)

        def __init__(self, *args: Any) -> None: ...

        def warm(self, case: BenchCase) -> None: ...

        def time(self, case: BenchCase) -> Sample:
            log.append("ours")
            return Sample(2.0, ids=(7, 8, 9, 9))

    monkeypatch.setattr("modeling.bench.cases.Track", Track)
    rival: Any = Slow(log)
    (result,) = measure_cases(subject(), [BenchCase(0, 2)], 4, lambda what: None, None, rival)
    assert log == ["ours", "warm", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours", "forget"]
    assert result.rival is not None and result.ratio == 2.0 and (result.rival.same, result.rival.compared) == (3, 3)
    log.clear()
    failing: Any = Slow(log, 1)
    (result,) = measure_cases(subject(), [BenchCase(0, 2)], 4, lambda what: None, None, failing)
    assert log.count("ours") == 4 and result.rival is not None and result.rival.missing == "it said no more"
    assert result.ratio is None and len(result.seconds) == 4


def test_what_keeps_it_from_running_is_one_sentence(ceiling: Ceiling, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise ImportError("cannot import name 'x' from 'transformers'\nand more")

    monkeypatch.setattr(api, "Reference", broken)
    with pytest.raises(DeviceUnavailable, match=r"--against transformers: cannot import name 'x' from 'transformers'$"):
        next(api.measure(spec("demo"), Plan((BenchCase(3),), against=True)))
    spread = ModelSpec(spec("demo").name, device="cpu", device_map="auto", max_memory={"cpu": "4MB"})
    with pytest.raises(InvalidRequest, match="on one device only"):
        next(api.measure(spread, Plan((BenchCase(3),), against=True)))
