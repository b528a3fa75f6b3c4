"""The broadcaster's thread: started from any thread, stopped from any thread, and never mistaken for a parent process's."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from sqla_realtime.brokers.base import Broker
from sqla_realtime.brokers.forks import watch
from sqla_realtime.hub.house import House
from sqla_realtime.schema.registry import Registry
from sqla_realtime.server.broadcaster import Broadcaster
from sqla_realtime.server.doors import Application
from sqla_realtime.server.port import Place, take
from sqla_realtime.settings import Settings
from sqla_realtime.transports.family import Family
from sqla_realtime.transports.handover import BEHIND
from sqla_realtime.transports.quiet import discretion
from sqla_realtime.transports.siblings import Siblings

log = logging.getLogger(__name__)


# How often whoever waits for the loop looks whether it still runs.
LOOK = 0.05


class Runner:
    """One start and one stop of a broadcaster in a daemon thread of this process, beside those of its family."""

    def __init__(
        self, registry: Registry, settings: Settings, application: Application, broker: Broker, family: Family | None
    ) -> None:
        self._parts = (registry, settings, application, broker)
        self._settings = settings
        self._broker = broker
        self._family = family
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Event = asyncio.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._broadcaster: Broadcaster | None = None
        self._timeout = 2.0
        self._place = Place([])
        self.pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="sqla-realtime", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on, from ``start`` on."""
        return self._place.port

    @property
    def alive(self) -> bool:
        """Whether the thread runs, in this very process: threads do not survive a fork."""
        return self.pid == os.getpid() and self._thread.is_alive()

    def wants(self, pattern: str) -> bool:
        """Whether anybody can receive changes of this pattern. Any thread."""
        broadcaster = self._broadcaster
        return broadcaster is not None and broadcaster.hub.wants(pattern)

    def order(self, order: Callable[[House], None], timeout: float) -> None:
        """Have something done on the loop, and return when it is done; at once where nothing runs. Any thread.

        Raises what it raises, and TimeoutError where the loop is not free in time: then it is done as soon as it is.
        """
        broadcaster = self._broadcaster
        if broadcaster is None or not self.alive:
            return
        if threading.current_thread() is self._thread:
            order(broadcaster.house)
            return
        done: Future[None] = Future()

        def obey() -> None:
            try:
                order(broadcaster.house)
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        try:
            self._loop.call_soon_threadsafe(obey)
        except RuntimeError:  # the loop has been closed meanwhile
            return
        deadline = time.monotonic() + timeout
        while not wait([done], LOOK).done:
            if not self._thread.is_alive():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"The broadcaster has not answered for {timeout:.0f} s: its loop is blocked. [not-confirmed]"
                )
        done.result()

    def start(self) -> None:
        """Listen, and return once clients are accepted. Raises PortInUse."""
        settings = self._settings
        try:
            self._place = take(settings.host, settings.port, self._family, shared=self._broker.shared)
        except BaseException:
            self._loop.close()
            raise
        watch(self)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout: float = 2.0) -> None:
        """Say goodbye to the clients and end the thread. Does nothing where it does not run."""
        if not self.alive:
            return
        self._timeout = timeout
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout + 5.0)

    def abandon(self) -> None:
        """In a forked child: close what was inherited, or clients would connect to nobody. The loop is the parent's."""
        self._place.close()
        if self._broadcaster is not None:
            self._broadcaster.abandon()
            self._broadcaster = None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with discretion():
                self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
            log.exception("The broadcaster has ended. [broadcaster-failed]")
        finally:
            self._broadcaster = None
            self._ready.set()
            self._place.close()
            self._loop.run_until_complete(self._wind_up())
            self._loop.close()

    async def _wind_up(self) -> None:
        """End what is still under way, such as a rule that takes long. It is not waited for beyond reason."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        await self._loop.shutdown_asyncgens()

    async def _serve(self) -> None:
        registry, settings, application, broker = self._parts
        siblings = None
        if self._family is not None and self._place.door is not None:
            siblings = Siblings(self._family, self._place.door, settings.max_header + settings.max_body + BEHIND)
        position = await broker.start()
        broadcaster = Broadcaster(registry, settings, application, broker, position, siblings=siblings)
        await broadcaster.open(self._place.sockets)
        self._broadcaster = broadcaster
        self._ready.set()
        await self._stopping.wait()
        await broadcaster.close(self._timeout)
