"""Greenlets for threads: found out without importing who patches, and told with what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from sqla_realtime import Realtime
from sqla_realtime.errors import GreenThreads
from sqla_realtime.server.greenlets import patched_by
from tests.support.scene import Scene


@pytest.mark.parametrize(
    ("library", "module", "question", "name"),
    [
        ("gevent", "gevent.monkey", "is_module_patched", "threading"),
        ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread"),
    ],
)
def test_who_has_patched_the_threads(
    monkeypatch: pytest.MonkeyPatch, library: str, module: str, question: str, name: str
) -> None:
    assert patched_by() is None
    patched: set[str] = set()
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{question: patched.__contains__}))
    assert patched_by() is None, "it is imported, and has patched nothing"
    patched.add("socket")
    assert patched_by() is None
    patched.add(name)
    assert patched_by() == library


def test_no_broadcaster_is_started(
    scene: Callable[..., Scene], realtime: Callable[..., Realtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene()
    monkeypatch.setattr("sqla_realtime.server.lifecycle.patched_by", lambda: "gevent")
    made.realtime.start()  # it runs
    made.realtime.stop()
    with pytest.raises(GreenThreads) as caught:
        made.realtime.start()
    assert "gevent" in str(caught.value)
    assert "sqla-realtime serve --app" in str(caught.value)
    assert not made.realtime.running
