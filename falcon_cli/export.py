"""A conversation as text: Markdown to read, JSON with all there is to know, JSONL to feed elsewhere; and its tree."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from falcon_cli.output import STDOUT, destination
from falcon_cli.settings import nearest
from modeling.errors import InvalidRequest
from modeling.messages import Message
from modeling.turns import Turn

Format = Literal["md", "json", "jsonl"]
ENDINGS = {"length": "stopped at the length that was asked for", "interrupt": "stopped"}


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a conversation besides its turns. Times in seconds since 1970."""

    name: str | None = None
    model: str | None = None
    revision: str | None = None
    created: float | None = None
    updated: float | None = None


UNKNOWN = Origin()


def export_conversation(
    turns: Sequence[Turn],
    head: Turn | None,
    path: Path | None,
    *,
    format: Format | None = None,
    branches: Mapping[str, Turn] | None = None,
    origin: Origin = UNKNOWN,
) -> None:
    """Write a conversation to a file, in the format that its ending names, or to stdout (None and "-"; Markdown).

    The file is whole or as it was before. Raises `InvalidRequest` for an ending that names no format, and `WriteFailed`.
    """
    text = exported(turns, head, format or format_of(path), branches=branches, origin=origin)
    with destination(path) as write:
        write(text)


def format_of(path: Path | None) -> Format:
    """The format that the name of a file asks for. Raises `InvalidRequest` if it is none."""
    if path is None or path == STDOUT:
        return "md"
    for format in get_args(Format):
        if path.suffix.lower() == f".{format}":
            return format  # type: ignore[no-any-return]
    ending = path.suffix or "no ending"
    near = nearest(path.suffix.lower(), [f".{format}" for format in get_args(Format)])
    raise InvalidRequest(f"{path.name}: {ending} names no format{near}", "end the name with .md, .json or .jsonl")


def exported(
    turns: Sequence[Turn],
    head: Turn | None,
    format: Format,
    *,
    branches: Mapping[str, Turn] | None = None,
    origin: Origin = UNKNOWN,
) -> str:
    """A conversation in a format. Markdown and JSONL have what was said up to `head`, JSON has all turns."""
    if format == "md":
        return markdown(head, origin)
    if format == "jsonl":
        return "".join(json.dumps(_entry(message), ensure_ascii=False) + "\n" for message in messages(head))
    return json.dumps(document(turns, head, branches or {}, origin), ensure_ascii=False, indent=2) + "\n"


def messages(head: Turn | None) -> list[Message]:
    """What the model was given and said up to `head`, the system prompt in force there first."""
    if head is None:
        return []
    return [*([] if head.system is None else [Message("system", head.system)]), *head.messages()]


def markdown(head: Turn | None, origin: Origin = UNKNOWN) -> str:
    """What was said, to be read. A system prompt stands where it came into force."""
    parts = [f"# {origin.name or 'Conversation'}"]
    facts = [fact for fact in (origin.model, moment(origin.updated) if origin.updated else None) if fact]
    if facts:
        parts.append(f"*{' · '.join(facts)}*")
    system: str | None = None
    for turn in head.path() if head is not None else []:
        if turn.system != system:
            system = turn.system
            parts += ["## System", system if system is not None else "*(none any more)*"]
        parts += ["## User", turn.user, "## Assistant", turn.reply]
        if turn.reason in ENDINGS:
            parts.append(f"*({ENDINGS[turn.reason]})*")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def document(turns: Sequence[Turn], head: Turn | None, branches: Mapping[str, Turn], origin: Origin) -> dict[str, Any]:
    """All there is to know but the ids, as a JSON object. Turns are named by their number, the first is 1."""
    numbers = {turn: number for number, turn in enumerate(turns, 1)}
    return {
        "name": origin.name,
        "model": origin.model,
        "revision": origin.revision,
        "created": timestamp(origin.created),
        "updated": timestamp(origin.updated),
        "messages": [_entry(message) for message in messages(head)],
        "head": None if head is None else numbers[head],
        "branches": {name: numbers[turn] for name, turn in branches.items()},
        "turns": [
            {
                "number": numbers[turn],
                "parent": None if turn.parent is None else numbers[turn.parent],
                "system": turn.system,
                "user": turn.user,
                "reply": turn.reply,
                "finish_reason": turn.reason,
                "stop": turn.stop,
                "created": timestamp(turn.created),
                "sampling": asdict(turn.sampling),
                "stats": asdict(turn.stats),
            }
            for turn in turns
        ],
    }


def tree(turns: Sequence[Turn], head: Turn | None, branches: Mapping[str, Turn]) -> Iterator[str]:
    """A line for each turn, by number, below the one that it followed; one that follows alone is not indented further."""
    names: dict[Turn, list[str]] = {}
    for name, turn in branches.items():
        names.setdefault(turn, []).append(name)
    numbers = {turn: number for number, turn in enumerate(turns, 1)}
    children: dict[Turn | None, list[Turn]] = {}
    for turn in turns:
        children.setdefault(turn.parent, []).append(turn)
    waiting = [(turn, 0) for turn in reversed(children.get(None, []))]
    while waiting:
        turn, depth = waiting.pop()
        mark, named = "▶" if turn is head else " ", f" ({', '.join(names[turn])})" if turn in names else ""
        yield f"{mark}{numbers[turn]:>4} {'  ' * depth}{beginning(turn.user)} → {beginning(turn.reply)}{named}"
        following = children.get(turn, [])
        waiting += [(each, depth + (len(following) > 1)) for each in reversed(following)]


def beginning(text: str, width: int = 36) -> str:
    """The beginning of a text, on one line."""
    text = " ".join(text[: 4 * width].split())
    return text if len(text) <= width else text[: width - 1] + "…"


def moment(seconds: float) -> str:
    """A time as a person on this machine reads it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def timestamp(seconds: float | None) -> str | None:
    """A time as programs read it, in UTC."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _entry(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
