"""`falcon config`: what is settled, and where."""

from __future__ import annotations

import json as json_format
from typing import Annotated, Any

import typer

from falcon_cli import console, places
from falcon_cli.commands import command_group
from falcon_cli.exit import ExitCode
from falcon_cli.options import settings
from falcon_cli.settings import DEFAULT, Settled, resolve

config = command_group(
    "config",
    """Show what is settled, and where.

    A flag wins over a variable FALCON_*, that over config.toml, and that over the default. The keys of config.toml are the long
    options without their dashes, such as max-tokens = 200. FALCON_HOME moves config.toml and everything else falcon writes.
    """,
)


@config.command()
def show(json: Annotated[bool, typer.Option("--json", help="Write one JSON document instead of a table.")] = False) -> ExitCode:
    """Show each setting, its value and where that comes from."""
    settled = resolve(settings().values())
    if json:
        content = {key: _entry(entry) for key, entry in settled.items()}
        document = {"file": str(places.config_file()), "settings": content}
        console.write(json_format.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")
        return ExitCode.OK
    shown = [(key, _text(entry.value), entry.origin) for key, entry in settled.items()]
    width = max(len(key) for key, *_ in shown)
    middle = min(max(len(value) for _, value, _ in shown), 40)
    console.write("".join(f"{key:<{width}}  {value:<{middle}}  {origin}\n" for key, value, origin in shown))
    return ExitCode.OK


@config.command()
def path() -> ExitCode:
    """Show where config.toml is, or would be."""
    console.write(f"{places.config_file()}\n")
    return ExitCode.OK


def _entry(entry: Settled) -> dict[str, Any]:
    if entry.origin == DEFAULT:
        return {"value": entry.value, "origin": DEFAULT, "source": None}
    kind = "variable" if entry.origin.startswith("FALCON_") else "file"
    return {"value": entry.value, "origin": kind, "source": entry.origin}


def _text(value: Any) -> str:
    """As config.toml would have it; a dash where nothing is settled."""
    return "-" if value is None else json_format.dumps(value, ensure_ascii=False, default=str)
