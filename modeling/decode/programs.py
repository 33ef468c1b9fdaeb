"""The step programs of one model and its memory: one for each bucket of rows, built when it is needed, held by a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from modeling.decode.inputs import StepInputs
from modeling.graph import Captured
from modeling.memory import PAGE
from modeling.models import FalconH1, FalconMamba, LanguageModel
from modeling.state import ModelState

if TYPE_CHECKING:
    from modeling.kernels.triton.pick import Picked

BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Rows of a program. A row's result is the same whoever else is in its bucket; other buckets may round differently."""


class Program(Protocol):
    """One step of slots 0 … rows−1 as a fixed list of kernels; `logits` (rows, v) fp32 is where it leaves its result."""

    logits: Tensor

    def __call__(self) -> None: ...


class StepPrograms:
    """`run` takes all slots at work one token further; `inputs` say which those are, and by which tokens."""

    def __init__(self, state: ModelState, pages: int, build: Callable[[StepInputs, int], Program]) -> None:
        """`pages` is the most that one slot can have; `build` makes the program of as many rows."""
        self.inputs = StepInputs.zeros(state.slots, pages, state.mamba[0].conv.device)
        self._slots = state.slots
        self._build = build
        self._captured: dict[int, Captured[Tensor]] = {}
        self._picked: dict[int, Picked] = {}

    def run(self, rows: int) -> Tensor:
        """Extend the active ones of slots 0 … rows−1 → logits (≥ rows, v) fp32, which the next run overwrites."""
        bucket = min(self._slots, next(size for size in BUCKETS if size >= rows))
        if bucket not in self._captured:
            program = self._build(self.inputs, bucket)

            def run() -> Tensor:
                program()
                return program.logits

            self._captured[bucket] = Captured(run, program.logits.device)
        return self._captured[bucket]()

    def pick(self, logits: Tensor, stops: Tensor, heeds: Tensor) -> tuple[Tensor, Tensor]:
        """Feed the best token of each row of logits (b, v) back → ids (b) int64, finite (b) bool. See `kernels.triton.pick`."""
        from modeling.kernels.triton.pick import Picked, pick

        rows, inputs = len(logits), self.inputs
        if rows not in self._picked:
            self._picked[rows] = Picked.empty(rows, logits.shape[1], logits.device)
        out = self._picked[rows]
        pick(logits, out, inputs.ids[:rows], inputs.active[:rows], inputs.lengths[:rows], stops, heeds)
        return out.ids, out.finite


def programs_for(model: LanguageModel, state: ModelState, rows: int, context: int | None) -> StepPrograms | None:
    """The programs for up to `rows` slots of a model whose slots hold at most `context` tokens (None: any number); None if
    there are none for it: on a device without Triton, spread over several devices, or for more rows than a program has."""
    if rows > BUCKETS[-1]:
        return None
    if isinstance(model, FalconMamba):
        return _of_mamba(model, state, rows)
    if isinstance(model, FalconH1):
        return _of_h1(model, state, rows, context or model.config.max_position_embeddings)
    return None


def _of_mamba(model: FalconMamba, state: ModelState, most: int) -> StepPrograms | None:
    from modeling.decode.falcon_mamba import FalconMambaStep, supports

    if not supports(model, most):
        return None
    return StepPrograms(state, 1, lambda inputs, rows: FalconMambaStep(model, state, inputs, rows))


def _of_h1(model: FalconH1, state: ModelState, most: int, context: int) -> StepPrograms | None:
    from modeling.decode.falcon_h1 import FalconH1Step, supports

    if not supports(model, most):
        return None
    pages = -(-context // PAGE) + 1
    return StepPrograms(state, pages, lambda inputs, rows: FalconH1Step(model, state, inputs, rows))
