"""The base of every exception: a stable code, what happened, and the next keystroke."""

from __future__ import annotations

from typing import ClassVar


class RealtimeError(Exception):
    """Base of every exception of this package.

    ``code`` is stable and may be compared. ``message`` and ``fix`` are templates that the keyword arguments fill; the
    arguments stay readable as ``facts``.
    """

    code: ClassVar[str] = "realtime-error"
    message: ClassVar[str] = "{reason}"
    fix: ClassVar[str] = ""

    def __init__(self, **facts: object) -> None:
        super().__init__(facts)
        self.facts = facts

    def __str__(self) -> str:
        text = self.message.format(**self.facts)
        if self.fix:
            text += "\n" + self.fix.format(**self.facts)
        return f"{text} [{self.code}]"
