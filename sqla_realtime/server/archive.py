"""A channel's rows, read from the application's database in a worker thread, within a time and up to a number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqla_realtime.hub.doors import Archive, Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Row
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import Reader
from sqla_realtime.schema.registry import Channel, Registry
from sqla_realtime.server.doors import NO_SUCH_CHANNEL, Application, Workers
from sqla_realtime.settings import Settings

log = logging.getLogger(__name__)


class DatabaseArchive(Archive):
    """Reads a channel's rows with the SELECT that its pattern is."""

    def __init__(self, registry: Registry, settings: Settings, application: Application, workers: Workers) -> None:
        self._registry = registry
        self._limit = settings.snapshot_rows
        self._patience = settings.snapshot_timeout
        self._application = application
        self._workers = workers
        self._readers: dict[Publication, Reader] = {}

    async def rows(self, channel: str) -> Sequence[Row]:
        found = self._registry.joinable(channel)
        if found is None:
            raise Refused(ErrorCode.FORBIDDEN, NO_SUCH_CHANNEL)
        if not found.publications:
            return []
        try:
            async with asyncio.timeout(self._patience):
                return await self._workers.run(self._read, found)
        except TimeoutError:
            # Its thread goes on to wait for the database, and is free again when that answers or the driver gives up.
            log.warning("The rows of %s were not read in %s s. [snapshot-slow]", found.pattern.text, self._patience)
            raise Refused(ErrorCode.SNAPSHOT_FAILED, "The database takes too long; try again.") from None

    def _read(self, channel: Channel) -> list[Row]:
        if self._application.session is None:
            log.error(
                "Snapshots can't be read: enable() was given nothing that makes Sessions. "
                "Pass a sessionmaker, or enable(Session, bind=engine). [no-bind]"
            )
            raise Refused(ErrorCode.SNAPSHOT_FAILED, "The rows could not be read.")
        rows: list[Row] = []
        with self._application.session() as session:
            for publication in channel.publications:
                connection = session.connection(bind_arguments={"mapper": publication.mapper})
                rows += self._records(publication, connection, channel.values)
        if len(rows) > self._limit:
            raise Refused(ErrorCode.SNAPSHOT_TOO_LARGE, f"This channel has more than {self._limit} rows.")
        return rows

    def _records(self, publication: Publication, connection: Any, values: Mapping[str, Any]) -> list[Row]:
        reader = self._readers.get(publication)
        if reader is None:
            reader = self._readers[publication] = Reader(publication.mapper, [publication])
        images = reader.where(connection, publication, values, self._limit + 1)
        return [Row(publication.cls(image.mapper), image.id, publication.recorder.dump(image.source)) for image in images]
