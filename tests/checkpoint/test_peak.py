"""Peak memory of a load, in a process of its own: host memory holds the weights that stay there, once, and little else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from modeling.checkpoint.load import blueprint
from modeling.config import parse_config

MIB = 2**20

CONFIGS: dict[str, dict[str, Any]] = {
    "falcon_h1": {
        "model_type": "falcon_h1",
        "vocab_size": 32768,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 10,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "mamba_d_ssm": 1536,
        "mamba_n_heads": 24,
        "mamba_d_head": 64,
        "mamba_d_state": 128,
        "dtype": "bfloat16",
    },
    "falcon_mamba": {
        "model_type": "falcon_mamba",
        "vocab_size": 32768,
        "hidden_size": 1024,
        "intermediate_size": 2048,
        "num_hidden_layers": 28,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    },
}

# Anonymous memory is what a process asks for itself; pages of mapped files (libraries) are the system's to drop.
PROBE = """
import json, sys, threading, time
import torch, psutil, accelerate
from modeling.checkpoint.files import find
from modeling.checkpoint.load import load
from modeling.checkpoint import load as module
from modeling.config import load_config
from modeling.messages import ModelSpec

def anonymous():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("RssAnon"))

def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.001)

spec = ModelSpec(sys.argv[1], device="cpu", dtype=sys.argv[2], **json.loads(sys.argv[3]))
needs = []
estimate = module.estimate
module.estimate = lambda *arguments: needs.append(estimate(*arguments)) or needs[-1]
module.blueprint(load_config(find(spec).folder), torch.float32)  # what is imported on first use is not the load's
torch.zeros(64, 64) @ torch.zeros(64, 64)
before = peak = anonymous()
done = False
thread = threading.Thread(target=watch)
thread.start()
model = load(find(spec), load_config(find(spec).folder), spec)
loaded = anonymous() - before
with torch.inference_mode():
    for token in range(int(sys.argv[4])):
        state = model.make_state(1, 1024)
        model.prefill(torch.arange(512) % 1000, state, 0)
        model.step(torch.tensor([5]), state)
done = True
thread.join()
print(json.dumps({"peak": peak - before, "loaded": loaded, "weights": needs[0].weights, "need": needs[0].total}))
"""


def write(folder: Path, config: dict[str, Any]) -> Path:
    """A checkpoint of zeros: a file with a hole in it, which takes no room on the disk."""
    header: dict[str, Any] = {}
    end = 0
    for name, parameter in blueprint(parse_config(config), torch.bfloat16).named_parameters():
        header[name] = {"dtype": "BF16", "shape": list(parameter.shape), "data_offsets": [end, end + parameter.nbytes]}
        end += parameter.nbytes
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 500 MB in bfloat16."""
    return write(tmp_path_factory.mktemp(request.param), CONFIGS[request.param])


def measure(folder: Path, dtype: str = "auto", runs: int = 0, **placement: Any) -> dict[str, int]:
    arguments = [str(folder), dtype, json.dumps(placement), str(runs)]
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    figures: dict[str, int] = json.loads(done.stdout)
    print(placement, dtype, runs, {name: size // MIB for name, size in figures.items()})
    return figures


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_the_peak_of_a_load_is_the_model_and_the_staging_buffers(folder: Path, dtype: str) -> None:
    figures = measure(folder, dtype)
    assert figures["weights"] > 450 * MIB
    assert figures["weights"] * 0.99 < figures["peak"] < figures["weights"] + 80 * MIB


def test_the_peak_of_an_offloaded_load_does_not_grow_with_the_model(folder: Path) -> None:
    figures = measure(folder, device_map="auto", max_memory={"cpu": "150MB"})
    assert figures["weights"] > 450 * MIB
    assert figures["peak"] < 150 * 10**6 + 80 * MIB


@pytest.mark.promise
@pytest.mark.parametrize("family", CONFIGS)
def test_the_estimate_is_within_seven_per_cent_of_the_peak_of_a_run(tmp_path: Path, family: str) -> None:
    """Of a model of 1.1 GB, the size of Falcon-H1-0.5B; most of it is vocabulary, for a quick run."""
    figures = measure(write(tmp_path, CONFIGS[family] | {"vocab_size": 230_000, "num_hidden_layers": 4}), runs=2)
    assert figures["need"] == pytest.approx(figures["peak"], rel=0.07)
