"""Answers to commands and reports: may this be, and which event says so?

Rule of this room: a refusal is raised as `Refused`, in words for the person who asked; what is already so is `[]`.
"""

from __future__ import annotations

import hashlib
from typing import assert_never

import msgspec

from penstock.catalog import Repo, snapshot
from penstock.commands import CancelTask, ClaimJob, SubmitTask, UnblockTask
from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    JobClaimed,
    JobStopped,
    KnownEvent,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
    TaskCancelRequested,
    TaskSubmitted,
    TaskUnblocked,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.reports import Report, ReportBody
from penstock.values import Policy
from penstock_orchestrator.core.task import JobKind, Task

FLOWS = ("branch", "patch")


class Refused(Exception):
    """No, and why. `code` is for programs, `field` names what was wrong where one field was."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


def decide(task: Task | None, command: CancelTask | UnblockTask | ClaimJob) -> list[KnownEvent]:
    """The events that a command leads to; `[]` where it is already so. Raises Refused."""
    if task is None:
        raise Refused("unknown_task", f"there is no task {command.task}", "task")
    if command.id in task.commands:
        return []
    if task.held:
        raise Refused("not_possible", f"the task is held: {task.held}; a later version of the orchestrator is needed")
    match command:
        case CancelTask():
            return _cancel(task, command)
        case UnblockTask():
            return _unblock(task, command)
        case ClaimJob():
            return _claim(task, command)
        case _:
            assert_never(command)


def submit(
    task: Task | None, command: SubmitTask, repo: Repo | None, policy: Policy, vendors: tuple[str, ...]
) -> list[KnownEvent]:
    """The first event of a new task. `repo` is the catalogue's entry, None where it has none. Raises Refused."""
    mark = fingerprint(command)
    if task is not None:
        if task.spec.fingerprint == mark:
            return []
        raise Refused("conflict", f"task {command.task} exists already and was asked for something else", "task")
    if repo is None:
        raise Refused("unknown_repo", f"there is no repo named {command.repo!r}; add it with PUT /v1/repos", "repo")
    if command.vendor not in vendors:
        raise Refused("invalid", f"unknown vendor {command.vendor!r}; known: {', '.join(vendors)}", "vendor")
    if command.flow not in FLOWS:
        raise Refused("invalid", f"unknown flow {command.flow!r}; known: {', '.join(FLOWS)}", "flow")
    return [
        TaskSubmitted(
            title=command.title,
            description=command.description,
            acceptance=command.acceptance,
            priority=command.priority,
            labels=command.labels,
            vendor=command.vendor,
            model=command.model,
            flow=command.flow,
            repo=snapshot(repo),
            max_attempts=command.max_attempts,
            max_turns=command.max_turns,
            max_cost_usd=command.max_cost_usd,
            max_wall_seconds=command.max_wall_seconds,
            skip_verify=command.skip_verify,
            submitted_by=command.submitted_by,
            fingerprint=mark,
            policy=policy,
        )
    ]


def fingerprint(command: SubmitTask) -> str:
    """A digest of what was asked for, whoever carries it: the same wish gives the same mark."""
    wish = msgspec.structs.replace(command, id="0" * 26)
    return hashlib.sha256(msgspec.json.encode(wish, order="sorted")).hexdigest()[:32]


def accept(task: Task | None, report: Report) -> list[KnownEvent]:
    """The event that a report becomes, `[]` where its job is not the running one or its epoch is stale."""
    if task is None or task.outcome is not None or task.held or task.job is None:
        return []
    body = report.body
    current = (task.job.id, task.job.epoch)
    if (report.job, report.epoch) != current or (body.job, body.epoch) != current:
        return []
    kind = _kind_of(body)
    return [body] if kind is None or kind == task.job.kind else []


def _kind_of(body: ReportBody) -> JobKind | None:
    match body:
        case PrepareSucceeded() | PrepareFailed():
            return "prepare"
        case AgentSucceeded() | AgentFailed():
            return "agent"
        case VerifySucceeded() | VerifyFailed():
            return "verify"
        case PublishSucceeded() | PublishFailed():
            return "publish"
        case JobStopped():
            return None
        case _:
            assert_never(body)


def _cancel(task: Task, command: CancelTask) -> list[KnownEvent]:
    if task.outcome == "cancelled" or (task.outcome is None and task.cancel is not None):
        return []
    if task.outcome is not None:
        raise Refused("not_possible", f"the task has already ended: {task.outcome}")
    return [TaskCancelRequested(requested_by=command.requested_by, reason=command.reason)]


def _unblock(task: Task, command: UnblockTask) -> list[KnownEvent]:
    if task.outcome is not None:
        raise Refused("not_possible", f"the task has already ended: {task.outcome}")
    if task.blocked is None:
        raise Refused("not_possible", "the task is not blocked")
    return [TaskUnblocked(unblocked_by=command.requested_by)]


def _claim(task: Task, command: ClaimJob) -> list[KnownEvent]:
    job = task.job
    if job is None or job.id != command.job:
        raise Refused("not_possible", f"job {command.job} is not asked for any more", "job")
    if job.epoch is not None:
        if (job.epoch, job.instance) == (command.epoch, command.instance):
            return []
        raise Refused("conflict", f"job {command.job} is held by {job.host} under epoch {job.epoch}", "job")
    if task.cancel is not None:
        raise Refused("not_possible", "the task is being cancelled", "job")
    if job.host is not None and job.host != command.host:
        raise Refused("conflict", f"job {command.job} is for host {job.host}", "host")
    return [JobClaimed(job=command.job, host=command.host, epoch=command.epoch, instance=command.instance)]
