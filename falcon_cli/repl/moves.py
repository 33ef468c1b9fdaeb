"""What one can do with the turns of a conversation: take back, bring back, draw anew, change, continue, go elsewhere."""

from __future__ import annotations

from falcon_cli import console
from falcon_cli.export import beginning
from falcon_cli.export import tree as draw
from falcon_cli.repl.chat import Chat
from modeling.errors import InvalidRequest


def undo(chat: Chat, count: str) -> None:
    taken = chat.session.undo(_whole(count or "1", "/undo 2"))
    if not taken:
        raise InvalidRequest("there is no turn to take back")
    chat.moved()
    console.note(f"[{_turns(taken)} taken back, {len(chat.session.messages) // 2} left; /redo brings back]")


def redo(chat: Chat, count: str) -> None:
    brought = chat.session.redo(_whole(count or "1", "/redo 2"))
    if not brought:
        raise InvalidRequest("there is nothing to bring back", "/redo undoes an /undo until the next answer")
    chat.moved()
    console.note(f"[{_turns(brought)} brought back]")


def retry(chat: Chat, _: str) -> None:
    chat.retry()


def edit(chat: Chat, text: str) -> None:
    if text:
        chat.edit(text)
    elif chat.session.head is None:
        raise InvalidRequest("there is no question to change", "say something first")
    else:
        chat.draft = chat.session.head.user


def go_on(chat: Chat, _: str) -> None:
    chat.go_on()


def clear(chat: Chat, _: str) -> None:
    chat.session.goto(None)
    chat.moved()
    console.note("[the conversation begins anew; /tree shows what was, /goto goes back]")


def goto(chat: Chat, number: str) -> None:
    if not number:
        raise InvalidRequest("/goto takes a turn or a branch", "/tree shows them")
    turn = chat.turn(number)
    chat.session.goto(turn)
    chat.moved()
    console.note(f"[behind turn {number}: {beginning(turn.user)}]" if turn is not None else "[at the beginning]")


def branch(chat: Chat, name: str) -> None:
    head = chat.session.head
    if head is None:
        raise InvalidRequest("there is no turn to give a name to", "say something first")
    name = name or f"branch-{len(chat.keeper.branches) + 1}"
    chat.keeper.name_branch(name, head)
    console.note(f"[this place is {name} now; /goto {name} comes back to it]")


def tree(chat: Chat, _: str) -> None:
    """All turns by number, each below the one that it followed."""
    if not chat.session.turns:
        raise InvalidRequest("nothing was said yet")
    for line in draw(chat.session.turns, chat.session.head, chat.keeper.branches):
        console.note(line)


def _turns(count: int) -> str:
    return f"{count} turn{'s' if count > 1 else ''}"


def _whole(text: str, example: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InvalidRequest(f"{text!r} is not a number of turns", f"for example: {example}")
    return int(text)
