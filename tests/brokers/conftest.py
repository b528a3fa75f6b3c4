"""The databases that can keep a log are more than those on which everything else is tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.databases import new_engine


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database, once on each kind."""
    with new_engine(request.param, tmp_path) as engine:
        yield engine
