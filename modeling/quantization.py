"""How weights are quantized: the forms that exist, and `quantization_config` of a config.json, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from modeling.errors import BadModelFile, UnsupportedConfig
from modeling.fields import Fields, shown

QuantType = Literal["nf4", "fp4", "int8"]
BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Weights that may share a scale, as bitsandbytes has them."""

VALUES: dict[QuantType, tuple[float, ...]] = {
    "nf4": (
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
        -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ),
    "fp4": tuple(sign * twelfths / 12 for sign in (1, -1) for twelfths in (0, 0.0625, 8, 12, 4, 6, 2, 3)),
}  # fmt: skip
"""What the codes of 4 bits stand for. Files have them, too; bitsandbytes' kernels know them by heart."""

NESTED_BLOCK = 256  # scales that share a scale with double quantization


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one packed weight: its type and, for 4 bits, how many weights share a scale and whether the scales are
    quantized, too (`double`)."""

    type: QuantType
    block: int = 64
    double: bool = False
    nested_block: int = NESTED_BLOCK

    @property
    def name(self) -> str:
        """ "nf4", "nf4-dq" with double quantization, "nf4-dq/128" with another block size than the usual 64."""
        block = f"/{self.block}" if self.type != "int8" and self.block != 64 else ""
        return f"{self.type}{'-dq' if self.double else ''}{block}"


@dataclass(frozen=True, slots=True)
class QuantConfig:
    """What `quantization_config` says of bitsandbytes' packing. Which weights are packed is what the files say.

    `compute_dtype` is what the products were meant to be made in; falcon makes them in the dtype that the model runs in.
    """

    type: QuantType
    double: bool
    compute_dtype: str


def parse_quantization(fields: Mapping[str, Any]) -> QuantConfig:
    """Raises `UnsupportedConfig` for another method than bitsandbytes and for what falcon does not know of it, `BadModelFile`
    for values that are none."""
    method = fields.get("quant_method")
    if method != "bitsandbytes" and not (method is None and ("load_in_4bit" in fields or "load_in_8bit" in fields)):
        raise UnsupportedConfig(
            f"the weights are quantized with {shown(method)}, which falcon does not read", "use the unquantized model"
        )
    read = Fields(fields)
    for name in ("quant_method", "llm_int8_threshold", "llm_int8_skip_modules", "llm_int8_enable_fp32_cpu_offload"):
        read.raw(name)  # the files say which modules are packed; the rest concerns the activations of LLM.int8()
    read.only("llm_int8_has_fp16_weight", False)
    read.only("bnb_4bit_quant_storage", "uint8")
    four, eight = read.flag("load_in_4bit", False), read.flag("load_in_8bit", False)
    if four == eight:
        raise BadModelFile("config.json: quantization_config must say either load_in_4bit or load_in_8bit")
    kind: Any = read.raw("bnb_4bit_quant_type", "fp4")
    kind = kind if four else "int8"
    if kind not in get_args(QuantType):
        raise UnsupportedConfig(f"config.json: bnb_4bit_quant_type is {shown(kind)}, which falcon does not know")
    double = read.flag("bnb_4bit_use_double_quant", False)
    compute = read.raw("bnb_4bit_compute_dtype", "float32")
    if not isinstance(compute, str):
        raise BadModelFile(f"config.json: bnb_4bit_compute_dtype is {shown(compute)}, not a name")
    read.close()
    return QuantConfig(kind, double and four, compute.removeprefix("torch."))
