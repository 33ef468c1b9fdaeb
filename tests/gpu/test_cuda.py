"""The plain-torch path on a real GPU: the same answers as on a CPU, resident or offloaded. Run with `pytest -m gpu`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from falcon_cli.demo import FOLDERS, resolve
from modeling.api import OpenModel, open_model
from modeling.generation.sampling import Sampler
from modeling.messages import Failed, Finished, ModelSpec, Request, SamplingParams

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

PROMPT = "A state space model remembers everything in a state of fixed size. " * 12


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """fp32 products in fp32, not in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def opened(name: str, **options: Any) -> OpenModel:
    return open_model(ModelSpec(str(resolve(name)), dtype="float32", **options), slots=3)


def answers(model: OpenModel, **sampling: Any) -> list[tuple[int, ...]]:
    """Token ids of three requests of different lengths, decoded together."""
    requests = [
        Request(model.encode(PROMPT[:length]), SamplingParams(max_tokens=40, ignore_eos=True, **sampling))
        for length in (7, 300, 90)
    ]
    ids = {model.engine.submit(request): () for request in requests}
    finished: dict[int, tuple[int, ...]] = dict(ids)
    for request_id, event in model.engine.run():
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished):
            finished[request_id] = event.token_ids
    return [finished[request_id] for request_id in ids]


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("options", [{}, {"prefill_chunk": 5}, {"prefill_chunk": 1}], ids=str)
def test_greedy_ids_equal_the_cpus(name: str, options: dict[str, Any]) -> None:
    expected = answers(opened(name, device="cpu"), temperature=0.0)
    assert answers(opened(name, device="cuda", **options), temperature=0.0) == expected


@pytest.mark.parametrize("name", FOLDERS)
def test_short_prompts_in_graphs_change_no_answer(name: str) -> None:
    """As they are, captured, and replayed."""
    expected = answers(opened(name, device="cpu"), temperature=0.0)
    model = opened(name, device="cuda")
    assert model.engine.runner.prompts is not None
    for _ in range(4):
        assert answers(model, temperature=0.0) == expected
    assert model.engine.runner.prompts.takes([7])


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize(
    "max_memory",
    [{"0": "7MB", "cpu": "1GB"}, {"0": "7MB", "cpu": "3MB"}, {"0": "7MB", "cpu": "0KB"}],
    ids=["host", "host and disk", "disk"],
)
def test_offload_changes_no_answer(name: str, max_memory: dict[str, str]) -> None:
    expected = answers(opened(name, device="cuda"), temperature=0.0)
    model = opened(name, device="cuda", device_map="auto", max_memory=max_memory)
    assert any("spread" in notice for notice in model.info.notices)
    assert answers(model, temperature=0.0) == expected


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0.9, seed=3),
        SamplingParams(temperature=1.3, top_k=40, top_p=0.9, min_p=0.02, seed=4),
        SamplingParams(temperature=1.0, typical_p=0.8, repetition_penalty=1.2, frequency_penalty=0.3, repeat_last_n=20, seed=5),
        SamplingParams(temperature=0.0, presence_penalty=1.5),
    ],
    ids=["temperature", "k+p+min-p", "typical+penalties", "greedy+presence"],
)
def test_draws_equal_the_cpus(params: SamplingParams) -> None:
    """Random numbers, filters and penalties are a matter of the logits alone."""
    generator = torch.Generator().manual_seed(0)
    history = list(range(50, 90))
    samplers = [Sampler(2, 5000, torch.device(device)) for device in ("cpu", "cuda")]
    for sampler in samplers:
        for slot in (0, 1):
            sampler.join(slot, params, history[slot:])
    for _ in range(40):
        logits = torch.randn(2, 5000, generator=generator) * 3
        here, there = (
            [draw.id for draw in sampler.sample(logits.to(device)).fetch()]
            for sampler, device in zip(samplers, ("cpu", "cuda"), strict=True)
        )
        assert here == there


def test_bfloat16_runs_on_the_gpu() -> None:
    for name in FOLDERS:
        model = open_model(ModelSpec(str(resolve(name)), device="cuda"), slots=3)
        assert model.info.dtype == "bfloat16"
        assert all(len(ids) == 40 for ids in answers(model, temperature=0.0))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_conversation_is_put_aside_in_host_memory_and_on_the_disk_and_goes_on(name: str, tmp_path: Path) -> None:
    model = open_model(ModelSpec(str(resolve(name)), dtype="float32", device="cuda"))
    sampling = SamplingParams(temperature=8.0, seed=3, max_tokens=20, ignore_eos=True)
    session = model.converse(system="You never forget a word. " * 8)
    for text in (PROMPT, "two"):
        list(session.ask(text, sampling))
    state: Any = session.state
    assert {memory.device.type for block in state.blocks for memory in (block.conv, block.ssm)} == {"cpu"}
    assert model.save_state(session, tmp_path / "state") == len(session.ids) - 1
    other = model.converse()
    other.restore(session.turns, session.head)
    assert model.load_state(other, tmp_path / "state") == len(session.ids) - 1
    ends = [list(each.ask("three", sampling))[-1] for each in (session, other)]
    assert ends[0].token_ids == ends[1].token_ids
    assert ends[0].stats.reused_tokens == ends[1].stats.reused_tokens > 100
    session.undo(2)
    end: Any = list(session.retry(sampling))[-1]
    assert end.stats.reused_tokens > 0 and end.stats.prefilled_tokens < len(model.encode(PROMPT)) + 20
    for each in (session, other):
        each.close()
