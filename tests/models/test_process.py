"""The process as a user runs it, with the constants as shipped: what the operating system counts, and no graph left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="getrusage would count the parent's peak, too: it outlives exec")

PROGRAM = """
import json, sys
import torch
from modeling.config import parse_config
from modeling.models import build

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

torch.set_num_threads(1)
fields, *feeds = map(json.loads, sys.argv[1:])
model = build(parse_config(fields)).requires_grad_(False)
for parts in feeds:
    state = model.make_state(1, sum(parts))
    for part in torch.zeros(sum(parts), dtype=torch.int64).split(parts):
        model.prefill(part, state, 0)
    print(peak(), state.nbytes)
"""


def growth(fields: dict[str, Any], first: list[int], then: list[int]) -> int:
    """Bytes by which the peak of a process rises from one prefill, in parts of these lengths, to another; states left out."""
    command = [sys.executable, "-c", PROGRAM, *map(json.dumps, (fields, first, then))]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # freed tensors go back at once: the figure is steady
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (before, _), (after, kept) = (map(int, line.split()) for line in done.stdout.splitlines())
    return after - before - kept


@linux
def test_the_peak_does_not_grow_with_the_prompt(quirky: Any) -> None:
    """Operators' inner buffers included; the ids and what an allocator wastes remain."""
    assert growth(quirky.fields | {"num_hidden_layers": 2}, [512] * 4, [512] * 20) < 10 * MIB


@linux
def test_a_long_part_costs_activations_only(quirky: Any) -> None:
    """Not its square, as an attention mask would, nor a state for each token: either is 144 MiB for 6144 tokens here."""
    wide = {"state_size": 128} if quirky.fields["model_type"] == "falcon_mamba" else {"mamba_d_state": 32}
    assert growth(quirky.fields | wide | {"num_hidden_layers": 1}, [512], [512, 6144]) < 64 * MIB


def test_feeding_a_state_leaves_no_graph(quirky: Any, cases: ModuleType) -> None:
    """Whatever the weights and the surroundings say; else each token would hold on to all that came before."""
    model, ids = cases.model(quirky), cases.tokens(quirky, 9)
    state = model.make_state(2, 16)
    model.requires_grad_()
    try:
        logits = [model.prefill(ids, state, 0), model.step(ids[:2], state), model.prefill(ids, state, 1)]
    finally:
        model.requires_grad_(False)
    assert not any(scores.requires_grad for scores in logits)
    assert not any(tensor.requires_grad for layer in state.mamba for tensor in (layer.conv, layer.ssm))
    assert torch.isfinite(logits[-1]).all()
