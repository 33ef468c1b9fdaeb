"""Falcon-H1's decode step in six kernels a layer, at the speed its weights and its state can be read.

    h → norm, the four input projections, convolution → attention splits and Mamba-2's recurrence, side by side → splits merged,
    gated norm → both output projections, added to h → norm, gate and up, SiLU → down, added to h

A model without a gated norm only merges in the third kernel. More than one row, or weights in 8 bits, take some small kernels
more: what a layer adds to h comes in parts, each over some of the columns, and their sum runs in the norm behind them. One row
through 4-bit weights takes six again: what adds to h begins the next norm, and what reads it ends it.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from triton import knobs

from modeling.decode.inputs import StepInputs
from modeling.decode.packing import laid_together, matrix_of, runs_in
from modeling.decode.plan import Plan, choose, whole
from modeling.kernels.triton import attention_step, mamba2_step, matrix, packed
from modeling.kernels.triton.attention_step import Past
from modeling.kernels.triton.launch import overlaps
from modeling.kernels.triton.mamba2_step import Recurrence
from modeling.kernels.triton.matrix import Matrix, combs
from modeling.kernels.triton.nf4 import Matrix4
from modeling.kernels.triton.packed import Deferred, Growth
from modeling.kernels.triton.projection import (
    MAX_ROWS,
    Convolved,
    Norm,
    embed,
    project,
    project_convolved,
    project_gated,
)
from modeling.kernels.triton.rows import normed
from modeling.layers.attention import Attention
from modeling.layers.mamba2 import Mamba2
from modeling.layers.norm import RMSNorm
from modeling.memory import PAGE
from modeling.models.falcon_h1 import FalconH1, FalconH1Block
from modeling.state import ModelState

LIMITS = {"head_dim": 256, "mamba_d_state": 1024, "mamba_d_conv": 16, "hidden_size": 16384}  # tiles hold these whole
BESIDE = 8  # rows up to which attention and Mamba-2 share a launch: beyond, each fills the machine by itself


def supports(model: FalconH1, rows: int) -> bool:
    """Whether this program runs `rows` rows of `model`: all weights on one device that runs the kernels, and in one dtype or
    packed."""
    weights, c, table = list(model.parameters()), model.config, model.model.embed_tokens.weight
    device, dtype = table.device, table.dtype
    runs = device.type == "cuda" or (device.type == "cpu" and bool(knobs.runtime.interpret))
    plain = dtype in (torch.float32, torch.bfloat16, torch.float16) and runs_in(model, dtype)
    small = all(getattr(c, name) <= limit for name, limit in LIMITS.items())
    small = small and c.num_attention_heads // c.num_key_value_heads <= 64
    m = c.multipliers
    divisible = m.mlp[1] != 0 and (m.ssm_in * m.attention_in != 0 or not (c.mamba_proj_bias or c.attention_bias))
    return runs and plain and small and divisible and all(w.device == device for w in weights) and 1 <= rows <= MAX_ROWS


@dataclass(frozen=True, slots=True)
class _Added:
    """In fp32, for what comes in parts: what a layer adds to h beside the products' parts, and the MLP's norm and biases under
    its multiplier."""

    mixers_bias: Tensor | None
    down_bias: Tensor | None
    norm: Tensor
    gate_up_bias: Tensor | None

    @classmethod
    def of(cls, block: FalconH1Block) -> _Added:
        m, f, down = block.multipliers, block.feed_forward, block.multipliers.mlp[1]
        pairs = ((block.mamba.out_proj.bias, m.ssm_out), (block.self_attn.o_proj.bias, m.attention_out))
        mixers = [bias.float() * multiplier for bias, multiplier in pairs if bias is not None]
        biased = f.down_proj.bias is not None
        return cls(
            sum(mixers[1:], mixers[0]) if mixers else None,
            f.down_proj.bias.float() * down if biased else None,
            block.pre_ff_layernorm.weight.float() * down,
            torch.cat((f.gate_proj.bias, f.up_proj.bias)).float() * down if biased else None,
        )


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block's weights and memory as the kernels take them."""

    norm: Norm
    inputs: Matrix
    scale: Tensor
    inputs_bias: Tensor | None
    conv: Convolved
    recurrence: Recurrence
    ssm: Tensor
    past: Past
    ssm_out: tuple[Matrix, Tensor | None]
    attention_out: tuple[Matrix, Tensor | None]
    mlp_norm: Norm
    gate_up: Matrix
    gate_up_bias: Tensor | None
    down: tuple[Matrix, Tensor | None]
    added: _Added

    @classmethod
    def of(cls, block: FalconH1Block, state: ModelState, i: int, inputs: StepInputs) -> _Layer:
        assert state.pool is not None
        m, a, f, memory = block.mamba, block.self_attn, block.feed_forward, state.mamba[i]
        gate_up_bias = None if f.gate_proj.bias is None else laid_together(f.gate_proj.bias, f.up_proj.bias)
        past = Past(state.pool.keys[i], state.pool.values[i], inputs.pages, inputs.lengths, inputs.active, PAGE)

        def matrix_in(*linears: nn.Module) -> Matrix:
            return matrix_of(*linears, dtype=block.input_layernorm.weight.dtype)

        return cls(
            _norm(block.input_layernorm),
            matrix_in(m.in_proj, a.q_proj, a.k_proj, a.v_proj),
            *_scale_and_bias(m, a),
            Convolved(m.sizes[0], m.conv1d.weight[:, 0], m.conv1d.bias, memory.conv, inputs.active),
            _recurrence(m),
            memory.ssm,
            past,
            (matrix_in(m.out_proj), m.out_proj.bias),
            (matrix_in(a.o_proj), a.o_proj.bias),
            _norm(block.pre_ff_layernorm),
            matrix_in(f.gate_proj, f.up_proj),
            gate_up_bias,
            (matrix_in(f.down_proj), f.down_proj.bias),
            _Added.of(block),
        )

    @property
    def hands_on(self) -> bool:
        """Whether one row's norms are begun by who makes h and ended by who reads it. A half would overflow before the end."""
        return all(isinstance(matrix, Matrix4) for matrix in self.matrices) and self.norm.weight.dtype != torch.float16

    @property
    def plain(self) -> bool:
        return all(isinstance(matrix, Tensor) for matrix in self.matrices)

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        return self.inputs, self.ssm_out[0], self.attention_out[0], self.gate_up, self.down[0]


class FalconH1Step:
    """Extends slots 0 … rows−1 by the tokens in `inputs.ids`. A call only enqueues kernels, so it can be captured in a graph.

    `logits` (rows, v) fp32 are there when they have run. Rows that are not active keep their state. State, keys, values and
    `inputs` are read before the kernel ahead has ended: `embed` lets nothing start before all that came before the step has.
    """

    def __init__(self, model: FalconH1, state: ModelState, inputs: StepInputs, rows: int, plan: Plan | None = None) -> None:
        c, weight = model.config, model.model.embed_tokens.weight
        self.device, self.multipliers, self.rows = weight.device, c.multipliers, rows
        self.ids = inputs.ids[:rows]
        with torch.no_grad():
            self.table, self.head = weight.detach(), matrix_of(model.lm_head, dtype=weight.dtype)
            self.norm = _norm(model.model.final_layernorm)
            blocks = enumerate(block for block in model.blocks if isinstance(block, FalconH1Block))
            self.layers = [_Layer.of(block, state, i, inputs) for i, block in blocks]

        def empty(width: int, dtype: torch.dtype = weight.dtype) -> Tensor:
            return torch.empty(rows, width, dtype=dtype, device=self.device)

        plain = isinstance(self.head, Tensor) and all(layer.plain for layer in self.layers)
        self.alone = rows == 1 and plain
        self.plan = plan or choose(c, rows, weight.dtype, plain)
        first = self.layers[0]
        self.heads = c.num_attention_heads
        self.query = c.mamba_d_ssm + c.conv_dim + c.mamba_n_heads  # the column where q begins, after Mamba-2's inputs
        self.h, self.u = empty(c.hidden_size), empty(c.hidden_size)
        self.projected = empty(first.inputs.shape[0])
        self.attended, self.mixed = empty(c.num_attention_heads * c.head_dim), empty(c.mamba_d_ssm)
        self.gated = empty(c.intermediate_size)
        self.logits = empty(c.vocab_size, torch.float32)
        self.turns = attention_step.frequencies(c.head_dim, c.rope_theta, self.device)
        self.splits = attention_step.choose(rows, first.past)
        self.channels = mamba2_step.choose(rows, first.ssm)
        self.partials = attention_step.Scratch.empty(rows, self.heads, c.head_dim, self.splits, self.device)
        self.unnormed = mamba2_step.Scratch.empty(rows, c.mamba_n_heads, c.mamba_d_head, self.channels, self.device)
        if not self.alone:
            self.pdl = rows == 1 and overlaps(self.device)
            plan = self.plan
            if rows == 1:  # there are no parts of what is 4-bit
                plan.down_parts = whole(plan.down_parts, first.down[0])
                plan.ssm_parts = whole(plan.ssm_parts, first.ssm_out[0])
                plan.attention_parts = whole(plan.attention_parts, first.attention_out[0])
            count = max(plan.ssm_parts[0] + plan.attention_parts[0], plan.down_parts[0])
            self.parts = torch.empty(count, rows, c.hidden_size, dtype=torch.float32, device=self.device)
        self.squares: Tensor | None = None
        down = first.down[0]
        if rows == 1 and isinstance(down, Matrix4) and all(layer.hands_on for layer in self.layers):
            self.squares = Growth.no_squares(down)

    def __call__(self) -> None:
        m, plan = self.multipliers, self.plan
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            embed(self.ids, self.table, self.h, m.embedding)
            if self.squares is not None:
                self._row_handed_on(self.squares)
                return
            if not self.alone:
                self._rows()
                return
            assert isinstance(self.head, Tensor)
            for layer in self.layers:
                self._row(layer)
            project(self.h, self.head, self.logits, norm=self.norm, multiplier=m.lm_head, blocks=plan.head)

    def _row(self, layer: _Layer) -> None:
        """One layer for one row, all weights plain."""
        assert isinstance(layer.inputs, Tensor) and isinstance(layer.gate_up, Tensor)
        m, h, plan = self.multipliers, self.h, self.plan
        inputs = (layer.inputs, self.projected, layer.conv)
        project_convolved(h, *inputs, norm=layer.norm, scale=layer.scale, bias=layer.inputs_bias, blocks=plan.inputs)
        self._mix(layer)
        (weight, bias), (weight2, bias2) = layer.ssm_out, layer.attention_out
        assert isinstance(weight, Tensor) and isinstance(weight2, Tensor)
        second = (self.attended, weight2, bias2, m.attention_out)
        out = (self.mixed, weight, h)
        project(*out, bias=bias, multiplier=m.ssm_out, residual=h, second=second, blocks=plan.outputs)
        gate, down = m.mlp
        mlp = (layer.gate_up, self.gated)
        project_gated(h, *mlp, norm=layer.mlp_norm, bias=layer.gate_up_bias, multiplier=gate, blocks=plan.gate_up)
        weight, bias = layer.down
        assert isinstance(weight, Tensor)
        project(self.gated, weight, h, bias=bias, multiplier=down, residual=h, blocks=plan.down)

    def _row_handed_on(self, squares: Tensor) -> None:
        """All layers for one row through 4-bit weights, with no kernel for their norms but the first; multipliers as below."""
        gate, down = self.multipliers.mlp
        self._normed(self.layers[0].norm.weight, self.layers[0].norm.eps, self.layers[0].inputs)
        followers = (*((layer.norm, layer.inputs) for layer in self.layers[1:]), (self.norm, self.head))
        deferred = None
        for layer, (norm, reader) in zip(self.layers, followers, strict=True):
            inputs, ssm_out, attention_out, gate_up, out = layer.matrices
            assert isinstance(ssm_out, Matrix4) and isinstance(attention_out, Matrix4) and isinstance(out, Matrix4)
            matrix.project_convolved(
                self.u, inputs, self.projected, layer.conv, scale=layer.scale, bias=layer.inputs_bias,
                combed=combs(inputs, 1), deferred=deferred,
            )  # fmt: skip
            self._mix(layer)
            growth = Growth(self.h, layer.added.mixers_bias, layer.added.norm, self.u, squares, combs(gate_up, 1))
            packed.project_grown(((self.mixed, ssm_out), (self.attended, attention_out)), growth)
            matrix.project_gated(
                self.u, gate_up, self.gated, bias=layer.added.gate_up_bias, multiplier=gate / down,
                combed=combs(gate_up, 1), out_combed=combs(out, 1), deferred=Deferred(squares, layer.mlp_norm.eps),
            )  # fmt: skip
            growth = Growth(self.h, layer.added.down_bias, norm.weight, self.u, squares, combs(reader, 1))
            packed.project_grown(((self.gated, out),), growth)
            deferred = Deferred(squares, norm.eps)
        self._headed()

    def _rows(self) -> None:
        """All layers for more rows, or for other packed weights; what is added to h stays in parts until the next norm.

        Parts have no multiplier: those of the mixers are in what they read, and the MLP's is in what the MLP reads. Its product
        is linear in that, but for the gate, whose own multiplier is divided by it.
        """
        plan, parts, bias = self.plan, None, None
        gate, down = self.multipliers.mlp
        for layer in self.layers:
            combed = self._normed(layer.norm.weight, layer.norm.eps, layer.inputs, parts, bias)
            matrix.project_convolved(
                self.u, layer.inputs, self.projected, layer.conv, scale=layer.scale, bias=layer.inputs_bias, combed=combed,
                blocks=plan.inputs,
            )  # fmt: skip
            self._mix(layer)
            parts = self._mixed(layer)
            combed = self._normed(layer.added.norm, layer.mlp_norm.eps, layer.gate_up, parts, layer.added.mixers_bias)
            out_combed = combed and combs(layer.down[0], self.rows)
            matrix.project_gated(
                self.u, layer.gate_up, self.gated, bias=layer.added.gate_up_bias, multiplier=gate / down, combed=combed,
                out_combed=out_combed, blocks=plan.gate_up,
            )  # fmt: skip
            parts, bias = self.parts[: plan.down_parts[0]], layer.added.down_bias
            matrix.project_parts(self.gated, layer.down[0], parts, plan.down_parts[1:], out_combed)
        self._headed(parts, bias)

    def _headed(self, parts: Tensor | None = None, bias: Tensor | None = None) -> None:
        """The last norm and the logits."""
        combed = self._normed(self.norm.weight, self.norm.eps, self.head, parts, bias)
        multiplier = self.multipliers.lm_head
        matrix.project(self.u, self.head, self.logits, multiplier=multiplier, combed=combed, blocks=self.plan.head)

    def _mixed(self, layer: _Layer) -> Tensor:
        """The parts of both mixers' outputs."""
        (of_mamba, _), (of_attention, _), plan = layer.ssm_out, layer.attention_out, self.plan
        split = plan.ssm_parts[0]
        parts = self.parts[: split + plan.attention_parts[0]]
        matrix.project_parts(self.mixed, of_mamba, parts[:split], plan.ssm_parts[1:], combs(of_mamba, self.rows))
        combed = combs(of_attention, self.rows)
        matrix.project_parts(self.attended, of_attention, parts[split:], plan.attention_parts[1:], combed)
        return parts

    def _normed(
        self, weight: Tensor, eps: float, reader: Matrix, parts: Tensor | None = None, bias: Tensor | None = None
    ) -> bool:
        """h grows by the parts, and u becomes its norm as `reader` wants it: combed or not."""
        combed = combs(reader, self.rows)
        normed(self.h, weight, eps, self.u, parts, bias, combed, self.pdl)
        return combed

    def _mix(self, layer: _Layer) -> None:
        """Attention into `attended`, Mamba-2 into `mixed`; for what comes in parts under their multipliers."""
        m = self.multipliers
        of_attention, of_mamba = (1.0, 1.0) if self.alone else (m.attention_out, m.ssm_out)
        splits, channels, past, mixer = self.splits, self.channels, layer.past, layer.recurrence
        combed, mixed_combed = (combs(weight, self.rows) for weight in (layer.attention_out[0], layer.ssm_out[0]))
        attention = (self.projected, self.query, self.heads, past, self.turns, self.partials, splits)
        mamba = (self.projected, mixer, layer.ssm, past.active, self.unnormed, self.mixed, channels, of_mamba, mixed_combed)
        if self.rows <= BESIDE:
            mamba2_step.mix(
                attention_step.attend_arguments(*attention),
                attention_step.attend_programs(self.rows, past, splits),
                mamba2_step.advance_arguments(*mamba),
                mamba2_step.advance_programs(self.rows, layer.ssm, channels),
                channels.warps,
            )
        else:
            attention_step.attend(*attention)
            mamba2_step.advance(*mamba)
        if mixer.norm is None:
            attention_step.merge(self.partials, past, self.attended, splits, of_attention, combed)
            return
        mamba2_step.finish(
            attention_step.merge_arguments(self.partials, past, self.attended, splits, of_attention, combed),
            attention_step.merge_programs(self.partials),
            mamba2_step.normalise_arguments(self.projected, mixer, self.unnormed, self.mixed, of_mamba, mixed_combed),
            mamba2_step.normalise_programs(mixer, self.unnormed),
        )


def _norm(norm: RMSNorm) -> Norm:
    return Norm(norm.weight.detach(), norm.eps)


def _recurrence(m: Mamba2) -> Recurrence:
    c, norm = m.config, m.norm
    weight, eps = (None, 0.0) if norm is None else (norm.weight, norm.eps)
    A, limit, groups = m.A.detach(), c.time_step_limit, c.mamba_n_groups
    return Recurrence(A, m.D, m.dt_bias, limit, groups, weight, eps, c.mamba_norm_before_gate)


def _scale_and_bias(m: Mamba2, a: Attention) -> tuple[Tensor, Tensor | None]:
    """What the rows of in_proj, q, k and v are multiplied by in fp32, and their biases, divided by what comes before them.

    Mamba-2: s ∘ (W u m + b) = m s ∘ (W u + b / m); attention likewise, with the keys' multiplier for s.
    """
    projections = (m.in_proj, a.q_proj, a.k_proj, a.v_proj)
    multipliers = m.config.multipliers
    before = (multipliers.ssm_in, *3 * (multipliers.attention_in,))
    after: tuple[Tensor | float, ...] = (m.scale(m.dt_bias).float(), 1.0, multipliers.key, 1.0)
    scales, biases = [], []
    of_q, of_k = (heads * a.head_dim for heads in a.heads)
    outputs_of = (sum(m.sizes), of_q, of_k, of_k)
    for linear, outputs, multiplier, factor in zip(projections, outputs_of, before, after, strict=True):
        ones = torch.ones(outputs, dtype=torch.float32, device=m.dt_bias.device)
        scales.append(ones * factor * multiplier)
        biases.append(0 * ones if linear.bias is None else linear.bias.float() / multiplier)
    biased = any(linear.bias is not None for linear in projections)
    return torch.cat(scales), torch.cat(biases) if biased else None
