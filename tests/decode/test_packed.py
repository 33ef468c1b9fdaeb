"""The decode programs of models with packed weights against `model.step()`, whose law is the exact dequantization."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modeling.config import parse_config
from modeling.decode.inputs import StepInputs
from modeling.kernels.packed import Packed4, Scales8
from modeling.layers.linear import Linear, PackedLinear
from modeling.memory import PAGE
from modeling.models import FalconH1, FalconMamba, build
from modeling.quantization import Form
from modeling.state import ModelState

functional = pytest.importorskip("bitsandbytes.functional", reason="no bitsandbytes here: pip install '.[quant]' brings it")
packing = pytest.importorskip("modeling.decode.packing")
falcon_mamba = pytest.importorskip("modeling.decode.falcon_mamba")
falcon_h1 = pytest.importorskip("modeling.decode.falcon_h1")
attention_step = pytest.importorskip("modeling.kernels.triton.attention_step")
nf4 = pytest.importorskip("modeling.kernels.triton.nf4")
products = pytest.importorskip("modeling.kernels.triton.packed")
matrices = pytest.importorskip("modeling.kernels.triton.matrix")
packed4 = pytest.importorskip("modeling.kernels.cuda.packed4")

MAMBA: dict[str, Any] = {
    "model_type": "falcon_mamba", "vocab_size": 61, "hidden_size": 64, "state_size": 16, "num_hidden_layers": 1,
    "intermediate_size": 128, "expand": 2, "time_step_rank": 64, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
    "tie_word_embeddings": False, "residual_in_fp32": True, "layer_norm_epsilon": 1e-5, "mixer_rms_eps": 1e-6,
    "bos_token_id": 0, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
H1: dict[str, Any] = {
    "model_type": "falcon_h1", "vocab_size": 61, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "mamba_d_ssm": 64, "mamba_n_heads": 4,
    "mamba_d_head": 16, "mamba_n_groups": 2, "mamba_d_state": 12, "mamba_d_conv": 4, "mamba_norm_before_gate": False,
    "mamba_rms_norm": True, "max_position_embeddings": 1024, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
    "embedding_multiplier": 5.65, "lm_head_multiplier": 0.4, "key_multiplier": 0.39, "attention_in_multiplier": 1.1,
    "attention_out_multiplier": 0.94, "ssm_in_multiplier": 1.25, "ssm_out_multiplier": 0.24, "mlp_multipliers": [0.88, 0.59],
    "ssm_multipliers": [0.35, 0.25, 0.36, 0.5, 0.34], "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": None,
    "pad_token_id": 0,
}  # fmt: skip
FORMS = {"nf4": Form("nf4"), "nf4, doubled": Form("nf4", double=True), "fp4": Form("fp4", block=32), "int8": Form("int8")}
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 6e-2}  # the interpreter cuts bfloat16 off


@pytest.fixture(autouse=True)
def few_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter runs one program after the other, so they are few and large."""
    monkeypatch.setattr(attention_step, "choose", lambda *_: attention_step.Sizes(4, 32))
    if products.triton.knobs.runtime.interpret:
        monkeypatch.setattr(products, "choose", lambda *_: products.PackedBlocks(128, 16, 1))


def packed(linear: nn.Linear, form: Form) -> PackedLinear:
    """The layer with its weight packed by bitsandbytes."""
    o, d = linear.weight.shape
    layer = PackedLinear((o, d), form, linear.bias)
    weight = linear.weight.detach().float().cpu()
    if form.type == "int8":
        largest = weight.abs().amax(dim=1)
        parts = {"weight": (weight / largest[:, None] * 127).round().to(torch.int8), "SCB": largest}
    else:
        codes, state = functional.quantize_4bit(
            weight, blocksize=form.block, compress_statistics=form.double, quant_type=form.type
        )
        parts = {"weight": codes.view(torch.uint8), "weight.absmax": state.absmax, "weight.quant_map": state.code}
        if form.double:
            inner = state.state2
            parts |= {"weight.nested_absmax": inner.absmax, "weight.nested_quant_map": inner.code}
            parts["weight.nested_offset"] = state.offset.reshape(())
    for name, value in parts.items():
        layer._parameters[name] = nn.Parameter(value.to(linear.weight.device), requires_grad=False)
    return layer


@torch.no_grad()
def draw(fields: dict[str, Any], form: Form, dtype: torch.dtype, device: torch.device, plain: tuple[str, ...]) -> Any:
    """A model with random weights, all of its linear layers packed but those named."""
    model = build(parse_config(fields))
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        value = torch.randn(weight.shape, generator=generator)
        if name.endswith("A_log"):
            value = value.abs()
        elif weight.dim() == 2 and "embed" not in name:
            value *= 2 * weight.shape[1] ** -0.5
        elif name.endswith(("dt_bias", "dt_proj.bias")):
            value -= 2
        elif "norm" in name or name.endswith(".D"):
            value = 1 + 0.3 * value
        weight.copy_(value)
    model = model.to(device, dtype).eval().requires_grad_(False)
    for name, module in list(model.named_modules()):
        if isinstance(module, Linear) and not name.endswith(plain):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, packed(module, form))
    return model


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def check(model: FalconMamba | FalconH1, rows: int, device: torch.device, steps: int = 2) -> None:
    """Some steps beside the law from a random past; row 1 is not active."""
    h1, dtype = isinstance(model, FalconH1), model.dtype
    program = falcon_h1 if h1 else falcon_mamba
    states: list[ModelState] = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(1)
        state = model.make_state(rows, 2 * PAGE)
        for layer in state.mamba:
            for part in (layer.conv, layer.ssm):
                part.copy_(torch.randn(part.shape, generator=generator))
        states.append(state)
    state, law = states
    inputs = StepInputs.zeros(rows, 4, device)
    active = torch.tensor([i != 1 for i in range(rows)], device=device)
    inputs.active[:] = active
    assert program.supports(model, rows)
    step = (falcon_h1.FalconH1Step if h1 else falcon_mamba.FalconMambaStep)(model, state, inputs, rows)
    generator = torch.Generator().manual_seed(2)
    for turn in range(steps):
        ids = torch.randint(0, 61, (rows,), generator=generator).to(device)
        inputs.ids.copy_(ids)
        inputs.lengths.fill_(turn)
        if h1:
            state.reserve(0, rows, 1)
            for slot in range(rows):
                inputs.pages[slot, : len(state.pages[slot])] = torch.tensor(state.pages[slot], dtype=torch.int32)
            state.lengths = [turn + 1] * rows
        step.logits.fill_(torch.nan)
        step()
        expected = model.step(ids, law)
        assert error(step.logits[active], expected[active]) < TOLERANCE[dtype]
    for found, wanted in zip(state.mamba, law.mamba, strict=True):
        for part in ("conv", "ssm"):
            assert error(getattr(found, part)[active], getattr(wanted, part)[active]) < TOLERANCE[dtype]


@pytest.mark.parametrize(("rows", "form"), [(1, "nf4, doubled"), (3, "nf4"), (1, "fp4"), (3, "int8")])
def test_falcon_mamba(rows: int, form: str, device: torch.device) -> None:
    check(draw(MAMBA, FORMS[form], torch.float32, device, ("lm_head",)), rows, device)


@pytest.mark.parametrize(
    ("rows", "plain"), [(1, ()), (1, ("x_proj", "dt_proj")), (2, ("out_proj", "lm_head")), (1, ("in_proj",))], ids=str
)
def test_falcon_mamba_in_part(rows: int, plain: tuple[str, ...], device: torch.device) -> None:
    check(draw(MAMBA, FORMS["nf4, doubled"], torch.float32, device, plain), rows, device, steps=1)


@pytest.mark.parametrize("rows", [1, 2])
def test_biases_and_shapes_without_a_kernel(rows: int, device: torch.device) -> None:
    """A rank that blocks straddle: that matrix comes plain."""
    fields = MAMBA | {"use_bias": True, "time_step_rank": 20}
    check(draw(fields, FORMS["nf4"], torch.float32, device, ()), rows, device, steps=1)


@pytest.mark.parametrize(("rows", "form"), [(1, "nf4"), (3, "nf4, doubled"), (3, "fp4"), (1, "int8")])
def test_falcon_h1(rows: int, form: str, device: torch.device) -> None:
    check(draw(H1, FORMS[form], torch.float32, device, ("lm_head",)), rows, device)


@pytest.mark.parametrize(
    ("rows", "plain"),
    [(2, ()), (1, ("q_proj", "up_proj")), (1, ("gate_proj", "up_proj")), (2, ("down_proj", "o_proj"))],
    ids=str,
)
def test_falcon_h1_in_part(rows: int, plain: tuple[str, ...], device: torch.device) -> None:
    """Matrices that one kernel reads, and only some of them packed, too."""
    biased = dict.fromkeys(("attention_bias", "mlp_bias", "mamba_proj_bias", "projectors_bias"), True)
    check(draw(H1 | biased, FORMS["nf4, doubled"], torch.float32, device, plain), rows, device, steps=1)


@pytest.mark.parametrize(("rows", "fields"), [(1, MAMBA), (2, H1)], ids=["falcon_mamba", "falcon_h1"])
def test_half_precision(rows: int, fields: dict[str, Any], device: torch.device) -> None:
    check(draw(fields, FORMS["nf4, doubled"], torch.bfloat16, device, ("lm_head",)), rows, device, steps=1)


@pytest.mark.parametrize("form", ["nf4, doubled", "int8"])
@pytest.mark.parametrize("fields", [MAMBA, H1], ids=["falcon_mamba", "falcon_h1"])
def test_many_rows_of_matrices_made_plain(
    fields: dict[str, Any], form: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "FUSED", 2)
    check(draw(fields, FORMS[form], torch.float32, device, ("lm_head",)), 3, device, steps=1)


class TensorCores:
    """What `kernels.cuda.packed4` does, in torch: where there is no such device, who calls it and how can still be wrong."""

    @staticmethod
    def product(x: Tensor, matrix: Any) -> Tensor:
        codes = matrix.codes.view(torch.uint8).flatten()
        plain = Packed4(codes, matrix.plain_scales(), matrix.values, matrix.shape, matrix.block)
        return x.float() @ plain.dequantized(torch.float32).T

    @classmethod
    def project(cls, x: Tensor, matrix: Any, out: Tensor, *, bias: Any, multiplier: float, residual: Any) -> None:
        y = multiplier * (cls.product(x, matrix) + (0 if bias is None else bias))
        out.copy_(y if residual is None else residual + y)

    @classmethod
    def project_parts(cls, x: Tensor, matrix: Any, parts: Tensor) -> None:
        parts.zero_()[0] = cls.product(x, matrix)

    @classmethod
    def normed(cls, x: Tensor, matrix: Any, bias: Any, deferred: Any) -> Tensor:
        y = cls.product(x, matrix)
        if deferred is not None:
            y *= (deferred.squares.sum() / x.shape[1] + deferred.eps).rsqrt()
        return y if bias is None else y + bias

    @classmethod
    def project_convolved(cls, x: Tensor, matrix: Any, out: Tensor, conv: Any, *, scale: Any, bias: Any, deferred: Any) -> None:
        y = cls.normed(x, matrix, bias, deferred)[:, : out.shape[1]]
        y = y if scale is None else y * scale
        of_conv = slice(conv.first, conv.first + conv.weight.shape[0])
        window = torch.cat((conv.state[: len(x), :, 1:], y[:, of_conv, None]), 2)
        active = conv.active[: len(x), None, None] != 0
        conv.state[: len(x)] = torch.where(active, window, conv.state[: len(x)])
        total = (window * conv.weight).sum(2) + (0 if conv.bias is None else conv.bias)
        y[:, of_conv] = F.silu(total)
        out.copy_(y)

    @classmethod
    def project_gated(
        cls, x: Tensor, matrix: Any, out: Tensor, *, bias: Any, multiplier: float, out_combed: bool, deferred: Any
    ) -> None:
        gate, up = cls.normed(x, matrix, bias, deferred).chunk(2, 1)
        y = up * F.silu(multiplier * gate)
        out.copy_(nf4.combed(y) if out_combed else y)

    @classmethod
    def project_grown(cls, products: Any, growth: Any) -> None:
        for x, matrix in products:
            growth.h.add_(cls.product(x, matrix))
        if growth.bias is not None:
            growth.h.add_(growth.bias)
        y = growth.h * growth.weight
        growth.x.copy_(nf4.combed(y) if growth.combed else y)
        growth.squares.zero_()[0] = (growth.h**2).sum()


@pytest.mark.parametrize("plain", [("lm_head",), (), ("out_proj", "down_proj"), ("x_proj", "dt_proj", "up_proj")], ids=str)
@pytest.mark.parametrize(("rows", "fields"), [(1, MAMBA), (3, MAMBA), (1, H1), (3, H1)], ids=["m1", "m3", "h1", "h3"])
def test_the_way_to_the_tensor_cores(
    rows: int, fields: dict[str, Any], plain: tuple[str, ...], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All products there, and those of wide matrices only, beside others that want their activations combed."""
    for name in ("project", "project_parts", "project_convolved", "project_gated", "project_grown"):
        monkeypatch.setattr(packed4, name, getattr(TensorCores, name))
    for least in (0, 65):
        monkeypatch.setattr(packed4, "most_rows", lambda matrix, _, least=least: 16 if matrix.shape[1] >= least else 0)
        check(draw(fields, FORMS["nf4, doubled"], torch.float32, device, plain), rows, device, steps=2)


WIDE = {"hidden_size": 256, "intermediate_size": 512, "mamba_d_ssm": 256, "mamba_d_head": 64, "head_dim": 32}


@pytest.mark.gpu
@pytest.mark.parametrize("form", ["nf4", "nf4, doubled"])
@pytest.mark.parametrize("rows", [1, 3, 16])
@pytest.mark.parametrize("fields", [MAMBA, H1], ids=["falcon_mamba", "falcon_h1"])
def test_tensor_cores(fields: dict[str, Any], rows: int, form: str) -> None:
    device = torch.device("cuda")
    wide = {name: width for name, width in WIDE.items() if name in fields}
    for plain in ((), ("x_proj", "dt_proj", "lm_head")):
        model = draw(fields | wide, FORMS[form], torch.bfloat16, device, plain)
        assert packing.matrix_of(next(m for m in model.modules() if isinstance(m, PackedLinear)), dtype=torch.bfloat16).rows
        check(model, rows, device)


@pytest.mark.parametrize("form", list(FORMS))
def test_laid_together(form: str, device: torch.device) -> None:
    """Layers stay what they were; the memory of their codes is the matrix's own; a second call copies nothing."""
    layers = [packed(nn.Linear(256, o), FORMS[form]).to(device) for o in (64, 128, 32)]
    before = [layer.packed.dequantized(torch.float32) for layer in layers]
    matrix = packing.matrix_of(*layers, dtype=torch.float32)
    assert matrix.shape == (224, 256)
    assert all(torch.equal(layer.packed.dequantized(torch.float32), was) for layer, was in zip(layers, before, strict=True))
    assert matrix.codes.data_ptr() == layers[0].packed.codes.data_ptr()
    assert packing.matrix_of(*layers, dtype=torch.float32).codes.data_ptr() == matrix.codes.data_ptr()
    if isinstance(matrix, nf4.Matrix4):
        assert (matrix.doubled is not None) == FORMS[form].double
        codes, scales = matrix.codes.view(torch.uint8).flatten(), matrix.plain_scales()
        whole = Packed4(codes, scales, matrix.values, matrix.shape, matrix.block)
        assert torch.equal(whole.dequantized(torch.float32), torch.cat(before))


@pytest.mark.parametrize(("outputs", "group"), [((48, 32), 32), ((256, 304, 72), 32), ((46, 32), None), ((128, 9), 256)])
def test_groups_of_two_matrices(outputs: tuple[int, ...], group: int | None, device: torch.device) -> None:
    """Groups of scales that do not end with their matrix become smaller, or the scales come plain; the weights are the same."""
    layers = [packed(nn.Linear(128, o), FORMS["nf4, doubled"]).to(device) for o in outputs]
    assert all(isinstance(layer.packed.scales, Scales8) for layer in layers)
    matrix = packing.matrix_of(*layers, dtype=torch.float32)
    expected = torch.cat([layer.packed.scales.dequantized() for layer in layers])
    assert torch.equal(matrix.plain_scales(), expected)
    assert (None if matrix.doubled is None else matrix.group) == group
    if group is not None:
        assert matrix.doubled[1].numel() == matrix.doubled[2].numel() == -(-expected.numel() // group)


def test_not_supported(device: torch.device) -> None:
    """Products meant for another dtype than the model's."""
    model = draw(MAMBA, FORMS["nf4"], torch.float32, device, ())
    assert falcon_mamba.supports(model, 1)
    model.blocks[0].mixer.in_proj.compute_dtype = torch.bfloat16
    assert not falcon_mamba.supports(model, 1)
