"""How many are here, in all and from each address, and who is one too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from sqla_realtime.protocol.codes import CloseCode


class Census:
    """Counts whoever was let in. What is kept of an address ends with the last who came from it."""

    def __init__(self, most: int, most_of_address: int) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._groups: dict[Hashable, str | None] = {}
        self._sizes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._groups)

    def enter(self, who: Hashable, group: str | None) -> CloseCode | None:
        """Count one more, of an address or of none that counts; or say why not."""
        if len(self._groups) >= self._most:
            return CloseCode.TOO_MANY_CONNECTIONS
        if group is not None:
            if self._sizes[group] >= self._most_of_address:
                return CloseCode.TOO_MANY_FROM_ADDRESS
            self._sizes[group] += 1
        self._groups[who] = group
        return None

    def leave(self, who: Hashable) -> None:
        """Count one less, if it was counted."""
        group = self._groups.pop(who, None)
        if group is not None:
            self._sizes[group] -= 1
            if not self._sizes[group]:
                del self._sizes[group]
