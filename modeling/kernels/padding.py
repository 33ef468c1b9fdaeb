"""Padding, by the law: each row's own tokens alone, as if the row were by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import Tensor

from modeling.padded import Padded


def row_by_row(*places: int) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """For an operation whose last argument is its memory, and whose arguments at `places`, the first among them, are (b, l, …);
    the result has the first one's shape.

    With a `Padded` memory it waits for the device, row after row. The result is 0 where the padding is.
    """

    def decorate(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(operation)
        def together_or_row_by_row(*args: Any) -> Tensor:
            memory = args[-1]
            if not isinstance(memory, Padded):
                return operation(*args)
            y: Tensor | None = None
            for row, length in enumerate(memory.rows[:, 2].tolist()):
                if not length:
                    continue
                taken = [each[row : row + 1, :length] if place in places else each for place, each in enumerate(args[:-1])]
                own = operation(*taken, memory.of(row))
                y = own.new_zeros(args[0].shape) if y is None else y
                y[row, :length] = own[0]
            assert y is not None, "no row has tokens"
            return y

        return together_or_row_by_row

    return decorate
