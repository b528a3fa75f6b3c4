"""Who has what, of the processes of one log: all that have heard the same reports know the same, whatever their clocks say.

A process that says nothing is gone when another one, which knows everything, has beaten ``SILENT`` times since, all
of it in the log's order. So a log that stands still ends nobody, and everybody ends a process at the same report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sqla_realtime.protocol.reports import Fact, Key, Report

# So many beats of another process end one that is silent; and one that has said that it ends, whose clients are on
# their way to others.
SILENT = 3
ENDED = 2


class Turn(NamedTuple):
    """A process, perhaps this one (``own``), has something that it had not, or the other way round (``fact`` is None), or
    has more or less of it. ``edge``: now somebody has it and nobody had, or the other way round. ``outside``: it
    is this process that tells of it whoever is to be told once."""

    key: Key
    process: str
    fact: Fact | None
    own: bool
    edge: bool
    outside: bool


@dataclass(slots=True)
class _Peer:
    """What is known of a process: what it has, and how often each other one has beaten since it was heard last."""

    keys: dict[Key, None] = field(default_factory=dict)
    silent: Counter[str] = field(default_factory=Counter)
    empty: bool = True
    knows: bool = False
    ends: bool = False
    # What it had when we began to ask, and has not repeated.
    doubted: set[Key] = field(default_factory=set)


class Parts:
    """The parts of all processes, as ``me`` has heard of them. Nothing here waits, reads or writes."""

    def __init__(self, me: str) -> None:
        self.me = me
        self._peers: dict[str, _Peer] = {}
        # By realm, then by channel and item.
        self._facts: dict[str, dict[tuple[str, str], dict[str, Fact]]] = {}
        # Whose answers are missing; None: we have not asked.
        self._awaited: set[str] | None = None
        self._begun = False
        self._beaten = 0
        # Who was heard last that knows everything.
        self._witness = ""

    @property
    def knows(self) -> bool:
        """Whether this process has heard everything of everybody."""
        return self._awaited is not None and not self._awaited

    @property
    def teller(self) -> str:
        """Who tells outside what this process reports: it does where it knows, or nobody is heard that does."""
        return "" if self.knows else self._witness

    @property
    def empty(self) -> bool:
        """Whether nobody has anything."""
        return all(peer.empty for peer in self._peers.values())

    def elsewhere(self, key: Key) -> int:
        """How many of it the other processes have."""
        found = self._facts.get(key.realm, {}).get(key[1:], {})
        return sum(fact.connections for process, fact in found.items() if process != self.me)

    def channels(self, realm: str) -> dict[str, None]:
        """The channels in which other processes have anybody."""
        return {
            channel: None
            for (channel, item), found in self._facts.get(realm, {}).items()
            if any(fact.connections and process != self.me for process, fact in found.items())
        }

    def own(self) -> list[Key]:
        """What this process has, as far as the others know."""
        peer = self._peers.get(self.me)
        return [] if peer is None else list(peer.keys)

    def doubt(self) -> None:
        """Reports may have been missed: nothing is certain until we have asked, and have been answered."""
        self._awaited = None

    def hear(self, process: str, report: Report) -> list[Turn]:
        """The next report in the log; what it changes."""
        peer = self._peers.setdefault(process, _Peer())
        peer.silent.clear()
        peer.empty, peer.knows, peer.ends = report.empty, report.knows, report.ends
        teller = report.teller or process
        turns = self._put(process, report.facts, teller)
        if report.knows and not report.ends and process != self.me:
            self._witness = process
        elif process == self._witness:
            self._witness = ""
        if report.asks and process == self.me:
            self._ask()
        if report.beats:
            turns += self._beat(process)
        if process != self.me and (self.me in report.answers or report.empty):
            turns += self._settle(process, peer.keys if report.empty else peer.doubted)
        if report.empty and not report.beats:
            # Whoever has nothing and waits for nobody is nobody's business.
            self._peers.pop(process, None)
        return turns

    def _ask(self) -> None:
        if not self._begun:
            self._witness = ""  # whoever was heard before may have ended long ago
        self._begun = True
        self._beaten = 0
        self._awaited = {name for name, peer in self._peers.items() if name != self.me and not peer.empty}
        for name in self._awaited:
            self._peers[name].doubted = set(self._peers[name].keys)

    def _settle(self, process: str, gone: Iterable[Key]) -> list[Turn]:
        """A process has told everything: what it has not is no more, and its end was told by whoever heard of it."""
        if self._awaited is not None:
            self._awaited.discard(process)
        turns = self._put(process, dict.fromkeys(gone), process)
        self._peers[process].doubted.clear()
        return turns

    def _beat(self, process: str) -> list[Turn]:
        knows = [name for name, peer in self._peers.items() if peer.knows]
        if process == self.me and self._awaited:
            self._beaten += 1
            if self._beaten >= SILENT:
                self._awaited.clear()  # whoever has not answered by now does not
        turns = []
        for name, peer in list(self._peers.items()):
            # Whoever knows less than others would tell less of what ends, so it ends nobody unless nobody else can.
            if name == process or (process not in knows and any(each != name for each in knows)):
                continue
            peer.silent[process] += 1
            if peer.silent[process] >= (ENDED if peer.ends else SILENT):
                turns += self._put(name, dict.fromkeys(peer.keys), process)
                del self._peers[name]
                self._witness = self._witness if name != self._witness else ""
                if self._awaited is not None:
                    self._awaited.discard(name)
        return turns

    def _put(self, process: str, facts: Mapping[Key, Fact | None], teller: str) -> list[Turn]:
        peer, turns = self._peers[process], []
        for key, fact in facts.items():
            places = self._facts.setdefault(key.realm, {})
            who = places.setdefault(key[1:], {})
            before, others = who.get(process), len(who) - (process in who)
            peer.doubted.discard(key)
            if fact is None:
                who.pop(process, None)
                peer.keys.pop(key, None)
            else:
                who[process] = fact
                peer.keys[key] = None
            if not who:
                del places[key[1:]]
            if fact != before:
                edge = not others and None in (fact, before)
                turns.append(Turn(key, process, fact, process == self.me, edge, teller == self.me))
        return turns
