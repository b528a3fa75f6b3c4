"""Which broker it is: the settings alone decide, and only some of them make another one."""

from __future__ import annotations

from sqlalchemy import create_engine

from sqla_realtime.brokers.database import DatabaseBroker
from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.carrier import carrier, make_broker
from sqla_realtime.schema.registry import Registry
from sqla_realtime.settings import Settings


def test_the_settings_decide_and_no_database_is_asked() -> None:
    def engine() -> None:
        raise AssertionError

    assert type(make_broker(Settings(), engine, Registry())) is MemoryBroker  # type: ignore[arg-type]
    broker = make_broker(Settings(broker="database"), lambda: create_engine("sqlite://"), Registry())
    assert type(broker) is DatabaseBroker
    broker.close()


def test_what_makes_another_one_necessary() -> None:
    assert carrier(Settings(port=1)) == carrier(Settings(port=2))
    for change in ({"broker": "database"}, {"log_url": "sqlite://"}, {"log_timeout": 1}):
        assert carrier(Settings(**change)) != carrier(Settings())
