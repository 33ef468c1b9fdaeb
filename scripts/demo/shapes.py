"""The configs of the two models, with the quirks of the real checkpoints, about 2.8 million parameters each.

Embeddings are tied, unlike those of the large models: a head of its own would be a seventh of all weights, worth a layer
or two.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

VOCABULARY = 2048
SPECIALS = ("<|pad|>", "<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|end_of_text|>")
PAD, BOS, IM_START, IM_END, EOS = range(len(SPECIALS))
SPECIAL_IDS = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
SHARED = {"vocab_size": VOCABULARY, "tie_word_embeddings": True, "dtype": "bfloat16", **SPECIAL_IDS}

FALCON_MAMBA: dict[str, Any] = {
    "architectures": ["FalconMambaForCausalLM"],
    "model_type": "falcon_mamba",
    **SHARED,
    "num_hidden_layers": 10,
    "hidden_size": 192,
    "intermediate_size": 384,
    "expand": 16,  # as in falcon-mamba-7b: untrue, and without effect beside intermediate_size
    "state_size": 16,
    "time_step_rank": 12,
    "conv_kernel": 4,
    "layer_norm_epsilon": 1e-5,
    "mixer_rms_eps": 1e-6,
    "use_bias": False,
    "use_conv_bias": True,
    "residual_in_fp32": True,
    "hidden_act": "silu",
}
FALCON_H1: dict[str, Any] = {
    "architectures": ["FalconH1ForCausalLM"],
    "model_type": "falcon_h1",
    **SHARED,
    "num_hidden_layers": 7,
    "hidden_size": 160,
    "intermediate_size": 320,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,  # 6·16 is not the hidden size, as in the real models
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e11,
    "hidden_act": "silu",
    "mamba_d_ssm": 256,
    "mamba_n_heads": 8,
    "mamba_d_head": 32,
    "mamba_n_groups": 2,  # as in the 34B
    "mamba_d_state": 32,
    "mamba_d_conv": 4,
    "mamba_chunk_size": 128,
    "mamba_rms_norm": True,
    "mamba_norm_before_gate": False,
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
    "projectors_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "embedding_multiplier": 4 * sqrt(2),
    "lm_head_multiplier": 0.25,
    "key_multiplier": 0.39,
    "attention_in_multiplier": 1.1,
    "attention_out_multiplier": 0.94,
    "ssm_in_multiplier": 1.25,
    "ssm_out_multiplier": 0.24,
    "mlp_multipliers": [0.88, 0.59],
    "ssm_multipliers": [0.35, 0.25, 0.36, 0.5, 0.34],
}
FULL = {"demo": FALCON_MAMBA, "demo-h1": FALCON_H1}
SMOKE = {
    "demo": FALCON_MAMBA
    | {"vocab_size": 512, "num_hidden_layers": 2, "hidden_size": 48, "intermediate_size": 96, "time_step_rank": 3},
    "demo-h1": FALCON_H1
    | {"vocab_size": 512, "num_hidden_layers": 2, "hidden_size": 40, "intermediate_size": 56, "head_dim": 8}
    | {"mamba_d_ssm": 48, "mamba_n_heads": 6, "mamba_d_head": 8, "mamba_d_state": 12},
}
