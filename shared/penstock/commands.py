"""Commands: what a person or a program may ask of the orchestrator, and its typed answer.

Rule of this room: a command carries its id; sent twice it is answered twice and done once.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from penstock.bounds import (
    Attempts,
    Count,
    Id,
    Line,
    Message,
    Name,
    Priority,
    Seconds,
    Text,
    Title,
    Turns,
    Usd,
    Word,
)


class SubmitTask(Struct, frozen=True, kw_only=True, tag="submit_task", tag_field="kind", forbid_unknown_fields=True):
    """Ask for a change in a repo of the catalogue. `task` is the id the new task will have."""

    id: Id
    task: Id
    repo: Name
    title: Title
    description: Text = ""
    acceptance: Text = ""
    priority: Priority = 5
    labels: tuple[Word, ...] = ()
    vendor: Name = "claude"
    model: Word = ""
    flow: Word = "branch"
    max_attempts: Attempts = 3
    max_turns: Turns | None = 50
    max_cost_usd: Usd | None = None
    max_wall_seconds: Seconds = 3_600.0
    skip_verify: bool = False
    submitted_by: Line = ""


class CancelTask(Struct, frozen=True, kw_only=True, tag="cancel_task", tag_field="kind", forbid_unknown_fields=True):
    """Stop the task at whatever it is doing; its work is kept."""

    id: Id
    task: Id
    requested_by: Line
    reason: Line = ""


class UnblockTask(Struct, frozen=True, kw_only=True, tag="unblock_task", tag_field="kind", forbid_unknown_fields=True):
    """Let a blocked task try again, after a person has done what it asked for."""

    id: Id
    task: Id
    requested_by: Line


class ClaimJob(Struct, frozen=True, kw_only=True, tag="claim_job", tag_field="kind", forbid_unknown_fields=True):
    """An executor holds the job's lease at revision `epoch` and asks to begin."""

    id: Id
    task: Id
    job: Id
    host: Name
    epoch: Count
    instance: Word


Command: TypeAlias = SubmitTask | CancelTask | UnblockTask | ClaimJob


class Accepted(Struct, frozen=True, kw_only=True, tag="accepted", tag_field="kind"):
    """Done, or already so. `seq` is the last sequence of the task's events, 0 where the task has none."""

    task: Id
    seq: Count


class RefusedReply(Struct, frozen=True, kw_only=True, tag="refused", tag_field="kind"):
    """No, and why, in words for the one who asked. `code`: unknown_task, unknown_repo, conflict, invalid, not_possible."""

    code: Word
    message: Message
    field: Word = ""


class NotReady(Struct, frozen=True, kw_only=True, tag="not_ready", tag_field="kind"):
    """Nothing was done; ask again. `message` says what is waited for."""

    message: Message


Reply: TypeAlias = Accepted | RefusedReply | NotReady

SUBMIT_VERB = ("task", "submit")
CANCEL_VERB = ("task", "cancel")
UNBLOCK_VERB = ("task", "unblock")
CLAIM_VERB = ("job", "claim")


def verb_of(command: Command) -> tuple[str, str]:
    """Noun and verb of the command's subject."""
    match command:
        case SubmitTask():
            return SUBMIT_VERB
        case CancelTask():
            return CANCEL_VERB
        case UnblockTask():
            return UNBLOCK_VERB
        case ClaimJob():
            return CLAIM_VERB
