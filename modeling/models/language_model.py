"""What every model can do: score a batch of whole sequences, extend one slot by a prompt, extend many slots by a token each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from modeling import kernels
from modeling.state import Extension, ModelState
from modeling.walk import Trail


class LanguageModel(nn.Module, ABC):
    """The face of a model towards the generation room. A family gives `hidden`, `logits` and `make_state`."""

    block_class: ClassVar[type[nn.Module]]
    """Class of one block: what placement never splits over two devices."""

    config: Any
    """`FalconMambaConfig` or `FalconH1Config`; each family says which."""

    max_positions: int | None
    """The longest sequence the model was built for; None: no limit."""

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList:
        """The layers, in order."""

    @property
    @abstractmethod
    def embedding(self) -> nn.Embedding:
        """The table of the tokens' vectors (v, d)."""

    @abstractmethod
    def hidden(self, ids: Tensor, extension: Extension | None) -> Tensor:
        """ids (b, l) → last hidden states (b, l, d), normed. Without an extension every row is a sequence from its start."""

    @abstractmethod
    def logits(self, h: Tensor) -> Tensor:
        """h (…, d), normed → scores (…, v) fp32."""

    @abstractmethod
    def make_state(self, slots: int, tokens: int | None = None) -> ModelState:
        """Empty memory for `slots` sequences with room for `tokens` tokens in each (default: the model's positions)."""

    @abstractmethod
    def state_bytes(self, tokens: int) -> int:
        """Bytes of one slot of such a memory with `tokens` tokens in it. Arithmetic: nothing is allocated."""

    @property
    def device(self) -> torch.device:
        """Where token ids go in."""
        return execution_device(self.blocks[0])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the activations, and of every weight that is not packed."""
        return self.embedding.weight.dtype

    def forward(self, ids: Tensor) -> Tensor:
        """ids (b, l) → logits (b, l, v) fp32: functional and differentiable, no state."""
        return self.logits(self.hidden(ids, None))

    @torch.inference_mode()
    def prefill(self, ids: Tensor, state: ModelState, slot: int, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """Extend `slot` by ids (l) → logits (v) fp32 of the last position; or the b slots from there on by ids (b, l), the same
        number each → (b, v). Raises as `ModelState.extend`."""
        rows, length = ids.shape if ids.ndim == 2 else (1, len(ids))
        with state.extend(slot, slot + rows, length, cancelled) as extension:
            h = self.hidden(ids.view(rows, length), extension)[:, -1]  # b d
        return self.logits(h if ids.ndim == 2 else h[0])

    @torch.inference_mode()
    def step(self, ids: Tensor, state: ModelState) -> Tensor:
        """Extend slots 0 … b−1 by one token each: ids (b) → logits (b, v) fp32."""
        rows = ids.shape[0]
        with kernels.decode_step(rows, ids.device), state.extend(0, rows, 1) as extension:
            h = self.hidden(ids[:, None], extension)  # b 1 d
            return self.logits(h[:, -1])

    @torch.inference_mode()
    def walk(self, ids: Tensor, state: ModelState, trail: Trail) -> Tensor:
        """Extend slot 0 by ids (l) → last hidden states (l, d), normed. They and the state get the bits of l steps of one row,
        and `state.go_back` can undo the last ones by `trail`."""
        with kernels.decode_step(1, ids.device), kernels.tokens_apart(), state.walk(0, len(ids), trail) as extension:
            return self.hidden(ids[None], extension)[0]

    @torch.inference_mode()
    def scores(self, h: Tensor) -> Tensor:
        """h (1, d), normed → logits (1, v) fp32, by the arithmetic of a step."""
        with kernels.decode_step(1, h.device):
            return self.logits(h)


def execution_device(block: nn.Module) -> torch.device:
    """Where a block computes: its offload plan says so, else its weights are there."""
    planned: torch.device | None = getattr(block, "execution_device", None)
    return planned or next(block.parameters()).device
