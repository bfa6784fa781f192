"""One request to a forge's API and one bounded answer, or a failure with a class.

Rule of this room: a token is read when it is needed, goes to one host, over TLS that is checked, and never follows a redirect
to another. Only what may be repeated without a second effect is repeated here: a look.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Annotated, Final, Literal, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2
import msgspec
from msgspec import Meta, Struct

from penstock.bounds import COUNT_MAX
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.forge import (
    ForgeAnswerBad,
    ForgeAuthRefused,
    ForgeFailed,
    ForgeLimited,
    ForgeMissing,
    ForgeRefused,
    ForgeUnreachable,
)

T = TypeVar("T")
Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH"]
Number: TypeAlias = Annotated[int, Meta(ge=1, le=COUNT_MAX)]
"""By which a forge knows a pull request."""

Query: TypeAlias = Mapping[str, str | int]
Sign: TypeAlias = Callable[[], Awaitable[Mapping[str, str]]]
"""The headers that say who asks, made anew for each request. Raises ForgeFailed."""

CONNECT_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 60.0
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
LOOKS_MAX: Final = 3
"""A look that meets a fault is made so often."""
LOOK_PAUSE_SECONDS: Final = 0.25
REDIRECTS_MAX: Final = 3
PAGE: Final = 100
"""The most that forges give at once."""
PAGES_MAX: Final = 10
SAID_LENGTH_MAX: Final = 300
WAIT_SECONDS_MIN: Final = 1.0
WAIT_SECONDS_MAX: Final = 24 * 3600.0
"""A forge that says that it has to be left alone for longer is not believed."""
EPOCH_SECONDS_MIN: Final = 1_000_000_000
"""A reset that is said by a larger number is a time, by a smaller one a wait."""

CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables with which a host names other certificates than its system's, to OpenSSL and to us."""

_LIMIT_WORDS = re.compile(r"rate limit|abuse detection|too many requests", re.IGNORECASE)
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?')
_LAST = re.compile(r'<[^<>]*[?&]page=(\d{1,6})\b[^<>]*>\s*;[^,]*\brel="?last"?')


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status from 200 to 299, headers, and the whole body."""

    status: int
    headers: httpx2.Headers
    body: bytes

    def read(self, what: type[T]) -> T:
        """The body as this shape. Raises ForgeAnswerBad."""
        try:
            return msgspec.json.decode(self.body, type=what)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ForgeAnswerBad(f"what came back is not what this forge says: {shown(str(error), 200)}") from error


class _Trouble(Struct):
    """What forges say when they say no: each in its own words, of which these are the most that can be told."""

    message: object = None
    error: object = None
    errors: object = None


class Connection:
    """A forge's API below `base` (no slash at its end). `whose`: who is asked to do something when the credential will not do.
    `refused` is called when it was not valid."""

    def __init__(self, base: str, sign: Sign, *, whose: str, accept: str, refused: Callable[[], None]) -> None:
        self.base = base
        self._refused_then = refused
        self._sign = sign
        self._whose = whose
        self._accept = accept
        self._origin = _origin(base)
        self._http: httpx2.AsyncClient | None = None
        self._sessions = 0

    async def read_credential(self) -> None:
        """See that there is something to show. Raises ForgeFailed, before anybody is asked."""
        await self._sign()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """While inside, requests share connections."""
        if self._http is None:
            timeout = httpx2.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
            self._http = httpx2.AsyncClient(
                verify=_tls(*map(os.environ.get, CERTIFICATES)), timeout=timeout, follow_redirects=False
            )
        self._sessions += 1
        try:
            yield
        finally:
            self._sessions -= 1
            if not self._sessions:
                http, self._http = self._http, None
                await http.aclose()

    async def get(self, path: str, query: Query | None = None) -> Answer:
        """A look; a passing fault is tried again a few times. Raises ForgeFailed."""
        for nth in range(1, LOOKS_MAX + 1):
            try:
                return await self.ask("GET", path, query=query)
            except ForgeUnreachable:
                if nth == LOOKS_MAX:
                    raise
            await asyncio.sleep(LOOK_PAUSE_SECONDS * 2**nth * random.uniform(0.5, 1.0))  # noqa: S311 - spreads tries, guards nothing
        raise AssertionError

    async def pages(self, path: str, what: type[T], query: Query, *, items_max: int) -> list[T]:
        """Items of a list over its pages, until `items_max` or PAGES_MAX. Raises ForgeFailed."""
        found: list[T] = []
        async with self.session():
            for page in range(1, PAGES_MAX + 1):
                answer = await self.get(path, {**query, "page": page})
                found += answer.read(list[what])  # type: ignore[valid-type]  # a type that is given as a value
                if len(found) >= items_max or not has_more(answer):
                    break
        return found[:items_max]

    async def newest(self, path: str, what: type[T], query: Query) -> tuple[list[T], bool]:
        """Of a list that begins with the oldest: its first page and as many of its last as PAGES_MAX lets be read, in its order;
        and whether any was left out. Raises ForgeFailed."""
        async with self.session():
            answer = await self.get(path, {**query, "page": 1})
            found = answer.read(list[what])  # type: ignore[valid-type]  # a type that is given as a value
            start = max(2, last_page(answer) - PAGES_MAX + 2)
            for page in range(start, start + PAGES_MAX - 1):
                if not has_more(answer):
                    break
                answer = await self.get(path, {**query, "page": page})
                found += answer.read(list[what])  # type: ignore[valid-type]  # likewise
            return found, start > 2 or has_more(answer)

    async def ask(self, method: Method, path: str, *, query: Query | None = None, body: object = None) -> Answer:
        """One request, once. Raises ForgeFailed: after ForgeUnreachable it may have had its effect."""
        url = f"{self.base}{path}"
        for _ in range(REDIRECTS_MAX + 1):
            answer = await self._send(method, url, query, body)
            if 200 <= answer.status < 300:
                return answer
            if not 300 <= answer.status < 400:
                raise self._refused(answer)
            url, query = self._elsewhere(method, url, answer), None
        raise ForgeRefused("it sends us round in circles")

    async def _send(self, method: Method, url: str, query: Query | None, body: object) -> Answer:
        headers = {"accept": self._accept, "user-agent": "penstock", **await self._sign()}
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["content-type"] = "application/json"
        async with self.session():
            assert self._http is not None
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    request = self._http.build_request(method, url, params=query, headers=headers, content=content)
                    return await _bounded(self._http, request)
            except TimeoutError as error:
                raise ForgeUnreachable(f"{self._origin} did not answer within {ANSWER_SECONDS_MAX:g} s") from error
            except (httpx2.TransportError, OSError) as error:
                reason = shown(str(error), 200) or type(error).__name__
                raise ForgeUnreachable(f"{self._origin} cannot be reached: {reason}") from error
            except (httpx2.InvalidURL, httpx2.DecodingError, httpx2.StreamError) as error:
                raise ForgeAnswerBad(f"{self._origin}: {shown(str(error), 200)}") from error

    def _elsewhere(self, method: Method, url: str, answer: Answer) -> str:
        """Where a redirect leads, on this very host. Raises ForgeRefused."""
        to = urljoin(url, answer.headers.get("location", ""))
        if _origin(to) != self._origin:
            raise ForgeRefused(
                f"it redirects to another host, {_origin(to)[:200]}, which is not given the credential: name the forge's own "
                "address as api_url"
            )
        if method != "GET" and answer.status not in (307, 308):
            raise ForgeRefused("the repository has moved: give it its new clone_url")
        return to

    def _refused(self, answer: Answer) -> ForgeFailed:
        status, said = answer.status, _said(answer)
        about = f"{self._origin} answered {status}" + (f": {said}" if said else "")
        limited = status == 429 or (
            status == 403
            and (
                "retry-after" in answer.headers
                or answer.headers.get("x-ratelimit-remaining") == "0"
                or answer.headers.get("ratelimit-remaining") == "0"
                or _LIMIT_WORDS.search(said) is not None
            )
        )
        if limited:
            return ForgeLimited(about, retry_at=retry_at(answer.headers, datetime.now(UTC)))
        if status >= 500 or status == 408:
            wait = "retry-after" in answer.headers
            return ForgeUnreachable(about, retry_at=retry_at(answer.headers, datetime.now(UTC)) if wait else None)
        if status == 401:
            self._refused_then()
            return ForgeAuthRefused(f"{about}. The credential is not valid (any more): {self._whose}")
        if status == 403:
            return ForgeAuthRefused(f"{about}. The credential may not do this: {self._whose}")
        if status in (404, 410):
            return ForgeMissing(f"{about}. It is not there, or the credential may not see it: {self._whose}")
        return ForgeRefused(about, status=status, said=said)


async def _bounded(http: httpx2.AsyncClient, request: httpx2.Request) -> Answer:
    """The answer, not read further than it may be long."""
    response = await http.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise ForgeAnswerBad(f"it answers with more than {ANSWER_BYTES_MAX} bytes")
        return Answer(response.status_code, response.headers, bytes(body))
    finally:
        await response.aclose()


@cache
def _tls(*_: str | None) -> ssl.SSLContext:
    """Whom this host's system trusts, or whom the variables name."""
    return ssl.create_default_context()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def has_more(answer: Answer) -> bool:
    """Whether there is another page, as all of these forges say it."""
    return _NEXT.search(answer.headers.get("link", "")) is not None


def last_page(answer: Answer) -> int:
    """The number of the last page, where the forge says it; else 0."""
    found = _LAST.search(answer.headers.get("link", ""))
    return 0 if found is None else int(found[1])


def total_of(answer: Answer) -> int | None:
    """How many items the whole list has; None where the forge does not say it."""
    said = answer.headers.get("x-total-count", "")
    return int(said) if said.isdecimal() and len(said) <= 12 else None


def retry_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When to come back, as the headers have it; None where they say nothing. Times are read against the forge's own clock
    where it tells it, so that neither of the two needs to be right."""
    clock = _date(headers.get("date", "")) or now
    after = headers.get("retry-after", "").strip()
    seconds: float | None = None
    if after.isdecimal():
        seconds = float(after)
    elif (when := _date(after)) is not None:
        seconds = (when - clock).total_seconds()
    else:
        for name in ("x-ratelimit-reset", "ratelimit-reset"):
            said = headers.get(name, "").strip()
            if said.isdecimal() and len(said) <= 12:
                number = float(said)
                seconds = number - clock.timestamp() if number >= EPOCH_SECONDS_MIN else number
                break
    if seconds is None:
        return None
    return now + timedelta(seconds=min(max(seconds, WAIT_SECONDS_MIN), WAIT_SECONDS_MAX))


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _said(answer: Answer) -> str:
    """The forge's own words, as far as they can be shown."""
    try:
        told = msgspec.json.decode(answer.body, type=_Trouble)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    words = [word for part in (told.message, told.error, told.errors) for word in _words(part, depth=3)]
    return shown("; ".join(dict.fromkeys(words)), SAID_LENGTH_MAX)


def _words(part: object, depth: int) -> list[str]:
    match part:
        case str():
            return [part]
        case list() if depth:
            return [word for item in part[:5] for word in _words(item, depth - 1)]
        case dict() if depth:
            return [
                word for key, item in list(part.items())[:5] for word in _words(item, depth - 1) if key != "resource"
            ]
        case _:
            return []
