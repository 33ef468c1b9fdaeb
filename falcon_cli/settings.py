"""What a user has settled once: flag > FALCON_* variable > config.toml > default, and which of them it was.

config.toml is flat, its keys are the long options: `max-tokens = 200`, `model = "demo-h1"`. The variable of `max-tokens` is
FALCON_MAX_TOKENS. Which settings there are, `falcon_cli.options` knows; this module reads and checks their values.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from falcon_cli import places
from modeling.errors import InvalidRequest

TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
DEFAULT = "default"
_LISTING = "falcon config show lists every setting"


@dataclass(frozen=True, slots=True)
class Setting:
    """One option that may be settled. `kind` is its type: bool, int, float, str, Literal, list[str], or one of them | None.

    `check` raises `InvalidRequest` for a value of the right type that is out of range.
    """

    key: str
    kind: Any
    default: Any
    aliases: tuple[str, ...] = ()
    check: Callable[[Any], object] = lambda value: None

    @property
    def variable(self) -> str:
        """The environment variable that settles it."""
        return "FALCON_" + self.key.upper().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Settled:
    """The value in force and where it comes from: "default", the name of a variable, or the path of config.toml."""

    value: Any
    origin: str


def resolve(settings: Iterable[Setting]) -> dict[str, Settled]:
    """Key → value and origin, for every setting, flags left aside.

    Raises `InvalidRequest`, naming file or variable and key, for what cannot be read, is unknown, or has a wrong type or value.
    """
    known = {setting.key: setting for setting in settings}
    file = places.config_file()
    written = read_config(file, known)
    settled = {}
    for key, setting in known.items():
        text = os.environ.get(setting.variable, "")
        if text:
            settled[key] = Settled(_checked(setting, _from_text, text, setting.variable), setting.variable)
        elif key in written:
            settled[key] = Settled(written[key], str(file))
        else:
            settled[key] = Settled(setting.default, DEFAULT)
    return settled


def read_config(file: Path, known: Mapping[str, Setting]) -> dict[str, Any]:
    """The checked content of config.toml; empty if there is no such file. Raises `InvalidRequest` as `resolve` does."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidRequest(f"{file} cannot be read: {reason}", "correct the file, or move it away") from None
    import tomllib

    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{file} is not valid TOML: {error}", "correct that line: text stands in quotes") from None
    return {key: _known_value(file, key, value, known) for key, value in content.items()}


def truth(text: str) -> bool:
    """Whether a variable such as FALCON_DEBUG is switched on: set, and to nothing that means no."""
    return text.strip().lower() not in ("", *FALSE)


def nearest(word: str, words: Iterable[str]) -> str:
    """ ". Did you mean 'WORD'?" for the most similar of `words`, "" if none is."""
    found = get_close_matches(word, list(words), n=1)
    return f". Did you mean '{found[0]}'?" if found else ""


def _known_value(file: Path, key: str, value: Any, known: Mapping[str, Setting]) -> Any:
    if key in known:
        return _checked(known[key], _from_toml, value, f"{file}: {key}")
    if isinstance(value, dict):
        raise InvalidRequest(f"{file}: settings are not grouped, but there is a table [{key}]", "write them without tables")
    spelling = key.replace("_", "-")
    alias = next((setting.key for setting in known.values() if spelling in (setting.key, *setting.aliases)), None)
    suggestion = f". Did you mean '{alias}'?" if alias else nearest(spelling, known)
    raise InvalidRequest(f"{file}: there is no setting '{key}'{suggestion}", _LISTING)


def _checked(setting: Setting, convert: Callable[[Any, Any], Any], value: Any, place: str) -> Any:
    try:
        converted = convert(_bare(setting.kind), value)
    except ValueError as error:
        raise InvalidRequest(f"{place} {error}", _LISTING) from None
    try:
        setting.check(converted)
    except InvalidRequest as error:
        raise InvalidRequest(f"{place}: {error}", error.hint or _LISTING) from None
    return converted


def _bare(kind: Any) -> Any:
    """The type without "| None": what is settled is never None."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(part for part in get_args(kind) if part is not type(None))
    return kind


def _from_toml(kind: Any, value: Any) -> Any:
    """Raises `ValueError` with the rest of a sentence that starts with the place."""
    if get_origin(kind) is Literal:
        return _choice(kind, value)
    if get_origin(kind) is list:
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return texts
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif type(value) is kind:
        return value
    raise ValueError(f"must be {_WORDS[get_origin(kind) or kind]}, not {_shown(value)}")


def _from_text(kind: Any, text: str) -> Any:
    """The same from the text of a variable."""
    if get_origin(kind) is Literal:
        return _choice(kind, text)
    if get_origin(kind) is list:
        return [text]
    if kind is bool:
        if text.strip().lower() in (*TRUE, *FALSE):
            return text.strip().lower() in TRUE
        raise ValueError(f"must be 1 (yes) or 0 (no), not {_shown(text)}")
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"must be {_WORDS[kind]}, not {_shown(text)}") from None


def _choice(kind: Any, value: Any) -> Any:
    if value in get_args(kind):
        return value
    suggestion = nearest(value, get_args(kind)) if isinstance(value, str) else ""
    raise ValueError(f"must be one of {', '.join(get_args(kind))}, not {_shown(value)}{suggestion}")


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "…"


_WORDS = {
    str: "text in quotes",
    Path: "a path in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of texts",
}
