"""The outermost layer: a time limit until the first byte, headers that every answer has, one line in the log per request.

Rule of this room: whatever happens further in, the client gets an answer or a closed connection, and the log gets a line
without secrets.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Message,
    Receive,
    ReceiveMessage,
    Scope,
    Send,
)
from prometheus_client import Counter, Histogram

from penstock import ids
from penstock_api.hub import Follower
from penstock_api.problems import MEDIA_TYPE, Problem, ProblemDetails, details, unexpected
from penstock_api.tokens import Token

log = structlog.get_logger()

REQUESTS: Final = Counter("penstock_api_requests", "requests answered", ["method", "route", "status"])
SECONDS: Final = Histogram("penstock_api_first_byte_seconds", "seconds until the first byte", ["method", "route"])

HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, request_seconds_max: float) -> None:
        self._app = app
        self._seconds_max = request_seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == ScopeType.HTTP, "the server is told to know nothing else"
        call = _Call(str(scope["method"]), scope["path"])
        try:
            async with asyncio.timeout(self._seconds_max) as timer:

                async def first_byte(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        timer.reschedule(None)
                    await call.send(message, send)

                await self._app(scope, call.received(receive), first_byte)
        except TimeoutError:
            await call.fail(_too_slow(call), send)
        except asyncio.CancelledError:
            if not call.is_cut(scope):
                raise
        except Exception as error:
            # The application has handlers for everything: what comes here has broken one of them, or the answer itself.
            error_id = ids.fresh()
            log.error("http.failed", error_id=error_id, method=call.method, path=call.path, exc_info=error)
            await call.fail(unexpected(error_id), send)
        finally:
            call.finish(scope)


class _Call:
    """One request on its way through."""

    def __init__(self, method: str, path: str) -> None:
        self.method, self.path = method, path
        self.body_complete = False
        self._started_at = time.perf_counter()
        self._first_byte_seconds: float | None = None
        self._status = 0

    def received(self, receive: Receive) -> Receive:
        async def receive_and_look() -> ReceiveMessage:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                self.body_complete = True
            return message

        return receive_and_look

    async def send(self, message: Message, send: Send) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._first_byte_seconds = time.perf_counter() - self._started_at
            given = list(message["headers"])
            names = {name.lower() for name, _ in given}
            message["headers"] = given + [header for header in HEADERS if header[0] not in names]
        await send(message)

    async def fail(self, problem: ProblemDetails, send: Send) -> None:
        """Answer with the problem if nothing has been answered yet; else the connection is closed by the server."""
        if self._status:
            return
        body = msgspec.json.encode(problem)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [*headers, (b"connection", b"close")],
        }
        rest: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
        await self.send(start, send)
        await send(rest)

    def is_cut(self, scope: Scope) -> bool:
        follower = _follower(scope)
        return follower is not None and follower.cut

    def finish(self, scope: Scope) -> None:
        if (follower := _follower(scope)) is not None:
            follower.close()
        route = scope.get("path_template", "")
        user = scope.get("user")
        REQUESTS.labels(self.method if route else "", route, self._status).inc()
        if self._first_byte_seconds is not None:
            SECONDS.labels(self.method if route else "", route).observe(self._first_byte_seconds)
        log.info(
            "http.request",
            method=self.method,
            path=self.path,
            status=self._status,
            ms=round((time.perf_counter() - self._started_at) * 1_000, 1),
            token=user.id if isinstance(user, Token) else "",
            cut=self.is_cut(scope),
        )


def _follower(scope: Scope) -> Follower | None:
    follower = scope["state"].get("follower")
    return follower if isinstance(follower, Follower) else None


def _too_slow(call: _Call) -> ProblemDetails:
    if call.body_complete:
        return details(Problem(503, "timeout", "the answer took too long"), call.path)
    return details(Problem(408, "timeout", "the body did not arrive in time"), call.path)
