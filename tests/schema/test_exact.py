"""Text is compared as Python does, whatever the collation; other databases are sent what they were sent before."""

from __future__ import annotations

import pytest
from sqlalchemy import ColumnElement, Engine, create_engine, or_, select, text
from sqlalchemy.orm import Session

from sqla_realtime.schema.exact import equals, exact
from tests.support.models import Page, Project

NAMES = ["ann", "Ann", "ann ", "änn", "bob"]


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mysql"], indirect=True)
@pytest.mark.parametrize(
    ("clause", "wanted"),
    [
        (equals(Project.__table__.c.name, "ann"), {"ann"}),
        (exact(Project.__table__.c.name != "ann"), {"Ann", "ann ", "änn", "bob"}),
        (exact(Project.__table__.c.name.in_(["ann", "BOB"])), {"ann"}),
        (exact(or_(Project.__table__.c.name == "ANN", Project.__table__.c.id == 5)), {"bob"}),
        (exact(Project.__table__.c.name.is_(None)), set()),
    ],
)
def test_names_that_a_collation_takes_for_equal(engine: Engine, clause: ColumnElement[bool], wanted: set[str]) -> None:
    with Session(engine) as session, session.begin():
        if engine.dialect.name == "mysql":
            session.execute(text("ALTER TABLE project CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"))
        session.add_all([Project(id=number, name=name) for number, name in enumerate(NAMES, 1)])
        session.flush()
        assert set(session.scalars(select(Project.name).where(clause))) == wanted


def test_numbers_are_left_alone() -> None:
    column = Page.__table__.c.project_id
    assert str(equals(column, 5)) == str(column == 5)
    assert str(exact(column == 5).compile(create_engine("mysql+pymysql://"))) == "page.project_id = %(project_id_1)s"
