"""What a prompt costs in memory: its ids and Falcon-H1's keys and values, whatever its length; a scan never spreads out."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIB = 2**20
CHUNK = 512  # tokens fed at once


class Ledger(TorchDispatchMode):
    """Books every storage that operators hand out: the `largest`, and the `peak` of those alive at the same time, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = self.live = self.peak = 0
        self.known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.enter(tensor.untyped_storage())
        return result

    def enter(self, storage: torch.UntypedStorage) -> None:
        if storage in self.known:
            return
        self.known.add(storage)
        weakref.finalize(storage, self.leave, storage.nbytes())
        self.live += storage.nbytes()
        self.largest, self.peak = max(self.largest, storage.nbytes()), max(self.peak, self.live)

    def leave(self, size: int) -> None:
        self.live -= size


def measured(model: Any, state: Any, ids: torch.Tensor, chunk: int) -> Ledger:
    """The books of a prefill into slot 0 in chunks. Weights and state count as known."""
    with Ledger() as ledger:
        for tensor in (*model.parameters(), *(t for layer in state.mamba for t in (layer.conv, layer.ssm))):
            ledger.known.add(tensor.untyped_storage())
        if state.pool is not None:
            for tensor in (*state.pool.keys, *state.pool.values):
                ledger.known.add(tensor.untyped_storage())
        for part in ids.split(chunk):
            model.prefill(part, state, 0)
    return ledger


WIDE = {
    "mamba": {"hidden_size": 64, "intermediate_size": 128, "state_size": 32, "num_hidden_layers": 2},
    "h1": {"mamba_d_ssm": 48, "mamba_d_state": 128, "num_hidden_layers": 2, "mamba_norm_before_gate": False},
}


@pytest.fixture(params=WIDE)
def wide(request: pytest.FixtureRequest, cases: Any) -> Any:
    """A model with many states a channel, so that a tensor of (tokens, channels, states) would dwarf all others."""
    base = cases.MAMBA if request.param == "mamba" else cases.H1
    return cases.Case(f"wide {request.param}", base | WIDE[request.param])


def test_no_tensor_of_tokens_by_channels_by_states(wide: Any, cases: Any) -> None:
    """In one forward over 4096 tokens, with a state and without."""
    model, ids = cases.model(wide), cases.tokens(wide, 4096)
    states = sum(layer.ssm[0].numel() for layer in model.make_state(1, 1).mamba[:1])
    forbidden = 4096 * states * 4
    assert measured(model, model.make_state(1, 4096), ids, 4096).largest < forbidden / 4
    with torch.inference_mode(), Ledger() as ledger:
        model.hidden(ids[None], None)
    assert ledger.largest < forbidden / 4


def test_the_head_scores_the_last_position_only(cases: Any) -> None:
    for case in cases.QUIRKY:
        large = cases.Case(f"{case}, large vocabulary", case.fields | {"vocab_size": 5000})
        model = cases.model(large)
        ledger = measured(model, model.make_state(1, CHUNK), cases.tokens(large, CHUNK), CHUNK)
        assert ledger.largest < CHUNK * 5000 * 4 / 2


def test_chunks_bound_what_is_alive_at_once(wide: Any, cases: Any) -> None:
    """The peak of 2048 tokens is that of 512: the only tensors that grow are a page table and attention's mask and output."""
    model = cases.model(wide)
    peaks = []
    for length in (CHUNK, 4 * CHUNK):
        state = model.make_state(1, 4 * CHUNK)
        peaks.append(measured(model, state, cases.tokens(wide, length), CHUNK).peak)
    assert peaks[0] > CHUNK * 4 * wide.fields["hidden_size"]  # the ledger sees them
    mask = CHUNK * 3 * CHUNK if state.pool else 0
    assert peaks[1] <= peaks[0] + mask + MIB / 4


PROGRAM = """
import json, resource, sys
import torch
from modeling.config import parse_config
from modeling.models import build

torch.set_num_threads(1)
model = build(parse_config(json.loads(sys.argv[1]))).requires_grad_(False)
for length in json.loads(sys.argv[2]):
    state = model.make_state(1, length)
    for part in torch.zeros(length, dtype=torch.int64).split(512):
        model.prefill(part, state, 0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024), state.nbytes)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
@pytest.mark.parametrize("lengths", [(4096, 32768), (2048, 10240)], ids=["mamba", "h1"])
def test_the_process_does_not_grow_with_the_prompt(lengths: tuple[int, int], cases: Any) -> None:
    """The operating system's account, operators' inner buffers included: ids, keys and values, and what an allocator wastes."""
    base = cases.MAMBA if lengths[1] == 32768 else cases.H1
    fields = json.dumps(base | {"num_hidden_layers": 2, "hidden_size": 64, "max_position_embeddings": None})
    command = [sys.executable, "-c", PROGRAM, fields, json.dumps(lengths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (before, _), (after, kept) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert after - before < kept + 8 * lengths[1] + 24 * MIB
