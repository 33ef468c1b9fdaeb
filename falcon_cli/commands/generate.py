"""`falcon generate`: one prompt in, one completion out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from falcon_cli import console, log, signals
from falcon_cli.exit import ExitCode
from falcon_cli.forms import Block, Document, Lines, Text
from falcon_cli.opening import open_model
from falcon_cli.options import ANEW, Group, ModelOptions, OutputOptions, SamplingOptions, TemplateOptions, with_options
from falcon_cli.output import Writer, destination
from falcon_cli.prompt import read_prompt
from falcon_cli.report import Completion, statistics
from falcon_cli.thinking import Thinking
from falcon_cli.wording import Mode, Wording
from modeling.errors import FalconError, InvalidRequest
from modeling.messages import Failed, Finished, Request

if TYPE_CHECKING:
    from modeling.api import OpenModel


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions(Group):
    """What is written of the answer, in which form and where."""

    json: Annotated[bool, typer.Option("--json", help="Write one JSON document instead of the text."), ANEW] = False
    echo: Annotated[bool, typer.Option("--echo", help="Write the prompt before the answer.")] = False
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Write the text as it is made, or at the end.")] = True
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Write one JSON object a line: start, text …, end.")] = False
    return_ids: Annotated[bool, typer.Option("--return-ids", help="Add prompt_ids and completion_ids to the JSON.")] = False
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to a file; it appears whole, or stays as it was."),
    ] = None
    extract: Annotated[bool, typer.Option("--extract", "-x", help="Write the first fenced block of the answer only.")] = False

    def check_together(self) -> None:
        """Raises `InvalidRequest` for options that contradict each other."""
        form = "--json" if self.json else "--jsonl" if self.jsonl else None
        if self.json and self.jsonl:
            raise InvalidRequest("--json and --jsonl contradict each other", "give one of the two")
        if self.return_ids and form is None:
            raise InvalidRequest("--return-ids has no place to put the ids without --json", "add --json")
        if self.echo and (form or self.extract):
            raise InvalidRequest(f"--echo has no place beside {form or '--extract'}", "leave it out")

    def form(self, write: Writer, thinking: Thinking, *, hides: bool) -> Text:
        """The form that is asked for."""
        ids, block = self.return_ids, self.extract
        if self.json:
            return Document(write, thinking, hides=hides, with_ids=ids, extracts=block)
        if self.jsonl:
            return Lines(write, thinking, hides=hides, with_ids=ids, extracts=block, streamed=self.stream)
        if self.extract:
            return Block(write, thinking, hides=hides)
        return Text(write, thinking, hides=hides, streamed=self.stream)


@with_options
def generate(
    argument: Annotated[str | None, typer.Argument(metavar="[PROMPT]", help="What the model is to answer.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", metavar="TEXT", help="The same as PROMPT.")] = None,
    prompt_file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from a file.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Use the chat template, or fail if the model has none.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="No template; feed the text exactly as it is, last newline included.")
    ] = False,
    prefill_response: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Let the answer begin with this text, and continue it.")
    ] = None,
    *,
    template: TemplateOptions,
    answer: AnswerOptions,
    model: ModelOptions,
    sampling: SamplingOptions,
    output: OutputOptions,
) -> ExitCode:
    """Complete a prompt.

    What is piped in comes first, then --file, then PROMPT, with a blank line between them. The newline that ends a file or a
    pipe is not part of the prompt, unless --raw is given.

    The prompt is one message of a user, put to the model by its chat template. A model without a template continues the text,
    and so does any model with --raw.

    The completion goes to stdout as it is made, and ends with a newline. Ctrl-C stops it and keeps what there is (exit 130).
    """
    if argument is not None and prompt is not None:
        raise InvalidRequest("the prompt is given twice, as PROMPT and with --prompt", "give one of the two")
    if chat and raw:
        raise InvalidRequest("--chat and --raw contradict each other", "give one of the two")
    answer.check_together()
    mode: Mode = "chat" if chat else "raw" if raw else "auto"
    wording = Wording.of(template, mode=mode, prefill=prefill_response)
    text = read_prompt(argument if prompt is None else prompt, prompt_file, exact=raw)
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    with destination(answer.file) as write:
        try:
            started = time.perf_counter()
            opened = open_model(model, output, progress)
            loaded = time.perf_counter()
            prompted = wording.prompt(opened, text)
            positions = opened.info.max_positions
            room = None if positions is None else positions - len(prompted.ids)
            request = Request(prompted.ids, sampling.over(opened.defaults, room))
            progress.close()
            if template.show_prompt:
                console.note(prompted.text)
            if answer.echo:
                write(text if prompted.text == text else f"{text}\n\n{wording.prefill}")
            form = answer.form(write, Thinking(opened=prompted.thinking), hides=template.hide_thinking)
            form.begin(model.chosen, request)
            finished = _run(opened, request, progress, form)
        finally:
            progress.close()
        completion = Completion(
            model=model.chosen,
            info=opened.info,
            sampling=request.sampling,
            prompt_ids=request.prompt_ids,
            text="",
            finished=finished,
            load_seconds=loaded - started,
            total_seconds=time.perf_counter() - started,
        )
        completion = form.end(completion)
    stats = finished.stats
    log.write(f"finished ({finished.reason}): {stats.prompt_tokens} tokens in, {stats.completion_tokens} tokens out")
    if output.stats:
        console.note(statistics(completion))
    return ExitCode.INTERRUPTED if finished.reason == "interrupt" else ExitCode.OK


def _run(opened: OpenModel, request: Request, progress: console.ProgressReport, form: Text) -> Finished:
    """Run one request to its end and pass its events on. The first Ctrl-C ends it early."""
    engine = opened.engine
    request_id = engine.submit(request)
    with signals.first_interrupt(lambda: engine.cancel(request_id)):
        try:
            for _, event in engine.run():
                progress.close()
                if isinstance(event, Failed):
                    raise event.error
                form.take(event)
                if isinstance(event, Finished):
                    return event
        except FalconError as error:
            form.fail(error)
            raise
    raise AssertionError("the engine ended without finishing its request")
