"""Ctrl-C, SIGTERM and the end of the terminal: an exit code always, a traceback never."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals
from types import FrameType

ENDING = tuple(Signals[name] for name in ("SIGTERM", "SIGHUP") if name in Signals.__members__)  # Windows has no SIGHUP
_arrived: list[Signals] = []  # signals whose exception is on its way, or was lost


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived. Like KeyboardInterrupt, no ordinary `except` stops it on its way to `main`."""

    def __init__(self, number: Signals) -> None:
        super().__init__(number)
        self.number = number


def install() -> None:
    """SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP `Terminated`, unless whoever started us had them ignored."""
    _arrived.clear()
    for number in (Signals.SIGINT, *ENDING):
        _replace(number, _leave)


def check() -> None:
    """Raise again what a library has swallowed: importing torch loses one Ctrl-C in twenty. Call this between long stages."""
    for number in _arrived:
        raise _exception(number)


@contextmanager
def first_interrupt(action: Callable[[], None], *others: Signals) -> Iterator[None]:
    """Within the block, the first Ctrl-C calls `action`, which should bring the block to its end; the second leaves at once.

    `others` are signals that do the same; they end the process nonetheless, behind the block.
    """
    ending: list[Signals] = []
    numbers = (Signals.SIGINT, *others)

    def once(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            _replace(each, _leave)
        if number != Signals.SIGINT:
            ending.append(Signals(number))
        action()

    check()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        _replace(number, once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if ending:
        _leave(ending[0], None)


def _replace(number: Signals, handler: Callable[[int, FrameType | None], None]) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:  # a background job of a shell is not to be interrupted
        signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    _arrived.append(Signals(number))
    raise _exception(Signals(number))


def _exception(number: Signals) -> BaseException:
    return KeyboardInterrupt() if number == Signals.SIGINT else Terminated(number)
