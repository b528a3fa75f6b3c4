"""Images of rows that need not be read, or not whole: what their flush stored, or what the objects held if that will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Mapper

from sqla_realtime.capture.ground import Ground
from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.kept import Kept
from sqla_realtime.capture.ledger import Ledger
from sqla_realtime.capture.tracker import Touch
from sqla_realtime.schema.mapping import tables_of
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Image, Places

Key = tuple[Any, ...]


class Unread:
    """Called before COMMIT, on the Connection that is about to commit. Raises what the database raises."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._places: dict[tuple[Mapper[Any], frozenset[str]], Places] = {}

    def __call__(
        self,
        connection: Connection,
        ledger: Ledger,
        *,
        mapper: Mapper[Any],
        publications: tuple[Publication, ...],
        rows: Mapping[Key, Touch],
    ) -> dict[Key, Image]:
        """The images of those of these rows for which that is enough; the others must be read."""
        kept = {
            key: touch.kept
            for key, touch in (rows.items() if publications else ())
            if touch.kept is not None and touch.subject is mapper and touch.kind != "destroy"
        }
        if not kept:
            return {}
        images = self._stored(connection, ledger, mapper, kept) if ledger.alone else {}
        if len(images) < len(kept) and all(each.read == "attributes" for each in publications):
            rest = {key: each for key, each in kept.items() if key not in images}
            decisive = frozenset(name for each in publications for name in each.decisive)
            images |= self._held(connection, ledger, mapper=mapper, decisive=decisive, kept=rest)
        return images

    def _stored(
        self, connection: Connection, ledger: Ledger, mapper: Mapper[Any], kept: Mapping[Key, Kept]
    ) -> dict[Key, Image]:
        """New rows that the database keeps just as they were given to it."""
        if not any(exact for _, _, exact in kept.values()):
            return {}
        tables = tables_of(mapper)
        holds = self._ground.recall(connection, tables)
        if holds is None:
            with aside(connection, ledger):
                holds = self._ground.look(connection, tables)
        return _images(mapper, ((key, names, row) for key, (names, row, exact) in kept.items() if exact)) if holds else {}

    def _held(
        self,
        connection: Connection,
        ledger: Ledger,
        *,
        mapper: Mapper[Any],
        decisive: frozenset[str],
        kept: Mapping[Key, Kept],
    ) -> dict[Key, Image]:
        """What the objects held, in the channels where the rows are: an object may not know that its row was moved."""
        images = _images(mapper, ((key, names, row) for key, (names, row, _) in kept.items()))
        if not decisive:
            return images
        places = self._places.get((mapper, decisive))
        if places is None:
            places = self._places[mapper, decisive] = Places(mapper, sorted(decisive))
        found = {}
        with aside(connection, ledger):
            for key, place in places(connection, list(kept)):
                if key in images:
                    found[key] = images[key]
                    found[key].values.update(place)
        return found


def _images(mapper: Mapper[Any], rows: Iterable[tuple[Key, tuple[str, ...], tuple[Any, ...]]]) -> dict[Key, Image]:
    images = {}
    for key, names, row in rows:
        values = dict(zip(names, row, strict=True))
        images[key] = Image(key, mapper, values, values)
    return images
