"""Events in words for people.

Rule of this room: pure; whatever a text of an event holds, what leaves here is one line without control characters. Agents,
repos and endpoints write parts of these texts, and a terminal obeys what it is sent.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias, assert_never

from penstock.codec import type_of
from penstock.events import (
    AgentFailed,
    AgentRequested,
    AgentSucceeded,
    AnyEvent,
    JobClaimed,
    JobLost,
    JobStopped,
    KnownEvent,
    PrepareFailed,
    PrepareRequested,
    PrepareSucceeded,
    PublishFailed,
    PublishRequested,
    PublishSucceeded,
    Recorded,
    TaskBlocked,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskParked,
    TaskSubmitted,
    TaskSucceeded,
    TaskUnblocked,
    TaskUnverified,
    Unknown,
    VerifyFailed,
    VerifyRequested,
    VerifySkipped,
    VerifySucceeded,
)
from penstock.values import Delivery, Usage
from penstock_notifier.words import (
    OfJudgement,
    OfReview,
    OfTalk,
    OfThePlan,
    OfTheQueue,
    because,
    money,
    says_compaction,
    says_judgement,
    says_plan,
    says_queue,
    says_review,
    says_talk,
)

LINE_LENGTH_MAX: Final = 400

# C0, DEL, C1, line and paragraph separators, and what turns the direction of text.
_UNPRINTABLE: Final = re.compile("[\x00-\x20\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def clean(text: str, length_max: int = LINE_LENGTH_MAX) -> str:
    """`text` on one line, cut to `length_max` characters, without anything that a terminal would act on."""
    flat = _UNPRINTABLE.sub(" ", text).strip()
    return flat if len(flat) <= length_max else flat[: length_max - 1] + "…"


def line(event: Recorded) -> str:
    """When, where, what, and what it means: `2026-03-01T09:30:00Z shop/01jabc… task_failed no_change: nothing to do`."""
    at = event.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{at} {event.repo}/{event.task} {_type(event.data)} {clean(_says_any(event.data))}"


def _type(event: AnyEvent) -> str:
    return clean(event.type, 100) if isinstance(event, Unknown) else type_of(event)


def _says_any(event: AnyEvent) -> str:
    return "an event of a later version" if isinstance(event, Unknown) else says(event)


OfTheTask: TypeAlias = (
    TaskSubmitted
    | TaskCancelRequested
    | TaskParked
    | TaskBlocked
    | TaskUnblocked
    | TaskSucceeded
    | TaskUnverified
    | TaskFailed
    | TaskCancelled
)
OfAJob: TypeAlias = JobClaimed | JobLost | JobStopped
OfAStep: TypeAlias = (
    PrepareRequested
    | PrepareSucceeded
    | PrepareFailed
    | AgentRequested
    | AgentSucceeded
    | AgentFailed
    | VerifyRequested
    | VerifySucceeded
    | VerifyFailed
    | VerifySkipped
    | PublishRequested
    | PublishSucceeded
    | PublishFailed
)


def says(event: KnownEvent) -> str:
    """One sentence about the event; not yet clean."""
    if isinstance(event, OfTheTask):
        return _says_task(event)
    if isinstance(event, OfAJob):
        return _says_job(event)
    if isinstance(event, OfAStep):
        return _says_step(event)
    if isinstance(event, OfTheQueue):
        return says_queue(event)
    if isinstance(event, OfThePlan):
        return says_plan(event)
    if isinstance(event, OfTalk):
        return says_talk(event)
    if isinstance(event, OfJudgement):
        return says_judgement(event)
    if isinstance(event, OfReview):
        return says_review(event)
    return says_compaction(event)


def _says_task(event: OfTheTask) -> str:
    match event:
        case TaskSubmitted(title=title, submitted_by=by):
            return f"{title} (asked for by {by})" if by else title
        case TaskCancelRequested(requested_by=by, reason=reason):
            return f"{by} wants it stopped{because(reason)}"
        case TaskParked(reason=reason, message=message, wake_at=wake_at):
            return f"waits until {wake_at:%Y-%m-%d %H:%M} UTC ({reason}): {message}"
        case TaskBlocked(reason=reason, message=message, can_do=can_do):
            return f"needs a person ({reason}): {can_do} - {message}"
        case TaskUnblocked(unblocked_by=by):
            return f"{by} let it go on"
        case TaskSucceeded(delivery=delivery, attempts=attempts, usage=usage, reservations=reservations):
            but = f", but: {', '.join(reservations)}" if reservations else ""
            return f"{_where(delivery)}, verified{but} ({_cost(attempts, usage)})"
        case TaskUnverified(delivery=delivery, attempts=attempts, usage=usage, reason=reason):
            return f"{_where(delivery)}, NOT verified: {reason} ({_cost(attempts, usage)})"
        case TaskFailed(error_class=error_class, message=message, attempts=attempts, usage=usage):
            return f"{error_class} ({_cost(attempts, usage)}): {message}"
        case TaskCancelled(cancelled_by=by, reason=reason, usage=usage):
            return f"stopped by {by}{because(reason)} ({money(usage)})"
        case _:
            assert_never(event)


def _says_job(event: OfAJob) -> str:
    match event:
        case JobClaimed(job=job, host=host):
            return f"job {job} has begun on {host}"
        case JobLost(job=job, reason=reason):
            return f"job {job} is lost: {reason}"
        case JobStopped(job=job, reason=reason):
            return f"job {job} was stopped: {reason}"
        case _:
            assert_never(event)


def _says_step(event: OfAStep) -> str:
    match event:
        case PrepareRequested(number=number):
            return f"a clone is to be made (number {number})"
        case PrepareSucceeded(host=host, base_commit=commit, branch=branch):
            return f"{branch} stands on {host} at {commit[:12]}"
        case AgentRequested(attempt=attempt, host=host):
            return f"attempt {attempt} is to run on {host}"
        case AgentSucceeded(change=change, usage=usage):
            return (
                f"{change.files_changed} files, +{change.lines_added} -{change.lines_removed}, "
                f"at {change.commit[:12]} ({money(usage)})"
            )
        case VerifyRequested(commit=commit, host=host):
            return f"{commit[:12]} is to be verified on {host}"
        case VerifySucceeded(commit=commit, commands=commands):
            flaky = sum(command.flaky for command in commands)
            return f"{commit[:12]} passed {len(commands)} commands" + (f", {flaky} of them FLAKY" if flaky else "")
        case VerifySkipped(commit=commit, reason=reason):
            return f"{commit[:12]} was not verified: {reason}"
        case PublishRequested(commit=commit, branch=branch):
            return f"{commit[:12]} is to be handed over on {branch}"
        case PublishSucceeded(delivery=delivery):
            return _where(delivery)
        case PrepareFailed() | AgentFailed() | VerifyFailed() | PublishFailed():
            return f"{event.error_class}: {event.message}"
        case _:
            assert_never(event)


def _where(delivery: Delivery) -> str:
    place = delivery.url or (delivery.patch.name if delivery.patch else delivery.branch)
    return f"{delivery.kind} at {place}, commit {delivery.commit[:12]}"


def _cost(attempts: int, usage: Usage) -> str:
    return f"{attempts} attempt{'' if attempts == 1 else 's'}, {money(usage)}"
