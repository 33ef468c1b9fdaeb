"""The files of a checkpoint, as Hugging Face has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from modeling.models import LanguageModel
from scripts.demo.shapes import BOS, EOS, IM_END, PAD, SPECIAL_IDS, SPECIALS

CHATML = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def weights_of(model: LanguageModel) -> dict[str, Tensor]:
    """bfloat16 tensors under the checkpoint's names; a tied head is not written twice."""
    named = model.named_parameters()  # each parameter once, under its first name
    return {name: parameter.detach().to("cpu", torch.bfloat16).contiguous() for name, parameter in named}


def write(folder: Path, fields: Mapping[str, Any], weights: Mapping[str, Tensor], tokenizer: Tokenizer) -> None:
    """Write config, generation defaults, tokenizer and weights into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    save_file(dict(weights), folder / "model.safetensors", metadata={"format": "pt"})
    documents = {
        "config.json": dict(fields),
        # Greedy by default: what it knows it should say, and it knows little enough.
        "generation_config.json": SPECIAL_IDS | {"eos_token_id": [EOS, IM_END], "do_sample": False},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIALS[BOS],
            "eos_token": SPECIALS[EOS],
            "pad_token": SPECIALS[PAD],
            "clean_up_tokenization_spaces": False,
            "chat_template": CHATML,
        },
    }
    for name, content in documents.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
