"""Ctrl-C and SIGTERM: an exit code always, a traceback never."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_arrived: list[int] = []  # signals whose exception is on its way, or was lost


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt, no ordinary `except` stops it on its way to `main`."""


def install() -> None:
    """SIGINT raises KeyboardInterrupt and SIGTERM raises `Terminated`, unless whoever started us had them ignored."""
    _arrived.clear()
    _replace(signal.SIGINT, _interrupt)
    _replace(signal.SIGTERM, _terminate)


def check() -> None:
    """Raise again what a library has swallowed: importing torch loses one Ctrl-C in twenty. Call this between long stages."""
    if signal.SIGTERM in _arrived:
        raise Terminated
    if signal.SIGINT in _arrived:
        raise KeyboardInterrupt


@contextmanager
def first_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first Ctrl-C calls `action`, which should bring the block to its end; the second leaves at once."""

    def once(number: int, frame: FrameType | None) -> None:
        _replace(signal.SIGINT, _interrupt)
        action()

    check()
    before = signal.getsignal(signal.SIGINT)
    _replace(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _replace(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:  # a background job of a shell is not to be interrupted
        signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _arrived.append(number)
    raise KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> None:
    _arrived.append(number)
    raise Terminated
