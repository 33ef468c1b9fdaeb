"""What all layers are: a module whose call gives one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn


class Layer(nn.Module):
    """`nn.Module` with a typed call; calling (not `forward`) is what runs the hooks that bring in offloaded weights."""

    if TYPE_CHECKING:

        def __call__(self, *args: Any) -> Tensor: ...
