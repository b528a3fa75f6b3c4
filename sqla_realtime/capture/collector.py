"""Turns what a transaction touched into its Commit: the stored rows, read once, as each channel may see them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Mapper

from sqla_realtime.capture.ground import Ground
from sqla_realtime.capture.guard import aside, check
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.relations import Relations, lock
from sqla_realtime.capture.telling import Row, Told, tell
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.capture.unread import Unread
from sqla_realtime.commit import Commit
from sqla_realtime.schema.keys import key_text
from sqla_realtime.schema.lookup import CHUNK
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Image, Reader
from sqla_realtime.schema.registry import Registry

log = logging.getLogger(__name__)

Key = tuple[Any, ...]


class Collector:
    """Called at the last moment before COMMIT, on the Connection that is about to commit. Raises nothing but what has taken
    the transaction with it.

    What cannot be told row by row, because a row could not be read or a schema refused it, is told as a channel that
    has changed. Patterns without readers are told so too, without reading anything.
    """

    def __init__(self, registry: Registry, wants: Callable[[str], bool], ground: Ground) -> None:
        self._registry = registry
        self._wants = wants
        self._relations = Relations(registry, wants)
        self._unread = Unread(ground)
        self._readers: dict[tuple[Mapper[Any], tuple[Publication, ...]], Reader] = {}

    def __call__(self, connection: Connection, ledger: Ledger) -> Commit:
        commit = self._made(connection, ledger)
        check(ledger)
        return commit

    def _made(self, connection: Connection, ledger: Ledger) -> Commit:
        net: dict[Any, Touch] = {}
        try:
            net = ledger.tracker.net()
            if not net:
                return Commit((), frozenset(self._doubt(ledger.tracker.doubts())))
            return self._collect(connection, ledger, net)
        except Exception:
            log.exception("The rows of a transaction could not be collected; their readers reload. [capture-failed]")
            return Commit((), frozenset(self._doubt({*ledger.tracker.doubts(), *(touch.subject for touch in net.values())})))

    def _doubt(self, subjects: Iterable[Mapper[Any] | str]) -> set[str]:
        """The patterns of rows of these mappers, whatever subclass they may be; a pattern stands for itself."""
        patterns = self._registry.patterns
        return {text for each in subjects for text in ((each,) if isinstance(each, str) else patterns(each))}

    def _collect(self, connection: Connection, ledger: Ledger, net: Mapping[Any, Touch]) -> Commit:
        doubt = self._doubt(ledger.tracker.doubts())
        net = self._relations.expand(connection, ledger, dict(net), doubt)
        told = Told([], [])
        for mapper, rows in self._by_class(connection, ledger, net, doubt).items():
            mappers = {mapper, *(touch.subject for touch in rows.values())}
            publications = dict.fromkeys(one for each in mappers for one in self._registry.of(each).publications)
            wanted = [each for each in publications if self._wants(each.pattern.text)]
            doubt.update(each.pattern.text for each in publications if each not in wanted)
            own = tuple(each for each in self._registry.of(mapper).publications if each in wanted)
            more = self._tell(connection, ledger, mapper=mapper, rows=rows, own=own, wanted=wanted, doubt=doubt)
            if more is None:
                doubt.update(each.pattern.text for each in wanted)
            else:
                told.orders.extend(more.orders)
                told.changes.extend(more.changes)
        return Commit(told.in_order(), frozenset(doubt))

    def _tell(
        self,
        connection: Connection,
        ledger: Ledger,
        *,
        mapper: Mapper[Any],
        rows: dict[Key, Touch],
        own: tuple[Publication, ...],
        wanted: Sequence[Publication],
        doubt: set[str],
    ) -> Told | None:
        """What the rows of one mapper amount to, None where they can't be read; adds to ``doubt`` what can't be told.

        They are read and told in portions, so that their images never are in memory all at once.
        """
        told = Told([], [])
        for portion in _portions(rows) if wanted else ():
            images = self._read(connection, ledger, mapper, own, portion) if own else {}
            if images is None or not _match(images, portion):
                return None
            found = (Row(mapper, key, touch, images.get(key)) for key, touch in portion.items())
            tell(found, wanted, told, doubt)
        return told

    def _by_class(
        self, connection: Connection, ledger: Ledger, net: Mapping[Any, Touch], doubt: set[str]
    ) -> dict[Mapper[Any], dict[Key, Touch]]:
        """The touched rows by what they are mapped by now, which is not what it was where a discriminator was rewritten.

        Adds to ``doubt`` the patterns of rows whose class could not be read.
        """
        found: dict[Mapper[Any], dict[Key, Touch]] = defaultdict(dict)
        unsure: dict[Mapper[Any], dict[Key, Touch]] = defaultdict(dict)
        families = {subject: self._registry.of(subject) for subject in {touch.subject for touch in net.values()}}
        shifting = {subject for subject, family in families.items() if family.kinds != frozenset()}
        for (_, key), touch in net.items():
            subject = touch.subject
            if subject in shifting and touch.kind != "destroy" and families[subject].shifts(touch.touched):
                unsure[families[subject].root][key] = touch
            else:
                found[subject][key] = touch
        for root, rows in unsure.items():
            images = self._read(connection, ledger, root, (), rows)
            if images is None:
                doubt |= self._doubt([root])
                continue
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
        try:
            images = self._unread(connection, ledger, mapper=mapper, publications=publications, rows=rows)
            keys = [key for key, touch in rows.items() if touch.kind != "destroy" and key not in images]
            if not keys:
                return images
            reader = self._readers.get((mapper, publications))
            if reader is None:
                reader = self._readers[mapper, publications] = Reader(mapper, publications)
            with aside(connection, ledger):
                lock(connection, publications, keys)
                return images | reader.by_key(connection, keys)
        except Exception:
            log.exception("Rows of %s could not be read; their readers reload. [read-failed]", mapper.class_.__name__)
            return None


def _portions(rows: dict[Key, Touch]) -> Iterator[dict[Key, Touch]]:
    if len(rows) <= CHUNK:
        yield rows
        return
    items = iter(rows.items())
    while portion := dict(islice(items, CHUNK)):
        yield portion


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
