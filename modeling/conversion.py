"""What is asked of a quantization, and what it gives: words for both sides of the door, without tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modeling.errors import InvalidRequest
from modeling.messages import DType
from modeling.quantization import BLOCKS, Form, QuantType

SHARD = 5 * 10**9  # bytes of one file, at the most, as huggingface_hub splits


@dataclass(frozen=True, slots=True)
class QuantizeRequest:
    """A checkpoint to write. `skip` are patterns of layers that stay plain, `head` packs the head, too.

    `compute_dtype` is what others than falcon are to multiply in; "auto": the dtype of the weights. `shard_size` bounds the
    files, in bytes. `resume` goes on where a run of the same request was killed, `force` replaces what is there.

    Raises `InvalidRequest` for a block size that is none.
    """

    out: Path
    type: QuantType = "nf4"
    double: bool = True
    block: int = 64
    skip: tuple[str, ...] = ()
    head: bool = False
    compute_dtype: DType = "auto"
    shard_size: int = SHARD
    device: str = "auto"
    resume: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if self.block not in BLOCKS:
            raise InvalidRequest(f"there are no blocks of {self.block} weights", f"choose {', '.join(map(str, BLOCKS))}")
        if self.shard_size < 1:
            raise InvalidRequest("a shard needs at least one byte", "for example 5GB")

    @property
    def form(self) -> Form:
        return Form("int8") if self.type == "int8" else Form(self.type, self.block, self.double)


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one tensor: bytes `before` and `after`, scales included. `form` is "nf4-dq", … or the dtype it keeps."""

    name: str
    form: str
    weights: int
    before: int
    after: int

    @property
    def bits(self) -> float:
        """Bits for each weight, afterwards."""
        return 8 * self.after / self.weights if self.weights else 0.0


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a quantization does, tensor by tensor in the order of the files; `skip` is what config.json names as plain."""

    out: Path
    changes: tuple[Change, ...]
    shards: Mapping[str, int]  # file → bytes of tensors
    skip: tuple[str, ...]

    @property
    def before(self) -> int:
        return sum(change.before for change in self.changes)

    @property
    def after(self) -> int:
        return sum(change.after for change in self.changes)

    @property
    def weights(self) -> int:
        return sum(change.weights for change in self.changes)
