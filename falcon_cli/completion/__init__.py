"""Completion for four shells: static scripts, generated from the commands and options of falcon itself.

    tree                          what can be typed, read from the application
    bash, zsh, fish, powershell   one function each: tree → script

Tab never starts falcon: the scripts know all the words. The files in completions/ are these scripts; a test keeps them in step.
"""

from __future__ import annotations

from collections.abc import Callable

from falcon_cli.completion import bash, fish, powershell, zsh
from falcon_cli.completion.tree import Command

SCRIPTS: dict[str, Callable[[Command], str]] = {
    "bash": bash.script,
    "zsh": zsh.script,
    "fish": fish.script,
    "powershell": powershell.script,
}
FILES = {"bash": "falcon.bash", "zsh": "_falcon", "fish": "falcon.fish", "powershell": "falcon.ps1"}
