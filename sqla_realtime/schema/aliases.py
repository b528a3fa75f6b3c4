"""The names by which foreign clients know channels: each publication's alias, with the placeholders of its pattern."""

from __future__ import annotations

from typing import NamedTuple

from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry

# So many classes of channels are remembered.
KNOWN = 4096


class Aliased(NamedTuple):
    """What a class of rows is in a channel: the publication that sends them, and the channel's other name."""

    publication: Publication
    name: str


class Aliases:
    """The aliases of a Registry. Any thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, str], Aliased | None] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return any(publication.alias is not None for publication in self._registry)

    def channels(self, name: str) -> tuple[str, ...]:
        """The channels that this is another name of: none, or several, where publications share it."""
        found: dict[str, None] = {}
        for publication in self._registry:
            values = None if publication.alias is None else publication.alias.match(name, publication.parameters)
            channel = None if values is None else publication.pattern.name(values, publication.parameters)
            if channel is not None:
                found[channel] = None
        return tuple(found)

    def of(self, channel: str, cls: str) -> Aliased | None:
        """What a change of this class in a channel is by its other name, None where it has none."""
        if (channel, cls) not in self._known:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[channel, cls] = self._find(channel, cls)
        return self._known[channel, cls]

    def _find(self, channel: str, cls: str) -> Aliased | None:
        found = self._registry.channel(channel)
        for publication in () if found is None else found.publications:
            if found is not None and publication.alias is not None and cls in publication.classes:
                name = publication.alias.name(found.values, publication.parameters)
                return None if name is None else Aliased(publication, name)
        return None
