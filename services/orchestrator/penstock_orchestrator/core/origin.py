"""Where an event of a task's log comes from: decided by the rules, or brought from outside.

Rule of this room: told by the event alone, and complete: an event type that is new must be put here on purpose.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never

from penstock import events as e
from penstock_orchestrator.core.task import FLEET_REASONS

Origin: TypeAlias = Literal["rule", "command", "report", "queue", "watch", "gate", "memory", "unknown"]
"""`rule`: this task's own rules, which are asked again in a replay. All others are inputs: a person's or a program's command
(a host that claims a job among them), a host's report, what was decided over all tasks, a lease that ended, the score with
the repo's history in it, what was recalled of earlier work, an event of a later version."""


def origin(event: e.AnyEvent) -> Origin:
    """Where this event comes from."""
    match event:
        case (
            e.TaskSubmitted()
            | e.PriorityChanged()
            | e.TaskCancelRequested()
            | e.TaskUnblocked()
            | e.TaskWoken()
            | e.CompactionAsked()
            | e.PlanCommented()
            | e.PlanApproved()
            | e.PlanRejected()
            | e.MessageAccepted()
            | e.DecisionAnswered()
            | e.JobClaimed()
            | e.PullRequestStirred()
        ):
            return "command"
        case (
            e.PrepareSucceeded()
            | e.PrepareFailed()
            | e.PlanProposed()
            | e.PlanFailed()
            | e.AgentProgressed()
            | e.AgentSucceeded()
            | e.AgentFailed()
            | e.DecisionRaised()
            | e.MessageTold()
            | e.NetworkDenied()
            | e.CompactSucceeded()
            | e.CompactFailed()
            | e.VerifySucceeded()
            | e.VerifyFailed()
            | e.PublishSucceeded()
            | e.PublishFailed()
            | e.JobStopped()
            | e.PullRequestObserved()
            | e.ObserveFailed()
        ):
            return "report"
        case e.TaskAdmitted() | e.DependencyResolved():
            return "queue"
        case e.TaskParked():
            return "queue" if event.reason in FLEET_REASONS else "rule"
        case e.JobLost():
            return "watch"
        case e.GateScored():
            return "gate"
        case e.MemoryRecalled():
            return "memory"
        case (
            e.PrepareRequested()
            | e.PlanRequested()
            | e.AgentRequested()
            | e.CompactRequested()
            | e.VerifyRequested()
            | e.PublishRequested()
            | e.ObserveRequested()
            | e.FeedbackAccepted()
            | e.PullRequestTakenOver()
            | e.VerifySkipped()
            | e.FailureClassified()
            | e.TaskEscalated()
            | e.FailedOver()
            | e.BudgetWarned()
            | e.JobStopRequested()
            | e.HistoryCompacted()
            | e.PlanUnanswered()
            | e.PreflightFailed()
            | e.TaskBlocked()
            | e.MessageDelivered()
            | e.MessageConsumed()
            | e.TaskSucceeded()
            | e.TaskUnverified()
            | e.TaskFailed()
            | e.TaskCancelled()
        ):
            return "rule"
        case e.Unknown():
            return "unknown"
        case _:
            assert_never(event)


def type_name(event: e.AnyEvent) -> str:
    """The event's tag, also of one that this version does not know."""
    return event.type if isinstance(event, e.Unknown) else str(event.__struct_config__.tag)
