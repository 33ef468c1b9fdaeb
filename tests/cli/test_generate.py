"""What `falcon generate` reads, asks the model for, and writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Falcon = Callable[..., Any]


def test_the_answer_is_all_there_is_on_stdout_and_ends_with_a_newline(falcon: Falcon) -> None:
    outcome = falcon("generate", "hello")
    assert (outcome.code, outcome.out, outcome.err) == (0, "HELLO\n", "")
    assert falcon("generate", "two\n").out == "TWO\n"


@pytest.mark.parametrize("arguments", [["words"], ["-p", "words"], ["--prompt", "words"], ["-f", "{file}"]])
def test_a_prompt_may_come_by_every_road(arguments: list[str], falcon: Falcon, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("words\n")
    assert falcon("generate", *(part.format(file=tmp_path / "prompt.txt") for part in arguments)).out == "WORDS\n"


def test_stdin_comes_first_then_the_file_then_the_prompt(falcon: Falcon, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("file\n")
    assert falcon("generate", "ask", "-f", str(tmp_path / "b"), stdin=b"pipe\n").out == "PIPE\n\nFILE\n\nASK\n"
    assert falcon("generate", stdin="größe\n".encode()).out == "GRÖSSE\n"
    assert falcon("generate", "-f", "-", stdin=b"dash").out == "DASH\n"
    assert falcon("generate", "ask", stdin=b"").out == "ASK\n"


def test_raw_keeps_every_byte(falcon: Falcon) -> None:
    exact = falcon("generate", "--raw", "--json", "--return-ids", stdin="\ufeffa\n\n".encode())
    assert exact.json["prompt_ids"] == [0xFEFF, 97, 10, 10]
    trimmed = falcon("generate", "--json", "--return-ids", stdin="\ufeffa\r\n".encode())
    assert trimmed.json["prompt_ids"] == [97]


@pytest.mark.parametrize(
    ("arguments", "stdin", "what"),
    [
        ([], None, "no prompt"),
        ([], b"", "no prompt"),
        ([""], None, "empty"),
        (["a", "-p", "b"], None, "twice"),
        (["a", "--return-ids"], None, "--json"),
        (["-f", "/does/not/exist"], None, "/does/not/exist cannot be read"),
        ([], b"caf\xe9", "not UTF-8 text: byte 0xe9 at offset 3"),
        (["a", "--max-memory", "10GiB"], None, "not DEVICE=SIZE"),
        (["a", "--max-memory", "0=1GiB,0=2GiB"], None, "twice"),
        (["a", "--greedy", "--temperature", "1"], None, "contradict"),
        (["a", "--top-p", "1.5"], None, "top_p is 1.5"),
        (["a", "--stop", ""], None, "stop string is empty"),
        (["a", "--dtype", "float8"], None, "float8"),
        (["a", "-n", "-2"], None, "-2"),
        (["a", "--prefill-chunk", "0"], None, "0"),
        (["a", "b"], None, "b"),
    ],
)
def test_a_wrong_call_is_one_sentence_a_hint_and_code_2(
    arguments: list[str], stdin: bytes | None, what: str, falcon: Falcon
) -> None:
    outcome = falcon("generate", *arguments, stdin=stdin)
    assert outcome.code == 2
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert what in lines[0]


def test_model_options_become_a_spec(falcon: Falcon, fake_model: Any) -> None:
    options = "-m some/model --revision v2 --offline --torch-dtype float32 --device 0 --device-map auto --kernels torch"
    assert falcon("generate", "a", *options.split(), "--max-memory", "cpu=2GiB, 0=10GiB", "--prefill-chunk", "64").code == 0
    spec = fake_model.OPENED[-1].spec
    assert (spec.name, spec.revision, spec.offline, spec.dtype, spec.device) == ("some/model", "v2", True, "float32", "cuda:0")
    assert (spec.device_map, spec.max_memory, spec.kernels) == ("auto", {"cpu": "2GiB", "0": "10GiB"}, "torch")
    assert spec.prefill_chunk == 64


def test_without_a_model_the_demo_answers_and_says_so_once(
    falcon: Falcon, fake_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FALCON_MODEL")
    outcome = falcon("generate", "a", "--json")
    assert outcome.err.count("\n") == 1
    assert "demo" in outcome.err
    assert outcome.json["model"] == "demo"
    assert (Path(fake_model.OPENED[-1].spec.name) / "model.safetensors").is_file()
    assert falcon("generate", "a", "-q").err == ""
    assert falcon("generate", "a", "-m", "demo-h1").err == ""
    assert fake_model.OPENED[-1].spec.name.endswith("falcon-h1")


def sampling(fake_model: Any) -> Any:
    return fake_model.OPENED[-1].engine.request.sampling


def test_sampling_starts_from_the_checkpoint(falcon: Falcon, fake_model: Any) -> None:
    falcon("generate", "a")
    assert (sampling(fake_model).temperature, sampling(fake_model).top_k) == (0.0, 50)
    assert (sampling(fake_model).max_tokens, sampling(fake_model).seed) == (1024, 0)
    falcon("generate", "a", "-n", "-1", "--ignore-eos", "--stop", "X", "--stop", "YY")
    assert (sampling(fake_model).max_tokens, sampling(fake_model).ignore_eos) == (None, True)
    assert sampling(fake_model).stop == ("X", "YY")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--temp 0.5", {"temperature": 0.5, "top_k": 50}),
        ("--top-p 0.9", {"temperature": 1.0, "top_p": 0.9}),
        ("--top-k 0 --min-p 0.1 --typical-p 0.8", {"temperature": 1.0, "top_k": 0, "min_p": 0.1, "typical_p": 0.8}),
        ("--greedy --top-p 0.9", {"temperature": 0.0}),
        ("--temperature 0 --top-p 0.9", {"temperature": 0.0}),
        ("--seed 5", {"temperature": 0.0, "seed": 5}),
        ("--repetition-penalty 1.2 --repeat-last-n 64", {"temperature": 0.0, "repetition_penalty": 1.2, "repeat_last_n": 64}),
        ("--repeat-penalty 1.1 --presence-penalty 1", {"repetition_penalty": 1.1, "presence_penalty": 1.0}),
        ("--frequency-penalty -2", {"frequency_penalty": -2.0}),
        ("--max-new-tokens 3", {"max_tokens": 3}),
        ("--n-predict 4", {"max_tokens": 4}),
    ],
)
def test_options_override(options: str, expected: dict[str, Any], falcon: Falcon, fake_model: Any) -> None:
    assert falcon("generate", "a", *options.split()).code == 0
    assert {name: getattr(sampling(fake_model), name) for name in expected} == expected


def test_a_sampled_answer_tells_the_seed_that_repeats_it(falcon: Falcon, fake_model: Any) -> None:
    seeds = {falcon("generate", "a", "--temp", "1", "--json").json["seed"] for _ in range(4)}
    assert len(seeds) == 4
    assert falcon("generate", "a", "--temp", "1", "-s", "9", "--json").json["seed"] == 9
    assert falcon("generate", "a", "--json").json["seed"] is None


def test_json_is_one_document_with_the_ids_that_were_sampled(falcon: Falcon) -> None:
    outcome = falcon("generate", "ab", "--json", "--return-ids", "-m", "some/model")
    assert outcome.err == ""
    result = outcome.json
    assert result["model"] == "some/model"
    assert (result["text"], result["finish_reason"], result["stop"]) == ("AB", "stop", 0)
    assert (result["prompt_ids"], result["completion_ids"]) == ([97, 98], [65, 66, 0])
    assert (result["prompt_tokens"], result["completion_tokens"], result["reused_tokens"]) == (2, 3, 0)
    assert result["timings"]["prompt_per_second"] == 4
    assert result["timings"]["predicted_ms"] == 250
    assert result["memory"]["state_bytes"] == 1024
    assert result["memory"]["peak_bytes"] > 1e6
    assert set(result) >= {"revision", "kernels", "dtype", "quantization", "sampling", "seed"}
    assert "prompt_ids" not in falcon("generate", "ab", "--json").json


def test_json_holds_any_text(falcon: Falcon) -> None:
    text = '"\\\n\x00\x1b[2J🙂\ufffd\u2028'
    assert json.loads(falcon("generate", text, "--json").out)["text"] == text


def test_a_pipe_gets_the_text_unchanged(falcon: Falcon) -> None:
    assert falcon("generate", "a\x1b[31mé\r\x9b🙂").out == "A\x1b[31MÉ\r\x9b🙂\n"


def test_length_is_told(falcon: Falcon) -> None:
    result = falcon("generate", "abc", "-n", "2", "--json").json
    assert (result["text"], result["finish_reason"], result["stop"]) == ("AB", "length", None)


def test_stats_are_on_stderr_with_the_names_of_ollama_first(falcon: Falcon) -> None:
    outcome = falcon("generate", "abc", "--stats")
    assert outcome.out == "ABC\n"
    names = [line.split(":")[0] for line in outcome.err.splitlines()]
    assert names[:8] == [
        "total duration",
        "load duration",
        "prompt eval count",
        "prompt eval duration",
        "prompt eval rate",
        "eval count",
        "eval duration",
        "eval rate",
    ]
    assert "eval rate:            12.00 tokens/s" in outcome.err
    assert "finish reason:        stop" in outcome.err


def test_notices_of_the_model_are_shown_unless_quiet(falcon: Falcon, fake_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_model, "NOTICES", ("half of it \x1b is on disk",))
    assert falcon("generate", "a").err == "note: half of it ␛ is on disk\n"
    assert falcon("generate", "a", "-q").err == ""
