"""Values that events, commands and jobs are made of: settings as they were copied, what was used, what was found.

Rule of this room: a new field has a default that says what was true before it was recorded; a limit whose default is 0 is
off, since old logs were decided without it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from penstock.bounds import (
    COUNT_MAX,
    EGRESS_HOSTS_MAX,
    LABELS_MAX,
    PATHS_MAX,
    REPORT_GLOBS_MAX,
    TEST_NAMES_MAX,
    Count,
    EgressHost,
    Glob,
    Id,
    Label,
    Line,
    MapText,
    Message,
    Name,
    Oid,
    PublicUrl,
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
LOCAL: Final = "local"
"""The provider of a repo that is a folder of a host, without any remote; `clone_url` is its path."""

Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$", description="a time of day, HH:MM")]


Names = Annotated[tuple[Line, ...], Meta(max_length=TEST_NAMES_MAX)]


class VerifyCommands(Struct, frozen=True, kw_only=True):
    """Shell commands that say whether a change is good, run in this order; None where a repo has none. `reports`: files that
    they write about their tests (JUnit XML, or the JSON of common tools); empty: looked for in the well-known places."""

    pre: Shell | None = None
    build: Shell | None = None
    test: Shell | None = None
    lint: Shell | None = None
    reports: Annotated[tuple[Glob, ...], Meta(max_length=REPORT_GLOBS_MAX)] = ()


class ProposedCheck(Struct, frozen=True, kw_only=True):
    """A command that could check changes of a repository, by its own files; nobody has confirmed it, and it was not run.
    `stage`: pre, build, test or lint. `confidence`: high, medium or low. `source`: the file that it comes from. `reports`: files
    that it would write about its tests."""

    stage: Word
    command: Shell
    confidence: Word
    source: Line
    why: Line = ""
    reports: Annotated[tuple[Glob, ...], Meta(max_length=REPORT_GLOBS_MAX)] = ()


class Checking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How closely a failed check is looked at. `rerun`: run it once more on the same commit, `test` where it is the test
    command, `all` whichever it is; what passes then is flaky, and `flaky_passes` says whether that is good enough. `baseline`:
    run the checks on the commit at which the task began, `failed` after a failure, `always` to know also what was fixed.
    `failed_before`: what a change is whose failures are all older than itself."""

    rerun: Annotated[str, Meta(pattern=r"^(off|test|all)(?!\n)$")] = "test"
    flaky_passes: bool = True
    baseline: Annotated[str, Meta(pattern=r"^(off|failed|always)(?!\n)$")] = "off"
    failed_before: Annotated[str, Meta(pattern=r"^(unverified|succeeded)(?!\n)$")] = "unverified"


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


class PullRequests(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pull requests of a repo are opened: as drafts, and with which labels."""

    draft: bool = False
    labels: Annotated[tuple[Label, ...], Meta(max_length=LABELS_MAX)] = ()


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
    checking: Checking = Checking(rerun="off")
    pull_requests: PullRequests = PullRequests()


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


class Artifact(Struct, frozen=True, kw_only=True):
    """Bytes kept beside the log, in chunks, by reference."""

    name: Name
    size_bytes: Count
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
    chunks: Count
    media_type: Word = "application/octet-stream"


class Tally(Struct, frozen=True, kw_only=True):
    """What a command's own reports say of its tests, or of its findings: `passed` counts none of those. `source`: which kind of
    report, or `text` where there was none and the printed sums were read. `failed_names` has the first of them."""

    total: Count
    passed: Count
    failed: Count
    skipped: Count
    failed_names: Names = ()
    source: Word = ""


class Rerun(Struct, frozen=True, kw_only=True):
    """A failed command, run once more on the same commit with nothing changed. `flaky`: how many tests failed at first and
    passed now; None where no report says so."""

    exit_code: int | None
    ended: Word
    wall_seconds: Seconds
    tests: Tally | None = None
    flaky: Count | None = None
    flaky_names: Names = ()
    output: Artifact | None = None

    @property
    def passed(self) -> bool:
        return self.exit_code == 0 and self.ended == "exited"


class Baseline(Struct, frozen=True, kw_only=True):
    """The same command on the commit at which the task began, and what the change makes of it. `wall_seconds` is 0 where the
    host had looked at that commit before. `new_failures`, `failed_before` and `fixed` count tests by their names; None where
    there are no names on both sides, so that one failure is like another."""

    commit: Oid
    exit_code: int | None
    ended: Word
    wall_seconds: Seconds = 0.0
    tests: Tally | None = None
    new_failures: Count | None = None
    new_names: Names = ()
    failed_before: Count | None = None
    failed_before_names: Names = ()
    fixed: Count | None = None
    fixed_names: Names = ()


class CommandResult(Struct, frozen=True, kw_only=True):
    """One verify command: what ran, how it ended, the end of what it printed. `exit_code` is None when it was stopped.
    `output`: all that it printed, gzipped. `again`: how it ended when it was run once more, `before`: on the commit at which
    the task began; None where it was not."""

    stage: Word
    command: Shell
    exit_code: int | None
    wall_seconds: Seconds
    tail: Tail = ""
    ended: Word = "exited"
    output: Artifact | None = None
    tests: Tally | None = None
    again: Rerun | None = None
    before: Baseline | None = None

    @property
    def passed(self) -> bool:
        """At once, or when it was run again: then it is flaky too."""
        return (self.exit_code == 0 and self.ended == "exited") or self.flaky

    @property
    def flaky(self) -> bool:
        return self.again is not None and self.again.passed

    @property
    def failed_before(self) -> bool:
        """Failed by itself, as it had at the task's beginning, and nothing is known to be worse: by the names of its tests, or
        where neither side has a report, by that it failed."""
        was = self.before
        if self.passed or was is None or not (_has_failed(self) and _has_failed(was)):
            return False
        if was.new_failures is None:
            return self.tests is None and was.tests is None
        return was.new_failures == 0 and bool(was.failed_before)

    @property
    def all_wall_seconds(self) -> float:
        """What it took to say so, all runs together."""
        more = (self.again.wall_seconds if self.again else 0.0) + (self.before.wall_seconds if self.before else 0.0)
        return self.wall_seconds + more


def _has_failed(run: CommandResult | Baseline) -> bool:
    """Whether it has said no itself: a program that is not there, or that a signal has ended, says nothing."""
    code = run.exit_code
    return run.ended == "exited" and code is not None and code != 0 and code not in _SAYS_NOTHING


_SAYS_NOTHING = frozenset((126, 127, *range(128, 160)))
"""What a shell ends with where its command was not started, or was ended by a signal."""


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
    number: Count | None = None


class Price(Struct, frozen=True, kw_only=True):
    """What a model's tokens cost, in USD for a million of each kind."""

    input_usd: Usd
    output_usd: Usd
    cache_read_usd: Usd = 0.0
    cache_write_usd: Usd = 0.0


class Follow(Struct, frozen=True, kw_only=True):
    """How a task goes on once it has become a pull request: it is looked at until it is merged or closed, and what checks and
    reviewers find is answered by fix runs.

    `look_seconds`: between two looks after news; each one without any doubles it, up to `look_seconds_max`. Who is told that
    there is news looks at once, but not sooner than `look_seconds_min` after the last look. `settle_seconds`: feedback is
    answered once nothing has been added for so long. `fix_runs_max`: so many fix runs, then a person is asked; 0: none at
    all, the pull request is only watched. `reviewers`: whose comments count; empty: those of all who
    may write to the repository."""

    look_seconds_min: Seconds = 5.0
    look_seconds: Seconds = 60.0
    look_seconds_max: Seconds = 1_800.0
    settle_seconds: Seconds = 20.0
    fix_runs_max: Count = 3
    reviewers: tuple[Word, ...] = ()


class FailedCheck(Struct, frozen=True, kw_only=True):
    """A check of the forge that has failed on a commit, in its own words."""

    name: Line
    url: Annotated[str, Meta(max_length=1_000)] = ""
    summary: Message = ""


class ReviewComment(Struct, frozen=True, kw_only=True):
    """What somebody has said about a pull request. `id`: unique in the forge. `path` and `line` are of what it is about,
    empty and None where it is about the whole. `trusted`: the forge knows the author as one who may write to the repository;
    what strangers say leads to nothing, unless they were named."""

    id: Word
    author: Word
    text: Message
    path: Line = ""
    line: Count | None = None
    trusted: bool = True


class Policy(Struct, frozen=True, kw_only=True):
    """The orchestrator's limits at the time of submission, kept with the task so that its log always replays alike.

    `failures_alike_max`: so many failures of the same class in a row escalate. `reset_seconds_max`: a vendor's word that is
    further away is not believed. `compact_after_attempts`: a session this old starts afresh from a summary; `compaction`
    says who writes it: `rules` (no model) or `agent`. `abstain_below`: tasks with a lower score wait for a person.
    `budget_warning`: the share of a budget at which a warning is due. All of these: 0 is off. `share_work`: what a host has
    done is left beside the log for others. `publish_pool`: hosts of this pool hand the change over, not the one that made it.
    `rebases_max`: so often a change is put on top of what its branch has become meanwhile; 0 is never.
    `recall_max`: so many memories of the repo are recalled before the first agent run; 0 is off.
    `follow`: what becomes of the pull request is followed; None: the task ends when it is opened.
    `public_url`: where people find the api, for links in what is handed over; empty: no links."""

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
    recall_max: Count = 0
    follow: Follow | None = None
    public_url: PublicUrl = ""


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
    """The finished task whose branch (and pull request) a new one goes on with. `commit` is what was handed over; `answered`:
    the comments on the pull request that were answered before."""

    task: Id
    branch: Ref
    commit: Oid
    base_commit: Oid
    url: Annotated[str, Meta(max_length=1_000)] = ""
    answered: tuple[Word, ...] = ()


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
    none. `words`: the task's words that say something. `overlap`: how many of them the repository's paths know, or the names
    that it defines; `symbols` of them are known by such a name, None where no map was made. `map`: what the repository defines,
    the most telling first, as text. `recent_commits`: commits of the last fourteen days on the paths that the words touch, of
    `recent_commits_all`. `open_pull_requests`: open ones on the same paths."""

    words: Count = 0
    overlap: Count | None = None
    paths: tuple[Line, ...] = ()
    recent_commits: Count | None = None
    recent_commits_all: Count | None = None
    open_pull_requests: Count | None = None
    degraded: tuple[Line, ...] = ()
    symbols: Count | None = None
    map: MapText = ""


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


class Recalled(Struct, frozen=True, kw_only=True):
    """One memory of the repo, as it was recalled for a task. `kind`: success, failure, review, decision, lesson or another word.
    `task`: the earlier task that it is of, empty for what a person has written. `similarity`: the share of the new task's words,
    each by its weight, that the memory knows."""

    memory: Id
    kind: Word
    title: Line
    happened: Message
    similarity: Share
    task: Word = ""
    outcome: Word = ""
    error_class: Word = ""
    files: tuple[Line, ...] = ()
