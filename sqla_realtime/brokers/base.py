"""The seam between writers and broadcasters: an ordered log of commits, written as a list of promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sqla_realtime.commit import Commit, Entry, Position
from sqla_realtime.history import Bounds

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Whether the transaction committed; None while that is not known yet.
Outcome = bool | None
Probe = Callable[[], Outcome]


class Ticket(Protocol):
    """A commit's place in line, from the moment its COMMIT begins."""

    @property
    def position(self) -> Position | None:
        """Where the commit stands in the log, from the moment it does. Any thread."""

    @property
    def open(self) -> bool:
        """Whether it has no position yet and may still get one. Any thread."""

    def finish(self, committed: bool) -> None:
        """Tell how the COMMIT ended: True enters the commit into the log at its place, False gives the place up.

        Any thread; never blocks, never raises. Only the first call counts.
        """

    def doubt(self) -> None:
        """Tell that nobody can know how the COMMIT ended. The log then says that the commit's channels changed, without
        a row of it: readers reload, and nothing uncommitted is sent. Any thread; never blocks, never raises."""


class Publisher(ABC):
    """Where writers' commits enter the log."""

    @abstractmethod
    def stage(self, commit: Commit, connection: Connection) -> None:
        """Write a commit into the transaction that it is about, where that is where the log is kept; then it is in the log
        if and only if that transaction commits.

        Called in the writer's thread, after its last statement and before ``begin``; takes as long as a statement does.
        Raises LogUnwritable, and the transaction fails: it could not be told.
        """

    @abstractmethod
    def begin(self, commit: Commit, probe: Probe | None = None) -> Ticket:
        """Take a place in line for a commit; called in the writer's thread just before its COMMIT is sent.

        Never blocks. ``probe`` answers how the COMMIT ended where no event will tell; it is asked from any thread.
        """

    @abstractmethod
    def settle(self, tickets: Iterable[Ticket], patience: float) -> bool:
        """Wait until none of these is open; False where that takes longer than so many seconds.

        Any thread, and blocks it. None of the COMMITs waits for it.
        """


class Follower(ABC):
    """Where broadcasters read the log."""

    @abstractmethod
    async def start(self) -> Position:
        """Where a new reader begins: so far back that it can have what clients may come back for, where the log is older
        than its readers. A position that ``follow`` knows."""

    @abstractmethod
    async def head(self) -> Position:
        """A position at or after every commit that was visible in the database when this was called.

        May wait for COMMITs that are under way, never for longer than the tier's patience.
        """

    @abstractmethod
    def follow(self, after: Position) -> AsyncGenerator[Entry]:
        """Every entry after a position, in order, for ever.

        Raises PositionGone where the log does not reach back that far. Any other exception means that the connection
        to the log was lost; the reader follows again from its last entry.
        """

    @abstractmethod
    def enter(self, commit: Commit) -> Future[Any]:
        """Have a commit in the log that is nobody's transaction, soon; done when whatever is committed from then on comes after
        it. Any thread; never blocks, never raises."""


class Broker(Publisher, Follower):
    """An ordered log of commits.

    Order: one for all readers. For two commits that changed the same row it is the order of their COMMITs.
    Loss: none while the log lives. A log that does not outlive its process begins anew under another epoch.
    ``shared``: other processes write and read it too, so nobody here knows whether somebody reads.
    """

    shared: ClassVar[bool]

    def place(self) -> str | None:
        """Where the log is, in words that are the same in every process that has it and in no other; None where nothing
        can be said that is. No secret is in it."""
        return None

    @abstractmethod
    def configure(self, bounds: Bounds, patience: float) -> None:
        """How much past is kept for readers, and for how many seconds a COMMIT that is under way may keep others waiting,
        from now on."""

    @abstractmethod
    def close(self) -> None:
        """Let go of threads and connections. Whatever is called later opens them anew. Any thread; may block for a moment."""
