"""Where a sandbox may be let out to: names that are on a repo's list, at addresses of the open internet.

The rule of this room: a name is resolved once, all of its addresses are checked, and only a checked one is dialled; a second
look-up could give another answer. What is not known to be public is refused.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

Resolve: TypeAlias = Callable[[str, int], Awaitable[tuple[str, ...]]]
"""The addresses of a host's name. Raises OSError or UnicodeError."""

PORT_MAX: Final = 65_535
HOST_LENGTH_MAX: Final = 253

# Labels as they are registered, the last one not a number: so no spelling of an address is a name.
_NAME: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Refused(Exception):
    """It is not open. The message is for people."""


class Opened:
    """A repo's list of `host:port` and `*.host:port`; the latter are all names below, and not the name itself."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._exact = {entry for entry in entries if not entry.startswith("*.")}
        self._below = {entry.removeprefix("*.") for entry in entries if entry.startswith("*.")}

    def __contains__(self, destination: tuple[str, int]) -> bool:
        host, port = destination
        if f"{host}:{port}" in self._exact:
            return True
        labels = host.split(".")
        return any(f"{'.'.join(labels[at:])}:{port}" in self._below for at in range(1, len(labels)))


def parse_destination(text: str, port_usual: int | None = None) -> tuple[str, int]:
    """Host and port of `host:port`, in the one spelling that is looked up. Raises Refused."""
    host, colon, port_text = text.rpartition(":")
    if not colon and port_usual is not None:
        host, port_text = text, str(port_usual)
    host = host.lower().removesuffix(".")
    if len(host) > HOST_LENGTH_MAX or _NAME.fullmatch(host) is None:
        raise Refused("hosts are asked for by their names, and this is none")
    if not port_text.isascii() or not port_text.isdigit() or not 1 <= int(port_text[:6]) <= PORT_MAX:
        raise Refused("it names no port")
    return host, int(port_text)


async def checked_addresses(host: str, port: int, resolve: Resolve) -> tuple[str, ...]:
    """The addresses to dial, in the resolver's order. Raises Refused; OSError where the name has none."""
    try:
        addresses = await resolve(host, port)
    except UnicodeError as error:
        raise Refused(f"no host's name: {error}") from error
    if not addresses:
        raise OSError("the name has no address")
    for address in addresses:
        if not is_public(address):
            raise Refused(f"it has the address {address}, which is not one of the open internet")
    return addresses


async def system_resolver(host: str, port: int) -> tuple[str, ...]:
    """As this host's own configuration says, each address once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


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
