"""Who may join a channel: one function per pattern, asked with the user and the pattern's typed parameters."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from sqla_realtime.errors import BadRule

Rule = Callable[..., bool | Awaitable[bool]]


def anyone(user: Any, **parameters: Any) -> bool:
    """Admit everybody, also those who are not signed in."""
    return True


def signed_in(user: Any, **parameters: Any) -> bool:
    """Admit whoever the application knows."""
    return user is not None


def check_rule(rule: Rule, pattern: str, placeholders: tuple[str, ...]) -> None:
    """Raise BadRule unless ``rule(user, **parameters)`` can be called with exactly these placeholders."""
    name = getattr(rule, "__name__", type(rule).__name__)
    signature = inspect.signature(rule)
    try:
        signature.bind(object(), **dict.fromkeys(placeholders))
    except TypeError:
        takes = ", ".join(signature.parameters)
        raise BadRule(rule=name, pattern=pattern, takes=takes, wants=", ".join(("user", *placeholders))) from None
