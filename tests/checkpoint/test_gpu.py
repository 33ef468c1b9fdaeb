"""The same on a real GPU: tensors arrive whole, and a model in pieces gives the whole model's logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modeling.checkpoint.files import find
from modeling.checkpoint.load import load
from modeling.checkpoint.offload import lock_pages, pack
from modeling.checkpoint.placement import parts
from modeling.config import load_config
from modeling.messages import ModelSpec

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
FAMILIES = ["falcon_mamba", "falcon_h1"]


def opened(folder: Path, **spec: Any) -> Any:
    return load(find(ModelSpec(str(folder))), load_config(folder), ModelSpec(str(folder), **spec))


def blanks(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, dtype=torch.bfloat16, device="meta") for name, shape in shapes.items()}


def largest(model: Any) -> int:
    return max(sum(p.nbytes for p in part.parameters()) for part in parts(model, model.block_class).values())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_tensor_arrives_on_the_gpu(tiny: Callable[..., Path], family: str, dtype: str) -> None:
    folder = tiny(family, shard="20KB")
    host, gpu = opened(folder, device="cpu", dtype=dtype), opened(folder, device="cuda", dtype=dtype)
    assert gpu.placement.resident
    for (name, one), (_, other) in zip(host.named_parameters(), gpu.named_parameters(), strict=True):
        assert other.device == torch.device("cuda", 0)
        assert torch.equal(one, other.cpu()), name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("host", ["1GiB", "60KB", "0"])
def test_host_and_disk_offload_give_the_resident_models_logits(
    tiny: Callable[..., Path], family: str, tied: bool, host: str
) -> None:
    folder = tiny(family, tie_word_embeddings=tied)
    resident = opened(folder, device="cuda:0")
    ids = torch.randint(0, 96, (2, 11), device="cuda")
    for blocks in (2, 3):
        memory = {"0": str(blocks * largest(resident)), "cpu": host}
        split = opened(folder, device="cuda:0", device_map="auto", max_memory=memory)
        homes = {str(home) for home in split.placement.homes.values()}
        assert "cuda:0" in homes
        assert homes & {"cpu", "disk"}
        with torch.inference_mode():
            assert torch.equal(split(ids), resident(ids))
            states = [model.make_state(1, 16) for model in (resident, split)]
            for tokens in (ids[0, :4], ids[0, 4:5], ids[0, 5:9]):
                one, other = (model.prefill(tokens, state, 0) for model, state in zip((resident, split), states, strict=True))
                assert torch.equal(one, other)
        assert all(block.execution_device == torch.device("cuda", 0) for block in split.blocks)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
@pytest.mark.parametrize("family", FAMILIES)
def test_two_gpus_give_one_gpus_logits(tiny: Callable[..., Path], family: str) -> None:
    folder = tiny(family)
    resident = opened(folder, device="cuda:0")
    ids = torch.randint(0, 96, (2, 11), device="cuda")
    split = opened(folder, device_map="auto", max_memory={"0": str(3 * largest(resident))})
    assert {str(home) for home in split.placement.homes.values()} == {"cuda:0", "cuda:1"}
    with torch.inference_mode():
        assert torch.equal(split(ids).cpu(), resident(ids).cpu())
        states = [model.make_state(1, 16) for model in (resident, split)]
        one, other = (model.prefill(ids[0], state, 0) for model, state in zip((resident, split), states, strict=True))
        assert torch.equal(one.cpu(), other.cpu())


def test_weights_that_wait_in_host_memory_are_page_locked_and_let_go() -> None:
    piece, rooms = pack(blanks(a=(300, 7), b=(5,)))
    lock_pages(piece)
    assert piece.is_pinned()
    assert rooms["b"].is_pinned()
    del piece, rooms
    for _ in range(20):  # the same addresses again: still registered, CUDA would refuse them
        piece, _ = pack(blanks(a=(3000, 700)))
        lock_pages(piece)
        assert piece.is_pinned()
        del piece


def test_memory_on_the_gpu_stays_within_its_bound(tiny: Callable[..., Path]) -> None:
    folder = tiny("falcon_h1", hidden_size=512, intermediate_size=2048, num_hidden_layers=16)
    bound = 3 * largest(opened(folder, device="cpu"))
    others = torch.cuda.memory_allocated()
    split = opened(folder, device="cuda:0", device_map="auto", max_memory={"0": str(bound)})
    assert torch.cuda.memory_allocated() - others <= bound
    torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        for _ in range(3):
            split(torch.arange(8, device="cuda")[None])
    assert torch.cuda.max_memory_allocated() - others < bound + 16 * 2**20
