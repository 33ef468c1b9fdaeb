"""One prompt, answered once or in several samples, behind a kept document or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from falcon_cli import console, log, signals
from falcon_cli.constraint import tell_of_cuts
from falcon_cli.demand import AnswerOptions, Demand
from falcon_cli.exit import ExitCode
from falcon_cli.forms import Block, Document, Lines, Text
from falcon_cli.opening import open_model
from falcon_cli.output import Writer, check_folder, destination
from falcon_cli.prompt import Words
from falcon_cli.report import Completion, Spelling, statistics
from falcon_cli.samples import SampleDocument, SampleLines, Samples
from falcon_cli.sizes import shown_size
from falcon_cli.thinking import Thinking
from falcon_cli.wording import Phrasing, Prompt
from modeling.errors import FalconError, InvalidRequest
from modeling.messages import Failed, Finished, Request

if TYPE_CHECKING:
    from modeling.api import OpenModel
    from modeling.generation.answer import Saved


def complete(words: Words, demand: Demand) -> ExitCode:
    """Answer one prompt. Raises what opening the model, making the prompt and answering it raise."""
    answer, output = demand.answer, demand.output
    if demand.cache is not None and not demand.cache.exists():
        check_folder(demand.cache, anew=True)
    progress = console.ProgressReport(shown=not (output.quiet or output.no_progress))
    with destination(answer.file) as write:
        try:
            started = time.perf_counter()
            slots = answer.num_samples if answer.num_samples <= 8 else None
            opened = open_model(demand.model, output, progress, slots=slots, speculate=answer.speculate)
            loaded = time.perf_counter()
            prompt, beginning = _prompt(words, demand, opened)
            positions = opened.info.max_positions
            room = None if positions is None else positions - len(prompt.ids)
            request = Request(prompt.ids, answer.reporting(demand.sampling.over(opened.defaults, room)), demand.constraint)
            progress.close()
            if demand.template.show_prompt:
                console.note(prompt.text)
            if answer.echo:
                shown = words.text if prompt.text == words.text else f"{words.text}\n\n{demand.wording.prefill}"
                write(shown)
            form = _form(answer, write, opened, prompt.thinking and not demand.constraint, hides=demand.template.hide_thinking)
            form.begin(demand.model.chosen, request)
            finished = _run(opened, request, answer.num_samples, beginning, progress, form)
        finally:
            progress.close()
        completions = [
            Completion(
                model=demand.model.chosen,
                info=opened.info,
                sampling=request.sampling,
                prompt_ids=request.prompt_ids,
                text="",
                finished=each,
                load_seconds=loaded - started,
                total_seconds=time.perf_counter() - started,
            )
            for each in finished
        ]
        if isinstance(form, Samples):
            form.end(completions)
        else:
            completions = [form.end(completions[0])]
    beginning.keep(quiet=output.quiet)
    if demand.constraint is not None and not output.quiet:
        tell_of_cuts(sum(each.reason == "length" for each in finished))
    for each in finished:
        stats = each.stats
        log.write(f"finished ({each.reason}): {stats.prompt_tokens} tokens in, {stats.completion_tokens} tokens out")
    if output.stats:
        console.note("\n\n".join(statistics(completion) for completion in completions))
    return ExitCode.INTERRUPTED if any(each.reason == "interrupt" for each in finished) else ExitCode.OK


class Beginning:
    """The kept state that a prompt begins with: `start` is there already, or the one behind `mark` tokens is to be written."""

    def __init__(
        self, start: Saved | None = None, mark: int | None = None, write: Callable[[Saved], None] | None = None
    ) -> None:
        self.start = start
        self.marks = () if mark is None else (mark,)
        self._write = write
        self._saved: Saved | None = None

    def take(self, saved: Saved) -> None:
        """A state that the engine gives away."""
        if saved.length in self.marks:
            self._saved = saved

    def keep(self, *, quiet: bool) -> None:
        """Write the state, if it is there: an answer that was stopped early may have none. Raises `WriteFailed`."""
        if self._write is not None and self._saved is not None:
            self._write(self._saved)


def _prompt(words: Words, demand: Demand, opened: OpenModel) -> tuple[Prompt, Beginning]:
    """The prompt, and what of it need not be read or is to be kept."""
    path, quiet = demand.cache, demand.output.quiet
    with Phrasing(demand.wording, opened) as phrasing:
        if path is None:
            return phrasing.of_text(words.text), Beginning()
        kept = opened.load_prompt(path, phrasing.template) if path.exists() else None
        if words.document is None:
            if kept is None:
                hint = f"give the document, too (-f FILE), or make it: falcon cache-prompt -f DOCUMENT -o {path}"
                raise InvalidRequest(f"there is no {path} to go on from", hint)
            ids, start = kept
            prompt = phrasing.behind(ids, words.question or "")
            _tell(f"{path}: {len(ids)} tokens reused, {len(prompt.ids) - len(ids)} read", quiet)
            return prompt, Beginning(start)
        prompt, mark = phrasing.split(words.document, words.question or "")
        mark = min(mark, len(prompt.ids) - 1)  # the last one is always fed
        if kept is None:
            return prompt, Beginning(mark=mark or None, write=_writing(opened, path, prompt.ids, phrasing.template, quiet))
        ids, start = kept
        same = next(
            (n for n, (a, b) in enumerate(zip(ids, prompt.ids, strict=False)) if a != b), min(len(ids), len(prompt.ids) - 1)
        )
        if same < len(ids):
            what = "all of the prompt is read, and the file stays as it is"
            console.notice(f"{path} is of another prompt: the prefix differs at token {same} of {len(ids)}; {what}")
            return prompt, Beginning()
        _tell(f"{path}: {len(ids)} tokens reused, {len(prompt.ids) - len(ids)} read", quiet)
        return prompt, Beginning(start)


def _writing(opened: OpenModel, path: Path, ids: Sequence[int], template: str | None, quiet: bool) -> Callable[[Saved], None]:
    def write(saved: Saved) -> None:
        opened.save_prompt(path, ids, saved, template)
        _tell(f"{path}: {saved.length} tokens are kept, {shown_size(path.stat().st_size)}", quiet)

    return write


def _tell(text: str, quiet: bool) -> None:
    if not quiet:
        console.notice(text)


def _form(answer: AnswerOptions, write: Writer, opened: OpenModel, thinks: bool, *, hides: bool) -> Text | Samples:
    """The form that is asked for."""
    count, ids, extracts = answer.num_samples, answer.return_ids, answer.extract
    spell: Spelling | None = lru_cache(1 << 16)(opened.spell) if answer.logprobs is not None else None
    thinking = [Thinking(opened=thinks) for _ in range(count)]
    if count == 1:
        if answer.json:
            return Document(write, thinking[0], hides=hides, with_ids=ids, extracts=extracts, spell=spell)
        if answer.jsonl:
            streamed = answer.stream
            return Lines(write, thinking[0], hides=hides, with_ids=ids, extracts=extracts, spell=spell, streamed=streamed)
        if extracts:
            return Block(write, thinking[0], hides=hides)
        return Text(write, thinking[0], hides=hides, streamed=answer.stream)
    if answer.json:
        return SampleDocument(write, thinking, hides=hides, with_ids=ids, extracts=extracts, spell=spell)
    if answer.jsonl:
        lines = SampleLines(write, thinking, hides=hides, with_ids=ids, extracts=extracts, spell=spell)
        lines.streamed = answer.stream
        return lines
    return Samples(write, thinking, hides=hides)


def _run(
    opened: OpenModel,
    request: Request,
    count: int,
    beginning: Beginning,
    progress: console.ProgressReport,
    form: Text | Samples,
) -> list[Finished]:
    """Run one request, `count` times, to its end and pass its events on. The first Ctrl-C ends it early."""
    engine, marks = opened.engine, beginning.marks
    ids = engine.submit_samples(request, count, start=beginning.start, keep=beginning.take if marks else None, marks=marks)
    finished: dict[int, Finished] = {}
    with signals.first_interrupt(lambda: engine.cancel()):
        try:
            for request_id, event in engine.run():
                progress.close()
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(form, Samples):
                    form.take(event, ids.index(request_id))
                else:
                    form.take(event)
                if isinstance(event, Finished):
                    finished[request_id] = event
        except FalconError as error:
            form.fail(error)
            raise
    return [finished[request_id] for request_id in ids]
