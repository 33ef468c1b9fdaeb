"""One table of small models with every quirk of both families, and pairs of them: ours and the reference implementation's."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling.config import parse_config
from modeling.models import LanguageModel, build

Fields = dict[str, Any]  # a config.json

_MAMBA: Fields = {
    "model_type": "falcon_mamba", "vocab_size": 97, "hidden_size": 32, "state_size": 8, "num_hidden_layers": 3,
    "intermediate_size": 48, "expand": 16, "time_step_rank": 5, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
    "tie_word_embeddings": False, "residual_in_fp32": True, "layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-5,
    "bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
_H1: Fields = {
    "model_type": "falcon_h1", "vocab_size": 97, "hidden_size": 40, "intermediate_size": 56, "num_hidden_layers": 3,
    "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 2048,
    "mamba_d_ssm": 48, "mamba_n_heads": 6, "mamba_d_head": 8, "mamba_n_groups": 2, "mamba_d_state": 12, "mamba_d_conv": 4,
    "mamba_expand": 2, "mamba_chunk_size": 8, "mamba_norm_before_gate": False, "mamba_rms_norm": True, "rope_theta": 1e11,
    "embedding_multiplier": 5.65, "lm_head_multiplier": 0.04, "key_multiplier": 0.39, "attention_in_multiplier": 1.1,
    "attention_out_multiplier": 0.94, "ssm_in_multiplier": 1.25, "ssm_out_multiplier": 0.24, "mlp_multipliers": [0.88, 0.59],
    "ssm_multipliers": [0.35, 0.25, 0.36, 0.5, 0.34], "tie_word_embeddings": False,
    "bos_token_id": 1, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
_BIASES: Fields = {"attention_bias": True, "mlp_bias": True, "mamba_proj_bias": True, "projectors_bias": True}


def _published(
    sizes: tuple[int, int, int],
    attention: tuple[int, int, int],
    ssm: tuple[int, int, int, int],
    multipliers: tuple[float, ...],
    b: float = 0.1767766952966369,
    **more: Any,
) -> Fields:
    """A published Falcon-H1 made narrow: its own counts of heads and groups and its own multipliers.

    sizes = hidden, MLP, layers; attention = heads, key-value heads, width; ssm = heads, width, states, groups.
    """
    head, key, attention_out, ssm_in, ssm_out, gate, down = multipliers
    return {
        "model_type": "falcon_h1", "vocab_size": 128, "max_position_embeddings": 2048,
        "hidden_size": sizes[0], "intermediate_size": sizes[1], "num_hidden_layers": sizes[2],
        "num_attention_heads": attention[0], "num_key_value_heads": attention[1], "head_dim": attention[2],
        "mamba_d_ssm": ssm[0] * ssm[1], "mamba_n_heads": ssm[0], "mamba_d_head": ssm[1], "mamba_d_state": ssm[2],
        "mamba_n_groups": ssm[3], "mamba_d_conv": 4, "mamba_chunk_size": 8, "mamba_norm_before_gate": False,
        "mamba_rms_norm": True, "rope_theta": 1e11, "tie_word_embeddings": False, "eos_token_id": None,
        "embedding_multiplier": 5.656854249492381, "lm_head_multiplier": head, "key_multiplier": key,
        "attention_in_multiplier": 1.0, "attention_out_multiplier": attention_out, "ssm_in_multiplier": ssm_in,
        "ssm_out_multiplier": ssm_out, "mlp_multipliers": [gate, down],
        "ssm_multipliers": [0.3535533905932738, 0.25, b, 0.5, 0.3535533905932738],
    } | more  # fmt: skip


_MAMBA_7B: Fields = {
    "model_type": "falcon_mamba", "vocab_size": 127, "hidden_size": 64, "intermediate_size": 128, "expand": 16,
    "state_size": 16, "num_hidden_layers": 4, "conv_kernel": 4, "time_step_rank": 4, "mixer_rms_eps": 1e-6,
    "tie_word_embeddings": False, "eos_token_id": None,
}  # fmt: skip

cases: dict[str, Fields] = {
    "falcon_mamba": _MAMBA,
    "falcon_mamba small eps": _MAMBA | {"mixer_rms_eps": 1e-6},
    "falcon_mamba bias": _MAMBA | {"use_bias": True},
    "falcon_mamba no conv bias": _MAMBA | {"use_conv_bias": False},
    "falcon_mamba tied": _MAMBA | {"tie_word_embeddings": True},
    "falcon_mamba 3 taps": _MAMBA | {"conv_kernel": 3},
    "falcon_mamba auto rank": _MAMBA | {"state_size": 16, "time_step_rank": "auto"},
    "falcon_mamba narrow residual": _MAMBA | {"residual_in_fp32": False},
    "falcon-mamba-7b": _MAMBA_7B,
    "falcon3-mamba-7b": _MAMBA_7B | {"expand": 2, "mixer_rms_eps": 1e-5},
    "falcon_h1": _H1,
    "falcon_h1 no norm": _H1 | {"mamba_rms_norm": False},
    "falcon_h1 norm before gate": _H1 | {"mamba_norm_before_gate": True},
    "falcon_h1 1 group": _H1 | {"mamba_n_groups": 1},
    "falcon_h1 3 groups": _H1 | {"mamba_n_groups": 3},
    "falcon_h1 3 groups norm before gate": _H1 | {"mamba_n_groups": 3, "mamba_norm_before_gate": True},
    "falcon_h1 biases": _H1 | _BIASES,
    "falcon_h1 no conv bias": _H1 | {"mamba_conv_bias": False},
    "falcon_h1 tied": _H1 | {"tie_word_embeddings": True},
    "falcon_h1 derived width": _H1 | {"mamba_d_ssm": None, "mamba_n_heads": 10, "mamba_d_head": 8},
    "falcon_h1 limited step": _H1 | {"time_step_limit": [0.01, 0.05]},
    "falcon_h1 3 taps": _H1 | {"mamba_d_conv": 3},
    "falcon_h1 long chunk": _H1 | {"mamba_chunk_size": 64},
    "falcon_h1 all heads": _H1 | {"rope_theta": 1e4, "num_key_value_heads": 6},
    "falcon-h1-0.5b": _published(
        (32, 64, 3), (8, 2, 8), (24, 8, 16, 1),
        (0.0390625, 0.39062499999999994, 0.9375, 1.25, 0.23570226039551587, 0.8838834764831844, 0.5859375),
        b=0.3535533905932738, mamba_rms_norm=False),
    "falcon-h1-1.5b": _published(
        (64, 144, 2), (8, 2, 16), (48, 8, 32, 1),
        (0.01953125, 0.06905339660024877, 0.234375, 0.625, 0.11785113019775793, 0.4419417382415922, 0.13020833333333334)),
    "falcon-h1-1.5b-deep": _published(
        (40, 96, 5), (6, 2, 16), (24, 8, 32, 1),
        (0.03125, 0.17677669529663687, 0.5, 1.0, 0.23570226039551587, 0.7071067811865476, 0.3125)),
    "falcon-h1-3b": _published(
        (80, 192, 2), (10, 2, 16), (32, 16, 32, 1),
        (0.015625, 0.044194173824159216, 0.15, 0.5, 0.08838834764831845, 0.3535533905932738, 0.078125)),
    "falcon-h1-7b": _published(
        (96, 384, 3), (12, 2, 16), (24, 16, 32, 1),
        (0.013020833333333334, 0.030690398488999456, 0.10416666666666667, 0.4166666666666667, 0.11785113019775793,
         0.2946278254943948, 0.032552083333333336)),
    "falcon-h1-34b": _published(
        (160, 672, 6), (20, 4, 16), (32, 16, 32, 2),
        (0.0078125, 0.011048543456039804, 0.0375, 0.25, 0.08838834764831845, 0.1767766952966369, 0.011160714285714284)),
    "falcon-h1-tiny-90m": _published(
        (32, 48, 3), (8, 2, 8), (24, 2, 8, 1), (0.078125, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        embedding_multiplier=0.11083984375, ssm_multipliers=[1.0] * 5, mamba_rms_norm=False, tie_word_embeddings=True),
}  # fmt: skip


def draw(name: str, shape: torch.Size, seed: int) -> Tensor:
    """Weights that exercise every term: the classes' own first values hide whole branches behind ones and zeros."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
    normal = torch.randn(shape, generator=generator)
    if name.endswith("A_log"):
        return 2.5 * torch.rand(shape, generator=generator)
    if name.endswith((".D", "norm.weight", "norm_f.weight")):
        return 1 + 0.3 * normal
    if name.endswith(("dt_bias", "dt_proj.bias")):
        return normal - 2
    if ".conv1d." in name or name.endswith(".bias"):
        return 0.4 * normal
    if "embed" in name:
        return normal
    return normal / shape[-1] ** 0.5


def _ours(fields: Fields, dtype: torch.dtype, seed: int) -> LanguageModel:
    model = build(parse_config(fields))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(draw(name, parameter.shape, seed))
    return model.to(dtype).eval().requires_grad_(False)


def _theirs(fields: Fields, dtype: torch.dtype) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = {name: value for name, value in fields.items() if name != "model_type"} | {"for_model": fields["model_type"]}
    config = AutoConfig.for_model(fields.pop("for_model"), **fields)
    return AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)


@pytest.fixture(params=list(cases))
def name(request: pytest.FixtureRequest) -> str:
    """Each case of the table in turn."""
    return str(request.param)


@pytest.fixture(params=["falcon_mamba", "falcon_h1"])
def family(request: pytest.FixtureRequest) -> str:
    """The case with all quirks of each family in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def case() -> Callable[[str], Fields]:
    """The config.json of a case, as a new dict."""
    return lambda name: dict(cases[name])


@pytest.fixture(scope="session")
def make_model(case: Callable[[str], Fields]) -> Callable[..., LanguageModel]:
    """Our model of a case (its name, or fields of its own) with drawn, frozen weights."""

    def make_model(which: str | Fields, dtype: torch.dtype = torch.float32, seed: int = 0) -> LanguageModel:
        return _ours(case(which) if isinstance(which, str) else which, dtype, seed)

    return make_model


@pytest.fixture(scope="session")
def make_pair(case: Callable[[str], Fields]) -> Callable[..., tuple[LanguageModel, Any]]:
    """Our model and the reference implementation's with the same weights; loading them is strict in both directions."""

    def make_pair(which: str | Fields, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[LanguageModel, Any]:
        fields = case(which) if isinstance(which, str) else which
        ours, theirs = _ours(fields, dtype, seed), _theirs(fields, dtype)
        theirs.load_state_dict(ours.state_dict())
        return ours, theirs

    return make_pair
