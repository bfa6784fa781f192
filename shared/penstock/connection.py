"""The broker connection of every service: nats-py's own, except that the headers of a message are read when asked for.

Rule of this room: one thing is different, and a test compares it with the original. Every event in the log carries four
headers, a reader of the log looks at none of them, and nats-py would spend more on them than on the rest of the message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from nats.aio.client import Client

VERSION_LINE: Final = b"NATS/1.0"


class Headers(Mapping[str, str]):
    """Headers as they came, `\\r\\nName: value\\r\\n…\\r\\n\\r\\n`; one of them is found without reading the others."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        mark = b"\r\n%s:" % name.encode()
        # The last one where a name comes twice, as in a dictionary that is filled in order.
        at = self._raw.rfind(mark)
        if at < 0:
            raise KeyError(name)
        at += len(mark)
        return self._raw[at : self._raw.index(b"\r\n", at)].strip().decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return iter(Client._parse_header_lines(self._raw))

    def __len__(self) -> int:
        return len(Client._parse_header_lines(self._raw))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Headers({dict(self)})"


class Connection(Client):
    """Use it as `nats.aio.client.Client`."""

    async def _process_headers(self, headers: bytes | None) -> Mapping[str, str] | None:  # type: ignore[override]  # a view
        if headers and headers.startswith(VERSION_LINE + b"\r\n"):
            return Headers(headers[len(VERSION_LINE) :])
        # None at all, or a status of the server in the first line.
        return await super()._process_headers(headers)
