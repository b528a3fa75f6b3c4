"""Records that embed related rows are sent again when those change: from the touched rows up to the rows that show them.

Up each relationship there is one SELECT per commit for the rows that show a touched row now, and the foreign keys that a
touched row had before tell who showed it then. A record is made of several rows, so its parts are locked while it is
read: otherwise two transactions that change two parts of one record could each tell it with the other's old part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.orm import Mapper, aliased

from sqla_realtime.capture.guard import aside
from sqla_realtime.capture.ledger import Ledger, row_key
from sqla_realtime.capture.tracker import Touch, compose
from sqla_realtime.schema.embeds import Embed
from sqla_realtime.schema.lookup import REPEATS
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.reader import key_conditions
from sqla_realtime.schema.registry import Registry

Key = tuple[Any, ...]
Net = dict[Any, Touch]


class Relations:
    """Adds to what a transaction touched the published rows that embed some of it."""

    def __init__(self, registry: Registry, wants: Callable[[str], bool]) -> None:
        self._registry = registry
        self._wants = wants

    def expand(self, connection: Connection, ledger: Ledger, net: Net, doubt: set[str]) -> Net:
        """The touches, and those of the rows that show them; adds to ``doubt`` the patterns whose rows are not known.

        Raises what the database raises.
        """
        whole = dict(net)
        for publication, embed in self._embeds():
            touched = {key[1]: touch for key, touch in whole.items() if shows(embed, touch)}
            if not touched:
                continue
            if not self._wants(publication.pattern.text) or not all(map(_told(embed), touched.values())):
                doubt.add(publication.pattern.text)
                continue
            with aside(connection, ledger):
                owners = _owners(connection, embed, touched)
            for key in owners:
                _show(whole, embed, key)
        return whole

    def _embeds(self) -> list[tuple[Publication, Embed]]:
        """Deepest first: what an inner relationship has touched, an outer one carries on."""
        found = [(publication, embed) for publication in self._registry for embed in publication.fields.embeds]
        return sorted(found, key=lambda each: -len(each[1].path))


def lock(connection: Connection, publications: Iterable[Publication], keys: Sequence[Key]) -> None:
    """Hold the parts of these rows' records until the transaction ends. Never waits: raises where somebody has one.

    SQLite has one writer at a time, and nothing to lock.
    """
    if connection.dialect.name == "sqlite":
        return
    for publication in publications:
        if publication.fields.embeds:
            own = _keys(publication.mapper, publication.model)
            for condition in key_conditions(own, keys):
                connection.execute(select(*own).where(condition).with_for_update(nowait=True))
                for embed in publication.fields.embeds:
                    connection.execute(_parts(publication, embed).where(condition))


def _parts(publication: Publication, embed: Embed) -> Any:
    """The rows at the end of a path, locked against change but not against each other."""
    statement = select(publication.model.__mapper__.primary_key[0])
    entity: Any = publication.model
    for step in embed.path:
        related = aliased(step.mapper.class_)
        statement = statement.join(getattr(entity, step.key).of_type(related))
        entity = related
    return statement.with_for_update(read=True, nowait=True, of=entity)


def _owners(connection: Connection, embed: Embed, touched: Mapping[Key, Touch]) -> set[Key]:
    """The keys of the parents that show one of the touched rows now, or did before."""
    model, related = embed.parent.class_, aliased(embed.related.class_)
    own = _keys(embed.parent, model)
    now = select(*own).join(getattr(model, embed.path[-1].key).of_type(related))
    conditions = [now.where(each) for each in key_conditions(_keys(embed.related, related), list(touched))]
    referred = [getattr(model, name) for name in embed.foreign_keys.values()]
    conditions += [select(*own).where(each) for each in key_conditions(referred, _before(embed, touched.values()))]
    if connection.dialect.name in REPEATS:
        conditions = [each.with_for_update(nowait=True) for each in conditions]
    return {tuple(row) for statement in conditions for row in connection.execute(statement)}


def _before(embed: Embed, touches: Iterable[Touch]) -> list[Key]:
    """What the touched rows referred to before the transaction, where that may have changed."""
    names = list(embed.foreign_keys)
    found = {tuple(touch.before[name] for name in names) for touch in touches if _moved(embed, touch)}
    return [key for key in found if None not in key]


def shows(embed: Embed, touch: Touch) -> bool:
    """Whether what was touched is among what the relationship shows."""
    if not touch.subject.isa(embed.related):
        return False
    if touch.kind != "update" or touch.touched is None or embed.opaque:
        return True
    return not touch.touched.isdisjoint((*embed.reads, *embed.foreign_keys))


def _moved(embed: Embed, touch: Touch) -> bool:
    """Whether a touched row may have referred to another parent before."""
    names = set(embed.foreign_keys)
    gone = touch.kind == "destroy" or touch.touched is None
    return bool(names) and touch.kind != "create" and (gone or not names.isdisjoint(touch.touched or ()))


def _told(embed: Embed) -> Callable[[Touch], bool]:
    return lambda touch: not _moved(embed, touch) or all(name in touch.before for name in embed.foreign_keys)


def _show(whole: Net, embed: Embed, key: Key) -> None:
    """A parent's record has changed, by what it shows."""
    row = row_key(embed.parent.base_mapper.class_, key)
    known = whole.get(row)
    last = max(touch.order for touch in whole.values())
    touch = Touch("update", embed.parent, {}, frozenset((embed.path[-1].key,)), last, side=True)
    if known is None:
        whole[row] = touch
    elif known.kind != "destroy":
        merged = compose(known, replace(touch, subject=known.subject))
        whole[row] = merged or known


def _keys(mapper: Mapper[Any], entity: Any) -> list[Any]:
    return [getattr(entity, mapper.get_property_by_column(column).key) for column in mapper.primary_key]
