"""The reports of a job: made so that it can be read whatever happened, and sent until the broker has it.

Rule of this room: whatever ends a step becomes a report with a class. An error that nobody foresaw is one too: it is the
host's fault until somebody knows better, and its traceback is in the log.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, assert_never

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError

from penstock import codec, ids
from penstock import subjects as s
from penstock.bounds import EVENT_BYTES_MAX, LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX
from penstock.codec import Undecodable, encode
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    CompactFailed,
    DecisionRaised,
    JobStopped,
    MessageTold,
    NetworkDenied,
    ObserveFailed,
    PlanFailed,
    PrepareFailed,
    PublishFailed,
    VerifyFailed,
)
from penstock.jobs import AgentWork, CompactWork, ObserveWork, PlanWork, PrepareWork, PublishWork, VerifyWork
from penstock.reports import Report, ReportBody
from penstock.values import Usage
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.steps.bench import InHand

log = structlog.get_logger()

HOSTS_FAULT: Final = "host."
"""The family of failures that say nothing about the task: this host could not do the step at all."""

SEND_SECONDS_MAX: Final = 3.0
RETRY_SECONDS_MIN: Final = 0.2
RETRY_SECONDS_MAX: Final = 2.0
ENVELOPE_BYTES: Final = 4_096
"""What an event's envelope may add to a report's body."""


def failed(
    hand: InHand, error_class: str, message: str, *, transient: bool = False, retry_at: datetime | None = None
) -> ReportBody:
    """The job's failure, as its kind of work says it. A verify that could not be done is a fault of the host. `retry_at`: when
    a forge is to be asked again."""
    # Before it is cut: half a secret is none that anybody would find.
    job, epoch, words = hand.job, hand.tenure.epoch, shown(hand.redactor.text(message), MESSAGE_LENGTH_MAX)
    match job.work:
        case PrepareWork():
            return PrepareFailed(job=job.id, epoch=epoch, error_class=error_class, message=words, transient=transient)
        case AgentWork():
            return AgentFailed(
                job=job.id,
                epoch=epoch,
                error_class=error_class,
                message=words,
                transient=transient,
                usage=hand.usage,
                session_id=hand.session_id,
                vendor_version=hand.vendor_version,
                sandbox=hand.sandbox,
                kept=hand.kept,
                session_restarted=hand.session_restarted,
                parcel=hand.parcel,
            )
        case PlanWork():
            return PlanFailed(
                job=job.id,
                epoch=epoch,
                error_class=error_class,
                message=words,
                transient=transient,
                usage=hand.usage,
                session_id=hand.session_id,
                vendor_version=hand.vendor_version,
                sandbox=hand.sandbox,
            )
        case CompactWork():
            return CompactFailed(job=job.id, epoch=epoch, error_class=error_class, message=words, usage=hand.usage)
        case VerifyWork():
            if not error_class.startswith(HOSTS_FAULT):
                error_class = HOSTS_FAULT + error_class.replace(".", "_")
            return VerifyFailed(
                job=job.id,
                epoch=epoch,
                commit=job.work.commit,
                error_class=error_class,
                message=words,
                sandbox=hand.sandbox,
            )
        case PublishWork():
            return PublishFailed(
                job=job.id,
                epoch=epoch,
                error_class=error_class,
                message=words,
                transient=transient,
                retry_at=retry_at,
            )
        case ObserveWork():
            return ObserveFailed(
                job=job.id,
                epoch=epoch,
                error_class=error_class,
                message=words,
                transient=transient,
                retry_at=retry_at,
            )
        case _:
            assert_never(job.work)


def stopped(hand: InHand, reason: str) -> JobStopped:
    """The end of a job that was told to end, with what it used and kept until then."""
    words = shown(hand.redactor.text(reason), LINE_LENGTH_MAX)
    return JobStopped(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        reason=words,
        usage=hand.usage,
        kept=hand.kept,
        parcel=hand.parcel,
    )


def class_of_os_error(error: OSError) -> str:
    """What this host lacks, as far as its kernel says it."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "host.disk_full"
        case errno.EMFILE | errno.ENFILE:
            return "host.open_files"
        case errno.ENOMEM | errno.EAGAIN:
            return "host.resources"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "host.permission"
        case _:
            return "host.os_error"


def report_of(hand: InHand, host: str, body: ReportBody) -> Report:
    """The report, proven readable: one that the contract would refuse becomes a failure that says so."""
    try:
        report = news_of(hand, host, body)
        encoded = encode(report)
        codec.reports.decode(encoded)
        if len(encoded) <= EVENT_BYTES_MAX - ENVELOPE_BYTES:
            return report
        reason = f"it has {len(encoded)} bytes"
    except (Undecodable, UnicodeEncodeError) as error:
        reason = str(error)
    kind = codec.type_of(body)
    log.error("report.unfit", task=hand.job.task, job=hand.job.id, kind=kind, reason=reason)
    # Nothing that came from a child goes into this one, or it might be as unfit as the first.
    bare = replace(hand, usage=Usage(), kept=None, parcel=None, session_id="", vendor_version="")
    return news_of(hand, host, failed(bare, "host.bug", f"the {kind} could not be sent: {reason}", transient=True))


def news_of(hand: InHand, host: str, body: ReportBody) -> Report:
    """The report without the secrets that may be in it, and not proven: for what is not the end of the job. Raises Undecodable
    where it is none without them."""
    job = hand.job
    report = Report(
        id=ids.fresh(),
        task=job.task,
        repo=job.repo,
        job=job.id,
        epoch=hand.tenure.epoch,
        host=host,
        at=datetime.now(UTC),
        body=body,
    )
    # What a child printed has been looked through. It was put together since, and words of ours and of others came in.
    encoded = encode(report)
    hidden = hand.redactor.whole(encoded)
    return report if hidden == encoded else codec.reports.decode(hidden)


async def send(nc: Client, report: Report, must_hold: Callable[[], None]) -> None:
    """Until the stream has acknowledged it. `must_hold` raises when the job is not ours any more."""
    pause = RETRY_SECONDS_MIN
    while True:
        try:
            await send_once(nc, report, must_hold)
            return
        except (nats.errors.Error, APIError, OSError) as error:
            # Stored or not, nobody knows: the same id again is the same report.
            log.warning("report.retry", task=report.task, job=report.job, reason=str(error) or type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_SECONDS_MAX)


async def send_once(nc: Client, report: Report, must_hold: Callable[[], None]) -> None:
    """One try. Raises the client's errors, after which it may be stored or not, and what `must_hold` raises."""
    must_hold()
    subject = s.report(report.task, report.job, _kind_of(report.body))
    js = nc.jetstream(timeout=SEND_SECONDS_MAX)
    await js.publish(subject, encode(report), stream=s.REPORTS, headers={s.MSG_ID: report.id})


def _kind_of(body: ReportBody) -> str:
    """The last word of its subject: whoever waits for the end of a job can leave out the news from its middle."""
    if isinstance(body, AgentProgressed):
        return "progress"
    if isinstance(body, MessageTold):
        return "told"
    if isinstance(body, NetworkDenied):
        return "denied"
    return "decision" if isinstance(body, DecisionRaised) else codec.type_of(body)
