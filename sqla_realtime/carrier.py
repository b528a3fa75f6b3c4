"""Which broker carries an application's commits, as its settings say."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from sqla_realtime.brokers.base import Broker
from sqla_realtime.brokers.database import DatabaseBroker
from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.capture.interpreter import Interpreter
from sqla_realtime.schema.registry import Registry
from sqla_realtime.settings import Settings


def make_broker(settings: Settings, engine: Callable[[], Engine], registry: Registry) -> Broker:
    """The broker that these settings ask for. The engine is asked for when the log is first used."""
    if settings.broker == "database":
        return DatabaseBroker(
            engine,
            settings.bounds,
            settings.commit_patience,
            Interpreter(registry),
            url=settings.log_url,
            deadline=settings.log_timeout,
        )
    return MemoryBroker(settings.bounds, settings.commit_patience)


def carrier(settings: Settings) -> tuple[object, ...]:
    """The settings that make another broker necessary where they change."""
    return settings.broker, settings.log_url, settings.log_timeout
