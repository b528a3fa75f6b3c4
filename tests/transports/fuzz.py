"""Fuzzes the WebSocket of a real server with frames, messages and handshakes, and watches a canary, the log and the heap.

``python -m tests.transports.fuzz 100000 7``: so many frames, a tenth of it in messages, and this seed. The server must
answer each exactly as the model says; nothing of it may stay, and whoever behaves must notice nothing.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from sqla_realtime import Realtime
from tests.support.databases import sqlite_engine
from tests.support.frames import Model, mutant, spell
from tests.support.handshakes import MALFORMED, SECRET
from tests.support.models import Base
from tests.support.scene import Scene, eventually, listening
from tests.support.wire import CLOSE, PING, PONG, TEXT, Wire

LIMIT = 2000
# Mistakes are many here, and it is their answers that are looked at.
SETTINGS = {"development": True, "max_message": LIMIT, "max_errors": 10**9, "ping_interval": 3600.0}
# What one connection sends at most before it closes.
FRAMES, MESSAGES = 60, 20
# What is a connection's own; of all else in these packages there is as much as there are modules.
OURS = ("sqla_realtime.transports", "sqla_realtime.hub.con", "sqla_realtime.hub.rights", "sqla_realtime.hub.doors", "tornado")

Attack = Callable[[int, random.Random], int]


def frames(port: int, chance: random.Random) -> int:
    """One connection of random frames, which ends as the model says; how many there were."""
    model, sent, count = Model(chance, LIMIT), b"", 0
    while not model.over:
        count += 1
        sent += model.frame() if count <= FRAMES else model.end()
    with Wire(port) as wire:
        assert wire.ask().status == 101
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = 0
        while start < len(sent):
            size = chance.choice((1, 2, 7, 100, 1000, len(sent)))
            wire.send(sent[start : start + size])
            start += size
        pongs, code = _heard(wire)
    assert (pongs, code) == (model.pongs, model.code), (sent.hex(), pongs, model.pongs, code, model.code)
    return count


def messages(port: int, chance: random.Random) -> int:
    """One connection of mutated messages: text is answered and closes nothing, what is no text is 1007."""
    with Wire(port) as wire:
        assert wire.ask().status == 101
        expected, count = 1000, 0
        for _ in range(MESSAGES):
            count += 1
            data = mutant(chance)
            wire.send(spell(chance, 0x80 | TEXT, data))
            try:
                data.decode()
            except UnicodeDecodeError:
                expected = 1007
                break
        else:
            wire.send(spell(chance, 0x80 | PING, b"alive") + spell(chance, 0x80 | CLOSE, b"\x03\xe8"))
        pongs, code = _heard(wire)
        assert (code, pongs) == (expected, [b"alive"] if expected == 1000 else [])
    return count


def _heard(wire: Wire) -> tuple[list[bytes], int | None]:
    """The pongs up to the close frame, and its code; it must be the last that comes."""
    pongs = []
    while True:
        opcode, data = wire.heard()
        if opcode == CLOSE:
            assert wire.rest() == b""
            return pongs, int.from_bytes(data[:2], "big") if data else None
        assert opcode in (TEXT, PONG), opcode
        if opcode == PONG:
            pongs.append(data)


def handshakes(port: int, chance: random.Random) -> int:
    """Every malformed handshake, in any order."""
    for name, (data, status) in chance.sample([*MALFORMED.items()], len(MALFORMED)):
        with Wire(port) as wire:
            try:
                wire.send(data.replace(b"{port}", b"%d" % port))
                found = wire.answer().status
            except (EOFError, ConnectionError):
                found = 0
        assert (name, found) == (name, status)
    return len(MALFORMED)


def heap() -> Counter[str]:
    """How many objects there are of each class that a connection is made of."""
    gc.collect()
    kinds = Counter(f"{type(each).__module__}.{type(each).__name__}" for each in gc.get_objects())
    return Counter({kind: count for kind, count in kinds.items() if kind.startswith(OURS)})


async def fuzz(made: Scene, count: int, seed: int) -> Iterator[str]:
    """Run it all, with a commit before each connection that the canary hears during it. Lines to be printed."""
    chance, said, start = random.Random(seed), [], time.monotonic()
    async with made.canary() as bird:

        async def run(attack: Attack, wanted: int) -> int:
            done = 0
            while done < wanted:
                made.write()
                number = asyncio.ensure_future(asyncio.to_thread(attack, made.port, chance))
                await bird.until(lambda heard: "commit" in heard)
                done += await number
            await eventually(lambda: len(made.connections) == 1)
            return done

        for attack in (frames, messages, handshakes):  # whatever is made once is made now
            await run(attack, 1)
        before = heap()
        for attack, wanted in ((frames, count), (messages, count // 10), (handshakes, len(MALFORMED))):
            said.append(f"{await run(attack, wanted)} {attack.__name__}")
        try:
            await eventually(lambda: not heap() - before)  # whoever looks at one connection after the other may hold the last
        except TimeoutError:
            raise AssertionError(heap() - before) from None
    said.append(f"{len(made.written)} commits heard by the canary, each once and in order")
    said.append(f"{sum(before.values())} objects of {len(before)} classes before and after; {time.monotonic() - start:.0f} s")
    return iter(said)


def main(count: int, seed: int) -> None:
    """The long run: a server of its own on a database of its own."""
    with tempfile.TemporaryDirectory() as folder, listening() as ear:
        ear.secrets.append(SECRET)
        engine = sqlite_engine(Path(folder))
        Base.metadata.create_all(engine)
        realtime = Realtime(port=0, **SETTINGS)
        made = Scene(realtime, engine)
        realtime.start()
        try:
            for line in asyncio.run(fuzz(made, count, seed)):
                sys.stdout.write(f"{line}\n")
        finally:
            realtime.stop()
            engine.dispose()
    sys.stdout.write(f"{ear.text.count('Traceback')} tracebacks in {len(ear.text)} characters of log; seed {seed}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
