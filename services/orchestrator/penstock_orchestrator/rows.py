"""The read model's row of a task, made from the task alone; and what all rows have in common.

Rule of this room: pure, so that the same log gives the same bytes. Nothing comes from the clock, from chance or from the
database; a NUL, which PostgreSQL cannot hold in text, becomes the replacement character.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, fields

from penstock.events import TaskCancelled, TaskFailed, TaskSucceeded, TaskUnverified
from penstock_orchestrator.core.reported import spent
from penstock_orchestrator.core.task import Review, Task
from penstock_orchestrator.core.waiting import phase, waiting

PlanState: TypeAlias = Literal["waiting", "commented", "approved", "rejected", "unanswered"]


class TaskRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.task`, its fields in the table's words."""

    task: str
    repo: str
    title: str
    description: str
    acceptance: str
    priority: int
    labels: list[str]
    mode: str
    vendor: str
    model: str
    backup_vendor: str | None
    backup_model: str | None
    billing: str
    account: str
    flow: str
    template: str | None
    submitted_by: str
    origin: str | None
    retry_of: str | None
    continues_task: str | None
    depends_on: list[str]
    depends_on_open: list[str]
    admitted: bool
    admissions: int
    queued_at: datetime
    phase: str
    outcome: str | None
    attempt: int
    attempts_max: int
    host: str | None
    job: str | None
    score: float | None
    confidence: str | None
    forecast: str | None
    signals: str | None
    gate_warnings: list[str]
    plan_number: int | None
    plan_state: PlanState | None
    decisions_open: int
    escalations: int
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
    review: str | None
    patch_job: str | None
    patch: str | None
    turns: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    cost_at_least_usd: float
    max_cost_usd: float | None
    wall_seconds: float
    max_wall_seconds: float
    budget_warned: list[str]
    submitted_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    seq: int


TASK_COLUMNS: Final = tuple(field.name for field in fields(TaskRow))


def values(row: Struct) -> tuple[object, ...]:
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


def as_json(value: object) -> str:
    """The value for a column of jsonb, which refuses a NUL even where it is escaped."""
    return msgspec.json.encode(value).decode().replace("\\u0000", "\\ufffd")


def task_row(task: Task) -> TaskRow:
    """The task as it stands after the event at its `seq`. What the run at work has used so far is counted."""
    spec, wait, gate = task.spec, waiting(task), task.gate
    usage = task.usage if task.run_usage is None else spent(task, task.run_usage).usage
    reason, message = _reason(task)
    # What was merged may be less than what we have pushed, and no more of it was handed over.
    delivery = task.end.delivery if isinstance(task.end, TaskSucceeded | TaskUnverified) else task.delivery
    patch = None if delivery is None else delivery.patch
    resolved = {on for on, _ in task.resolved}
    return TaskRow(
        task=task.id,
        repo=task.repo,
        title=spec.title,
        description=spec.description,
        acceptance=spec.acceptance,
        priority=task.priority,
        labels=list(spec.labels),
        mode=spec.mode,
        vendor=task.vendor,
        model=task.model,
        backup_vendor=spec.backup_vendor or None,
        backup_model=spec.backup_model or None,
        billing=spec.billing,
        account=task.account,
        flow=spec.flow,
        template=spec.template or None,
        submitted_by=spec.submitted_by,
        origin=None if spec.origin is None else as_json(spec.origin),
        retry_of=spec.retry_of or None,
        continues_task=None if spec.continues is None else spec.continues.task,
        depends_on=list(spec.depends_on),
        depends_on_open=[on for on in spec.depends_on if on not in resolved],
        admitted=task.admitted,
        admissions=task.admissions,
        queued_at=task.queued_at,
        phase=phase(task),
        outcome=task.outcome,
        attempt=task.attempts,
        attempts_max=spec.max_attempts,
        host=task.host,
        job=None if task.job is None else task.job.id,
        score=None if gate is None else gate.score,
        confidence=None if gate is None else gate.confidence,
        forecast=None if gate is None else as_json(gate.forecast),
        signals=None if gate is None else as_json(gate.signals),
        gate_warnings=[] if gate is None else list(gate.warnings),
        plan_number=None if task.plan is None else task.plan.number,
        plan_state=_plan_state(task),
        decisions_open=len(task.points),
        escalations=task.escalations,
        waiting_for=wait.why,
        can_move=wait.can_move,
        wake_at=wait.wake_at,
        reason=reason,
        message=message,
        branch=task.branch or None,
        base_commit=task.base_commit,
        head_commit=_head_commit(task),
        delivery_kind=None if delivery is None else delivery.kind,
        delivery_url=None if delivery is None else delivery.url or None,
        review=None if task.review is None else as_json(_review(task.review)),
        patch_job=task.delivery_job if patch is not None else None,
        patch=None if patch is None else as_json(patch),
        turns=usage.turns,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        cost_at_least_usd=task.cost_so_far,
        max_cost_usd=task.max_cost_usd,
        wall_seconds=usage.wall_seconds,
        max_wall_seconds=task.max_wall_seconds,
        budget_warned=sorted(task.warned),
        submitted_at=task.submitted_at,
        updated_at=task.updated_at,
        ended_at=task.ended_at,
        seq=task.seq,
    )


class ReviewRow(Struct, frozen=True, kw_only=True):
    """What the row of a task says of its pull request. `fix_run`: the one at work, None where none is."""

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


def _review(seen: Review) -> ReviewRow:
    return ReviewRow(
        number=seen.number,
        url=seen.url,
        state=seen.state or "open",
        checks=seen.checks_say or "unknown",
        head_commit=seen.head,
        seen_at=seen.seen_at,
        next_look_at=seen.look_at,
        fix_run=None if seen.fix is None else seen.fix.number,
        fix_runs=seen.fixes,
        fix_runs_allowed=seen.allowed,
        comments_open=len(seen.comments),
        checks_open=len(seen.checks),
        taken_over=seen.taken_over,
    )


def _head_commit(task: Task) -> str | None:
    if task.review is not None and isinstance(task.end, TaskSucceeded | TaskUnverified):
        # A fix run at work has no change yet, or one that came too late.
        return task.end.delivery.commit
    return None if task.change is None else task.change.commit


def _plan_state(task: Task) -> PlanState | None:
    if task.plan is None:
        return None
    match task.plan.answer:
        case "none":
            return "waiting"
        case "parked":
            return "unanswered"
        case "commented" | "approved" | "rejected":
            return task.plan.answer
        case never:
            assert_never(never)


def _reason(task: Task) -> tuple[str | None, str | None]:
    """Of a task that has ended, as its last event has it: what failed on the way is not what it ended with."""
    match task.end:
        case TaskSucceeded():
            return None, None
        case TaskUnverified():
            return task.end.reason, None
        case TaskFailed():
            return task.end.error_class, task.end.message
        case TaskCancelled():
            return "cancelled", task.end.reason or None
        case None:
            return _why_not(task)
        case _:
            assert_never(task.end)


def _why_not(task: Task) -> tuple[str | None, str | None]:
    if task.blocked is not None:
        return task.blocked.reason, task.blocked.message
    if task.parked is not None:
        return task.parked.reason, task.parked.message
    failure = task.failure or task.last_failure
    return (None, None) if failure is None else (failure.error_class, failure.message)
