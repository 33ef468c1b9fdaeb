"""What can be typed after `falcon`: commands, their options and arguments, and what each of them takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from falcon_cli import demo

MODELS = tuple(demo.FOLDERS)


@dataclass(frozen=True, slots=True)
class Value:
    """What an option or argument takes: one of `words`, a file, a model (`MODELS` or a folder), or any text."""

    kind: Literal["words", "file", "model", "text"]
    words: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """An option under all its names, the one in the help first; `value` is None for a switch."""

    names: tuple[str, ...]
    help: str
    value: Value | None
    repeatable: bool

    @property
    def long(self) -> tuple[str, ...]:
        """The names that start with two dashes."""
        return tuple(name for name in self.names if name.startswith("--"))

    @property
    def short(self) -> tuple[str, ...]:
        """The one-letter names."""
        return tuple(name for name in self.names if not name.startswith("--"))


@dataclass(frozen=True, slots=True)
class Command:
    """One command under its full path ("falcon config show"), with the commands below it."""

    path: str
    summary: str
    options: tuple[Option, ...]
    arguments: tuple[Value, ...]
    commands: tuple[Command, ...]

    @property
    def name(self) -> str:
        """The last word of the path."""
        return self.path.rpartition(" ")[2]

    def walk(self) -> Iterator[Command]:
        """This command and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read_tree(context: Any, topics: tuple[str, ...]) -> Command:
    """The tree of the application that `context` is the root context of; `topics` are those of `falcon help`."""
    return _command(context.command, context, "falcon", topics)


def valued(root: Command) -> tuple[str, ...]:
    """The names, anywhere in the tree, of options whose value is the next word."""
    names = {name for command in root.walk() for option in command.options if option.value for name in option.names}
    return tuple(sorted(names))


def _command(command: Any, parent: Any, path: str, topics: tuple[str, ...]) -> Command:
    context = parent if command is parent.command else type(parent)(command, info_name=command.name, parent=parent)
    options, arguments = [], []
    for parameter in command.get_params(context):
        if parameter.param_type_name == "argument":
            arguments.append(_value(parameter, topics))
        else:
            value = None if parameter.is_flag else _value(parameter, topics)
            names = (*parameter.opts, *parameter.secondary_opts)
            names = tuple(sorted(names, key=lambda name: (not name.startswith("--"), names.index(name))))
            options.append(Option(names, (parameter.help or "").rstrip("."), value, bool(parameter.multiple)))
    below = [
        _command(child, context, f"{path} {name}", topics) for name, child in sorted(getattr(command, "commands", {}).items())
    ]
    summary = (command.help or "").strip().partition("\n")[0].rstrip(".")
    return Command(path, summary, tuple(options), tuple(arguments), tuple(below))


def _value(parameter: Any, topics: tuple[str, ...]) -> Value:
    label = re.sub(r"[\[\]]", "", parameter.metavar or parameter.name.upper())
    if parameter.name == "topic":
        return Value("words", topics, label)
    if label == "MODEL":
        return Value("model", MODELS, label)
    if hasattr(parameter.type, "choices"):
        return Value("words", tuple(map(str, parameter.type.choices)), label)
    if "|" in label:  # auto|cuda:N|cpu|mps
        return Value("words", tuple(word.partition(":")[0] for word in label.split("|")), label)
    if "Path" in type(parameter.type).__name__:
        return Value("file", (), label)
    return Value("text", (), label)
