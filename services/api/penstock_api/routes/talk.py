"""Messages to a task's agent, and its questions to people.

Rule of this room: an agent's own token reaches these routes and no others; what it says, it says as its task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from litestar import get, post
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Meta, Struct

from penstock import ids
from penstock.bounds import MESSAGE_LENGTH_MAX, Line
from penstock.commands import AnswerDecision, RaiseDecision, SendMessage
from penstock_api.orders import accepted
from penstock_api.queries_talk import (
    DecisionView,
    MessageView,
    read_decision,
    read_decisions,
    read_message,
    read_messages,
)
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import After, DecisionId, IdempotencyKey, Limit, TaskId, problems
from penstock_api.routes.submit import KEY_HINT, AcceptedTask, checked_key, key_used
from penstock_api.routes.tasks import PROJECTION_PAUSE_SECONDS, PROJECTION_SECONDS, find
from penstock_api.routes.verbs import told

OPTIONS_MAX = 10
_SOME_TEXT = r"^(?=[\s\S]*\S)[^\x00]*$"
Said = Annotated[str, Meta(min_length=1, max_length=MESSAGE_LENGTH_MAX, pattern=_SOME_TEXT)]
V = TypeVar("V")


class NewMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent is to be told with its next run."""

    text: Said


class AcceptedMessage(Struct, frozen=True, kw_only=True):
    """`seq`: the last sequence of the task's events at that moment."""

    task: str
    message: str
    seq: int


class NewDecision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent will not do without a person. `subject`: spend_money, send_message, publish, irreversible, ambiguous or
    another word."""

    subject: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}(?!\n)$")]
    question: Said
    options: Annotated[tuple[Line, ...], Meta(max_length=OPTIONS_MAX)] = ()


class AcceptedDecision(Struct, frozen=True, kw_only=True):
    """`seq`: the last sequence of the task's events at that moment."""

    task: str
    decision: str
    seq: int


class NewAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's answer; the agent is told with its next run."""

    answer: Said


class Messages(Struct, frozen=True, kw_only=True):
    """Oldest first. `next`: the `after` of the page behind, null at the end."""

    messages: tuple[MessageView, ...]
    next: int | None


class Decisions(Struct, frozen=True, kw_only=True):
    """Oldest first. `next`: the `after` of the page behind, null at the end."""

    decisions: tuple[DecisionView, ...]
    next: int | None


MessageBody = Annotated[
    NewMessage, BodyKwarg(media_type="application/json", examples=[Example(value={"text": "leave the schema alone"})])
]
DecisionBody = Annotated[
    NewDecision,
    BodyKwarg(
        media_type="application/json",
        examples=[
            Example(value={"subject": "irreversible", "question": "Drop the old table?", "options": ["yes", "no"]})
        ],
    ),
]
AnswerBody = Annotated[NewAnswer, BodyKwarg(media_type="application/json", examples=[Example(value={"answer": "no"})])]


@post(
    "/v1/tasks/{task:str}/messages",
    summary="Tell the task's agent something",
    description=KEY_HINT,
    responses=problems(404, 409, 413, 415, 422),
    tags=["messages"],
)
async def send_message(
    request: ApiRequest, task: TaskId, data: MessageBody, idempotency_key: IdempotencyKey = None
) -> AcceptedMessage:
    key = checked_key(idempotency_key)
    command = SendMessage(
        id=_id(request, "message", task, key),
        task=task,
        requested_by=request.user.label,
        via="http",
        as_agent_of=request.user.task,
        text=data.text,
    )
    seq = accepted(await request.parts.orders.send(command)).seq
    if key is not None:
        stored = await _projected(lambda: read_message(request.parts.database, task, command.id))
        if stored is not None and stored.text != data.text:
            raise key_used(key, "the message says something else", "another message")
    return AcceptedMessage(task=task, message=command.id, seq=seq)


@get(
    "/v1/tasks/{task:str}/messages",
    summary="Messages to the task's agent, and what became of them",
    responses=problems(404, 422),
    tags=["messages"],
)
async def list_messages(request: ApiRequest, task: TaskId, after: After = 0, limit: Limit = 50) -> Messages:
    found = await read_messages(request.parts.database, task, after=after, limit=limit + 1)
    if not found:
        await find(request.parts, task)
    shown = found[:limit]
    return Messages(messages=shown, next=shown[-1].sequence if len(found) > limit else None)


@post(
    "/v1/tasks/{task:str}/decisions",
    summary="Ask a person, as the task's agent",
    description=f"Only with an agent's token for this task. {KEY_HINT}",
    responses=problems(404, 409, 413, 415, 422),
    tags=["decisions"],
)
async def raise_decision(
    request: ApiRequest, task: TaskId, data: DecisionBody, idempotency_key: IdempotencyKey = None
) -> AcceptedDecision:
    key = checked_key(idempotency_key)
    command = RaiseDecision(
        id=_id(request, "decision", task, key),
        task=task,
        requested_by=request.user.label,
        via="http",
        as_agent_of=request.user.task,
        subject=data.subject,
        question=data.question,
        options=data.options,
    )
    seq = accepted(await request.parts.orders.send(command)).seq
    if key is not None:
        stored = await _projected(lambda: read_decision(request.parts.database, task, command.id))
        if stored is not None and (stored.subject, stored.question) != (data.subject, data.question):
            raise key_used(key, "the question is another one", "another question")
    return AcceptedDecision(task=task, decision=command.id, seq=seq)


@get(
    "/v1/tasks/{task:str}/decisions",
    summary="Questions of the task's agent, and their answers",
    responses=problems(404, 422),
    tags=["decisions"],
)
async def list_decisions(request: ApiRequest, task: TaskId, after: After = 0, limit: Limit = 50) -> Decisions:
    found = await read_decisions(request.parts.database, task, after=after, limit=limit + 1)
    if not found:
        await find(request.parts, task)
    shown = found[:limit]
    return Decisions(decisions=shown, next=shown[-1].sequence if len(found) > limit else None)


@post(
    "/v1/tasks/{task:str}/decisions/{decision:str}/answer",
    status_code=202,
    summary="Answer a question of the task's agent",
    responses=problems(404, 409, 413, 415, 422),
    tags=["decisions"],
)
async def answer_decision(request: ApiRequest, task: TaskId, decision: DecisionId, data: AnswerBody) -> AcceptedTask:
    command = AnswerDecision(
        id=ids.fresh(),
        task=task,
        requested_by=request.user.label,
        via="http",
        decision=decision,
        answer=data.answer,
    )
    return await told(request, command)


def _id(request: ApiRequest, what: str, task: str, key: str | None) -> str:
    return ids.fresh() if key is None else ids.derived(what, request.user.id, task, key)


async def _projected(read: Callable[[], Awaitable[V | None]]) -> V | None:
    """What was just accepted, once the read model has it; None where it has not come in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PROJECTION_SECONDS
    while loop.time() < deadline:
        if (found := await read()) is not None:
            return found
        await asyncio.sleep(PROJECTION_PAUSE_SECONDS)
    return None
