"""Where a webhook may go: the check of a URL and of the addresses behind its name.

Rule of this room: a name is resolved once, all of its addresses are checked, and only a checked address is dialled; a
second look-up could give another answer. What is not known to be public is refused.
"""

from __future__ import annotations

import httpx2

from penstock.addresses import PORT_MAX, Resolve, is_public


class RefusedAddress(ValueError):
    """A webhook may not go there."""


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
