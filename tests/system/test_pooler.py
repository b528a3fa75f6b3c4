"""An application that reaches its database through a pooler and nothing else: its pages are live all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import create_engine

from sqla_realtime import Realtime
from tests.support.databases import postgres_engine
from tests.support.models import Base
from tests.support.peer import Peer
from tests.support.pooler import pooler
from tests.support.scene import PAGES, Scene, live

Make = Callable[..., Realtime]


@live
async def test_its_pages_are_live(realtime: Make, caplog: pytest.LogCaptureFixture) -> None:
    with postgres_engine() as direct, pooler(direct.url, size=3) as url:
        Base.metadata.create_all(direct)
        engine = create_engine(url, connect_args={"prepare_threshold": None})
        made = realtime(broker="database")
        made.metadata.create_all(direct)
        scene = Scene(made, engine)
        made.start()
        async with scene.canary(), Peer(made.port) as peer:
            await peer.hello()
            await peer.subscribe(PAGES)
            for _ in range(10):
                scene.write()
                while peer.rows[PAGES] != scene.rows():
                    await peer.hear()
        made.stop()
        engine.dispose()
    assert "[log-pooled]" in caplog.text
    assert "[log-lost]" not in caplog.text


def test_a_way_past_it_may_come_with_the_frameworks_configuration(realtime: Make) -> None:
    made = realtime(broker="database")
    before = made._broker
    made.configure({"REALTIME_LOG_URL": "postgresql://server/app"})
    assert made._broker is not before
    assert made._broker._url == "postgresql://server/app"  # type: ignore[attr-defined]
    assert "server/app" not in repr(made.settings)
