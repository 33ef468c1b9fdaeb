"""What is imported when: the shell of falcon answers before any heavy library is touched."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "torch transformers accelerate huggingface_hub tokenizers safetensors numpy prompt_toolkit jinja2 pydantic rich".split()
HEAVY += ["llguidance"]


def imported_by(program: str, *arguments: str) -> set[str]:
    """The heavy libraries in memory after `program` has ended, in an interpreter of its own."""
    tail = f"\nimport sys; sys.stderr.write(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    command = [sys.executable, "-c", program + tail, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


LINES = "--help|--version||generate --help|generate|generate --nonsense|nonsense|completions bash|config show|help environment"


@pytest.mark.parametrize("line", LINES.split("|"))
def test_help_version_and_wrong_calls_import_nothing_heavy(line: str) -> None:
    program = "import sys, io; from falcon_cli.app import run; sys.stderr, kept = io.StringIO(), sys.stderr; run(sys.argv[1:])"
    assert imported_by(program + "; sys.stderr = kept", *line.split()) == set()


@pytest.mark.parametrize("module", ["modeling", "modeling.errors", "modeling.messages", "modeling.config", "falcon_cli.app"])
def test_words_come_before_machines(module: str) -> None:
    assert imported_by(f"import {module}") == set()


def test_the_commands_are_imported_one_at_a_time() -> None:
    program = "import sys; from falcon_cli.app import run; run(['--help'])"
    assert imported_by(f"{program}; assert 'falcon_cli.commands.generate' not in sys.modules") == set()
