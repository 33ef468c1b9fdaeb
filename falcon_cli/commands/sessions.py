"""`falcon sessions`: the conversations that were kept."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from falcon_cli import console, places
from falcon_cli.commands import command_group
from falcon_cli.exit import ExitCode
from falcon_cli.export import ENDINGS, Format, Origin, document, export_conversation, moment, timestamp, tree
from falcon_cli.output import STDOUT
from falcon_cli.settings import nearest
from falcon_cli.sizes import parse_size, shown_size
from falcon_cli.store import BUDGET, Conversation, Saved, Store, Summary
from modeling.errors import InvalidRequest

Json = Annotated[bool, typer.Option("--json", help="Write one JSON document instead of text.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a session, as `falcon sessions list` shows it.")]
Branch = Annotated[str | None, typer.Option("--branch", metavar="BRANCH", help="What ends at this branch, not at the head.")]

sessions = command_group(
    "sessions",
    """List, show, export and remove conversations that were kept.

    falcon chat keeps each conversation, turn by turn, in a database in the folder of FALCON_HOME or where this system keeps the
    data of programs. The states beside it are a cache: what is removed is read again from the text.
    """,
)


@sessions.command("list")
def list_sessions(json: Json = False) -> ExitCode:
    """List all sessions, the one used last first."""
    with _store(reading=True) as store:
        found = store.summaries()
        if json:
            _write_json({"file": str(store.file), "sessions": [_summary(summary) for summary in found]})
            return ExitCode.OK
    if not found:
        console.note("no session yet: falcon chat begins one")
        return ExitCode.OK
    header = ("NAME", "MODEL", "TURNS", "TOKENS", "UPDATED", "STATES")
    table = [header, *(_cells(summary) for summary in found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        console.write("  ".join(_aligned(row, widths)).rstrip() + "\n")
    return ExitCode.OK


@sessions.command()
def show(name: Name, branch: Branch = None, json: Json = False) -> ExitCode:
    """Show what was said in a session, and its tree if it has branches."""
    with _store(reading=True) as store:
        saved = store.find(name)
        turns, head, branches = _conversation(store, saved, branch)
    if json:
        _write_json(document(turns, head, branches, _origin(saved)))
        return ExitCode.OK
    path = head.path() if head is not None else []
    console.write(f"{saved.name} · {saved.model} · {_count(len(path), 'turn')} · {moment(saved.updated)}\n", "dim")
    system = None
    for turn in path:
        if turn.system != system:
            system = turn.system
            console.write(f"\n[system] {system if system is not None else '(none any more)'}\n", "dim")
        console.write(f"\n› {turn.user}\n\n{turn.reply}\n")
        if turn.reason in ENDINGS:
            console.write(f"[{ENDINGS[turn.reason]}]\n", "dim")
    if branches or len(path) < len(turns):
        console.write("\n")
        for line in tree(turns, head, branches):
            console.write(f"{line}\n")
    return ExitCode.OK


@sessions.command()
def export(
    name: Name,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A file.md, .json or .jsonl; else stdout.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The same as FILE.")] = None,
    format: Annotated[Format | None, typer.Option(help="The format, if the name of the file does not tell it.")] = None,
    branch: Branch = None,
) -> ExitCode:
    """Write a session to a file, or to stdout.

    \b
    md      what was said, to be read
    jsonl   the same as messages, {"role": …, "content": …} on each line, to be fed elsewhere
    json    the messages and the whole tree, with parameters and figures

    The file appears whole, or stays as it was.
    """
    if file is not None and output is not None:
        raise InvalidRequest(f"the file is given twice, {file} and --output {output}", "give one of the two")
    with _store(reading=True) as store:
        saved = store.find(name)
        turns, head, branches = _conversation(store, saved, branch)
    path = file if file is not None else output
    export_conversation(turns, head, path, format=format, branches=branches, origin=_origin(saved))
    if path is not None and path != STDOUT:
        console.note(f"written: {path}")
    return ExitCode.OK


@sessions.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="The sessions to remove.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> ExitCode:
    """Remove sessions with their states, for good."""
    with _store() as store:
        doomed = [store.find(name) for name in dict.fromkeys(names)]
        if not yes and not _agreed(f"remove {', '.join(saved.name for saved in doomed)} for good?"):
            console.note("nothing was removed")
            return ExitCode.FAILURE
        for saved in doomed:
            store.remove(saved)
            console.note(f"removed: {saved.name}")
    return ExitCode.OK


@sessions.command()
def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name of a session.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its name from now on.")],
) -> ExitCode:
    """Give a session another name."""
    with _store() as store:
        store.rename(store.find(old), new)
    return ExitCode.OK


@sessions.command()
def prune(
    budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How much may stay, such as 500MiB or 2GB; 4GiB by default, 0: nothing.")
    ] = None,
    json: Json = False,
) -> ExitCode:
    """Remove states that were not used for long, until the others fit a size.

    What was said stays. A conversation whose state is gone is read again when it goes on.
    """
    size = BUDGET if budget is None else parse_size(budget)
    with _store() as store:
        pruned = store.prune(size)
    if json:
        _write_json({"removed": pruned.files, "freed_bytes": pruned.freed, "left_bytes": pruned.left})
    else:
        removed = f"{_count(pruned.files, 'state')} removed, {shown_size(pruned.freed)} given back"
        console.write(f"{removed}; {shown_size(pruned.left)} of states left\n")
    return ExitCode.OK


@contextmanager
def _store(*, reading: bool = False) -> Iterator[Store]:
    with Store.open(places.data_folder(), reading=reading) as store:
        for notice in store.notices:
            console.notice(notice)
        yield store


def _conversation(store: Store, saved: Saved, branch: str | None) -> Conversation:
    """The session, as if it stood at the branch. Raises `InvalidRequest` for a branch that is not there."""
    found = store.load(saved)
    if branch is None:
        return found
    if branch not in found.branches:
        hint = f"it has {', '.join(found.branches)}" if found.branches else "it has none"
        raise InvalidRequest(f"{saved.name} has no branch {branch!r}{nearest(branch[:64], found.branches)}", hint)
    return found._replace(head=found.branches[branch])


def _agreed(question: str) -> bool:
    """Whether the user says yes. Raises `InvalidRequest` if there is nobody to ask."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest("there is nobody to ask: standard input is no terminal", "add --yes")
    console.note(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _origin(saved: Saved) -> Origin:
    return Origin(saved.name, saved.model, saved.revision, saved.created, saved.updated)


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "name": summary.name,
        "model": summary.model,
        "revision": summary.revision,
        "created": timestamp(summary.created),
        "updated": timestamp(summary.updated),
        "turns": summary.turns,
        "all_turns": summary.all_turns,
        "branches": summary.branches,
        "tokens": summary.tokens,
        "state_bytes": summary.state_bytes,
    }


def _cells(summary: Summary) -> tuple[str, ...]:
    states = shown_size(summary.state_bytes) if summary.state_bytes else "-"
    return summary.name, summary.model, str(summary.turns), f"{summary.tokens:,}", moment(summary.updated), states


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(width) if column in (2, 3, 5) else cell.ljust(width)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _write_json(content: Any) -> None:
    console.write(json_format.dumps(content, ensure_ascii=False, indent=2) + "\n")
