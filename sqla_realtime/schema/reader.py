"""Reads stored rows of published models: one SELECT for the rows of a channel, one per 500 keys for changed rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, TableClause, select, tuple_
from sqlalchemy.orm import Mapper, Session, undefer

from sqla_realtime.schema.keys import key_text
from sqla_realtime.schema.publication import Publication

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Image:
    """One stored row: ``values`` are its column attributes, ``source`` is what the schemas read."""

    key: tuple[Any, ...]
    mapper: Mapper[Any]
    values: dict[str, Any]
    source: object

    @property
    def id(self) -> str:
        """The row's key as text."""
        return key_text(self.key)


class Reader:
    """Reads rows of one mapper for some of its publications.

    Where every schema needs columns alone, or ``columns`` asks for no more, it fetches columns, without making
    instances; otherwise instances, in a Session of its own, with every attribute that the schemas name loaded.
    With ``columns`` the publications may be those of subclasses too, whose own columns are then read in a second SELECT.
    """

    def __init__(self, mapper: Mapper[Any], publications: Sequence[Publication], *, columns: bool = False) -> None:
        self._mapper = mapper
        self._model = mapper.class_
        self._keys = _key_names(mapper)
        self._publications = publications if columns else ()
        self._plain = columns or not any(publication.fields.needs_object for publication in publications)
        wanted = dict.fromkeys(self._keys)
        for publication in publications:
            names = (*sorted(publication.decisive), *publication.fields.attributes)
            wanted |= dict.fromkeys(name for name in names if name in mapper.column_attrs)
        self._names = list(wanted)
        self._key_columns = [getattr(self._model, name) for name in self._keys]
        self._discriminator = mapper.polymorphic_on
        self._statement = self._select()

    def _select(self) -> Select[Any]:
        if not self._plain:
            deferred = [undefer(getattr(self._model, name)) for name in self._names if name not in self._keys]
            return select(self._model).options(*deferred)
        columns = [getattr(self._model, name) for name in self._names]
        if self._discriminator is not None:
            columns.append(self._discriminator)
        return select(*columns)

    def by_key(self, connection: Connection, keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], Image]:
        """The stored rows with these keys; a key without a row is left out."""
        images = {}
        for condition in key_conditions(self._key_columns, keys):
            for image in self._fetch(connection, self._statement.where(condition)):
                images[image.key] = image
        self._complete(connection, images.values())
        return images

    def matching(
        self,
        connection: Connection,
        condition: ColumnElement[bool] | None,
        parameters: Mapping[str, Any],
        limit: int,
        lock: TableClause,
    ) -> list[Image]:
        """The rows that a statement's WHERE selects, ``limit`` at the most, locked until the transaction ends."""
        statement = self._statement.with_for_update(of=lock).limit(limit)
        if condition is not None:
            statement = statement.where(condition)
        images = list(self._fetch(connection, statement, parameters))
        self._complete(connection, images)
        return images

    def _complete(self, connection: Connection, images: Collection[Image]) -> None:
        """Add what the publications of subclasses read, and rows of this mapper alone do not have."""
        for mapper in {image.mapper for image in images}:
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

    def _fetch(
        self, connection: Connection, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[Image]:
        if self._plain:
            yield from self._fetch_columns(connection, statement, parameters)
        else:
            yield from self._fetch_instances(connection, statement)

    def _fetch_columns(
        self, connection: Connection, statement: Select[Any], parameters: Mapping[str, Any] | None
    ) -> Iterator[Image]:
        arity = len(self._keys)
        identities = self._mapper.polymorphic_map
        for row in connection.execute(statement, parameters):
            values = dict(zip(self._names, row, strict=False))
            mapper = self._mapper if self._discriminator is None else identities.get(row[-1], self._mapper)
            yield Image(tuple(row[:arity]), mapper, values, values)

    def _fetch_instances(self, connection: Connection, statement: Select[Any]) -> Iterator[Image]:
        # rollback_only: closing this Session must not end the transaction of the Connection that it borrows.
        with Session(connection, autoflush=False, join_transaction_mode="rollback_only") as session:
            for instance in session.scalars(statement):
                values = {name: getattr(instance, name) for name in self._names}
                key = tuple(values[name] for name in self._keys)
                yield Image(key, type(instance).__mapper__, values, instance)
                session.expunge(instance)


def read_attributes(
    connection: Connection, mapper: Mapper[Any], names: Sequence[str], keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Some column attributes of the rows with these keys, locked in the order of the keys until the transaction ends."""
    key_columns = [getattr(mapper.class_, name) for name in _key_names(mapper)]
    statement = select(*key_columns, *(getattr(mapper.class_, name) for name in names))
    statement = statement.order_by(*key_columns).with_for_update()
    arity = len(key_columns)
    return {
        tuple(row[:arity]): dict(zip(names, row[arity:], strict=True))
        for condition in key_conditions(key_columns, keys)
        for row in connection.execute(statement.where(condition))
    }


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
