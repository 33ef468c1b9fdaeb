"""For every room: the tests' models are so small that threads only get in each other's way."""

from __future__ import annotations

import signal

import pytest

for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a job in the background ignores some of them, and so would all its children
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)
