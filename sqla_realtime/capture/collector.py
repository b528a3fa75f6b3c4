"""Turns what a transaction touched into its Commit: the stored rows, read once, as each channel may see them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.orm import Mapper

from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.relations import Relations, lock
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
        self._relations = Relations(registry, wants)
        self._readers: dict[tuple[Mapper[Any], tuple[Publication, ...]], Reader] = {}

    def __call__(self, connection: Connection, ledger: Ledger) -> Commit:
        net: dict[Any, Touch] = {}
        try:
            net = ledger.tracker.net()
            return self._collect(connection, ledger, net)
        except Exception:
            log.exception("The rows of a transaction could not be collected; their readers reload. [capture-failed]")
            return Commit((), frozenset(self._doubt(ledger.lost | {touch.subject for touch in net.values()})))

    def _doubt(self, mappers: Iterable[Mapper[Any]]) -> set[str]:
        """The patterns of rows of these mappers, whatever subclass they may be."""
        return {text for mapper in mappers for text in self._registry.patterns(mapper)}

    def _collect(self, connection: Connection, ledger: Ledger, net: Mapping[Any, Touch]) -> Commit:
        doubt = self._doubt(ledger.lost)
        net = self._relations.expand(connection, ledger, dict(net), doubt)
        told: list[tuple[int, Change]] = []
        for mapper, rows in self._by_class(connection, ledger, net).items():
            mappers = {mapper, *(touch.subject for touch in rows.values())}
            publications = dict.fromkeys(one for each in mappers for one in self._registry.of(each).publications)
            wanted = [each for each in publications if self._wants(each.pattern.text)]
            doubt.update(each.pattern.text for each in publications if each not in wanted)
            own = tuple(each for each in self._registry.of(mapper).publications if each in wanted)
            images = self._read(connection, ledger, mapper, own, rows) if own else {}
            if images is None or not _match(images, rows):
                doubt.update(each.pattern.text for each in wanted)
            else:
                found = (_Row(mapper, key, touch, images.get(key)) for key, touch in rows.items())
                told += _tell(found, wanted, doubt)
        told.sort(key=lambda item: item[0])
        return Commit(tuple(change for _, change in told), frozenset(doubt))

    def _by_class(
        self, connection: Connection, ledger: Ledger, net: Mapping[Any, Touch]
    ) -> dict[Mapper[Any], dict[Key, Touch]]:
        """The touched rows by what they are mapped by now, which is not what it was where a discriminator was rewritten."""
        found: dict[Mapper[Any], dict[Key, Touch]] = defaultdict(dict)
        unsure: dict[Mapper[Any], dict[Key, Touch]] = defaultdict(dict)
        for (_, key), touch in net.items():
            family = self._registry.of(touch.subject)
            if touch.kind != "destroy" and family.shifts(touch.touched):
                unsure[family.root][key] = touch
            else:
                found[touch.subject][key] = touch
        for root, rows in unsure.items():
            images = self._read(connection, ledger, root, (), rows) or {}
            for key, touch in rows.items():
                found[images[key].mapper if key in images else touch.subject][key] = touch
        return found

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
                lock(connection, publications, keys)
                return reader.by_key(connection, keys)
        except Exception:
            log.exception("Rows of %s could not be read; their readers reload. [read-failed]", mapper.class_.__name__)
            return None


class _Row(NamedTuple):
    """One touched row: what it is mapped by, which its touch may tell otherwise, and its image where it is stored."""

    mapper: Mapper[Any]
    key: Key
    touch: Touch
    image: Image | None

    @property
    def id(self) -> str:
        return key_text(self.key) if self.image is None else self.image.id


def _match(images: dict[Key, Image], rows: Mapping[Key, Touch]) -> bool:
    """Give each row its image, where the database spells its key otherwise than the application did (7 for "7").

    False where images are left over: a row is stored under a key by which nobody here knows it.
    """
    strangers = {image.id: key for key, image in images.items() if key not in rows}
    if strangers:
        for key in rows:
            if key not in images and key_text(key) in strangers:
                images[key] = images.pop(strangers.pop(key_text(key)))
    return not strangers


def _tell(rows: Iterable[_Row], publications: Sequence[Publication], doubt: set[str]) -> Iterator[tuple[int, Change]]:
    """Every change of these rows with its place in the transaction; adds to ``doubt`` what can't be told."""
    for row in rows:
        for publication in publications:
            places = _places(publication, row)
            if places is None:
                doubt.add(publication.pattern.text)
                continue
            old, new = places
            try:
                for change in _changes(publication, row, old, new):
                    yield row.touch.order, change
            except Exception:
                log.exception("A row of %s has no record; its readers reload. [record-failed]", row.mapper.class_.__name__)
                doubt.update(old, new)


def _places(publication: Publication, row: _Row) -> tuple[Collection[str], Collection[str]] | None:
    """The channels that the row was in and is in, or None where that can't be told."""
    try:
        was = row.touch.subject
        old = _old_channels(publication, row) if was is row.mapper or was.isa(publication.mapper) else ()
        is_one = row.image is not None and (was is row.mapper or row.mapper.isa(publication.mapper))
        new = publication.channels(row.image.values) if row.image is not None and is_one else ()
    except Exception:
        log.exception("The channels of a row of %s are not known. [route-failed]", row.mapper.class_.__name__)
        return None
    return None if old is None else (old, new)


def _old_channels(publication: Publication, row: _Row) -> tuple[str, ...] | None:
    """The channels that the row was in before the transaction, or None where that is not known."""
    touch, image = row.touch, row.image
    if touch.kind == "create":
        return ()
    values = dict(touch.before)
    for name in publication.decisive:
        if name not in values:
            # Where it was not touched, the row as it is now says what it was.
            if image is None or touch.touched is None or name in touch.touched:
                return None
            values[name] = image.values[name]
    return publication.channels(values)


def _changes(publication: Publication, row: _Row, old: Collection[str], new: Collection[str]) -> Iterator[Change]:
    """What one publication tells of one row, whose channels were ``old`` and are ``new``; its record is made once."""
    cls, image = publication.cls(row.mapper), row.image
    if row.mapper is not row.touch.subject and publication.cls(row.touch.subject) != cls:
        # The class is part of the key: to whoever knows the one, the other is another row.
        yield from (Change(channel, "destroy", publication.cls(row.touch.subject), row.id) for channel in old)
        record = publication.recorder.dump(image.source) if image is not None and new else None
        yield from (Change(channel, "create", cls, row.id, record) for channel in new)
        return
    changed = _changed(publication, row.touch, image) if image is not None and not set(old).isdisjoint(new) else ()
    entered = [channel for channel in new if channel not in old]
    record = publication.recorder.dump(image.source) if image is not None and (entered or changed) else None
    for channel in old:
        if channel not in new:
            yield Change(channel, "destroy", cls, row.id, cause=None if image is None else "leave")
        elif changed:
            yield Change(channel, "update", cls, row.id, record, changed)
    for channel in entered:
        yield Change(channel, "create", cls, row.id, record, cause=None if row.touch.kind == "create" else "enter")


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
    for embed in fields.embeds:
        if touch.touched is None or embed.name in touch.touched or not embed.local_keys.isdisjoint(touch.touched):
            differ.add(fields.attributes[embed.name])
    # What nobody knows the causes of counts as different where anything of the row itself was touched.
    own = touch.touched is None or not touch.touched <= {embed.name for embed in fields.embeds}
    opaque = fields.opaque if own else frozenset()
    return tuple(spelled for spelled in publication.spelled if spelled in differ or spelled in opaque)


def _differs(old: Any, new: Any) -> bool:
    try:
        return bool(old != new)
    except Exception:
        # Arrays and other values without a plain answer: taken for new ones.
        return True
