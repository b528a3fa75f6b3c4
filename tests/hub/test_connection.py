"""One browser's queue: in order, bounded by bytes, cut with a code when it overflows, silent after its end."""

from __future__ import annotations

import json

from sqla_realtime.hub.connection import Connection, several
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.messages import Pong
from sqla_realtime.protocol.v1 import V1
from tests.hub.fakes import Client, entry, make_hub, put


def idle(budget: int = 100) -> Client:
    """A client whose socket is full."""
    return Client(budget=budget, reads=False)


def test_everything_leaves_in_order() -> None:
    client = idle()
    for data in (b"1", b"2", b"3"):
        client.connection.send(data)
    assert several(client.connection.drain()) == [b"1", b"2", b"3"]
    assert several(client.connection.drain()) == []
    assert client.wakes == 1, "whoever is woken takes all"


def test_without_a_transport_it_only_queues() -> None:
    connection = Connection(V1(), 100)
    connection.send(b"1")
    assert several(connection.drain()) == [b"1"]


def test_what_is_drained_counts_until_it_has_left() -> None:
    connection = idle().connection
    connection.send(b"x" * 60)
    connection.send(b"y" * 30)
    assert connection.pending == 90
    connection.drain()
    assert connection.pending == 90
    connection.flushed(60)
    assert connection.pending == 30


def test_the_budget_is_exact() -> None:
    connection = idle(budget=100).connection
    connection.send(b"x" * 100)
    connection.send(b"y")
    assert connection.close_code is None
    connection.send(b"z")
    assert connection.close_code is CloseCode.SLOW_CONSUMER
    assert connection.aborted


def test_one_message_may_be_larger_than_the_budget() -> None:
    connection = idle(budget=100).connection
    connection.send(b"x" * 100_000)
    assert not connection.aborted
    connection.flushed(100_000)
    connection.send(b"y")
    assert not connection.aborted


def test_a_message_that_is_larger_does_not_count_while_it_is_on_its_way() -> None:
    connection = idle(budget=100).connection
    connection.send(b"x" * 1000)
    connection.send(b"y" * 100)
    connection.send(b"y")
    assert not connection.aborted
    connection.send(b"z")
    assert connection.aborted


def test_there_is_one_larger_message_at_a_time() -> None:
    connection = idle(budget=100).connection
    for _ in range(2):
        connection.send(b"x" * 1000)
    assert not connection.aborted
    connection.send(b"y")
    assert connection.aborted


def test_commits_that_wait_are_made_one_where_that_makes_room() -> None:
    connection = idle(budget=1000).connection
    hub = make_hub()
    flight = hub.board(connection, 1, "a", "a")
    assert flight is not None
    hub.land(flight, [])
    for offset in range(1, 1000):
        hub.dispatch(entry(offset, put("a", offset % 2, offset)))
        assert connection.pending < 1300
    assert not connection.aborted
    commits = [message for data in several(connection.drain()) if "commit" in (message := json.loads(data))]
    assert len(commits) < 12
    assert commits[-1]["commit"] == "e.999"
    shown = {change["id"]: change["record"]["v"] for commit in commits for change in commit["changes"]}
    assert shown == {"0": 998, "1": 999}


def test_where_it_makes_no_room_the_client_is_cut() -> None:
    connection = idle(budget=1000).connection
    hub = make_hub()
    flight = hub.board(connection, 1, "a", "a")
    assert flight is not None
    hub.land(flight, [])
    for offset in range(1, 100):
        hub.dispatch(entry(offset, put("a", offset, offset)))
    assert connection.close_code is CloseCode.SLOW_CONSUMER


def test_a_piece_of_the_queue_ends_with_a_whole_message() -> None:
    connection = idle(budget=1000).connection
    for data in (b"xxx", b"yyy", b"zzz"):
        connection.send(data)
    assert several(connection.drain(4)) == [b"xxx", b"yyy"]
    assert several(connection.drain(4)) == [b"zzz"]


def test_a_slow_client_is_cut_whole_and_woken() -> None:
    client = idle(budget=100)
    client.connection.send(b"x" * 100)
    client.connection.send(b"x")
    wakes = client.wakes
    client.connection.send(b"y")
    assert several(client.connection.drain()) == [], "a part of what it was to be sent would be a gap"
    assert client.wakes == wakes + 1


def test_error_replies_count_against_the_budget() -> None:
    connection = idle(budget=100).connection
    for _ in range(100):
        connection.tell(Pong())
    assert connection.close_code is CloseCode.SLOW_CONSUMER


def test_a_goodbye_comes_after_what_was_queued_and_is_the_last() -> None:
    connection = idle(budget=1000).connection
    connection.send(b"1")
    connection.close(CloseCode.RESTARTING, 2000)
    connection.send(b"2")
    connection.close(CloseCode.TOKEN_EXPIRED)
    first, bye = several(connection.drain())
    assert first == b"1"
    assert json.loads(bye) == {"type": "bye", "code": 4500, "reason": "restarting", "retry_after_ms": 2000}
    assert connection.close_code is CloseCode.RESTARTING
    assert not connection.aborted


def test_a_goodbye_is_for_those_who_have_room_for_it() -> None:
    connection = idle(budget=10).connection
    connection.send(b"x" * 10)
    connection.send(b"x")
    connection.close(CloseCode.RESTARTING)
    assert connection.close_code is CloseCode.SLOW_CONSUMER
    assert connection.aborted


def test_closing_wakes_after_the_code_is_set() -> None:
    client = idle(budget=1000)
    seen: list[CloseCode | None] = []
    client.connection.hear = lambda: seen.append(client.connection.close_code)
    client.connection.close(CloseCode.RESTARTING)
    assert seen[-1] is CloseCode.RESTARTING


def test_the_end_forgets_what_was_queued() -> None:
    connection = idle().connection
    connection.send(b"1")
    connection.abort(CloseCode.RESTARTING)
    connection.send(b"2")
    assert several(connection.drain()) == []


def test_names_differ() -> None:
    assert len({Connection(V1(), 1).id for _ in range(100)}) == 100
