"""The script for bash 4 and later. Files and folders are left to readline, which quotes them as they need it."""

from __future__ import annotations

from falcon_cli.completion.tree import Command, Value, valued

_SCRIPT = r"""# bash completion for falcon; made by `falcon completions bash`, not by hand.

_falcon() {
    local IFS=$' \t\n' word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local path=falcon position=0 index taken="" words="" more="" kind=words
    COMPREPLY=()
    # bash cuts --option=value into three words
    if [[ $word == "=" ]]; then
        word=""
    elif [[ $before == "=" ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case "${COMP_WORDS[index]}" in
        =) continue ;;
        @VALUED@)
            ((index++))
            [[ ${COMP_WORDS[index]} == "=" ]] && ((index++))
            ;;
        --) taken=all before="" ;;
        -*) ;;
        *)
            case "$path ${COMP_WORDS[index]}" in
            @COMMANDS@) path="$path ${COMP_WORDS[index]}" ;;
            *) ((position++)) ;;
            esac
            ;;
        esac
    done
    case "$path $before" in
@VALUES@
    *)
        if [[ $word == -* && -z $taken ]]; then
            case "$path" in
@OPTIONS@
            esac
        else
            case "$path $position" in
@ARGUMENTS@
            *) kind=text ;;
            esac
        fi
        ;;
    esac
    case "$kind" in
    file) compopt -o default 2>/dev/null ;;
    model) compopt -o filenames -o plusdirs 2>/dev/null ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    if [[ ${#COMPREPLY[@]} == 0 && -n $more ]]; then
        COMPREPLY=($(compgen -W "$more" -- "$word"))
    fi
}

complete -F _falcon falcon
"""


def script(root: Command) -> str:
    """The whole script."""
    commands = [f'"{command.path}"' for command in root.walk() if command is not root]
    values: dict[str, list[str]] = {}  # what is offered → after which words
    options, arguments = [], []
    for command in root.walk():
        for option in command.options:
            if option.value is not None:
                words = [f'"{command.path} {name}"' for name in option.names]
                values.setdefault(_assignment(option.value), []).extend(words)
        first = [(option.long or option.names)[0] for option in command.options]
        rest = [name for option in command.options for name in option.names if name not in first]
        options.append(f'            "{command.path}") words="{" ".join(first)}" more="{" ".join(rest)}" ;;')
        for position, argument in enumerate(command.arguments):
            arguments.append(f'            "{command.path} {position}") {_assignment(argument)} ;;')
        if command.commands:
            names = " ".join(child.name for child in command.commands)
            arguments.append(f'            "{command.path} 0") words="{names}" ;;')
    return (
        _SCRIPT.replace("@VALUED@", "|".join(valued(root)))
        .replace("@COMMANDS@", "|".join(commands))
        .replace("@VALUES@", "\n".join(f"    {'|'.join(after)}) {offer} ;;" for offer, after in values.items()))
        .replace("@OPTIONS@", "\n".join(options))
        .replace("@ARGUMENTS@", "\n".join(arguments))
    )


def _assignment(value: Value) -> str:
    words = f' words="{" ".join(value.words)}"' if value.words else ""
    return f"kind={value.kind}{words}"
