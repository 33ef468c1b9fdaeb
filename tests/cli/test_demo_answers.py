"""The whole way, with nothing in place of anything: argv → tokenizer → model → engine → stdout, against transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import torch
import transformers

from falcon_cli.demo import FOLDERS, resolve

PROMPT = "Hello, they remember the long road 日本 <|im_end|>\nand"


def falcon(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "falcon_cli", "generate", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


@cache
def oracle(name: str, count: int) -> tuple[list[int], list[int]]:
    """transformers' ids: of the prompt, and of `count` greedy tokens, each from one forward pass over everything before it."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(resolve(name))
    model = transformers.AutoModelForCausalLM.from_pretrained(resolve(name), dtype=torch.float32).eval()
    prompt = tokenizer(PROMPT).input_ids
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return prompt, ids[len(prompt) :]


@pytest.mark.parametrize("name", FOLDERS)
def test_greedy_ids_equal_transformers(name: str) -> None:
    options = "--raw --greedy --ignore-eos --dtype float32 --json --return-ids -n 40".split()
    done = falcon("-m", name, *options, stdin=PROMPT.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    result = json.loads(done.stdout)
    assert (result["prompt_ids"], result["completion_ids"]) == oracle(name, 40)
    assert result["model"] == name
    assert result["text"] == transformers.AutoTokenizer.from_pretrained(resolve(name)).decode(
        result["completion_ids"], skip_special_tokens=True
    )
    streamed = falcon("-m", name, *options[:5], "-n", "40", "--prefill-chunk", "3", stdin=PROMPT.encode())
    assert streamed.stdout.decode() == result["text"].removesuffix("\n") + "\n"


def test_a_seed_repeats_an_answer() -> None:
    first, second, other = (
        falcon("-m", "demo", "Hello", "--raw", "--temp", "2", "-n", "12", "-s", seed).stdout for seed in ("5", "5", "6")
    )
    assert first == second != other
