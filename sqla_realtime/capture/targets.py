"""What enable() can be given, and what stands behind it: the Session class to listen to, and where its rows are read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_realtime.errors import NotEnableable


@dataclass(frozen=True, slots=True)
class Target:
    """``listen`` is the Session class, or the one Session, that gets the listeners; ``session`` makes a Session that
    reads snapshots in a thread, None where that can't be derived from what was given. ``engines`` are those that are known
    to be used: they get their listeners now, while nobody executes anything."""

    listen: type[Session] | Session
    session: Callable[[], Session] | None
    engines: tuple[Engine, ...] = ()


def resolve(target: Any) -> Target:
    """What stands behind a sessionmaker, scoped_session, Session class or instance, their asyncio counterparts, or an
    object with a scoped ``session`` such as Flask-SQLAlchemy's ``db``. Raises NotEnableable for anything else."""
    match target:
        case sessionmaker():
            return Target(target.class_, target, engines_of(target.kw))
        case scoped_session():
            return resolve(target.session_factory)
        case Session():
            bind = target.bind
            return Target(target, (lambda: Session(bind)) if isinstance(bind, Engine) else None, engines_of({"bind": bind}))
        case type() if issubclass(target, Session):
            return Target(target, None)
    # Without greenlet, which SQLAlchemy does not always bring along, that can't even be imported; then nobody has one.
    if "sqlalchemy.ext.asyncio" in sys.modules:
        from sqla_realtime.capture.async_targets import resolve_async

        found = resolve_async(target)
        if found is not None:
            return found
    inner = getattr(target, "session", None)
    if hasattr(inner, "session_factory"):
        return replace(resolve(inner), engines=engines_of({"binds": _own_engines(target)}))
    raise NotEnableable(target=target)


def engines_of(options: Mapping[str, Any]) -> tuple[Engine, ...]:
    """The engines among a factory's ``bind`` and ``binds``."""
    binds = [options.get("bind"), *(options.get("binds") or {}).values()]
    known = [getattr(bind, "sync_engine", bind) for bind in (getattr(each, "engine", each) for each in binds)]
    return tuple(dict.fromkeys(engine for engine in known if isinstance(engine, Engine)))


def _own_engines(target: Any) -> Mapping[Any, Any]:
    """Flask-SQLAlchemy keeps the engines itself, and shows them inside its application's context only."""
    try:
        engines: Mapping[Any, Any] = target.engines
    except (AttributeError, LookupError, RuntimeError):
        return {}
    return engines
