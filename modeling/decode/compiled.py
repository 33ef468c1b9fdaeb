"""A decode step by torch.compile: the readable blocks as they are, fused by inductor. For `--kernels compile`.

One graph serves all blocks, because each is the same code on other weights. Prompts are read uncompiled: each new length would
be another graph, and the loops of a scan unroll.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch

from modeling.models import LanguageModel


def compile_steps(model: LanguageModel) -> None:
    """From now on the blocks of `model` run compiled where they extend states by one token each.

    The first step compiles, for some seconds.
    """
    plain = model.block_class.forward
    compiled = torch.compile(plain)

    def forward(block: Any, h: torch.Tensor, *rest: Any) -> Any:
        """h (b, l, d) and what else a block takes; its state is the last of it."""
        step = h.shape[1] == 1 and rest[-1] is not None
        return (compiled if step else plain)(block, h, *rest)

    for block in model.blocks:
        block.forward = MethodType(forward, block)
