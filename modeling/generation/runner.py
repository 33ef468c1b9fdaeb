"""The runner: a model and the memory of its slots. Prompts go in chunk by chunk, decode steps for the first b slots at once.

It knows a model by its methods only, so a toy serves as well as a Falcon. `Programs` are the other way to take a step: on a
device that runs ahead of the host (`steps`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from modeling.errors import MemoryExceeded


class SlotState(Protocol):
    """What the engine asks of a model's memory; `modeling.state.ModelState` has more.

    `pages` are only asked for where there are `Programs`, `make_trail` and `go_back` where tokens are looked up, `reserve` in
    both.
    """

    lengths: list[int]
    pages: list[list[int]]

    def reserve(self, start: int, stop: int, length: int) -> None: ...

    def reset(self, slot: int) -> None: ...

    def leave(self, slot: int, snapshot: Any) -> None: ...

    def move(self, source: int, target: int) -> None: ...

    def fork(self, source: int, target: int) -> None: ...

    def snapshot(self, slot: int) -> Any: ...

    def restore(self, slot: int, snapshot: Any) -> None: ...

    def make_trail(self, length: int) -> Any: ...

    def go_back(self, slot: int, length: int, kept: int, trail: Any) -> None: ...


class Model(Protocol):
    """What the runner asks of a model.

    `config.vocab_size` is the width v of its logits; `max_positions` the longest sequence it was built for (None: any).
    `prefill` extends the b slots from `slot` on by ids (b, l) and returns logits (b, v) fp32 of the last position, or raises
    `Cancelled` as soon as `cancelled` says so; `step` extends slots 0 … b−1 by one of ids (b) each and returns logits (b, v)
    fp32. `walk` extends slot 0 by ids (l) with the bits of l steps and returns hidden states h (l, d), `scores` makes logits
    (1, v) fp32 of one of them (1, d).
    """

    max_positions: int | None

    @property
    def config(self) -> Any: ...

    @property
    def device(self) -> torch.device: ...

    def make_state(self, slots: int, tokens: int | None = None) -> Any: ...

    def prefill(self, ids: Tensor, state: Any, slot: int, cancelled: Callable[[], bool] | None = None) -> Tensor: ...

    def step(self, ids: Tensor, state: Any) -> Tensor: ...

    def walk(self, ids: Tensor, state: Any, trail: Any) -> Tensor: ...

    def scores(self, h: Tensor) -> Tensor: ...


class StepInputs(Protocol):
    """What a program reads of the slots; `modeling.decode.inputs.StepInputs` says more."""

    @property
    def ids(self) -> Tensor: ...

    @property
    def active(self) -> Tensor: ...

    @property
    def lengths(self) -> Tensor: ...

    @property
    def pages(self) -> Tensor: ...


class Programs(Protocol):
    """Decode steps that need nothing of the host: `run` extends the active ones of slots 0 … rows−1 by the tokens in `inputs`
    and returns logits (≥ rows, v) fp32, valid until the next run. It changes nothing in `inputs`.

    `pick` takes the best token of each row of logits (b, v) and feeds it back, in place of a sampler: it becomes the row's next
    id, the length of an active row grows, and a row that `heeds` (b) bool one of `stops` (k) and got it is active no more. It
    returns ids (b) int64 and whether all logits of the row are finite (b) bool.
    """

    @property
    def inputs(self) -> StepInputs: ...

    def run(self, rows: int) -> Tensor: ...

    def pick(self, logits: Tensor, stops: Tensor, heeds: Tensor) -> tuple[Tensor, Tensor]: ...


class Prompts(Protocol):
    """Short prompts that are read in one launch: `read` extends the b slots from `slot` on, each by a row of ids as long as it
    is, and returns logits (b, v) fp32 behind its last token. It raises as `Model.prefill`, but may ask `cancelled` only before
    the pass. `takes` tells for which lengths of rows there is a way. `share` is `Runner.share`.
    """

    def takes(self, lengths: Sequence[int]) -> bool: ...

    def share(self, lengths: Sequence[int]) -> Sequence[int]: ...

    def read(self, ids: Sequence[Sequence[int]], slot: int, cancelled: Callable[[], bool] | None = None) -> Tensor: ...


class Runner:
    """Runs a model over `slots` independent sequences.

    `prefill_chunk` is the most tokens of a prompt fed at once: it bounds the memory of a prefill and the wait of the others.
    `context` is the room for tokens in each slot of a model whose memory grows (default: as many as it has positions); a model
    without a limit of positions needs none and ignores it. `prompts`, if there are some, read
    what they take in place of the model. Raises `MemoryExceeded` if the memory of the slots cannot be had.
    """

    def __init__(self, model: Model, slots: int, prefill_chunk: int, context: int | None = None) -> None:
        if slots < 1 or prefill_chunk < 1:
            raise ValueError(f"slots ({slots}) and prefill_chunk ({prefill_chunk}) must be at least 1")
        self.model = model
        self.slots = slots
        self.prefill_chunk = prefill_chunk
        self.device = model.device
        self.vocab_size = int(model.config.vocab_size)
        limit = model.max_positions
        self.prompts: Prompts | None = None
        self.max_positions = limit if limit is None or context is None else min(limit, context)
        with memory_errors():
            self.state: SlotState = model.make_state(slots, None if limit is None else self.max_positions)

    def share(self, lengths: Sequence[int]) -> Sequence[int]:
        """Of rows that have so many tokens left to read, the fewest first: how many the first of them read in the next pass.
        What all have in common, or else what is worth more."""
        common = [lengths[0]] * len(lengths)
        return self.prompts.share(lengths) if self.prompts is not None and lengths[0] else common

    @torch.inference_mode()
    def prefill(self, ids: Sequence[Sequence[int]], slot: int, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """Extend the b slots from `slot` on by a chunk each, as `share` has it → logits (b, v) fp32 after their last tokens.

        Raises `MemoryExceeded`, and `Cancelled` within a layer's time, or that of a short chunk, once `cancelled` says so; the
        slots are then void.
        """
        with memory_errors():
            if self.prompts is not None and self.prompts.takes([len(row) for row in ids]):
                return self.prompts.read(ids, slot, cancelled)
            return self.model.prefill(torch.tensor(ids, device=self.device), self.state, slot, cancelled).to(self.device)

    @torch.inference_mode()
    def decode(self, ids: Sequence[int]) -> Tensor:
        """Extend slots 0 … b−1 by one token each → logits (b, v) fp32. Raises `MemoryExceeded`; these slots are then void."""
        with memory_errors():
            return self.model.step(torch.tensor(ids, device=self.device), self.state).to(self.device)

    def make_trail(self, length: int) -> Any:
        """Room to go back by up to `length` tokens after a walk. Raises `MemoryExceeded`."""
        with memory_errors():
            return self.state.make_trail(length)

    @torch.inference_mode()
    def walk(self, ids: Sequence[int], trail: Any) -> Tensor:
        """Extend slot 0 by l tokens → last hidden states (l, d), for `scores`. Raises `MemoryExceeded`; it is then void."""
        with memory_errors():
            return self.model.walk(torch.tensor(ids, device=self.device), self.state, trail)

    @torch.inference_mode()
    def scores(self, h: Tensor) -> Tensor:
        """Logits (1, v) fp32 of one of them (1, d)."""
        with memory_errors():
            return self.model.scores(h).to(self.device)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raises `MemoryExceeded` in place of whatever torch raises when a device's memory runs out."""
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        first_line, *_ = str(error).splitlines() or [""]
        raise MemoryExceeded(
            f"the device ran out of memory: {first_line}",
            "feed smaller chunks, run fewer sequences at once or shorten the context",
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    """A GPU's allocator raises a class of its own; the allocators of the CPU and of MPS only say so."""
    words = ("can't allocate memory", "not enough memory", "out of memory")  # Linux and macOS, Windows, MPS
    return isinstance(error, torch.OutOfMemoryError) or any(saying in str(error) for saying in words)
