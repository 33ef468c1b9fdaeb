"""The loop of a batch: rows in while slots are free or soon will be, answers out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from secrets import randbelow
from time import perf_counter
from typing import TYPE_CHECKING, Any

from falcon_cli import console, log, signals
from falcon_cli.batch.answers import answer, line, refusal
from falcon_cli.batch.journal import File, Journal, Stream
from falcon_cli.batch.meter import Meter
from falcon_cli.batch.outbox import Outbox
from falcon_cli.batch.rows import BadRow, Row, RowId, parse
from falcon_cli.batch.source import Source
from falcon_cli.constraint import tell_of_cuts
from falcon_cli.demand import BatchOptions, Demand
from falcon_cli.exit import ExitCode
from falcon_cli.forms import Gathered
from falcon_cli.opening import open_model
from falcon_cli.options import SamplingOptions
from falcon_cli.output import STDOUT
from falcon_cli.report import Completion, Spelling
from falcon_cli.thinking import Thinking
from falcon_cli.wording import Phrasing, Prompt
from modeling.errors import FalconError, InvalidRequest
from modeling.messages import Failed, Finished, Request, Token

if TYPE_CHECKING:
    from modeling.api import OpenModel
    from modeling.generation.answer import Saved


def answer_rows(options: BatchOptions, demand: Demand) -> ExitCode:
    """Answer a file of prompts. FAILURE if a row of it could not be answered: its error stands in the output.

    Raises what opening the files and the model raises, and `WriteFailed`.
    """
    assert options.input_file is not None
    output, answers = demand.output, demand.answer
    _distinct(options.input_file, answers.file)
    if demand.cache is not None and not demand.cache.exists():
        raise InvalidRequest(f"there is no {demand.cache}", "make it first: falcon cache-prompt -f DOCUMENT -o FILE")
    target = None if answers.file == STDOUT else answers.file
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    with Source(options.input_file) as source, _journal(target, resume=options.resume) as journal:
        try:
            started = perf_counter()
            opened = open_model(demand.model, output, progress, slots=options.batch_size, speculate=demand.answer.speculate)
            loaded = perf_counter() - started
        finally:
            progress.close()
        meter = Meter(source.size, shown=not (output.quiet or output.no_progress))
        opened.engine.progress = meter.read
        with Phrasing(demand.wording, opened) as phrasing:
            batch = Batch(demand, opened, phrasing, source, journal, meter, loaded, ordered=not options.unordered)
            try:
                batch.run()
            finally:
                meter.close()
    failed = journal.failed + meter.failed
    log.write(f"batch ended: {meter.told()}")
    if output.stats:
        console.note(meter.told())
    if not output.quiet:
        tell_of_cuts(batch.cut)
    if batch.stopped:
        return ExitCode.INTERRUPTED
    if failed and not output.quiet:
        console.notice(f"{failed} of the rows failed: each has an error in its place")
    return ExitCode.FAILURE if failed else ExitCode.OK


def _journal(target: Path | None, *, resume: bool) -> Journal:
    return Stream() if target is None else File(target, resume=resume)


def _distinct(source: Path, target: Path | None) -> None:
    if target is not None and target.exists() and source.exists() and target.samefile(source) and target.is_file():
        raise InvalidRequest("--input-file and --output are the same file", "choose another file for the answers")


@dataclass(slots=True)
class Work:
    """A row whose samples are on their way. `place` is its number among the rows of this run, from 0; `size` the bytes of its
    line."""

    row: Row
    place: int
    size: int
    prompt: Prompt
    request: Request
    spelled: bool
    requests: tuple[int, ...]
    texts: list[Gathered]
    ended: dict[int, Finished]
    error: FalconError | None = None
    left: int = 0


class Batch:
    """All rows of a source, answered on one engine."""

    def __init__(
        self,
        demand: Demand,
        opened: OpenModel,
        phrasing: Phrasing,
        source: Source,
        journal: Journal,
        meter: Meter,
        load_seconds: float,
        *,
        ordered: bool,
    ) -> None:
        self.stopped = False
        self.cut = 0  # answers that have only the beginning of their form
        self._demand = demand
        self._opened = opened
        self._phrasing = phrasing
        self._source = source
        self._journal = journal
        self._meter = meter
        self._load_seconds = load_seconds
        self._outbox = Outbox(journal.write, ordered=ordered)
        self._places = 0
        self._works: dict[int, Work] = {}  # by request
        self._spell: Spelling = lru_cache(1 << 16)(opened.spell)
        self._seed = demand.sampling.seed if demand.sampling.seed is not None else randbelow(2**31)
        self._kept: tuple[tuple[int, ...], Saved] | None = None
        if demand.cache is not None:
            self._kept = opened.load_prompt(demand.cache, phrasing.template)

    def run(self) -> None:
        """To the end of the source, or to the first Ctrl-C: what has ended by then is written, if its turn has come."""
        engine = self._opened.engine
        with signals.first_interrupt(self._stop, *signals.ENDING):
            while not self.stopped and not (self._source.ended and not self._works):
                self._fill(wait=not self._works)
                for request, event in engine.run():
                    self._take(request, event)
                    self._fill(wait=False)

    def _stop(self) -> None:
        self.stopped = True
        self._source.stop()
        self._opened.engine.cancel()

    # ---- in ----

    def _fill(self, *, wait: bool) -> None:
        """Begin rows until as many wait as decode, or the outbox is full."""
        slots = self._opened.engine.runner.slots
        self._journal.settle(now=wait)
        while not self.stopped and len(self._works) < 2 * slots and not self._outbox.full:
            found = self._source.next(wait=wait)
            if found is None:
                return
            number, text = found
            row = parse(text, number, plain=bool(self._source.plain))
            if self._journal.done(row.id):
                self._meter.skip(len(text))
                continue
            place, self._places = self._places, self._places + 1
            try:
                if isinstance(row, BadRow):
                    raise row.error
                self._begin(row, place, len(text))
                wait = False
            except FalconError as error:
                self._refuse(row, place, len(text), error)

    def _begin(self, row: Row, place: int, size: int) -> None:
        demand, opened = self._demand, self._opened
        prompt, start = self._prompt(row)
        if demand.template.show_prompt:
            console.note(prompt.text)
        positions = opened.info.max_positions
        options: SamplingOptions = replace(demand.sampling, **{"seed": self._seed_of(row.id), **row.options})
        sampling = options.over(opened.defaults, None if positions is None else positions - len(prompt.ids))
        count = row.samples or demand.answer.num_samples
        asked = row.logprobs if row.logprobs is not None else demand.answer.logprobs
        if (reported := 0 if asked is None and count > 1 else asked) is not None:
            sampling = replace(sampling, logprobs=reported)
        request = Request(prompt.ids, sampling, row.constraint or demand.constraint)
        requests = opened.engine.submit_samples(request, count, start=start)
        hides = demand.template.hide_thinking
        thinks = prompt.thinking and request.constraint is None
        texts = [Gathered(Thinking(opened=thinks), hides=hides) for _ in requests]
        work = Work(row, place, size, prompt, request, asked is not None, requests, texts, {}, left=count)
        self._works |= dict.fromkeys(requests, work)
        if self.stopped:
            opened.engine.cancel()  # Ctrl-C came before there was anything to cancel

    def _prompt(self, row: Row) -> tuple[Prompt, Saved | None]:
        """What the model is given, and the state that holds the beginning of it."""
        phrasing = self._phrasing
        if self._kept is not None and not row.raw:
            ids, start = self._kept
            if not row.asked:
                raise InvalidRequest("the prompt is empty", "give at least one character")
            return phrasing.behind(ids, row.asked, row.tools), start
        if isinstance(row.asked, str):
            return phrasing.of_text(row.asked, row.tools, raw=row.raw), None
        return phrasing.of_messages(row.asked, row.tools), None

    def _seed_of(self, row_id: RowId) -> int:
        """A seed for each row: rows with the same prompt draw different answers, each the same in every run with --seed."""
        digest = blake2b(f"{self._seed} {row_id!r}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "little") >> 1

    # ---- out ----

    def _take(self, request: int, event: Token | Finished | Failed) -> None:
        work = self._works[request]
        place = work.requests.index(request)
        if isinstance(event, Token):
            self._meter.token()
            self._journal.settle()
            work.texts[place].take(event)
            return
        del self._works[request]
        work.left -= 1
        if isinstance(event, Failed):
            work.error = work.error or event.error
        else:
            work.texts[place].take(event)
            work.ended[place] = event
        if not work.left:
            self._end(work)

    def _end(self, work: Work) -> None:
        if any(finished.reason == "interrupt" for finished in work.ended.values()):
            return  # as if it had not begun: --resume does it again
        if work.error is not None:
            self._refuse(work.row, work.place, work.size, work.error)
            return
        if work.request.constraint is not None:
            self.cut += sum(finished.reason == "length" for finished in work.ended.values())
        completions = [work.texts[place].end(self._completion(work, work.ended[place])) for place in range(len(work.texts))]
        self._write(work.place, self._fields(work, completions))
        self._meter.row(work.size, failed=False)

    def _fields(self, work: Work, completions: list[Completion]) -> dict[str, Any]:
        answers = self._demand.answer
        spell = self._spell if work.spelled else None
        return answer(work.row, completions, with_ids=answers.return_ids, extracts=answers.extract, spell=spell)

    def _completion(self, work: Work, finished: Finished) -> Completion:
        return Completion(
            model=self._demand.model.chosen,
            info=self._opened.info,
            sampling=work.request.sampling,
            prompt_ids=work.prompt.ids,
            text="",
            finished=finished,
            load_seconds=self._load_seconds,
            total_seconds=0.0,
        )

    def _refuse(self, row: Row | BadRow, place: int, size: int, error: FalconError) -> None:
        self._write(place, refusal(row, error))
        self._meter.row(size, failed=True)

    def _write(self, place: int, fields: dict[str, Any]) -> None:
        if isinstance(self._journal, Stream):
            self._meter.close()  # both may be on one terminal
        self._outbox.put(place, line(fields))
