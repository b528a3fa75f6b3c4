"""Reads stored rows of published models: one SELECT for the rows of a channel, one per 500 keys for changed rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, TableClause, event, select, tuple_
from sqlalchemy.orm import Mapper, ORMExecuteState, Session, undefer

from sqla_realtime.schema.keys import key_text
from sqla_realtime.schema.lookup import CHUNK, REPEATS, Lookup
from sqla_realtime.schema.publication import Publication


class Image(NamedTuple):
    """One stored row: ``values`` are its column attributes, ``source`` is what the schemas read."""

    key: tuple[Any, ...]
    mapper: Mapper[Any]
    values: dict[str, Any]
    source: object

    @property
    def id(self) -> str:
        """The row's key as text."""
        return key_text(self.key)


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock that a statement is about to take on rows of a table, neither more nor less.

    ``key``: it deletes them or changes their keys. Else rows that refer to them may come and go meanwhile.
    """

    table: TableClause
    key: bool


class Reader:
    """Reads rows of one mapper for some of its publications.

    Where every schema needs columns alone, or ``columns`` asks for no more, it fetches columns, without making
    instances; otherwise instances, in a Session of its own, with every attribute that the schemas name loaded.
    With ``columns`` the publications may be those of subclasses too, whose own columns are then read in a second SELECT.
    """

    def __init__(
        self,
        mapper: Mapper[Any],
        publications: Sequence[Publication],
        *,
        columns: bool = False,
        also: Iterable[str] = (),
    ) -> None:
        self._mapper = mapper
        self._model = mapper.class_
        self._keys = _key_names(mapper)
        self._publications = publications if columns else ()
        self._plain = columns or not any(publication.fields.needs_object for publication in publications)
        wanted = dict.fromkeys(self._keys)
        for publication in publications:
            names = (*sorted(publication.decisive), *publication.fields.attributes)
            wanted |= dict.fromkeys(name for name in names if name in mapper.column_attrs)
        wanted |= dict.fromkeys(also)
        self._embeds = [embed for publication in publications for embed in publication.fields.embeds]
        self._names = list(wanted)
        self._key_columns = [getattr(self._model, name) for name in self._keys]
        self._discriminator = mapper.polymorphic_on
        self._statement = self._select()

    def _select(self) -> Select[Any]:
        if not self._plain:
            deferred = [undefer(getattr(self._model, name)) for name in self._names if name not in self._keys]
            return select(self._model).options(*deferred, *(embed.option() for embed in self._embeds))
        columns = [getattr(self._model, name) for name in self._names]
        if self._discriminator is not None:
            columns.append(self._discriminator)
        return select(*columns)

    def by_key(
        self, connection: Connection, keys: Sequence[tuple[Any, ...]], lock: Lock | None = None
    ) -> dict[tuple[Any, ...], Image]:
        """The stored rows with these keys, locked in their order if so wanted; a key without a row is left out."""
        lookup = self._lookup
        if lock is not None:
            held = self._statement.order_by(*self._key_columns).with_for_update(of=lock.table, key_share=not lock.key)
            lookup = Lookup(self._key_columns, held)
        if self._plain:
            images = {image.key: image for image in self._images(lookup.rows(connection, keys))}
        else:
            statements = lookup(keys, connection.dialect.name)
            images = {image.key: image for each in statements for image in self._fetch_instances(connection, *each)}
        self._complete(connection, images.values())
        return images

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self._key_columns, self._statement)

    def matching(
        self,
        connection: Connection,
        condition: ColumnElement[bool] | None,
        limit: int,
        lock: Lock,
    ) -> list[Image]:
        """The rows that a statement's WHERE selects, ``limit`` at the most, locked until the transaction ends."""
        statement = self._statement.with_for_update(of=lock.table, key_share=not lock.key).limit(limit)
        if condition is not None:
            statement = statement.where(condition)
        images = list(self._fetch(connection, statement))
        self._complete(connection, images)
        return images

    def _complete(self, connection: Connection, images: Collection[Image]) -> None:
        """Add what the publications of subclasses read, and rows of this mapper alone do not have."""
        for mapper in {image.mapper for image in images} if self._publications else ():
            line = [each for each in self._publications if mapper.isa(each.mapper)]
            wanted = {name for each in line for name in (*each.decisive, *each.fields.attributes)}
            names = sorted(name for name in wanted if name in mapper.column_attrs and name not in self._names)
            if names:
                mine = {image.key: image for image in images if image.mapper is mapper}
                for key, values in read_attributes(connection, mapper, names, list(mine)).items():
                    mine[key].values.update(values)

    def where(self, connection: Connection, publication: Publication, values: Mapping[str, Any], limit: int) -> Iterator[Image]:
        """The rows of one channel in the order of their keys, ``limit`` at the most."""
        statement = self._statement.where(*publication.where(values)).order_by(*self._key_columns).limit(limit)
        return self._fetch(connection, statement)

    def _fetch(self, connection: Connection, statement: Select[Any]) -> Iterator[Image]:
        if self._plain:
            return self._images(connection.execute(statement))
        return self._fetch_instances(connection, statement)

    def _images(self, rows: Iterable[Sequence[Any]]) -> Iterator[Image]:
        arity, names, mapper = len(self._keys), self._names, self._mapper
        kinds = None if self._discriminator is None else mapper.polymorphic_map
        for row in rows:
            values = dict(zip(names, row, strict=False))
            of = mapper if kinds is None else kinds.get(row[-1], mapper)
            yield Image((row[0],) if arity == 1 else tuple(row[:arity]), of, values, values)

    def _fetch_instances(
        self, connection: Connection, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[Image]:
        # rollback_only: closing this Session must not end the transaction of the Connection that it borrows.
        with Session(connection, autoflush=False, join_transaction_mode="rollback_only") as session:
            if statement._for_update_arg is not None and connection.dialect.name in REPEATS:
                event.listen(session, "do_orm_execute", _as_stored)
            for instance in session.scalars(statement, parameters):
                values = {name: getattr(instance, name) for name in self._names}
                key = tuple(values[name] for name in self._keys)
                yield Image(key, type(instance).__mapper__, values, instance)
                session.expunge(instance)


def _as_stored(state: ORMExecuteState) -> None:
    """What is loaded along with rows that are read as they are stored is read so, too."""
    if state.is_relationship_load and isinstance(state.statement, Select):
        state.statement = state.statement.with_for_update(read=True, nowait=True)


class Places:
    """Reads the attributes that decide the channels of rows."""

    def __init__(self, mapper: Mapper[Any], names: Sequence[str]) -> None:
        columns = [getattr(mapper.class_, name) for name in _key_names(mapper)]
        self._names = names
        self._arity = len(columns)
        self._lookup = Lookup(columns, select(*columns, *(getattr(mapper.class_, name) for name in names)))

    def __call__(
        self, connection: Connection, keys: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[tuple[Any, ...], Iterable[tuple[str, Any]]]]:
        """Each key with its attributes."""
        for row in self._lookup.rows(connection, keys):
            yield tuple(row[: self._arity]), zip(self._names, row[self._arity :], strict=True)


class Origins:
    """Reads some column attributes of rows that are about to change, locked in the order of the keys until the
    transaction ends.

    ``key_lock``: they are about to be deleted, or their keys to change.
    """

    def __init__(self, mapper: Mapper[Any], names: Sequence[str], *, key_lock: bool = False) -> None:
        columns = [getattr(mapper.class_, name) for name in _key_names(mapper)]
        statement = select(*columns, *(getattr(mapper.class_, name) for name in names))
        self._names = names
        self._arity = len(columns)
        self._lookup = Lookup(columns, statement.order_by(*columns).with_for_update(key_share=not key_lock))

    def __call__(self, connection: Connection, keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], dict[str, Any]]:
        """The attributes of the rows with these keys."""
        names, arity = self._names, self._arity
        return {tuple(row[:arity]): dict(zip(names, row[arity:], strict=True)) for row in self._lookup.rows(connection, keys)}


def read_attributes(
    connection: Connection, mapper: Mapper[Any], names: Sequence[str], keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The same, once."""
    return Origins(mapper, names)(connection, keys)


def _key_names(mapper: Mapper[Any]) -> list[str]:
    return [mapper.get_property_by_column(column).key for column in mapper.primary_key]


def key_conditions(columns: Sequence[Any], keys: Sequence[tuple[Any, ...]]) -> Iterator[ColumnElement[bool]]:
    """``key IN (...)`` for every CHUNK of the keys: long enough to be few, short enough for every driver's limit."""
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        if len(columns) == 1:
            yield columns[0].in_([key[0] for key in chunk])
        else:
            yield tuple_(*columns).in_(chunk)
