"""Names of channels as Pusher's clients have to spell them, to and from ours: a prefix, and four characters for four.

Pusher has ``A-Z a-z 0-9 _ - = @ , . ;`` and we have ``A-Z a-z 0-9 _ - . ~ : / %``, so ``projects/5/pages`` is
``projects,5,pages`` there. Ours never have what stands for theirs, so no two names mean the same.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# What the libraries refuse to publish to is not let in either.
MAX_NAME = 200
MAX_USER = 128
USER = "#server-to-user-"
_OURS, _THEIRS = "/:%~", ",;=@"
_SPELL, _READ = str.maketrans(_OURS, _THEIRS), str.maketrans(_THEIRS, _OURS)
_NAME = re.compile(r"((?:private-encrypted-|private-|presence-)?+)((?:cache-)?+)([A-Za-z0-9_\-=@,.;]+)")


class Name(NamedTuple):
    """A name as it was spelled, and what it says: ``channel`` is ours, ``kind`` one of "public", "private", "encrypted",
    "presence" and "user". ``cache``: whoever comes later hears what was said last."""

    wire: str
    channel: str
    kind: str
    cache: bool = False

    @property
    def signed(self) -> bool:
        """Whether joining it takes a signature."""
        return self.kind in ("private", "encrypted", "presence")


_KINDS = {"": "public", "private-": "private", "private-encrypted-": "encrypted", "presence-": "presence"}


def parse(wire: str) -> Name | None:
    """What a name says; None where it is no name."""
    if len(wire) > MAX_NAME:
        return None
    if wire.startswith(USER):
        user = wire.removeprefix(USER)
        return Name(wire, user, "user") if len(user) <= MAX_USER and user.isprintable() and user else None
    found = _NAME.fullmatch(wire)
    if found is None:
        return None
    prefix, cache, rest = found.groups()
    return Name(wire, rest.translate(_READ), _KINDS[prefix], bool(cache))


def spell(channel: str, *, public: bool) -> str:
    """The name by which most clients know a channel of ours."""
    name = channel.translate(_SPELL)
    return name if public else f"private-{name}"
