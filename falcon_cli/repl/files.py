"""Between the conversation and the world outside: reading a file, writing one, the clipboard."""

from __future__ import annotations

from pathlib import Path

from falcon_cli import console
from falcon_cli.demo import name_of
from falcon_cli.export import Origin, export_conversation
from falcon_cli.fence import blocks
from falcon_cli.prompt import read_file
from falcon_cli.repl.chat import Chat
from modeling.errors import InvalidRequest


def read(chat: Chat, text: str) -> None:
    """Say the content of a file, with what is asked about it behind a blank line."""
    if not text:
        raise InvalidRequest("/read takes a file", "/read notes.txt What is missing?")
    name, question = _split(text)
    content = read_file(Path(name).expanduser()).rstrip("\n")
    chat.ask(f"{content}\n\n{question}" if question else content)


def export(chat: Chat, name: str) -> None:
    if not name:
        raise InvalidRequest("/export takes a file", "/export talk.md (or .json, .jsonl)")
    path = Path(_split(name)[0]).expanduser()
    origin = Origin(name=chat.keeper.name, model=name_of(chat.opened.info.name), revision=chat.opened.info.revision)
    export_conversation(chat.session.turns, chat.session.head, path, branches=chat.keeper.branches, origin=origin)
    console.note(f"[written: {path}]")


def copy(chat: Chat, what: str) -> None:
    """Give an answer, or a block of code in the last one, to the terminal's clipboard."""
    words = what.split()
    code = words[:1] == ["code"]
    number = words[1:] if code else words
    if len(number) > 1 or not all(word.isdecimal() and int(word) > 0 for word in number):
        raise InvalidRequest(f"/copy does not understand {what!r}", "/copy, /copy 2, /copy code, /copy code 2")
    place = int(number[0]) if number else 1
    answers = [message.content for message in chat.session.messages if message.role == "assistant"]
    texts = list(blocks(answers[-1])) if code and answers else [] if code else answers[::-1]
    if place > len(texts):
        raise InvalidRequest(f"there is no {'block of code' if code else 'answer'} number {place} to copy")
    if not console.to_clipboard(texts[place - 1]):
        raise InvalidRequest("there is no terminal whose clipboard could take it", "/export writes a file")
    console.note(f"[{len(texts[place - 1])} characters for the clipboard, if this terminal lets programs write to it]")


def _split(text: str) -> tuple[str, str]:
    """The name of a file, which may be quoted, and what follows it."""
    quote = text[:1]
    if quote in ('"', "'"):
        name, closed, rest = text[1:].partition(quote)
        if not closed:
            raise InvalidRequest("a quotation mark is not closed", '/read "my notes.txt" What is missing?')
    else:
        name, _, rest = text.partition(" ")
    return name, rest.strip()
