"""What one can do around a conversation: system prompt, parameters, another model, another conversation, ways to type."""

from __future__ import annotations

from collections.abc import Iterable

from falcon_cli import console
from falcon_cli.demo import name_of
from falcon_cli.repl import views
from falcon_cli.repl.chat import Chat
from modeling.errors import InvalidRequest


def system(chat: Chat, text: str) -> None:
    if not text:
        console.note(views.system(chat))
        return
    chat.session.system = None if text == "-" else text
    chat.moved()
    words = "no system prompt" if text == "-" else "system prompt set"
    console.note(f"[{words}: the next turn reads the conversation again]" if chat.session.head else f"[{words}]")


def set_parameter(chat: Chat, text: str) -> None:
    words = text.split(maxsplit=1)
    if len(words) < 2:
        raise InvalidRequest("/set takes a parameter and a value", "for example: /set temperature 0.7")
    chat.set(*words)


def model(chat: Chat, name: str) -> None:
    if not name:
        console.note(name_of(chat.opened.info.name))
        return
    chat.use(name)
    again = "; the conversation is read again with the next turn" if chat.session.head else ""
    console.note(f"[{name_of(chat.opened.info.name)}{again}]")


def multiline(chat: Chat, _: str) -> None:
    chat.manner.multiline = not chat.manner.multiline
    console.note("[Enter begins a new line, Alt-Enter sends]" if chat.manner.multiline else "[Enter sends]")


def vi(chat: Chat, _: str) -> None:
    chat.manner.vi = not chat.manner.vi
    console.note("[the keys of vi]" if chat.manner.vi else "[the usual keys]")


# ---- conversations that are kept ----


def new(chat: Chat, name: str) -> None:
    chat.switch(chat.keeper.successor(name or None))
    console.note(f"[a new conversation{f': {name}' if name else ''}]")


def save(chat: Chat, name: str) -> None:
    if chat.keeper.name is None:
        chat.keeper.keep(chat.opened, chat.session, name or None)
    elif name and name != chat.keeper.name:
        chat.keeper.rename(name)
    if chat.keeper.name is not None:  # else the disk failed, which is told
        console.note(f"[kept as {chat.keeper.name}]")


def load(chat: Chat, name: str) -> None:
    if not name:
        raise InvalidRequest("/load takes the name of a conversation", "/sessions lists them")
    chat.switch(chat.keeper.other(name))


def list_sessions(chat: Chat, _: str) -> None:
    for line in chat.keeper.listing():
        console.note(line)


def rename(chat: Chat, name: str) -> None:
    if not name:
        raise InvalidRequest("/rename takes a name", "for example: /rename trip-to-oslo")
    chat.keeper.rename(name)
    if chat.keeper.name is not None or not chat.session.turns:
        console.note(f"[kept as {name}]")


def sessions(chat: Chat) -> Iterable[str]:
    return chat.keeper.names()


def branches(chat: Chat) -> Iterable[str]:
    return chat.keeper.branches
