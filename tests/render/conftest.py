"""Hands the tests of this room a terminal to look at (glass.py) and documents to show on it (corpus.py)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from falcon_cli.render.markdown import MarkdownReply


def _load(name: str) -> ModuleType:
    if loaded := sys.modules.get(f"falcon_{name}"):
        return loaded
    spec = importlib.util.spec_from_file_location(f"falcon_{name}", Path(__file__).parent / f"{name}.py")
    assert spec and spec.loader
    module = sys.modules[f"falcon_{name}"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument, table in (("document", "DOCUMENTS"), ("long", "LONG")):
        if argument in metafunc.fixturenames:
            documents = getattr(_load("corpus"), table)
            metafunc.parametrize(argument, documents.values(), ids=documents)


@pytest.fixture(scope="session")
def corpus() -> ModuleType:
    return _load("corpus")


@pytest.fixture(scope="session")
def glass() -> Callable[..., Any]:
    """glass(width, height, reflows=False) is a terminal."""
    made: Callable[..., Any] = _load("glass").Glass
    return made


@pytest.fixture(scope="session")
def markdown() -> Callable[..., MarkdownReply]:
    """markdown(screen) or markdown(write, width, height) draws every part: to its clock, each comes a second later."""

    def make(target: Any, width: int = 40, height: int = 12, *, color: bool = True) -> MarkdownReply:
        moments = (number // 2 for number in count())  # it looks once before a draw and once behind it
        if callable(target):
            return MarkdownReply(target, lambda: (width, height), color=color, clock=moments.__next__)
        return MarkdownReply(target.write, lambda: target.size, color=color, clock=moments.__next__)

    return make


@pytest.fixture(scope="session")
def shown(glass: Callable[..., Any], markdown: Callable[..., MarkdownReply]) -> Callable[..., Any]:
    """shown(parts, width, height) is the terminal after an answer has been written to it in these parts, each drawn.

    What stands above the cursor between two parts must never change again, nor may the tail be as high as the screen.
    """

    def call(parts: Iterable[str], width: int, height: int) -> Any:
        screen = glass(width, height)
        reply = markdown(screen)
        above: list[Any] = []
        for part in parts:
            reply.take("answer", part)
            now = screen.above()
            assert now[: len(above)] == above, "a row that had gone up was touched"
            assert len(screen.rows()) - len(now) < height, "the tail is as high as the screen"
            above = now
        reply.end()
        assert screen.above()[: len(above)] == above
        assert (screen.cursor.x, screen.cursor.hidden) == (0, False)
        assert len(screen.above()) >= len(screen.rows()), "something is left below the cursor"
        return screen

    return call
