"""What `falcon generate` is asked for: how many answers, in which form, to one prompt or to a file of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from falcon_cli.options import ANEW, Group, ModelOptions, OutputOptions, SamplingOptions, TemplateOptions
from falcon_cli.wording import Wording
from modeling.errors import InvalidRequest
from modeling.messages import Constraint, SamplingParams

MOST_SAMPLES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions(Group):
    """How many answers there are, what is written of them, in which form and where."""

    json: Annotated[bool, typer.Option("--json", help="Write one JSON document instead of the text."), ANEW] = False
    echo: Annotated[bool, typer.Option("--echo", help="Write the prompt before the answer.")] = False
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Write the text as it is made, or at the end.")] = True
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Write one JSON object a line: start, text …, end.")] = False
    return_ids: Annotated[bool, typer.Option("--return-ids", help="Add prompt_ids and completion_ids to the JSON.")] = False
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to a file; it appears whole, or stays as it was; rows are added."
        ),
    ] = None
    extract: Annotated[bool, typer.Option("--extract", "-x", help="Write the first fenced block of the answer only.")] = False

    num_samples: Annotated[
        int,
        typer.Option(
            "--num-samples", min=1, max=MOST_SAMPLES, metavar="N", help="Answer N times, from one reading of the prompt."
        ),
        ANEW,
    ] = 1
    logprobs: Annotated[
        int | None,
        typer.Option(min=0, max=100, metavar="K", help="Add log-probabilities to the JSON, and K alternatives."),
        ANEW,
    ] = None
    speculate: Annotated[
        int,
        typer.Option(
            min=0, max=15, metavar="N", help="Look up to N tokens up, on a CPU; same answer, sooner if it copies (0: none)."
        ),
    ] = 0

    def check_together(self) -> None:
        """Raises `InvalidRequest` for options that contradict each other."""
        form = "--json" if self.json else "--jsonl" if self.jsonl else None
        if self.json and self.jsonl:
            raise InvalidRequest("--json and --jsonl contradict each other", "give one of the two")
        for option, given in (("--return-ids", self.return_ids), ("--logprobs", self.logprobs is not None)):
            if given and form is None:
                raise InvalidRequest(f"{option} has no place without --json", "add --json")
        if self.extract and self.num_samples > 1 and form is None:
            raise InvalidRequest("--extract writes one block, not that of each sample", "add --json")
        if self.echo and (form or self.extract):
            raise InvalidRequest(f"--echo has no place beside {form or '--extract'}", "leave it out")

    def reporting(self, sampling: SamplingParams) -> SamplingParams:
        """The same with log-probabilities, where they are asked for or samples are compared by them."""
        compared = 0 if self.num_samples > 1 and (self.json or self.jsonl) else None
        return replace(sampling, logprobs=compared if self.logprobs is None else self.logprobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintOptions(Group):
    """What form the answer is held to."""

    json_schema: Annotated[
        str | None, typer.Option(metavar="SCHEMA", help="Let the answer be JSON that this schema describes."), ANEW
    ] = None
    json_schema_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same, with the schema in a file."), ANEW
    ] = None
    regex: Annotated[
        str | None, typer.Option("--regex", metavar="REGEX", help="Let the whole answer match this regular expression."), ANEW
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions(Group):
    """A file of prompts, and how it is worked through."""

    input_file: Annotated[
        Path | None,
        typer.Option("--input-file", "-i", metavar="FILE", help="A prompt in each line, as text or JSON; - is stdin."),
        ANEW,
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "-b", min=1, metavar="N", help="Rows at once (default: what suits the device and fits)."),
        ANEW,
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --output: rows that are there are not done again."), ANEW
    ] = False
    unordered: Annotated[bool, typer.Option("--unordered", help="Write each row as soon as it has ended."), ANEW] = False

    def check_together(self, answer: AnswerOptions, *, prompted: bool) -> bool:
        """Whether there is a file of prompts. Raises `InvalidRequest` for options that contradict each other."""
        if self.input_file is None:
            for option, given in (
                ("--batch-size", self.batch_size),
                ("--resume", self.resume),
                ("--unordered", self.unordered),
            ):
                if given:
                    raise InvalidRequest(f"{option} is for a file of prompts", "add --input-file FILE, or leave it out")
            return False
        if prompted:
            raise InvalidRequest("--input-file has the prompts, so there is no place for another", "leave out one of the two")
        for option, given in (("--json", answer.json), ("--echo", answer.echo)):
            if given:
                raise InvalidRequest(f"rows are answered in one JSON object a line, so {option} has no place", "leave it out")
        if self.resume and answer.file in (None, Path("-")):
            raise InvalidRequest("--resume goes on with a file, and there is none", "add --output FILE")
        return True


@dataclass(frozen=True, slots=True)
class Demand:
    """All of it, but for the prompts. `cache` is the file of a kept document, `constraint` the form of all answers."""

    wording: Wording
    template: TemplateOptions
    answer: AnswerOptions
    model: ModelOptions
    sampling: SamplingOptions
    output: OutputOptions
    cache: Path | None = None
    constraint: Constraint | None = None
