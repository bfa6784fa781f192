"""The way to PostgreSQL: a pool, and what its absence is called.

Rule of this room: a database that is away is a 503 that says so, and is asked again at the next request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from penstock_api.problems import unavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

CONNECT_SECONDS: Final = 3.0
ACQUIRE_SECONDS: Final = 2.0
QUERY_SECONDS: Final = 5.0
CONNECTIONS_MAX: Final = 10

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class NoSchema(RuntimeError):
    """The database lacks something that a statement of this version names."""


class _Connection(asyncpg.Connection):
    def get_reset_query(self) -> str:
        # A reset is a round trip per request. Nothing needs it as long as no statement leaves anything behind on its
        # connection (no LISTEN, no SET, no advisory lock), over which a test watches.
        return ""


class Database:
    """The pool. Every call raises Problem (503) while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, dsn: str, statements: Iterable[str]) -> Database:
        """A pool with its first connection made; the database knows every name in `statements`.

        Raises Problem where the database is away, NoSchema where it is not ready for this version."""
        with _database_errors():
            pool = await asyncpg.create_pool(
                dsn,
                # None kept against its will: a pool that restores a floor does so in the log, with a traceback each time.
                min_size=0,
                max_size=CONNECTIONS_MAX,
                connection_class=_Connection,
                timeout=CONNECT_SECONDS,
                command_timeout=QUERY_SECONDS,
                server_settings={"application_name": "penstock-api"},
            )
        try:
            await cls(pool)._check(statements)
        except BaseException:
            pool.terminate()
            raise
        return cls(pool)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                await self._pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError):
            self._pool.terminate()

    async def _check(self, statements: Iterable[str]) -> None:
        async with self.connection() as connection:
            for statement in statements:
                try:
                    await connection.prepare(statement)
                except asyncpg.SyntaxOrAccessError as error:
                    raise NoSchema(f"{error}: run `penstock-orchestrator provision` of this version") from error

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with _database_errors():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def fetch_row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(statement, *arguments)


_GONE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # Also raised for a connection that died in the middle of a statement.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
)
"""It is away, starting, stopping, out of connections, or its tables are being made again."""


@contextlib.contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except _GONE as error:
        raise unavailable("postgresql", str(error) or type(error).__name__) from error
