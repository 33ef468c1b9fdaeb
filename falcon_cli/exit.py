"""How `falcon` ends: the exit codes, and which error means which."""

from __future__ import annotations

from enum import IntEnum

from modeling.errors import (
    BadModelFile,
    FalconError,
    InvalidRequest,
    MemoryExceeded,
    ModelUnavailable,
    StateRefused,
    WriteFailed,
)


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILURE = 1  # anything without a code of its own
    USAGE = 2  # a wrong option, value or prompt
    MODEL_UNAVAILABLE = 3  # not found, gated or offline
    MEMORY = 4  # it does not fit
    STATE_REFUSED = 5  # a saved session or state that does not belong here
    BAD_MODEL_FILE = 6  # a damaged or unknown checkpoint
    IO = 74  # output could not be written (EX_IOERR)
    INTERRUPTED = 130  # Ctrl-C (128 + SIGINT)
    PIPE_CLOSED = 141  # the reader of stdout went away (128 + SIGPIPE)
    TERMINATED = 143  # 128 + SIGTERM


CODES: dict[type[FalconError], ExitCode] = {
    InvalidRequest: ExitCode.USAGE,
    ModelUnavailable: ExitCode.MODEL_UNAVAILABLE,
    MemoryExceeded: ExitCode.MEMORY,
    StateRefused: ExitCode.STATE_REFUSED,
    BadModelFile: ExitCode.BAD_MODEL_FILE,
    WriteFailed: ExitCode.IO,
    FalconError: ExitCode.FAILURE,
}


def code_of(error: FalconError) -> ExitCode:
    """The code of the nearest ancestor that has one."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
