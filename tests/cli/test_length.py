"""How long an answer may be, with a model whose positions end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modeling.messages import ModelInfo

Falcon = Callable[..., Any]


@pytest.fixture
def positions(fake_model: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def give(count: int) -> None:
        monkeypatch.setattr(fake_model, "ModelInfo", lambda *fields: replace(ModelInfo(*fields), max_positions=count))

    return give


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ((), 97),  # the default yields to the room behind a prompt of 3
        (("-n", "50"), 50),
        (("-n", "98"), 98),  # asked for: the engine refuses it
        (("-n", "-1"), None),
    ],
)
def test_the_default_length_yields_to_the_room_and_a_length_asked_for_does_not(
    options: tuple[str, ...], asked: int | None, falcon: Falcon, fake_model: Any, positions: Callable[[int], None]
) -> None:
    positions(100)
    assert falcon("generate", "--raw", "abc", *options).code == 0
    assert fake_model.OPENED[-1].engine.request.sampling.max_tokens == asked


@pytest.mark.parametrize("count", [1027, 5000])
def test_with_room_enough_the_default_is_what_it_is(
    count: int, falcon: Falcon, fake_model: Any, positions: Callable[[int], None]
) -> None:
    positions(count)
    assert falcon("generate", "--raw", "abc").code == 0
    assert fake_model.OPENED[-1].engine.request.sampling.max_tokens == 1024


def test_a_prompt_that_fills_all_positions_is_left_to_the_engine_to_refuse(
    falcon: Falcon, fake_model: Any, positions: Callable[[int], None]
) -> None:
    positions(3)
    falcon("generate", "--raw", "abc")
    assert fake_model.OPENED[-1].engine.request.sampling.max_tokens == 1024


def test_an_empty_name_is_no_wish_for_the_demo(falcon: Falcon, fake_model: Any) -> None:
    falcon("generate", "a", "-m", "")  # as `-m "$MODEL"` gives it where MODEL is not set
    assert fake_model.OPENED[-1].spec.name == ""  # which the engine room refuses
