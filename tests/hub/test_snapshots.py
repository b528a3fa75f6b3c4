"""Flying snapshots: the head is asked after the read, the hub is waited for, spoiled reads are repeated, failures told."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqla_realtime.brokers.base import Ticket
from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.commit import Change, Commit, Entry, Position
from sqla_realtime.errors import PositionGone
from sqla_realtime.history import Bounds
from sqla_realtime.hub import hub as hub_module
from sqla_realtime.hub.doors import Refused
from sqla_realtime.hub.feed import Feed
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.snapshots import ATTEMPTS, Reads, Snapshots
from sqla_realtime.hub.warm import RUSH
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Row
from tests.hub.fakes import Client, ScriptedArchive, ScriptedBroker, make_hub, put, residue, row
from tests.support.virtual import run


class House:
    """A hub with its feed and snapshots, on a scripted log and archive."""

    def __init__(self) -> None:
        self.broker, self.archive, self.hub = ScriptedBroker(), ScriptedArchive(), make_hub()
        self.feed = Feed(self.broker, self.hub)
        self.snapshots = Snapshots(self.hub, self.feed, self.broker, self.archive)
        self.archive.tables["a"] = [row(1)]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.feed.run())
        await asyncio.sleep(0.1)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not self.snapshots._tasks, "a flight is still in the air"

    def subscribe(self, client: Client, number: int = 1) -> None:
        flight = self.hub.board(client.connection, number, "a", "a/{x}")
        if flight is not None:
            self.snapshots.start(flight)


def test_a_flight_lands_with_the_rows() -> None:
    async def scene() -> None:
        house, client = House(), Client()
        async with house.open():
            house.subscribe(client)
            await asyncio.sleep(1)
            assert client.shown == {"a": {"1": 0}}
            assert house.archive.reads == ["a"]

    run(scene())


def test_identical_reads_are_shared_and_a_later_one_is_not() -> None:
    async def scene() -> None:
        house, clients = House(), [Client() for _ in range(3)]
        house.archive.gate = asyncio.Event()
        async with house.open():
            house.subscribe(clients[0])
            await asyncio.sleep(1)
            house.subscribe(clients[1])
            house.archive.gate.set()
            await asyncio.sleep(1)
            assert house.archive.reads == ["a"]
            house.subscribe(clients[2])
            await asyncio.sleep(1)
            assert house.archive.reads == ["a", "a"]
            assert [client.shown for client in clients] == [{"a": {"1": 0}}] * 3

    run(scene())


def test_it_waits_until_the_hub_is_where_the_log_was_after_the_read() -> None:
    async def scene() -> None:
        house, client = House(), Client()
        async with house.open():
            house.hub.dispatch(house.broker.add())
            # The read sees a commit that the hub has not been told of yet.
            house.archive.on_read = lambda: setattr(house.broker, "position", house.broker.position._replace(offset=2))
            house.subscribe(client)
            await asyncio.sleep(1)
            assert client.heard() == [], "answered before the hub was at the high mark"
            house.broker.position = house.broker.position._replace(offset=1)
            house.broker.add(put("a", 1, 2))
            await asyncio.sleep(1)
            assert client.position == "e.2"
            assert client.shown == {"a": {"1": 2}}

    run(scene())


def test_a_position_that_another_server_has_told_is_waited_for_and_no_other() -> None:
    async def scene() -> None:
        house = House()
        house.broker.add(put("a", 1))
        house.broker.add(put("a", 2))
        ahead, *nowhere = (Position("e", 2), Position("e", 3), Position("f", 2), Position("e", 0))
        for position in nowhere:
            await house.snapshots.reach(position)
        reaching = asyncio.ensure_future(house.snapshots.reach(ahead))
        await asyncio.sleep(1)
        assert not reaching.done(), "nobody follows the log yet"
        async with house.open():
            await reaching
            assert house.hub.position == ahead
        house.broker.head_faults.append(PositionGone(position=ahead))
        await house.snapshots.reach(Position("e", 9))

    run(scene())


def test_a_read_that_was_spoiled_is_repeated() -> None:
    async def scene() -> None:
        house, client = House(), Client()

        def blind() -> None:
            house.archive.on_read = None
            house.broker.add(invalidated=["a"])
            house.archive.tables["a"] = [row(5)]

        house.archive.on_read = blind
        async with house.open():
            house.subscribe(client)
            await asyncio.sleep(1)
            assert house.archive.reads == ["a", "a"]
            assert client.shown == {"a": {"5": 0}}

    run(scene())


def test_a_channel_that_never_rests_is_given_up() -> None:
    async def scene() -> None:
        house, client = House(), Client()
        house.archive.on_read = lambda: house.broker.add(invalidated=["a/{x}"])  # type: ignore[assignment,return-value]
        async with house.open():
            house.subscribe(client)
            await asyncio.sleep(1)
            assert len(house.archive.reads) == ATTEMPTS
            [error] = client.heard()
            assert (error["code"], error["channel"], error["id"]) == ("snapshot-failed", "a", 1)
            assert residue(house.hub) == {}

    run(scene())


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Refused(ErrorCode.SNAPSHOT_TOO_LARGE, "many"), "snapshot-too-large"), (OSError("secret detail"), "snapshot-failed")],
)
def test_a_failed_read_is_told_without_details_and_can_be_tried_again(failure: Exception, code: str) -> None:
    async def scene() -> None:
        house, client = House(), Client()
        house.archive.failures = [failure]
        async with house.open():
            house.subscribe(client)
            await asyncio.sleep(1)
            [error] = client.heard()
            assert error["code"] == code
            assert "secret" not in error["message"]
            house.subscribe(client, 2)
            await asyncio.sleep(1)
            assert client.shown == {"a": {"1": 0}}

    run(scene())


def test_a_log_whose_head_cannot_be_read_is_a_failed_snapshot() -> None:
    async def scene() -> None:
        house, client = House(), Client()
        house.broker.head_faults = [ConnectionError()]
        async with house.open():
            house.subscribe(client)
            await asyncio.sleep(1)
            assert [message["code"] for message in client.heard()] == ["snapshot-failed"]

    run(scene())


def test_rows_that_cannot_be_sent_are_a_failed_snapshot() -> None:
    async def scene() -> None:
        house, client = House(), Client()
        house.archive.tables["a"] = [Row("Row", "\ud800", b"{}")]
        async with house.open():
            house.subscribe(client)
            await asyncio.sleep(1)
            assert [message["code"] for message in client.heard()] == ["snapshot-failed"]
            assert residue(house.hub) == {}

    run(scene())


def test_a_client_that_leaves_meanwhile_leaves_nothing_behind() -> None:
    async def scene() -> None:
        house, client = House(), Client()
        house.archive.gate = asyncio.Event()
        async with house.open():
            house.subscribe(client)
            await asyncio.sleep(1)
            house.hub.close(client.connection)
            house.archive.gate.set()
            await asyncio.sleep(1)
            assert client.heard() == []
            assert residue(house.hub) == {}

    run(scene())


# The whole of it on a real log: threads' COMMITs become visible, end and are told at moments of their own, while reads
# begin and end at theirs. A commit is visible from its COMMIT on, and its ticket is taken before that.


class Database:
    """Rows, and the tickets of COMMITs whose end has not been told yet."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.rows: dict[int, int] = {}
        self.untold: list[Ticket] = []
        self.clock = 0

    def write(self, key: int, gone: bool, fails: bool) -> None:
        self.clock += 1
        change = Change("a", "destroy", "Row", str(key)) if gone else put("a", key, self.clock)
        ticket = self.broker.begin(Commit((change,)))
        if fails:
            ticket.finish(committed=False)
            return
        if gone:
            self.rows.pop(key, None)
        else:
            self.rows[key] = self.clock
        self.untold.append(ticket)

    def tell(self, index: int) -> None:
        if self.untold:
            self.untold.pop(index % len(self.untold)).finish(committed=True)


class SlowArchive(ScriptedArchive):
    """Takes a moment before and after it sees the rows."""

    def __init__(self, database: Database, chance: random.Random) -> None:
        super().__init__()
        self._database = database
        self._chance = chance

    async def rows(self, channel: str) -> list[Row]:
        await asyncio.sleep(self._chance.randrange(4))
        seen = [row(key, value) for key, value in self._database.rows.items()]
        await asyncio.sleep(self._chance.randrange(4))
        return seen


def check_positions(client: Client, log: list[Entry], start: Position) -> None:
    """Every snapshot is what the log says of its position."""
    told = {str(start): dict[str, Any]()}
    for entry in log:
        if entry.commit.invalidated:
            return  # what comes after a commit in doubt is known to the database alone
        told[str(entry.position)] = rows = dict(list(told.values())[-1])
        for change in entry.commit.changes:
            rows[change.id] = change.record
    for message in client.messages:
        for item in message.get("channels", ()) if message.get("type") == "subscribed" else ():
            wanted = {key: json.loads(record)["v"] for key, record in told[message["position"]].items() if record}
            assert {each["id"]: each["record"]["v"] for each in item["rows"]} == wanted, "not the rows at its position"


async def story(seed: int, snapshots: Callable[..., Snapshots] = Snapshots, patience: float = 1e6) -> None:
    """One client that reloads now and then: each answer must be the log up to its position, and the end the database."""
    chance = random.Random(seed)
    broker = MemoryBroker(patience=patience, clock=asyncio.get_running_loop().time)
    database = Database(broker)
    start = await broker.head()
    hub = Hub(start, Bounds())
    feed = Feed(broker, hub)
    flown = snapshots(hub, feed, broker, SlowArchive(database, chance))
    task = asyncio.ensure_future(feed.run())
    client = Client()

    def subscribe() -> None:
        flight = hub.board(client.connection, 1, "a", "a")
        if flight is not None:
            flown.start(flight)

    for _ in range(4):
        subscribe()
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(chance.randrange(2))
            if chance.randrange(2):
                database.write(chance.randrange(3), gone=chance.randrange(3) == 0, fails=chance.randrange(4) == 0)
            else:
                database.tell(chance.randrange(5))
    while database.untold:
        database.tell(0)
    await asyncio.sleep(60)
    while client.messages[-1].get("type") in ("reset", "error"):
        subscribe()
        await asyncio.sleep(60)
    assert client.shown["a"] == {str(key): value for key, value in database.rows.items()}
    check_positions(client, broker._ring.after(start), start)
    positions = [message["commit"] for message in client.messages if "commit" in message]
    assert len(set(positions)) == len(positions), "a commit was sent twice"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_whenever_the_read_happens_rows_and_later_commits_are_the_database(seed: int) -> None:
    run(story(seed))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_it_is_so_too_when_the_line_moves_on_without_commits_that_end_late(seed: int) -> None:
    run(story(seed, patience=2.0))


class Unmerged(Flight):
    """The mutant: what came during the read is forgotten."""

    def merge(self, rows: object) -> list[Row]:
        return list(rows)  # type: ignore[call-overload,no-any-return]


class Hasty(Snapshots):
    """The mutant: it does not wait until the hub is where the log was after the read."""

    def __init__(self, hub: Hub, feed: Feed, *others: Any) -> None:
        super().__init__(hub, feed, *others)
        self._feed = self  # type: ignore[assignment]

    async def reached(self, position: object) -> None:
        """It lands wherever the hub is."""


class Early(Snapshots):
    """The mutant: it asks for the log's head before the read."""

    def __init__(self, hub: Hub, feed: Feed, broker: MemoryBroker, archive: SlowArchive) -> None:
        super().__init__(hub, feed, broker, archive)
        self._broker, self._archive, self._real = self, self, (broker, archive)  # type: ignore[assignment]

    async def rows(self, channel: str) -> list[Row]:
        self._head = await self._real[0].head()
        return await self._real[1].rows(channel)

    async def head(self) -> Position:
        return self._head


def fails(seed: int, snapshots: Callable[..., Snapshots] = Snapshots) -> bool:
    try:
        run(story(seed, snapshots))
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("mutant", [Hasty, Early])
def test_a_flight_with_another_high_mark_fails_it(mutant: Callable[..., Snapshots]) -> None:
    assert any(fails(seed, mutant) for seed in range(100))


def test_a_flight_that_forgets_what_came_during_the_read_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "Flight", Unmerged)
    assert any(fails(seed) for seed in range(50))


# The line of reads.


class Busy(House):
    """One read at a time, two that wait; each read lasts until the gate is opened."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self.reads = Reads(at_once=1, line=2, share=share, clock=lambda: asyncio.get_running_loop().time())
        self.snapshots = Snapshots(self.hub, self.feed, self.broker, self.archive, self.reads)
        self.archive.gate = asyncio.Event()
        self.clients: dict[str, Client] = {}

    async def ask(self, *names: str) -> None:
        for name in names:
            client = self.clients.setdefault(name, Client())
            flight = self.hub.board(client.connection, 1, name, "a/{x}")
            if flight is not None:
                self.snapshots.start(flight)
        await asyncio.sleep(0.1)

    async def rush(self) -> Client:
        """Two come for the same rows: the second, who is returned, is handed what was read for the first."""
        for _ in range(2):
            self.clients["a"] = Client()
            await self.ask("a")
        return self.clients["a"]

    def open_gate(self) -> None:
        assert self.archive.gate is not None
        self.archive.gate.set()


def sharing() -> Busy:
    """A house that shares rows, and whose reads take no time."""
    house = Busy(share=5.0)
    house.open_gate()
    return house


def test_reads_wait_in_a_line_that_is_bounded() -> None:
    async def scene() -> None:
        house = Busy()
        async with house.open():
            await house.ask("a", "b", "c", "d")
            assert house.archive.reads == ["a"]
            [refusal] = house.clients["d"].heard()
            assert (refusal["code"], refusal["channel"]) == ("snapshot-failed", "d")
            house.open_gate()
            await asyncio.sleep(1)
            assert house.archive.reads == ["a", "b", "c"]
            assert [[message["type"] for message in house.clients[name].heard()] for name in "abc"] == [["subscribed"]] * 3
            assert house.snapshots._reading == 0
            assert not house.snapshots._line

    run(scene())


def test_a_read_for_which_nobody_waits_any_more_is_left_out() -> None:
    async def scene() -> None:
        house = Busy()
        async with house.open():
            await house.ask("a", "b", "c")
            house.hub.close(house.clients["b"].connection)
            await house.ask("d")  # it takes the place of the one that is gone
            assert house.clients["d"].heard() == []
            assert "b" not in house.hub._flights
            house.hub.close(house.clients["c"].connection)
            house.open_gate()
            await asyncio.sleep(1)
            assert house.archive.reads == ["a", "d"]
            for client in house.clients.values():
                house.hub.close(client.connection)
            assert residue(house.hub) == {}
            assert house.snapshots._reading == 0

    run(scene())


def test_whoever_asks_for_a_read_that_is_just_being_left_out_gets_it() -> None:
    async def scene() -> None:
        house = Busy()
        async with house.open():
            await house.ask("a", "b", "c")
            house.hub.close(house.clients["b"].connection)
            house.snapshots._thin_out()
            late = Client()
            assert house.hub.board(late.connection, 2, "b", "a/{x}") is None
            house.open_gate()
            await asyncio.sleep(1)
            assert [message["type"] for message in late.heard()] == ["subscribed"]

    run(scene())


def test_a_read_that_fails_passes_its_turn_on() -> None:
    async def scene() -> None:
        house = Busy()
        house.archive.failures = [OSError(), Refused(ErrorCode.SNAPSHOT_TOO_LARGE, "no")]
        async with house.open():
            await house.ask("a", "b", "c")
            house.open_gate()
            await asyncio.sleep(1)
            assert [house.clients[name].heard()[0].get("code") for name in "abc"] == [
                "snapshot-failed", "snapshot-too-large", None,
            ]  # fmt: skip
            assert house.snapshots._reading == 0

    run(scene())


def test_what_comes_while_a_read_waits_is_in_it_once() -> None:
    async def scene() -> None:
        house = Busy()
        async with house.open():
            await house.ask("a", "b")
            house.archive.tables["b"] = [row(1, 5)]
            house.broker.add(put("b", 1, 5), put("b", 2, 2))
            await asyncio.sleep(0.1)
            house.archive.tables["b"] = [row(1, 5)]  # another program has removed the second, which the read sees
            house.open_gate()
            await asyncio.sleep(1)
            assert house.clients["b"].shown == {"b": {"1": 5}}

    run(scene())


def test_rows_are_shared_in_a_rush_and_checked_after_it() -> None:
    async def scene() -> None:
        house = sharing()
        async with house.open():
            await house.ask("a")
            house.broker.add(put("a", 1, 7))
            for _ in range(3):
                late = house.clients["a"] = Client()
                await house.ask("a")
                assert late.shown == {"a": {"1": 7}}
            assert house.archive.reads == ["a"]
            house.archive.tables["a"] = [row(1, 7)]
            await asyncio.sleep(RUSH)
            assert house.archive.reads == ["a", "a"]
            await asyncio.sleep(60)
            assert house.archive.reads == ["a", "a"], "once"
            await house.ask("a")
            assert house.archive.reads == ["a", "a", "a"]
            assert resets(late) == []

    run(scene())


def test_a_rush_that_does_not_end_is_checked_now_and_then() -> None:
    async def scene() -> None:
        house = sharing()
        async with house.open():
            for _ in range(200):
                house.clients["a"] = Client()
                await house.ask("a")
            assert len(house.archive.reads) == 20 // 5
            await asyncio.sleep(10)

    run(scene())


def resets(client: Client) -> list[list[str]]:
    return [message["channels"] for message in client.messages if message.get("type") == "reset"]


def test_what_another_program_has_written_reaches_whoever_was_handed_rows() -> None:
    """And whoever else is there, or comes back from before."""

    async def scene() -> None:
        house, clients = Busy(share=5.0), [Client() for _ in range(4)]
        house.open_gate()
        async with house.open():
            for client in clients[:3]:
                house.clients["a"] = client
                await house.ask("a")
            house.archive.tables["a"] = [row(1), row(2)]
            since = house.hub.position
            house.hub.close(clients[2].connection)
            await asyncio.sleep(2 * RUSH)
            assert [resets(client) for client in clients[:2]] == [[["a"]], [["a"]]]
            assert house.hub.resume(clients[3].connection, None, {"a": "a/{x}"}, since) == ["a"]
            reads = len(house.archive.reads)
            for client in clients[:2]:
                house.clients["a"] = client
                await house.ask("a")
                assert client.shown == {"a": {"1": 0, "2": 0}}
            assert len(house.archive.reads) == reads + 2, "rows that others write are read for everybody"
            await asyncio.sleep(60)
            assert len(house.archive.reads) == reads + 2

    run(scene())


@pytest.mark.parametrize("foreign", [False, True])
def test_a_check_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture, foreign: bool) -> None:
    async def scene() -> None:
        house = sharing()
        async with house.open():
            client = await house.rush()
            house.archive.failures += [OSError("no database")] * 3
            if foreign:
                house.archive.tables["a"] = [row(2)]
            await asyncio.sleep(60)
            assert house.archive.reads == ["a"] * 5
            assert resets(client) == [["a"]] * foreign

    run(scene())
    assert caplog.text.count("[check-failed]") == 3


def test_a_check_that_the_log_has_overtaken_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        house = sharing()
        async with house.open():
            client = await house.rush()
            house.hub.history.bounds = Bounds(count=2)

            def overtake() -> None:
                house.archive.on_read = None
                for _ in range(5):
                    house.broker.add(put("a", 1))

            house.archive.on_read = overtake
            await asyncio.sleep(60)
            assert len(house.archive.reads) == 3
            assert client.shown == {"a": {"1": 0}}

    run(scene())
    assert "[check-failed]" not in caplog.text


def test_where_a_check_is_refused_everybody_is_told() -> None:
    async def scene() -> None:
        house = sharing()
        async with house.open():
            client = await house.rush()
            house.archive.failures.append(Refused(ErrorCode.SNAPSHOT_TOO_LARGE, "too many"))
            await asyncio.sleep(60)
            assert resets(client) == [["a"]]
            assert house.archive.reads == ["a", "a"]

    run(scene())


def test_rows_at_hand_wait_for_a_client_that_has_not_taken_the_last_ones() -> None:
    async def scene() -> None:
        house = sharing()
        async with house.open():
            await house.ask("a")
            slow, quick = Client(budget=100, reads=False), Client()
            for data in (b"x" * 100, b"x"):
                slow.connection.send(data)
            for client in (slow, quick):
                flight = house.hub.board(client.connection, 1, "a", "a/{x}")
                if flight is not None:
                    house.snapshots.start(flight)
            await asyncio.sleep(1)
            assert quick.shown == {"a": {"1": 0}}
            assert slow.connection.close_code is None
            assert house.hub.joined(slow.connection) == {"a": "a/{x}"}
            slow.connection.drain()
            slow.connection.flushed(101)
            slow.reads = True
            await asyncio.sleep(1)
            assert slow.shown == {"a": {"1": 0}}
            # Not for ever.
            stuck = Client(budget=100, reads=False)
            for data in (b"x" * 100, b"x"):
                stuck.connection.send(data)
            flight = house.hub.board(stuck.connection, 1, "a", "a/{x}")
            assert flight is not None
            house.snapshots.start(flight)
            await asyncio.sleep(30)
            assert stuck.connection.close_code == 4502
            assert house.archive.reads == ["a"] * 3, "checked once, and read again when they were too old"

    run(scene())
