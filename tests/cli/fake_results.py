"""Results of a bench in round numbers, for whatever is planned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modeling.messages import ModelInfo, ModelSpec, SamplingParams
from modeling.timings import BenchCase, BenchResult, Ceiling, Plan, Result, Rival, Setup, StateResult, TurnResult


def setup_of(spec: ModelSpec, void: str = "") -> Setup:
    return Setup(
        info=ModelInfo(spec.name, "falcon_h1", None, spec.dtype, "cpu", spec.kernels, None, 1500, 3000, 64, None),
        ceiling=Ceiling("abacus", spec.dtype, 100e9, 1e12, 1024, "torch", void),
        sampling=SamplingParams(temperature=0.0),
        load_seconds=0.5,
        prefill_chunk=512,
        threads=2,
        cpu="abacus",
        gpu="",
        versions="python 3, torch 2",
        random_weights=False,
    )


def result_of(case: BenchCase, spec: ModelSpec, void: str = "", **changes: Any) -> BenchResult:
    """A case that took 1 s and 3 s, on a machine where 1 s would have done."""
    fields: dict[str, Any] = {
        "setup": setup_of(spec, void),
        "started": "2026-01-02T03:04:05Z",
        "seconds": (1.0, 3.0),
        "case": case,
        "first_token": 0.25 if case.n_prompt else None,
        "gaps": (0.001, 0.002, 0.004) if case.n_gen else (),
        "state_bytes": 3 << 20,
        "peak_bytes": 5 << 30,
        "bytes": 60 * 10**9,
        "flops": 10**12,
        "floor": 1.0 if case.n_gen else None,
    }
    return BenchResult(**(fields | changes))


def results_of(spec: ModelSpec, plan: Plan, void: str = "") -> Iterator[Result]:
    """Everything planned, in round numbers. transformers takes twice as long, and cannot read a prompt at a depth."""
    for case in plan.cases:
        rival = Rival("transformers 5", (2.0, 6.0), 0.5 if case.n_prompt else None, (0.002, 0.004), 7, 9)
        if case.depth and case.n_prompt:
            rival = Rival("transformers 5", missing="it cannot")
        yield result_of(case, spec, void, rival=rival if plan.against else None)
    common: dict[str, Any] = {"setup": setup_of(spec, void), "started": "2026-01-02T03:04:05Z"}
    talk = plan.conversation
    for turn in range(1, talk.turns + 1 if talk else 1):
        assert talk
        depth = (turn - 1) * (talk.reads + talk.writes)
        yield TurnResult(
            seconds=(0.01, 0.03), turn=turn, depth=depth, reads=talk.reads, again=(0.01 * turn, 0.03 * turn),
            state_bytes=1 << 20, **common,
        )  # fmt: skip
    for depth in plan.states:
        yield StateResult(seconds=(0.002, 0.004), operation="save", depth=depth, bytes=3 * 10**6, moved=3 * 10**6, **common)
