"""What is remembered of earlier work: looked at, searched, corrected, added to, forgotten.

Rule of this room: what people say of a memory is an entry of the catalogue, so that it outlives every table. Forgetting is for
good: it takes the entry's own past along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeAlias

from litestar import Response, delete, get, patch, post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg, PathParameter, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from penstock import ids
from penstock.bounds import ID_PATTERN, MESSAGE_LENGTH_MAX, Name, Title
from penstock.catalog import MemoryNote, MemorySettings
from penstock_api.problems import Problem, conflict, invalid, not_found, unavailable
from penstock_api.queries import Cursor, cursor_text, parse_cursor
from penstock_api.queries_memory import Memory, notes_position, read_memories, read_memory, search_memories
from penstock_api.request import ApiRequest, Parts
from penstock_api.routes.shapes import IdempotencyKey, Limit, problems
from penstock_api.routes.submit import KEY_HINT, checked_key, key_used
from penstock_api.routes.tasks import PROJECTION_PAUSE_SECONDS, PROJECTION_SECONDS
from penstock_api.routes.wishes import check_repo

WRITES_MAX: Final = 5
"""How often a correction is made anew because somebody else's came first."""

_SOME_TEXT: Final = r"^(?=[\s\S]*\S)[^\x00]*$"
Kind: TypeAlias = Literal["success", "failure", "review", "decision", "lesson"]
Said = Annotated[str, Meta(min_length=1, max_length=MESSAGE_LENGTH_MAX, pattern=_SOME_TEXT)]
MemoryId: TypeAlias = Annotated[str, PathParameter(pattern=ID_PATTERN, description="the memory's id")]


class NewMemory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision (the problem, what was chosen and why) or a lesson, for every later task of the repo that is like it.
    `pinned`: it does not age."""

    repo: Name
    kind: Literal["decision", "lesson"]
    title: Title
    text: Said
    pinned: bool = False


class Correction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; the rest stays. `pinned`: it neither ages nor is it archived."""

    kind: Kind | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    text: Said | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET


class AddedMemory(Struct, frozen=True, kw_only=True):
    """The new memory's id."""

    memory: str


class MemoryPage(Struct, frozen=True, kw_only=True):
    """Newest first, with `q` most alike first. `next`: the cursor of the page behind, null at the end and with `q`."""

    memories: tuple[Memory, ...]
    next: str | None


NewBody = Annotated[
    NewMemory,
    BodyKwarg(
        media_type="application/json",
        examples=[
            Example(
                value={
                    "repo": "shop",
                    "kind": "decision",
                    "title": "Prices are integers of cents",
                    "text": "Floats lost a cent in totals. We keep cents and round half to even where a rate is applied.",
                }
            )
        ],
    ),
]
CorrectionBody = Annotated[
    Correction,
    BodyKwarg(media_type="application/json", examples=[Example(value={"kind": "lesson", "pinned": True})]),
]


@get("/v1/memories", summary="What is remembered, listed or searched", responses=problems(422), tags=["memory"])
async def list_memories(
    request: ApiRequest,
    repo: Annotated[
        str | None, QueryParameter(description="only of this repo; a search needs one", max_length=63)
    ] = None,
    q: Annotated[str | None, QueryParameter(description="words to search for", max_length=2_000)] = None,
    kind: Annotated[Kind | None, QueryParameter(description="only of this kind")] = None,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before", max_length=200)] = None,
    limit: Limit = 50,
) -> MemoryPage:
    for field, value in (("repo", repo), ("q", q)):
        if value is not None and "\0" in value:
            raise invalid(field, "text has no NUL")
    database, now = request.parts.database, datetime.now(UTC)
    if q is not None and q.strip():
        if repo is None:
            raise invalid("repo", "a search is made within a repo", hint="say which one: repo=")
        found = await search_memories(
            database, repo=repo, text=q, kind=kind, limit=limit, rules=_rules(request.parts), now=now
        )
        return MemoryPage(memories=found, next=None)
    after = None if cursor is None else parse_cursor(cursor)
    found = await read_memories(
        database, repo=repo, kind=kind, after=after, limit=limit + 1, rules=_rules(request.parts), now=now
    )
    shown, more = found[:limit], len(found) > limit
    return MemoryPage(memories=shown, next=cursor_text(Cursor(shown[-1].born_at, shown[-1].memory)) if more else None)


@get("/v1/memories/{memory:str}", summary="One memory", responses=problems(404, 410), tags=["memory"])
async def get_memory(request: ApiRequest, memory: MemoryId) -> Memory:
    return await _present(request.parts, memory)


@post(
    "/v1/memories",
    summary="Write down a decision or a lesson",
    description=KEY_HINT,
    responses=problems(409, 413, 415, 422),
    tags=["memory"],
)
async def add_memory(
    request: ApiRequest, data: NewBody, idempotency_key: IdempotencyKey = None
) -> Response[AddedMemory]:
    parts, key = request.parts, checked_key(idempotency_key)
    await check_repo(parts, data.repo, "repo")
    memory = ids.fresh() if key is None else ids.derived("memory", request.user.id, key)
    label = request.user.label
    note = MemoryNote(
        memory=memory,
        repo=data.repo,
        kind=data.kind,
        title=data.title,
        text=data.text,
        pinned=data.pinned,
        written_by=label,
        set_by=label,
        set_at=datetime.now(UTC),
    )
    before = await parts.catalog.memories.get(memory)
    if before.value is None:
        await _applied(parts, await parts.catalog.memories.put(memory, note, before.revision), must=False)
    elif key is not None and replace(note, set_at=before.value.set_at) != before.value:
        raise key_used(key, "another memory was written with it", "another memory")
    return Response(AddedMemory(memory=memory), status_code=201, headers={"Location": f"/v1/memories/{memory}"})


@patch(
    "/v1/memories/{memory:str}",
    summary="Correct a memory: its text, its kind, whether it is pinned",
    responses=problems(404, 409, 410, 413, 415, 422),
    tags=["memory"],
)
async def correct_memory(request: ApiRequest, memory: MemoryId, data: CorrectionBody) -> Memory:
    parts = request.parts
    present = await _present(parts, memory)
    changes = {
        name: value for name in ("kind", "title", "text", "pinned") if (value := getattr(data, name)) is not UNSET
    }
    if not changes:
        # Noted, it would be a correction that nobody has made: its moment counts in the ranking.
        hint = "give at least one of: kind, title, text, pinned"
        raise Problem(422, "invalid", "there is nothing to correct", hint=hint)
    revision = await _noted(request, present, changes)
    await _applied(parts, revision, must=True)
    return await _present(parts, memory)


@delete(
    "/v1/memories/{memory:str}",
    summary="Forget a memory for good: its text is neither shown nor recalled any more",
    responses=problems(404, 409, 410),
    tags=["memory"],
)
async def forget_memory(request: ApiRequest, memory: MemoryId) -> None:
    parts = request.parts
    present = await _present(parts, memory)
    gone = {"kind": None, "title": None, "text": None, "pinned": False, "forgotten": True}
    await _applied(parts, await _noted(request, present, gone), must=True)


async def _noted(request: ApiRequest, memory: Memory, changes: Mapping[str, object]) -> int:
    """The catalogue's entry with these changes; its revision. Raises Problem: 409."""
    bucket, label = request.parts.catalog.memories, request.user.label
    for _ in range(WRITES_MAX):
        entry = await bucket.get(memory.memory)
        if entry.value is not None and entry.value.forgotten:
            raise _forgotten(memory.memory)
        before = entry.value or MemoryNote(
            memory=memory.memory, repo=memory.repo, of_task=memory.task is not None, set_at=datetime.now(UTC)
        )
        note = replace(before, set_by=label, set_at=datetime.now(UTC), **changes)
        try:
            return await bucket.put(memory.memory, note, entry.revision, alone=note.forgotten)
        except Problem as problem:
            if problem.status != 412:
                raise
    raise conflict("the memory is being changed by others", hint="read it again, then try again")


async def _present(parts: Parts, memory: str) -> Memory:
    """Raises Problem: 404, 410."""
    found = await read_memory(parts.database, memory, _rules(parts), datetime.now(UTC))
    if found is None:
        raise not_found("such memory")
    if isinstance(found, bool):
        raise _forgotten(memory)
    return found


def _forgotten(memory: str) -> Problem:
    return Problem(410, "gone", f"memory {memory} was forgotten")


async def _applied(parts: Parts, revision: int, *, must: bool) -> None:
    """Wait for the read model to have followed so far. Raises Problem (503) where it has not, and `must`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PROJECTION_SECONDS
    while await notes_position(parts.database) < revision:
        if loop.time() > deadline:
            if must:
                raise unavailable("read model", "it is noted and will hold, and is not yet in PostgreSQL")
            return
        await asyncio.sleep(PROJECTION_PAUSE_SECONDS)


def _rules(parts: Parts) -> MemorySettings:
    return parts.catalog.fleet().memory
