"""New tasks: submitted, asked for once more, continued.

Rule of this room: a key makes the ids, so that asking again with the same key asks for the same task.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Final

from litestar import Response, post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import UNSET, Struct, UnsetType, structs

from penstock import ids
from penstock.bounds import Name, Text, Title
from penstock.commands import Accepted, ContinueTask, NewTask, RefusedReply, RetryTask, SubmitTask
from penstock_api.orders import accepted
from penstock_api.problems import Problem, invalid
from penstock_api.request import ApiRequest, Parts
from penstock_api.routes.shapes import IdempotencyKey, TaskId, problems
from penstock_api.routes.wishes import WishBody, check_whole, checked_wish

NEW_REPO_SECONDS: Final = 2.0
NEW_REPO_PAUSE_SECONDS: Final = 0.03


class TaskBody(WishBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change that is asked for. `repo` and `title` must be said, here or by the `template`."""

    template: Name | UnsetType = UNSET


class AcceptedTask(Struct, frozen=True, kw_only=True):
    """Accepted. `seq`: the last sequence of the task's events at that moment."""

    task: str
    seq: int


class ContinuationBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done from where the finished task has left off, on its branch."""

    title: Title
    description: Text = ""


Body = Annotated[
    TaskBody,
    BodyKwarg(
        media_type="application/json",
        examples=[Example(value={"repo": "shop", "title": "Make test_total_rounds_up pass", "priority": 3})],
    ),
]
ContinueBody = Annotated[
    ContinuationBody,
    BodyKwarg(media_type="application/json", examples=[Example(value={"title": "Round the tax up as well"})]),
]
KEY_HINT: Final = "Give an Idempotency-Key to be able to ask again when the answer was lost."


@post(
    "/v1/tasks",
    summary="Ask for a change",
    description=KEY_HINT,
    responses=problems(409, 413, 415, 422),
    tags=["tasks"],
)
async def submit_task(
    request: ApiRequest, data: Body, idempotency_key: IdempotencyKey = None
) -> Response[AcceptedTask]:
    wish = await checked_wish(request.parts, data)
    await check_whole(request.parts, wish, data.template)
    key = checked_key(idempotency_key)
    command = SubmitTask(
        id=_id(request, "submit", key),
        task=_id(request, "task", key),
        submitted_by=request.user.label,
        template=data.template,
        **structs.asdict(wish),
    )
    return await _made(request.parts, command, key, data)


@post(
    "/v1/tasks/{task:str}/retry",
    summary="Ask once more for what a finished task was asked for",
    description=KEY_HINT,
    responses=problems(404, 409, 422),
    tags=["tasks"],
)
async def retry_task(
    request: ApiRequest, task: TaskId, idempotency_key: IdempotencyKey = None
) -> Response[AcceptedTask]:
    key = checked_key(idempotency_key)
    command = RetryTask(
        id=_id(request, f"retry {task}", key),
        task=_id(request, f"retried {task}", key),
        of=task,
        requested_by=request.user.label,
        via="http",
    )
    return await _made(request.parts, command, key, None)


@post(
    "/v1/tasks/{task:str}/continue",
    summary="Go on from what a finished task has handed over, on the same branch and pull request",
    description=KEY_HINT,
    responses=problems(404, 409, 413, 415, 422),
    tags=["tasks"],
)
async def continue_task(
    request: ApiRequest, task: TaskId, data: ContinueBody, idempotency_key: IdempotencyKey = None
) -> Response[AcceptedTask]:
    key = checked_key(idempotency_key)
    command = ContinueTask(
        id=_id(request, f"continue {task}", key),
        task=_id(request, f"continued {task}", key),
        of=task,
        title=data.title,
        description=data.description,
        requested_by=request.user.label,
        via="http",
    )
    return await _made(request.parts, command, key, data)


def _id(request: ApiRequest, what: str, key: str | None) -> str:
    return ids.fresh() if key is None else ids.derived(what, request.user.id, key)


async def _made(parts: Parts, command: NewTask, key: str | None, data: Struct | None) -> Response[AcceptedTask]:
    reply = await _sent(parts, command)
    if isinstance(reply, RefusedReply) and reply.code == "conflict" and key is not None and reply.field != "of":
        raise key_used(key, reply.message, "another task")
    if isinstance(reply, RefusedReply) and reply.field == "of":
        # The command's word for what the path of the request names.
        reply = structs.replace(reply, field="task")
    field = reply.field if isinstance(reply, RefusedReply) else ""
    seq = accepted(reply, value=getattr(data, field, None)).seq
    location = {"Location": f"/v1/tasks/{command.task}"}
    return Response(AcceptedTask(task=command.task, seq=seq), status_code=201, headers=location)


async def _sent(parts: Parts, command: NewTask) -> Accepted | RefusedReply:
    """The orchestrator's answer. A repo or template that the catalogue has and the orchestrator does not know yet was added
    just now."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + NEW_REPO_SECONDS
    while True:
        try:
            reply = await parts.orders.send(command)
        except Problem as problem:
            problem.hint = f"look at /v1/tasks/{command.task} later, or ask again with the same Idempotency-Key"
            raise
        unknown = isinstance(reply, RefusedReply) and reply.code in ("unknown_repo", "unknown_template")
        if not unknown or loop.time() > deadline:
            return reply
        await asyncio.sleep(NEW_REPO_PAUSE_SECONDS)


_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")


def checked_key(key: str | None) -> str | None:
    """Raises Problem."""
    if key is None or _KEY.fullmatch(key):
        return key
    raise invalid("Idempotency-Key", "not a key", value=key, hint="1 to 200 visible ASCII characters", status=400)


def key_used(key: str, reason: str, other: str) -> Problem:
    """The key has been used for something else; `other` is what another key would be for."""
    return Problem(
        409,
        "idempotency-key-used",
        f"this key was used before for another body: {reason}",
        field="Idempotency-Key",
        value=key,
        hint=f"send the same body for the same answer, or another key for {other}",
    )
