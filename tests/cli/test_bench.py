"""`falcon bench`: the grammar of its lists, the forms of its results, and what becomes of mistakes and interrupts."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.figures.figures import Figures
from falcon_cli.figures.rows import rows
from falcon_cli.ranges import parse_numbers, parse_pairs
from modeling.errors import InvalidRequest
from modeling.messages import ModelSpec
from modeling.timings import BenchCase, Conversation, Plan, Rival

Falcon = Callable[..., Any]

# the names that programs made for llama-bench look for
LLAMA_BENCH = (
    "build_commit build_number cpu_info gpu_info backends model_filename model_type model_size model_n_params n_batch "
    "n_ubatch n_threads n_gpu_layers type_k type_v n_prompt n_gen n_depth "
    "test_time "
    "avg_ns stddev_ns avg_ts stddev_ts samples_ns samples_ts"
).split()


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["512"], [512]),
        (["1,8,64"], [1, 8, 64]),
        (["1, 8", "64"], [1, 8, 64]),
        (["16-64+16"], [16, 32, 48, 64]),
        (["512-4096*2"], [512, 1024, 2048, 4096]),
        (["3-5"], [3, 4, 5]),
        (["0,4-4,7-20+9"], [0, 4, 7, 16]),
    ],
)
def test_lists_are_read_as_llama_bench_reads_them(texts: list[str], numbers: list[int]) -> None:
    assert parse_numbers("-p", texts) == numbers


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "neither a number nor a range"),
        ("12k", "neither a number nor a range"),
        ("1,,2", "neither a number nor a range"),
        ("-5", "neither a number nor a range"),
        ("٣", "neither a number nor a range"),
        ("8-4", "ends before it begins"),
        ("1-8*1", "never ends"),
        ("0-8*2", "never ends"),
        ("1-8+0", "never ends"),
        ("1-99999999", "more than 1000 numbers"),
        ("1,0", "0 is less than 1"),
    ],
)
def test_what_is_no_list_is_refused(text: str, what: str) -> None:
    with pytest.raises(InvalidRequest, match=what):
        parse_numbers("-b", [text], least=1)


def test_a_pair_has_two_numbers() -> None:
    assert parse_pairs("--pg", ["512,128", " 1 , 2 "]) == [(512, 128), (1, 2)]
    for text in ("512", "512,0", "a,b", "1,2,3", ""):
        with pytest.raises(InvalidRequest, match="is not P,N"):
            parse_pairs("--pg", [text])


def test_every_test_is_measured_at_every_depth_in_every_batch(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    assert falcon("bench", "a/b", "-p", "64,128", "-n", "32", "-d", "0,9", "-b", "1,2", "-r", "3").code == 0
    (call,) = measured
    tests = [(64, 0), (128, 0), (0, 32)]
    assert call["plan"] == Plan(
        tuple(BenchCase(p, n, d, b) for b in (1, 2) for d in (0, 9) for p, n in tests), None, (), 3, against=False
    )
    assert (call["random_weights"], call["sampling"]) == (False, {})
    measured.clear()
    assert falcon("bench", "a/b", "-p", "0", "-n", "0", "--pg", "8,4", "--greedy", "--random-weights").code == 0
    assert measured[0]["plan"].cases == (BenchCase(8, 4),)
    assert (measured[0]["sampling"], measured[0]["random_weights"]) == ({"temperature": 0.0}, True)
    measured.clear()
    assert falcon("bench", "--top-p", "0.9").code == 0
    assert measured[0]["plan"].cases == (BenchCase(512, 0), BenchCase(0, 128))
    assert measured[0]["sampling"] == {"top_p": 0.9, "temperature": 1.0}
    measured.clear()
    assert falcon("bench", "-pg", "8,4", "-n", "0", "-p", "0", "--device", "cpu").code == 0  # as llama-bench has it
    assert measured[0]["plan"].cases == (BenchCase(8, 4),)


def test_what_is_not_said_suits_the_device(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    assert falcon("bench", "--device", "cpu").code == 0
    assert falcon("bench", "--turns", "3", "--state", "--device", "cpu").code == 0
    assert falcon("bench", "--turns", "3", "--state", "-d", "7,9", "-n", "5").code == 0
    small, chat, both = (call["plan"] for call in measured)
    assert small.cases == (BenchCase(128), BenchCase(0, 32)) and small.repetitions == 5
    assert (chat.cases, chat.conversation, chat.states) == ((), Conversation(3, 32, 16), (512,))
    assert (both.conversation, both.states) == (Conversation(3), (7, 9))
    assert {case.n_prompt for case in both.cases} == {0, 512}


def test_models_dtypes_and_kernels_are_lists(falcon: Falcon, measured: list[dict[str, Any]], home: Path) -> None:
    assert falcon("bench", "a", "b", "--dtype", "bfloat16,float32", "--kernels", "torch,auto", "--device", "cpu").code == 0
    asked = [(call["spec"].name, call["spec"].dtype, call["spec"].kernels) for call in measured]
    assert asked == [(m, d, k) for m in ("a", "b") for d in ("bfloat16", "float32") for k in ("torch", "auto")]
    assert {call["spec"].device for call in measured} == {"cpu"}
    measured.clear()
    (home / "config.toml").write_text('dtype = "float32"\nmodel = "settled"')
    assert falcon("bench", "named").code == 0
    assert (measured[0]["spec"].name, measured[0]["spec"].dtype) == ("named", "float32")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-p", "many"],
        ["-n", "8-4"],
        ["-b", "0"],
        ["-p", "0", "-n", "0"],
        ["--pg", "5"],
        ["-r", "0"],
        ["-p", "1-900", "-b", "1-900"],
        ["--dtype", "float64"],
        ["--kernels", "torch,cuda"],
        ["--greedy", "--temp", "1"],
        ["--top-p", "2"],
        ["one", "-m", "other"],
        ["-b", "2", "-d", "5", "--pg", "5,5"],
        ["-o", "xml"],
        ["--turns", "0"],
        ["--against", "vllm"],
        ["--against", "transformers", "--turns", "3"],
        ["--against", "transformers", "--state"],
        ["--against", "transformers", "--top-k", "5"],
        ["--percentiles", "50,101"],
        ["--percentiles", "some"],
        ["--fail-below", "90"],
        ["--compare", "/nowhere/old.json"],
        ["--plot", "picture.bmp", "-d", "0,5"],
        ["--plot", "term"],
        ["--plot", "term", "--pg", "5,5", "-p", "0", "-n", "0", "-b", "1,2"],
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    outcome = falcon("bench", *arguments)
    assert (outcome.code, outcome.out, measured) == (2, "", [])
    what, hint = outcome.err.splitlines()
    assert what.startswith("error: ") and hint.startswith("hint: ")


def test_a_gate_of_nan_is_refused(falcon: Falcon) -> None:
    outcome = falcon("bench", "--fail-below", "nan", "--compare", __file__)
    assert (outcome.code, outcome.out) == (2, "")
    assert "nan" in outcome.err.splitlines()[0]


def test_a_pipe_gets_a_markdown_table(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    outcome = falcon("bench", "org/model", "-p", "30", "-n", "60", "-d", "7")
    lines = outcome.out.splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    heads, first, second = ([cell.strip() for cell in lines[number].strip("|").split("|")] for number in (0, 2, 3))
    assert dict(zip(heads, first, strict=True)) == {
        "model": "org/model", "size": "2.9 KiB", "params": "0.0 M", "kernels": "auto", "dtype": "auto", "batch": "1",
        "test": "pp30 @ d7", "t/s": "20.0 ± 14.1", "TTFT ms": "250.00", "p50 ms": "", "p99 ms": "", "load s": "0.50",
            "state MiB": "3.0",
        "peak GiB": "5.00", "GB/s": "30.0", "% floor": "", "TFLOP/s": "0.5",
    }  # fmt: skip
    shown = dict(zip(heads, second, strict=True))
    assert (shown["test"], shown["% floor"], shown["p50 ms"], shown["p99 ms"]) == ("tg60 @ d7", "50.0", "2.00", "3.96")
    assert "abacus: reads 100 GB/s, multiplies 1.00 TFLOP/s in auto" in lines
    assert outcome.err.splitlines() == ["measuring pp30 @ d7: 1 of 2", "measuring tg60 @ d7: 2 of 2"]
    assert falcon("bench", "org/model", "--quiet").err == ""


def test_json_rows_have_llama_benchs_names_and_ours(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    rows = falcon("bench", "m", "-p", "30", "-n", "60", "-o", "json").json
    assert [found["test"] for found in rows] == ["pp30", "tg60"]
    for found in rows:
        assert set(LLAMA_BENCH) <= found.keys()
        assert (found["samples_ns"], found["avg_ns"], found["backends"]) == ([10**9, 3 * 10**9], 2 * 10**9, "CPU")
        assert found["avg_ts"] == pytest.approx(sum(found["samples_ts"]) / 2)
    reading, writing = rows
    assert (reading["ttft_ms"], reading["itl_p50_ms"], reading["floor_share"]) == (250.0, None, None)
    assert (writing["ttft_ms"], writing["itl_p90_ms"], writing["floor_share"]) == (None, 3.6, 0.5)
    assert writing["floor_ns"] == 10**9 and writing["ceiling_bytes_per_second"] == 100e9
    lines = falcon("bench", "m", "-p", "30", "-n", "60", "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == rows
    read = list(csv.DictReader(StringIO(falcon("bench", "m", "-p", "30", "-n", "60", "-o", "csv").out)))
    assert [found["test"] for found in read] == ["pp30", "tg60"]
    assert [*read[0]] == [*reading] == [*writing] and json.loads(read[0]["samples_ns"]) == reading["samples_ns"]
    assert read[0]["itl_p50_ms"] == ""


@pytest.mark.parametrize(
    ("name", "begins"), [("r.json", "["), ("r.csv", "build_commit,"), ("r.jsonl", "{"), ("r.txt", "| model")]
)
def test_a_file_gets_the_form_of_its_ending(
    name: str, begins: str, falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path
) -> None:
    outcome = falcon("bench", "m", "--output-file", str(tmp_path / name))
    assert (outcome.code, outcome.out) == (0, "")
    assert (tmp_path / name).read_text().startswith(begins)


@pytest.mark.parametrize(("model", "code"), [("error:after", 4), ("broken", 1), ("interrupted", 130), ("ended", 143)])
def test_what_was_measured_is_written_whatever_ends_it(
    model: str, code: int, falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path
) -> None:
    outcome = falcon("bench", model, "-p", "30", "-n", "60", "-o", "json")
    assert outcome.code == code
    assert [found["test"] for found in outcome.json] == ["pp30"]
    assert ("error: it does not fit" in outcome.err) == (code == 4)
    file = tmp_path / "figures.json"
    assert falcon("bench", model, "--output-file", str(file)).code == code
    assert [found["test"] for found in json.loads(file.read_text())] == ["pp512"]


@pytest.mark.parametrize("form", ["md", "csv", "json", "jsonl"])
def test_what_the_file_does_not_take_goes_to_stdout(form: str, falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    arguments = ("bench", "m", "-p", "30", "-n", "60", "-o", form)
    outcome = falcon(*arguments, "--output-file", "/dev/full")
    assert outcome.code == 74 and outcome.out == falcon(*arguments).out
    assert "error: /dev/full cannot be written: No space left on device" in outcome.err


def test_a_file_that_no_longer_finds_its_place_goes_to_stdout(
    falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    outcome = falcon("bench", "m", "-p", "30", "-n", "60", "--output-file", str(tmp_path / "r.json"))
    assert outcome.code == 74 and [row["test"] for row in outcome.json] == ["pp30", "tg60"]
    assert not [*tmp_path.glob("*r.json")] and not [*tmp_path.glob(".falcon*")]


def test_nothing_measured_leaves_the_old_file(falcon: Falcon, measured: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text("before")
    assert falcon("bench", "error:at-once", "--output-file", str(file)).code == 4
    assert file.read_text() == "before"
    outcome = falcon("bench", "error:at-once", "-o", "json")
    assert (outcome.code, outcome.out) == (4, "")


def test_a_void_measurement_says_so(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    outcome = falcon("bench", "slow-machine")
    assert outcome.err.count("note: these figures are void: this NVIDIA H200 reads too little") == 1
    assert "VOID: this NVIDIA H200 reads too little\n" in outcome.out
    assert falcon("bench", "slow-machine", "-o", "json").json[0]["void"] == "this NVIDIA H200 reads too little"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_fits_the_terminal_and_says_what_it_leaves_out(
    width: int, fake_results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    written: list[str] = []
    figures = Figures("table", lambda text, style=None: written.append(text))
    for case in (BenchCase(30), BenchCase(0, 60), BenchCase(0, 60, 7)):
        figures.add("m", "auto", fake_results.result_of(case, ModelSpec("m")))
    figures.end()
    lines = "".join(written).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "tg60 @ d7" in text and "30.0 ± 28.3" not in text and "40.0 ± 28.3" in text and "50.0" in text
    assert ("not shown, for want of room" in text) == ("TFLOP/s " not in text.partition("abacus")[0])
    if width == 200:
        assert "batch 1" in lines[0] and "not shown" not in text


def test_rates_follow_from_the_seconds(fake_results: Any) -> None:
    result = fake_results.result_of(BenchCase(30, batch=2), ModelSpec("m"))
    assert result.rates == (60.0, 20.0) and result.mean_rate == 40.0 and result.share is None
    assert replace(result, seconds=(2.0,)).spread_rate == 0.0
    assert replace(result, floor=0.5).share == 0.25
    (row,) = rows("m", "auto", result)
    assert (row["batch_size"], row["n_batch"], row["median_ts"], row["median_ns"]) == (2, 512, 40.0, 2 * 10**9)
    beside = replace(result, rival=Rival("other", (3.0, 3.0)))
    assert beside.ratio == 2.0  # the middle of 3 and 1, pair by pair; the means would say 1.5


def test_kernels_of_a_list_that_cannot_run_are_left_out(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    outcome = falcon("bench", "m", "--kernels", "triton,torch", "-o", "json")
    assert outcome.code == 0 and {row["kernels_asked"] for row in outcome.json} == {"torch"}
    assert "note: left out: there is no Triton" in outcome.err
    for kernels in ("triton", "triton,triton"):
        outcome = falcon("bench", "m", "--kernels", kernels)
        assert (outcome.code, outcome.out) == (1, "") and "error: there is no Triton" in outcome.err


def test_a_rival_has_rows_of_its_own(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    arguments = ("bench", "m", "-p", "30", "-n", "60", "-d", "0,7", "--against", "transformers")
    found = falcon(*arguments, "-o", "json").json
    assert measured[0]["plan"].against
    told = [(row["engine"], row["test"], row["ratio"], row["same_tokens"], row["against_missing"]) for row in found]
    assert told == [
        ("falcon", "pp30", 2.0, 7, None), ("transformers 5", "pp30", None, None, None),
        ("falcon", "tg60", 2.0, 7, None), ("transformers 5", "tg60", None, None, None),
        ("falcon", "pp30 @ d7", None, None, "it cannot"),
        ("falcon", "tg60 @ d7", 2.0, 7, None), ("transformers 5", "tg60 @ d7", None, None, None),
    ]  # fmt: skip
    assert found[1]["samples_ns"] == [2 * 10**9, 6 * 10**9] and found[1]["peak_bytes"] is None
    assert found[1]["floor_share"] is None and found[3]["floor_share"] == 0.25
    assert len({tuple(row) for row in found}) == 1
    table = falcon(*arguments).out
    assert table.count("| transformers 5 |") == 3 and "2.00 ×" in table and "7/9" in table
    assert "without a ratio: it cannot\n" in table


def test_all_rows_have_the_same_fields(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    arguments = ("--turns", "2", "--state", "-d", "7", "--against", "transformers", "--percentiles", "25,99.9", "-o", "csv")
    heads, *lines = csv.reader(StringIO(falcon("bench", "m", "-n", "60", *arguments).out))
    assert len(lines) == 6 and {len(line) for line in lines} == {len(heads)}
    assert {line[heads.index("itl_p25_ms")] for line in lines} == {"", "1.5", "2.5"}


def test_percentiles_are_chosen(falcon: Falcon, measured: list[dict[str, Any]]) -> None:
    arguments = ("bench", "m", "-p", "0", "-n", "60", "--percentiles", "0,50,99.9")
    assert "| p0 ms | p50 ms | p99.9 ms |" in falcon(*arguments).out
    (row,) = falcon(*arguments, "-o", "json").json
    assert {name: row[name] for name in row if name.startswith("itl")} == {
        "itl_p50_ms": 2.0, "itl_p90_ms": 3.6, "itl_p99_ms": 3.96, "itl_p0_ms": 1.0, "itl_p99.9_ms": 3.996,
    }  # fmt: skip
