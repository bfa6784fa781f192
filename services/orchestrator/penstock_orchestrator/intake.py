"""What comes in from outside while this orchestrator leads: commands by request, reports from their stream.

Rule of this room: a request is answered whatever happens, never one at a time, and never with an exception's text; a report
is acknowledged only after the log holds what it said.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, assert_never

import nats.errors
import structlog
from msgspec.structs import replace
from nats import micro
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.micro.request import Request
from prometheus_client import Counter

from penstock import CONTRACT_VERSION, codec, ids
from penstock import subjects as s
from penstock.bounds import MESSAGE_LENGTH_MAX, clip
from penstock.codec import TooLarge, Undecodable, Unreadable, encode
from penstock.commands import VERBS, NotReady, RefusedReply, Reply, verb_of
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentSucceeded,
    CompactFailed,
    CompactSucceeded,
    DecisionRaised,
    JobStopped,
    MessageTold,
    NetworkDenied,
    ObserveFailed,
    PlanFailed,
    PlanProposed,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
    PullRequestObserved,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.log import OutcomeUnknown
from penstock.reports import Report, ReportBody
from penstock_orchestrator.answers import Answers
from penstock_orchestrator.loop import BREAKS, Loop

log = structlog.get_logger()

COMMANDS_AT_ONCE_MAX: Final = 512
COMMAND_SECONDS_MAX: Final = 25.0
REPORTS_AHEAD: Final = 200
PULL_SECONDS: Final = 20.0
HEARTBEAT_SECONDS: Final = 2.0
REASON_LENGTH_MAX: Final = 400

COMMANDS: Final = Counter("penstock_commands", "commands answered", ["verb", "reply"])
REPORTS_UNREADABLE: Final = Counter(
    "penstock_reports_unreadable", "reports that could not be decoded, now dead letters"
)


@asynccontextmanager
async def commands(nc: Client, answers: Answers, group: asyncio.TaskGroup) -> AsyncIterator[None]:
    """Answer commands while inside."""
    service = await micro.add_service(
        nc,
        name=s.COMMAND_SERVICE,
        version=f"{CONTRACT_VERSION}.0.0",
        description="Commands of Penstock: accepted at a sequence, or refused and why.",
    )
    limit = asyncio.Semaphore(COMMANDS_AT_ONCE_MAX)

    async def handle(request: Request) -> None:
        # An endpoint serves one request at a time: the work goes to a task of its own.
        group.create_task(_answer(answers, request, limit))

    try:
        for noun, verb in VERBS.values():
            await service.add_endpoint(name=f"{noun}-{verb}", subject=s.command(noun, verb), handler=handle)
        yield
    finally:
        await service.stop()


async def _answer(answers: Answers, request: Request, limit: asyncio.Semaphore) -> None:
    noun, verb = request.subject.split(".")[-2:]
    async with limit:
        reply = await _reply(answers, (noun, verb), request.data)
    COMMANDS.labels(f"{noun}.{verb}", type(reply).__name__).inc()
    try:
        await request.respond(encode(reply))
    except (nats.errors.Error, OSError, ValueError) as error:
        # The one who asked will ask again with the same id, and be answered the same.
        log.warning("command.reply_lost", reason=str(error))


async def _reply(answers: Answers, asked_on: tuple[str, str], body: bytes) -> Reply:
    try:
        command = codec.commands.decode(body)
    except Undecodable as error:
        return RefusedReply(code="invalid", message=f"not a command: {error}", field=_field_of(str(error)))
    if verb_of(command) != asked_on:
        # Who may ask for what is the broker's to say, and it knows subjects only.
        wanted, found = ".".join(verb_of(command)), ".".join(asked_on)
        return RefusedReply(code="invalid", message=f"this is a command of {wanted}, asked on {found}", field="kind")
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            return await answers.command(command)
    except TimeoutError:
        return NotReady(message="the orchestrator could not decide in time; ask again with the same id")
    except BREAKS:
        # Whatever one command stumbles over, the next one must find somebody who answers.
        log.exception("command.broke", command=type(command).__name__, task=command.task)
        return RefusedReply(code="internal", message="the orchestrator could not decide this; its log says why")


def _field_of(error: str) -> str:
    """`… - at `$.title`` names the field `title`."""
    _, _, path = error.rpartition("`$.")
    return path.rstrip("`") if path != error else ""


async def reports(nc: Client, loop: Loop) -> None:
    """Take reports from their durable, many tasks at once, for ever."""
    limit = asyncio.Semaphore(REPORTS_AHEAD)
    async with asyncio.TaskGroup() as group:
        async for message in pull(nc, s.REPORTS, s.REPORTS_DURABLE, ahead=REPORTS_AHEAD):
            await limit.acquire()
            group.create_task(_take_report(nc, loop, message, limit))


async def _take_report(nc: Client, loop: Loop, message: Msg, limit: asyncio.Semaphore) -> None:
    try:
        try:
            report = codec.reports.decode(message.data)
        except Undecodable as error:
            await _unreadable(nc, message, str(error))
        else:
            try:
                await loop.report(report)
            except (TooLarge, Unreadable) as error:
                await _unreadable(nc, message, str(error))
                if (instead := unfit(report, str(error))) is not None:
                    await loop.report(instead)
        await message.ack()
    except (nats.errors.Error, OSError, OutcomeUnknown, TimeoutError) as error:
        # Not acknowledged: it comes again when the consumer's wait is over.
        log.warning("report.retry", subject=message.subject, reason=str(error) or type(error).__name__)
    finally:
        limit.release()


async def bury(nc: Client, source: str, message: Msg, reason: str) -> None:
    """Put a message that can never become an event among the dead letters, with the reason beside it."""
    # Header values are one line of ASCII: readers of headers differ on anything else. The place in the stream makes a
    # second try of the same message the same dead letter.
    told = " ".join(reason.split())[:REASON_LENGTH_MAX].encode("ascii", "replace").decode("ascii")
    await nc.jetstream(timeout=3.0).publish(
        s.dead_letter(source, ids.fresh()),
        message.data,
        stream=s.DEAD,
        headers={s.MSG_ID: f"dead.{source}.{message.metadata.sequence.stream}", s.DEAD_REASON: told},
    )


async def _unreadable(nc: Client, message: Msg, reason: str) -> None:
    REPORTS_UNREADABLE.inc()
    log.error("report.unreadable", subject=message.subject, reason=reason)
    await bury(nc, "report", message, reason)


def unfit(report: Report, reason: str) -> Report | None:
    """What the orchestrator records in the place of a report that no event can hold: the step failed on its host.
    None for news from the middle of a run, which is not over by it."""
    job, epoch = report.job, report.epoch
    message = clip(f"the host's report could not be recorded: {reason}", MESSAGE_LENGTH_MAX)
    error_class = "host.bug"
    body: ReportBody
    match report.body:
        case PrepareSucceeded() | PrepareFailed():
            body = PrepareFailed(job=job, epoch=epoch, error_class=error_class, message=message, transient=True)
        case PlanProposed() | PlanFailed():
            body = PlanFailed(job=job, epoch=epoch, error_class=error_class, message=message, transient=True)
        case CompactSucceeded() | CompactFailed():
            body = CompactFailed(job=job, epoch=epoch, error_class=error_class, message=message)
        case AgentProgressed() | DecisionRaised() | MessageTold() | NetworkDenied():
            return None
        case AgentSucceeded() | AgentFailed():
            body = AgentFailed(job=job, epoch=epoch, error_class=error_class, message=message, transient=True)
        case VerifySucceeded() | VerifyFailed():
            commit = report.body.commit
            body = VerifyFailed(job=job, epoch=epoch, commit=commit, error_class=error_class, message=message)
        case PublishSucceeded() | PublishFailed():
            body = PublishFailed(job=job, epoch=epoch, error_class=error_class, message=message, transient=True)
        case PullRequestObserved() | ObserveFailed():
            body = ObserveFailed(job=job, epoch=epoch, error_class=error_class, message=message, transient=True)
        case JobStopped():
            body = JobStopped(job=job, epoch=epoch, reason="stopped, and its report could not be recorded")
        case _:
            assert_never(report.body)
    return replace(report, body=body)


async def pull(nc: Client, stream: str, durable: str, *, ahead: int) -> AsyncIterator[Msg]:
    """Messages of a durable by standing pulls of `ahead` each, over every reconnect; explicit acks are the caller's."""
    inbox = nc.new_inbox()
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await nc.subscribe(inbox, cb=arrived.put, pending_msgs_limit=-1, pending_bytes_limit=0)
    request = json.dumps(
        {
            "batch": ahead,
            "expires": int(PULL_SECONDS * 1e9),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9),
        }
    ).encode()
    asked = 0
    try:
        while True:
            if asked <= ahead // 2:
                await nc.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", request, reply=inbox)
                asked += ahead
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS * 2.5):
                    message = await arrived.get()
            except TimeoutError:
                # Silence beyond the heartbeat: the server or the request is gone. What was asked for is not owed any more.
                asked = 0
                continue
            status = (message.headers or {}).get("Status")
            if status is None or message.data:
                asked -= 1
                yield message
            elif status != "100":
                asked = 0
                if status not in ("404", "408"):
                    await asyncio.sleep(HEARTBEAT_SECONDS / 4)
    finally:
        if not nc.is_closed:
            await subscription.unsubscribe()
