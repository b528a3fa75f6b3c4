"""Which pages and which host names may reach the server at all: decided from headers, before any upgrade.

Origin keeps foreign pages from using a visitor's cookies (cross-site WebSocket hijacking), Host keeps them from
reaching a loopback server under a name of their own (DNS rebinding). Both are exact comparisons of parsed values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codes import ErrorCode

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Without user names, which neither header may have; urlsplit lets much through that is no authority.
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?")


@dataclass(frozen=True, slots=True)
class Gate:
    """The lists that decide. ``hosts`` are names without a port; ``origins`` are exact.

    ``development``: pages on loopback addresses are trusted, whatever their port.
    """

    origins: frozenset[str]
    hosts: frozenset[str]
    development: bool

    @classmethod
    def of(cls, origins: tuple[str, ...], hosts: tuple[str, ...], bound_to: str, development: bool) -> Gate:
        """An allowed origin's own host is an allowed host, as are loopback and the address that the server is bound to."""
        named = {urlsplit(origin).hostname or "" for origin in origins}
        return cls(frozenset(origins), LOOPBACK | named | {bound_to.lower()} | {host.lower() for host in hosts}, development)

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise Refused unless a request with these headers (by lower-case name) may come in.

        A request without Origin comes from no page: browsers send it with every WebSocket handshake (RFC 6455 10.2).
        """
        host = _host(headers.get("host", ""))
        if host is None or host[0] not in self.hosts:
            raise Refused(
                ErrorCode.HOST_REFUSED,
                "This host name is not allowed here.",
                f"Add it: REALTIME_ALLOWED_HOSTS={host[0] if host else 'name'}",
            )
        origin = headers.get("origin")
        if origin is not None and not self._trusts(origin, host):
            raise Refused(
                ErrorCode.ORIGIN_REFUSED,
                "Pages of this origin are not allowed here.",
                f"Add it: REALTIME_ALLOWED_ORIGINS={origin} (localhost and 127.0.0.1 are different origins).",
            )

    def _trusts(self, origin: str, host: tuple[str, int | None]) -> bool:
        if origin in self.origins:
            return True
        parsed = _origin(origin)
        if parsed is None:
            return False
        scheme, name, port = parsed
        if self.development and name in LOOPBACK:
            return True
        # A page of this very server. Its scheme may have been changed on the way by a proxy that ends TLS.
        return (name, port) == (host[0], host[1] or _DEFAULT_PORTS[scheme])


def _host(authority: str) -> tuple[str, int | None] | None:
    """Name and port of a Host header (RFC 9110 7.2), or None for anything else."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return None
    address, name, digits = found.groups()
    port = int(digits) if digits else None
    return None if port is not None and port > 65535 else ((address or name).lower(), port)


def origin_of(referer: str) -> str:
    """The origin of the page in a Referer header (RFC 9110 10.1.3), as an Origin header would spell it."""
    scheme, separator, rest = referer.partition("://")
    return scheme + separator + rest.partition("/")[0]


def _origin(header: str) -> tuple[str, str, int] | None:
    """Scheme, name and port of a serialised origin (RFC 6454 6.2); None for ``null`` and anything else."""
    scheme, _, authority = header.partition("://")
    host = _host(authority)
    if scheme not in _DEFAULT_PORTS or host is None:
        return None
    return scheme, host[0], host[1] or _DEFAULT_PORTS[scheme]
