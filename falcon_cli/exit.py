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
    """The exit codes of every command, each with its meaning: `falcon help exit-codes` shows them."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, value)
        code._value_, code.meaning = value, meaning
        return code

    OK = 0, "done"
    FAILURE = 1, "any other failure: a device that is not there, rows of a batch"
    USAGE = 2, "wrong usage: an option, a value, a setting or a prompt that cannot work"
    MODEL_UNAVAILABLE = 3, "the model was not found, is gated, or cannot be had offline"
    MEMORY = 4, "not enough memory"
    STATE_REFUSED = 5, "a saved session or state was refused: damaged, or of another model"
    BAD_MODEL_FILE = 6, "a bad model file: damaged, or of a kind that falcon does not run"
    IO = 74, "output could not be written, for example to a full disk (EX_IOERR)"
    HUNG_UP = 129, "the terminal was closed (128 + SIGHUP)"
    INTERRUPTED = 130, "Ctrl-C (128 + SIGINT); what had been made was written"
    PIPE_CLOSED = 141, "the reader of a pipe went away, as in falcon … | head -1 (128 + SIGPIPE)"
    TERMINATED = 143, "ended by SIGTERM (128 + SIGTERM)"


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
