"""Tasks: submit, look, cancel, unblock, events, patch.

Rule of this room: a command is the orchestrator's to decide, a view is the read model's; what was just accepted is waited
for, since the read model follows the log by moments.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Final, Literal

from litestar import Response, get, post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg, QueryParameter
from msgspec import Meta, Struct, structs

from penstock import artifacts, ids
from penstock import subjects as s
from penstock.bounds import Attempts, Line, Name, Priority, Seconds, Text, Title, Turns, Usd, Word
from penstock.commands import Accepted, CancelTask, RefusedReply, SubmitTask, UnblockTask
from penstock_api.history import last_message
from penstock_api.orders import accepted
from penstock_api.problems import Problem, broker_errors, invalid, not_found, unavailable
from penstock_api.queries import (
    Cursor,
    Outcome,
    Phase,
    StoredEvent,
    TaskDetail,
    TaskSummary,
    cursor_text,
    parse_cursor,
    read_events,
    read_task,
    read_tasks,
)
from penstock_api.request import ApiRequest, Parts
from penstock_api.routes.shapes import After, IdempotencyKey, Limit, TaskId, problems

PROJECTION_SECONDS: Final = 2.0
PROJECTION_PAUSE_SECONDS: Final = 0.03
NEW_REPO_SECONDS: Final = 2.0
KNOWN_NAMED_MAX: Final = 20
LABELS_MAX: Final = 20


class NewTask(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change that is asked for. `flow`: hand it over as a branch (with a pull request where the forge can), or as a patch."""

    repo: Name
    title: Title
    description: Text = ""
    acceptance: Text = ""
    priority: Priority = 5
    labels: Annotated[tuple[Word, ...], Meta(max_length=LABELS_MAX)] = ()
    vendor: Name = "claude"
    model: Word = ""
    flow: Literal["branch", "patch"] = "branch"
    max_attempts: Attempts = 3
    max_turns: Turns | None = 50
    max_cost_usd: Usd | None = None
    max_wall_seconds: Seconds = 3_600.0
    skip_verify: bool = False


class AcceptedTask(Struct, frozen=True, kw_only=True):
    """Accepted. `seq`: the last sequence of the task's events at that moment."""

    task: str
    seq: int


class CancelReason(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the task is to stop."""

    reason: Line = ""


NO_REASON: Final = CancelReason()


class TaskPage(Struct, frozen=True, kw_only=True):
    """Tasks, newest first. `next`: the cursor of the page behind, null at the end."""

    tasks: tuple[TaskSummary, ...]
    next: str | None


NewTaskBody = Annotated[
    NewTask,
    BodyKwarg(
        media_type="application/json",
        examples=[Example(value={"repo": "shop", "title": "Make test_total_rounds_up pass", "priority": 3})],
    ),
]
CancelBody = Annotated[
    CancelReason,
    BodyKwarg(media_type="application/json", examples=[Example(value={"reason": "asked for twice"})]),
]


@post(
    "/v1/tasks",
    summary="Ask for a change",
    description="Give an Idempotency-Key to be able to ask again when the answer was lost.",
    responses=problems(409, 413, 415, 422),
    tags=["tasks"],
)
async def submit_task(
    request: ApiRequest, data: NewTaskBody, idempotency_key: IdempotencyKey = None
) -> Response[AcceptedTask]:
    parts = request.parts
    _check_vendor(parts, data.vendor)
    if data.repo not in parts.catalog.repos.entries and await parts.catalog.repos.get(data.repo) is None:
        raise _unknown_repo(parts, data.repo)
    key = _checked_key(idempotency_key)
    task = ids.fresh() if key is None else ids.derived("task", request.user.id, key)
    command = SubmitTask(
        id=ids.fresh() if key is None else ids.derived("submit", request.user.id, key),
        task=task,
        submitted_by=request.user.label,
        **structs.asdict(data),
    )
    reply = await _sent(parts, command)
    if isinstance(reply, RefusedReply) and reply.code == "conflict" and key is not None:
        raise Problem(
            409,
            "idempotency-key-used",
            f"this key was used before for another body: {reply.message}",
            field="Idempotency-Key",
            value=key,
            hint="send the same body for the same answer, or another key for another task",
        )
    field = reply.field if isinstance(reply, RefusedReply) else ""
    seq = accepted(reply, value=getattr(data, field, None)).seq
    return Response(AcceptedTask(task=task, seq=seq), status_code=201, headers={"Location": f"/v1/tasks/{task}"})


async def _sent(parts: Parts, command: SubmitTask) -> Accepted | RefusedReply:
    """The orchestrator's answer. A repo that the catalogue has and the orchestrator does not know yet was added just now."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + NEW_REPO_SECONDS
    while True:
        try:
            reply = await parts.orders.send(command)
        except Problem as problem:
            problem.hint = f"look at /v1/tasks/{command.task} later, or ask again with the same Idempotency-Key"
            raise
        if not isinstance(reply, RefusedReply) or reply.code != "unknown_repo" or loop.time() > deadline:
            return reply
        await asyncio.sleep(PROJECTION_PAUSE_SECONDS)


def _check_vendor(parts: Parts, vendor: str) -> None:
    known = {*parts.settings.vendor_names, *parts.catalog.vendors()}
    if vendor not in known:
        raise invalid("vendor", "there is no such vendor", value=vendor, hint=f"known: {', '.join(sorted(known))}")


def _unknown_repo(parts: Parts, repo: str) -> Problem:
    names = sorted(parts.catalog.repos.entries)
    more = ", ..." if len(names) > KNOWN_NAMED_MAX else ""
    known = f"known: {', '.join(names[:KNOWN_NAMED_MAX])}{more}" if names else "there is none yet"
    return Problem(
        422,
        "unknown-repo",
        "the catalogue has no such repo",
        field="repo",
        value=repo,
        hint=f"{known}; add one with PUT /v1/repos/<name>",
    )


_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")


def _checked_key(key: str | None) -> str | None:
    if key is None or _KEY.fullmatch(key):
        return key
    raise invalid("Idempotency-Key", "not a key", value=key, hint="1 to 200 visible ASCII characters", status=400)


@get("/v1/tasks", summary="Tasks, newest first", responses=problems(422), tags=["tasks"])
async def list_tasks(
    request: ApiRequest,
    repo: Annotated[str | None, QueryParameter(description="only of this repo", max_length=63)] = None,
    phase: Annotated[Phase | None, QueryParameter(description="only in this phase")] = None,
    outcome: Annotated[Outcome | None, QueryParameter(description="only with this outcome")] = None,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before", max_length=200)] = None,
    limit: Limit = 50,
) -> TaskPage:
    if repo is not None and "\0" in repo:
        raise invalid("repo", "a name has no NUL")
    after = None if cursor is None else parse_cursor(cursor)
    tasks = await read_tasks(
        request.parts.database, repo=repo, phase=phase, outcome=outcome, after=after, limit=limit + 1
    )
    shown, more = tasks[:limit], len(tasks) > limit
    return TaskPage(tasks=shown, next=cursor_text(Cursor(shown[-1].submitted_at, shown[-1].task)) if more else None)


@get("/v1/tasks/{task:str}", summary="One task, with its steps", responses=problems(404), tags=["tasks"])
async def get_task(request: ApiRequest, task: TaskId) -> TaskDetail:
    return await find(request.parts, task)


async def find(parts: Parts, task: str) -> TaskDetail:
    """The task. One that the log has and the read model does not have yet is waited for. Raises Problem: 404, 503."""
    if (found := await read_task(parts.database, task)) is not None:
        return found
    with broker_errors():
        last = await last_message(parts.nc, s.EVENTS, s.events_of_task("*", task))
    if last is None:
        raise not_found(f"task {task}")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PROJECTION_SECONDS
    while loop.time() < deadline:
        if (found := await read_task(parts.database, task)) is not None:
            return found
        await asyncio.sleep(PROJECTION_PAUSE_SECONDS)
    raise unavailable("read model", f"the task is in the log up to {last.seq}, and not yet in PostgreSQL")


@post(
    "/v1/tasks/{task:str}/cancel",
    status_code=202,
    summary="Stop a task; its work is kept",
    responses=problems(404, 409, 413, 415, 422),
    tags=["tasks"],
)
async def cancel_task(request: ApiRequest, task: TaskId, data: CancelBody = NO_REASON) -> AcceptedTask:
    command = CancelTask(id=ids.fresh(), task=task, requested_by=request.user.label, reason=data.reason)
    reply = accepted(await request.parts.orders.send(command))
    return AcceptedTask(task=task, seq=reply.seq)


@post(
    "/v1/tasks/{task:str}/unblock",
    status_code=202,
    summary="Let a blocked task go on",
    responses=problems(404, 409),
    tags=["tasks"],
)
async def unblock_task(request: ApiRequest, task: TaskId) -> AcceptedTask:
    command = UnblockTask(id=ids.fresh(), task=task, requested_by=request.user.label)
    reply = accepted(await request.parts.orders.send(command))
    return AcceptedTask(task=task, seq=reply.seq)


@get(
    "/v1/tasks/{task:str}/events",
    summary="A task's events as stored (CloudEvents), with their sequence",
    responses=problems(404, 422),
    tags=["tasks"],
)
async def list_events(
    request: ApiRequest, task: TaskId, after: After = 0, limit: Limit = 200
) -> tuple[StoredEvent, ...]:
    found = await read_events(request.parts.database, task, after=after, limit=limit)
    if not found:
        # Either there is nothing further, or no such task.
        await find(request.parts, task)
    return found


@get(
    "/v1/tasks/{task:str}/patch",
    summary="The change as a patch (mbox), once it is stored",
    media_type="application/mbox",
    responses=problems(404, 410),
    tags=["tasks"],
)
async def get_patch(request: ApiRequest, task: TaskId) -> Response[bytes]:
    parts = request.parts
    found = await find(parts, task)
    if found.patch is None or found.patch_job is None:
        raise not_found("patch of this task", hint="a patch is stored when a task of flow patch is handed over")
    # Held in memory, at most 64 MiB, until its digest is known to be right.
    async with parts.downloads:
        chunks = artifacts.load(parts.nc, found.patch, task=task, job=found.patch_job)
        try:
            with broker_errors():
                body = b"".join([chunk async for chunk in chunks])
        except artifacts.ArtifactGone as error:
            raise Problem(410, "gone", "the patch is no longer stored: patches are kept for 90 days") from error
        except artifacts.ArtifactDamaged as error:
            raise Problem(502, "damaged", "the stored patch is not the one that the log names") from error
    return Response(
        body,
        media_type="application/mbox",
        headers={
            "Content-Disposition": f'attachment; filename="{task}.patch"',
            "ETag": f'"{found.patch.sha256}"',
        },
    )
