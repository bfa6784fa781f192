"""The step that a state asks for when nothing is in the way, and the event that asks for it.

Rule of this room: read off the state alone.
"""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias, assert_never

from msgspec.structs import replace

from penstock.events import (
    AgentRequested,
    KnownEvent,
    PlanRequested,
    PrepareRequested,
    PublishRequested,
    TaskSucceeded,
    TaskUnverified,
    VerifyRequested,
    VerifySkipped,
)
from penstock.jobs import verify_steps
from penstock.values import LOCAL
from penstock_orchestrator.core import checks
from penstock_orchestrator.core.prompt import fitting, hint_for
from penstock_orchestrator.core.review import verdict
from penstock_orchestrator.core.task import Task

Stage: TypeAlias = Literal["prepare", "plan", "agent", "verify", "publish", "review", "finish"]


def stage(task: Task) -> Stage:
    """The step that the state asks for when nothing is in the way."""
    if task.review is not None and task.review.fix is None:
        return "review"
    if task.delivery is not None and task.review is None:
        return "finish"
    if task.host is None or task.rebase_due:
        return "prepare"
    if task.spec.mode == "interactive" and (task.plan is None or task.plan.answer != "approved"):
        return "plan"
    # What another task's agent writes goes along with the next run; only a person's word calls for one.
    if task.change is None or task.judged == "failed" or any(not mail.from_task for mail in task.pending_mail):
        return "agent"
    if task.judged == "none":
        return "verify"
    return "publish"


def next_step(task: Task) -> KnownEvent:
    """The event that asks for the next step."""
    spec = task.spec
    match stage(task):
        case "prepare":
            rebase = task.change.commit if task.rebase_due and task.change is not None else None
            # The clone that goes along with the change is on that host.
            return PrepareRequested(number=task.prepares + 1, host=task.host, kept=task.kept, rebase=rebase)
        case "plan":
            assert task.host is not None
            comments = task.plan.comments if task.plan is not None else ()
            session = side_session(task, f"plan{task.plans + 1}")
            return PlanRequested(number=task.plans + 1, host=task.host, session_id=session, comments=comments)
        case "agent":
            assert task.host is not None
            return AgentRequested(
                attempt=task.attempts_spent + 1,
                host=task.host,
                session_id=session_id(task),
                resume=task.session_begun,
                hint=hint_for(task),
                messages=tuple(mail.id for mail in fitting(task.pending_mail)),
            )
        case "verify":
            return _check(task)
        case "publish":
            assert task.host is not None
            assert task.change is not None
            return PublishRequested(
                number=task.publishes + 1,
                host=task.host,
                commit=task.change.commit,
                branch=task.branch,
                flow=spec.flow,
                verified=checks.is_verified(spec, task.judged, task.results),
                # A folder is on the host that has it, and nowhere else.
                pool="" if spec.repo.provider == LOCAL else spec.policy.publish_pool or "",
            )
        case "finish" | "review":
            return end_well(task)
        case never:
            assert_never(never)


def _check(task: Task) -> VerifySkipped | VerifyRequested:
    assert task.host is not None
    assert task.change is not None
    commit = task.change.commit
    if task.spec.skip_verify:
        return VerifySkipped(attempt=task.attempts, commit=commit, reason="skip_verify")
    if not verify_steps(task.spec.repo.verify):
        return VerifySkipped(attempt=task.attempts, commit=commit, reason="nothing_configured")
    return VerifyRequested(attempt=task.attempts, host=task.host, commit=commit)


def end_well(task: Task) -> TaskSucceeded | TaskUnverified:
    """The end of a task whose change was handed over, as the last commit of it was judged."""
    delivery = task.delivery
    assert delivery is not None
    seen = task.review
    if seen is not None and seen.state == "merged" and seen.head is not None and seen.head in seen.pushed:
        # What was merged, which a later push of ours is not part of.
        delivery = replace(delivery, commit=seen.head)
    # Neither the checks of a later commit of ours nor those of a change at work say anything of this one.
    stood = task if seen is None else verdict(seen, delivery.commit)
    reservations = checks.reservations(stood.judged, stood.results)
    if checks.is_verified(task.spec, stood.judged, stood.results):
        return TaskSucceeded(delivery=delivery, attempts=task.attempts, usage=task.usage, reservations=reservations)
    return TaskUnverified(
        delivery=delivery,
        attempts=task.attempts,
        usage=task.usage,
        reason=checks.unverified_reason(stood.judged, stood.skipped),
        reservations=reservations,
    )


def session_id(task: Task) -> str:
    """The agent session of this task, as a UUID: chosen by us, the same whenever it is asked for."""
    return _uuid(f"{task.id}.{task.session_number}")


def side_session(task: Task, purpose: str) -> str:
    """A session for a run that only reads."""
    return _uuid(f"{task.id}.{purpose}.{task.session_number}.{task.prepares}")


def _uuid(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
