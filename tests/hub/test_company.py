"""A company of processes on one log: who is where, with as few words as it takes, whoever is killed, new, or out of touch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from sqla_realtime.commit import Event
from sqla_realtime.hub import company
from sqla_realtime.hub.company import PACE, Company
from sqla_realtime.hub.parts import ENDED, SILENT, Turn
from sqla_realtime.hub.presence import Member, Presence
from sqla_realtime.protocol.reports import REPORTS, Fact, Report, read, spell
from tests.support.virtual import run

LEASE = 30.0
BEAT = LEASE / SILENT


class Log:
    """Which every process reads from the moment when it is there. ``away``: it takes nothing until it is back."""

    def __init__(self) -> None:
        self.readers: list[Process] = []
        self.entries: list[Event] = []
        self.written: list[Event] = []
        self.away = False
        self._waiting: list[tuple[Event, Future[Any]]] = []

    def publish(self, event: Event) -> Future[Any]:
        done: Future[Any] = Future()
        self._waiting.append((event, done))
        asyncio.get_running_loop().call_soon(self.flow)
        return done

    def flow(self) -> None:
        """Everything that waits is in the log now, in order."""
        while self._waiting and not self.away:
            event, done = self._waiting.pop(0)
            self.written.append(event)
            for reader in list(self.readers):
                reader.company.hear(event)
            done.set_result(None)

    def back(self) -> None:
        self.away = False
        self.flow()

    def reports(self, process: Process | None = None) -> list[Report]:
        """What was said, by a process."""
        return [read(event.data, ["r"]) for event in self.written if process is None or event.channel == process.name]


class Process:
    """One that keeps a list of who has come (+) and gone (-), and of whom it has told outside."""

    def __init__(self, log: Log, old: int = 0) -> None:
        self.log = log
        self.company = Company(log.publish, LEASE)
        realm = self.company.realm("r")
        self.presence = Presence(self._announce, realm=realm)
        realm.turned = self._turned
        self.seen: list[str] = []
        self.told: list[str] = []
        for event in log.written[-old:] if old else ():
            self.company.hear(event)
        log.readers.append(self)
        self.company.open()

    @property
    def name(self) -> str:
        return self.company.parts.me

    @property
    def there(self) -> str:
        return " ".join(sorted(member.id for member in self.presence.members("c")))

    def join(self, *users: str, connection: str = "x") -> None:
        for user in users:
            self.presence.join("c", connection, user, {"name": user})

    def lose(self, *users: str, connection: str = "x") -> None:
        for user in users:
            self.presence.leave("c", connection, user, lost=True)

    def part(self, *users: str, connection: str = "x") -> None:
        for user in users:
            self.presence.leave("c", connection, user)

    def killed(self) -> None:
        self.log.readers.remove(self)
        self.company._closed = True
        self.presence.close()
        for timer in (self.company._speaking, self.company._beating):
            if timer is not None:
                timer.cancel()

    def _announce(self, channel: str, member: Member, here: bool) -> None:
        self.seen.append(("+" if here else "-") + member.id)

    def _turned(self, turn: Turn) -> None:
        self.told.append(("-" if turn.fact is None else "+") + turn.key.item)


def play(scene: Callable[[Log], Coroutine[Any, Any, None]]) -> None:
    run(scene(Log()))


async def until(condition: Callable[[], bool]) -> None:
    """Let time pass until something has happened."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError


def told(*processes: Process) -> list[str]:
    """What was told outside, by whomever."""
    return sorted(each for process in processes for each in process.told)


def test_who_comes_to_one_process_is_seen_at_all() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        await asyncio.sleep(2)
        a.join("ann")
        assert (a.seen, b.seen) == (["+ann"], []), "nobody waits for the log to see its own"
        await asyncio.sleep(0.1)
        assert b.seen == ["+ann"]
        assert b.presence.members("c")[0].info == {"name": "ann"}
        b.join("ann", "bob")
        await asyncio.sleep(2)
        assert (a.there, b.there) == ("ann bob", "ann bob")
        a.part("ann")
        await asyncio.sleep(2)
        assert (a.seen, b.seen) == (["+ann", "+bob"], ["+ann", "+bob"])
        b.part("ann", "bob")
        await asyncio.sleep(2)
        assert (a.seen[2:], b.seen[2:]) == (["-ann", "-bob"], ["-ann", "-bob"])
        assert (a.told, b.told) == (["+ann"], ["+bob", "-ann", "-bob"])

    play(scene)


def test_whose_page_reconnects_to_another_process_was_never_gone() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        await asyncio.sleep(1)
        a.lose("ann")
        await asyncio.sleep(2.4)
        b.join("ann")
        await asyncio.sleep(9)
        assert (a.seen, b.seen, told(a, b)) == (["+ann"], ["+ann"], ["+ann"])
        b.lose("ann")
        await asyncio.sleep(4)
        assert (a.seen, b.seen, told(a, b)) == (["+ann", "-ann"], ["+ann", "-ann"], ["+ann", "-ann"])

    play(scene)


def test_who_is_away_here_when_it_goes_there_is_not_gone() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        b.join("ann")
        await asyncio.sleep(2)
        b.lose("ann")
        a.part("ann")
        await asyncio.sleep(2)
        before = len(log.written)
        b.join("ann")
        await asyncio.sleep(5)
        assert len(log.written) == before, "it is no news that somebody is back"
        assert (a.seen, b.seen) == (["+ann"], ["+ann"])

    play(scene)


def test_an_idle_company_says_nothing() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        await asyncio.sleep(1)
        assert [report.asks for report in log.reports()] == [True, True], "each has asked once, as it began"
        await asyncio.sleep(1000)
        assert len(log.written) == 2
        a.join("ann")
        await asyncio.sleep(105)
        a.part("ann")
        await asyncio.sleep(1)
        before = len(log.written)
        await asyncio.sleep(1000)
        assert len(log.written) == before
        await a.company.close()
        await b.company.close()
        assert len(log.written) == before, "there is nothing that would be missed"

    play(scene)


def test_a_crowd_is_told_in_few_words() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        await asyncio.sleep(2)
        before = len(log.written)
        for number in range(900):
            a.join(str(number))
            await asyncio.sleep(0.001)
        await asyncio.sleep(2)
        assert len(b.presence.members("c")) == 900
        assert len(log.written) - before <= 0.9 / PACE + 2
        before = len(log.written)
        a.join("back", "forth")
        a.part("back", "forth")
        assert not a.company._untold, "what comes and goes is not collected either"
        await asyncio.sleep(2)
        assert len(log.written) == before, "they were there for less than a moment"

    play(scene)


def test_a_report_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(log: Log) -> None:
        monkeypatch.setattr(company, "FACTS", 10)
        a, b = Process(log), Process(log)
        await asyncio.sleep(2)
        a.join(*map(str, range(25)))
        await asyncio.sleep(5)
        assert [len(report.facts) for report in log.reports(a)] == [0, 10, 10, 5]
        monkeypatch.setattr(company, "FACTS", 100)
        monkeypatch.setattr(company, "SIZE", 1000)
        a.part(*map(str, range(25)))
        for number in range(5):
            a.presence.join("c", "x", f"big {number}", "x" * 600)
        await asyncio.sleep(9)
        assert max(len(report.facts) for report in log.reports(a)[4:]) <= 20
        assert b.there == a.there == " ".join(f"big {number}" for number in range(5))
        assert not any(report.empty for report in log.reports(a)[1:])
        assert [each[0] for each in told(a, b)] == ["+"] * 30 + ["-"] * 25
        monkeypatch.setattr(company, "FACTS", 1)
        new = Process(log, old=50)
        await until(lambda: new.company.knows)
        assert new.there == a.there
        a.part(*(f"big {number}" for number in range(5)))
        await asyncio.sleep(9)
        assert [each[0] for each in told(a, b, new)] == ["+"] * 30 + ["-"] * 30
        assert [report.empty for report in log.reports(a)][-5:] == [False] * 4 + [True]

    play(scene)


def test_members_of_a_process_that_is_killed_leave_once() -> None:
    async def scene(log: Log) -> None:
        a, b, c = (Process(log) for _ in range(3))
        await asyncio.sleep(1)
        a.join("ann", "bob")
        b.join("bob")
        await asyncio.sleep(1)
        a.killed()
        await asyncio.sleep(LEASE - BEAT - 2)
        assert b.there == c.there == "ann bob"
        await asyncio.sleep(2 * BEAT + 2)
        assert b.there == c.there == "bob"
        assert told(a, b, c) == ["+ann", "+bob", "-ann"]
        before = len(log.written)
        await asyncio.sleep(10 * BEAT)
        assert len(log.written) - before <= 22, "two of them show life"

    play(scene)


def test_who_comes_back_elsewhere_from_one_that_is_killed_stays() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        await asyncio.sleep(5)
        a.killed()
        b.join("ann")
        await asyncio.sleep(3 * LEASE)
        assert (b.seen, told(a, b)) == (["+ann"], ["+ann"])

    play(scene)


def test_one_by_one_they_are_replaced_and_nobody_is_gone() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        b.join("bob")
        await asyncio.sleep(5)
        a.lose("ann")
        await a.company.close()
        a.killed()
        b.join("ann", connection="y")
        new = Process(log, old=3)
        await asyncio.sleep(1)
        assert new.there == "ann bob"
        b.lose("bob")
        b.lose("ann", connection="y")
        await b.company.close()
        b.killed()
        new.join("bob", "ann")
        await asyncio.sleep(3 * LEASE)
        assert new.there == "ann bob"
        assert told(a, b, new) == ["+ann", "+bob"]
        assert not [each for process in (a, b, new) for each in process.seen if each.startswith("-")]

    play(scene)


def test_who_comes_after_the_only_one_knows_what_it_knew() -> None:
    async def scene(log: Log) -> None:
        a = Process(log)
        a.join("ann", "bob")
        await asyncio.sleep(1000)
        a.lose("ann", "bob")
        await a.company.close()
        a.killed()
        new = Process(log, old=1)
        await asyncio.sleep(1)
        new.join("ann")
        await asyncio.sleep(2 * LEASE)
        assert new.there == "ann"
        assert told(a, new) == ["+ann", "+bob", "-bob"]

    play(scene)


def test_who_does_not_come_back_from_one_that_has_ended_is_gone() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        await asyncio.sleep(5)
        await a.company.close()
        a.killed()
        before = len(log.written)
        await asyncio.sleep(BEAT - 1)
        assert b.there == "ann"
        await until(lambda: not b.there)
        assert len(log.written) - before == ENDED
        assert told(a, b) == ["+ann", "-ann"]

    play(scene)


def test_who_is_new_hears_everything_and_tells_nothing_twice() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        b.join("bob")
        await asyncio.sleep(500)
        new = Process(log, old=2)
        new.join("ann", "bob", "cid")
        await asyncio.sleep(2)
        assert new.there == "ann bob cid"
        assert not log.reports(new)[0].facts, "it waits for what it will hear"
        assert told(a, b, new) == ["+ann", "+bob", "+cid"]
        assert new.company.knows

    play(scene)


def test_a_gap_is_asked_about() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann", "bob")
        b.join("cid")
        await asyncio.sleep(5)
        log.readers.remove(b)
        a.part("ann")
        a.join("dan")
        b.part("cid")
        b.join("eve")
        await asyncio.sleep(5)
        log.readers.append(b)
        assert b.there == "ann bob eve"
        b.company.missed()
        await asyncio.sleep(2)
        assert a.there == b.there == "bob dan eve"
        assert "-bob" not in b.seen
        assert told(a, b) == ["+ann", "+bob", "+cid", "+dan", "-ann"], "nothing twice"
        assert [key.item for key in b.company.parts.own()] == ["eve"]

    play(scene)


def test_a_log_that_is_away_ends_nobody() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        b.join("bob")
        await asyncio.sleep(5)
        log.away = True
        await asyncio.sleep(10 * LEASE)
        a.join("cid")
        await asyncio.sleep(10 * LEASE)
        log.back()
        await asyncio.sleep(3 * LEASE)
        assert a.there == b.there == "ann bob cid"
        assert not [each for process in (a, b) for each in process.seen if each.startswith("-")]

    play(scene)


def test_one_that_was_asleep_is_back_with_all_that_it_has() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        await asyncio.sleep(5)
        log.readers.remove(a)
        assert a.company._beating is not None
        a.company._beating.cancel()
        await asyncio.sleep(3 * LEASE)
        assert b.there == ""
        log.readers.append(a)
        for event in log.written[3:]:
            a.company.hear(event)
        await asyncio.sleep(2)
        assert b.there == a.there == "ann"
        assert a.seen == ["+ann"]
        assert told(a, b) == ["+ann", "+ann", "-ann"]

    play(scene)


def test_what_is_not_taken_is_said_again() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        await asyncio.sleep(2)
        failed: Future[Any] = Future()
        failed.set_exception(OSError("there is no log"))
        a.company._publish = lambda event: failed
        a.join("ann", "bob")
        await asyncio.sleep(1)
        a.company._publish = log.publish
        a.part("bob")
        await asyncio.sleep(BEAT)
        assert b.there == a.there == "ann"
        a.company._publish = lambda event: failed
        a.company.missed()
        await asyncio.sleep(1)
        assert not a.company.knows
        a.company._publish = log.publish
        await asyncio.sleep(BEAT + PACE)
        assert a.company.knows

    play(scene)


def test_what_is_no_report_harms_nobody() -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        a.join("ann")
        await asyncio.sleep(2)
        stranger = Report({company.Key("r", "c", "eve"): Fact(1), company.Key("unknown", "c", "eve"): Fact(1)}, ["nobody"])
        for data in ("", "{}", "[" * 100_000, spell(stranger)):
            log.publish(Event(REPORTS, "stranger", "", data))
        log.publish(Event(REPORTS, "stranger", "", spell(Report(asks=True))))
        assert not a.company.hear(Event("1", "presence-c", "", ""))
        await asyncio.sleep(3)
        assert a.there == b.there == "ann eve", "who can write into the log can say anything"
        await asyncio.sleep(2 * LEASE)
        assert a.there == b.there == "ann"

    play(scene)


def test_what_cannot_be_told_keeps_nobody_from_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(log: Log) -> None:
        a, b = Process(log), Process(log)
        realm = b.company.realm("r")
        heard: list[str] = []

        def moved(turn: Turn) -> None:
            heard.append(turn.key.item)
            if turn.key.item == "ann":
                raise RecursionError

        realm.moved = moved
        await asyncio.sleep(2)
        a.join("ann", "bob")
        await asyncio.sleep(2)
        assert heard == ["ann", "bob"]

    play(scene)
    assert caplog.text.count("[report-failed]") == 1


def test_alone_nothing_is_said() -> None:
    async def scene() -> None:
        alone = Company()
        realm = alone.realm("r")
        turned: list[Turn] = []
        realm.turned = turned.append
        assert alone.realm("r") is realm
        alone.open()
        realm.tell("c", "ann", Fact(1))
        realm.tell("c", "ann", Fact(1))
        realm.tell("c", "ann", None)
        alone.missed()
        realm.tell("c", "bob", Fact(1))
        await alone.close()
        assert [(turn.key.item, turn.fact) for turn in turned] == [("ann", Fact(1)), ("ann", None), ("bob", Fact(1))]
        assert alone.knows
        assert realm.elsewhere("c", "ann") == 0

    run(scene())


def test_who_is_alone_passes_over_what_others_say() -> None:
    async def scene(log: Log) -> None:
        alone, a = Company(), Process(log)
        realm = alone.realm("r")
        realm.moved = realm.turned = lambda turn: pytest.fail("it has heard something")
        a.join("ann")
        await asyncio.sleep(3)
        assert log.written
        assert all(alone.hear(event) for event in log.written)
        a.killed()
        await asyncio.sleep(1000)

    play(scene)


def test_a_log_that_takes_nothing_keeps_nobody_from_ending() -> None:
    async def scene(log: Log) -> None:
        a = Process(log)
        a.join("ann")
        await asyncio.sleep(2)
        log.away = True
        began = asyncio.get_running_loop().time()
        await a.company.close()
        assert asyncio.get_running_loop().time() - began <= company.PARTING

    play(scene)
