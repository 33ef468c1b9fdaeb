"""`falcon bench`: how fast a model is here, and how near that is to what this machine can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import typer

from falcon_cli import console, log, signals
from falcon_cli.exit import ExitCode
from falcon_cli.figures import Figures, default_form
from falcon_cli.options import ANEW, Group, MannerOptions, ModelOptions, with_options
from falcon_cli.output import STDOUT, destination
from falcon_cli.ranges import MOST, parse_numbers, parse_pairs, parse_words
from modeling.errors import FalconError, InvalidRequest
from modeling.messages import DType, Kernels, ModelSpec, Quantize, SamplingParams
from modeling.timings import BenchCase, BenchResult

DEPTH, BATCH, REPETITIONS = "0", "1", 5
DTypes = Annotated[
    str,
    typer.Option(
        "--dtype", "--torch-dtype", metavar="|".join(get_args(DType)), help="Number format of the weights, or a list of them."
    ),
]
KernelLists = Annotated[
    str, typer.Option(metavar="|".join(get_args(Kernels)), help="Which fast operations to use, or a list to compare.")
]
Quantizations = Annotated[
    str,
    typer.Option(metavar="|".join(get_args(Quantize)), help="Pack the weights while they are loaded, or a list to compare."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralModelOptions(ModelOptions):
    """The same for a command that takes several models, each in several number formats and with several kernels."""

    yields: ClassVar[Mapping[str, tuple[str, ...]]] = {"revision": ("model", "names"), "model": ("names",)}

    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]", help="The same as --model; several may be named."), ANEW
    ] = None
    dtype: DTypes = "auto"  # type: ignore[assignment]  # lists of what it is there
    kernels: KernelLists = "auto"  # type: ignore[assignment]
    quantize: Quantizations = "none"  # type: ignore[assignment]
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", help="Make the weights up on the device: MODEL needs a config.json only."),
        ANEW,
    ] = False

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        if name == "dtype":
            parse_words("--dtype", value, get_args(DType))
        elif name == "kernels":
            parse_words("--kernels", value, get_args(Kernels))
        elif name == "quantize":
            parse_words("--quantize", value, get_args(Quantize))
        else:
            ModelOptions.check(name, value)

    def specs(self) -> Iterator[tuple[str, ModelSpec]]:
        """Each model by the user's name for it, in each number format, with each kind of kernels. Raises `InvalidRequest`."""
        if self.names and self.model is not None:
            raise InvalidRequest(f"models are given twice, {self.names[0]} and --model {self.model}", "name all of them alike")
        for name in self.names or [self.chosen]:
            for dtype, form, kernels in product(
                parse_words("--dtype", self.dtype, get_args(DType)),
                parse_words("--quantize", self.quantize, get_args(Quantize)),
                parse_words("--kernels", self.kernels, get_args(Kernels)),
            ):
                yield name, replace(self, names=None, model=name, dtype=dtype, quantize=form, kernels=kernels).spec()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOptions(Group):
    """What is measured, how often, and how it is written. Lists as in llama-bench."""

    n_prompt: Annotated[
        list[str] | None, typer.Option("--n-prompt", "-p", metavar="N,…", help="Read prompts of N tokens (512; 0: none)."), ANEW
    ] = None
    n_gen: Annotated[
        list[str] | None, typer.Option("--n-gen", "-n", metavar="N,…", help="Write N tokens (128; 0: none)."), ANEW
    ] = None
    pg: Annotated[
        list[str] | None, typer.Option("--pg", metavar="P,N", help="Read P tokens, then write N; may be repeated."), ANEW
    ] = None
    n_depth: Annotated[
        list[str] | None,
        typer.Option("--n-depth", "-d", metavar="N,…", help=f"With N tokens in the state already ({DEPTH})."),
        ANEW,
    ] = None
    batch_size: Annotated[
        list[str] | None, typer.Option("--batch-size", "-b", metavar="N,…", help=f"N sequences at once ({BATCH})."), ANEW
    ] = None
    repetitions: Annotated[
        int, typer.Option("--repetitions", "-r", min=1, metavar="N", help="Measure each test so often, after a warm-up."), ANEW
    ] = REPETITIONS
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Take the likeliest token, whatever the checkpoint's own sampling is."), ANEW
    ] = False
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", "--temp", metavar="T", help="Draw at this temperature; 0: the likeliest."),
        ANEW,
    ] = None
    top_k: Annotated[int | None, typer.Option(metavar="K", help="Draw from the K most likely tokens."), ANEW] = None
    top_p: Annotated[float | None, typer.Option(metavar="P", help="Draw from the most likely that sum to P."), ANEW] = None
    form: Annotated[
        Literal["md", "csv", "json", "jsonl"] | None,
        typer.Option("--output", "-o", help="Form of the results; default: a table on a terminal, else md."),
        ANEW,
    ] = None
    file: Annotated[
        Path | None,
        typer.Option("--output-file", metavar="FILE", help="Write the results to a file, in the form of its ending."),
        ANEW,
    ] = None

    def sampling(self) -> dict[str, Any]:
        """What is not to be as the checkpoint wants it. Asking for a filter turns sampling on. Raises `InvalidRequest`."""
        given = {name: getattr(self, name) for name in ("top_k", "top_p") if getattr(self, name) is not None}
        if self.greedy and (given or self.temperature):
            raise InvalidRequest("--greedy and sampling contradict each other", "give one of the two")
        if self.greedy or given or self.temperature is not None:
            given["temperature"] = 0.0 if self.greedy else 1.0 if self.temperature is None else self.temperature
        SamplingParams(**given)
        return given

    def cases(self) -> list[BenchCase]:
        """Every test at every depth in every batch. Raises `InvalidRequest`."""
        tests = [(number, 0) for number in parse_numbers("--n-prompt", self.n_prompt or ["512"]) if number]
        tests += [(0, number) for number in parse_numbers("--n-gen", self.n_gen or ["128"]) if number]
        tests += parse_pairs("--pg", self.pg or [])
        if not tests:
            raise InvalidRequest("there is nothing to measure", "give --n-prompt, --n-gen or --pg")
        depths = parse_numbers("--n-depth", self.n_depth or [DEPTH])
        batches = parse_numbers("--batch-size", self.batch_size or [BATCH], least=1)
        if len(tests) * len(depths) * len(batches) > MOST:
            raise InvalidRequest(f"these are more than {MOST} tests", "give shorter lists")
        return [BenchCase(prompt, answer, depth, batch) for batch in batches for depth in depths for prompt, answer in tests]


@with_options
def bench(*, model: SeveralModelOptions, tests: CaseOptions, output: MannerOptions) -> ExitCode:
    """Measure how fast a model is here, beside what this machine can do.

    Tests are named as in llama-bench: pp512 reads a prompt of 512 tokens, tg128 writes 128, "@ d4096" with 4096 in the state
    before. Numbers may be lists: 1,8,64 or 128-512+128 or 512-8192*2. All goes the way of an answer: tokens are drawn as the
    checkpoint wants it and become text. Prompts are random, and the end of a sequence is ignored.

    "% floor" is the time that the machine needs at the least, to read the weights and the states and to multiply, over the time
    that it took. How fast it reads and multiplies at best is measured at the same time, in the same process.

    Ctrl-C ends it; what was measured is written (exit 130).
    """
    cases, specs = tests.cases(), list(model.specs())
    tests.sampling()  # a mistake shows before anything is loaded
    to_file = tests.file is not None and tests.file != STDOUT
    form = tests.form or default_form(tests.file.suffix if tests.file else "", to_file=to_file)
    if model.given is None and not model.names and not output.quiet:
        console.notice("no model given, so this is the embedded demo, a tiny one: falcon bench MODEL measures a real one")
    failure: FalconError | KeyboardInterrupt | None = None
    with destination(tests.file) as write:
        figures = Figures(form, write)
        try:
            for name, spec in specs:
                for result in _measured(spec, cases, model, tests, output):
                    figures.add(name, result)
        except (FalconError, KeyboardInterrupt) as error:
            if not figures.results:
                raise
            failure = error
            if isinstance(error, KeyboardInterrupt):
                signals.forget()  # it has been dealt with: what there is will be written
        figures.end()
    if isinstance(failure, FalconError):
        raise failure
    return ExitCode.OK if failure is None else ExitCode.INTERRUPTED


def _measured(
    spec: ModelSpec, cases: list[BenchCase], model: SeveralModelOptions, tests: CaseOptions, output: MannerOptions
) -> Iterator[BenchResult]:
    """The results of one model, with progress and notices on stderr."""
    console.prepare_libraries(output.debug)
    from modeling import api

    signals.check()
    shown = not (output.quiet or output.no_progress)
    progress = console.ProgressReport(shown=shown)
    told: set[str] = set()
    number = count(1)

    def began(case: BenchCase) -> None:
        progress.close()
        batch = f", batch {case.batch}" if case.batch > 1 else ""
        if shown:
            console.note(f"measuring {case.test}{batch}: {next(number)} of {len(cases)}")

    def tell(*notices: str) -> None:
        for notice in notices:
            if notice and notice not in told and not output.quiet:
                told.add(notice)
                console.notice(notice)

    try:
        for result in api.measure(
            spec,
            cases,
            repetitions=tests.repetitions,
            random_weights=model.random_weights,
            sampling=tests.sampling(),
            progress=progress,
            began=began,
        ):
            log.write(f"measured {result.case.test}: {result.mean_rate:.2f} tokens/s")
            tell(*result.info.notices, result.ceiling.void and f"these figures are void: {result.ceiling.void}")
            yield result
    finally:
        with suppress(Exception):
            progress.close()
