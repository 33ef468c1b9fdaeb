"""Decode steps that look several tokens up and feed them in one pass, and take what a step each would have drawn.

    told so far     … the quick brown
    looked up       fox jumps over          fed: brown fox jumps over      one pass, the bits of four steps
    drawn           fox ✓ jumps ✓ again     "over" is undone: the state is the record of … fox jumps

The pass gives hidden states with the bits that steps give (`LanguageModel.walk`), so every draw is what it would have been: the
same logits meet the same sampler, one after the other, greedy or not. The pass is ahead of what was told; whoever else is to
see the state finds it gone back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from modeling.errors import MemoryExceeded
from modeling.generation.answer import Answer
from modeling.generation.lookup import Lookup
from modeling.generation.runner import Runner
from modeling.generation.sampling import Sampler
from modeling.generation.steps import Lockstep, Outcome


@dataclass(slots=True)
class Pass:
    """Tokens that slot 0 has read in one pass: their `ids` (l) and last hidden states `h` (l, d). The first `right` of them
    are what was drawn."""

    ids: list[int]
    h: Tensor
    right: int = 1


class Speculation(Lockstep):
    """In lockstep, but ahead by as many right guesses as there are, at most `most` in a pass. Where several rows decode, they
    share their passes already, and nothing is looked up."""

    def __init__(self, runner: Runner, sampler: Sampler, most: int) -> None:
        super().__init__(runner, sampler)
        self._most = most
        self._reach = most  # how much the next guess is worth: what the last one was
        self._trail = runner.make_trail(most)
        self._pass: Pass | None = None
        self._lookup: tuple[Answer, Lookup] | None = None

    def next(self, answers: Sequence[Answer]) -> Outcome:
        if len(answers) > 1:
            self._settle()
            return super().next(answers)
        try:
            allowed = self._masks.beside(answers)
            logits = self._logits(answers[0])
            return answers, self._sampler.sample(logits, allowed=allowed()).fetch()
        except BaseException:  # nobody may keep a state that has read what was never drawn
            self._pass = None
            self._runner.state.reset(0)
            raise

    def join(self, answer: Answer, id: int) -> None:
        self._settle()

    def move(self, source: int, target: int) -> None:
        self._settle()

    def leave(self, answer: Answer) -> None:
        self._settle()
        if self._lookup is not None and self._lookup[0] is answer:
            self._lookup = None

    def void(self) -> None:
        self._pass = self._lookup = None

    def _logits(self, answer: Answer) -> Tensor:
        """What follows the latest token: logits (1, v) fp32."""
        ahead, last = self._pass, answer.token_ids[-1]
        if ahead is not None and ahead.right < len(ahead.ids) and ahead.ids[ahead.right] == last:
            ahead.right += 1
            answer.accepted += 1
            return self._runner.scores(ahead.h[ahead.right - 1 : ahead.right])
        self._settle()
        guess = self._guess(answer)
        if not guess:
            return self._runner.decode([last])
        answer.looked_up += len(guess)
        ids = [last, *guess]
        self._pass = Pass(ids, self._runner.walk(ids, self._trail))
        return self._runner.scores(self._pass.h[:1])

    def _guess(self, answer: Answer) -> list[int]:
        """As many tokens as are worth it, and none beyond the last that the answer may have."""
        if self._lookup is None or self._lookup[0] is not answer:
            self._lookup, self._reach = (answer, Lookup(answer.request.prompt_ids)), self._most
        lookup = self._lookup[1]
        lookup.extend(answer.token_ids[len(lookup) - len(answer.request.prompt_ids) :])
        room = self._reach if answer.budget is None else min(self._reach, answer.budget - len(answer.token_ids) - 1)
        guess = lookup.guess(room) if room > 0 else []
        try:
            self._runner.state.reserve(0, 1, 1 + len(guess))
        except MemoryExceeded:  # one at a time may do
            return []
        return guess

    def _settle(self) -> None:
        """Undo what was guessed wrong: the state is the record of what was drawn, but for the latest token, as in lockstep."""
        ahead = self._pass
        if ahead is None:
            return
        try:
            length, right = len(ahead.ids), ahead.right
            self._reach = min(self._most, 2 * self._reach) if right == length else right
            self._runner.state.go_back(0, length, right, self._trail)
            self._pass = None
        except BaseException:  # nobody can tell how far it came
            self._pass = None
            self._runner.state.reset(0)
            raise
