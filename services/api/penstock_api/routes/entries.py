"""What all entries of the catalogue have in common: read with its revision, written against the revision that was seen.

Rule of this room: nothing here knows what an entry means.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

from litestar import Response
from msgspec import Struct

from penstock_api.catalog import Bucket, Entry, changed_meanwhile
from penstock_api.problems import Problem, invalid, not_found

E = TypeVar("E", bound=Struct)
_ETAG: Final = re.compile(r'"?(0|[1-9][0-9]{0,15})"?')


async def read(bucket: Bucket[E], name: str, what: str) -> Response[E]:
    """The entry with its ETag. Raises Problem: 404."""
    entry = await bucket.get(name)
    return tagged(present(entry, what), entry.revision)


async def write(bucket: Bucket[E], name: str, value: E, if_match: str | None, if_none_match: str | None) -> Response[E]:
    """The entry as it is stored now. Raises Problem: 412."""
    return tagged(value, await bucket.put(name, value, await _expected(bucket, name, if_match, if_none_match)))


async def remove(bucket: Bucket[E], name: str, what: str, if_match: str | None) -> None:
    """Raises Problem: 404, 412."""
    entry = await bucket.get(name)
    present(entry, what)
    expected = None if if_match in (None, "*") else _revision(if_match)
    if expected not in (None, entry.revision):
        raise changed_meanwhile()
    await bucket.delete(name, expected)


def present(entry: Entry[E], what: str) -> E:
    if entry.value is None:
        raise not_found(what)
    return entry.value


def tagged(value: E, revision: int) -> Response[E]:
    return Response(value, headers={"ETag": f'"{revision}"'})


async def _expected(bucket: Bucket[E], name: str, if_match: str | None, if_none_match: str | None) -> int | None:
    """The revision that is to be replaced, None where the client does not say."""
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise invalid("If-None-Match", "not a condition", value=if_none_match, hint="*", status=400)
        entry = await bucket.get(name)
        if entry.value is not None:
            raise Problem(412, "precondition-failed", "there is such an entry already", field="If-None-Match")
        return entry.revision
    if if_match is None:
        return None
    if if_match.strip() != "*":
        return _revision(if_match)
    entry = await bucket.get(name)
    if entry.value is None:
        raise Problem(412, "precondition-failed", "there is no such entry", field="If-Match")
    return entry.revision


def _revision(if_match: str) -> int:
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise invalid("If-Match", "not an ETag of this api", value=if_match, hint='such as "17"', status=400)
    return int(found[1])
