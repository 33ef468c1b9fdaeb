"""FalconMamba's decode step in four kernels a layer, at the speed its weights can be read.

    h → norm, in_proj's x, convolution → x_proj → Δ, recurrence, both beside in_proj's z → gate, out_proj, added to h

More rows than one take seven: the norm by itself, in_proj, x_proj and out_proj in parts whose sums run in the norms behind
them, and dt_proj on the tensor cores. One row through 4-bit weights takes four, too: in_proj and the convolution, x_proj, the
recurrence and the gate, out_proj, which begins the next norm; in_proj ends it. Where Triton makes these products, in_proj's z
is made beside x_proj.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from triton import knobs

from modeling.decode.inputs import StepInputs
from modeling.decode.packing import matrix_of, runs_in
from modeling.kernels.triton import mamba1_step, matrix, packed
from modeling.kernels.triton.launch import overlaps
from modeling.kernels.triton.mamba1_step import Gate, PackedGate, Recurrence, Scratch
from modeling.kernels.triton.matrix import Matrix, combs
from modeling.kernels.triton.nf4 import Matrix4
from modeling.kernels.triton.packed import Deferred, Growth
from modeling.kernels.triton.projection import MAX_ROWS, Convolved, Norm, embed, project, project_convolved, project_swished
from modeling.kernels.triton.rows import normed
from modeling.memory import MambaState
from modeling.models.falcon_mamba import FalconMamba, FalconMambaBlock
from modeling.state import ModelState

OUT_SPLITS = 2  # of out_proj's columns for more rows than one, so that its programs are as many as an H200's processors
OUT = (64, 128, 4, 4)  # its outputs, columns at a time, warps, stages
LIMITS = {"state_size": 256, "time_step_rank": 1024, "conv_kernel": 16, "hidden_size": 16384}  # tiles hold these whole


def supports(model: FalconMamba, rows: int) -> bool:
    """Whether this program runs `rows` rows of `model`: all weights on one device that runs the kernels, and in one dtype or
    packed."""
    weights, config, table = list(model.parameters()), model.config, model.backbone.embeddings.weight
    device, dtype = table.device, table.dtype
    runs = device.type == "cuda" or (device.type == "cpu" and bool(knobs.runtime.interpret))
    plain = dtype in (torch.float32, torch.bfloat16, torch.float16) and runs_in(model, dtype)
    small = all(getattr(config, name) <= limit for name, limit in LIMITS.items())
    return runs and plain and small and all(w.device == device for w in weights) and 1 <= rows <= MAX_ROWS


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block's weights and memory as the kernels take them."""

    norm: Norm
    in_proj: Matrix
    in_bias: Tensor | None
    conv: Convolved
    recurrence: Recurrence
    ssm: Tensor
    out_proj: Matrix
    out_bias: Tensor | None

    @classmethod
    def of(cls, block: FalconMambaBlock, memory: MambaState, active: Tensor) -> _Layer:
        m, norm = block.mixer, Norm(block.norm.weight, block.norm.eps)

        def matrix_in(linear: nn.Module) -> Matrix:
            return matrix_of(linear, dtype=norm.weight.dtype)

        return cls(
            norm,
            matrix_in(m.in_proj),
            m.in_proj.bias,
            Convolved(0, m.conv1d.weight[:, 0], m.conv1d.bias, memory.conv, active),
            Recurrence(matrix_in(m.x_proj), matrix_in(m.dt_proj), m.dt_proj.bias, m.A, m.D, m.eps),
            memory.ssm,
            matrix_in(m.out_proj),
            m.out_proj.bias,
        )

    @property
    def hands_on(self) -> bool:
        """Whether one row's norms are begun by who makes h and ended by who reads it. A half would overflow before the end."""
        matrices = (self.in_proj, self.out_proj)
        return all(isinstance(matrix, Matrix4) for matrix in matrices) and self.norm.weight.dtype != torch.float16

    @property
    def plain(self) -> bool:
        matrices = (self.in_proj, self.recurrence.x_proj, self.recurrence.dt_proj, self.out_proj)
        return all(isinstance(matrix, Tensor) for matrix in matrices)


class FalconMambaStep:
    """Extends slots 0 … rows−1 by the tokens in `inputs.ids`. A call only enqueues kernels, so it can be captured in a graph.

    `logits` (rows, v) fp32 are there when they have run. Rows that are not active keep their state.
    """

    def __init__(self, model: FalconMamba, state: ModelState, inputs: StepInputs, rows: int) -> None:
        c, weight = model.config, model.backbone.embeddings.weight
        self.device = weight.device
        self.ids = inputs.ids[:rows]
        with torch.no_grad():
            self.table, self.head = weight.detach(), matrix_of(model.lm_head, dtype=weight.dtype)
            self.norm = Norm(model.backbone.norm_f.weight.detach(), model.backbone.norm_f.eps)
            blocks = zip(model.blocks, state.mamba, strict=True)
            self.layers = [_Layer.of(cast(FalconMambaBlock, block), memory, inputs.active) for block, memory in blocks]

        def empty(width: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(rows, width, dtype=dtype, device=self.device)

        self.h = empty(c.hidden_size, torch.float32 if c.residual_in_fp32 else weight.dtype)
        self.xz = empty(2 * c.intermediate_size, weight.dtype)
        self.y = empty(c.intermediate_size, weight.dtype)
        self.scratch = Scratch.empty(rows, self.layers[0].recurrence)
        self.logits = empty(c.vocab_size, torch.float32)
        self.alone = rows == 1 and isinstance(self.head, Tensor) and all(layer.plain for layer in self.layers)
        if not self.alone:
            self.pdl = rows == 1 and overlaps(self.device)
            self.u = empty(c.hidden_size, weight.dtype)
            splits = 1 if rows == 1 and combs(self.layers[0].out_proj, 1) else OUT_SPLITS
            self.parts = torch.empty(splits, rows, c.hidden_size, dtype=torch.float32, device=self.device)
        self.squares: Tensor | None = None
        out = self.layers[0].out_proj
        if rows == 1 and isinstance(out, Matrix4) and all(layer.hands_on for layer in self.layers):
            self.squares = Growth.no_squares(out)

    def __call__(self) -> None:
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            embed(self.ids, self.table, self.h)
            if self.alone:
                assert isinstance(self.head, Tensor)
                for layer in self.layers:
                    self._row(layer)
                project(self.h, self.head, self.logits, norm=self.norm)
            elif self.squares is not None:
                self._row_handed_on(self.squares)
            else:
                self._rows()

    def _row(self, layer: _Layer) -> None:
        """One layer for one row, all weights plain."""
        assert isinstance(layer.in_proj, Tensor) and isinstance(layer.out_proj, Tensor)
        e = self.y.shape[1]
        of_x, of_z = (None, None) if layer.in_bias is None else (layer.in_bias[:e], layer.in_bias[e:])
        project_convolved(self.h, layer.in_proj[:e], self.xz[:, :e], layer.conv, norm=layer.norm, bias=of_x)
        gate = Gate(self.h, layer.norm, layer.in_proj[e:], of_z)
        memory = (layer.ssm, layer.conv.active)
        mamba1_step.step_row(self.xz, layer.recurrence, gate, *memory, self.scratch, self.y)
        project_swished(self.y, self.xz[:, e:], layer.out_proj, self.h, self.h, layer.out_bias)

    def _row_handed_on(self, squares: Tensor) -> None:
        """All layers for one row through 4-bit weights, with no kernel for their norms but the first."""
        self._normed(self.layers[0].norm, self.layers[0].in_proj)
        deferred = None
        followers = (*((layer.norm, layer.in_proj) for layer in self.layers[1:]), (self.norm, self.head))
        for layer, (norm, reader) in zip(self.layers, followers, strict=True):
            assert isinstance(layer.out_proj, Matrix4)
            self._row_packed(layer, combs(layer.in_proj, 1), combs(layer.out_proj, 1), deferred)
            growth = Growth(self.h, layer.out_bias, norm.weight, self.u, squares, combs(reader, 1))
            packed.project_grown(((self.y, layer.out_proj),), growth)
            deferred = Deferred(squares, norm.eps)
        combed = self._normed(self.norm, self.head)
        matrix.project(self.u, self.head, self.logits, combed=combed)

    def _rows(self) -> None:
        """All layers for more rows, or for other packed weights; what a layer adds to h stays in parts until the next norm."""
        parts, bias = None, None
        for layer in self.layers:
            combed = self._normed(layer.norm, layer.in_proj, parts, bias)
            out_combed = combs(layer.out_proj, self.h.shape[0])
            if self.h.shape[0] == 1:
                self._row_packed(layer, combed, out_combed)
            else:
                matrix.project_convolved(self.u, layer.in_proj, self.xz, layer.conv, bias=layer.in_bias, combed=combed)
                step = (self.xz, layer.recurrence, layer.ssm, layer.conv.active, self.scratch, self.y)
                mamba1_step.step_rows(*step, combed=out_combed)
            matrix.project_parts(self.y, layer.out_proj, self.parts, OUT, out_combed)
            parts, bias = self.parts, layer.out_bias
        combed = self._normed(self.norm, self.head, parts, bias)
        matrix.project(self.u, self.head, self.logits, combed=combed)

    def _row_packed(self, layer: _Layer, combed: bool, out_combed: bool, deferred: Deferred | None = None) -> None:
        """in_proj, the recurrence and the gate for one row, u being there; z is made beside x_proj if the kernels can."""
        out, gate = self.xz, None
        if isinstance(layer.in_proj, Matrix4) and combs(layer.in_proj, 1) and mamba1_step.takes_gate(layer.recurrence):
            out, gate = self.xz[:, : self.y.shape[1]], PackedGate(self.u, layer.in_proj, layer.in_bias, deferred)
        matrix.project_convolved(
            self.u, layer.in_proj, out, layer.conv, bias=layer.in_bias, combed=combed, deferred=deferred
        )  # fmt: skip
        step = (self.xz, layer.recurrence, layer.ssm, layer.conv.active, self.scratch, self.y)
        mamba1_step.step_row_gated(*step, out_combed, gate)

    def _normed(self, norm: Norm, reader: Matrix, parts: Tensor | None = None, bias: Tensor | None = None) -> bool:
        """h grows by the parts, and u becomes its norm as `reader` wants it: combed or not."""
        combed = combs(reader, self.h.shape[0])
        normed(self.h, norm.weight, norm.eps, self.u, parts, bias, combed, self.pdl)
        return combed
