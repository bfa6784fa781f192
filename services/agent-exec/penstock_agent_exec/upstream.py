"""Where a model's API is: a base URL as an operator writes it.

Rule of this room: what is wrong with one is said in words for that operator, and no secret is ever in one: a key that stands
in a URL stands in logs.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

SECRET_NAMES = frozenset({"key", "api_key", "api-key", "apikey", "token", "access_token", "secret", "password"})


class Upstream(NamedTuple):
    """`base` without a slash at its end; `query` goes with every request, behind the agent's own (Azure: `api-version`)."""

    base: str
    query: tuple[tuple[str, str], ...] = ()


def read_upstream(url: str) -> Upstream:
    """Raises ValueError with what would be right."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of an API: give one that begins with https:// (or http://) and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a name or password does not belong into an address: give the key by its own setting")
    if parts.fragment:
        raise ValueError(f"{url!r} ends in #{parts.fragment}, which is never sent: leave it out")
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    if secret := next((name for name, _ in query if name.lower() in SECRET_NAMES), None):
        raise ValueError(f"the parameter {secret!r} is a secret in an address: give the key by its own setting")
    return Upstream(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", query)
