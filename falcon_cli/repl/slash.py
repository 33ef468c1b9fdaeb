"""The slash commands: one table that feeds help, completion and dispatch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from falcon_cli import console
from falcon_cli.repl import desk, files, moves, views
from falcon_cli.repl.chat import SETTABLE, Chat
from falcon_cli.settings import nearest
from modeling.errors import InvalidRequest


def _none(chat: Chat) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Slash:
    """One command: what may follow its name, one line of help, and what it does with the text behind the name.

    `choices` are what the text may be, for completion; `path` says that it begins with the name of a file.
    """

    arguments: str
    help: str
    action: Callable[[Chat, str], None]
    choices: Callable[[Chat], Iterable[str]] = _none
    path: bool = False


def dispatch(chat: Chat, line: str) -> None:
    """Run a line that begins with a slash. Raises `InvalidRequest` for an unknown command or arguments that make no sense."""
    name, *after = line.split(maxsplit=1)
    rest = "".join(after).rstrip()
    command = COMMANDS.get(name)
    if command is None:
        raise InvalidRequest(
            f"there is no command {name!r}{nearest(name, COMMANDS)}", "/help lists them; a space before the slash says it"
        )
    if rest and not command.arguments:
        raise InvalidRequest(f"{name} takes no argument", "/help lists the commands")
    command.action(chat, rest)


def _help(chat: Chat, name: str) -> None:
    names = [name if name.startswith("/") else f"/{name}"] if name else list(COMMANDS)
    if names[0] not in COMMANDS:
        raise InvalidRequest(f"there is no command {name!r}{nearest(names[0], COMMANDS)}", "/help lists the commands")
    for each in names:
        command = COMMANDS[each]
        console.note(f"  {f'{each} {command.arguments}'.strip():<28} {command.help}")


def _exit(chat: Chat, _: str) -> None:
    chat.leaving = True


COMMANDS: dict[str, Slash] = {
    "/help": Slash("[command]", "what can be typed here", _help, lambda chat: [name[1:] for name in COMMANDS]),
    "/exit": Slash("", "save and leave (Ctrl-D does the same)", _exit),
    "/clear": Slash("", "go back to the beginning, keep the system prompt", moves.clear),
    "/undo": Slash("[n]", "take back the last turn, or the last n", moves.undo),
    "/redo": Slash("[n]", "bring back what was undone", moves.redo),
    "/retry": Slash("", "draw the last answer anew", moves.retry),
    "/edit": Slash("[text]", "change the last question, and answer it again", moves.edit),
    "/continue": Slash("", "let a stopped answer go on", moves.go_on),
    "/branch": Slash("[name]", "give this place a name, to come back to", moves.branch),
    "/tree": Slash("", "all turns there are, by number", moves.tree),
    "/goto": Slash("turn", "stand behind a turn (its number or a branch); 0: the beginning", moves.goto, desk.branches),
    "/new": Slash("[name]", "begin another conversation", desk.new),
    "/save": Slash("[name]", "keep this conversation under a name", desk.save),
    "/load": Slash("name", "go on with a conversation that was kept", desk.load, desk.sessions),
    "/sessions": Slash("", "the conversations that were kept", desk.list_sessions),
    "/rename": Slash("name", "give this conversation another name", desk.rename),
    "/export": Slash("file", "write the conversation to a file.md, .json or .jsonl", files.export, path=True),
    "/copy": Slash("[n | code [n]]", "copy the last answer, the n-th last, or a code block of it", files.copy),
    "/read": Slash("file [question]", "say what is in a file, and ask about it", files.read, path=True),
    "/system": Slash("[text | -]", "show or set the system prompt; - removes it", desk.system),
    "/set": Slash("parameter value", "change how answers are drawn", desk.set_parameter, lambda chat: SETTABLE),
    "/show": Slash("[what]", "info, parameters, system, template or state", views.show, lambda chat: views.VIEWS),
    "/stats": Slash("[on | off]", "figures of the last turn; on: after every turn", views.stats, lambda chat: ("on", "off")),
    "/model": Slash("[name]", "go on with another model", desk.model),
    "/multiline": Slash("", "let Enter begin a new line, and Alt-Enter send; or back", desk.multiline),
    "/vi": Slash("", "type with the keys of vi; or back", desk.vi),
}
