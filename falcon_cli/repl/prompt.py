"""The line that is typed into, by prompt_toolkit: history, suggestions, completion, an editor, the keys of vi, a toolbar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from falcon_cli import console, places
from falcon_cli.demo import name_of
from falcon_cli.repl.chat import Chat
from falcon_cli.repl.slash import COMMANDS
from falcon_cli.terminal import visible

FENCE = '"""'


class Prompt:
    """Asks for messages. Enter sends, Alt-Enter or Ctrl-J begins a new line (in the manner `multiline` the other way round), a
    block that begins with three quotes ends with three; what is pasted stays one message. Ctrl-C clears a line that has text.
    """

    def __init__(self, chat: Chat) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
        from prompt_toolkit.output import create_output

        self._chat = chat
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            auto_suggest=AutoSuggestFromHistory(),
            completer=_completer(chat),
            complete_while_typing=True,
            enable_open_in_editor=True,
            key_bindings=self._keys(),
            multiline=True,
            prompt_continuation="… ",
            bottom_toolbar=lambda: toolbar(chat),
            output=create_output(always_prefer_tty=True),  # answers may go to a file: the prompt does not
        )

    def read(self) -> str:
        """The next message. Raises `EOFError` for Ctrl-D, `KeyboardInterrupt` for Ctrl-C on an empty line."""
        from prompt_toolkit.enums import EditingMode

        self._session.editing_mode = EditingMode.VI if self._chat.manner.vi else EditingMode.EMACS
        text = self._session.prompt("› ", default=self._chat.draft or "")
        return unquoted(text)

    def _keys(self) -> Any:
        from prompt_toolkit.filters import is_searching
        from prompt_toolkit.key_binding import KeyBindings
        from prompt_toolkit.keys import Keys
        from prompt_toolkit.search import accept_search

        keys = KeyBindings()
        keys.add(Keys.Vt100MouseEvent)(lambda event: None)  # what looks like a mouse is somebody typing an escape sequence

        @keys.add("enter", filter=is_searching)
        def _(event: Any) -> None:
            accept_search()
            event.app.current_buffer.validate_and_handle()  # what Ctrl-R has found is said at once, as in a shell

        @keys.add("escape", "enter", filter=~is_searching)
        def _(event: Any) -> None:
            if self._chat.manner.multiline:
                event.current_buffer.validate_and_handle()
            else:
                event.current_buffer.insert_text("\n")

        @keys.add("c-j", filter=~is_searching)
        def _(event: Any) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("enter", filter=~is_searching)
        def _(event: Any) -> None:
            text = event.current_buffer.text
            if open_block(text) or (self._chat.manner.multiline and not text.startswith("/")):
                event.current_buffer.insert_text("\n")
            else:
                event.current_buffer.validate_and_handle()

        @keys.add("c-c", filter=~is_searching)
        def _(event: Any) -> None:
            self._chat.draft = None  # what was to be changed stays as it was
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                event.app.exit(exception=KeyboardInterrupt)

        return keys


def read_plainly() -> str:
    """The next message on a terminal that can do nothing (TERM=dumb). Raises as `Prompt.read`."""
    console.ask("> ")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def toolbar(chat: Chat) -> str:
    """What stands below the prompt: the model, how it is stored, the conversation, the turn, the state, the last speed."""
    info, state = chat.opened.info, chat.session.state
    size = info.state_bytes + (info.token_bytes * state.length if state is not None else 0)
    parts = [
        Path(name_of(info.name)).name,
        info.quantization or info.dtype,
        chat.keeper.name or "not saved",
        f"turn {len(chat.session.messages) // 2}",
        f"state {size / 2**20:.1f} MiB",
        chat.speed(),
    ]
    return visible(" · ".join(parts))


def open_block(text: str) -> bool:
    """Whether the text has begun a block with three quotes and not ended it."""
    return text.startswith(FENCE) and not (len(text) >= 2 * len(FENCE) and text.rstrip().endswith(FENCE))


def unquoted(text: str) -> str:
    """A message without the quotes of its block."""
    if text.startswith(FENCE) and not open_block(text):
        return text.rstrip()[len(FENCE) : -len(FENCE)].strip("\n")
    return text


def _history() -> Any:
    """The history file, or memory if there is no place to write one."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class Forgiving(FileHistory):
        def load_history_strings(self) -> Iterable[str]:
            with suppress(OSError):
                yield from super().load_history_strings()

        def store_string(self, string: str) -> None:
            with suppress(OSError):  # a full disk costs the line's place in the history, nothing else
                super().store_string(string)

    try:
        folder = places.data_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "history"
        path.touch(mode=0o600)
        return Forgiving(str(path))
    except OSError:
        return InMemoryHistory()


def _completer(chat: Chat) -> Any:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    paths = PathCompleter(expanduser=True)

    class SlashCompleter(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
            before = document.text_before_cursor
            name, _, argument = before.partition(" ")
            if "\n" not in before and name in COMMANDS and COMMANDS[name].path and before != name:
                bare = argument.removeprefix('"')
                for found in paths.get_completions(Document(bare), complete_event):
                    text = quoted(bare + found.text, asked=argument != bare)
                    yield Completion(text, start_position=-len(argument), display=found.display)
            for text, start, meaning in candidates(chat, before):
                yield Completion(text, start_position=start, display_meta=meaning)

    return SlashCompleter()


def quoted(path: str, *, asked: bool) -> str:
    """A path as a slash command takes it: in quotes if they were `asked` for or it has blanks, open where it may go on."""
    if not asked and " " not in path:
        return path
    return f'"{path}' if Path(path).expanduser().is_dir() else f'"{path}"'


def candidates(chat: Chat, before: str) -> Iterator[tuple[str, int, str]]:
    """(text, where it begins relative to the cursor, meaning) of what may follow `before`: slash commands and their choices."""
    name, space, argument = before.partition(" ")
    if not name.startswith("/") or "\n" in before:
        return
    if not space:
        yield from ((each, -len(name), command.help) for each, command in COMMANDS.items() if each.startswith(name))
    elif name in COMMANDS and " " not in argument:
        yield from ((each, -len(argument), "") for each in COMMANDS[name].choices(chat) if each.startswith(argument))
