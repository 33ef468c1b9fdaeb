"""The commands of `falcon`, each in a module of its own name that is imported when it is called."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

SUMMARIES = {
    "chat": "Talk with a model.",
    "generate": "Complete a prompt, or a file of prompts.",
    "cache-prompt": "Read a document once, and keep the state behind it.",
    "quantize": "Write a checkpoint with its weights in 4 or 8 bits.",
    "perplexity": "Measure how well a model predicts a text, and how far it is from another.",
    "bench": "Measure how fast a model is here.",
    "doctor": "Look at this machine: devices, kernels, memory, packages.",
    "sessions": "List, show, export and remove conversations that were kept.",
    "config": "Show what is settled, and where.",
    "completions": "Print the completion script for a shell.",
    "help": "Explain a topic: exit codes, sampling, models, …",
}
HELP = {"help_option_names": ["-h", "--help"]}


class _Commands(MutableMapping[str, Any]):
    """name → command. The names are known at once, a command is made when it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            if name not in SUMMARIES:
                raise KeyError(name)
            module = name.replace("-", "_")
            made = getattr(import_module(f"{__name__}.{module}"), module)
            if isinstance(made, typer.Typer):  # a group of commands
                app = made
            else:
                app = typer.Typer(add_completion=False, rich_markup_mode=None)
                app.command(name, context_settings=HELP)(made)
            self._made[name] = get_command(app)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


class LazyGroup(TyperGroup):
    """A group whose overview is written from `SUMMARIES`, without importing a single command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(SUMMARIES)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


def command_group(name: str, help: str) -> typer.Typer:
    """A command that has commands of its own, such as `falcon config`. Alone, it shows its help."""

    def overview(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return typer.Typer(
        name=name,
        callback=overview,
        help=help,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings=HELP,
    )


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"falcon {version('falcon-cli')}")
        except PackageNotFoundError:
            typer.echo("falcon (run from its source, not installed)")
        raise typer.Exit


def _overview(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run FalconMamba and Falcon-H1 language models.

    MODEL is a Hugging Face id, a local folder, or one of the embedded checkpoints demo and demo-h1. The answer goes to stdout,
    everything else to stderr.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def application() -> Any:
    """The command `falcon`, ready to be invoked."""
    app = typer.Typer(
        cls=LazyGroup,
        callback=_overview,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings=HELP,
    )
    return get_command(app)
