"""Ctrl-C, SIGTERM and the end of the terminal: an exit code always, a traceback never."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals
from time import monotonic
from types import FrameType

ENDING = tuple(Signals[name] for name in ("SIGTERM", "SIGHUP") if name in Signals.__members__)  # Windows has no SIGHUP
_arrived: list[Signals] = []  # signals whose exception is on its way, or was lost


class Terminated(SystemExit):
    """SIGTERM or SIGHUP arrived. No ordinary `except` stops it on its way to `main`.

    A SystemExit, because asyncio, in which the prompt runs, swallows all others but that and KeyboardInterrupt.
    """

    def __init__(self, number: Signals) -> None:
        super().__init__(128 + number)
        self.number = number


def install() -> None:
    """SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP `Terminated`, unless whoever started us had them ignored."""
    _arrived.clear()
    for number in (Signals.SIGINT, *ENDING):
        _replace(number, _leave)


def forget() -> None:
    """The Ctrl-C that arrived has been dealt with: whoever talks on is not stopped by it again."""
    _arrived[:] = [number for number in _arrived if number != Signals.SIGINT]


def check() -> None:
    """Raise again what a library has swallowed: importing torch loses one Ctrl-C in twenty. Call this between long stages."""
    for number in _arrived:
        raise _exception(number)


@contextmanager
def first_interrupt(action: Callable[[], None], *others: Signals, patience: float = 0.0) -> Iterator[list[Signals]]:
    """Within the block, the first Ctrl-C calls `action`, which should bring the block to its end; the second leaves at once.

    Within `patience` seconds a second one means no more than the first: impatient fingers.

    `others` are signals that do the same; they end the process nonetheless, behind the block, whatever happened in it. Yields
    the list of those that came.
    """
    ending: list[Signals] = []
    numbers = (Signals.SIGINT, *others)

    came: list[float] = []

    def first(number: int, frame: FrameType | None) -> None:
        if came and monotonic() - came[0] >= patience:
            _leave(number, frame)
        came.append(monotonic())
        if number != Signals.SIGINT:
            ending.append(Signals(number))
        action()

    check()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        _replace(number, first)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if ending:
            _leave(ending[0], None)


@contextmanager
def ignored() -> Iterator[None]:
    """Within the block, Ctrl-C, SIGTERM and SIGHUP do nothing: half of it would be worse than all of it."""
    numbers = (Signals.SIGINT, *ENDING)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _replace(number: Signals, handler: Callable[[int, FrameType | None], None]) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:  # a background job of a shell is not to be interrupted
        signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    _arrived.append(Signals(number))
    raise _exception(Signals(number))


def _exception(number: Signals) -> BaseException:
    return KeyboardInterrupt() if number == Signals.SIGINT else Terminated(number)
