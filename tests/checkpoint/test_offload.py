from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from modeling.checkpoint import offload
from modeling.checkpoint.files import find
from modeling.checkpoint.load import load
from modeling.checkpoint.placement import Plan, parts
from modeling.checkpoint.reader import Reader
from modeling.config import load_config
from modeling.messages import ModelSpec

CPU = torch.device("cpu")
FAMILIES = ["falcon_mamba", "falcon_h1"]


def opened(folder: Path, **spec: Any) -> Any:
    spec = {"device": "cpu"} | spec
    return load(find(ModelSpec(str(folder))), load_config(folder), ModelSpec(str(folder), **spec))


def full_name(model: nn.Module, module: nn.Module, attribute: str) -> str:
    """The full name of a parameter."""
    return next(f"{name}.{attribute}" for name, candidate in model.named_modules() if candidate is module)


def budgets(model: Any) -> list[int]:
    """Sizes from hardly anything to nearly all of the weights."""
    weights = sum(parameter.nbytes for parameter in model.parameters())
    largest = max(sum(p.nbytes for p in part.parameters()) for part in parts(model, model.block_class).values())
    return [2 * largest, 3 * largest, weights - 1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"shard": "30KB"}, {"tie_word_embeddings": True}, {"dtype": "bfloat16"}], ids=str)
def test_disk_offload_gives_the_resident_models_logits(tiny: Callable[..., Path], family: str, options: dict[str, Any]) -> None:
    folder = tiny(family, **options)
    ids = torch.randint(0, 96, (2, 11), generator=torch.Generator().manual_seed(3))
    resident = opened(folder)
    for budget in budgets(resident):
        split = opened(folder, device_map="auto", max_memory={"cpu": str(budget)})
        assert "disk" in split.placement.homes.values()
        with torch.inference_mode():
            assert torch.equal(split(ids), resident(ids))
            assert torch.equal(split(ids), resident(ids))  # a second visit brings the same weights


@pytest.mark.parametrize("family", FAMILIES)
def test_prefill_and_steps_of_an_offloaded_model_are_those_of_the_resident_one(tiny: Callable[..., Path], family: str) -> None:
    folder = tiny(family)
    resident = opened(folder)
    split = opened(folder, device_map="auto", max_memory={"cpu": str(budgets(resident)[0])})
    outcomes = []
    for model in (resident, split):
        with torch.inference_mode():
            state = model.make_state(2, 32)
            logits = [model.prefill(torch.arange(7), state, 0), model.prefill(torch.arange(20, 23), state, 1)]
            logits += [model.step(torch.tensor([token, 90 - token]), state) for token in range(5)]
        outcomes.append(logits)
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dtype_that_is_not_the_files_is_converted_on_each_visit(tiny: Callable[..., Path], family: str) -> None:
    folder = tiny(family)
    resident = opened(folder, dtype="bfloat16")
    split = opened(folder, dtype="bfloat16", device_map="auto", max_memory={"cpu": str(budgets(resident)[0])})
    ids = torch.arange(9)[None]
    with torch.inference_mode():
        assert torch.equal(split(ids), resident(ids))


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_kept_in_host_memory_visit_as_those_on_disk_do(tiny: Callable[..., Path], family: str) -> None:
    """The road of a GPU's host offload, walked on the CPU: the homes are the host's, the visits are real."""
    folder = tiny(family, tie_word_embeddings=True)
    resident, split = opened(folder), opened(folder)
    reader = Reader()
    for part in parts(split, split.block_class).values():
        places = [(module, name) for module in part.modules() for name, _ in module.named_parameters(recurse=False)]
        _, packed = offload.pack({str(number): module._parameters[name] for number, (module, name) in enumerate(places)})
        visitors = []
        for (module, name), room in zip(places, packed.values(), strict=True):
            room.copy_(resident.get_parameter(full_name(split, module, name)))
            module._parameters[name] = nn.Parameter(module._parameters[name].to("meta"), requires_grad=False)
            visitors.append(offload.Visitor(module._parameters, name, room, room.dtype))
        offload.attach(part, CPU, visitors, reader)
    assert all(parameter.is_meta for parameter in split.parameters())
    ids = torch.arange(9)[None]
    with torch.inference_mode():
        assert torch.equal(split(ids), resident(ids))
    assert all(parameter.is_meta for parameter in split.parameters())


def test_a_visit_ends_with_the_weights_gone_whatever_happens_in_it(tiny: Callable[..., Path]) -> None:
    folder = tiny("falcon_h1")
    split = opened(folder, device_map="auto", max_memory={"cpu": str(budgets(opened(folder))[0])})
    before = {name: parameter.is_meta for name, parameter in split.named_parameters()}
    assert any(before.values())

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    split.blocks[-1].mamba.forward = interrupted
    with pytest.raises(KeyboardInterrupt):
        split(torch.arange(4)[None])
    assert {name: parameter.is_meta for name, parameter in split.named_parameters()} == before


def test_visitors_come_one_part_at_a_time(tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny("falcon_mamba")
    split = opened(folder, device_map="auto", max_memory={"cpu": str(budgets(opened(folder))[0])})
    offloaded = [name for name in split.placement.homes if split.placement.offloaded(name)]
    present: list[list[str]] = []
    read = Reader.tensor

    def counted(self: Reader, *arguments: Any) -> Any:
        modules = parts(split, split.block_class)
        present.append([name for name in offloaded if not all(p.is_meta for p in modules[name].parameters())])
        return read(self, *arguments)

    monkeypatch.setattr(Reader, "tensor", counted)
    split(torch.arange(4)[None])
    assert max(map(len, present)) == 1


def test_a_file_that_disappears_meanwhile_is_an_error_in_words(tiny: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    from modeling.errors import BadModelFile

    folder = Path(shutil.copytree(tiny("falcon_mamba"), tmp_path / "copy"))
    split = opened(folder, device_map="auto", max_memory={"cpu": str(budgets(opened(folder))[0])})
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadModelFile, match="cannot be read"):
        split(torch.arange(4)[None])


def test_where_a_part_computes_is_written_on_it(tiny: Callable[..., Path]) -> None:
    split = opened(tiny("falcon_h1"), device_map="auto", max_memory={"cpu": "90000"})
    assert [block.execution_device for block in split.blocks] == [CPU] * 4
    assert split.device == CPU
    assert all(layer.ssm.device == CPU for layer in split.make_state(1, 8).mamba)
    plan: Plan = split.placement
    assert plan.summary().endswith("on disk")


def test_a_model_that_is_let_go_is_gone_at_once(tiny: Callable[..., Path]) -> None:
    """No cycle of references: on a GPU, gigabytes would wait for the garbage collector."""
    for spec in ({}, {"device_map": "auto", "max_memory": {"cpu": "90000"}}):
        model = opened(tiny("falcon_h1"), **spec)
        model(torch.arange(4)[None])
        watched = [weakref.ref(module) for module in model.modules()]
        gc.disable()
        try:
            del model
            assert [watch() for watch in watched if watch() is not None] == []
        finally:
            gc.enable()


def test_what_a_layer_keeps_of_a_visitor_does_not_keep_the_others(tiny: Callable[..., Path]) -> None:
    split = opened(tiny("falcon_h1"), device_map="auto", max_memory={"cpu": "90000"})
    kept: list[torch.Tensor] = []
    block = next(
        block for name, block in split.named_modules() if name in split.placement.homes and split.placement.offloaded(name)
    )
    mixer = next(module for module in block.modules() if hasattr(module, "A_log"))
    forward = mixer.forward
    mixer.forward = lambda *arguments: kept.append(mixer.A_log) or forward(*arguments)
    split(torch.arange(4)[None])
    assert kept[0].untyped_storage().nbytes() == kept[0].nbytes


def test_inputs_travel_and_other_objects_stay() -> None:
    marker = object()
    moved = offload.move({"a": [torch.zeros(1), (torch.ones(1), marker)], "b": None}, torch.device("meta"))
    assert moved["a"][0].is_meta
    assert moved["a"][1][0].is_meta
    assert moved["a"][1][1] is marker
    assert moved["b"] is None
