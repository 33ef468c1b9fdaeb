"""Random weights: the same each time, of every parameter, and fit to run through any number of layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from modeling.api import random_language_model
from modeling.errors import InvalidRequest, ModelNotFound
from modeling.layers.linear import PackedLinear
from modeling.messages import ModelSpec


def spec(folder: Path, **settings: object) -> ModelSpec:
    return ModelSpec(str(folder), device="cpu", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["falcon_mamba", "falcon_h1"])
def test_the_same_seed_makes_the_same_weights(family: str, small: dict[str, Path]) -> None:
    first, again = (dict(random_language_model(spec(small[family])).named_parameters()) for _ in range(2))
    other = dict(random_language_model(spec(small[family]), seed=1).named_parameters())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    for name, weight in first.items():
        assert weight.dtype == torch.bfloat16 and weight.isfinite().all() and not weight.requires_grad
        if "proj.weight" in name:
            assert weight.float().std().item() == pytest.approx(1 / math.sqrt(weight.shape[1]), rel=0.25)


@pytest.mark.parametrize("family", ["falcon_mamba", "falcon_h1"])
def test_states_forget_at_the_usual_rates(family: str, small: dict[str, Path]) -> None:
    model = random_language_model(spec(small[family], dtype="float32"))
    for name, weight in model.named_parameters():
        if name.endswith("A_log"):
            assert torch.allclose(weight.exp(), torch.arange(1.0, weight.shape[-1] + 1).expand_as(weight))
        if name.endswith(("dt_bias", "dt_proj.bias")):
            dt = F.softplus(weight)
            assert dt.min() > 0.99e-3 and dt.max() < 0.101


@pytest.mark.parametrize("name", ["falcon-mamba-7b", "falcon-h1-7b"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_logits_stay_finite_through_all_layers(name: str, dtype: str, folder: Callable[..., Path]) -> None:
    narrow = {"hidden_size": 48, "intermediate_size": 64, "vocab_size": 128}
    if name == "falcon-mamba-7b":
        narrow |= {"time_step_rank": 4}
    else:
        narrow |= {
            "num_attention_heads": 4, "head_dim": 8, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_ssm": 32,
            "mamba_d_state": 8,
        }  # fmt: skip
    model = random_language_model(spec(folder(name, **narrow, num_hidden_layers=64), dtype=dtype))
    logits = model(torch.randint(0, 128, (1, 40)))
    assert logits.isfinite().all() and 1e-3 < logits.std() < 1e3


@pytest.mark.parametrize("form", ["nf4", "fp4", "int8"])
def test_packed_weights_keep_the_size_of_a_products_input_too(form: str, folder: Callable[..., Path]) -> None:
    path = folder("falcon-mamba-7b", num_hidden_layers=1, hidden_size=128, intermediate_size=256, vocab_size=32)
    model = random_language_model(spec(path, dtype="float32", quantize=form, double_quant=False))  # type: ignore[arg-type]
    layers = [layer for layer in model.modules() if isinstance(layer, PackedLinear)]
    assert len(layers) == 2
    for layer in layers:
        weight = layer.packed.dequantized(torch.float32)
        assert weight.square().mean().sqrt().item() == pytest.approx(1 / math.sqrt(weight.shape[1]), rel=0.02)


def test_tied_weights_stay_one_tensor(folder: Callable[..., Path]) -> None:
    path = folder("falcon-mamba-0.4b", num_hidden_layers=1, hidden_size=16, intermediate_size=16, vocab_size=32)
    model = random_language_model(spec(path))
    assert model.get_parameter("lm_head.weight") is model.get_parameter("backbone.embeddings.weight")


def test_what_there_is_not_is_told(tmp_path: Path, small: dict[str, Path]) -> None:
    with pytest.raises(ModelNotFound, match=r"has no config\.json"):
        random_language_model(spec(tmp_path))
    with pytest.raises(InvalidRequest, match="--device-map has no place"):
        random_language_model(ModelSpec(str(small["falcon_h1"]), device_map="auto"))
