"""Jobs: work orders for executors. A job's id is the id of the event that asked for it.

Rule of this room: a job says everything its executor needs; what needs a secret names it and never carries it.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from penstock.bounds import Count, Id, Line, Name, Oid, Ref, Seconds, Shell, Text, Title, Turns, Usd, Word
from penstock.events import Billing
from penstock.values import Continuation, Kept, Parcel, Price, RepoSnapshot, VerifyCommands

PROMPT_LENGTH_MAX = 120_000

WAIVABLE: Final = frozenset(
    f"preflight.{rule}" for rule in ("scope", "size", "symlink", "submodule", "workflow", "path", "conflict")
)
"""What a person may let pass of what speaks against a change. No secret, no forbidden file and no foreign author."""


class PrepareWork(Struct, frozen=True, kw_only=True, tag="prepare", tag_field="kind"):
    """Mirror up to date, own clone on `branch` at the tip of the repo's default branch (or at `kept`, or at what `continues`
    has handed over: somebody's later commits on that branch are taken along). `words`: what the task is about, to look for in
    the repository, where evidence is wanted; a task may have none that say anything. `parcel`: where `kept` is to be had from
    if this host has it not; if it cannot be, the work fails. `rebase`: the commit that is to be put on top of where the default
    branch is now; the clone goes there too. `share_work`: leave it for other hosts. `clean`: the folder of a local repo must
    have nothing uncommitted."""

    repo: RepoSnapshot
    branch: Ref
    base_commit: Oid | None = None
    kept: Kept | None = None
    continues: Continuation | None = None
    words: tuple[Word, ...] = ()
    wants_evidence: bool = False
    parcel: Parcel | None = None
    rebase: Oid | None = None
    share_work: bool = False
    clean: bool = False


class AgentWork(Struct, frozen=True, kw_only=True, tag="agent", tag_field="kind"):
    """One agent run. `prompt` is the whole first message, or only the new one where a session is resumed;
    `fresh_prompt` is what to say when the session to resume has vanished. `billing`: `subscription` where a login is to pay
    and not a key by the token; `price`: of the model's tokens, where it is known; so in every kind of agent run. `parcel`:
    where the session to resume is to be had from if this host has it not. `share_work`: leave what was done for other hosts;
    `publish_elsewhere`: one of them hands it over, so what is too large to be left is no result."""

    repo: RepoSnapshot
    branch: Ref
    base_commit: Oid
    attempt: Count
    vendor: Name
    model: Word
    session_id: Word
    resume: bool
    prompt: str
    fresh_prompt: str
    max_turns: Turns | None
    max_cost_usd: Usd | None
    wall_seconds_max: Seconds
    billing: Billing = "api"
    price: Price | None = None
    parcel: Parcel | None = None
    share_work: bool = False
    publish_elsewhere: bool = False


class PlanWork(Struct, frozen=True, kw_only=True, tag="plan", tag_field="kind"):
    """One agent run that may read and not write; its answer holds a plan as JSON."""

    repo: RepoSnapshot
    branch: Ref
    base_commit: Oid
    vendor: Name
    model: Word
    session_id: Word
    prompt: str
    max_turns: Turns | None
    max_cost_usd: Usd | None
    wall_seconds_max: Seconds
    billing: Billing = "api"
    price: Price | None = None


class CompactWork(Struct, frozen=True, kw_only=True, tag="compact", tag_field="kind"):
    """One agent run that may read and not write; its answer is a summary of what has happened."""

    repo: RepoSnapshot
    branch: Ref
    base_commit: Oid
    vendor: Name
    model: Word
    session_id: Word
    prompt: str
    max_turns: Turns | None
    max_cost_usd: Usd | None
    wall_seconds_max: Seconds
    billing: Billing = "api"
    price: Price | None = None


class VerifyWork(Struct, frozen=True, kw_only=True, tag="verify", tag_field="kind"):
    """The repo's commands on exactly this commit. `base_commit`: where to find out what had failed before."""

    repo: RepoSnapshot
    branch: Ref
    commit: Oid
    commands: VerifyCommands
    command_timeout_seconds: Seconds
    base_commit: Oid | None = None


class PublishWork(Struct, frozen=True, kw_only=True, tag="publish", tag_field="kind"):
    """Hand `commit` over by `flow`. `title` and `body` are for a pull request or a patch's cover. `expected`: where the
    branch must stand on the remote before the push, None where it must not exist yet. `parcel`: where `commit` is to be had
    from if this host has it not. `scope`: what the change may touch, as in a plan's files; empty is everything. `waived`: what
    the look at the change may find and let pass, by the word of a person. `on_tip`: `base_commit` must still be where the
    default branch is. `number`: of the pull request that there is already, None where nobody knows; `says`: what to say below
    it once the commit is there."""

    repo: RepoSnapshot
    branch: Ref
    base_commit: Oid
    commit: Oid
    flow: Word
    title: Title
    body: Text
    verified: bool
    expected: Oid | None = None
    parcel: Parcel | None = None
    number: Count | None = None
    says: Text = ""
    scope: tuple[Line, ...] = ()
    waived: tuple[Word, ...] = ()
    on_tip: bool = False


class ObserveWork(Struct, frozen=True, kw_only=True, tag="observe", tag_field="kind"):
    """Look at the pull request `number` (None: the one from `branch`). `known`: the comments that earlier looks have told.
    `reviewers`: whose comments count; empty: those of all who may write to the repository."""

    repo: RepoSnapshot
    branch: Ref
    number: Count | None = None
    known: tuple[Word, ...] = ()
    reviewers: tuple[Word, ...] = ()


Work: TypeAlias = PrepareWork | PlanWork | AgentWork | CompactWork | VerifyWork | PublishWork | ObserveWork


class Job(Struct, frozen=True, kw_only=True):
    """One order in the work queue. `host` is None where any host of the pool may take it."""

    id: Id
    task: Id
    repo: Name
    pool: Name
    host: Name | None
    work: Work


class VerifyStep(Struct, frozen=True, kw_only=True):
    """One command of a verify job, in the order in which they run."""

    stage: Word
    command: Shell


def verify_steps(commands: VerifyCommands) -> tuple[VerifyStep, ...]:
    """The configured commands in their fixed order: pre, build, test, lint."""
    pairs = (("pre", commands.pre), ("build", commands.build), ("test", commands.test), ("lint", commands.lint))
    return tuple(VerifyStep(stage=stage, command=command) for stage, command in pairs if command is not None)


class StopOrder(Struct, frozen=True, kw_only=True):
    """Sent on the job's control subject: end it now, keep the work, say why."""

    job: Id
    reason: Line


class SayOrder(Struct, frozen=True, kw_only=True):
    """Sent on the job's control subject, and again until it was told: something for the agent in the middle of its run.
    `message`: its id, by which a repetition is known."""

    job: Id
    message: Id
    text: str
