"""How little a machine must do for a token, from a config alone: bytes moved, floating-point operations, seconds at a ceiling.

Each step of decoding reads every weight once (of the embedding only some rows, which are left out), reads and writes the
recurrent state of each sequence, reads the keys and values of its past and writes one more pair. A prefill reads the weights
and the state once, however long it is. Operations are those of the products: with the weights, and of attention. The
recurrence itself, a few percent, is not counted: how many operations it takes depends on how it is done. So the floor is never
too high, and no share of it flatters.
"""

from __future__ import annotations

from dataclasses import dataclass

from modeling.config import FalconH1Config, FalconMambaConfig, ModelConfig
from modeling.timings import Ceiling

_FP32 = 4


@dataclass(frozen=True, slots=True)
class Work:
    """What must be done at the least: bytes from and to memory, and floating-point operations, in `steps` equal passes."""

    bytes: int
    flops: int
    steps: int = 1

    def cached(self, ceiling: Ceiling) -> bool:
        """Whether what a pass moves fits the machine's caches: then its memory is no floor."""
        return self.bytes <= self.steps * ceiling.cache

    def seconds(self, ceiling: Ceiling) -> float:
        """The time it takes at the ceiling: the longer of the two."""
        return max(0.0 if self.cached(ceiling) else self.bytes / ceiling.read, self.flops / ceiling.multiply)


@dataclass(frozen=True, slots=True)
class Roofline:
    """What a model asks of a machine.

    weight_bytes: read once for each step. state_bytes: the recurrent memory of one sequence, read and written. token_bytes:
    keys and values of one token of one sequence. block_flops: products with the weights of all blocks, for one token.
    head_flops: with the head's, for one scored position. attention_flops: for one token and one position of its past.
    """

    weight_bytes: int
    state_bytes: int
    token_bytes: int
    block_flops: int
    head_flops: int
    attention_flops: int

    def decode(self, rows: int, tokens: int, context: int) -> Work:
        """`tokens` steps of `rows` sequences, each with `context` tokens before the first of them."""
        past = _sum(context, tokens)  # positions read by one sequence in all steps, its own new one left aside
        moved = tokens * (self.weight_bytes + rows * (2 * self.state_bytes + self.token_bytes)) + rows * past * self.token_bytes
        flops = rows * (tokens * (self.block_flops + self.head_flops) + (past + tokens) * self.attention_flops)
        return Work(moved, flops, tokens)

    def prefill(self, rows: int, tokens: int, context: int) -> Work:
        """`tokens` prompt tokens of each of `rows` sequences behind `context` others, and the logits of the last."""
        moved = self.weight_bytes + rows * (2 * self.state_bytes + (context + tokens) * self.token_bytes)
        seen = _sum(context, tokens) + tokens  # a token sees itself, too
        flops = rows * (tokens * self.block_flops + self.head_flops + seen * self.attention_flops)
        return Work(moved, flops)


def roofline(config: ModelConfig, itemsize: int) -> Roofline:
    """Of the model that `config` describes, with weights of `itemsize` bytes each."""
    if isinstance(config, FalconMambaConfig):
        return _falcon_mamba(config, itemsize)
    return _falcon_h1(config, itemsize)


def _falcon_mamba(c: FalconMambaConfig, itemsize: int) -> Roofline:
    d, e, n, k, r = c.hidden_size, c.intermediate_size, c.state_size, c.conv_kernel, c.time_step_rank
    products = d * 2 * e + e * (r + 2 * n) + r * e + e * d  # in_proj, x_proj, dt_proj, out_proj
    conv = e * k + c.use_conv_bias * e
    biases = e + c.use_bias * (2 * e + d)  # of dt_proj, and of in_proj and out_proj
    block = products + conv + biases + e * n + e + d  # A_log, D and the norm
    head = c.vocab_size * d
    return Roofline(
        weight_bytes=itemsize * (c.num_hidden_layers * block + d + head),
        state_bytes=c.num_hidden_layers * e * (k * itemsize + n * _FP32),
        token_bytes=0,
        block_flops=2 * c.num_hidden_layers * products,
        head_flops=2 * head,
        attention_flops=0,
    )


def _falcon_h1(c: FalconH1Config, itemsize: int) -> Roofline:
    d, e, f, layers = c.hidden_size, c.mamba_d_ssm, c.intermediate_size, c.num_hidden_layers
    projected = e + c.conv_dim + c.mamba_n_heads  # z, x, B, C, dt
    queries, keys = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    products = d * projected + e * d + d * (queries + 2 * keys) + queries * d + 3 * d * f
    conv = c.conv_dim * (c.mamba_d_conv + c.mamba_conv_bias)
    biases = (
        c.mamba_proj_bias * projected + c.projectors_bias * d + c.attention_bias * (queries + 2 * keys + d)
        + c.mlp_bias * (2 * f + d)
    )  # fmt: skip
    block = products + conv + biases + 3 * c.mamba_n_heads + c.mamba_rms_norm * e + 2 * d  # A_log, D, dt_bias, the norms
    head = c.vocab_size * d
    return Roofline(
        weight_bytes=itemsize * (layers * block + d + head),
        state_bytes=layers * (c.conv_dim * c.mamba_d_conv * itemsize + e * c.mamba_d_state * _FP32),
        token_bytes=layers * 2 * keys * itemsize,
        block_flops=2 * layers * products,
        head_flops=2 * head,
        attention_flops=layers * 4 * queries,  # q·k and p·v
    )


def _sum(first: int, count: int) -> int:
    """first + (first + 1) + … : `count` numbers."""
    return count * first + count * (count - 1) // 2
