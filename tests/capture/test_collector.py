"""From touches to a commit: records, fields that differ, and doubt where a row can't be told."""

from __future__ import annotations

import decimal
import json
from typing import Any

import pytest
from pydantic import BaseModel, computed_field, field_validator
from sqlalchemy import CHAR, Engine, Numeric, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.capture.collector import Collector
from sqla_realtime.schema.publication import Publication
from tests.support.capture import CHANNEL, Capture
from tests.support.models import Page, PageOut, Project


class Base(DeclarativeBase):
    """Models of this module."""


class Shout(BaseModel):
    """A second view of the same rows, with a field that Python computes."""

    id: int
    title: str

    @field_validator("title")
    @classmethod
    def refuse(cls, value: str) -> str:
        if value == "unspeakable":
            raise ValueError(value)
        return value

    @computed_field  # type: ignore[prop-decorator]
    @property
    def loud(self) -> str:
        return self.title.upper()


@pytest.fixture
def capture(engine: Engine) -> Capture:
    made = Capture(engine, Publication(Page, PageOut, CHANNEL), Publication(Page, Shout, "shouts", name="Shout"))
    with made.sessions.begin() as session:
        session.add(Project(id=5, pages=[Page(id=1, title="a")]))
    made.commits()
    return made


@pytest.mark.parametrize("engine", ["postgres", "mysql"], indirect=True)
def test_a_row_that_somebody_else_has_made_what_it_should_become_is_told_as_it_is(capture: Capture) -> None:
    """MySQL changes nothing then, and goes on to show the transaction the row as it was."""
    with capture.sessions() as session, capture.sessions() as other:
        mine, theirs = session.get_one(Page, 1), other.get_one(Page, 1)
        theirs.title, theirs.size = "b", 99
        other.commit()
        mine.title = "b"
        session.commit()
    assert all('"title":"b","size":99' in commit[0] for commit in capture.told())


def test_every_publication_tells_the_row_in_its_own_words(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "b"
    assert capture.told() == [
        [
            'update projects/5/pages Page 1 +title {"id":1,"project_id":5,"title":"b","size":7}',
            'update shouts Shout 1 +title,loud {"id":1,"title":"b","loud":"B"}',
        ]
    ]


def test_a_record_is_made_once_for_each_publication(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    dumped: list[object] = []
    for publication in capture.registry:
        dump = publication.recorder.dump

        def count(source: object, dump: Any = dump) -> bytes:
            dumped.append(source)
            return dump(source)  # type: ignore[no-any-return]

        monkeypatch.setattr(publication.recorder, "dump", count)
    with capture.sessions.begin() as session:
        page = session.get_one(Page, 1)
        for title in "bcd":
            page.title = title
            session.flush()
    assert len(capture.commits()[0].changes) == len(dumped) == 2


def test_a_pattern_without_readers_is_marked_and_the_other_told(capture: Capture) -> None:
    capture.wanted = lambda pattern: pattern == "shouts"
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "b"
    assert capture.told() == [['update shouts Shout 1 +title,loud {"id":1,"title":"b","loud":"B"}', f"invalidate {CHANNEL}"]]


def test_a_row_that_its_schema_refuses_leaves_that_channel_in_doubt(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "unspeakable"
    [told] = capture.told()
    assert json.loads(told[0].split(" ", 5)[-1])["title"] == "unspeakable"
    assert told[1:] == ["invalidate shouts"]
    assert "[record-failed]" in caplog.text


def test_readers_that_come_between_the_flush_and_the_commit_are_left_in_doubt_of_moves(capture: Capture) -> None:
    capture.wanted = lambda pattern: False
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).project_id = None
        session.flush()
        capture.wanted = lambda pattern: True
    assert f"invalidate {CHANNEL}" in capture.told()[0]


def test_a_row_that_is_gone_is_destroyed_where_its_channel_is_known_and_doubted_where_it_is_not(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "b"
        session.flush()
        session.connection().exec_driver_sql("DELETE FROM page WHERE id = 1")
    assert capture.told() == [["destroy shouts Shout 1", f"invalidate {CHANNEL}", "invalidate shouts"]]


def test_what_the_database_changed_by_itself_is_told_as_it_is_stored(capture: Capture) -> None:
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "b"
        session.flush()
        session.execute(text("UPDATE page SET title = 'trigger' WHERE id = 1"))
    assert '"title":"trigger"' in capture.told()[0][0]


def test_a_failure_in_collecting_leaves_everything_in_doubt(
    capture: Capture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Collector, "_collect", fail)
    with capture.sessions.begin() as session:
        session.get_one(Page, 1).title = "b"
    assert capture.told() == [[f"invalidate {CHANNEL}", "invalidate shouts"]]
    assert "[capture-failed]" in caplog.text


def test_nothing_is_read_where_nothing_published_was_touched(capture: Capture) -> None:
    statements: list[str] = []
    event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with capture.sessions.begin() as session:
        session.add(Project(id=9))
    assert not any(each.startswith("SELECT") for each in statements)
    assert capture.silent()


class Odd(Base):
    """Keys that databases spell in their own way."""

    __tablename__ = "odd"
    id: Mapped[str] = mapped_column(CHAR(5), primary_key=True)


class Counted(Base):
    """A key that may be given as text."""

    __tablename__ = "counted"
    id: Mapped[int] = mapped_column(primary_key=True)


class Priced(Base):
    """A key of many spellings."""

    __tablename__ = "priced"
    id: Mapped[decimal.Decimal] = mapped_column(Numeric(10, 2), primary_key=True)


class Key(BaseModel):
    """Nothing but a key."""

    id: Any


@pytest.mark.filterwarnings("ignore:Dialect sqlite")
def test_keys_that_the_database_spells_otherwise(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    capture = Capture(
        engine, Publication(Counted, Key, "counted"), Publication(Odd, Key, "odd"), Publication(Priced, Key, "priced")
    )
    if engine.dialect.name == "sqlite":
        with capture.sessions.begin() as session:
            session.add(Counted(id="7"))
        assert capture.told() == [['create counted Counted 7 {"id":7}']]
    else:
        with capture.sessions.begin() as session:
            session.add(Odd(id="ab"))
        assert capture.told() == [["invalidate odd"]]
    with capture.sessions.begin() as session:
        session.add(price := Priced(id=decimal.Decimal(1)))
    assert [line.split(" {")[0] for line in capture.told()[0]] == ["create priced Priced 1"]
    with capture.sessions.begin() as session:
        session.delete(price)
    assert capture.told() == [["destroy priced Priced 1"]]
