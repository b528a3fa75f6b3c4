"""The rounds: each connection is sent everything, once and in order, in one go where it can take it, whatever comes between."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from sqla_realtime.commit import Position
from sqla_realtime.hub.connection import Connection, Queued, several
from sqla_realtime.hub.edition import Edition
from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.codes import CloseCode
from sqla_realtime.protocol.messages import Missed, Ping, Pong
from sqla_realtime.protocol.v1 import V1
from sqla_realtime.transports import flusher as flusher_module
from sqla_realtime.transports.flusher import LOOK, SLICE, Flusher
from sqla_realtime.transports.pump import Pump
from sqla_realtime.transports.rounds import MOST
from tests.hub.fakes import at
from tests.support.scene import live


def framed(queued: Queued) -> bytes:
    """Messages as they stand on a wire that ends each with a semicolon."""
    return b"".join(data + b";" for data in several(queued))


def edition(number: int, size: int = 0) -> Edition:
    """A commit whose bytes are its number, in words of the codec's name."""

    def spell(codec: Codec) -> Frame:
        if codec.name == "broken":
            raise ZeroDivisionError
        return Frame(f"{codec.name}{number}".encode().ljust(size), Missed(at(number), []))

    return Edition(at(number), spell)


class Named(V1):
    """A codec of its own, of whose commits none can be left out."""

    merges = False
    rows = True
    lines = False

    def __init__(self, name: str = "v") -> None:
        self.name = name


class End:
    """A connection, its stream and its socket, which takes what it is let to; ``heard`` is what has got there."""

    def __init__(self, flusher: Flusher, codec: V1, alike: bool = True) -> None:
        self.sends: list[bytes] = []
        self.takes = 10**6
        self.broken = self.closed = False
        self.written: list[tuple[bytes, asyncio.Future[None]]] = []
        stream: Any = self
        self.socket = self
        self.pump = Pump(codec, 100_000)
        self.pump.attach(stream, flusher, framed, lambda: None, alike=alike)

    def send(self, data: bytes) -> int:
        if self.broken:
            raise ConnectionResetError
        if not self.takes:
            raise BlockingIOError
        self.sends.append(data[: self.takes])
        return len(self.sends[-1])

    def writing(self) -> bool:
        return False

    def write(self, data: bytes) -> asyncio.Future[None]:
        self.written.append((data, asyncio.get_running_loop().create_future()))
        return self.written[-1][1]

    def flow(self) -> None:
        """What is in the stream's buffer has left."""
        written, self.written = self.written, []
        for data, future in written:
            self.sends.append(data)
            future.set_result(None)

    def close(self) -> None:
        self.closed = True

    @property
    def heard(self) -> list[str]:
        return b"".join(self.sends).decode().replace(" ", "").split(";")[:-1]


class Scene:
    """A flusher with a clock that stands still but for what sends take, and connections."""

    def __init__(self, count: int = 0) -> None:
        self.now = 0.0
        self.flusher = Flusher(lambda: self.now)
        self.codec = Named()
        self.ends = [End(self.flusher, self.codec) for _ in range(count)]

    def post(self, number: int, *ends: End, size: int = 0) -> None:
        connections: list[Connection] = [end.pump for end in ends or self.ends]
        self.flusher.post(edition(number, size), connections)


@pytest.fixture(autouse=True)
def sends(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("keeping", "releasing"):
        monkeypatch.setattr(flusher_module, name, End.send)


async def turn(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@live
async def test_what_comes_in_one_turn_leaves_in_one_send_whose_bytes_are_shared() -> None:
    scene = Scene(3)
    for number in (1, 2, 3):
        scene.post(number)
    assert not any(end.sends for end in scene.ends), "nothing is sent within the hub's own turn"
    await turn()
    assert [end.sends for end in scene.ends] == [[b"v1;v2;v3;"]] * 3
    assert scene.ends[0].sends[0] is scene.ends[1].sends[0]
    assert {end.pump.told for end in scene.ends} == {at(3)}
    scene.post(4)
    await turn()
    assert {end.heard[-1] for end in scene.ends} == {"v4"}


@live
async def test_whoever_is_told_something_meanwhile_hears_of_the_commit_first() -> None:
    scene = Scene(3)
    scene.post(1)
    scene.ends[1].pump.tell(Ping(Position("e", 7)))
    assert scene.ends[1].pump.told == Position("e", 7), "the commit takes nobody back"
    scene.post(2)
    await turn()
    assert [len(end.sends) for end in scene.ends] == [1, 1, 1]
    assert [end.heard[::2] if number == 1 else end.heard for number, end in enumerate(scene.ends)] == [["v1", "v2"]] * 3
    assert b"ping" in scene.ends[1].sends[0]


@live
async def test_an_answer_without_a_position_disturbs_nobody_elses_round() -> None:
    scene = Scene(2)
    scene.post(1)
    scene.ends[0].pump.tell(Pong())
    assert scene.ends[1].pump.pending == 0
    await turn()
    assert scene.ends[0].heard[1] == "v1"
    assert scene.ends[1].heard == ["v1"]


@live
async def test_others_than_those_of_the_round_are_sent_theirs_once_and_in_order() -> None:
    scene = Scene(3)
    one, two, three = scene.ends
    scene.post(1, one, two)
    scene.post(2, two, three)
    scene.post(3, one, two, three)
    await turn()
    assert [end.heard for end in scene.ends] == [["v1", "v3"], ["v1", "v2", "v3"], ["v2", "v3"]]
    assert [len(end.sends) for end in scene.ends] == [1, 1, 1]


@live
async def test_each_speaks_its_own_codec_and_frames_its_own_stream() -> None:
    scene = Scene(2)
    other, event = End(scene.flusher, Named("w")), End(scene.flusher, scene.codec, alike=False)
    scene.post(1, scene.ends[0], other, scene.ends[1], event)
    assert event.pump.pending == 0
    await turn()
    assert [end.heard for end in (*scene.ends, other, event)] == [["v1"], ["v1"], ["w1"], ["v1"]]


@live
async def test_what_a_socket_does_not_take_comes_before_all_that_is_later() -> None:
    scene = Scene(3)
    slow, full, broken = scene.ends
    slow.takes, full.takes, broken.broken = 1, 0, True
    scene.post(1)
    await turn()
    assert broken.closed
    assert (slow.pump.pending, full.pump.pending) == (2, 2)
    scene.post(2)
    await turn()
    assert (slow.pump.pending, full.pump.pending) == (4, 4)
    for end in (slow, full):
        end.takes = 10**6
        end.flow()
    await turn()
    scene.post(3, slow, full)
    await turn()
    assert slow.heard == full.heard == ["v1", "v2", "v3"]
    assert (slow.pump.pending, full.pump.pending) == (0, 0)


@live
async def test_what_is_too_much_for_a_round_is_for_the_queues_which_are_bounded() -> None:
    scene = Scene(2)
    for number in range(1, 5):
        scene.post(number, size=MOST // 2)
    assert scene.ends[0].pump.pending == MOST, "which it did not count before"
    await turn()
    assert {tuple(end.heard) for end in scene.ends} == {("v1", "v2", "v3", "v4")}
    scene.post(5, size=2 * MOST)
    await turn()
    assert {end.heard[-1] for end in scene.ends} == {"v5"}
    for number in range(6, 20):
        scene.post(number, size=MOST // 2)
    assert scene.ends[0].pump.close_code is CloseCode.SLOW_CONSUMER


@live
async def test_a_large_message_that_is_gone_is_no_excuse_for_what_piles_up_later() -> None:
    scene = Scene(1)
    [end] = scene.ends
    end.pump.send(b"x" * 200_000)
    await turn()
    end.takes = 0
    scene.post(1)
    await turn()
    assert end.pump.pending > 0
    for _ in range(5):
        end.pump.send(b"x" * 30_000)
    assert end.pump.close_code is CloseCode.SLOW_CONSUMER


@live
async def test_a_commit_that_comes_in_the_middle_of_a_round_is_brought_to_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(3 * LOOK)

    def late(self: End, data: bytes) -> int:
        scene.now += SLICE / LOOK + 1e-6
        return End.send(self, data)

    scene.flusher._keep_until = 1e9  # not to be probed
    monkeypatch.setattr(flusher_module, "keeping", late)
    scene.post(1)
    await asyncio.sleep(0)
    assert [len(end.sends) for end in scene.ends[::LOOK]] == [1, 0, 0], "others have the loop between slices"
    scene.post(2)
    await asyncio.sleep(0)
    scene.post(3)
    await turn(10)
    assert {tuple(end.heard) for end in scene.ends} == {("v1", "v2", "v3")}
    assert [len(end.sends) for end in scene.ends[::LOOK]] == [2, 2, 1]


@live
async def test_rounds_and_turns_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither can keep the other waiting, however much there is to do."""
    scene = Scene(3 * LOOK)
    lonely = End(scene.flusher, scene.codec)
    scene.flusher._keep_until = 1e9

    def late(self: End, data: bytes) -> int:
        scene.now += SLICE / LOOK + 1e-6
        return End.send(self, data)

    monkeypatch.setattr(flusher_module, "keeping", late)
    scene.post(1)
    lonely.pump.send(b"alone")
    await asyncio.sleep(0)
    assert (lonely.heard, scene.ends[0].heard, scene.ends[-1].heard) == (["alone"], ["v1"], [])
    await turn(10)
    assert scene.ends[-1].heard == ["v1"]


@live
async def test_what_cannot_be_spelled_is_no_silent_gap(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(1)
    broken = End(scene.flusher, Named("broken"))
    scene.post(1, scene.ends[0], broken)
    await turn()
    assert (scene.ends[0].closed, broken.closed) == (True, True)
    assert "[write-failed]" in caplog.text


@live
async def test_who_has_gone_is_not_remembered() -> None:
    scene = Scene(2)
    scene.post(1)
    scene.ends[0].pump.stop()
    scene.ends[1].pump.abort(CloseCode.SLOW_CONSUMER)
    await turn()
    assert ([end.sends for end in scene.ends], scene.ends[1].closed) == ([[], []], True)
    rounds = scene.flusher._rounds
    assert not any((rounds.waiting, rounds._everyone, rounds._visited))


@live
@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_each_hears_all_of_it_in_order(seed: int) -> None:
    chance = random.Random(seed)
    scene = Scene(chance.choice([3, 20, LOOK + 9]))
    scene.flusher._keep_until = chance.choice([0.0, 1e9])
    meant: dict[End, list[str]] = {end: [] for end in scene.ends}
    audiences = [scene.ends, scene.ends[::2], scene.ends[1:], scene.ends[:1]]
    for number in range(200):
        match chance.randrange(9):
            case 0 | 1 | 2 | 3:
                audience = audiences[0] if chance.random() < 0.7 else chance.choice(audiences)
                scene.post(number, *audience)
                for end in audience:
                    meant[end].append(f"v{number}")
            case 4:
                end = chance.choice(scene.ends)
                end.pump.settle()
                end.pump.send(b"own%d" % number)
                meant[end].append(f"own{number}")
            case 5:
                chance.choice(scene.ends).takes = chance.choice([0, 1, 5, 10**6])
            case 6:
                chance.choice(scene.ends).flow()
            case 7:
                scene.now += chance.choice([0.0, SLICE])
            case 8:
                await asyncio.sleep(0)
    for _ in range(10):
        for end in scene.ends:
            end.takes = 10**6
            end.flow()
        await turn()
    assert {end: end.heard for end in scene.ends} == meant
    assert all(end.pump.pending == 0 for end in scene.ends)
