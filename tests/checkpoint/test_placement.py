from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from modeling.checkpoint import placement
from modeling.checkpoint.memory import Need
from modeling.checkpoint.placement import Plan, main_device, parts, plan
from modeling.errors import DeviceUnavailable, InvalidRequest, MemoryExceeded
from modeling.messages import ModelSpec

CPU = torch.device("cpu")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16, bias=False)
        self.mlp = nn.Sequential(nn.Linear(16, 64, bias=False), nn.Linear(64, 16, bias=False))


class Toy(nn.Module):
    """Embedding 6,400 bytes, blocks of 8,256 bytes, norm 64 bytes, head 6,400 bytes."""

    def __init__(self, blocks: int = 6, tied: bool = False) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"embed": nn.Embedding(100, 16), "layers": nn.ModuleList(Block() for _ in range(blocks))})
        self.model["norm"] = nn.LayerNorm(16, bias=False)
        self.head = nn.Linear(16, 100, bias=False)
        if tied:
            self.head.weight = self.model["embed"].weight


BLOCK, EMBED, NORM = 8256, 6400, 64


def toy(**options: Any) -> Toy:
    with torch.device("meta"):
        return Toy(**options)


def planned(model: nn.Module, **spec: Any) -> Plan:
    weights = sum(parameter.nbytes for parameter in model.parameters())
    return plan(model, Block, ModelSpec("m", **spec), Need(weights))


def on_disk(plan: Plan) -> list[str]:
    return [name for name, home in plan.homes.items() if home == "disk"]


def test_parts_are_blocks_and_what_owns_tensors_beside_them() -> None:
    assert list(parts(toy(blocks=2), Block)) == ["model.embed", "model.layers.0", "model.layers.1", "model.norm", "head"]


def test_what_fits_stays_whole() -> None:
    for spec in ({"device": "cpu"}, {"device": "cpu", "device_map": "auto"}):
        assert planned(toy(), **spec).resident


def test_cpu_with_little_memory_leaves_blocks_on_disk_and_room_for_a_visitor() -> None:
    budget = EMBED + 3 * BLOCK
    plan = planned(toy(), device="cpu", device_map="auto", max_memory={"cpu": str(budget)})
    sizes = {"model.embed": EMBED, "model.norm": NORM, "head": EMBED}
    resident = sum(sizes.get(name, BLOCK) for name, home in plan.homes.items() if home == CPU)
    assert resident + BLOCK <= budget
    assert resident + 2 * BLOCK > budget
    assert plan.homes["model.embed"] == CPU
    assert on_disk(plan)
    for name in on_disk(plan):
        assert plan.execution_device(name) == CPU
        assert plan.offloaded(name)
    assert "on disk" in plan.summary()


def test_every_budget_gives_a_plan_within_it_or_a_refusal() -> None:
    sizes = {"model.embed": EMBED, "model.norm": NORM, "head": EMBED}
    for budget in range(0, 70_000, 700):
        try:
            plan = planned(toy(), device="cpu", device_map="auto", max_memory={"cpu": str(budget)})
        except MemoryExceeded as error:
            assert budget < EMBED + 2 * BLOCK
            assert error.hint
            continue
        resident = sum(sizes.get(name, BLOCK) for name, home in plan.homes.items() if home == CPU)
        visitor = max((sizes.get(name, BLOCK) for name in on_disk(plan)), default=0)
        assert resident + visitor <= budget


def test_a_tied_pair_has_one_home() -> None:
    for budget in range(2 * BLOCK, 60_000, 1500):
        plan = planned(toy(tied=True), device="cpu", device_map="auto", max_memory={"cpu": str(budget)})
        assert plan.homes["model.embed"] == plan.homes["head"]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs and a host, as far as a plan can tell."""
    devices = [torch.device("cuda", 0), torch.device("cuda", 1), CPU]
    monkeypatch.setattr(placement, "available_devices", lambda: devices)
    monkeypatch.setattr(placement, "free_memory", lambda device: 10**9)
    monkeypatch.setattr(placement.memory, "free_host", lambda: 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_gpus_are_filled_in_order_then_the_host_then_the_disk(two_gpus: None) -> None:
    sizes = {"0": str(EMBED + 2 * BLOCK), "1": str(2 * BLOCK), "cpu": str(2 * BLOCK)}
    plan = planned(toy(), device_map="auto", max_memory=sizes)
    order = [str(plan.homes[name]) for name in parts(toy(), Block)]
    assert order == sorted(order, key=["cuda:0", "cuda:1", "cpu", "disk"].index)
    assert set(order) == {"cuda:0", "cuda:1", "cpu", "disk"}
    assert not plan.resident
    for name, home in plan.homes.items():
        gpu = torch.device("cuda", 0) if home in (CPU, "disk") else home
        assert plan.execution_device(name) == gpu
        assert plan.offloaded(name) == (home in (CPU, "disk"))


def test_devices_that_max_memory_does_not_name_have_what_is_free_on_them(two_gpus: None) -> None:
    plan = planned(toy(), device_map="auto", max_memory={"0": str(EMBED + 2 * BLOCK)})
    assert set(map(str, plan.homes.values())) == {"cuda:0", "cuda:1"}
    plan = planned(toy(), device_map="auto", max_memory={"0": str(EMBED + 2 * BLOCK), "cuda:1": "0"})
    assert set(map(str, plan.homes.values())) == {"cuda:0", "cpu"}


def test_a_named_device_is_the_only_one_that_computes(two_gpus: None) -> None:
    assert set(planned(toy(), device="cuda:1").homes.values()) == {torch.device("cuda", 1)}
    plan = planned(toy(), device="cuda:1", device_map="auto", max_memory={"1": str(EMBED + 2 * BLOCK)})
    assert set(map(str, plan.homes.values())) == {"cuda:1", "cpu"}
    assert {plan.execution_device(name) for name in plan.homes} == {torch.device("cuda", 1)}


def test_state_and_work_have_their_room_before_weights(two_gpus: None) -> None:
    model = toy()
    weights = sum(parameter.nbytes for parameter in model.parameters())
    spec = ModelSpec("m", device="cuda:0", device_map="auto")
    assert plan(model, Block, spec, Need(weights)).resident
    assert not plan(model, Block, spec, Need(weights, state=950_000_000 - weights // 2)).resident


def test_devices_that_are_not_here_are_named_with_those_that_are() -> None:
    for name in ("cuda:97", "tpu", "cuda:-1", "", "CPU", "cuda:0x0"):
        with pytest.raises(DeviceUnavailable, match="there is no device") as caught:
            main_device(name)
        assert "cpu" in caught.value.hint
    with pytest.raises(DeviceUnavailable, match="'97'") as caught:
        planned(toy(), device="cpu", device_map="auto", max_memory={"97": "1GiB"})
    assert "cpu" in caught.value.hint


def test_auto_prefers_a_gpu_then_mps_then_the_cpu(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main_device("auto") == main_device("cuda") == torch.device("cuda", 0)
    monkeypatch.setattr(placement, "available_devices", lambda: [torch.device("mps"), CPU])
    assert main_device("auto") == torch.device("mps")
    monkeypatch.undo()
    assert main_device("cpu") == CPU


def test_what_does_not_fit_is_refused_before_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement.memory, "free_host", lambda: 40_000)
    with pytest.raises(MemoryExceeded) as caught:
        planned(toy(), device="cpu")
    assert "--device-map auto" in caught.value.hint
    assert "--dtype bfloat16" in caught.value.hint
    assert on_disk(planned(toy(), device="cpu", device_map="auto"))  # the first of the choices works


def test_max_memory_needs_a_device_map_and_sizes() -> None:
    with pytest.raises(InvalidRequest, match="--device-map auto"):
        planned(toy(), device="cpu", max_memory={"cpu": "1GiB"})
    with pytest.raises(InvalidRequest, match="no size"):
        planned(toy(), device="cpu", device_map="auto", max_memory={"cpu": "much"})


def test_a_plan_is_made_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        planned(toy(), device="cpu", device_map="auto", max_memory={"cpu": "30000"})
