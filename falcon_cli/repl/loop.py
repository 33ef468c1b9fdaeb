"""The loop: a line in, an answer or a command's effect out, until the user leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from falcon_cli import console, signals
from falcon_cli.exit import ExitCode
from falcon_cli.repl import keyboard, slash
from falcon_cli.repl.chat import Chat
from modeling.errors import FalconError, WriteFailed


def converse(chat: Chat, read: Callable[[], str]) -> ExitCode:
    """Talk until /exit or Ctrl-D (0), or Ctrl-C twice on an empty line (130). An error costs the turn, not the chat."""
    warned = False
    while not chat.leaving:
        try:
            line = read()
            warned = False
            with keyboard.held_back():
                say(chat, line)
        except EOFError:
            return ExitCode.OK
        except KeyboardInterrupt:
            signals.forget()
            if warned:
                return ExitCode.INTERRUPTED
            warned = True
            console.note("[Ctrl-C again leaves; so does Ctrl-D or /exit]")
        except FalconError as error:
            if isinstance(error, WriteFailed) and not console.writable():
                raise
            console.error(str(error), error.hint)
        finally:
            chat.keeper.tell()
    return ExitCode.OK


def say(chat: Chat, line: str) -> None:
    """One line of the user: a command if it begins with a slash, nothing if it is blank, else a message, or the changed one."""
    changing, chat.draft = chat.draft is not None, None
    if line.startswith("/"):
        slash.dispatch(chat, line)
    elif line.strip() and changing:
        chat.edit(line)
    elif line.strip():
        chat.ask(line)


def recite(chat: Chat, lines: Iterable[str]) -> ExitCode:
    """Take the turns of a script, one a line; the first error or Ctrl-C ends it. Raises `FalconError`."""
    for line in lines:
        say(chat, line)
        if chat.interrupted:
            return ExitCode.INTERRUPTED
        if chat.leaving:
            break
    return ExitCode.OK
