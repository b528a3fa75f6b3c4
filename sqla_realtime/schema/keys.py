"""Primary keys as text: the id of a change, the same for a row however it was read."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

# RFC 3986 percent-encoding, of just what would make the join ambiguous or unprintable.
_SPECIAL = re.compile(r"[%,\x00-\x1f\x7f]")


def key_text(key: Sequence[Any]) -> str:
    """The id of a row: its key's value as text, the parts of a composite key encoded and joined by ``,``."""
    if len(key) == 1:
        # Nearly every key there is.
        return str(key[0]) if type(key[0]) is int else _part(key[0])
    return ",".join(_SPECIAL.sub(lambda found: quote(found.group(), safe=""), _part(value)) for value in key)


def _part(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | memoryview):
        return base64.urlsafe_b64encode(bytes(value)).decode()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal) and value.is_finite():
        # 1, 1.0 and 1.00 are one key; which of them it is depends on who made or read it.
        return format(value.normalize(), "f")
    return str(value)
