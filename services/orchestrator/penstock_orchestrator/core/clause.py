"""What an event says, as one clause for a person: "the task is parked until ...".

Rule of this room: pure and complete, and short: whoever wants all of it reads the event. Not cleaned for a terminal; whoever
prints it does that.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from penstock import events as e
from penstock_orchestrator.core.feedback import counted
from penstock_orchestrator.core.reasons import when

_Asked: TypeAlias = (
    e.PrepareRequested
    | e.PlanRequested
    | e.AgentRequested
    | e.CompactRequested
    | e.VerifyRequested
    | e.PublishRequested
)
_Went: TypeAlias = (
    e.PrepareSucceeded
    | e.PlanProposed
    | e.AgentProgressed
    | e.NetworkDenied
    | e.AgentSucceeded
    | e.CompactSucceeded
    | e.VerifySucceeded
    | e.PublishSucceeded
)
_Broke: TypeAlias = e.PrepareFailed | e.PlanFailed | e.AgentFailed | e.CompactFailed | e.VerifyFailed | e.PublishFailed
_Job: TypeAlias = e.JobClaimed | e.JobLost | e.JobStopped | e.JobStopRequested
_Asks: TypeAlias = (
    e.TaskSubmitted
    | e.TaskCancelRequested
    | e.TaskUnblocked
    | e.TaskWoken
    | e.PriorityChanged
    | e.CompactionAsked
    | e.PlanCommented
    | e.PlanApproved
    | e.PlanRejected
)
_Talk: TypeAlias = (
    e.MessageAccepted | e.MessageTold | e.MessageDelivered | e.MessageConsumed | e.DecisionRaised | e.DecisionAnswered
)
_Waits: TypeAlias = e.TaskAdmitted | e.DependencyResolved | e.TaskParked | e.TaskBlocked | e.PlanUnanswered
_Reviewed: TypeAlias = (
    e.ObserveRequested
    | e.PullRequestObserved
    | e.ObserveFailed
    | e.PullRequestStirred
    | e.FeedbackAccepted
    | e.PullRequestTakenOver
)
_Judged: TypeAlias = (
    e.GateScored
    | e.MemoryRecalled
    | e.FailureClassified
    | e.TaskEscalated
    | e.FailedOver
    | e.BudgetWarned
    | e.HistoryCompacted
    | e.VerifySkipped
    | e.PreflightFailed
)


def clause(event: e.AnyEvent) -> str:
    """The clause, without a capital and a full stop."""
    if isinstance(event, _Asked):
        return _asked(event)
    if isinstance(event, _Went):
        return _went(event)
    if isinstance(event, _Broke):
        step, _, _ = str(event.__struct_config__.tag).partition("_")
        return f"the step {step} failed as {event.error_class}: {event.message}"
    if isinstance(event, _Job):
        return _job(event)
    if isinstance(event, _Asks):
        return _asks(event)
    if isinstance(event, _Talk):
        return _talk(event)
    if isinstance(event, _Waits):
        return _waits(event)
    if isinstance(event, _Judged):
        return _judged(event)
    if isinstance(event, _Reviewed):
        return _reviewed(event)
    return _last(event)


def _asked(event: _Asked) -> str:
    match event:
        case e.PrepareRequested():
            return f"a clone is asked for, for the {_th(event.number)} time"
        case e.PlanRequested():
            return f"plan {event.number} is asked for"
        case e.AgentRequested():
            session = "in the same session" if event.resume else "in a new session"
            return f"attempt {event.attempt} of the agent is asked for on {event.host}, {session}"
        case e.CompactRequested():
            return f"a summary is asked of an agent ({event.reason})"
        case e.VerifyRequested():
            return f"the checks of {event.commit[:12]} are asked for"
        case e.PublishRequested():
            pool = f" of a host in the pool {event.pool}" if event.pool else ""
            return f"the hand-over of {event.commit[:12]} is asked for{pool}, for the {_th(event.number)} time"
        case _:
            assert_never(event)


def _went(event: _Went) -> str:
    match event:
        case e.PrepareSucceeded():
            stands = f"the clone stands on {event.host}, based on {event.base_commit[:12]}"
            if event.conflicts:
                return f"{stands}, and the change does not fit there: both sides are in {', '.join(event.conflicts)}"
            return stands + (", with the change on top" if event.change is not None else "")
        case e.PlanProposed():
            return f"a plan is there (risk {event.plan.risk}): {event.plan.summary}"
        case e.AgentProgressed():
            return f"the run has used {_cost(event.usage.cost_usd)} and {event.usage.wall_seconds:.0f} s so far"
        case e.NetworkDenied():
            what = event.target or "other targets"
            return f"the sandbox kept it from {what} ({event.what}, {_many(event.count, 'time')}): {event.reason}"
        case e.AgentSucceeded():
            changed = _many(event.change.files_changed, "file")
            turns = _many(event.usage.turns, "turn")
            return f"the agent ended well: {changed} changed, {_cost(event.usage.cost_usd)}, {turns}"
        case e.CompactSucceeded():
            return "an agent has summarised the history"
        case e.VerifySucceeded():
            flaky = ", some only when they were run again" if any(one.flaky for one in event.commands) else ""
            return f"the checks of {event.commit[:12]} passed{flaky}"
        case e.PublishSucceeded():
            seen = f", with {_many(len(event.findings), 'finding')} to look at" if event.findings else ""
            return f"the change is handed over ({event.delivery.kind}){seen}"
        case _:
            assert_never(event)


def _job(event: _Job) -> str:
    match event:
        case e.JobClaimed():
            return f"host {event.host} has begun the job"
        case e.JobLost():
            gone = ", and its host is gone" if event.host_gone else ""
            return f"the job is lost{gone}: {event.reason}"
        case e.JobStopped():
            return f"the job was stopped: {event.reason}"
        case e.JobStopRequested():
            return f"the running job is told to end ({event.reason})"
        case _:
            assert_never(event)


def _asks(event: _Asks) -> str:
    match event:
        case e.TaskSubmitted():
            return f"{_who(event.submitted_by)} asked for: {event.title}"
        case e.TaskCancelRequested():
            return f"{_who(event.requested_by)} wants it stopped{_why(event.reason)}"
        case e.TaskUnblocked():
            return f"{_who(event.unblocked_by)} let it go on"
        case e.TaskWoken():
            return f"{_who(event.woken_by)} ended its waiting early"
        case e.PriorityChanged():
            return f"{_who(event.changed_by)} gave it priority {event.priority}"
        case e.CompactionAsked():
            return f"{_who(event.asked_by)} wants the next run to start from a summary"
        case e.PlanCommented():
            return f"{_who(event.commented_by)} commented plan {event.number}: {event.comment}"
        case e.PlanApproved():
            return f"{_who(event.approved_by)} approved plan {event.number}"
        case e.PlanRejected():
            return f"{_who(event.rejected_by)} rejected plan {event.number}{_why(event.reason)}"
        case _:
            assert_never(event)


def _talk(event: _Talk) -> str:
    match event:
        case e.MessageTold():
            return f"message {event.message} was told to the running agent"
        case e.MessageAccepted():
            return f"{_who(event.sender)} wrote to the agent: {event.text}"
        case e.MessageDelivered():
            return f"message {event.message} is in what the run was told"
        case e.MessageConsumed():
            return f"the agent has worked with message {event.message}"
        case e.DecisionRaised():
            return f"the agent asks a person ({event.subject}): {event.question}"
        case e.DecisionAnswered():
            return f"{_who(event.answered_by)} answered the agent: {event.answer}"
        case _:
            assert_never(event)


def _waits(event: _Waits) -> str:
    match event:
        case e.TaskAdmitted():
            return f"the queue gave it a slot after {event.waited_seconds:.0f} s"
        case e.DependencyResolved():
            return f"task {event.on}, which it waited for, is {event.outcome}"
        case e.TaskParked():
            return f"the task is parked until {when(event.wake_at)} ({event.reason})"
        case e.TaskBlocked():
            return f"the task is blocked ({event.reason}): {event.message}"
        case e.PlanUnanswered():
            return f"nobody answered plan {event.number} in {event.waited_seconds:.0f} s, which means {event.meaning}"
        case _:
            assert_never(event)


def _judged(event: _Judged) -> str:
    match event:
        case e.GateScored():
            asks = f", below {event.abstain_below:.0f}" if event.abstained else ""
            return f"the task scores {event.score:.0f} of 100 ({event.confidence} confidence){asks}"
        case e.MemoryRecalled():
            short = f" ({event.degraded})" if event.degraded else ""
            return f"{_many(len(event.items), 'memory').replace('memorys', 'memories')} of earlier work recalled{short}"
        case e.FailureClassified():
            seen = f", seen in {event.evidence!r}" if event.evidence else ""
            return f"the failed step {event.step} is {event.error_class} ({event.severity}){seen}"
        case e.TaskEscalated():
            return f"{event.error_class} is escalated to {event.to}"
        case e.FailedOver():
            to = f"{event.to_vendor} {event.to_model}".strip()
            return f"{to} goes on in place of {event.from_vendor} {event.from_model}".strip()
        case e.BudgetWarned():
            return f"{event.spent:.2f} of {event.limit:.2f} of the budget {event.budget} is spent"
        case e.HistoryCompacted():
            return f"the history is summarised by {event.made_by} ({event.reason})"
        case e.VerifySkipped():
            return f"{event.commit[:12]} is not checked ({event.reason})"
        case e.PreflightFailed():
            return f"the change may not be handed over ({event.error_class}): {event.message}"
        case _:
            assert_never(event)


def _reviewed(event: _Reviewed) -> str:
    match event:
        case e.ObserveRequested():
            return f"a look at the pull request is asked for ({event.why}), the {_th(event.number)} one"
        case e.PullRequestObserved():
            said = counted(len(event.comments), len(event.failed_checks))
            return f"the pull request is {event.state}, its checks are {event.checks}, and {said} are new"
        case e.ObserveFailed():
            return f"the pull request could not be looked at: {event.error_class}: {event.message}"
        case e.PullRequestStirred():
            return f"the forge says that there is news ({event.what}, by {_who(event.by)})"
        case e.FeedbackAccepted():
            return f"fix run {event.number} begins, for {counted(len(event.comments), len(event.checks))}"
        case e.PullRequestTakenOver():
            return (
                f"somebody else has pushed {event.head_commit[:12]} to the pull request, so no fix run is made any more"
            )
        case _:
            assert_never(event)


def _last(event: e.TaskSucceeded | e.TaskUnverified | e.TaskFailed | e.TaskCancelled | e.Unknown) -> str:
    match event:
        case e.TaskSucceeded():
            return f"the task has succeeded ({event.delivery.kind}, {_many(event.attempts, 'attempt')})"
        case e.TaskUnverified():
            return f"the task ends with a change that is not verified ({event.reason})"
        case e.TaskFailed():
            return f"the task has failed as {event.error_class}: {event.message}"
        case e.TaskCancelled():
            return f"the task is cancelled{_why(event.reason)}"
        case e.Unknown():
            return f"something happened that this version does not know: {event.type}"
        case _:
            assert_never(event)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _who(name: str) -> str:
    return name or "somebody"


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _cost(cost_usd: float | None) -> str:
    return "an unknown cost" if cost_usd is None else f"{cost_usd:.2f} USD"


def _th(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
