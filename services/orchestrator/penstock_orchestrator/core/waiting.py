"""Why a task is not moving, who or what can move it, and when it moves by itself: for every phase an answer.

Rule of this room: read off the state, in words for the person who looks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

from penstock_orchestrator.core.advance import stage
from penstock_orchestrator.core.task import CurrentJob, Task

Phase: TypeAlias = Literal[
    "queued", "preparing", "running", "verifying", "publishing", "parked", "blocked", "done", "failed", "cancelled"
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
    match task.job.kind if task.job is not None else stage(task):
        case "prepare":
            return "preparing" if task.prepares else "queued"
        case "agent":
            return "running"
        case "verify":
            return "verifying"
        case "publish" | "finish":
            return "publishing"
        case never:
            assert_never(never)


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
        return Waiting(why=why, can_move="the clock", wake_at=task.parked.wake_at)
    if task.job is None:
        return Waiting(why="the next step is being decided", can_move="the orchestrator")
    return _on_job(task, task.job)


def _on_job(task: Task, job: CurrentJob) -> Waiting:
    stopping = " (told to stop)" if task.cancel is not None else ""
    if job.epoch is not None:
        return Waiting(why=f"{job.kind} runs on host {job.host}{stopping}", can_move=f"host {job.host}")
    if job.host is not None:
        why = f"{job.kind} waits for a free slot on host {job.host}, which has the task's clone"
        return Waiting(why=why, can_move=f"host {job.host}")
    vendor = task.spec.vendor
    return Waiting(
        why=f"{job.kind} waits for a host with a free slot that offers the vendor {vendor}",
        can_move=f"any host that offers {vendor}",
    )
