"""This process among those of its log: it tells them what it has, hears what they have, and notices whose end nobody told.

What changes in a moment is told in one report, and a process that has something shows life now and then. Where nobody has
anything nothing is said.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from sqla_realtime.commit import Event
from sqla_realtime.hub.parts import SILENT, Parts, Turn
from sqla_realtime.protocol.reports import REPORTS, Fact, Key, Report, read, spell

log = logging.getLogger(__name__)

# How long after a process was killed, at most, what it had is still taken for being there, in seconds.
LEASE = 30.0
# So many seconds are between two reports, and so many bytes and facts are in one, roughly.
PACE = 1.0
SIZE = 128 * 1024
FACTS = 2000
EACH = 50
# What a report says because it is time to.
DUE = ("asks", "beats")
# How long a process that ends waits for its last report to be in the log, in seconds.
PARTING = 1.0


class Realm:
    """Those channels of a company that have one owner. ``moved`` hears what changes at other processes; ``turned`` what came
    up or ended anywhere, if it is this process that tells of it whoever is to be told once."""

    def __init__(self, company: Company, name: str) -> None:
        self._company = company
        self._name = name
        self.moved: Callable[[Turn], None] = lambda turn: None
        self.turned: Callable[[Turn], None] = lambda turn: None

    def tell(self, channel: str, item: str, fact: Fact | None) -> None:
        """This process has so much of something from now on; None: it has it no more."""
        self._company.tell(Key(self._name, channel, item), fact)

    def elsewhere(self, channel: str, item: str = "") -> int:
        """How many connections of it other processes have."""
        return self._company.parts.elsewhere(Key(self._name, channel, item))

    def channels(self) -> list[str]:
        """The channels in which other processes have anybody."""
        return list(self._company.parts.channels(self._name))


class Company:
    """Loop thread only. ``publish`` has an event in the log, from where every process hears it; without it this process
    is alone, and what it tells is heard at once. After ``lease`` seconds without a sign a process is gone."""

    def __init__(self, publish: Callable[[Event], Future[Any]] | None = None, lease: float = LEASE) -> None:
        self.parts = Parts(secrets.token_hex(8))
        self._publish = publish
        self._beat = lease / SILENT
        self._realms: dict[str, Realm] = {}
        # What is here, what the others may know of, and what of either they have not been told.
        self._here: dict[Key, Fact] = {}
        self._told: set[Key] = set()
        self._untold: dict[Key, None] = {}
        # What the next report says besides: who has asked, and flags.
        self._asked: set[str] = set()
        self._due: set[str] = set()
        self._speaking: asyncio.TimerHandle | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._written: asyncio.Future[Any] | None = None
        self._silent_until = 0.0
        self._closed = False

    def realm(self, name: str) -> Realm:
        """The realm of this name; there is one."""
        return self._realms.setdefault(name, Realm(self, name))

    @property
    def knows(self) -> bool:
        """Whether this process knows of all others what they have."""
        return self._publish is None or self.parts.knows

    def open(self) -> None:
        """What is in the log was heard: ask for what is not."""
        if self._publish is not None:
            self._due.add("asks")
            self._soon()

    def tell(self, key: Key, fact: Fact | None) -> None:
        """See ``Realm.tell``."""
        if fact is None:
            self._here.pop(key, None)
        else:
            self._here[key] = fact
        if self._publish is None:
            self._turn(self.parts.hear(self.parts.me, Report({key: fact}, knows=True)))
        elif fact is None and key not in self._told:
            self._untold.pop(key, None)  # nobody has heard of it, however fast such things come and go
        else:
            self._untold[key] = None
            self._soon()

    def hear(self, event: Event) -> bool:
        """The next event in the log; whether it was a report, or passed for one."""
        if event.app != REPORTS:
            return False
        if self._publish is None:
            return True
        try:
            report = read(event.data, self._realms)
        except ValueError:
            return True  # nobody of ours has said it
        turns = self.parts.hear(event.channel, report)
        if report.asks and event.channel != self.parts.me and self._here:
            self._asked.add(event.channel)
            self._repeat()
        self._turn(turns)
        self._show_life()
        return True

    def missed(self) -> None:
        """Part of the log is lost: tell and ask everything anew."""
        if self._publish is not None:
            self.parts.doubt()
            self._due.add("asks")
            self._repeat()

    async def close(self) -> None:
        """Say that this process ends, and once more all that it has, for whoever comes after it. It is taken for being there
        a while longer: its clients are on their way to other processes."""
        self._closed = True
        for timer in (self._speaking, self._beating):
            if timer is not None:
                timer.cancel()
        if self._publish is not None and (self._occupied or self._untold):
            with suppress(TimeoutError):
                async with asyncio.timeout(PARTING):
                    if self._written is not None:
                        await asyncio.wait([self._written])
                    self._untold.update(dict.fromkeys(self._here))
                    await asyncio.wait([self._speak()])
                    while self._untold:
                        await asyncio.wait([self._speak()])

    def _repeat(self) -> None:
        self._untold.update(dict.fromkeys([*self._here, *self.parts.own()]))
        self._soon()

    def _turn(self, turns: list[Turn]) -> None:
        for turn in turns:
            if turn.own and turn.fact is None and turn.key in self._here:
                # It was taken for gone, and is not.
                self._untold[turn.key] = None
                self._soon()
            realm = self._realms[turn.key.realm]
            try:
                if not turn.own:
                    realm.moved(turn)
                if turn.edge and turn.outside:
                    realm.turned(turn)
            except Exception:  # whatever another process has said: nobody here is to load anew for it
                log.exception("What a process has said of somebody could not be told. [report-failed]")

    def _show_life(self) -> None:
        """Say something in a while, though there may be no news, as long as anybody has anything."""
        if self._publish is not None and self._beating is None and not self._closed and self._occupied:
            self._beating = asyncio.get_running_loop().call_later(self._beat, self._live)

    def _live(self) -> None:
        self._beating = None
        if self._occupied:
            self._due.add("beats")
            self._soon()

    @property
    def _occupied(self) -> bool:
        return bool(self._here) or not self.parts.empty

    def _soon(self) -> None:
        if self._speaking is None and self._written is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._speaking = loop.call_later(max(0.0, self._silent_until - loop.time()), self._say)

    def _say(self) -> None:
        """Say what there is to say still."""
        self._speaking = None
        if self._untold or self._asked or self._due:
            self._speak()

    def _speak(self) -> asyncio.Future[Any]:
        """As much of it as one report has."""
        assert self._publish is not None  # noqa: S101 - whoever is alone has heard it already
        report = self._report()
        self._written = asyncio.wrap_future(self._publish(Event(REPORTS, self.parts.me, "", spell(report))))
        self._written.add_done_callback(partial(self._said, report))
        return self._written

    def _report(self) -> Report:
        facts: dict[Key, Fact | None] = {}
        size = 0
        # Whoever asks says nothing else: it will know better what is news when it has been answered.
        while self._untold and size < SIZE and len(facts) < FACTS and "asks" not in self._due:
            key = next(iter(self._untold))
            del self._untold[key]
            facts[key] = fact = self._here.get(key)
            (self._told.discard if fact is None else self._told.add)(key)
            size += sum(map(len, key)) + len(str(fact)) + EACH
        last = not self._untold
        answers = sorted(self._asked) if last else []
        self._asked.difference_update(answers)
        flags = {"knows": self.parts.knows, "empty": last and not self._here, "ends": self._closed}
        due, self._due = dict.fromkeys(self._due, True), set()
        return Report(facts, answers, self.parts.teller, **flags, **due)

    def _said(self, report: Report, written: asyncio.Future[Any]) -> None:
        """A report is in the log, or nobody knows whether it is."""
        self._written = None
        now = asyncio.get_running_loop().time()
        failed = written.cancelled() or written.exception() is not None
        self._silent_until = now + (self._beat if failed else PACE)
        if failed and not self._closed:
            self._untold = dict.fromkeys(report.facts) | self._untold
            self._told.update(report.facts)
            self._asked.update(report.answers)
            self._due.update(flag for flag in DUE if getattr(report, flag))
        self._soon()
        self._show_life()
