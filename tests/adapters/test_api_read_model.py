"""The tables that the api reads: made again from the log, byte for byte, also where they are another version's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import asyncpg
import pytest
from adapters.api_house import DEADLINE_SECONDS, House, cancelled, database_of, house_for_many
from servers import PostgresForTest

from penstock import events as e
from penstock import ids
from penstock.values import Continuation, Forecast, Origin, Plan, RepoSnapshot, Signal, Usage
from penstock_orchestrator import migrate

pytestmark = pytest.mark.anyio

KEYS = {
    "task": "task",
    "step": "job",
    "plan": "job",
    "message": "task, message",
    "decision": "task, decision",
    "event": "seq",
    "projection": "name",
}
SUBMITTED = e.TaskSubmitted(
    title="everything",
    repo=RepoSnapshot(name="shop", clone_url="https://example.com/shop.git"),
    mode="interactive",
    depends_on=("d" * 26,),
    backup_vendor="codex",
    continues=Continuation(task="c" * 26, branch="b", commit="1" * 40, base_commit="2" * 40),
    retry_of="r" * 26,
    origin=Origin(kind="schedule", name="nightly", scheduled_for=datetime(2026, 1, 1, tzinfo=UTC)),
)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


async def life(house: House, *, ends: bool) -> int:
    """A task to which everything happens that the tables know of; the last sequence."""
    task = ids.fresh()
    await house.append(task, SUBMITTED)
    await house.append(task, e.DependencyResolved(on="d" * 26, outcome="succeeded"))
    await house.append(task, e.TaskAdmitted(number=1, priority=5, waited_seconds=1))
    signals = (Signal(source="history", value=0.5, weight=1.0, why="\0"),)
    await house.append(
        task, e.GateScored(score=50, confidence="low", signals=signals, forecast=Forecast(samples=1, chance=0.5))
    )
    plan = await _begun(house, task, e.PlanRequested(number=1, host="h1", session_id="s"))
    proposed = Plan(summary="s\0", steps=("one", "two"), risk="low")
    await house.append(task, e.PlanProposed(job=plan, epoch=1, plan=proposed, usage=Usage(turns=2)))
    await house.append(task, e.PlanCommented(number=1, comment="c", commented_by="ana", via="chat"))
    await house.append(task, e.PlanApproved(number=1, approved_by="ana"))
    first, second = ids.fresh(), ids.fresh()
    await house.append(task, e.MessageAccepted(message=first, text="t\0", sender="ana"))
    await house.append(task, e.MessageAccepted(message=second, text="t", sender="", from_task="f" * 26))
    agent = await _begun(house, task, e.AgentRequested(attempt=1, host="h1", session_id="s", messages=(first, second)))
    await house.append(task, e.MessageDelivered(message=first, job=agent))
    decision = ids.fresh()
    await house.append(
        task,
        e.DecisionRaised(job=agent, epoch=1, decision=decision, subject="x", question="q\0", options=("a\0", "b")),
    )
    await house.append(task, e.AgentProgressed(job=agent, epoch=1, usage=Usage(turns=4, cost_usd=0.5)))
    await house.append(task, e.BudgetWarned(budget="cost", spent=0.5, limit=0.6))
    await house.append(task, e.AgentFailed(job=agent, epoch=1, error_class="x", message="m", usage=Usage(turns=5)))
    await house.append(task, e.MessageConsumed(message=first, job=agent))
    await house.append(task, e.DecisionAnswered(decision=decision, answer="a", answered_by="ana", via="http"))
    await house.append(task, e.TaskEscalated(error_class="x", severity="hard", times=2, to="backup"))
    over = e.FailedOver(
        error_class="x", from_vendor="claude", from_model="", to_vendor="codex", to_model="m", attempts_spent=1
    )
    last = await house.append(task, over)
    return await house.append(task, cancelled()) if ends else last


async def _begun(house: House, task: str, request: e.KnownEvent) -> str:
    job = ids.fresh()
    await house.append(task, request, id=job)
    await house.append(task, e.JobClaimed(job=job, host="h1", epoch=1))
    return job


async def projected(connection: asyncpg.Connection, seq: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                position = await connection.fetchval("select seq from penstock.projection")
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
                position = None
            if (position or 0) >= seq:
                return
            await asyncio.sleep(0.02)


async def dump(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Every row as text, by table."""
    return {
        table: [
            row[0]
            for row in await connection.fetch(f"select row({table}.*)::text from penstock.{table} order by {key}")
        ]
        for table, key in KEYS.items()
    }


async def test_tables_of_another_version_are_made_again_and_come_back_byte_for_byte(house: House) -> None:
    last = max([await life(house, ends=ends) for ends in (True, False, True)])
    connection = await asyncpg.connect(house.dsn)
    try:
        await projected(connection, last)
        before = await dump(connection)
        assert {table: len(rows) for table, rows in before.items() if table != "event"} == {
            "task": 3,
            "step": 6,
            "plan": 3,
            "message": 6,
            "decision": 3,
            "projection": 1,
        }
        # An earlier version has made them: another file, other columns.
        await connection.execute("update public.penstock_migration set sha256 = 'of yesterday' where version = 1")
        await connection.execute("alter table penstock.task drop column mode")
        with pytest.raises(migrate.SchemaProblem, match="provision"):
            await migrate.check(connection)
        assert await migrate.migrate(house.dsn) == ("applied 0001_read_model.sql",)
        await migrate.check(connection)
        await house.restart_projector()
        await projected(connection, last)
        assert await dump(connection) == before
        assert await migrate.migrate(house.dsn) == ()
    finally:
        await connection.close()


async def test_a_missing_table_brings_all_of_them_back(house: House) -> None:
    last = await life(house, ends=False)
    connection = await asyncpg.connect(house.dsn)
    try:
        await projected(connection, last)
        before = await dump(connection)
        await connection.execute("drop table penstock.plan, penstock.message, penstock.projection")
        await migrate.migrate(house.dsn)
        await house.restart_projector()
        await projected(connection, last)
        assert await dump(connection) == before
    finally:
        await connection.close()


async def test_tokens_outlive_a_rebuild_and_an_agent_s_one_needs_its_task(house: House) -> None:
    connection = await asyncpg.connect(house.dsn)
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "insert into penstock_api.token (id, secret_sha256, name, role) values ('x', '', 'x', 'agent')"
            )
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "insert into penstock_api.token (id, secret_sha256, name, role, task)"
                " values ('x', '', 'x', 'viewer', 't')"
            )
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "insert into penstock_api.token (id, secret_sha256, name, role) values ('x', '', 'x', 'root')"
            )
    finally:
        await connection.close()
    assert (await house.client.get("/v1/tokens")).status_code == 200
