"""The script for fish: one `complete` line for each word that can be typed."""

from __future__ import annotations

from falcon_cli.completion.tree import Command, Option, Value, valued

_HEAD = """# fish completion for falcon; made by `falcon completions fish`, not by hand.

function __falcon_at --description 'Whether the words so far lead to this command, and to so many arguments of it'
    set -l path
    set -l position 0
    set -l skip no
    for word in (commandline -opc)[2..]
        if test $skip = yes
            set skip no
        else if contains -- $word @VALUED@
            set skip yes
        else if string match -q -- '-*' $word
            continue
        else if contains -- (string join ' ' $path $word) @COMMANDS@
            set -a path $word
        else
            set position (math $position + 1)
        end
    end
    test "$path" = "$argv[1]"; and begin
        test (count $argv) = 1; or test $position = $argv[2]
    end
end

complete -c falcon -f
"""


def script(root: Command) -> str:
    """The whole script."""
    names = " ".join(_text(_below(command)) for command in root.walk() if command is not root)
    lines = [_HEAD.replace("@VALUED@", " ".join(valued(root))).replace("@COMMANDS@", names)]
    for command in root.walk():
        here = _below(command)
        for child in command.commands:
            lines.append(f"{_at(here, 0)} -a {child.name} -d {_text(child.summary)}")
        for position, argument in enumerate(command.arguments):
            if argument.kind != "text":
                lines.append(f"{_at(here, position)} {_value(argument)}")
        lines += [_option(here, option) for option in command.options]
    return "\n".join(lines) + "\n"


def _option(here: str, option: Option) -> str:
    names = [f"-l {name[2:]}" for name in option.long] + [
        f"-{'s' if len(name) == 2 else 'o'} {name[1:]}" for name in option.short
    ]
    value = f" {_value(option.value)}" if option.value else ""
    return f"{_at(here)} {' '.join(names)}{value} -d {_text(option.help)}"


def _value(value: Value) -> str:
    if value.kind == "file":
        return "-r -F"
    if value.kind == "model":
        return f"-x -a {_text(' '.join(value.words) + ' (__fish_complete_directories)')}"
    return f"-x -a {_text(' '.join(value.words))}" if value.words else "-x"


def _at(here: str, position: int | None = None) -> str:
    place = f'"{here}"' + ("" if position is None else f" {position}")
    return f"complete -c falcon -n '__falcon_at {place}'"


def _below(command: Command) -> str:
    return command.path.partition(" ")[2]


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
