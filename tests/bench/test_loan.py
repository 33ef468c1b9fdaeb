"""Weights of 4 bits against transformers: bitsandbytes multiplies by our very memory, leaves it as it was and gives it back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from falcon_cli import demo
from modeling import api
from modeling.bench import loan
from modeling.bench.reference import Reference
from modeling.bench.track import random_ids
from modeling.checkpoint import quantizer
from modeling.errors import DeviceUnavailable
from modeling.layers.linear import PackedLinear, tensors
from modeling.messages import ModelSpec
from modeling.models import LanguageModel
from modeling.quantization import VALUES, Form
from modeling.timings import BenchCase, BenchResult, Ceiling, Plan

pytest.importorskip("bitsandbytes", reason="no bitsandbytes here: pip install '.[quant]' brings it")

FAMILIES = ["falcon_mamba", "falcon_h1"]
FORMS = [("nf4", True), ("nf4", False), ("fp4", True), ("fp4", False)]
Folders = dict[str, Path]


@pytest.fixture
def wide(folder: Callable[..., Path]) -> Folders:
    """Both families, two layers thin, as bitsandbytes multiplies on a CPU: rows divide by 32, columns by 64."""
    mamba = folder(
        "falcon-mamba-7b", num_hidden_layers=2, hidden_size=64, intermediate_size=128, time_step_rank=64, vocab_size=99,
        use_bias=True,
    )  # fmt: skip
    h1 = folder(
        "falcon-h1-7b", num_hidden_layers=2, hidden_size=64, intermediate_size=128, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, mamba_n_heads=32, mamba_d_head=2, mamba_d_ssm=64, mamba_d_state=16, vocab_size=99,
    )  # fmt: skip
    return {"falcon_mamba": mamba, "falcon_h1": h1}


def opened(path: Path, form: str = "nf4", double: bool = True, dtype: str = "bfloat16") -> LanguageModel:
    model = api.random_language_model(
        ModelSpec(str(path), device="cpu", dtype=dtype, quantize=form, double_quant=double)  # type: ignore[arg-type]
    )
    for layer in layers_of(model).values():
        if layer.bias is not None:
            layer.bias.normal_(0.0, 0.3)
    return model


def layers_of(model: LanguageModel) -> dict[str, PackedLinear]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, PackedLinear)}


def same_logits(model: LanguageModel, theirs: Reference, ids: tuple[int, ...]) -> float:
    """How far apart they are, over how large they are."""
    for lent in theirs._loans.values():
        lent.lend()
    with torch.inference_mode():
        law = model(torch.tensor([ids])).float()
        return float((theirs._model(torch.tensor([ids])).logits.float() - law).norm() / law.norm())


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(("form", "double"), FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_multiplies_by_our_very_weights(wide: Folders, family: str, form: str, double: bool, dtype: str) -> None:
    model = opened(wide[family], form, double, dtype)
    before = {name: (part.data_ptr(), part.clone()) for name, part in model.named_parameters()}
    theirs, layers, ids = Reference(model, wide[family]), layers_of(model), random_ids(20, 99)
    assert theirs.name.startswith("transformers 5") and " + bitsandbytes 0." in theirs.name
    assert theirs._loans.keys() == layers.keys() and not theirs.refusal(BenchCase(3))
    for name, lent in theirs._loans.items():
        lent.lend()
        parts, weight = layers[name]._parameters, theirs._model.get_submodule(name).weight
        assert weight.data_ptr() == parts["weight"].data_ptr()  # type: ignore[union-attr]
        assert weight.quant_state.absmax.data_ptr() == parts["weight.absmax"].data_ptr()  # type: ignore[union-attr]
        assert weight.quant_state.nested == ("weight.nested_absmax" in parts)
    assert same_logits(model, theirs, ids) < 0.03  # the CPU's products are in bfloat16, whatever is asked for
    for name, part in model.named_parameters():
        assert part.data_ptr() == before[name][0] and torch.equal(part, before[name][1]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_lent_is_given_back_and_found_where_it_has_moved(wide: Folders, family: str) -> None:
    model = opened(wide[family])
    theirs, ids = Reference(model, wide[family]), random_ids(20, 99)
    assert same_logits(model, theirs, ids) < 0.03
    theirs.forget()
    for name, layer in layers_of(model).items():
        assert theirs._model.get_submodule(name).weight.untyped_storage().nbytes() == 0
        assert theirs._model.get_submodule(name).bias is None
        for part in layer.parameters():
            old, part.data = part.data, part.data.clone()
            old.zero_()  # whoever reads there still is wrong now
    assert same_logits(model, theirs, ids) < 0.03


@pytest.mark.parametrize("double", [True, False])
def test_the_demo_chooses_the_same_tokens(double: bool, ceiling: Ceiling) -> None:
    wanted = ModelSpec(demo.resolve("demo"), device="cpu", quantize="nf4", double_quant=double)
    results = list(api.measure(wanted, Plan((BenchCase(12, 6), BenchCase(0, 16, 8, 2)), repetitions=2, against=True)))
    for result in results:
        assert isinstance(result, BenchResult) and result.rival is not None and not result.rival.missing
        assert "bitsandbytes" in result.rival.name and result.ratio is not None and result.ratio > 0
        assert result.rival.compared == result.case.n_gen + 1
        assert result.rival.same is not None and result.rival.same >= result.rival.compared - 1


def test_products_in_another_dtype_leave_our_biases_alone(wide: Folders) -> None:
    model = opened(wide["falcon_mamba"], dtype="float32")
    for layer in layers_of(model).values():
        layer.compute_dtype = torch.bfloat16
    assert same_logits(model, Reference(model, wide["falcon_mamba"]), random_ids(20, 99)) < 0.03
    assert all(layer.bias is not None and layer.bias.dtype == torch.float32 for layer in layers_of(model).values())


def test_packed_projections_of_the_time_step(wide: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in TII's published 4-bit checkpoints; transformers would multiply by the codes if it were not told."""
    monkeypatch.setattr(quantizer, "KEPT", ())
    model = opened(wide["falcon_mamba"])
    assert any(name.endswith("dt_proj") for name in layers_of(model))
    assert same_logits(model, Reference(model, wide["falcon_mamba"]), random_ids(20, 99)) < 0.06


def layer(shape: tuple[int, int], form: Form) -> PackedLinear:
    made = PackedLinear(shape, form)
    for name, part in tensors(quantizer.pack(torch.randn(shape), form)).items():
        made._parameters[name] = nn.Parameter(part, requires_grad=False)
    return made


def test_what_bitsandbytes_cannot_multiply_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    four, strange = layer((64, 128), Form("nf4", double=True)), layer((64, 128), Form("fp4"))
    strange._parameters["weight.quant_map"].mul_(2)  # type: ignore[union-attr]
    monkeypatch.setattr("bitsandbytes.functional.has_avx512bf16", lambda: True)
    assert loan.refusal({}) == loan.refusal({"a": four}) == ""
    assert loan.refusal({"a": layer((64, 128), Form("int8"))}) == "int8 weights are not compared: only plain and 4-bit ones are"
    assert "32 rows at a time, and b has 40" in loan.refusal({"a": four, "b": layer((40, 128), Form("nf4"))})
    assert "whole blocks of 64 in a row, and those of b have 96 weights" in loan.refusal({"b": layer((32, 96), Form("nf4"))})
    assert "the codes of b stand for other values" in loan.refusal({"b": strange})
    monkeypatch.setattr("bitsandbytes.functional.has_avx512bf16", lambda: False)
    assert loan.refusal({"b": layer((40, 128), Form("nf4"))}) == ""
    monkeypatch.setattr(loan, "find_spec", lambda name: None)
    assert loan.refusal({"a": four}) == "4-bit weights are compared by way of bitsandbytes, which is not installed"
    assert loan.refusal({}) == ""


def test_what_is_refused_leaves_our_own_row(ceiling: Ceiling, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ModelSpec(demo.resolve("demo"), device="cpu", quantize="nf4")
    with monkeypatch.context() as without:
        without.setattr(loan, "find_spec", lambda name: None)
        (result,) = api.measure(wanted, Plan((BenchCase(3),), repetitions=1, against=True))
    assert isinstance(result, BenchResult) and result.rival is not None and result.mean_rate > 0
    assert "not installed" in result.rival.missing and "bitsandbytes" not in result.rival.name

    def broken() -> Any:
        raise ImportError("bitsandbytes was built for another torch")

    monkeypatch.setattr(loan, "_bitsandbytes", broken)
    with pytest.raises(DeviceUnavailable, match="built for another torch"):
        next(api.measure(wanted, Plan((BenchCase(3),), against=True)))


def test_the_values_of_codes_are_those_of_bitsandbytes() -> None:
    from bitsandbytes.functional import get_4bit_type

    for form in ("nf4", "fp4"):
        assert torch.equal(torch.tensor(VALUES[form]), get_4bit_type(form, device="cpu"))  # type: ignore[index]
