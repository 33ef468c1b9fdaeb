"""`falcon generate`: prompts in, completions out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from falcon_cli.constraint import read_constraint
from falcon_cli.demand import AnswerOptions, BatchOptions, ConstraintOptions, Demand
from falcon_cli.exit import ExitCode
from falcon_cli.options import ModelOptions, OutputOptions, SamplingOptions, TemplateOptions, with_options
from falcon_cli.prompt import read_words
from falcon_cli.wording import Mode, Wording
from modeling.errors import InvalidRequest


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
    prompt_cache: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Go on from the state in this file, or keep that behind -f or a pipe in it."),
    ] = None,
    *,
    batch: BatchOptions,
    template: TemplateOptions,
    answer: AnswerOptions,
    constraint: ConstraintOptions,
    model: ModelOptions,
    sampling: SamplingOptions,
    output: OutputOptions,
) -> ExitCode:
    """Complete a prompt, or a file of prompts.

    What is piped in comes first, then --file, then PROMPT, with a blank line between them. The newline that ends a file or a
    pipe is not part of the prompt, unless --raw is given.

    The prompt is one message of a user, put to the model by its chat template. A model without a template continues the text,
    and so does any model with --raw.

    The completion goes to stdout as it is made, and ends with a newline. Ctrl-C stops it and keeps what there is (exit 130).

    With --json-schema or --regex each token is drawn among those that keep to the form: an answer that ends by itself has it;
    one that --max-tokens cut off (finish_reason "length", and a note) is the beginning of such a one.

    With --input-file there is a prompt in each line, and a JSON object in each line of the output: `falcon help batch`.
    """
    if argument is not None and prompt is not None:
        raise InvalidRequest("the prompt is given twice, as PROMPT and with --prompt", "give one of the two")
    if chat and raw:
        raise InvalidRequest("--chat and --raw contradict each other", "give one of the two")
    if argument is None:
        argument = prompt
    mode: Mode = "chat" if chat else "raw" if raw else "auto"
    wording = Wording.of(template, mode=mode, prefill=prefill_response)
    held = read_constraint(constraint, sampling, answer)
    demand = Demand(wording, template, answer, model, sampling, output, prompt_cache, held)
    if batch.check_together(answer, prompted=argument is not None or prompt_file is not None):
        from falcon_cli.batch import answer_rows

        return answer_rows(batch, demand)
    answer.check_together()
    from falcon_cli.single import complete

    return complete(read_words(argument, prompt_file, exact=raw), demand)
