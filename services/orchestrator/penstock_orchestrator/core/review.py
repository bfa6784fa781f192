"""A pull request after it was opened, as the fold sees it: looks, feedback, fix runs, the hands of others.

Rule of this room: a look holds nothing and nobody waits for one. What is seen is the one input: it is compared with what we
have pushed and with what was seen before, so the same sight twice changes nothing but the time of the next look.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final, TypeAlias, assert_never

from msgspec.structs import replace

from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    FeedbackAccepted,
    JobClaimed,
    JobLost,
    JobStopped,
    ObserveFailed,
    ObserveRequested,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishRequested,
    PublishSucceeded,
    PullRequestObserved,
    PullRequestStirred,
    PullRequestTakenOver,
    Recorded,
)
from penstock.values import FailedCheck, Follow, ReviewComment
from penstock_orchestrator.core.reported import mail_back
from penstock_orchestrator.core.task import Fix, Look, Review, Task, Unseen, Verdict

KNOWN_MAX: Final = 400
"""So many ids of comments are remembered, those that count the longest; a forge is asked for half of that."""

PENDING_MAX: Final = 100
"""So many comments may wait for a fix run; the rest is told by later looks."""

PUSHED_MAX: Final = 100
"""So many commits of ours on one pull request are known as ours."""

UNSEEN: Final = "observe."
"""The family of reasons to block a task whose pull request cannot be looked at. The next look that succeeds ends it."""

FROM_OUTSIDE: Final = ("git.", "forge.")
"""Families of failures that a look at the pull request may explain."""

CAP: Final = "review.fix_runs"
MERGED: Final = "merged"
CLOSED: Final = "closed"

OfReview: TypeAlias = (
    ObserveRequested
    | PullRequestObserved
    | ObserveFailed
    | PullRequestStirred
    | FeedbackAccepted
    | PullRequestTakenOver
)


def of_review(task: Task, recorded: Recorded, event: OfReview) -> Task:
    """The task after one of the events that only a followed one has."""
    review = task.review
    if review is None:
        return task
    match event:
        case ObserveRequested():
            look = Look(id=recorded.id, requested_at=recorded.at)
            review = replace(review, looks=event.number, asked_at=recorded.at, stirred=False)
            return replace(task, look=look, review=review)
        case PullRequestObserved() | ObserveFailed():
            if task.look is None or (event.job, event.epoch) != (task.look.id, task.look.epoch):
                return task
            if isinstance(event, ObserveFailed):
                return _unseen(replace(task, look=None), review, event, recorded.at)
            return _observed(replace(task, look=None), review, event, recorded.at)
        case PullRequestStirred():
            return replace(task, review=replace(review, stirred=True))
        case FeedbackAccepted():
            return _accepted(task, review, event, recorded.at)
        case PullRequestTakenOver():
            return _taken_over(task, review, recorded.at)
        case _:
            assert_never(event)


def of_look(task: Task, event: JobClaimed | JobLost | JobStopped, at: datetime) -> Task:
    """What becomes of the look that is asked for. One that is lost or stopped is made again a little later."""
    look, review = task.look, task.review
    assert look is not None
    assert review is not None
    if isinstance(event, JobClaimed):
        if look.epoch is not None:
            return task
        return replace(task, look=replace(look, host=event.host, epoch=event.epoch, instance=event.instance))
    if event.epoch != (look.epoch or 0):
        return task
    review = replace(review, misses=review.misses + 1, look_first=False)
    return replace(task, look=None, review=_next(task, review, at))


def asked_to_publish(task: Task, event: PublishRequested) -> Task:
    """From here on the commit may be on the branch, whatever becomes of the job."""
    review = task.review
    if review is None or review.fix is None:
        return task
    fix = replace(review.fix, handing_over=True)
    return replace(task, review=replace(_with_ours(task, review, event.commit), fix=fix))


def after_step(before: Task, task: Task, event: object, at: datetime) -> Task:
    """What the end of a step means for the pull request. `before`: the task as it was with that step at work."""
    review = task.review
    if review is None:
        return _begun(task, at) if isinstance(event, PublishSucceeded) else task
    fix = review.fix
    if review.state in (MERGED, CLOSED) or fix is None:
        return _too_late(before, task, review, event)
    match event:
        case PublishSucceeded():
            return _answered(task, review, event, at)
        case PublishFailed() | PrepareFailed() if not event.transient:
            # It may be merged or closed, or somebody else may have pushed: that is looked at before anybody is asked.
            looks = event.error_class.startswith(FROM_OUTSIDE)
            review = replace(review, look_first=looks, look_at=at if looks else review.look_at)
            return replace(task, review=replace(review, fix=replace(fix, handing_over=False)))
        case PrepareSucceeded() if event.tip is not None:
            return replace(task, review=replace(review, head=event.tip))
        case AgentSucceeded():
            return _worked(task, review, event)
        case AgentFailed() | JobStopped() if event.usage.turns:
            return replace(task, review=replace(review, fix=replace(fix, told=True)))
        case _:
            return task


def unblocked(task: Task, reason: str, at: datetime) -> Task:
    """A person lets the task go on: with as many fix runs again, or with a look at once."""
    review, follow = task.review, task.spec.policy.follow
    if review is None or follow is None:
        return task
    more = follow.fix_runs_max if reason == CAP else 0
    return replace(task, review=replace(review, allowed=review.allowed + more, unseen=None, look_at=at, quiet=0))


def answered(task: Task) -> tuple[str, ...]:
    """The comments that fix runs have answered, of this task and of those it goes on from."""
    if task.review is not None:
        return task.review.comments_answered
    return () if task.spec.continues is None else task.spec.continues.answered


def foreign(review: Review) -> bool:
    """Whether somebody else's commit is the last on the branch."""
    return review.head is not None and review.head not in review.pushed


def last_pushed(task: Task) -> str:
    """Where we have left the branch."""
    assert task.delivery is not None
    return task.delivery.commit


def verdict(review: Review, commit: str) -> Verdict:
    """How the checks of this commit went; of one that is none of ours: of our last."""
    return next((one for one in review.verdicts if one.commit == commit), review.verdicts[-1])


def pending(review: Review) -> bool:
    """Whether there is feedback that no fix run answers yet."""
    return bool(review.comments or review.checks)


# -- how it begins, and what is seen -----------------------------------------------------------------------------------


def _begun(task: Task, at: datetime) -> Task:
    """A change was handed over. Where it has become a pull request, and is to be followed, the task waits with it."""
    follow, delivery = task.spec.policy.follow, task.delivery
    if follow is None or delivery is None or delivery.kind != "pull_request":
        return task
    review = Review(
        number=delivery.number,
        url=delivery.url,
        pushed=(delivery.commit,),
        verdicts=(_verdict(task, delivery.commit),),
        # On the pull request that it goes on with, what was answered before is not paid for again.
        known=answered(task),
        comments_answered=answered(task),
        allowed=follow.fix_runs_max,
        asked_at=at,
        look_at=at + timedelta(seconds=follow.look_seconds),
    )
    return replace(task, review=review, admitted=False, queued_at=at)


def _observed(task: Task, review: Review, event: PullRequestObserved, at: datetime) -> Task:
    follow = _follow(task)
    known = set(review.known)
    room = PENDING_MAX - len(review.comments)
    fresh = tuple(one for one in event.comments if one.id not in known)[:room]
    counts = tuple(one for one in fresh if (one.author in follow.reviewers if follow.reviewers else one.trusted))
    # While a commit of ours is on its way, one that nobody knows yet may be that one.
    on_its_way = task.job is not None and task.job.kind == "publish" and event.head_commit not in review.pushed
    seen = replace(
        review,
        number=event.pull_request,
        url=event.url or review.url,
        state=event.state,
        head=review.head if on_its_way or event.head_commit is None else event.head_commit,
        checks_say=event.checks,
        left_out=event.left_out,
        seen_at=at,
        misses=0,
        unseen=None,
        look_first=False,
    )
    seen = _remembered(seen, fresh, counts)
    seen = replace(seen, checks=_failed_checks(task, seen, event))
    if not review.taken_over:
        seen = replace(seen, comments=(*review.comments, *counts))
    added = bool(counts) or len(seen.checks) > len(review.checks)
    if added:
        seen = replace(seen, news_at=at, first_news_at=at if not pending(review) else review.first_news_at)
    moved = (seen.state, seen.head, seen.checks_say) != (review.state, review.head, review.checks_say)
    quiet = 0 if added or moved or event.checks == "pending" else review.quiet + 1
    task = _seen_again(task, seen)
    return replace(task, review=_next(task, replace(seen, quiet=quiet), at, more=event.more and len(fresh) < room))


def _remembered(review: Review, fresh: tuple[ReviewComment, ...], counts: tuple[ReviewComment, ...]) -> Review:
    """Strangers may say as much as they like: what counts is told by the forge as long as there is room, and is not news again
    for having been forgotten."""
    heeded = {one.id for one in counts}
    known = (*review.known, *(one.id for one in fresh))
    idle = (*review.idle, *(one.id for one in fresh if one.id not in heeded))
    over = max(len(known) - KNOWN_MAX, 0)
    forgotten = set(idle[:over])
    kept = tuple(one for one in known if one not in forgotten)
    return replace(review, known=kept[-KNOWN_MAX:], idle=idle[over:])


def _failed_checks(task: Task, review: Review, event: PullRequestObserved) -> tuple[FailedCheck, ...]:
    """Those that wait for a fix run: of what we have pushed last, and of no commit that was answered already."""
    head = event.head_commit
    ours = head is not None and head == last_pushed(task) and head not in review.answered
    if event.checks != "failed" or not ours or review.fix is not None or review.taken_over:
        return ()
    return event.failed_checks


def _seen_again(task: Task, review: Review) -> Task:
    """What a person was asked for may have passed by itself."""
    blocked = task.blocked
    if blocked is None:
        return task
    passed = blocked.reason.startswith(UNSEEN) or (blocked.reason == CAP and not pending(review))
    return replace(task, blocked=None) if passed else task


def _unseen(task: Task, review: Review, event: ObserveFailed, at: datetime) -> Task:
    unseen = Unseen(error_class=event.error_class, message=event.message, transient=event.transient)
    review = _next(task, replace(review, misses=review.misses + 1, unseen=unseen, look_first=False), at)
    if event.retry_at is not None and event.retry_at > at:
        follow = _follow(task)
        soonest = at + timedelta(seconds=follow.look_seconds_min)
        latest = at + timedelta(seconds=follow.look_seconds_max)
        review = replace(review, look_at=min(max(event.retry_at, soonest), latest))
    return replace(task, review=review)


def _next(task: Task, review: Review, at: datetime, *, more: bool = False) -> Review:
    """The review with the time of its next look: soon after news, ever later without any, or while it cannot be seen. Jitter
    of up to a fifth, drawn from the log."""
    follow = _follow(task)
    doubled = follow.look_seconds * 2.0 ** min(max(review.quiet, review.misses), 20)
    seconds = min(doubled, max(follow.look_seconds_max, follow.look_seconds))
    if more:
        seconds = follow.look_seconds_min
    elif pending(review) and not _settled(review, follow):
        seconds = max(min(seconds, follow.settle_seconds), follow.look_seconds_min)
    seconds *= 1.0 + 0.2 * _fraction(f"{task.id}.{review.looks}.{task.seq}")
    return replace(review, look_at=at + timedelta(seconds=seconds))


def settled(task: Task, review: Review) -> bool:
    """Whether a look has come after nothing was added for as long as the task waits for more."""
    return _settled(review, _follow(task))


PATIENCES: Final = 10
"""So many times the settling time, and feedback is answered though there is ever more of it."""


def _settled(review: Review, follow: Follow) -> bool:
    assert review.seen_at is not None, "feedback was seen at some time"
    assert review.news_at is not None
    assert review.first_news_at is not None
    waits = timedelta(seconds=follow.settle_seconds)
    return review.seen_at >= review.news_at + waits or review.seen_at >= review.first_news_at + PATIENCES * waits


# -- fix runs ----------------------------------------------------------------------------------------------------------


def _accepted(task: Task, review: Review, event: FeedbackAccepted, at: datetime) -> Task:
    """A fix run begins: as a task that has its clone and its session, and no change yet."""
    named = set(event.comments)
    fix = Fix(
        number=event.number,
        comments=tuple(one for one in review.comments if one.id in named),
        checks=review.checks,
    )
    review = replace(
        review,
        fix=fix,
        fixes=event.number,
        comments=tuple(one for one in review.comments if one.id not in named),
        checks=(),
        # A run about comments alone has answered no check: one that fails later on this commit is news.
        answered=(*review.answered, event.head_commit)[-PUSHED_MAX:] if event.checks else review.answered,
    )
    return replace(
        task,
        review=review,
        change=None,
        judged="none",
        skipped="",
        failure=None,
        last_failure=None,
        attempts_spent=0,
        pauses=0,
        parks=0,
        lost=0,
        alike=0,
        alike_class="",
        escalated="",
        escalations=0,
        admitted=False,
        queued_at=at,
    )


def _worked(task: Task, review: Review, event: AgentSucceeded) -> Task:
    """An agent that has left the branch as it was has answered with words alone: there is nothing new to check."""
    assert review.fix is not None
    task = replace(task, review=replace(review, fix=replace(review.fix, told=True, said=event.summary)))
    if event.change.commit != last_pushed(task):
        return task
    stood = verdict(review, event.change.commit)
    return replace(task, judged=stood.judged, skipped=stood.skipped, results=stood.results)


def _answered(task: Task, review: Review, event: PublishSucceeded, at: datetime) -> Task:
    commit = event.delivery.commit
    assert review.fix is not None
    said = tuple(one.id for one in review.fix.comments)
    review = replace(
        _with_ours(task, review, commit),
        comments_answered=(*review.comments_answered, *said)[-KNOWN_MAX:],
        number=event.delivery.number or review.number,
        url=event.delivery.url or review.url,
        head=commit,
        fix=None,
        checks=(),
        quiet=0,
    )
    return replace(task, review=_next(task, review, at), admitted=False, queued_at=at)


def _with_ours(task: Task, review: Review, commit: str) -> Review:
    """With a commit of ours on the pull request, as the task's checks have judged it."""
    if commit in review.pushed:
        return review
    verdicts = (*review.verdicts, _verdict(task, commit))
    return replace(review, pushed=(*review.pushed, commit)[-PUSHED_MAX:], verdicts=verdicts[-PUSHED_MAX:])


def _verdict(task: Task, commit: str) -> Verdict:
    return Verdict(commit=commit, judged=task.judged, skipped=task.skipped, results=task.results)


def _taken_over(task: Task, review: Review, at: datetime) -> Task:
    """Nothing is asked of an agent any more; a job that no host has begun is not wanted, one at work is told to end. What that
    job was to be told was told to nobody."""
    waits = task.job is not None and task.job.epoch is None
    return replace(
        mail_back(task) if waits else task,
        review=replace(review, taken_over=True, fix=None, comments=(), checks=(), look_first=False),
        job=None if waits else task.job,
        failure=None,
        escalated="",
        compact_wanted="",
        points=(),
        parked=None,
        blocked=None,
        admitted=False,
        queued_at=at,
    )


def _too_late(before: Task, task: Task, review: Review, event: object) -> Task:
    """The step has ended when its fix run was none any more. What it has left is kept; what it failed with is nobody's
    concern; and the delivery is what was there, unless it is the very commit that was seen there."""
    kept = task.delivery
    if isinstance(event, PublishSucceeded) and event.delivery.commit != review.head:
        kept = before.delivery
    return replace(
        task, delivery=kept, failure=None, stop=None, escalated="", compact_wanted="", points=(), admitted=False
    )


def _follow(task: Task) -> Follow:
    follow = task.spec.policy.follow
    assert follow is not None, "only what is followed has a review"
    return follow


def _fraction(seed: str) -> float:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6]) / 2**48
