"""A task as the fold of its events, and the fold itself.

Rule of this room: `evolve` is total. A late, foreign or repeated report returns the very task it was given; after the end
nothing changes any more. What is due is not stored here: `advance` reads it off the state.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.bounds import COUNT_MAX, SECONDS_MAX, USD_MAX
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
from penstock.values import Change, CommandResult, Delivery, Kept, Usage

JobKind: TypeAlias = Literal["prepare", "agent", "verify", "publish"]
Outcome: TypeAlias = Literal["succeeded", "unverified", "no_change", "failed", "cancelled"]
Judgement: TypeAlias = Literal["none", "passed", "failed", "skipped"]

COMMANDS_REMEMBERED: Final = 64
"""How many command ids a task remembers: far more than a person's retries can span."""

NO_CHANGE: Final = "agent.no_change"
MAX_TURNS: Final = "vendor.max_turns"
SESSION_ENDERS: Final = frozenset({"vendor.context_overflow", "vendor.session_lost"})
"""Failures after which the old session is of no use."""


class CurrentJob(Struct, frozen=True, kw_only=True):
    """The job that is asked for or running. `epoch` is None until a host has claimed it."""

    id: str
    kind: JobKind
    requested_at: datetime
    host: str | None
    epoch: int | None = None
    instance: str = ""


class Failure(Struct, frozen=True, kw_only=True):
    """A failed step that nobody has answered yet, or the last one that was. `retry_at`: what the vendor said."""

    kind: JobKind
    error_class: str
    message: str
    transient: bool
    retry_at: datetime | None = None
    commands: tuple[CommandResult, ...] = ()


class Parked(Struct, frozen=True, kw_only=True):
    """Waiting by itself."""

    reason: str
    message: str
    wake_at: datetime


class Blocked(Struct, frozen=True, kw_only=True):
    """Waiting for a person."""

    reason: str
    message: str
    can_do: str


class Task(Struct, frozen=True, kw_only=True):
    """Everything a decision about one task can depend on. `seq`: the last sequence of its events, the next append's
    expectation. `held`: an event that this version cannot read; the task stands still until a later version runs."""

    id: str
    repo: str
    seq: int
    spec: TaskSubmitted
    submitted_at: datetime
    updated_at: datetime
    job: CurrentJob | None = None
    host: str | None = None
    branch: str = ""
    base_commit: str | None = None
    attempts: int = 0
    attempts_spent: int = 0
    pauses: int = 0
    prepares: int = 0
    publishes: int = 0
    parks: int = 0
    lost: int = 0
    session_number: int = 1
    session_begun: bool = False
    agent: AgentRequested | None = None
    change: Change | None = None
    judged: Judgement = "none"
    skipped: str = ""
    failure: Failure | None = None
    last_failure: Failure | None = None
    parked: Parked | None = None
    blocked: Blocked | None = None
    cancel: TaskCancelRequested | None = None
    kept: Kept | None = None
    usage: Usage = Usage(cost_usd=0.0)
    delivery: Delivery | None = None
    delivery_job: str | None = None
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    held: str = ""
    commands: tuple[str, ...] = ()


def evolve(task: Task | None, recorded: Recorded) -> Task | None:
    """The task after one more event. None only before `task_submitted`."""
    event = recorded.data
    if task is None:
        return _submitted(recorded, event) if isinstance(event, TaskSubmitted) else None
    if isinstance(event, Unknown):
        return replace(task, seq=recorded.seq, held=f"event {recorded.id} has the unknown type {event.type!r}")
    if task.outcome is not None:
        return replace(task, seq=recorded.seq)
    changed = _evolve_living(task, recorded)
    if changed is task:
        return replace(task, seq=recorded.seq)
    return replace(changed, seq=recorded.seq, updated_at=recorded.at)


def hold(task: Task, seq: int, why: str) -> Task:
    """The task with an event at `seq` that cannot be decoded at all."""
    return replace(task, seq=seq, held=why)


def _submitted(recorded: Recorded, event: TaskSubmitted) -> Task:
    return Task(
        id=recorded.task,
        repo=recorded.repo,
        seq=recorded.seq,
        spec=event,
        submitted_at=recorded.at,
        updated_at=recorded.at,
        commands=(recorded.causation_id,),
    )


def _evolve_living(task: Task, recorded: Recorded) -> Task:
    event = recorded.data
    match event:
        case PrepareRequested() | AgentRequested() | VerifyRequested() | PublishRequested():
            return _requested(task, recorded, event)
        case (
            JobClaimed()
            | JobLost()
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
            return _about_job(task, event)
        case VerifySkipped():
            return replace(task, judged="skipped", skipped=event.reason)
        case TaskCancelRequested():
            return _remember(replace(task, cancel=event, parked=None, blocked=None), recorded)
        case TaskUnblocked():
            fresh = replace(task, blocked=None, failure=None, parks=0, lost=0, pauses=0)
            return _remember(fresh, recorded)
        case TaskParked():
            parked = Parked(reason=event.reason, message=event.message, wake_at=event.wake_at)
            return replace(_answered(task), parked=parked, parks=event.number)
        case TaskBlocked():
            blocked = Blocked(reason=event.reason, message=event.message, can_do=event.can_do)
            return replace(_answered(task), blocked=blocked, parked=None)
        case TaskSucceeded() | TaskUnverified() | TaskFailed() | TaskCancelled():
            return _ended(task, recorded.at, event)
        case TaskSubmitted() | Unknown():
            return task
        case _:
            assert_never(event)


def _requested(
    task: Task, recorded: Recorded, event: PrepareRequested | AgentRequested | VerifyRequested | PublishRequested
) -> Task:
    """One more job is asked for; its id is the id of the event."""
    task = replace(_answered(task), parked=None)
    match event:
        case PrepareRequested():
            return replace(task, job=_job(recorded, "prepare", event.host), prepares=event.number, host=None)
        case AgentRequested():
            job = _job(recorded, "agent", event.host)
            return replace(
                task,
                job=job,
                agent=event,
                attempts=event.attempt,
                session_begun=True,
                change=None,
                judged="none",
                skipped="",
            )
        case VerifyRequested():
            return replace(task, job=_job(recorded, "verify", event.host))
        case PublishRequested():
            return replace(task, job=_job(recorded, "publish", event.host), publishes=event.number)
        case _:
            assert_never(event)


def _job(recorded: Recorded, kind: JobKind, host: str | None) -> CurrentJob:
    return CurrentJob(id=recorded.id, kind=kind, requested_at=recorded.at, host=host)


JobEvent: TypeAlias = (
    JobClaimed
    | JobLost
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


def _about_job(task: Task, event: JobEvent) -> Task:
    """What is said about a job counts only for the job that is running, under the epoch that holds it."""
    job = task.job
    if job is None or event.job != job.id:
        return task
    if isinstance(event, JobClaimed):
        if job.epoch is not None:
            return task
        return replace(task, job=replace(job, host=event.host, epoch=event.epoch, instance=event.instance))
    if isinstance(event, JobLost):
        return _lost(task, event) if event.epoch == (job.epoch or 0) else task
    if event.epoch != job.epoch:
        return task
    return _reported(replace(task, job=None), job, event)


def _lost(task: Task, event: JobLost) -> Task:
    task = replace(task, job=None, lost=task.lost + 1)
    if not event.host_gone:
        return task
    # The clone, its session and any change not yet published were on that host, and nowhere else.
    return _elsewhere(task)


def _elsewhere(task: Task) -> Task:
    return replace(
        task,
        host=None,
        change=None,
        judged="none",
        skipped="",
        kept=None,
        session_number=task.session_number + 1,
        session_begun=False,
    )


def _reported(
    task: Task,
    job: CurrentJob,
    event: JobStopped
    | PrepareSucceeded
    | PrepareFailed
    | AgentSucceeded
    | AgentFailed
    | VerifySucceeded
    | VerifyFailed
    | PublishSucceeded
    | PublishFailed,
) -> Task:
    match event:
        case JobStopped():
            return replace(task, usage=_add(task.usage, event.usage), kept=event.kept or task.kept)
        case PrepareSucceeded():
            return _going(replace(task, host=event.host, base_commit=event.base_commit, branch=event.branch))
        case AgentSucceeded():
            task = replace(task, usage=_add(task.usage, event.usage), kept=event.kept or task.kept)
            return _going(replace(task, change=event.change, judged="none", pauses=0))
        case VerifySucceeded():
            return _going(replace(task, judged="passed"))
        case PublishSucceeded():
            return _going(replace(task, delivery=event.delivery, delivery_job=job.id))
        case AgentFailed():
            return _agent_failed(task, event)
        case VerifyFailed():
            failure = _failure("verify", event, commands=event.commands)
            spent = 0 if is_hosts_fault(event.error_class) else 1
            judged: Judgement = "none" if is_hosts_fault(event.error_class) else "failed"
            return replace(task, failure=failure, judged=judged, attempts_spent=task.attempts_spent + spent)
        case PrepareFailed():
            return replace(task, failure=_failure("prepare", event))
        case PublishFailed():
            return replace(task, failure=_failure("publish", event))
        case _:
            assert_never(event)


def _agent_failed(task: Task, event: AgentFailed) -> Task:
    failure = _failure("agent", event, retry_at=event.retry_at)
    pause = event.error_class == MAX_TURNS
    free = event.transient or pause or event.error_class in SESSION_ENDERS or is_hosts_fault(event.error_class)
    task = replace(
        task,
        failure=failure,
        usage=_add(task.usage, event.usage),
        kept=event.kept or task.kept,
        attempts_spent=task.attempts_spent + (0 if free else 1),
        pauses=task.pauses + (1 if pause else 0),
    )
    if event.error_class in SESSION_ENDERS:
        return replace(task, session_number=task.session_number + 1, session_begun=False, lost=task.lost + 1)
    return task


def _failure(
    kind: JobKind,
    event: PrepareFailed | AgentFailed | VerifyFailed | PublishFailed,
    *,
    retry_at: datetime | None = None,
    commands: tuple[CommandResult, ...] = (),
) -> Failure:
    transient = is_hosts_fault(event.error_class) if isinstance(event, VerifyFailed) else event.transient
    return Failure(
        kind=kind,
        error_class=event.error_class,
        message=event.message,
        transient=transient or is_hosts_fault(event.error_class),
        retry_at=retry_at,
        commands=commands,
    )


def is_hosts_fault(error_class: str) -> bool:
    """True where the host could not do the step at all, so that it says nothing about the change."""
    return error_class.startswith("host.") or error_class == "env.disk_full"


def _answered(task: Task) -> Task:
    """The last failure has got its answer; it is remembered for the next attempt's hint."""
    if task.failure is None:
        return task
    return replace(task, failure=None, last_failure=task.failure)


def _going(task: Task) -> Task:
    """A step has gone well: whatever went wrong in a row before it is over."""
    return replace(task, lost=0, parks=0, failure=None)


def _remember(task: Task, recorded: Recorded) -> Task:
    return replace(task, commands=(*task.commands, recorded.causation_id)[-COMMANDS_REMEMBERED:])


def _add(total: Usage, one: Usage) -> Usage:
    """The sum, up to the contract's bounds (an agent may say any number); a cost that is unknown once stays unknown."""
    known = total.cost_usd is not None and one.cost_usd is not None
    return Usage(
        turns=min(total.turns + one.turns, COUNT_MAX),
        input_tokens=min(total.input_tokens + one.input_tokens, COUNT_MAX),
        output_tokens=min(total.output_tokens + one.output_tokens, COUNT_MAX),
        cache_read_tokens=min(total.cache_read_tokens + one.cache_read_tokens, COUNT_MAX),
        cache_write_tokens=min(total.cache_write_tokens + one.cache_write_tokens, COUNT_MAX),
        cost_usd=min((total.cost_usd or 0.0) + (one.cost_usd or 0.0), USD_MAX) if known else None,
        wall_seconds=min(total.wall_seconds + one.wall_seconds, SECONDS_MAX),
    )


def _ended(task: Task, at: datetime, event: TaskSucceeded | TaskUnverified | TaskFailed | TaskCancelled) -> Task:
    ended = replace(_answered(task), job=None, parked=None, blocked=None, ended_at=at)
    match event:
        case TaskSucceeded():
            return replace(ended, outcome="succeeded")
        case TaskUnverified():
            return replace(ended, outcome="unverified")
        case TaskFailed():
            return replace(ended, outcome="no_change" if event.error_class == NO_CHANGE else "failed")
        case TaskCancelled():
            return replace(ended, outcome="cancelled")
        case _:
            assert_never(event)
