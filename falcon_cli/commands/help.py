"""`falcon help TOPIC`: what does not fit under one command."""

from __future__ import annotations

from typing import Annotated

import typer

from falcon_cli import console
from falcon_cli.commands import SUMMARIES
from falcon_cli.exit import ExitCode
from falcon_cli.settings import nearest
from falcon_cli.topics import TOPICS
from modeling.errors import InvalidRequest


def help(
    context: typer.Context,
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="One of the topics, or a command.")] = None,
) -> ExitCode:
    """Explain a topic. Without one, list the topics."""
    if topic is None:
        width = max(len(name) for name in TOPICS)
        console.write("".join(f"{name:<{width}}  {entry.summary}\n" for name, entry in TOPICS.items()))
    elif topic in TOPICS:
        console.write(TOPICS[topic].text())
    elif topic in SUMMARIES and context.parent is not None:
        command = context.parent.command.commands[topic]  # type: ignore[attr-defined]
        console.write(command.get_help(type(context)(command, info_name=topic, parent=context.parent)) + "\n")
    else:
        raise InvalidRequest(f"there is no topic '{topic}'{nearest(topic, [*TOPICS, *SUMMARIES])}", "falcon help lists them")
    return ExitCode.OK
