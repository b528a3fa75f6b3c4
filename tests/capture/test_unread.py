"""Rows are told without reading them only while nobody else has had a hand in them; and from objects where that was asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session

from sqla_realtime.capture import tracker
from sqla_realtime.capture.silence import silence
from sqla_realtime.schema.publication import Publication
from tests.capture.spots import HELD, STORED, NextOut, Node, Spot, Tag, TagOut, two_spots
from tests.support.capture import Capture, reads, records


@pytest.fixture
def make(engine: Engine) -> Callable[..., Capture]:
    return two_spots(engine)


# Who else may write to a new row before its COMMIT.


def write_core(session: Session, capture: Capture) -> None:
    session.execute(update(Spot).where(Spot.id == 9).values(x=5))


def write_on_the_connection(session: Session, capture: Capture) -> None:
    session.connection().execute(update(Spot).where(Spot.id == 9).values(x=5))


def write_raw(session: Session, capture: Capture) -> None:
    session.execute(text("UPDATE spot SET x = 5 WHERE id = 9"))


def write_driver_sql(session: Session, capture: Capture) -> None:
    session.connection().exec_driver_sql("UPDATE spot SET x = 5 WHERE id = 9")


def write_elsewhere(session: Session, capture: Capture) -> None:
    with Session(session.connection(), join_transaction_mode="rollback_only") as other:
        other.get_one(Spot, 9).x = 5
        other.commit()


def write_elsewhere_in_raw_sql(session: Session, capture: Capture) -> None:
    with Session(session.connection(), join_transaction_mode="rollback_only") as other:
        other.execute(text("UPDATE spot SET x = 5 WHERE id = 9"))
        other.commit()


def write_in_silence(session: Session, capture: Capture) -> None:
    with silence(capture.hooks):
        session.get_one(Spot, 9).x = 5
        session.flush()


def write_later(session: Session, capture: Capture) -> None:
    session.get_one(Spot, 9).x = 5
    session.flush()


def write_an_expression_later(session: Session, capture: Capture) -> None:
    session.get_one(Spot, 9).x = Spot.x + 5
    session.flush()


WRITES: list[Callable[[Session, Capture], None]] = [
    write_core, write_on_the_connection, write_raw, write_driver_sql, write_elsewhere, write_elsewhere_in_raw_sql,
    write_in_silence, write_later, write_an_expression_later,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES, ids=lambda each: each.__name__)
def test_a_new_row_that_is_written_again_is_told_as_it_is_stored(
    make: Callable[..., Capture], write: Callable[[Session, Capture], None]
) -> None:
    capture = make(STORED)
    with capture.sessions.begin() as session:
        session.add(Spot(id=9))
        session.flush()
        write(session, capture)
    [commit] = capture.commits()
    assert [(each.type, each.id, each.record) for each in commit.changes if each.id == "9"] == [
        ("create", "9", b'{"id":9,"x":5,"name":"a"}')
    ]


def test_a_function_that_writes_is_seen_in_a_select(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(STORED)
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite's functions do not write")
    with engine.begin() as connection:
        connection.execute(text("CREATE FUNCTION shift(i integer) RETURNS integer AS 'UPDATE spot SET x = 5 WHERE id = i"
                                " RETURNING x' LANGUAGE sql"))  # fmt: skip
    with capture.sessions.begin() as session:
        session.add(Spot(id=9))
        session.flush()
        assert session.scalar(select(func.shift(9))) == 5
    assert records(capture) == [{"id": 9, "x": 5, "name": "a"}]


def test_a_savepoint_that_takes_the_second_write_with_it(make: Callable[..., Capture]) -> None:
    capture = make(STORED)
    with capture.sessions.begin() as session:
        session.add(Spot(id=9))
        session.flush()
        nested = session.begin_nested()
        session.get_one(Spot, 9).x = 5
        session.flush()
        nested.rollback()
        with session.begin_nested():
            session.add(Spot(id=10))
    assert records(capture) == [{"id": 9, "x": 0, "name": "a"}, {"id": 10, "x": 0, "name": "a"}]


def test_reading_alone_leaves_new_rows_unread(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(STORED)
    with capture.sessions.begin() as session:
        session.add(Spot(id=9))
        session.flush()
        assert session.scalars(select(Spot.id).where(Spot.id == 9).order_by(Spot.id)).all() == [9]
        with session.begin_nested():
            session.add(Spot(id=10))
        with reads(engine, "spot") as sent:
            session.commit()
    assert sent == []
    assert [each["id"] for each in records(capture)] == [9, 10]


def test_a_foreign_key_that_is_set_late_is_read(make: Callable[..., Capture]) -> None:
    capture = make(Publication(Node, NextOut, "nodes"))
    with capture.sessions.begin() as session:
        one, two = Node(id=8), Node(id=9)
        one.next, two.next = two, one
        session.add_all([one, two])
    assert records(capture) == [{"id": 8, "next_id": 9}, {"id": 9, "next_id": 8}]


def test_what_the_database_does_to_a_new_row_is_read(make: Callable[..., Capture]) -> None:
    capture = make(Publication(Tag, TagOut, "tags"))
    with capture.sessions.begin() as session:
        session.add_all([spot := Spot(id=9), Tag(id=1, spot_id=9)])
        session.flush()
        session.expire_all()
        session.execute(text("DELETE FROM spot WHERE id = 9"))
        session.expunge(spot)
    assert [each.record for commit in capture.commits() for each in commit.changes] == [
        b'{"id":1,"spot_id":null,"saves":0,"length":0,"name":"a"}'
    ]


@pytest.mark.parametrize("publication", [STORED, HELD])
def test_more_rows_than_there_is_room_for_are_told_all_the_same(
    make: Callable[..., Capture], engine: Engine, monkeypatch: pytest.MonkeyPatch, publication: Publication
) -> None:
    monkeypatch.setattr(tracker, "ROOM", 3)
    capture = make(publication)
    with reads(engine, "spot") as sent, capture.sessions.begin() as session:
        session.add_all([Spot(id=number, x=number) for number in range(10, 20)])
    assert len(sent) == 1
    assert records(capture) == [{"id": number, "x": number, "name": "a"} for number in range(10, 20)]
