"""The step programs of one model and its memory: one for each bucket of rows, built when it is needed, held by a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from modeling.decode.inputs import StepInputs
from modeling.models import FalconH1, FalconMamba, LanguageModel
from modeling.state import PAGE, ModelState

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
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
        self._captured: dict[int, Captured] = {}

    def run(self, rows: int) -> Tensor:
        """Extend the active ones of slots 0 … rows−1 → logits (≥ rows, v) fp32, which the next run overwrites."""
        bucket = min(self._slots, next(size for size in BUCKETS if size >= rows))
        if bucket not in self._captured:
            self._captured[bucket] = Captured(self._build(self.inputs, bucket))
        return self._captured[bucket]()


class Captured:
    """A program that runs kernel by kernel once, which compiles what is not compiled yet, and as one graph from then on."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._capturable = program.logits.is_cuda
        self._warm = False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> Tensor:
        if self._graph is None and self._warm and self._capturable:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._program()
            self._graph = graph
        if self._graph is not None:
            self._graph.replay()
        else:
            self._program()
            self._warm = True
        return self._program.logits


def programs_for(model: LanguageModel, state: ModelState, context: int | None) -> StepPrograms | None:
    """The programs of a model whose slots hold at most `context` tokens (None: any number); None if there are none for it:
    on a device without Triton, spread over several devices, or with more slots than a program has rows."""
    from modeling.decode import falcon_h1, falcon_mamba

    if state.slots > BUCKETS[-1]:
        return None
    if isinstance(model, FalconMamba) and falcon_mamba.supports(model, state.slots):
        mamba = model
        return StepPrograms(state, 1, lambda inputs, rows: falcon_mamba.FalconMambaStep(mamba, state, inputs, rows))
    if isinstance(model, FalconH1) and falcon_h1.supports(model, state.slots):
        h1 = model
        pages = -(-(context or h1.config.max_position_embeddings) // PAGE) + 1
        return StepPrograms(state, pages, lambda inputs, rows: falcon_h1.FalconH1Step(h1, state, inputs, rows))
    return None
