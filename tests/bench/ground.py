"""The ground a bench stands on: fresh servers on this machine's disk, a stream full of events, round trips to compare with.

Rule of this room: servers are as a deployment has them, PostgreSQL syncs; only nats-server comes in two grades, and whoever
measures a write names the grade.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Literal

from nats.aio.client import Client
from nats.js.api import PubAck
from ports import free_port
from servers import NatsForTest

from bench.lives import REPO, Line
from penstock import subjects as s
from penstock.connection import Connection
from penstock_launcher.nats_conf import ADMIN
from penstock_launcher.servers import PostgresServer

Grade = Literal["sync default", "sync always"]
GRADES: Final[tuple[Grade, ...]] = ("sync default", "sync always")
"""`default`: an ack may be up to two minutes ahead of the disk. `always`: an ack means synced, as a deployment has it."""

LOAD_AHEAD: Final = 512
ACKS_MAX: Final = 10_000


class Broker:
    """A provisioned nats-server and two connections as its admin: `nc` is what our services use, `plain` is nats-py's own."""

    def __init__(self, server: NatsForTest, nc: Client, plain: Client, folder: Path) -> None:
        self.server = server
        self.nc = nc
        self.plain = plain
        self.folder = folder

    @property
    def version(self) -> str:
        found = self.nc.connected_server_version
        return f"nats-server {found.major}.{found.minor}.{found.patch}"


@asynccontextmanager
async def broker(grade: Grade) -> AsyncIterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = NatsForTest(folder / "nats", sync_always=grade == "sync always")
        server.start()
        try:
            await server.provision()
            nc, plain = Connection(), Client()
            for client in (nc, plain):
                await client.connect(server.url, user=ADMIN, password=server.password, inbox_prefix=f"_INBOX.{ADMIN}")
            try:
                yield Broker(server, nc, plain, folder)
            finally:
                await nc.close()
                await plain.close()
        finally:
            server.kill()


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that syncs its commits."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", ignore_cleanup_errors=True) as name:
        server = PostgresServer(Path(name) / "postgres", password=secrets.token_urlsafe(16), port=free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def load(nc: Client, lines: Iterable[Line]) -> int:
    """Fill the empty log as fast as the broker takes it; returns how many events it holds then.

    With the very headers of `LogWriter`, since a reader pays for them: in an empty stream with one writer, each event's
    place is known before its ack."""
    js = nc.jetstream(publish_async_max_pending=LOAD_AHEAD)
    acks: list[asyncio.Future[PubAck]] = []
    last: dict[str, int] = {}
    count = 0
    for count, line in enumerate(lines, start=1):
        headers = {
            s.MSG_ID: f"01jqa0load{count:016d}",
            s.EXPECTED_LAST: str(last.get(line.task, 0)),
            s.EXPECTED_LAST_SUBJECT: s.events_of_task(REPO, line.task),
        }
        last[line.task] = count
        acks.append(await js.publish_async(line.ingest, line.body, stream=s.EVENTS, headers=headers))
        if len(acks) >= ACKS_MAX:
            await asyncio.gather(*acks)
            acks = []
    await asyncio.gather(*acks)
    stored = (await js.stream_info(s.EVENTS)).state.messages
    assert stored == count, f"{stored} of {count} events are in the log"
    return count


async def round_trip(nc: Client) -> None:
    """One request to the broker's own JetStream API and its answer: the unit in which chains of requests are measured."""
    await nc.request("$JS.API.INFO", b"", timeout=10)
