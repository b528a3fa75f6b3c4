"""SQLAlchemy models, live in every browser: the public names, loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqla_realtime.brokers.base import Broker as Broker
    from sqla_realtime.commit import Change as Change
    from sqla_realtime.commit import Commit as Commit
    from sqla_realtime.commit import Position as Position
    from sqla_realtime.errors import ConfigurationError as ConfigurationError
    from sqla_realtime.errors import DeclarationError as DeclarationError
    from sqla_realtime.errors import RealtimeError as RealtimeError
    from sqla_realtime.realtime import Realtime as Realtime
    from sqla_realtime.schema.publication import Publication as Publication
    from sqla_realtime.schema.rules import anyone as anyone
    from sqla_realtime.schema.rules import signed_in as signed_in
    from sqla_realtime.server.tokens import Identity as Identity
    from sqla_realtime.settings import Settings as Settings

__version__ = "0.1.0"

# Importing the package is felt in every command of the application, so each name brings its module when it is used.
_HOMES = {
    "Broker": "brokers.base",
    "Change": "commit",
    "Commit": "commit",
    "ConfigurationError": "errors",
    "DeclarationError": "errors",
    "Identity": "server.tokens",
    "Position": "commit",
    "Publication": "schema.publication",
    "Realtime": "realtime",
    "RealtimeError": "errors",
    "Settings": "settings",
    "anyone": "schema.rules",
    "signed_in": "schema.rules",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
