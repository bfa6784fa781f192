"""Commands to the orchestrator: ask, and ask again under the same id until there is an answer or no time left.

Rule of this room: an answer that was lost is asked for again with the very same command, so that nothing is done twice.
"""

from __future__ import annotations

import asyncio
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client

from penstock import codec, ids
from penstock import subjects as s
from penstock.codec import Undecodable
from penstock.commands import (
    Accepted,
    Command,
    Explained,
    ExplainTask,
    NewTask,
    NotReady,
    RefusedReply,
    Reply,
    StirPullRequest,
    Stirred,
    TaskCommand,
    Why,
    WhyTask,
    verb_of,
)
from penstock_api.problems import Problem, conflict, invalid, not_found, unavailable

log = structlog.get_logger()

ORDER_SECONDS_MAX: Final = 6.0
ASK_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 0.15
WHY_SECONDS: Final = 1.0
SERVICE_ERROR: Final = "Nats-Service-Error"


class Orders:
    """The way to the orchestrator."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def send(self, command: NewTask | TaskCommand) -> Accepted | RefusedReply:
        """The orchestrator's decision. Raises Problem (503) when nobody has decided within a few seconds; the command may
        then still be done, once, when it is sent again with the same id."""
        reply = await self._answered(command)
        match reply:
            case Accepted() | RefusedReply():
                return reply
            case Why() | Explained() | Stirred():
                raise _not_understood("an answer to another question")

    async def stir(self, command: StirPullRequest) -> bool:
        """Tell whoever follows the pull request that there is news; whether somebody does. Raises Problem: 503."""
        reply = await self._answered(command)
        match reply:
            case Stirred():
                return bool(reply.tasks)
            case RefusedReply():
                raise _refusal(reply, None)
            case Accepted() | Why() | Explained():
                raise _not_understood("an answer to another question")

    async def explain(self, task: str, after: int) -> Explained:
        """A page of the task's history, step by step, from after that sequence. Raises Problem: 404, 409, 503."""
        reply = await self._answered(ExplainTask(id=ids.fresh(), task=task, after=after))
        match reply:
            case Explained():
                return reply
            case RefusedReply():
                raise _refusal(reply, None)
            case Accepted() | Why() | Stirred():
                raise _not_understood("an answer to another question")

    async def _answered(self, command: Command) -> Accepted | RefusedReply | Why | Explained | Stirred:
        """Asked again until there is an answer that is one, or no time left (Problem, 503)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ORDER_SECONDS_MAX
        subject, body = s.command(*verb_of(command)), codec.encode(command)
        while True:
            reason = "it has not answered yet"
            try:
                seconds = min(ASK_SECONDS, max(deadline - loop.time(), 0.1))
                reply = _decoded(await self._ask(subject, body, seconds))
                if not isinstance(reply, NotReady):
                    return reply
                reason = reply.message
            except nats.errors.NoRespondersError:
                reason = "none is leading right now; one takes over within seconds"
            except TimeoutError:
                reason = "it has not answered in time" if self._nc.is_connected else "no connection to nats"
            except (nats.errors.Error, OSError) as error:
                reason = f"nats: {str(error) or type(error).__name__}"
            if loop.time() + PAUSE_SECONDS > deadline:
                log.warning("order.unanswered", subject=subject, command=command.id, task=command.task, reason=reason)
                raise unavailable("orchestrator", reason)
            await asyncio.sleep(PAUSE_SECONDS)

    async def why(self, task: str) -> Why | None:
        """Why the task is not moving, as the queue sees it this moment; None where nobody has said so within a second."""
        command = WhyTask(id=ids.fresh(), task=task)
        try:
            body = await self._ask(s.command(*verb_of(command)), codec.encode(command), WHY_SECONDS)
            reply = _decoded(body)
        except (nats.errors.Error, OSError, TimeoutError, Problem) as error:
            log.info("order.why_unanswered", task=task, reason=str(error) or type(error).__name__)
            return None
        match reply:
            case Why():
                return reply
            case Accepted() | RefusedReply() | NotReady() | Explained() | Stirred():
                return None

    async def _ask(self, subject: str, body: bytes, seconds: float) -> bytes:
        message = await self._nc.request(subject, body, timeout=seconds)
        if (message.headers or {}).get(SERVICE_ERROR):
            raise _not_understood(f"an error: {(message.headers or {})[SERVICE_ERROR]}")
        return message.data


def _decoded(body: bytes) -> Reply:
    try:
        return codec.replies.decode(body)
    except Undecodable as error:
        raise _not_understood(str(error)) from error


def _not_understood(reason: str) -> Problem:
    log.error("order.answer_not_understood", reason=reason)
    return Problem(502, "bad-answer", "the orchestrator's answer was not understood: is it of another version?")


def accepted(reply: Accepted | RefusedReply, *, value: object = None) -> Accepted:
    """The reply if it is a yes. Raises Problem with the orchestrator's own words if it is a no; `value`: see `invalid`."""
    match reply:
        case Accepted():
            return reply
        case RefusedReply():
            raise _refusal(reply, value)


def _refusal(reply: RefusedReply, value: object) -> Problem:
    if reply.code == "unknown_task":
        return not_found("such task")
    if reply.code in ("unknown_repo", "unknown_template", "invalid"):
        return invalid(reply.field, reply.message, value=value)
    if reply.code == "forbidden":
        return Problem(403, "forbidden", reply.message, field=reply.field)
    # not_possible, conflict, and whatever a later orchestrator may say.
    return conflict(reply.message, field=reply.field)
