"""Asks PostgreSQL what is remembered of earlier work in a repo that is like a new task.

Rule of this room: memory helps, and never holds a task up: the answer is an event whatever happens, after a bounded wait, and
says so where it was asked of nobody or came from half of the memories.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import asyncpg
import msgspec
import structlog
from prometheus_client import Counter, Histogram

from penstock.bounds import LINE_LENGTH_MAX, clip
from penstock.catalog import MemorySettings
from penstock.events import MemoryRecalled
from penstock.values import Recalled
from penstock_orchestrator.core.recollection import HAPPENED_ROOM
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.embeddings import Embeddings, NoEmbedding
from penstock_orchestrator.projector import DATABASE_AWAY, NAME

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger()

ITEMS_BYTES_MAX: Final = 128 * 1024
"""Of all that is recalled for one task: half of what an event may hold."""

RECALL_SECONDS_MAX: Final = 2.0
BEHIND_PAUSE_SECONDS: Final = 0.02
REST_SECONDS: Final = 5.0
"""Who has not answered in time is not asked again for so long: many tasks at once must not wait for nobody, one by one."""

CONNECTIONS_MAX: Final = 4
CANDIDATES_MAX: Final = 50
SIMILARITY_MIN: Final = 0.1
"""What knows less of the task's words than this is like it by chance."""

COSINE_MIN: Final = 0.5
RANK_OFFSET: Final = 60
"""Of the reciprocal rank fusion: how little the first places of one list count alone."""

WORDS_ROOM: Final = 2_000
"""Characters of the task that are searched for: each word costs time, and the first say most."""

FILES_MAX: Final = 20
SEARCH: Final = """\
select memory, found.score, found.similarity, m.kind, m.title, m.happened, coalesce(m.task, '') as task,
       coalesce(m.outcome, '') as outcome, coalesce(m.error_class, '') as error_class, m.files
from penstock.memory_search($1, $2, $3, $4, $5, $6) as found join penstock.memory as m using (memory)
order by found.score desc, m.number"""
ROWS: Final = """\
select memory, 0::float8 as score, 0::float8 as similarity, kind, title, happened, coalesce(task, '') as task,
       coalesce(outcome, '') as outcome, coalesce(error_class, '') as error_class, files
from penstock.memory where memory = any($1::text[]) and not forgotten"""

RECALLS: Final = Counter("penstock_recalls", "memories asked for, by how it went", ["ended"])
RECALL_SECONDS: Final = Histogram("penstock_recall_seconds", "how long asking for memories took")

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Candidate(NamedTuple):
    """A row of what was found, and how like the task it is."""

    row: asyncpg.Record
    similarity: float


class Recall:
    """Lives as long as the process. `settings`: the fleet's, as last heard."""

    def __init__(
        self,
        dsn: str,
        *,
        settings: Callable[[], MemorySettings],
        clock: Callable[[], datetime],
        embeddings: Embeddings | None = None,
    ) -> None:
        self._dsn, self._settings, self._clock, self._embeddings = dsn, settings, clock, embeddings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._rests_until = 0.0

    async def __call__(self, task: Task) -> MemoryRecalled:
        """The event that is due, within RECALL_SECONDS_MAX."""
        now = asyncio.get_running_loop().time()
        if now < self._rests_until:
            RECALLS.labels("rested").inc()
            return MemoryRecalled(degraded="PostgreSQL has not answered a moment ago")
        try:
            with RECALL_SECONDS.time():
                async with asyncio.timeout(RECALL_SECONDS_MAX):
                    event = await self._ask(task)
        except (*DATABASE_AWAY, asyncpg.PostgresError) as error:
            self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
            why = str(error) or f"no answer within {RECALL_SECONDS_MAX:g} s"
            log.warning("recall.degraded", task=task.id, reason=why)
            RECALLS.labels("degraded").inc()
            return MemoryRecalled(degraded=clip(f"PostgreSQL: {' '.join(why.split())}", LINE_LENGTH_MAX))
        RECALLS.labels("degraded" if event.degraded else "answered").inc()
        return event

    async def close(self) -> None:
        """Give the connections back."""
        if self._pool is not None:
            self._pool.terminate()

    async def _ask(self, task: Task) -> MemoryRecalled:
        if self._pool is None:
            self._pool = await asyncpg.create_pool(self._dsn, min_size=0, max_size=CONNECTIONS_MAX, timeout=5)
        async with self._pool.acquire() as connection:
            behind = await self._behind(connection, task)
            rows = await self._rows(connection, task)
            found = [Candidate(row, float(row["similarity"])) for row in rows]
            degraded = [behind] if behind else []
            if self._embeddings is not None:
                try:
                    found = await self._fused(connection, self._embeddings, task, found)
                except (NoEmbedding, asyncpg.PostgresError) as error:
                    degraded.append(f"by words alone: {' '.join(str(error).split())}")
        items = _items(found, task.spec.policy.recall_max)
        while len(msgspec.json.encode(items)) > ITEMS_BYTES_MAX:
            items = items[:-1]
        return MemoryRecalled(items=items, degraded=clip("; ".join(degraded), LINE_LENGTH_MAX))

    async def _fused(
        self, connection: Connection, embeddings: Embeddings, task: Task, by_words: list[Candidate]
    ) -> list[Candidate]:
        """Both lists as one, by reciprocal ranks. Raises NoEmbedding, asyncpg.PostgresError."""
        near = await embeddings.near(connection, task.repo, words_of(task), self._clock(), self._settings())
        known = {one.row["memory"]: one for one in by_words}
        more = [memory for memory, cosine in near if memory not in known and cosine >= COSINE_MIN]
        known |= {row["memory"]: Candidate(row, 0.0) for row in await connection.fetch(ROWS, more)}
        cosines = {memory: cosine for memory, cosine in near if cosine >= COSINE_MIN}
        ranked = fused([one.row["memory"] for one in by_words], [memory for memory in cosines if memory in known])
        return [Candidate(known[one].row, max(known[one].similarity, cosines.get(one, 0.0))) for one in ranked]

    async def _behind(self, connection: Connection, task: Task) -> str:
        """Wait a moment for the read model to know what came before the task's last event; words where it does not."""
        deadline = asyncio.get_running_loop().time() + RECALL_SECONDS_MAX / 2
        while (
            at := int(await connection.fetchval("select seq from penstock.projection where name = $1", NAME) or 0)
        ) < task.seq:
            if asyncio.get_running_loop().time() > deadline:
                return f"the read model is behind, at {at} of {task.seq}"
            await asyncio.sleep(BEHIND_PAUSE_SECONDS)
        return ""

    async def _rows(self, connection: Connection, task: Task) -> list[asyncpg.Record]:
        memory = self._settings()
        return await connection.fetch(
            SEARCH,
            task.repo,
            words_of(task),
            self._clock(),
            memory.half_life_days,
            memory.archive_after_days,
            CANDIDATES_MAX,
        )


def fused(*lists: Sequence[str]) -> list[str]:
    """One order of what stands in several, by the sum of the reciprocal ranks; what is equal stays in the first list's order."""
    scores: dict[str, float] = {}
    for names in lists:
        for rank, name in enumerate(names, 1):
            scores[name] = scores.get(name, 0.0) + 1.0 / (RANK_OFFSET + rank)
    return sorted(scores, key=lambda name: -scores[name])


def words_of(task: Task) -> str:
    """What memories are searched for."""
    return clip("\n".join((task.spec.title, task.spec.description, task.spec.acceptance)), WORDS_ROOM)


def _items(found: Sequence[Candidate], most: int) -> tuple[Recalled, ...]:
    """The first ones, a retry of the same wish once: the most alike of them."""
    chosen: dict[str, Recalled] = {}
    for row, likeness in found:
        similarity = min(max(likeness, 0.0), 1.0)
        title = " ".join(row["title"].split())
        if len(chosen) >= most:
            break
        if similarity < SIMILARITY_MIN or (same := f"{row['kind']} {title.lower()}") in chosen:
            continue
        chosen[same] = Recalled(
            memory=row["memory"],
            kind=row["kind"],
            title=clip(title, LINE_LENGTH_MAX),
            happened=clip(row["happened"], HAPPENED_ROOM),
            similarity=round(similarity, 3),
            task=row["task"],
            outcome=row["outcome"],
            error_class=row["error_class"],
            files=tuple(clip(path, LINE_LENGTH_MAX) for path in row["files"][:FILES_MAX]),
        )
    return tuple(chosen.values())
