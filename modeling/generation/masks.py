"""Which tokens the rows of a batch may draw next, where some are held to a form: worked out on the host, beside the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from modeling.generation.answer import Answer


class Masks:
    """The masks (b, v) bool of rows of a vocabulary of v tokens. A row that is free may draw any."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self._vocab_size = vocab_size
        self._device = device
        self._worker: ThreadPoolExecutor | None = None

    def concern(self, answers: Sequence[Answer]) -> bool:
        """Whether any of the rows is held to a form."""
        return any(answer.matcher is not None for answer in answers)

    def beside(self, answers: Sequence[Answer]) -> Callable[[], Tensor | None]:
        """Begin to work out the masks in a thread; what is returned waits for them. None for rows that are all free."""
        if not self.concern(answers):
            return lambda: None
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="masks")
        return self._worker.submit(self.of, answers).result

    def of(self, answers: Sequence[Answer]) -> Tensor | None:
        """The masks of these rows; None if they are all free."""
        if not self.concern(answers):
            return None
        words = -(-self._vocab_size // 32)
        free = b"\xff" * (4 * words)
        bits = b"".join(free if answer.matcher is None else answer.matcher.bits() for answer in answers)
        packed = torch.frombuffer(bytearray(bits), dtype=torch.uint8).view(len(answers), 4 * words, 1)
        if self._device.type == "cuda":
            packed = packed.pin_memory().to(self._device, non_blocking=True)
        packed = packed.to(self._device)
        places = torch.arange(8, dtype=torch.uint8, device=self._device)
        return (packed >> places & 1).bool().flatten(1)[:, : self._vocab_size]
