"""A file of prompts, answered row by row: `falcon generate --input-file`.

    source ──► rows ──► work ──► engine ──► outbox ──► journal
    lines      what is   prompts  slots      back in    a line for each row, durable,
    as they    asked     and                 order      never twice
    come                 answers

Nothing holds more than a bounded number of rows, however long the file is.
"""

from __future__ import annotations

from falcon_cli.batch.run import answer_rows

__all__ = ["answer_rows"]
