"""A request's headers, kept for as long as its client stays: one string instead of many, without those of the handshake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

# Of no use once the connection is a WebSocket (RFC 6455 4.1).
_DONE = ("connection", "upgrade", "sec-websocket-")


class Kept(Mapping[str, str]):
    """Values by lower-case name. They are read when somebody is identified: seldom, while there are many of these."""

    __slots__ = ("_text",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        kept = (f"{name}:{value}" for name, value in headers.items() if not name.startswith(_DONE))
        self._text = "\n".join(kept)  # which can stand in none of them: it ends a header (RFC 9112 2.2)

    def _parsed(self) -> dict[str, str]:
        lines = (line.partition(":") for line in self._text.split("\n") if line)
        return {name: value for name, _, value in lines}

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())
