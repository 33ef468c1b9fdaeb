"""A process that adds turns to a session and prints each when it is acknowledged: writer.py HOME TAG COUNT [POINT]

Turns are TAG-0, TAG-1, …, each behind the last, after what the session holds; COUNT 0: without end. With the file HOME/wait
there it waits for HOME/go. At POINT it kills itself: "open", "insert", "update", "commit", "committed" or "settle".
"""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import count
from pathlib import Path
from typing import NoReturn

from falcon_cli.store import Store, database
from modeling.messages import SamplingParams, Stats
from modeling.turns import Segment, Turn


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(home: Path, tag: str, number: int, point: str = "") -> None:
    if point == "settle":
        database.LOG_LIMIT = 0
    with Store.open(home) as store:
        if point == "open":
            die()
        saved = store.find("shared") if "shared" in store.names() else store.create("shared", "demo", None, {})
        turn = store.load(saved).head
        if (home / "wait").exists():
            (home / f"ready-{tag}").touch()
            while not (home / "go").exists():
                time.sleep(0.005)
        starts = {"insert": "INSERT INTO turns", "update": "UPDATE sessions", "commit": "COMMIT", "settle": "PRAGMA wal_check"}
        seen = 0

        def trace(statement: str) -> None:
            nonlocal seen
            seen += statement.startswith(starts[point])
            if seen == 3:
                die()

        if point in starts:
            store._database.connection.set_trace_callback(trace)
        for step in count() if number == 0 else range(number):
            text = f"{tag}-{step}"
            segments = (Segment("template", "<user>", (1, 2)), Segment("content", text, (3,)), Segment("reply", text, (4, 5)))
            kept = 0 if turn is None else turn.kept + len(turn.segments)
            stats = Stats(3, 0, 3, 2, 0.0, 0.0, 0.0)
            turn = Turn(turn, None, text, text, kept, segments, "stop", None, SamplingParams(), stats, time.time())
            branch = store.add(saved, turn)
            if point == "committed" and step == 2:
                die()
            print(f"{text} {branch or ''}".rstrip(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
