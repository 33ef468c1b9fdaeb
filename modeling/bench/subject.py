"""What is measured: a loaded model, and what is told of it with every figure."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from modeling.bench.ceiling import cpu_name
from modeling.generation.engine import Engine
from modeling.messages import ModelInfo, SamplingParams
from modeling.models import LanguageModel
from modeling.roofline import Roofline
from modeling.timings import Ceiling, Setup


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with `engine(slots, context)`, which makes a new engine on it. `folder` has its config.json."""

    model: LanguageModel
    folder: Path
    engine: Callable[[int, int], Engine]
    describe: Callable[[Engine], ModelInfo]
    roofline: Roofline
    ceiling: Ceiling
    sampling: SamplingParams
    load_seconds: float
    random_weights: bool

    def setup(self, engine: Engine) -> Setup:
        """What the figures of `engine` depend on."""
        device = self.model.device
        return Setup(
            info=self.describe(engine),
            ceiling=self.ceiling,
            sampling=self.sampling,
            load_seconds=self.load_seconds,
            prefill_chunk=engine.runner.prefill_chunk,
            threads=torch.get_num_threads(),
            cpu=cpu_name(),
            gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else "",
            versions=f"python {sys.version.split()[0]}, torch {torch.__version__}",
            random_weights=self.random_weights,
        )


class Numbers:
    """ids → text without a tokenizer."""

    def push(self, id: int) -> str:
        return f"{id} "

    def flush(self) -> str:
        return ""


def warm_ups(device: torch.device) -> int:
    """How often to run a shape before it is timed: on a GPU the second time makes a graph of a prompt (`decode.prompts`)."""
    return 2 if device.type == "cuda" else 1


def now() -> str:
    """The time in UTC, as llama-bench writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clear() -> None:
    """Give back the memory of models and engines that nobody holds any more: they are full of cycles."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def weights_read(model: LanguageModel) -> int:
    """Bytes of all weights but an embedding that serves for nothing else: a step reads some rows of that."""
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    multiplied = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Linear)}
    return sum(weight.nbytes for weight in model.parameters() if id(weight) not in looked_up - multiplied)
