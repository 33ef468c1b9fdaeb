"""Tokens apart: an operation over l tokens as l operations over one, so that each token gets the very bits of a decode step.

Sums in another order, the end of a vector in another place: an operation over several tokens rounds otherwise than a step does,
and a token that is nearly as likely as the best one may overtake it. Within `tokens_apart` each operation is called as a step
calls it, token by token; only what gives the same bits either way is done at once, and that is where the time is saved. The
memory of a mixer is then a `Walked` one, which is kept as it was behind each token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor

from modeling.state import Walked

P = ParamSpec("P")


class _Scene(threading.local):
    apart = False


_scene = _Scene()


@contextmanager
def tokens_apart() -> Iterator[None]:
    """Within it, the operations of this thread take tokens one by one."""
    before, _scene.apart = _scene.apart, True
    try:
        yield
    finally:
        _scene.apart = before


def by_token(count: int, alike: Callable[..., bool] | None = None) -> Callable[[Callable[P, Tensor]], Callable[P, Tensor]]:
    """For an operation whose first `count` arguments, and whose result, are (b, l, …).

    `alike` is told the operation and its arguments: a yes means that l tokens at once get the bits of l single ones.
    """

    def decorate(operation: Callable[P, Tensor]) -> Callable[P, Tensor]:
        @wraps(operation)
        def at_once_or_apart(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            if not _scene.apart or (length := _length(args)) == 1 or (alike is not None and alike(operation, *args, **kwargs)):
                return operation(*args, **kwargs)
            call: Callable[..., Tensor] = operation
            return torch.cat([call(*_token(args, count, t), *args[count:], **kwargs) for t in range(length)], dim=1)

        return at_once_or_apart

    return decorate


def in_turn(*places: int) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """For an operation whose last argument is its memory, and whose arguments at `places`, and result, are (b, l, …).

    A `Walked` memory takes one token after the other.
    """

    def decorate(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(operation)
        def at_once_or_in_turn(*args: Any) -> Tensor:
            memory = args[-1]
            if not isinstance(memory, Walked):
                return operation(*args)

            def token(t: int) -> Tensor:
                taken = [each[:, t : t + 1] if place in places else each for place, each in enumerate(args[:-1])]
                return operation(*taken, memory.at(t))

            return torch.cat([token(t) for t in range(_length(args))], dim=1)

        return at_once_or_in_turn

    return decorate


def _length(args: tuple[Any, ...]) -> int:
    return int(args[0].shape[1])


def _token(args: tuple[Any, ...], count: int, t: int) -> list[Tensor]:
    """What a step would be given: fresh memory, since a product may go another way by where its rows lie."""
    return [each[:, t : t + 1].clone(memory_format=torch.contiguous_format) for each in args[:count]]
