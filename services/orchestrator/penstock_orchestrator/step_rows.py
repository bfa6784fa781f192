"""The rows of jobs: one for each, from when it was asked for to its end.

Rule of this room: pure; an event about a job that the task does not know changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias, assert_never, get_args

from msgspec import Struct
from msgspec.structs import fields, replace

from penstock import events as e
from penstock.values import CommandResult, Finding, ProposedCheck, Usage
from penstock_orchestrator.core.reported import most
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.rows import as_json


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
    transcript: str | None = None


STEP_COLUMNS: Final = tuple(field.name for field in fields(StepRow))


def step_row(steps: dict[str, StepRow], task: Task, recorded: e.Recorded) -> StepRow | None:
    """The row that this event makes or changes, already put into `steps`; None where it is about no job."""
    row = _ROWS[type(recorded.data)](steps, task, recorded, recorded.data)
    if row is not None:
        steps[row.job] = row
    return row


Asked: TypeAlias = (
    e.PrepareRequested
    | e.PlanRequested
    | e.AgentRequested
    | e.CompactRequested
    | e.VerifyRequested
    | e.PublishRequested
)


def _asked(_: dict[str, StepRow], task: Task, recorded: e.Recorded, event: Asked) -> StepRow:
    base = StepRow(
        job=recorded.id,
        task=recorded.task,
        kind="prepare",
        attempt=task.attempts,
        host=event.host,
        requested_at=recorded.at,
    )
    match event:
        case e.PrepareRequested():
            return base
        case e.PlanRequested():
            return replace(base, kind="plan", attempt=event.number, session_id=event.session_id)
        case e.AgentRequested():
            return replace(base, kind="agent", attempt=event.attempt, session_id=event.session_id)
        case e.CompactRequested():
            return replace(base, kind="compact", session_id=event.session_id)
        case e.VerifyRequested():
            return replace(base, kind="verify", attempt=event.attempt)
        case e.PublishRequested():
            return replace(base, kind="publish", host=None if event.pool else event.host)
        case _:
            assert_never(event)


Finished: TypeAlias = (
    e.JobLost
    | e.JobStopped
    | e.PrepareSucceeded
    | e.PrepareFailed
    | e.PlanProposed
    | e.PlanFailed
    | e.AgentSucceeded
    | e.AgentFailed
    | e.CompactSucceeded
    | e.CompactFailed
    | e.VerifySucceeded
    | e.VerifyFailed
    | e.PublishSucceeded
    | e.PublishFailed
)


Said: TypeAlias = e.JobClaimed | e.AgentProgressed | Finished


def _changed(steps: dict[str, StepRow], _: Task, recorded: e.Recorded, event: Said) -> StepRow | None:
    row = steps.get(event.job)
    if row is None:
        return None
    if isinstance(event, e.JobClaimed):
        return replace(row, host=event.host, epoch=event.epoch, claimed_at=recorded.at)
    if isinstance(event, e.AgentProgressed):
        # Its last word may come before this one does.
        return row if row.ended else _used_at_least(row, event.usage)
    return _finished(replace(row, ended_at=recorded.at), event)


def _worth_a_look(findings: tuple[Finding, ...]) -> str | None:
    """What was let pass, a line for each."""
    lines = [f"{one.file}:{one.line or ''} [{one.rule}] {one.message}" for one in findings]
    return "\n".join(lines) or None


def _marked(conflicts: tuple[str, ...]) -> str | None:
    return f"both sides are marked in {', '.join(conflicts)}" if conflicts else None


def _proposed(checks: tuple[ProposedCheck, ...]) -> str | None:
    """What nobody has confirmed, a line for each."""
    lines = [f"{one.stage}: {one.command} ({one.confidence}, {one.source})" for one in checks]
    return "\n".join(["the repo has no checks; its own files propose", *lines]) if lines else None


def _finished(row: StepRow, event: Finished) -> StepRow:
    match event:
        case e.JobLost():
            return replace(row, ended="lost", message=event.reason)
        case e.JobStopped():
            return _used_at_least(replace(row, ended="stopped", message=event.reason), event.usage)
        case e.PrepareSucceeded():
            said = _marked(event.conflicts) or _proposed(event.proposed or ())
            return replace(row, ended="succeeded", wall_seconds=event.wall_seconds, message=said)
        case e.PublishSucceeded():
            return replace(row, ended="succeeded", message=_worth_a_look(event.findings))
        case e.PrepareFailed() | e.PublishFailed():
            return replace(row, ended="failed", error_class=event.error_class, message=event.message)
        case e.PlanProposed():
            return _used(replace(row, ended="succeeded", message=event.plan.summary, **_ran(event)), event.usage)
        case e.AgentSucceeded():
            return _used(replace(row, ended="succeeded", message=event.summary or None, **_ran(event)), event.usage)
        case e.CompactSucceeded():
            return _used(replace(row, ended="succeeded", **_ran(event)), event.usage)
        case e.PlanFailed() | e.AgentFailed():
            done = replace(row, ended="failed", error_class=event.error_class, message=event.message, **_ran(event))
            return _used_at_least(done, event.usage)
        case e.CompactFailed():
            done = replace(row, ended="failed", error_class=event.error_class, message=event.message)
            return _used_at_least(replace(done, transcript=_transcript(event)), event.usage)
        case e.VerifySucceeded():
            return replace(row, ended="succeeded", sandbox=event.sandbox or None, **_commands(event.commands))
        case e.VerifyFailed():
            done = replace(row, ended="failed", error_class=event.error_class, message=event.message)
            return replace(done, sandbox=event.sandbox or None, **_commands(event.commands))
        case _:
            assert_never(event)


def _ran(
    event: e.PlanProposed | e.PlanFailed | e.AgentSucceeded | e.AgentFailed | e.CompactSucceeded,
) -> dict[str, str | None]:
    return {
        "vendor_version": event.vendor_version or None,
        "sandbox": event.sandbox or None,
        "transcript": _transcript(event),
    }


def _transcript(
    event: e.PlanProposed | e.PlanFailed | e.AgentSucceeded | e.AgentFailed | e.CompactSucceeded | e.CompactFailed,
) -> str | None:
    return None if event.transcript is None else as_json(event.transcript)


def _used_at_least(row: StepRow, usage: Usage) -> StepRow:
    """With what its run has used by a word that may know less than an earlier one: as the task counts it."""
    seen = Usage(
        turns=row.turns or 0,
        input_tokens=row.input_tokens or 0,
        output_tokens=row.output_tokens or 0,
        cost_usd=row.cost_usd,
        wall_seconds=row.wall_seconds or 0.0,
    )
    return _used(row, most(usage, seen))


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
    return {"commands": as_json(commands), "wall_seconds": sum(command.all_wall_seconds for command in commands)}


AboutNoJob: TypeAlias = (
    e.TaskSubmitted
    | e.TaskAdmitted
    | e.DependencyResolved
    | e.PriorityChanged
    | e.GateScored
    | e.MemoryRecalled
    | e.PlanCommented
    | e.PlanApproved
    | e.PlanRejected
    | e.PlanUnanswered
    | e.FailureClassified
    | e.TaskEscalated
    | e.FailedOver
    | e.BudgetWarned
    | e.JobStopRequested
    | e.CompactionAsked
    | e.HistoryCompacted
    | e.VerifySkipped
    | e.PreflightFailed
    # Looks are many, short and alike: what they have seen is in the task's row.
    | e.ObserveRequested
    | e.PullRequestObserved
    | e.ObserveFailed
    | e.PullRequestStirred
    | e.FeedbackAccepted
    | e.PullRequestTakenOver
    | e.TaskCancelRequested
    | e.TaskParked
    | e.TaskBlocked
    | e.TaskUnblocked
    | e.TaskWoken
    | e.MessageAccepted
    | e.MessageDelivered
    | e.MessageTold
    | e.NetworkDenied
    | e.MessageConsumed
    | e.DecisionRaised
    | e.DecisionAnswered
    | e.TaskSucceeded
    | e.TaskUnverified
    | e.TaskFailed
    | e.TaskCancelled
    | e.Unknown
)


def _none(*_: object) -> None:
    return None


_ROWS: Final[Mapping[type[e.AnyEvent], Callable[..., StepRow | None]]] = {
    event: make
    for events, make in ((Asked, _asked), (Said, _changed), (AboutNoJob, _none))
    for event in get_args(events)
}
"""What makes a row of which event. A table as in the fold, and for the same reason: a rebuild asks for every event."""
