"""Records that embed other rows are sent again when those change, in every way in which they can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Engine, ForeignKey, Table, delete, event, insert, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_realtime.errors import SchemaUnsendable, SecretColumn
from sqla_realtime.schema.publication import Publication
from tests.support.capture import Capture


class Base(DeclarativeBase):
    """Models of this module."""


post_tag = Table(
    "post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("post.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True),
)


class Author(Base):
    """Written into the record of every post of theirs."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    pwhash: Mapped[str] = mapped_column(default="")


class Post(Base):
    """Published, with its author, its comments, their likes, and its tags."""

    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    blog: Mapped[int] = mapped_column(default=1)
    title: Mapped[str] = mapped_column(default="")
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship()
    comments: Mapped[list[Comment]] = relationship(order_by="Comment.id", cascade="all, delete-orphan", back_populates="post")
    tags: Mapped[list[Tag]] = relationship(secondary=post_tag, order_by="Tag.id")


class Comment(Base):
    """Shown with its post."""

    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int | None] = mapped_column(ForeignKey("post.id"))
    text: Mapped[str] = mapped_column(default="")
    post: Mapped[Post | None] = relationship(back_populates="comments")
    likes: Mapped[list[Like]] = relationship(order_by="Like.id", cascade="all, delete-orphan")


class Like(Base):
    """Shown with its comment, with its post."""

    __tablename__ = "like"
    id: Mapped[int] = mapped_column(primary_key=True)
    comment_id: Mapped[int] = mapped_column(ForeignKey("comment.id", ondelete="CASCADE"))
    by: Mapped[str] = mapped_column(default="x")


class Tag(Base):
    """Of many posts."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(default="")


class AuthorOut(BaseModel):
    """An embedded parent."""

    name: str


class LikeOut(BaseModel):
    """An embedded grandchild."""

    by: str


class CommentOut(BaseModel):
    """An embedded child."""

    text: str
    likes: list[LikeOut]


class TagOut(BaseModel):
    """One of many."""

    word: str


class PostOut(BaseModel):
    """A record made of five tables."""

    id: int
    title: str
    author: AuthorOut | None
    comments: list[CommentOut]
    tags: list[TagOut]


@pytest.fixture
def capture(engine: Engine) -> Capture:
    Base.metadata.create_all(engine)
    made = Capture(engine, Publication(Post, PostOut, "blogs/{blog}"))
    with made.sessions.begin() as session:
        session.add_all([Author(id=1, name="Ada"), Author(id=2, name="Grace"), Tag(id=1, word="a"), Tag(id=2, word="b")])
        session.flush()
        session.add_all([Post(id=1, author_id=1), Post(id=2, author_id=1), Post(id=3, blog=2)])
        session.flush()
        session.add_all([Comment(id=1, post_id=1, text="c"), Comment(id=2, post_id=2)])
        session.flush()
        session.add(Like(id=1, comment_id=1))
        session.execute(insert(post_tag), [{"post_id": 1, "tag_id": 1}, {"post_id": 2, "tag_id": 1}])
    made.commits()
    return made


def run(capture: Capture, write: Callable[[Session], Any]) -> list[str]:
    """What a write tells: type, id and the fields that differ; every record is compared with the stored rows."""
    with capture.sessions.begin() as session:
        write(session)
    told = []
    for commit in capture.commits():
        for change in commit.changes:
            told.append(f"{change.type} {change.id} {','.join(change.changed)}".strip())
            if change.record is not None:
                with Session(capture.engine) as session:
                    assert PostOut.model_validate_json(change.record) == PostOut.model_validate(
                        session.get_one(Post, int(change.id)), from_attributes=True
                    )
        told += sorted(f"invalidate {name}" for name in commit.invalidated)
    return sorted(told)


def get(session: Session, model: Any, number: int) -> Any:
    found = session.get_one(model, number)
    # The Session alone would let go of it before its collections are touched.
    session.info.setdefault("held", []).append(found)
    return found


def put(target: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(target, name, value)


WAYS: dict[str, tuple[Callable[[Session], Any], list[str]]] = {
    "a child's column": (lambda s: put(get(s, Comment, 1), text="new"), ["update 1 comments"]),
    "a child is added by relationship": (lambda s: get(s, Post, 1).comments.append(Comment(id=9)), ["update 1 comments"]),
    "a child is added by foreign key": (lambda s: s.add(Comment(id=9, post_id=1)), ["update 1 comments"]),
    "a child moves by foreign key": (lambda s: put(get(s, Comment, 1), post_id=2), ["update 1 comments", "update 2 comments"]),
    "a child moves by relationship": (
        lambda s: put(get(s, Comment, 1), post=get(s, Post, 2)),
        ["update 1 comments", "update 2 comments"],
    ),
    "a child is deleted": (lambda s: s.delete(get(s, Comment, 1)), ["update 1 comments"]),
    "an orphan": (lambda s: get(s, Post, 1).comments.clear(), ["update 1 comments"]),
    "a child is let go": (lambda s: put(get(s, Comment, 1), post_id=None), ["update 1 comments"]),
    "children in bulk": (lambda s: s.execute(update(Comment).values(text="all")), ["update 1 comments", "update 2 comments"]),
    "children deleted in bulk": (lambda s: s.execute(delete(Comment).where(Comment.id == 2)), ["update 2 comments"]),
    "a grandchild": (lambda s: put(get(s, Like, 1), by="y"), ["update 1 comments"]),
    "a grandchild is added": (lambda s: s.add(Like(id=9, comment_id=2)), ["update 2 comments"]),
    "a grandchild goes with its parent, by the database": (
        lambda s: s.execute(delete(Comment).where(Comment.id == 1)),
        ["update 1 comments"],
    ),
    "a parent's column": (lambda s: put(get(s, Author, 1), name="A."), ["update 1 author", "update 2 author"]),
    "a parent's column that is not shown": (
        lambda s: put(get(s, Author, 1), pwhash="x"),
        [],
    ),
    "another parent": (lambda s: put(get(s, Post, 1), author_id=2), ["update 1 author"]),
    "another parent by relationship": (lambda s: put(get(s, Post, 3), author=get(s, Author, 2)), ["update 3 author"]),
    "a tag is added": (lambda s: get(s, Post, 3).tags.append(get(s, Tag, 2)), ["update 3 tags"]),
    "a tag is removed": (lambda s: get(s, Post, 1).tags.clear(), ["update 1 tags"]),
    "tags are replaced": (lambda s: put(get(s, Post, 1), tags=[get(s, Tag, 2)]), ["update 1 tags"]),
    "a tag's word": (lambda s: put(get(s, Tag, 1), word="z"), ["update 1 tags", "update 2 tags"]),
    "a tag is deleted, its pairs by the database": (lambda s: s.delete(get(s, Tag, 1)), ["update 1 tags", "update 2 tags"]),
    "pairs by Core": (lambda s: s.execute(insert(post_tag).values(post_id=3, tag_id=1)), ["update 3 tags"]),
    "pairs deleted by Core": (
        lambda s: s.execute(delete(post_tag).where(post_tag.c.tag_id == 1)),
        ["update 1 tags", "update 2 tags"],
    ),
    "pairs changed by Core": (lambda s: s.execute(update(post_tag).values(tag_id=2)), ["invalidate blogs/{blog}"]),
    "pairs by raw SQL": (lambda s: s.execute(text("DELETE FROM post_tag")), ["invalidate blogs/{blog}"]),
    "the post itself": (lambda s: put(get(s, Post, 1), title="t"), ["update 1 title"]),
    "the post and its child": (
        lambda s: (put(get(s, Post, 1), title="t"), put(get(s, Comment, 1), text="n")),
        ["update 1 title,comments"],
    ),
    "a new post with everything": (
        lambda s: s.add(Post(id=9, author_id=1, comments=[Comment(id=9, likes=[Like(id=9)])], tags=[get(s, Tag, 1)])),
        ["create 9"],
    ),
    "a post goes with everything": (lambda s: s.delete(get(s, Post, 1)), ["destroy 1"]),
    "a post moves to another channel": (lambda s: put(get(s, Post, 1), blog=2), ["create 1", "destroy 1"]),
    "nothing that is shown": (lambda s: s.add_all([Author(id=9, name="N"), Tag(id=9), Comment(id=9)]), []),
    "a child that comes and goes": (lambda s: (s.add(c := Comment(id=9, post_id=1)), s.flush(), s.delete(c)), []),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way(capture: Capture, way: str) -> None:
    write, expected = WAYS[way]
    assert run(capture, write) == expected


def test_what_is_rolled_back_is_not_sent_again(capture: Capture) -> None:
    def write(session: Session) -> None:
        savepoint = session.begin_nested()
        get(session, Comment, 1).text = "x"
        get(session, Post, 1).tags.clear()
        session.flush()
        savepoint.rollback()

    assert run(capture, write) == []


def test_one_select_a_relation_however_many_rows(capture: Capture) -> None:
    statements: list[str] = []
    event.listen(capture.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def selects(first: int, count: int) -> int:
        with capture.sessions.begin() as session:
            session.add_all([Comment(id=first + number, post_id=1 + number % 3) for number in range(count)])
            session.flush()
            statements.clear()
        return sum(each.startswith("SELECT") for each in statements)

    assert selects(1000, 3) == selects(2000, 200)


def test_nothing_is_read_of_others_where_nothing_is_embedded(engine: Engine) -> None:
    class Bare(BaseModel):
        id: int

    Base.metadata.create_all(engine)
    capture = Capture(engine, Publication(Post, Bare, "posts"))
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with capture.sessions.begin() as session:
        session.add(Comment(id=1))
    assert not any(each.startswith("SELECT") for each in statements)
    assert capture.silent()


def test_without_readers_the_pattern_is_marked_and_nothing_read(capture: Capture) -> None:
    capture.wanted = lambda pattern: False
    assert run(capture, lambda session: put(get(session, Comment, 1), text="new")) == ["invalidate blogs/{blog}"]


# SQLite has one writer at a time. On MySQL a transaction sees what it saw at first, unless it asks for what is stored.
several = pytest.mark.parametrize("engine", ["postgres", "mysql"], indirect=True)


@several
def test_two_parts_of_one_record_in_two_transactions(capture: Capture) -> None:
    """Each would tell the record with the other's old part; who finds a part held by another leaves doubt instead."""
    first, second = capture.sessions(), capture.sessions()
    get(first, Post, 1).title = "new"
    first.flush()
    get(second, Comment, 1).text = "new"
    second.commit()
    assert capture.told() == [["invalidate blogs/{blog}"]]
    first.commit()
    told = capture.told()
    assert '"title":"new"' in told[0][0]
    assert '"text":"new"' in told[0][0]
    first.close()
    second.close()


@several
def test_a_parent_that_another_transaction_has_made_meanwhile(capture: Capture) -> None:
    with capture.sessions() as late:
        late.get_one(Author, 2)
        with capture.sessions.begin() as session:
            session.add(Post(id=9, author_id=2))
        capture.commits()
        get(late, Author, 2).name = "Hopper"
        late.commit()
    assert [line for line in capture.told()[0] if '"id":9' in line and '"name":"Hopper"' in line]


def test_what_can_be_known_is_refused_when_it_is_declared() -> None:
    class Secret(BaseModel):
        pwhash: str

    class WithSecret(BaseModel):
        author: Secret | None

    class Plain(BaseModel):
        comments: list[int]

    with pytest.raises(SecretColumn):
        Publication(Post, WithSecret, "posts")
    with pytest.raises(SchemaUnsendable, match="no Pydantic model"):
        Publication(Post, Plain, "posts")


def test_a_circle_is_refused() -> None:
    with pytest.raises(SchemaUnsendable, match="without an end"):
        Publication(Post, Round, "posts")


class Inner(BaseModel):
    """Goes back to where it came from."""

    post: Round | None


class Round(BaseModel):
    """Embeds what embeds it."""

    comments: list[Inner]


@pytest.mark.parametrize(
    ("way", "side"),
    [
        ("a child's column", True),
        ("a grandchild is added", True),
        ("a tag is deleted, its pairs by the database", True),
        ("a tag is added", False),
        ("the post itself", False),
        ("the post and its child", False),
        ("children in bulk", True),
    ],
)
def test_who_writes_is_told_of_the_parents_that_it_did_not_act_on(capture: Capture, way: str, side: bool) -> None:
    with capture.sessions.begin() as session:
        WAYS[way][0](session)
    assert {change.side for commit in capture.commits() for change in commit.changes} == {side}
