"""What is due in this state, whatever path led here: a table of rules, the first that speaks decides.

Rule of this room: asked twice, it answers once: the event it answers with changes the state it was read off. That is what
heals a crash between any two lines of the loop. One event at a time; the loop asks again. Every rule has a name, so that
each decision can say by which it was made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.bounds import LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX, SECONDS_MAX, clip
from penstock.events import (
    BudgetWarned,
    CompactRequested,
    FailedOver,
    GateScored,
    HistoryCompacted,
    JobLost,
    JobStopRequested,
    KnownEvent,
    MessageConsumed,
    MessageDelivered,
    PlanUnanswered,
    PreflightFailed,
    TaskBlocked,
    TaskCancelled,
    TaskEscalated,
    TaskFailed,
    TaskParked,
)
from penstock.scope import allows
from penstock.values import History
from penstock_orchestrator.core import budget, compact, follow, gate, step, window
from penstock_orchestrator.core.evolve import NIGHT, SCOPE
from penstock_orchestrator.core.step import Stage, stage
from penstock_orchestrator.core.task import Failure, Task
from penstock_orchestrator.core.verdict import ADVICE, BLOCKING, HELD_BACK, answer, classified, rung, wake_at

Answer: TypeAlias = KnownEvent | Literal["wait"] | None
"""An event that is due; "wait": nothing is, and no later rule is asked; None: this rule has nothing to say."""

WAIT: Final[Literal["wait"]] = "wait"
FILES_NAMED_MAX: Final = 50
_PAID: Final[frozenset[Stage]] = frozenset({"plan", "agent"})


class Due(Struct, frozen=True, kw_only=True):
    """Which rule spoke; `event` is None where it says to wait."""

    rule: str
    event: KnownEvent | None


def advance(task: Task, now: datetime) -> list[KnownEvent]:
    """The next event that is due at `now`, or none."""
    event = due(task, now).event
    return [] if event is None else [event]


def due(task: Task, now: datetime) -> Due:
    """The same, with the rule that decided."""
    answers = ((name, rule(task, now)) for name, rule in RULES)
    # The last rule always speaks.
    name, said = next((name, said) for name, said in answers if said is not None)
    return Due(rule=name, event=None if said == WAIT else said)


def wants_slot(task: Task, now: datetime) -> bool:
    """True where a step is due and nothing but a slot of the queue is missing."""
    return not task.admitted and task.outcome is None and due(task, now).rule == "slot"


def next_look(task: Task) -> datetime | None:
    """When the clock alone may make something due; None where it cannot."""
    if task.outcome is not None:
        return None
    times = [at for at in (_next_move(task), follow.next_look(task)) if at is not None]
    return min(times, default=None)


def _next_move(task: Task) -> datetime | None:
    if task.job is not None or task.blocked is not None:
        return None
    if task.parked is not None:
        return task.parked.wake_at
    spec, plan = task.spec, task.plan
    if (
        plan is not None
        and plan.answer == "none"
        and spec.plan_gate.silence_seconds
        and spec.plan_gate.silence != "wait"
    ):
        return plan.proposed_at + timedelta(seconds=spec.plan_gate.silence_seconds)
    return None


def gate_event(task: Task, history: History) -> GateScored | None:
    """The score that is due once after the first preparation, from the host's evidence and the repo's history; the caller
    knows the history. None where none is due."""
    if task.outcome is not None or task.held or task.gate is not None or task.evidence is None or task.job is not None:
        return None
    scored = gate.score(task.evidence, history)
    below = task.spec.policy.abstain_below
    return GateScored(
        score=scored.score,
        confidence=scored.confidence,
        signals=scored.signals,
        warnings=scored.warnings,
        degraded=scored.degraded,
        history=history,
        forecast=gate.forecast(history),
        abstain_below=below,
        abstained=scored.score < below,
    )


def lost(task: Task, host: str, reason: str, *, host_gone: bool = False) -> list[KnownEvent]:
    """The event for a job whose holder is gone, for the loop that watches leases."""
    job = task.job
    if job is None or task.outcome is not None or task.held:
        return []
    return [JobLost(job=job.id, epoch=job.epoch or 0, host=host, reason=reason, host_gone=host_gone)]


def look_lost(task: Task, reason: str) -> list[KnownEvent]:
    """The same for a look at the pull request: it is made again later."""
    look = task.look
    if look is None or task.outcome is not None or task.held:
        return []
    return [JobLost(job=look.id, epoch=look.epoch or 0, host=look.host or "", reason=reason)]


# -- the end, and what is said on the way ------------------------------------------------------------------------------


def _ended(task: Task, _: datetime) -> Answer:
    return WAIT if task.outcome is not None or task.held else None


def _message_delivered(task: Task, _: datetime) -> Answer:
    job = task.job
    for mail in task.mail:
        begun = job is not None and job.epoch is not None and mail.job == job.id
        if mail.job and not mail.delivered and (begun or mail.answered):
            return MessageDelivered(message=mail.id, job=mail.job)
    return None


def _message_consumed(task: Task, _: datetime) -> Answer:
    for mail in task.mail:
        if mail.answered:
            return MessageConsumed(message=mail.id, job=mail.job)
    return None


def _handed_over(task: Task, _: datetime) -> Answer:
    # Handed over is handed over, whoever wanted to cancel meanwhile; unless what has become of it is waited for.
    return step.next_step(task) if task.delivery is not None and task.review is None else None


def _review_over(task: Task, _: datetime) -> Answer:
    return follow.over(task)


def _taken_over(task: Task, _: datetime) -> Answer:
    return follow.taken_over(task)


def _look(task: Task, now: datetime) -> Answer:
    return follow.look_due(task, now)


# -- money and time ----------------------------------------------------------------------------------------------------


def _budget_warning(task: Task, _: datetime) -> Answer:
    share = task.spec.policy.budget_warning
    cost, wall = task.cost_so_far, task.wall_so_far
    if "cost" not in task.warned and budget.over(cost, task.max_cost_usd, share):
        return BudgetWarned(budget="cost", spent=min(cost, SECONDS_MAX), limit=task.max_cost_usd or 0.0)
    if "wall" not in task.warned and budget.over(wall, task.max_wall_seconds, share):
        return BudgetWarned(budget="wall", spent=min(wall, SECONDS_MAX), limit=task.max_wall_seconds)
    return None


def _budget_stop(task: Task, _: datetime) -> Answer:
    """Only what the run itself has reported stops it: a run that reports nothing is bounded by its own limits."""
    job = task.job
    if job is None or task.stop is not None or task.run_usage is None:
        return None
    over = _over_budget(task)
    if over is None:
        return None
    return JobStopRequested(job=job.id, reason=over[0], message=over[1])


def _decision_stop(task: Task, _: datetime) -> Answer:
    job = task.job
    if not task.points or job is None or task.stop is not None:
        return None
    return JobStopRequested(job=job.id, reason="decision", message="a person is asked before the agent goes on")


def _budget_spent(task: Task, _: datetime) -> Answer:
    if stage(task) not in _PAID:
        return None
    over = _over_budget(task)
    if over is None:
        return None
    reason, message = over
    field = "max_cost_usd" if reason == "budget.cost" else "max_wall_seconds"
    return TaskBlocked(reason=reason, message=message, can_do=f"unblock with a higher {field}, or cancel")


def _over_budget(task: Task) -> tuple[str, str] | None:
    cost, wall = task.cost_so_far, task.wall_so_far
    if task.max_cost_usd is not None and cost >= task.max_cost_usd:
        return "budget.cost", f"{cost:.2f} USD spent of {task.max_cost_usd:.2f}"
    if wall >= task.max_wall_seconds:
        return "budget.wall", f"{wall:.0f} s of work used of {task.max_wall_seconds:.0f} s"
    return None


# -- what stands in the way --------------------------------------------------------------------------------------------


def _cancelled(task: Task, _: datetime) -> Answer:
    """Cancelled at once, unless a host is at work: then its last word (or its silence) is waited for."""
    if task.cancel is None:
        return None
    if task.job is not None and task.job.epoch is not None:
        return WAIT
    reason = task.cancel.reason
    if task.review is not None:
        left = f"the pull request {task.review.url} is left as it is"
        reason = clip(f"{reason}; {left}" if reason else left, LINE_LENGTH_MAX)
    return TaskCancelled(cancelled_by=task.cancel.requested_by, reason=reason, usage=task.usage, kept=task.kept)


def _at_work(task: Task, _: datetime) -> Answer:
    return WAIT if task.job is not None else None


def _blocked(task: Task, _: datetime) -> Answer:
    return WAIT if task.blocked is not None else None


def _decision_open(task: Task, _: datetime) -> Answer:
    if not task.points:
        return None
    point = task.points[0]
    options = f" ({' | '.join(point.options)})" if point.options else ""
    return TaskBlocked(
        reason=clip(f"decision.{point.subject}", 100),
        message=clip(f"{point.question}{options}", MESSAGE_LENGTH_MAX),
        can_do=f"answer decision {point.id}, or cancel",
    )


def _parked(task: Task, now: datetime) -> Answer:
    return WAIT if task.parked is not None and now < task.parked.wake_at else None


def _lost_too_often(task: Task, _: datetime) -> Answer:
    # Where no fix run is at work, no job comes that could be lost once more: nobody is needed.
    if task.lost <= task.spec.policy.lost_max or follow.waits(task):
        return None
    message = f"{task.lost} jobs in a row were lost; the host dies, or the job kills it"
    return TaskBlocked(reason="job.lost", message=message, can_do="look at the host, then unblock or cancel the task")


def _dependencies(task: Task, _: datetime) -> Answer:
    """Closed until every one has succeeded."""
    if task.closed is None:
        found = dict(task.resolved)
        return WAIT if any(on not in found for on in task.spec.depends_on) else None
    on, outcome = task.closed
    return TaskBlocked(
        reason=f"dependency.{outcome}",
        message=f"this task waits for task {on}, which ended as {outcome}",
        can_do=f"retry task {on}, or unblock to go on without it, or cancel",
    )


def _feedback(task: Task, _: datetime) -> Answer:
    return follow.feedback(task)


def _in_review(task: Task, _: datetime) -> Answer:
    return WAIT if follow.waits(task) else None


# -- after a failure ---------------------------------------------------------------------------------------------------


def _looks_first(task: Task, _: datetime) -> Answer:
    return WAIT if follow.looks_first(task) else None


def _classify(task: Task, _: datetime) -> Answer:
    failure = task.failure
    return None if failure is None or failure.told is not None else classified(task, failure)


def _escalated(task: Task, _: datetime) -> Answer:
    failure = task.failure
    if failure is None or not task.escalated:
        return None
    if task.escalated == "backup" and task.backup is not None:
        return _fail_over(task, failure)
    times = f" ({task.alike} times in a row)" if task.alike > 1 else ""
    return TaskBlocked(
        reason=failure.known_as,
        message=clip(f"{failure.message}{times}", MESSAGE_LENGTH_MAX),
        can_do=_can_do(failure),
    )


def _can_do(failure: Failure) -> str:
    told = failure.told
    hint = told.hint if told is not None and told.hint else "Mend what the message says."
    held_back = HELD_BACK.get(failure.known_as) if failure.kind == "preflight" else None
    said = held_back or BLOCKING.get(failure.known_as) or ADVICE.get(failure.known_as)
    known = said or f"{hint} Then unblock or cancel the task"
    return clip(known, LINE_LENGTH_MAX)


def _fail_over(task: Task, failure: Failure) -> FailedOver:
    assert task.backup is not None
    vendor, model = task.backup
    return FailedOver(
        error_class=failure.known_as,
        from_vendor=task.vendor,
        from_model=task.model,
        to_vendor=vendor,
        to_model=model,
        attempts_spent=task.attempts_spent,
    )


def _after_failure(task: Task, now: datetime) -> Answer:
    failure = task.failure
    if failure is None:
        return None
    match answer(task, failure):
        case "block":
            return TaskBlocked(reason=failure.known_as, message=failure.message, can_do=_can_do(failure))
        case "fail":
            return _fail(task, failure)
        case "park":
            return _park(task, failure, now)
        case "pause" if task.pauses > task.spec.policy.pauses_max:
            message = f"the turn limit was reached {task.pauses} times; the agent may be going in circles"
            return TaskBlocked(reason=failure.known_as, message=message, can_do="unblock to let it go on, or cancel")
        case "escalate":
            return _escalate(task, failure)
        case "pause" | "again":
            return None
        case never:
            assert_never(never)


def _escalate(task: Task, failure: Failure) -> KnownEvent:
    told = failure.told
    assert told is not None
    if told.severity != "hard" and task.backup is None and _exhausted(task):
        return _fail(task, failure)
    return TaskEscalated(error_class=told.error_class, severity=told.severity, times=told.times, to=rung(task, failure))


def _park(task: Task, failure: Failure, now: datetime) -> KnownEvent:
    if task.parks >= task.spec.policy.parks_max:
        return TaskBlocked(
            reason=failure.known_as,
            message=clip(f"gave up waiting after {task.parks} tries: {failure.message}", MESSAGE_LENGTH_MAX),
            can_do="mend what the message says, then unblock or cancel the task",
        )
    return TaskParked(
        reason=failure.known_as,
        message=failure.message,
        wake_at=wake_at(task, failure, now),
        number=task.parks + 1,
    )


def _attempts_spent(task: Task, _: datetime) -> Answer:
    if stage(task) not in _PAID or not _exhausted(task):
        return None
    cause = task.failure or task.last_failure or _NO_CAUSE
    return _fail(task, cause) if task.backup is None else _fail_over(task, cause)


def _exhausted(task: Task) -> bool:
    return task.attempts_spent >= task.spec.max_attempts


_NO_CAUSE: Final = Failure(kind="agent", error_class="agent.unknown", message="no attempt is left", transient=False)


def _fail(task: Task, failure: Failure) -> TaskFailed | TaskBlocked:
    if task.review is not None:
        return follow.given_up(task, failure)
    return _failed(task, failure.known_as, failure.message)


def _failed(task: Task, error_class: str, message: str) -> TaskFailed:
    return TaskFailed(
        error_class=error_class, message=message, attempts=task.attempts, usage=task.usage, kept=task.kept
    )


# -- gates before work -------------------------------------------------------------------------------------------------


def _plan_waits(task: Task, now: datetime) -> Answer:
    plan, silence = task.plan, task.spec.plan_gate
    if plan is None or stage(task) != "plan":
        return None
    match plan.answer:
        case "rejected":
            why = f"rejected by {plan.answered_by}" if plan.answered_by else "nobody approved it in time"
            return _failed(
                task, "plan.rejected" if plan.answered_by else "plan.unanswered", f"plan {plan.number}: {why}"
            )
        case "parked":
            return WAIT
        case "none":
            waited = (now - plan.proposed_at).total_seconds()
            if silence.silence == "wait" or not silence.silence_seconds or waited < silence.silence_seconds:
                return WAIT
            return PlanUnanswered(number=plan.number, waited_seconds=waited, meaning=_silence_means(task))
        case "commented" | "approved":
            return None
        case never:
            assert_never(never)


def _silence_means(task: Task) -> str:
    assert task.plan is not None
    match task.spec.plan_gate.silence:
        case "deny":
            return "deny"
        case "approve_if_low_risk" if task.plan.plan.risk == "low":
            return "approve"
        case _:
            return "park"


def _too_many_plans(task: Task, _: datetime) -> Answer:
    most = task.spec.policy.plans_max
    if stage(task) != "plan" or not most or task.proposals < most or "plan.too_many" in task.waived:
        return None
    return TaskBlocked(
        reason="plan.too_many",
        message=f"{task.proposals} plans were made and none was approved",
        can_do="unblock to have another one made, or cancel and describe the task anew",
    )


def _night(task: Task, now: datetime) -> Answer:
    if task.spec.window is None or NIGHT in task.waived or stage(task) not in ("prepare", "plan", "agent"):
        return None
    opens = window.opens_at(task.spec.window, now)
    if opens is None:
        return None
    hours = f"{task.spec.window.opens} to {task.spec.window.closes} {task.spec.window.timezone}"
    return TaskParked(reason=NIGHT, message=f"agents may run from {hours}", wake_at=opens, number=task.parks)


def _gate_due(task: Task, _: datetime) -> Answer:
    """The score is appended by the caller, who knows the repo's history."""
    return WAIT if task.evidence is not None and task.gate is None else None


def _abstained(task: Task, _: datetime) -> Answer:
    scored = task.gate
    if scored is None or not scored.abstained or "gate.abstained" in task.waived or task.change is not None:
        return None
    said = "; ".join(scored.warnings) or "little speaks for this task in this repository"
    return TaskBlocked(
        reason="gate.abstained",
        message=clip(f"score {scored.score:.0f} of 100, below {scored.abstain_below:.0f}: {said}", MESSAGE_LENGTH_MAX),
        can_do="unblock to run it all the same, or cancel and submit it with more to go by",
    )


def _slot(task: Task, _: datetime) -> Answer:
    return None if task.admitted else WAIT


def _recall_due(task: Task, _: datetime) -> Answer:
    """What is remembered is appended by the caller, who can ask for it."""
    due_now = task.spec.policy.recall_max and task.recalled is None and stage(task) in ("plan", "agent")
    return WAIT if due_now else None


def _compaction(task: Task, _: datetime) -> Answer:
    reason = task.compact_wanted or _old_session(task)
    if not reason or stage(task) != "agent":
        return None
    if not task.notes:
        # Nothing has happened that could be told.
        return HistoryCompacted(reason=reason, made_by="rules", summary="", characters_in=0, characters_out=0)
    if task.compacted:
        noted = sum(len(note.said) for note in task.notes)
        return HistoryCompacted(
            reason=reason,
            made_by="agent",
            summary=task.compacted,
            characters_in=noted,
            characters_out=len(task.compacted),
        )
    if task.spec.policy.compaction == "agent" and not task.compact_failed:
        assert task.host is not None
        return CompactRequested(reason=reason, host=task.host, session_id=step.side_session(task, "compact"))
    files = () if task.change is None else task.change.files
    made = compact.summary(task.spec.title, task.notes, files)
    return HistoryCompacted(
        reason=reason,
        made_by="rules",
        summary=made.text,
        characters_in=made.characters_in,
        characters_out=made.characters_out,
    )


def _old_session(task: Task) -> str:
    most = task.spec.policy.compact_after_attempts
    return "attempts" if most and task.session_attempts >= most and task.failure is not None else ""


def _preflight(task: Task, _: datetime) -> Answer:
    """What is outside the approved plan, or the scope, goes back to the agent, with the list."""
    change, allowed = task.change, task.scope
    if change is None or stage(task) != "verify":
        return None
    if not allowed or SCOPE in task.waived:
        return None
    outside = tuple(path for path in change.files if not allows(allowed, path))
    unnamed = change.files_changed - len(change.files)
    if not outside and unnamed <= 0:
        return None
    # A change of so many files that a host does not name them all was not looked at, so it is not let through.
    named = ", ".join([*outside[:FILES_NAMED_MAX], *([f"{unnamed} files that were not named"] if unnamed > 0 else [])])
    return PreflightFailed(
        commit=change.commit,
        error_class=SCOPE,
        message=clip(f"changed outside {_bounds(task)}: {named}", MESSAGE_LENGTH_MAX),
        files=tuple(clip(path, LINE_LENGTH_MAX) for path in outside[:FILES_NAMED_MAX]),
    )


def _bounds(task: Task) -> str:
    return "the approved plan" if task.plan is not None and task.plan.plan.files_to_touch else "what it may touch"


def _next_step(task: Task, _: datetime) -> Answer:
    return step.next_step(task)


RULES: Final[tuple[tuple[str, Callable[[Task, datetime], Answer]], ...]] = (
    ("the_end_is_the_end", _ended),
    ("message_delivered", _message_delivered),
    ("message_consumed", _message_consumed),
    ("handed_over", _handed_over),
    ("review_over", _review_over),
    ("budget_warning", _budget_warning),
    ("cancelled", _cancelled),
    ("taken_over", _taken_over),
    ("look", _look),
    ("budget_stop", _budget_stop),
    ("decision_stop", _decision_stop),
    ("at_work", _at_work),
    ("blocked", _blocked),
    ("looks_first", _looks_first),
    ("classify", _classify),
    ("escalated", _escalated),
    ("after_failure", _after_failure),
    ("decision_open", _decision_open),
    ("parked", _parked),
    ("dependencies", _dependencies),
    ("lost_too_often", _lost_too_often),
    ("feedback", _feedback),
    ("in_review", _in_review),
    ("plan_waits", _plan_waits),
    ("attempts_spent", _attempts_spent),
    ("budget_spent", _budget_spent),
    ("too_many_plans", _too_many_plans),
    ("abstained", _abstained),
    ("night_window", _night),
    ("slot", _slot),
    ("gate_due", _gate_due),
    ("recall_due", _recall_due),
    ("compaction", _compaction),
    ("preflight", _preflight),
    ("next_step", _next_step),
)
"""In the order in which they are asked."""


def admitted(task: Task) -> Task:
    """The task as it would be with a slot: to ask what the slot is wanted for."""
    return replace(task, admitted=True)
