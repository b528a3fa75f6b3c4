"""Where rows are touched: the Session, its transaction and the plan, worked out once for the thousands that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import Connection
from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.attributes import instance_state

from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.plan import Key, Plan

# Asked for when they are needed: Session.dirty and Session.deleted are made anew each time.
Others = Callable[[], Iterable[object]]


class Scene:
    """Where rows are touched, the same for many in a row. ``wanted``: whether one of their publications has readers."""

    __slots__ = ("connection", "family", "ledger", "mapper", "nested", "number", "plan", "session", "tracker", "wanted")

    def __init__(self, session: Session, ledger: Ledger, connection: Connection, plan: Plan, wanted: bool) -> None:
        self.session = session
        self.number = session.hash_key
        self.ledger = ledger
        self.tracker = ledger.tracker
        self.connection = connection
        self.nested = connection.get_nested_transaction()
        self.mapper = plan.mapper
        self.family = plan.family
        self.plan = plan
        self.wanted = wanted

    def covers(self, mapper: Mapper[object], connection: Connection, state: InstanceState[object]) -> bool:
        """Whether this row is touched in the same place."""
        return (
            mapper is self.mapper
            and connection is self.connection
            and state.session_id == self.number
            and self.ledger.ticket is None
            and connection.get_nested_transaction() is self.nested
        )


def identity(state: InstanceState[object]) -> Key:
    """The primary key that an object had when it was loaded or last flushed."""
    return tuple(state.key[1]) if state.key is not None else ()


def moving(scene: Scene) -> Iterator[object]:
    """The objects that this flush will move like the one at hand; others would be locked for nothing."""
    for other in scene.session.dirty:
        state: InstanceState[object] = instance_state(other)
        if state.mapper is scene.mapper and not scene.family.decisive.isdisjoint(scene.plan.touched(state)):
            yield other
