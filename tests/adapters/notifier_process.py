"""The notifier as a real process, and what a test needs to feed it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from ports import free_port
from servers import NatsForTest

from penstock import ids
from penstock import subjects as s
from penstock.catalog import Route
from penstock.codec import encode, encode_event, type_of
from penstock.events import KnownEvent, TaskFailed
from penstock.log import LogWriter
from penstock.values import Usage

ACK_WAIT_SECONDS = 30.0
SECRET_NAME = "hook"
SECRET = "whsec_" + base64.b64encode(b"a secret of tests, 32 bytes long").decode()


class NotifierProcess:
    """One notifier; `lines` are what it printed on standard output."""

    def __init__(self, process: asyncio.subprocess.Process, admin_port: int, errors: Path) -> None:
        self.process = process
        self.admin_port = admin_port
        self.errors = errors

    async def until_ready(self) -> None:
        await until(self._is_ready, what=lambda: f"the notifier to be ready: {self.errors.read_text()}")

    async def _is_ready(self) -> bool:
        assert self.process.returncode is None, self.errors.read_text()
        return (await self.ask("/readyz"))[0] == 200

    async def ask(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.admin_port}{path}")

    async def counted(self, metric: str) -> float:
        """The value of one sample of `/metrics`, 0 where there is none."""
        _, text = await self.ask("/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(metric + " "))

    async def has_counted(self, metric: str, count: int) -> None:
        """Returns when the sample has that value: it is counted a moment after what it counts can be seen elsewhere."""

        async def so_many() -> bool:
            return await self.counted(metric) == count

        await until(so_many, what=lambda: f"{metric} to be {count}")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), WAIT_SECONDS_MAX)


@contextlib.asynccontextmanager
async def notifier(
    nats: NatsForTest, folder: Path, *, wait: bool = True, **settings: str
) -> AsyncIterator[NotifierProcess]:
    """A running notifier that may reach private addresses; killed at the end if it still lives."""
    folder.mkdir(exist_ok=True)
    (folder / SECRET_NAME).write_text(SECRET + "\n")
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PENSTOCK_NATS_URL": nats.url,
        "PENSTOCK_NATS_USER": "notifier",
        "PENSTOCK_NATS_PASSWORD": nats.password,
        "PENSTOCK_ADMIN_PORT": str(port),
        "PENSTOCK_SECRETS_DIR": str(folder),
        "PENSTOCK_ALLOW_PRIVATE_WEBHOOKS": "true",
    } | {f"PENSTOCK_{name.upper()}": value for name, value in settings.items()}
    errors = folder / f"notifier-{port}.log"
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penstock_notifier", env=environment, stdout=asyncio.subprocess.PIPE, stderr=stderr
        )
    running = NotifierProcess(process, port, errors)
    try:
        if wait:
            await running.until_ready()
        yield running
    finally:
        if process.returncode is None:
            await running.kill()


async def until(
    holds: Callable[[], object], *, seconds: float = WAIT_SECONDS_MAX, what: Callable[[], str] = lambda: "a condition"
) -> None:
    """Wait for a condition, asked every 20 ms; fails the test after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = holds()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return
        assert asyncio.get_running_loop().time() < deadline, f"waited {seconds} s for {what()}"
        await asyncio.sleep(0.02)


async def put_route(nc: Client, route: Route) -> None:
    await nc.jetstream().publish(s.kv(s.CATALOG, s.catalog_route(route.name)), encode(route))


def webhook(name: str, port: int, path: str, **more: object) -> Route:
    url = f"http://127.0.0.1:{port}{path}"
    return Route(name=name, channel="webhook", url=url, secret_ref=f"file:{SECRET_NAME}", **more)  # type: ignore[arg-type]


async def append(nc: Client, event: KnownEvent, *, repo: str = "shop", id: str = "") -> str:
    """The event as the first of a new task; returns the event's id."""
    event_id, task = id or ids.fresh(), ids.fresh()
    type_ = type_of(event)
    body = encode_event(
        event, id=event_id, repo=repo, task=task, at=datetime.now(UTC), causation_id="c", source="/penstock/test"
    )
    await LogWriter(nc).append(repo=repo, task=task, type_=type_, id=event_id, body=body, after=0)
    return event_id


def failed(message: str = "nothing usable") -> TaskFailed:
    return TaskFailed(error_class="no_change", message=message, attempts=1, usage=Usage())


async def give_out_again(nc: Client) -> None:
    """What a notifier had in hand when it was killed is given to the next one now, and not after half a minute. The time for
    that is short for a moment only: a slow notifier would be taken for a dead one."""
    await give_out_again_after(nc, 1.0)
    await asyncio.sleep(2.0)
    await give_out_again_after(nc, ACK_WAIT_SECONDS)


async def give_out_again_after(nc: Client, seconds: float) -> None:
    """Set the time after which an event or a delivery that was not answered for is given to somebody else."""
    for stream, durable in ((s.EVENTS, s.NOTIFIER_DURABLE), (s.DELIVERIES, s.DELIVERIES_DURABLE)):
        config = (await nc.jetstream().consumer_info(stream, durable)).config
        config.ack_wait = seconds
        await nc.jetstream().add_consumer(stream, config)


async def stored(nc: Client, stream: str) -> int:
    return int((await nc.jetstream().stream_info(stream)).state.messages)


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
