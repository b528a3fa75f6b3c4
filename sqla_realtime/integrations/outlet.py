"""What the relay sends of a commit: an event of Pusher's for each change, and `reset` where rows changed untold.

Pure: nothing is sent here. Channels whose rule is ``anyone`` have their public names, all others those with ``private-``.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from sqla_realtime.commit import Commit
from sqla_realtime.errors import BadSetting
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.pusher import told
from sqla_realtime.protocol.pusher_messages import MAX_DATA, compact
from sqla_realtime.protocol.pusher_names import parse, spell
from sqla_realtime.schema.registry import Registry
from sqla_realtime.schema.rules import anyone

log = logging.getLogger(__name__)

# So many channels' names are remembered.
KNOWN = 4096

# An event, as the library's ``trigger_batch`` takes it.
Sent = dict[str, str]


class Outlet:
    """One loop's. It has the channels of these patterns, or all. Raises BadSetting where a pattern is not published."""

    def __init__(self, registry: Registry, patterns: Collection[str] = ()) -> None:
        self._registry = registry
        known = {publication.pattern.text for publication in registry}
        for pattern in patterns:
            if pattern not in known:
                reason, remedy = f"{pattern!r} is not published", f"There are: {', '.join(sorted(known))}."
                raise BadSetting(name="--channel", source="the command", reason=reason, remedy=remedy)
        self._patterns = frozenset(patterns) or known
        self._called = lru_cache(KNOWN)(self._call)

    def events(self, commit: Commit) -> Iterator[Sent]:
        """The events of a commit, in order."""
        yield from self._resets(commit.invalidated, ErrorCode.INVALIDATED)
        for change in commit.changes:
            name = self._called(change.channel)
            if name is None:
                continue
            data = told(change)
            if len(data.encode()) > MAX_DATA:
                yield _reset(name, ErrorCode.TOO_LARGE)
            else:
                yield {"channel": name, "name": change.type, "data": data}

    def gap(self) -> Iterator[Sent]:
        """What is sent where commits were missed."""
        return self._resets(self._patterns, ErrorCode.BEHIND)

    def _resets(self, channels: Iterable[str], reason: ErrorCode) -> Iterator[Sent]:
        for channel in sorted(channels):
            if "{" not in channel:
                name = self._called(channel)
                if name is not None:
                    yield _reset(name, reason)
            elif channel in self._patterns:
                log.warning("Rows of %s changed unseen; which channels that are is not known. [relay-no-reset]", channel)

    def _call(self, channel: str) -> str | None:
        found = self._registry.channel(channel)
        if found is None or found.pattern.text not in self._patterns:
            return None
        wire = spell(channel, public=found.rule is anyone)
        name = parse(wire)
        if name is None or name.channel != channel:
            log.warning("Pusher has no name for %s, which is not relayed. [relay-no-name]", channel)
            return None
        return wire


def _reset(channel: str, reason: ErrorCode) -> Sent:
    return {"channel": channel, "name": "reset", "data": compact({"reason": str(reason)})}
