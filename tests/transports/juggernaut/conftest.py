"""A site with names for Juggernaut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from sqla_realtime import Realtime
from tests.support.scene import Ear
from tests.support.socketio import Site


@pytest.fixture
def site(ear: Ear, sqlite: Engine, realtime: Callable[..., Realtime]) -> Callable[..., Site]:
    """Makes one, and starts its server."""

    def make(**settings: Any) -> Site:
        return Site(realtime(**settings), sqlite)

    return make
