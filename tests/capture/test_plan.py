"""What is worked out once for a mapper: sets that are shared, values that are compared as their type compares them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, TypeDecorator, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqla_realtime.capture.plan import Plan
from sqla_realtime.schema.registry import Registry


class Loose(TypeDecorator[str]):
    """Text whose case does not matter."""

    impl = String
    cache_ok = True

    def compare_values(self, x: Any, y: Any) -> bool:
        return bool(x == y or (x and y and x.lower() == y.lower()))


class Base(DeclarativeBase):
    """Models of this module."""


class Thing(Base):
    """A column of each kind of comparison."""

    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    strict: Mapped[str]
    loose: Mapped[str] = mapped_column(Loose)


def test_what_is_touched_is_what_differs_for_the_columns_type_and_their_sets_are_shared(sqlite: Any) -> None:
    Base.metadata.create_all(sqlite)
    plan = Plan(inspect(Thing), Registry().of(inspect(Thing)), {})
    with Session(sqlite) as session:
        session.add_all([one := Thing(id=1, strict="a", loose="a"), two := Thing(id=2, strict="b", loose="b")])
        session.commit()
        assert [one.loose, two.loose] == ["a", "b"]
        for thing in (one, two):
            thing.strict += "!"
            thing.loose = thing.loose.upper()
        touched = plan.touched(inspect(one))
        assert touched == {"strict"}
        assert plan.touched(inspect(two)) is touched
        assert plan.effect(touched) is plan.effect(touched)
        one.strict = "a"
        assert plan.touched(inspect(one)) == frozenset()
        assert plan.key(inspect(one)) == (1,)
        assert plan.given(inspect(Thing())) is None
