"""The record is the stored row: whatever the database, the mapping, a trigger or a type made of what the application said."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from sqlalchemy import (
    JSON,
    Computed,
    Engine,
    FetchedValue,
    ForeignKey,
    Identity,
    Integer,
    Numeric,
    String,
    TypeDecorator,
    event,
    func,
    select,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import (
    Composite,
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    Synonym,
    WriteOnlyMapped,
    column_property,
    composite,
    deferred,
    mapped_column,
    relationship,
    synonym,
)

from sqla_realtime.errors import SchemaUnsendable
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Reader
from tests.support.capture import Capture
from tests.support.strict import strict


class Base(DeclarativeBase):
    """Models of this module."""


class Lower(TypeDecorator[str]):
    """Stores text in lower case."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.lower()


@dataclasses.dataclass
class Point:
    """Two columns, one value."""

    x: int
    y: int


class Item(Base):
    """Columns that the application does not write, or does not write as they are stored."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(Identity(start=10), primary_key=True)
    price: Mapped[Any] = mapped_column(Numeric(8, 2), default=1)
    count: Mapped[int] = mapped_column(default=1)
    total: Mapped[int] = mapped_column(Integer, Computed("count * 10", persisted=True))
    state: Mapped[str] = mapped_column(server_default="new")
    saves: Mapped[int] = mapped_column(default=0, onupdate=lambda: 5)
    length: Mapped[int] = mapped_column(server_default="0", onupdate=func.length("four"))
    mail: Mapped[str | None] = mapped_column(Lower)
    data: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)
    frozen: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    revision: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": revision, "eager_defaults": False}  # noqa: RUF012


class ItemOut(BaseModel):
    """All of it."""

    id: int
    price: float
    count: int
    total: int
    state: str
    saves: int
    length: int
    mail: str | None
    data: dict[str, Any]
    frozen: dict[str, Any]
    revision: int


class Shape(Base):
    """Attributes that are no plain columns."""

    __tablename__ = "shape"
    id: Mapped[int] = mapped_column(primary_key=True)
    x: Mapped[int] = mapped_column(default=0)
    y: Mapped[int] = mapped_column(default=0)
    private: Mapped[str | None]
    origin: Composite[Point] = composite(Point, "x", "y")
    left: Synonym[int] = synonym("x")
    double: Mapped[int] = column_property(x * 2)
    long: Mapped[str | None] = deferred(mapped_column(String))
    heavy: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    sides: Mapped[list[Side]] = relationship()

    @hybrid_property
    def sum(self) -> int:
        return self.x + self.y

    @property
    def label(self) -> str:
        return f"{self.x}/{self.y}"

    @property
    def side_count(self) -> int:
        return len(self.sides)


class Side(Base):
    """Belongs to a shape."""

    __tablename__ = "side"
    id: Mapped[int] = mapped_column(primary_key=True)
    shape_id: Mapped[int] = mapped_column(ForeignKey("shape.id"))


Shape.sided = column_property(  # type: ignore[attr-defined]
    select(func.count(Side.id)).where(Side.shape_id == Shape.id).correlate_except(Side).scalar_subquery()
)


class ShapeOut(BaseModel):
    """Everything but the private column."""

    id: int
    left: int
    double: int
    sum: int
    label: str
    sided: int
    long: str | None
    heavy: str | None
    origin: Point


class Post(Base):
    """A slug, and with it a channel, that a trigger makes of the title."""

    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    notes: Mapped[str] = mapped_column(default="")
    slug: Mapped[str | None] = mapped_column(server_default=FetchedValue(), server_onupdate=FetchedValue())
    plain: Mapped[str | None]


class PostOut(BaseModel):
    """All but the notes."""

    id: int
    title: str
    slug: str
    plain: str | None


@pytest.fixture
def make(engine: Engine) -> Callable[..., Capture]:
    Base.metadata.create_all(engine)
    return lambda *publications, **options: Capture(engine, *publications, **options)


def told(capture: Capture) -> list[tuple[str, Any, Any]]:
    """What happened, the fields that differ, and the record, of every change."""
    commits = capture.commits()
    assert [commit.invalidated for commit in commits if commit.invalidated] == []
    changes = [change for commit in commits for change in commit.changes]
    return [(change.type, list(change.changed), change.record and strict(change.record)) for change in changes]


def snapshot(capture: Capture) -> list[Any]:
    [publication] = capture.registry
    with capture.engine.connect() as connection:
        images = Reader(publication.mapper, [publication]).where(connection, publication, {}, 10)
        return [strict(publication.recorder.dump(image.source)) for image in images]


def test_what_the_application_did_not_write(make: Callable[..., Capture]) -> None:
    capture = make(Publication(Item, ItemOut, "items"))
    with capture.sessions.begin() as session:
        session.add(Item(price=1.239, mail="A@B.C"))
    [(kind, _, record)] = told(capture)
    assert kind == "create"
    # SQLite has no Identity to start anywhere.
    record["id"] = 10
    first = {
        "id": 10,
        "price": 1.24,
        "count": 1,
        "total": 10,
        "state": "new",
        "saves": 0,
        "length": 0,
        "mail": "a@b.c",
        "data": {},
        "frozen": {},
        "revision": 1,
    }
    assert record == first
    with capture.sessions.begin() as session:
        session.scalars(select(Item)).one().count = Item.count + 1
    [(kind, changed, record)] = told(capture)
    assert (kind, set(changed)) == ("update", {"count", "total", "saves", "length", "revision"})
    assert record | {"id": 10} == first | {"count": 2, "total": 20, "saves": 5, "length": 4, "revision": 2}
    assert snapshot(capture) == [record]


def test_what_was_changed_in_place_is_told_if_it_was_stored(make: Callable[..., Capture]) -> None:
    capture = make(Publication(Item, ItemOut, "items"))
    with capture.sessions.begin() as session:
        session.add(Item())
    told(capture)
    with capture.sessions.begin() as session:
        item = session.scalars(select(Item)).one()
        item.data["x"] = 2**60
        # Nobody notices this, so it is not stored, and the record does not have it either.
        item.frozen["x"] = 1
    [(kind, changed, record)] = told(capture)
    assert kind == "update"
    assert "data" in changed
    assert "frozen" not in changed
    assert (record["data"], record["frozen"]) == ({"x": str(2**60)}, {})
    assert snapshot(capture) == [record]


def test_attributes_that_are_no_plain_columns(make: Callable[..., Capture]) -> None:
    capture = make(Publication(Shape, ShapeOut, "shapes"))
    with capture.sessions.begin() as session:
        session.add(Shape(id=1, origin=Point(1, 2), long="long", heavy="heavy", sides=[Side(id=1)]))
    record = {
        "id": 1,
        "left": 1,
        "double": 2,
        "sum": 3,
        "label": "1/2",
        "sided": 1,
        "long": "long",
        "heavy": "heavy",
        "origin": {"x": 1, "y": 2},
    }
    assert told(capture) == [("create", [], record)]
    with capture.sessions.begin() as session:
        session.get_one(Shape, 1).origin = Point(5, 2)
    record |= {"left": 5, "double": 10, "sum": 7, "label": "5/2", "origin": {"x": 5, "y": 2}}
    computed = ["left", "double", "sum", "label", "sided", "origin"]
    assert told(capture) == [("update", computed, record)]
    assert snapshot(capture) == [record]
    with capture.sessions.begin() as session:
        session.get_one(Shape, 1).long = "longer"
        session.get_one(Shape, 1).heavy = "heavier"
    [(_, changed, told_record)] = told(capture)
    assert {"long", "heavy"} <= set(changed)
    assert told_record == record | {"long": "longer", "heavy": "heavier"}
    with capture.sessions.begin() as session:
        session.get_one(Shape, 1).private = "x"
    [(_, changed, _)] = told(capture)
    assert changed == computed, "what they depend on is not known"


def triggers(engine: Engine) -> None:
    """The slug becomes the title in lower case, and so does ``plain``, of which the mapping says nothing."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            change = "UPDATE post SET slug = lower(new.title), plain = lower(new.title) WHERE id = new.id"
            for name, when in (("made", "INSERT"), ("changed", "UPDATE OF title, notes")):
                connection.execute(text(f"CREATE TRIGGER {name} AFTER {when} ON post BEGIN {change}; END"))
        else:
            connection.execute(
                text(
                    "CREATE FUNCTION slug() RETURNS trigger AS $$ BEGIN new.slug := lower(new.title); "
                    "new.plain := lower(new.title); RETURN new; END $$ LANGUAGE plpgsql"
                )
            )
            connection.execute(text("CREATE TRIGGER slug BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION slug()"))


def test_values_that_a_trigger_makes(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(Publication(Post, PostOut, "posts"))
    triggers(engine)
    with capture.sessions.begin() as session:
        session.add(Post(id=1, title="One"))
    assert told(capture) == [("create", [], {"id": 1, "title": "One", "slug": "one", "plain": "one"})]
    with capture.sessions.begin() as session:
        session.get_one(Post, 1).title = "Two"
    [(_, changed, record)] = told(capture)
    assert set(changed) >= {"title", "slug"}
    assert record == {"id": 1, "title": "Two", "slug": "two", "plain": "two"}
    with capture.sessions.begin() as session:
        session.execute(text("UPDATE post SET title = 'Three'"))
    assert capture.told() == [["invalidate posts"]]


def test_an_update_that_shows_only_in_what_a_trigger_changed(make: Callable[..., Capture], engine: Engine) -> None:
    """Because the mapping says so: server_onupdate=FetchedValue()."""
    capture = make(Publication(Post, PostOut, "posts"))
    triggers(engine)
    with capture.sessions.begin() as session:
        session.add(Post(id=1, title="One"))
    told(capture)
    with capture.sessions.begin() as session:
        session.get_one(Post, 1).notes = "x"
    assert [kind for kind, _, _ in told(capture)] == ["update"]


def test_a_trigger_that_moves_a_row_to_another_channel(make: Callable[..., Capture], engine: Engine) -> None:
    capture = make(Publication(Post, PostOut, "slugs/{slug}"))
    triggers(engine)
    with capture.sessions.begin() as session:
        session.add(Post(id=1, title="One"))
    told(capture)
    with capture.sessions.begin() as session:
        session.get_one(Post, 1).title = "Two"
    [lines] = capture.told()
    assert [line.split(" {")[0] for line in lines] == ["destroy slugs/one Post 1 (leave)", "create slugs/two Post 1 (enter)"]


class Counted(BaseModel):
    """A property that looks at a relationship."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    side_count: int


class Looking(BaseModel):
    """A validator that does."""

    id: int
    sides: int = 0

    @model_validator(mode="before")
    @classmethod
    def count(cls, shape: Any) -> Any:
        return {"id": shape.id, "sides": len(shape.sides)}


class Picky(BaseModel):
    """A validator that refuses a stored row."""

    id: int
    x: int

    @field_validator("x")
    @classmethod
    def check(cls, value: int) -> int:
        if value < 0:
            raise ValueError(value)
        return value


def test_a_schema_that_would_load_does_not(make: Callable[..., Capture], caplog: pytest.LogCaptureFixture) -> None:
    capture = make(Publication(Shape, Counted, "counted"))
    statements: list[str] = []
    with capture.sessions() as session:
        session.connection()
        event.listen(capture.engine, "commit", lambda connection: statements.append("COMMIT"))
        event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        session.add(Shape(id=1, sides=[Side(id=1)]))
        session.commit()
        assert not any("FROM side" in each and "count" not in each for each in statements)
        assert session.get_one(Shape, 1).x == 0, "the commit succeeded and the Session is alive"
    assert capture.told() == [["invalidate counted"]]
    assert "[record-failed]" in caplog.text


def test_a_validator_that_refuses_a_stored_row(make: Callable[..., Capture], caplog: pytest.LogCaptureFixture) -> None:
    capture = make(Publication(Shape, Picky, "shapes"))
    with capture.sessions.begin() as session:
        session.add_all([Shape(id=1, x=1), Shape(id=2, x=-1)])
    assert capture.told() == [['create shapes Shape 1 {"id":1,"x":1}', "invalidate shapes"]]
    assert "[record-failed]" in caplog.text


def test_a_value_without_a_json_form(make: Callable[..., Capture], caplog: pytest.LogCaptureFixture) -> None:
    class Out(BaseModel):
        id: int
        mail: Any

        @field_validator("mail")
        @classmethod
        def spoil(cls, value: Any) -> Any:
            return object()

    capture = make(Publication(Item, Out, "items"))
    with capture.sessions.begin() as session:
        session.add(Item(id=1))
    assert capture.told() == [["invalidate items"]]
    assert "[record-failed]" in caplog.text
    with capture.sessions() as session:
        assert session.get(Item, 1) is not None


class Owner(Base):
    """Collections that can't be read as attributes."""

    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    pets: WriteOnlyMapped[Pet] = relationship()
    dogs: DynamicMapped[Pet] = relationship(viewonly=True)


class Pet(Base):
    """Of an owner."""

    __tablename__ = "pet"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"))


@pytest.mark.parametrize("name", ["pets", "dogs"])
def test_collections_that_can_not_be_read_are_refused(name: str) -> None:
    schema = type("Out", (BaseModel,), {"__annotations__": {"id": int, name: list[int]}})
    with pytest.raises(SchemaUnsendable, match=f"Owner.{name}"):
        Publication(Owner, schema, "owners")


def test_views_of_one_row_do_not_see_each_others_fields(make: Callable[..., Capture]) -> None:
    """One SELECT reads the row for both; a schema that keeps extras keeps its own."""

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        id: int

    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        id: int
        mail: str | None

    capture = make(Publication(Item, Open, "open"), Publication(Item, Closed, "states/{state}"))
    with capture.sessions.begin() as session:
        session.add(Item(id=1, mail="m"))
    assert capture.told() == [['create open Item 1 {"id":1}', 'create states/new Item 1 {"id":1,"mail":"m"}']]
