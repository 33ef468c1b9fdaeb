"""Without a GPU nothing here runs; but the kernels that these tests import are those of the others, in the interpreter."""

from __future__ import annotations

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the first kernel is defined
