"""`falcon chat`: a conversation that keeps its state from turn to turn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from falcon_cli import console
from falcon_cli.exit import ExitCode
from falcon_cli.opening import open_model
from falcon_cli.options import ChatSamplingOptions, NamedModelOptions, OutputOptions, with_options
from falcon_cli.prompt import read_file, read_stdin
from falcon_cli.repl.chat import Chat
from falcon_cli.repl.loop import converse, recite
from modeling.errors import InvalidRequest


@with_options
def chat(
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The system prompt.")] = None,
    system_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Read the system prompt from a file.")] = None,
    chat_template: Annotated[
        str | None, typer.Option(metavar="FILE|TEXT", help="A chat template (jinja) in place of the model's own.")
    ] = None,
    stdin_turns: Annotated[bool, typer.Option("--stdin-turns", help="Take one turn from each line of standard input.")] = False,
    *,
    model: NamedModelOptions,
    sampling: ChatSamplingOptions,
    output: OutputOptions,
) -> ExitCode:
    """Talk with a model.

    The state of the conversation is carried: each turn reads only what is new. /help lists the commands.

    What is piped in is one message, or with --stdin-turns one turn a line.

    Ctrl-C stops an answer and keeps what there is.
    """
    if system is not None and system_file is not None:
        raise InvalidRequest("the system prompt is given twice, with --system and --system-file", "give one of the two")
    if output.json:
        raise InvalidRequest("falcon chat writes text only", "falcon generate --json answers one prompt")
    script = None if stdin_turns else read_stdin()
    prompt = read_file(system_file) if system_file is not None else system
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    try:
        opened = open_model(model, output, progress)
    finally:
        progress.close()
    template = None
    if chat_template is not None:
        from modeling.text.chat import read_template

        template = read_template(chat_template)
    session = opened.converse(template, system=prompt)
    conversation = Chat(opened, session, sampling.over(opened.defaults), stats=output.stats)
    try:
        if stdin_turns:
            return recite(conversation, (line.rstrip("\n") for line in sys.stdin))
        if script is not None:
            return recite(conversation, [script.removesuffix("\n")])
        return _interactive(conversation, quiet=output.quiet)
    finally:
        session.close()


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
