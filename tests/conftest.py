"""Fixtures that every folder of tests shares: databases, an application's Realtime, and a broker that can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_realtime import Realtime
from tests.support.databases import new_engine, sqlite_engine
from tests.support.models import Base
from tests.support.scene import Ear, Scene, listening


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database with the tables of the test models, once on each kind."""
    with new_engine(request.param, tmp_path) as engine:
        Base.metadata.create_all(engine)
        yield engine


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """The same on SQLite alone, where the kind of database makes no difference."""
    engine = sqlite_engine(tmp_path)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """A factory of Sessions on ``engine``."""
    return sessionmaker(engine)


@pytest.fixture
def realtime() -> Iterator[Callable[..., Realtime]]:
    """Makes Realtimes on free ports, and stops them after the test."""
    made: list[Realtime] = []

    def make(**settings: Any) -> Realtime:
        made.append(Realtime(**{"port": 0, "development": True, **settings}))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def ear() -> Iterator[Ear]:
    """Everything that is logged; nothing secret may be in it."""
    with listening() as ear:
        yield ear


@pytest.fixture
def scene(ear: Ear, sqlite: Engine, realtime: Callable[..., Realtime]) -> Callable[..., Scene]:
    """Makes an application with live pages, and starts its server."""

    def make(**settings: Any) -> Scene:
        made = Scene(realtime(**settings), sqlite)
        made.realtime.start()
        return made

    return make
