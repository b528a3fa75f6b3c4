"""Reading stored rows: few statements, in order, with every attribute that the schemas name, and nothing of a Session's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.orm import Mapped, Session, mapped_column

from sqla_realtime.schema.lookup import CHUNK
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Reader, read_attributes
from tests.schema.models import Animal, Base, Cat, Dog, Seat


class Book(Base):
    """Has a column that is not loaded by itself, and one under another name."""

    __tablename__ = "book"
    key: Mapped[int] = mapped_column("book_id", primary_key=True)
    shelf: Mapped[int | None]
    title: Mapped[str]
    text: Mapped[str] = mapped_column(deferred=True)

    @property
    def loud(self) -> str:
        return self.title.upper()


class Columns(BaseModel):
    title: str
    text: str


class Loud(BaseModel):
    loud: str
    text: str


class KeyOnly(BaseModel):
    pass


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def store(connection: Connection, *objects: object) -> None:
    with Session(connection, join_transaction_mode="rollback_only") as session:
        session.add_all(objects)
        session.commit()


def book(key: int, shelf: int | None = 1) -> Book:
    return Book(key=key, shelf=shelf, title=f"t{key}", text=f"x{key}")


def reader(*schemas: type[BaseModel], model: type = Book, pattern: str = "shelves/{shelf}") -> Reader:
    return Reader(inspect(model), [Publication(model, schema, pattern) for schema in schemas])


@pytest.mark.parametrize("schema", [Columns, Loud])
def test_rows_are_read_by_key_and_missing_ones_left_out(schema: type[BaseModel], connection: Connection) -> None:
    store(connection, book(1), book(2), book(3))
    images = reader(schema).by_key(connection, [(3,), (1,), (9,)])
    assert set(images) == {(1,), (3,)}
    image = images[3,]
    assert (image.key, image.id, image.mapper) == ((3,), "3", inspect(Book))
    assert {"key": 3, "shelf": 1, "text": "x3"}.items() <= image.values.items()
    publication = Publication(Book, schema, "x")
    assert b'"text":"x3"' in publication.recorder.dump(image.source)


def test_columns_are_read_without_making_instances(engine: Engine, connection: Connection) -> None:
    store(connection, book(1))
    with counted(engine) as statements:
        image = reader(Columns).by_key(connection, [(1,)])[1,]
    assert image.source is image.values
    assert len(statements) == 1


def test_only_what_is_named_is_read(engine: Engine, connection: Connection) -> None:
    store(connection, book(1))
    with counted(engine) as statements:
        assert reader(KeyOnly).by_key(connection, [(1,)])[1,].values == {"key": 1, "shelf": 1}
    assert "title" not in statements[0]


def test_several_schemas_are_read_at_once(engine: Engine, connection: Connection) -> None:
    store(connection, book(1))
    with counted(engine) as statements:
        image = reader(Columns, KeyOnly, Loud).by_key(connection, [(1,)])[1,]
    assert len(statements) == 1, "a deferred column was loaded by itself"
    assert isinstance(image.source, Book)
    assert set(image.values) == {"key", "shelf", "title", "text"}


@pytest.mark.parametrize(("count", "statements"), [(0, 0), (1, 1), (CHUNK, 1), (CHUNK + 1, 2)])
def test_many_keys_are_a_statement_per_chunk(count: int, statements: int, engine: Engine, connection: Connection) -> None:
    store(connection, *map(book, range(count)))
    with counted(engine) as counts:
        assert len(reader(Columns).by_key(connection, [(key,) for key in range(count)])) == count
    assert len(counts) == statements


@pytest.mark.parametrize("schema", [Columns, Loud])
def test_the_rows_of_a_channel_in_the_order_of_their_keys(schema: type[BaseModel], connection: Connection) -> None:
    store(connection, book(3), book(1), book(2, shelf=2), book(4, shelf=None), book(5))
    publication = Publication(Book, schema, "shelves/{shelf}")
    read = Reader(inspect(Book), [publication])

    def keys(limit: int, **values: Any) -> list[str]:
        return [image.id for image in read.where(connection, publication, values, limit)]

    assert keys(9, shelf=1) == ["1", "3", "5"]
    assert keys(2, shelf=1) == ["1", "3"]
    assert keys(9, shelf=2) == ["2"]
    assert keys(9, shelf=7) == []


def test_composite_keys_in_the_order_of_the_mapper(connection: Connection) -> None:
    store(connection, Seat(number=2, row="b"), Seat(number=1, row="c"), Seat(number=1, row="a,x"))
    publication = Publication(Seat, KeyOnly, "halls/{hall}")
    read = Reader(inspect(Seat), [publication])
    assert [image.id for image in read.where(connection, publication, {"hall": "A"}, 9)] == ["1,a%2Cx", "1,c", "2,b"]
    assert set(read.by_key(connection, [(1, "c"), (2, "c")])) == {(1, "c")}


class Noisy(BaseModel):
    id: int
    kind: str


@pytest.mark.parametrize("model", [Animal, Dog, Cat])
def test_a_row_of_a_tree_is_of_its_own_class(model: type, connection: Connection) -> None:
    store(connection, Animal(id=1), Dog(id=2), Cat(id=3))
    publication = Publication(model, Noisy, "zoos/{zoo}")
    images = list(Reader(inspect(model), [publication]).where(connection, publication, {"zoo": 1}, 9))
    wanted = {Animal: ["Animal", "Dog", "Cat"], Dog: ["Dog"], Cat: ["Cat"]}[model]
    assert [publication.cls(image.mapper) for image in images] == wanted


def test_reading_instances_leaves_the_transaction_open(engine: Engine, connection: Connection) -> None:
    transaction = connection.begin()
    store(connection, book(1))
    list(reader(Loud).by_key(connection, [(1,)]))
    assert connection.get_transaction() is transaction
    assert transaction.is_active


def test_instances_are_the_stored_rows_and_not_a_sessions(engine: Engine, connection: Connection) -> None:
    with Session(connection, join_transaction_mode="rollback_only") as session:
        mine = book(1)
        session.add(mine)
        session.flush()
        mine.title = "not flushed"
        image = reader(Loud).by_key(connection, [(1,)])[1,]
        assert image.source is not mine
        assert image.source.title == "t1"  # type: ignore[attr-defined]
        assert mine in session.dirty


def test_attributes_are_read_by_key(connection: Connection) -> None:
    store(connection, book(1), book(2, shelf=None))
    found = read_attributes(connection, inspect(Book), ["shelf", "title"], [(2,), (1,), (3,)])
    assert found == {(1,): {"shelf": 1, "title": "t1"}, (2,): {"shelf": None, "title": "t2"}}
    assert read_attributes(connection, inspect(Book), ["shelf"], []) == {}
