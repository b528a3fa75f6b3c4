"""Several publications of one model: lists of patterns, rows chosen by a where, channels that a function finds."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import JSON, Engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_realtime.errors import BadParameterType, BadRoute, UnknownPlaceholder
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Reader
from sqla_realtime.schema.route import Route
from tests.support.capture import Capture, line


class Base(DeclarativeBase):
    """The one table."""


class Post(Base):
    """Has an owner, a state, tags and a secret."""

    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[int]
    published: Mapped[bool]
    title: Mapped[str] = mapped_column(default="")
    secret: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)


class Public(BaseModel):
    """What everybody sees."""

    id: int
    title: str


class Full(BaseModel):
    """Everything."""

    id: int
    owner: int
    published: bool
    title: str


@pytest.fixture
def tables(engine: Engine) -> Engine:
    Base.metadata.create_all(engine)
    return engine


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.product(itertools.product([1, 2], [False, True]), repeat=2)), ids=str
)
def test_every_way_in_and_out_of_a_filtered_channel(tables: Engine, before: Any, after: Any) -> None:
    """Sixteen ways; a row that leaves says nothing of what it has become."""
    capture = Capture(tables, Publication(Post, Public, "owners/{owner}/published", where=Post.published.is_(True)))
    with capture.sessions.begin() as session:
        session.add(Post(id=1, owner=before[0], published=before[1], title="before"))
    capture.commits()
    with capture.sessions.begin() as session:
        post = session.get_one(Post, 1)
        (post.owner, post.published), post.title = after, "after"
    left, entered = (f"owners/{owner}/published" if published else None for owner, published in (before, after))
    record = '{"id":1,"title":"after"}'
    expected = []
    if left == entered and left is not None:
        expected = [f"update {left} Post 1 +title {record}"]
    else:
        expected += [f"destroy {left} Post 1 (leave)"] if left else []
        expected += [f"create {entered} Post 1 (enter) {record}"] if entered else []
    commits = capture.commits()
    assert [change for commit in commits for change in commit.changes if change.cause == "leave" and change.record] == []
    assert [line(change) for commit in commits for change in commit.changes] == expected


def test_the_snapshot_selects_what_the_stream_tells(tables: Engine) -> None:
    publication = Publication(Post, Public, "owners/{owner}/published", where=Post.published.is_(True))
    capture = Capture(tables, publication)
    with capture.sessions.begin() as session:
        session.add_all([Post(id=number, owner=1 + number % 2, published=number % 3 == 0) for number in range(1, 10)])
    reader = Reader(publication.mapper, [publication])
    with tables.connect() as connection:
        assert [image.id for image in reader.where(connection, publication, {"owner": 2}, 100)] == ["3", "9"]
    told = [change.id for change in capture.commits()[0].changes if change.channel == "owners/2/published"]
    assert told == ["3", "9"]


def test_one_model_in_several_views(tables: Engine) -> None:
    capture = Capture(
        tables,
        Publication(Post, Public, "posts", where=Post.published.is_(True)),
        Publication(Post, Full, "admin/posts"),
    )
    with capture.sessions.begin() as session:
        session.add(Post(id=1, owner=1, published=False))
    assert capture.told() == [['create admin/posts Post 1 {"id":1,"owner":1,"published":false,"title":""}']]
    with capture.sessions.begin() as session:
        session.get_one(Post, 1).published = True
    assert capture.told() == [
        [
            'create posts Post 1 (enter) {"id":1,"title":""}',
            'update admin/posts Post 1 +published {"id":1,"owner":1,"published":true,"title":""}',
        ]
    ]


def tagged() -> Publication:
    def select_tag(tag: str) -> Any:
        each = func.json_each(Post.tags).table_valued("value", name="each")
        return select(Post).where(select(each.c.value).where(each.c.value == tag).exists())

    route = Route(lambda row: [{"tag": tag} for tag in row["tags"]], ("tags",), {"tag": str}, select_tag)
    return Publication(Post, Public, "tags/{tag}", route=route)


def test_channels_that_a_function_finds(sqlite: Engine) -> None:
    Base.metadata.create_all(sqlite)
    publication = tagged()
    capture = Capture(sqlite, publication)
    with capture.sessions.begin() as session:
        session.add(Post(id=1, owner=1, published=True, title="a", tags=["x", "y", "x"]))
    assert capture.told() == [['create tags/x Post 1 {"id":1,"title":"a"}', 'create tags/y Post 1 {"id":1,"title":"a"}']]
    with capture.sessions.begin() as session:
        post = session.get_one(Post, 1)
        post.tags, post.title = ["y", "z"], "b"
    assert capture.told() == [
        [
            "destroy tags/x Post 1 (leave)",
            'update tags/y Post 1 +title {"id":1,"title":"b"}',
            'create tags/z Post 1 (enter) {"id":1,"title":"b"}',
        ]
    ]
    with sqlite.connect() as connection:
        reader = Reader(publication.mapper, [publication])
        assert [image.id for image in reader.where(connection, publication, {"tag": "z"}, 10)] == ["1"]
        assert list(reader.where(connection, publication, {"tag": "x"}, 10)) == []
    with capture.sessions.begin() as session:
        session.delete(session.get_one(Post, 1))
    assert capture.told() == [["destroy tags/y Post 1", "destroy tags/z Post 1"]]


def test_a_record_is_made_once_however_many_channels_it_goes_to(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    Base.metadata.create_all(sqlite)
    publication = tagged()
    capture = Capture(sqlite, publication)
    dumped: list[object] = []
    dump = publication.recorder.dump
    monkeypatch.setattr(publication.recorder, "dump", lambda source: dumped.append(source) or dump(source))
    with capture.sessions.begin() as session:
        session.add(Post(id=1, owner=1, published=True, tags=["x", "y", "z"]))
    assert len(capture.commits()[0].changes) == 3
    assert len(dumped) == 1


def test_a_route_that_raises_leaves_doubt(sqlite: Engine, caplog: pytest.LogCaptureFixture) -> None:
    Base.metadata.create_all(sqlite)
    route = Route(lambda row: [{"tag": row["tags"][0]}], ("tags",), {"tag": str}, lambda tag: select(Post))
    capture = Capture(sqlite, Publication(Post, Public, "tags/{tag}", route=route))
    with capture.sessions.begin() as session:
        session.add(Post(id=1, owner=1, published=True, tags=[]))
    assert capture.told() == [["invalidate tags/{tag}"]]
    assert "[route-failed]" in caplog.text


def test_routes_are_checked_when_they_are_declared() -> None:
    def route(reads: tuple[str, ...] = ("tags",), **types: type) -> Route:
        return Route(lambda row: [], reads, types, lambda tag: select(Post))

    with pytest.raises(BadRoute, match="must name its placeholders: tag"):
        Publication(Post, Public, "tags/{tag}", route=route())
    with pytest.raises(BadParameterType):
        Publication(Post, Public, "tags/{tag}", route=route(tag=float))
    with pytest.raises(UnknownPlaceholder, match="nonsense"):
        Publication(Post, Public, "tags/{tag}", route=route(("nonsense",), tag=str))
