"""Tokens apart: an operation over l tokens as l operations over one, so that each token gets the very bits of a decode step.

Sums in another order, the end of a vector in another place: an operation over several tokens rounds otherwise than a step does,
and a token that is nearly as likely as the best one may overtake it. Within `tokens_apart` each operation is called as a step
calls it, token by token; only what gives the same bits either way is done at once, and that is where the time is saved. The
memory of a mixer is then a `Walked` one, which is kept as it was behind each token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor

from modeling.walk import Walked

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


def by_token(*places: int, alike: Callable[..., bool] | None = None) -> Callable[[Callable[P, Tensor]], Callable[P, Tensor]]:
    """For an operation whose arguments at `places`, the first one among them, and whose result, are (b, l, …).

    Of a `Walked` argument each token gets what it finds there. `alike` is told the operation and its arguments: a yes means
    that l tokens at once get the bits of l single ones.
    """

    def decorate(operation: Callable[P, Tensor]) -> Callable[P, Tensor]:
        @wraps(operation)
        def at_once_or_apart(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            if not _scene.apart or (alike is not None and alike(operation, *args, **kwargs)):
                return operation(*args, **kwargs)
            call: Callable[..., Tensor] = operation
            first: Any = args[0]
            return torch.cat([call(*_as_in_a_step(args, places, t), **kwargs) for t in range(first.shape[1])], dim=1)

        return at_once_or_apart

    return decorate


def _as_in_a_step(args: Sequence[Any], places: Collection[int], t: int) -> Iterator[Any]:
    """What token t would be given by a step: fresh memory, since a product may go another way by where its rows lie."""
    for place, each in enumerate(args):
        if place in places:
            yield each[:, t : t + 1].clone(memory_format=torch.contiguous_format)
        else:
            yield each.at(t) if isinstance(each, Walked) else each
