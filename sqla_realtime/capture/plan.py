"""What a flush needs to know of one mapper, worked out once: its key, the attributes that count, who depends on its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table
from sqlalchemy.orm import InstanceState, Mapper, PassiveFlag
from sqlalchemy.orm.attributes import get_history
from sqlalchemy.types import TypeEngine

from sqla_realtime.capture.kept import Keeper, Kept
from sqla_realtime.schema.reader import Origins
from sqla_realtime.schema.references import Reference
from sqla_realtime.schema.registry import Family

Key = tuple[Any, ...]
Values = dict[str, Any]
State = InstanceState[Any]

# Whose != is all there is to know.
_PLAIN = frozenset((int, str, bool, float, type(None)))
_ABSENT = object()
# Sets of touched attributes are shared between rows; a mapper whose flushes touch more combinations than this is rare.
_SHARED = 256


class Effect(NamedTuple):
    """What an UPDATE of some attributes does. ``whole`` are these and those that any UPDATE may change; ``moves``: the row
    may be in other channels then; ``refers``: others refer to it by what changes."""

    whole: frozenset[str]
    moves: bool
    refers: bool


class Plan:
    """One mapper, as its rows are watched. ``sources`` are the references that lead to published rows, by parent table.

    ``sourced``: the database may change other rows when one of these goes. ``referred`` are the attributes that others
    refer to, and follow when they change.
    """

    def __init__(self, mapper: Mapper[Any], family: Family, sources: Mapping[Table, Sequence[Reference]]) -> None:
        self.mapper = mapper
        self.family = family
        self.sources = sources
        self.observed = family.observed
        # See ledger.row_key.
        self.root = id(family.root.class_)
        self.doubted = frozenset((*family.twins, *family.leaves))
        own = [each for table in mapper.tables if isinstance(table, Table) for each in sources.get(table, ())]
        self.sourced = any(table in sources for table in mapper.tables)
        referred = {column for each in own if each.on_update for column in each.referred}
        self.referred = frozenset(each.key for each in mapper.column_attrs if not referred.isdisjoint(each.columns))
        self._names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        self._columns = frozenset(each.key for each in mapper.column_attrs)
        self._simple = frozenset(each.key for each in mapper.column_attrs if _compares_plainly(each.columns[0].type))
        self._sets: dict[tuple[str, ...], frozenset[str]] = {}
        self._effects: dict[frozenset[str], Effect] = {}
        self._origins: dict[tuple[bool, bool], Origins] = {}
        # What keeps the values of new rows, and of changed ones where that is asked for.
        self.keeper = _keeper(mapper, family)
        asked = any(each.read == "attributes" for each in family.publications)
        self.holds = self.keeper is not None and asked and not family.volatile

    def key(self, state: State) -> Key:
        """The primary key that an object has now, which its flush may have changed."""
        values = state.dict
        try:
            if len(self._names) == 1:
                return (values[self._names[0]],)
            return tuple([values[name] for name in self._names])
        except KeyError:
            return tuple(self.mapper.primary_key_from_instance(state.obj()))

    def given(self, state: State) -> Key | None:
        """The primary key that a new object brings along, None where the database is to make it."""
        values = state.dict
        if len(self._names) == 1:
            only = values.get(self._names[0])
            return None if only is None else (only,)
        key = tuple([values.get(name) for name in self._names])
        return None if None in key else key

    def is_own(self, state: State) -> bool:
        """Whether a new row's class is the object's own: not where somebody wrote another one's discriminator into it."""
        if not self.family.kinds:
            return self.family.kinds is not None
        kind = self.mapper.polymorphic_identity
        return all(state.dict.get(name, kind) == kind for name in self.family.kinds)

    def touched(self, state: State) -> frozenset[str]:
        """The column attributes that an UPDATE will set to something else than the object remembers, and late keys.

        Asked before the UPDATE: afterwards an attribute that was set to a SQL expression has no history any more.
        """
        names = []
        current = state.dict
        for name, old in state.committed_state.items():
            if name not in self._columns:
                continue
            new = current.get(name, _ABSENT)
            # The history says the same and takes longer than all the rest.
            if name in self._simple and type(old) in _PLAIN and type(new) in _PLAIN:
                if old != new:
                    names.append(name)
                continue
            added, _, deleted = get_history(state.obj(), name, PassiveFlag.PASSIVE_NO_INITIALIZE)
            if added or deleted:
                names.append(name)
        return self._shared(names)

    def effect(self, touched: frozenset[str]) -> Effect:
        """What an UPDATE of these attributes does."""
        found = self._effects.get(touched)
        if found is None:
            whole = touched | self.family.volatile
            found = Effect(whole, not self.family.decisive.isdisjoint(whole), not self.referred.isdisjoint(touched))
            if len(self._effects) < _SHARED:
                self._effects[touched] = found
        return found

    def held(self, state: State, touched: frozenset[str]) -> Kept | None:
        """What the object holds, where its statement stores that and the database adds nothing."""
        values = state.dict
        if self.keeper is None or any(hasattr(values.get(name), "__clause_element__") for name in touched):
            return None  # it is the database that knows what an expression comes to
        return self.keeper.held(state)

    def origins(self, connection: Connection, keys: Sequence[Key], *, key_lock: bool, whole: bool) -> dict[Key, Values]:
        """What decides the channels of the rows with these keys, and with ``whole`` what their records show, as it is
        stored; they are locked."""
        reader = self._origins.get((key_lock, whole))
        if reader is None:
            names = {*self.family.decisive}
            for publication in self.family.publications if whole else ():
                names |= self._columns.intersection(publication.fields.attributes)
            reader = self._origins[key_lock, whole] = Origins(self.mapper, sorted(names), key_lock=key_lock)
        return reader(connection, keys)

    def _shared(self, touched: Iterable[str]) -> frozenset[str]:
        names = tuple(touched)
        found = self._sets.get(names)
        if found is None:
            # A foreign key that is set late counts as touched whenever it may be.
            found = frozenset(names) | self.family.late
            if len(self._sets) < _SHARED:
                self._sets[names] = found
        return found


def _keeper(mapper: Mapper[Any], family: Family) -> Keeper | None:
    """What keeps the values of rows, None where a schema looks at more."""
    if not family.publications or family.late or any(each.fields.needs_object for each in family.publications):
        return None
    keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    read = (name for each in family.publications for name in (*sorted(each.decisive), *each.fields.attributes))
    return Keeper(mapper, dict.fromkeys((*keys, *read)))


def _compares_plainly(type_: TypeEngine[Any]) -> bool:
    return type(type_).compare_values is TypeEngine.compare_values
