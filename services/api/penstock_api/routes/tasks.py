"""Tasks, looked at: lists, the queue, one task and why it is not moving, its events, its patch, its transcripts.

Rule of this room: a view is the read model's; what was just accepted is waited for, since the read model follows the log by
moments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final

from litestar import Response, get
from litestar.params import QueryParameter
from msgspec import Struct, structs

from penstock import artifacts
from penstock import subjects as s
from penstock.codec import decode_event
from penstock.events import PublishSucceeded
from penstock.values import Artifact, CommandResult
from penstock_api.history import last_message
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
    read_queue,
    read_task,
    read_tasks,
)
from penstock_api.queries_memory import without_forgotten
from penstock_api.request import ApiRequest, Parts
from penstock_api.routes.shapes import After, CheckStage, JobId, Limit, PatchNumber, TaskId, problems

PROJECTION_SECONDS: Final = 2.0
PROJECTION_PAUSE_SECONDS: Final = 0.03


class WhyNow(Struct, frozen=True, kw_only=True):
    """Why the task is not moving. `live`: the orchestrator has said so this moment; else it is what the read model says,
    which does not know the queue. `position`: its place among the tasks that wait for a slot, 1 first."""

    live: bool
    phase: str
    why: str
    can_move: str
    wake_at: datetime | None
    position: int | None


class TaskView(TaskDetail, frozen=True, kw_only=True):
    """Everything about one task. `why` null: it has ended."""

    why: WhyNow | None


class TaskPage(Struct, frozen=True, kw_only=True):
    """Tasks, newest first. `next`: the cursor of the page behind, null at the end."""

    tasks: tuple[TaskSummary, ...]
    next: str | None


class Queue(Struct, frozen=True, kw_only=True):
    """Tasks that wait for a slot, the first to get one first, as far as the read model knows: what is held for its account,
    repo or host stands where it would stand otherwise. Priority counts with age: `ageing_seconds` of waiting are a step."""

    tasks: tuple[TaskSummary, ...]
    ageing_seconds: float


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


@get("/v1/queue", summary="Tasks that wait for a slot, in order", responses=problems(422), tags=["tasks"])
async def list_queue(request: ApiRequest, limit: Limit = 50) -> Queue:
    ageing_seconds = request.parts.catalog.fleet().ageing_seconds
    tasks = await read_queue(request.parts.database, ageing_seconds=ageing_seconds, limit=limit)
    return Queue(tasks=tasks, ageing_seconds=ageing_seconds)


@get("/v1/tasks/{task:str}", summary="One task, with its steps", responses=problems(404), tags=["tasks"])
async def get_task(request: ApiRequest, task: TaskId) -> TaskView:
    found = await find(request.parts, task)
    why = None if found.outcome is not None else await _why(request.parts, found)
    return TaskView(**structs.asdict(found), why=why)


async def _why(parts: Parts, task: TaskDetail) -> WhyNow:
    if (said := await parts.orders.why(task.task)) is None:
        return WhyNow(
            live=False,
            phase=task.phase,
            why=task.waiting_for,
            can_move=task.can_move,
            wake_at=task.wake_at,
            position=None,
        )
    return WhyNow(
        live=True, phase=said.phase, why=said.why, can_move=said.can_move, wake_at=said.wake_at, position=said.position
    )


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
    return await without_forgotten(request.parts.database, found)


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
    body = await _loaded(parts, found.patch, task=task, job=found.patch_job)
    return _download(body, found.patch, f"{task}.patch", "application/mbox")


@get(
    "/v1/tasks/{task:str}/patches/{number:int}",
    summary="One commit of the change as a patch (mbox), 1 first",
    media_type="application/mbox",
    responses=problems(404, 410),
    tags=["tasks"],
)
async def get_patch_of_commit(request: ApiRequest, task: TaskId, number: PatchNumber) -> Response[bytes]:
    parts = request.parts
    found = await find(parts, task)
    with broker_errors():
        last = await last_message(parts.nc, s.EVENTS, s.event(found.repo, task, "publish_succeeded"))
    said = None if last is None else decode_event(last.body, last.seq).data
    if not isinstance(said, PublishSucceeded) or number > len(said.delivery.patches):
        hint = "a change of several commits is stored commit by commit when a task of flow patch is handed over"
        raise not_found("patch of this commit", hint=hint)
    patch = said.delivery.patches[number - 1]
    body = await _loaded(parts, patch, task=task, job=said.job)
    return _download(body, patch, f"{task}-{number}.patch", "application/mbox")


@get(
    "/v1/tasks/{task:str}/transcripts/{job:str}",
    summary="What an agent's program printed in this job, gzipped lines, its secrets hidden",
    media_type="application/gzip",
    responses=problems(404, 410),
    tags=["tasks"],
)
async def get_transcript(request: ApiRequest, task: TaskId, job: JobId) -> Response[bytes]:
    parts = request.parts
    step = next((step for step in (await find(parts, task)).steps if step.job == job), None)
    if step is None or step.transcript is None:
        raise not_found("transcript of this job", hint="one is stored when a run of an agent has ended by itself")
    body = await _loaded(parts, step.transcript, task=task, job=job)
    return _download(body, step.transcript, f"{task}-{job}.jsonl.gz", "application/gzip")


@get(
    "/v1/tasks/{task:str}/outputs/{job:str}/{stage:str}",
    summary="All that a check printed in this job, gzipped, secrets hidden",
    media_type="application/gzip",
    responses=problems(404, 410),
    tags=["tasks"],
)
async def get_output(request: ApiRequest, task: TaskId, job: JobId, stage: CheckStage) -> Response[bytes]:
    parts = request.parts
    step = next((step for step in (await find(parts, task)).steps if step.job == job), None)
    outputs = {} if step is None else {name: output for one in step.commands for name, output in _outputs(one)}
    output = outputs.get(stage)
    if output is None:
        hint = "the job of a verify step, and one of its stages, such as test, or test-again for its second run"
        raise not_found("output of this check", hint=hint)
    body = await _loaded(parts, output, task=task, job=job)
    return _download(body, output, f"{task}-{job}-{stage}.txt.gz", "application/gzip")


def _outputs(command: CommandResult) -> Iterator[tuple[str, Artifact]]:
    if command.output is not None:
        yield command.stage, command.output
    if command.again is not None and command.again.output is not None:
        yield f"{command.stage}-again", command.again.output


async def _loaded(parts: Parts, artifact: Artifact, *, task: str, job: str) -> bytes:
    """Held in memory, at most 64 MiB, until its digest is known to be right. Raises Problem: 410, 502, 503."""
    async with parts.downloads:
        chunks = artifacts.load(parts.nc, artifact, task=task, job=job)
        try:
            with broker_errors():
                return b"".join([chunk async for chunk in chunks])
        except artifacts.ArtifactGone as error:
            raise Problem(
                410, "gone", "it is no longer stored: patches and transcripts are kept for 90 days"
            ) from error
        except artifacts.ArtifactDamaged as error:
            raise Problem(502, "damaged", "what is stored is not what the log names") from error


def _download(body: bytes, artifact: Artifact, name: str, media_type: str) -> Response[bytes]:
    return Response(
        body,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "ETag": f'"{artifact.sha256}"'},
    )
