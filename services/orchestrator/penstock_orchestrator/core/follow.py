"""What a pull request that was opened calls for: a look, a fix run, a person, the end.

Rule of this room: rules of `advance`, read off the state alone. A look is due whatever else the task does; everything else
is due only while no fix run is at work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from penstock.bounds import LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX, clip
from penstock.commands import StirPullRequest
from penstock.events import (
    FeedbackAccepted,
    JobStopRequested,
    KnownEvent,
    ObserveRequested,
    PullRequestStirred,
    PullRequestTakenOver,
    TaskBlocked,
    TaskFailed,
)
from penstock.jobs import Job, ObserveWork
from penstock.subjects import PUBLISH_POOL
from penstock_orchestrator.core import review, step
from penstock_orchestrator.core.feedback import counted, fitting
from penstock_orchestrator.core.task import Failure, Review, Task

Answer: TypeAlias = KnownEvent | Literal["wait"] | None
"""As the rules of `advance` answer: an event, or "wait", or nothing to say."""

COMMENTS_AT_ONCE_MAX: Final = 20
"""So many comments are answered by one fix run; the rest by the next."""

REVIEW_CLOSED: Final = "review.closed"


# -- looking -----------------------------------------------------------------------------------------------------------


def look_due(task: Task, now: datetime) -> ObserveRequested | None:
    """A look, where it is time for one and none is on its way."""
    seen, at = task.review, next_look(task)
    if seen is None or at is None or now < at:
        return None
    why = "push_refused" if seen.look_first else "stirred" if seen.stirred else "clock"
    return ObserveRequested(number=seen.looks + 1, why=why, pool=pool(task))


def next_look(task: Task) -> datetime | None:
    """When the pull request is to be looked at; None where it is not, or somebody is at it."""
    seen, follow = task.review, task.spec.policy.follow
    if seen is None or follow is None or task.look is not None:
        return None
    if not seen.stirred:
        return seen.look_at
    return min(seen.asked_at + timedelta(seconds=follow.look_seconds_min), seen.look_at)


def look_order(task: Task) -> Job | None:
    """The order for the look that is asked for, None where none waits for a host."""
    look, seen, follow = task.look, task.review, task.spec.policy.follow
    if look is None or look.epoch is not None or seen is None or follow is None or task.outcome is not None:
        return None
    work = ObserveWork(
        repo=task.spec.repo, branch=task.branch, number=seen.number, known=seen.known, reviewers=follow.reviewers
    )
    return Job(id=look.id, task=task.id, repo=task.repo, pool=pool(task), host=None, work=work)


def pool(task: Task) -> str:
    """Whose hosts may look: those that hold the forge's credential."""
    return task.spec.policy.publish_pool or PUBLISH_POOL


def follows(task: Task, command: StirPullRequest) -> bool:
    """Whether this living task has become the pull request that the hint is about."""
    seen = task.review
    if seen is None or task.outcome is not None or task.held or task.repo != command.repo:
        return False
    if command.number is not None and seen.number is not None:
        return command.number == seen.number
    return bool(command.branch) and command.branch == task.branch


def stir(task: Task, command: StirPullRequest) -> list[KnownEvent]:
    """The event that a forge's hint leads to; `[]` where it is about another pull request, or one that is about to be looked
    at anyway."""
    seen = task.review
    if seen is None or not follows(task, command) or seen.stirred or command.id in task.commands:
        return []
    return [PullRequestStirred(what=command.what, by=command.by, via=command.via)]


# -- what is due -------------------------------------------------------------------------------------------------------


def over(task: Task) -> Answer:
    """The end of a task whose pull request is merged or closed; a host that is at work is told to end first ("wait")."""
    seen = task.review
    if seen is None or seen.state not in (review.MERGED, review.CLOSED):
        return None
    if (stopping := _stop(task, f"review.{seen.state}", f"the pull request is {seen.state}")) is not None:
        return stopping
    if seen.state == review.MERGED:
        return step.end_well(task)
    return TaskFailed(
        error_class=REVIEW_CLOSED,
        message=clip(f"the pull request {seen.url} was closed without being merged", MESSAGE_LENGTH_MAX),
        attempts=task.attempts,
        usage=task.usage,
        kept=task.kept,
    )


def taken_over(task: Task) -> Answer:
    """Somebody else has pushed: that is said once, and a fix run at work is told to end."""
    seen = task.review
    if seen is None or not review.foreign(seen):
        return None
    if not seen.taken_over:
        assert seen.head is not None
        return PullRequestTakenOver(head_commit=seen.head, pushed=review.last_pushed(task))
    return _stop(task, "review.taken_over", "somebody else has pushed to the pull request")


def _stop(task: Task, reason: str, message: str) -> JobStopRequested | Literal["wait"] | None:
    job = task.job
    if job is None or job.epoch is None:
        return None
    if task.stop is not None and task.stop.job == job.id:
        return "wait"
    return JobStopRequested(job=job.id, reason=reason, message=message)


def looks_first(task: Task) -> bool:
    """Whether what has failed may be explained by a look that is on its way."""
    return task.review is not None and task.review.look_first


def feedback(task: Task) -> FeedbackAccepted | TaskBlocked | None:
    """A fix run, or a person where there were as many as are allowed, or where nobody can look."""
    seen, policy = task.review, task.spec.policy.follow
    if seen is None or policy is None or seen.fix is not None:
        return None
    if seen.unseen is not None and not seen.unseen.transient:
        return TaskBlocked(
            reason=clip(f"{review.UNSEEN}{seen.unseen.error_class}", 100),
            message=clip(f"the pull request cannot be looked at: {seen.unseen.message}", MESSAGE_LENGTH_MAX),
            can_do="mend what the message says, then unblock or cancel the task; a look that succeeds ends this too",
        )
    if not policy.fix_runs_max or seen.taken_over or not review.pending(seen) or not review.settled(task, seen):
        return None
    if seen.fixes >= seen.allowed:
        return TaskBlocked(
            reason=review.CAP,
            message=clip(
                f"{seen.fixes} fix runs were made for {seen.url}, and {_open(seen)} are open", MESSAGE_LENGTH_MAX
            ),
            can_do=f"unblock for up to {policy.fix_runs_max} more, or push to it, merge it, close it, or cancel",
        )
    return FeedbackAccepted(
        number=seen.fixes + 1,
        head_commit=seen.head or review.last_pushed(task),
        checks=tuple(clip(one.name, LINE_LENGTH_MAX) for one in seen.checks),
        comments=tuple(one.id for one in fitting(seen.checks, seen.comments[:COMMENTS_AT_ONCE_MAX])),
    )


def waits(task: Task) -> bool:
    """Whether the pull request is in other people's hands."""
    return task.review is not None and task.review.fix is None


def given_up(task: Task, failure: Failure) -> TaskBlocked:
    """A fix run that has come to nothing does not end the task: the pull request is still there."""
    seen = task.review
    assert seen is not None
    number = "" if seen.fix is None else f" {seen.fix.number}"
    return TaskBlocked(
        reason=failure.known_as,
        message=clip(f"fix run{number} for {seen.url} came to nothing: {failure.message}", MESSAGE_LENGTH_MAX),
        can_do="unblock for one more try, or push to the pull request, merge it, close it, or cancel the task",
    )


def _open(seen: Review) -> str:
    return counted(len(seen.comments), len(seen.checks))
