"""Rows are told without reading them only while nobody else has had a hand in them; and from objects where that was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy import Engine, ForeignKey, func, literal, select, text, update
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_realtime.capture import tracker
from sqla_realtime.capture.silence import silence
from sqla_realtime.errors import SchemaUnsendable
from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture, reads, records


class Base(DeclarativeBase):
    """Models of this module."""


class Spot(Base):
    """A hot row: something that moves within a room, and sometimes to another."""

    __tablename__ = "spot"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    room: Mapped[int] = mapped_column(default=1)
    x: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(default="a")
    tags: Mapped[list[Tag]] = relationship()

    @hybrid_property
    def double(self) -> int:
        return self.x * 2


class Tag(Base):
    """Goes where its spot goes; the database sees to it."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    spot_id: Mapped[int | None] = mapped_column(ForeignKey("spot.id", ondelete="SET NULL"))
    saves: Mapped[int] = mapped_column(default=0, onupdate=lambda: 5)
    length: Mapped[int] = mapped_column(default=0, onupdate=func.length("four"))
    name: Mapped[str] = mapped_column(default="a")


class Node(Base):
    """A foreign key that an UPDATE sets when the row is already there."""

    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    next: Mapped[Node | None] = relationship(remote_side=id, post_update=True)


class SpotOut(BaseModel):
    """All but the room."""

    id: int
    x: int
    name: str


class NextOut(BaseModel):
    """The foreign key that is set late."""

    id: int
    next_id: int | None


class TagOut(BaseModel):
    """All of it."""

    id: int
    spot_id: int | None
    saves: int
    length: int
    name: str


STORED = Publication(Spot, SpotOut, "rooms/{room}")
HELD = Publication(Spot, SpotOut, "rooms/{room}", read="attributes")


@pytest.fixture
def make(engine: Engine) -> Callable[..., Capture]:
    Base.metadata.create_all(engine)

    def make(*publications: Publication, **session: Any) -> Capture:
        capture = Capture(engine, *publications, **session)
        with Session(engine) as plain, plain.begin():
            plain.add_all([Spot(id=1), Spot(id=2, room=2)])
        return capture

    return make


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


# read="attributes"


def test_an_update_is_told_from_its_object_in_the_channel_of_its_row(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).x = 5
        session.flush()
        with reads(engine, "spot") as sent:
            session.commit()
    assert [each.split("\nFROM")[0] for each in sent] == ["SELECT spot.id, spot.room "]
    assert capture.told() == [['update rooms/1 Spot 1 +x {"id":1,"x":5,"name":"a"}']]


def test_without_a_column_that_decides_the_channel_nothing_is_read(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(Publication(Spot, SpotOut, "spots", read="attributes"))
    with capture.sessions.begin() as session:
        spot = session.get_one(Spot, 1)
        with reads(engine, "spot") as sent:
            spot.x = 5
            session.add(Spot(id=9, x=3))
            session.commit()
    assert sent == []
    assert sorted(capture.told()[0]) == [
        'create spots Spot 9 {"id":9,"x":3,"name":"a"}',
        'update spots Spot 1 +x {"id":1,"x":5,"name":"a"}',
    ]


def test_a_stale_object_is_told_where_its_row_is(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    stale = capture.sessions(expire_on_commit=False)
    spot = stale.get_one(Spot, 1)
    stale.commit()
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).room = 2
    capture.commits()
    spot.x = 5
    stale.commit()
    stale.close()
    assert capture.told() == [['update rooms/2 Spot 1 +x {"id":1,"x":5,"name":"a"}']]


def test_a_stale_object_whose_row_is_gone_is_told_nothing_of(make: Callable[..., Capture], engine: Engine) -> None:
    """Its UPDATE was sent, and undone by a trigger or a statement of the same transaction."""
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).x = 5
        session.flush()
        session.execute(text("DELETE FROM spot WHERE id = 1"))
    assert [each.type for commit in capture.commits() for each in commit.changes if each.record is not None] == []


def test_a_move_is_a_leave_and_an_enter(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).room = 3
    assert capture.told() == [["destroy rooms/1 Spot 1 (leave)", 'create rooms/3 Spot 1 (enter) {"id":1,"x":0,"name":"a"}']]


def test_a_room_that_is_an_expression_is_read(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).room = literal(1) + 2  # type: ignore[assignment]
    assert capture.told() == [["destroy rooms/1 Spot 1 (leave)", 'create rooms/3 Spot 1 (enter) {"id":1,"x":0,"name":"a"}']]


def test_what_the_object_does_not_hold_is_read(make: Callable[..., Capture]) -> None:
    capture = make(HELD, Publication(Tag, TagOut, "tags", read="attributes"))
    with capture.sessions.begin() as session:
        session.add(Tag(id=1))
    capture.commits()
    with capture.sessions.begin() as session:
        session.get_one(Tag, 1).name = "b"
        session.get_one(Spot, 1).x = Spot.x + 7
    assert sorted(map(str, records(capture))) == [
        "{'id': 1, 'spot_id': None, 'saves': 5, 'length': 4, 'name': 'b'}",
        "{'id': 1, 'x': 7, 'name': 'a'}",
    ]


def test_two_flushes_are_told_as_the_later_one_left_the_object(make: Callable[..., Capture]) -> None:
    capture = make(HELD)
    with capture.sessions.begin() as session:
        spot = session.get_one(Spot, 1)
        spot.x = 5
        session.flush()
        spot.x = 6
        session.flush()
        session.add(new := Spot(id=9))
        session.flush()
        new.name = "b"
        session.flush()
        nested = session.begin_nested()
        new.name = "c"
        session.flush()
        nested.rollback()
    assert capture.told() == [
        ['update rooms/1 Spot 1 +x {"id":1,"x":6,"name":"a"}', 'create rooms/1 Spot 9 {"id":9,"x":0,"name":"b"}']
    ]


def test_a_trigger_is_not_seen_where_objects_are_told_but_its_move_is(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(HELD)
    change = "SET x = 99, room = 4"
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(
                text(f"CREATE TRIGGER moved AFTER UPDATE OF name ON spot BEGIN UPDATE spot {change} WHERE id = new.id; END")
            )
        else:
            connection.execute(
                text(
                    "CREATE FUNCTION moved() RETURNS trigger AS $$ BEGIN new.x := 99; new.room := 4; RETURN new; END $$"
                    " LANGUAGE plpgsql"
                )
            )
            connection.execute(text("CREATE TRIGGER moved BEFORE UPDATE ON spot FOR EACH ROW EXECUTE FUNCTION moved()"))
    with capture.sessions.begin() as session:
        spot = session.get_one(Spot, 1)
        spot.name = "b"
        assert (spot.x, spot.room) == (0, 1)
    assert capture.told() == [['update rooms/4 Spot 1 +name {"id":1,"x":0,"name":"b"}']]


def test_beside_one_that_is_told_as_it_is_stored_both_are(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(HELD, Publication(Spot, SpotOut, "spots"))
    with capture.sessions.begin() as session:
        session.get_one(Spot, 1).x = 5
        session.flush()
        with reads(engine, "spot") as sent:
            session.commit()
    assert len(sent) == 1
    assert "spot.name" in sent[0]
    assert sorted(capture.told()[0]) == [
        'update rooms/1 Spot 1 +x {"id":1,"x":5,"name":"a"}',
        'update spots Spot 1 +x {"id":1,"x":5,"name":"a"}',
    ]


class Computing(BaseModel):
    """A hybrid."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    double: int


class Looking(BaseModel):
    """A validator that sees the whole object."""

    id: int

    @model_validator(mode="before")
    @classmethod
    def look(cls, spot: Any) -> Any:
        return {"id": spot.id}


class TagId(BaseModel):
    """A tag's key."""

    id: int


class Related(BaseModel):
    """A relationship."""

    id: int
    tags: list[TagId]


@pytest.mark.parametrize("schema", [Computing, Looking, Related])
def test_a_schema_that_needs_the_object_is_refused(schema: type[BaseModel]) -> None:
    Publication(Spot, schema, "rooms/{room}", expose=("tags",) if schema is Related else ())
    with pytest.raises(SchemaUnsendable, match='read="attributes"'):
        Publication(Spot, schema, "rooms/{room}", read="attributes", expose=("tags",) if schema is Related else ())


def test_an_unknown_way_to_read_is_refused() -> None:
    with pytest.raises(SchemaUnsendable, match="read='memory'"):
        Publication(Spot, SpotOut, "rooms/{room}", read="memory")  # type: ignore[arg-type]
