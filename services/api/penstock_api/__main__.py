"""The api as a process: wait for what it needs, serve, end in order.

Rule of this room: what is missing is named in readiness and asked for again; only what a person must mend ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import nats.errors
import structlog

from penstock import service, settings, streams
from penstock import subjects as s
from penstock.reader import StreamGone
from penstock.service import Runtime
from penstock_api import deliveries, queries, queries_checks, queries_memory, queries_talk, tokens
from penstock_api.app import create_app
from penstock_api.catalog import Catalog
from penstock_api.database import Database, NoSchema
from penstock_api.deliveries import Deliveries
from penstock_api.follow import Live
from penstock_api.hooks import Secrets
from penstock_api.orders import Orders
from penstock_api.problems import Problem
from penstock_api.request import Parts
from penstock_api.serve import listen, serving
from penstock_api.settings import ApiSettings
from penstock_api.tokens import BadFirstToken, Tokens

log = structlog.get_logger()

STREAMS: Final = (s.EVENTS, s.OUTPUT, s.DEAD, s.ARTIFACTS, s.kv_stream(s.CATALOG), s.kv_stream(s.LEASES))
STATEMENTS: Final = (
    *queries.STATEMENTS,
    *queries_checks.STATEMENTS,
    *queries_memory.STATEMENTS,
    *queries_talk.STATEMENTS,
    *tokens.STATEMENTS,
    *deliveries.STATEMENTS,
)
PAUSE_SECONDS: Final = 1.0
DOWNLOADS_AT_ONCE: Final = 2
T = TypeVar("T")


async def live(runtime: Runtime, wanted: ApiSettings) -> None:
    """The service's life between the broker's connection and its end."""
    dsn = wanted.database_url.reveal()
    if not await until(runtime, "streams", lambda: _streams_stand(runtime)):
        return
    database = await until(runtime, "postgresql", lambda: Database.connect(dsn, STATEMENTS))
    if database is None:
        return
    try:
        known = Tokens(database)
        try:
            if await until(runtime, "first token", lambda: known.ensure_first(wanted.first_token_file)) is None:
                return
        except BadFirstToken as error:
            runtime.fail(str(error))
            return
        await serve(
            runtime,
            Parts(
                settings=wanted,
                nc=runtime.nc,
                database=database,
                tokens=known,
                orders=Orders(runtime.nc),
                catalog=Catalog(runtime.nc),
                live=Live(runtime.nc, wanted.sse_connections_max),
                downloads=asyncio.Semaphore(DOWNLOADS_AT_ONCE),
                deliveries=Deliveries(database),
                hook_secrets=Secrets(Path(wanted.secrets_dir) if wanted.secrets_dir else None),
                problems=runtime.problems,
            ),
        )
    finally:
        await database.close()


async def _streams_stand(runtime: Runtime) -> bool:
    await streams.check(runtime.nc, streams=STREAMS)
    return True


async def serve(runtime: Runtime, parts: Parts) -> None:
    """Answer until the runtime stops, or a part ends that must not."""
    try:
        listener = listen(parts.settings.http_host, parts.settings.http_port)
    except OSError as error:
        runtime.fail(f"cannot listen on {parts.settings.http_host}:{parts.settings.http_port}: {error}")
        return
    stop = asyncio.create_task(runtime.stop.wait())
    follow = [asyncio.create_task(parts.catalog.follow()), asyncio.create_task(parts.live.follow())]
    begun = asyncio.create_task(_begun(parts))
    try:
        runtime.waiting_for["streams"] = "reading what is stored"
        await asyncio.wait({stop, *follow, begun}, return_when=asyncio.FIRST_COMPLETED)
        runtime.ready("streams")
        async with serving(create_app(parts), listener) as server:
            log.info("http.listening", host=parts.settings.http_host, port=listener.getsockname()[1])
            runtime.ready()
            needed: set[asyncio.Task[None]] = {*follow, server}
            await asyncio.wait({*needed, stop}, return_when=asyncio.FIRST_COMPLETED)
            # Streams end first: the server waits for its connections.
            parts.live.close()
            if not runtime.stop.is_set():
                runtime.fail(_why(needed))
    finally:
        for task in (stop, begun, *follow):
            task.cancel()
        await asyncio.gather(stop, begun, *follow, return_exceptions=True)


async def _begun(parts: Parts) -> None:
    await parts.live.started()
    await parts.catalog.filled()


def _why(needed: set[asyncio.Task[None]]) -> str:
    for task in needed:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            first = error
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            return (
                f"the stream {first} is gone" if isinstance(first, StreamGone) else f"{type(first).__name__}: {first}"
            )
    return "a part of the api has ended by itself"


async def until(runtime: Runtime, part: str, attempt: Callable[[], Awaitable[T]]) -> T | None:
    """What `attempt` gives once it succeeds; None when the service is to stop first. Meanwhile `part` is waited for."""
    while not runtime.stop.is_set():
        try:
            result = await attempt()
        except (Problem, NoSchema, streams.Drift, nats.errors.Error, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            if runtime.waiting_for.get(part) != reason:
                log.warning("start.waiting", part=part, reason=reason)
            runtime.waiting_for[part] = reason
            await runtime.stopped_within(PAUSE_SECONDS)
        else:
            runtime.ready(part)
            return result
    return None


def main() -> None:
    wanted: ApiSettings

    def load() -> ApiSettings:
        nonlocal wanted
        wanted = settings.load(ApiSettings, "api", settings.environment())
        return wanted

    service.main("api", load, lambda runtime: live(runtime, wanted))


if __name__ == "__main__":
    main()
