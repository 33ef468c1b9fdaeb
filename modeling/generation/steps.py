"""How decode steps are driven: in lockstep with the host, or by the device one step ahead of it.

A step feeds each decoding row its last token and draws the next one. In lockstep the host reads a token before it asks for the
step that feeds it. Ahead, the device feeds its own tokens back, and the host reads what is already past:

    device   step 1 ─► step 2 ─► step 3 ─► …
    host              token 1    token 2   …      no gap between steps, however long the host takes with a token

So a row may be one token further on the device than the host knows. That is never too far: a row whose token is a stop id
freezes itself there; nobody is sent ahead whose budget ends; and where only the host can see the end (a stop string) in a
conversation whose state is kept, nobody runs ahead at all. Nor does anybody beside a row that is held to a form: what it may
draw next is known when its last token is. Its mask is made while the device feeds that token; then the draw follows. A row
that is cancelled takes the token that the device is reading already: its state is then the record of all its tokens, the last
one included.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from modeling.errors import MemoryExceeded
from modeling.generation.answer import Answer
from modeling.generation.masks import Masks
from modeling.generation.runner import Programs, Runner, memory_errors
from modeling.generation.sampling import Draw, Draws, Plan, Sampler
from modeling.graph import Captured

WARM = 16  # draws by the same rows before a graph of them is worth its making
Outcome = tuple[Sequence[Answer], Sequence[Draw]]


class Steps(Protocol):
    """What the engine asks of either. The slots of decoding answers are 0 … m−1, without a hole."""

    def join(self, answer: Answer, id: int) -> None:
        """A row begins to decode: `id` is its first token."""

    def next(self, answers: Sequence[Answer]) -> Outcome:
        """One token of these rows, or of those of them that a step on its way was for; an answer that left meanwhile may be
        among them. Raises what the model raises; all slots are void then."""

    def move(self, source: int, target: int) -> None:
        """A row goes on in another slot."""

    def reads(self, answer: Answer) -> bool:
        """Whether a step on its way feeds the row's latest token, which may not have been told yet."""

    def leave(self, answer: Answer) -> None:
        """A row has ended: from now on its state counts all tokens that it is the record of."""

    def void(self) -> None:
        """No row decodes any more, whatever is on its way."""


class Lockstep:
    """One step at a time, on any device."""

    def __init__(self, runner: Runner, sampler: Sampler) -> None:
        self._runner = runner
        self._sampler = sampler
        self._masks = Masks(runner.vocab_size, runner.device)

    def join(self, answer: Answer, id: int) -> None:
        """Nothing to do: ids go in with each step."""

    def next(self, answers: Sequence[Answer]) -> Outcome:
        allowed = self._masks.beside(answers)
        logits = self._runner.decode([answer.token_ids[-1] for answer in answers])
        return answers, self._sampler.sample(logits, allowed=allowed()).fetch()

    def move(self, source: int, target: int) -> None:
        """The runner's state has moved, and that is all there is."""

    def reads(self, answer: Answer) -> bool:
        return False

    def leave(self, answer: Answer) -> None:
        """Nothing is on its way."""

    def void(self) -> None:
        """Nor now."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A step on its way: whose rows it is for, and what the host will find when `landed` is there."""

    answers: tuple[Answer, ...]
    draws: Draws
    landed: Callable[[], object]


class Ahead:
    """The device runs one step ahead, by `programs` that read their tokens where the step before has left them."""

    def __init__(self, runner: Runner, sampler: Sampler, programs: Programs, stop_ids: Collection[int]) -> None:
        self._state = runner.state
        self._programs = programs
        self._sampler = sampler
        self._masks = Masks(runner.vocab_size, runner.device)
        self._flight: Flight | None = None
        self._pages: list[list[int]] = [[] for _ in range(runner.slots)]  # as the device knows them
        self._draw: tuple[Plan, int, Captured[Draws]] | None = None
        with torch.inference_mode(False):
            self._stops = torch.tensor(sorted(stop_ids), dtype=torch.int64, device=runner.device)
            self._heeds = torch.zeros(runner.slots, dtype=torch.bool, device=runner.device)  # rows that stop ids end

    @torch.inference_mode()
    def join(self, answer: Answer, id: int) -> None:
        inputs, slot = self._programs.inputs, answer.slot
        inputs.ids[slot] = id
        inputs.lengths[slot] = self._state.lengths[slot]
        inputs.active[slot] = 1
        self._heeds[slot] = not answer.request.sampling.ignore_eos

    @torch.inference_mode()
    def next(self, answers: Sequence[Answer]) -> Outcome:
        try:
            flight, self._flight = self._flight or self._launch(answers, room=1), None
            if self._may_run_ahead(answers, flight):
                self._flight = self._try(answers)
            flight.landed()
            draws = flight.draws.fetch()
            for answer in flight.answers:
                if answer in answers:
                    self._state.lengths[answer.slot] += 1
            return flight.answers, draws
        except BaseException:  # nobody may keep a state that has read what was never counted, or drawn and never told
            self._flight = None
            for answer in answers:
                self._state.reset(answer.slot)
            raise

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        inputs = self._programs.inputs
        for column in (inputs.ids, inputs.lengths, inputs.active, inputs.pages, self._heeds):
            column[target] = column[source]
        inputs.active[source] = 0
        self._pages[target] = self._pages[source]

    def reads(self, answer: Answer) -> bool:
        return self._flight is not None and answer in self._flight.answers

    @torch.inference_mode()
    def leave(self, answer: Answer) -> None:
        self._programs.inputs.active[answer.slot] = 0
        if self.reads(answer) and not answer.frozen:
            self._state.lengths[answer.slot] += 1  # its last token is being read

    @torch.inference_mode()
    def void(self) -> None:
        self._flight = None
        self._programs.inputs.active.zero_()

    def _may_run_ahead(self, answers: Sequence[Answer], flight: Flight) -> bool:
        """Whether each row will surely need the token behind the one that is on its way, or can do with it."""
        return not self._masks.concern((*answers, *flight.answers)) and all(
            (answer.budget is None or len(answer.token_ids) + (answer in flight.answers) < answer.budget)
            and not (answer.keep is not None and answer.request.sampling.stop)
            for answer in answers
        )

    def _try(self, answers: Sequence[Answer]) -> Flight | None:
        try:
            return self._launch(answers, room=2)
        except MemoryExceeded:  # then in lockstep: a row may end, and give its pages back
            return None

    def _launch(self, answers: Sequence[Answer], room: int) -> Flight:
        """Send a step on its way. `room` is how far it goes beyond the tokens that the host has counted."""
        rows = len(answers)
        self._state.reserve(0, rows, room)
        with memory_errors():
            for slot in range(rows):
                self._tell_pages(slot)
            logits = self._programs.run(rows)[:rows]
            allowed = self._masks.of(answers)  # made while the device is busy, which waits for nothing else
            draws = self._drawing(logits)() if allowed is None else self._sample(logits, allowed)
        return Flight(tuple(answers), draws.to_host(), _landing(logits.device))

    def _drawing(self, logits: Tensor) -> Captured[Draws]:
        """Draw from logits (b, v), which lie at the same place each time, and feed back: one graph for as long as the same rows
        draw in the same way."""
        plan, place = self._sampler.plan(0, len(logits)), logits.data_ptr()
        if self._draw is None or self._draw[0] is not plan or self._draw[1] != place:
            draw = partial(self._pick if plan.plain else self._sample, logits)
            self._draw = plan, place, Captured(draw, logits.device, warm=WARM)
        return self._draw[2]

    def _pick(self, logits: Tensor) -> Draws:
        return Draws(*self._programs.pick(logits, self._stops, self._heeds[: len(logits)]))

    def _sample(self, logits: Tensor, allowed: Tensor | None = None) -> Draws:
        """Make what was drawn the next tokens; whom a stop id ends takes no further part."""
        draws, rows, inputs = self._sampler.sample(logits, allowed=allowed), len(logits), self._programs.inputs
        active = inputs.active[:rows]
        inputs.lengths[:rows].add_(active)
        stopped = (draws.ids[:, None] == self._stops).any(-1) & self._heeds[:rows]
        active.mul_(~stopped)
        inputs.ids[:rows].copy_(draws.ids)
        return draws

    def _tell_pages(self, slot: int) -> None:
        """Bring the device's block table up to date where it has changed: once in 256 tokens."""
        pages = self._state.pages[slot]
        if pages != self._pages[slot]:
            table = torch.tensor(pages, dtype=torch.int32)
            target = self._programs.inputs.pages
            if target.is_cuda:
                table = table.pin_memory()
            target[slot, : len(pages)].copy_(table, non_blocking=True)
            self._pages[slot] = list(pages)


def _landing(device: torch.device) -> Callable[[], object]:
    """Waits until everything that was asked of the device up to now has happened."""
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event()
    event.record()
    return event.synchronize
