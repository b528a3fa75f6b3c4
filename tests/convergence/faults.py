"""Faults to plant into the application's process, each a way in which clients could come to show what is not there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqla_realtime.brokers.memory import MemoryBroker, _Place
from sqla_realtime.capture import telling
from sqla_realtime.capture.flush import FlushWatcher
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.commit import Entry, Position
from sqla_realtime.history import History
from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.flight import Flight
from sqla_realtime.hub.house import House
from sqla_realtime.hub.hub import Hub
from sqla_realtime.hub.rights import Rights
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.transports.poll import PollHandler, _Caller
from sqla_realtime.transports.pump import Pump
from sqla_realtime.transports.sse import EventsHandler

FAULTS: dict[str, Callable[[], None]] = {}


def fault(plant: Callable[[], None]) -> Callable[[], None]:
    """Register it under its function's name."""
    FAULTS[plant.__name__.replace("_", " ")] = plant
    return plant


def nothing(*arguments: Any, **named: Any) -> None:
    """Does not do it."""


@fault
def a_position_that_is_off_by_one() -> None:
    after = History.after
    History.after = lambda self, position: after(self, position)[1:]  # type: ignore[method-assign]


@fault
def no_buffer_between_the_rows_and_what_is_live() -> None:
    Flight.offer = nothing  # type: ignore[method-assign]


@fault
def a_history_that_is_trimmed_without_a_word() -> None:
    def after(self: History, position: Position) -> list[Entry]:
        missing = self.head.offset - position.offset if position.epoch == self.head.epoch else 0
        return [entry for _, _, entry in list(self._entries)[-missing:]] if missing > 0 else []

    History.after = after  # type: ignore[method-assign]


@fault
def a_resume_that_skips_a_commit() -> None:
    after = History.after

    def some(self: History, position: Position) -> list[Entry]:
        entries = after(self, position)
        return [entry for entry in entries if entry.position.offset % 5]

    History.after = some  # type: ignore[method-assign]


@fault
def a_leave_that_shows_the_row() -> None:
    changes = telling._changes
    shown = b'{"id":1,"room":1,"text":"x"}'
    telling._changes = lambda *args: (  # type: ignore[assignment]
        each._replace(record=shown) if each.cause == "leave" else each for each in changes(*args)
    )


@fault
def two_commits_in_the_other_order() -> None:
    enter = MemoryBroker._enter
    held: list[_Place] = []

    def swapped(self: MemoryBroker, places: Sequence[_Place]) -> None:
        for place in places:
            if not held and place.commit.changes:
                held.append(place)
            else:
                enter(self, [place, *held])
                held.clear()

    MemoryBroker._enter = swapped  # type: ignore[method-assign]


@fault
def an_answer_that_overtakes_a_commit() -> None:
    Pump.settle = nothing  # type: ignore[method-assign]


@fault
def a_torn_frame() -> None:
    commit = V1.commit

    def half(self: V1, position: Position, changes: Any, *rest: Any) -> bytes:
        return commit(self, position, changes[: max(1, len(changes) // 2)], *rest)

    V1.commit = half  # type: ignore[method-assign]


@fault
def a_recheck_that_asks_nobody() -> None:
    House.recheck = nothing  # type: ignore[method-assign]
    House.revoke = nothing  # type: ignore[method-assign]


@fault
def an_unsubscribe_that_is_not_done() -> None:
    leave = Hub.leave

    def stay(self: Hub, connection: Any, names: Any) -> None:
        # Only an unsubscribe names channels in a tuple.
        if not isinstance(names, tuple):
            leave(self, connection, names)

    Hub.leave = stay  # type: ignore[method-assign]


@fault
def rights_that_do_not_end() -> None:
    Rights._end = nothing  # type: ignore[method-assign]


@fault
def a_poll_that_loses_a_commit() -> None:
    frame = PollHandler.frame
    PollHandler.frame = lambda self, messages: frame(self, messages[-1:])  # type: ignore[method-assign]


@fault
def an_answer_that_goes_on_behind_its_end() -> None:
    def send(self: _Caller, data: bytes) -> None:
        Connection.send(self, data)
        self.news = True

    _Caller.send = send  # type: ignore[method-assign]


@fault
def an_id_before_all_channels_are_answered() -> None:
    def early(self: EventsHandler) -> bytes:
        return b"id: %b\n" % str(self._lobby.house.hub.position).encode()

    EventsHandler._id = early  # type: ignore[method-assign]


@fault
def a_key_change_told_as_an_update() -> None:
    update, record = FlushWatcher._update, FlushWatcher._record
    updating = threading.local()

    def marked(self: FlushWatcher, *args: Any) -> None:
        updating.now = True
        try:
            update(self, *args)
        finally:
            updating.now = False

    def without_the_old_key(self: FlushWatcher, scene: Any, key: Any, touch: Touch) -> None:
        if touch.kind != "destroy" or not getattr(updating, "now", False):
            record(self, scene, key, touch)

    FlushWatcher._update, FlushWatcher._record = marked, without_the_old_key  # type: ignore[method-assign]


@fault
def a_resume_that_overlooks_a_reload() -> None:
    resume, after = Hub.resume, History.after

    def trusting(self: History, position: Position) -> list[Entry]:
        entries = after(self, position)
        return [entry._replace(commit=replace(entry.commit, invalidated=frozenset())) for entry in entries]

    def blind(self: Hub, *args: Any) -> list[str]:
        # The broker's own history must still tell who is live.
        class Blind(History):
            after = trusting

        self.history.__class__ = Blind
        try:
            return resume(self, *args)
        finally:
            self.history.__class__ = History

    Hub.resume = blind  # type: ignore[method-assign]


@fault
def a_snapshot_that_is_not_read_again_after_a_reload() -> None:
    Flight.restart = nothing  # type: ignore[method-assign]
    Flight.spoiled = property(lambda self: False, nothing)  # type: ignore[assignment]


@fault
def a_column_of_its_own_in_a_record() -> None:
    change = V1.change

    def more(self: V1, each: Any) -> bytes:
        text = change(self, each)
        return text.replace(b'"record":{', b'"record":{"secret":"s3cr3t",')

    V1.change = more  # type: ignore[method-assign]
