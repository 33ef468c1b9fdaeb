"""`falcon bench`: how fast a model is here, and how near that is to what this machine can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import typer

from falcon_cli import console, log, signals
from falcon_cli.exit import ExitCode
from falcon_cli.figures.chart import Chart
from falcon_cli.figures.figures import TABLE_PERCENTILES, Figures, default_form
from falcon_cli.figures.verdicts import Earlier, decidable, doubts
from falcon_cli.options import ANEW, Group, MannerOptions, ModelOptions, with_options
from falcon_cli.output import STDOUT, salvaged
from falcon_cli.ranges import MOST, parse_numbers, parse_pairs, parse_percentiles, parse_words
from modeling.errors import DeviceUnavailable, FalconError, InvalidRequest
from modeling.messages import DType, Kernels, ModelSpec, Quantize, SamplingParams
from modeling.timings import BenchCase, Conversation, Plan, Result

DEPTH, BATCH, REPETITIONS, STATE_DEPTH = "0", "1", 5, "512"
SIZES: Mapping[str, tuple[str, str, int, int]] = {"cpu": ("128", "32", 32, 16)}
"""Device → tokens to read and to write, alone and in a turn of a chat, where nothing is said: what takes seconds there."""
GPU_SIZES = ("512", "128", 64, 64)
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
        list[str] | None,
        typer.Option("--n-prompt", "-p", metavar="N,…", help="Read prompts of N tokens (512, on a CPU 128; 0: none)."),
        ANEW,
    ] = None
    n_gen: Annotated[
        list[str] | None,
        typer.Option("--n-gen", "-n", metavar="N,…", help="Write N tokens (128, on a CPU 32; 0: none)."),
        ANEW,
    ] = None
    pg: Annotated[
        list[str] | None, typer.Option("--pg", "-pg", metavar="P,N", help="Read P tokens, then write N; may be repeated."), ANEW
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
    turns: Annotated[
        int | None,
        typer.Option(
            "--turns", min=1, metavar="K", help="A chat of K turns: the wait for each first token, state carried or not."
        ),
        ANEW,
    ] = None
    state: Annotated[
        bool,
        typer.Option(
            "--state", help=f"What it takes to save, load and fork a state, at each --n-depth (default: {STATE_DEPTH})."
        ),
        ANEW,
    ] = False
    against: Annotated[
        Literal["transformers"] | None,
        typer.Option(help="Run the same with it, on the same weights, in turn; greedy. Shows the ratio."),
        ANEW,
    ] = None
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
    percentiles: Annotated[
        str | None,
        typer.Option(metavar="P,…", help="Which percentiles of the time between tokens to show (50,99)."),
        ANEW,
    ] = None
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
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OLD.json", help="Say what is faster or slower than in an earlier run, beyond the noise."),
        ANEW,
    ] = None
    fail_below: Annotated[
        float | None,
        typer.Option(min=0, metavar="PERCENT", help="With --compare: exit 1 if a test has less of its old speed than this."),
        ANEW,
    ] = None
    plot: Annotated[
        str | None,
        typer.Option(metavar="term|FILE.png", help="Draw speed over depth, over batch, waits over turns (or .svg, .pdf)."),
        ANEW,
    ] = None

    def sampling(self) -> dict[str, Any]:
        """What is not to be as the checkpoint wants it. Asking for a filter turns sampling on. Raises `InvalidRequest`."""
        given = {name: getattr(self, name) for name in ("top_k", "top_p") if getattr(self, name) is not None}
        if (self.greedy or self.against) and (given or self.temperature):
            what = "--greedy" if self.greedy else f"--against {self.against}, which is greedy,"
            raise InvalidRequest(f"{what} and sampling contradict each other", "give one of the two")
        if self.greedy or given or self.temperature is not None:
            given["temperature"] = 0.0 if self.greedy else 1.0 if self.temperature is None else self.temperature
        SamplingParams(**given)
        return given

    def plan(self, device: str) -> Plan:
        """Every test at every depth in every batch, with the numbers that suit "cpu", "cuda" or "mps" where none are given.

        Raises `InvalidRequest`.
        """
        read, write, reads, writes = SIZES.get(device, GPU_SIZES)
        if (self.turns or self.state) and not (self.n_prompt or self.n_gen or self.pg):
            read = write = "0"  # whoever asks for these two asks for nothing else
        tests = [(number, 0) for number in parse_numbers("--n-prompt", self.n_prompt or [read]) if number]
        tests += [(0, number) for number in parse_numbers("--n-gen", self.n_gen or [write]) if number]
        tests += parse_pairs("--pg", self.pg or [])
        depths = parse_numbers("--n-depth", self.n_depth or [DEPTH])
        batches = parse_numbers("--batch-size", self.batch_size or [BATCH], least=1)
        if not (tests or self.turns or self.state):
            raise InvalidRequest("there is nothing to measure", "give --n-prompt, --n-gen or --pg")
        if self.against and not tests:
            what = f"--against {self.against} has nothing to compare: chats and states are measured of falcon alone"
            raise InvalidRequest(what, "add --n-prompt, --n-gen or --pg")
        if max(len(tests) * len(depths) * len(batches), self.turns or 0) > MOST:
            raise InvalidRequest(f"these are more than {MOST} tests", "give shorter lists")
        cases = [BenchCase(prompt, answer, depth, batch) for batch in batches for depth in depths for prompt, answer in tests]
        talk = Conversation(self.turns, reads, writes) if self.turns else None
        states = parse_numbers("--n-depth", self.n_depth or [STATE_DEPTH]) if self.state else []
        return Plan(tuple(cases), talk, tuple(states), self.repetitions, self.against is not None)

    def shown(self) -> tuple[float, ...]:
        """The percentiles that tables have. Raises `InvalidRequest`."""
        return TABLE_PERCENTILES if self.percentiles is None else parse_percentiles("--percentiles", self.percentiles)

    def earlier(self) -> Earlier | None:
        """The run to compare with. Raises `InvalidRequest`, also for repetitions that allow no verdict where one is wanted."""
        if self.fail_below is not None:
            if self.fail_below != self.fail_below:  # a range lets nan through, and nothing is ever below it
                raise InvalidRequest("--fail-below nan is no share of a speed", "give a percentage, for example 95")
            if self.compare is None:
                raise InvalidRequest("--fail-below is a share of an earlier speed", "add --compare OLD.json")
            if not decidable(self.repetitions, self.repetitions):
                raise InvalidRequest(
                    f"{self.repetitions} repetitions allow no verdict", "use --repetitions 5, as in the old run"
                )
        return Earlier(self.compare) if self.compare is not None else None


@with_options
def bench(*, model: SeveralModelOptions, tests: CaseOptions, output: MannerOptions) -> ExitCode:
    """Measure how fast a model is here, beside what this machine can do.

    Tests are named as in llama-bench: pp512 reads a prompt of 512 tokens, tg128 writes 128, "@ d4096" with 4096 in the state
    before. Numbers may be lists: 1,8,64 or 128-512+128 or 512-8192*2. All goes the way of an answer: tokens are drawn as the
    checkpoint wants it and become text. Prompts are random, and the end of a sequence is ignored.

    "% floor" is the time that the machine needs at the least, to read the weights and the states and to multiply, over the time
    that it took. How fast it reads and multiplies at best is measured at the same time, in the same process.

    --random-weights needs no weights, and for the published models (tiiuae/Falcon-H1-7B-Instruct, …) no network: their shapes
    come with falcon. Ctrl-C ends it; what was measured is written (exit 130). What --output-file does not take goes to stdout.
    """
    tests.plan("cuda"), tests.sampling()  # a mistake shows before anything is loaded
    specs, earlier, shown = list(model.specs()), tests.earlier(), tests.shown()
    to_file = tests.file is not None and tests.file != STDOUT
    form = tests.form or default_form(tests.file.suffix if tests.file else "", to_file=to_file)
    chart = Chart(tests.plot, tests.plan("cuda")) if tests.plot is not None else None
    if model.given is None and not model.names and not output.quiet:
        console.notice("no model given, so this is the embedded demo, a tiny one: falcon bench MODEL measures a real one")
    with salvaged(tests.file) as write:
        figures = Figures(form, write, shown, earlier)
        failure = _collect(figures, specs, model, tests, output)
        if failure is not None and not figures.results:
            raise failure
        figures.end()
    if chart is not None:
        chart.draw(figures.results, beside_table=to_file or form == "table")
    if isinstance(failure, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if failure is not None:
        raise failure
    return _judged(figures, tests)


def _collect(
    figures: Figures,
    specs: Sequence[tuple[str, ModelSpec]],
    model: SeveralModelOptions,
    tests: CaseOptions,
    output: MannerOptions,
) -> BaseException | None:
    """Measure one model after the other; returns what ended it early, whatever it is: what there is by then will be written.

    Of a list of kernels what can run here runs.
    """
    lacking: FalconError | None = None
    try:
        for name, spec in specs:
            try:
                for result in _measured(spec, model, tests, output):
                    figures.add(name, spec.kernels, result)
            except DeviceUnavailable as error:
                if len(specs) == 1:
                    raise
                console.notice(f"left out: {error}")
                lacking = error
    except (Exception, KeyboardInterrupt, signals.Terminated) as error:
        if figures.results and isinstance(error, KeyboardInterrupt):
            signals.forget()  # it has been dealt with
        return error
    return None if figures.results else lacking


def _judged(figures: Figures, tests: CaseOptions) -> ExitCode:
    """What --compare and --fail-below make of it."""
    told = [verdict for verdict in figures.verdicts if verdict is not None]
    if tests.compare is None:
        return ExitCode.OK
    for doubt in doubts(told):
        console.notice(f"{tests.compare} is of other circumstances: {doubt}")
    if 0 < len(told) < len(figures.verdicts):
        console.notice(f"{tests.compare} has {len(told)} of these {len(figures.verdicts)} tests: the others are not compared")
    if not told:
        what, hint = f"{tests.compare} has none of these tests", "measure the same model with the same options"
        if tests.fail_below is not None:
            raise FalconError(what, hint)
        console.notice(f"{what}: {hint}")
    if tests.fail_below is None:
        return ExitCode.OK
    if undecided := [verdict for verdict in told if verdict.mark == "too few"]:
        raise FalconError(
            f"{undecided[0].row['test']} has too few repetitions in {tests.compare} for a verdict",
            "measure with -r 5, both times",
        )
    below = [
        verdict
        for verdict in told
        if verdict.mark == "slower" and 100 * verdict.speed < tests.fail_below and verdict.row["engine"] == "falcon"
    ]
    for verdict in below:
        what = f"{verdict.row['model_filename']} {verdict.row['test']}"
        console.error(f"{what} has {verdict.speed:.1%} of its speed in {tests.compare} (p = {verdict.p:.3f})")
    return ExitCode.FAILURE if below else ExitCode.OK


def _measured(spec: ModelSpec, model: SeveralModelOptions, tests: CaseOptions, output: MannerOptions) -> Iterator[Result]:
    """The results of one model, with progress and notices on stderr."""
    console.prepare_libraries(output.debug)
    from modeling import api

    signals.check()
    plan = tests.plan(api.computes_on(spec.device))
    shown = not (output.quiet or output.no_progress)
    progress = console.ProgressReport(shown=shown)
    told: set[str] = set()
    number = count(1)

    def began(what: str) -> None:
        signals.check()  # transformers may have been imported meanwhile
        progress.close()
        if shown:
            console.note(f"measuring {what}: {next(number)} of {plan.steps}")

    def tell(*notices: str) -> None:
        for notice in notices:
            if notice and notice not in told and not output.quiet:
                told.add(notice)
                console.notice(notice)

    try:
        for result in api.measure(
            spec, plan, random_weights=model.random_weights, sampling=tests.sampling(), progress=progress, began=began
        ):
            log.write(f"measured {result.test}: {result.mean_seconds * 1e3:.3f} ms")
            ceiling = result.setup.ceiling
            tell(*result.setup.info.notices, ceiling.void and f"these figures are void: {ceiling.void}")
            yield result
    finally:
        with suppress(Exception):
            progress.close()
