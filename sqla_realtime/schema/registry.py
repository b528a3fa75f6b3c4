"""Everything that was declared: which publications a row has, and what a channel's name means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Mapper

from sqla_realtime.errors import OverlappingPatterns, PublishedTwice, RuleTwice
from sqla_realtime.schema.assembly import Assembly
from sqla_realtime.schema.channels import Parameter, Pattern
from sqla_realtime.schema.conflicts import check_aliases, check_classes, check_types
from sqla_realtime.schema.embeds import Embed
from sqla_realtime.schema.mapping import akin, kinds_of, late_keys, line_of, root_of, tables_of
from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.rules import Rule, check_rule

_TEXT = Parameter(str, str, str)


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel's name, understood: the rows are those of ``publications`` where the columns have ``values``, and
    ``assembly`` is what it has besides rows."""

    name: str
    pattern: Pattern
    values: dict[str, Any]
    publications: tuple[Publication, ...]
    rule: Rule | None
    assembly: Assembly | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """What a row of one mapper is to the declarations: its publications, and the attributes they turn on.

    ``decisive`` decide its channels; ``volatile`` may change in any UPDATE; ``late`` are foreign keys that a flush
    sets in a second UPDATE of its own (post_update), without saying so. ``kinds`` decide its class, None where that is
    not known. ``root`` is the mapper among whose rows its key is unique; ``twins`` are other published ones of its
    tables, ``leaves`` published subclasses that the row may belong to without showing it. ``embeds`` are where it is shown
    in the records of others; ``patterns`` are those of all the channels where it is seen, in its own record or in another's.
    """

    root: Mapper[Any]
    kinds: frozenset[str] | None
    twins: tuple[Mapper[Any], ...]
    leaves: tuple[Mapper[Any], ...]
    publications: tuple[Publication, ...]
    patterns: frozenset[str]
    decisive: frozenset[str]
    volatile: frozenset[str]
    late: frozenset[str]
    embeds: tuple[Embed, ...]

    @property
    def observed(self) -> bool:
        """Whether anybody can see such a row."""
        return bool(self.publications or self.embeds)

    def shifts(self, touched: frozenset[str] | None) -> bool:
        """Whether a row may be of another class after these attributes were changed; None stands for any of them."""
        return self.kinds is None or (bool(self.kinds) and (touched is None or not self.kinds.isdisjoint(touched)))


class Registry:
    """The declarations of one Realtime. Written while the application is set up, read by every thread afterwards."""

    def __init__(self) -> None:
        self._publications: dict[str, list[Publication]] = {}
        self._rules: dict[str, Rule] = {}
        self._assemblies: dict[str, Assembly] = {}
        self._patterns: dict[str, Pattern] = {}
        self._by_mapper: dict[Mapper[Any], Family] = {}
        self._tops: list[Mapper[Any]] = []
        self._lines: list[tuple[Mapper[Any], Any]] = []
        self._tables: list[Table] = []
        self._associations: list[Table] = []

    def __iter__(self) -> Iterator[Publication]:
        for publications in self._publications.values():
            yield from publications

    def publish(self, publication: Publication) -> None:
        """Add a publication. Raises PublishedTwice, OverlappingPatterns or BadPattern."""
        pattern = publication.pattern
        siblings = self._publications.get(pattern.text, [])
        for sibling in siblings:
            if sibling.mapper.isa(publication.mapper) or publication.mapper.isa(sibling.mapper):
                raise PublishedTwice(model=publication.model.__name__, pattern=pattern.text)
            check_classes(publication, sibling)
            check_types(publication, sibling)
        for other in self:
            check_aliases(publication, other)
        self._admit(pattern)
        self._publications.setdefault(pattern.text, []).append(publication)
        self._by_mapper.clear()
        self._tops = self._hierarchies()
        self._find_tables()
        found = (embed.association for each in self for embed in each.fields.embeds)
        self._associations = list(dict.fromkeys(table for table in found if table is not None))

    def rule(self, text: str, rule: Rule, assembly: Assembly | None = None) -> None:
        """Set the rule of a pattern, and what it has besides rows.

        Raises RuleTwice, BadRule, OverlappingPatterns or BadPattern."""
        pattern = Pattern(text)
        if text in self._rules:
            raise RuleTwice(pattern=text)
        check_rule(rule, text, pattern.placeholders)
        self._admit(pattern)
        self._rules[text] = rule
        if assembly is not None:
            self._assemblies[text] = assembly

    def of(self, mapper: Mapper[Any]) -> Family:
        """What a row of this mapper is published as, by itself and by its ancestors."""
        family = self._by_mapper.get(mapper)
        if family is None:
            family = self._by_mapper[mapper] = self._family(mapper)
        return family

    def published_tables(self) -> list[Table]:
        """Every table that holds part of a published row; the same list as long as they are the same."""
        # Asked in every flush. SQLAlchemy makes these lines anew when a subclass is mapped.
        for mapper, line in self._lines:
            if mapper.self_and_descendants is not line:
                self._find_tables()
                break
        return self._tables

    def _find_tables(self) -> None:
        self._lines = [(mapper, mapper.self_and_descendants) for mapper in self._tops]
        self._tables = list(dict.fromkeys(table for _, line in self._lines for mapper in line for table in tables_of(mapper)))

    def mappers(self, table: str) -> list[Mapper[Any]]:
        """The mappers through which rows of a table are published, each the topmost of its hierarchy that has the table."""
        found: dict[Mapper[Any], None] = {}
        for mapper in self._tops:
            holders = [each for each in mapper.self_and_descendants if table in {one.fullname for one in tables_of(each)}]
            if holders:
                top = [each for each in holders[0].iterate_to_root() if table in {one.fullname for one in tables_of(each)}][-1]
                found[top] = None
        return list(found)

    def related(self, mapper: Mapper[Any]) -> list[Publication]:
        """The publications of a mapper, its ancestors and its descendants: whatever a row read through it may be."""
        return [each for each in self if akin(each.mapper, mapper)]

    def patterns(self, mapper: Mapper[Any]) -> set[str]:
        """The patterns of all the channels where a row read through a mapper may be seen."""
        shown = (each for each in self if any(akin(embed.related, mapper) for embed in each.fields.embeds))
        return {each.pattern.text for each in (*self.related(mapper), *shown)}

    def associations(self, table: str) -> list[Embed]:
        """The many-to-many relationships in records that go through a table."""
        embeds = [embed for each in self for embed in each.fields.embeds]
        return [embed for embed in embeds if embed.association is not None and embed.association.fullname == table]

    def association_tables(self) -> list[Table]:
        """The tables of all of them; the same list as long as they are the same."""
        return self._associations

    def _hierarchies(self) -> list[Mapper[Any]]:
        """The mappers of published rows, and of those that are shown in their records."""
        embedded = (embed.related for each in self for embed in each.fields.embeds)
        return list(dict.fromkeys((*(each.mapper for each in self), *embedded)))

    def channel(self, name: str) -> Channel | None:
        """What this name means, or None where it names no published channel."""
        for text, publications in self._publications.items():
            parameters: dict[str, Parameter] = publications[0].parameters
            values = publications[0].pattern.match(name, parameters)
            if values is not None:
                assembly = self._assemblies.get(text)
                return Channel(name, publications[0].pattern, values, tuple(publications), self._rules.get(text), assembly)
        return None

    def declared(self, name: str) -> Channel | None:
        """The same, or a channel that has a rule and no rows, whose parameters are text."""
        found = self.channel(name)
        for text in () if found is not None else self._rowless():
            pattern = self._patterns[text]
            values = pattern.match(name, dict.fromkeys(pattern.placeholders, _TEXT))
            if values is not None:
                return Channel(name, pattern, values, (), self._rules[text], self._assemblies.get(text))
        return found

    def joinable(self, name: str) -> Channel | None:
        """The same where there is anything to hear: rows, or who is there, or what they say."""
        found = self.declared(name)
        return found if found is not None and (found.publications or found.assembly is not None) else None

    def assemblies(self) -> dict[str, Assembly]:
        """What patterns have besides rows."""
        return self._assemblies

    def rule_name(self, pattern: str) -> str:
        """The name of a pattern's rule, for people."""
        rule = self._rules[pattern]
        return getattr(rule, "__name__", type(rule).__name__)

    def unruled(self) -> list[str]:
        """The patterns with publications and without a rule: nobody can join them."""
        return [text for text in self._publications if text not in self._rules]

    def orphaned(self) -> list[str]:
        """The patterns with a rule and with nothing that it could be about: misspelt, most likely."""
        return [text for text in self._rowless() if text not in self._assemblies]

    def _rowless(self) -> list[str]:
        return [text for text in self._rules if text not in self._publications]

    def _family(self, mapper: Mapper[Any]) -> Family:
        root, line, tables = root_of(mapper), set(line_of(mapper)), tables_of(mapper)
        own = [each for each in self if each.mapper in line]
        embeds = {each: [embed for embed in each.fields.embeds if embed.related in line] for each in self}
        shown = [embed for found in embeds.values() for embed in found]
        # Without a discriminator a row that is written through its base does not say what else it is.
        leaves = [each.mapper for each in self if each.mapper.isa(mapper) and each.mapper is not mapper]
        sharing = {each: root_of(each) for table in tables for each in self.mappers(table.fullname) if table in each.tables}
        decisive = {name for each in own for name in each.decisive}
        return Family(
            root=root,
            kinds=kinds_of(root),
            twins=tuple(each for each, other in sharing.items() if other is not root),
            leaves=tuple(leaves) if root.polymorphic_on is None else (),
            publications=tuple(own),
            patterns=frozenset(each.pattern.text for each in self if each in own or embeds[each]),
            decisive=frozenset(decisive | {name for embed in shown for name in embed.foreign_keys}),
            volatile=frozenset(name for each in own for name in each.volatile),
            late=frozenset(late_keys(mapper)),
            embeds=tuple(shown),
        )

    def _admit(self, pattern: Pattern) -> None:
        for other in self._patterns.values():
            if pattern.overlaps(other):
                raise OverlappingPatterns(pattern=pattern.text, other=other.text)
        self._patterns.setdefault(pattern.text, pattern)
