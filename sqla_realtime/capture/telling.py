"""What one touched row amounts to for each publication: the channels that it was in and is in, and what differs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.orm import Mapper

from sqla_realtime.capture.tracker import Touch
from sqla_realtime.commit import Cause, Change, ChangeType
from sqla_realtime.schema.keys import key_text
from sqla_realtime.schema.publication import SETS, Publication
from sqla_realtime.schema.reader import Image

log = logging.getLogger(__name__)

Key = tuple[Any, ...]
_UNKNOWN = object()


class Told(NamedTuple):
    """Changes and, beside each, its place in the transaction."""

    orders: list[int]
    changes: list[Change]

    def in_order(self) -> tuple[Change, ...]:
        """The changes as they were made."""
        orders, changes = self
        return tuple([changes[place] for place in sorted(range(len(orders)), key=orders.__getitem__)])


class Row(NamedTuple):
    """One touched row: what it is mapped by, which its touch may tell otherwise, and its image where it is stored."""

    mapper: Mapper[Any]
    key: Key
    touch: Touch
    image: Image | None

    @property
    def id(self) -> str:
        return key_text(self.key) if self.image is None else self.image.id


def tell(rows: Iterable[Row], publications: Sequence[Publication], told: Told, doubt: set[str]) -> None:
    """Add every change of these rows, with its place in the transaction; adds to ``doubt`` what can't be told."""
    for row in rows:
        for publication in publications:
            found_places = places(publication, row)
            if found_places is None:
                doubt.add(publication.pattern.text)
                continue
            old, new = found_places
            try:
                found = _simple(publication, row, old, new)
                if found is None:
                    found = list(_changes(publication, row, old, new))
                told.changes.extend([each._replace(side=True) for each in found] if row.touch.side else found)
                told.orders.extend([row.touch.order] * len(found))
            except Exception:
                log.exception("A row of %s has no record; its readers reload. [record-failed]", row.mapper.class_.__name__)
                doubt.update(old, new)


def places(publication: Publication, row: Row) -> tuple[Collection[str], Collection[str]] | None:
    """The channels that the row was in and is in, or None where that can't be told."""
    try:
        was = row.touch.subject
        if row.touch.kind == "create" and was is row.mapper:
            return (), publication.channels(row.image.values) if row.image is not None else ()
        if was is row.mapper and row.image is not None and _stays(publication, row.touch):
            new = publication.channels(row.image.values)
            return new, new
        old = _old_channels(publication, row) if was is row.mapper or was.isa(publication.mapper) else ()
        is_one = row.image is not None and (was is row.mapper or row.mapper.isa(publication.mapper))
        new = publication.channels(row.image.values) if row.image is not None and is_one else ()
    except Exception:
        log.exception("The channels of a row of %s are not known. [route-failed]", row.mapper.class_.__name__)
        return None
    return None if old is None else (old, new)


def _stays(publication: Publication, touch: Touch) -> bool:
    """Whether a stored row is where it was: nothing was touched that decides that, and nothing else known of before."""
    if touch.kind == "create" or touch.touched is None or touch.before:
        return False
    return publication.decisive.isdisjoint(touch.touched)


def _old_channels(publication: Publication, row: Row) -> tuple[str, ...] | None:
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


def _simple(publication: Publication, row: Row, old: Collection[str], new: Collection[str]) -> list[Change] | None:
    """The same as _changes for most rows: new ones, and those that stay where they are. None for any other."""
    mapper, _, touch, image = row
    if image is None or mapper is not touch.subject:
        return None
    if touch.kind == "create":
        if old:
            return None
        kind: ChangeType = "create"
        changed: tuple[str, ...] = ()
    elif old is new:
        kind, changed = "update", _changed(publication, touch, image)
        if not changed:
            return []
    else:
        return None
    record = publication.recorder.dump(image.source) if new else None
    return [Change(channel, kind, publication.cls(mapper), image.id, record, changed) for channel in new]


def _changes(publication: Publication, row: Row, old: Collection[str], new: Collection[str]) -> Iterator[Change]:
    """What one publication tells of one row, whose channels were ``old`` and are ``new``; its record is made once."""
    cls, image = publication.cls(row.mapper), row.image
    if row.mapper is not row.touch.subject and publication.cls(row.touch.subject) != cls:
        # The class is part of the key: to whoever knows the one, the other is another row.
        yield from (Change(channel, "destroy", publication.cls(row.touch.subject), row.id) for channel in old)
        record = publication.recorder.dump(image.source) if image is not None and new else None
        yield from (Change(channel, "create", cls, row.id, record) for channel in new)
        return
    if not old and image is not None:
        record = publication.recorder.dump(image.source) if new else None
        cause: Cause | None = None if row.touch.kind == "create" else "enter"
        yield from [Change(channel, "create", cls, row.id, record, (), cause) for channel in new]
        return
    if old == new and image is not None:
        changed = _changed(publication, row.touch, image)
        record = publication.recorder.dump(image.source) if changed else None
        yield from [Change(channel, "update", cls, row.id, record, changed) for channel in new if changed]
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
    if touch.before:
        return _compared(publication, touch.before, touch.touched, image.values)
    # Most updates: nothing is known of before, so what was touched counts, in every row alike.
    known = publication.shown.get(touch.touched)
    if known is None:
        known = _compared(publication, touch.before, touch.touched, image.values)
        if len(publication.shown) < SETS:
            publication.shown[touch.touched] = known
    return known


def _compared(
    publication: Publication, before: Mapping[str, Any], touched: frozenset[str] | None, values: Mapping[str, Any]
) -> tuple[str, ...]:
    fields = publication.fields
    differ = {
        fields.attributes[name]
        for name in (fields.attributes if touched is None else touched)
        if name in fields.attributes
        and name in values
        and name not in fields.keys
        and _differs(before.get(name, _UNKNOWN), values[name])
    }
    for embed in fields.embeds:
        if touched is None or embed.name in touched or not embed.local_keys.isdisjoint(touched):
            differ.add(fields.attributes[embed.name])
    # What nobody knows the causes of counts as different where anything of the row itself was touched.
    own = touched is None or not touched <= {embed.name for embed in fields.embeds}
    opaque = fields.opaque if own else frozenset()
    if not differ and not opaque:
        return ()
    return tuple([spelled for spelled in publication.spelled if spelled in differ or spelled in opaque])


def _differs(old: Any, new: Any) -> bool:
    try:
        return bool(old != new)
    except Exception:
        # Arrays and other values without a plain answer: taken for new ones.
        return True
