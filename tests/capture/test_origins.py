"""Where rows were is read once for all that a flush moves, each answer is used once, and none outlives its flush."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.orm import Session

from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.origins import RowOrigins
from sqla_realtime.capture.plan import Plan
from sqla_realtime.capture.scene import Scene
from sqla_realtime.capture.tracker import Tracker
from tests.support.capture import Capture, reads
from tests.support.models import Page, Project


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine)
    with made.sessions.begin() as session:
        session.add_all([Project(id=5), Project(id=6), *(Page(id=number, project_id=5) for number in (1, 2, 3))])
    made.commits()
    return made


@pytest.fixture
def where(capture: Capture) -> Iterator[Scene]:
    """Pages, as some Session's flush comes to them."""
    mapper = inspect(Page)
    with capture.sessions() as session:
        connection = session.connection()
        plan = Plan(mapper, capture.registry.of(mapper), {})
        yield Scene(session, Ledger(connection, Tracker()), connection, plan, True)


def test_rows_are_read_with_those_whose_turn_will_come(where: Scene, engine: Engine) -> None:
    origins, session = RowOrigins(), where.session
    pages = [session.get_one(Page, number) for number in (1, 2)]
    with reads(engine, "page") as sent:
        found = [origins.find(where, (number,), lambda: [*pages, Project()], key_lock=False) for number in (1, 2)]
    assert len(sent) == 1
    assert ("FOR NO KEY UPDATE" in sent[0]) is (engine.dialect.name == "postgresql")
    assert found == [{"project_id": 5}, {"project_id": 5}]


def test_an_answer_is_used_once(where: Scene) -> None:
    origins = RowOrigins()
    origins.look(where, (1,), lambda: (), key_lock=False)
    assert origins.take(where, (1,)) == {"project_id": 5}
    assert origins.take(where, (1,)) is None
    where.connection.execute(text("UPDATE page SET project_id = 6 WHERE id = 1"))
    assert origins.find(where, (1,), lambda: (), key_lock=False) == {"project_id": 6}


def test_a_row_that_is_not_there_has_no_origin(where: Scene) -> None:
    assert RowOrigins().find(where, (9,), lambda: (), key_lock=True) is None


def test_with_whole_all_that_is_shown_is_read(where: Scene) -> None:
    origins = RowOrigins()
    origins.look(where, (1,), lambda: (), key_lock=False, whole=True)
    assert origins.take(where, (1,)) == {"id": 1, "project_id": 5, "size": 7, "title": ""}


def test_nothing_is_kept_of_a_flush_that_is_over(where: Scene) -> None:
    origins = RowOrigins()
    origins.look(where, (1,), lambda: (), key_lock=False)
    origins.forget(where.number + 1)
    assert len(origins._read) == 1
    origins.forget(where.number)
    assert origins._read == {}
    assert origins.take(where, (1,)) is None


def test_two_flushes_that_move_one_row_each_see_where_it_was(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        page = session.get_one(Page, 1)
        page.project_id = 6
        session.flush()
        assert capture.hooks._flushes._origins._read == {}
        session.execute(text("UPDATE page SET project_id = NULL WHERE id = 1"))
        session.refresh(page)
        page.project_id = 6
    told = capture.told()[0]
    assert [line.split(" {")[0] for line in told] == [
        "destroy projects/5/pages Page 1 (leave)",
        "create projects/6/pages Page 1 (enter)",
        "invalidate projects/{project_id}/pages",
    ]


def test_a_failure_leaves_doubt_and_the_flush_alone(
    capture: Capture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Plan, "origins", fail)
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).project_id = 6
    monkeypatch.undo()
    assert "[capture-failed]" in caplog.text
    assert capture.told() == [["invalidate projects/{project_id}/pages"]]
    with Session(capture.engine) as session:
        assert session.get_one(Page, 1).project_id == 6
