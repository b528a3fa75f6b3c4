"""Foreign keys on which the database acts: which are found, and through how many tables."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, MetaData, Table, select

from sqla_realtime.schema.references import references

metadata = MetaData()
a = Table("a", metadata, Column("id", Integer, primary_key=True))
b = Table("b", metadata, Column("id", Integer, primary_key=True), Column("a", ForeignKey("a.id", ondelete="cascade")))
c = Table("c", metadata, Column("id", Integer, primary_key=True), Column("b", ForeignKey("b.id", ondelete="SET  NULL")))
d = Table("d", metadata, Column("id", Integer, primary_key=True), Column("c", ForeignKey("c.id")))
e = Table("e", metadata, Column("id", Integer, primary_key=True), Column("e", ForeignKey("e.id", ondelete="CASCADE")))
pair = Table("pair", metadata, Column("x", Integer, primary_key=True), Column("y", Integer, primary_key=True))
f = Table(
    "f",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("x", Integer),
    Column("y", Integer),
    ForeignKeyConstraint(["x", "y"], ["pair.x", "pair.y"], ondelete="SET NULL (x)", onupdate="CASCADE"),
)


def test_a_reference_without_an_action_is_none() -> None:
    assert references([d]) == {}


def test_rows_that_go_reach_through_tables_that_nobody_sees() -> None:
    found = references([c])
    assert {parent.name: [each.child.name for each in children] for parent, children in found.items()} == {
        "b": ["c"],
        "a": ["b"],
    }


def test_rows_that_change_do_not_reach_further() -> None:
    """What refers to c is set to NULL in c when rows of b go; c's own rows stay, and so does what refers to them."""
    assert set(references([d, b])) == {a}


def test_a_table_that_refers_to_itself() -> None:
    [reference] = references([e])[e]
    assert (reference.child, reference.cascades) == (e, True)


def test_several_columns_and_what_their_rows_are() -> None:
    [reference] = references([f])[pair]
    assert (reference.on_delete, reference.cascades, reference.on_update) == (True, False, True)
    where = str(select(f.c.id).where(reference.rows(pair.c.x == 1)))
    assert "(f.x, f.y) IN (SELECT pair.x, pair.y" in where
    assert "WHERE" not in str(reference.rows(None)).partition("FROM")[2]
