"""The arithmetic of the floor: against the tensors themselves, against figures that were worked out elsewhere, against sums."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from modeling.bench.subject import weights_read
from modeling.checkpoint.load import blueprint
from modeling.config import parse_config
from modeling.roofline import Roofline, Work, roofline
from modeling.timings import Ceiling

Shapes = dict[str, dict[str, Any]]
NAMES = (
    "falcon-mamba-7b", "falcon-mamba-0.4b", "falcon-h1-0.5b", "falcon-h1-1.5b", "falcon-h1-1.5b-deep", "falcon-h1-3b",
    "falcon-h1-7b", "falcon-h1-34b",
)  # fmt: skip
BIASES = ("use_bias", "mamba_proj_bias", "projectors_bias", "attention_bias", "mlp_bias")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quirks", [{}, {"tie_word_embeddings": True, **dict.fromkeys(BIASES, True)}])
def test_bytes_and_operations_are_those_of_the_tensors(name: str, quirks: dict[str, bool], shapes: Shapes) -> None:
    fields = shapes[name]
    known = {key: value for key, value in quirks.items() if key == "tie_word_embeddings" or key == "use_bias"}
    config = parse_config(fields | (known if fields["model_type"] == "falcon_mamba" else quirks | {"use_bias": None}))
    model = blueprint(config, torch.bfloat16)
    found = roofline(config, 2)
    assert found.weight_bytes == weights_read(model)
    assert found.state_bytes == model.state_bytes(0)
    assert found.token_bytes == model.state_bytes(1) - model.state_bytes(0)
    products = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert found.block_flops + found.head_flops == 2 * sum(module.weight.numel() for module in products)
    assert found.head_flops == 2 * model.get_submodule("lm_head").weight.numel()  # type: ignore[operator, union-attr]


def test_an_embedding_counts_only_where_it_is_the_head(shapes: Shapes) -> None:
    shape = shapes["falcon-mamba-7b"]
    untied, tied = (blueprint(parse_config(shape | {"tie_word_embeddings": tie}), torch.bfloat16) for tie in (False, True))
    assert weights_read(untied) == weights_read(tied) == sum(weight.nbytes for weight in tied.parameters())


def test_published_figures(shapes: Shapes) -> None:
    """Worked out by hand: 13.99 GB and 13.46 GFLOP a token, 75.5 MB of state in and out; 279 MB for Falcon-H1-7B."""
    mamba, h1 = (roofline(parse_config(shapes[name]), 2) for name in ("falcon-mamba-7b", "falcon-h1-7b"))
    assert mamba.weight_bytes == pytest.approx(13.99e9, rel=2e-3)
    assert mamba.block_flops == pytest.approx(13.46e9, rel=2e-3)
    assert 2 * mamba.state_bytes == pytest.approx(75.5e6, rel=2e-3)
    assert 2 * h1.state_bytes == pytest.approx(279e6, rel=3e-3)


def test_many_steps_are_the_sum_of_single_ones() -> None:
    shape = Roofline(1000, 70, 3, 500, 40, 2)
    steps = [shape.decode(4, 1, context) for context in range(10, 17)]
    whole = shape.decode(4, 7, 10)
    assert (whole.bytes, whole.flops) == (sum(step.bytes for step in steps), sum(step.flops for step in steps))
    assert steps[0] == Work(1000 + 4 * (2 * 70 + 11 * 3), 4 * (500 + 40 + 11 * 2))


def test_a_prompt_costs_the_operations_of_its_tokens_and_one_pass_over_the_weights() -> None:
    shape = Roofline(1000, 70, 3, 500, 40, 2)
    found = shape.prefill(2, 5, 10)
    assert found.bytes == 1000 + 2 * (2 * 70 + 15 * 3)
    assert found.flops == 2 * (5 * 500 + 40 + 2 * sum(range(11, 16)))


def test_the_floor_is_the_longer_of_reading_and_multiplying() -> None:
    machine = Ceiling("abacus", "bfloat16", read=100.0, multiply=10.0, cache=300, reader="torch")
    assert Work(1000, 10).seconds(machine) == 10.0
    assert Work(1000, 1000).seconds(machine) == 100.0
    assert Work(300, 10).cached(machine) and Work(300, 10).seconds(machine) == 1.0
    assert Work(900, 10, steps=3).cached(machine) and not Work(901, 10, steps=3).cached(machine)
