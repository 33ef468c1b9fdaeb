"""The script for zsh: one `_arguments` call for each command."""

from __future__ import annotations

from falcon_cli.completion.tree import MODELS, Command, Option, Value

_HEAD = f"""#compdef falcon
# zsh completion for falcon; made by `falcon completions zsh`, not by hand.

_falcon_models() {{
    _alternative 'models:model:({" ".join(MODELS)})' 'folders:folder:_files -/'
}}
"""
_NOTHING = "{:}"  # where an option could stand as well, describing the argument would keep zsh from inserting the option
_TAIL = """
if [[ $funcstack[1] == _falcon ]]; then
    _falcon "$@"
else
    compdef _falcon falcon
fi
"""


def script(root: Command) -> str:
    """The whole script, to be found on the fpath as `_falcon` or to be sourced."""
    return "\n".join([_HEAD, *(_function(command) for command in reversed([*root.walk()])), _TAIL.lstrip("\n")])


def _function(command: Command) -> str:
    lines = [_option(option) for option in command.options]
    if command.commands:
        return _group(command, lines)
    lines += [f"'{place}::{_action(argument, _NOTHING)}'" for place, argument in enumerate(command.arguments, 1)]
    return f"{_name(command)}() {{\n    _arguments -s -S : \\\n        " + " \\\n        ".join(lines) + "\n}\n"


def _group(command: Command, lines: list[str]) -> str:
    arguments = " \\\n        ".join([*lines, "'1: :->command'", "'*:: :->rest'"])
    names = "\n".join(f"            '{child.name}:{_quoted(child.summary)}'" for child in command.commands)
    calls = "\n".join(f"        {child.name}) {_name(child)} ;;" for child in command.commands)
    return f"""{_name(command)}() {{
    local curcontext=$curcontext state line
    typeset -A opt_args
    _arguments -C -S : \\
        {arguments}
    case $state in
    command)
        local -a commands=(
{names}
        )
        _describe -t commands command commands
        ;;
    rest)
        case $words[1] in
{calls}
        esac
        ;;
    esac
}}
"""


def _option(option: Option) -> str:
    """'(-m --model)'{-m+,--model=}'[help]:MODEL:action', as `_arguments` wants it."""
    value = f":{_action(option.value)}" if option.value else ""
    names = [name + (("=" if name.startswith("--") else "+") if option.value else "") for name in option.names]
    text = f"[{_quoted(option.help)}]{value}"
    if option.repeatable:
        return " ".join(f"'*{name}{text}'" for name in names)
    if len(names) == 1:
        return f"'{names[0]}{text}'"
    return f"'({' '.join(option.names)})'{{{','.join(names)}}}'{text}'"


def _action(value: Value, text: str = " ") -> str:
    """What may stand there, and how to complete it; `text` is the action where that is anything."""
    actions = {"words": f"({' '.join(value.words)})", "file": "_files", "model": "_falcon_models", "text": text}
    return f"{_quoted(value.name)}:{actions[value.kind]}"


def _name(command: Command) -> str:
    return "_" + command.path.replace(" ", "_").replace("-", "_")


def _quoted(text: str) -> str:
    for sign in "\\[]:":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("'", "'\\''").replace("`", "'")
