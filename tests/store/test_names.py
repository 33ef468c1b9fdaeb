"""Names that mean something elsewhere: none leads out of the folder, and each is refused in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.store import Saved, Store
from modeling.errors import InvalidRequest
from modeling.turns import Turn

pytestmark = pytest.mark.promise
Falcon = Callable[..., Any]


def hostile() -> Iterator[str]:
    """Names that are none."""
    yield from (
        "",
        " ",
        ".",
        "..",
        "...",
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "/",
        "~",
        "~root",
        "~/x",
        "./x",
        "x/",
        "x/y",
    )
    yield from (
        "x/../y",
        "..\\x",
        "C:\\x",
        "C:x",
        "\\\\host\\share",
        "x\\y",
        "//host/x",
        "%2e%2e%2fx",
        "x%00",
        "${HOME}",
        "$(id)",
    )
    yield from (
        "`id`",
        "x;id",
        "x|id",
        "x&id",
        "x>y",
        "<x",
        "x*",
        "x?",
        "[x]",
        "{x}",
        "x y",
        "x\ty",
        "'x'",
        '"x"',
        "x'--",
        "x:y",
        "x,y",
    )
    yield from (f"trip{chr(code)}" for code in (*range(0x20), 0x7F, *range(0x80, 0x88), 0x9B, 0xA0, 0xAD))
    yield from (f"{sign}trip" for sign in ".-_+=@!#^~\x1b\ufeff\u202e\u200b\u2066")
    yield from (
        "trip\n",
        "\ntrip",
        "trip\r\n",
        "trip\x1b[2J",
        "trip\x1b]0;x\x07",
        "tri\u0440",
        "\uff54rip",
        "tr\u0131p",
        "tripé",
        "旅",
        "🦅",
    )
    yield from (
        "trip\u0301",
        "\u0661",
        "²",
        "tríp",
        "tr\u200dip",
        "\ud800",
        "trip\udcff",
        "x" * 65,
        "x" * 100_000,
        "../" * 2000 + "x",
    )


HOSTILE = list(dict.fromkeys(hostile()))


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 120


def test_no_hostile_name_is_taken(store: Store, begun: Saved, said: Callable[..., Turn], tmp_path: Path) -> None:
    turn = said(None)
    store.add(begun, turn)
    before = tree(tmp_path)
    for name in HOSTILE:
        for take in (
            lambda name: store.create(name, "demo", None, {}),
            store.find,
            lambda name: store.rename(begun, name),
            lambda name: store.name_branch(begun, name, turn),
        ):
            with pytest.raises(InvalidRequest, match="is no name for a ") as refused:
                take(name)
            assert "a name is made of letters" in refused.value.hint
            assert str(refused.value).isprintable()
            assert len(str(refused.value)) < 400
    assert store.names() == ["trip"]
    assert store.load(begun).branches == {}
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["show {}", "export {}", "rm {}", "rename {} other", "rename trip {}"])
def test_a_hostile_name_is_wrong_usage(command: str, store: Store, begun: Saved, falcon: Falcon, tmp_path: Path) -> None:
    before = tree(tmp_path)
    for name in HOSTILE:
        if "\0" in name or len(name) > 1000:  # cannot be on a command line
            continue
        words = [name if word == "{}" else word for word in command.split()]
        outcome = falcon("sessions", words[0], "--", *words[1:])  # behind "--" a dash begins no option
        assert (outcome.code, outcome.out) == (2, ""), repr(name)
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 2
        assert outcome.err.partition("\n")[2].startswith("hint: ")
        assert outcome.err.replace("\n", "").isprintable(), repr(name)
    assert tree(tmp_path) == before
    assert store.names() == ["trip"]


def test_a_name_like_an_option_is_wrong_usage(begun: Saved, falcon: Falcon) -> None:
    for name in ("-trip", "--trip", "-rf"):
        assert falcon("sessions", "show", name).code == 2


def test_a_hostile_name_has_a_neighbour(begun: Saved, falcon: Falcon) -> None:
    for name in ("trip\n", "./trip", "trip/", "tri\u0440", "trip\x1b"):
        assert "Did you mean 'trip'?" in falcon("sessions", "show", name).err


def test_names_that_are_fine(store: Store) -> None:
    for name in ("a", "0", "A.b_c-d", "x" * 64, "2026-05-09", "CON", "trip..", "a-"):
        assert store.create(name, "demo", None, {}).name == name
        assert store.find(name).name == name
