"""What the api asks of the read model about plans, messages and decisions.

Rule of this room: it only reads; a row is shown as it stands.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from penstock.values import Plan
from penstock_api.database import Database


class PlanComment(Struct, frozen=True, kw_only=True):
    """What somebody said of the plan with this number."""

    number: int
    comment: str
    commented_by: str
    via: str
    at: datetime


class PlanView(Struct, frozen=True, kw_only=True):
    """The last plan. `state`: waiting, commented, approved, rejected, unanswered. `silence`: what was made of it that nobody
    had answered in time (park, deny, approve), null where somebody has. `comments`: of this plan and of those before it."""

    task: str
    number: int
    state: str
    plan: Plan
    comments: tuple[PlanComment, ...]
    answered_by: str | None
    via: str | None
    reason: str | None
    silence: str | None
    job: str
    proposed_at: datetime
    answered_at: datetime | None


class MessageView(Struct, frozen=True, kw_only=True):
    """A message. `from_task`: the task whose agent wrote it, null for a person. `delivered_at`: when a run was told;
    `consumed_at`: when a run that was told has ended, having worked."""

    sequence: int
    message: str
    sender: str
    from_task: str | None
    text: str
    job: str | None
    accepted_at: datetime
    delivered_at: datetime | None
    consumed_at: datetime | None


class DecisionView(Struct, frozen=True, kw_only=True):
    """A question. `answer` null: it waits for a person. `delivered_at`: when a run was told the answer."""

    sequence: int
    decision: str
    job: str
    subject: str
    question: str
    options: tuple[str, ...]
    raised_at: datetime
    answer: str | None
    answered_by: str | None
    via: str | None
    answered_at: datetime | None
    delivered_at: datetime | None
    consumed_at: datetime | None


class _Comment(Struct, frozen=True, kw_only=True):
    comment: str
    commented_by: str
    via: str
    at: datetime


PLANS_READ_MAX: Final = 50


def _columns(kind: type[Struct]) -> str:
    names = ", ".join(field.name for field in msgspec.structs.fields(kind))
    return names.replace("sequence", "seq as sequence", 1)


PLANS: Final = (
    f"select {_columns(PlanView)} from penstock.plan where task = $1 order by seq desc limit {PLANS_READ_MAX}"  # noqa: S608
)
MESSAGES: Final = (
    f"select {_columns(MessageView)} from penstock.message where task = $1 and seq > $2 order by seq limit $3"  # noqa: S608
)
MESSAGE: Final = f"select {_columns(MessageView)} from penstock.message where task = $1 and message = $2"  # noqa: S608
DECISIONS: Final = (
    f"select {_columns(DecisionView)} from penstock.decision where task = $1 and seq > $2 order by seq limit $3"  # noqa: S608
)
DECISION: Final = f"select {_columns(DecisionView)} from penstock.decision where task = $1 and decision = $2"  # noqa: S608
STATEMENTS: Final = (PLANS, MESSAGES, MESSAGE, DECISIONS, DECISION)


async def read_plan(database: Database, task: str) -> PlanView | None:
    """The last plan with the comments on all of them; None where there is none yet."""
    rows = await database.fetch(PLANS, task)
    if not rows:
        return None
    comments = [comment for row in reversed(rows) for comment in _comments(row)]
    plan = msgspec.json.decode(rows[0]["plan"], type=Plan)
    return PlanView(**dict(rows[0]) | {"plan": plan, "comments": tuple(comments)})


def _comments(row: asyncpg.Record) -> list[PlanComment]:
    return [
        PlanComment(number=row["number"], **msgspec.structs.asdict(said))
        for said in msgspec.json.decode(row["comments"], type=list[_Comment])
    ]


async def read_messages(database: Database, task: str, *, after: int, limit: int) -> tuple[MessageView, ...]:
    return tuple(MessageView(**dict(row)) for row in await database.fetch(MESSAGES, task, after, limit))


async def read_message(database: Database, task: str, message: str) -> MessageView | None:
    row = await database.fetch_row(MESSAGE, task, message)
    return None if row is None else MessageView(**dict(row))


async def read_decisions(database: Database, task: str, *, after: int, limit: int) -> tuple[DecisionView, ...]:
    return tuple(_decision(row) for row in await database.fetch(DECISIONS, task, after, limit))


async def read_decision(database: Database, task: str, decision: str) -> DecisionView | None:
    row = await database.fetch_row(DECISION, task, decision)
    return None if row is None else _decision(row)


def _decision(row: asyncpg.Record) -> DecisionView:
    return DecisionView(**dict(row) | {"options": tuple(row["options"])})
