"""Where rows were before a flush: read once for all that go together, used up, and forgotten with the flush."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, inspect
from sqlalchemy.orm import Session

from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.origins import RowOrigins
from sqla_realtime.capture.plan import Plan
from sqla_realtime.capture.scene import Scene
from sqla_realtime.capture.tracker import Tracker
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry
from tests.support.things import CHANNEL, Base, Selects, Thing, ThingOut


def staged(engine: Engine, play: Callable[[Scene, list[Thing]], None]) -> None:
    Base.metadata.create_all(engine)
    registry = Registry()
    registry.publish(Publication(Thing, ThingOut, CHANNEL))
    plan = Plan(inspect(Thing), registry.of(inspect(Thing)), {})
    with Session(engine) as session:
        session.add_all(things := [Thing(id=number, shelf=number * 10, name="a") for number in (1, 2, 3)])
        session.flush()
        connection = session.connection()
        play(Scene(session, Ledger(connection, Tracker()), connection, plan, True), things)


def test_those_that_go_together_are_read_together(engine: Engine) -> None:
    origins = RowOrigins()

    def play(scene: Scene, things: list[Thing]) -> None:
        with Selects(engine) as statements:
            found: list[Any] = [origins.find(scene, (number,), lambda: things[:2], key_lock=False) for number in (1, 2, 3)]
        assert found == [{"shelf": 10}, {"shelf": 20}, {"shelf": 30}]
        assert len(statements) == 2

    staged(engine, play)


def test_what_was_read_is_used_once_and_forgotten_with_the_flush(engine: Engine) -> None:
    origins = RowOrigins()

    def play(scene: Scene, things: list[Thing]) -> None:
        origins.look(scene, (1,), lambda: (), key_lock=False, whole=True)
        assert origins.take(scene, (1,)) == {"at": None, "done": None, "id": 1, "name": "a", "score": None, "shelf": 10}
        assert origins.take(scene, (1,)) is None
        origins.look(scene, (1,), lambda: (), key_lock=False)
        origins.forget(scene.number)
        assert origins.take(scene, (1,)) is None
        assert origins.find(scene, (9,), lambda: (), key_lock=True) is None, "no such row"

    staged(engine, play)
