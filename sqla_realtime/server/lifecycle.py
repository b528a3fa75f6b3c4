"""The life of a Realtime's broadcaster: started and stopped from any thread, and told that rights have changed."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING

from sqla_realtime.brokers.base import Broker
from sqla_realtime.capture.hooks import Hooks
from sqla_realtime.commit import Commit, Order
from sqla_realtime.errors import GreenThreads, NotEnabled
from sqla_realtime.schema.registry import Registry
from sqla_realtime.server.doors import Application
from sqla_realtime.server.greenlets import patched_by
from sqla_realtime.settings import Settings
from sqla_realtime.transports.family import Family, can_share

if TYPE_CHECKING:
    from sqla_realtime.server.runner import Runner

log = logging.getLogger(__name__)


class Lifecycle:
    """The part of Realtime that is about running; Realtime itself makes what is declared here. Any thread."""

    settings: Settings
    _registry: Registry
    _broker: Broker
    _hooks: Hooks
    _application: Application
    _lock: threading.RLock
    _runner: Runner | None

    def start(self) -> None:
        """Start the broadcaster in a thread of this process and return once it accepts clients.

        Does nothing where it runs already. Raises NotEnabled, PortInUse, GreenThreads or LogUnreachable.
        """
        from sqla_realtime.server.runner import Runner

        with self._lock:
            if self._runner is not None and self._runner.alive:
                return
            library = patched_by()
            if library is not None:
                raise GreenThreads(library=library)
            if not self._hooks.enabled:
                raise NotEnabled
            for pattern in self._registry.unruled():
                log.warning("Channel %r has no rule, so nobody may join it. [no-rule]", pattern)
            for pattern in () if self.settings.pusher else self._registry.orphaned():
                log.warning("The rule of %r belongs to no publication; is it misspelt? [rule-without-rows]", pattern)
            runner = Runner(self._registry, self.settings, self._application, self._broker, self._family())
            runner.start()
            self._runner = runner
            atexit.register(runner.stop)

    def _family(self) -> Family | None:
        """Whom the port is shared with: those with this log, at the same path. None where it can't be."""
        place = self._broker.place() if can_share() else None
        return None if place is None else Family(f"{place} {self.settings.base}")

    def abandon(self) -> None:
        """In a forked child: begin anew. Another thread of the parent's may have been starting or stopping."""
        self._lock = threading.RLock()
        self._runner = None

    def stop(self, timeout: float = 2.0) -> None:
        """Tell the clients to come back later and end the broadcaster. Does nothing where it does not run."""
        with self._lock:
            if self._runner is not None:
                self._runner.stop(timeout)
                atexit.unregister(self._runner.stop)
                self._runner = None
            self._broker.close()

    def revoke(self, user: object, timeout: float = 5.0) -> None:
        """Look again what a user may see, by the id that ``token()`` or the session has: ``realtime.revoke(user=7)``.

        Call it after the commit that took the right away. When it returns, nothing that is committed from now on reaches
        the user's connections until they have been identified again and the rule of each channel has said yes again. They
        then go on without a gap; channels that are lost are emptied. It is about the connections of this process, and where
        processes share a log of all of them. Blocks until that is so. Raises TimeoutError.
        """
        self._order(Order("revoke", str(user)), timeout)

    def recheck(self, channel: str, timeout: float = 5.0) -> None:
        """Ask the rule of a channel again for everybody who is in it: ``realtime.recheck(channel="projects/5/pages")``,
        or of all channels of a pattern: ``"projects/{project_id}/pages"``. Everything else as with ``revoke``."""
        self._order(Order("recheck", channel), timeout)

    def _order(self, order: Order, timeout: float) -> None:
        if self._broker.shared:
            self._broker.enter(Commit((), orders=(order,))).result(timeout)
        runner = self._runner
        if runner is not None:
            runner.order(lambda house: house.obey(order), timeout)

    @property
    def running(self) -> bool:
        """Whether a broadcaster runs in this process."""
        return self._runner is not None and self._runner.alive

    @property
    def port(self) -> int:
        """The port that the running broadcaster listens on, otherwise the one that is set."""
        return self._runner.port if self._runner is not None and self._runner.alive else self.settings.port

    def _wants(self, pattern: str) -> bool:
        runner = self._runner
        return self._broker.shared or (runner is not None and runner.wants(pattern))
