"""Where the kernels run."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton", reason="no triton here: pip install '.[test]' brings it")


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
