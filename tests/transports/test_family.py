"""Where processes with one log find each other, and nobody else."""

from __future__ import annotations

import os

import pytest

from sqla_realtime.transports import family
from sqla_realtime.transports.family import Family, can_share, place_of

pytestmark = pytest.mark.skipif(not can_share(), reason="there are no abstract sockets here")


def test_there_are_so_many_doors() -> None:
    kin = Family(f"nobody's {os.getpid()}")
    assert not kin.lives_on(8765)
    doors = [kin.settle(8765) for _ in range(family.DOORS + 1)]
    assert doors.pop() is None
    assert len({door.via for door in doors if door is not None}) == family.DOORS
    for door in doors:
        assert door is not None
        assert kin.lives_on(8765)
        door.socket.close()
    assert not kin.lives_on(8765)


def test_a_place_has_one_process_and_is_free_again() -> None:
    kin, others = Family(f"nobody's {os.getpid()}"), Family(f"somebody's {os.getpid()}")
    place = place_of("app-key/12/abcdefgh")
    assert "abcdefgh" not in place, "who reads the names of sockets reads that of a session"
    door = kin.take(place)
    assert door is not None
    with door:
        assert kin.take(place) is None
        kin.reach(place).close()
        with pytest.raises(OSError, match="refused"):
            others.reach(place)
    with pytest.raises(OSError, match="refused"):
        kin.reach(place)


def test_another_users_place_is_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    kin = Family(f"nobody's {os.getpid()}")
    door = kin.take("s/1")
    assert door is not None
    user = os.geteuid()
    with door:
        monkeypatch.setattr(family.os, "geteuid", lambda: user + 1)
        with pytest.raises(PermissionError):
            kin.reach("s/1")
