"""--plot: which results make a curve, and that the pictures show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.figures.picture import _apart
from falcon_cli.figures.series import drawable, panels
from falcon_cli.figures.sketch import sketch
from modeling.messages import ModelSpec
from modeling.timings import BenchCase, Conversation, Plan

Falcon = Callable[..., Any]
SPEC = ModelSpec("org/model")
PLAN = Plan(
    (
        *(BenchCase(0, 60, depth, batch) for batch in (1, 8) for depth in (0, 1024, 3000)),
        *(BenchCase(30, 0, depth) for depth in (0, 8)),
    ),
    Conversation(3),
    against=True,
)


@pytest.fixture
def results(fake_results: Any) -> list[tuple[str, Any]]:
    return [("org/model", result) for result in fake_results.results_of(SPEC, PLAN)]


def test_every_curve_there_is(results: list[tuple[str, Any]]) -> None:
    writing, reading, batches, turns = panels(results)
    assert [text for _, text in writing.ticks] == ["0", "1k", "3k"]
    places = [place for place, _ in writing.ticks]
    assert places[1:] == [log2(1024), log2(3000)] and places[0] <= places[1] - 1
    assert [(line.label, line.kind, line.group) for line in writing.lines] == [
        ("model", "ours", 0), ("model: transformers 5", "other", 0),
        ("model · batch 8", "ours", 1), ("model · batch 8: transformers 5", "other", 1),
    ]  # fmt: skip
    assert writing.lines[0].ys == (40.0,) * 3 and writing.lines[1].ys == (20.0,) * 3  # 60 tokens in 1 s and 3 s: 60 and 20
    assert writing.top == pytest.approx(320.0 + 160.0 * 2**0.5)  # batch 8: 480 and 160 a second, and their deviation
    assert [(line.label, line.ys) for line in reading.lines] == [("model", (20.0, 20.0))]  # at a depth nobody else reads
    assert {line.label for line in batches.lines if line.kind == "ours"} == {
        "model", "model · depth 1k", "model · depth 3k",
    }  # fmt: skip
    assert [line.ys for line in turns.lines] == [(20.0, 20.0, 20.0), (20.0, 40.0, 60.0)] and turns.up == "ms"


def test_the_roofline_is_the_arithmetic_of_bytes_and_products(fake_results: Any) -> None:
    """100 GB/s and 1 TFLOP/s: 10 GB a step and 1 GB more a row, 0.1 TFLOP a row. Beyond 11 rows products take longer."""
    steps, results = 60, []
    for batch in (1, 4, 64):
        work = {"bytes": steps * (10 + batch) * 10**9, "flops": steps * batch * 10**11}
        results.append(("m", fake_results.result_of(BenchCase(0, steps, 0, batch), SPEC, **work)))
    (panel,) = panels(results)
    (roof,) = [line for line in panel.lines if line.kind == "roofline"]
    for place, rate in zip(roof.xs, roof.ys, strict=True):
        batch = 2**place
        assert rate == pytest.approx(batch / max((10 + batch) / 100, batch / 10))
    assert (roof.xs[0], roof.xs[-1]) == (0.0, 6.0)
    cached = [(name, replace(result, floor=None)) for name, result in results]
    assert all(line.kind == "ours" for line in panels(cached)[0].lines)


def test_what_differs_is_told_and_nothing_else(fake_results: Any) -> None:
    results = []
    for name, dtype, kernels in (("a/x", "bfloat16", "torch"), ("a/x", "float32", "torch"), ("b/y", "float32", "torch")):
        spec = ModelSpec(name, dtype=dtype, kernels=kernels)  # type: ignore[arg-type]
        results += [(name, fake_results.result_of(BenchCase(0, 8, depth), spec)) for depth in (5, 9)]
    (panel,) = panels(results)
    assert [line.label for line in panel.lines] == ["x · bfloat16", "x · float32", "y · float32"]
    assert [text for _, text in panel.ticks] == ["5", "9"]


def curves(fake_results: Any, *runs: tuple[str, tuple[int, ...]]) -> list[str]:
    """The labels of the curves of models, each at its depths; no curve goes back."""
    results = [(name, fake_results.result_of(BenchCase(0, 8, depth), SPEC)) for name, depths in runs for depth in depths]
    (panel,) = panels(results)
    assert all(len(set(line.xs)) == len(line.xs) for line in panel.lines)
    return [line.label for line in panel.lines]


def test_models_that_end_alike_are_not_one(fake_results: Any) -> None:
    both = (5, 9)
    assert curves(fake_results, ("old/h1", both), ("new/h1", both), ("my/mamba/", both)) == ["old/h1", "new/h1", "mamba"]
    assert curves(fake_results, ("h1", both), ("h1", both)) == ["h1", "h1 (2)"]  # --kernels auto,torch on a CPU


def test_numbers_along_a_diagram_can_be_told_apart(fake_results: Any) -> None:
    depths = (0, 1000, 1024, *range(2048, 65537, 1024))
    (panel,) = panels([("m", fake_results.result_of(BenchCase(0, 8, depth), SPEC)) for depth in depths])
    assert len({text for _, text in panel.ticks}) == len(depths)
    assert [text for _, text in panel.ticks[:4]] == ["0", "1000", "1024", "2k"]
    few = _apart(panel.ticks)
    assert few[0][1] == "0" and few[-1][1] == "64k" and 4 < len(few) < 14
    assert _apart(few) == few and _apart(((1.0, "1"), (1.1, "2"))) == [(1.0, "1"), (1.1, "2")]


@pytest.mark.parametrize(
    ("plan", "draws"),
    [
        (Plan((BenchCase(5), BenchCase(0, 5))), False),
        (Plan((BenchCase(5), BenchCase(5, 0, 9))), True),
        (Plan((BenchCase(5, 0, 0, 1), BenchCase(5, 0, 0, 2))), False),  # prompts are read one after the other
        (Plan((BenchCase(0, 5, 0, 1), BenchCase(0, 5, 0, 2))), True),
        (Plan((BenchCase(5, 5, 0), BenchCase(5, 5, 9))), False),
        (Plan((), Conversation(2)), True),
        (Plan((), Conversation(1)), False),
    ],
)
def test_what_can_be_drawn_is_known_before_and_true_after(plan: Plan, draws: bool, fake_results: Any) -> None:
    assert drawable(plan) is draws
    assert bool(panels([("m", result) for result in fake_results.results_of(SPEC, plan)])) is draws


@pytest.mark.parametrize("color", [False, True])
def test_a_terminal_gets_every_curve_in_its_width(color: bool, results: list[tuple[str, Any]]) -> None:
    text = sketch(panels(results), 60, color)
    assert ("\x1b[" in text) is color
    if not color:
        assert max(map(len, text.splitlines())) <= 60
        assert text.count("\n  ● model\n") == 3 and "▲ model · batch 8\n" in text and "○ model: all read anew" in text
        assert "Decode speed over depth (tokens a second)" in text and "3k" in text
    narrow = sketch(panels(results), 30, color=False).splitlines()
    assert "Decode speed over depth" in narrow and max(len(line) for line in narrow if "│" in line) <= 30
    evil = [("a\x1b[2Jb", result) for _, result in results]
    assert "\x1b[2J" not in sketch(panels(evil), 60, color)


def test_a_diagram_follows_a_table_and_stays_out_of_data(
    falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path
) -> None:
    arguments = ("bench", "m", "-p", "0", "-d", "0,5", "--plot", "term", "-q")
    piped = falcon(*arguments, "-o", "json")
    assert len(piped.json) == 2 and "Decode speed over depth" in piped.err
    filed = falcon(*arguments, "--output-file", str(tmp_path / "r.json"))
    assert "Decode speed over depth" in filed.out and filed.err == ""


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")])
def test_a_file_gets_a_picture(
    ending: str, begins: bytes, falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / f"plot.{ending}"
    outcome = falcon("bench", "m", "-p", "0", "-b", "1,8", "-d", "0,5", "--turns", "3", "--plot", str(file))
    assert outcome.code == 0 and file.read_bytes().startswith(begins)
    if ending == "svg":
        text = file.read_text()
        for words in ("Decode speed over depth", "Decode speed over batch", "Wait for the first token", "roofline", "abacus"):
            assert words in text
    assert not [*tmp_path.glob(".falcon*")]


def test_an_interrupted_run_draws_what_it_has(falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "plot.png"
    outcome = falcon("bench", "interrupted", "-p", "0", "-d", "0,5", "--plot", str(file))
    assert outcome.code == 130 and not file.exists() and "too little was measured to draw it" in outcome.err


def test_what_cannot_be_drawn_is_told_before_anything_is_measured(
    falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = falcon("bench", "m", "-d", "0,5", "--plot", str(tmp_path / "no" / "plot.png"))
    assert (outcome.code, outcome.out) == (74, "")
    monkeypatch.setattr("falcon_cli.figures.chart.find_spec", lambda package: None)
    outcome = falcon("bench", "m", "-d", "0,5", "--plot", "term")
    assert outcome.code == 1 and "needs plotext, which is not installed" in outcome.err
    assert "pip install 'falcon-cli[plot]'" in outcome.err and measured == []
