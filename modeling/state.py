"""What a model remembers, by slot. A state *is* the record of one exact sequence of tokens.

    ModelState(slots)
    ├── MambaState per layer    conv (slots, c, k) in the model's dtype, ssm (slots, …) fp32: constant size, whatever the
    │                           length; those of one device are one block, so that a slot is copied or emptied at once
    └── KVPool                  Falcon-H1 only: pages of 256 tokens, reference-counted, shared by slots and snapshots
        └── pages per layer     keys, values (pages · 256, g, p)

Everything is allocated once and written in place, so addresses stay valid for a captured graph. A forward pass goes through
`ModelState.extend`, which hands each layer its part (`LayerState`) for the rows at work and counts the tokens if all went well.
Forking and snapshots share pages; whoever writes into a shared page copies it first.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from modeling.errors import InvalidRequest, StateRefused
from modeling.memory import PAGE, KVCache, KVPool, MambaState, layers_of
from modeling.padded import PaddedKV, PaddedMamba
from modeling.walk import Trace, Trail, WalkedKV, WalkedMamba


class Cancelled(Exception):
    """A pass through the layers was called off on its way. No error: it ends with whoever called it off."""


MixerMemory: TypeAlias = MambaState | WalkedMamba | PaddedMamba
AttentionMemory: TypeAlias = KVCache | WalkedKV | PaddedKV


@dataclass(slots=True)
class LayerState:
    """What one block receives: its part of the memory for the b rows at work."""

    mamba: MixerMemory
    kv: AttentionMemory | None = None


@dataclass(slots=True)
class Extension:
    """A forward pass in preparation: `layers` of memory for its rows and the absolute `positions` (b, l) of its tokens."""

    layers: Iterable[LayerState]
    positions: Tensor


class Snapshot:
    """A copy of one slot's memory: recurrent tensors by value, KV pages by reference (given back when it is garbage)."""

    def __init__(self, length: int, blocks: list[MambaState], pages: list[int], pool: KVPool | None) -> None:
        self.length = length
        self.blocks = blocks
        self.pages = pages
        self.pool = pool
        if pool is not None:
            pool.share(pages)
            weakref.finalize(self, pool.release, list(pages))

    @property
    def nbytes(self) -> int:
        """Bytes of the recurrent tensors; shared pages belong to the pool."""
        return sum(block.nbytes for block in self.blocks)

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, on the CPU: conv (c, k), ssm (…) and, with a pool, keys, values (length, g, p) of each layer."""
        found: dict[str, Tensor] = {}
        for i, layer in enumerate(layers_of(self.blocks)):
            found |= {f"{i}.conv": layer.conv[0].cpu(), f"{i}.ssm": layer.ssm[0].cpu()}
            if self.pool is not None:
                rows = _rows_of(self.pages, self.length)
                for name, memory in (("keys", self.pool.keys[i]), ("values", self.pool.values[i])):
                    found[f"{i}.{name}"] = memory[rows if isinstance(rows, slice) else rows.to(memory.device)].cpu()
        return found


class ModelState:
    """The memory of `slots` independent sequences. `lengths[i]` is the number of tokens that slot i has consumed."""

    def __init__(self, blocks: list[MambaState], pool: KVPool | None = None) -> None:
        """`blocks` as `MambaState.blocks` makes them; `mamba` has each layer's part of them."""
        self.blocks = blocks
        self.mamba = layers_of(blocks)
        self.pool = pool
        self.slots = self.mamba[0].conv.shape[0]
        self.lengths = [0] * self.slots
        self.pages: list[list[int]] = [[] for _ in range(self.slots)]
        self._left: dict[int, weakref.ref[Snapshot]] = {}  # empty slots whose memory is still what a snapshot was taken of

    @property
    def nbytes(self) -> int:
        """Bytes in use: the recurrent tensors of all slots and the pages that hold something."""
        used = 0 if self.pool is None else len(self.pool.references) - len(self.pool.free)
        return sum(block.nbytes for block in self.blocks) + (used * self.pool.bytes_per_page if self.pool else 0)

    def reset(self, slot: int) -> None:
        """Make a slot the record of the empty sequence."""
        for block in self._slots(slot, slot + 1):
            block.zero_()
        self._set(slot, 0, [])
        self._left.pop(slot, None)

    def leave(self, slot: int, snapshot: Snapshot) -> None:
        """Empty a slot of which `snapshot` was just taken. Whoever brings that back to this slot before anything else happens
        to it finds its memory there, and nothing is copied."""
        self._set(slot, 0, [])
        self._left[slot] = weakref.ref(snapshot)

    def _enter(self, slot: int) -> None:
        """Make sure that an empty slot is one: it goes on from there."""
        if slot in self._left:
            self.reset(slot)

    def move(self, source: int, target: int) -> None:
        """Let `target` continue the sequence of `source`, and empty `source`. Its own sequence is forgotten."""
        if source == target:
            return
        self._enter(source)
        self._copy(source, target)
        self._set(target, self.lengths[source], self.pages[source], share=True)  # what is reserved goes along
        self.reset(source)

    def fork(self, source: int, target: int) -> None:
        """Make `target` a second record of the sequence in `source`; the two go on independently."""
        if source == target:
            return
        self._enter(source)
        self._copy(source, target)
        self._set(target, self.lengths[source], self._used(source), share=True)

    def snapshot(self, slot: int) -> Snapshot:
        """A copy of a slot that `restore` can bring back, into any slot and any number of times. It lies in host memory."""
        self._enter(slot)
        blocks = [block.to_host() for block in self._slots(slot, slot + 1)]
        return Snapshot(self.lengths[slot], blocks, self._used(slot), self.pool)

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Make a slot the record of the sequence that the snapshot was taken of.

        Raises `StateRefused` for a snapshot whose pages lie in another pool.
        """
        if snapshot.pool is not self.pool:
            raise StateRefused("this snapshot was taken of another memory", "feed its tokens again instead")
        left = self._left.pop(slot, None)
        if left is None or left() is not snapshot:
            for block, saved in zip(self._slots(slot, slot + 1), snapshot.blocks, strict=True):
                block.copy_(saved)
        self._set(slot, snapshot.length, snapshot.pages, share=True)

    def adopt(self, tensors: Mapping[str, Tensor], length: int) -> Snapshot:
        """The snapshot whose `tensors` these are, in this memory.

        Raises `StateRefused` if they are of another shape or dtype, `MemoryExceeded` if there are not enough pages for them.
        """
        for name, (shape, dtype) in self._stored(length).items():
            found = tensors.get(name)
            if found is None or found.shape != shape or found.dtype != dtype:
                raise StateRefused("the state has another shape than this model's", "feed its tokens again instead")
        blocks = [block.slots(0, 1).to_host() for block in self.blocks]
        for i, layer in enumerate(layers_of(blocks)):
            layer.copy_(MambaState(tensors[f"{i}.conv"][None], tensors[f"{i}.ssm"][None]))
        if self.pool is None:
            return Snapshot(length, blocks, [], None)
        pages: list[int] = []
        try:
            while len(pages) * PAGE < length:
                pages.append(self.pool.take())
            rows = _rows_of(pages, length)
            for i, (keys, values) in enumerate(zip(self.pool.keys, self.pool.values, strict=True)):
                keys[rows], values[rows] = tensors[f"{i}.keys"].to(keys), tensors[f"{i}.values"].to(values)
            return Snapshot(length, blocks, pages, self.pool)
        finally:
            self.pool.release(pages)  # the snapshot holds them, if it came to be

    def _stored(self, length: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shape and dtype of each of a snapshot's `tensors`."""
        found: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
        for i, layer in enumerate(self.mamba):
            found[f"{i}.conv"] = (tuple(layer.conv.shape[1:]), layer.conv.dtype)
            found[f"{i}.ssm"] = (tuple(layer.ssm.shape[1:]), layer.ssm.dtype)
            if self.pool is not None:
                memory = self.pool.keys[i]
                found[f"{i}.keys"] = found[f"{i}.values"] = ((length, *memory.shape[1:]), memory.dtype)
        return found

    def _slots(self, start: int, stop: int) -> list[MambaState]:
        """The blocks of slots start … stop−1, as views. Raises `IndexError` where a slice would just be empty."""
        if not 0 <= start < stop <= self.slots:
            raise IndexError(f"there are no slots {start} … {stop - 1}: this memory has {self.slots}")
        return [block.slots(start, stop) for block in self.blocks]

    def _copy(self, source: int, target: int) -> None:
        """The recurrent memory of one slot into another."""
        self._left.pop(target, None)
        for block, other in zip(self._slots(target, target + 1), self._slots(source, source + 1), strict=True):
            block.copy_(other)

    def _used(self, slot: int) -> list[int]:
        """The pages that hold a slot's tokens. One that is only reserved must not be shared: both would write there."""
        return self.pages[slot][: -(-self.lengths[slot] // PAGE)]

    def _set(self, slot: int, length: int, pages: list[int], share: bool = False) -> None:
        """Point a slot at other pages; the new ones are taken before the old ones are given back, as they may be the same."""
        if self.pool is not None:
            if share:
                self.pool.share(pages)
            self.pool.release(self.pages[slot])
        self.pages[slot] = list(pages)
        self.lengths[slot] = length

    @contextmanager
    def extend(self, start: int, stop: int, length: int, cancelled: Callable[[], bool] | None = None) -> Iterator[Extension]:
        """Prepare slots start … stop−1 for `length` more tokens each, and count them when the block ends well.

        `cancelled` is asked before each layer: a yes lets the pass die there. Raises as `growing`, and `Cancelled`.
        """
        slots = range(start, stop)
        with self.growing(start, [length] * len(slots)):
            extension = self._extension(slots, layers_of(self._slots(start, stop)), length)
            if cancelled is not None:
                extension.layers = _unless(cancelled, extension.layers)
            yield extension

    @contextmanager
    def growing(self, start: int, lengths: Sequence[int]) -> Iterator[None]:
        """Give slots start, start + 1, … room for so many more tokens each, and count them when the block ends well.

        A forward pass that dies in the middle would leave some layers before and some after it: its slots are emptied instead,
        so that a state is never a record of nothing.

        Raises `MemoryExceeded`, with nothing changed, if the pages run out, and `InvalidRequest` for no tokens at all.
        """
        slots = range(start, start + len(lengths))
        self._slots(start, slots.stop)  # are there
        if min(lengths) < 1:
            raise InvalidRequest("there are no tokens to feed")
        self._reserve_all(slots, lengths)
        try:
            yield
            for slot, length in zip(slots, lengths, strict=True):
                self.lengths[slot] += length
        except BaseException:
            for slot in slots:
                self.reset(slot)
            raise

    def make_trail(self, length: int) -> Trail:
        """A trail for walks of up to `length` + 1 tokens."""
        conv, ssm = self.mamba[0].conv, self.mamba[0].ssm
        devices = [layer.conv.device for layer in self.mamba]
        shape = conv.shape[1], conv.shape[2]
        return Trail(MambaState.blocks(devices, length, shape, tuple(ssm.shape[1:]), conv.dtype))

    @contextmanager
    def walk(self, slot: int, length: int, trail: Trail) -> Iterator[Extension]:
        """As `extend` for one slot, but the tokens come one after the other in each layer, and `trail` takes what was
        remembered behind each of them: `go_back` can undo the last ones."""
        with self.growing(slot, [length]):
            yield self._walk(slot, length, trail)

    def _walk(self, slot: int, length: int, trail: Trail) -> Extension:
        first = self.lengths[slot]
        positions = torch.arange(first, first + length, device=self.mamba[0].conv.device)[None]  # 1 l
        layers = [
            LayerState(WalkedMamba(Trace(now.conv, kept.conv[:, None]), Trace(now.ssm, kept.ssm[:, None])))
            for now, kept in zip(layers_of(self._slots(slot, slot + 1)), trail.mamba, strict=True)
        ]
        if self.pool is not None:
            by_token = [list(self._caches([self._context(slot, first + t + 1)], 1)) for t in range(length)]
            for layer, caches in zip(layers, zip(*by_token, strict=True), strict=True):
                layer.kv = WalkedKV(caches)
        return Extension(layers, positions)

    def go_back(self, slot: int, length: int, kept: int, trail: Trail) -> None:
        """Undo all but the first `kept` (≥ 1) tokens of the last walk, which was of `length`."""
        if kept == length:
            return
        try:
            for block, past in zip(self._slots(slot, slot + 1), trail.blocks, strict=True):
                block.copy_(past.slots(kept - 1, kept))
            self.lengths[slot] += kept - length
        except BaseException:
            self.reset(slot)
            raise

    def reserve(self, start: int, stop: int, length: int) -> None:
        """Give slots start … stop−1 room for `length` more tokens each than they have.

        Raises `MemoryExceeded`, with nothing changed, if the pages run out.
        """
        self._reserve_all(range(start, stop), [length] * (stop - start))

    def _reserve_all(self, slots: range, lengths: Sequence[int]) -> None:
        """`reserve`, for so many tokens in each."""
        before = [len(self.pages[slot]) for slot in slots]
        for slot in slots:
            self._enter(slot)
        try:
            for slot, length in zip(slots, lengths, strict=True):
                self._reserve(slot, length)
        except BaseException:
            for slot, had in zip(slots, before, strict=True):
                self._return_beyond(slot, had)
            raise

    def _reserve(self, slot: int, length: int) -> None:
        """Give a slot pages for `length` more tokens, none of which anybody else can see."""
        if self.pool is None:
            return
        pages, used = self.pages[slot], self.lengths[slot]
        if used % PAGE:
            pages[used // PAGE] = self.pool.own(pages[used // PAGE])
        while len(pages) * PAGE < used + length:
            pages.append(self.pool.take())

    def _return_beyond(self, slot: int, kept: int) -> None:
        """Give back all but the first `kept` pages of a slot."""
        if self.pool is not None:
            self.pool.release(self.pages[slot][kept:])
            del self.pages[slot][kept:]

    def _extension(self, slots: range, mamba: list[MambaState], length: int) -> Extension:
        device = self.mamba[0].conv.device
        starts = torch.tensor([self.lengths[slot] for slot in slots], device=device)
        positions = starts[:, None] + torch.arange(length, device=device)  # b l
        if self.pool is None:
            return Extension([LayerState(layer) for layer in mamba], positions)
        caches = self._caches([self._context(slot, self.lengths[slot] + length) for slot in slots], length)
        return Extension([LayerState(layer, cache) for layer, cache in zip(mamba, caches, strict=True)], positions)

    def _caches(self, context: list[slice | Tensor], length: int) -> Iterator[KVCache]:
        """One `KVCache` a layer for rows at these positions, the last `length` of them new; the indices are worked out once and
        copied to each device once."""
        assert self.pool is not None
        written = torch.cat([_tail(rows, length) for rows in context])
        on_device: dict[torch.device, tuple[Tensor, list[slice | Tensor]]] = {}
        for keys, values in zip(self.pool.keys, self.pool.values, strict=True):
            if keys.device not in on_device:
                moved = [rows if isinstance(rows, slice) else rows.to(keys.device) for rows in context]
                on_device[keys.device] = (written.to(keys.device), moved)
            yield KVCache(keys, values, *on_device[keys.device])

    def _context(self, slot: int, length: int) -> slice | Tensor:
        """Where the first `length` tokens of a slot lie in a layer's keys and values."""
        return _rows_of(self.pages[slot], length)


def _rows_of(pages: Sequence[int], length: int) -> slice | Tensor:
    """Where the first `length` tokens lie that these pages hold: a slice if the pages are neighbours, else indices."""
    pages = list(pages[: -(-length // PAGE)])
    first = pages[0] if pages else 0
    if pages == list(range(first, first + len(pages))):
        return slice(first * PAGE, first * PAGE + length)
    rows = torch.tensor(pages)[:, None] * PAGE + torch.arange(PAGE)  # pages PAGE
    return rows.flatten()[:length]


def _unless(cancelled: Callable[[], bool], layers: Iterable[LayerState]) -> Iterator[LayerState]:
    for layer in layers:
        if cancelled():
            raise Cancelled
        yield layer


def _tail(rows: slice | Tensor, length: int) -> Tensor:
    """The last `length` indices of a context."""
    return torch.arange(rows.stop - length, rows.stop) if isinstance(rows, slice) else rows[-length:]
