"""What the api asks of the read model, and the rows as Structs.

Rule of this room: it only reads; the tables are the orchestrator's, and may be made again at any time.
"""

from __future__ import annotations

import base64
from datetime import datetime
from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

import asyncpg
import msgspec
from msgspec import Raw, Struct

from penstock.values import Artifact, CommandResult, Forecast, Origin, Signal
from penstock_api.database import Database
from penstock_api.problems import Problem, invalid

Phase: TypeAlias = Literal[
    "queued",
    "preparing",
    "planning",
    "awaiting_approval",
    "running",
    "verifying",
    "publishing",
    "in_review",
    "parked",
    "blocked",
    "done",
    "failed",
    "cancelled",
]
Outcome: TypeAlias = Literal["succeeded", "unverified", "no_change", "failed", "cancelled"]


class TaskSummary(Struct, frozen=True, kw_only=True):
    """A task as lists show it. `waiting_for`: why it is not moving; `can_move`: who or what can move it; `wake_at`: when it
    moves by itself. `vendor`, `model`: now at work. `admitted`: it holds a slot; `queued_at`: since when it has been without
    one. `cost_usd` null: unknown, and at least `cost_at_least_usd`."""

    task: str
    repo: str
    title: str
    priority: int
    labels: tuple[str, ...]
    mode: str
    vendor: str
    model: str
    account: str
    billing: str
    flow: str
    submitted_by: str
    admitted: bool
    queued_at: datetime
    depends_on_open: tuple[str, ...]
    phase: str
    outcome: str | None
    attempt: int
    attempts_max: int
    host: str | None
    waiting_for: str
    can_move: str
    wake_at: datetime | None
    reason: str | None
    plan_number: int | None
    plan_state: str | None
    decisions_open: int
    score: float | None
    confidence: str | None
    delivery_kind: str | None
    delivery_url: str | None
    cost_usd: float | None
    cost_at_least_usd: float
    max_cost_usd: float | None
    wall_seconds: float
    max_wall_seconds: float
    budget_warned: tuple[str, ...]
    submitted_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    seq: int


class Step(Struct, frozen=True, kw_only=True):
    """One job of a task: prepare, plan, agent, compact, verify, publish. `ended`: succeeded, failed, lost, stopped;
    null while it runs. `transcript`: what an agent printed, to be had at `/v1/tasks/{task}/transcripts/{job}`."""

    job: str
    kind: str
    attempt: int
    host: str | None
    epoch: int | None
    requested_at: datetime
    claimed_at: datetime | None
    ended_at: datetime | None
    ended: str | None
    error_class: str | None
    message: str | None
    session_id: str | None
    vendor_version: str | None
    sandbox: str | None
    turns: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    wall_seconds: float | None
    commands: tuple[CommandResult, ...] = ()
    transcript: Artifact | None = None


class Review(Struct, frozen=True, kw_only=True):
    """The pull request of a task that goes on with it, as last seen. `fix_run`: the one at work, null where none is; `fix_runs`
    so far, of `fix_runs_allowed`. `taken_over`: somebody else has pushed, so no fix run is made any more."""

    number: int | None
    url: str
    state: str
    checks: str
    head_commit: str | None
    seen_at: datetime | None
    next_look_at: datetime
    fix_run: int | None
    fix_runs: int
    fix_runs_allowed: int
    comments_open: int
    checks_open: int
    taken_over: bool


class TaskDetail(TaskSummary, frozen=True, kw_only=True):
    """Everything about one task. `signals`: what the score is made of; `forecast`: what the repo's history lets expect.
    `patch`: the stored patch, to be had at `/v1/tasks/{task}/patch`."""

    description: str
    acceptance: str
    backup_vendor: str | None
    backup_model: str | None
    template: str | None
    origin: Origin | None
    retry_of: str | None
    continues_task: str | None
    depends_on: tuple[str, ...]
    admissions: int
    forecast: Forecast | None
    signals: tuple[Signal, ...] | None
    gate_warnings: tuple[str, ...]
    escalations: int
    job: str | None
    message: str | None
    branch: str | None
    base_commit: str | None
    head_commit: str | None
    review: Review | None
    patch_job: str | None
    patch: Artifact | None
    turns: int
    input_tokens: int
    output_tokens: int
    steps: tuple[Step, ...] = ()


class StoredEvent(Struct, frozen=True, kw_only=True):
    """One event of a task: the CloudEvents document as it was stored, and its place in the log."""

    sequence: int
    event: Raw


class Cursor(NamedTuple):
    """The last task of a page: where the next one begins."""

    submitted_at: datetime
    task: str


def _columns(kind: type[Struct], *left_out: str) -> str:
    return ", ".join(field.name for field in msgspec.structs.fields(kind) if field.name not in left_out)


TASK: Final = f"select {_columns(TaskDetail, 'steps')} from penstock.task where task = $1"  # noqa: S608 - our own names
STEPS: Final = f"select {_columns(Step)} from penstock.step where task = $1 order by requested_at, job"  # noqa: S608
EVENTS: Final = "select seq, body from penstock.event where task = $1 and seq > $2 order by seq limit $3"


@cache
def tasks_page(*, repo: bool, phase: bool, outcome: bool, cursor: bool) -> str:
    """The statement of a page of tasks, newest first. Parameters: the limit, then what is filtered by, in this order."""
    conditions, number = [], 2
    for column, wanted in (("repo", repo), ("phase", phase), ("outcome", outcome)):
        if wanted:
            conditions.append(f"{column} = ${number}")
            number += 1
    if cursor:
        conditions.append(f"(submitted_at, task) < (${number}::timestamptz, ${number + 1}::text)")
    where = " where " + " and ".join(conditions) if conditions else ""
    return (
        f"select {_columns(TaskSummary)} from penstock.task{where}"  # noqa: S608 - our own names
        " order by submitted_at desc, task desc limit $1"
    )


QUEUE: Final = (
    f"select {_columns(TaskSummary)} from penstock.task"  # noqa: S608 - our own names
    # A step of priority is worth so many seconds of waiting, without an end.
    " where phase = 'queued' order by priority * $2::double precision + extract(epoch from queued_at), queued_at, task"
    " limit $1"
)

STATEMENTS: Final = (
    QUEUE,
    tasks_page(repo=True, phase=True, outcome=True, cursor=True),
    TASK,
    STEPS,
    EVENTS,
)


async def read_task(database: Database, task: str) -> TaskDetail | None:
    """The task with its steps, None where the read model has none of that id."""
    async with database.connection() as connection:
        row = await connection.fetchrow(TASK, task)
        if row is None:
            return None
        steps = await connection.fetch(STEPS, task)
    return _detail(row, tuple(_step(step) for step in steps))


_JSON: Final[dict[str, type]] = {
    "patch": Artifact,
    "origin": Origin,
    "forecast": Forecast,
    "review": Review,
    "signals": tuple[Signal, ...],
}


def _detail(row: asyncpg.Record, steps: tuple[Step, ...]) -> TaskDetail:
    values = dict(row) | {"steps": steps}
    for column, kind in _JSON.items():
        if row[column] is not None:
            values[column] = msgspec.json.decode(row[column], type=kind)
    return msgspec.convert(values, TaskDetail, from_attributes=True)


def _summary(row: asyncpg.Record) -> TaskSummary:
    return msgspec.convert(dict(row), TaskSummary)


async def read_tasks(
    database: Database, *, repo: str | None, phase: str | None, outcome: str | None, after: Cursor | None, limit: int
) -> tuple[TaskSummary, ...]:
    """A page of tasks, newest first."""
    statement = tasks_page(
        repo=repo is not None, phase=phase is not None, outcome=outcome is not None, cursor=after is not None
    )
    given = [value for value in (repo, phase, outcome) if value is not None]
    rows = await database.fetch(statement, limit, *given, *(after or ()))
    return tuple(_summary(row) for row in rows)


async def read_queue(database: Database, *, ageing_seconds: float, limit: int) -> tuple[TaskSummary, ...]:
    """Tasks that wait for a slot, in the order of their priority with age."""
    return tuple(_summary(row) for row in await database.fetch(QUEUE, limit, ageing_seconds))


async def read_events(database: Database, task: str, *, after: int, limit: int) -> tuple[StoredEvent, ...]:
    """The task's events after that sequence, as far as they are projected."""
    rows = await database.fetch(EVENTS, task, after, limit)
    return tuple(StoredEvent(sequence=row["seq"], event=Raw(row["body"])) for row in rows)


def _step(row: asyncpg.Record) -> Step:
    commands, transcript = row["commands"], row["transcript"]
    decoded = {
        "commands": () if commands is None else msgspec.json.decode(commands, type=tuple[CommandResult, ...]),
        "transcript": None if transcript is None else msgspec.json.decode(transcript, type=Artifact),
    }
    return Step(**dict(row) | decoded)


def cursor_text(cursor: Cursor) -> str:
    """The cursor as clients carry it: not to be looked into."""
    return base64.urlsafe_b64encode(f"{cursor.submitted_at.isoformat()}|{cursor.task}".encode()).decode().rstrip("=")


def parse_cursor(text: str) -> Cursor:
    """Raises Problem."""
    try:
        at, _, task = base64.urlsafe_b64decode(text.encode("ascii") + b"==").decode("ascii").partition("|")
        submitted_at = datetime.fromisoformat(at)
    except ValueError as error:
        raise _bad_cursor(text) from error
    if submitted_at.tzinfo is None or not 1970 <= submitted_at.year <= 9_000 or not task.isalnum():
        raise _bad_cursor(text)
    return Cursor(submitted_at, task)


def _bad_cursor(text: str) -> Problem:
    return invalid("cursor", "not a cursor", value=text, hint="the `next` of the page before, unchanged")
