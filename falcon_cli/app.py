"""`falcon`: the entry point, and the one place where errors become a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from falcon_cli import log, signals
from falcon_cli.exit import ExitCode, code_of
from falcon_cli.settings import nearest, truth
from modeling.errors import FalconError

if TYPE_CHECKING:
    from falcon_cli.color import Color
    from falcon_cli.console import Manner


def main() -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    code: int = ExitCode.FAILURE
    try:
        signals.install()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # a second Ctrl-C while the first is being dealt with
        code = ExitCode.INTERRUPTED
    except signals.Terminated as end:
        code = 128 + end.number
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.HUNG_UP):
        os._exit(code)  # a library that was stopped half way through its import or download must not delay the exit
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Every error ends here, as two lines on stderr."""
    from falcon_cli import console

    console.manner = _manner(arguments)
    try:
        console.prepare_streams()
        code = _invoke(arguments)
        console.flush()
        return code
    except console.PipeClosed:
        return ExitCode.PIPE_CLOSED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except signals.Terminated as end:
        return 128 + end.number
    except BrokenPipeError:
        console.abandon_stdout()
        return ExitCode.PIPE_CLOSED
    except Exception as error:
        return _report(error, arguments)
    finally:
        log.stop()


def _report(error: Exception, arguments: Sequence[str]) -> int:
    """Say what went wrong and what to do, and choose the exit code."""
    from falcon_cli import console

    if console.manner.debug:
        console.traceback()
    if isinstance(error, FalconError):
        code = code_of(error)
        console.error(str(error), error.hint or (_help(arguments) if code == ExitCode.USAGE else ""))
        return code
    if isinstance(error, MemoryError):
        console.error("out of memory", "close other programs, or choose a smaller model or --dtype bfloat16")
        return ExitCode.MEMORY
    if isinstance(error, OSError):
        console.abandon_stdout()
        what = error.strerror or str(error)
        console.error(f"{error.filename}: {what}" if error.filename else what, "check the disk and the permissions")
        return ExitCode.IO
    hint = "this is a fault in falcon: please report it, with the output of the same command and --debug"
    console.error(f"{type(error).__name__}: {error}", hint)
    return ExitCode.FAILURE


def _help(arguments: Sequence[str]) -> str:
    """How to ask for help with a command line that makes no sense."""
    from falcon_cli.commands import SUMMARIES

    command = [word for word in arguments[:1] if word in SUMMARIES]
    return " ".join(["falcon", *command, "--help"])


def _manner(arguments: Sequence[str]) -> Manner:
    """How to speak until the command line has been understood: an error in it is to look right, too."""
    from falcon_cli.console import Manner

    words = " ".join(arguments).replace("--color=", "--color ").split()
    asked = [word for option, word in pairwise(words) if option == "--color"] or [os.environ.get("FALCON_COLOR", "")]
    color: Color = "never" if "never" in asked else "always" if "always" in asked else "auto"
    return Manner(color, debug="--debug" in arguments or truth(os.environ.get("FALCON_DEBUG", "")))


def _invoke(arguments: Sequence[str]) -> int:
    """Parse the arguments and run the command they name."""
    import typer

    from falcon_cli.commands import application

    usage_error: type[Exception] = typer.BadParameter.__mro__[1]  # Typer keeps UsageError itself private
    command = application()
    try:
        with command.make_context("falcon", list(arguments)) as context:
            code = command.invoke(context)
    except typer.Exit as leaving:  # --help, --version
        return leaving.exit_code
    except usage_error as error:
        return _usage(error)
    return ExitCode.OK if code is None else int(code)


def _usage(error: Exception) -> int:
    """Report a command line that cannot be parsed."""
    from falcon_cli import console

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "falcon"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if unknown := getattr(error, "option_name", None) if getattr(error, "possibilities", None) else None:
        message = f"no such option {unknown}{nearest(unknown, getattr(error, 'possibilities', ()))}"
    console.error(message[:1].lower() + message[1:].rstrip("."), f"{path} --help")
    return ExitCode.USAGE
