"""Recall by meanings beside words: an endpoint of one's own, pgvector, and what is said where one of them is missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from patience import WAIT_SECONDS_MAX
from scenario import given as history
from scenario import prepare_ok, whole

from penstock.catalog import MemorySettings
from penstock.service import Runtime
from penstock.settings import Secret
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.embeddings import Embeddings
from penstock_orchestrator.memory_rows import MEMORY_COLUMNS, MemoryRow
from penstock_orchestrator.recall import Recall, fused
from penstock_orchestrator.rows import values

pytestmark = pytest.mark.anyio

MEANINGS = ({"money", "price", "cents", "currency"}, {"colour", "paint", "hue"}, {"queue", "backlog"})
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their limits are for tasks that must not be held up; a slow machine needs more for an answer."""
    monkeypatch.setattr("penstock_orchestrator.recall.RECALL_SECONDS_MAX", WAIT_SECONDS_MAX)
    monkeypatch.setattr("penstock_orchestrator.embeddings.ASK_SECONDS_MAX", WAIT_SECONDS_MAX)


class Endpoint:
    """Speaks the wire format: a text's vector is what it is about. `broken`: what it answers instead."""

    def __init__(self) -> None:
        self.broken: bytes | None = None
        self.asked: list[tuple[str, dict[str, object]]] = []

    async def __aenter__(self) -> Endpoint:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(
            next(line for line in head.lower().splitlines() if line.startswith("content-length")).split(":")[1]
        )
        body = json.loads(await reader.readexactly(length))
        self.asked.append((head, body))
        data = [{"index": at, "embedding": self.vector(text)} for at, text in enumerate(body["input"])]
        content = json.dumps({"object": "list", "data": data[::-1]}).encode()
        answer = (
            self.broken
            or b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content
        )
        writer.write(answer)
        await writer.drain()
        writer.close()

    @staticmethod
    def vector(text: str) -> list[float]:
        words = set(text.lower().split())
        return [0.01 + len(words & meaning) for meaning in MEANINGS]


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint() as running:
        yield running


async def remember(dsn: str, *titles: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        rows = [
            MemoryRow(
                memory=f"m{number:025d}",
                repo="shop",
                task=f"m{number:025d}",
                kind="success",
                title=title,
                asked="",
                happened="",
                files=[],
                born_at=NOW,
                number=number,
            )
            for number, title in enumerate(titles, 1)
        ]
        await connection.copy_records_to_table(
            "memory_of_task", schema_name="penstock", records=[values(row) for row in rows], columns=MEMORY_COLUMNS
        )
        await connection.execute("select penstock.memory_settle($1)", [row.memory for row in rows])
        await connection.execute("insert into penstock.projection values ('read_model', 1000)")
    finally:
        await connection.close()


def task(title: str) -> Task:
    return history(whole(title=title, recall_max=3)).lives(prepare_ok).state


def recall(dsn: str, embeddings: Embeddings) -> Recall:
    return Recall(dsn, settings=MemorySettings, clock=lambda: NOW, embeddings=embeddings)


async def filled(embeddings: Embeddings, done: asyncio.Task[None]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while embeddings.trouble:
            assert not done.done()
            await asyncio.sleep(0.02)


async def test_what_means_the_same_is_found_by_no_word_of_it(postgres: str, endpoint: Endpoint) -> None:
    await remember(postgres, "Round every price", "Paint the fence", "Drain the backlog")
    runtime = Runtime("test")
    embeddings = Embeddings(postgres, endpoint.url, "tiny", Secret("a-key"))
    done = asyncio.create_task(embeddings.run(runtime))
    asking = recall(postgres, embeddings)
    try:
        await filled(embeddings, done)
        event = await asking(task("Convert currency to cents"))
        assert [item.title for item in event.items] == ["Round every price"]
        assert event.degraded == ""
        assert event.items[0].similarity > 0.9
        both = await asking(task("Paint with every colour"))
        assert both.items[0].title == "Paint the fence"
        head, body = endpoint.asked[0]
        assert "authorization: bearer a-key" in head.lower()
        assert body["model"] == "tiny"
        endpoint.broken = b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        alone = await asking(task("Round the price"))
        assert [item.title for item in alone.items] == ["Round every price"]
        assert alone.degraded == "by words alone: the embeddings endpoint says 429"
    finally:
        runtime.stop.set()
        await done
        await asking.close()
        await embeddings.close()


async def test_what_is_forgotten_loses_its_vector_and_what_is_changed_gets_another(
    postgres: str, endpoint: Endpoint
) -> None:
    await remember(postgres, "Round every price", "Paint the fence")
    embeddings = Embeddings(postgres, endpoint.url, "tiny", Secret(""))
    connection = await asyncpg.connect(postgres)
    try:
        assert await embeddings._fill() is False
        before = await connection.fetchval("select count(*) from penstock_embedding.memory")
        await connection.execute(
            "insert into penstock.memory_note values ('m0000000000000000000000001', 'shop', true, null, null, null, false,"
            " true, '', 'ana', now(), -1), ('m0000000000000000000000002', 'shop', true, null, 'Sell paint', null, false,"
            " false, '', 'ana', now(), -2)"
        )
        await connection.execute(
            "select penstock.memory_settle(array['m0000000000000000000000001', 'm0000000000000000000000002'])"
        )
        await embeddings._fill()
        kept = await connection.fetch("select memory from penstock_embedding.memory")
        assert (before, [row["memory"] for row in kept]) == (2, ["m0000000000000000000000002"])
        assert endpoint.asked[-1][1]["input"] == ["Sell paint\n\n"]
    finally:
        await connection.close()
        await embeddings.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "does not answer"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "says 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "answer is none"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":[]}', "0 vectors for 1 texts"),
    ],
)
async def test_an_endpoint_that_is_of_no_use_is_said_to_be(
    postgres: str, endpoint: Endpoint, answer: bytes, says: str
) -> None:
    await remember(postgres, "Round every price")
    endpoint.broken = answer or b"\r\n"
    runtime = Runtime("test")
    embeddings = Embeddings(postgres, endpoint.url, "tiny", Secret(""))
    done = asyncio.create_task(embeddings.run(runtime))
    asking = recall(postgres, embeddings)
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while says not in embeddings.trouble:
                await asyncio.sleep(0.02)
        event = await asking(task("Round the price"))
        assert [item.title for item in event.items] == ["Round every price"]
        assert says in event.degraded
    finally:
        runtime.stop.set()
        await done
        await asking.close()
        await embeddings.close()


async def test_without_the_extension_it_says_so_and_stays_off(postgres: str, endpoint: Endpoint) -> None:
    await remember(postgres, "Round every price")
    connection = await asyncpg.connect(postgres)
    # A role that may use what is there and install nothing stands for a server without the extension.
    await connection.execute("create role plain login password 'p'; grant usage on schema penstock to plain")
    await connection.execute("grant select on all tables in schema penstock to plain")
    await connection.close()
    host = postgres.rsplit("@", 1)[1]
    embeddings = Embeddings(f"postgresql://plain:p@{host}", endpoint.url, "tiny", Secret(""))
    runtime = Runtime("test")
    done = asyncio.create_task(embeddings.run(runtime))
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while "no extension vector" not in embeddings.trouble:
                await asyncio.sleep(0.02)
        assert endpoint.asked == []
    finally:
        runtime.stop.set()
        await done
        await embeddings.close()
        connection = await asyncpg.connect(postgres)
        await connection.execute("drop owned by plain; drop role plain")
        await connection.close()


def test_two_orders_become_one_by_their_ranks() -> None:
    assert fused(["a", "b", "c"], ["c", "a"]) == ["a", "c", "b"]
    assert fused(["a", "b"], []) == ["a", "b"]
    assert fused([], ["x", "y"]) == ["x", "y"]
    assert fused(["a"], ["b"]) == ["a", "b"]
