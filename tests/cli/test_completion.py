"""Completion: the committed files are what falcon makes today, and a real Tab in a real shell does what it should."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from falcon_cli.completion import FILES, SCRIPTS

Falcon = Callable[..., Any]
FOLDER = Path(__file__).parents[2] / "completions"

PREPARE = {
    "bash": [
        "bash --norc --noprofile -i",
        "PS1='ready> '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; bind 'set page-completions off'",
        "source '{script}'; falcon() {{ printf 'ARGS'; printf '<%s>' \"$@\"; printf 'END\\n'; }}",
    ],
    "zsh": [
        "zsh -f -i",
        "PS1='ready> '; unsetopt zle_bracketed_paste prompt_sp beep 2>/dev/null; autoload -Uz compinit; compinit -u -D",
        "source '{script}'; falcon() {{ printf 'ARGS'; printf '<%s>' \"$@\"; printf 'END\\n'; }}",
    ],
    "fish": [
        "fish --no-config --private",
        "function fish_prompt; echo -n 'ready> '; end; set -g fish_autosuggestion_enabled 0; set -g fish_greeting",
        "source '{script}'; function falcon; printf 'ARGS'; printf '<%s>' $argv; printf 'END\\n'; end",
    ],
}
TYPED = {
    "falcon gen\t": ["generate"],
    "falcon --vers\t": ["--version"],
    "falcon generate --dt\t float16": ["generate", "--dtype", "float16"],
    "falcon generate --dtype bf\t": ["generate", "--dtype", "bfloat16"],
    "falcon generate --dtype=bf\t": ["generate", "--dtype=bfloat16"],
    "falcon generate --torch-dtype bf\t": ["generate", "--torch-dtype", "bfloat16"],
    "falcon generate hello --color al\t": ["generate", "hello", "--color", "always"],
    "falcon generate -m demo-\t": ["generate", "-m", "demo-h1"],
    "falcon generate -m mod\t": ["generate", "-m", "models/"],
    "falcon generate -m models/my\t": ["generate", "-m", "models/my model/"],
    "falcon generate -f prom\t": ["generate", "-f", "prompt one.txt"],
    "falcon generate --log-file=prom\t": ["generate", "--log-file=prompt one.txt"],
    "falcon generate prom\t": ["generate", "prom"],
    "falcon generate --prompt prom\t": ["generate", "--prompt", "prom"],
    "falcon generate -m config --max-mem\t": ["generate", "-m", "config", "--max-memory"],
    "falcon config sh\t": ["config", "show"],
    "falcon config show --j\t": ["config", "show", "--json"],
    "falcon help exit\t": ["help", "exit-codes"],
    "falcon completions z\t": ["completions", "zsh"],
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_committed_file_is_the_script_of_today(shell: str, falcon: Falcon) -> None:
    outcome = falcon("completions", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert (FOLDER / FILES[shell]).read_text("utf-8") == outcome.out, f"falcon completions {shell} > completions/{FILES[shell]}"


def test_nothing_else_lies_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES.values())


def test_an_unknown_shell_is_wrong_usage(falcon: Falcon) -> None:
    outcome = falcon("completions", "tcsh")
    assert (outcome.code, outcome.out) == (2, "")
    assert "tcsh" in outcome.err


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_option_of_the_help_is_in_every_script(shell: str, falcon: Falcon) -> None:
    text = falcon("completions", shell).out
    for option in re.findall(r"--([a-z][a-z-]+)", falcon("generate", "--help").out):
        assert re.search(rf"(--|-l ){option}\b", text), option


class Shell:
    """A shell in a terminal, in which `falcon` is a function that shows what it is given."""

    def __init__(self, name: str, folder: Path) -> None:
        start, *commands = PREPARE[name]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "LANG": "C.UTF-8"}
        self.process = pexpect.spawn(
            start,
            cwd=folder,
            env=environment,
            encoding="utf-8",
            timeout=10,
            dimensions=(50, 200),  # type: ignore[arg-type]
        )
        self.process.delaybeforesend = 0.1
        for number, command in enumerate(commands):
            script = str(FOLDER / FILES[name])
            self.process.sendline(f"{command.format(script=script)}; echo rea''dy{number}")
            self.process.expect_exact(f"ready{number}\r\n")

    def type(self, keys: str) -> list[str]:
        """The arguments that `falcon` gets when these keys are pressed, and Enter."""
        before, _, after = keys.partition("\t")
        self.process.send(before)
        self.process.send("\t")
        self.process.send(f"{after}\r")
        self.process.expect(r"ARGS(.*)END\r\n")
        return re.findall("<(.*?)>", self.process.match.group(1))  # type: ignore[union-attr]

    def offers(self, keys: str, last: str) -> str:
        """What is shown for these keys and two Tabs, up to the words `last`; the line is thrown away."""
        self.process.send(keys)
        self.process.send("\t")
        self.process.send("\t")
        self.process.expect_exact(last)
        shown = str(self.process.before) + last
        self.process.send("\x03")
        self.process.send("\r")
        return shown


@pytest.fixture(scope="module", params=sorted(PREPARE))
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "prompt one.txt").touch()
    (folder / "models" / "my model").mkdir(parents=True)
    shell = Shell(request.param, folder)
    yield shell
    shell.process.close(force=True)


@pytest.mark.parametrize("keys", TYPED)
def test_a_tab_completes(keys: str, shell: Shell) -> None:
    typed = [argument.rstrip("/") for argument in shell.type(keys)]  # zsh takes the slash away again on Enter
    assert typed == [argument.rstrip("/") for argument in TYPED[keys]]


def test_two_tabs_show_what_there_is(shell: Shell) -> None:
    shown = shell.offers("falcon generate --kernels ", "triton")
    assert "prompt one" not in shown
    shown = shell.offers("falcon ", "help")
    assert "generate" in shown
