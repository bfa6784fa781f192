"""What is said about plans, messages and decisions, the queue, and what is made of failures and budgets.

Rule of this room: pure, one sentence each, not yet clean: `render` cleans whatever leaves.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from penstock.events import (
    AgentProgressed,
    BudgetWarned,
    CompactFailed,
    CompactionAsked,
    CompactRequested,
    CompactSucceeded,
    DecisionAnswered,
    DecisionRaised,
    DependencyResolved,
    FailedOver,
    FailureClassified,
    FeedbackAccepted,
    GateScored,
    HistoryCompacted,
    JobStopRequested,
    MemoryRecalled,
    MessageAccepted,
    MessageConsumed,
    MessageDelivered,
    MessageTold,
    NetworkDenied,
    ObserveFailed,
    ObserveRequested,
    PlanApproved,
    PlanCommented,
    PlanFailed,
    PlanProposed,
    PlanRejected,
    PlanRequested,
    PlanUnanswered,
    PreflightFailed,
    PriorityChanged,
    PullRequestObserved,
    PullRequestStirred,
    PullRequestTakenOver,
    TaskAdmitted,
    TaskEscalated,
    TaskWoken,
)
from penstock.values import Plan, Usage

OfTheQueue: TypeAlias = TaskAdmitted | DependencyResolved | PriorityChanged | TaskWoken
OfThePlan: TypeAlias = (
    PlanRequested | PlanProposed | PlanFailed | PlanCommented | PlanApproved | PlanRejected | PlanUnanswered
)
OfTalk: TypeAlias = (
    MessageAccepted | MessageTold | MessageDelivered | MessageConsumed | DecisionRaised | DecisionAnswered
)
OfJudgement: TypeAlias = (
    GateScored
    | MemoryRecalled
    | FailureClassified
    | TaskEscalated
    | FailedOver
    | PreflightFailed
    | BudgetWarned
    | JobStopRequested
    | AgentProgressed
    | NetworkDenied
)
OfReview: TypeAlias = (
    ObserveRequested
    | PullRequestObserved
    | ObserveFailed
    | PullRequestStirred
    | FeedbackAccepted
    | PullRequestTakenOver
)
OfCompaction: TypeAlias = CompactionAsked | CompactRequested | CompactSucceeded | CompactFailed | HistoryCompacted


def says_queue(event: OfTheQueue) -> str:
    match event:
        case TaskAdmitted(waited_seconds=seconds, priority=priority):
            return f"has a slot after {_duration(seconds)}, with priority {priority}"
        case DependencyResolved(on=on, outcome=outcome):
            return f"task {on}, which it waited for, is {outcome}"
        case PriorityChanged(priority=priority, changed_by=by):
            return f"{by or 'somebody'} gave it priority {priority}"
        case TaskWoken(woken_by=by):
            return f"{by or 'somebody'} let it try at once"
        case _:
            assert_never(event)


def says_plan(event: OfThePlan) -> str:
    match event:
        case PlanRequested(number=number, host=host, comments=comments):
            return f"plan {number} is to be made on {host}" + (f", with {len(comments)} comments" if comments else "")
        case PlanProposed(plan=plan, usage=usage):
            return f"a plan waits for a person ({_plan(plan)}, {money(usage)}): {plan.summary}"
        case PlanFailed(error_class=error_class, message=message):
            return f"no plan came: {error_class}: {message}"
        case PlanCommented(number=number, commented_by=by, comment=comment):
            return f"{by or 'somebody'} wants another plan than {number}: {comment}"
        case PlanApproved(number=number, approved_by=by):
            return f"{by or 'somebody'} approved plan {number}"
        case PlanRejected(number=number, rejected_by=by, reason=reason):
            return f"{by or 'somebody'} rejected plan {number}{because(reason)}"
        case PlanUnanswered(number=number, waited_seconds=seconds, meaning=meaning):
            return f"nobody answered plan {number} within {_duration(seconds)}, which {_MEANS[meaning]}"
        case _:
            assert_never(event)


_MEANS = {"park": "lets the task wait on", "deny": "ends the task", "approve": "lets the plan be carried out"}


def says_talk(event: OfTalk) -> str:
    match event:
        case MessageAccepted(sender=sender, from_task=from_task, text=text):
            return f"{f'task {from_task}' if from_task else sender or 'somebody'} says: {text}"
        case MessageTold(message=message, job=job):
            return f"message {message} was told to the agent in the middle of job {job}"
        case MessageDelivered(message=message, job=job):
            return f"message {message} is part of what job {job} was told"
        case MessageConsumed(message=message, job=job):
            return f"the agent has worked with message {message} in job {job}"
        case DecisionRaised(decision=decision, subject=subject, question=question, options=options):
            choice = f" ({' / '.join(options)})" if options else ""
            return f"the agent asks a person about {subject} (decision {decision}): {question}{choice}"
        case DecisionAnswered(decision=decision, answered_by=by, answer=answer):
            return f"{by or 'somebody'} answered decision {decision}: {answer}"
        case _:
            assert_never(event)


def says_judgement(event: OfJudgement) -> str:
    match event:
        case GateScored(
            score=score, confidence=confidence, abstained=abstained, abstain_below=below, warnings=warnings
        ):
            asks = f", below {below:g}: a person is asked first" if abstained else ""
            more = f": {'; '.join(warnings)}" if warnings else ""
            return f"scored {score:.0f} of 100 with {confidence} confidence{asks}{more}"
        case MemoryRecalled(items=items, degraded=degraded):
            told = "; ".join(item.title for item in items) or "nothing"
            return f"recalled of earlier work: {told}" + (f" ({degraded})" if degraded else "")
        case FailureClassified(step=step, error_class=error_class, severity=severity, times=times, evidence=evidence):
            again = f", {times} times in a row" if times > 1 else ""
            return f"{step} failed with {error_class} ({severity}{again}){because(evidence)}"
        case TaskEscalated(error_class=error_class, times=times, to=to):
            return f"{error_class} ({times} in a row) is passed on to {to.replace('_', ' ')}"
        case FailedOver() as over:
            now, before = _agent(over.to_vendor, over.to_model), _agent(over.from_vendor, over.from_model)
            return f"{now} takes over from {before} after {over.attempts_spent} attempts ({over.error_class})"
        case PreflightFailed(error_class=error_class, message=message, files=files):
            return f"{error_class}: {message}" + (f" ({', '.join(files)})" if files else "")
        case BudgetWarned(budget=budget, spent=spent, limit=limit):
            share = f" ({spent / limit:.0%})" if limit else ""
            return f"{_amount(budget, spent)} of {_amount(budget, limit)} of its {budget} budget are spent{share}"
        case JobStopRequested(job=job, reason=reason, message=message):
            return f"job {job} is told to stop: {reason}{because(message)}"
        case AgentProgressed(job=job, usage=usage):
            return f"job {job} has used {usage.turns} turns and {usage.output_tokens} tokens of output ({money(usage)})"
        case NetworkDenied(job=job, what=what, target=target, reason=reason, count=count):
            often = f" ({count} times)" if count > 1 else ""
            return f"job {job} was kept from {target or 'other targets'} [{what}]{often}{because(reason)}"
        case _:
            assert_never(event)


def says_review(event: OfReview) -> str:
    match event:
        case ObserveRequested(why=why):
            return f"the pull request is to be looked at ({why.replace('_', ' ')})"
        case PullRequestObserved() as seen:
            new = _feedback(len(seen.comments), len(seen.failed_checks))
            draft = ", a draft" if seen.draft else ""
            review = ", in review" if seen.state == "open" else ""
            return (
                f"pull request {seen.pull_request} is {seen.state}{draft}{review}; checks {seen.checks}{because(new)}"
            )
        case ObserveFailed(error_class=error_class, message=message):
            return f"the pull request could not be looked at: {error_class}: {message}"
        case PullRequestStirred(what=what, by=by):
            return f"the forge has news of the pull request: {what or 'something'}" + (f", by {by}" if by else "")
        case FeedbackAccepted(number=number, comments=comments, checks=checks):
            named = f" ({', '.join(checks)})" if checks else ""
            return f"fix run {number} for {_feedback(len(comments), len(checks)) or 'nothing'}{named}"
        case PullRequestTakenOver(head_commit=head):
            return f"somebody else has pushed {head[:12]}: no fix run is made any more, it is theirs to merge or close"
        case _:
            assert_never(event)


def _feedback(comments: int, checks: int) -> str:
    said = [
        f"{count} {thing}{'' if count == 1 else 's'}" for count, thing in ((comments, "comment"), (checks, "check"))
    ]
    return " and ".join(one for one in said if not one.startswith("0 "))


def says_compaction(event: OfCompaction) -> str:
    match event:
        case CompactionAsked(asked_by=by):
            return f"{by or 'somebody'} wants the next run to start from a summary"
        case CompactRequested(reason=reason, host=host):
            return f"a summary is to be written on {host}: {reason}"
        case CompactSucceeded(summary=summary, usage=usage):
            return f"a summary of {len(summary)} characters was written ({money(usage)})"
        case CompactFailed(error_class=error_class, message=message):
            return f"no summary was written: {error_class}: {message}"
        case HistoryCompacted(made_by=made_by, characters_in=before, characters_out=after, reason=reason):
            return f"{before} characters of history became {after} by {made_by}: {reason}"
        case _:
            assert_never(event)


def because(reason: str) -> str:
    return f": {reason}" if reason else ""


def money(usage: Usage) -> str:
    return "cost unknown" if usage.cost_usd is None else f"${usage.cost_usd:.2f}"


def _plan(plan: Plan) -> str:
    return f"{len(plan.steps)} steps, {len(plan.files_to_touch)} files, risk {plan.risk}"


def _agent(vendor: str, model: str) -> str:
    return f"{vendor} {model}".strip()


def _amount(budget: str, amount: float) -> str:
    if budget == "cost":
        return f"${amount:.2f}"
    return _duration(amount) if budget == "wall" else f"{amount:g}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
