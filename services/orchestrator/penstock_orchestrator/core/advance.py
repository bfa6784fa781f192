"""What is due in this state, whatever path led here.

Rule of this room: asked twice, it answers once: the event it answers with changes the state it was read off. That is what
heals a crash between any two lines of the loop. One event at a time; the loop asks again.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal, TypeAlias, assert_never

from penstock.bounds import MESSAGE_LENGTH_MAX, clip
from penstock.events import (
    AgentRequested,
    JobLost,
    KnownEvent,
    PrepareRequested,
    PublishRequested,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
    TaskParked,
    TaskSucceeded,
    TaskUnverified,
    VerifyRequested,
    VerifySkipped,
)
from penstock.jobs import verify_steps
from penstock_orchestrator.core.prompt import hint_for
from penstock_orchestrator.core.task import Failure, Task
from penstock_orchestrator.core.verdict import BLOCKING, answer, wake_at

Stage: TypeAlias = Literal["prepare", "agent", "verify", "publish", "finish"]


def advance(task: Task, now: datetime) -> list[KnownEvent]:
    """The next event that is due at `now`, or none."""
    if task.outcome is not None or task.held:
        return []
    if task.delivery is not None:
        # Handed over is handed over, whoever wanted to cancel meanwhile.
        return [_end_well(task)]
    if task.cancel is not None:
        return _cancelled(task)
    if task.job is not None or task.blocked is not None:
        return []
    if task.failure is not None:
        return [_after_failure(task, task.failure, now)]
    if task.parked is not None and now < task.parked.wake_at:
        return []
    return [_over_a_limit(task) or _next_step(task)]


def lost(task: Task, host: str, reason: str, *, host_gone: bool = False) -> list[KnownEvent]:
    """The event for a job whose holder is gone, for the loop that watches leases."""
    job = task.job
    if job is None or task.outcome is not None or task.held:
        return []
    return [JobLost(job=job.id, epoch=job.epoch or 0, host=host, reason=reason, host_gone=host_gone)]


def stage(task: Task) -> Stage:
    """The step that the state asks for when nothing is in the way."""
    if task.delivery is not None:
        return "finish"
    if task.host is None:
        return "prepare"
    if task.change is None or task.judged == "failed":
        return "agent"
    if task.judged == "none":
        return "verify"
    return "publish"


def _next_step(task: Task) -> KnownEvent:
    spec = task.spec
    match stage(task):
        case "prepare":
            return PrepareRequested(number=task.prepares + 1, host=None, kept=task.kept)
        case "agent":
            assert task.host is not None
            return AgentRequested(
                attempt=task.attempts_spent + 1,
                host=task.host,
                session_id=session_id(task),
                resume=task.session_begun,
                hint=hint_for(task),
            )
        case "verify":
            assert task.host is not None
            assert task.change is not None
            commit = task.change.commit
            if spec.skip_verify:
                return VerifySkipped(attempt=task.attempts, commit=commit, reason="skip_verify")
            if not verify_steps(spec.repo.verify):
                return VerifySkipped(attempt=task.attempts, commit=commit, reason="nothing_configured")
            return VerifyRequested(attempt=task.attempts, host=task.host, commit=commit)
        case "publish":
            assert task.host is not None
            assert task.change is not None
            return PublishRequested(
                number=task.publishes + 1,
                host=task.host,
                commit=task.change.commit,
                branch=task.branch,
                flow=spec.flow,
                verified=task.judged == "passed",
            )
        case "finish":
            return _end_well(task)
        case never:
            assert_never(never)


def session_id(task: Task) -> str:
    """The agent session of this task, as a UUID: chosen by us, the same whenever it is asked for."""
    digest = hashlib.sha256(f"{task.id}.{task.session_number}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def _over_a_limit(task: Task) -> KnownEvent | None:
    """The event that stops a task which may not take another step."""
    spec, usage = task.spec, task.usage
    if task.lost > spec.policy.lost_max:
        message = f"{task.lost} jobs in a row were lost; the host dies, or the job kills it"
        return TaskBlocked(
            reason="job.lost", message=message, can_do="look at the host, then unblock or cancel the task"
        )
    if stage(task) != "agent":
        return None
    if task.attempts_spent >= spec.max_attempts:
        return _give_up(task)
    if spec.max_cost_usd is not None and usage.cost_usd is not None and usage.cost_usd >= spec.max_cost_usd:
        message = f"{usage.cost_usd:.2f} USD spent of {spec.max_cost_usd:.2f}"
        return TaskBlocked(
            reason="budget.cost", message=message, can_do="cancel, and submit again with a higher max_cost_usd"
        )
    if usage.wall_seconds >= spec.max_wall_seconds:
        message = f"{usage.wall_seconds:.0f} s of work used of {spec.max_wall_seconds:.0f} s"
        return TaskBlocked(
            reason="budget.wall", message=message, can_do="cancel, and submit again with a higher max_wall_seconds"
        )
    return None


def _after_failure(task: Task, failure: Failure, now: datetime) -> KnownEvent:
    match answer(failure):
        case "block":
            can_do = BLOCKING.get(failure.error_class, "mend what the message says, then unblock or cancel the task")
            return TaskBlocked(reason=failure.error_class, message=failure.message, can_do=can_do)
        case "fail":
            return _fail(task, failure)
        case "park":
            return _park(task, failure, now)
        case "pause" if task.pauses > task.spec.policy.pauses_max:
            message = f"the turn limit was reached {task.pauses} times; the agent may be going in circles"
            return TaskBlocked(reason=failure.error_class, message=message, can_do="unblock to let it go on, or cancel")
        case "pause" | "again":
            return _over_a_limit(task) or _next_step(task)
        case never:
            assert_never(never)


def _park(task: Task, failure: Failure, now: datetime) -> KnownEvent:
    if task.parks >= task.spec.policy.parks_max:
        return TaskBlocked(
            reason=failure.error_class,
            message=clip(f"gave up waiting after {task.parks} tries: {failure.message}", MESSAGE_LENGTH_MAX),
            can_do="mend what the message says, then unblock or cancel the task",
        )
    return TaskParked(
        reason=failure.error_class,
        message=failure.message,
        wake_at=wake_at(task, failure, now),
        number=task.parks + 1,
    )


def _give_up(task: Task) -> KnownEvent:
    failure = task.failure or task.last_failure
    if failure is None:
        failure = Failure(kind="agent", error_class="agent.unknown", message="no attempt is left", transient=False)
    return _fail(task, failure)


def _fail(task: Task, failure: Failure) -> TaskFailed:
    return TaskFailed(
        error_class=failure.error_class,
        message=failure.message,
        attempts=task.attempts,
        usage=task.usage,
        kept=task.kept,
    )


def _cancelled(task: Task) -> list[KnownEvent]:
    """Cancelled at once, unless a host is at work: then its last word (or its silence) is waited for."""
    assert task.cancel is not None
    if task.job is not None and task.job.epoch is not None:
        return []
    return [
        TaskCancelled(
            cancelled_by=task.cancel.requested_by, reason=task.cancel.reason, usage=task.usage, kept=task.kept
        )
    ]


def _end_well(task: Task) -> TaskSucceeded | TaskUnverified:
    assert task.delivery is not None
    if task.judged == "passed":
        return TaskSucceeded(delivery=task.delivery, attempts=task.attempts, usage=task.usage)
    return TaskUnverified(
        delivery=task.delivery, attempts=task.attempts, usage=task.usage, reason=task.skipped or "nothing_configured"
    )
