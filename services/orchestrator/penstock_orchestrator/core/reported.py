"""What a job's end, or its loss, makes of the task.

Rule of this room: the caller has made sure that the job is the running one and the epoch the one that holds it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeAlias, assert_never

from msgspec.structs import replace

from penstock.bounds import MESSAGE_LENGTH_MAX, clip
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentSucceeded,
    CompactFailed,
    CompactSucceeded,
    DecisionRaised,
    JobLost,
    JobStopped,
    MessageTold,
    NetworkDenied,
    PlanFailed,
    PlanProposed,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.values import CommandResult, Kept, Parcel, Usage
from penstock_orchestrator.core import budget, checks
from penstock_orchestrator.core.compact import NOTES_MAX, Note
from penstock_orchestrator.core.task import (
    AGENT_STEPS,
    BUDGET,
    MAX_TURNS,
    SESSION_ENDERS,
    CurrentJob,
    Failure,
    Judgement,
    Proposal,
    StepKind,
    Task,
    is_hosts_fault,
)

COMMENTS_MAX: Final = 10
"""What people said of earlier plans holds for the next ones too, the last ones first to stay."""

SAID_MAX: Final = 3_000
"""Characters of a failure that a task's notes keep for a summary."""

PREFLIGHT: Final = "preflight."
"""The family of what speaks against handing a change over."""

BASE_MOVED: Final = "git.base_moved"
CONFLICT: Final = "git.conflict"

PARCEL: Final = "parcel."
"""The family of failures with what a host has left for others. Who cannot begin from it begins anew."""

Ending: TypeAlias = (
    JobStopped
    | PrepareSucceeded
    | PrepareFailed
    | PlanProposed
    | PlanFailed
    | AgentSucceeded
    | AgentFailed
    | CompactSucceeded
    | CompactFailed
    | VerifySucceeded
    | VerifyFailed
    | PublishSucceeded
    | PublishFailed
)
NO_PROGRESS: Final = frozenset({PrepareSucceeded, CompactSucceeded, CompactFailed})
"""A clone or a summary is none: a job that kills every host it comes to gets as far as that on each of them."""

Underway: TypeAlias = AgentProgressed | DecisionRaised | MessageTold | NetworkDenied
Said: TypeAlias = Ending | Underway
Failed: TypeAlias = PrepareFailed | PlanFailed | AgentFailed | VerifyFailed | PublishFailed


def lost(task: Task, event: JobLost) -> Task:
    """The holder of the running job is gone. What its run had used by its own word stays spent."""
    run = task.run_usage
    if run is not None and task.job is not None:
        task = _run_counted(task, task.job, run)
    task = replace(task, job=None, stop=None, run_usage=None, lost=task.lost + 1)
    if not event.host_gone:
        # The session is there still, with all that it was told once the run had taken a turn.
        return _mail_answered(task) if run is not None and run.turns else mail_back(task)
    task = mail_back(task)
    return _begun_anew(task) if task.parcel is None else _carried(task, task.parcel)


def new_session(task: Task) -> Task:
    """The next agent run begins a session of its own."""
    return replace(
        task,
        session_number=task.session_number + 1,
        session_begun=False,
        session_attempts=0,
        session_usage=None,
        parcel=None if task.parcel is None else replace(task.parcel, session=None),
        parcel_usage=None,
    )


def ended(task: Task, job: CurrentJob, event: Ending, at: datetime) -> Task:
    """The task after the last word of its job, which it has no longer."""
    # Sessions that end their run at once are counted on, or they would go on for ever.
    ender = isinstance(event, AgentFailed) and event.error_class in SESSION_ENDERS
    task = replace(task, job=None, stop=None, lost=task.lost if ender or type(event) in NO_PROGRESS else 0)
    match event:
        case JobStopped():
            usage = most(event.usage, task.run_usage) if job.kind in AGENT_STEPS else event.usage
            task = _run_counted(task, job, usage)
            task = _mail_answered(task) if usage.turns else mail_back(task)
            return _left(replace(task, run_usage=None, kept=event.kept or task.kept), event.parcel)
        case PrepareSucceeded():
            return _prepared(task, event)
        case PlanProposed() | PlanFailed():
            return _planned(task, event, at)
        case AgentSucceeded():
            return _worked(task, event)
        case AgentFailed():
            return _agent_failed(task, event)
        case CompactSucceeded():
            # A summary that says nothing is none: the rules write one instead.
            said = event.summary.strip()
            return _over(replace(spent(task, event.usage), compacted=said, compact_failed=not said))
        case CompactFailed():
            return _over(replace(spent(task, most(event.usage, task.run_usage)), compact_failed=True))
        case VerifySucceeded():
            return _well_checked(task, event)
        case VerifyFailed():
            return _verify_failed(task, event)
        case PublishSucceeded():
            return _going(replace(task, delivery=event.delivery, delivery_job=job.id))
        case PrepareFailed() if event.error_class.startswith(PARCEL):
            return _begun_anew(task)
        case PrepareFailed():
            return replace(task, failure=_failure("prepare", event))
        case PublishFailed():
            return _not_handed_over(task, event)
        case _:
            assert_never(event)


def _carried(task: Task, parcel: Parcel) -> Task:
    """The task's host is gone: another one goes on with what it had left for others."""
    kept = None if parcel.commit is None else Kept(ref=parcel.ref, commit=parcel.commit)
    task = replace(task, host=None, kept=kept, rebase_due=False)
    if task.change is not None and task.change_parcel is None:
        # A later change was on that host, and nowhere else.
        task = replace(task, change=None, judged="none", skipped="", last_failure=None)
    if parcel.session is None:
        return new_session(task)
    # What runs after that have used is not in the session as it was left.
    return replace(task, session_usage=task.parcel_usage)


def _begun_anew(task: Task) -> Task:
    """The clone, its session and any change not yet published were on a host that is gone, and nowhere else; what was wrong
    with that change says nothing to whoever begins anew."""
    task = replace(new_session(task), host=None, kept=None, parcel=None, rebase_due=False)
    return replace(task, last_failure=None, change=None, judged="none", skipped="")


def _left(task: Task, parcel: Parcel | None) -> Task:
    """The task with what a run's host has left for others, its usage counted before. A whole one from before is better than
    one without the work."""
    if parcel is None or not parcel.is_whole:
        return task
    return replace(task, parcel=parcel, parcel_usage=task.session_usage)


def spent(task: Task, usage: Usage) -> Task:
    """The task with one run's usage added, priced where the vendor named no cost."""
    one = budget.priced(usage, task.price, task.spec.billing)
    return replace(
        task,
        usage=budget.add(task.usage, one),
        cost_seen=task.cost_seen + (one.cost_usd or 0.0),
    )


def failed(task: Task, failure: Failure) -> Task:
    """The task with a failure to answer, and the attempt counted that it has cost."""
    return replace(task, failure=failure, attempts_spent=task.attempts_spent + (1 if failure.spent else 0))


def noted(task: Task, step: StepKind, failure: Failure | None, said: str = "", files: tuple[str, ...] = ()) -> Task:
    """The task with one more line in its history, for a summary."""
    note = Note(
        step=step,
        attempt=task.attempts,
        vendor=task.vendor,
        error_class="" if failure is None else failure.error_class,
        said=clip(said or ("" if failure is None else failure.message), SAID_MAX),
        files=files[:50],
    )
    return replace(task, notes=(*task.notes, note)[-NOTES_MAX:])


def _prepared(task: Task, event: PrepareSucceeded) -> Task:
    if task.rebase_due:
        return _rebased(task, event)
    return _going(
        replace(
            task,
            host=event.host,
            base_commit=event.base_commit,
            branch=event.branch,
            tip=event.tip,
            evidence=event.evidence or task.evidence,
        )
    )


def _rebased(task: Task, event: PrepareSucceeded) -> Task:
    """The change stands on what the default branch has become. Nothing has seen it like that, so it is checked once more; where
    it did not fit, the agent brings both sides together first, which is no failure of its own. What was left of it for others
    was of the old base."""
    change = event.change
    task = replace(task, rebase_due=False, rebases=task.rebases + 1, host=event.host, base_commit=event.base_commit)
    if change is None and not event.conflicts:
        # A host of an earlier version: all is as it was.
        return _going(task)
    task = _going(replace(task, change=change, judged="none", results=(), skipped="", kept=None, last_failure=None))
    task = replace(task, parcel=event.parcel, parcel_usage=None if event.parcel is None else task.session_usage)
    if not event.conflicts:
        return task
    message = (
        f"{task.spec.repo.default_branch} has moved on to {event.base_commit[:12]}, and the change does not fit on it. "
        f"Your work tree stands there now, with both sides marked in: {', '.join(event.conflicts)}"
    )
    failure = Failure(
        kind="preflight", error_class=CONFLICT, message=clip(message, MESSAGE_LENGTH_MAX), transient=False
    )
    return failed(noted(task, "preflight", failure), failure)


def _not_handed_over(task: Task, event: PublishFailed) -> Task:
    if event.error_class == BASE_MOVED and task.rebases < task.spec.policy.rebases_max:
        return replace(task, rebase_due=True)
    if not event.error_class.startswith(PREFLIGHT):
        return replace(task, failure=_failure("publish", event, retry_at=event.retry_at))
    failure = replace(_failure("preflight", event), spent=True)
    return failed(replace(noted(task, "preflight", failure), judged="failed"), failure)


def _planned(task: Task, event: PlanProposed | PlanFailed, at: datetime) -> Task:
    usage = most(event.usage, task.run_usage) if isinstance(event, PlanFailed) else event.usage
    task = _over(spent(task, usage))
    if isinstance(event, PlanFailed):
        failure = _failure("plan", event, retry_at=event.retry_at)
        return failed(task, replace(failure, spent=not failure.transient))
    said = () if task.plan is None else task.plan.comments[-COMMENTS_MAX:]
    plan = Proposal(number=task.plans, plan=event.plan, proposed_at=at, comments=said)
    # Waiting for a person holds no slot.
    task = replace(task, proposals=task.proposals + 1)
    return _going(replace(task, plan=plan, admitted=False, queued_at=at, attempts_spent=0, alike=0))


def _worked(task: Task, event: AgentSucceeded) -> Task:
    task, _ = _run_spent(task, event)
    task = noted(_over(task), "agent", None, event.summary, event.change.files)
    change = replace(
        task, change=event.change, judged="none", pauses=0, kept=event.kept or task.kept, last_failure=None
    )
    return _going(_mail_answered(_left(change, event.parcel)))


def _agent_failed(task: Task, event: AgentFailed) -> Task:
    failure = _failure("agent", event, retry_at=event.retry_at)
    pause = event.error_class == MAX_TURNS
    free = failure.transient or pause or event.error_class in SESSION_ENDERS or event.error_class == BUDGET
    task, used = _run_spent(task, event)
    task = noted(_over(task), "agent", failure)
    task = _mail_answered(task) if used.turns else mail_back(task)
    task = failed(
        replace(_left(task, event.parcel), kept=event.kept or task.kept, pauses=task.pauses + (1 if pause else 0)),
        replace(failure, spent=not free),
    )
    if event.error_class not in SESSION_ENDERS:
        return task
    full = event.error_class == "vendor.context_overflow" and task.spec.policy.compact_after_attempts > 0
    return replace(
        new_session(task),
        lost=task.lost + 1,
        compact_wanted="context_full" if full else task.compact_wanted,
    )


def _well_checked(task: Task, event: VerifySucceeded) -> Task:
    task = _checked(task, event.commands)
    if not checks.too_flaky(task.spec, event.commands):
        return _going(replace(task, judged="passed", alike=0, alike_class=""))
    message = "a check passed only when it was run again on the same commit"
    failure = Failure(
        kind="verify",
        error_class=checks.FLAKY,
        message=message,
        transient=False,
        commands=event.commands,
        spent=True,
    )
    return failed(replace(noted(task, "verify", failure), judged="failed"), failure)


def _verify_failed(task: Task, event: VerifyFailed) -> Task:
    if checks.judgement(task.spec, event.commands) == "excused":
        return _going(replace(_checked(task, event.commands), judged="excused", alike=0, alike_class=""))
    failure = _failure("verify", event, commands=event.commands)
    hosts = is_hosts_fault(event.error_class)
    judged: Judgement = "none" if hosts else "failed"
    command = checks.to_mend(event.commands)
    task = noted(_checked(task, event.commands), "verify", failure, event.message if command is None else command.tail)
    return failed(replace(task, judged=judged), replace(failure, spent=not hosts))


def _checked(task: Task, commands: tuple[CommandResult, ...]) -> Task:
    wall = sum(command.all_wall_seconds for command in commands)
    return replace(task, results=checks.kept(commands), usage=budget.add_wall(task.usage, wall))


def _run_spent(task: Task, event: AgentSucceeded | AgentFailed) -> tuple[Task, Usage]:
    """Counts the run once, also where the vendor counts over the whole session: the task, and what this run used."""
    if event.session_restarted:
        task = replace(task, session_usage=None)
    used = event.usage
    if event.usage_of_session:
        used = budget.since(used, task.session_usage or Usage(cost_usd=0.0))
    # The last word of a run that went well is taken as it is: what was told on the way may have been an estimate.
    used = most(used, task.run_usage if isinstance(event, AgentFailed) else None)
    return _counted(task, used), used


def _run_counted(task: Task, job: CurrentJob, used: Usage) -> Task:
    return _counted(task, used) if job.kind == "agent" else spent(task, used)


def _counted(task: Task, used: Usage) -> Task:
    """The task with one more run of its session counted, however it ended: a vendor that counts over the whole session will
    say it once more."""
    known = replace(used, cost_usd=used.cost_usd or 0.0)
    return replace(spent(task, used), session_usage=budget.add(task.session_usage or Usage(cost_usd=0.0), known))


def most(said: Usage, seen: Usage | None) -> Usage:
    """The later word, but never less than what was reported before: a run that is cut off may not know its numbers, and
    reports may overtake each other."""
    if seen is None:
        return said
    costs = [cost for cost in (said.cost_usd, seen.cost_usd) if cost is not None]
    return Usage(
        turns=max(said.turns, seen.turns),
        input_tokens=max(said.input_tokens, seen.input_tokens),
        output_tokens=max(said.output_tokens, seen.output_tokens),
        cache_read_tokens=max(said.cache_read_tokens, seen.cache_read_tokens),
        cache_write_tokens=max(said.cache_write_tokens, seen.cache_write_tokens),
        cost_usd=max(costs) if costs else None,
        wall_seconds=max(said.wall_seconds, seen.wall_seconds),
    )


def _over(task: Task) -> Task:
    return task if task.run_usage is None else replace(task, run_usage=None)


def mail_back(task: Task) -> Task:
    """A run that never worked has read nothing: its messages go into the next one."""
    if not any(mail.job for mail in task.mail):
        return task
    return replace(
        task,
        mail=tuple(mail if mail.answered else replace(mail, job="", delivered=False) for mail in task.mail),
    )


def _mail_answered(task: Task) -> Task:
    if not any(mail.job for mail in task.mail):
        return task
    return replace(task, mail=tuple(replace(mail, answered=True) if mail.job else mail for mail in task.mail))


def _failure(
    kind: StepKind,
    event: Failed,
    *,
    retry_at: datetime | None = None,
    commands: tuple[CommandResult, ...] = (),
) -> Failure:
    transient = False if isinstance(event, VerifyFailed) else event.transient
    return Failure(
        kind=kind,
        error_class=event.error_class,
        message=event.message,
        transient=transient or is_hosts_fault(event.error_class),
        retry_at=retry_at,
        commands=commands,
    )


def _going(task: Task) -> Task:
    """A step has gone well: whatever went wrong in a row before it is over."""
    return task if task.failure is None and not task.parks else replace(task, parks=0, failure=None)
