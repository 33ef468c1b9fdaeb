"""The one loop: requests enter free slots, are prefilled in chunks between the decode steps of the others, and leave when
they end.

    waiting ──► joining ──────► decoding ────► out
    (a queue)   (some, in slots  (slots 0 … m−1,
                ≥ m, in a row)   never a hole)

Decoding slots are always contiguous: when one leaves, another moves into its place. So a step runs on the first rows without
any indirection, which is also what a captured graph wants. Those beyond the rows of a step are ready: they have read their
prompts, and go on as soon as a row falls free, so that no row is idle until enough prompts are worth a pass. The caller pulls:
nothing is computed that nobody has asked for.

Short prompts are read together: as many as fit one chunk. What they have in length in common is one pass of the model, what
the longer ones have beyond that another. So prompts of one length cost one pass, and n different ones never more than n. Where
there is a way to read unequal ones at once, the runner says which (`Runner.share`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import perf_counter

from torch import Tensor

from modeling.errors import ContextExceeded, FalconError, InvalidRequest, NumericalFailure
from modeling.generation.answer import Answer, Decoder, Matcher, Reading, Saved
from modeling.generation.masks import Masks
from modeling.generation.runner import Programs, Runner
from modeling.generation.sampling import Draw, Sampler
from modeling.generation.speculation import Speculation
from modeling.generation.steps import Ahead, Lockstep, Steps
from modeling.messages import Constraint, Failed, Finished, Progress, ProgressSink, Request, Token
from modeling.state import Cancelled

Event = Token | Finished | Failed
GATHER = 8
"""Where the device runs ahead, an eighth of the rows falls idle before new prompts are read, or all that were ready have gone:
a pass over a short prompt is bound by its launches there, and the decoding of all others stands still for it
(benchmarks/gpu/throughput.py)."""


class Engine:
    """Completes requests, many at once, on the slots of a runner.

    A request's tokens do not depend on its neighbours, on the order of arrival or on who waits for it. `stop_ids` end an
    answer unless its request ignores them. `progress` is told of prompts that take more than one chunk. All methods belong to
    one thread; only `cancel` may be called from elsewhere.
    """

    def __init__(
        self,
        runner: Runner,
        decoder: Callable[[], Decoder],
        stop_ids: Collection[int],
        progress: ProgressSink | None = None,
        programs: Programs | None = None,
        matcher: Callable[[Constraint], Matcher] | None = None,
        speculate: int = 0,
        rows: int | None = None,
    ) -> None:
        """`programs` let the device run ahead of the host; without them they go in lockstep, and a row that decodes alone may
        be ahead by up to `speculate` tokens that are looked up in what it has read and said. `matcher` begins to hold an answer
        to a form: it raises `InvalidRequest` for one that cannot be followed. `rows` of the slots decode in a step (None: all);
        the others are for whoever is to follow."""
        self.runner = runner
        self._new_decoder = decoder
        self._stop_ids = frozenset(stop_ids)
        self._new_matcher = matcher
        self._masks = Masks(runner.vocab_size, runner.device)
        self._sampler = Sampler(runner.slots, runner.vocab_size, runner.device)
        self._steps: Steps = Speculation(runner, self._sampler, speculate) if speculate else Lockstep(runner, self._sampler)
        self.rows = runner.slots if rows is None else rows
        self._gather = 1
        if programs is not None:
            self._steps = Ahead(runner, self._sampler, programs, self._stop_ids)
            self._gather = runner.slots - self.rows or max(1, self.rows // GATHER)
        self._live: dict[int, Answer] = {}
        self._waiting: deque[Answer] = deque()
        self._joining: list[Answer] = []  # the shortest first
        self._decoding: list[Answer] = []  # by slot
        self._cancelled: set[int] = set()
        self._join_next = True  # prefill and decode take turns
        self._torn = False  # within bookkeeping that must not be cut in two
        self._events: deque[tuple[int, Event]] = deque()
        self._private: dict[int, deque[Event]] = {}  # of requests that `generate` reads
        self._next_id = 0
        self.progress: ProgressSink | None = progress

    # ---- the caller's side ----

    def submit(
        self,
        request: Request,
        *,
        start: Saved | None = None,
        keep: Callable[[Saved], None] | None = None,
        marks: Collection[int] = (),
    ) -> int:
        """Queue a request for `run`; returns its id.

        `start` is a state that is the record of the first `start.length` prompt ids, which are not fed again; at least one must
        be left to feed. `keep` receives the state as the request leaves: the record of the prompt and of all its tokens but the
        last, which was drawn and never fed (of less, if it is cancelled before its first token). Before that, it receives the
        states behind as many prompt tokens as `marks` name.

        Raises `InvalidRequest` (no prompt, ids outside the vocabulary, a form that cannot be followed) and `ContextExceeded`
        before anything is computed.
        """
        return self.submit_samples(request, 1, start=start, keep=keep, marks=marks)[0]

    def submit_samples(
        self,
        request: Request,
        count: int,
        *,
        start: Saved | None = None,
        keep: Callable[[Saved], None] | None = None,
        marks: Collection[int] = (),
    ) -> tuple[int, ...]:
        """Queue `count` samples of a request, with sample indexes from its own on; returns their ids. Each is what it would be
        alone, but the prompt is read once. `keep` receives the states of the first of them only. Otherwise as `submit`."""
        index, reading = request.sampling.sample_index, Reading() if count > 1 else None
        first = self._new(request, start, keep, marks, reading)
        others = [
            self._new(replace(request, sampling=replace(request.sampling, sample_index=index + n)), start, reading=reading)
            for n in range(1, count)
        ]
        self._enqueue(first, *others)
        return first.id, *(answer.id for answer in others)

    def cancel(self, request_id: int | None = None) -> None:
        """End a request (None: every one) within a token, or within a layer of its prompt's chunk: its next event is
        Finished("interrupt").

        Only takes a note, so a signal handler may call it at any moment. An id that has already ended is ignored.
        """
        if request_id is None:
            self._cancelled.update(tuple(self._live))
        elif request_id in self._live:
            self._cancelled.add(request_id)

    def run(self) -> Iterator[tuple[int, Event]]:
        """Events of all submitted requests as they happen, each with its request's id, until no request is left.

        A request that fails ends with `Failed`; the others go on. More requests may be submitted meanwhile. Closing the
        iterator stops nothing for good: the next `run` goes on where this one was.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            if self._live.keys() <= self._private.keys():
                return
            self._advance()

    def generate(
        self,
        request: Request,
        *,
        start: Saved | None = None,
        keep: Callable[[Saved], None] | None = None,
        marks: Collection[int] = (),
    ) -> Generator[Token | Finished, None, None]:
        """One request from start to end, as `submit` takes it; queued at the first `next`. Closing the iterator frees its slot.

        Several may be read in turn: they are decoded together. Raises what `submit` raises, at the call, and the error of a
        request that fails, e.g. `NumericalFailure`.
        """
        self._check(request, start)
        self._match(request)  # what is wrong with it is told now
        return self._generate(request, start, keep, marks)

    def _generate(
        self, request: Request, start: Saved | None, keep: Callable[[Saved], None] | None, marks: Collection[int]
    ) -> Generator[Token | Finished, None, None]:
        answer = self._new(request, start, keep, marks)
        events = self._private[answer.id] = deque()
        try:
            self._enqueue(answer)
            while True:
                while not events:
                    self._advance()
                event = events.popleft()
                if isinstance(event, Failed):
                    try:
                        raise event.error
                    finally:
                        del event  # with it, the error and this frame would keep each other, and what callers hold, alive
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            with self._whole():
                if answer.id in self._live:
                    self._leave(answer)
                self._private.pop(answer.id, None)

    def _new(
        self,
        request: Request,
        start: Saved | None,
        keep: Callable[[Saved], None] | None = None,
        marks: Collection[int] = (),
        reading: Reading | None = None,
    ) -> Answer:
        budget, matcher = self._check(request, start), self._match(request)
        self._next_id += 1
        decoder = self._new_decoder()
        return Answer(self._next_id - 1, request, decoder, self._stop_ids, budget, start, keep, marks, reading, matcher)

    def _match(self, request: Request) -> Matcher | None:
        """What holds the answer to its form, if it is to have one."""
        if request.constraint is None:
            return None
        if self._new_matcher is None:
            raise InvalidRequest("this engine cannot hold an answer to a form")
        return self._new_matcher(request.constraint)

    def _enqueue(self, answer: Answer, *siblings: Answer) -> None:
        with self._whole():
            self._live |= {each.id: each for each in (answer, *siblings)}
            if answer.reading is not None:
                answer.reading.siblings.extend(siblings)
            self._waiting.append(answer)

    def _check(self, request: Request, start: Saved | None) -> int | None:
        """The most tokens the answer may have, None without a limit, for a request that can be served."""
        ids, most, limit = request.prompt_ids, request.sampling.max_tokens, self.runner.max_positions
        if not ids:
            raise InvalidRequest("the prompt has no tokens", "give at least one: a beginning-of-text token will do")
        for id in (min(ids), max(ids)):
            if not 0 <= id < self.runner.vocab_size:
                raise InvalidRequest(
                    f"token id {id} is outside the vocabulary of {self.runner.vocab_size}", "use the model's own tokenizer"
                )
        if start is not None and start.length >= len(ids):
            raise InvalidRequest(f"a state of {start.length} tokens leaves none of a prompt of {len(ids)} to feed")
        if limit is None:
            return most
        room = limit - len(ids)
        if room < (1 if most is None else most):
            answer = "an answer" if most is None else f"{most} of the answer"
            raise ContextExceeded(
                f"{len(ids)} tokens of prompt and {answer} exceed the {limit} positions of the model",
                f"ask for at most {room} tokens" if room > 0 else "shorten the prompt",
            )
        return room if most is None else most

    # ---- the loop ----

    def _advance(self) -> None:
        """One unit of work: at most one chunk of prompts, or one decode step. They take turns while there is both."""
        with self._whole():
            self._honour_cancellations()
            if (self._joining or self._gathered()) and (self._join_next or not self._decoding):
                self._join_next = False
                self._prefill()
            elif self._decoding:
                self._join_next = True
                self._decode()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What happens within is done as a whole, or all requests end: an exception may come at any line (Ctrl-C), and a slot
        that one list knows and another does not would be decoded for ever."""
        self._torn = True
        try:
            yield
            self._torn = False
        finally:
            if self._torn:
                self._void()

    def _void(self) -> None:
        """End all requests as interrupted, with the tokens that they have; their states are not kept."""
        answers = list(self._live.values())
        for known in (self._live, self._waiting, self._joining, self._decoding, self._cancelled):
            known.clear()
        self._steps.void()
        for slot in range(self.runner.slots):
            self.runner.state.reset(slot)
        for answer in answers:
            answer.keep = answer.reading = None
            if not self._told_of_its_end(answer):
                self._post(answer, answer.finish("interrupt"))
        self._torn = False

    def _gathered(self) -> bool:
        """Whether those who wait may come in: there are slots for as many of them as are worth the pass."""
        free, wait = self.runner.slots - len(self._decoding), len(self._waiting)
        return min(free, wait) > 0 and (not self._decoding or free >= min(self._gather, wait))

    def _admit(self, room: int) -> bool:
        """Give the first of those who wait the first free slots: one, or as many as are read with `room` tokens altogether.

        Nobody else is joining then, so that all slots above the decoding ones are free.
        """
        free = self.runner.slots - len(self._decoding)
        while self._waiting and len(self._joining) < free:
            answer = self._waiting[0]
            if self._joining and (answer.alone or self._joining[0].alone or answer.left > room):
                break
            self._joining.append(self._waiting.popleft())
            room -= answer.left
        self._joining.sort(key=lambda answer: answer.left)
        for place, answer in enumerate(tuple(self._joining)):
            answer.slot = len(self._decoding) + place
            answer.begin()
            try:
                if answer.start is not None:
                    self.runner.state.restore(answer.slot, answer.start)
            except BaseException as error:
                self._waiting.extendleft(reversed(self._joining[place + 1 :]))
                del self._joining[place + 1 :]
                self._break([answer], error)
                break
        return bool(self._joining)

    def _prefill(self) -> None:
        """Feed those who are joining a chunk; and the next ones, as long as all of it together is no more than a full one."""
        room = self.runner.prefill_chunk
        while self._joining or self._admit(room):
            lengths = self.runner.share([answer.reach(self.runner.prefill_chunk) for answer in self._joining])
            if sum(lengths) > room:
                return
            room -= sum(lengths)
            self._feed(self._joining[: len(lengths)], lengths)

    def _feed(self, answers: Sequence[Answer], lengths: Sequence[int]) -> None:
        """The next tokens of each prompt, so many. Those whose last one is among them decode, beginning with the token drawn
        here."""
        started = perf_counter()
        for answer in answers:
            self._report(answer)
        try:
            logits = self._read(answers, lengths)
        except Cancelled:
            for answer in answers:
                self._end(answer, answer.finish("interrupt"))
            return
        except BaseException as error:
            if not isinstance(error, FalconError):
                self._break(list(self._joining), error)
            elif len(answers) > 1:
                self._part(answers)
            else:
                self._break(answers, error)
            return
        ready = [answer for answer in answers if not answer.left]
        begun = self._begin(ready, logits) if ready else ()
        for answer in answers:
            answer.prefill_seconds += (perf_counter() - started) / len(answers)
        for answer, draw in begun:
            self._report(answer)
            self._deliver(answer, draw)

    def _read(self, answers: Sequence[Answer], lengths: Sequence[int]) -> Tensor:
        """Extend the prompts by so many tokens → logits (b, v) after them. A sibling finds those of its reading."""
        first = answers[0]
        if not lengths[0]:
            assert first.reading is not None and first.reading.logits is not None
            return first.reading.logits[None]
        parts = list(zip(answers, lengths, strict=True))
        chunks = [answer.request.prompt_ids[answer.fed : answer.fed + length] for answer, length in parts]
        cancelled = self._cancelled
        logits = self.runner.prefill(chunks, first.slot, lambda: all(answer.id in cancelled for answer in answers))
        for answer, length in parts:
            answer.fed += length
            if answer.keep is not None and answer.fed in answer.marks:
                answer.keep(self.runner.state.snapshot(answer.slot))
        return logits

    def _part(self, answers: Sequence[Answer]) -> None:
        """What failed together may do alone: each is read by itself, from its beginning."""
        for answer in reversed(answers):
            self._joining.remove(answer)
            self.runner.state.reset(answer.slot)
            answer.slot, answer.apart = -1, True
            answer.begin()
            self._waiting.appendleft(answer)

    def _report(self, answer: Answer) -> None:
        """How far the reading of a long prompt is."""
        total = len(answer.request.prompt_ids) - answer.reused
        if self.progress is not None and total > self.runner.prefill_chunk:
            self.progress(Progress("prefill", answer.fed - answer.reused, total))

    def _begin(self, ready: Sequence[Answer], logits: Tensor) -> Sequence[tuple[Answer, Draw]]:
        """Let those who have read their prompts take the next decoding slots, and draw their first tokens from logits (≥ b, v);
        and with them their siblings, as many as find a free slot. Nothing if that fails."""
        first = len(self._decoding)
        for answer in ready:
            self._seat(answer)
        answers = [*ready, *self._siblings(ready[0], logits[0])]
        if len(answers) > len(ready):
            logits = logits[:1].expand(len(answers), -1)
        try:
            for answer in answers:
                self._sampler.join(answer.slot, answer.request.sampling, answer.request.prompt_ids)
            draws = self._sampler.sample(logits[: len(answers)], first, self._masks.of(answers)).fetch()
            for answer, draw in zip(answers, draws, strict=True):
                self._steps.join(answer, draw.id)
        except BaseException as error:
            self._break(answers, error)
            return ()
        return list(zip(answers, draws, strict=True))

    def _seat(self, answer: Answer) -> None:
        """Let a joining request take the next decoding slot."""
        slot = len(self._decoding)
        if answer.slot != slot:  # others have left meanwhile
            self.runner.state.move(answer.slot, slot)
            answer.slot = slot
        self._joining.remove(answer)
        self._decoding.append(answer)

    def _siblings(self, reader: Answer, logits: Tensor) -> list[Answer]:
        """Let the other samples of the prompt that `reader` has just read, with logits (v) behind it, begin beside it: as many
        as find a free slot. What the others need is put aside; they are the next to come in."""
        reading = reader.reading
        if reading is None or not reading.siblings:
            return []
        beside: list[Answer] = []
        while reading.siblings and len(self._decoding) < self.runner.slots:
            answer = reading.siblings.popleft()
            beside.append(answer)
            answer.slot = len(self._decoding)
            self.runner.state.fork(reader.slot, answer.slot)
            answer.reused = answer.fed = len(answer.request.prompt_ids)
            self._joining.append(answer)
            self._seat(answer)
        if reading.siblings:
            reading.state, reading.logits = self.runner.state.snapshot(reader.slot), logits.clone()
            self._waiting.extendleft(reversed(reading.siblings))
            reading.siblings.clear()
        return beside

    def _decode(self) -> None:
        """One token for each decoding request that has a row: its last token goes in, the next one comes out."""
        decoding = self._decoding[: self.rows]
        try:
            answers, draws = self._steps.next(decoding)
        except BaseException as error:
            self._break(decoding, error)
            return
        # Backwards: when many end at once, none is moved into a hole that it would leave in the next moment.
        for answer, draw in zip(reversed(answers), reversed(draws), strict=True):
            if answer.id in self._live:
                self._deliver(answer, draw)

    def _deliver(self, answer: Answer, draw: Draw) -> None:
        """Tell what was drawn, and what follows from it."""
        cancelled = answer.id in self._cancelled
        if cancelled and not self._steps.reads(answer):
            self._end(answer, answer.finish("interrupt"))
        elif not draw.finite:
            self._end(answer, Failed(_numerical_failure(answer)))
        elif answer.matcher is not None and answer.matcher.failure:
            self._end(answer, Failed(_lost_form(answer.matcher)))
        else:
            if answer.ended is None:  # it has, where the budget is 0
                self._post(answer, answer.take(draw))
            if answer.ended is not None or cancelled:
                self._end(answer, answer.finish(answer.ended or "interrupt"))

    # ---- leaving ----

    def _honour_cancellations(self) -> None:
        for request_id in tuple(self._cancelled):
            if answer := self._live.get(request_id):
                self._end(answer, answer.finish("interrupt"))
            self._cancelled.discard(request_id)

    def _break(self, answers: Sequence[Answer], error: BaseException) -> None:
        """End the requests whose state an exception has spoiled; the others are intact.

        An error of our own tree is theirs to report. Anything else (KeyboardInterrupt, a defect) belongs to whoever drives the
        loop and goes on to them, while the requests end as interrupted, with what they have.
        """
        for answer in reversed(answers):
            self._end(answer, Failed(error) if isinstance(error, FalconError) else answer.finish("interrupt"))
        if not isinstance(error, FalconError):
            self._torn = False
            raise error

    def _end(self, answer: Answer, event: Finished | Failed) -> None:
        self._post(answer, event)  # first: whoever is forgotten before is never heard of again after an interrupt
        self._leave(answer)

    def _leave(self, answer: Answer) -> None:
        """Forget a request and free its slot; another moves into the hole."""
        if answer in self._decoding:
            self._steps.leave(answer)
        kept = None
        if answer.keep is not None and answer.slot >= 0:
            kept = self.runner.state.snapshot(answer.slot)
            answer.keep(kept)
        self._bequeath(answer)
        answer.start = answer.keep = answer.reading = None  # whoever still knows of the answer must not hold pages by it
        with suppress(ValueError):
            self._waiting.remove(answer)
        del self._live[answer.id]
        self._cancelled.discard(answer.id)
        if answer in self._joining:
            self._joining.remove(answer)
            self.runner.state.reset(answer.slot)
        elif answer.slot >= 0:
            self._close_up(answer, kept)

    def _close_up(self, answer: Answer, kept: Saved | None) -> None:
        """Take a decoding request out. Who has been ready for longest takes its row, and the last one the hole that is left; if
        there is nobody, who goes on from what was `kept` finds it there."""
        hole, ready = answer.slot, self._decoding[self.rows :]
        if ready and hole < self.rows:
            heir = min(ready, key=lambda each: each.id)
            row, hole = hole, heir.slot
            self._move(heir, row)
        last = self._decoding.pop()
        if hole < len(self._decoding):
            self._move(last, hole)
        elif last is answer and kept is not None:
            self.runner.state.leave(hole, kept)
        elif last is answer:
            self.runner.state.reset(hole)

    def _move(self, answer: Answer, slot: int) -> None:
        """A decoding request goes on in another slot."""
        self.runner.state.move(answer.slot, slot)
        self._sampler.move(answer.slot, slot)
        self._steps.move(answer.slot, slot)
        self._decoding[slot] = answer
        answer.slot = slot

    def _bequeath(self, answer: Answer) -> None:
        """A sample that leaves before the prompt is read leaves the reading to the next one."""
        reading = answer.reading
        if reading is None or not reading.siblings:
            return
        if answer in reading.siblings:
            reading.siblings.remove(answer)
        else:
            self._waiting.appendleft(reading.siblings.popleft())

    def _post(self, answer: Answer, event: Event) -> None:
        private = self._private.get(answer.id)
        if private is None:
            self._events.append((answer.id, event))
        else:
            private.append(event)

    def _told_of_its_end(self, answer: Answer) -> bool:
        """Whether the last event is there already. What a torn pass has posted, nobody has read."""
        events = self._private.get(answer.id) or (event for request_id, event in self._events if request_id == answer.id)
        return any(not isinstance(event, Token) for event in events)


def _lost_form(matcher: Matcher) -> InvalidRequest:
    return InvalidRequest(f"the answer cannot be held to its form any further: {matcher.failure}", "ask for a simpler one")


def _numerical_failure(answer: Answer) -> NumericalFailure:
    return NumericalFailure(
        f"the model produced NaN or infinity in place of token {answer.position}",
        "the weights may be damaged, or the dtype too narrow: try bfloat16 or float32",
    )
