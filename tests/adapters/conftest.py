"""The real servers, one fixture away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from servers import NatsForTest, PostgresForTest


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsForTest]:
    """One durable nats-server (every write synced) for the run, not provisioned: for what does not mind company."""
    server = NatsForTest(tmp_path_factory.mktemp("nats"), sync_always=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsForTest]:
    """A nats-server of this test's own, provisioned, that may be killed and started again."""
    server = NatsForTest(tmp_path / "nats")
    server.start()
    try:
        await server.provision()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresForTest]:
    server = PostgresForTest(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresForTest) -> Iterator[str]:
    """The address of a fresh, migrated database."""
    name = postgres_server.create()
    yield postgres_server.server.dsn(name)
    postgres_server.drop(name)
