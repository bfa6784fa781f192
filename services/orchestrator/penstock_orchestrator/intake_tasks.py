"""Tasks that come as messages of the INTAKE stream, without HTTP.

Rule of this room: a message is acknowledged only when its task is in the log, or when it lies among the dead letters with
the reason beside it. Who sent it is said as the message says it, marked as come this way.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import nats.errors
import structlog
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import Counter

from penstock import ids
from penstock import subjects as s
from penstock.bounds import LINE_LENGTH_MAX, clip
from penstock.codec import Codec, StrictCodec, Undecodable
from penstock.commands import NotReady, RefusedReply, SubmitTask
from penstock.values import Origin
from penstock_orchestrator.answers import Answers
from penstock_orchestrator.intake import bury, pull
from penstock_orchestrator.loop import BREAKS

log = structlog.get_logger()

INTAKE_AHEAD: Final = 50
NOT_READY_PAUSE_SECONDS: Final = 2.0
INTAKE_KIND: Final = "intake"

TAKEN: Final = Counter("penstock_intake", "tasks that came as messages", ["outcome"])

_loose: Final = Codec(msgspec.json.Decoder(dict[str, msgspec.Raw]))
_submissions: Final[Codec[SubmitTask]] = StrictCodec(msgspec.json.Decoder(SubmitTask))


async def tasks_in(nc: Client, answers: Answers) -> None:
    """Take messages from their durable, many at once, for ever."""
    limit = asyncio.Semaphore(INTAKE_AHEAD)
    async with asyncio.TaskGroup() as group:
        async for message in pull(nc, s.INTAKE, s.INTAKE_DURABLE, ahead=INTAKE_AHEAD):
            await limit.acquire()
            group.create_task(_take(nc, answers, message, limit))


async def _take(nc: Client, answers: Answers, message: Msg, limit: asyncio.Semaphore) -> None:
    try:
        try:
            reason = await _submit(answers, submission(message.data, (message.headers or {}).get(s.MSG_ID, "")))
        except Undecodable as error:
            reason = f"not a submission: {error}"
        except BREAKS as error:
            # Whatever one message stumbles over, the next one must be taken.
            log.exception("intake.broke")
            reason = f"the orchestrator could not decide this: {type(error).__name__}"
        if reason is None:
            TAKEN.labels("not_ready").inc()
            await message.nak(delay=NOT_READY_PAUSE_SECONDS)
            return
        if reason:
            log.error("intake.refused", reason=reason)
            await bury(nc, INTAKE_KIND, message, reason)
        TAKEN.labels("refused" if reason else "accepted").inc()
        await message.ack()
    except (nats.errors.Error, OSError, TimeoutError) as error:
        # Not acknowledged: it comes again when the consumer's wait is over.
        log.warning("intake.retry", reason=str(error) or type(error).__name__)
    finally:
        limit.release()


def submission(body: bytes, message_id: str) -> SubmitTask:
    """The command that a message stands for. The ids may be left out where the message has one of its own: the same message
    then gives the same task. Raises Undecodable."""
    fields = _loose.decode(body)
    fields.setdefault("kind", msgspec.Raw(b'"submit_task"'))
    for name in ("id", "task"):
        if name not in fields and message_id:
            fields[name] = msgspec.Raw(msgspec.json.encode(ids.derived(INTAKE_KIND, name, message_id)))
    command = _submissions.decode(msgspec.json.encode(fields))
    return replace(
        command,
        submitted_by=clip(f"{INTAKE_KIND}:{command.submitted_by}", LINE_LENGTH_MAX),
        origin=Origin(kind=INTAKE_KIND),
    )


async def _submit(answers: Answers, command: SubmitTask) -> str | None:
    """Why it was refused, empty where it was accepted; None where there is no answer yet."""
    reply = await answers.command(command)
    if isinstance(reply, NotReady):
        return None
    return f"{reply.code}: {reply.message}" if isinstance(reply, RefusedReply) else ""
