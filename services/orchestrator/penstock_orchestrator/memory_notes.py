"""Writes what people have noted in the catalogue (texts of their own, corrections, what is to be forgotten) into the read model.

Rule of this room: the catalogue's entry is the truth, and the row is what it last said; the position moves with the rows, so
dropped tables are noticed and filled again. It waits for a database that is away, and nothing waits with it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
import nats.errors
import structlog
from msgspec import Struct
from msgspec.structs import fields
from nats.js.errors import APIError

from penstock import subjects as s
from penstock.catalog import MemoryNote
from penstock.codec import Codec, Undecodable
from penstock.lease import state_of
from penstock.reader import Reader, Stored
from penstock.service import Runtime
from penstock_orchestrator import migrate
from penstock_orchestrator.projector import DATABASE_AWAY, RETRY_PAUSE_SECONDS, Overtaken
from penstock_orchestrator.rows import values

log = structlog.get_logger()

LOOK_SECONDS: Final = 2.0
"""So soon it is seen that the tables were dropped."""

BATCH_MAX: Final = 1_000

_notes: Final = Codec(msgspec.json.Decoder(MemoryNote))


class NoteRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.memory_note`. Null: as the task has left it."""

    memory: str
    repo: str
    of_task: bool
    kind: str | None
    title: str | None
    happened: str | None
    pinned: bool
    forgotten: bool
    written_by: str
    set_by: str
    set_at: datetime
    number: int


NOTE_COLUMNS: Final = tuple(field.name for field in fields(NoteRow))


class Notes:
    """Whoever leads writes."""

    def __init__(self, runtime: Runtime, dsn: str) -> None:
        self._runtime, self._dsn = runtime, dsn
        self._prefix = s.kv(s.CATALOG, s.catalog_memory(""))

    async def run(self) -> None:
        """For ever. Starts over from the stored position after any trouble."""
        while True:
            try:
                await self._follow()
            except (*DATABASE_AWAY, asyncpg.PostgresError, migrate.SchemaProblem, Overtaken) as error:
                # The projector says so where people look.
                log.info("notes.restart", reason=str(error) or type(error).__name__)
            except (nats.errors.Error, APIError) as error:
                log.warning("notes.broker_away", reason=str(error) or type(error).__name__)
            await asyncio.sleep(RETRY_PAUSE_SECONDS)

    async def _follow(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=60)
        try:
            await migrate.ensure_read_model(connection)
            position = await self._begin(connection)
            reader = Reader(
                self._runtime.nc,
                s.kv_stream(s.CATALOG),
                filters=[self._prefix + "*"],
                after=position,
                last_per_subject=True,
                name="orchestrator-notes",
            )
            async with aclosing(reader.batches()) as batches:
                coming = asyncio.ensure_future(anext(batches))
                try:
                    while True:
                        done, _ = await asyncio.wait({coming}, timeout=LOOK_SECONDS)
                        if not done:
                            await _expect(connection, position)
                            continue
                        batch = coming.result()
                        coming = asyncio.ensure_future(anext(batches))
                        for at in range(0, len(batch), BATCH_MAX):
                            position = await self._write(connection, batch[at : at + BATCH_MAX], position)
                finally:
                    coming.cancel()
                    await asyncio.wait({coming})
        finally:
            with suppress(*DATABASE_AWAY):
                await connection.close(timeout=2)

    async def _begin(self, connection: asyncpg.Connection) -> int:
        """Where to read on. A catalogue that ends before that is another one, of which nothing here is known."""
        position = await _position(connection)
        info = await self._runtime.nc.jetstream(timeout=5.0).stream_info(s.kv_stream(s.CATALOG))
        if info.state.last_seq >= position:
            return position
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", migrate.MEMORY_LOCK_KEY)
            gone = await connection.fetch("delete from penstock.memory_note returning memory")
            await connection.execute("select penstock.memory_settle($1)", sorted(row["memory"] for row in gone))
            await connection.execute("delete from penstock.memory_position")
        log.warning("notes.catalogue_regressed", position=position, last=info.state.last_seq)
        return 0

    async def _write(self, connection: asyncpg.Connection, batch: list[Stored], position: int) -> int:
        """One transaction: rows and position, or neither. Returns the new position. Raises Overtaken."""
        rows: dict[str, NoteRow | None] = {}
        for stored in batch:
            memory = stored.subject.removeprefix(self._prefix)
            try:
                rows[memory] = _row(stored)
            except Undecodable as error:
                # What it said before stands.
                log.error("note.unreadable", memory=memory, seq=stored.seq, reason=str(error))
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", migrate.MEMORY_LOCK_KEY)
            await _expect(connection, position)
            await connection.execute("delete from penstock.memory_note where memory = any($1::text[])", list(rows))
            await connection.copy_records_to_table(
                "memory_note",
                schema_name="penstock",
                records=[values(row) for row in rows.values() if row is not None],
                columns=NOTE_COLUMNS,
            )
            await connection.execute("select penstock.memory_settle($1)", sorted(rows))
            await connection.execute("delete from penstock.memory_position")
            await connection.execute("insert into penstock.memory_position (seq) values ($1)", batch[-1].seq)
        return batch[-1].seq


async def _position(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("select seq from penstock.memory_position") or 0)


async def _expect(connection: asyncpg.Connection, position: int) -> None:
    if (stored := await _position(connection)) != position:
        raise Overtaken(f"the stored position of the notes is {stored}, expected {position}")


def _row(stored: Stored) -> NoteRow | None:
    """The entry's row, None where the entry has ended. Raises Undecodable."""
    state = state_of(stored.seq, stored.body, stored.headers)
    if state.value is None:
        return None
    note = _notes.decode(state.value)
    if not stored.subject.endswith(f".{note.memory}"):
        raise Undecodable(f"it says that it is {note.memory}")
    return NoteRow(
        memory=note.memory,
        repo=note.repo,
        of_task=note.of_task,
        kind=note.kind,
        title=note.title,
        happened=note.text,
        pinned=note.pinned,
        forgotten=note.forgotten,
        written_by=note.written_by,
        set_by=note.set_by,
        set_at=note.set_at,
        number=-stored.seq,
    )
