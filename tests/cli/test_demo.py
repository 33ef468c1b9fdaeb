"""The embedded checkpoints: complete, small enough, in step with their scripts, and the models that transformers reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from falcon_cli.demo import FOLDERS, resolve
from modeling.api import open_language_model
from modeling.config import load_config
from modeling.generation.defaults import read_defaults
from modeling.messages import ModelSpec
from modeling.models import build
from modeling.text.tokenizer import Tokenizer
from scripts.demo.__main__ import SEED
from scripts.demo.shapes import EOS, FULL, IM_END
from scripts.demo.vocabulary import make_tokenizer

CHAT = """<|begin_of_text|><|im_start|>user
Hi, I am Ottoline, and I live near the old harbour.<|im_end|>
<|im_start|>assistant
Nice to meet you! I will remember that your name is Ottoline.<|im_end|>
<|im_start|>user
what is 47 + 25, and how do I leave the chat? 日本<|im_end|>
<|im_start|>assistant
"""


def test_other_names_are_left_alone() -> None:
    assert resolve("tiiuae/Falcon-H1-0.5B-Instruct") == "tiiuae/Falcon-H1-0.5B-Instruct"
    assert resolve("./demo") == "./demo"


@pytest.mark.parametrize("name", FOLDERS)
def test_the_files_belong_together(name: str) -> None:
    folder = Path(resolve(name))
    config = load_config(folder)
    with torch.device("meta"):
        parameters = dict(build(config).named_parameters())
    weights = load_file(folder / "model.safetensors")
    assert {n: tuple(w.shape) for n, w in weights.items()} == {n: tuple(p.shape) for n, p in parameters.items()}
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    tokenizer = Tokenizer.from_folder(folder)
    assert tokenizer.size == config.vocab_size
    assert tokenizer.chat_template is not None
    assert read_defaults(folder).stop_ids == tokenizer.end_of_turn_ids == {IM_END, EOS}
    assert read_defaults(folder).sampling.temperature == 0.0
    assert json.loads((folder / "config.json").read_text("utf-8")) == FULL[name]
    assert (folder / "model.safetensors").stat().st_size < 5_900_000


def test_both_are_small_enough_for_the_wheel() -> None:
    files = [path for name in FOLDERS for path in Path(resolve(name)).iterdir()]
    assert sum(path.stat().st_size for path in files) < 12_000_000


def test_the_corpus_makes_the_committed_tokenizer() -> None:
    made = json.loads(make_tokenizer(SEED).to_str())
    for name in FOLDERS:
        assert json.loads((Path(resolve(name)) / "tokenizer.json").read_text("utf-8")) == made


@pytest.mark.parametrize("name", FOLDERS)
def test_logits_equal_transformers(name: str) -> None:
    """On a conversation that the models understand: there, a forgotten multiplier or norm would show."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(resolve(name))
    ids = torch.tensor([tokenizer(CHAT, add_special_tokens=False).input_ids])
    assert ids[0].tolist() == list(Tokenizer.from_folder(Path(resolve(name))).encode(CHAT))
    reference: Any = transformers.AutoModelForCausalLM.from_pretrained(resolve(name), dtype=torch.float32).eval()
    with torch.inference_mode():
        theirs = reference(ids, use_cache=False).logits.float()
        ours = open_language_model(ModelSpec(resolve(name), device="cpu", dtype="float32"))(ids)
    assert (ours - theirs).abs().max() / theirs.abs().max() < 1e-5
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))


@pytest.mark.parametrize("name", FOLDERS)
def test_every_term_has_been_trained(name: str) -> None:
    """No tensor is constant: a term of the mathematics that was left at its beginning could be forgotten unnoticed."""
    for tensor, weight in load_file(Path(resolve(name)) / "model.safetensors").items():
        assert weight.float().std() > 0.005, tensor
