"""Where a webhook may go: the check of a URL and of the addresses behind its name.

Rule of this room: a name is resolved once, all of its addresses are checked, and only a checked address is dialled; a
second look-up could give another answer. What is not known to be public is refused.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import httpx2

PORT_MAX: Final = 65_535

Resolve = Callable[[str, int], Awaitable[tuple[str, ...]]]
"""The addresses of a host's name. Raises OSError or UnicodeError."""


class RefusedAddress(ValueError):
    """A webhook may not go there."""


# The special-purpose registries of IANA, and one cloud's host service that has a public-looking address.
_NOT_PUBLIC_4: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Everything outside of it is loopback, link-local, unique-local, multicast, NAT64 or mapped IPv4.
_GLOBAL_UNICAST_6: Final = ip_network("2000::/3")
# Inside: Teredo and its neighbours, documentation, 6to4, documentation again.
_NOT_PUBLIC_6: Final = tuple(ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))


def is_public(address: str) -> bool:
    """Whether the address is one of the open internet."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_4)
    return parsed in _GLOBAL_UNICAST_6 and not any(parsed in network for network in _NOT_PUBLIC_6)


def parse(url: str, *, allow_private: bool) -> httpx2.URL:
    """The URL in the form in which it will be dialled. Raises RefusedAddress."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise RefusedAddress(f"not a URL: {error}") from error
    if parsed.scheme not in (("https", "http") if allow_private else ("https",)):
        raise RefusedAddress(f"its scheme is {parsed.scheme or 'missing'}, must be https")
    if parsed.userinfo:
        raise RefusedAddress("it carries a user or a password")
    if not parsed.host:
        raise RefusedAddress("it names no host")
    if parsed.port is not None and not 1 <= parsed.port <= PORT_MAX:
        raise RefusedAddress(f"it has no port {parsed.port}")
    return parsed


async def checked_addresses(url: httpx2.URL, resolve: Resolve, *, allow_private: bool) -> tuple[str, ...]:
    """The addresses to dial, in the resolver's order. Raises RefusedAddress; OSError where the name has none."""
    try:
        addresses = await resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
    except UnicodeError as error:
        raise RefusedAddress(f"not a host's name: {error}") from error
    if not addresses:
        raise OSError("its host has no address")
    if not allow_private:
        for address in addresses:
            if not is_public(address):
                raise RefusedAddress(f"its host has the address {address}, which is not public")
    return addresses


async def system_resolver(host: str, port: int) -> tuple[str, ...]:
    """As the host's own configuration says, each address once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
