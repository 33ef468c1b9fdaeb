"""`falcon generate`: one prompt in, one completion out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from falcon_cli import console, signals
from falcon_cli.exit import ExitCode
from falcon_cli.options import ModelOptions, OutputOptions, SamplingOptions, with_options
from falcon_cli.prompt import read_prompt
from falcon_cli.report import Completion, document, statistics
from modeling.errors import InvalidRequest
from modeling.messages import Failed, Finished, Request

if TYPE_CHECKING:
    from modeling.api import OpenModel


@with_options
def generate(
    argument: Annotated[str | None, typer.Argument(metavar="[PROMPT]", help="The text to continue.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", metavar="TEXT", help="The same as PROMPT.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from a file.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Feed the text exactly as it is, last newline included.")] = False,
    return_ids: Annotated[bool, typer.Option("--return-ids", help="Add prompt_ids and completion_ids to --json.")] = False,
    *,
    model: ModelOptions,
    sampling: SamplingOptions,
    output: OutputOptions,
) -> ExitCode:
    """Complete a prompt.

    What is piped in comes first, then --file, then PROMPT, with a blank line between them. The newline that ends a file or a
    pipe is not part of the prompt, unless --raw is given.

    The model continues the text as it stands: chat templates are not applied, with or without --raw.

    The completion goes to stdout as it is made, and ends with a newline. Ctrl-C stops it and keeps what there is (exit 130).
    """
    if argument is not None and prompt is not None:
        raise InvalidRequest("the prompt is given twice, as PROMPT and with --prompt", "give one of the two")
    if return_ids and not output.json:
        raise InvalidRequest("--return-ids has no place to put the ids without --json", "add --json")
    text = read_prompt(argument if prompt is None else prompt, file, exact=raw)
    started = time.perf_counter()
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    try:
        opened = _open(model, output, progress)
        load_seconds = time.perf_counter() - started
        request = Request(prompt_ids=opened.encode(text), sampling=sampling.over(opened.defaults))
        if not request.prompt_ids:
            raise InvalidRequest("the prompt is empty", "give at least one character to continue")
        answer, finished = _answer(opened, request, progress, streamed=not output.json)
    finally:
        progress.close()
    completion = Completion(
        model=model.chosen,
        info=opened.info,
        sampling=request.sampling,
        prompt_ids=request.prompt_ids,
        text=answer,
        finished=finished,
        load_seconds=load_seconds,
        total_seconds=time.perf_counter() - started,
    )
    if output.json:
        console.write(json.dumps(document(completion, with_ids=return_ids), ensure_ascii=False, indent=2) + "\n")
    elif not answer.endswith("\n"):
        console.write("\n")
    if output.stats:
        console.note(statistics(completion))
    return ExitCode.INTERRUPTED if finished.reason == "interrupt" else ExitCode.OK


def _open(model: ModelOptions, output: OutputOptions, progress: console.ProgressReport) -> OpenModel:
    """Open the model the options name, and pass on what it has to say."""
    spec = model.spec()
    if model.given is None and not output.quiet:
        console.notice("no model given, so this is the embedded demo (random weights); choose one with -m MODEL")
    console.prepare_libraries(output.debug)
    from modeling import api

    signals.check()
    opened = api.open_model(spec, progress=progress)
    if not output.quiet:
        for notice in opened.info.notices:
            console.notice(notice)
    return opened


def _answer(
    opened: OpenModel, request: Request, progress: console.ProgressReport, *, streamed: bool
) -> tuple[str, Finished]:
    """Run one request to its end, writing its text as it comes if `streamed`. The first Ctrl-C ends it early."""
    engine = opened.engine
    request_id = engine.submit(request)
    parts: list[str] = []
    with signals.first_interrupt(lambda: engine.cancel(request_id)):
        for _, event in engine.run():
            progress.close()
            if isinstance(event, Failed):
                raise event.error
            if event.text:
                parts.append(event.text)
                if streamed:
                    console.write(event.text)
            if isinstance(event, Finished):
                return "".join(parts), event
    raise AssertionError("the engine ended without finishing its request")
