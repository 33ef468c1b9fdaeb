"""The slash commands: one table that feeds help, completion and dispatch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from falcon_cli import console
from falcon_cli.repl.chat import SETTABLE, Chat
from falcon_cli.settings import nearest
from modeling.errors import InvalidRequest

Action = Callable[[Chat, str], None]


@dataclass(frozen=True, slots=True)
class Slash:
    """One command: what may follow its name, one line of help, and what it does with the text behind the name."""

    arguments: str
    help: str
    action: Action
    choices: tuple[str, ...] = ()


def dispatch(chat: Chat, line: str) -> None:
    """Run a line that begins with a slash. Raises `InvalidRequest` for an unknown command or arguments that make no sense."""
    name, _, rest = line.strip().partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        raise InvalidRequest(
            f"there is no command {name!r}{nearest(name, COMMANDS)}", "/help lists them; a space before the slash says it"
        )
    if rest.strip() and not command.arguments:
        raise InvalidRequest(f"{name} takes no argument", "/help lists the commands")
    command.action(chat, rest.strip())


def _help(chat: Chat, name: str) -> None:
    names = [name if name.startswith("/") else f"/{name}"] if name else list(COMMANDS)
    if names[0] not in COMMANDS:
        raise InvalidRequest(f"there is no command {name!r}{nearest(names[0], COMMANDS)}", "/help lists the commands")
    for each in names:
        command = COMMANDS[each]
        console.note(f"  {f'{each} {command.arguments}'.strip():<28} {command.help}")


def _exit(chat: Chat, _: str) -> None:
    chat.leaving = True


def _clear(chat: Chat, _: str) -> None:
    chat.session.undo(len(chat.session.messages))
    console.note("[the conversation begins anew]")


def _undo(chat: Chat, count: str) -> None:
    turns = _whole(count or "1", "/undo 2")
    taken = chat.session.undo(turns)
    if not taken:
        raise InvalidRequest("there is no turn to take back")
    console.note(f"[{taken} turn{'s' if taken > 1 else ''} taken back, {len(chat.session.messages) // 2} left]")


def _retry(chat: Chat, _: str) -> None:
    chat.retry()


def _set(chat: Chat, text: str) -> None:
    name, _, value = text.partition(" ")
    if not value.strip():
        raise InvalidRequest("/set takes a parameter and a value", "for example: /set temperature 0.7")
    chat.set(name, value.strip())


def _show(chat: Chat, what: str) -> None:
    view = VIEWS.get(what or "info")
    if view is None:
        raise InvalidRequest(f"there is no {what!r} to show{nearest(what, VIEWS)}", f"/show {' | '.join(VIEWS)}")
    console.note(view(chat))


def _show_info(chat: Chat) -> str:
    info = chat.opened.info
    return (
        f"{info.name}: {info.family}, {info.parameters / 1e6:.1f} M parameters, {info.dtype} on {info.device}, "
        f"{info.kernels} kernels"
    )


def _show_parameters(chat: Chat) -> str:
    return "\n".join(f"{name} {_shown(getattr(chat.sampling, name))}" for name in SETTABLE)


def _shown(value: object) -> str:
    return "-1 (until the model ends)" if value is None else str(value)


def _show_system(chat: Chat) -> str:
    return chat.session.system if chat.session.system is not None else "no system prompt"


def _show_template(chat: Chat) -> str:
    return chat.session.template


def _show_state(chat: Chat) -> str:
    limit = chat.opened.info.max_positions
    room = "no limit" if limit is None else f"at most {limit}"
    state = chat.session.state
    return f"{state.length if state else 0} tokens in a state of {chat.opened.info.state_bytes / 2**20:.1f} MiB; {room}"


def _system(chat: Chat, text: str) -> None:
    chat.session.system = text or None
    console.note("[system prompt set: the next turn reads the conversation again]" if text else "[no system prompt]")


def _stats(chat: Chat, switch: str) -> None:
    if switch not in ("", "on", "off"):
        raise InvalidRequest(f"/stats takes on or off, not {switch!r}")
    if switch:
        chat.manner.stats = switch == "on"
    else:
        console.note(chat.figures())


def _whole(text: str, example: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InvalidRequest(f"{text!r} is not a number of turns", f"for example: {example}")
    return int(text)


VIEWS: dict[str, Callable[[Chat], str]] = {
    "info": _show_info,
    "parameters": _show_parameters,
    "system": _show_system,
    "template": _show_template,
    "state": _show_state,
}
COMMANDS: dict[str, Slash] = {
    "/help": Slash("[command]", "what can be typed here", _help),
    "/exit": Slash("", "leave (Ctrl-D does the same)", _exit),
    "/clear": Slash("", "forget the conversation, keep the system prompt", _clear),
    "/undo": Slash("[n]", "take back the last turn, or the last n", _undo),
    "/retry": Slash("", "draw the last answer anew", _retry),
    "/set": Slash("parameter value", "change how answers are drawn", _set, tuple(SETTABLE)),
    "/show": Slash("[what]", "info, parameters, system, template or state", _show, tuple(VIEWS)),
    "/system": Slash("[text]", "set the system prompt, or remove it", _system),
    "/stats": Slash("[on|off]", "figures of the last turn; on: after every turn", _stats, ("on", "off")),
}
