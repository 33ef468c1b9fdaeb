"""How far a batch is, on stderr: a bar on a terminal, elsewhere a line now and then, with tokens a second and the time left."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from falcon_cli import console
from falcon_cli.color import wanted
from modeling.messages import Progress as Stage

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

FIRST, AGAIN = 10.0, 60.0  # seconds to the first line where there is no terminal, and between two of them
_FRAMES = 0.2  # seconds between two looks of the bar


class Meter:
    """Counts rows and tokens. `size` is that of the input in bytes, None where nobody knows."""

    def __init__(self, size: int | None, *, shown: bool) -> None:
        self.rows = self.failed = self.tokens = 0
        self._size = size
        self._skipped = self._there = self._bytes = 0
        self._reading = ""
        self._shown = shown and sys.stderr is not None
        self._terminal = self._shown and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._started = time.monotonic()
        self._due = self._started + (_FRAMES if self._terminal else FIRST)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def skip(self, size: int) -> None:
        """A row that was answered before; `size` is that of its line in bytes."""
        self._skipped += size
        self._there += 1
        if not self.rows and not self.tokens:
            self._started = time.monotonic()  # the time left is that of rows which are answered
        self.tick()

    def row(self, size: int, *, failed: bool) -> None:
        """A row has ended."""
        self.rows += 1
        self.failed += failed
        self._reading = ""
        self._bytes += size
        self.tick()

    def token(self) -> None:
        self.tokens += 1
        self.tick()

    def read(self, stage: Stage) -> None:
        """How far the reading of a long prompt is. Whoever else drew it would draw over the bar."""
        self._reading = f"reading a prompt, {stage.done} of {stage.total} tokens" if stage.done < stage.total else ""
        self.tick()

    def tick(self) -> None:
        """Show how far it is, if it is time to."""
        now = time.monotonic()
        if not self._shown or now < self._due:
            return
        if self._terminal:
            self._due = now + _FRAMES
            self._draw()
        else:
            self._due = now + AGAIN
            console.note(self.told())

    def told(self) -> str:
        """The counts, the speed and the time left in one line."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        parts = [f"{self.rows} rows"]
        if self._there:
            parts.append(f"{self._there} were there")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.tokens:
            parts += [f"{self.tokens} tokens", f"{self.tokens / seconds:.1f} tokens/s"]
        if self._reading:
            parts.append(self._reading)
        left = self._left(seconds)
        return ", ".join(parts) + (f", {_span(left)} left" if left else "")

    def close(self) -> None:
        """Take the bar away."""
        self._reading = ""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @property
    def share(self) -> float | None:
        """How much of the input is done."""
        return None if not self._size else min(1.0, (self._skipped + self._bytes) / self._size)

    def _left(self, seconds: float) -> float | None:
        """Seconds to the end, if the rest is like what was done."""
        if not self._size or not self._bytes:
            return None
        return seconds * max(0, self._size - self._skipped - self._bytes) / self._bytes

    def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bar is None:
            where = Console(stderr=True, no_color=not wanted(sys.stderr, console.manner.color))
            self._bar = Progress(BarColumn(), TextColumn("{task.description}", markup=False), console=where, transient=True)
            self._task = self._bar.add_task("", total=None if self._size is None else 1.0)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=self.share or 0.0, description=self.told())


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
