"""A database is believed only while it has no triggers and rules, and columns of the types that the model says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.capture.ground import BELIEVED, DEFINES, Ground
from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture, reads, records, truth


class Base(DeclarativeBase):
    """Models of this module."""


class Note(Base):
    """The table that is not always what this says."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[Any] = mapped_column(sa.String(8), nullable=True)
    ratio: Mapped[Any] = mapped_column(sa.Float, nullable=True)
    at: Mapped[Any] = mapped_column(sa.DateTime, nullable=True)


class NoteOut(BaseModel):
    """All of it, just as it comes."""

    id: int
    text: Any
    ratio: Any
    at: Any


class Attached(Base):
    """In another schema: on SQLite, an attached database."""

    __tablename__ = "note"
    __table_args__ = {"schema": "other"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[Any] = mapped_column(sa.String(8), nullable=True)


class AttachedOut(BaseModel):
    """All of it."""

    id: int
    text: Any


NOTES = Publication(Note, NoteOut, "notes")


@pytest.fixture
def make(engine: Engine) -> Callable[..., Capture]:
    def make(*ddl: str, create: bool = True) -> Capture:
        if create:
            Base.metadata.create_all(engine, [Base.metadata.tables["note"]])
        run(engine, *ddl)
        return Capture(engine, NOTES)

    return make


def run(engine: Engine, *ddl: str) -> None:
    with engine.begin() as connection:
        for each in ddl:
            connection.execute(text(each))


def add(capture: Capture, number: int, **values: Any) -> tuple[int, Any]:
    """How often the table is read for a new row, and what is told of it."""
    with reads(capture.engine, "note") as sent, capture.sessions.begin() as session:
        session.add(Note(id=number, **({"text": "One"} | values)))
    [record] = records(capture)
    return len(sent), record["text"]


def raises(engine: Engine) -> list[str]:
    """The DDL of a trigger that writes the text of new rows in capitals."""
    if engine.dialect.name == "sqlite":
        return ["CREATE TRIGGER loud AFTER INSERT ON note BEGIN UPDATE note SET text = upper(new.text) WHERE id = new.id; END"]
    return [
        "CREATE FUNCTION loud() RETURNS trigger AS $$ BEGIN new.text := upper(new.text); RETURN new; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER loud BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION loud()",
    ]


def test_a_trigger_that_changes_a_new_row_is_seen(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(*raises(engine))
    assert add(capture, 1) == (1, "ONE")
    assert add(capture, 2) == (1, "ONE")


def test_a_trigger_that_this_engine_makes_later_is_seen_at_once(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make()
    assert add(capture, 1) == (0, "One")
    run(engine, *raises(engine))
    assert add(capture, 2) == (1, "ONE")
    run(engine, "DROP TRIGGER loud" + (" ON note" if engine.dialect.name == "postgresql" else ""))
    assert add(capture, 3) == (0, "One")


def test_a_trigger_that_a_followed_transaction_makes_itself_is_seen(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make()
    assert add(capture, 1) == (0, "One")
    with capture.sessions.begin() as session:
        for each in raises(engine):
            session.execute(text(each))
        session.add(Note(id=2, text="Two"))
    # What the DDL says of the table is taken for a change of it.
    assert [line.split(',"ratio')[0] for line in capture.told()[0]] == [
        'create notes Note 2 {"id":2,"text":"TWO"',
        "invalidate notes",
    ]
    assert add(capture, 3) == (1, "ONE")


def test_a_trigger_from_elsewhere_is_seen_at_once_on_sqlite_and_when_belief_ends_on_postgresql(
    make: Callable[..., Capture], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture, now = make(), 100.0
    monkeypatch.setattr(capture.hooks._wire._ground, "_clock", lambda: now)
    assert add(capture, 1) == (0, "One")
    elsewhere = create_engine(engine.url)
    run(elsewhere, *raises(engine))
    elsewhere.dispose()
    if engine.dialect.name == "postgresql":
        now = 100.0 + BELIEVED - 0.01
        assert add(capture, 2)[0] == 0
        now = 100.0 + BELIEVED
    assert add(capture, 3) == (1, "ONE")


def test_a_rule_is_seen(make: Callable[..., Capture], engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has none")
    capture = make(
        "CREATE RULE loud AS ON INSERT TO note DO ALSO UPDATE note SET text = upper(new.text) WHERE note.id = new.id"
    )
    assert add(capture, 1) == (1, "ONE")


OTHERWISE = {
    ("postgresql", "text char(8)"): {"text": "One"},
    ("postgresql", "text varchar(4)"): {"text": "Four    "},
    ("postgresql", "ratio real"): {"ratio": 1 / 3},
    ("postgresql", "ratio numeric(8, 2)"): {"ratio": 1 / 3},
    ("postgresql", "at timestamp(0)"): {"at": "2024-02-29T12:30:01.750000"},
    ("postgresql", "at timestamptz"): {"at": "2024-02-29T12:30:01.750000"},
    ("postgresql", "at date"): {"at": "2024-02-29T12:30:01.750000"},
    ("sqlite", "text integer"): {"text": "007"},
    ("sqlite", "ratio integer"): {"ratio": 2.0},
    ("sqlite", "ratio varchar"): {"ratio": 2.5},
}


@pytest.mark.parametrize(("dialect", "column"), OTHERWISE)
def test_a_column_of_another_type_is_read(make: Callable[..., Capture], engine: Engine, dialect: str, column: str) -> None:
    if engine.dialect.name != dialect:
        pytest.skip("another database's")
    columns = {"id": "id integer primary key", "text": "text varchar(8)", "ratio": "ratio float", "at": "at timestamp"}
    columns[column.split()[0]] = column
    capture = make(f"CREATE TABLE note ({', '.join(columns.values())})", create=False)
    values = OTHERWISE[dialect, column]
    if "at" in values:
        values = {"at": sa.DateTime().python_type.fromisoformat(values["at"])}
    with reads(engine, "note") as sent, capture.sessions.begin() as session:
        session.add(Note(id=1, **values))
    assert len(sent) == 1
    assert repr(records(capture)) == repr(truth(engine, NOTES))
    with capture.sessions.begin() as session:
        session.add(Note(id=2, **values))
    assert repr(records(capture)) == repr(truth(engine, NOTES)[1:])


def test_the_columns_that_the_model_says_by_raw_ddl_are_believed(make: Callable[..., Capture], engine: Engine) -> None:
    kinds = (
        "ratio double precision, at timestamp without time zone"
        if engine.dialect.name == "postgresql"
        else "ratio real, at datetime"
    )
    capture = make(f"CREATE TABLE note (id integer primary key, text varchar(8), {kinds}, extra text)", create=False)
    assert add(capture, 1, ratio=1 / 3) == (0, "One")


def test_a_table_that_is_altered_is_looked_at_again(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make()
    assert add(capture, 1) == (0, "One")
    if engine.dialect.name == "sqlite":
        run(engine, "ALTER TABLE note RENAME TO old", "CREATE TABLE note (id integer primary key, text integer, ratio, at)")
        assert add(capture, 2, text="007") == (1, 7)
    else:
        run(engine, "alter table note alter column text type char(8)")
        assert add(capture, 2) == (1, "One     ")


def test_a_view_is_read(make: Callable[..., Capture], engine: Engine) -> None:
    ddl = ["CREATE TABLE base (id integer primary key, text char(8), ratio float, at timestamp)"]
    ddl.append("CREATE VIEW note AS SELECT id, text, ratio, at FROM base")
    if engine.dialect.name == "sqlite":
        ddl.append(
            "CREATE TRIGGER made INSTEAD OF INSERT ON note BEGIN"
            " INSERT INTO base (id, text) VALUES (new.id, substr(new.text || '        ', 1, 8)); END"
        )
    assert add(make(*ddl, create=False), 1) == (1, "One     ")


def test_a_temporary_table_that_hides_the_real_one_is_read(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make()
    assert add(capture, 1) == (0, "One")
    with engine.connect() as connection, capture.sessions(bind=connection) as session:
        kind = "integer" if engine.dialect.name == "sqlite" else "char(8)"
        session.execute(text(f"CREATE TEMPORARY TABLE note (id integer, text {kind}, ratio float, at timestamp)"))
        session.add(Note(id=2, text="007"))
        session.commit()
        assert [each["text"] for each in records(capture)] == [7 if engine.dialect.name == "sqlite" else "007     "]


def test_a_temporary_trigger_of_one_connection_is_seen_whatever_another_has(
    make: Callable[..., Capture], engine: Engine
) -> None:
    """The temporary schemas of two connections may have the same version."""
    if engine.dialect.name == "postgresql":
        pytest.skip("PostgreSQL has no temporary triggers on other tables")
    capture = make()
    with engine.connect() as one, engine.connect() as two:
        one.execute(text(raises(engine)[0].replace("CREATE TRIGGER", "CREATE TEMPORARY TRIGGER")))
        one.commit()
        two.execute(text("CREATE TEMPORARY TABLE harmless (id integer)"))
        two.commit()
        for number, connection in ((1, two), (2, one)):
            with capture.sessions(bind=connection) as session:
                session.add(Note(id=number, text="One"))
                session.commit()
    assert [each["text"] for each in records(capture)] == ["One", "ONE"]


def test_a_table_that_ignores_rows_tells_nothing_of_them(make: Callable[..., Capture], engine: Engine) -> None:
    """SQLite's ON CONFLICT of a constraint; an INSERT that does nothing is no error."""
    if engine.dialect.name == "postgresql":
        pytest.skip("PostgreSQL has none")
    capture = make(
        "CREATE TABLE note (id integer primary key, text varchar(8) UNIQUE on conflict ignore, ratio float, at datetime)",
        create=False,
    )
    assert add(capture, 1) == (1, "One")
    with capture.sessions.begin() as session:
        session.add(Note(id=2, text="One"))
    assert capture.silent()


def test_an_attached_schema_is_read_on_sqlite(engine: Engine) -> None:
    place = "ATTACH ':memory:' AS other" if engine.dialect.name == "sqlite" else "CREATE SCHEMA other"
    with engine.connect() as connection:
        connection.connection.cursor().execute(place)
        Base.metadata.create_all(connection, [Base.metadata.tables["other.note"]])
        connection.commit()
        capture = Capture(engine, Publication(Attached, AttachedOut, "attached"))
        with reads(engine, "other.note") as sent, capture.sessions(bind=connection) as session:
            session.add(Attached(id=1, text="One"))
            session.commit()
        assert len(sent) == (1 if engine.dialect.name == "sqlite" else 0)
        assert records(capture) == [{"id": 1, "text": "One"}]


def test_tables_under_other_names_are_read(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make()
    assert add(capture, 1) == (0, "One")
    with engine.begin() as connection:
        ground, tables = Ground(), [Base.metadata.tables["note"]]
        assert ground.look(connection, tables)
        assert ground.recall(connection, tables)
        translated = connection.execution_options(schema_translate_map={None: "other"})
        assert ground.recall(translated, tables) is False


def test_what_is_remembered(make: Callable[..., Capture], engine: Engine) -> None:
    make()
    ground, tables = Ground(lambda: 0.0), [Base.metadata.tables["note"]]
    with engine.begin() as connection:
        assert ground.recall(connection, tables) is None
        assert ground.look(connection, tables)
        assert ground.recall(connection, tables) is True
        assert ground.recall(connection, [*tables, Base.metadata.tables["other.note"]]) is None
        assert not ground.look(connection, [*tables, Base.metadata.tables["other.note"]])
        assert ground.recall(connection, [*tables, Base.metadata.tables["other.note"]]) is False
        ground.defined(engine)
        assert ground.recall(connection, tables) is None


@pytest.mark.parametrize(
    ("statement", "found"),
    [("CREATE TRIGGER x", True), ("\n  alter table x", True), ("Drop x", True), ("SELECT 'CREATE'", False), ("CREATED", False)],
)
def test_what_defines_something(statement: str, found: bool) -> None:
    assert bool(DEFINES.match(statement)) is found
