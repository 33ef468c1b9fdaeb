"""What it takes to put a state aside and bring it back: in memory, for another sequence, on the disk."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from modeling.bench.ceiling import settle
from modeling.bench.subject import Subject, clear, now
from modeling.bench.track import random_ids
from modeling.checkpoint.statefile import read_state, write_state
from modeling.errors import WriteFailed
from modeling.generation.answer import Saved
from modeling.messages import ProgressSink, Request
from modeling.state import ModelState, Snapshot
from modeling.timings import StateOperation, StateResult

IDENTITY = {"config": "falcon bench"}


def measure_states(
    subject: Subject,
    depths: Sequence[int],
    repetitions: int,
    began: Callable[[str], None],
    progress: ProgressSink | None = None,
) -> Iterator[StateResult]:
    """Each operation on the state of each of `depths` tokens (at least one); `began` is told of each depth.

    snapshot: a slot's state to host memory. restore: back into a slot. fork: into another slot, pages shared. save: a snapshot
    to a file with checksums, on the disk for good (in the folder for temporary files). load: that file, checked, to a snapshot.
    The device has done its work, and the disk has it, when the clock is read. Raises `WriteFailed`.
    """
    for depth in depths:
        clear()
        began(f"the state at {depth} tokens")
        yield from _at(subject, max(1, depth), repetitions, progress)


def _at(subject: Subject, depth: int, repetitions: int, progress: ProgressSink | None) -> Iterator[StateResult]:
    engine = subject.engine(2, depth + 2)
    engine.progress = progress
    ids, state = random_ids(depth, engine.runner.vocab_size), engine.runner.state
    assert isinstance(state, ModelState)
    kept: list[Saved] = []
    for _ in engine.generate(Request(ids, replace(subject.sampling, max_tokens=0)), keep=kept.append):
        pass
    snapshot = kept[-1]
    assert isinstance(snapshot, Snapshot)
    state.restore(0, snapshot)
    with _folder() as folder:
        file = Path(folder) / "state.safetensors"

        def load() -> None:
            found, tensors = read_state(file, IDENTITY)
            state.adopt(tensors, len(found))

        operations: dict[StateOperation, Callable[[], object]] = {
            "snapshot": lambda: state.snapshot(0),
            "restore": lambda: state.restore(0, snapshot),
            "fork": lambda: state.fork(0, 1),
            "save": lambda: write_state(file, snapshot.tensors(), ids, IDENTITY),
            "load": load,
        }
        for operation, run in operations.items():
            started = now()
            seconds = [_timed(run, subject) for _ in range(repetitions + 1)][1:]  # the first warms up
            through_file = operation in ("save", "load")
            size = file.stat().st_size if through_file else subject.model.state_bytes(depth)
            yield StateResult(
                setup=subject.setup(engine),
                started=started,
                seconds=tuple(seconds),
                operation=operation,
                depth=depth,
                bytes=size,
                moved=size if through_file else subject.model.state_bytes(0),
            )
            state.reset(1)


def _timed(run: Callable[[], object], subject: Subject) -> float:
    gc.collect()  # snapshots hold pages until they are garbage
    settle(subject.model.device)
    began = perf_counter()
    run()
    settle(subject.model.device)
    return perf_counter() - began


def _folder() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="falcon-bench-")
    except OSError as error:
        raise WriteFailed(f"no temporary folder can be made: {error.strerror}", "set TMPDIR to a folder with room") from None
