"""Answers to commands and reports: may this be, and which event says so?

Rule of this room: a refusal is raised as `Refused`, in words for the person who asked; what is already so is `[]`. What an
agent asks for passes through one gate: it may write messages and raise decisions, and nothing else.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, assert_never

from penstock.commands import (
    AnswerDecision,
    ApprovePlan,
    CancelTask,
    ClaimJob,
    CommentPlan,
    CompactTask,
    PrioritizeTask,
    RaiseDecision,
    RejectPlan,
    SendMessage,
    TaskCommand,
    UnblockTask,
    WakeTask,
)
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentSucceeded,
    CompactFailed,
    CompactionAsked,
    CompactSucceeded,
    DecisionAnswered,
    DecisionRaised,
    JobClaimed,
    JobStopped,
    KnownEvent,
    MessageAccepted,
    MessageTold,
    NetworkDenied,
    ObserveFailed,
    PlanApproved,
    PlanCommented,
    PlanFailed,
    PlanProposed,
    PlanRejected,
    PrepareFailed,
    PrepareSucceeded,
    PriorityChanged,
    PublishFailed,
    PublishSucceeded,
    PullRequestObserved,
    TaskCancelRequested,
    TaskUnblocked,
    TaskWoken,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.reports import Report, ReportBody
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.reported import most
from penstock_orchestrator.core.task import AGENT_STEPS, MAIL_MAX, MAIL_OF_AGENTS_MAX, JobKind, Look, Proposal, Task

POINTS_MAX: Final = 10
"""Decisions that may be open in one task at once."""

ToTheLiving: TypeAlias = (
    UnblockTask
    | WakeTask
    | PrioritizeTask
    | CompactTask
    | ApprovePlan
    | RejectPlan
    | CommentPlan
    | SendMessage
    | RaiseDecision
    | AnswerDecision
)
"""Commands that an ended task can only refuse."""

AGENT_MAY: Final = (SendMessage, RaiseDecision)


def decide(task: Task | None, command: TaskCommand) -> list[KnownEvent]:
    """The events that a command leads to; `[]` where it is already so. Raises Refused."""
    if task is None:
        raise Refused("unknown_task", f"there is no task {command.task}", "task")
    if command.id in task.commands:
        return []
    if task.held:
        raise Refused("not_possible", f"the task is held: {task.held}; a later version of the orchestrator is needed")
    if isinstance(command, ClaimJob):
        return _claim(task, command)
    if isinstance(command, CancelTask):
        _no_agent(command.as_agent_of, "cancel a task")
        return _cancel(task, command)
    if not isinstance(command, AGENT_MAY):
        _no_agent(command.as_agent_of, "do this")
    if task.outcome is not None:
        raise Refused("not_possible", f"the task has already ended: {task.outcome}")
    return _living(task, command)


def _living(task: Task, command: ToTheLiving) -> list[KnownEvent]:
    match command:
        case UnblockTask():
            return _unblock(task, command)
        case WakeTask():
            if task.parked is None:
                raise Refused("not_possible", "the task is not parked")
            return [TaskWoken(woken_by=command.requested_by)]
        case PrioritizeTask():
            if command.priority == task.priority:
                return []
            return [PriorityChanged(priority=command.priority, changed_by=command.requested_by)]
        case CompactTask():
            return [] if task.compact_wanted else [CompactionAsked(asked_by=command.requested_by)]
        case ApprovePlan() | RejectPlan() | CommentPlan():
            return _answer_plan(task, command)
        case SendMessage():
            return _message(task, command)
        case RaiseDecision():
            return _raise(task, command)
        case AnswerDecision():
            return _answer_decision(task, command)
        case _:
            assert_never(command)


def accept(task: Task | None, report: Report) -> list[KnownEvent]:
    """The event that a report becomes, `[]` where its job is not the running one or its epoch is stale."""
    if task is None or task.outcome is not None or task.held:
        return []
    body = report.body
    if task.look is not None and task.look.id == report.job:
        return _accept_look(task.look, report)
    if task.job is None:
        return []
    current = (task.job.id, task.job.epoch)
    if (report.job, report.epoch) != current or (body.job, body.epoch) != current:
        return []
    if isinstance(body, AgentProgressed):
        fits = task.job.kind in AGENT_STEPS and most(body.usage, task.run_usage) != task.run_usage
        return [body] if fits else []
    if isinstance(body, DecisionRaised):
        known = report.id in task.commands or any(point.id == body.decision for point in task.points)
        return [] if known or len(task.points) >= POINTS_MAX or task.job.kind != "agent" else [body]
    if isinstance(body, MessageTold):
        untold = any(mail.id == body.message for mail in task.pending_mail)
        return [body] if untold and task.job.kind == "agent" else []
    if isinstance(body, NetworkDenied):
        return [] if report.id in task.commands else [body]
    kind = _kind_of(body)
    return [body] if kind is None or kind == task.job.kind else []


def _accept_look(look: Look, report: Report) -> list[KnownEvent]:
    body, current = report.body, (look.id, look.epoch)
    if (report.job, report.epoch) != current or (body.job, body.epoch) != current:
        return []
    return [body] if isinstance(body, PullRequestObserved | ObserveFailed | JobStopped) else []


def _kind_of(body: ReportBody) -> JobKind | Literal["look"] | None:
    match body:
        case PrepareSucceeded() | PrepareFailed():
            return "prepare"
        case PlanProposed() | PlanFailed():
            return "plan"
        case AgentSucceeded() | AgentFailed() | DecisionRaised():
            return "agent"
        case CompactSucceeded() | CompactFailed():
            return "compact"
        case VerifySucceeded() | VerifyFailed():
            return "verify"
        case PublishSucceeded() | PublishFailed():
            return "publish"
        case PullRequestObserved() | ObserveFailed():
            return "look"
        case JobStopped() | AgentProgressed() | MessageTold() | NetworkDenied():
            return None
        case _:
            assert_never(body)


def _no_agent(as_agent_of: str, what: str) -> None:
    if as_agent_of:
        raise Refused(
            "forbidden",
            f"the agent of task {as_agent_of} may not {what}: an agent may send messages and raise decisions",
            "as_agent_of",
        )


def _cancel(task: Task, command: CancelTask) -> list[KnownEvent]:
    if task.outcome == "cancelled" or (task.outcome is None and task.cancel is not None):
        return []
    if task.outcome is not None:
        raise Refused("not_possible", f"the task has already ended: {task.outcome}")
    return [TaskCancelRequested(requested_by=command.requested_by, reason=command.reason)]


def _unblock(task: Task, command: UnblockTask) -> list[KnownEvent]:
    if task.blocked is None:
        raise Refused("not_possible", "the task is not blocked")
    if task.blocked.reason.startswith("decision."):
        raise Refused("not_possible", f"the task waits for an answer: {task.blocked.can_do}")
    cost, wall = command.max_cost_usd, command.max_wall_seconds
    if task.blocked.reason == "budget.cost" and (cost is None or cost <= task.cost_so_far):
        message = f"{task.cost_so_far:.2f} USD are spent: name a max_cost_usd above that"
        raise Refused("invalid", message, "max_cost_usd")
    if task.blocked.reason == "budget.wall" and (wall is None or wall <= task.wall_so_far):
        message = f"{task.wall_so_far:.0f} s of work are used: name a max_wall_seconds above that"
        raise Refused("invalid", message, "max_wall_seconds")
    return [TaskUnblocked(unblocked_by=command.requested_by, max_cost_usd=cost, max_wall_seconds=wall)]


def _answer_plan(task: Task, command: ApprovePlan | RejectPlan | CommentPlan) -> list[KnownEvent]:
    plan = _open_plan(task, command.number)
    by, via = command.requested_by, command.via
    match command:
        case ApprovePlan():
            return [PlanApproved(number=plan.number, approved_by=by, via=via)]
        case RejectPlan():
            return [PlanRejected(number=plan.number, rejected_by=by, reason=command.reason, via=via)]
        case CommentPlan():
            return [PlanCommented(number=plan.number, comment=command.comment, commented_by=by, via=via)]
        case _:
            assert_never(command)


def _open_plan(task: Task, number: int) -> Proposal:
    """The plan that waits, and it is the one the person has seen."""
    plan = task.plan
    if plan is None:
        raise Refused("not_possible", "the task has no plan yet")
    if number != plan.number:
        raise Refused(
            "conflict", f"the plan that waits is number {plan.number}, not {number}: look at it first", "number"
        )
    if plan.answer not in ("none", "parked"):
        raise Refused("conflict", f"plan {number} is {plan.answer} already", "number")
    return plan


def _message(task: Task, command: SendMessage) -> list[KnownEvent]:
    handing_over = task.publishes and task.judged != "failed"
    if handing_over and (task.review is None or task.review.fix is None or task.review.fix.handing_over):
        where = "" if task.review is None else "say it on the pull request, or "
        raise Refused("not_possible", f"the change is being handed over; {where}continue the task when it has ended")
    if command.as_agent_of == task.id:
        raise Refused("forbidden", "an agent may write to other tasks, not to itself", "task")
    of_agents = sum(1 for mail in task.mail if mail.from_task)
    if command.as_agent_of and of_agents >= MAIL_OF_AGENTS_MAX:
        raise Refused("not_possible", f"{of_agents} messages of other agents wait for this task already")
    if len(task.mail) >= MAIL_MAX:
        raise Refused("not_possible", f"{MAIL_MAX} messages wait for this task already")
    # An agent speaks as itself, whatever name it gives.
    sender = f"the agent of task {command.as_agent_of}" if command.as_agent_of else command.requested_by
    return [MessageAccepted(message=command.id, text=command.text, sender=sender, from_task=command.as_agent_of)]


def _raise(task: Task, command: RaiseDecision) -> list[KnownEvent]:
    if command.as_agent_of and command.as_agent_of != task.id:
        raise Refused("forbidden", "an agent may raise decisions for its own task only", "task")
    job = task.job
    if job is None or job.epoch is None or job.kind != "agent":
        raise Refused("not_possible", "no agent of this task is at work")
    if len(task.points) >= POINTS_MAX:
        raise Refused("not_possible", f"{POINTS_MAX} decisions are open already")
    return [
        DecisionRaised(
            job=job.id,
            epoch=job.epoch,
            decision=command.id,
            subject=command.subject,
            question=command.question,
            options=command.options,
        )
    ]


def _answer_decision(task: Task, command: AnswerDecision) -> list[KnownEvent]:
    point = next((one for one in task.points if one.id == command.decision), None)
    if point is None:
        raise Refused("not_possible", f"decision {command.decision} is not open", "decision")
    return [
        DecisionAnswered(decision=point.id, answer=command.answer, answered_by=command.requested_by, via=command.via)
    ]


def _claim(task: Task, command: ClaimJob) -> list[KnownEvent]:
    look = task.look
    job = look if look is not None and look.id == command.job else task.job
    if job is None or job.id != command.job:
        raise Refused("not_possible", f"job {command.job} is not asked for any more", "job")
    if job.epoch is not None:
        if (job.epoch, job.instance) == (command.epoch, command.instance):
            return []
        raise Refused("conflict", f"job {command.job} is held by {job.host} under epoch {job.epoch}", "job")
    if task.cancel is not None:
        raise Refused("not_possible", "the task is being cancelled", "job")
    if job.host is not None and job.host != command.host:
        raise Refused("conflict", f"job {command.job} is for host {job.host}", "host")
    return [JobClaimed(job=command.job, host=command.host, epoch=command.epoch, instance=command.instance)]
