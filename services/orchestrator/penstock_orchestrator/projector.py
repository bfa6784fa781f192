"""Writes the log into PostgreSQL as the read model: batches, each with its position in the same transaction.

Rule of this room: the rows can be dropped at any time and come back the same; a database that is away is waited for, and
nothing else of the orchestrator waits with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final, assert_never

import asyncpg
import nats.errors
import structlog
from nats.js.errors import APIError
from prometheus_client import Counter, Gauge

from penstock import subjects as s
from penstock.codec import Undecodable, decode_event
from penstock.events import Recorded
from penstock.reader import Reader, Stored
from penstock.service import Runtime
from penstock_orchestrator import migrate
from penstock_orchestrator.core.evolve import evolve, hold
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.memory_rows import (
    MEMORY_COLUMNS,
    RECALL_COLUMNS,
    MemoryRow,
    RecallRow,
    RememberedRow,
    remembered,
)
from penstock_orchestrator.rows import TASK_COLUMNS, TaskRow, task_row, values
from penstock_orchestrator.step_rows import STEP_COLUMNS, StepRow, step_row
from penstock_orchestrator.talk_rows import (
    DECISION_COLUMNS,
    MESSAGE_COLUMNS,
    PLAN_COLUMNS,
    TALK,
    DecisionRow,
    MessageRow,
    PlanRow,
    Talk,
    TalkRow,
)

log = structlog.get_logger()

NAME: Final = "read_model"
BATCH_EVENTS_MAX: Final = 5_000
RETRY_PAUSE_SECONDS: Final = 0.5

# asyncpg raises all of these for a server that is killed, starting, stopping or unreachable.
DATABASE_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)

EVENTS_PROJECTED: Final = Counter("penstock_events_projected", "events written into the read model")
POSITION: Final = Gauge("penstock_projection_position", "last sequence in the read model")


class Overtaken(RuntimeError):
    """The stored position is not the one this projector wrote last: the tables were dropped, or somebody else projects."""


class LogRegressed(RuntimeError):
    """The log ends before what the read model has seen of it."""


class Projector:
    """Folds the log a second time, for the rows. One at a time writes: whoever leads."""

    def __init__(self, runtime: Runtime, dsn: str) -> None:
        self._runtime = runtime
        self._dsn = dsn

    async def run(self) -> None:
        """Project for ever. Starts over from the stored position after any trouble."""
        while True:
            try:
                await self._project()
            except LogRegressed as error:
                # Events that people have seen are gone. To go on would give their numbers to others.
                self._runtime.fail(str(error))
                return
            except Overtaken as error:
                log.warning("projector.restart", reason=str(error))
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
                log.warning("projector.tables_gone", reason=str(error))
            except (*DATABASE_AWAY, asyncpg.PostgresError, migrate.SchemaProblem) as error:
                # Away, or it says no (read-only after a failover, full, no right): a person may have to mend it. Deciding
                # goes on without the read model, and `/readyz` says why.
                self._wait_for_database(error)
            await asyncio.sleep(RETRY_PAUSE_SECONDS)

    def _wait_for_database(self, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._runtime.waiting_for["postgresql"] = reason
        log.warning("projector.database_away", reason=reason)

    async def _connect(self) -> asyncpg.Connection:
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=60)
            except (*DATABASE_AWAY, asyncpg.PostgresError) as error:
                self._wait_for_database(error)
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
                continue
            self._runtime.ready("postgresql")
            return connection

    async def _project(self) -> None:
        connection = await self._connect()
        try:
            await migrate.ensure_read_model(connection)
            position = await self._position(connection)
            await self._check_log(position)
            reader = Reader(self._runtime.nc, s.EVENTS, name="orchestrator-projector")
            model = ReadModel(position)
            async with aclosing(reader.batches()) as batches:
                async for batch in batches:
                    for at in range(0, len(batch), BATCH_EVENTS_MAX):
                        model.take(batch[at : at + BATCH_EVENTS_MAX])
                        connection = await self._write(connection, model)
                        await asyncio.sleep(0)
        finally:
            await _close(connection)

    async def _check_log(self, position: int) -> None:
        try:
            info = await self._runtime.nc.jetstream(timeout=5.0).stream_info(s.EVENTS)
        except (nats.errors.Error, APIError) as error:
            raise TimeoutError(f"the log's end cannot be read: {str(error) or type(error).__name__}") from error
        if info.state.last_seq < position:
            raise LogRegressed(
                f"the log ends at {info.state.last_seq}, and the read model has seen it up to {position}: an older copy of "
                "the broker's data, or another broker? Bring the log back; or, if its end is lost for good, drop the "
                "tables of schema penstock so that they are built from what is left"
            )

    async def _position(self, connection: asyncpg.Connection) -> int:
        await connection.execute(
            "insert into penstock.projection (name, seq) values ($1, 0) on conflict do nothing", NAME
        )
        return int(await connection.fetchval("select seq from penstock.projection where name = $1", NAME))

    async def _write(self, connection: asyncpg.Connection, model: ReadModel) -> asyncpg.Connection:
        """Write what is new, again and again while the database is away; the connection that did it."""
        while model.has_news:
            try:
                await write(connection, model)
                EVENTS_PROJECTED.inc(len(model.events))
                model.written()
                POSITION.set(model.position)
            except DATABASE_AWAY as error:
                self._wait_for_database(error)
                await _close(connection)
                connection = await self._connect()
        return connection


class ReadModel:
    """The rows that have changed since the last write. Coalesced: a task that changed ten times is written once.

    Only living tasks are kept: of one that has ended its id is enough, since what still comes is for the timeline alone."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.written_position = position
        self.events: list[tuple[int, str, str, str, str, datetime, bytes]] = []
        self._tasks: dict[str, Task] = {}
        self._ended: set[str] = set()
        self._steps: dict[str, dict[str, StepRow]] = {}
        self._talks: dict[str, Talk] = {}
        self._dirty_tasks: dict[str, Task] = {}
        self._dirty_steps: dict[str, StepRow] = {}
        self._dirty_plans: dict[str, PlanRow] = {}
        self._dirty_messages: dict[tuple[str, str], MessageRow] = {}
        self._dirty_decisions: dict[tuple[str, str], DecisionRow] = {}
        self._dirty_memories: dict[str, MemoryRow] = {}
        self._dirty_recalls: dict[tuple[str, str], RecallRow] = {}

    @property
    def has_news(self) -> bool:
        return self.position > self.written_position

    def take(self, batch: list[Stored]) -> None:
        """Fold a batch; what lies behind the stored position only builds the state up."""
        for stored in batch:
            news = stored.seq > self.written_position
            self._take(stored, news)
            if news:
                self.position = stored.seq

    def _take(self, stored: Stored, news: bool) -> None:
        try:
            recorded = decode_event(stored.body, stored.seq)
        except Undecodable as error:
            task_id = s.parse_event(stored.subject).task
            if task_id in self._tasks:
                why = f"event at {stored.seq} cannot be read: {error}"
                self._tasks[task_id] = hold(self._tasks[task_id], stored.seq, why)
                if news:
                    self._dirty_tasks[task_id] = self._tasks[task_id]
            return
        if recorded.task in self._ended:
            self._tell(stored, recorded, news)
            return
        task = evolve(self._tasks.get(recorded.task), recorded)
        if task is None:
            return
        self._tell(stored, recorded, news)
        self._tasks[task.id] = task
        step = step_row(self._steps.setdefault(task.id, {}), task, recorded)
        said = self._talk(task, recorded) if type(recorded.data) in TALK else None
        if news:
            self._dirty_tasks[task.id] = task
            if step is not None:
                self._dirty_steps[step.job] = step
            if said is not None:
                self._said(said)
            for row in remembered(task, recorded):
                self._remember(row)
        if task.outcome is not None:
            self._ended.add(task.id)
            del self._tasks[task.id], self._steps[task.id]
            self._talks.pop(task.id, None)

    def _talk(self, task: Task, recorded: Recorded) -> TalkRow | None:
        if task.id not in self._talks:
            self._talks[task.id] = Talk()
        return self._talks[task.id].take(task, recorded)

    def _said(self, row: TalkRow) -> None:
        match row:
            case PlanRow():
                self._dirty_plans[row.job] = row
            case MessageRow():
                self._dirty_messages[row.task, row.message] = row
            case DecisionRow():
                self._dirty_decisions[row.task, row.decision] = row
            case _:
                assert_never(row)

    def _remember(self, row: RememberedRow) -> None:
        match row:
            case MemoryRow():
                self._dirty_memories[row.memory] = row
            case RecallRow():
                self._dirty_recalls[row.memory, row.task] = row
            case _:
                assert_never(row)

    def _tell(self, stored: Stored, recorded: Recorded, news: bool) -> None:
        if news:
            type_ = s.parse_event(stored.subject).type
            self.events.append((stored.seq, recorded.id, recorded.task, recorded.repo, type_, recorded.at, stored.body))

    def task_rows(self) -> list[TaskRow]:
        return [task_row(self._dirty_tasks[task_id]) for task_id in sorted(self._dirty_tasks)]

    def step_rows(self) -> list[StepRow]:
        return list(self._dirty_steps.values())

    def plan_rows(self) -> list[PlanRow]:
        return list(self._dirty_plans.values())

    def message_rows(self) -> list[MessageRow]:
        return list(self._dirty_messages.values())

    def decision_rows(self) -> list[DecisionRow]:
        return list(self._dirty_decisions.values())

    def memory_rows(self) -> list[MemoryRow]:
        return list(self._dirty_memories.values())

    def recall_rows(self) -> list[RecallRow]:
        return list(self._dirty_recalls.values())

    def written(self) -> None:
        self.written_position = self.position
        self.events = []
        self._dirty_tasks = {}
        self._dirty_steps = {}
        self._dirty_plans = {}
        self._dirty_messages = {}
        self._dirty_decisions = {}
        self._dirty_memories = {}
        self._dirty_recalls = {}


async def write(connection: asyncpg.Connection, model: ReadModel) -> None:
    """One transaction: rows and position, or neither. Raises Overtaken."""
    async with connection.transaction():
        stored = await connection.fetchval("select seq from penstock.projection where name = $1 for update", NAME)
        if stored != model.written_position:
            raise Overtaken(f"the stored position is {stored}, expected {model.written_position}")
        if model.events:
            await connection.copy_records_to_table(
                "event",
                schema_name="penstock",
                records=model.events,
                columns=("seq", "event_id", "task", "repo", "type", "at", "body"),
            )
        await _replace(connection, "task", ("task",), TASK_COLUMNS, model.task_rows())
        await _replace(connection, "step", ("job",), STEP_COLUMNS, model.step_rows())
        await _replace(connection, "plan", ("job",), PLAN_COLUMNS, model.plan_rows())
        await _replace(connection, "message", ("task", "message"), MESSAGE_COLUMNS, model.message_rows())
        await _replace(connection, "decision", ("task", "decision"), DECISION_COLUMNS, model.decision_rows())
        await _remember(connection, model.memory_rows(), model.recall_rows())
        await connection.execute("update penstock.projection set seq = $2 where name = $1", NAME, model.position)


async def _remember(connection: asyncpg.Connection, memories: list[MemoryRow], recalls: list[RecallRow]) -> None:
    """What is remembered is made of these rows and of what people have written; one of both writes at a time."""
    if not memories and not recalls:
        return
    await connection.execute("select pg_advisory_xact_lock($1)", migrate.MEMORY_LOCK_KEY)
    await _replace(connection, "memory_of_task", ("memory",), MEMORY_COLUMNS, memories)
    await _replace(connection, "memory_recall", ("memory", "task"), RECALL_COLUMNS, recalls)
    changed = {row.memory for row in memories} | {row.memory for row in recalls}
    await connection.execute("select penstock.memory_settle($1)", sorted(changed))


async def _replace(
    connection: asyncpg.Connection,
    table: str,
    keys: tuple[str, ...],
    columns: tuple[str, ...],
    rows: Sequence[TaskRow | StepRow | TalkRow | RememberedRow],
) -> None:
    """These rows in place of those with the same keys, which are texts. Two statements however many rows: an upsert of each
    costs the server twice as much, and a new version of the row is written either way."""
    if not rows:
        return
    arrays = ", ".join(f"${number}::text[]" for number in range(1, len(keys) + 1))
    same = f"({', '.join(keys)}) in (select * from unnest({arrays}))"  # noqa: S608 - names from code
    if len(keys) == 1:
        same = f"{keys[0]} = any($1)"
    given = [[getattr(row, key) for row in rows] for key in keys]
    await connection.execute(f"delete from penstock.{table} where {same}", *given)  # noqa: S608 - names from code
    records = [values(row) for row in rows]
    await connection.copy_records_to_table(table, schema_name="penstock", records=records, columns=columns)


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=2)
    except DATABASE_AWAY:
        connection.terminate()
