"""`falcon chat`: a conversation that keeps its state from turn to turn."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from falcon_cli import console
from falcon_cli.exit import ExitCode
from falcon_cli.opening import open_model
from falcon_cli.options import (
    ANEW,
    ChatSamplingOptions,
    Group,
    NamedModelOptions,
    OutputOptions,
    TemplateOptions,
    with_options,
)
from falcon_cli.prompt import read_lines, read_stdin, trimmed
from falcon_cli.render import Reply, reply_for
from falcon_cli.repl import keyboard
from falcon_cli.repl.chat import Chat, Manner
from falcon_cli.repl.keeper import Keeper
from falcon_cli.repl.loop import converse, recite
from falcon_cli.sizes import parse_size
from falcon_cli.wording import Wording
from modeling.errors import InvalidRequest

if TYPE_CHECKING:
    from modeling.api import OpenModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationOptions(Group):
    """Which conversation, and how it looks and is typed."""

    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with the conversation of this name, or begin it."), ANEW
    ] = None
    resume: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last conversation."), ANEW] = False
    save: Annotated[bool, typer.Option("--save/--no-save", help="Keep the conversation on the disk, turn by turn.")] = True
    markdown: Annotated[bool, typer.Option("--markdown/--no-markdown", help="Show answers as Markdown on a terminal.")] = True
    vi: Annotated[bool, typer.Option("--vi", help="Type with the keys of vi.")] = False
    snapshot_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory for states to go back to, for /undo, /retry and /goto.")
    ] = "1GiB"

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        if name == "snapshot_memory":
            parse_size(value)

    def keeper(self, *, alone: bool) -> Keeper:
        """Who keeps the conversation. What is piped in is kept only if it is asked for by name or with --continue.

        `alone` says that nobody sits at a terminal. Raises `InvalidRequest` for options that contradict each other, and
        `StateRefused` for a conversation that is not there.
        """
        named = self.session is not None or self.resume
        if self.session is not None and self.resume:
            raise InvalidRequest("--session and --continue contradict each other", "give one of the two")
        if named and not self.save:
            raise InvalidRequest("--no-save has no place beside --session or --continue", "leave it out")
        if not self.save or (alone and not named):
            return Keeper(None)
        return Keeper.open(self.session, last=self.resume)


@with_options
def chat(
    stdin_turns: Annotated[bool, typer.Option("--stdin-turns", help="Take one turn from each line of standard input.")] = False,
    *,
    model: NamedModelOptions,
    template: TemplateOptions,
    conversation: ConversationOptions,
    sampling: ChatSamplingOptions,
    output: OutputOptions,
) -> ExitCode:
    """Talk with a model.

    The state of the conversation is carried: each turn reads only what is new. Undo, branches and yesterday's conversation
    are there at once. /help lists the commands.

    What is piped in is one message, or with --stdin-turns one turn a line.

    Ctrl-C stops an answer and keeps what there is.
    """
    wording = Wording.of(template)
    script = None if stdin_turns else read_stdin()
    alone = stdin_turns or script is not None
    if not alone and not sys.stdin.isatty():
        raise InvalidRequest("there is nobody to talk with: standard input is no terminal", "pipe a message in")
    budget = parse_size(conversation.snapshot_memory)
    keeper = conversation.keeper(alone=alone)
    if model.given is None and keeper.model is not None:
        model = replace(model, model=keeper.model, revision=keeper.revision)

    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))

    def opened(name: str | None = None) -> OpenModel:
        try:
            return open_model(model if name is None else replace(model, name=None, model=name, revision=None), output, progress)
        finally:
            progress.close()

    with keyboard.held_back():  # what is typed meanwhile waits for the prompt
        first = opened()
        session = first.converse(wording.template, system=wording.system, tools=wording.tools, budget=budget)
    manner = Manner(stats=output.stats, prompts=template.show_prompt, thoughts=not template.hide_thinking, vi=conversation.vi)
    talk = Chat(
        first,
        session,
        sampling.over(first.defaults),
        keeper,
        reply=_reply(conversation),
        open=opened,
        settle=progress.close,
        template=wording.template,
        manner=manner,
    )
    try:
        if not output.quiet and not alone:
            _greet(talk)
        with keyboard.held_back():
            talk.resume()
        if stdin_turns:
            return recite(talk, read_lines())
        if script is not None:
            return _answer(talk, script)
        return _interactive(talk)
    finally:
        talk.close()


def _reply(conversation: ConversationOptions) -> Callable[[], Reply]:
    return lambda: reply_for(sys.stdout, markdown=conversation.markdown)


def _greet(talk: Chat) -> None:
    info = talk.opened.info
    state = f"state {info.state_bytes / 2**20:.1f} MiB"
    console.note(f"{info.family} · {info.dtype} · {info.device} · {state} · /help lists the commands, Ctrl-D leaves")


def _answer(talk: Chat, message: str) -> ExitCode:
    """One message from a pipe; a slash at its beginning is part of it."""
    if not message.strip():
        raise InvalidRequest("the message is empty", "pipe a text in, or start falcon chat on a terminal")
    talk.ask(trimmed(message))
    return ExitCode.INTERRUPTED if talk.interrupted else ExitCode.OK


def _interactive(talk: Chat) -> ExitCode:
    """The conversation on a terminal."""
    from falcon_cli.repl.prompt import Prompt, read_plainly

    return converse(talk, read_plainly if os.environ.get("TERM") == "dumb" else Prompt(talk).read)
