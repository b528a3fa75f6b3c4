"""What the declarations amount to, in words for the terminal: what leaves the house, and who may have it."""

from __future__ import annotations

from sqla_realtime.schema.publication import Publication
from sqla_realtime.schema.registry import Registry


def describe(registry: Registry) -> list[str]:
    """A few lines per publication, and per pattern with members or events."""
    unruled = set(registry.unruled())
    lines: list[str] = []
    for publication in registry:
        pattern = publication.pattern.text
        rule = "nobody may join: it has no rule" if pattern in unruled else f"joined by rule {registry.rule_name(pattern)}"
        lines += [
            f"{publication.model.__name__} on {pattern}{_alias(publication)} ({rule})",
            f"    sends: {', '.join(publication.fields.spelled)}",
            f"    keeps: {', '.join(_withheld(publication)) or 'nothing'}",
        ]
    for pattern, assembly in registry.assemblies().items():
        lines.append(f"The members of {pattern} (joined by rule {registry.rule_name(pattern)})")
        if assembly.shown is not None:
            lines.append(f"    see of each other: {', '.join(dict.fromkeys(('id', *assembly.shown)))}")
        if assembly.events:
            lines.append(f"    say to each other: {', '.join(assembly.events)}")
    return lines or ["Nothing is published."]


def _alias(publication: Publication) -> str:
    return "" if publication.alias is None else f", also called {publication.alias.text}"


def _withheld(publication: Publication) -> list[str]:
    return [prop.key for prop in publication.mapper.column_attrs if prop.key not in publication.fields.attributes]
