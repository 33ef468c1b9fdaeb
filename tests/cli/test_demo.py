"""The embedded checkpoints: complete, real, and reproducible from their script."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from falcon_cli.demo import FOLDERS, resolve
from modeling.config import load_config
from modeling.generation.defaults import read_defaults
from modeling.models import build
from modeling.text.tokenizer import Tokenizer

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_demo.py"


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script: dict[str, Any] = runpy.run_path(str(SCRIPT))
    folder = tmp_path_factory.mktemp("demo")
    script["make_checkpoint"](script["FALCON_MAMBA"], folder / FOLDERS["demo"])
    script["make_checkpoint"](script["FALCON_H1"], folder / FOLDERS["demo-h1"])
    return folder


def test_other_names_are_left_alone() -> None:
    assert resolve("tiiuae/Falcon-H1-0.5B-Instruct") == "tiiuae/Falcon-H1-0.5B-Instruct"
    assert resolve("./demo") == "./demo"


@pytest.mark.parametrize("name", FOLDERS)
def test_the_script_makes_the_committed_files(name: str, remade: Path) -> None:
    here, there = Path(resolve(name)), remade / FOLDERS[name]
    assert {path.name for path in here.iterdir()} == {path.name for path in there.iterdir()}
    for path in here.glob("*.json"):
        assert json.loads(path.read_text("utf-8")) == json.loads((there / path.name).read_text("utf-8")), path.name
    ours, theirs = load_file(here / "model.safetensors"), load_file(there / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for tensor in ours:  # the last bit of bfloat16 may differ where another libm rounds log and cos differently
        torch.testing.assert_close(ours[tensor], theirs[tensor], rtol=2**-7, atol=0)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_files_belong_together(name: str) -> None:
    folder = Path(resolve(name))
    config = load_config(folder)
    with torch.device("meta"):
        parameters = dict(build(config).named_parameters())
    weights = load_file(folder / "model.safetensors")
    assert {n: tuple(w.shape) for n, w in weights.items()} == {n: tuple(p.shape) for n, p in parameters.items()}
    tokenizer = Tokenizer.from_folder(folder)
    assert tokenizer.size == config.vocab_size
    assert tokenizer.chat_template is not None
    assert read_defaults(folder).stop_ids == tokenizer.end_of_turn_ids == {3, 4}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000


@pytest.mark.parametrize("name", FOLDERS)
def test_no_tensor_is_constant(name: str) -> None:
    for tensor, weight in load_file(Path(resolve(name)) / "model.safetensors").items():
        assert weight.float().std() > 0.05, tensor
