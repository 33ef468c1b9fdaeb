"""A prompt on the command line, whatever the locale makes of its bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_model.py")
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}  # a locale in which Python knows no é

pytestmark = pytest.mark.skipif(os.name != "posix", reason="arguments are bytes on POSIX only")


def run(prompt: bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    words = [os.fsencode(sys.executable), os.fsencode(FAKE), b"generate", prompt, b"--json", b"--return-ids"]
    return subprocess.run(words, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C"}, ASCII], ids=["as it is", "C", "ASCII"])
def test_an_argument_is_utf_8_in_every_locale(environment: dict[str, str]) -> None:
    done = run("caf\u00e9 \u4f60".encode(), **environment)
    assert json.loads(done.stdout)["prompt_ids"] == list(map(ord, "caf\u00e9 \u4f60"))


@pytest.mark.parametrize("environment", [{}, ASCII], ids=["as it is", "ASCII"])
def test_an_argument_that_is_no_text_is_refused_as_a_file_would_be(environment: dict[str, str]) -> None:
    done = run(b"caf\xe9", **environment)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: the prompt is not UTF-8 text: byte 0xe9 at offset 3\nhint: ")
