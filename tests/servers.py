"""Servers for tests: a fresh nats-server for every test that wants one, and a fresh database in one PostgreSQL.

Rule of this room: what is started here ends with the test that asked for it, and with the test run whatever happens.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import nats
from nats.aio.client import Client
from ports import free_port

from penstock.streams import provision
from penstock.subjects import PUBLISH_POOL
from penstock_launcher import nats_conf
from penstock_launcher.servers import NatsServer, PostgresServer

POOLS: Final = ("scripted", "claude", "codex", "gemini", "qwen")
HOSTS: Final = ("h1", "h2", "h3")
PASSWORD: Final = "of-a-test"
TEMPLATE: Final = "template_penstock"


class NatsForTest:
    """A nats-server of one test, provisioned. `url` has no credentials: pass `user` and `password`, or use `connect`."""

    def __init__(
        self,
        folder: Path,
        *,
        sync_always: bool = False,
        pools: Iterable[str] = POOLS,
        hosts: Iterable[str] = HOSTS,
    ) -> None:
        port, monitor_port = free_port(), free_port()
        config = nats_conf.render(
            port=port,
            monitor_port=monitor_port,
            store_dir=str(folder / "jetstream"),
            passwords=dict.fromkeys(nats_conf.USERS, PASSWORD),
            pools=tuple(pools),
            hosts=tuple(hosts),
            sync_always=sync_always,
        )
        self._server = NatsServer(folder, config=config, port=port, monitor_port=monitor_port)
        self._pools = tuple(pools)
        self.password = PASSWORD
        self.url = self._server.url
        self.monitor_url = self._server.monitor_url
        self.start, self.stop, self.kill, self.restart = (
            self._server.start,
            self._server.stop,
            self._server.kill,
            self._server.restart,
        )

    @property
    def pid(self) -> int | None:
        return self._server.pid

    async def provision(self) -> tuple[str, ...]:
        """Streams, buckets and shared durables, by the admin. Returns what had to be made."""
        nc = await self.connect()
        try:
            return await provision(nc, pools=(*self._pools, PUBLISH_POOL))
        finally:
            await nc.close()

    async def connect(self, user: str = nats_conf.ADMIN) -> Client:
        """A connection that comes back quickly after `kill` and `start`; the caller closes it."""

        async def ignore(_: Exception) -> None:
            return

        return await nats.connect(
            self.url,
            user=user,
            password=self.password,
            name=f"test-{user}",
            inbox_prefix=f"_INBOX.{user}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.05,
            error_cb=ignore,
        )


class PostgresForTest:
    """One PostgreSQL for the whole run, and an empty, migrated database for each test that asks."""

    def __init__(self, folder: Path) -> None:
        self.server = PostgresServer(
            folder / "postgres", password=secrets.token_urlsafe(16), port=free_port(), durable=False
        )
        self._numbers = itertools.count(1)
        self._template_made = False

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def create(self) -> str:
        """A fresh database; returns its name (`server.dsn(name)` is its address)."""
        if not self._template_made:
            self.server.sql(f"create database {TEMPLATE}")
            self._migrate()
            self._template_made = True
        name = f"t{os.getpid()}_{next(self._numbers)}"
        self.server.sql(f"create database {name} template {TEMPLATE}")
        return name

    def drop(self, name: str) -> None:
        self.server.sql(f"drop database {name} with (force)")

    def _migrate(self) -> None:
        if importlib.util.find_spec("penstock_orchestrator.migrate") is None:
            return
        migrate = importlib.import_module("penstock_orchestrator.migrate").migrate
        asyncio.run(migrate(self.server.dsn(TEMPLATE)))
