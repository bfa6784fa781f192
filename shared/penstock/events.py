"""The events: what has happened to a task, in the past tense, for ever.

Rule of this room: a tag is written by hand and never changes; a new fact is a new field whose default says what was true
before it was recorded; a new meaning is a new tag. Text is bounded, tuples are tuples, units are in the names.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from penstock.bounds import (
    Attempts,
    Count,
    Id,
    Line,
    Message,
    Name,
    Oid,
    Priority,
    Ref,
    Seconds,
    Shell,
    Tail,
    Text,
    Title,
    Turns,
    Url,
    Usd,
    Word,
)

Utc = Annotated[datetime, Meta(tz=True)]


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Something that happened to a task. Its id, time and task stand in the envelope, not here."""


class VerifyCommands(Struct, frozen=True, kw_only=True):
    """Shell commands that say whether a change is good, run in this order; None where a repo has none."""

    pre: Shell | None = None
    build: Shell | None = None
    test: Shell | None = None
    lint: Shell | None = None


class RepoSnapshot(Struct, frozen=True, kw_only=True):
    """A repo's settings as they were when the task was submitted, so that its log replays to the same decisions."""

    name: Name
    clone_url: Url
    default_branch: Ref = "main"
    provider: Word = "git"
    verify: VerifyCommands = VerifyCommands()
    command_timeout_seconds: Seconds = 600.0


class Usage(Struct, frozen=True, kw_only=True):
    """What one agent run used. `cost_usd` is None when nobody could say, which is not the same as nothing."""

    turns: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    cost_usd: Usd | None = None
    wall_seconds: Seconds = 0.0


class Kept(Struct, frozen=True, kw_only=True):
    """Work in progress, kept on a private ref before anything touched it."""

    ref: Ref
    commit: Oid


class Change(Struct, frozen=True, kw_only=True):
    """A change as the trusted side counted it, between the base commit and `commit`."""

    commit: Oid
    commits: Count
    files: tuple[Line, ...]
    files_changed: Count
    lines_added: Count
    lines_removed: Count


class CommandResult(Struct, frozen=True, kw_only=True):
    """One verify command: what ran, how it ended, the end of what it printed. `exit_code` is None when it was stopped."""

    stage: Word
    command: Shell
    exit_code: int | None
    wall_seconds: Seconds
    tail: Tail = ""
    ended: Word = "exited"

    @property
    def passed(self) -> bool:
        return self.exit_code == 0 and self.ended == "exited"


class Artifact(Struct, frozen=True, kw_only=True):
    """Bytes kept beside the log, in chunks, by reference."""

    name: Name
    size_bytes: Count
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
    chunks: Count
    media_type: Word = "application/octet-stream"


class Delivery(Struct, frozen=True, kw_only=True):
    """Where the change can be found now. `adopted`: it was already there and was not pushed again."""

    kind: Word
    commit: Oid
    branch: Ref = "-"
    url: Annotated[str, Meta(max_length=1_000)] = ""
    adopted: bool = False
    patch: Artifact | None = None


class Policy(Struct, frozen=True, kw_only=True):
    """The orchestrator's limits at the time of submission, kept with the task so that its log always replays alike."""

    park_seconds_min: Seconds = 5.0
    park_seconds_max: Seconds = 600.0
    parks_max: Count = 200
    lost_max: Count = 8
    pauses_max: Count = 5
    host_patience_seconds: Seconds = 600.0


# -- the life of a task ------------------------------------------------------------------------------------------------


class TaskSubmitted(Event, frozen=True, kw_only=True, tag="task_submitted"):
    """Somebody asked for a change; everything a later decision depends on is copied here."""

    title: Title
    description: Text = ""
    acceptance: Text = ""
    priority: Priority = 5
    labels: tuple[Word, ...] = ()
    vendor: Name = "claude"
    model: Word = ""
    flow: Word = "branch"
    repo: RepoSnapshot
    max_attempts: Attempts = 3
    max_turns: Turns | None = 50
    max_cost_usd: Usd | None = None
    max_wall_seconds: Seconds = 3_600.0
    skip_verify: bool = False
    submitted_by: Line = ""
    fingerprint: Word = ""
    policy: Policy = Policy()


class PrepareRequested(Event, frozen=True, kw_only=True, tag="prepare_requested"):
    """A host is to bring the mirror up to date and make the task's own clone."""

    number: Count
    host: Name | None = None
    kept: Kept | None = None


class PrepareSucceeded(Event, frozen=True, kw_only=True, tag="prepare_succeeded"):
    """The clone stands on a host, at a recorded base commit."""

    job: Id
    epoch: Count
    host: Name
    base_commit: Oid
    branch: Ref
    wall_seconds: Seconds = 0.0


class PrepareFailed(Event, frozen=True, kw_only=True, tag="prepare_failed"):
    """The clone could not be made."""

    job: Id
    epoch: Count
    error_class: Word
    message: Message
    transient: bool = False


class AgentRequested(Event, frozen=True, kw_only=True, tag="agent_requested"):
    """One attempt of the agent is to run; `hint` is what the last one should have known."""

    attempt: Count
    host: Name
    session_id: Word
    resume: bool = False
    hint: Tail = ""


class AgentSucceeded(Event, frozen=True, kw_only=True, tag="agent_succeeded"):
    """The agent ended well and git shows a change."""

    job: Id
    epoch: Count
    change: Change
    usage: Usage = Usage()
    session_id: Word = ""
    vendor_version: Word = ""
    summary: Message = ""
    sandbox: Word = ""
    kept: Kept | None = None


class AgentFailed(Event, frozen=True, kw_only=True, tag="agent_failed"):
    """The agent ended without a usable change; `retry_at` where the vendor said when to come back."""

    job: Id
    epoch: Count
    error_class: Word
    message: Message
    transient: bool = False
    retry_at: Utc | None = None
    usage: Usage = Usage()
    session_id: Word = ""
    vendor_version: Word = ""
    sandbox: Word = ""
    kept: Kept | None = None


class VerifyRequested(Event, frozen=True, kw_only=True, tag="verify_requested"):
    """The repo's own commands are to be run on the change."""

    attempt: Count
    host: Name
    commit: Oid


class VerifySucceeded(Event, frozen=True, kw_only=True, tag="verify_succeeded"):
    """Every configured command ended with 0 on this commit."""

    job: Id
    epoch: Count
    commit: Oid
    commands: tuple[CommandResult, ...]
    sandbox: Word = ""


class VerifyFailed(Event, frozen=True, kw_only=True, tag="verify_failed"):
    """A command said no, or could not be run."""

    job: Id
    epoch: Count
    commit: Oid
    error_class: Word
    message: Message
    commands: tuple[CommandResult, ...] = ()
    sandbox: Word = ""


class VerifySkipped(Event, frozen=True, kw_only=True, tag="verify_skipped"):
    """Nothing checked this commit, and why; a task that ends so is unverified, not succeeded."""

    attempt: Count
    commit: Oid
    reason: Word


class PublishRequested(Event, frozen=True, kw_only=True, tag="publish_requested"):
    """The change is to be handed over, exactly once."""

    number: Count
    host: Name
    commit: Oid
    branch: Ref
    flow: Word
    verified: bool


class PublishSucceeded(Event, frozen=True, kw_only=True, tag="publish_succeeded"):
    """The change is where it was asked for."""

    job: Id
    epoch: Count
    delivery: Delivery


class PublishFailed(Event, frozen=True, kw_only=True, tag="publish_failed"):
    """The change could not be handed over."""

    job: Id
    epoch: Count
    error_class: Word
    message: Message
    transient: bool = False


class JobClaimed(Event, frozen=True, kw_only=True, tag="job_claimed"):
    """A host holds the lease of this job; `epoch` is the lease's revision and fences every older holder.
    `instance` is the very process, so that a host's next start is not taken for it."""

    job: Id
    host: Name
    epoch: Count
    instance: Word = ""


class JobLost(Event, frozen=True, kw_only=True, tag="job_lost"):
    """The holder of the job went silent, or (`host_gone`) the host with the task's clone has been away for too long.
    Whatever the holder still says is refused."""

    job: Id
    epoch: Count
    host: Word
    reason: Line
    host_gone: bool = False


class JobStopped(Event, frozen=True, kw_only=True, tag="job_stopped"):
    """The holder ended the job because it was told to, with its work kept."""

    job: Id
    epoch: Count
    reason: Line
    usage: Usage = Usage()
    kept: Kept | None = None


class TaskCancelRequested(Event, frozen=True, kw_only=True, tag="task_cancel_requested"):
    """Somebody wants the task to stop."""

    requested_by: Line
    reason: Line = ""


class TaskParked(Event, frozen=True, kw_only=True, tag="task_parked"):
    """The task waits, holding nothing, and goes on by itself at `wake_at`."""

    reason: Word
    message: Message
    wake_at: Utc
    number: Count


class TaskBlocked(Event, frozen=True, kw_only=True, tag="task_blocked"):
    """The task waits for a person, and says what that person can do."""

    reason: Word
    message: Message
    can_do: Line


class TaskUnblocked(Event, frozen=True, kw_only=True, tag="task_unblocked"):
    """A person has let the task go on."""

    unblocked_by: Line


class TaskSucceeded(Event, frozen=True, kw_only=True, tag="task_succeeded"):
    """The end: a verified change was handed over."""

    delivery: Delivery
    attempts: Count
    usage: Usage


class TaskUnverified(Event, frozen=True, kw_only=True, tag="task_unverified"):
    """The end: a change was handed over, and nothing has checked it."""

    delivery: Delivery
    attempts: Count
    usage: Usage
    reason: Word


class TaskFailed(Event, frozen=True, kw_only=True, tag="task_failed"):
    """The end: no usable change, and why."""

    error_class: Word
    message: Message
    attempts: Count
    usage: Usage
    kept: Kept | None = None


class TaskCancelled(Event, frozen=True, kw_only=True, tag="task_cancelled"):
    """The end: somebody stopped it."""

    cancelled_by: Line
    reason: Line = ""
    usage: Usage
    kept: Kept | None = None


class Unknown(Struct, frozen=True, kw_only=True):
    """An event of a type that this version does not know: skipped and counted by readers; it holds the task in the core."""

    type: str


KnownEvent: TypeAlias = (
    TaskSubmitted
    | PrepareRequested
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
    | JobClaimed
    | JobLost
    | JobStopped
    | TaskCancelRequested
    | TaskParked
    | TaskBlocked
    | TaskUnblocked
    | TaskSucceeded
    | TaskUnverified
    | TaskFailed
    | TaskCancelled
)

AnyEvent: TypeAlias = KnownEvent | Unknown


class Recorded(Struct, frozen=True, kw_only=True):
    """An event as the log holds it: `seq` is the stream's sequence, `at` the writer's clock."""

    seq: int
    id: Id
    repo: Name
    task: Id
    at: datetime
    causation_id: str
    data: AnyEvent
