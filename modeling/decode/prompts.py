"""Short prompts as programs: one pass over rows with padding behind them, on fixed addresses, so that a CUDA graph can hold it.

Read layer by layer, a prompt of up to two thousand tokens is bound by its launches: 30 to 110 ms for the 7B models, as the host
is, whatever its length, where a graph of 512 tokens takes 15 to 19. Its law is `model.prefill()`. How it is done:

* One pass for any length. Prompts are padded to the next of a few lengths, and their number to the next of a few. Pieces that
  need no padding (300 = 256 + 32 + 8 + 4) would each read all weights: 3 ms apiece for a 7B. What a row is stands on the device
  (`modeling.padded`), and the operations that remember heed it: padding never enters a state or a page. All others work on it
  as on any token, row by row, and nobody looks at what comes out.
* Slots and pages are indices in a few numbers that one copy brings (`PromptInputs`), so no state is copied to or fro, and it
  may lie in another slot each time. How far the block table reaches is part of the shape, as long contexts are worth more
  programs in attention.
* A shape is captured when it is seen for the second time: the first time it runs as it is, which compiles its kernels, and a
  process that reads one prompt never waits for a graph. Of the graphs, the latest `KEPT` stay; they share their memory, as
  much as the largest of them needs. What is packed is made plain in it, matrix by matrix, as without a graph.
* Whatever cannot be captured (memory that is not there, a kernel that has been given up) is read by the model itself from then
  on. Interrupts, `Cancelled` and `MemoryExceeded` leave empty slots behind, as there; it is asked once whether the pass is
  called off, before it: it is no longer than a few layers of a full chunk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from modeling import kernels
from modeling.graph import Captured, Pool
from modeling.memory import PAGE
from modeling.models import LanguageModel
from modeling.padded import PaddedKV, PaddedMamba, PaddedSlots
from modeling.state import Cancelled, Extension, LayerState, ModelState

LENGTHS = (16, 32, 64, 128, 192, 256, 384, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048)
ROWS = (1, 2, 4, 8, 16, 32, 64)
TOKENS = 2048
"""The most that all rows of a program have together, padding included: beyond, a pass is bound by its products."""
LAUNCHES = 1024
"""In tokens, what a pass without a graph takes at the least."""
PASS = 128
"""In tokens, what a pass costs beside its own: the weights are read once more."""
REACHES = (1024, 4096, 16384, 65536, 262144, 1048576)
"""Positions in the block table of a row."""
KEPT = 24


class Shape(NamedTuple):
    """Of a program: rows, tokens of each, and positions that each may look back on (0: there is no attention)."""

    rows: int
    length: int
    reach: int


@dataclass(frozen=True, slots=True)
class PromptInputs:
    """What a program reads: `pages` (b, m), `rows` (b, 3) as in `modeling.padded`, `ids` (b, l), int32; one after the other in
    `all`, so that one copy brings them."""

    all: Tensor
    pages: Tensor
    rows: Tensor
    ids: Tensor

    @classmethod
    @torch.inference_mode(False)
    def zeros(cls, shape: Shape, device: torch.device) -> PromptInputs:
        b, m = shape.rows, shape.reach // PAGE
        numbers = torch.zeros(b * (m + 3 + shape.length), dtype=torch.int32, device=device)
        pages, rows, ids = numbers.split([b * m, b * 3, b * shape.length])
        return cls(numbers, pages.view(b, m), rows.view(b, 3), ids.view(b, shape.length))

    def fill(self, pages: Sequence[Sequence[int]], rows: Sequence[Sequence[int]], ids: Sequence[Sequence[int]]) -> None:
        """The first rows; there are none behind them."""
        numbers: list[int] = []
        for table, target in ((pages, self.pages), (rows, self.rows), (ids, self.ids)):
            count, width = target.shape
            for row in table:
                numbers += [*row, *[0] * (width - len(row))]
            numbers += [0] * (width * (count - len(table)))
        host = torch.tensor(numbers, dtype=torch.int32, pin_memory=self.all.is_cuda)
        self.all.copy_(host, non_blocking=True)


class PromptProgram:
    """One pass of `shape`: extends the slots that `inputs` name by the tokens there."""

    def __init__(self, model: LanguageModel, state: ModelState, shape: Shape) -> None:
        self.inputs = inputs = PromptInputs.zeros(shape, model.device)
        self._model = model
        memories = [PaddedMamba(PaddedSlots(m.conv, inputs.rows), PaddedSlots(m.ssm, inputs.rows)) for m in state.mamba]
        self._layers = [LayerState(memory) for memory in memories]
        if state.pool is not None:
            for layer, keys, values in zip(self._layers, state.pool.keys, state.pool.values, strict=True):
                layer.kv = PaddedKV(keys, values, inputs.rows, inputs.pages)

    def __call__(self) -> Tensor:
        """→ logits (b, v) fp32 behind the last token of each row."""
        (b, length), rows = self.inputs.ids.shape, self.inputs.rows
        tokens = torch.arange(b * length, device=rows.device).view(b, length)
        positions = rows[:, 1, None] + tokens[0]  # b l
        h = self._model.hidden(self.inputs.ids, Extension(self._layers, positions))  # b l d
        last = tokens[:, 0] + (rows[:, 2] - 1).clamp(min=0)  # b
        return self._model.logits(h.flatten(0, 1).index_select(0, last))


class Prompts:
    """The programs of a model and its memory: one for each shape, built when it is needed, held by a CUDA graph."""

    def __init__(self, model: LanguageModel, state: ModelState) -> None:
        self._model = model
        self._state = state
        self._pool = Pool(model.device)
        self._programs: OrderedDict[Shape, tuple[PromptProgram, Captured[Tensor]]] = OrderedDict()
        self._failed = False

    def takes(self, lengths: Sequence[int]) -> bool:
        """Whether there is a program for rows of so many tokens."""
        return not self._failed and not kernels.current().reasons and _fit(lengths) is not None

    def share(self, lengths: Sequence[int]) -> Sequence[int]:
        """As `Runner.share`: the first rows whole, or what all have in common, if to go on so costs less for each token."""
        common = [lengths[0]] * len(lengths)
        whole = [lengths[:count] for count in range(1, len(lengths) + 1) if self.takes(lengths[:count])]
        if not whole:
            return common
        best = min(whole, key=lambda way: self._price(way) / sum(way))
        steps = [[b - a] * (len(lengths) - i) for i, (a, b) in enumerate(pairwise([0, *lengths])) if b > a]
        in_common = sum(self._price(step) for step in steps) / sum(lengths)
        return best if self._price(best) / sum(best) <= in_common else common

    def _price(self, lengths: Sequence[int]) -> int:
        """Of a pass, in tokens."""
        fit = _fit(lengths) if self.takes(lengths) else None
        return PASS + (max(LAUNCHES, sum(lengths)) if fit is None else fit[0] * fit[1])

    def read(self, ids: Sequence[Sequence[int]], slot: int, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """Extend the b slots from `slot` on, each by a row of ids, as long as it is → logits (b, v) fp32 behind its last one.

        Raises as `ModelState.growing`, and `Cancelled`.
        """
        state, lengths = self._state, [len(row) for row in ids]
        with state.growing(slot, lengths):
            if cancelled is not None and cancelled():
                raise Cancelled
            slots = range(slot, slot + len(ids))
            rows = [(each, state.lengths[each], length) for each, length in zip(slots, lengths, strict=True)]
            program, run = self._program(rows)
            program.inputs.fill([state.pages[each] for each in slots] if state.pool else [], rows, ids)
            logits = run()[: len(ids)].clone()  # the next pass writes there again
            if run.failed:
                self._failed = True
                self._programs.clear()
        return logits

    def _program(self, rows: Sequence[tuple[int, int, int]]) -> tuple[PromptProgram, Captured[Tensor]]:
        fit = _fit([length for _, _, length in rows])
        assert fit is not None, "`takes` is asked first"
        most = max(start + length for _, start, length in rows)
        shape = Shape(*fit, next(reach for reach in REACHES if reach >= most) if self._state.pool else 0)
        if shape not in self._programs:
            program = PromptProgram(self._model, self._state, shape)
            self._programs[shape] = program, Captured(program, self._model.device, pool=self._pool)
            if len(self._programs) > KEPT:
                self._programs.popitem(last=False)
        self._programs.move_to_end(shape)
        return self._programs[shape]


def _fit(lengths: Sequence[int]) -> tuple[int, int] | None:
    """Rows and tokens of the smallest program that takes rows of these lengths; None if there is none."""
    rows = next((size for size in ROWS if size >= len(lengths)), None)
    length = next((size for size in LENGTHS if size >= max(lengths)), None)
    return (rows, length) if rows and length and rows * length <= TOKENS else None


def prompts_for(model: LanguageModel, state: ModelState) -> Prompts | None:
    """The programs of a model that is wholly on one device; None if there are none for it: without Triton's kernels."""
    on_gpu = model.device.type == "cuda" and kernels.current().name == "triton"
    return Prompts(model, state) if on_gpu and all(weight.device == model.device for weight in model.parameters()) else None
