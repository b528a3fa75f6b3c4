"""Rows that go in one flush are followed once, with all that go like them."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.orm import Session

from sqla_realtime.capture.cascades import Cascades, Rows
from sqla_realtime.capture.dependants import Dependants
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.plan import Plan
from sqla_realtime.capture.scene import Scene
from sqla_realtime.capture.tracker import Tracker
from sqla_realtime.schema.registry import Registry
from tests.support.models import Project


class Heard:
    """Takes the place of the cascades, and remembers what it was asked to follow."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def deleted(self, connection: Connection, ledger: Ledger, rows: Rows) -> None:
        assert rows.condition is not None
        self.asked.append(str(rows.condition.compile(compile_kwargs={"literal_binds": True})))


def test_each_row_is_followed_once_in_a_flush(sqlite: Engine) -> None:
    heard = Heard()
    dependants = Dependants(cast(Cascades, heard))
    with Session(sqlite) as session:
        session.add_all(projects := [Project(id=number) for number in (1, 2)])
        session.flush()
        mapper: Any = inspect(Project)
        plan = Plan(mapper, Registry().of(mapper), {})
        connection = session.connection()
        scene = Scene(session, Ledger(connection, Tracker()), connection, plan, True)
        dependants.deleted(scene, (1,), lambda: projects)
        dependants.deleted(scene, (2,), lambda: projects)
        assert len(heard.asked) == 1
        dependants.deleted(scene, (3,), lambda: projects)
        assert heard.asked[1:] == ["project.id IN (3)"]
        dependants.forget(scene.number)
        dependants.deleted(scene, (3,), lambda: ())
        assert heard.asked[2:] == ["project.id IN (3)"]
