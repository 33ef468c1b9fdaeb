#!/usr/bin/env python3
"""Make the two embedded checkpoints, `demo` (FalconMamba) and `demo-h1` (Falcon-H1): make_demo.py [FOLDER].

They are Hugging Face folders like any other, 230 KB each. The tokenizer is trained on sentences that this file makes up; the
weights are noise, drawn so that every term of the mathematics matters (the initialisation of a fresh model would leave A, D and
Δ constant, and a forgotten term unnoticed). The same seed makes the same files.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from math import prod, sqrt
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from modeling.config import parse_config
from modeling.models import build

SEED = 20240812
VOCABULARY = 512
SPECIALS = ("<|pad|>", "<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|end_of_text|>")
PAD, BOS, _, IM_END, EOS = range(len(SPECIALS))
CHATML = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_IDS = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
SHARED = {"vocab_size": VOCABULARY, "num_hidden_layers": 3, "tie_word_embeddings": False, "dtype": "bfloat16", **SPECIAL_IDS}

FALCON_MAMBA: dict[str, Any] = {
    "architectures": ["FalconMambaForCausalLM"],
    "model_type": "falcon_mamba",
    **SHARED,
    "hidden_size": 48,
    "intermediate_size": 96,
    "expand": 16,  # as in falcon-mamba-7b: untrue, and without effect beside intermediate_size
    "state_size": 16,
    "time_step_rank": 6,
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
    "hidden_size": 40,
    "intermediate_size": 56,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,  # 6·8 is not the hidden size, as in the real models
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e11,
    "hidden_act": "silu",
    "mamba_d_ssm": 48,
    "mamba_n_heads": 6,
    "mamba_d_head": 8,
    "mamba_n_groups": 2,  # as in the 34B
    "mamba_d_state": 12,
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
    "lm_head_multiplier": 0.04,
    "key_multiplier": 0.39,
    "attention_in_multiplier": 1.1,
    "attention_out_multiplier": 0.94,
    "ssm_in_multiplier": 1.25,
    "ssm_out_multiplier": 0.24,
    "mlp_multipliers": [0.88, 0.59],
    "ssm_multipliers": [0.35, 0.25, 0.36, 0.5, 0.34],
}


WHO = "the falcon|a small model|the old mill|my neighbour|the river|a quiet child|the machine|the wind|she|he|Hello, they"
DOES = """remembers|follows|carries|finds|counts|hears|forgets|opens|reads|leaves|answers|watches|borrows|repeats|keeps|writes|
understands|imagines|questions"""
WHAT = """every word|the long road|a cold morning|the last page|its own state|two letters|the green hill|nothing at all|
some bread|a different number|those beautiful stars"""
WHEN = """today|again|before the rain|in the evening|without a sound|at once|for a while|as it should|until winter|
with great joy|once more"""
JOINS = ", and |; | because |, but | while "


def sentences(draw: random.Random, count: int) -> Iterator[str]:
    """Plain English without meaning: enough to give a byte-level vocabulary its common words."""
    parts = [words.replace("\n", "").split("|") for words in (WHO, DOES, WHAT, WHEN)]

    def clause() -> str:
        return " ".join(draw.choice(words) for words in parts)

    for _ in range(count):
        text = clause() + (draw.choice(JOINS.split("|")) + clause() if draw.random() < 0.5 else "")
        yield text[0].upper() + text[1:] + draw.choice(".....?!") + draw.choice((" ", " ", "\n"))


def make_tokenizer(draw: random.Random) -> Tokenizer:
    """A byte-level BPE vocabulary whose first ids are the special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(draw, 3000), trainer)
    return tokenizer


def distribution(name: str, shape: tuple[int, ...], draw: random.Random) -> Callable[[], float]:
    """What one number of the tensor `name` is drawn from: every term must matter, none may explode."""
    if name.endswith("A_log"):
        return lambda: draw.uniform(0.0, 2.5)
    if name.endswith(("dt_bias", "dt_proj.bias")):
        return lambda: draw.gauss(-2.0, 1.0)
    if "norm" in name or name.endswith(".D"):
        return lambda: draw.gauss(1.0, 0.3)
    if "conv1d" in name:
        return lambda: draw.gauss(0.0, 0.4)
    if "embed" in name or "lm_head" in name:
        return lambda: draw.gauss(0.0, 1.0)
    if len(shape) == 2:
        return lambda: draw.gauss(0.0, shape[1] ** -0.5)
    return lambda: draw.gauss(0.0, 0.2)


def make_weights(fields: dict[str, Any], draw: random.Random) -> dict[str, torch.Tensor]:
    """bfloat16 tensors under the checkpoint's names. Python's own generator: the same numbers on every machine."""
    with torch.device("meta"):
        model = build(parse_config(fields))
    weights = {}
    for name, parameter in sorted(model.named_parameters()):
        number = distribution(name, tuple(parameter.shape), draw)
        weights[name] = torch.tensor([number() for _ in range(prod(parameter.shape))]).reshape(parameter.shape).bfloat16()
    return weights


def make_checkpoint(fields: dict[str, Any], folder: Path) -> None:
    """Write the five files of a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(SEED)
    make_tokenizer(draw).save(str(folder / "tokenizer.json"), pretty=False)
    save_file(make_weights(fields, draw), folder / "model.safetensors", metadata={"format": "pt"})
    bos, eos, pad = (SPECIALS[i] for i in (BOS, EOS, PAD))
    documents = {
        "config.json": fields,
        "generation_config.json": SPECIAL_IDS | {"eos_token_id": [EOS, IM_END]},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": bos,
            "eos_token": eos,
            "pad_token": pad,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHATML,
        },
    }
    for name, content in documents.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = Path(__file__).resolve().parent.parent / "falcon_cli" / "demo"
    parser.add_argument("folder", nargs="?", type=Path, default=home, help="where to put the two folders")
    folder = parser.parse_args().folder
    make_checkpoint(FALCON_MAMBA, folder / "falcon-mamba")
    make_checkpoint(FALCON_H1, folder / "falcon-h1")


if __name__ == "__main__":
    main()
