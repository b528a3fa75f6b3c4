"""Every exception of the package, and what each of them has to say."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from types import ModuleType

from sqla_realtime import errors
from sqla_realtime.errors import RealtimeError


def family(cls: type[RealtimeError]) -> Iterator[type[RealtimeError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__.startswith(errors.__name__ + "."):
            yield from family(child)


ALL = list(family(RealtimeError))
# What is raised has a code of its own; the others are for `except`.
RAISED = [cls for cls in ALL if "code" in vars(cls) and cls is not RealtimeError]


def placeholders(template: str) -> set[str]:
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def facts(cls: type[RealtimeError]) -> dict[str, object]:
    return {name: f"<{name}>" for name in placeholders(cls.message) | placeholders(cls.fix)}


def raised_by(module: ModuleType) -> list[type[RealtimeError]]:
    """Those of one module that have a code of their own."""
    return [cls for cls in RAISED if cls.__module__ == module.__name__]


def check_message(cls: type[RealtimeError]) -> None:
    """It says what happened and why, and, but for what is for the package itself, the next keystroke."""
    error = cls(**facts(cls))
    text = str(error)
    assert text.endswith(f" [{cls.code}]")
    for value in error.facts.values():
        assert str(value) in text
    if cls is not errors.PositionGone:
        assert cls.fix, "an error without a next keystroke"
        assert "\n" in text
