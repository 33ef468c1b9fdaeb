"""The tensors in which a model remembers: recurrent ones of constant size, and pages of keys and values.

Whose they are, and of which tokens, is known to `modeling.state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby

import torch
from torch import Tensor

from modeling.errors import MemoryExceeded

PAGE = 256  # tokens


@dataclass(slots=True)
class MambaState:
    """Recurrent memory of one mixer: `conv` (slots, c, k), the last k inputs; `ssm` (slots, e, n) or (slots, h, p, n), fp32.

    A block of such memories has the layers in front of the slots.
    """

    conv: Tensor
    ssm: Tensor

    @classmethod
    @torch.inference_mode(False)  # written in place by whoever holds it, in whichever mode
    def zeros(
        cls, *lead: int, conv: tuple[int, int], ssm: tuple[int, ...], dtype: torch.dtype, device: torch.device
    ) -> MambaState:
        """An empty memory: `lead` is its slots, or its layers and slots; `conv` is (c, k), `ssm` one slot's shape."""
        return cls(
            torch.zeros(*lead, *conv[::-1], dtype=dtype, device=device).mT,  # laid out tap by tap, as tokens come in
            torch.zeros(*lead, *ssm, dtype=torch.float32, device=device),
        )

    @classmethod
    def blocks(
        cls, devices: Sequence[torch.device], slots: int, conv: tuple[int, int], ssm: tuple[int, ...], dtype: torch.dtype
    ) -> list[MambaState]:
        """Empty memories for layers on `devices`, a block for each device's neighbours."""
        runs = [(device, sum(1 for _ in run)) for device, run in groupby(devices)]
        return [cls.zeros(count, slots, conv=conv, ssm=ssm, dtype=dtype, device=device) for device, count in runs]

    def layers(self) -> list[MambaState]:
        """The memories of a block's layers, as views."""
        return [MambaState(conv, ssm) for conv, ssm in zip(self.conv, self.ssm, strict=True)]

    def slots(self, start: int, stop: int) -> MambaState:
        """A block's memory of slots start … stop−1, as views."""
        return MambaState(self.conv[:, start:stop], self.ssm[:, start:stop])

    def copy_(self, other: MambaState) -> None:
        self.conv.copy_(other.conv)
        self.ssm.copy_(other.ssm)

    def to_host(self) -> MambaState:
        """A copy on the CPU."""
        return MambaState(self.conv.to("cpu", copy=True), self.ssm.to("cpu", copy=True))

    def zero_(self) -> None:
        self.conv.zero_()
        self.ssm.zero_()

    @property
    def nbytes(self) -> int:
        return self.conv.nbytes + self.ssm.nbytes


class KVPool:
    """A fixed number of pages for the keys and values of all attention layers, handed out by reference count.

    `keys[i]`, `values[i]` (pages · PAGE, g, p) belong to layer i. Page numbers are the same in every layer.
    """

    @torch.inference_mode(False)
    def __init__(self, pages: int, shape: tuple[int, int], dtype: torch.dtype, devices: Sequence[torch.device]) -> None:
        """`shape` is (g, p); one pair of tensors for each of `devices`. Memory is only reserved: untouched pages cost nothing
        on a CPU."""
        self.keys = [torch.empty(pages * PAGE, *shape, dtype=dtype, device=device) for device in devices]
        self.values = [torch.empty_like(keys) for keys in self.keys]
        self.references = [0] * pages
        self.free = list(range(pages))  # a heap: the lowest number is handed out first, so that neighbours stay neighbours

    @property
    def bytes_per_page(self) -> int:
        return sum(2 * keys.nbytes for keys in self.keys) // max(1, len(self.references))

    def take(self) -> int:
        """A free page, referenced once. Raises `MemoryExceeded` when all are in use."""
        if not self.free:
            raise MemoryExceeded(
                f"all {len(self.references) * PAGE} positions of the key-value cache are in use",
                "shorten the prompt, ask for fewer tokens or run fewer sequences at once",
            )
        page = heappop(self.free)
        self.references[page] = 1
        return page

    def share(self, pages: Sequence[int]) -> None:
        for page in pages:
            self.references[page] += 1

    def release(self, pages: Sequence[int]) -> None:
        for page in pages:
            self.references[page] -= 1
            if self.references[page] == 0:
                heappush(self.free, page)

    def own(self, page: int) -> int:
        """A page with the same content that nobody else holds: `page` itself, or a copy of it in all layers."""
        if self.references[page] == 1:
            return page
        copy = self.take()
        for tensor in (*self.keys, *self.values):
            tensor[copy * PAGE : (copy + 1) * PAGE] = tensor[page * PAGE : (page + 1) * PAGE]
        self.release([page])
        return copy


@dataclass(slots=True)
class KVCache:
    """One layer's keys and values as the rows at work see them: where the new tokens go and where each row's past lies.

    `keys`, `values` (pages · PAGE, g, p); `written` (b · l) indices of the new tokens; `context[i]` all positions of row i, the
    new ones included, in order: a slice where its pages are neighbours, else indices.
    """

    keys: Tensor
    values: Tensor
    written: Tensor
    context: list[slice | Tensor]

    def write(self, k: Tensor, v: Tensor) -> None:
        """Store the new tokens' k, v (b, l, g, p)."""
        self.keys[self.written] = k.flatten(0, 1)
        self.values[self.written] = v.flatten(0, 1)

    def read(self, row: int) -> tuple[Tensor, Tensor]:
        """Keys and values (m, g, p) of all m positions of a row."""
        return self.keys[self.context[row]], self.values[self.context[row]]


def layers_of(blocks: Iterable[MambaState]) -> list[MambaState]:
    """Each layer's part of the blocks."""
    return [layer for block in blocks for layer in block.layers()]
