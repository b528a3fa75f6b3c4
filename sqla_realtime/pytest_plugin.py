"""The pytest plugin: ``realtime_recorder`` and ``realtime_client``, for the Realtime that your fixture ``realtime`` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqla_realtime.realtime import Realtime
    from sqla_realtime.testing import RealtimeClient, Recorder

# pytest loads this module into every test run of the environment, so everything else is imported where it is used.


@pytest.fixture
def realtime() -> Realtime:
    """The application's Realtime. Override it."""
    from sqla_realtime.errors import NoRealtime

    pytest.fail(str(NoRealtime(reason="is not defined by your tests")), pytrace=False)


@pytest.fixture
def realtime_connection() -> Any:
    """The Connection whose transaction is rolled back after the test. Override it where your tests work like that: what
    your Sessions commit inside counts as committed, and a client's rows are read there."""
    return None


@pytest.fixture
def realtime_recorder(realtime: Realtime, realtime_connection: Any) -> Iterator[Recorder]:
    """Records what is committed from now on; see ``sqla_realtime.testing.Recorder``."""
    from sqla_realtime.testing import Recorder

    with Recorder(_checked(realtime), savepoints=realtime_connection is not None) as recorder:
        yield recorder


@pytest.fixture
def realtime_client(realtime: Realtime, realtime_connection: Any) -> Iterator[Callable[..., RealtimeClient]]:
    """Makes clients, ``realtime_client(user=ada)``; see ``sqla_realtime.testing.RealtimeClient``."""
    from sqla_realtime.testing import RealtimeClient

    made: list[RealtimeClient] = []

    def make(user: Any = None, **options: Any) -> RealtimeClient:
        client = RealtimeClient(_checked(realtime), user, **{"connection": realtime_connection, **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def _checked(realtime: object) -> Realtime:
    from sqla_realtime.errors import NoRealtime
    from sqla_realtime.realtime import Realtime

    if not isinstance(realtime, Realtime):
        pytest.fail(str(NoRealtime(reason=f"returned {realtime!r}, which is no Realtime")), pytrace=False)
    return realtime
