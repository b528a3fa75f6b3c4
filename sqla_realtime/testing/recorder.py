"""The Recorder: everything that an application's Sessions commit, for assertions about what was published and what was not."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Self

from pydantic_core import to_jsonable_python
from sqlalchemy import inspect

from sqla_realtime.brokers.memory import MemoryBroker
from sqla_realtime.commit import Change, Commit
from sqla_realtime.errors import NotEnabled
from sqla_realtime.history import Bounds
from sqla_realtime.realtime import Realtime
from sqla_realtime.schema.keys import key_text

EVERYTHING = Bounds(count=2**53, size=2**53, age=math.inf)


class Recorder:
    """Records what the enabled Sessions of a Realtime commit, as if every channel had readers, until it is closed.

    ``savepoints``: for tests in a transaction that is always rolled back. What a Session that has joined it commits
    then counts as committed, at that moment, for this recorder and not for the running server, if there is one.
    """

    def __init__(self, realtime: Realtime, *, savepoints: bool = False) -> None:
        self._realtime = realtime
        self._savepoints = savepoints
        self._cleared = 0
        self._log = MemoryBroker(EVERYTHING, realtime.settings.commit_patience)
        realtime._hooks.tap(self._log, savepoints=savepoints)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Record nothing more. What was recorded stays readable."""
        self._realtime._hooks.untap(self._log)

    @property
    def commits(self) -> list[Commit]:
        """What was committed, in the log's order. Raises NotEnabled where there is nothing to listen to."""
        if not self._realtime._hooks.enabled:
            raise NotEnabled
        return [entry.commit for entry in self._log.held()[self._cleared :]]

    @property
    def changes(self) -> list[Change]:
        """The changes of all commits."""
        return [change for commit in self.commits for change in commit.changes]

    def clear(self) -> None:
        """Forget what was recorded until now."""
        self._cleared = len(self._log.held())

    def assert_published(
        self,
        model: type[Any] | str | None = None,
        *,
        type: str | None = None,
        id: object = None,
        channel: str | None = None,
        record: Mapping[str, Any] | None = None,
        changed: Collection[str] | None = None,
    ) -> Change:
        """The first change that is all this; an AssertionError that lists what was published where there is none.

        ``model`` is the class, or its name on the wire; ``id`` the primary key, a tuple where it is composite;
        ``record`` some fields, compared as JSON; ``changed`` all names of the fields that differ.
        """
        __tracebackhide__ = True
        wanted: dict[str, Any] = {
            "class": None if model is None else self._names(model),
            "type": type,
            "id": None if id is None else key_text(id if isinstance(id, tuple) else (id,)),
            "channel": channel,
            "record": to_jsonable_python(record),
            "changed": None if changed is None else set(changed),
        }
        for change in self.changes:
            if _is(change, wanted):
                return change
        asked = ", ".join(f"{name} {value!r}" for name, value in wanted.items() if value is not None)
        raise AssertionError(f"No change was published with {asked or 'anything'}.\n{self._story()}")

    def assert_nothing_published(self) -> None:
        """An AssertionError that lists what was published, where something was."""
        __tracebackhide__ = True
        if self.commits:
            raise AssertionError(self._story())

    def _names(self, model: type[Any] | str) -> set[str]:
        if isinstance(model, str):
            return {model}
        mappers = inspect(model).self_and_descendants
        return {each.cls(mapper) for mapper in mappers for each in self._realtime._registry.of(mapper).publications}

    def _story(self) -> str:
        lines = []
        for number, commit in enumerate(self.commits, 1):
            lines.append(f"Commit {number}:")
            lines += [f"  {_line(change)}" for change in commit.changes]
            lines += [f"  invalidate {name}" for name in sorted(commit.invalidated)]
        lines = lines or ["Nothing was published. Is the Session one that enable() was given, and its model published?"]
        if self._realtime._hooks.waiting:
            lines.append("Rows were changed in a transaction that has not been committed.")
            if not self._savepoints:
                lines.append("If your tests roll it back: Recorder(realtime, savepoints=True), or `realtime_connection`.")
        return "\n".join(lines)


def _is(change: Change, wanted: Mapping[str, Any]) -> bool:
    names, record, changed = wanted["class"], wanted["record"], wanted["changed"]
    if names is not None and change.cls not in names:
        return False
    if any(wanted[name] not in (None, getattr(change, name)) for name in ("type", "id", "channel")):
        return False
    if record is not None:
        found = json.loads(change.record or b"{}")
        if any(name not in found or found[name] != value for name, value in record.items()):
            return False
    return changed is None or changed == set(change.changed)


def _line(change: Change) -> str:
    words = [change.type, change.cls, change.id, "in", change.channel]
    words += [f"({change.cause})"] if change.cause else []
    words += ["changed " + ", ".join(change.changed)] if change.changed else []
    return " ".join(words + ([change.record.decode()] if change.record is not None else []))
