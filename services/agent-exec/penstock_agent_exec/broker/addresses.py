"""Where a sandbox may be let out to: names that are on a repo's list, at addresses of the open internet.

The rule of this room: a name is resolved once, all of its addresses are checked, and only a checked one is dialled; a second
look-up could give another answer. What is not known to be public is refused.
"""

from __future__ import annotations

import re
from typing import Final

from penstock.addresses import PORT_MAX, Resolve, is_public

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
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or not 1 <= int(port_text) <= PORT_MAX:
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
