"""`falcon chat`: a conversation that keeps its state from turn to turn."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from falcon_cli import console
from falcon_cli.exit import ExitCode
from falcon_cli.opening import open_model
from falcon_cli.options import ChatSamplingOptions, NamedModelOptions, OutputOptions, TemplateOptions, with_options
from falcon_cli.prompt import read_lines, read_stdin, trimmed
from falcon_cli.repl.chat import Chat, Manner
from falcon_cli.repl.loop import converse, recite
from falcon_cli.wording import Wording
from modeling.errors import InvalidRequest


@with_options
def chat(
    stdin_turns: Annotated[bool, typer.Option("--stdin-turns", help="Take one turn from each line of standard input.")] = False,
    *,
    model: NamedModelOptions,
    template: TemplateOptions,
    sampling: ChatSamplingOptions,
    output: OutputOptions,
) -> ExitCode:
    """Talk with a model.

    The state of the conversation is carried: each turn reads only what is new. /help lists the commands.

    What is piped in is one message, or with --stdin-turns one turn a line.

    Ctrl-C stops an answer and keeps what there is.
    """
    if output.json:
        raise InvalidRequest("falcon chat writes text only", "falcon generate --json answers one prompt")
    wording = Wording.of(template)
    script = None if stdin_turns else read_stdin()
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    try:
        opened = open_model(model, output, progress)
    finally:
        progress.close()
    session = opened.converse(wording.template, system=wording.system, tools=wording.tools)
    manner = Manner(stats=output.stats, prompts=template.show_prompt, thoughts=not template.hide_thinking)
    conversation = Chat(opened, session, sampling.over(opened.defaults), manner)
    try:
        if stdin_turns:
            return recite(conversation, read_lines())
        if script is not None:
            return _answer(conversation, script)
        return _interactive(conversation, quiet=output.quiet)
    finally:
        session.close()


def _answer(conversation: Chat, message: str) -> ExitCode:
    """One message from a pipe; a slash at its beginning is part of it."""
    if not message.strip():
        raise InvalidRequest("the message is empty", "pipe a text in, or start falcon chat on a terminal")
    conversation.ask(trimmed(message))
    return ExitCode.INTERRUPTED if conversation.interrupted else ExitCode.OK


def _interactive(conversation: Chat, *, quiet: bool) -> ExitCode:
    """The conversation on a terminal."""
    if not sys.stdin.isatty():
        raise InvalidRequest("there is nobody to talk with: standard input is no terminal", "pipe a message in")
    from falcon_cli.repl.prompt import line_reader

    if not quiet:
        info = conversation.opened.info
        state = f"state {info.state_bytes / 2**20:.1f} MiB"
        console.note(f"{info.family} · {info.dtype} · {info.device} · {state} · /help lists the commands, Ctrl-D leaves")
    return converse(conversation, line_reader())
