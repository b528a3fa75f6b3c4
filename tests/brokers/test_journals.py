"""Which databases can keep a log, and whose connections it has."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, create_engine, event

from sqla_realtime.brokers.journals import journal_of, own_engine
from sqla_realtime.brokers.sqlite import SqliteJournal
from sqla_realtime.errors import LogUnsuitable


def test_a_kind_that_cannot_is_named_with_those_that_can() -> None:
    assert isinstance(journal_of("sqlite"), SqliteJournal)
    with pytest.raises(LogUnsuitable, match=r"oracle.*\n.*sqlite, postgresql, mysql, mariadb"):
        journal_of("oracle")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_has_no_second_connection(url: str) -> None:
    with pytest.raises(LogUnsuitable, match="in memory"):
        own_engine(create_engine(url))


def test_its_connections_are_opened_as_the_applications_and_are_others(engine: Engine) -> None:
    opened = []
    event.listen(engine, "connect", lambda connection, record: opened.append(connection))
    own = own_engine(engine)
    with own.connect() as connection:
        assert opened == [connection.connection.dbapi_connection]
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    own.dispose()
