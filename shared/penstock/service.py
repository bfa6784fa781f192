"""How a service of Penstock lives: logs, signals, one broker connection, the admin port, an orderly end.

Rule of this room: a service that cannot do its work says what it waits for and keeps trying; one that has lost its
connection for good ends, so that whoever started it can start it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import nats
import nats.errors
import structlog
import uvloop
from nats.aio.client import Client

from penstock.admin import admin_port
from penstock.connection import Connection
from penstock.settings import BadSettings, Common

log = structlog.get_logger()

CONNECT_PAUSE_SECONDS: Final = 0.5
PING_SECONDS: Final = 5
PINGS_OUTSTANDING_MAX: Final = 2
LIVENESS_SECONDS: Final = 15.0
LIVENESS_FAILURES_MAX: Final = 4


class Runtime:
    """What a running service has. `waiting_for` holds the reasons why it is not ready, by name of the part."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.stop = asyncio.Event()
        self.waiting_for: dict[str, str] = {"start": f"{service} is starting"}
        self.exit_code = 0
        self._nc: Client | None = None

    @property
    def nc(self) -> Client:
        assert self._nc is not None
        return self._nc

    def problems(self) -> list[str]:
        problems = [f"{part}: {reason}" for part, reason in self.waiting_for.items()]
        if self._nc is None or not self._nc.is_connected:
            problems.append("nats: not connected")
        if self.stop.is_set():
            problems.append("stopping")
        return problems

    def ready(self, part: str = "start") -> None:
        """That part no longer holds the service up."""
        self.waiting_for.pop(part, None)

    def fail(self, reason: str) -> None:
        """End the process with an error: the reason is one that only a restart or a person can mend."""
        log.error("service.failed", reason=reason)
        self.exit_code = 1
        self.stop.set()

    async def stopped_within(self, seconds: float) -> bool:
        """Wait, but not longer than the service lives; True when it is to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        return self.stop.is_set()


def run(service: str, settings: Common, body: Callable[[Runtime], Awaitable[None]]) -> int:
    """Run `body` with a connected broker until it returns or a signal comes. Returns the process's exit code."""
    configure_logs(service, settings.log_level)
    return uvloop.run(_live(service, settings, body))


def main(service: str, load: Callable[[], Common], body: Callable[[Runtime], Awaitable[None]]) -> None:
    """The whole of a service's `__main__`: settings that are wrong end here, in one line."""
    try:
        settings = load()
    except BadSettings as error:
        sys.exit(f"penstock-{service}: {error}")
    sys.exit(run(service, settings, body))


async def _live(service: str, settings: Common, body: Callable[[Runtime], Awaitable[None]]) -> int:
    runtime = Runtime(service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.stop.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(
                admin_port(service, settings.admin_host, settings.admin_port, runtime.problems)
            )
        except OSError as error:
            log.error("admin.port_taken", port=settings.admin_port, reason=str(error), hint="set PENSTOCK_ADMIN_PORT")
            return 1
        log.info("service.started", admin_port=port)
        runtime._nc = await stack.enter_async_context(broker(service, settings, runtime))
        if not runtime.stop.is_set():
            stack.callback((watch := asyncio.create_task(_watch_connection(runtime))).cancel)
            stack.callback(_never_silently(watch, runtime))
            await body(runtime)
    log.info("service.stopped", exit_code=runtime.exit_code)
    return runtime.exit_code


def _never_silently(task: asyncio.Task[None], runtime: Runtime) -> Callable[[], None]:
    def look() -> None:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            runtime.fail(f"connection watch died: {error!r}")

    return look


@contextlib.asynccontextmanager
async def broker(service: str, settings: Common, runtime: Runtime) -> AsyncIterator[Client]:
    """A connection that comes back after every outage, and ends the service when it never can."""
    nc = Connection()

    async def on_error(error: Exception) -> None:
        text = str(error).lower()
        if "permissions violation" in text:
            # The caller of a refused publish only sees a time-out: this is the one place that knows why.
            log.error("nats.permission_refused", reason=str(error))
        elif not isinstance(error, (nats.errors.NoServersError, OSError)):
            log.warning("nats.error", reason=str(error) or type(error).__name__)

    async def on_disconnected() -> None:
        log.warning("nats.disconnected")

    async def on_reconnected() -> None:
        log.info("nats.reconnected")

    async def on_closed() -> None:
        if not runtime.stop.is_set():
            runtime.fail("the broker has closed the connection for good (credentials changed?)")

    while not runtime.stop.is_set():
        try:
            await nc.connect(
                settings.nats_url,
                name=f"penstock-{service}",
                user=settings.nats_user or None,
                password=settings.nats_password.reveal() or None,
                inbox_prefix=f"_INBOX.{settings.nats_user or service}",
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=3,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=PINGS_OUTSTANDING_MAX,
                drain_timeout=5,
                error_cb=on_error,
                disconnected_cb=on_disconnected,
                reconnected_cb=on_reconnected,
                closed_cb=on_closed,
            )
            break
        except (nats.errors.Error, OSError, TimeoutError) as error:
            runtime.waiting_for["nats"] = f"cannot reach {settings.nats_url}: {str(error) or type(error).__name__}"
            log.warning("nats.waiting", url=settings.nats_url, reason=str(error) or type(error).__name__)
            nc = Connection()
            await runtime.stopped_within(CONNECT_PAUSE_SECONDS)
    runtime.ready("nats")
    try:
        yield nc
    finally:
        runtime.stop.set()
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(5.0):
                await nc.close()


async def _watch_connection(runtime: Runtime) -> None:
    """nats-py can stop reading and still call itself connected; a round trip tells."""
    failures = 0
    while not await runtime.stopped_within(LIVENESS_SECONDS):
        try:
            async with asyncio.timeout(5.0):
                await runtime.nc.flush(timeout=3)
            failures = 0
        except (nats.errors.Error, OSError, TimeoutError, ValueError):
            failures += 1 if runtime.nc.is_connected else 0
            if failures >= LIVENESS_FAILURES_MAX:
                runtime.fail("the broker connection is open and does not answer")


def configure_logs(service: str, level: str) -> None:
    """One JSON line per decision on stderr, every line with the service's name."""
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper(), logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
