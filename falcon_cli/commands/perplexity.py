"""`falcon perplexity`: how well a model predicts a text, and how far it is from another model on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from falcon_cli import console, log, signals, statistics
from falcon_cli.exit import ExitCode
from falcon_cli.options import ANEW, Group, MannerOptions, ModelOptions, with_options
from falcon_cli.prompt import STDIN, read_file, read_stdin
from modeling.errors import InvalidRequest
from modeling.scores import ScoreRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredModelOptions(ModelOptions):
    """The model and the text: `falcon perplexity MODEL FILE` is `falcon perplexity -m MODEL FILE`."""

    yields: ClassVar[Mapping[str, tuple[str, ...]]] = {"revision": ("model", "name"), "model": ("file",)}

    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The same as --model."), ANEW] = None
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The text, in UTF-8 (-: standard input)."), ANEW] = None

    @property
    def given(self) -> str | None:
        """Raises `InvalidRequest` if there are two names."""
        if self.file is None:  # one word alone is the text
            return self.model
        if self.model is not None:
            raise InvalidRequest(f"the model is given twice, {self.name} and --model {self.model}", "give one of the two")
        return self.name

    @property
    def text(self) -> str:
        """What the file says. Raises `InvalidRequest` if there is none, or it cannot be read."""
        if self.name is None:
            raise InvalidRequest("there is no text to score", "falcon perplexity MODEL FILE")
        path = Path(self.name) if self.file is None else self.file
        return (read_stdin(wanted=True) or "") if path == STDIN else read_file(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions(Group):
    """How the text is cut, and what its scores are compared with."""

    ctx_size: Annotated[
        int | None,
        typer.Option("--ctx-size", "-c", metavar="N", help="Tokens of a piece of the text (default: 512, or the base's)."),
        ANEW,
    ] = None
    chunks: Annotated[int | None, typer.Option(metavar="N", help="Score no more than the first N pieces."), ANEW] = None
    base: Annotated[
        Path | None,
        typer.Option("--kl-divergence-base", metavar="FILE", help="Write the log-probabilities of all tokens to a file."),
        ANEW,
    ] = None
    compare: Annotated[
        bool,
        typer.Option("--kl-divergence", help="Compare with the file of --kl-divergence-base."),
        ANEW,
    ] = False
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document."), ANEW] = False


@with_options
def perplexity(*, model: ScoredModelOptions, scores: ScoreOptions, output: MannerOptions) -> ExitCode:
    """Measure how well a model predicts a text.

    As llama-perplexity does it: the text is cut in pieces of 512 tokens, each is read from an empty state, and the second half
    of each counts. What is left over at the end does not.

    --kl-divergence-base FILE writes down what the model expects, two bytes for each token of the vocabulary at each place.
    The same command with --kl-divergence and another model, or --quantize nf4, compares: ratio of perplexities,
    Kullback-Leibler divergence, how often both find the same token likeliest.
    """
    text = model.text
    request = ScoreRequest(text, scores.ctx_size, scores.chunks, scores.base and scores.base.expanduser(), scores.compare)
    spec = model.spec()
    console.prepare_libraries(output.debug)
    from modeling import api

    signals.check()
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    try:
        result = api.perplexity(spec, request, progress=progress)
    finally:
        with suppress(Exception):
            progress.close()
    if not output.quiet:
        for notice in result.info.notices:
            console.notice(notice)
    log.write(f"perplexity of {result.info.name}: {result.perplexity.value:.4f} over {result.tokens} tokens")
    if scores.as_json:
        console.write(json.dumps(statistics.document(result) | {"model": model.chosen}, indent=2) + "\n")
    else:
        console.write(statistics.shown(result))
    return ExitCode.OK
