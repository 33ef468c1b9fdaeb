"""What goes to the two streams: the answer to stdout, everything else to stderr. Nothing else in falcon writes to either."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from falcon_cli import log
from falcon_cli.color import Color, Style, paint, wanted
from falcon_cli.terminal import visible
from modeling.errors import WriteFailed
from modeling.messages import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

BAR_AFTER, LINE_AFTER = 0.5, 2.0  # seconds a stage may take in silence: on a terminal, elsewhere
VERBS = {
    "download": "downloading",
    "load": "loading",
    "quantize": "quantizing",
    "prefill": "reading the prompt",
    "score": "reading the text",
}
TOKENS = ("prefill", "score")  # stages that are counted in tokens, the others in bytes


@dataclass(slots=True)
class Manner:
    """How falcon speaks in this process: what --color and --debug ask for."""

    color: Color = "auto"
    debug: bool = False


manner = Manner()
_given_up = False  # stdout could not be written


class PipeClosed(BaseException):
    """The reader of stdout has gone (`falcon … | head -1`): there is nobody left to write for."""


def prepare_streams() -> None:
    """Pipes and files are UTF-8 on every system; what a terminal cannot show becomes "?"."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            chosen = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if chosen else "utf-8", errors="replace")


def prepare_libraries(debug: bool = False) -> None:
    """Keep libraries from chattering. Call this before the first of them is imported; settings of the user are left alone."""
    import warnings

    for name, value in {
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_VERBOSITY": "error",
        "TRANSFORMERS_VERBOSITY": "error",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        os.environ.setdefault(name, value)
    if not debug and not sys.warnoptions:
        warnings.simplefilter("ignore")


def write(text: str, style: Style | None = None) -> None:
    """Write a part of the answer at once. On a terminal control characters are shown, not obeyed; a pipe gets the text itself.

    Raises `PipeClosed` if nobody reads any more, `WriteFailed` if the text cannot be written.
    """
    shown = visible(text) if sys.stdout is not None and sys.stdout.isatty() else text
    _put(shown if style is None else styled(shown, style, sys.stdout))


def drawing(text: str, *, aside: bool) -> None:
    """A diagram of falcon's own making, with its colours: to stdout, or `aside` to stderr. Raises as `write` does."""
    if aside:
        _say(text.rstrip("\n"))
    else:
        _put(text)


def _put(text: str) -> None:
    out = sys.stdout
    if out is None:
        raise WriteFailed("standard output is closed", "start falcon with an open standard output, or redirect it to a file")
    try:
        out.write(text)
        out.flush()
    except OSError as error:
        raise _abandoned(error) from None


def writable() -> bool:
    """Whether stdout still takes what is written: a write that fails gives it up."""
    return not _given_up


def flush() -> None:
    """Write out what stdout still holds. Raises as `write` does."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise _abandoned(error) from None


def note(text: str) -> None:
    """A line on stderr. If stderr cannot be written, there is nobody to tell."""
    log.write(text)
    _say(visible(text))


def ask(text: str) -> None:
    """A prompt on stderr, behind which the user types."""
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


def notice(text: str) -> None:
    """Something the user should know, though all is well."""
    _labelled("note", text)


def error(what: str, hint: str = "") -> None:
    """What went wrong and, if it is known, what to do next."""
    _labelled("error", what)
    if hint:
        _labelled("hint", hint)


def styled(text: str, style: Style, stream: TextIO | None) -> str:
    """`text` as the stream should get it: in colour or as it is."""
    return paint(text, style) if text and wanted(stream, manner.color) else text


def _labelled(label: Style, text: str) -> None:
    log.write(f"{label}: {text}")
    _say(f"{styled(f'{label}:', label, sys.stderr)} {visible(text)}")


def _say(line: str) -> None:
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
    except OSError:
        pass


def to_clipboard(text: str) -> bool:
    """Ask the terminal to take `text` into its clipboard (OSC 52: over ssh, too); whether there is a terminal to ask."""
    from base64 import b64encode

    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.isatty():
            stream.write(f"\x1b]52;c;{b64encode(text.encode('utf-8', 'replace')).decode()}\x07")
            stream.flush()
            return True
    return False


def traceback() -> None:
    """The traceback of the exception at hand, for --debug."""
    from traceback import format_exc

    note(format_exc().rstrip())


def abandon_stdout() -> None:
    """Give up stdout after a failed write: what its buffer still holds must not fail again when the process ends."""
    global _given_up
    _given_up = True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass  # not a real file: nothing is flushed at the end
    finally:
        os.close(nowhere)


def _abandoned(error: OSError) -> BaseException:
    abandon_stdout()
    if isinstance(error, BrokenPipeError):
        return PipeClosed()
    return WriteFailed(f"standard output cannot be written: {error.strerror}", "check the disk that it is redirected to")


class ProgressReport:
    """A `ProgressSink` on stderr: a bar on a terminal, one line per stage elsewhere; nothing for what is done in a moment.

    `close` it before anything else is written to the terminal.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown and sys.stderr is not None
        self._stage: str | None = None
        self._since = 0.0
        self._told = False
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def __call__(self, progress: Progress) -> None:
        if not self._shown:
            return
        if progress.stage == "compile":
            self.close()
            note("compiling kernels for this GPU: once, up to a minute")
            return
        if progress.stage != self._stage:
            self.close()
            self._stage, self._since, self._told = progress.stage, time.monotonic(), False
        waited = time.monotonic() - self._since
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            if self._bars is not None or (waited > BAR_AFTER and progress.done < progress.total):
                self._draw(progress)
        elif waited > LINE_AFTER and not self._told:
            self._told = True
            note(f"{VERBS[progress.stage]}: {_amount(progress)}")
        if progress.done >= progress.total:
            self.close()

    def close(self) -> None:
        """Take the bar away; the next stage may draw a new one."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._stage = None, None

    def _draw(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        if self._bars is None:
            amount = MofNCompleteColumn() if progress.stage in TOKENS else DownloadColumn()
            where = Console(stderr=True, no_color=not wanted(sys.stderr, manner.color))
            text = TextColumn("{task.description}", markup=False)
            self._bars = Bars(text, BarColumn(), amount, TimeRemainingColumn(), console=where, transient=True)
            self._task = self._bars.add_task(VERBS[progress.stage], total=progress.total)
            self._bars.start()
        if self._task is not None:
            self._bars.update(self._task, completed=progress.done, total=progress.total)


def _amount(progress: Progress) -> str:
    if progress.stage in TOKENS:
        return f"{progress.total} tokens"
    return f"{progress.total / 1e9:.2f} GB" if progress.total >= 1e8 else f"{progress.total / 1e6:.1f} MB"
