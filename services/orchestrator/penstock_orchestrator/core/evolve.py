"""The fold: a task after one more event.

Rule of this room: `evolve` is total. A late, foreign or repeated report returns the very task it was given; after the end
nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, assert_never, get_args

from msgspec.structs import force_setattr, replace

from penstock.events import (
    AgentProgressed,
    AgentRequested,
    BudgetWarned,
    CompactionAsked,
    CompactRequested,
    DecisionAnswered,
    DecisionRaised,
    DependencyResolved,
    Event,
    FailedOver,
    FailureClassified,
    GateScored,
    HistoryCompacted,
    JobClaimed,
    JobLost,
    JobStopped,
    JobStopRequested,
    MemoryRecalled,
    MessageAccepted,
    MessageConsumed,
    MessageDelivered,
    MessageTold,
    NetworkDenied,
    PlanApproved,
    PlanCommented,
    PlanRejected,
    PlanRequested,
    PlanUnanswered,
    PreflightFailed,
    PrepareRequested,
    PriorityChanged,
    PublishRequested,
    PullRequestStirred,
    Recorded,
    TaskAdmitted,
    TaskBlocked,
    TaskCancelled,
    TaskCancelRequested,
    TaskEscalated,
    TaskFailed,
    TaskParked,
    TaskSubmitted,
    TaskSucceeded,
    TaskUnblocked,
    TaskUnverified,
    TaskWoken,
    Unknown,
    VerifyRequested,
    VerifySkipped,
)
from penstock_orchestrator.core import reported, review
from penstock_orchestrator.core.task import (
    COMMANDS_REMEMBERED,
    FLEET_REASONS,
    HEARD_MAX,
    NO_CHANGE,
    Blocked,
    CurrentJob,
    End,
    Failure,
    JobKind,
    Mail,
    Outcome,
    Parked,
    Point,
    Task,
)
from penstock_orchestrator.core.verdict import MENDED_BY_THE_AGENT

NIGHT: Final = "night_window"
SCOPE: Final = "preflight.scope"

Asked: TypeAlias = (
    PrepareRequested | PlanRequested | AgentRequested | CompactRequested | VerifyRequested | PublishRequested
)
Person: TypeAlias = (
    TaskCancelRequested
    | TaskUnblocked
    | TaskWoken
    | PriorityChanged
    | CompactionAsked
    | PlanCommented
    | PlanApproved
    | PlanRejected
    | MessageAccepted
    | DecisionAnswered
)
Learnt: TypeAlias = TaskSubmitted | TaskAdmitted | DependencyResolved | GateScored | MemoryRecalled
Decided: TypeAlias = (
    VerifySkipped
    | FailureClassified
    | TaskEscalated
    | FailedOver
    | BudgetWarned
    | JobStopRequested
    | HistoryCompacted
    | PlanUnanswered
    | PreflightFailed
    | TaskParked
    | TaskBlocked
    | MessageDelivered
    | MessageConsumed
)


def evolve(task: Task | None, recorded: Recorded) -> Task | None:
    """The task after one more event. None only before `task_submitted`."""
    event = recorded.data
    if task is None:
        return _submitted(recorded, event) if isinstance(event, TaskSubmitted) else None
    if isinstance(event, Unknown):
        return replace(task, seq=recorded.seq, held=f"event {recorded.id} has the unknown type {event.type!r}")
    if task.outcome is not None:
        return replace(task, seq=recorded.seq)
    changed = _ARMS[type(event)](task, recorded, event)
    if changed is task:
        return replace(task, seq=recorded.seq)
    # A copy that nobody has seen yet, so it may be written on: one more of all its fields would cost a tenth of the fold.
    force_setattr(changed, "seq", recorded.seq)
    force_setattr(changed, "updated_at", recorded.at)
    return changed


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
        queued_at=recorded.at,
        vendor=event.vendor,
        model=event.model,
        priority=event.priority,
        max_cost_usd=event.max_cost_usd,
        max_wall_seconds=event.max_wall_seconds,
        commands=(recorded.causation_id,),
    )


def _asked(task: Task, recorded: Recorded, event: Asked) -> Task:
    match event:
        case PrepareRequested():
            return replace(_at_work(task, recorded, "prepare", event.host), prepares=event.number)
        case PlanRequested():
            return replace(_at_work(task, recorded, "plan", event.host), plans=event.number)
        case AgentRequested():
            return _agent_asked(_at_work(task, recorded, "agent", event.host), recorded, event)
        case CompactRequested():
            return _at_work(task, recorded, "compact", event.host)
        case VerifyRequested():
            return _at_work(task, recorded, "verify", event.host)
        case PublishRequested():
            host = None if event.pool else event.host
            task = review.asked_to_publish(task, event)
            return replace(_at_work(task, recorded, "publish", host), publishes=event.number)
        case _:
            assert_never(event)


def _at_work(task: Task, recorded: Recorded, kind: JobKind, host: str | None) -> Task:
    """One more job is asked for; its id is the id of the event. Logs from before the queue have no admissions."""
    job = CurrentJob(id=recorded.id, kind=kind, requested_at=recorded.at, host=host)
    return replace(_answered(task), job=job, parked=None, admitted=True)


def _agent_asked(task: Task, recorded: Recorded, event: AgentRequested) -> Task:
    mail = task.mail
    if event.messages:
        mail = tuple(replace(one, job=recorded.id) if one.id in event.messages else one for one in mail)
    return replace(
        task,
        agent=event,
        attempts=event.attempt,
        session_begun=True,
        session_attempts=task.session_attempts + 1,
        change=None,
        judged="none",
        skipped="",
        mail=mail,
    )


def _held_or_lost(task: Task, recorded: Recorded, event: JobClaimed | JobLost) -> Task:
    if task.look is not None and event.job == task.look.id:
        return review.of_look(task, event, recorded.at)
    job = task.job
    if job is None or event.job != job.id:
        return task
    if isinstance(event, JobClaimed):
        if job.epoch is not None:
            return task
        return replace(task, job=replace(job, host=event.host, epoch=event.epoch, instance=event.instance))
    return reported.lost(task, event) if event.epoch == (job.epoch or 0) else task


def _job_of(task: Task, event: reported.Said) -> CurrentJob | None:
    """What is said about a job counts only for the job that is running, under the epoch that holds it: that job, else None."""
    job = task.job
    return job if job is not None and event.job == job.id and event.epoch == job.epoch else None


def _job_ended(task: Task, recorded: Recorded, event: reported.Ending) -> Task:
    if task.look is not None and event.job == task.look.id:
        return review.of_look(task, event, recorded.at) if isinstance(event, JobStopped) else task
    job = _job_of(task, event)
    if job is None:
        return task
    return review.after_step(task, reported.ended(task, job, event, recorded.at), event, recorded.at)


def _told_on_the_way(task: Task, recorded: Recorded, event: reported.Underway) -> Task:
    job = _job_of(task, event)
    if job is None:
        return task
    match event:
        case AgentProgressed():
            return replace(task, run_usage=reported.most(event.usage, task.run_usage))
        case DecisionRaised():
            point = Point(id=event.decision, subject=event.subject, question=event.question, options=event.options)
            known = any(one.id == point.id for one in task.points)
            return _remember(task if known else replace(task, points=(*task.points, point)), recorded)
        case MessageTold():
            mail = (replace(one, job=job.id) if one.id == event.message and not one.job else one for one in task.mail)
            return replace(task, mail=tuple(mail))
        case NetworkDenied():
            return _remember(task, recorded)
        case _:
            assert_never(event)


def _of_review(task: Task, recorded: Recorded, event: review.OfReview) -> Task:
    seen = review.of_review(task, recorded, event)
    return _remember(seen, recorded) if isinstance(event, PullRequestStirred) else seen


def _person(task: Task, recorded: Recorded, event: Person) -> Task:
    return _remember(_said(task, recorded, event), recorded)


def _said(task: Task, recorded: Recorded, event: Person) -> Task:
    match event:
        case TaskCancelRequested():
            return replace(task, cancel=event, parked=None, blocked=None)
        case TaskUnblocked():
            return _unblocked(task, recorded, event)
        case TaskWoken():
            night = task.parked is not None and task.parked.reason == NIGHT
            waived = task.waived | {NIGHT} if night else task.waived
            return replace(task, parked=None, waived=waived, queued_at=recorded.at)
        case PriorityChanged():
            return replace(task, priority=event.priority)
        case CompactionAsked():
            return replace(task, compact_wanted="asked", compact_failed=False)
        case PlanCommented() | PlanApproved() | PlanRejected():
            return _plan_answered(task, recorded, event)
        case MessageAccepted():
            return replace(task, mail=(*task.mail, _mail(event)))
        case DecisionAnswered():
            return _decision_answered(task, recorded, event)
        case _:
            assert_never(event)


def _unblocked(task: Task, recorded: Recorded, event: TaskUnblocked) -> Task:
    """A person lets pass what the task was blocked for, and every count of troubles in a row begins anew. There is always one
    more try: whoever lets a task go on has mended something."""
    blocked = "" if task.blocked is None else task.blocked.reason
    # Without one dependency is not without all of them.
    let_pass = f"dependency.{task.closed[0]}" if task.closed is not None else blocked
    waived = task.waived | {let_pass} if blocked else task.waived
    last = task.failure or task.last_failure
    # What kept a check from being made was mended, or the files outside the plan are let pass: the change is tried again,
    # before an agent is.
    checked = last is not None and last.kind == "verify" and last.told is not None and last.told.severity == "hard"
    checked = checked or blocked == SCOPE or _let_through(blocked)
    return replace(
        review.unblocked(task, blocked, recorded.at),
        blocked=None,
        failure=None,
        last_failure=last,
        judged="none" if checked and task.judged == "failed" else task.judged,
        waived=waived,
        attempts_spent=min(task.attempts_spent, task.spec.max_attempts - 1),
        parks=0,
        lost=0,
        pauses=0,
        rebases=0,
        rebase_due=blocked == reported.BASE_MOVED and task.spec.policy.rebases_max > 0 and task.change is not None,
        alike=0,
        escalated="",
        escalations=0,
        queued_at=recorded.at,
        max_cost_usd=task.max_cost_usd if event.max_cost_usd is None else event.max_cost_usd,
        max_wall_seconds=task.max_wall_seconds if event.max_wall_seconds is None else event.max_wall_seconds,
        warned=task.warned - _raised(event),
    )


def _let_through(blocked: str) -> bool:
    """What speaks against a change and a person may let pass, or was mended on a host. The rest the agent mends."""
    return blocked.startswith(reported.PREFLIGHT) and blocked not in MENDED_BY_THE_AGENT


def _raised(event: TaskUnblocked) -> frozenset[str]:
    """The budgets that have a new limit, so that a warning may be due again."""
    limits = (("cost", event.max_cost_usd), ("wall", event.max_wall_seconds))
    return frozenset(name for name, limit in limits if limit is not None)


def _learnt(task: Task, recorded: Recorded, event: Learnt) -> Task:
    """What comes from around the task: the queue, another task, the gate, the memory."""
    match event:
        case TaskAdmitted():
            return replace(task, admitted=True, admissions=event.number)
        case DependencyResolved():
            return _dependency(task, recorded, event)
        case GateScored():
            return replace(task, gate=event)
        case MemoryRecalled():
            return replace(task, recalled=event.items) if task.recalled is None else task
        case TaskSubmitted():
            return task
        case _:
            assert_never(event)


def _dependency(task: Task, recorded: Recorded, event: DependencyResolved) -> Task:
    others = tuple(pair for pair in task.resolved if pair[0] != event.on)
    before = task.closed
    task = replace(task, resolved=(*others, (event.on, event.outcome)), queued_at=recorded.at)
    waits = task.blocked is not None and task.blocked.reason.startswith("dependency.")
    # A dependency that failed may be done after all, by a later task in its place; then another may stand in the way.
    return replace(task, blocked=None) if waits and task.closed != before else task


def _plan_answered(task: Task, recorded: Recorded, event: PlanCommented | PlanApproved | PlanRejected) -> Task:
    plan = task.plan
    if plan is None or plan.number != event.number:
        return task
    match event:
        case PlanCommented():
            said = replace(plan, answer="commented", comments=(*plan.comments, event.comment))
        case PlanApproved():
            said = replace(plan, answer="approved", answered_by=event.approved_by)
        case PlanRejected():
            said = replace(plan, answer="rejected", answered_by=event.rejected_by)
        case _:
            assert_never(event)
    return replace(task, plan=said, queued_at=recorded.at)


def _decision_answered(task: Task, recorded: Recorded, event: DecisionAnswered) -> Task:
    """The answer travels like any other message."""
    point = next((one for one in task.points if one.id == event.decision), None)
    if point is None:
        return task
    text = f"You asked ({point.subject}): {point.question}\nThe answer: {event.answer}"
    points = tuple(one for one in task.points if one.id != point.id)
    waits = task.blocked is not None and task.blocked.reason.startswith("decision.")
    return replace(
        task,
        points=points,
        mail=(*task.mail, Mail(id=event.decision, text=text, sender=event.answered_by)),
        blocked=None if waits else task.blocked,
        queued_at=recorded.at if waits else task.queued_at,
    )


def _decided(task: Task, recorded: Recorded, event: Decided) -> Task:
    match event:
        case VerifySkipped():
            return replace(task, judged="skipped", skipped=event.reason)
        case FailureClassified():
            return _classified(task, event)
        case TaskEscalated():
            return _escalated(task, event)
        case FailedOver():
            return _failed_over(task, recorded, event)
        case BudgetWarned():
            return replace(task, warned=task.warned | {event.budget})
        case JobStopRequested():
            return replace(task, stop=event)
        case HistoryCompacted():
            fresh = reported.new_session(task)
            return replace(
                fresh,
                summary=event.summary,
                compact_wanted="",
                compact_failed=False,
                compacted="",
            )
        case PlanUnanswered():
            return _unanswered(task, recorded, event)
        case PreflightFailed():
            failure = Failure(
                kind="preflight", error_class=event.error_class, message=event.message, transient=False, spent=True
            )
            return reported.failed(replace(reported.noted(task, "preflight", failure), judged="failed"), failure)
        case TaskParked():
            return _parked(task, event)
        case TaskBlocked():
            blocked = Blocked(reason=event.reason, message=event.message, can_do=event.can_do)
            return replace(
                _answered(task), blocked=blocked, parked=None, admitted=False, queued_at=recorded.at, escalated=""
            )
        case MessageDelivered():
            mail = (replace(one, delivered=True) if one.id == event.message else one for one in task.mail)
            return replace(task, mail=tuple(mail))
        case MessageConsumed():
            done = tuple(one for one in task.mail if one.id == event.message)
            rest = tuple(one for one in task.mail if one.id != event.message)
            return replace(task, mail=rest, heard=(*task.heard, *done)[-HEARD_MAX:])
        case _:
            assert_never(event)


def _parked(task: Task, event: TaskParked) -> Task:
    parked = Parked(reason=event.reason, message=event.message, wake_at=event.wake_at)
    counts = event.reason not in FLEET_REASONS and event.reason != NIGHT
    return replace(
        _answered(task),
        parked=parked,
        parks=event.number if counts else task.parks,
        admitted=False,
        queued_at=event.wake_at,
    )


def _classified(task: Task, event: FailureClassified) -> Task:
    failure = task.failure
    if failure is None:
        return task
    told = replace(task, failure=replace(failure, told=event))
    if event.severity != "park":
        return replace(told, alike_class=event.error_class, alike=event.times)
    # It passes by itself: it says nothing about the change, and costs no attempt.
    return replace(
        told,
        judged="none" if event.step == "verify" else task.judged,
        attempts_spent=task.attempts_spent - (1 if failure.spent else 0),
    )


def _escalated(task: Task, event: TaskEscalated) -> Task:
    escalated = replace(task, escalated=event.to, escalations=task.escalations + 1)
    if event.to != "fresh_session":
        return escalated
    return replace(_answered(escalated), escalated="", compact_wanted="escalation")


def _failed_over(task: Task, recorded: Recorded, event: FailedOver) -> Task:
    # Another vendor is another account, with a limit of its own: the slot is given back and asked for anew.
    stays = task.admitted and event.to_vendor == task.vendor
    return replace(
        reported.new_session(_answered(task)),
        admitted=stays,
        queued_at=task.queued_at if stays else recorded.at,
        vendor=event.to_vendor,
        model=event.to_model,
        failed_over=True,
        attempts_spent=0,
        pauses=0,
        parks=0,
        alike=0,
        escalated="",
        escalations=0,
        compact_wanted="failover",
    )


def _mail(event: MessageAccepted) -> Mail:
    return Mail(id=event.message, text=event.text, sender=event.sender, from_task=event.from_task)


def _unanswered(task: Task, recorded: Recorded, event: PlanUnanswered) -> Task:
    plan = task.plan
    if plan is None or plan.number != event.number:
        return task
    match event.meaning:
        case "approve":
            return replace(task, plan=replace(plan, answer="approved", answered_by=""), queued_at=recorded.at)
        case "deny":
            return replace(task, plan=replace(plan, answer="rejected", answered_by=""))
        case _:
            return replace(task, plan=replace(plan, answer="parked"))


def _answered(task: Task) -> Task:
    """The last failure has got its answer; it is remembered for the next attempt's hint. What passes by itself does not take
    the place of what the agent is to mend."""
    failure = task.failure
    if failure is None:
        return task
    passes = failure.told is not None and failure.told.severity == "park"
    return replace(task, failure=None, last_failure=(task.last_failure or failure) if passes else failure)


def _remember(task: Task, recorded: Recorded) -> Task:
    return replace(task, commands=(*task.commands, recorded.causation_id)[-COMMANDS_REMEMBERED:])


def _ended(task: Task, recorded: Recorded, event: End) -> Task:
    return replace(
        _answered(task),
        outcome=_outcome(event),
        end=event,
        ended_at=recorded.at,
        answered=review.answered(task),
        job=None,
        look=None,
        stop=None,
        parked=None,
        blocked=None,
        admitted=False,
    )


def _outcome(event: End) -> Outcome:
    match event:
        case TaskSucceeded():
            return "succeeded"
        case TaskUnverified():
            return "unverified"
        case TaskFailed():
            return "no_change" if event.error_class == NO_CHANGE else "failed"
        case TaskCancelled():
            return "cancelled"
        case _:
            assert_never(event)


_ARMS: Final[Mapping[type[Event], Callable[..., Task]]] = {
    event: arm
    for events, arm in (
        (Learnt, _learnt),
        (Asked, _asked),
        (JobClaimed | JobLost, _held_or_lost),
        (reported.Underway, _told_on_the_way),
        (reported.Ending, _job_ended),
        (Decided, _decided),
        (Person, _person),
        (review.OfReview, _of_review),
        (End, _ended),
    )
    for event in get_args(events)
}
"""Which of the functions above takes which event. A table, since a match asks for one class after the other, and sixty such
questions cost more than all the rest of the fold."""
