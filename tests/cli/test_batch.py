"""A file of prompts: what a row may say, what is written for it, and what a crash, a full disk or an interrupt leaves."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.batch.journal import Done, File
from falcon_cli.batch.meter import Meter
from falcon_cli.batch.outbox import Outbox
from falcon_cli.batch.rows import LONGEST, BadRow, Row, parse
from falcon_cli.batch.source import Source
from falcon_cli.wording import Phrasing, Prompt
from modeling.errors import InvalidRequest, WriteFailed
from modeling.messages import Message, Progress

Falcon = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[bytes]"]


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


# ---- what a row asks for ----


def test_a_row_is_text_or_messages_with_options_of_its_own() -> None:
    fields = {
        "id": 5,
        "prompt": "a",
        "max_new_tokens": 3.0,
        "repeat_penalty": 1,
        "stop": "x",
        "n": 2,
        "logprobs": 4,
        "mark": 1,
    }
    row = parse(json.dumps(fields).encode(), 9, plain=False)
    options = {"max_tokens": 3, "repetition_penalty": 1.0, "stop": ["x"]}
    assert row == Row(9, 5, asked="a", options=options, samples=2, logprobs=4)
    assert parse(b'{"prompt": "a", "temperature": 1}\r\n', 9, plain=False).id == 9  # no id: the number of the line
    assert parse("größe {\n".encode(), 3, plain=True) == Row(3, 3, asked="größe {")
    spoken = {"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "u"}]}]}
    row = parse(json.dumps(spoken).encode(), 1, plain=False)
    assert isinstance(row, Row) and row.asked == (Message("system", "s"), Message("user", "u"))


def test_rows_of_openai_ask_for_chats_and_for_raw_completions() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "u"}], "logprobs": True, "top_logprobs": 2, "user": "me"}
    row = parse(json.dumps({"custom_id": "c", "method": "POST", "body": body}).encode(), 1, plain=False)
    assert isinstance(row, Row) and (row.id, row.shape, row.raw, row.logprobs) == ("c", "chat.completion", False, 2)
    row = parse(json.dumps({"custom_id": "c", "body": {"prompt": "p", "logprobs": 0}}).encode(), 1, plain=False)
    assert isinstance(row, Row) and (row.shape, row.raw, row.asked, row.logprobs) == ("text_completion", True, "p", 0)
    idle = {"prompt": "p", "n": 2, "best_of": 2, "suffix": "", "echo": False, "logit_bias": {}, "top_logprobs": 0}
    assert isinstance(parse(json.dumps({"custom_id": "c", "body": idle}).encode(), 1, plain=False), Row)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("[1]", "no JSON object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON|nested"),
        ('{"id": 1}', "not one of prompt and messages"),
        ('{"prompt": "a", "messages": []}', "not one of prompt and messages"),
        ('{"prompt": ["a"]}', "no text"),
        ('{"prompt": "a", "id": null}', "id is neither"),
        ('{"prompt": "a", "max_tokens": "3"}', 'max_tokens is "3", not a whole number'),
        ('{"prompt": "a", "seed": true}', "seed is true"),
        ('{"prompt": "a", "temperature": "hot"}', "not a number"),
        (f'{{"prompt": "a", "top_p": {"1" * 400}}}', "not a number"),
        ('{"prompt": "a", "stop": [1]}', "stop is neither"),
        ('{"prompt": "a", "n": 0}', "n is outside"),
        ('{"prompt": "a", "temprature": 1}', "temprature"),
        ('{"messages": [{"role": "robot", "content": "a"}]}', "role 'robot'"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "no text"),
        ('{"messages": [{"role": "user"}]}', "no content"),
        ('{"custom_id": "c"}', "no body"),
        ('{"custom_id": "c", "body": {"prompt": "a", "logit_bias": {"1": 2}}}', "does not follow logit_bias"),
        ('{"custom_id": "c", "body": {"prompt": "a", "stream": true}}', "stream"),
        ('{"custom_id": "c", "body": {"prompt": "a", "best_of": 3}}', "does not follow best_of"),
        ('{"prompt": "a", "top_logprobs": 3}', "no place without logprobs"),
        (f'{{"prompt": "{"a" * LONGEST}"}}', "longer than 64 MiB"),
    ],
)
def test_a_row_that_cannot_be_answered_says_why(line: str, what: str) -> None:
    row = parse(line.encode(), 4, plain=False)
    assert isinstance(row, BadRow)
    with pytest.raises(InvalidRequest, match=what):
        raise row.error


# ---- what is written ----


def test_rows_are_answered_in_their_order_with_an_error_in_place_of_an_answer(falcon: Falcon, tmp_path: Path) -> None:
    good = [{"id": f"r{n}", "prompt": "ab" * (9 - n)} for n in range(8)]
    source = written(tmp_path / "rows.jsonl", *good[:3], "{", "", {"id": "x", "prompt": "fail:MemoryExceeded"}, *good[3:])
    outcome = falcon("generate", "-i", str(source), "-b", "3")
    found = rows_of(outcome.out)
    assert [row["id"] for row in found] == ["r0", "r1", "r2", 4, "x", *(f"r{n}" for n in range(3, 8))]
    assert [row.get("text") for row in found if "text" in row] == [row["prompt"].upper() for row in good]
    assert found[3]["error"]["code"] == "InvalidRequest" and found[4]["error"] == {
        "code": "MemoryExceeded",
        "message": "it failed",
        "hint": "try again",
    }
    assert (outcome.code, outcome.err) == (1, "note: 2 of the rows failed: each has an error in its place\n")
    quick = falcon("generate", "-i", str(source), "-b", "3", "--unordered", "-q")
    assert sorted(quick.out.splitlines()) == sorted(outcome.out.splitlines()) and quick.out != outcome.out


def test_plain_lines_and_standard_input(falcon: Falcon, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text('one\n\n{"not": json\n')
    outcome = falcon("generate", "-i", str(tmp_path / "p.txt"))
    assert (outcome.code, outcome.err) == (0, "")
    assert [(row["id"], row["text"]) for row in rows_of(outcome.out)] == [(1, "ONE"), (3, '{"NOT": JSON')]
    assert rows_of(falcon("generate", "-i", "-", stdin=b"one\ntwo").out)[1]["text"] == "TWO"
    assert rows_of(falcon("generate", "-i", "-", stdin=b'{"prompt": "one"}\n').out)[0]["text"] == "ONE"
    assert (falcon("generate", "-i", "-", stdin=b"").code, falcon("generate", "-i", "-", stdin=b"").out) == (0, "")


def test_a_row_overrides_the_options_of_all(falcon: Falcon, fake_model: Any, tmp_path: Path) -> None:
    source = written(
        tmp_path / "rows.jsonl",
        {"prompt": "abcdef", "max_tokens": 2},
        {"prompt": "abcdef"},
        {"prompt": "ab", "n": 2, "temperature": 0.5, "logprobs": 1, "max_tokens": -1},
    )
    outcome = falcon("generate", "-i", str(source), "-n", "4", "--greedy", "--seed", "5", "--return-ids")
    short, long, many = rows_of(outcome.out)
    assert (short["text"], long["text"], short["finish_reason"], long["seed"]) == ("AB", "ABCD", "length", None)
    assert [sample["text"] for sample in many["samples"]] == ["AB", "ABAB"] and (many["best"], many["text"]) == (1, "ABAB")
    assert many["samples"][0]["logprobs"]["content"][0]["top_logprobs"] == [
        {"id": 120, "token": "x", "logprob": -3.0, "bytes": [120]}
    ]
    assert (many["prompt_ids"], many["samples"][0]["completion_ids"]) == ([97, 98], [65, 66, 0])
    assert fake_model.OPENED[-1].engine.request.sampling.temperature == 0.5
    assert rows_of(falcon("generate", "-i", str(source), "-n", "4", "--seed", "5").out)[2]["seed"] == many["seed"]
    assert rows_of(falcon("generate", "-i", str(source), "-n", "4", "--seed", "6").out)[2]["seed"] != many["seed"]


def test_rows_of_openai_are_answered_in_its_shape(falcon: Falcon, tmp_path: Path) -> None:
    source = written(
        tmp_path / "rows.jsonl",
        {"custom_id": "c", "body": {"prompt": "ab", "max_tokens": 1, "n": 2, "logprobs": 1}},
        {"custom_id": "d", "body": {"prompt": 7}},
    )
    found, refused = rows_of(falcon("generate", "-i", str(source)).out)
    assert (found["custom_id"], found["error"], found["response"]["status_code"]) == ("c", None, 200)
    body = found["response"]["body"]
    assert (body["object"], body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == ("text_completion", 2, 2)
    assert [(choice["index"], choice["text"], choice["finish_reason"]) for choice in body["choices"]] == [
        (0, "A", "length"),
        (1, "A", "length"),
    ]
    assert body["choices"][0]["logprobs"] == {"tokens": ["A"], "token_logprobs": [-1.0], "top_logprobs": [{"x": -3.0}]}
    assert (refused["custom_id"], refused["response"], refused["error"]["code"]) == ("d", None, "InvalidRequest")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["-i", "{rows}", "a"], "no place for another"),
        (["-i", "{rows}", "--json"], "--json has no place"),
        (["-i", "{rows}", "--resume"], "there is none"),
        (["-i", "{rows}", "-o", "{rows}"], "the same file"),
        (["-i", "{rows}", "-o", "{more}", "--resume"], "line 1 of .* is no row that falcon wrote"),
        (["-i", "/does/not/exist"], "cannot be read"),
        (["-i", "{list}", "-o", "{new}"], "one JSON list.*\nhint: .*jq"),
        (["-i", "{packed}", "-o", "{new}"], "is compressed.*\nhint: .*zcat"),
        (["-i", "{wide}", "-o", "{new}"], "is UTF-16 text.*\nhint: .*iconv"),
        (["a", "--num-samples", "1025"], "1<=x<=1024"),
        (["-i", "{rows}", "-o", "{old}"], "has something in it"),
        (["-i", "{rows}", "-o", "{old}", "--resume"], "line 1 of .* is no row"),
        (["-i", "{rows}", "-o", "{new}", "--prompt-cache", "/does/not/exist"], "there is no /does/not/exist"),
        (["-i", "{rows}", "-o", "{new}", "-m", "error:InvalidRequest"], "error"),
        (["a", "--resume"], "add --input-file"),
        (["a", "-b", "2"], "add --input-file"),
    ],
)
def test_a_wrong_call_is_told_and_loses_nothing(arguments: list[str], what: str, falcon: Falcon, tmp_path: Path) -> None:
    rows, old = written(tmp_path / "rows.jsonl", {"prompt": "a"}), written(tmp_path / "old", "something else")
    new, names = tmp_path / "new", {"more": "more.jsonl", "list": "list.json", "packed": "rows.jsonl.gz", "wide": "wide.txt"}
    paths = {name: tmp_path / file for name, file in names.items()}
    written(paths["more"], {"id": "x", "prompt": "of another file of prompts"})
    written(paths["list"], "[", {"prompt": "a"}, "]")
    paths["packed"].write_bytes(gzip.compress(b"a"))
    paths["wide"].write_bytes("a\n".encode("utf-16"))
    outcome = falcon("generate", *(part.format(rows=rows, old=old, new=new, **paths) for part in arguments))
    assert (outcome.code, outcome.out, new.exists()) == (2, "", False)
    assert re.search(what, outcome.err), outcome.err
    assert old.read_text() == "something else\n" and rows.read_text() == '{"prompt": "a"}\n'


# ---- a long file needs no memory ----


def test_no_more_rows_are_on_their_way_than_slots_need(falcon: Falcon, fake_model: Any, tmp_path: Path) -> None:
    source = written(tmp_path / "rows.txt", *(["row"] * 300))
    assert len(rows_of(falcon("generate", "-i", str(source), "-b", "4").out)) == 300
    assert fake_model.OPENED[-1].engine.most == 8


def test_a_line_without_an_end_needs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falcon_cli.batch.source.LONGEST", 10)
    (tmp_path / "rows.txt").write_text("short\n" + "long " * 100 + "\n0123456789\nend")
    with Source(tmp_path / "rows.txt") as source:
        found = [source.next(wait=True) for _ in range(5)]
    assert found == [(1, b"short\n"), (2, b"long long l"), (3, b"0123456789\n"), (4, b"end"), None]


def test_answers_wait_for_their_turn_only_as_long_as_there_is_room() -> None:
    lines: list[str] = []
    outbox = Outbox(lines.append, ordered=True, room=10)
    outbox.put(1, "12345")
    assert not outbox.full and lines == []
    outbox.put(3, "12345")
    assert outbox.full
    outbox.put(0, "x")
    assert lines == ["x", "12345"] and not outbox.full


def test_what_is_done_is_known_in_any_order() -> None:
    done = Done()
    for row_id in (1, "1", 2, 5, 4, 7):
        done.add(row_id)
    assert [done.take(row_id) for row_id in (1, "1", 2, 3, 4, 5, 6)] == [True, True, True, False, True, True, False]
    assert [done.take(7), done.take(7)] == [True, False], "the second row of that id has not been answered"


def test_progress_tells_rows_tokens_a_second_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what is still to be answered: rows that were there took no time."""
    now = 0.0
    monkeypatch.setattr("falcon_cli.batch.meter.time.monotonic", lambda: now)
    meter = Meter(100, shown=True)
    now = 1000.0
    meter.skip(50)
    assert capsys.readouterr().err == "0 rows, 1 were there\n"
    for _ in range(11):
        meter.token()
    now = 1010.0
    meter.row(10, failed=False)
    assert capsys.readouterr().err == "" and meter.told() == "1 rows, 1 were there, 11 tokens, 1.1 tokens/s, 40 s left"
    now = 1061.0
    meter.row(39, failed=True)
    assert capsys.readouterr().err == "2 rows, 1 were there, 1 failed, 11 tokens, 0.2 tokens/s, 1 s left\n"


def test_a_long_prompt_is_told_in_the_same_line(falcon: Falcon, fake_model: Any, tmp_path: Path) -> None:
    """Two bars on one terminal would draw over each other, and only one of them would give the cursor back."""
    falcon("generate", "-i", str(written(tmp_path / "rows.txt", "a")))
    tell = fake_model.OPENED[-1].engine.progress
    meter = tell.__self__
    assert isinstance(meter, Meter)
    tell(Progress("prefill", 512, 2048))
    assert meter.told().endswith(", reading a prompt, 512 of 2048 tokens")
    tell(Progress("prefill", 2048, 2048))
    assert "reading" not in meter.told()


# ---- crash, interrupt, full disk ----


@pytest.mark.promise
def test_a_killed_batch_goes_on_and_no_row_is_written_twice(start: Start, tmp_path: Path) -> None:
    source = written(tmp_path / "rows.jsonl", *({"id": f"r{n}", "prompt": f"slow {n}"} for n in range(40)))
    target = tmp_path / "out.jsonl"
    dice = random.Random(3)
    for _ in range(5):
        process = start("generate", "-i", str(source), "-o", str(target), "--resume", "-b", "7")
        while not target.exists():
            time.sleep(0.01)
        time.sleep(dice.uniform(0.05, 0.3))
        process.kill()
        process.communicate()
        if dice.random() < 0.5 and target.stat().st_size:
            with target.open("ab") as file:
                file.write(b'{"id": "r39", "te')  # what a power cut may leave of a line
    out, err = start("generate", "-i", str(source), "-o", str(target), "--resume", "-b", "7").communicate(timeout=60)
    assert (out, err) == (b"", b"")
    assert [(row["id"], row["text"]) for row in rows_of(target.read_text())] == [(f"r{n}", f"SLOW {n}") for n in range(40)]


@pytest.mark.parametrize(
    ("how", "kept", "all_of_them"),
    [((), [0, 1, 1, 2], [0, 1, 1, 2, 3, 4, 5]), (("--unordered",), [0, 1, 1, 2, 4], [0, 1, 1, 2, 4, 3, 5])],
)
def test_ctrl_c_keeps_the_rows_that_have_ended_and_resume_does_the_others(
    how: tuple[str, ...], kept: list[int], all_of_them: list[int], start: Start, tmp_path: Path
) -> None:
    """In the order of the input, and a row that is early is early no more; or as they end."""
    rows = [
        *({"id": n, "prompt": "quick"} for n in (0, 1, 1, 2)),
        {"id": 3, "prompt": "forever"},
        {"id": 4, "prompt": "quick"},
        {"id": 5, "prompt": "forever"},
    ]
    source, target = written(tmp_path / "rows.jsonl", *rows), tmp_path / "out.jsonl"
    process = start("generate", "-i", str(source), "-o", str(target), "-b", "7", *how)
    while not target.exists() or len(target.read_bytes().splitlines()) < len(kept):
        time.sleep(0.01)
    time.sleep(0.2)  # the quick ones have ended
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"")
    assert [row["id"] for row in rows_of(target.read_text())] == kept
    written(source, *({**row, "max_tokens": 2} for row in rows))
    process = start("generate", "-i", str(source), "-o", str(target), "--resume")
    assert process.communicate(timeout=20) == (b"", b"") and process.returncode == 0
    assert [row["id"] for row in rows_of(target.read_text())] == all_of_them


def test_ctrl_c_while_a_row_begins_ends_that_row_too(falcon: Falcon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To encode a long prompt takes its time: what was not submitted yet could not be cancelled."""
    source, target = written(tmp_path / "rows.txt", "forever"), tmp_path / "out"
    phrase = Phrasing.of_text

    def interrupted(self: Phrasing, text: str, *rest: Any, **named: Any) -> Prompt:
        signal.raise_signal(signal.SIGINT)
        return phrase(self, text, *rest, **named)

    monkeypatch.setattr(Phrasing, "of_text", interrupted)
    assert falcon("generate", "-i", str(source), "-o", str(target), "-n", "50").code == 130
    assert not target.exists() or target.read_text() == "", "it had not ended"


def test_a_row_with_half_a_character_in_its_id_is_known_again(falcon: Falcon, tmp_path: Path) -> None:
    source, target = written(tmp_path / "rows.jsonl", {"id": "\ud83e", "prompt": "é\ud83e"}), tmp_path / "out"
    for _ in range(2):
        assert falcon("generate", "-i", str(source), "-o", str(target), "--resume").code == 0
        assert [row["id"] for row in rows_of(target.read_text())] == ["\ud83e"]


def test_errors_of_an_earlier_run_still_count(falcon: Falcon, tmp_path: Path) -> None:
    source, target = written(tmp_path / "rows.jsonl", "{", {"prompt": "a"}), tmp_path / "out"
    assert falcon("generate", "-i", str(source), "-o", str(target)).code == 1
    before = target.read_bytes()
    assert falcon("generate", "-i", str(source), "-o", str(target), "--resume").code == 1
    assert target.read_bytes() == before


def test_a_full_disk_is_74_and_leaves_whole_rows(start: Start, tmp_path: Path) -> None:
    source, target = written(tmp_path / "rows.txt", *(["abc"] * 20)), tmp_path / "out"
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # noqa: E731
    process = start("generate", "-i", str(source), "-o", str(target), "-b", "2", preexec_fn=limit)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 74 and err.startswith(f"error: {target} cannot be written: ".encode())
    kept = rows_of(target.read_text())
    assert target.read_text().endswith("\n") and [row["id"] for row in kept] == list(range(1, len(kept) + 1)) and kept
    start("generate", "-i", str(source), "-o", str(target), "--resume").communicate(timeout=20)
    assert [row["id"] for row in rows_of(target.read_text())] == list(range(1, 21))


def test_what_was_written_is_on_the_disk_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, synced = 50.0, list[float]()
    monkeypatch.setattr("falcon_cli.batch.journal.time.monotonic", lambda: now)
    monkeypatch.setattr("falcon_cli.batch.journal.os.fsync", lambda _: synced.append(now))
    with File(tmp_path / "out", resume=False) as file:
        del synced[:]  # the folder
        file.write("{}")
        now = 50.4
        file.write("{}")
        now = 51.2
        file.write("{}")
        file.settle()
        assert synced == [51.2], "once for all of it"
        now = 51.3
        file.write("{}")
        file.settle(now=True)  # there is nothing else to do
        now = 52.0
        file.write("{}")
        now = 53.1
        file.settle()  # a long answer is on its way
        file.settle(now=True)
    assert synced == [51.2, 51.3, 53.1]


def test_a_pipe_or_a_device_is_written_as_it_is(falcon: Falcon, tmp_path: Path) -> None:
    source, pipe = written(tmp_path / "rows.txt", "a", "b"), tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        assert falcon("generate", "-i", str(source), "-o", str(pipe)).code == 0
        assert [row["text"] for row in rows_of(read.result(timeout=20))] == ["A", "B"]
    full = falcon("generate", "-i", str(source), "-o", "/dev/full")
    assert full.code == 74 and "No space left" in full.err and pipe.exists()
    lost = falcon("generate", "-i", str(source), "-o", str(tmp_path / "none" / "out"))
    assert lost.code == 74 and "there is no folder" in lost.err


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    with File(tmp_path / "out", resume=False) as one:
        with pytest.raises(WriteFailed, match="another process"):
            File(tmp_path / "out", resume=True)
        one.write("{}")


def test_a_reader_that_leaves_ends_it_silently(start: Start, tmp_path: Path) -> None:
    source = written(tmp_path / "rows.txt", *(["abc"] * 5000))
    process = start("generate", "-i", str(source))
    assert process.stdout is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["id"] == 1
    process.stdout.close()
    assert process.wait(timeout=20) == 141 and process.stderr.read() == b""
    process.stderr.close()


def test_a_slow_pipe_is_answered_line_by_line(start: Start) -> None:
    process = start("generate", "-i", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    for word in ("one", "two"):
        process.stdin.write(f"{word}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == word.upper()
    process.send_signal(signal.SIGINT)  # while it waits
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"")
