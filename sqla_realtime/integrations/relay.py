"""The relay: sends what is committed from the log to a server of Pusher's HTTP API, in order, through the library `pusher`.

It keeps its position in a file and moves on when a whole commit was taken, so each commit is sent at least once, whatever is
killed or away meanwhile. No commit waits for it. What a commit is there, ``Outlet`` says; ``docs/pusher.md`` is for users.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
from collections.abc import Callable, Iterator
from contextlib import aclosing
from importlib import import_module
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqla_realtime.commit import Position
from sqla_realtime.errors import BadSetting, PositionGone, PusherMissing
from sqla_realtime.integrations.outlet import Outlet, Sent
from sqla_realtime.protocol.pusher_api import BATCH
from sqla_realtime.realtime import Realtime

log = logging.getLogger(__name__)

RETRY_BASE, RETRY_CAP = 0.1, 10.0
# Refusals that pass: too slow, too many.
PASSING = (408, 429)


class Receiver:
    """A server of Pusher's HTTP API. ``url`` is ``https://KEY:SECRET@HOST/apps/ID``. Raises BadSetting and PusherMissing."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        app = re.fullmatch(r"/apps/([0-9]+)/?", parts.path)
        if parts.scheme not in ("http", "https") or app is None or not (parts.hostname and parts.username and parts.password):
            # It is not repeated: there may be a secret in it.
            raise BadSetting(
                name="--pusher", source="the command", reason="this is no such URL", remedy="https://KEY:SECRET@HOST/apps/ID"
            )
        try:
            library, self._errors = import_module("pusher"), import_module("pusher.errors")
        except ImportError as error:
            raise PusherMissing(reason=error) from error
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        key, secret = unquote(parts.username), unquote(parts.password)
        self._client = library.Pusher(app[1], key, secret, ssl=parts.scheme == "https", host=host, port=port)
        self.name = f"{parts.scheme}://{host}{f':{port}' if port else ''}/apps/{app[1]}"

    def send(self, batch: list[Sent]) -> str | None:
        """Have events taken; answers with why they never will be. Whatever it raises may pass. Blocks."""
        errors = self._errors
        try:
            self._client.trigger_batch(batch, True)
        except errors.PusherBadRequest as error:
            return f"{type(error).__name__}: {str(error)[:200]!r}"
        except errors.PusherBadStatus as error:
            status = int(str(error).partition(":")[0])
            if 400 <= status < 500 and status not in PASSING:
                return f"{type(error).__name__}: {str(error)[:200]!r}"
            raise
        return None


class State:
    """The file with the position that was reached. It is whole at any time: a new one takes the place of the old one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(path.name + ".new")

    def load(self) -> Position | None:
        """What was saved last; None where there is no file. Raises PositionGone where it holds something else."""
        try:
            text = self._path.read_text("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._bad(error) from error
        position = Position.parse(text)
        if position is None:
            raise PositionGone(position=repr(text[:40]))
        return position

    def begin(self, position: Position) -> None:
        """The same as ``save``, for the first time. Raises BadSetting where there can't be such a file."""
        try:
            self._write(position)
        except OSError as error:
            raise self._bad(error) from error

    def save(self, position: Position) -> None:
        """Everything up to here was taken. Where that can't be written the relay goes on; its successor repeats more."""
        try:
            self._write(position)
        except OSError as error:
            log.error("%s could not be written to %s: %s [relay-state]", position, self._path, error)

    def _write(self, position: Position) -> None:
        with self._beside.open("w", encoding="ascii") as file:
            file.write(f"{position}\n")
            file.flush()
            os.fsync(file.fileno())
        self._beside.replace(self._path)

    def _bad(self, error: OSError) -> BadSetting:
        remedy = "Name a file in a folder where the relay may write."
        return BadSetting(name="--state", source="the command", reason=f"{self._path}: {error.strerror}", remedy=remedy)


class Relay:
    """Follows the log of a Realtime and has a receiver take it. One loop's; ``run`` it once."""

    def __init__(self, realtime: Realtime, receiver: Receiver, state: State, outlet: Outlet) -> None:
        self._broker = realtime._broker
        self._receiver = receiver
        self._state = state
        self._outlet = outlet

    async def run(self, say: Callable[[str], object]) -> None:
        """For ever; ``say`` is told from where. Raises, before it has begun, BadSetting and what the log raises."""
        position = await self._start()
        say(f"Relaying to {self._receiver.name} from {position}")
        tries, gap = 0, None
        while True:
            try:
                if gap is not None:
                    position, gap = await self._jump(gap), None
                async with aclosing(self._broker.follow(position)) as entries:
                    async for entry in entries:
                        await self._deliver(self._outlet.events(entry.commit))
                        position, tries = entry.position, 0
                        self._state.save(position)
            except PositionGone as gone:
                gap = gone
            except Exception:  # whatever it is, there is nothing else to do here than to go on
                log.exception("The log was lost; following it again from %s. [log-lost]", position)
                tries = await _pause(tries)

    async def _start(self) -> Position:
        try:
            position = self._state.load()
        except PositionGone as gone:
            return await self._jump(gone)
        if position is None:
            position = await self._broker.head()
        self._state.begin(position)
        return position

    async def _jump(self, gone: PositionGone) -> Position:
        """What was missed is told as far as it can be; then from the log's head."""
        position = await self._broker.head()
        log.warning("%s The relay goes on from %s; what is between was not sent. [relay-gap]", gone, position)
        await self._deliver(self._outlet.gap())
        self._state.save(position)
        return position

    async def _deliver(self, events: Iterator[Sent]) -> None:
        while batch := list(islice(events, BATCH)):
            await self._send(batch)

    async def _send(self, batch: list[Sent]) -> None:
        tries = 0
        while True:
            try:
                refusal = await asyncio.to_thread(self._receiver.send, batch)
            except Exception as error:
                if tries == 0:
                    # Its text may have the request's signature.
                    log.warning("%s is waited for: %s [relay-waits]", self._receiver.name, type(error).__name__)
                tries = await _pause(tries)
                continue
            if refusal is None:
                if tries:
                    log.warning("%s takes events again. [relay-back]", self._receiver.name)
            elif len(batch) > 1:
                for event in batch:  # nobody says which of them it is about
                    await self._send([event])
            else:
                name = batch[0]["channel"]
                log.error("%s refuses an event in %s, which is skipped: %s [relay-refused]", self._receiver.name, name, refusal)
            return


async def _pause(tries: int) -> int:
    """Full jitter, so that relays do not come back in step. Answers with how many tries there were."""
    await asyncio.sleep(random.uniform(0, min(RETRY_CAP, RETRY_BASE * 2**tries)))  # noqa: S311
    return min(tries + 1, 16)
