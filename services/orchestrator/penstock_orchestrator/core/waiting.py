"""Why a task is not moving, who or what can move it, and when it moves by itself: for every phase an answer.

Rule of this room: read off the state, in words for the person who looks. What the queue knows beyond one task stands in
`queue`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

from penstock_orchestrator.core.advance import next_look
from penstock_orchestrator.core.feedback import counted
from penstock_orchestrator.core.follow import looks_first, pool
from penstock_orchestrator.core.review import pending
from penstock_orchestrator.core.step import stage
from penstock_orchestrator.core.task import CurrentJob, Task

Phase: TypeAlias = Literal[
    "queued",
    "preparing",
    "planning",
    "awaiting_approval",
    "running",
    "verifying",
    "publishing",
    "in_review",
    "parked",
    "blocked",
    "done",
    "failed",
    "cancelled",
]


class Waiting(Struct, frozen=True, kw_only=True):
    """`why` is empty at the end of a task. `wake_at`: None where no clock moves it."""

    why: str
    can_move: str
    wake_at: datetime | None = None


def phase(task: Task) -> Phase:
    """Where the task is in its life."""
    match task.outcome:
        case "succeeded" | "unverified":
            return "done"
        case "no_change" | "failed":
            return "failed"
        case "cancelled":
            return "cancelled"
        case None:
            return _living_phase(task)
        case never:
            assert_never(never)


def _living_phase(task: Task) -> Phase:
    if task.blocked is not None or task.held:
        return "blocked"
    if task.parked is not None:
        return "parked"
    if open_dependencies(task):
        return "parked"
    if awaits_approval(task):
        return "awaiting_approval"
    if task.job is None and not task.admitted and stage(task) != "review":
        return "queued"
    match task.job.kind if task.job is not None else stage(task):
        case "prepare":
            return "preparing"
        case "plan":
            return "planning"
        case "agent" | "compact":
            return "running"
        case "verify":
            return "verifying"
        case "publish" | "finish":
            return "publishing"
        case "review":
            return "in_review"
        case never:
            assert_never(never)


def awaits_approval(task: Task) -> bool:
    """True where a plan waits for a person's word."""
    plan = task.plan
    return task.job is None and plan is not None and plan.answer in ("none", "parked") and stage(task) == "plan"


def open_dependencies(task: Task) -> tuple[str, ...]:
    """Tasks that this one still waits for."""
    found = dict(task.resolved)
    return tuple(on for on in task.spec.depends_on if on not in found) if task.job is None else ()


def waiting(task: Task) -> Waiting:
    """The answer for the state as it is."""
    if task.outcome is not None:
        return Waiting(why="", can_move="")
    if task.held:
        return Waiting(why=task.held, can_move="a later version of the orchestrator")
    if task.blocked is not None:
        return Waiting(
            why=f"{task.blocked.reason}: {task.blocked.message}", can_move=f"a person: {task.blocked.can_do}"
        )
    if task.parked is not None:
        why = f"{task.parked.reason}: {task.parked.message}"
        return Waiting(why=why, can_move="the clock, or a person: wake it", wake_at=task.parked.wake_at)
    if open_ := open_dependencies(task):
        return Waiting(
            why=f"dependency: waits for {len(open_)} of {len(task.spec.depends_on)} tasks: {', '.join(open_[:5])}",
            can_move="the end of these tasks",
        )
    if awaits_approval(task):
        return _on_person(task)
    if task.job is not None:
        return _on_job(task, task.job)
    if looks_first(task):
        return _on_first_look(task)
    if stage(task) == "review":
        return _on_review(task)
    if not task.admitted:
        return Waiting(why=f"{stage(task)} waits for a slot of the queue", can_move="the queue")
    return Waiting(why="the next step is being decided", can_move="the orchestrator")


def _on_first_look(task: Task) -> Waiting:
    """Nothing is decided about the failure before somebody has looked."""
    failed = "" if task.failure is None else f"{task.failure.kind} has failed ({task.failure.known_as}), and "
    look, who = _on_look(task)
    why = f"{failed}a look at the pull request {look}: it may say why"
    return Waiting(why=why, can_move=who, wake_at=next_look(task))


def _on_look(task: Task) -> tuple[str, str]:
    """What the next look is at, and who can make it."""
    look = task.look
    if look is None:
        return "is due", "the clock looks at it again"
    if look.epoch is None:
        return f"waits for a host with a free slot in the pool {pool(task)}", f"any host of the pool {pool(task)}"
    return f"is made by host {look.host}", f"host {look.host}"


def _on_review(task: Task) -> Waiting:
    seen = task.review
    assert seen is not None
    looked = "nobody has looked yet" if seen.seen_at is None else f"checks {seen.checks_say or 'unknown'}"
    if seen.taken_over:
        looked += "; somebody else has pushed to it, so no fix run is made"
    elif seen.fixes:
        looked += f"; {seen.fixes} fix runs so far"
    if open_ := counted(len(seen.comments), len(seen.checks)) if pending(seen) else "":
        looked += f"; {open_} to answer"
    if seen.left_out:
        looked += "; it has more comments than are read"
    if seen.unseen is not None:
        looked += f"; the last look failed: {seen.unseen.error_class}: {seen.unseen.message}"
    look, who = _on_look(task)
    if task.look is not None:
        looked += f"; a look {look}"
    return Waiting(
        why=f"in review: the pull request {seen.url} waits to be merged or closed ({looked})",
        can_move=f"whoever merges, closes or reviews it; {who}",
        wake_at=next_look(task),
    )


def _on_person(task: Task) -> Waiting:
    plan = task.plan
    assert plan is not None
    risk = "" if plan.plan.risk == "unknown" else f", risk {plan.plan.risk}"
    silent = " (nobody has answered in time)" if plan.answer == "parked" else ""
    return Waiting(
        why=f"plan {plan.number} waits for a person{risk}{silent}: {plan.plan.summary}",
        can_move=f"a person: approve, reject or comment plan {plan.number}",
        wake_at=next_look(task),
    )


def _on_job(task: Task, job: CurrentJob) -> Waiting:
    stopping = f" (told to stop: {task.stop_wanted})" if task.stop_wanted else ""
    if job.epoch is not None:
        return Waiting(why=f"{job.kind} runs on host {job.host}{stopping}", can_move=f"host {job.host}")
    if job.host is not None:
        why = f"{job.kind} waits for a free slot on host {job.host}, which has the task's clone"
        return Waiting(why=why, can_move=f"host {job.host}")
    pool = task.spec.policy.publish_pool
    if job.kind == "publish" and pool is not None:
        return Waiting(
            why=f"publish waits for a host with a free slot in the pool {pool}", can_move=f"any host of the pool {pool}"
        )
    return Waiting(
        why=f"{job.kind} waits for a host with a free slot that offers the vendor {task.vendor}",
        can_move=f"any host that offers {task.vendor}",
    )
