"""Brings the PostgreSQL schema up to date: numbered plain SQL files, one transaction each, forward only.

Rule of this room: a file that has been applied is never changed (its digest is kept and compared). The read model's files are
the exception that proves it: its tables may be dropped at any time, and are made again from the files of this version.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

import asyncpg

LOCK_KEY: Final = 7_013_370_101
MEMORY_LOCK_KEY: Final = 7_013_370_102
"""Held by whoever writes what is remembered: it is made of two sources."""

READ_MODEL_VERSIONS: Final = (1, 4)
READ_MODEL_TABLES: Final = tuple(
    f"penstock.{table}"
    for table in (
        *("projection", "task", "step", "plan", "message", "decision", "event"),
        *(
            "memory",
            "memory_of_task",
            "memory_note",
            "memory_recall",
            "memory_position",
            "memory_word",
            "memory_common",
            "memory_total",
        ),
    )
)


class SchemaProblem(RuntimeError):
    """The database's schema is not the one that this version was built for."""


class Migration(NamedTuple):
    """One file: `0001_name.sql`."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """All files in order of their number."""
    found = []
    for entry in files("penstock_orchestrator").joinpath("migrations").iterdir():
        if entry.name.endswith(".sql"):
            found.append(Migration(int(entry.name[:4]), entry.name, entry.read_text(encoding="utf-8")))
    return tuple(sorted(found))


async def migrate(dsn: str) -> tuple[str, ...]:
    """Apply what is missing. Returns a line per file applied. Raises SchemaProblem."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", LOCK_KEY)
            await connection.execute(
                "create table if not exists public.penstock_migration"
                " (version integer primary key, name text not null, sha256 text not null)"
            )
        done = [f"applied {migration.name}" for migration in migrations() if await _apply(connection, migration)]
        if await ensure_read_model(connection) and not done:
            done.append("made the read model's tables again: they were gone")
        return tuple(done)
    finally:
        await connection.close()


async def _apply(connection: asyncpg.Connection, migration: Migration) -> bool:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK_KEY)
        known = await connection.fetchval(
            "select sha256 from public.penstock_migration where version = $1", migration.version
        )
        if known is not None:
            if known == migration.digest:
                return False
            if migration.version not in READ_MODEL_VERSIONS:
                raise SchemaProblem(f"{migration.name} is not the file that was applied to this database")
        if migration.version in READ_MODEL_VERSIONS:
            # Another version's tables, or none of this file yet: the log fills new ones from its beginning. A projector of the
            # other version that still runs cannot write them, and says so.
            await connection.execute("drop schema if exists penstock cascade")
        else:
            await connection.execute(migration.sql)
        await connection.execute(
            "insert into public.penstock_migration (version, name, sha256) values ($1, $2, $3)"
            " on conflict (version) do update set name = excluded.name, sha256 = excluded.sha256",
            migration.version,
            migration.name,
            migration.digest,
        )
        return True


async def ensure_read_model(connection: asyncpg.Connection) -> bool:
    """Make the read model's tables anew where one of them is missing; True when that was so."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK_KEY)
        missing = [
            table for table in READ_MODEL_TABLES if await connection.fetchval("select to_regclass($1) is null", table)
        ]
        if not missing:
            return False
        await connection.execute("drop schema if exists penstock cascade")
        for migration in migrations():
            if migration.version in READ_MODEL_VERSIONS:
                await connection.execute(migration.sql)
        return True


async def check(connection: asyncpg.Connection) -> None:
    """Raise SchemaProblem unless every file of this version has been applied."""
    if await connection.fetchval("select to_regclass('public.penstock_migration') is null"):
        raise SchemaProblem("the database has no schema yet: run `penstock-orchestrator provision`")
    rows = await connection.fetch("select version, sha256 from public.penstock_migration")
    applied = {row["version"]: row["sha256"] for row in rows}
    for migration in migrations():
        if applied.get(migration.version) != migration.digest:
            raise SchemaProblem(
                f"{migration.name} is missing in the database, or is another file there: "
                "run `penstock-orchestrator provision` of this version"
            )
