"""Every room's tests: one thread, so that sums run in one order and the suite shares its cores with nobody."""

from __future__ import annotations

import torch


def pytest_configure() -> None:
    torch.set_num_threads(1)
