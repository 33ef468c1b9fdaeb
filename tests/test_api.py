"""Samples, kept prompts and batches on real models, through the one door."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from falcon_cli.app import run
from falcon_cli.demo import FOLDERS, resolve
from modeling import equipment
from modeling.api import OpenModel, open_model
from modeling.checkpoint.load import blueprint
from modeling.config import parse_config
from modeling.equipment import suitable_slots
from modeling.errors import StateRefused
from modeling.generation.answer import Saved
from modeling.messages import Failed, Finished, ModelSpec, Request, SamplingParams, Token

WORDS = "the old harbour keeps a bright lamp for every ship that comes home late ".split()


@pytest.fixture(scope="module", params=FOLDERS)
def opened(request: pytest.FixtureRequest) -> OpenModel:
    return open_model(ModelSpec(resolve(request.param), dtype="float32", device="cpu"), slots=3)


def ends(opened: OpenModel, ids: Sequence[int]) -> list[Finished]:
    found = {request_id: event for request_id, event in opened.engine.run() if not isinstance(event, Token)}
    finished = [found[request_id] for request_id in ids]
    assert not any(isinstance(end, Failed) for end in finished)
    return finished  # type: ignore[return-value]


def a_prompt(opened: OpenModel, words: int) -> tuple[int, ...]:
    return opened.encode(" ".join(random.Random(words).choices(WORDS, k=words)))


def test_samples_from_one_reading_are_those_of_separate_runs(opened: OpenModel) -> None:
    prompt = a_prompt(opened, 190)
    assert len(prompt) > 256 and len(prompt) % 256, "the last page of keys and values is to be a partial one"
    sampling = SamplingParams(temperature=3.0, seed=5, max_tokens=15, repetition_penalty=1.2, ignore_eos=True)
    together = ends(opened, opened.engine.submit_samples(Request(prompt, sampling), 5))
    for index, end in enumerate(together):
        alone = Request(prompt, SamplingParams(**{**_fields(sampling), "sample_index": index}))
        assert ends(opened, [opened.engine.submit(alone)])[0].token_ids == end.token_ids
    assert len({end.token_ids for end in together}) == 5
    assert [end.stats.prefilled_tokens for end in together] == [len(prompt), 0, 0, 0, 0]


def _fields(sampling: SamplingParams) -> dict[str, Any]:
    return {name: getattr(sampling, name) for name in sampling.__slots__}


def test_a_kept_prompt_is_gone_on_from_as_if_it_had_been_read(opened: OpenModel, tmp_path: Path) -> None:
    sampling = SamplingParams(temperature=2.0, seed=1, max_tokens=12, ignore_eos=True)
    sizes = []
    for words in (20, 150):
        prompt, kept, path = a_prompt(opened, words), list[Saved](), tmp_path / f"{words}.fstate"
        mark = len(prompt) - 5
        (end,) = ends(opened, [opened.engine.submit(Request(prompt, sampling), keep=kept.append, marks=(mark,))])
        opened.save_prompt(path, prompt, kept[0], None)
        ids, start = opened.load_prompt(path, None)
        assert ids == prompt[:mark] and start.length == mark
        for again in ends(opened, [opened.engine.submit(Request(prompt, sampling), start=start) for _ in range(2)]):
            assert again.token_ids == end.token_ids and again.stats.reused_tokens == mark
        header = int.from_bytes(path.read_bytes()[:8], "little") + 8
        sizes.append(path.stat().st_size - header - 4 * mark - opened.info.token_bytes * mark)
        with pytest.raises(StateRefused, match="chat template") as caught:
            opened.load_prompt(path, "another {{ template }}")
        assert "falcon cache-prompt" in caught.value.hint
    assert sizes == [opened.info.state_bytes // 3] * 2, "the ids (and keys and values) grow, the state does not"


def test_the_state_of_falcon_mamba_7b_is_36_mib() -> None:
    sizes = {"hidden_size": 4096, "num_hidden_layers": 64, "intermediate_size": 8192, "state_size": 16, "conv_kernel": 4}
    fields = {"model_type": "falcon_mamba", "vocab_size": 65024, "time_step_rank": 256, **sizes}
    model = blueprint(parse_config(fields), torch.bfloat16)
    assert model.state_bytes(1) == model.state_bytes(10**6) == 36 << 20


def test_as_many_slots_as_fit(opened: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = opened.engine.runner.model
    one = model.state_bytes(min(model.max_positions or 0, 4096))
    for free, slots in ((one, 1), (4 * one, 2), (7 * one, 3), (1000 * one, 8)):
        monkeypatch.setattr(equipment, "free_memory", lambda device, free=free: free)
        assert suitable_slots(model) == slots


def test_text_of_one_token_may_end_within_a_character(opened: OpenModel) -> None:
    ids = opened.encode("é🦅")
    assert b"".join(opened.spell(i)[1] for i in ids).decode() == "é🦅"
    assert opened.spell(10**6) == ("", b"")
    assert opened.spell(next(iter(opened.tokenizer.special_ids)))[0].startswith("<")


@pytest.mark.promise
@pytest.mark.parametrize("name", FOLDERS)
def test_an_answer_depends_on_its_row_alone(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not on the slots, nor on its neighbours, nor on their order; and `falcon generate` gives the same for the row's seed."""
    dice = random.Random(4)
    prompts = [" ".join(dice.choices(WORDS, k=dice.choice([2, 2, 9]))) for _ in range(7)]
    rows: list[dict[str, Any]] = [{"id": n, "prompt": prompt} for n, prompt in enumerate(prompts)]
    rows[3] |= {"n": 3, "repeat_penalty": 1.3}

    def answers(batch: int, order: list[dict[str, Any]]) -> dict[int, Any]:
        source = tmp_path / "rows.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in order))
        options = f"-m {name} --dtype float32 --temp 2 -n 12 --seed 7 -q -b {batch}"
        assert run(["generate", "-i", str(source), *options.split()]) == 0
        found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert [row["id"] for row in found] == [row["id"] for row in order]
        for sample in (sample for row in found for sample in (row, *row.get("samples", ()))):
            sample.pop("mean_logprob", None)  # a sum of rounded numbers
        return {row["id"]: row for row in found}

    alone = answers(1, rows)
    assert alone == answers(3, rows) == answers(8, rows[::-1])
    assert len({row["text"] for row in alone.values()}) > 4
    one = ["generate", prompts[0], "-m", name, "--dtype", "float32", "--temp", "2", "-n", "12", "-q", "--json"]
    assert run([*one, "--seed", str(alone[0]["seed"])]) == 0
    assert json.loads(capfd.readouterr().out)["text"] == alone[0]["text"]
