"""Shapes to prove the models on: every quirk of both families, and every published checkpoint scaled down; random weights.

`MAMBA` and `H1` turn all quirks on at once; the variants change one thing each. The scaled checkpoints keep heads, groups,
flags and, for Falcon-H1, the published multipliers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from modeling.config import ModelConfig, parse_config
from modeling.models import LanguageModel, build

Fields = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A name and the fields of a `config.json`."""

    name: str
    fields: Fields

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def config(self) -> ModelConfig:
        return parse_config(self.fields)


MAMBA: Fields = Fields(
    model_type="falcon_mamba", vocab_size=97, hidden_size=32, state_size=8, num_hidden_layers=3, intermediate_size=48,
    expand=16, time_step_rank=5, conv_kernel=4, use_bias=False, use_conv_bias=True, tie_word_embeddings=False,
    residual_in_fp32=True, layer_norm_epsilon=1e-5, mixer_rms_eps=1e-5, bos_token_id=0, eos_token_id=None, pad_token_id=0,
)  # fmt: skip

H1: Fields = Fields(
    model_type="falcon_h1", vocab_size=97, hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, head_dim=16, mamba_d_ssm=48, mamba_n_heads=6, mamba_d_head=8, mamba_n_groups=2, mamba_d_state=12,
    mamba_d_conv=4, mamba_expand=2, mamba_chunk_size=8, mamba_norm_before_gate=False, mamba_rms_norm=True,
    rope_parameters=Fields(rope_type="default", rope_theta=1e11), embedding_multiplier=5.65, lm_head_multiplier=0.04,
    key_multiplier=0.39, attention_in_multiplier=1.1, attention_out_multiplier=0.94, ssm_in_multiplier=1.25,
    ssm_out_multiplier=0.24, mlp_multipliers=[0.88, 0.59], ssm_multipliers=[0.35, 0.25, 0.36, 0.5, 0.34],
    tie_word_embeddings=False, bos_token_id=1, eos_token_id=None, pad_token_id=0,
)  # fmt: skip

MAMBA_VARIANTS: dict[str, Fields] = {
    "all quirks": {},
    "tight mixer norm": Fields(mixer_rms_eps=1e-6),
    "biased projections": Fields(use_bias=True),
    "unbiased convolution": Fields(use_conv_bias=False),
    "tied head": Fields(tie_word_embeddings=True),
    "three taps": Fields(conv_kernel=3),
    "automatic rank": Fields(state_size=16, time_step_rank="auto"),
    "narrow residual": Fields(residual_in_fp32=False),
}

H1_VARIANTS: dict[str, Fields] = {
    "all quirks": {},
    "no gated norm": Fields(mamba_rms_norm=False),
    "norm before gate": Fields(mamba_norm_before_gate=True),
    "one group": Fields(mamba_n_groups=1),
    "three groups": Fields(mamba_n_groups=3),
    "all biases": Fields(attention_bias=True, mlp_bias=True, mamba_proj_bias=True, projectors_bias=True),
    "unbiased convolution": Fields(mamba_conv_bias=False),
    "tied head": Fields(tie_word_embeddings=True),
    "automatic widths": Fields(mamba_d_ssm=None, mamba_n_heads=10, mamba_d_head=8),
    "time steps limited": Fields(time_step_limit=(0.01, 0.05)),
    "three taps": Fields(mamba_d_conv=3),
    "one long chunk": Fields(mamba_chunk_size=64),
    "near positions, no grouping": Fields(
        rope_parameters=Fields(rope_type="default", rope_theta=1e4), num_attention_heads=6, num_key_value_heads=6
    ),
}


def _h1_checkpoint(
    width: int, mlp: int, layers: int, heads: int, head_dim: int, ssm_heads: int, ssm_head_dim: int, states: int, scale: int,
    published: tuple[int, int, int, int, int], groups: int = 1, gated_norm: bool = True,
) -> Fields:  # fmt: skip
    """A row of the family. The multipliers follow from the published sizes: width, MLP, head_dim, inner width, states."""
    d, f, p, e, n = published
    return Fields(
        model_type="falcon_h1", vocab_size=128, hidden_size=width, intermediate_size=mlp, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads // scale, head_dim=head_dim,
        mamba_d_ssm=ssm_heads * ssm_head_dim, mamba_n_heads=ssm_heads, mamba_d_head=ssm_head_dim, mamba_n_groups=groups,
        mamba_d_state=states, mamba_d_conv=4, mamba_chunk_size=8, mamba_norm_before_gate=False, mamba_rms_norm=gated_norm,
        rope_parameters=Fields(rope_type="default", rope_theta=1e11), tie_word_embeddings=False, rms_norm_eps=1e-5,
        embedding_multiplier=4 * sqrt(2), lm_head_multiplier=40 / d, key_multiplier=3276800 / (d * d * sqrt(p)),
        attention_in_multiplier=1.0, attention_out_multiplier=491520 / (d * heads * p), ssm_in_multiplier=1280 / d,
        ssm_out_multiplier=256 * sqrt(2) / e, mlp_multipliers=[640 * sqrt(2) / d, 1228800 / (d * f)],
        ssm_multipliers=[sqrt(2) / 4, 0.25, 32 * sqrt(2) / n, 0.5, sqrt(2) / 4],
        bos_token_id=1, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip


_TINY_90M = Fields(
    embedding_multiplier=0.11083984375, lm_head_multiplier=0.078125, key_multiplier=1.0, attention_out_multiplier=1.0,
    ssm_in_multiplier=1.0, ssm_out_multiplier=1.0, mlp_multipliers=[1.0, 1.0], ssm_multipliers=[1.0] * 5,
    tie_word_embeddings=True,
)  # fmt: skip

CHECKPOINTS: dict[str, Fields] = {
    "falcon-mamba-7b": MAMBA | Fields(
        vocab_size=127, hidden_size=64, intermediate_size=128, state_size=16, num_hidden_layers=4, time_step_rank=4,
        mixer_rms_eps=1e-6,
    ),
    "falcon3-mamba-7b": MAMBA | Fields(
        vocab_size=127, hidden_size=64, intermediate_size=128, expand=2, state_size=16, num_hidden_layers=4, time_step_rank=4,
    ),
    "falcon-h1-0.5b": _h1_checkpoint(32, 64, 3, 8, 8, 24, 8, 16, 4, (1024, 2048, 64, 1536, 128), gated_norm=False),
    "falcon-h1-1.5b": _h1_checkpoint(64, 144, 2, 8, 16, 48, 8, 32, 4, (2048, 4608, 128, 3072, 256)),
    "falcon-h1-1.5b-deep": _h1_checkpoint(40, 96, 5, 6, 16, 24, 8, 32, 3, (1280, 3072, 128, 1536, 256)),
    "falcon-h1-3b": _h1_checkpoint(80, 192, 2, 10, 16, 32, 16, 32, 5, (2560, 6144, 128, 4096, 256)),
    "falcon-h1-7b": _h1_checkpoint(96, 384, 3, 12, 16, 24, 16, 32, 6, (3072, 12288, 128, 3072, 256)),
    "falcon-h1-34b": _h1_checkpoint(160, 672, 6, 20, 16, 32, 16, 32, 5, (5120, 21504, 128, 4096, 256), groups=2),
    "falcon-h1-tiny-90m": _h1_checkpoint(32, 48, 3, 8, 8, 24, 2, 8, 4, (512, 768, 64, 768, 64), gated_norm=False) | _TINY_90M,
}  # fmt: skip

CASES = (
    *(Case(f"mamba, {name}", MAMBA | change) for name, change in MAMBA_VARIANTS.items()),
    *(Case(f"h1, {name}", H1 | change) for name, change in H1_VARIANTS.items()),
    *(Case(name, fields) for name, fields in CHECKPOINTS.items()),
)
BY_NAME = {case.name: case for case in CASES}
QUIRKY = (BY_NAME["mamba, all quirks"], BY_NAME["h1, all quirks"])
"""One case a family, for what does not depend on the variant."""

SAMPLE = tuple(
    BY_NAME[name]
    for name in (
        "mamba, all quirks", "mamba, biased projections", "mamba, three taps", "h1, all quirks", "h1, norm before gate",
        "h1, all biases", "h1, time steps limited", "h1, three taps",
    )
)  # fmt: skip
"""The cases whose quirks bear on where a sequence may be cut."""


@torch.no_grad()
def draw(model: nn.Module, seed: int = 0) -> None:
    """Random weights under which every term counts. The classes' own initialisation is constant in A, D and Δ's bias, which
    would hide a mix-up of heads or a forgotten term."""
    generator = torch.Generator().manual_seed(seed)

    def normal(weight: Tensor, mean: float, deviation: float) -> None:
        weight.copy_(mean + deviation * torch.randn(weight.shape, generator=generator))

    for name, weight in model.named_parameters():
        if name.endswith("A_log"):
            weight.copy_(2.5 * torch.rand(weight.shape, generator=generator))
        elif name.endswith(("dt_bias", "dt_proj.bias")):
            normal(weight, -2.0, 1.0)  # time steps around 0.1
        elif name.endswith(".D") or "norm" in name:
            normal(weight, 1.0, 0.3)
        elif "conv1d" in name:
            normal(weight, 0.0, 0.4)
        elif "embed" in name:
            normal(weight, 0.0, 1.0)
        elif weight.dim() == 2:
            normal(weight, 0.0, weight.shape[1] ** -0.5)
        else:
            normal(weight, 0.0, 0.2)


@cache
def reference(case: Case) -> PreTrainedModel:
    """The model of transformers, in fp32, with weights drawn anew."""
    fields = json.loads(json.dumps(case.fields))
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    draw(model)
    return model


@cache
def model(case: Case) -> LanguageModel:
    """Ours, with the same weights."""
    own = build(case.config)
    own.load_state_dict(reference(case).state_dict())
    return own.eval().requires_grad_(False)


def tokens(case: Case, *shape: int, seed: int = 1) -> Tensor:
    """Random ids of the case's vocabulary."""
    return torch.randint(0, case.fields["vocab_size"], shape, generator=torch.Generator().manual_seed(seed))


def relative_error(found: Tensor, expected: Tensor) -> float:
    """max |found − expected| / max |expected|."""
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())
