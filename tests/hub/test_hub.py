"""The hub: one frame per commit and set of channels, resumes whole or not at all, resets, interest, and no residue."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqla_realtime.commit import Commit, Entry, Order, Position
from sqla_realtime.history import Bounds
from sqla_realtime.hub import hub as hub_module
from sqla_realtime.hub.connection import Connection, several
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.hub import Hub
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Joined, Reset, Row
from sqla_realtime.protocol.v1 import V1
from tests.hub.fakes import Client, CountingCodec, at, drop, entry, join, make_hub, put, residue, row

# Dispatch.


def test_a_commit_reaches_those_who_joined_its_channels_and_nobody_else() -> None:
    hub, inside, outside = make_hub(), Client(), Client()
    join(hub, inside, "a")
    join(hub, outside, "b")
    hub.dispatch(entry(1, put("a", 1, 5)))
    [message] = inside.heard()
    assert message["commit"] == "e.1"
    assert [(change["channel"], change["record"]) for change in message["changes"]] == [("a", {"v": 5})]
    assert outside.heard() == []
    assert hub.position == at(1)


def test_one_commit_on_several_channels_of_a_connection_is_one_frame_in_order() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a", "b")
    hub.dispatch(entry(1, put("b", 1), put("x", 2), put("a", 3), put("b", 4)))
    [message] = client.heard()
    assert [(change["channel"], change["id"]) for change in message["changes"]] == [("b", "1"), ("a", "3"), ("b", "4")]


def test_nobody_is_shown_a_channel_that_it_has_not_joined() -> None:
    hub, one, both = make_hub(), Client(), Client()
    join(hub, one, "a")
    join(hub, both, "a", "b")
    hub.dispatch(entry(1, put("a", 1), put("b", 2)))
    assert [[change["id"] for change in client.heard()[0]["changes"]] for client in (one, both)] == [["1"], ["1", "2"]]


def test_a_frame_is_spelled_once_per_codec_and_set_of_channels() -> None:
    codec, other = CountingCodec(), CountingCodec("other")
    hub = make_hub()
    clients = [Client(codec) for _ in range(10)]
    for client in clients[:5]:
        join(hub, client, "a")
    for client in clients[5:]:
        join(hub, client, "a", "b")
    foreign = Client(other)
    join(hub, foreign, "a")
    for each in (codec, other):
        each.spelled.clear()
    hub.dispatch(entry(1, put("a", 1), put("b", 2)))
    assert codec.spelled == {"commit": 2, "change": 2}
    assert other.spelled == {"commit": 1, "change": 1}
    assert all(client.frames[-1] is clients[0].frames[-1] for client in clients[:5]), "the bytes are not shared"
    assert all(client.frames[-1] is clients[5].frames[-1] for client in clients[5:])


def test_nothing_is_spelled_when_nobody_listens() -> None:
    codec, hub = CountingCodec(), make_hub()
    join(hub, Client(codec), "b")
    hub.dispatch(entry(1, put("a", 1)))
    hub.dispatch(entry(2))
    assert codec.spelled == {}


def test_a_slow_connection_is_cut_and_others_are_unaffected() -> None:
    hub, slow, quick = make_hub(), Client(budget=500, reads=False), Client()
    for client in (slow, quick):
        join(hub, client, "a")
    for offset in range(1, 50):
        hub.dispatch(entry(offset, put("a", offset)))
    assert slow.connection.close_code == 4502
    assert slow.connection.aborted
    assert [message["commit"] for message in quick.heard()] == [f"e.{offset}" for offset in range(1, 50)]
    hub.close(slow.connection)
    hub.close(quick.connection)
    assert residue(hub) == {}


def test_a_connection_that_is_cut_while_a_commit_goes_out_is_not_in_the_way() -> None:
    """Its transport may take it out of the hub at once."""
    hub = make_hub()
    clients = [Client(budget=10, reads=False) for _ in range(3)]
    for client in clients:
        join(hub, client, "a", "b")
        client.connection.pending = 11
        client.connection.hear = lambda client=client: hub.close(client.connection)  # type: ignore[misc]
    hub.dispatch(entry(1, put("a", 1)))
    hub.dispatch(entry(2, put("a", 1), put("b", 1), invalidated=["a"]))
    assert all(client.connection.aborted for client in clients)
    assert residue(hub) == {}


# Own commits.


def test_whoever_made_a_commit_is_told_so_and_nobody_else() -> None:
    codec, hub = CountingCodec(), make_hub()
    clients = [Client(codec) for _ in range(10)]
    for client in clients:
        join(hub, client, "a")
    codec.spelled.clear()
    mine = clients[3].connection.id
    hub.dispatch(entry(1, put("a", 1), put("b", 2), origin=mine))
    assert [clients[3].heard()[0].get("origin")] == [mine]
    for client in clients[:3] + clients[4:]:
        assert mine.encode() not in b"".join(client.frames), "somebody learned whose commit it was"
        assert client.frames[-1] is clients[0].frames[-1], "the bytes are not shared"
    assert codec.spelled == {"commit": 2, "change": 1}


def test_whoever_made_a_commit_elsewhere_learns_its_position() -> None:
    hub, mine, other, waiting = make_hub(), Client(), Client(), Client()
    join(hub, mine, "a")
    join(hub, other, "a")
    flight = hub.board(waiting.connection, 1, "a", "a")
    assert flight is not None
    hub.dispatch(entry(1, put("x", 1), origin=mine.connection.id))
    hub.dispatch(entry(2, origin=waiting.connection.id))
    hub.dispatch(entry(3, put("a", 1), origin="c-of-nobody-who-is-here"))
    hub.dispatch(entry(4, invalidated=["a"], origin=mine.connection.id))
    assert [kind(message) for message in mine.heard()] == ["ping e.1", "commit e.3", "reset None"]
    assert [kind(message) for message in other.heard()] == ["commit e.3", "reset None"]
    # What it waits for is still where its subscribe says, so no position may come before the answer.
    assert waiting.heard() == []


def kind(message: dict[str, Any]) -> str:
    return f"{message.get('type', 'commit')} {message.get('commit', message.get('position'))}"


def test_a_resume_marks_own_commits_and_no_others() -> None:
    hub, client = make_hub(), Client()
    client.shown = {"a": {}}
    for offset, origin in enumerate([client.connection.id, "c-somebody-else", None], 1):
        hub.dispatch(entry(offset, put("a", offset), origin=origin))
    assert resumed(hub, client, at(0), "a") == []
    [message] = client.heard()
    assert [each.get("origin") for each in message["commits"]] == [client.connection.id, None, None]
    assert b"somebody" not in client.frames[-1]


def test_two_connections_of_one_id_both_know_their_own_and_leave_nothing() -> None:
    hub, old, new = make_hub(), Client(), Client()
    new.connection.id = old.connection.id
    join(hub, old, "a", "b")
    join(hub, new, "a")
    hub.dispatch(entry(1, put("a", 1), origin=old.connection.id))
    hub.close(old.connection)
    hub.dispatch(entry(2, put("a", 1), origin=old.connection.id))
    assert [message["origin"] for message in (*old.heard(), *new.heard())] == [old.connection.id] * 3
    hub.close(new.connection)
    assert residue(hub) == {}


# Holding.


def test_whoever_is_held_is_sent_nothing_and_goes_on_where_it_stopped() -> None:
    hub, held, other = make_hub(), Client(), Client()
    for client in (held, other):
        join(hub, client, "a", "b")
    hub.dispatch(entry(1, put("a", 1, 1)))
    hub.hold(held.connection)
    hub.hold(held.connection)
    assert hub.joined(held.connection) == {"a": "a", "b": "b"}
    hub.dispatch(entry(2, put("a", 2, 2), origin=held.connection.id))
    hub.dispatch(entry(3, put("x", 3, 3), origin=held.connection.id))
    assert [message["commit"] for message in held.heard()] == ["e.1"]
    assert hub.release(held.connection) == []
    [message] = held.heard()
    assert message == {
        "type": "subscribed",
        "position": "e.3",
        "channels": [{"channel": "a", "recovered": True}, {"channel": "b", "recovered": True}],
        "commits": [{"commit": "e.2", "changes": message["commits"][0]["changes"], "origin": held.connection.id}],
    }
    assert hub.release(held.connection) == []
    assert held.heard() == []
    hub.close(held.connection)
    hub.close(other.connection)
    assert residue(hub) == {}


def test_who_is_released_hears_of_a_gap_before_its_position_moves_past_it() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a", "b")
    hub.hold(client.connection)
    hub.dispatch(entry(1, put("a", 1), put("b", 1)))
    hub.dispatch(entry(2, invalidated=["b"]))
    hub.release(client.connection)
    # Were it cut off between the two, it would come back with the position of the first.
    first, second = client.heard()
    assert (first["type"], first["channels"]) == ("reset", ["b"])
    assert (second["type"], [item["channel"] for item in second["channels"]]) == ("subscribed", ["a"])


def test_what_is_left_while_it_is_held_stays_left() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a", "b")
    assert hub.board(client.connection, 5, "c", "c") is not None
    hub.hold(client.connection)
    assert (hub.waiting(client.connection), hub.joined(client.connection).keys()) == ({"c": 5}, {"a", "b", "c"})
    hub.leave(client.connection, ["b", "c"])
    hub.dispatch(entry(1, put("a", 1), put("b", 1)))
    hub.release(client.connection)
    [message] = client.heard()
    assert [change["channel"] for each in message["commits"] for change in each["changes"]] == ["a"]
    assert client.connection.channels == {"a"}


def test_a_client_that_is_gone_while_it_is_held_leaves_nothing() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a")
    hub.board(client.connection, 5, "b", "b")
    hub.hold(client.connection)
    hub.close(client.connection)
    assert hub.release(client.connection) == []
    hub.land(hub._flights["b"], [])
    assert client.heard() == []
    assert residue(hub) == {}


def test_a_client_that_is_behind_is_reset() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a", "b")
    assert hub.board(client.connection, 5, "c", "c") is not None
    hub.reset(client.connection, ErrorCode.BEHIND)
    [message] = client.heard()
    assert (message["type"], sorted(message["channels"]), message["reason"]) == ("reset", ["a", "b"], "behind")
    assert hub.joined(client.connection) == {"c": "c"}
    hub.reset(client.connection, ErrorCode.BEHIND)
    assert client.heard() == []


# Leaving.


def test_nothing_of_a_channel_is_sent_after_leaving_it() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a", "b")
    hub.leave(client.connection, ["a", "unknown"])
    hub.leave(client.connection, ["a"])
    hub.dispatch(entry(1, put("a", 1), put("b", 2)))
    assert [change["channel"] for change in client.heard()[0]["changes"]] == ["b"]
    assert client.connection.channels == {"b"}


def test_leaving_while_the_rows_are_read_leaves_the_flight_too() -> None:
    hub, client = make_hub(), Client()
    flight = hub.board(client.connection, 1, "a", "p")
    assert flight is not None
    hub.leave(client.connection, ["a"])
    hub.land(flight, [row(1)])
    assert client.heard() == []
    assert residue(hub) == {}


@pytest.mark.parametrize("when", ["boarded", "joined"])
def test_a_connection_that_is_gone_leaves_nothing_behind(when: str) -> None:
    hub, client = make_hub(), Client()
    flight = hub.board(client.connection, 1, "a", "p")
    assert flight is not None
    if when == "joined":
        hub.land(flight, [])
    hub.close(client.connection)
    if when == "boarded":
        hub.land(flight, [])
    assert client.connection.channels == set()
    assert residue(hub) == {}


def test_what_a_connection_takes_part_in_is_counted_once() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a")
    hub.board(client.connection, 2, "b", "b")
    hub.board(Client().connection, 2, "c", "c")
    assert hub.joined(client.connection) == {"a": "a", "b": "b"}


# Snapshots.


def test_a_snapshot_answers_with_rows_at_the_hubs_position_and_goes_on_live() -> None:
    hub, client = make_hub(7), Client()
    flight = hub.board(client.connection, 3, "a", "p")
    assert flight is not None
    hub.dispatch(entry(8, put("a", 1, 8)))
    hub.land(flight, [row(1, 7), row(2)])
    hub.dispatch(entry(9, put("a", 2, 9)))
    first, second = client.heard()
    assert (first["type"], first["id"], first["position"]) == ("subscribed", 3, "e.8")
    assert first["channels"] == [
        {
            "channel": "a",
            "rows": [{"class": "Row", "id": "1", "record": {"v": 8}}, {"class": "Row", "id": "2", "record": {"v": 0}}],
        }
    ]
    assert second["commit"] == "e.9"
    assert client.shown == {"a": {"1": 8, "2": 9}}


def test_whoever_asks_meanwhile_shares_the_flight() -> None:
    hub, first, second = make_hub(), Client(), Client()
    flight = hub.board(first.connection, 1, "a", "p")
    assert flight is not None
    hub.dispatch(entry(1, put("a", 1, 5)))
    assert hub.board(second.connection, 2, "a", "p") is None
    hub.land(flight, [])
    assert [message["id"] for message in (*first.heard(), *second.heard())] == [1, 2]
    assert first.shown == second.shown == {"a": {"1": 5}}


def test_of_two_requests_before_the_answer_only_the_later_is_answered() -> None:
    hub, client = make_hub(), Client()
    flight = hub.board(client.connection, 1, "a", "p")
    assert flight is not None
    assert hub.board(client.connection, 2, "a", "p") is None
    hub.land(flight, [])
    assert [message["id"] for message in client.heard()] == [2]


def test_a_reload_sends_nothing_of_the_channel_until_its_answer() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a", rows=[row(1)])
    flight = hub.board(client.connection, 2, "a", "a")
    assert flight is not None
    hub.dispatch(entry(1, put("a", 1, 5)))
    assert client.heard() == []
    hub.land(flight, [row(1)])
    assert client.shown == {"a": {"1": 5}}


def test_a_crash_tells_each_waiter_about_its_own_request() -> None:
    hub, first, second = make_hub(), Client(), Client()
    flight = hub.board(first.connection, 1, "a", "p")
    assert flight is not None
    hub.board(second.connection, 2, "a", "p")
    hub.crash(flight, ErrorCode.SNAPSHOT_FAILED, "why")
    for client, number in ((first, 1), (second, 2)):
        assert client.heard() == [{"type": "error", "code": "snapshot-failed", "message": "why", "channel": "a", "id": number}]
        assert client.connection.channels == set()
    assert residue(hub) == {}


def test_rows_that_cannot_be_spelled_are_a_crash_and_nobody_is_left_half_joined() -> None:
    hub, first, second = make_hub(), Client(), Client()
    flight = hub.board(first.connection, 1, "a", "p")
    assert flight is not None
    hub.board(second.connection, 2, "a", "p")
    with pytest.raises(UnicodeEncodeError):
        hub.land(flight, [Row("Row", "\ud800", b"{}")])
    hub.crash(flight, ErrorCode.SNAPSHOT_FAILED, "why")
    assert [message["type"] for message in (*first.heard(), *second.heard())] == ["error", "error"]
    assert residue(hub) == {}


def test_a_connection_that_was_cut_by_its_own_snapshot_does_not_join() -> None:
    hub, client = make_hub(), Client(budget=1, reads=False)
    flight = hub.board(client.connection, 1, "a", "p")
    assert flight is not None
    for data in (b"x", b"y"):
        client.connection.send(data)
    hub.land(flight, [row(1)])
    assert client.connection.aborted
    assert residue(hub) == {}


# Resuming.


def resumed(hub: Hub, client: Client, after: Position, *names: str) -> list[str]:
    return hub.resume(client.connection, 9, {name: f"{name}/{{x}}" for name in names}, after)


def test_a_resume_is_answered_with_everything_that_was_missed_in_order() -> None:
    hub, client = make_hub(), Client()
    client.shown = {"a": {"1": 1}, "b": {}}
    hub.dispatch(entry(1, put("a", 1, 1)))
    hub.dispatch(entry(2, put("a", 1, 2), put("x", 5), put("b", 3)))
    hub.dispatch(entry(3, put("x", 1)))
    hub.dispatch(entry(4, drop("a", 1)))
    assert resumed(hub, client, at(1), "a", "b") == []
    assert json.loads(client.frames[0]) == {
        "type": "subscribed",
        "id": 9,
        "position": "e.4",
        "channels": [{"channel": "a", "recovered": True}, {"channel": "b", "recovered": True}],
        "commits": [
            {
                "commit": "e.2",
                "changes": [
                    {"type": "update", "class": "Row", "id": "1", "channel": "a", "changed": ["v"], "record": {"v": 2}},
                    {"type": "update", "class": "Row", "id": "3", "channel": "b", "changed": ["v"], "record": {"v": 0}},
                ],
            },
            {"commit": "e.4", "changes": [{"type": "destroy", "class": "Row", "id": "1", "channel": "a"}]},
        ],
    }
    assert client.shown == {"a": {}, "b": {"3": 0}}
    hub.dispatch(entry(5, put("b", 1)))
    assert client.heard()[-1]["commit"] == "e.5"


def test_a_resume_from_the_hubs_own_position_misses_nothing() -> None:
    hub, client = make_hub(3), Client()
    assert resumed(hub, client, at(3), "a") == []
    assert client.heard() == [
        {"type": "subscribed", "id": 9, "position": "e.3", "channels": [{"channel": "a", "recovered": True}]}
    ]


@pytest.mark.parametrize("after", [Position("other", 8), at(10), at(4), at(0)], ids=["epoch", "future", "trimmed", "beginning"])
def test_a_position_that_cannot_be_resumed_from_is_not_resumed_from_at_all(after: Position) -> None:
    hub, client = make_hub(5, Bounds(count=2)), Client()
    for offset in range(6, 10):
        hub.dispatch(entry(offset, put("a", 1)))
    assert resumed(hub, client, after, "a", "b") == ["a", "b"]
    assert client.heard() == []
    assert residue(hub) == {}


def test_a_channel_that_was_invalidated_meanwhile_needs_its_rows_and_others_do_not() -> None:
    hub, client = make_hub(), Client()
    hub.dispatch(entry(1, put("a", 1), put("b", 1), invalidated=["a"]))
    hub.dispatch(entry(2, put("a", 2), put("b", 2), invalidated=["c/{x}"]))
    client.shown = {"b": {}}
    assert resumed(hub, client, at(0), "a", "b", "c") == ["a", "c"]
    [message] = client.heard()
    assert message["channels"] == [{"channel": "b", "recovered": True}]
    assert [[change["channel"] for change in commit["changes"]] for commit in message["commits"]] == [["b"], ["b"]]
    assert client.connection.channels == {"b"}
    assert resumed(hub, Client(), at(2), "a", "b", "c") == [], "what was invalidated before the position does not count"


def test_more_than_fits_the_budget_is_answered_with_rows() -> None:
    hub = make_hub()
    for offset in range(1, 100):
        hub.dispatch(entry(offset, put("a", 1, offset)))
    small = Client(budget=2000)
    small.shown = {"a": {}}
    assert resumed(hub, small, at(0), "a") == ["a"]
    assert resumed(hub, small, at(95), "a") == []


def test_a_resume_that_overflows_the_connection_does_not_join() -> None:
    hub, client = make_hub(), Client(budget=1, reads=False)
    for data in (b"x", b"y"):
        client.connection.send(data)
    assert resumed(hub, client, at(0), "a") == []
    assert client.connection.aborted
    assert residue(hub) == {}


def test_a_resume_while_the_rows_are_read_is_the_later_request() -> None:
    hub, client = make_hub(), Client()
    flight = hub.board(client.connection, 1, "a", "a/{x}")
    assert flight is not None
    assert resumed(hub, client, at(0), "a") == []
    assert hub.joined(client.connection) == {"a": "a/{x}"}
    hub.land(flight, [])
    assert [message["id"] for message in client.heard()] == [9]
    hub.close(client.connection)
    assert residue(hub) == {}


# Resets.


@pytest.mark.parametrize("invalidated", ["a", "p/{x}"])
def test_what_cannot_be_told_row_by_row_is_told_as_a_reset(invalidated: str) -> None:
    hub, client, other = make_hub(), Client(), Client()
    flight = hub.board(client.connection, 1, "a", "p/{x}")
    assert flight is not None
    hub.land(flight, [])
    join(hub, client, "b")
    join(hub, other, "b")
    client.heard()
    hub.dispatch(entry(1, put("a", 1), put("b", 2), invalidated=[invalidated]))
    reset, commit = client.heard()
    assert reset == {"type": "reset", "channels": ["a"], "reason": "invalidated"}
    assert [change["channel"] for change in commit["changes"]] == ["b"]
    assert client.connection.channels == {"b"}
    hub.dispatch(entry(2, put("a", 1)))
    assert client.heard() == []
    assert [message["commit"] for message in other.heard()] == ["e.1"]


def test_channels_of_one_connection_are_reset_in_one_message() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a", "b", "c")
    hub.dispatch(entry(1, invalidated=["a", "c"]))
    assert client.heard() == [{"type": "reset", "channels": ["a", "c"], "reason": "invalidated"}]


def test_a_jump_resets_everybody_spoils_flights_and_forgets_the_past() -> None:
    hub, client, waiting = make_hub(), Client(), Client()
    join(hub, client, "a", "b")
    flight = hub.board(waiting.connection, 1, "a", "a")
    assert flight is not None
    hub.dispatch(entry(1, put("c", 1)))
    hub.jump(Position("f", 9))
    assert client.heard() == [{"type": "reset", "channels": ["a", "b"], "reason": "invalidated"}]
    assert flight.spoiled
    assert hub.position == ("f", 9)
    assert resumed(hub, Client(), at(0), "a") == ["a"]
    assert resumed(hub, Client(), at(1), "a") == ["a"]
    assert resumed(hub, Client(), Position("f", 9), "a") == []


# Interest.


def test_a_pattern_is_wanted_while_somebody_is_there_or_may_come_back() -> None:
    clock = [100.0]
    hub, client = make_hub(bounds=Bounds(age=60.0), clock=lambda: clock[0]), Client()
    assert not hub.wants("p")
    flight = hub.board(client.connection, 1, "a", "p")
    assert flight is not None
    assert hub.wants("p"), "the rows are being read: what comes meanwhile is needed"
    hub.land(flight, [])
    clock[0] += 10_000
    assert hub.wants("p")
    hub.close(client.connection)
    assert hub.wants("p")
    clock[0] += 59.9
    assert hub.wants("p"), "its client may resume from the history"
    clock[0] += 0.2
    assert not hub.wants("p")


def test_a_pattern_is_wanted_until_its_last_channel_is_left() -> None:
    clock = [0.0]
    hub, client = make_hub(bounds=Bounds(age=60.0), clock=lambda: clock[0]), Client()
    for name in ("a", "b"):
        flight = hub.board(client.connection, 1, name, "p")
        assert flight is not None
        hub.land(flight, [])
    hub.leave(client.connection, ["a"])
    clock[0] += 100
    assert hub.wants("p")
    hub.leave(client.connection, ["b"])
    clock[0] += 100
    assert not hub.wants("p")


def test_a_reload_never_makes_a_pattern_unwanted() -> None:
    """Commits are made in other threads: for a moment without interest they would come without rows."""
    hub, client = make_hub(bounds=Bounds(age=60.0)), Client()
    join(hub, client, "a")
    seen: list[bool] = []
    know = hub._know
    hub._know = lambda *given: (seen.append(hub.wants("a")), know(*given))[1]  # type: ignore[method-assign]
    hub.board(client.connection, 2, "a", "a")
    assert seen == [True]


# Everything together: whatever happens, in the end each client shows what is stored.


class World:
    """A database, a hub, and clients that do what PROTOCOL.md says."""

    def __init__(self) -> None:
        self.hub = make_hub(bounds=Bounds(count=3))
        self.tables: dict[str, dict[str, int]] = {"a": {}, "b": {}}
        self.reads: dict[str, list[Row]] = {}
        self.clients = [Client(), Client()]
        self.value = 0

    def commit(self, changes: list[tuple[str, int, bool]], blind: str | None) -> None:
        told = []
        for channel, key, gone in changes:
            self.value += 1
            if gone:
                self.tables[channel].pop(str(key), None)
            else:
                self.tables[channel][str(key)] = self.value
            told.append(drop(channel, key) if gone else put(channel, key, self.value))
        if blind is not None:
            self.tables[blind] = {"9": self.value}
        self.hub.dispatch(entry(self.hub.position.offset + 1, *told, invalidated=[blind] if blind else []))
        for client in self.clients:
            for message in client.heard():
                if message.get("type") == "reset":
                    self.subscribe(client, message["channels"])

    def subscribe(self, client: Client, names: list[str]) -> None:
        if client in self.clients:
            self.release(self.clients.index(client))  # a message waits until the rules have answered
        for name in names:
            if self.hub.board(client.connection, 1, name, name + "/{x}") is not None:
                self.reads.pop(name, None)

    def read(self, name: str) -> None:
        if name in self.hub._flights:
            self.reads[name] = [row(int(key), value) for key, value in self.tables[name].items()]

    def land(self, name: str) -> None:
        flight = self.hub._flights.get(name)
        if flight is not None and name in self.reads:
            rows = self.reads.pop(name)
            if flight.spoiled:
                flight.restart()
            else:
                self.hub.land(flight, rows)

    def hold(self, index: int) -> None:
        self.hub.hold(self.clients[index].connection)

    def release(self, index: int) -> None:
        for flight in self.hub.release(self.clients[index].connection):
            self.reads.pop(flight.channel, None)
        for message in self.clients[index].heard():
            if message.get("type") == "reset":
                self.subscribe(self.clients[index], message["channels"])

    def reconnect(self, index: int) -> None:
        old, new = self.clients[index], Client()
        lost = sorted(self.hub.waiting(old.connection))
        # Whoever is held does not know: to the client its channels are live, at the one position that it has.
        live = sorted(self.hub.joined(old.connection).keys() - {*lost})
        self.hub.close(old.connection)
        new.shown, new.position = {name: dict(rows) for name, rows in old.shown.items()}, old.position
        self.clients[index] = new
        after = Position.parse(old.position or "")
        patterns = {name: name + "/{x}" for name in live}
        self.subscribe(new, lost + (live if after is None else self.hub.resume(new.connection, 2, patterns, after)))

    def settle(self) -> None:
        for index in range(2):
            self.release(index)
        for name in self.tables:
            for _ in range(2):
                self.read(name)
                self.land(name)


CHANGES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.booleans()), max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("commit"), CHANGES, st.sampled_from([None, None, None, "a"])),
    st.tuples(st.just("subscribe"), st.integers(0, 1), st.sampled_from([["a"], ["b"], ["a", "b"]])),
    st.tuples(st.just("read"), st.sampled_from("ab"), st.none()),
    st.tuples(st.just("land"), st.sampled_from("ab"), st.none()),
    st.tuples(st.sampled_from(["reconnect", "hold", "release"]), st.integers(0, 1), st.none()),
)


def converges(steps: list[tuple[str, Any, Any]]) -> bool:
    world = World()
    for kind, one, two in steps:
        if kind == "commit":
            world.commit(one, two)
        elif kind == "subscribe":
            world.subscribe(world.clients[one], two)
        else:
            getattr(world, kind)(one)
    world.settle()
    for client in world.clients:
        for name in client.connection.channels:
            if client.shown[name] != world.tables[name]:
                return False
    return not world.hub._flights


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=25))
def test_whatever_happens_each_client_ends_with_what_is_stored(steps: list[tuple[str, Any, Any]]) -> None:
    assert converges(steps)


class Unmerged(Flight):
    """The mutant: the position is taken after the read, what came in between is forgotten."""

    def merge(self, rows: object) -> list[Row]:
        return list(rows)  # type: ignore[call-overload,no-any-return]


def test_a_hub_that_forgets_what_came_during_the_read_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [("subscribe", 0, ["a"]), ("read", "a", None), ("commit", [("a", 1, False)], None), ("land", "a", None)]
    assert converges(steps)
    monkeypatch.setattr(hub_module, "Flight", Unmerged)
    assert not converges(steps)


def test_orders_are_obeyed_where_they_stand_and_no_client_hears_of_them() -> None:
    hub, client = make_hub(), Client()
    join(hub, client, "a")
    obeyed: list[tuple[Order | None, int]] = []
    hub.obey = lambda order: obeyed.append((order, hub.position.offset))
    hub.dispatch(entry(1, put("a", 1)))
    hub.dispatch(Entry(at(2), Commit((), orders=(Order("revoke", "7"),))))
    assert obeyed == [(Order("revoke", "7"), 2)]
    assert [message["commit"] for message in client.heard()] == ["e.1"]
    hub.jump(at(9))
    assert obeyed[1:] == [(None, 9)], "what was jumped over may have been orders"


# Dialects that have no rows.


class Rowless(V1):
    """Says no more than which message it is."""

    rows = False

    def encode(self, message: Any) -> bytes:
        channels = list(message.channels) if isinstance(message, Joined | Reset) else []
        return json.dumps({"type": type(message).__name__, "channels": channels}).encode()


def test_without_rows_a_channel_begins_with_what_is_committed_next_and_goes_on_after_a_reset() -> None:
    hub, connection = make_hub(), Connection(Rowless(), 1_000_000)
    hub.dispatch(entry(1, put("a", 1)))
    hub.attend(connection, 1, {"a": "{name}", "b": "{name}"})
    hub.dispatch(entry(2, put("a", 2)))
    hub.dispatch(entry(3, invalidated=["a"]))
    hub.dispatch(entry(4, put("a", 4)))
    joined, first, reset, last = map(json.loads, several(connection.drain()))
    assert joined == {"type": "Joined", "channels": ["a", "b"]}
    assert [change["id"] for change in first["changes"]] == ["2"]
    assert reset == {"type": "Reset", "channels": ["a"]}
    assert [change["id"] for change in last["changes"]] == ["4"]


def test_without_rows_it_also_goes_on_where_it_was_held_for_longer_than_the_log_reaches_back() -> None:
    hub, connection = make_hub(bounds=Bounds(count=1)), Connection(Rowless(), 1_000_000)
    hub.attend(connection, 1, {"a": "{name}"})
    hub.hold(connection)
    hub.dispatch(entry(1, put("a", 1)))
    hub.dispatch(entry(2, put("a", 2)))
    assert hub.release(connection) == []
    hub.dispatch(entry(3, put("a", 3)))
    _, reset, last = map(json.loads, several(connection.drain()))
    assert reset == {"type": "Reset", "channels": ["a"]}
    assert [change["id"] for change in last["changes"]] == ["3"]
