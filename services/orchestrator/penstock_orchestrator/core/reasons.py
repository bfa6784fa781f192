"""Why a rule spoke, for a person: one clause for each rule, and the very facts of the state that it looked at.

Rule of this room: one entry for every rule of `advance.RULES`. Facts are read off the state as it was before the decision;
they decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from msgspec import Struct

from penstock.bounds import LINE_LENGTH_MAX, clip
from penstock_orchestrator.core import checks
from penstock_orchestrator.core.step import stage
from penstock_orchestrator.core.task import AGENT_STEPS, CurrentJob, Failure, Look, Task

Facts: TypeAlias = tuple[tuple[str, str], ...]
NAMED_MAX: Final = 10
"""Of a list, so many are named."""


class Reason(Struct, frozen=True):
    """`because` completes the sentence "<what was decided>, because ..."."""

    because: str
    facts: Callable[[Task, datetime], Facts]


def when(at: datetime) -> str:
    """A moment, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} {at.tzname()}"


def named(items: tuple[str, ...] | list[str]) -> str:
    """A list on one line, cut after a few."""
    more = f" and {len(items) - NAMED_MAX} more" if len(items) > NAMED_MAX else ""
    return clip(", ".join(items[:NAMED_MAX]) + more or "none", LINE_LENGTH_MAX)


def of(spent: float, most: float, unit: str = "") -> str:
    """`spent` of a limit that 0 switches off."""
    return f"{spent:g} of {f'{most:g}' if most else 'no limit'}{unit}"


def _ended(task: Task, _: datetime) -> Facts:
    return (("outcome", task.outcome or "none"), ("held", clip(task.held, LINE_LENGTH_MAX) or "no"))


def _mail(task: Task, _: datetime) -> Facts:
    return (
        ("messages told", named([mail.id for mail in task.mail if mail.job])),
        ("delivered", named([mail.id for mail in task.mail if mail.delivered])),
        ("answered", named([mail.id for mail in task.mail if mail.answered])),
        *_job(task),
    )


def _review(task: Task, _: datetime) -> Facts:
    seen, follow = task.review, task.spec.policy.follow
    if seen is None or follow is None:
        return (("pull request", "none that is followed"),)
    looked = "not yet" if seen.seen_at is None else when(seen.seen_at)
    ours = "nobody has looked" if seen.head is None else "ours" if seen.head in seen.pushed else "somebody else's"
    return (
        ("pull request", clip(seen.url, LINE_LENGTH_MAX) or str(seen.number)),
        ("state", seen.state or "unknown"),
        ("last commit", f"{(seen.head or '')[:12]} {ours}".strip()),
        ("checks", seen.checks_say or "unknown"),
        ("seen", looked),
        ("looks", f"{seen.looks}, {seen.quiet} without news and {seen.misses} failed in a row"),
        ("next look", when(seen.look_at) if task.look is None else _place(task.look)),
        ("hinted at", "yes" if seen.stirred else "no"),
        ("open feedback", f"{len(seen.comments)} comments, {len(seen.checks)} failed checks"),
        ("fix runs", f"{seen.fixes} of {seen.allowed if follow.fix_runs_max else 'none'}"),
    )


def _review_and_job(task: Task, now: datetime) -> Facts:
    return (*_review(task, now), *_job(task))


def _handed_over(task: Task, _: datetime) -> Facts:
    delivery = task.delivery
    where = "none" if delivery is None else f"{delivery.kind} {delivery.commit[:12]}"
    return (("delivery", where), ("checks", checks.headline(task)))


def _budgets(task: Task, _: datetime) -> Facts:
    most = task.max_cost_usd
    cost = f"{task.cost_so_far:.2f} of {'no limit' if most is None else f'{most:.2f}'} USD"
    unknown = " (of some runs nobody knows)" if task.usage.cost_usd is None else ""
    return (
        ("cost", cost + unknown),
        ("work time", f"{task.wall_so_far:.0f} of {task.max_wall_seconds:.0f} s"),
        ("warning at", f"{task.spec.policy.budget_warning:.0%}" if task.spec.policy.budget_warning else "off"),
        ("warned", named(sorted(task.warned))),
    )


def _budget_stop(task: Task, now: datetime) -> Facts:
    return (*_budgets(task, now), *_job(task))


def _points(task: Task, _: datetime) -> Facts:
    asked = [f"{point.id}: {point.subject}" for point in task.points]
    return (("open decisions", named(asked)), *_job(task))


def _cancelled(task: Task, _: datetime) -> Facts:
    cancel = task.cancel
    by = () if cancel is None else (("asked for by", cancel.requested_by or "somebody"), ("reason", cancel.reason))
    return (*by, *_job(task))


def _at_work(task: Task, _: datetime) -> Facts:
    return _job(task)


def _job(task: Task) -> Facts:
    job = task.job
    if job is None:
        return (("job", "none"),)
    return (("job", f"{job.kind} {job.id}, {_place(job)}"),)


def _place(job: CurrentJob | Look) -> str:
    return f"on {job.host}" if job.epoch is not None else "not claimed yet"


def _blocked(task: Task, _: datetime) -> Facts:
    blocked = task.blocked
    return () if blocked is None else (("blocked for", blocked.reason), ("can do", blocked.can_do))


def _failure(task: Task, _: datetime) -> Facts:
    return () if task.failure is None else _of_failure(task, task.failure)


def _of_failure(task: Task, failure: Failure) -> Facts:
    policy, told = task.spec.policy, failure.told
    facts: list[tuple[str, str]] = [("step", failure.kind), ("class", failure.known_as)]
    if told is None:
        facts.append(("classes in a row", f"{task.alike_class or 'none'}, {task.alike} times"))
        facts.append(("passes by itself", "yes" if failure.transient else "not said"))
    else:
        facts.append(("severity", told.severity))
        facts.append(("times in a row", of(told.times, policy.failures_alike_max)))
    if failure.retry_at is not None:
        facts.append(("retry at", when(failure.retry_at)))
    return (
        *facts,
        ("attempts spent", of(task.attempts_spent, task.spec.max_attempts)),
        ("parks in a row", of(task.parks, policy.parks_max)),
        ("pauses", of(task.pauses, policy.pauses_max)),
        ("backup", _backup(task)),
    )


def _backup(task: Task) -> str:
    if task.failed_over:
        return "at work already"
    return "none" if task.backup is None else " ".join(task.backup).strip()


def _escalated(task: Task, now: datetime) -> Facts:
    return (("escalated to", task.escalated or "nowhere"), *_failure(task, now))


def _parked(task: Task, now: datetime) -> Facts:
    parked = task.parked
    return (
        () if parked is None else (("parked for", parked.reason), ("until", when(parked.wake_at)), ("now", when(now)))
    )


def _dependencies(task: Task, _: datetime) -> Facts:
    found = dict(task.resolved)
    each = [f"{on} {found.get(on, 'open')}" for on in task.spec.depends_on]
    return (("waits for", named(each)), ("let pass", named(sorted(task.waived))))


def _lost(task: Task, _: datetime) -> Facts:
    return (("jobs lost in a row", f"{task.lost} of {task.spec.policy.lost_max} allowed"),)


def _plan(task: Task, now: datetime) -> Facts:
    plan, gate = task.plan, task.spec.plan_gate
    if plan is None:
        return (("plan", "none yet"),)
    said = plan.answer + (f" by {plan.answered_by}" if plan.answered_by else "")
    waited = (now - plan.proposed_at).total_seconds()
    after = f"{gate.silence} after {gate.silence_seconds:g} s" if gate.silence_seconds else gate.silence
    return (
        ("plan", f"number {plan.number}"),
        ("answer", said),
        ("risk", plan.plan.risk),
        ("silence means", after),
        ("waited", f"{waited:.0f} s"),
    )


def _attempts(task: Task, _: datetime) -> Facts:
    failure = task.failure or task.last_failure
    return (
        ("attempts spent", of(task.attempts_spent, task.spec.max_attempts)),
        ("last failure", "none" if failure is None else failure.known_as),
        ("backup", _backup(task)),
    )


def _plans(task: Task, _: datetime) -> Facts:
    return (("plans made", of(task.proposals, task.spec.policy.plans_max)),)


def _gate(task: Task, _: datetime) -> Facts:
    scored = task.gate
    if scored is None:
        return (("score", "not yet"), ("evidence", "none" if task.evidence is None else "from the host"))
    return (
        ("score", f"{scored.score:.0f} of 100"),
        ("abstain below", f"{scored.abstain_below:.0f}" if scored.abstain_below else "off"),
        ("warnings", named(scored.warnings)),
        ("let pass", named(sorted(task.waived))),
    )


def _recall(task: Task, _: datetime) -> Facts:
    return (
        ("memories wanted", f"{task.spec.policy.recall_max} at most"),
        ("recalled", "not yet" if task.recalled is None else str(len(task.recalled))),
    )


def _window(task: Task, now: datetime) -> Facts:
    window = task.spec.window
    hours = "any hour" if window is None else f"{window.opens} to {window.closes} {window.timezone}"
    return (("agents may run", hours), ("now", when(now)), ("next step", stage(task)))


def _slot(task: Task, _: datetime) -> Facts:
    return (
        ("slot", "held" if task.admitted else "none"),
        ("waits since", when(task.queued_at)),
        ("priority", str(task.priority)),
    )


def _compaction(task: Task, _: datetime) -> Facts:
    policy = task.spec.policy
    return (
        ("wanted for", task.compact_wanted or "the number of attempts"),
        ("attempts of this session", of(task.session_attempts, policy.compact_after_attempts)),
        ("made by", policy.compaction),
        ("an agent's summary", f"{len(task.compacted)} characters" if task.compacted else "none"),
        ("runs and checks so far", str(len(task.notes))),
    )


def _preflight(task: Task, _: datetime) -> Facts:
    changed = () if task.change is None else task.change.files
    return (("it may touch", named(task.scope)), ("the change touches", named(changed)))


def _next(task: Task, now: datetime) -> Facts:
    change = task.change
    facts = [
        ("next step", stage(task)),
        ("host", task.host or "any"),
        ("change", "none" if change is None else change.commit[:12]),
        ("checks", checks.headline(task)),
    ]
    if stage(task) in AGENT_STEPS:
        facts += [*_attempts(task, now), ("messages to tell", str(len(task.pending_mail)))]
        facts.append(("session", f"number {task.session_number}, {'resumed' if task.session_begun else 'new'}"))
    return tuple(facts)


REASONS: Final[Mapping[str, Reason]] = {
    "the_end_is_the_end": Reason("the task has ended, or holds an event that this version cannot read", _ended),
    "message_delivered": Reason("a host has begun the run that was told this message", _mail),
    "message_consumed": Reason("the run that was told this message has ended, having worked", _mail),
    "handed_over": Reason("the change is where it was asked for", _handed_over),
    "review_over": Reason("the pull request is merged or closed", _review_and_job),
    "taken_over": Reason("somebody else's commit is on the pull request", _review_and_job),
    "look": Reason("it is time to look at the pull request", _review),
    "looks_first": Reason("a look at the pull request may explain the failure", _review),
    "feedback": Reason("checks or reviewers have something to say, or nobody can look", _review),
    "in_review": Reason("others have the pull request in hand", _review),
    "budget_warning": Reason("so much of a budget is spent that a warning is due", _budgets),
    "budget_stop": Reason("the run at work has reached a budget by its own word", _budget_stop),
    "decision_stop": Reason("the agent has asked a person something", _points),
    "cancelled": Reason("somebody wants it stopped, and no host works on it any more", _cancelled),
    "at_work": Reason("a job is asked for or running, and its end is waited for", _at_work),
    "blocked": Reason("a person must act first", _blocked),
    "decision_open": Reason("a question of the agent is open", _points),
    "classify": Reason("a step has failed, and what it looks like decides what comes next", _failure),
    "escalated": Reason("another try of the same kind would be no use", _escalated),
    "after_failure": Reason("this is the answer to a failure of this class", _failure),
    "parked": Reason("the time to go on has not come", _parked),
    "dependencies": Reason("it waits for other tasks", _dependencies),
    "lost_too_often": Reason("too many jobs in a row were lost", _lost),
    "plan_waits": Reason("that is what a plan's answer, or silence, means for this task", _plan),
    "attempts_spent": Reason("no attempt is left", _attempts),
    "budget_spent": Reason("a budget is spent, and the next step would cost more", _budgets),
    "too_many_plans": Reason("as many plans were made as are allowed", _plans),
    "abstained": Reason("the score is below the limit under which a person is asked first", _gate),
    "night_window": Reason("agents may not run at this hour", _window),
    "slot": Reason("it holds no slot of the queue", _slot),
    "gate_due": Reason("the score is not there yet", _gate),
    "recall_due": Reason("what is remembered of earlier work has not been asked for yet", _recall),
    "compaction": Reason("the next session is to start from a summary", _compaction),
    "preflight": Reason("the change touches files that it may not", _preflight),
    "next_step": Reason("nothing stands in the way of it", _next),
}
"""By the rule's name."""
