"""`config.json` → one frozen dataclass per family, checked. Standard library only.

A field that is absent takes the default of the transformers class, as files written by transformers expect it to. A field that
is present must be understood: it is read here, or it stands in `fields.WITHOUT_EFFECT`, or it is an error that names it. A
missing multiplier does not crash a model, it makes it fluent nonsense; so nothing is guessed and nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar

from modeling.errors import BadModelFile, ModelNotFound, UnknownModelType, UnsupportedConfig
from modeling.fields import MOST, MOST_LAYERS, Fields, number, shown
from modeling.quantization import QuantConfig, parse_quantization


@dataclass(frozen=True, slots=True)
class FalconMambaConfig:
    """Dimensions and switches of a FalconMamba model (Mamba-1 blocks, no attention, no positions).

    d = `hidden_size`, e = `intermediate_size`, n = `state_size`, k = `conv_kernel`, r = `time_step_rank`, v = `vocab_size`.
    """

    model_type: ClassVar[str] = "falcon_mamba"
    max_position_embeddings: ClassVar[None] = None

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    state_size: int
    conv_kernel: int
    time_step_rank: int
    layer_norm_epsilon: float
    mixer_rms_eps: float
    use_bias: bool
    use_conv_bias: bool
    residual_in_fp32: bool
    tie_word_embeddings: bool
    dtype: str | None = None
    quantization: QuantConfig | None = None


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Falcon-H1's µP multipliers: scalars of the forward pass that are not folded into the weights."""

    embedding: float = 1.0
    lm_head: float = 1.0
    key: float = 1.0
    attention_in: float = 1.0
    attention_out: float = 1.0
    ssm_in: float = 1.0
    ssm_out: float = 1.0
    mlp: tuple[float, float] = (1.0, 1.0)  # gate, down
    ssm: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)  # z, x, B, C, dt


@dataclass(frozen=True, slots=True)
class FalconH1Config:
    """Dimensions and switches of a Falcon-H1 model: every block runs attention and Mamba-2 side by side, then an MLP.

    d = `hidden_size`, e = `mamba_d_ssm` = h·p = `mamba_n_heads`·`mamba_d_head`, n = `mamba_d_state`, g = `mamba_n_groups`,
    k = `mamba_d_conv`, v = `vocab_size`. Attention has its own heads, and heads · `head_dim` need not equal d.
    """

    model_type: ClassVar[str] = "falcon_h1"

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rope_theta: float
    max_position_embeddings: int
    rms_norm_eps: float
    mamba_d_ssm: int
    mamba_n_heads: int
    mamba_d_head: int
    mamba_n_groups: int
    mamba_d_state: int
    mamba_d_conv: int
    mamba_rms_norm: bool
    mamba_norm_before_gate: bool
    mamba_conv_bias: bool
    mamba_proj_bias: bool
    projectors_bias: bool
    attention_bias: bool
    mlp_bias: bool
    time_step_limit: tuple[float, float]
    multipliers: Multipliers
    tie_word_embeddings: bool
    dtype: str | None = None
    quantization: QuantConfig | None = None

    @property
    def conv_dim(self) -> int:
        """Channels of the convolution: x, B and C side by side (e + 2·g·n)."""
        return self.mamba_d_ssm + 2 * self.mamba_n_groups * self.mamba_d_state


ModelConfig = FalconMambaConfig | FalconH1Config


def load_config(folder: Path) -> ModelConfig:
    """Read and check `folder`/config.json.

    Raises `ModelNotFound` without the file, `BadModelFile` if it is not a JSON object or a value is impossible,
    `UnknownModelType` and `UnsupportedConfig` as `parse_config` does.
    """
    path = folder / "config.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelNotFound(f"{folder} has no config.json", "name the folder of a Hugging Face checkpoint") from None
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path that no system has
        raise BadModelFile(f"{path} cannot be read: {error}") from None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or an integer of thousands of digits
        raise BadModelFile(f"{path} is not valid JSON: {error}", "download the model again") from None
    if not isinstance(fields, dict):
        raise BadModelFile(f"{path} holds no JSON object", "download the model again")
    return parse_config(fields)


def parse_config(fields: Mapping[str, Any]) -> ModelConfig:
    """The config that `fields` (the object in config.json) describes.

    Raises `UnknownModelType` for another family, `UnsupportedConfig` for a field or value whose mathematics is not implemented,
    `BadModelFile` for a value that is impossible (a negative size, heads that do not divide).
    """
    if fields.get("auto_map"):
        raise UnsupportedConfig(
            "config.json wants code from the model folder to be run (auto_map), and falcon never does that",
            "remove auto_map: FalconMamba and Falcon-H1 need no code of their own",
        )
    family = fields.get("model_type")
    if family == "mamba" and fields.get("architectures") == ["FalconMambaForCausalLM"]:
        family = "falcon_mamba"  # an early revision of falcon-mamba-7b-instruct-4bit was saved under this name
    parsers: dict[str, Callable[[Fields], ModelConfig]] = {"falcon_mamba": _falcon_mamba, "falcon_h1": _falcon_h1}
    if not isinstance(family, str) or family not in parsers:
        raise UnknownModelType(
            f"config.json says model_type {shown(family)}, which falcon does not run", f"known types: {', '.join(parsers)}"
        )
    reader = Fields(fields)
    config = parsers[family](reader)
    reader.close()
    return config


def _shared(read: Fields) -> dict[str, Any]:
    """What both families have in common."""
    read.only("hidden_act", "silu", "swish")
    dtype = read.raw("dtype", read.raw("torch_dtype"))
    if not isinstance(dtype, (str, NoneType)):
        raise BadModelFile(f"config.json: dtype is {shown(dtype)}, not a name")
    quantization = read.raw("quantization_config")
    if not isinstance(quantization, (Mapping, NoneType)):
        raise BadModelFile(f"config.json: quantization_config is {shown(quantization)}, not an object")
    checked = parse_quantization(quantization) if quantization else None
    return {"dtype": dtype and dtype.removeprefix("torch."), "quantization": checked}


def _falcon_mamba(read: Fields) -> FalconMambaConfig:
    hidden = read.count("hidden_size", 768)
    read.raw("max_position_embeddings")  # noted by some converters; the model has no positions
    rank = read.raw("time_step_rank", "auto")
    expand = read.number("expand", 2)
    return FalconMambaConfig(
        vocab_size=read.count("vocab_size", 50280),
        hidden_size=hidden,
        num_hidden_layers=read.count("num_hidden_layers", 32, MOST_LAYERS),
        # falcon-mamba-7b says expand = 16 beside intermediate_size = 8192 = 2·4096: the explicit size counts.
        intermediate_size=read.count("intermediate_size", int(expand * hidden)),
        state_size=read.count("state_size", 16),
        conv_kernel=read.count("conv_kernel", 4),
        time_step_rank=ceil(hidden / 16) if rank == "auto" else read.count("time_step_rank", 1),
        layer_norm_epsilon=read.epsilon("layer_norm_epsilon", 1e-5),
        mixer_rms_eps=read.epsilon("mixer_rms_eps", 1e-6),
        use_bias=read.flag("use_bias", False),
        use_conv_bias=read.flag("use_conv_bias", True),
        residual_in_fp32=read.flag("residual_in_fp32", True),
        tie_word_embeddings=read.flag("tie_word_embeddings", True),
        **_shared(read),
    )


def _falcon_h1(read: Fields) -> FalconH1Config:
    hidden = read.count("hidden_size", 4096)
    heads, ssm_heads = read.count("num_attention_heads", 32), read.count("mamba_n_heads", 128)
    expand = read.number("mamba_expand", 2)
    # The class default of mamba_d_ssm is 1024, but an explicit null means mamba_expand · hidden_size.
    d_ssm = read.count("mamba_d_ssm", int(expand * hidden) if "mamba_d_ssm" in read.fields else 1024)
    d_head = read.raw("mamba_d_head", "auto")
    read.raw("mamba_chunk_size")  # only the order of summation
    config = FalconH1Config(
        vocab_size=read.count("vocab_size", 128000),
        hidden_size=hidden,
        num_hidden_layers=read.count("num_hidden_layers", 32, MOST_LAYERS),
        intermediate_size=read.count("intermediate_size", 14336),
        num_attention_heads=heads,
        num_key_value_heads=read.count("num_key_value_heads", heads if "num_key_value_heads" in read.fields else 8),
        head_dim=read.count("head_dim", hidden // heads),
        rope_theta=_rope_theta(read),
        max_position_embeddings=read.count("max_position_embeddings", 8192, 2**31),
        rms_norm_eps=read.epsilon("rms_norm_eps", 1e-5),
        mamba_d_ssm=d_ssm,
        mamba_n_heads=ssm_heads,
        mamba_d_head=d_ssm // ssm_heads if d_head == "auto" else read.count("mamba_d_head", 1),
        mamba_n_groups=read.count("mamba_n_groups", 1),
        mamba_d_state=read.count("mamba_d_state", 256),
        mamba_d_conv=read.count("mamba_d_conv", 4),
        mamba_rms_norm=read.flag("mamba_rms_norm", False),
        mamba_norm_before_gate=read.flag("mamba_norm_before_gate", True),
        mamba_conv_bias=read.flag("mamba_conv_bias", True),
        mamba_proj_bias=read.flag("mamba_proj_bias", False),
        projectors_bias=read.flag("projectors_bias", False),
        attention_bias=read.flag("attention_bias", False),
        mlp_bias=read.flag("mlp_bias", False),
        time_step_limit=_time_step_limit(read),
        multipliers=_multipliers(read),
        tie_word_embeddings=read.flag("tie_word_embeddings", False),
        **_shared(read),
    )
    _check_h1(config)
    return config


def _rope_theta(read: Fields) -> float:
    """θ of the rotary embedding, from `rope_parameters` (transformers 5) or top-level `rope_theta`; any scaling is refused."""
    theta = read.number("rope_theta", 10000.0)
    for name in ("rope_parameters", "rope_scaling"):
        rope = read.raw(name, {})
        if not isinstance(rope, Mapping):
            raise BadModelFile(f"config.json: {name} is {shown(rope)}, not an object")
        for key, value in rope.items():
            harmless = (
                key == "rope_theta"
                or (key in ("rope_type", "type") and value in ("default", None))
                or (key == "partial_rotary_factor" and value in (1, None))
            )
            if not harmless:
                raise UnsupportedConfig(
                    f"config.json: {name}.{key[:100]} is {shown(value)}, which falcon does not know",
                    "Falcon-H1 uses unscaled rotary positions",
                )
        if rope.get("rope_theta") is not None:
            theta = number(f"{name}.rope_theta", rope["rope_theta"])
    if theta <= 0:
        raise BadModelFile(f"config.json: rope_theta is {theta}, not a positive number")
    return theta


def _time_step_limit(read: Fields) -> tuple[float, float]:
    low, high = read.numbers("time_step_limit", (0.0, inf), most=inf)
    if not 0 <= low <= high or low == inf:
        raise BadModelFile(f"config.json: time_step_limit ({low}, {high}) holds no time step")
    return low, high


def _multipliers(read: Fields) -> Multipliers:
    gate, down = read.numbers("mlp_multipliers", (1.0, 1.0))
    z, x, b, c, dt = read.numbers("ssm_multipliers", (1.0, 1.0, 1.0, 1.0, 1.0))
    single = ("embedding", "lm_head", "key", "attention_in", "attention_out", "ssm_in", "ssm_out")
    return Multipliers(
        mlp=(gate, down), ssm=(z, x, b, c, dt), **{name: read.number(f"{name}_multiplier", 1.0) for name in single}
    )


def _check_h1(c: FalconH1Config) -> None:
    """The sizes must fit each other; a file in which they do not would fail later as a shape error nobody understands."""
    for what, holds in (
        (f"mamba_n_heads·mamba_d_head = {c.mamba_n_heads}·{c.mamba_d_head} is not mamba_d_ssm = {c.mamba_d_ssm}",
         c.mamba_n_heads * c.mamba_d_head == c.mamba_d_ssm),
        (f"mamba_n_heads = {c.mamba_n_heads} is not a multiple of mamba_n_groups = {c.mamba_n_groups}",
         c.mamba_n_heads % c.mamba_n_groups == 0),
        (f"num_attention_heads = {c.num_attention_heads} is not a multiple of num_key_value_heads = {c.num_key_value_heads}",
         c.num_attention_heads % c.num_key_value_heads == 0),
        (f"head_dim = {c.head_dim} is odd, so it cannot be rotated in pairs", c.head_dim % 2 == 0),
        (f"num_attention_heads·head_dim = {c.num_attention_heads}·{c.head_dim} is more than {MOST}",
         c.num_attention_heads * c.head_dim <= MOST),
        (f"mamba_n_groups·mamba_d_state = {c.mamba_n_groups}·{c.mamba_d_state} is more than {MOST}",
         c.mamba_n_groups * c.mamba_d_state <= MOST),
    ):  # fmt: skip
        if not holds:
            raise BadModelFile(f"config.json: {what}")
