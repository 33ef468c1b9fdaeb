"""The machine's ceiling: plausible on this one, void where it must be, and read by a kernel that reads everything."""

from __future__ import annotations

import pytest
import torch

from modeling.bench import ceiling
from modeling.bench.ceiling import measure_ceiling, void_reason


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "_room", lambda device: 64 << 20)
    monkeypatch.setattr(ceiling, "READS", 4)
    monkeypatch.setattr(ceiling, "PRODUCTS", 4)
    measure_ceiling.cache_clear()
    found = measure_ceiling(torch.device("cpu"), torch.float32)
    assert 1e8 < found.read < 1e13 and 1e8 < found.multiply < 1e15
    assert found.device and found.dtype == "float32" and found.reader == "torch" and not found.void
    assert found.cache >= 1 << 15
    assert measure_ceiling(torch.device("cpu"), torch.float32) is found  # once for a process
    measure_ceiling.cache_clear()


@pytest.mark.parametrize(
    ("name", "read", "multiply", "void"),
    [
        ("NVIDIA H200", 4.4e12, 750e12, ""),
        ("NVIDIA H200", 4.2e12, 750e12, "reads 4.20 TB/s"),
        ("NVIDIA H200", 4.4e12, 650e12, "multiplies 650 TFLOP/s"),
        ("NVIDIA H100 80GB HBM3", 3.0e12, 600e12, ""),
    ],
)
def test_a_slow_h200_is_void(name: str, read: float, multiply: float, void: str) -> None:
    reason = void_reason(name, torch.bfloat16, read, multiply)
    assert void in reason and bool(reason) == bool(void)
    if multiply < 700e12:
        assert void_reason(name, torch.float32, read, multiply) == ""  # other products have other rates


@pytest.mark.gpu
def test_a_gpu_is_read_by_triton() -> None:
    found = measure_ceiling(torch.device("cuda:0"), torch.bfloat16)
    assert found.reader == "triton" and found.read > 1e11 and found.multiply > 1e12
