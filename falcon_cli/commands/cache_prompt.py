"""`falcon cache-prompt`: a document is read once, and the state behind it kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from falcon_cli import console, signals
from falcon_cli.exit import ExitCode
from falcon_cli.opening import open_model
from falcon_cli.options import ModelOptions, OutputOptions, TemplateOptions, with_options
from falcon_cli.output import STDOUT, check_folder
from falcon_cli.prompt import read_words
from falcon_cli.sizes import shown_size
from falcon_cli.wording import Mode, Phrasing, Wording
from modeling.errors import InvalidRequest
from modeling.messages import Failed, Finished, Request, SamplingParams

if TYPE_CHECKING:
    from modeling.generation.answer import Saved


@with_options
def cache_prompt(
    document: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="The document; what is piped in comes before it.")
    ] = None,
    target: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where the state goes.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Use the chat template, or fail if the model has none.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="No template; feed the document exactly as it is.")] = False,
    *,
    template: TemplateOptions,
    model: ModelOptions,
    output: OutputOptions,
) -> ExitCode:
    """Read a document once, and keep the state behind it.

    \b
    falcon cache-prompt -f doc.txt -o doc.fstate
    falcon generate --prompt-cache doc.fstate "What does it say about …?"

    The question stands behind the document, in one message of the user, after a blank line. The state belongs to the model, the
    number format, the template and the system prompt that it was made with.
    """
    if target is None:
        raise InvalidRequest("there is no file for the state", "add --output FILE, for example -o doc.fstate")
    if target == STDOUT:
        raise InvalidRequest("a state is no text for standard output", "add --output FILE, for example -o doc.fstate")
    if document is not None and target.exists() and document.exists() and target.samefile(document):
        raise InvalidRequest("--file and --output are the same file", "choose another file for the state")
    if chat and raw:
        raise InvalidRequest("--chat and --raw contradict each other", "give one of the two")
    check_folder(target, anew=True)
    mode: Mode = "chat" if chat else "raw" if raw else "auto"
    wording = Wording.of(template, mode=mode)
    words = read_words(None, document, exact=raw)
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    try:
        opened = open_model(model, output, progress)
        with Phrasing(wording, opened) as phrasing:
            prompt, mark = phrasing.split(words.document or "", "")
            source = phrasing.template
        if template.show_prompt:
            console.note(prompt.text)
        ids, engine = prompt.ids[:mark], opened.engine
        kept: list[Saved] = []
        engine.submit(Request(ids, SamplingParams(max_tokens=0)), keep=kept.append)
        with signals.first_interrupt(lambda: engine.cancel()):
            ends = [event for _, event in engine.run()]
    finally:
        progress.close()
    for end in ends:
        if isinstance(end, Failed):
            raise end.error
        if isinstance(end, Finished) and end.reason == "interrupt":
            return ExitCode.INTERRUPTED
    opened.save_prompt(target, ids, kept[-1], source)
    if not output.quiet:
        console.notice(f"{target}: {len(ids)} tokens, {shown_size(target.stat().st_size)}")
    return ExitCode.OK
