"""Values that events, commands and jobs are made of: settings as they were copied, what was used, what was found.

Rule of this room: a new field has a default that says what was true before it was recorded; a limit whose default is 0 is
off, since old logs were decided without it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from penstock.bounds import (
    COUNT_MAX,
    EGRESS_HOSTS_MAX,
    PATHS_MAX,
    Count,
    EgressHost,
    Id,
    Line,
    Message,
    Name,
    Oid,
    Ref,
    Score,
    Seconds,
    Share,
    Shell,
    Tail,
    Url,
    Usd,
    Word,
)

Utc = Annotated[datetime, Meta(tz=True)]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$", description="a time of day, HH:MM")]


class VerifyCommands(Struct, frozen=True, kw_only=True):
    """Shell commands that say whether a change is good, run in this order; None where a repo has none."""

    pre: Shell | None = None
    build: Shell | None = None
    test: Shell | None = None
    lint: Shell | None = None


class Finding(Struct, frozen=True, kw_only=True):
    """What speaks against handing a change over as it is. `severity`: `hard` (a person must act), `recoverable` (the agent
    can mend it) or `flagged` (said, and let pass). `line` is None where it is about the file, `file` is empty where it is
    about the whole change. `message` never shows a secret."""

    rule: Word
    severity: Word
    file: Line = ""
    line: Count | None = None
    message: Line = ""
    can_do: Line = ""


class Preflight(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a repo's changes are looked at for before they are handed over. `scope`: what they may touch, as in a plan's
    files; empty is everything. `workflows`: what a change of the forge's own automation means. `fixtures`: files whose
    secrets are made up."""

    file_bytes_max: Annotated[int, Meta(ge=1, le=COUNT_MAX)] = 1_000_000
    workflows: Annotated[str, Meta(pattern=r"^(flag|block|allow)(?!\n)$")] = "flag"
    scope: Annotated[tuple[Line, ...], Meta(max_length=PATHS_MAX)] = ()
    fixtures: Annotated[tuple[Line, ...], Meta(max_length=PATHS_MAX)] = ()


class RepoSnapshot(Struct, frozen=True, kw_only=True):
    """A repo's settings as they were when the task was submitted, so that its log replays to the same decisions. `egress`:
    the hosts that its agents and checks may reach; without any they have no network at all."""

    name: Name
    clone_url: Url
    default_branch: Ref = "main"
    provider: Word = "git"
    verify: VerifyCommands = VerifyCommands()
    command_timeout_seconds: Seconds = 600.0
    egress: Annotated[tuple[EgressHost, ...], Meta(max_length=EGRESS_HOSTS_MAX)] = ()
    preflight: Preflight = Preflight()


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


class Parcel(Struct, frozen=True, kw_only=True):
    """What a host has left beside the log for another one, as artifacts of `job`. `bundle`: a git bundle with what `commit`
    has beyond the task's base, on `ref`. `session`: the agent program's own record of the session, as a tar of paths below
    its home. None where there was nothing, or more than an artifact may hold; `commit` is None where nothing was changed."""

    job: Id
    ref: Ref
    commit: Oid | None = None
    bundle: Artifact | None = None
    session: Artifact | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the work can be gone on with elsewhere."""
        return self.commit is None or self.bundle is not None


class Delivery(Struct, frozen=True, kw_only=True):
    """Where the change can be found now. `adopted`: it was already there and was not pushed again. `patches`: the patch once
    more, commit by commit, where there is more than one and not too many."""

    kind: Word
    commit: Oid
    branch: Ref = "-"
    url: Annotated[str, Meta(max_length=1_000)] = ""
    adopted: bool = False
    patch: Artifact | None = None
    patches: tuple[Artifact, ...] = ()


class Price(Struct, frozen=True, kw_only=True):
    """What a model's tokens cost, in USD for a million of each kind."""

    input_usd: Usd
    output_usd: Usd
    cache_read_usd: Usd = 0.0
    cache_write_usd: Usd = 0.0


class Policy(Struct, frozen=True, kw_only=True):
    """The orchestrator's limits at the time of submission, kept with the task so that its log always replays alike.

    `failures_alike_max`: so many failures of the same class in a row escalate. `reset_seconds_max`: a vendor's word that is
    further away is not believed. `compact_after_attempts`: a session this old starts afresh from a summary; `compaction`
    says who writes it: `rules` (no model) or `agent`. `abstain_below`: tasks with a lower score wait for a person.
    `budget_warning`: the share of a budget at which a warning is due. All of these: 0 is off. `share_work`: what a host has
    done is left beside the log for others. `publish_pool`: hosts of this pool hand the change over, not the one that made it.
    `rebases_max`: so often a change is put on top of what its branch has become meanwhile; 0 is never."""

    park_seconds_min: Seconds = 5.0
    park_seconds_max: Seconds = 600.0
    parks_max: Count = 200
    lost_max: Count = 8
    pauses_max: Count = 5
    host_patience_seconds: Seconds = 600.0
    failures_alike_max: Count = 0
    reset_seconds_max: Seconds = 0.0
    compact_after_attempts: Count = 0
    compaction: Word = "rules"
    abstain_below: Score = 0.0
    budget_warning: Share = 0.0
    plan_turns_max: Count = 30
    plan_seconds_max: Seconds = 900.0
    plans_max: Count = 10
    price: Price | None = None
    backup_price: Price | None = None
    share_work: bool = False
    publish_pool: Name | None = None
    rebases_max: Count = 0


class PlanGate(Struct, frozen=True, kw_only=True):
    """What silence means for a plan that waits: after `silence_seconds` (0: never) `wait`, `park`, `deny` or
    `approve_if_low_risk`."""

    silence: Annotated[str, Meta(pattern=r"^(wait|park|deny|approve_if_low_risk)(?!\n)$")] = "wait"
    silence_seconds: Seconds = 0.0


class Window(Struct, frozen=True, kw_only=True):
    """The time of day in which agents may run, in a time zone; it may span midnight."""

    opens: Clock
    closes: Clock
    timezone: Word = "UTC"


class Continuation(Struct, frozen=True, kw_only=True):
    """The finished task whose branch (and pull request) a new one goes on with. `commit` is what was handed over."""

    task: Id
    branch: Ref
    commit: Oid
    base_commit: Oid
    url: Annotated[str, Meta(max_length=1_000)] = ""


class Origin(Struct, frozen=True, kw_only=True):
    """Where a task came from when nobody asked for it by hand: `kind` is schedule, intake, retry, continuation or another
    word, `name` which of them. `missed`: fires of the schedule that were let go before."""

    kind: Word
    name: Word = ""
    scheduled_for: Utc | None = None
    missed: Count = 0


class Plan(Struct, frozen=True, kw_only=True):
    """What an agent proposes to do, for a person to judge before anything is changed."""

    summary: Message
    approach: Message = ""
    steps: tuple[Line, ...] = ()
    files_to_touch: tuple[Line, ...] = ()
    risks: tuple[Line, ...] = ()
    risk: Annotated[str, Meta(pattern=r"^(low|medium|high|unknown)(?!\n)$")] = "unknown"
    acceptance_check: Message = ""


class Evidence(Struct, frozen=True, kw_only=True):
    """What a host found out about the task in its repository before an agent ran; None where a source failed or there is
    none. `words`: the task's words that say something. `overlap`: how many of them the repository's paths know.
    `recent_commits`: commits of the last fourteen days on the paths that the words touch, of `recent_commits_all`.
    `open_pull_requests`: open ones on the same paths."""

    words: Count = 0
    overlap: Count | None = None
    paths: tuple[Line, ...] = ()
    recent_commits: Count | None = None
    recent_commits_all: Count | None = None
    open_pull_requests: Count | None = None
    degraded: tuple[Line, ...] = ()


class History(Struct, frozen=True, kw_only=True):
    """How earlier tasks of the repo have ended, as known when it was asked for. Times and turns are those of the good ones."""

    succeeded: Count = 0
    failed: Count = 0
    wall_seconds: tuple[Seconds, ...] = ()
    turns: tuple[Count, ...] = ()


class Signal(Struct, frozen=True, kw_only=True):
    """One source of the score. `weight` is its share after the weights of failed sources were shared out."""

    source: Word
    value: Share
    weight: Share
    why: Line = ""


class Forecast(Struct, frozen=True, kw_only=True):
    """What the repo's history lets expect; None where it is too short. `samples`: how many tasks it is drawn from."""

    samples: Count
    chance: Share | None = None
    wall_seconds: Seconds | None = None
    turns: Count | None = None
