"""The kernels of mamba-ssm and causal-conv1d under the law's signatures: the packages themselves on a GPU that has them, and
everywhere plain functions of their documented meaning in their place."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from falcon_cli import demo
from modeling import api, kernels
from modeling.checkpoint.quantized import replace
from modeling.checkpoint.quantizer import linear_layers, pack
from modeling.kernels import choice, reference
from modeling.layers.linear import PackedLinear, tensors
from modeling.messages import ModelSpec
from modeling.quantization import Form

NO_LIMIT = (0.0, float("inf"))


def conv_fn(x: Tensor, weight: Tensor, bias: Any = None, initial_states: Any = None, activation: Any = None) -> Tensor:
    """x (b, c, l), initial_states (b, c, k−1), which must lie channel by channel."""
    assert activation == "silu" and (initial_states is None or initial_states.stride(1) == 1)
    taps = weight.shape[1]
    before = x.new_zeros(*x.shape[:2], taps - 1) if initial_states is None else initial_states
    return F.silu(F.conv1d(torch.cat((before, x), -1), weight[:, None], bias, groups=x.shape[1]))


def conv_update(x: Tensor, state: Tensor, weight: Tensor, bias: Any = None, activation: Any = None) -> Tensor:
    """x (b, c, l), state (b, c, k) in place."""
    taps = weight.shape[1]
    y = conv_fn(x, weight, bias, state[..., 1 - taps :].mT.contiguous().mT, activation)
    state.copy_(torch.cat((state, x), -1)[..., -state.shape[-1] :])
    return y


def state_update(*args: Any, z: Any = None, dt_bias: Any = None, dt_softplus: bool = False) -> Tensor:
    """One token: state (b, e, n) or (b, h, p, n) in place, the rest (b, e) or (b, h, p), and B, C (b, n) or (b, g, n)."""
    state, x, dt, A, B, C, D, *more = args
    z, dt_bias = more if more else (z, dt_bias)
    assert dt_softplus
    dt = F.softplus(dt + dt_bias)
    if state.dim() == 4:
        B, C = (t.repeat_interleave(state.shape[1] // t.shape[1], 1)[:, :, None] for t in (B, C))
    else:
        B, C = B[:, None], C[:, None]
    state.copy_(state * torch.exp(dt[..., None] * A) + (dt * x)[..., None] * B)
    y = (state * C).sum(-1) + D * x
    return y if z is None else y * F.silu(z)


def scan_fn(*args: Any, delta_softplus: bool = False, return_last_state: bool = False) -> Any:
    """u, delta, z (b, e, l); B, C (b, n, l). There is no initial state."""
    u, delta, A, B, C, D, z, bias = args
    state = u.new_zeros(u.shape[0], *A.shape)
    ys = []
    for t in range(u.shape[2]):
        gate = None if z is None else z[..., t]
        ys.append(
            state_update(state, u[..., t], delta[..., t], A, B[..., t], C[..., t], D, gate, bias, dt_softplus=delta_softplus)
        )
    y = torch.stack(ys, -1)
    return (y, state) if return_last_state else y


def chunk_scan(*args: Any, D: Tensor, dt_bias: Tensor, initial_states: Any, dt_softplus: bool, dt_limit: Any, **_: Any) -> Any:
    x, dt, A, B, C, _chunk = args
    assert dt_softplus
    b, _, h, p = x.shape
    state = x.new_zeros(b, h, p, B.shape[-1]) if initial_states is None else initial_states.clone()
    y = reference.ssd(x, dt, A, B, C, D, dt_bias, dt_limit, state)
    return y, state


PACKAGES: dict[str, dict[str, Callable[..., Any]]] = {
    "causal_conv1d": {"causal_conv1d_fn": conv_fn, "causal_conv1d_update": conv_update},
    "mamba_ssm": {},
    "mamba_ssm.ops": {},
    "mamba_ssm.ops.selective_scan_interface": {"selective_scan_fn": scan_fn},
    "mamba_ssm.ops.triton": {},
    "mamba_ssm.ops.triton.selective_state_update": {"selective_state_update": state_update},
    "mamba_ssm.ops.triton.ssd_combined": {"mamba_chunk_scan_combined": chunk_scan},
}


@pytest.fixture(params=["stand-ins", pytest.param("packages", marks=pytest.mark.gpu)])
def upstream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, torch.device]]:
    """Our module over either, and the device that it runs on."""
    if request.param == "packages":
        pytest.importorskip("mamba_ssm", reason="mamba-ssm is not built here")
        yield importlib.import_module("modeling.kernels.mamba_ssm"), torch.device("cuda")
        return
    for name, members in PACKAGES.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "modeling.kernels.mamba_ssm", raising=False)
    yield importlib.import_module("modeling.kernels.mamba_ssm"), torch.device("cpu")
    sys.modules.pop("modeling.kernels.mamba_ssm", None)


def close(got: Tensor, law: Tensor) -> bool:
    return bool((got - law).norm() <= 1e-5 * law.norm())


LENGTHS = pytest.mark.parametrize("length", [1, 2, 3, 65])
STATES = pytest.mark.parametrize("begins", ["without", "empty", "carried"])


def memory(begins: str, *shape: int, device: torch.device) -> Tensor | None:
    return {"without": None, "empty": torch.zeros(shape, device=device), "carried": torch.randn(shape, device=device)}[begins]


@LENGTHS
@STATES
@pytest.mark.parametrize("taps", [2, 4, 5])
def test_convolution(taps: int, begins: str, length: int, upstream: tuple[Any, torch.device]) -> None:
    kernels, device = upstream
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(*shape, device=device) for shape in ((2, length, 16), (16, taps), (16,)))
    state = memory(begins, 2, taps, 16, device=device)
    state = None if state is None else state.mT  # as a model's memory lies
    law_state = None if state is None else state.mT.clone().mT
    law = reference.causal_conv(x, weight, bias, law_state)
    assert close(kernels.causal_conv(x, weight, bias, state), law)
    if state is not None:
        assert torch.equal(state, law_state)


@LENGTHS
@STATES
def test_mamba1(begins: str, length: int, upstream: tuple[Any, torch.device], monkeypatch: pytest.MonkeyPatch) -> None:
    kernels, device = upstream
    monkeypatch.setattr(kernels, "INHERITED", 2 * 16 * 4 * 7)  # what is carried in is worked out in several pieces
    torch.manual_seed(0)
    x, dt, z = (torch.randn(2, length, 16, device=device) for _ in range(3))
    B, C = (torch.randn(2, length, 4, device=device) for _ in range(2))
    A, D, bias = -torch.rand(16, 4, device=device), torch.randn(16, device=device), torch.randn(16, device=device)
    state = memory(begins, 2, 16, 4, device=device)
    law_state = None if state is None else state.clone()
    law = reference.selective_scan(x, dt, A, B, C, D, bias, z, law_state)
    assert close(kernels.selective_scan(x, dt, A, B, C, D, bias, z, state), law)
    if state is not None and law_state is not None:
        assert close(state, law_state)


@LENGTHS
@STATES
@pytest.mark.parametrize("limit", [NO_LIMIT, (0.1, 0.5)])
def test_mamba2(limit: tuple[float, float], begins: str, length: int, upstream: tuple[Any, torch.device]) -> None:
    kernels, device = upstream
    torch.manual_seed(0)
    h, p, n, g = 4, 16, 16, 2
    x, dt = torch.randn(2, length, h, p, device=device), torch.randn(2, length, h, device=device)
    B, C = (torch.randn(2, length, g, n, device=device) for _ in range(2))
    A, D, bias = (torch.rand(h, device=device) for _ in range(3))
    state = memory(begins, 2, h, p, n, device=device)
    law_state = None if state is None else state.clone()
    law = reference.ssd(x, dt, -A, B, C, D, bias, limit, law_state)
    assert close(kernels.ssd(x, dt, -A, B, C, D, bias, limit, state), law)
    if state is not None and law_state is not None:
        assert close(state, law_state)


@pytest.mark.parametrize("family", ["demo", "demo-h1"])
def test_they_never_see_a_packed_weight(
    family: str, upstream: tuple[Any, torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upstream's layers hand whole weights to fused kernels, which then read codes as numbers. Here every linear layer is
    packed, x_proj, dt_proj and out_proj too: the kernels get activations and convolutions, and give what the law gives."""
    rooms, device = upstream
    model = api.open_language_model(ModelSpec(demo.resolve(family), device="cpu", dtype="float32", kernels="torch"))
    for name in linear_layers(model):
        weight = model.get_submodule(name).get_parameter("weight").detach()
        layer = replace(model, name, Form("nf4", double=True), None)
        for part, tensor in tensors(pack(weight, layer.form)).items():
            layer._parameters[part] = torch.nn.Parameter(tensor, requires_grad=False)
    model.to(device)
    layers = [module for module in model.modules() if isinstance(module, PackedLinear)]
    packed = {part.data_ptr() for layer in layers for name, part in layer.named_parameters() if name != "bias"}
    seen = []

    def watched(name: str) -> Callable[..., Tensor]:
        def operation(*args: Any) -> Tensor:
            given = [arg for arg in args if isinstance(arg, Tensor)]
            assert all(arg.is_floating_point() and arg.data_ptr() not in packed for arg in given)
            seen.append(name)
            return getattr(rooms, name)(*args)

        return operation

    ids = torch.arange(40, device=device) % 90
    with torch.inference_mode():
        law = model(ids[None])[0, -1]
        for name in choice.ROOMS["mamba-ssm"]:
            if hasattr(rooms, name) and name != "packed_linear":
                monkeypatch.setattr(kernels, name, watched(name))
        state = model.make_state(1, 64)
        model.prefill(ids[:-1], state, 0)
        found = model.step(ids[-1:], state)[0]
    assert {"causal_conv", "selective_scan" if family == "demo" else "ssd"} == set(seen)
    assert close(found, law)
