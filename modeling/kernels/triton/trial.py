"""The smallest kernel there is: does Triton run here at all?"""

# Triton's language is typed by its own compiler.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, import-not-found, import-untyped"

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _answer(out):
    tl.store(out, 42)


def trial(device: torch.device) -> None:
    """Compile and run it. Raises whatever is missing, and `RuntimeError` if its answer is wrong."""
    out = torch.zeros((), dtype=torch.int32, device=device)
    with torch.cuda.device(device):
        _answer[(1,)](out)
    if int(out) != 42:
        raise RuntimeError("its answer is wrong")
