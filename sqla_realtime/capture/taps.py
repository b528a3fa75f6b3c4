"""Who is told what was captured: the log, and whoever taps it for a while, as the recorders of tests do.

A tap is a log of its own, and counts as a reader of everything. Some taps also take for a COMMIT what a Session commits
inside somebody else's transaction, because the transaction around a test never ends well; the log itself never does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from sqla_realtime.brokers.base import Probe, Publisher, Ticket
from sqla_realtime.capture.origin import authors, signed
from sqla_realtime.commit import Commit, Position


class Taps:
    """The log and its taps. Any thread; taps come and go whole, so nothing here is locked."""

    def __init__(self, log: Publisher, wants: Callable[[str], bool]) -> None:
        self._log = log
        self._wants = wants
        self._taps: dict[Publisher, bool] = {}

    def use(self, log: Publisher) -> None:
        """From now on this is the log."""
        self._log = log

    def add(self, tap: Publisher, *, savepoints: bool) -> None:
        """Tell a tap everything from now on."""
        self._taps = {**self._taps, tap: savepoints}

    def remove(self, tap: Publisher) -> None:
        """Tell it nothing more."""
        self._taps = {each: savepoints for each, savepoints in self._taps.items() if each is not tap}

    def wants(self, pattern: str) -> bool:
        """Whether anybody can receive changes of a pattern's channels."""
        return bool(self._taps) or self._wants(pattern)

    def stage(self, commit: Commit, connection: Connection) -> None:
        """Write it where Publisher.stage does, for whoever writes now. Raises LogUnwritable."""
        self._log.stage(signed(commit, authors(self._log)), connection)

    def begin(self, commit: Commit, probe: Probe | None = None) -> Ticket:
        """Take a place in every line, as Publisher.begin does in one, for whoever writes now."""
        by = authors(self._log)
        commit = signed(commit, by)
        ticket = self._log.begin(commit, probe)
        for author in by:
            author.note(ticket)
        if not self._taps:
            return ticket
        return _Tickets([ticket, *(tap.begin(commit, probe) for tap in self._taps)])

    @property
    def savepoints(self) -> bool:
        """Whether a tap takes for a COMMIT what a Session commits inside somebody else's transaction."""
        return any(self._taps.values())

    def hand_over(self, commit: Commit) -> None:
        """A Session has committed inside somebody else's transaction."""
        commit = signed(commit, authors(self._log))
        for tap, savepoints in self._taps.items():
            if savepoints:
                tap.begin(commit).finish(committed=True)


class _Tickets:
    """Places in several lines, for one COMMIT; the first is the log's."""

    __slots__ = ("_tickets",)

    def __init__(self, tickets: Sequence[Ticket]) -> None:
        self._tickets = tickets

    @property
    def position(self) -> Position | None:
        return self._tickets[0].position

    @property
    def open(self) -> bool:
        return self._tickets[0].open

    def finish(self, committed: bool) -> None:
        for ticket in self._tickets:
            ticket.finish(committed)

    def doubt(self) -> None:
        for ticket in self._tickets:
            ticket.doubt()
