"""Turns what a transaction touched into its Commit: the stored rows, read once, as each channel may see them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Mapper

from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.commit import Change, Commit
from sqla_realtime.schema.keys import key_text
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Image, Reader
from sqla_realtime.schema.registry import Registry

log = logging.getLogger(__name__)

Key = tuple[Any, ...]
_UNKNOWN = object()


class Collector:
    """Called at the last moment before COMMIT, on the Connection that is about to commit. Never raises.

    What cannot be told row by row, because a row could not be read or a schema refused it, is told as a channel that
    has changed. Patterns without readers are told so too, without reading anything.
    """

    def __init__(self, registry: Registry, wants: Callable[[str], bool]) -> None:
        self._registry = registry
        self._wants = wants
        self._readers: dict[tuple[Mapper[Any], tuple[Publication, ...]], Reader] = {}

    def __call__(self, connection: Connection, ledger: Ledger) -> Commit:
        net: dict[Any, Touch] = {}
        try:
            net = ledger.tracker.net()
            return self._collect(connection, ledger, net)
        except Exception:
            log.exception("The rows of a transaction could not be collected; their readers reload. [capture-failed]")
            mappers = ledger.lost | {touch.subject for touch in net.values()}
            return Commit((), frozenset(text for mapper in mappers for text in self._registry.of(mapper).patterns))

    def _collect(self, connection: Connection, ledger: Ledger, net: Mapping[Any, Touch]) -> Commit:
        doubt = {text for mapper in ledger.lost for text in self._registry.of(mapper).patterns}
        touched: dict[Mapper[Any], dict[Key, Touch]] = defaultdict(dict)
        for (_, key), touch in net.items():
            touched[touch.subject][key] = touch
        told: list[tuple[int, Change]] = []
        for mapper, rows in touched.items():
            publications = self._registry.of(mapper).publications
            wanted = [each for each in publications if self._wants(each.pattern.text)]
            doubt.update(each.pattern.text for each in publications if each not in wanted)
            images = self._read(connection, ledger, mapper, tuple(wanted), rows) if wanted else {}
            if images is None:
                doubt.update(each.pattern.text for each in wanted)
            else:
                told += _tell(mapper, wanted, rows, images, doubt)
        told.sort(key=lambda item: item[0])
        return Commit(tuple(change for _, change in told), frozenset(doubt))

    def _read(
        self,
        connection: Connection,
        ledger: Ledger,
        mapper: Mapper[Any],
        publications: tuple[Publication, ...],
        rows: Mapping[Key, Touch],
    ) -> dict[Key, Image] | None:
        """The stored images of the rows that are still there, or None where they could not be read."""
        keys = [key for key, touch in rows.items() if touch.kind != "destroy"]
        if not keys:
            return {}
        try:
            reader = self._readers.get((mapper, publications))
            if reader is None:
                reader = self._readers[mapper, publications] = Reader(mapper, publications)
            with aside(connection, ledger):
                return reader.by_key(connection, keys)
        except Exception:
            log.exception("Rows of %s could not be read; their readers reload. [read-failed]", mapper.class_.__name__)
            return None


def _tell(
    mapper: Mapper[Any],
    publications: list[Publication],
    rows: Mapping[Key, Touch],
    images: Mapping[Key, Image],
    doubt: set[str],
) -> Iterator[tuple[int, Change]]:
    """Every change of these rows with its place in the transaction; adds to ``doubt`` what can't be told."""
    for key, touch in rows.items():
        image = images.get(key)
        for publication in publications:
            old, new = _old_channel(publication, touch, image), _new_channel(publication, image)
            if old is _UNKNOWN:
                doubt.add(publication.pattern.text)
                continue
            try:
                for change in _changes(mapper, publication, key, touch, image, old, new):
                    yield touch.order, change
            except Exception:
                log.exception("A row of %s has no record; its readers reload. [record-failed]", mapper.class_.__name__)
                doubt.update(channel for channel in (old, new) if channel is not None)


def _old_channel(publication: Publication, touch: Touch, image: Image | None) -> Any:
    """The channel that the row was in before the transaction, None, or _UNKNOWN."""
    if touch.kind == "create":
        return None
    values = dict(touch.before)
    for name in publication.pattern.placeholders:
        if name not in values:
            # Where it was not touched, the row as it is now says what it was.
            if image is None or touch.touched is None or name in touch.touched:
                return _UNKNOWN
            values[name] = image.values[name]
    return publication.channel(values)


def _new_channel(publication: Publication, image: Image | None) -> str | None:
    return None if image is None else publication.channel(image.values)


def _changes(
    mapper: Mapper[Any],
    publication: Publication,
    key: Key,
    touch: Touch,
    image: Image | None,
    old: str | None,
    new: str | None,
) -> Iterator[Change]:
    """What one publication tells of one row, whose place was ``old`` and is ``new``."""
    cls, row_id = publication.cls(mapper), key_text(key)
    if image is None or new is None:
        if old is not None:
            yield Change(old, "destroy", cls, row_id, cause=None if image is None else "leave")
        return
    if old == new:
        changed = _changed(publication, touch, image)
        if changed:
            yield Change(new, "update", cls, row_id, publication.recorder.dump(image.source), changed)
        return
    record = publication.recorder.dump(image.source)
    if old is not None:
        yield Change(old, "destroy", cls, row_id, cause="leave")
    yield Change(new, "create", cls, row_id, record, cause=None if touch.kind == "create" else "enter")


def _changed(publication: Publication, touch: Touch, image: Image) -> tuple[str, ...]:
    """The record's fields that differ from what they were; one whose old value is unknown counts as different."""
    fields = publication.fields
    differ = {
        spelled
        for name, spelled in fields.attributes.items()
        if name in image.values
        and name not in fields.keys
        and (touch.touched is None or name in touch.touched)
        and _differs(touch.before.get(name, _UNKNOWN), image.values[name])
    }
    return tuple(spelled for spelled in fields.spelled if spelled in differ or spelled in fields.opaque)


def _differs(old: Any, new: Any) -> bool:
    try:
        return bool(old != new)
    except Exception:
        # Arrays and other values without a plain answer: taken for new ones.
        return True
