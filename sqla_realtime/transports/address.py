"""Which address a client is counted by: its own, or where a trusted proxy stands before it, the one that the proxy tells."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address


class Proxies:
    """The proxies whose word is taken, by their networks. Any other ``X-Forwarded-For`` is what somebody wrote."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._trusted = [ip_network(network) for network in trusted]

    def client(self, peer: str, forwarded: str | None) -> str:
        """The address of whoever stands before the trusted proxies.

        Each proxy appends whom it has the request from, so the list is read from its end as long as it is vouched for.
        """
        address = _parsed(peer)
        if address is None:
            return peer
        for text in reversed((forwarded or "").split(",")):
            before = _parsed(text.strip()) if self._trusts(address) else None
            if before is None:
                break
            address = before
        return str(address)

    def group(self, peer: str, client: str) -> str | None:
        """What is counted together: an IPv4 address, the /64 of an IPv6 address, which one subscriber has alone.

        None for a peer of the loopback or of a private network that nobody vouches for: it may be a proxy that was not
        named, behind which everybody would be one.
        """
        address = _parsed(client)
        if address is None or (address == _parsed(peer) and address.is_private):
            return None
        return str(address) if isinstance(address, IPv4Address) else str(IPv6Network((address, 64), strict=False))

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
