"""The one loop: requests enter free slots, are prefilled in chunks between the decode steps of the others, and leave when
they end.

    waiting ──► joining ──► decoding ──► out
    (a queue)   (one, in a   (slots 0 … m−1,
                slot ≥ m)    never a hole)

Decoding slots are always contiguous: when one leaves, the last moves into its place. So a step runs on the first m rows
without any indirection, which is also what a captured graph wants. The caller pulls: nothing is computed that nobody has
asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter

from torch import Tensor

from modeling.errors import ContextExceeded, FalconError, InvalidRequest, NumericalFailure
from modeling.generation.answer import Answer, Decoder, Saved
from modeling.generation.runner import Programs, Runner
from modeling.generation.sampling import Draw, Sampler
from modeling.generation.steps import Ahead, Lockstep, Steps
from modeling.messages import Failed, Finished, Progress, ProgressSink, Request, Token
from modeling.state import Cancelled

Event = Token | Finished | Failed


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
    ) -> None:
        """`programs` let the device run ahead of the host; without them they go in lockstep."""
        self.runner = runner
        self._new_decoder = decoder
        self._stop_ids = frozenset(stop_ids)
        self._sampler = Sampler(runner.slots, runner.vocab_size, runner.device)
        self._steps: Steps = Lockstep(runner, self._sampler)
        if programs is not None:
            self._steps = Ahead(runner, self._sampler, programs, self._stop_ids)
        self._live: dict[int, Answer] = {}
        self._waiting: deque[Answer] = deque()
        self._joining: Answer | None = None
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

        Raises `InvalidRequest` (no prompt, ids outside the vocabulary) and `ContextExceeded` before anything is computed.
        """
        answer = self._new(request, start, keep, marks)
        self._enqueue(answer)
        return answer.id

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
                    raise event.error
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            with self._whole():
                if answer.id in self._live:
                    self._leave(answer)
                self._private.pop(answer.id, None)

    def _new(
        self, request: Request, start: Saved | None, keep: Callable[[Saved], None] | None, marks: Collection[int]
    ) -> Answer:
        budget = self._check(request, start)
        self._next_id += 1
        return Answer(self._next_id - 1, request, self._new_decoder(), self._stop_ids, budget, start, keep, marks)

    def _enqueue(self, answer: Answer) -> None:
        with self._whole():
            self._live[answer.id] = answer
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
        """One unit of work: at most one chunk of prompt, or one decode step. They take turns while there is both."""
        with self._whole():
            self._honour_cancellations()
            if (self._joining or self._admit()) and (self._join_next or not self._decoding):
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
        for known in (self._live, self._waiting, self._decoding, self._cancelled):
            known.clear()
        self._joining = None
        self._steps.void()
        for slot in range(self.runner.slots):
            self.runner.state.reset(slot)
        for answer in answers:
            answer.keep = None
            self._post(answer, answer.finish("interrupt"))
        self._torn = False

    def _admit(self) -> Answer | None:
        """Give the first waiting request the first free slot; one at a time, so that all slots above it are free, too."""
        slot = len(self._decoding)
        while self._waiting and slot < self.runner.slots:
            answer = self._joining = self._waiting.popleft()
            answer.slot = slot
            try:
                if answer.start is not None:
                    self.runner.state.restore(slot, answer.start)
                return answer
            except BaseException as error:
                self._break([answer], error)
        return None

    def _prefill(self) -> None:
        """Feed the joining request a chunk; and the next ones, as long as all of it together is no more than one full chunk."""
        room = self.runner.prefill_chunk
        while answer := self._joining or self._admit():
            chunk = answer.chunk(self.runner.prefill_chunk)
            if len(chunk) > room:
                return
            room -= len(chunk)
            self._feed(answer, chunk)

    def _feed(self, answer: Answer, chunk: Sequence[int]) -> None:
        """One chunk of a prompt. After its last one the request decodes, beginning with the token drawn here."""
        started = perf_counter()
        self._report(answer)
        try:
            logits = self.runner.prefill(chunk, answer.slot, lambda: answer.id in self._cancelled)
            answer.fed += len(chunk)
            if answer.keep is not None and answer.fed in answer.marks:
                answer.keep(self.runner.state.snapshot(answer.slot))
        except Cancelled:
            self._end(answer, answer.finish("interrupt"))
            return
        except BaseException as error:
            self._break([answer], error)
            return
        draw = self._begin(answer, logits) if answer.fed == len(answer.request.prompt_ids) else None
        answer.prefill_seconds += perf_counter() - started
        if draw is not None:
            self._report(answer)
            self._deliver(answer, draw)

    def _report(self, answer: Answer) -> None:
        """How far the reading of a long prompt is."""
        before = 0 if answer.start is None else answer.start.length
        total = len(answer.request.prompt_ids) - before
        if self.progress is not None and total > self.runner.prefill_chunk:
            self.progress(Progress("prefill", answer.fed - before, total))

    def _begin(self, answer: Answer, logits: Tensor) -> Draw | None:
        """Let the joining request take the next decoding slot, and draw its first token from logits (v); None if that fails."""
        slot = len(self._decoding)
        if answer.slot != slot:  # others have left meanwhile
            self.runner.state.move(answer.slot, slot)
            answer.slot = slot
        self._joining = None
        self._decoding.append(answer)
        try:
            self._sampler.join(slot, answer.request.sampling, answer.request.prompt_ids)
            draw = self._sampler.sample(logits[None], slot).fetch()[0]
            self._steps.join(answer, draw.id)
        except BaseException as error:
            self._break([answer], error)
            return None
        return draw

    def _decode(self) -> None:
        """One token for each decoding request: its last token goes in, the next one comes out."""
        decoding = list(self._decoding)
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
        self._leave(answer)
        self._post(answer, event)

    def _leave(self, answer: Answer) -> None:
        """Forget a request and free its slot; the last decoding one moves into the hole."""
        if answer in self._decoding:
            self._steps.leave(answer)
        if answer.keep is not None and answer.slot >= 0:
            answer.keep(self.runner.state.snapshot(answer.slot))
        answer.start = answer.keep = None  # whoever still knows of the answer must not hold pages by it
        with suppress(ValueError):
            self._waiting.remove(answer)
        del self._live[answer.id]
        self._cancelled.discard(answer.id)
        if answer is self._joining:
            self._joining = None
            self.runner.state.reset(answer.slot)
        elif answer.slot >= 0:
            last = self._decoding.pop()
            if last is answer:
                self.runner.state.reset(answer.slot)
                return
            self.runner.state.move(last.slot, answer.slot)
            self._sampler.move(last.slot, answer.slot)
            self._steps.move(last.slot, answer.slot)
            self._decoding[answer.slot] = last
            last.slot = answer.slot

    def _post(self, answer: Answer, event: Event) -> None:
        private = self._private.get(answer.id)
        if private is None:
            self._events.append((answer.id, event))
        else:
            private.append(event)


def _numerical_failure(answer: Answer) -> NumericalFailure:
    return NumericalFailure(
        f"the model produced NaN or infinity in place of token {answer.position}",
        "the weights may be damaged, or the dtype too narrow: try bfloat16 or float32",
    )
