"""`falcon completions SHELL`: the completion script for a shell."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from falcon_cli import console
from falcon_cli.commands import SUMMARIES
from falcon_cli.completion import SCRIPTS
from falcon_cli.completion.tree import read_tree
from falcon_cli.exit import ExitCode
from falcon_cli.topics import TOPICS

Shell = Literal["bash", "zsh", "fish", "powershell"]


def completions(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="For which shell.", metavar="SHELL")],
) -> ExitCode:
    """Print the completion script for bash, zsh, fish or powershell.

    \b
    bash        falcon completions bash > ~/.local/share/bash-completion/completions/falcon
    zsh         falcon completions zsh > "${fpath[1]}/_falcon"
    fish        falcon completions fish > ~/.config/fish/completions/falcon.fish
    powershell  falcon completions powershell >> $PROFILE

    Nothing is changed on this machine: where the script goes is up to you.
    """
    root = context.find_root()
    console.write(SCRIPTS[shell](read_tree(root, tuple(sorted({*TOPICS, *SUMMARIES})))))
    return ExitCode.OK
