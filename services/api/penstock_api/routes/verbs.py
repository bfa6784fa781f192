"""What may be asked of a task that exists: stop, go on, try now, another place in the queue, a fresh start from a summary.

Rule of this room: the orchestrator decides, and its own words come back.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Struct

from penstock import ids
from penstock.bounds import Line, Priority, Seconds, Usd
from penstock.commands import CancelTask, CompactTask, PrioritizeTask, TaskCommand, UnblockTask, WakeTask
from penstock_api.orders import accepted
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import TaskId, problems
from penstock_api.routes.submit import AcceptedTask


class CancelReason(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the task is to stop."""

    reason: Line = ""


class NewLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New limits for the whole task, what it has spent already included; null where they are to stay."""

    max_cost_usd: Usd | None = None
    max_wall_seconds: Seconds | None = None


class NewPriority(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """1 is first."""

    priority: Priority


NO_REASON: Final = CancelReason()
NO_LIMITS: Final = NewLimits()
CancelBody = Annotated[
    CancelReason,
    BodyKwarg(media_type="application/json", examples=[Example(value={"reason": "asked for twice"})]),
]
LimitsBody = Annotated[
    NewLimits, BodyKwarg(media_type="application/json", examples=[Example(value={"max_cost_usd": 10})])
]
PriorityBody = Annotated[
    NewPriority, BodyKwarg(media_type="application/json", examples=[Example(value={"priority": 1})])
]


@post(
    "/v1/tasks/{task:str}/cancel",
    status_code=202,
    summary="Stop a task; its work is kept",
    responses=problems(404, 409, 413, 415, 422),
    tags=["tasks"],
)
async def cancel_task(request: ApiRequest, task: TaskId, data: CancelBody = NO_REASON) -> AcceptedTask:
    return await told(
        request,
        CancelTask(id=ids.fresh(), task=task, requested_by=request.user.label, via="http", reason=data.reason),
    )


@post(
    "/v1/tasks/{task:str}/unblock",
    status_code=202,
    summary="Let a blocked task go on, maybe with more to spend",
    responses=problems(404, 409, 413, 415, 422),
    tags=["tasks"],
)
async def unblock_task(request: ApiRequest, task: TaskId, data: LimitsBody = NO_LIMITS) -> AcceptedTask:
    command = UnblockTask(
        id=ids.fresh(),
        task=task,
        requested_by=request.user.label,
        via="http",
        max_cost_usd=data.max_cost_usd,
        max_wall_seconds=data.max_wall_seconds,
    )
    return await told(request, command)


@post(
    "/v1/tasks/{task:str}/wake",
    status_code=202,
    summary="Let a parked task try now what it waits for",
    responses=problems(404, 409),
    tags=["tasks"],
)
async def wake_task(request: ApiRequest, task: TaskId) -> AcceptedTask:
    return await told(request, WakeTask(id=ids.fresh(), task=task, requested_by=request.user.label, via="http"))


@post(
    "/v1/tasks/{task:str}/prioritize",
    status_code=202,
    summary="Move a task in the queue",
    responses=problems(404, 409, 413, 415, 422),
    tags=["tasks"],
)
async def prioritize_task(request: ApiRequest, task: TaskId, data: PriorityBody) -> AcceptedTask:
    command = PrioritizeTask(
        id=ids.fresh(), task=task, requested_by=request.user.label, via="http", priority=data.priority
    )
    return await told(request, command)


@post(
    "/v1/tasks/{task:str}/compact",
    status_code=202,
    summary="Let the next run start afresh from a summary",
    responses=problems(404, 409),
    tags=["tasks"],
)
async def compact_task(request: ApiRequest, task: TaskId) -> AcceptedTask:
    return await told(request, CompactTask(id=ids.fresh(), task=task, requested_by=request.user.label, via="http"))


async def told(request: ApiRequest, command: TaskCommand) -> AcceptedTask:
    """The orchestrator's yes. Raises Problem with its no."""
    return AcceptedTask(task=command.task, seq=accepted(await request.parts.orders.send(command)).seq)
