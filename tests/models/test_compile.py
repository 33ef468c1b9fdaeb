"""`torch.compile(model)`, which the model cards recommend, takes the readable path as one graph."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch


def test_a_model_compiles_without_graph_breaks(quirky: Any, cases: ModuleType) -> None:
    model, ids = cases.model(quirky), cases.tokens(quirky, 2, 9)
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(model, backend="eager", fullgraph=True)  # a graph break is an error
        torch.testing.assert_close(compiled(ids), model(ids))
