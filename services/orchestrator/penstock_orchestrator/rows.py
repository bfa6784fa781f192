"""The read model's rows, made from tasks and events: pure, so that the same log gives the same bytes.

Rule of this room: nothing comes from the clock, from chance or from the database; a NUL, which PostgreSQL cannot hold in
text, becomes the replacement character.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, fields, replace

from penstock.events import (
    AgentFailed,
    AgentRequested,
    AgentSucceeded,
    JobClaimed,
    JobLost,
    JobStopped,
    PrepareFailed,
    PrepareRequested,
    PrepareSucceeded,
    PublishFailed,
    PublishRequested,
    PublishSucceeded,
    Recorded,
    TaskBlocked,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskParked,
    TaskSubmitted,
    TaskSucceeded,
    TaskUnblocked,
    TaskUnverified,
    Unknown,
    VerifyFailed,
    VerifyRequested,
    VerifySkipped,
    VerifySucceeded,
)
from penstock.values import CommandResult, Usage
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.waiting import phase, waiting


class TaskRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.task`, its fields in the table's words."""

    task: str
    repo: str
    title: str
    description: str
    acceptance: str
    priority: int
    labels: list[str]
    vendor: str
    model: str
    flow: str
    submitted_by: str
    phase: str
    outcome: str | None
    attempt: int
    attempts_max: int
    host: str | None
    job: str | None
    waiting_for: str
    can_move: str
    wake_at: datetime | None
    reason: str | None
    message: str | None
    branch: str | None
    base_commit: str | None
    head_commit: str | None
    delivery_kind: str | None
    delivery_url: str | None
    patch_job: str | None
    patch: str | None
    turns: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    wall_seconds: float
    submitted_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    seq: int


class StepRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.step`: one job."""

    job: str
    task: str
    kind: str
    attempt: int
    host: str | None
    epoch: int | None = None
    requested_at: datetime
    claimed_at: datetime | None = None
    ended_at: datetime | None = None
    ended: str | None = None
    error_class: str | None = None
    message: str | None = None
    session_id: str | None = None
    vendor_version: str | None = None
    sandbox: str | None = None
    turns: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    wall_seconds: float | None = None
    commands: str | None = None


TASK_COLUMNS: Final = tuple(field.name for field in fields(TaskRow))
STEP_COLUMNS: Final = tuple(field.name for field in fields(StepRow))


def values(row: TaskRow | StepRow) -> tuple[object, ...]:
    """The row in column order, fit for PostgreSQL."""
    # Without a call for each value: there are two dozen in a row, and a rebuild makes a row for every other event.
    return tuple(
        [
            value.replace("\x00", "\ufffd") if type(value) is str else _clean(value) if type(value) is list else value
            for value in astuple(row)
        ]
    )


def _clean(texts: list[str]) -> list[str]:
    return [text.replace("\x00", "\ufffd") for text in texts]


def task_row(task: Task) -> TaskRow:
    """The task as it stands after the event at its `seq`."""
    spec, usage, wait = task.spec, task.usage, waiting(task)
    reason, message = _reason(task)
    delivery = task.delivery
    patch = None if delivery is None else delivery.patch
    return TaskRow(
        task=task.id,
        repo=task.repo,
        title=spec.title,
        description=spec.description,
        acceptance=spec.acceptance,
        priority=spec.priority,
        labels=list(spec.labels),
        vendor=spec.vendor,
        model=spec.model,
        flow=spec.flow,
        submitted_by=spec.submitted_by,
        phase=phase(task),
        outcome=task.outcome,
        attempt=task.attempts,
        attempts_max=spec.max_attempts,
        host=task.host,
        job=None if task.job is None else task.job.id,
        waiting_for=wait.why,
        can_move=wait.can_move,
        wake_at=wait.wake_at,
        reason=reason,
        message=message,
        branch=task.branch or None,
        base_commit=task.base_commit,
        head_commit=None if task.change is None else task.change.commit,
        delivery_kind=None if delivery is None else delivery.kind,
        delivery_url=None if delivery is None else delivery.url or None,
        patch_job=task.delivery_job if patch is not None else None,
        patch=None if patch is None else msgspec.json.encode(patch).decode(),
        turns=usage.turns,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        wall_seconds=usage.wall_seconds,
        submitted_at=task.submitted_at,
        updated_at=task.updated_at,
        ended_at=task.ended_at,
        seq=task.seq,
    )


def _reason(task: Task) -> tuple[str | None, str | None]:
    if task.outcome in ("succeeded", "unverified"):
        return (task.skipped or None, None) if task.outcome == "unverified" else (None, None)
    if task.outcome == "cancelled":
        return "cancelled", None if task.cancel is None else task.cancel.reason or None
    if task.blocked is not None:
        return task.blocked.reason, task.blocked.message
    if task.parked is not None:
        return task.parked.reason, task.parked.message
    failure = task.failure or task.last_failure
    return (None, None) if failure is None else (failure.error_class, failure.message)


def step_row(steps: dict[str, StepRow], task: Task, recorded: Recorded) -> StepRow | None:
    """The row that this event makes or changes, already put into `steps`; None where it is about no job."""
    event = recorded.data
    match event:
        case PrepareRequested() | AgentRequested() | VerifyRequested() | PublishRequested():
            row = _asked(task, recorded, event)
        case JobClaimed():
            if event.job not in steps:
                return None
            row = replace(steps[event.job], host=event.host, epoch=event.epoch, claimed_at=recorded.at)
        case (
            JobLost()
            | JobStopped()
            | PrepareSucceeded()
            | PrepareFailed()
            | AgentSucceeded()
            | AgentFailed()
            | VerifySucceeded()
            | VerifyFailed()
            | PublishSucceeded()
            | PublishFailed()
        ):
            if event.job not in steps:
                return None
            row = _finished(replace(steps[event.job], ended_at=recorded.at), event)
        case (
            TaskSubmitted()
            | VerifySkipped()
            | TaskCancelRequested()
            | TaskParked()
            | TaskBlocked()
            | TaskUnblocked()
            | TaskSucceeded()
            | TaskUnverified()
            | TaskFailed()
            | TaskCancelled()
            | Unknown()
        ):
            return None
        case _:
            assert_never(event)
    steps[row.job] = row
    return row


def _asked(
    task: Task, recorded: Recorded, event: PrepareRequested | AgentRequested | VerifyRequested | PublishRequested
) -> StepRow:
    base = StepRow(
        job=recorded.id,
        task=recorded.task,
        kind="prepare",
        attempt=task.attempts,
        host=event.host,
        requested_at=recorded.at,
    )
    match event:
        case PrepareRequested():
            return base
        case AgentRequested():
            return replace(base, kind="agent", attempt=event.attempt, session_id=event.session_id)
        case VerifyRequested():
            return replace(base, kind="verify", attempt=event.attempt)
        case PublishRequested():
            return replace(base, kind="publish")
        case _:
            assert_never(event)


Finished = (
    JobLost
    | JobStopped
    | PrepareSucceeded
    | PrepareFailed
    | AgentSucceeded
    | AgentFailed
    | VerifySucceeded
    | VerifyFailed
    | PublishSucceeded
    | PublishFailed
)


def _finished(row: StepRow, event: Finished) -> StepRow:
    match event:
        case JobLost():
            return replace(row, ended="lost", message=event.reason)
        case JobStopped():
            return _used(replace(row, ended="stopped", message=event.reason), event.usage)
        case PrepareSucceeded():
            return replace(row, ended="succeeded", wall_seconds=event.wall_seconds)
        case PublishSucceeded():
            return replace(row, ended="succeeded")
        case PrepareFailed() | PublishFailed():
            return replace(row, ended="failed", error_class=event.error_class, message=event.message)
        case AgentSucceeded():
            done = replace(row, ended="succeeded", message=event.summary or None, **_ran(event))
            return _used(done, event.usage)
        case AgentFailed():
            done = replace(row, ended="failed", error_class=event.error_class, message=event.message, **_ran(event))
            return _used(done, event.usage)
        case VerifySucceeded():
            return replace(row, ended="succeeded", sandbox=event.sandbox or None, **_commands(event.commands))
        case VerifyFailed():
            done = replace(row, ended="failed", error_class=event.error_class, message=event.message)
            return replace(done, sandbox=event.sandbox or None, **_commands(event.commands))
        case _:
            assert_never(event)


def _ran(event: AgentSucceeded | AgentFailed) -> dict[str, str | None]:
    return {"vendor_version": event.vendor_version or None, "sandbox": event.sandbox or None}


def _used(row: StepRow, usage: Usage) -> StepRow:
    return replace(
        row,
        turns=usage.turns,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        wall_seconds=usage.wall_seconds,
    )


def _commands(commands: tuple[CommandResult, ...]) -> dict[str, str | float]:
    # Escaped in JSON, a NUL would still be refused by jsonb.
    text = msgspec.json.encode(commands).decode().replace("\\u0000", "\\ufffd")
    return {"commands": text, "wall_seconds": sum(command.wall_seconds for command in commands)}
