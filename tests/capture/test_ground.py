"""A database is believed while it keeps what it is given; where it does not, the wire shows what it made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from sqla_realtime.capture.ground import BELIEVED, Ground
from tests.support.things import Base, Selects, Thing, add, capture_of

ON = {
    "sqlite": (
        "CREATE TRIGGER shout AFTER INSERT ON thing BEGIN UPDATE thing SET name = upper(new.name) WHERE id = new.id; END",
    ),
    "postgresql": (
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END'",
        "CREATE TRIGGER shout BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION shout()",
    ),
}


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def name(told: list[list[str]]) -> str:
    [[line]] = told
    return str(json.loads(line.partition("{")[1] + line.partition("{")[2])["name"])


def test_new_rows_of_plain_types_are_not_read(engine: Engine) -> None:
    capture = capture_of(engine)
    with Selects(engine) as statements:
        assert name(add(capture)) == "a"
        assert name(add(capture, 2, name="b", score=1.5, done=True)) == "b"
    assert statements == []


def test_a_trigger_has_the_last_word(engine: Engine) -> None:
    capture = capture_of(engine)
    execute(engine, *ON[engine.dialect.name])
    with Selects(engine) as statements:
        assert name(add(capture)) == "A"
    assert len(statements) == 1


def test_a_trigger_that_comes_later_is_noticed(engine: Engine) -> None:
    """The engine that makes it is one that is followed; on SQLite anybody's would do."""
    capture = capture_of(engine)
    assert name(add(capture)) == "a"
    execute(engine, *ON[engine.dialect.name])
    assert name(add(capture, 2)) == "A"
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER shout" + (" ON thing" if engine.dialect.name == "postgresql" else ""))
    with Selects(engine) as statements:
        assert name(add(capture, 3)) == "a"
    assert statements == [], "it is believed again"


def test_another_connections_trigger_shows_in_the_version_of_the_schema(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        return
    capture = capture_of(engine)
    assert name(add(capture)) == "a"
    other = create_engine(engine.url)
    execute(other, *ON["sqlite"])
    other.dispose()
    assert name(add(capture, 2)) == "A"


def test_postgresql_is_looked_at_again_after_a_while(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return
    Base.metadata.create_all(engine)
    now = [100.0]
    ground, tables = Ground(lambda: now[0]), [Thing.__table__]
    with engine.connect() as connection:
        assert ground.recall(connection, tables) is None
        assert ground.look(connection, tables)
        other = create_engine(engine.url)
        execute(other, *ON["postgresql"])
        other.dispose()
        now[0] += BELIEVED - 0.1
        assert ground.recall(connection, tables) is True
        now[0] += 0.2
        assert ground.recall(connection, tables) is None
        assert not ground.look(connection, tables)


def test_a_rule_counts_like_a_trigger(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return
    capture = capture_of(engine)
    execute(engine, "CREATE RULE loud AS ON INSERT TO thing DO ALSO UPDATE thing SET name = upper(new.name) WHERE id = new.id")
    assert name(add(capture)) == "A"


ODD = {
    "char": ("name char(8)", "a       "),
    "shorter": ("name varchar(3)", "abc"),
    "numbers": ("score real", None),
    "seconds": ("at timestamp(0)", None),
    "zoned": ("at timestamptz", None),
}


@pytest.mark.parametrize("column", ODD)
def test_columns_of_other_types_than_the_model_says(engine: Engine, column: str) -> None:
    if engine.dialect.name == "sqlite":
        return
    columns = {"name": "varchar(8)", "score": "double precision", "at": "timestamp", "done": "boolean"}
    declared, _ = ODD[column]
    columns[declared.partition(" ")[0]] = declared.partition(" ")[2]
    spelled = ", ".join(f'"{each}" {kind}' for each, kind in columns.items())
    execute(engine, f"CREATE TABLE thing (id integer PRIMARY KEY, shelf integer, {spelled})")
    capture = capture_of(engine)
    with Selects(engine) as statements:
        add(capture, name="abc   " if column == "shorter" else "a")
    assert len(statements) == 1


def test_a_column_of_another_affinity(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        return
    execute(
        engine,
        "CREATE TABLE thing (id integer PRIMARY KEY, shelf integer, name INTEGER, score FLOAT, at DATETIME, done BOOLEAN)",
    )
    capture = capture_of(engine)
    with Selects(engine) as statements:
        add(capture)
    assert len(statements) == 1


def test_an_attached_schema_and_other_databases_are_not_believed(sqlite: Engine, tmp_path: Path) -> None:
    ground = Ground()
    with sqlite.connect() as connection:
        mapped = connection.execution_options(schema_translate_map={None: "other"})
        assert ground.recall(mapped, [Thing.__table__]) is False
    with sqlite.connect() as connection:
        connection.execute(text(f"ATTACH '{tmp_path / 'other.db'}' AS other"))
        table = Thing.__table__.to_metadata(Thing.metadata.__class__(), schema="other")
        assert not ground.look(connection, [table])
