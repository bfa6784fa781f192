"""What the api asks of the memory of earlier work.

Rule of this room: what is forgotten is not shown, here or in a task's timeline; ranking is the read model's own, the same by
which agents are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import asyncpg
import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from penstock.catalog import MemorySettings
from penstock_api.database import Database
from penstock_api.queries import Cursor, StoredEvent

RECALLED_TYPE: Final = "penstock.memory_recalled"
RECALLED: Final = f'"{RECALLED_TYPE}"'.encode()


class Memory(Struct, frozen=True, kw_only=True):
    """What is remembered. `kind`: success, failure, review, decision, lesson. `task`: whose it is, null for what people have
    written. `asked`, `happened`: of the task, beyond its title; `happened` is the text where people have written it. `outcome`
    to `files`: of the task. `corrected`: somebody has changed what the task had left. `archived`: nobody has recalled it for so
    long that it is passed over; pin it to bring it back. `recalls`: how many tasks were told. `similarity`: with a search, the
    share of its words, by weight, that the memory knows."""

    memory: str
    repo: str
    task: str | None
    kind: str
    title: str
    asked: str
    happened: str
    outcome: str | None
    attempts: int | None
    turns: int | None
    url: str | None
    score: float | None
    error_class: str | None
    files: tuple[str, ...]
    born_at: datetime
    pinned: bool
    corrected: bool
    written_by: str
    changed_by: str
    recalls: int
    recalled_at: datetime | None
    archived: bool = False
    similarity: float | None = None


_COLUMNS: Final = ", ".join(
    f"m.{field.name}" for field in msgspec.structs.fields(Memory) if field.name not in ("archived", "similarity")
)
ONE: Final = f"select {_COLUMNS}, forgotten from penstock.memory as m where memory = $1"  # noqa: S608 - our own names
SEARCH: Final = (
    f"select {_COLUMNS}, found.similarity from penstock.memory_search($1, $2, $3, $4, 0, $5) as found"  # noqa: S608
    " join penstock.memory as m using (memory) where $6::text is null or m.kind = $6 order by found.score desc, m.number"
)
POSITION: Final = "select seq from penstock.memory_position"
FORGOTTEN: Final = "select memory from penstock.memory where memory = any($1::text[]) and forgotten"


@cache
def memories_page(*, repo: bool, kind: bool, cursor: bool) -> str:
    """The statement of a page, newest first. Parameters: the limit, then what is filtered by, in this order."""
    conditions, number = ["not forgotten"], 2
    for column, wanted in (("repo", repo), ("kind", kind)):
        if wanted:
            conditions.append(f"{column} = ${number}")
            number += 1
    if cursor:
        conditions.append(f"(born_at, memory) < (${number}::timestamptz, ${number + 1}::text)")
    return (
        f"select {_COLUMNS} from penstock.memory as m where {' and '.join(conditions)}"  # noqa: S608 - our own names
        " order by born_at desc, memory desc limit $1"
    )


STATEMENTS: Final = (ONE, SEARCH, POSITION, FORGOTTEN, memories_page(repo=True, kind=True, cursor=True))


async def read_memory(database: Database, memory: str, rules: MemorySettings, now: datetime) -> Memory | bool | None:
    """The memory; False where it is forgotten, None where there never was one."""
    row = await database.fetch_row(ONE, memory)
    if row is None:
        return None
    return False if row["forgotten"] else _memory(row, rules, now)


async def read_memories(
    database: Database,
    *,
    repo: str | None,
    kind: str | None,
    after: Cursor | None,
    limit: int,
    rules: MemorySettings,
    now: datetime,
) -> tuple[Memory, ...]:
    """A page of memories, newest first."""
    statement = memories_page(repo=repo is not None, kind=kind is not None, cursor=after is not None)
    given = [value for value in (repo, kind) if value is not None]
    rows = await database.fetch(statement, limit, *given, *(after or ()))
    return tuple(_memory(row, rules, now) for row in rows)


async def search_memories(
    database: Database, *, repo: str, text: str, kind: str | None, limit: int, rules: MemorySettings, now: datetime
) -> tuple[Memory, ...]:
    """Those that are most like the text, archived ones too."""
    rows = await database.fetch(SEARCH, repo, text, now, rules.half_life_days, limit, kind)
    return tuple(replace(_memory(row, rules, now), similarity=round(row["similarity"], 3)) for row in rows)


async def notes_position(database: Database) -> int:
    """How far the read model has followed what people have noted."""
    row = await database.fetch_row(POSITION)
    return 0 if row is None else int(row["seq"])


def _memory(row: asyncpg.Record, rules: MemorySettings, now: datetime) -> Memory:
    known = {field: row[field] for field in Memory.__struct_fields__ if field not in ("archived", "similarity")}
    last = row["recalled_at"] or row["born_at"]
    days = rules.archive_after_days
    archived = days > 0 and not row["pinned"] and row["task"] is not None and last < now - timedelta(days=days)
    return Memory(**known | {"files": tuple(row["files"])}, archived=archived)


class _Item(Struct, frozen=True):
    memory: str


class _Items(Struct, frozen=True):
    items: tuple[_Item, ...] = ()


class _Told(Struct, frozen=True):
    type: str
    data: _Items


async def without_forgotten(database: Database, events: Sequence[StoredEvent]) -> tuple[StoredEvent, ...]:
    """These events as stored, but for the texts of memories that are forgotten by now."""
    told = {at: _told(one) for at, one in enumerate(events) if RECALLED in bytes(one.event)}
    if not any(told.values()):
        return tuple(events)
    asked = sorted({memory for memories in told.values() for memory in memories})
    gone = {str(row["memory"]) for row in await database.fetch(FORGOTTEN, asked)}
    shown = list(events)
    for at, memories in told.items():
        if not gone.isdisjoint(memories):
            shown[at] = replace(shown[at], event=_blanked(shown[at].event, gone))
    return tuple(shown)


def _told(stored: StoredEvent) -> frozenset[str]:
    event = msgspec.json.decode(stored.event, type=_Told)
    return frozenset(item.memory for item in event.data.items) if event.type == RECALLED_TYPE else frozenset()


def _blanked(event: Raw, gone: set[str]) -> Raw:
    document = msgspec.json.decode(event, type=dict[str, object])
    data = msgspec.convert(document["data"], dict[str, object])
    items = msgspec.convert(data["items"], list[dict[str, object]])
    blank = {"title": "(forgotten)", "happened": "", "files": []}
    data["items"] = [item | blank if item["memory"] in gone else item for item in items]
    return Raw(msgspec.json.encode(document | {"data": data}))
