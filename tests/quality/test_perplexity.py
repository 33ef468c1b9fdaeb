"""Perplexity and divergence against their definitions, computed in the plainest way from the logits of whole sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from falcon_cli import demo
from modeling import api
from modeling.checkpoint.header import read_header
from modeling.errors import ContextExceeded, InvalidRequest, NumericalFailure, WriteFailed
from modeling.messages import ModelSpec
from modeling.quality.baseline import Baseline, keep
from modeling.quality.divergence import compare
from modeling.quality.perplexity import Scored, counted, cut, score
from modeling.scores import Divergence, Estimate, ScoreRequest, Spread, perplexity
from modeling.text.tokenizer import Tokenizer

TEXT = " ".join(f"What is {a} plus {b}? It is {a + b}." for a in range(12) for b in range(5))
CONTEXT = 48


def spec(name: str = "demo", **more: Any) -> ModelSpec:
    return ModelSpec(demo.resolve(name), device="cpu", dtype="float32", **more)


def logs_of(spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """(n, v) fp64 log-probabilities before each token that counts, and (n) those tokens."""
    model = api.open_language_model(spec)
    ids = torch.tensor(Tokenizer.from_folder(Path(spec.name)).encode(TEXT))
    pieces = ids[: len(ids) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    with torch.no_grad():
        logs = model(pieces).double().log_softmax(-1)[:, CONTEXT // 2 - 1 : -1]
    return logs.flatten(0, 1), pieces[:, CONTEXT // 2 :].flatten()


@pytest.mark.parametrize("name", ["demo", "demo-h1"])
@pytest.mark.parametrize("chunk", [512, 7])
def test_perplexity_is_what_its_definition_says(name: str, chunk: int) -> None:
    result = api.perplexity(spec(name, prefill_chunk=chunk), ScoreRequest(TEXT, CONTEXT))
    logs, ids = logs_of(spec(name))
    nll = -logs.gather(1, ids[:, None])[:, 0]
    assert (result.tokens, result.context) == (len(ids), CONTEXT) and result.divergence is None
    assert result.perplexity.value == pytest.approx(exp(nll.mean()), rel=1e-4)
    assert result.perplexity.error == pytest.approx(exp(nll.mean()) * float(nll.std()) / len(ids) ** 0.5, rel=1e-4)


def test_divergence_is_what_its_definition_says(tmp_path: Path) -> None:
    request = ScoreRequest(TEXT, CONTEXT, baseline=tmp_path / "base")
    api.perplexity(spec(), request)
    result = api.perplexity(spec(quantize="nf4"), replace(request, context=None, compare=True))
    found = result.divergence
    assert found is not None and result.info.quantization == "nf4-dq" and result.context == CONTEXT
    (p, ids), (q, _) = logs_of(spec()), logs_of(spec(quantize="nf4"))
    kld = (p.exp() * (p - q)).sum(-1)
    own_p, own_q = p.gather(1, ids[:, None])[:, 0], q.gather(1, ids[:, None])[:, 0]
    dp = own_q.exp() - own_p.exp()
    assert found.kld.mean.value == pytest.approx(float(kld.mean()), rel=1e-3, abs=1e-6)
    assert found.kld.maximum == pytest.approx(float(kld.max()), rel=5e-3)
    assert found.kld.percentiles[4] == pytest.approx(float(kld.quantile(0.5)), rel=2e-2, abs=1e-5)
    assert found.same_top.value == pytest.approx(float((p.argmax(-1) == q.argmax(-1)).double().mean()))
    assert 0.5 < found.same_top.value < 1
    assert found.ratio.value == pytest.approx(exp((own_p - own_q).mean()), rel=1e-4)
    assert found.base.value == pytest.approx(exp(-own_p.mean()), rel=1e-4)
    assert found.rms_dp == pytest.approx(float(dp.square().mean().sqrt()), rel=1e-3)
    assert found.correlation == pytest.approx(float(torch.corrcoef(torch.stack((own_p, own_q)))[0, 1]), abs=1e-4)
    difference = found.difference(result.log)
    assert difference.value == pytest.approx(result.perplexity.value - found.base.value)
    assert 0 < difference.error < result.perplexity.error + found.base.error


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    request = ScoreRequest(TEXT, CONTEXT, chunks=3, baseline=tmp_path / "base")
    api.perplexity(spec("demo-h1"), request)
    found = api.perplexity(spec("demo-h1"), replace(request, compare=True)).divergence
    assert found is not None
    assert (found.kld.maximum, found.kld.minimum, found.dp.maximum, found.same_top, found.correlation) == (
        0,
        0,
        0,
        Estimate(1, 0),
        1,
    )


def test_a_comparison_may_stop_earlier_and_never_takes_another_text(tmp_path: Path) -> None:
    request = ScoreRequest(TEXT, CONTEXT, baseline=tmp_path / "base")
    pieces = api.perplexity(spec(), request).pieces
    assert api.perplexity(spec(), replace(request, compare=True, chunks=2)).pieces == 2 < pieces
    with pytest.raises(InvalidRequest, match="another text"):
        api.perplexity(spec(), replace(request, compare=True, text="W" + TEXT))
    with pytest.raises(InvalidRequest, match="pieces of 48 tokens") as caught:
        api.perplexity(spec(), replace(request, compare=True, context=64))
    assert "--ctx-size 48" in caught.value.hint


@pytest.mark.parametrize("what", ["missing", "cut", "weights", "text", "nll", "logs"])
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "base"
    if what == "cut":
        api.perplexity(spec(), ScoreRequest(TEXT, CONTEXT, baseline=path))
        path.write_bytes(path.read_bytes()[:-1])
    elif what in ("nll", "logs"):  # NaN in the one or the other
        api.perplexity(spec(), ScoreRequest(TEXT, CONTEXT, baseline=path))
        damaged, place = bytearray(path.read_bytes()), read_header(path)[what].offset
        damaged[place : place + 4] = b"\xff\xff\xff\xff"
        path.write_bytes(damaged)
    elif what == "weights":
        path.write_bytes((Path(demo.resolve("demo")) / "model.safetensors").read_bytes())
    elif what == "text":
        path.write_text("logits")
    with pytest.raises(InvalidRequest) as caught:
        api.perplexity(spec(), ScoreRequest(TEXT, baseline=path, compare=True))
    assert "--kl-divergence-base" in caught.value.hint


def test_a_file_that_is_something_else_is_not_overwritten(tmp_path: Path) -> None:
    """The text itself, say, which is one word away on the command line."""
    path = tmp_path / "text"
    path.write_text(TEXT)
    with pytest.raises(InvalidRequest, match="holds no log-probabilities"):
        api.perplexity(spec(), ScoreRequest(TEXT, CONTEXT, baseline=path))
    assert path.read_text() == TEXT
    path.write_text("")  # as mktemp leaves it
    for _ in range(2):
        api.perplexity(spec(), ScoreRequest(TEXT, CONTEXT, baseline=path))
    assert read_header(path)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path, pieces = tmp_path / "base", torch.zeros(2, 8, dtype=torch.int64)

    def interrupted() -> Iterator[Scored]:
        yield Scored(torch.zeros(4, dtype=torch.int64), torch.zeros(4, 5))
        raise KeyboardInterrupt

    path.write_text("what was there")
    with pytest.raises(KeyboardInterrupt):
        keep(interrupted(), pieces, 5, path)
    assert path.read_text() == "what was there" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(WriteFailed):
        keep(interrupted(), pieces, 5, tmp_path / "no" / "folder")
    with pytest.raises(KeyboardInterrupt):  # nor does a device, or a pipe, become a file
        keep(interrupted(), pieces, 5, Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    whole = Scored(torch.zeros(8, dtype=torch.int64), torch.full((8, 5), -70000.0))  # less than a float16 can be
    keep(iter([whole]), pieces, 5, path)
    assert {name: tensor.shape for name, tensor in read_header(path).items()} == {
        "logs": (8, 5),
        "nll": (8,),
        "best": (8,),
        "ids": (2, 8),
    }


def test_texts_are_cut_as_llama_perplexity_cuts_them() -> None:
    assert cut(range(100, 120), 8, None, None).tolist() == [list(range(100, 108)), list(range(108, 116))]
    assert cut(range(100, 120), 8, 1, None).tolist() == [list(range(100, 108))]
    assert cut(range(100, 120), 512, None, None).tolist() == [list(range(100, 120))]  # shorter than a piece
    assert cut([1, *range(100, 120)], 8, None, 1)[:, 0].tolist() == [1, 1]  # each piece begins as a text does
    assert cut(range(100, 120), 8, None, 1)[:, 0].tolist() == [100, 108]
    assert [counted(length) for length in (8, 9, 512)] == [4, 5, 256]
    with pytest.raises(InvalidRequest, match="3 tokens"):
        cut([1, 2, 3], 8, None, None)


def test_scores_that_are_no_numbers_end_it() -> None:
    model = api.open_language_model(spec())
    model.get_parameter("backbone.layers.0.mixer.D").data[0] = torch.nan
    with pytest.raises(NumericalFailure, match="piece 1"):
        list(score(model, model.make_state(1, 16), torch.ones(1, 16, dtype=torch.int64), 512))


def test_pieces_longer_than_the_model_are_refused() -> None:
    with pytest.raises(ContextExceeded, match="positions"):
        api.perplexity(spec("demo-h1"), ScoreRequest("a b " * 20_000, 10**6))


@pytest.mark.parametrize("wish", [{"context": 7}, {"chunks": 0}, {"compare": True}])
def test_what_cannot_be_meant_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        ScoreRequest(TEXT, **wish)


def test_a_perplexity_beyond_all_numbers_is_one() -> None:
    assert perplexity(Estimate(1e6, 1.0)).value < float("inf")
    even = Spread(Estimate(0.0, 0.0), 0.0, (0.0,) * 9, 0.0)
    none = Estimate(0.0, 0.0)
    far = Divergence(none, Estimate(1e6, 1e3), 0.0, even, even, 0.0, none)
    assert far.ratio.value < float("inf")
    assert far.difference(Estimate(1e6, 1e3)).error < float("inf")


def test_tokens_that_are_all_alike_have_no_correlation(tmp_path: Path) -> None:
    """JSON has no word for NaN."""
    path, pieces = tmp_path / "base", torch.zeros(1, 8, dtype=torch.int64)

    def scored(*nll: float) -> Iterator[Scored]:
        chances = torch.tensor(nll).neg().exp()[:, None]
        yield Scored(torch.zeros(4, dtype=torch.int64), torch.cat((chances, 1 - chances), 1).log())

    keep(scored(1, 1, 1, 1), pieces, 2, path)
    _, divergence = compare(scored(1, 2, 1, 2), Baseline(path))
    assert divergence.correlation == 0.0
