from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from modeling.errors import BadModelFile
from modeling.text.tokenizer import LONG, Tokenizer

TEXTS = [
    "",
    " ",
    "the cat sat",
    "  two  spaces \n\n\tand tabs ",
    "<|im_start|>user\nhi<|im_end|>\n",
    "a<|late|> b ordinary extraordinary <|tool|>the<|mask|><|end|> x",
    "日本語 🙂 👩‍👩‍👧 \ufffd \x00 naïve",
    "it is n't , is it ? ' a ' it 's . ' ' .",
]


def oracle(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


def test_ids_and_text_equal_transformers(folder: Path) -> None:
    ours, theirs = Tokenizer.from_folder(folder), oracle(folder)
    for text in TEXTS:
        assert ours.encode(text) == tuple(theirs(text).input_ids), text
    draw = random.Random(7)
    for _ in range(200):
        ids = [draw.randrange(ours.size) for _ in range(draw.randrange(1, 12))]
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True), ids
    assert ours.size == len(theirs)
    assert (ours.bos_id, ours.eos_id, ours.pad_id) == (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id)


@pytest.mark.parametrize("how", ["saved by transformers", "special_tokens_map.json", "added_tokens.json", "gpt_neox"])
def test_other_layouts_equal_transformers(how: str, make_folder: Callable[..., Path], tmp_path: Path) -> None:
    if how == "saved by transformers":
        oracle(make_folder("byte_level", extra_special_tokens=["<|tool|>"], eos_token="<|end|>")).save_pretrained(tmp_path)
        shutil.copy(make_folder("byte_level") / "config.json", tmp_path)
    elif how == "gpt_neox":  # the class that transformers takes for falcon_mamba when the checkpoint names none
        plain = transformers.GPTNeoXTokenizer(tokenizer_object=None, vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")])
        plain.save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text('{"model_type": "falcon_mamba"}')
    else:
        shutil.copytree(make_folder("byte_level"), tmp_path, dirs_exist_ok=True)
        extra = {
            "special_tokens_map.json": {"eos_token": {"content": "<|fin|>", "lstrip": True}, "mask_token": "<|mask|>"},
            "added_tokens.json": {"<|late|>": 331, "<|sooner|>": 330},
        }[how]
        (tmp_path / how).write_text(json.dumps(extra))
    ours, theirs = Tokenizer.from_folder(tmp_path), oracle(tmp_path)
    for text in [*TEXTS, "abab<|fin|> <|sooner|><|late|>"]:
        assert ours.encode(text) == tuple(theirs(text).input_ids), text
    assert ours.eos_id == theirs.eos_token_id


def test_end_of_turn_is_the_end_of_sequence_and_of_a_message(make_folder: Callable[..., Path]) -> None:
    chat = Tokenizer.from_folder(make_folder("byte_level"))
    assert chat.end_of_turn_ids == {chat.encode("<|end_of_text|>")[0], chat.encode("<|im_end|>")[0]}
    assert Tokenizer.from_folder(make_folder("byte_fallback")).end_of_turn_ids == {2}
    assert Tokenizer.from_folder(make_folder("byte_fallback", eos_token=None, bos_token=None)).end_of_turn_ids == frozenset()


def test_template_is_found_where_it_lies(make_folder: Callable[..., Path]) -> None:
    assert Tokenizer.from_folder(make_folder("byte_level")).chat_template is None
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    folder = make_folder("byte_level", chat_template=named)
    assert Tokenizer.from_folder(folder).chat_template == "D"
    (folder / "chat_template.jinja").write_text("{{ 'J' }}")
    assert Tokenizer.from_folder(folder).chat_template == "{{ 'J' }}"


def test_ids_out_of_range_and_lone_surrogates_are_harmless(make_folder: Callable[..., Path]) -> None:
    tokenizer = Tokenizer.from_folder(make_folder("byte_level"))
    assert tokenizer.decode([10**6, *tokenizer.encode("ok"), 2**31]) == "ok"
    assert tokenizer.decode(tokenizer.encode("a\udcffb")).startswith("a")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{"),
        ("tokenizer.json", ""),
        ("tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        ("tokenizer.json", '{"version": "1.0", "model": {"type": "Telepathy"}}'),
        ("tokenizer_config.json", "[1]"),
        ("tokenizer_config.json", "{" * 100_000),
        ("tokenizer_config.json", '{"extra_special_tokens": 7}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "y"}}}'),
        ("tokenizer_config.json", '{"eos_token": {"no": "content"}}'),
        ("chat_template.jinja", b"\xff\xfe"),
    ],
)
def test_damaged_files_are_named(name: str, content: str | bytes, make_folder: Callable[..., Path]) -> None:
    folder = make_folder("byte_level")
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadModelFile) as caught:
        Tokenizer.from_folder(folder)
    assert str(folder) in str(caught.value)
    assert caught.value.hint


def test_missing_tokenizer_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=r"no tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.model").touch()
    with pytest.raises(BadModelFile) as caught:
        Tokenizer.from_folder(tmp_path)
    assert "tokenizer.json only" in caught.value.hint


def test_reading_a_tokenizer_imports_neither_transformers_nor_torch(make_folder: Callable[..., Path]) -> None:
    program = (
        "import sys, pathlib; from modeling.text.tokenizer import Tokenizer; from modeling.text.stream import StreamDecoder;"
        "StreamDecoder(Tokenizer.from_folder(pathlib.Path(sys.argv[1])));"
        "print([m for m in ('torch', 'transformers', 'huggingface_hub', 'numpy') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, make_folder("byte_level")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarm on this system")
def test_a_long_text_has_the_same_ids_and_its_encoding_can_be_interrupted(make_folder: Callable[..., Path]) -> None:
    tokenizer = Tokenizer.from_folder(make_folder("byte_level"))
    text = "The tower stands 300 m high, it’s said.\n" * (3 * LONG // 40)
    once = tokenizer.backend.encode(text, add_special_tokens=False).ids
    assert tokenizer.encode_literal(text) == tuple(once)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            tokenizer.encode_content(text * 4)
        encoding = [thread for thread in threading.enumerate() if thread.name == "encode"]
        assert encoding  # nobody has waited for it
    finally:
        signal.signal(signal.SIGALRM, before)
    for thread in encoding:
        thread.join()
