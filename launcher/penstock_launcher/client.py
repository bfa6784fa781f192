"""A small client of the HTTP API: JSON in and out, and one task's live stream.

Rule of this room: the API is spoken to as any stranger would speak to it; an answer that is no success is an error with the
API's own words.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

JsonObject = dict[str, object]

REQUEST_SECONDS_MAX: Final = 30.0
SILENCE_SECONDS_MAX: Final = 40.0
"""The stream sends a comment every 15 s."""
FRAME_BYTES_MAX: Final = 2 * 1024 * 1024


class ApiSaidNo(RuntimeError):
    """The API answered with an error; the message is what was asked, the status and the API's words."""

    def __init__(self, asked: str, status: int, body: bytes) -> None:
        self._text = body.decode(errors="replace")
        super().__init__(f"{asked}: {status} {self._text}")

    def in_words(self) -> str:
        """For people: which field, what is wrong, what would be right."""
        try:
            problem = json.loads(self._text)
            detail = f"{problem['field']}: {problem['detail']}" if problem.get("field") else str(problem["detail"])
            return f"{detail} ({problem['hint']})" if problem.get("hint") else detail
        except (ValueError, KeyError, TypeError, AttributeError):
            return str(self)


class Frame(NamedTuple):
    """One server-sent event."""

    id: str
    event: str
    data: bytes


class Client:
    """Bound to one address and one token. One request at a time."""

    def __init__(self, http_url: str, token: str) -> None:
        parts = urlsplit(http_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = {"Authorization": f"Bearer {token}"}

    def json(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        """Send and receive one JSON object. Raises ApiSaidNo, OSError."""
        return cast("JsonObject", json.loads(self.bytes(method, path, body)))

    def bytes(
        self, method: str, path: str, body: JsonObject | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The whole answer. Raises ApiSaidNo, OSError."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=REQUEST_SECONDS_MAX)
        try:
            return self._ask(connection, method, path, body, headers or {}).read()
        finally:
            connection.close()

    def stream(self, path: str) -> Iterator[Frame]:
        """Frames until the server ends the stream. Raises ApiSaidNo, OSError (also after SILENCE_SECONDS_MAX of nothing)."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=SILENCE_SECONDS_MAX)
        try:
            response = self._ask(connection, "GET", path, None, {})
            fields: dict[str, list[bytes]] = {}
            while line := response.readline(FRAME_BYTES_MAX):
                name, _, value = line.rstrip(b"\r\n").partition(b":")
                if name:
                    fields.setdefault(name.decode(), []).append(value.removeprefix(b" "))
                elif line in (b"\n", b"\r\n"):
                    if "data" in fields:
                        last = {key: values[-1].decode() for key, values in fields.items()}
                        yield Frame(last.get("id", ""), last.get("event", "message"), b"\n".join(fields["data"]))
                    fields = {}
        finally:
            connection.close()

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: JsonObject | None,
        more: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        headers = {**self._headers, **more}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            response = connection.getresponse()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        if response.status >= 400:
            raise ApiSaidNo(f"{method} {path}", response.status, response.read())
        return response
