"""The paths of Pusher's protocol are there where an application speaks it, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.scene import Scene, live
from tests.support.web import ask
from tests.transports.pusher.test_socket import APP


@live
async def test_without_an_application_there_is_nothing(scene: Callable[..., Scene]) -> None:
    made = scene()
    for path in ("/app/app-key?protocol=7", "/apps/1/channels", "/users/7/terminate_connections"):
        status, _, body = await ask(made.port, path)
        assert (status, body) == (404, b"Not Found\n")


@pytest.mark.parametrize("path", ["/app/app-key", "/apps/1/channels", "/users/7/terminate_connections"])
@live
async def test_with_one_there_is(scene: Callable[..., Scene], path: str) -> None:
    made = scene(pusher=[APP])
    assert (await ask(made.port, path))[0] != 404
