"""Meanings beside words: vectors of what is remembered, made by an endpoint that somebody has configured, kept with pgvector.

Rule of this room: an extra that may fail or be absent without anybody waiting for it: whoever asks is told why there is
nothing. Vectors are no part of the read model: they are kept beside it under the memory's id and made anew where its text is
another one; what is forgotten loses its vector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import asyncpg
import httpx2
import msgspec
import structlog
from msgspec import Meta, Struct
from prometheus_client import Counter

from penstock.bounds import clip
from penstock.catalog import MemorySettings
from penstock.service import Runtime
from penstock.settings import Secret
from penstock_orchestrator.projector import DATABASE_AWAY

log = structlog.get_logger()

BATCH: Final = 32
ASK_SECONDS_MAX: Final = 1.5
"""For the one text of a task that waits for it."""

FILL_SECONDS_MAX: Final = 60.0
PAUSE_SECONDS: Final = 5.0
PAUSE_AFTER_TROUBLE_SECONDS: Final = 30.0
TEXT_ROOM: Final = 6_000
ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
NEAR_MAX: Final = 50
ERROR_ROOM: Final = 200

TABLES: Final = """\
create schema if not exists penstock_embedding;
create table if not exists penstock_embedding.memory (
    memory text not null,
    model text not null,
    version timestamptz not null,    -- `born_at` of the text that it was made of
    embedding vector not null,
    primary key (memory, model)
)"""
MISSING: Final = """\
select m.memory, m.born_at, m.title, m.asked, m.happened from penstock.memory as m
left join penstock_embedding.memory as e on e.memory = m.memory and e.model = $1
where not m.forgotten and (e.version is null or e.version <> m.born_at) order by m.born_at desc limit $2"""
KEEP: Final = """\
insert into penstock_embedding.memory (memory, model, version, embedding) values ($1, $2, $3, $4::text::vector)
on conflict (memory, model) do update set version = excluded.version, embedding = excluded.embedding"""
FORGET: Final = """\
delete from penstock_embedding.memory as e using penstock.memory as m where m.memory = e.memory and m.forgotten"""
NEAR: Final = """\
select m.memory, 1 - (e.embedding <=> $2::text::vector) as cosine
from penstock.memory as m join penstock_embedding.memory as e on e.memory = m.memory and e.model = $3
where m.repo = $1 and not m.forgotten and ($6::float8 <= 0 or m.pinned or m.task is null
      or coalesce(m.recalled_at, m.born_at) >= $4::timestamptz - make_interval(secs => $6 * 86400))
order by (1 - (e.embedding <=> $2::text::vector)) * case when $5::float8 > 0 and not m.pinned
      then 0.5::float8 ^ (greatest(extract(epoch from $4 - m.born_at), 0) / 86400 / $5) else 1 end desc, m.number
limit $7"""

EMBEDDED: Final = Counter("penstock_memories_embedded", "memories that were given a vector")


class NoEmbedding(RuntimeError):
    """The endpoint, or pgvector, is of no use this moment; the message says why."""


class _Vector(Struct):
    embedding: Annotated[tuple[float, ...], Meta(min_length=1, max_length=16_000)]
    index: int = 0


class _Answer(Struct):
    data: tuple[_Vector, ...]


class Embeddings:
    """One endpoint and one model. Lives as long as the process."""

    def __init__(self, dsn: str, url: str, model: str, key: Secret) -> None:
        self._dsn, self._model = dsn, model
        headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
        # Without redirects: the key is for this endpoint alone.
        self._http = httpx2.AsyncClient(base_url=url.rstrip("/") + "/", headers=headers, follow_redirects=False)
        self.trouble = "no memory has been given a vector yet"
        """Why nothing is asked of the endpoint; empty while all is well."""

    async def run(self, runtime: Runtime) -> None:
        """Give every memory its vector, for ever; whoever leads does."""
        while True:
            pause = PAUSE_SECONDS
            try:
                if await self._fill():
                    pause = 0.0
                self._now("")
            except NoEmbedding as error:
                self._now(str(error))
                pause = PAUSE_AFTER_TROUBLE_SECONDS
            except (*DATABASE_AWAY, asyncpg.PostgresError) as error:
                self._now(f"PostgreSQL: {_one_line(error)}")
                pause = PAUSE_AFTER_TROUBLE_SECONDS
            if await runtime.stopped_within(pause):
                return

    def _now(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.info("embeddings.state", trouble=trouble or "none", model=self._model)
        self.trouble = trouble

    async def near(
        self,
        connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record],
        repo: str,
        text: str,
        now: datetime,
        rules: MemorySettings,
    ) -> list[tuple[str, float]]:
        """Memories of the repo nearest to the text, with the cosine. Raises NoEmbedding, asyncpg.PostgresError."""
        if self.trouble:
            raise NoEmbedding(self.trouble)
        [vector] = await self._vectors([text], ASK_SECONDS_MAX)
        rows = await connection.fetch(
            NEAR, repo, vector, self._model, now, rules.half_life_days, rules.archive_after_days, NEAR_MAX
        )
        return [(row["memory"], float(row["cosine"])) for row in rows]

    async def close(self) -> None:
        await self._http.aclose()

    async def _fill(self) -> bool:
        """One batch. Whether there may be more. Raises NoEmbedding."""
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=60)
        try:
            try:
                await connection.execute("create extension if not exists vector")
            except asyncpg.PostgresError as error:
                raise NoEmbedding(f"the database has no extension vector: {_one_line(error)}") from error
            await connection.execute(TABLES)
            await connection.execute(FORGET)
            rows = await connection.fetch(MISSING, self._model, BATCH)
            if not rows:
                return False
            texts = ["\n".join((row["title"], row["asked"], row["happened"])) for row in rows]
            vectors = await self._vectors(texts, FILL_SECONDS_MAX)
            kept = [
                (row["memory"], self._model, row["born_at"], vector) for row, vector in zip(rows, vectors, strict=True)
            ]
            await connection.executemany(KEEP, kept)
            EMBEDDED.inc(len(rows))
            return len(rows) == BATCH
        finally:
            await connection.close(timeout=2)

    async def _vectors(self, texts: Sequence[str], seconds: float) -> list[str]:
        """One vector for each text, as pgvector reads it. Raises NoEmbedding."""
        body = {"model": self._model, "input": [clip(text, TEXT_ROOM) or " " for text in texts]}
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream("POST", "embeddings", json=body, timeout=seconds) as answer,
            ):
                content = b""
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > ANSWER_BYTES_MAX:
                        raise NoEmbedding("the embeddings endpoint answers without an end")
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            raise NoEmbedding(f"the embeddings endpoint does not answer: {_one_line(error)}") from error
        if answer.status_code != 200:
            raise NoEmbedding(f"the embeddings endpoint says {answer.status_code}")
        try:
            found = msgspec.json.decode(content, type=_Answer).data
        except msgspec.DecodeError as error:
            raise NoEmbedding(f"the embeddings endpoint's answer is none: {_one_line(error)}") from error
        if sorted(one.index for one in found) != list(range(len(texts))):
            raise NoEmbedding(f"{len(found)} vectors for {len(texts)} texts")
        ordered = sorted(found, key=lambda one: one.index)
        return [f"[{','.join(map(repr, one.embedding))}]" for one in ordered]


def _one_line(error: BaseException) -> str:
    return clip(" ".join(str(error).split()) or type(error).__name__, ERROR_ROOM)
