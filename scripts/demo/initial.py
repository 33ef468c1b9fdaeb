"""Weights before training, as the papers draw them, with Falcon-H1's multipliers taken into account.

A multiplier m after a matrix makes its gradient and its effect m times as large. The matrix is drawn 1/m times as wide, and
learns 1/m times as fast, so that the network behaves as if there were no multipliers, and yet has them.
"""

from __future__ import annotations

from math import exp, log, prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from modeling.config import FalconH1Config, FalconMambaConfig, parse_config
from modeling.models import LanguageModel, build

EMBEDDING = 0.05  # standard deviation


def fresh_model(fields: dict[str, Any], seed: int) -> LanguageModel:
    """A model of this config on the CPU in fp32. The same seed makes the same weights."""
    model = build(parse_config(fields))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            _draw(name, parameter, model.config, generator)
    return model


def _draw(name: str, parameter: Tensor, config: Any, generator: torch.Generator) -> None:
    if name.endswith("A_log"):
        _draw_decay(parameter, generator)
    elif name.endswith(("dt_bias", "dt_proj.bias")):
        dt = torch.empty_like(parameter).uniform_(log(1e-3), log(1e-1), generator=generator).exp()
        parameter.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus gives dt again
    elif name.endswith(".D") or "norm" in name:
        parameter.fill_(1.0)
    elif name.endswith("bias"):
        parameter.zero_()
    elif "embed" in name:
        parameter.normal_(0.0, EMBEDDING, generator=generator)
    elif "conv1d" in name:
        parameter.uniform_(-0.5, 0.5, generator=generator)  # ±1/√k for k = 4 taps
    else:
        width = 1.0 / sqrt(prod(parameter.shape[1:]))
        if name.endswith(("out_proj.weight", "o_proj.weight", "down_proj.weight")):
            width /= sqrt(config.num_hidden_layers)  # what is added to the residual stream
        parameter.normal_(0.0, width, generator=generator)
        parameter.div_(row_multipliers(name, parameter, config)[:, None])


def _draw_decay(parameter: Tensor, generator: torch.Generator) -> None:
    """Mamba-1: every channel has the decays 1 … n. Mamba-2: one decay a head, from 1 to 16."""
    if parameter.dim() == 2:
        parameter.copy_(torch.arange(1, parameter.shape[1] + 1).log().expand_as(parameter))
    else:
        parameter.uniform_(1.0, 16.0, generator=generator).log_()


def row_multipliers(name: str, parameter: Tensor, config: FalconMambaConfig | FalconH1Config) -> Tensor:
    """What the output of each row of a matrix is multiplied by: 1 everywhere for FalconMamba."""
    rows = torch.ones(parameter.shape[0])
    if isinstance(config, FalconMambaConfig):
        return rows
    m = config.multipliers
    if name.endswith("mamba.in_proj.weight"):
        e, gn = config.mamba_d_ssm, config.mamba_n_groups * config.mamba_d_state
        segments = torch.tensor((e, e, gn, gn, config.mamba_n_heads))
        return torch.tensor(m.ssm).repeat_interleave(segments) * m.ssm_in
    factors = {
        "mamba.out_proj.weight": m.ssm_out,
        "q_proj.weight": m.attention_in,
        "k_proj.weight": m.attention_in * m.key,
        "v_proj.weight": m.attention_in,
        "o_proj.weight": m.attention_out,
        "gate_proj.weight": m.mlp[0],
        "down_proj.weight": m.mlp[1],
    }
    return rows * next((factor for ending, factor in factors.items() if name.endswith(ending)), 1.0)


def learning_groups(model: LanguageModel, decay: float) -> list[dict[str, Any]]:
    """Parameters for the optimizer, grouped by how fast they learn (`scale`) and whether they decay (matrices only)."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        matrix = parameter.dim() == 2 and not name.endswith("A_log")
        scale = 1.0
        if matrix and "embed" not in name:
            scale = exp(-row_multipliers(name, parameter, model.config).log().mean().item())
        groups.setdefault((round(scale, 3), matrix), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": decay / scale if matrix else 0.0}
        for (scale, matrix), parameters in groups.items()
    ]
