"""Which databases can keep a log, and whose connections it has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event

from sqla_realtime.brokers import journals
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


def test_a_connection_of_its_own_is_limited_and_the_applications_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine("postgresql+psycopg://", connect_args={"keepalives_idle": 77})
    made: list[dict[str, Any]] = []

    def connect(*arguments: Any, **named: Any) -> Any:
        made.append(named)
        raise OSError("away")

    monkeypatch.setattr(engine.dialect, "connect", connect)
    own = own_engine(engine, None, 8.0)
    with pytest.raises(OSError, match="away"):
        own.connect()
    with ThreadPoolExecutor(1) as other, pytest.raises(OSError, match="away"):
        other.submit(engine.connect).result()
    other_engine = create_engine("sqlite://")
    event.listen(other_engine, "do_connect", journals._connect)
    other_engine.connect().close()
    given = made[1]
    assert given["keepalives_idle"] == 77
    assert "connect_timeout" not in given
    assert made[0] == given | {
        "connect_timeout": 8,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 8000,
    }


def test_where_the_application_has_its_own_way_to_connect_that_is_left_alone() -> None:
    engine = create_engine("postgresql+psycopg://")
    made: list[dict[str, Any]] = []

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, named: dict[str, Any]) -> None:
        made.append(named)
        raise OSError("away")

    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            own_engine(engine).connect()
    assert "connect_timeout" not in made[1]
    assert len(engine.dialect.dispatch.do_connect) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense with a secret", "no URL"),
        ("postgresql+secret://", "no URL"),
        ("sqlite:///secret", "another kind"),
    ],
)
def test_a_direct_url_that_leads_nowhere_is_refused_without_being_shown(url: str, reason: str) -> None:
    with pytest.raises(LogUnsuitable, match=rf"log_url.*{reason}.*\n.*postgresql\+psycopg://") as caught:
        own_engine(create_engine("postgresql+psycopg://"), url)
    assert "secret" not in str(caught.value)


def test_a_direct_url_has_the_applications_driver_and_says_itself_what_it_is_limited_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = own_engine(create_engine("postgresql+psycopg://"), "postgresql://host/name?connect_timeout=3", 8.0)
    made: list[dict[str, Any]] = []

    def connect(*arguments: Any, **named: Any) -> Any:
        made.append(named)
        raise OSError("away")

    monkeypatch.setattr(own.dialect, "connect", connect)
    with pytest.raises(OSError, match="away"):
        own.connect()
    assert own.dialect.driver == "psycopg"
    assert (made[0]["connect_timeout"], made[0]["tcp_user_timeout"]) == ("3", 8000)
