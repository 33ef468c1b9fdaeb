"""The training loop: fresh conversations for every step, AdamW, a learning rate that falls to zero at the end of the budget.

On a GPU one step (forwards, backwards, clipping, update) is captured once for each length of rows as a CUDA graph: the models
are so small that launching their kernels one by one would take longer than running them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.models import LanguageModel
from scripts.demo.initial import learning_groups
from scripts.demo.rows import ASSISTANT, USER, Block, Maker, Order, produce
from scripts.demo.twins import in_place_of_references


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn.

    `phases` are (up to this share of the steps, {length of rows: share of the steps}): short chats first, long ones last, so
    that a model does not fall apart in them.
    """

    tokens: int = 32768  # of a step
    rate: float = 3e-3
    warmup: float = 0.02
    decay: float = 0.1
    clip: float = 1.0
    user_weight: float = 0.1
    phases: tuple[tuple[float, dict[int, float]], ...] = (
        (0.30, {128: 0.6, 256: 0.4}),
        (0.80, {128: 0.3, 256: 0.35, 512: 0.35}),
        (1.00, {128: 0.1, 256: 0.3, 512: 0.35, 1024: 0.2, 2048: 0.05}),
    )

    @property
    def lengths(self) -> list[int]:
        """All lengths of rows that occur."""
        return sorted({length for _, shares in self.phases for length in shares})

    def orders(self, steps: int, seed: int) -> Iterator[Order]:
        """The rows of every step, drawn from the seed."""
        draw = random.Random(f"{seed} orders")
        for step in range(steps):
            shares = next(shares for end, shares in self.phases if (step + 0.5) / steps < end)
            length = draw.choices(list(shares), list(shares.values()))[0]
            yield Order(step, max(1, self.tokens // length), length)

    def rate_at(self, progress: float) -> float:
        """The learning rate: a short way up, then straight down to zero."""
        return self.rate * min(1.0, progress / self.warmup) * min(1.0, (1.0 - progress) / (1.0 - self.warmup))


SMOKE_PLAN = Plan(tokens=512, rate=1e-2, warmup=0.1, phases=((1.0, {128: 1.0}),))


@dataclass
class Trainer:
    """A model, its optimizer, and one step of both."""

    model: LanguageModel
    plan: Plan
    device: torch.device
    losses: list[float] = field(default_factory=list)
    _graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.to(self.device).requires_grad_(True)
        groups = learning_groups(self.model, self.plan.decay)
        on_gpu = self.device.type == "cuda"
        for group in groups:
            group["lr"] = torch.zeros((), device=self.device) if on_gpu else 0.0
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-9, fused=on_gpu, capturable=on_gpu)
        self.weights = torch.tensor([0.0, self.plan.user_weight, 1.0], device=self.device)
        assert (USER, ASSISTANT) == (1, 2)

    def loss(self, ids: Tensor, kinds: Tensor) -> Tensor:
        """Cross entropy of the next token, mainly where the assistant speaks: ids, kinds (b, l)."""
        with torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda", cache_enabled=False):
            logits = self.model(ids[:, :-1])  # b l-1 v
        weights = self.weights[kinds[:, 1:].long()].flatten()
        each = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return (each * weights).sum() / weights.sum().clamp_min(1.0)

    def step(self, block: Block, rate: float) -> Tensor:
        """Learn from one block; the loss, still on the device."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * group["scale"])
            else:
                group["lr"] = rate * group["scale"]
        ids, kinds = torch.from_numpy(block.ids), torch.from_numpy(block.kinds)
        if self.device.type != "cuda":
            return self._update(ids.long(), kinds)
        graph, static_ids, static_kinds, loss = self._graphs[ids.shape[1]]
        static_ids.copy_(ids.pin_memory(), non_blocking=True)
        static_kinds.copy_(kinds.pin_memory(), non_blocking=True)
        graph.replay()
        return loss

    def _update(self, ids: Tensor, kinds: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=False)
        loss = self.loss(ids, kinds)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        self.optimizer.step()
        return loss.detach()

    def capture(self) -> dict[int, float]:
        """Record the step for every length of rows; seconds that each takes. The rate is 0: nothing is learned by it."""
        seconds = {}
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for length in reversed(self.plan.lengths):
            shape = (max(1, self.plan.tokens // length), length)
            ids = torch.randint(5, self.model.config.vocab_size, shape, device=self.device)
            kinds = torch.full(shape, ASSISTANT, dtype=torch.uint8, device=self.device)
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(2):
                    self._update(ids, kinds)
            torch.cuda.current_stream().wait_stream(side)
            torch.cuda.empty_cache()
            graph = torch.cuda.CUDAGraph()
            pool = next(iter(self._graphs.values()))[0].pool() if self._graphs else None
            with torch.cuda.graph(graph, pool=pool):
                loss = self._update(ids, kinds)
            self._graphs[length] = (graph, ids, kinds, loss)
            graph.replay()
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(5):
                graph.replay()
            torch.cuda.synchronize()
            seconds[length] = (time.perf_counter() - start) / 5
        for state in self.optimizer.state.values():  # forget what was only practised
            for value in state.values():
                value.zero_()
        return seconds

    def seconds_a_step(self, seconds: dict[int, float]) -> float:
        """The mean over the whole plan."""
        total, start = 0.0, 0.0
        for end, shares in self.plan.phases:
            mean = sum(share * seconds[length] for length, share in shares.items()) / sum(shares.values())
            total += (end - start) * mean
            start = end
        return total


def train(
    model: LanguageModel,
    maker: Maker,
    plan: Plan,
    device: torch.device,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    processes: int = 0,
    report: Callable[[str], None] = print,
    save: Callable[[], Any] | None = None,
) -> list[float]:
    """Train in place for `steps`, or for as many as fit `minutes` (a GPU only: it is timed first). The losses of all steps."""
    began = time.monotonic()
    with in_place_of_references(device):
        trainer = Trainer(model, plan, device)
        if device.type == "cuda":
            seconds = trainer.capture()
            each = trainer.seconds_a_step(seconds)
            report(f"ms a step: { {length: round(1e3 * s, 1) for length, s in seconds.items()} }; mean {1e3 * each:.1f}")
            if steps is None:
                assert minutes is not None
                left = 60 * minutes - (time.monotonic() - began)
                steps = int(left / (1.06 * each + 0.0005))
        assert steps is not None
        report(f"{steps} steps of {plan.tokens} tokens")
        losses: list[Tensor] = []
        last_report = last_save = time.monotonic()
        for step, block in enumerate(produce(maker, plan.orders(steps, maker.seed), processes)):
            losses.append(trainer.step(block, plan.rate_at((step + 1) / (steps + 1))).clone())
            now = time.monotonic()
            if now - last_report > 10 or step + 1 == steps:
                recent = torch.stack(losses[-200:]).mean().item()
                speed = (step + 1) * plan.tokens / (now - began)
                report(f"{now - began:6.0f} s  step {step + 1:6d}  loss {recent:.4f}  {speed:,.0f} tokens/s")
                last_report = now
            if save is not None and now - last_save > 90:
                save()
                last_save = now
    return torch.stack(losses).tolist()
