"""The line that is typed into: history, suggestions and completion, by prompt_toolkit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from falcon_cli import places
from falcon_cli.repl.slash import COMMANDS


def line_reader() -> Callable[[], str]:
    """A function that asks for a message. It raises `EOFError` for Ctrl-D, `KeyboardInterrupt` for Ctrl-C on an empty line.

    Enter sends, Alt-Enter or Ctrl-J begins a new line; what is pasted stays one message. Ctrl-C clears a line that has text.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("enter")
    def _(event: Any) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("c-c")
    def _(event: Any) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=_completer(),
        complete_while_typing=True,
        enable_open_in_editor=True,
        key_bindings=keys,
        multiline=True,
        prompt_continuation="… ",
    )
    return lambda: session.prompt("› ")


def _history() -> Any:
    """The history file, or memory if there is no place to write one."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        folder = places.data_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "history"
        path.touch(mode=0o600)
        return FileHistory(str(path))
    except OSError:
        return InMemoryHistory()


def _completer() -> Any:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class SlashCompleter(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
            for text, start, meaning in candidates(document.text_before_cursor):
                yield Completion(text, start_position=start, display_meta=meaning)

    return SlashCompleter()


def candidates(before: str) -> Iterator[tuple[str, int, str]]:
    """(text, where it begins relative to the cursor, meaning) of what may follow `before`: slash commands and their choices."""
    name, space, argument = before.partition(" ")
    if not name.startswith("/") or "\n" in before:
        return
    if not space:
        yield from ((each, -len(name), command.help) for each, command in COMMANDS.items() if each.startswith(name))
    elif name in COMMANDS and " " not in argument:
        yield from ((each, -len(argument), "") for each in COMMANDS[name].choices if each.startswith(argument))
