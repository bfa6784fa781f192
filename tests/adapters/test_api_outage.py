"""The api while a part is away: it says which, comes back by itself, and ends in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from adapters.api_house import DEADLINE_SECONDS, House, database_of, frames_of, submitted, the_api_waits
from ports import free_port
from processes import ServiceProcess
from servers import NatsForTest, PostgresForTest

from penstock import ids
from penstock.streams import provision
from penstock_api.tokens import fresh_token
from penstock_orchestrator.migrate import migrate

pytestmark = pytest.mark.anyio

OF_THE_BROKER = (
    "penstock_api.orders.ORDER_SECONDS_MAX",
    "penstock_api.orders.WHY_SECONDS",
    "penstock_api.catalog.WRITE_SECONDS",
)
"""How long the api waits for it, and for those behind it."""


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresForTest]:
    """A PostgreSQL of this test's own, that may be killed and started again."""
    server = PostgresForTest(tmp_path / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_database(own_postgres: PostgresForTest) -> Iterator[str]:
    with database_of(own_postgres) as dsn:
        yield dsn


async def status_becomes(client: httpx2.AsyncClient, path: str, status: int) -> httpx2.Response:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (answer := await client.get(path)).status_code != status:
            assert answer.status_code in (status, 200, 503)
            await asyncio.sleep(0.02)
    return answer


async def test_without_postgresql_views_say_so_commands_pass_and_all_comes_back(
    nats: NatsForTest, own_postgres: PostgresForTest, own_database: str, tmp_path: Path
) -> None:
    async with House(nats, own_database, tmp_path) as house:
        await house.put_repo()
        task = await house.submit("before")
        await status_becomes(house.client, f"/v1/tasks/{task}", 200)
        own_postgres.server.kill()
        answer = await house.client.get(f"/v1/tasks/{task}")
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("postgresql: ")
        assert int(answer.headers["retry-after"]) > 0
        during = await house.submit("while it is away")
        assert (await house.client.get("/v1/repos")).status_code == 200
        assert (await house.client.get("/v1/tokens")).status_code == 503
        unknown = house.as_holder_of(fresh_token())
        assert (await unknown.get("/v1/repos")).status_code == 503
        await unknown.aclose()
        own_postgres.start()
        assert (await status_becomes(house.client, f"/v1/tasks/{during}", 200)).json()["title"] == "while it is away"


async def test_without_the_broker_commands_say_so_views_stay_and_all_comes_back(
    nats: NatsForTest, postgres: str, tmp_path: Path
) -> None:
    async with House(nats, postgres, tmp_path) as house:
        await house.put_repo()
        task = await house.submit("before")
        await status_becomes(house.client, f"/v1/tasks/{task}", 200)
        nats.kill()
        wish = {"repo": "shop", "title": "while it is away"}
        key = {"Idempotency-Key": "over-the-outage"}
        with the_api_waits(0.5, *OF_THE_BROKER):
            assert (await house.client.get(f"/v1/tasks/{task}")).status_code == 200
            began = time.monotonic()
            refused = await house.client.post("/v1/tasks", json=wish, headers=key)
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            assert "Idempotency-Key" in refused.json()["hint"]
            assert time.monotonic() - began >= 0.3, (
                "it may come back any moment, and is asked again until the time is over"
            )
            for path in ("/v1/repos/shop", "/v1/dead-letters", f"/v1/tasks/{ids.fresh()}", f"/v1/tasks/{task}/stream"):
                answer = await house.client.get(path)
                assert (answer.status_code, answer.json()["detail"][:6]) == (503, "nats: ")
        assert (await house.client.get("/readyz")).status_code == 503
        nats.start()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (made := await house.client.post("/v1/tasks", json=wish, headers=key)).status_code != 201:
                assert made.status_code == 503
        again = await house.client.post("/v1/tasks", json=wish, headers=key)
        assert again.json() == made.json()
        await status_becomes(house.client, "/readyz", 200)


async def test_a_task_whose_row_is_late_is_waited_for_and_then_asked_for_again(
    nats: NatsForTest, postgres: str, tmp_path: Path
) -> None:
    async with House(nats, postgres, tmp_path) as house:
        await house.put_repo()
        house._projector.cancel()
        await asyncio.wait({house._projector})
        task = await house.submit("not projected")
        with the_api_waits(0.2, "penstock_api.routes.tasks.PROJECTION_SECONDS"):
            answer = await house.client.get(f"/v1/tasks/{task}")
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("read model: ")
        asking = asyncio.create_task(house.client.get(f"/v1/tasks/{task}"))
        house._projector = asyncio.create_task(house._project())
        assert (await asking).json()["title"] == "not projected"


async def test_a_body_that_does_not_arrive_ends_the_request(nats: NatsForTest, postgres: str, tmp_path: Path) -> None:
    async with House(nats, postgres, tmp_path, request_seconds_max=1.0) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        head = f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.admin_token}\r\n"
        writer.write(head.encode() + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"application/problem+json" in answer


async def test_a_head_that_is_endless_or_does_not_arrive_ends_the_connection(
    nats: NatsForTest, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_api.serve.HEAD_SECONDS_MAX", 0.3)
    async with House(nats, postgres, tmp_path) as house:
        for first, then in ((b"", b""), (b"GET /v1/tasks HT", b""), (b"GET / HTTP/1.1\r\nX: ", b"x" * 10_000)):
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write(first)
            sent = 0
            async with asyncio.timeout(DEADLINE_SECONDS):
                ends = asyncio.create_task(reader.read())
                while then and not ends.done():
                    writer.write(then)
                    sent += len(then)
                    await asyncio.wait({ends}, timeout=0.001)
                assert (await ends).startswith(b"HTTP/1.1 400")
            writer.close()
            assert sent < 2_000_000


class Process(ServiceProcess):
    """The api as a deployment starts it."""

    def __init__(self, nats: NatsForTest, dsn: str, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.token = fresh_token()
        (folder / "token").write_text(self.token + "\n")
        wanted = {
            "http_port": str(self.port),
            "database_url": dsn,
            "first_token_file": str(folder / "token"),
        } | settings
        super().__init__("penstock_api", "api", nats, folder, **wanted)

    async def says(self, part: str) -> None:
        """Returns when readiness names that part."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not any(problem.startswith(part) for problem in (await asyncio.to_thread(self.readiness))[1]):
                await asyncio.sleep(0.05)


async def test_a_start_waits_for_each_part_by_name_and_an_end_leaves_no_stream_hanging(
    own_postgres: PostgresForTest, tmp_path: Path
) -> None:
    nats = NatsForTest(tmp_path / "nats")
    own_postgres.server.sql("create database empty")
    dsn = own_postgres.server.dsn("empty")
    own_postgres.server.kill()
    process = Process(nats, dsn, tmp_path / "api")
    process.start()
    try:
        await process.says("nats: ")
        nats.start()
        await process.says("streams: stream EVENTS does not exist")
        admin = await nats.connect()
        await provision(admin, pools=("claude",))
        await admin.close()
        await process.says("postgresql: postgresql: ")
        own_postgres.start()
        await process.says("postgresql: ")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "penstock-orchestrator provision" not in str((await asyncio.to_thread(process.readiness))[1]):
                await asyncio.sleep(0.05)
        await migrate(dsn)
        await process.ready()
        headers = {"Authorization": f"Bearer {process.token}"}
        url = f"http://127.0.0.1:{process.port}"
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=DEADLINE_SECONDS) as client:
            assert (await client.get("/v1/tasks")).json() == {"tasks": [], "next": None}
            async with client.stream("GET", "/v1/stream?after=0") as answer:
                frames = frames_of(answer)
                process.send(signal.SIGTERM)
                with pytest.raises(StopAsyncIteration):
                    await asyncio.wait_for(anext(frames), DEADLINE_SECONDS)
        assert await asyncio.to_thread(process.ended) == 0
        assert process.token.rpartition("_")[2] not in process.log
        assert '"event": "http.request"' in process.log
    finally:
        process.end()
        nats.kill()


async def test_what_only_a_person_can_mend_ends_the_process_in_words(
    nats: NatsForTest, postgres: str, tmp_path: Path
) -> None:
    (tmp_path / "junk").write_text("changeme")
    for folder, settings, words in (
        ("token", {"first_token_file": str(tmp_path / "junk")}, "PENSTOCK_FIRST_TOKEN_FILE"),
        ("port", {"http_port": nats.url.rpartition(":")[2]}, "cannot listen on 127.0.0.1"),
        ("setting", {"request_seconds_max": "0"}, "PENSTOCK_REQUEST_SECONDS_MAX"),
    ):
        process = Process(nats, postgres, tmp_path / folder, **settings)
        process.start()
        try:
            assert await asyncio.to_thread(process.ended) == 1
            assert words in process.log
            assert "Traceback" not in process.log
        finally:
            process.end()


async def test_a_stream_that_is_deleted_ends_the_process(nats: NatsForTest, postgres: str, tmp_path: Path) -> None:
    async with House(nats, postgres, tmp_path) as house:
        await house.append(ids.fresh(), submitted())
        admin = await nats.connect()
        try:
            await admin.jetstream().delete_stream("OUTPUT")
        finally:
            await admin.close()
        await asyncio.wait_for(asyncio.shield(house._live), DEADLINE_SECONDS)
        assert house.runtime.exit_code == 1
