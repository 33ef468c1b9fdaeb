"""Falcon-H1 (Zuo et al. 2025): every block reads its input through attention and Mamba-2 side by side, then through an MLP."""

from __future__ import annotations

from itertools import repeat
from math import ceil

import torch
from torch import Tensor, nn

from modeling.config import FalconH1Config
from modeling.layers.attention import Attention, Rotation, rotation
from modeling.layers.layer import Layer
from modeling.layers.linear import Linear
from modeling.layers.mamba2 import Mamba2
from modeling.layers.mlp import MLP
from modeling.layers.norm import RMSNorm
from modeling.memory import PAGE, KVPool, MambaState
from modeling.models.language_model import LanguageModel, execution_device
from modeling.state import Extension, LayerState, ModelState


class FalconH1Block(Layer):
    """h += mamba(u)·m + attention(u·m)·m with u = norm(h); then h += mlp(norm(h))."""

    def __init__(self, c: FalconH1Config) -> None:
        super().__init__()
        self.multipliers = c.multipliers
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.mamba = Mamba2(c)
        self.pre_ff_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.feed_forward = MLP(c)

    def forward(self, h: Tensor, rotation: Rotation, state: LayerState | None = None) -> Tensor:
        """h (b, l, d) → (b, l, d)."""
        m = self.multipliers
        u = self.input_layernorm(h)
        mixed = self.mamba(u, state.mamba if state else None) * m.ssm_out
        attended = self.self_attn(u * m.attention_in, rotation, state.kv if state else None) * m.attention_out
        h = h + (mixed + attended)
        return h + self.feed_forward(self.pre_ff_layernorm(h))


class Backbone(nn.Module):
    """Everything below the head, under the checkpoint's names."""

    def __init__(self, c: FalconH1Config) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(FalconH1Block(c) for _ in range(c.num_hidden_layers))
        self.final_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)


class FalconH1(LanguageModel):
    """A Falcon-H1 language model."""

    block_class = FalconH1Block
    config: FalconH1Config

    def __init__(self, config: FalconH1Config) -> None:
        super().__init__()
        self.config = config
        self.max_positions = config.max_position_embeddings
        self.model = Backbone(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def blocks(self) -> nn.ModuleList:
        return self.model.layers

    @property
    def embedding(self) -> nn.Embedding:
        return self.model.embed_tokens

    def hidden(self, ids: Tensor, extension: Extension | None) -> Tensor:
        c = self.config
        h = self.model.embed_tokens(ids) * c.multipliers.embedding  # b l d
        positions = extension.positions if extension else torch.arange(ids.shape[1], device=ids.device)[None]
        angles = rotation(positions, c.head_dim, c.rope_theta, h.dtype)
        states = extension.layers if extension else repeat(None)
        for block, state in zip(self.blocks, states, strict=False):
            h = block(h, angles, state)
        return self.model.final_layernorm(h)

    def logits(self, h: Tensor) -> Tensor:
        return (self.lm_head(h) * self.config.multipliers.lm_head).float()

    def state_bytes(self, tokens: int) -> int:
        c, itemsize = self.config, self.dtype.itemsize
        recurrent = c.conv_dim * c.mamba_d_conv * itemsize + c.mamba_d_ssm * c.mamba_d_state * 4
        return c.num_hidden_layers * (recurrent + 2 * tokens * c.num_key_value_heads * c.head_dim * itemsize)

    def make_state(self, slots: int, tokens: int | None = None) -> ModelState:
        """Recurrent memory of constant size, and KV pages for `tokens` positions in each slot.

        One page more for each slot than `tokens` need: a fork that diverges in the middle of a page takes a copy of it.
        """
        c, dtype = self.config, self.dtype
        devices = [execution_device(block) for block in self.blocks]
        conv, ssm = (c.conv_dim, c.mamba_d_conv), (c.mamba_n_heads, c.mamba_d_head, c.mamba_d_state)
        pages = slots * (ceil((c.max_position_embeddings if tokens is None else tokens) / PAGE) + 1)
        pool = KVPool(pages, (c.num_key_value_heads, c.head_dim), dtype, devices)
        return ModelState(MambaState.blocks(devices, slots, conv, ssm, dtype), pool)
