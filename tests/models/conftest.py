"""Hands each test its cases: `case` is every shape in the table, `sample` those that bear on cutting, `quirky` one a family."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    if "falcon_cases" not in sys.modules:
        spec = importlib.util.spec_from_file_location("falcon_cases", Path(__file__).parent / "cases.py")
        assert spec and spec.loader
        module = sys.modules["falcon_cases"] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules["falcon_cases"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument, table in (("case", "CASES"), ("sample", "SAMPLE"), ("quirky", "QUIRKY")):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, getattr(_load(), table), ids=str)


@pytest.fixture(scope="session")
def cases() -> ModuleType:
    """The table itself, with its models: tests/models/cases.py."""
    return _load()
