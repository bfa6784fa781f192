"""The wrong versions of single decisions: one slip each, that a person might make.

Rule of this room: each is put in the place of one function; the rest of the core stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import TypeAlias

from msgspec.structs import replace

from penstock.commands import ClaimJob
from penstock.events import (
    Event,
    FailedOver,
    FailureClassified,
    FeedbackAccepted,
    JobClaimed,
    JobLost,
    KnownEvent,
    MessageConsumed,
    MessageDelivered,
    PlanRequested,
    PlanUnanswered,
    PrepareSucceeded,
    PullRequestObserved,
    Recorded,
    TaskBlocked,
    TaskFailed,
    TaskParked,
    TaskSucceeded,
    VerifySkipped,
)
from penstock.reports import Report
from penstock.values import Usage
from penstock_orchestrator.core import (
    advance,
    budget,
    checks,
    decide,
    evolve,
    follow,
    queue,
    reported,
    review,
    step,
    verdict,
)
from penstock_orchestrator.core import fleet as fleets
from penstock_orchestrator.core.fleet import Fleet, Hold, Lane, Turn
from penstock_orchestrator.core.step import Stage
from penstock_orchestrator.core.task import CurrentJob, End, Failure, Outcome, Review, Task

Put: TypeAlias = Callable[[object, str, object], None]


def rule(name: str, wrong: Callable[[Task, datetime], advance.Answer]) -> Callable[[Put], None]:
    """The rule of this name decides so instead."""
    assert name in dict(advance.RULES)
    return lambda put: put(
        advance, "RULES", tuple((one, wrong if one == name else rule) for one, rule in advance.RULES)
    )


def silent(_: Task, __: datetime) -> advance.Answer:
    return None


def nothing(*_: object, **__: object) -> None:
    return None


def no_words(*_: object) -> str:
    return ""


def same(task: Task, *_: object) -> Task:
    return task


# -- wrong versions that need more than a line -------------------------------------------------------------------------


def accepts_anybody(put: Put) -> None:
    told: dict[int, Report] = {}
    right = decide.accept

    def accept(task: Task | None, report: Report) -> list[KnownEvent]:
        if decide._kind_of(report.body) == "look":
            return right(task, report)
        if task is None or task.outcome is not None or task.job is None or id(report) in told:
            return []
        if decide._kind_of(report.body) != task.job.kind:
            return []
        told[id(report)] = report
        return [report.body]

    put(decide, "accept", accept)


def grants_twice(put: Put) -> None:
    def claim(task: Task, command: ClaimJob) -> list[KnownEvent]:
        return [JobClaimed(job=command.job, host=command.host, epoch=command.epoch, instance=command.instance)]

    put(decide, "_claim", claim)


def counts_no_attempts(put: Put) -> None:
    def failed(task: Task, failure: Failure) -> Task:
        return replace(task, failure=failure)

    put(reported, "failed", failed)


def spends_twice(put: Put) -> None:
    right = reported.spent

    def spent(task: Task, usage: Usage) -> Task:
        return right(right(task, usage), usage)

    put(reported, "spent", spent)


def forgets_what_a_lost_run_told(put: Put) -> None:
    right = reported.lost

    def lost(task: Task, event: JobLost) -> Task:
        return right(replace(task, run_usage=None), event)

    put(reported, "lost", lost)


def takes_the_last_word(put: Put) -> None:
    def most(said: Usage, seen: Usage | None) -> Usage:
        return said

    put(reported, "most", most)
    put(decide, "most", most)


def counts_sessions_whole(put: Put) -> None:
    put(budget, "since", lambda total, before: total)


def stage(wrong: Callable[[Task, Stage], Stage]) -> Callable[[Put], None]:
    right = step.stage

    def stage(task: Task) -> Stage:
        return wrong(task, right(task))

    def plant(put: Put) -> None:
        for module in (step, advance):
            put(module, "stage", stage)

    return plant


def rejected_is_approved(task: Task, right: Stage) -> Stage:
    if right == "plan" and task.plan is not None and task.plan.answer == "rejected":
        return "verify" if task.change is not None else "agent"
    return right


def leaves_mail_unread(task: Task, right: Stage) -> Stage:
    if right != "agent" or task.change is None or task.judged == "failed":
        return right
    return "verify" if task.judged == "none" else "publish"


def excuses_everything(put: Put) -> None:
    put(checks, "_is_excused", lambda _spec, command: command.before is not None)


def passed_or_excused(_spec: object, judged: str, _results: object) -> bool:
    return judged in ("passed", "excused")


def nothing_to_say(_judged: str, _results: object) -> tuple[str, ...]:
    return ()


def skips_checks(put: Put) -> None:
    def check(task: Task) -> VerifySkipped:
        assert task.change is not None
        return VerifySkipped(attempt=task.attempts, commit=task.change.commit, reason="skip_verify")

    put(step, "_check", check)


def plans_without_comments(put: Put) -> None:
    right = step.next_step

    def next_step(task: Task) -> KnownEvent:
        event = right(task)
        return replace(event, comments=()) if isinstance(event, PlanRequested) else event

    put(step, "next_step", next_step)


def delivered_when_asked(task: Task, _: datetime) -> advance.Answer:
    for mail in task.mail:
        if mail.job and not mail.delivered:
            return MessageDelivered(message=mail.id, job=mail.job)
    return None


def consumed_when_delivered(task: Task, _: datetime) -> advance.Answer:
    for mail in task.mail:
        if mail.delivered:
            return MessageConsumed(message=mail.id, job=mail.job)
    return None


def ends_well_always(put: Put) -> None:
    def end_well(task: Task) -> TaskSucceeded:
        assert task.delivery is not None
        return TaskSucceeded(delivery=task.delivery, attempts=task.attempts, usage=task.usage)

    put(step, "end_well", end_well)


def calls_no_change_a_success(put: Put) -> None:
    right = evolve._ended

    def ended(task: Task, recorded: Recorded, event: End) -> Task:
        after = right(task, recorded, event)
        if isinstance(event, TaskFailed) and after.outcome == "no_change":
            good: Outcome = "succeeded"
            return replace(after, outcome=good)
        return after

    put(evolve, "_ARMS", arms(right, ended))


def forgets_the_delivery(put: Put) -> None:
    right = reported.ended

    def ended(task: Task, job: CurrentJob, event: reported.Ending, at: datetime) -> Task:
        return replace(right(task, job, event, at), delivery=None, delivery_job=None)

    put(reported, "ended", ended)


def decided(change: Callable[[Task, Task, Recorded], Task]) -> Callable[[Put], None]:
    """The fold of a decision comes out so instead: before, after, event."""
    right = evolve._decided

    def decided(task: Task, recorded: Recorded, event: evolve.Decided) -> Task:
        return change(task, right(task, recorded, event), recorded)

    return lambda put: put(evolve, "_ARMS", arms(right, decided))


def arms(right: Callable[..., Task], wrong: Callable[..., Task]) -> dict[type[Event], Callable[..., Task]]:
    """The table of the fold with one function in the place of another."""
    return {event: wrong if arm is right else arm for event, arm in evolve._ARMS.items()}


def keeps_the_slot(before: Task, after: Task, _: Recorded) -> Task:
    return replace(after, admitted=before.admitted)


def parks_for_nothing(_: Task, after: Task, recorded: Recorded) -> Task:
    if after.parked is None or not isinstance(recorded.data, TaskParked) or after.parked.reason == evolve.NIGHT:
        return after
    return replace(after, parked=replace(after.parked, wake_at=recorded.at))


def forgets_warnings(before: Task, after: Task, _: Recorded) -> Task:
    return replace(after, warned=before.warned)


def fails_over_again(_: Task, after: Task, recorded: Recorded) -> Task:
    return replace(after, failed_over=False) if isinstance(recorded.data, FailedOver) else after


def escapes_the_fold(put: Put) -> None:
    tick = count()

    def parked(before: Task, after: Task, recorded: Recorded) -> Task:
        return replace(after, parks=next(tick)) if isinstance(recorded.data, TaskParked) else after

    decided(parked)(put)


def forgets_the_refund(put: Put) -> None:
    right = evolve._classified

    def classified(task: Task, event: FailureClassified) -> Task:
        return replace(right(task, event), attempts_spent=task.attempts_spent, judged=task.judged)

    put(evolve, "_classified", classified)


def wake_at(wrong: Callable[[Task, Failure, datetime], datetime]) -> Callable[[Put], None]:
    def plant(put: Put) -> None:
        put(verdict, "wake_at", wrong)
        put(advance, "wake_at", wrong)

    return plant


def believes_any_reset(task: Task, failure: Failure, now: datetime) -> datetime:
    soonest = now + timedelta(seconds=task.spec.policy.park_seconds_min)
    return soonest if failure.retry_at is None else max(failure.retry_at, soonest)


def believes_no_reset(task: Task, _: Failure, now: datetime) -> datetime:
    return now + timedelta(seconds=task.spec.policy.park_seconds_min)


def asks_again_at_once(task: Task, _: Failure, now: datetime) -> datetime:
    return now


def goes_on_unmended(task: Task, now: datetime) -> advance.Answer:
    if task.blocked is not None and task.blocked.reason.startswith(("vendor.", "git.")):
        return None
    return None if task.blocked is None else advance.WAIT


def wakes_early(task: Task, now: datetime) -> advance.Answer:
    parked = task.parked
    early = timedelta(hours=0 if parked is None or parked.reason == evolve.NIGHT else 1)
    return advance.WAIT if parked is not None and now < parked.wake_at - early else None


def misses_the_wake(put: Put) -> None:
    right = advance.next_look
    put(advance, "next_look", lambda task: None if task.parked is not None else right(task))


def takes_silence_at_once(task: Task, now: datetime) -> advance.Answer:
    plan = task.plan
    if (
        plan is not None
        and plan.answer == "none"
        and task.spec.plan_gate.silence != "wait"
        and step.stage(task) == "plan"
    ):
        return PlanUnanswered(number=plan.number, waited_seconds=0.0, meaning=advance._silence_means(task))
    return advance._plan_waits(task, now)


def takes_any_end_for_good(task: Task, now: datetime) -> advance.Answer:
    said = advance._dependencies(task, now)
    return said if said == advance.WAIT else None


def drops_comments(put: Put) -> None:
    right = evolve._plan_answered

    def answered(task: Task, recorded: Recorded, event: evolve.Person) -> Task:
        after = right(task, recorded, event)  # type: ignore[arg-type]  # the caller has looked
        return after if after.plan is None else replace(after, plan=replace(after.plan, comments=()))

    put(evolve, "_plan_answered", answered)


# -- wrong versions over all tasks -------------------------------------------------------------------------------------


def obstacle(without: tuple[str, ...]) -> Callable[[Put], None]:
    right = queue._obstacle

    def obstacle(fleet: Fleet, lane: Lane, given: queue.Given, now: datetime) -> str:
        said = right(fleet, lane, given, now)
        return "" if said in without else said

    return lambda put: put(queue, "_obstacle", obstacle)


def last_comes_first(put: Put) -> None:
    put(fleets, "Turn", lambda rank, since, task: Turn(-rank, -since, task))


def holds_for_ever(put: Put) -> None:
    def hold_of(fleet: Fleet, account: str, now: datetime) -> Hold | None:
        hold = fleet.holds.get(account)
        if hold is not None:
            hold.until = now + timedelta(days=1)
        return hold

    put(Fleet, "hold_of", hold_of)
    put(Fleet, "_lift", nothing)


def keeps_slots_of_the_ended(put: Put) -> None:
    right = Fleet._place

    def place(fleet: Fleet, before: Task, task: Task) -> None:
        right(fleet, before, replace(task, admitted=True, outcome=None) if task.outcome is not None else task)

    put(Fleet, "_place", place)


def tells_no_dependant(put: Put) -> None:
    def changed(fleet: Fleet, before: Task | None, after: Task, recorded: Recorded | None) -> None:
        right(fleet, before, after, recorded)
        fleet.resolvable.clear()

    right = Fleet.changed
    put(Fleet, "changed", changed)


def puts(owner: object, name: str, wrong: object) -> Callable[[Put], None]:
    return lambda put: put(owner, name, wrong)


# -- after the pull request --------------------------------------------------------------------------------------------


def never(*_: object) -> bool:
    return False


def keeps_feedback(put: Put) -> None:
    right = review._accepted

    def accepted(task: Task, seen: Review, event: FeedbackAccepted, at: datetime) -> Task:
        after = right(task, seen, event, at)
        assert after.review is not None
        return replace(after, review=replace(after.review, comments=seen.comments))

    put(review, "_accepted", accepted)


def ignores_the_cap(put: Put) -> None:
    right = follow.feedback

    def feedback(task: Task) -> FeedbackAccepted | TaskBlocked | None:
        seen = task.review
        return right(task if seen is None else replace(task, review=replace(seen, allowed=1_000)))

    put(follow, "feedback", feedback)


def closed_succeeds(put: Put) -> None:
    right = follow.over

    def over(task: Task) -> follow.Answer:
        seen = task.review
        closed = seen is not None and seen.state == review.CLOSED
        return right(replace(task, review=replace(seen, state=review.MERGED)) if closed and seen is not None else task)

    put(follow, "over", over)


def hears_strangers(put: Put) -> None:
    right = review._observed

    def observed(task: Task, seen: Review, event: PullRequestObserved, at: datetime) -> Task:
        spec = task.spec
        assert spec.policy.follow is not None
        everybody = replace(spec.policy, follow=replace(spec.policy.follow, reviewers=()))
        after = right(replace(task, spec=replace(spec, policy=everybody)), seen, event, at)
        return replace(after, spec=spec)

    put(review, "_observed", observed)


def fixes_at_once(put: Put) -> None:
    right = follow.feedback

    def feedback(task: Task) -> FeedbackAccepted | TaskBlocked | None:
        seen = task.review
        return right(task if seen is None else replace(task, review=replace(seen, fix=None)))

    put(follow, "feedback", feedback)


def unchecked_on_top(put: Put) -> None:
    """What was put on another base counts as checked, since it was checked on the old one."""
    right = reported._rebased

    def wrong(task: Task, event: PrepareSucceeded) -> Task:
        stands = right(task, event)
        return stands if event.change is None else replace(stands, judged=task.judged)

    put(reported, "_rebased", wrong)
