"""What triggers have written into the log, as readers are told it: on a real PostgreSQL, by writers that know of nothing."""

from __future__ import annotations

import asyncio
import datetime
import enum
import uuid
from collections.abc import Callable, Iterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, LargeBinary, Numeric, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

from sqla_realtime import Realtime, anyone
from sqla_realtime.brokers.base import Broker
from sqla_realtime.commit import Commit
from tests.support.databases import postgres_engine

PATIENCE = 10.0


class Base(DeclarativeBase):
    """What is watched lives beside what is not."""


class Color(enum.Enum):
    """Spelled by name in the database."""

    RED = 1
    BLUE = 2


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")


class Member(Base):
    __tablename__ = "member"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id", ondelete="CASCADE", onupdate="CASCADE"))
    # The attribute and the column have different names.
    title: Mapped[str] = mapped_column("the title", default="")
    secret: Mapped[str | None]
    team: Mapped[Team | None] = relationship()


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(30, 10))
    ratio: Mapped[float]
    at: Mapped[datetime.datetime]
    color: Mapped[Color]
    tags: Mapped[list[str]] = mapped_column(ARRAY(String))
    extra: Mapped[Any] = mapped_column(JSONB)
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    big: Mapped[int]


class Animal(Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    sound: Mapped[str] = mapped_column(default="")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Vehicle(Base):
    __tablename__ = "vehicle"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}  # noqa: RUF012


class Car(Vehicle):
    __tablename__ = "car"
    id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
    doors: Mapped[int] = mapped_column(default=4)
    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012


class TeamOut(BaseModel):
    id: int
    name: str


class MemberOut(BaseModel):
    id: int
    team_id: int | None
    title: str


class Card(BaseModel):
    id: int
    title: str
    team: TeamOut | None


class ThingOut(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    id: uuid.UUID
    price: Decimal
    ratio: float
    at: datetime.datetime
    color: Color
    tags: list[str]
    extra: Any
    raw: bytes
    big: int


class AnimalOut(BaseModel):
    id: int
    sound: str


class CarOut(BaseModel):
    id: int
    doors: int


Publish = Callable[[Realtime], None]


class World:
    """A database with triggers, somebody who writes, and the log as a broadcaster reads it."""

    def __init__(self, realtime: Realtime, sessions: sessionmaker[Session]) -> None:
        self.realtime, self.sessions = realtime, sessions
        self.broker: Broker = realtime._broker
        self._after = asyncio.run(self.broker.head())

    def run(self, *statements: str) -> None:
        """One transaction of somebody else's."""
        with self.realtime.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def told(self, count: int = 1) -> list[Commit]:
        """The next so many commits."""

        async def take() -> list[Commit]:
            found = []
            async with asyncio.timeout(PATIENCE), aclosing(self.broker.follow(self._after)) as entries:
                while len(found) < count:
                    entry = await anext(entries)
                    found.append(entry.commit)
                    self._after = entry.position
            return found

        return asyncio.run(take())

    def one(self) -> Commit:
        """The next commit."""
        [commit] = self.told()
        return commit


def brief(commit: Commit) -> list[tuple[Any, ...]]:
    """Its changes, with what can be compared at a glance."""
    return [(each.channel, each.type, each.cls, each.id, each.changed, each.cause) for each in commit.changes]


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    with postgres_engine() as engine:
        sessions = sessionmaker(engine)
        realtime = Realtime(broker="database", port=0)
        made: list[World] = []

        def make(publish: Callable[[Realtime], Any], *watched: Any, without: tuple[str, ...] = ()) -> World:
            publish(realtime)
            realtime.watch(*watched, without=without)
            realtime.enable(sessions)
            realtime.metadata.create_all(engine)
            Base.metadata.create_all(engine)
            made.append(World(realtime, sessions))
            return made[-1]

        yield make
        realtime._broker.close()
        for table in Base.metadata.tables.values():
            table.info.clear()


def members(realtime: Realtime) -> None:
    realtime.publish(Member, schema=MemberOut, channel="teams/{team_id}", join=anyone)


@pytest.fixture
def teams(world: Callable[..., World]) -> World:
    """Two teams, whose members are watched."""
    made = world(members, Member)
    made.run("INSERT INTO team VALUES (1, 'a'), (2, 'b')")
    return made


def test_each_statement_of_somebody_else_is_told_row_by_row(teams: World) -> None:
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x'), (2, 1, 'two', 'x')")
    teams.run("UPDATE member SET \"the title\" = 'first' WHERE id = 1")
    teams.run("DELETE FROM member WHERE id = 2")
    made, changed, gone = teams.told(3)
    assert brief(made) == [("teams/1", "create", "Member", "1", (), None), ("teams/1", "create", "Member", "2", (), None)]
    assert made.changes[0].record == b'{"id":1,"team_id":1,"title":"one"}'
    assert brief(changed) == [("teams/1", "update", "Member", "1", ("title",), None)]
    assert changed.changes[0].record == b'{"id":1,"team_id":1,"title":"first"}'
    assert brief(gone) == [("teams/1", "destroy", "Member", "2", (), None)]


def test_what_moves_between_channels_leaves_the_one_and_enters_the_other(teams: World) -> None:
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    teams.run("UPDATE member SET team_id = 2")
    _, moved = teams.told(2)
    assert brief(moved) == [
        ("teams/1", "destroy", "Member", "1", (), "leave"),
        ("teams/2", "create", "Member", "1", (), "enter"),
    ]
    assert moved.changes[0].record is None


def test_a_transaction_is_one_commit_of_what_it_amounts_to(teams: World) -> None:
    teams.run(
        "INSERT INTO member VALUES (1, 1, 'one', 'x'), (2, 1, 'gone again', 'x')",
        "SAVEPOINT s",
        "INSERT INTO member VALUES (3, 1, 'never', 'x')",
        "ROLLBACK TO s",
        "UPDATE member SET \"the title\" = 'last' WHERE id = 1",
        "DELETE FROM member WHERE id = 2",
    )
    assert [(each.type, each.record) for each in teams.one().changes] == [("create", b'{"id":1,"team_id":1,"title":"last"}')]


def test_what_nobody_may_see_is_neither_told_nor_a_change(teams: World) -> None:
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    teams.run("UPDATE member SET secret = 'hidden'")
    teams.run('UPDATE member SET "the title" = "the title"')
    made, secret, same = teams.told(3)
    assert b"x" not in (made.changes[0].record or b"")
    assert not secret
    assert not same


def test_a_key_that_changes_is_another_row(teams: World) -> None:
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    teams.run("UPDATE member SET id = 9")
    _, changed = teams.told(2)
    assert {(each.type, each.id) for each in changed.changes} == {("destroy", "1"), ("create", "9")}


def test_an_upsert_a_copy_and_a_cascade_are_told(teams: World) -> None:
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    teams.run(
        "INSERT INTO member VALUES (1, 1, 'ONE', 'x'), (2, 1, 'two', 'x') ON CONFLICT (id) DO UPDATE SET \"the title\" = 'up'"
    )
    with teams.realtime.engine.begin() as connection, connection.connection.cursor().copy("COPY member FROM STDIN") as copy:
        copy.write_row((3, 1, "three", None))
    teams.run("DELETE FROM team WHERE id = 1")
    _, upsert, copied, cascade = teams.told(4)
    assert {(each.type, each.id) for each in upsert.changes} == {("update", "1"), ("create", "2")}
    assert brief(copied) == [("teams/1", "create", "Member", "3", (), None)]
    assert {(each.type, each.id) for each in cascade.changes} == {("destroy", "1"), ("destroy", "2"), ("destroy", "3")}
    # Who wrote is told of a row once more rather than never, but of no new one.
    assert {(each.type, each.side) for each in (*upsert.changes, *cascade.changes)} == {
        ("create", False),
        ("update", True),
        ("destroy", True),
    }


def test_the_orm_and_its_triggers_tell_a_row_once(teams: World) -> None:
    with teams.sessions() as session:
        session.add_all([Member(id=1, team_id=1, title="orm"), Member(id=2, team_id=1, title="orm")])
        session.flush()
        session.execute(text("UPDATE member SET \"the title\" = 'raw' WHERE id = 1"))
        session.commit()
    both = teams.one()
    assert sorted((each.type, each.id, each.record) for each in both.changes) == [
        ("create", "1", b'{"id":1,"team_id":1,"title":"raw"}'),
        ("create", "2", b'{"id":2,"team_id":1,"title":"orm"}'),
    ]
    assert not any(each.side for each in both.changes)
    # Raw SQL that the Session could not follow is known row by row: nobody has to reload.
    assert both.invalidated == frozenset()


def test_a_table_of_the_same_name_in_another_schema_is_not_taken_for_ours_and_not_passed_over(teams: World) -> None:
    teams.run(
        "CREATE SCHEMA other",
        "CREATE TABLE other.member (LIKE member)",
        "CREATE TRIGGER t AFTER INSERT ON other.member REFERENCING NEW TABLE AS came "
        "FOR EACH STATEMENT EXECUTE FUNCTION realtime_capture()",
    )
    teams.run("INSERT INTO other.member VALUES (1, 1, 'theirs', 'x')")
    commit = teams.one()
    assert (commit.changes, commit.invalidated) == ((), {"teams/{team_id}"})


def test_a_mistake_of_ours_has_everybody_load_anew_and_the_log_goes_on(
    teams: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sqla_realtime.capture.interpreter._is_exact", None)
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    with teams.realtime.origin("c-1234567890123456"), teams.sessions.begin() as session:
        session.add(Member(id=2, team_id=1, title="two"))
    raw, told = teams.told(2)
    assert (raw.changes, raw.invalidated) == ((), {"teams/{team_id}"})
    assert ([each.id for each in told.changes], told.invalidated, told.origin) == (
        ["2"],
        {"teams/{team_id}"},
        "c-1234567890123456",
    )
    assert caplog.text.count("[watched-failed]") == 2


def test_what_the_orm_could_not_follow_elsewhere_stays_in_doubt(world: Callable[..., World]) -> None:
    def both(realtime: Realtime) -> None:
        members(realtime)
        realtime.publish(Team, schema=TeamOut, channel="teams", join=anyone)

    made = world(both, Member)
    with made.sessions.begin() as session:
        session.execute(text("INSERT INTO team VALUES (1, 'a')"))
        session.execute(text("INSERT INTO member VALUES (1, 1, 'one', 'x')"))
        session.add(Team(id=2, name="b"))
    commit = made.one()
    assert sorted((each.cls, each.id) for each in commit.changes) == [("Member", "1"), ("Team", "2")]
    assert commit.invalidated == {"teams"}


def test_the_origin_of_a_request_stays_with_what_its_raw_sql_did(teams: World) -> None:
    with teams.realtime.origin("c-1234567890123456"), teams.sessions.begin() as session:
        session.execute(text("INSERT INTO member VALUES (1, 1, 'one', 'x')"))
    commit = teams.one()
    assert (commit.origin, [each.id for each in commit.changes]) == ("c-1234567890123456", ["1"])


def test_too_many_rows_and_a_truncated_table_are_told_as_such(teams: World) -> None:
    teams.run("INSERT INTO member SELECT n, 1, 'many', NULL FROM generate_series(1, 10000) AS n")
    teams.run("INSERT INTO member SELECT n, 1, 'more', NULL FROM generate_series(10001, 20001) AS n")
    teams.run("TRUNCATE member")
    told, many, none = teams.told(3)
    assert (len(told.changes), told.invalidated) == (10_000, frozenset())
    for commit in (many, none):
        assert (commit.changes, commit.invalidated) == ((), {"teams/{team_id}"})


def test_a_statement_without_rows_writes_nothing(teams: World) -> None:
    teams.run("DELETE FROM member")
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    assert [each.id for each in teams.one().changes] == ["1"]


def test_values_are_those_that_a_select_returns(world: Callable[..., World]) -> None:
    made = world(lambda realtime: realtime.publish(Thing, schema=ThingOut, channel="things", join=anyone), Thing)
    row = (
        "INSERT INTO thing VALUES ('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 12345678901234567890.0123456789, 0.1::float8 + 0.2, "
        "'2026-11-30 08:00:00.123456', 'BLUE', ARRAY['a', 'b\"c'], '{\"x\": [1, null]}', '\\x00ff', 4611686018427387905)"
    )
    # What a writer has set for itself must not decide how its rows are spelled.
    made.run(
        "ALTER TABLE thing ALTER big TYPE bigint",
        "SET LOCAL extra_float_digits = -15",
        "SET LOCAL bytea_output = 'escape'",
        row,
    )
    [change] = made.one().changes
    with made.sessions() as session:
        thing = session.query(Thing).one()
        wanted = made.realtime.publish(Thing, schema=ThingOut, channel="other")[0].recorder.dump(thing)
    assert change.record == wanted


def test_a_row_is_told_as_the_class_that_it_is_of(world: Callable[..., World]) -> None:
    made = world(lambda realtime: realtime.publish(Animal, schema=AnimalOut, channel="zoo", join=anyone), Animal)
    made.run("INSERT INTO animal VALUES (1, 'dog', 'wow')")
    made.run("UPDATE animal SET kind = 'animal'")
    born, other = made.told(2)
    assert brief(born) == [("zoo", "create", "Dog", "1", (), None)]
    assert {(each.type, each.cls) for each in other.changes} == {("destroy", "Dog"), ("create", "Animal")}


def test_rows_of_several_tables_are_not_guessed_at(world: Callable[..., World]) -> None:
    made = world(lambda realtime: realtime.publish(Car, schema=CarOut, channel="cars", join=anyone), Car)
    made.run("INSERT INTO vehicle VALUES (1, 'car')", "INSERT INTO car VALUES (1, 5)")
    commit = made.one()
    assert (commit.changes, commit.invalidated) == ((), {"cars"})


def cards(realtime: Realtime) -> None:
    realtime.publish(Member, schema=Card, channel="cards/{team_id}", join=anyone)


def test_a_record_with_more_than_its_row_is_reloaded_where_it_is_unless_the_orm_has_told_it(
    world: Callable[..., World],
) -> None:
    made = world(cards, Member, Team)
    made.run("INSERT INTO team VALUES (1, 'a')")
    made.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    _, raw = made.told(2)
    assert (raw.changes, raw.invalidated) == ((), {"cards/1"})
    with made.sessions.begin() as session:
        session.add(Member(id=2, team_id=1, title="two"))
    told = made.one()
    assert ([each.record for each in told.changes], told.invalidated) == (
        [b'{"id":2,"title":"two","team":{"id":1,"name":"a"}}'],
        frozenset(),
    )
    made.run("UPDATE team SET name = 'b'")
    made.run("DELETE FROM member WHERE id = 2")
    renamed, gone = made.told(2)
    assert (renamed.changes, renamed.invalidated) == ((), {"cards/{team_id}"})
    assert (brief(gone), gone.invalidated) == ([("cards/1", "destroy", "Member", "2", (), None)], frozenset())


def test_what_the_database_does_to_tables_that_are_not_watched_is_not_passed_over(world: Callable[..., World]) -> None:
    made = world(members, Team)
    made.run("INSERT INTO team VALUES (1, 'a'), (2, 'b')", "INSERT INTO member VALUES (1, 1, 'one', 'x')")
    made.run("UPDATE team SET name = 'c'")
    made.run("UPDATE team SET id = 3 WHERE id = 1")
    made.run("DELETE FROM team WHERE id = 3")
    assert [each.invalidated for each in made.told(4)] == [
        frozenset(),
        frozenset(),
        frozenset({"teams/{team_id}"}),
        frozenset({"teams/{team_id}"}),
    ]


def test_columns_that_are_kept_out_of_the_log_are_not_in_it(world: Callable[..., World]) -> None:
    made = world(members, Member, without=("secret",))
    made.run("INSERT INTO member VALUES (1, NULL, 'one', 'classified')")
    with made.realtime.engine.connect() as connection:
        [body] = connection.execute(text("SELECT body FROM realtime_log")).scalars()
    assert "one" in body
    assert "classified" not in body


def test_a_shown_column_that_is_kept_out_of_the_log_has_its_channel_reloaded(world: Callable[..., World]) -> None:
    made = world(members, Member, without=("the title",))
    made.run("INSERT INTO team VALUES (1, 'a')", "INSERT INTO member VALUES (1, 1, 'one', 'x')")
    commit = made.one()
    assert (commit.changes, commit.invalidated) == ((), {"teams/1"})


def test_rows_that_can_not_be_read_any_more_have_their_channels_reloaded(teams: World) -> None:
    teams.broker.close()
    teams.run("INSERT INTO member VALUES (1, 1, 'one', 'x')")
    teams.run('UPDATE realtime_log SET body = replace(body, \'"id":1\', \'"id":"nonsense"\')')
    commit = teams.one()
    assert (commit.changes, commit.invalidated) == ((), {"teams/{team_id}"})
