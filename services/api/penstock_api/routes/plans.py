"""The plan of a task: looked at, approved, rejected, commented.

Rule of this room: an answer names the number of the plan that was read, so that nobody approves one they have not seen.
"""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Meta, Struct

from penstock import ids
from penstock.bounds import MESSAGE_LENGTH_MAX, Line
from penstock.commands import ApprovePlan, CommentPlan, RejectPlan
from penstock_api.problems import not_found
from penstock_api.queries_talk import PlanView, read_plan
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import TaskId, problems
from penstock_api.routes.submit import AcceptedTask
from penstock_api.routes.tasks import find
from penstock_api.routes.verbs import told

Number = Annotated[int, Meta(ge=1, le=1_000_000)]
Said = Annotated[str, Meta(min_length=1, max_length=MESSAGE_LENGTH_MAX, pattern=r"^(?=[\s\S]*\S)[^\x00]*$")]


class Approval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`number`: the plan that was read."""

    number: Number


class Rejection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ends the task."""

    number: Number
    reason: Line = ""


class Remark(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leads to a new plan that takes it into account."""

    number: Number
    comment: Said


def _body(example: dict[str, object]) -> BodyKwarg:
    return BodyKwarg(media_type="application/json", examples=[Example(value=example)])


@get("/v1/tasks/{task:str}/plan", summary="The task's last plan", responses=problems(404), tags=["plans"])
async def get_plan(request: ApiRequest, task: TaskId) -> PlanView:
    if (plan := await read_plan(request.parts.database, task)) is None:
        await find(request.parts, task)
        raise not_found("plan of this task yet", hint="a task of mode interactive proposes one before it begins")
    return plan


@post(
    "/v1/tasks/{task:str}/plan/approve",
    status_code=202,
    summary="Let the plan be carried out",
    responses=problems(404, 409, 413, 415, 422),
    tags=["plans"],
)
async def approve_plan(
    request: ApiRequest, task: TaskId, data: Annotated[Approval, _body({"number": 1})]
) -> AcceptedTask:
    return await told(
        request,
        ApprovePlan(id=ids.fresh(), task=task, requested_by=request.user.label, via="http", number=data.number),
    )


@post(
    "/v1/tasks/{task:str}/plan/reject",
    status_code=202,
    summary="End the task: neither this plan nor another one is wanted",
    responses=problems(404, 409, 413, 415, 422),
    tags=["plans"],
)
async def reject_plan(
    request: ApiRequest, task: TaskId, data: Annotated[Rejection, _body({"number": 1, "reason": "not worth it"})]
) -> AcceptedTask:
    command = RejectPlan(
        id=ids.fresh(),
        task=task,
        requested_by=request.user.label,
        via="http",
        number=data.number,
        reason=data.reason,
    )
    return await told(request, command)


@post(
    "/v1/tasks/{task:str}/plan/comment",
    status_code=202,
    summary="Ask for a new plan that takes a comment into account",
    responses=problems(404, 409, 413, 415, 422),
    tags=["plans"],
)
async def comment_plan(
    request: ApiRequest, task: TaskId, data: Annotated[Remark, _body({"number": 1, "comment": "keep the old API"})]
) -> AcceptedTask:
    command = CommentPlan(
        id=ids.fresh(),
        task=task,
        requested_by=request.user.label,
        via="http",
        number=data.number,
        comment=data.comment,
    )
    return await told(request, command)
