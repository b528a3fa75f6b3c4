"""What one process of a log tells the others of itself: who and what is with it. Whatever reads otherwise is no report.

It is said under an application that no setting can name, so no client hears it, no relay sends it and no request
publishes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

REPORTS = "#reports"


class Key(NamedTuple):
    """What is counted: somebody, or (``item`` is empty) anybody, in a channel. ``realm`` is whose channels they are."""

    realm: str
    channel: str
    item: str = ""


class Fact(NamedTuple):
    """How many connections of it a process has, and what is known of it."""

    connections: int
    info: Any = None


@dataclass(frozen=True, slots=True)
class Report:
    """``facts`` are what has changed; None: the process has it no more.

    ``teller`` is the process that tells of them whoever is to be told once, where it is not this one.
    ``asks``: everybody is to repeat everything. ``answers`` are those who have asked, and have been told everything with
    this. ``beats``: so much time has passed since it did so last. ``knows``: it has heard everything of everybody.
    ``empty``: nothing is with it any more. ``ends``: it says nothing more.
    """

    facts: Mapping[Key, Fact | None] = field(default_factory=dict)
    answers: Sequence[str] = ()
    teller: str = ""
    asks: bool = False
    beats: bool = False
    knows: bool = False
    empty: bool = False
    ends: bool = False


FLAGS = ("asks", "beats", "knows", "empty", "ends")


def spell(report: Report) -> str:
    """The report as JSON, in ASCII."""
    facts = [[*key, None if fact is None else [*fact]] for key, fact in report.facts.items()]
    flags = [name for name in FLAGS if getattr(report, name)]
    told = {"facts": facts, "answers": [*report.answers], "teller": report.teller, "flags": flags}
    return json.dumps(told, separators=(",", ":"))


def read(text: str, realms: Iterable[str]) -> Report:
    """The report, as far as it is about these realms; a fact that is none is passed over. Raises ValueError."""
    try:
        value = json.loads(text, parse_constant=lambda constant: None)
        facts = dict(filter(None, map(_fact, list(value["facts"]))))
        answers, teller = [_text(each) for each in value["answers"]], _text(value["teller"])
        flags = {name: True for name in FLAGS if name in value["flags"]}
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    known = frozenset(realms)
    return Report({key: fact for key, fact in facts.items() if key.realm in known}, answers, teller, **flags)


def _fact(value: Any) -> tuple[Key, Fact | None] | None:
    try:
        realm, channel, item, told = value
        key = Key(_text(realm), _text(channel), _text(item))
        if told is None:
            return key, None
        connections, info = told
    except (TypeError, ValueError):
        return None
    number = isinstance(connections, int) and not isinstance(connections, bool) and connections >= 0
    return (key, Fact(connections, info)) if number else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text expected")
    value.encode()  # half of a surrogate pair could not be sent to anybody
    return value
