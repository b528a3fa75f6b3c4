"""A short fault run; `make faults` is the long one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from tests.faults.run import Server, play


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="realtime-faults-") as folder:
        server = Server(folder)
        yield server
        server.close()


def test_whoever_is_killed_or_stopped_nothing_is_lost_torn_or_out_of_order(server: Server) -> None:
    print(play(server, 6, 9, 4))
