"""From an order to the right to work on it: lease, claim, and only then the acknowledgement.

Rule of this room: a crash between any two lines is harmless. Before the claim the order is simply given out again; after it
the lease's end tells the orchestrator; and an order that is given out once too often is refused by the claim.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, TypeAlias, assert_never

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock import ids
from penstock import subjects as s
from penstock.codec import Undecodable, encode, replies
from penstock.commands import CLAIM_VERB, Accepted, ClaimJob, NotReady, RefusedReply
from penstock.jobs import Job
from penstock.streams import JOB_ACK_SECONDS

log = structlog.get_logger()

CLAIM_SECONDS_MAX: Final = 120.0
"""How long an order is held while the orchestrator is not ready; then somebody else may try."""

ANSWER_SECONDS_MAX: Final = 3.0
RETRY_PAUSE_SECONDS: Final = 0.5
PROGRESS_SECONDS: Final = JOB_ACK_SECONDS / 4
"""A fraction of the orders' ack_wait, so that one we still try to claim is not given to somebody else."""

NOT_READY_SECONDS_MAX: Final = 3.0
"""How long a "not yet" is asked again at once, as a change of leader has it. One that stays is a paused or full host: its
order goes back, and the slot is free for others."""

ACK_SECONDS_MAX: Final = 3.0
ACK_TRIES_MAX: Final = 3
GIVE_BACK_SECONDS: Final = 5.0

Answer: TypeAlias = Literal["accepted", "refused", "not_ready", "no_answer"]


async def claim(nc: Client, order: Msg, job: Job, *, host: str, instance: str, epoch: int) -> Answer:
    """Ask for the job, under a lease that is held, until there is an answer, CLAIM_SECONDS_MAX are over, or it has been "not
    yet" for NOT_READY_SECONDS_MAX."""
    command = ClaimJob(id=ids.fresh(), task=job.task, job=job.id, host=host, epoch=epoch, instance=instance)
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + CLAIM_SECONDS_MAX
    progress_at = loop.time() + PROGRESS_SECONDS
    not_ready_since: float | None = None
    while loop.time() < give_up_at:
        reply = await _ask(nc, command)
        match reply:
            case Accepted():
                return "accepted"
            case RefusedReply():
                log.info("claim.refused", task=job.task, job=job.id, code=reply.code, reason=reply.message)
                return "refused"
            case NotReady():
                not_ready_since = not_ready_since or loop.time()
                if loop.time() - not_ready_since >= NOT_READY_SECONDS_MAX:
                    log.info("claim.not_ready", task=job.task, job=job.id, reason=reply.message)
                    return "not_ready"
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
            case None:
                not_ready_since = None
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
            case _:
                assert_never(reply)
        if loop.time() >= progress_at:
            await _still_at_it(order)
            progress_at = loop.time() + PROGRESS_SECONDS
    return "no_answer"


async def _ask(nc: Client, command: ClaimJob) -> Accepted | RefusedReply | NotReady | None:
    """One request; None where nobody answered, or not in words of the contract."""
    try:
        answer = await nc.request(s.command(*CLAIM_VERB), encode(command), timeout=ANSWER_SECONDS_MAX)
        reply = replies.decode(answer.data)
        if isinstance(reply, Accepted | RefusedReply | NotReady):
            return reply
        log.warning("claim.answer_of_another_kind", job=command.job)
    except (nats.errors.Error, OSError) as error:
        log.debug("claim.no_answer", job=command.job, reason=str(error) or type(error).__name__)
    except Undecodable as error:
        log.warning("claim.answer_undecodable", job=command.job, reason=str(error))
    return None


async def acknowledge(order: Msg) -> None:
    """Take the order off the queue. Where that fails it is given out again, and then refused by the claim."""
    for _ in range(ACK_TRIES_MAX):
        try:
            await order.ack_sync(timeout=ACK_SECONDS_MAX)
            return
        except (nats.errors.Error, OSError) as error:
            log.warning("order.ack_failed", subject=order.subject, reason=str(error) or type(error).__name__)


async def give_back(order: Msg, *, after_seconds: float = GIVE_BACK_SECONDS) -> None:
    """Let the order be given out again, to anybody, but not at once."""
    try:
        await order.nak(delay=after_seconds)
    except (nats.errors.Error, OSError):
        # The broker gives it out again when its time is over.
        return


async def refuse(nc: Client, order: Msg, reason: str) -> None:
    """Take an order that is none off the queue for good; the broker's advisory keeps `reason`."""
    try:
        await nc.publish(order.reply, f"+TERM {reason}"[:500].encode(errors="replace"))
    except (nats.errors.Error, OSError):
        # It comes again, and is refused again.
        return


async def _still_at_it(order: Msg) -> None:
    try:
        await order.in_progress()
    except (nats.errors.Error, OSError):
        return
