"""Block sizes of Falcon-H1's products in a decode step, by shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from triton import next_power_of_2

from modeling.config import FalconH1Config
from modeling.kernels.triton.matrix import Matrix
from modeling.kernels.triton.nf4 import Matrix4
from modeling.kernels.triton.projection import Blocks

Parts = tuple[int, int, int, int, int]


@dataclass(slots=True)
class Plan:
    """Block sizes of the products, as `projection` takes them (None: as it chooses), and of those in parts: how many, then
    outputs, columns at a time, warps and stages."""

    inputs: Blocks | None = None
    outputs: Blocks | None = None
    gate_up: Blocks | None = None
    down: Blocks | None = None
    head: Blocks | None = None
    ssm_parts: Parts = (1, 64, 128, 4, 4)
    attention_parts: Parts = (1, 64, 128, 4, 4)
    down_parts: Parts = (1, 64, 128, 4, 3)


def choose(c: FalconH1Config, rows: int, dtype: torch.dtype, plain: bool = True) -> Plan:
    """As measured on an H200 (benchmarks/gpu/decode_falcon_h1.py)."""
    d, f, e = c.hidden_size, c.intermediate_size, c.mamba_d_ssm
    if rows == 1 and plain:
        return _choose_row(d, f)

    def parts(width: int, most: int, stages: int) -> Parts:
        """So many that each has some work, and all together about two programs for each of the machine's processors."""
        count = max(1, min(most, 256 // -(-d // 64), width // 768))
        return count if plain else 1 << count.bit_length() - 1, 64, 128, 4, stages

    gate_up = None if dtype == torch.float32 or rows <= 16 else Blocks(64, 64, 4) if rows <= 64 else Blocks(64, 64, 8, 3)
    of_attention = parts(c.num_attention_heads * c.head_dim, 2, 4)
    return Plan(gate_up=gate_up, ssm_parts=parts(e, 2, 4), attention_parts=of_attention, down_parts=parts(f, 8, 3))


def _choose_row(d: int, f: int) -> Plan:
    """For one row. Lanes beyond a row's edge have nothing to load: columns come in powers of two that divide the width."""
    plan = Plan(outputs=Blocks(4, 1024 if d >= 3072 else 512, 4), down=_even(f, 4096, 4))
    wide = next_power_of_2(d)  # of the products that take all columns at once
    if wide >= 2048:
        plan.head = _even(d, 1024, 2 if d >= 3072 else 4)
    if 2048 <= wide <= 4096:
        plan.inputs = Blocks(8192 // wide, 0, 4, repeat=2)
        plan.gate_up = Blocks(4096 // wide, 0, 4, repeat=2 if d >= 3072 else 4)
    return plan


def _even(width: int, most: int, outputs: int) -> Blocks | None:
    """As many columns as divide the width, up to `most`; None if those are few."""
    columns = min(width & -width, most)
    if columns < 256:
        return None
    return Blocks(2, columns) if columns >= 2048 else Blocks(outputs, columns, 4)


def whole(parts: Parts, weight: Matrix) -> Parts:
    return (1, *parts[1:]) if isinstance(weight, Matrix4) else parts
