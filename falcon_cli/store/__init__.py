"""Sessions on disk.

sessions     the store: sessions, their turns, heads, branches and states
saved        a session as it is found, and as one process has it
names        what a session may be called
rows         a turn ↔ a row
damage       a damaged database is moved aside
database     the file: SQLite, durable, two processes at once
states       the files of states beside it
"""

from falcon_cli.store.names import check_branch, check_name
from falcon_cli.store.saved import Conversation, Saved, Summary
from falcon_cli.store.sessions import BUDGET, Store
from falcon_cli.store.states import Pruned, StateFile

__all__ = ["BUDGET", "Conversation", "Pruned", "Saved", "StateFile", "Store", "Summary", "check_branch", "check_name"]
