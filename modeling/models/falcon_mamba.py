"""FalconMamba (Zuo et al. 2024): a stack of Mamba-1 mixers, nothing else. No attention, no positions, no context limit."""

from __future__ import annotations

from itertools import repeat

from torch import Tensor, nn

from modeling.config import FalconMambaConfig
from modeling.layers.layer import Layer
from modeling.layers.linear import Linear
from modeling.layers.mamba1 import Mamba1
from modeling.layers.norm import RMSNorm
from modeling.memory import MambaState
from modeling.models.language_model import LanguageModel, execution_device
from modeling.state import Extension, LayerState, ModelState


class FalconMambaBlock(Layer):
    """h + mixer(norm(h)); the residual stream h may be wider (fp32) than the weights."""

    def __init__(self, c: FalconMambaConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(c.hidden_size, c.layer_norm_epsilon)
        self.mixer = Mamba1(c)

    def forward(self, h: Tensor, state: LayerState | None = None) -> Tensor:
        """h (b, l, d) → (b, l, d)."""
        u = self.norm(h.to(self.norm.weight.dtype))
        return h + self.mixer(u, state.mamba if state else None)


class Backbone(nn.Module):
    """Everything below the head, under the checkpoint's names."""

    def __init__(self, c: FalconMambaConfig) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(FalconMambaBlock(c) for _ in range(c.num_hidden_layers))
        self.norm_f = RMSNorm(c.hidden_size, c.layer_norm_epsilon)


class FalconMamba(LanguageModel):
    """A FalconMamba language model."""

    block_class = FalconMambaBlock
    config: FalconMambaConfig
    max_positions = None

    def __init__(self, config: FalconMambaConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.backbone.embeddings.weight

    @property
    def blocks(self) -> nn.ModuleList:
        return self.backbone.layers

    @property
    def embedding(self) -> nn.Embedding:
        return self.backbone.embeddings

    def hidden(self, ids: Tensor, extension: Extension | None) -> Tensor:
        h = self.backbone.embeddings(ids)  # b l d
        if self.config.residual_in_fp32:
            h = h.float()
        states = extension.layers if extension else repeat(None)
        for block, state in zip(self.blocks, states, strict=False):
            h = block(h, state)
        return self.backbone.norm_f(h).to(self.dtype)

    def logits(self, h: Tensor) -> Tensor:
        return self.lm_head(h).float()

    def state_bytes(self, tokens: int) -> int:
        c, itemsize = self.config, self.dtype.itemsize
        return c.num_hidden_layers * c.intermediate_size * (c.conv_kernel * itemsize + c.state_size * 4)

    def make_state(self, slots: int, tokens: int | None = None) -> ModelState:
        """36 MiB a slot for the 7B, whatever `tokens`: a recurrent memory does not grow."""
        c, dtype = self.config, self.dtype
        conv, ssm = (c.intermediate_size, c.conv_kernel), (c.intermediate_size, c.state_size)
        return ModelState(MambaState.blocks([execution_device(block) for block in self.blocks], slots, conv, ssm, dtype))
