"""Who keeps a conversation: each answer is on the disk as soon as it is there, the state beside it when one leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from falcon_cli import console, places
from falcon_cli.demo import name_of
from falcon_cli.store import Saved, Store, check_branch, check_name
from modeling.errors import InvalidRequest, MemoryExceeded, StateRefused, WriteFailed
from modeling.turns import Turn

if TYPE_CHECKING:
    from modeling.api import OpenModel
    from modeling.generation.session import Session


FRESH = (
    4096  # tokens that were not read or drawn before: to write a state (36 MiB for a FalconMamba) is cheaper than to read them
)


class Keeper:
    """Keeps one conversation in a store, from its first answer on.

    Without a store, and after the disk has failed (it warns once), the conversation goes on unsaved. `branches` are names for
    turns, which there are without a store, too. `notices` are what is to be told as soon as nothing else is being written.
    """

    def __init__(self, store: Store | None, *, saved: Saved | None = None, name: str | None = None) -> None:
        """`saved` is a conversation to go on with; `name` is for one that has yet to begin: without it the store finds one."""
        self.branches: dict[str, Turn] = {}
        self.notices: list[str] = []
        self._store = store
        self._saved = saved
        self._wanted = name
        self._identity: Mapping[str, str] = {}
        self._stored: tuple[int, Turn | None] = (0, None)  # tokens of the last state on the disk, and the turn it stands behind

    @classmethod
    def open(cls, name: str | None = None, *, last: bool = False) -> Self:
        """Keep a conversation in the user's store: the one of that name, the `last` one, or a new one.

        Raises `StateRefused` if there is no last one, and `InvalidRequest` for a name that is none. If nothing can be kept,
        that is an error only for whoever asked for a conversation.
        """
        if name is not None:
            check_name(name)
        try:
            store = Store.open(places.data_folder())
        except WriteFailed as error:
            if name is not None or last:
                raise
            console.notice(f"{error}: this conversation is not saved")
            return cls(None)
        for notice in store.notices:
            console.notice(notice)
        if last:
            saved = store.last()
            if saved is None:
                raise StateRefused("there is no conversation to continue", "falcon chat begins one")
            return cls(store, saved=saved)
        if name is not None and name in store.names():
            return cls(store, saved=store.find(name))
        return cls(store, name=name)

    @property
    def name(self) -> str | None:
        """What the conversation is kept as; None if it is not."""
        return self._saved.name if self._saved is not None else None

    @property
    def model(self) -> str | None:
        """The model of a kept conversation."""
        return self._saved.model if self._saved is not None else None

    @property
    def revision(self) -> str | None:
        """The revision of that model."""
        return self._saved.revision if self._saved is not None else None

    def names(self) -> Iterable[str]:
        """What other conversations are kept as, the one used last first."""
        return self._store.names() if self._store is not None else ()

    def listing(self) -> Iterable[str]:
        """A line for each conversation that is kept. Raises `InvalidRequest` if none is."""
        found = self._store.summaries() if self._store is not None else []
        if not found:
            raise InvalidRequest("no conversation is kept yet")
        wide = max(len(each.name) for each in found)
        for each in found:
            mark = "▶" if each.name == self.name else " "
            yield f"{mark} {each.name:<{wide}}  {each.turns:>4} turns {each.tokens:>8} tokens  {each.model}"

    # ---- as the conversation goes on ----

    def answered(self, opened: OpenModel, session: Session) -> None:
        """Put the turn where the conversation stands on the disk; it is safe when this returns."""
        if session.head is not None:
            self._add(opened, session, [session.head])

    def rested(self, opened: OpenModel, session: Session) -> None:
        """The answer has been shown: put its state on the disk if much would have to be read again without it."""
        self._put_by(opened, session, at_least=FRESH)
        self.tell()

    def _add(self, opened: OpenModel, session: Session, turns: Iterable[Turn]) -> None:
        with self._disk():
            if self._store is None:
                return
            model, revision = name_of(opened.info.name), opened.info.revision
            identity = self._identity or opened.identity(session)
            with self._store.together():  # a disk that is full leaves no session behind in which nothing was said
                saved = self._saved or self._store.create(self._wanted, model, revision, identity, session.system)
                self._store.set_model(saved, model, revision, identity)
                self._store.set_system(saved, session.system)
                branches = [self._store.add(saved, turn) for turn in turns]
            self._saved, self._identity = saved, identity
            self.notices += [
                f"another falcon goes on with {saved.name}, too: what is said here is its branch {branch}"
                for branch in branches
                if branch is not None
            ]

    def stands_at(self, session: Session) -> None:
        """The conversation stands elsewhere, or under another system prompt."""
        with self._disk():
            if self._store is not None and self._saved is not None:
                self._store.move_head(self._saved, session.head)
                self._store.set_system(self._saved, session.system)

    def speaks_as(self, opened: OpenModel, session: Session, twins: Mapping[Turn, Turn]) -> None:
        """Another model goes on; `twins` are the turns of the conversation as they were and as they are for it."""
        self._identity = opened.identity(session)
        self.branches = {name: twins[turn] for name, turn in self.branches.items()}
        with self._disk():
            if self._store is not None and self._saved is not None:
                model, revision = name_of(opened.info.name), opened.info.revision
                self._store.set_model(self._saved, model, revision, self._identity, twins.items())

    def name_branch(self, name: str, turn: Turn) -> None:
        """Raises `InvalidRequest` for a name that is none."""
        check_branch(name)
        self.branches[name] = turn
        with self._disk():
            if self._store is not None and self._saved is not None:
                self._store.name_branch(self._saved, name, turn)

    def rename(self, name: str) -> None:
        """Raises `InvalidRequest` if nothing is kept, for a name that is none, or one that is taken."""
        check_name(name)
        if self._store is None:
            raise InvalidRequest("this conversation is not kept", "/save keeps it")
        if self._saved is None:
            self._wanted = name
        else:
            with self._disk():
                self._saved = self._store.rename(self._saved, name)

    def keep(self, opened: OpenModel, session: Session, name: str | None) -> None:
        """Keep from now on what was not kept: all turns, and their names. Raises as `open` and `rename`."""
        if session.head is None:
            raise InvalidRequest("nothing was said yet, so there is nothing to keep")
        if name is not None:
            check_name(name)
        self._store, self._wanted = self._store or Store.open(places.data_folder()), name
        self._add(opened, session, [*session.turns, session.head])
        for branch, turn in self.branches.items():
            self.name_branch(branch, turn)

    # ---- coming and leaving ----

    def successor(self, name: str | None) -> Keeper:
        """Who keeps the next conversation, a new one. Raises `InvalidRequest` for a name that is none, or is taken."""
        if name is not None and name in self.names():
            raise InvalidRequest(f"there is already a conversation {name}", f"/load {name} goes on with it")
        return Keeper(self._store, name=check_name(name) if name is not None else None)

    def other(self, name: str) -> Keeper:
        """Who keeps the conversation of that name. Raises `StateRefused` if there is none, `InvalidRequest` if none can be."""
        store = self._store or Store.open(places.data_folder())
        return Keeper(store, saved=store.find(name))

    def resume(self, opened: OpenModel, session: Session) -> str | None:
        """Let `session` stand where the kept conversation stands; tells how its state came back. None for a new conversation.

        A system prompt that `session` has already is a wish for another one than it had.
        """
        if self._store is None or self._saved is None:
            return None
        self._identity, wanted = opened.identity(session), session.system
        kept, head, self.branches = self._store.load(self._saved, {"tokenizer": self._identity["tokenizer"]})
        session.restore(kept, head)
        session.system = self._saved.system if wanted is None else wanted
        self.stands_at(session)
        if head is None:
            return f"{self.name}: nothing was said yet"
        turns = len(head.path())
        how = self._state(opened, session, head)
        self._put_by(opened, session, at_least=FRESH)
        return f"{self.name}: {turns} turn{'s' if turns > 1 else ''}; {how}"

    def leave(self, opened: OpenModel, session: Session) -> None:
        """Put the state beside the conversation, so that whoever resumes it need not read it again."""
        self._put_by(opened, session, at_least=0)
        self.tell()

    def _put_by(self, opened: OpenModel, session: Session, at_least: int) -> None:
        """Write the state if it is another than the one on the disk, and the record of `at_least` more tokens."""
        with self._disk():
            head, (tokens, turn) = session.head, self._stored
            if self._store is None or self._saved is None or head is None or head is turn:
                return
            known = tokens if turn is not None and turn in head.path() else 0
            if len(session.ids) - known < at_least:
                return
            if length := opened.save_state(session, self._store.path_for_state(self._saved, head)):
                self._stored = length, head
                self._store.prune()

    def tell(self) -> None:
        """Say what happened to the disk, and to the conversation on it."""
        for notice in self.notices:
            console.notice(notice)
        self.notices.clear()

    def _state(self, opened: OpenModel, session: Session, head: Turn) -> str:
        """Bring the state back from the disk, or read the conversation again; says which, and why."""
        assert self._store is not None and self._saved is not None
        path = self._store.path_for_state(self._saved, head)
        try:
            if not path.exists():
                raise StateRefused("no state was saved beside it")
            length = opened.load_state(session, path)
            path.touch()
            self._stored = length, head
            return "state restored, 0 tokens recomputed"
        except (StateRefused, MemoryExceeded) as error:
            return f"state rebuilt: {session.read_again()} tokens, because {error}"

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """A disk that fails costs a warning, not the conversation."""
        try:
            yield
        except (WriteFailed, StateRefused) as error:
            self.notices.append(f"{error}: this conversation goes on unsaved")
            self._store = self._saved = None
