"""A task as it stands: everything that a decision about it can depend on.

Rule of this room: plain values. What changes them is `evolve`; what is due is not stored here but read off by `advance`.
What is frozen to the bottom cannot hold itself: Python's collector is spared it (`gc=False`), and does not walk again and again
through every task there is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from penstock.events import (
    AgentRequested,
    FailureClassified,
    GateScored,
    JobStopRequested,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskSubmitted,
    TaskSucceeded,
    TaskUnverified,
)
from penstock.values import (
    Change,
    CommandResult,
    Delivery,
    Evidence,
    FailedCheck,
    Kept,
    Parcel,
    Plan,
    Price,
    Recalled,
    ReviewComment,
    Usage,
)
from penstock_orchestrator.core import budget
from penstock_orchestrator.core.compact import Note

JobKind: TypeAlias = Literal["prepare", "plan", "agent", "compact", "verify", "publish"]
StepKind: TypeAlias = Literal["prepare", "plan", "agent", "compact", "verify", "preflight", "publish"]
Outcome: TypeAlias = Literal["succeeded", "unverified", "no_change", "failed", "cancelled"]
Judgement: TypeAlias = Literal["none", "passed", "excused", "failed", "skipped"]
PlanAnswer: TypeAlias = Literal["none", "commented", "approved", "rejected", "parked"]

COMMANDS_REMEMBERED: Final = 64
"""How many command ids a task remembers: far more than a person's retries can span."""

MAIL_OF_AGENTS_MAX: Final = 10
"""Of these, from agents of other tasks: the rest of the room is kept for people."""

MAIL_MAX: Final = 20
"""Messages that may wait for one task at once."""

HEARD_MAX: Final = 20
"""Messages that a session which starts over is told again."""

NO_CHANGE: Final = "agent.no_change"
MAX_TURNS: Final = "vendor.max_turns"
BUDGET: Final = "vendor.budget"
SESSION_ENDERS: Final = frozenset({"vendor.context_overflow", "vendor.session_lost"})
"""Failures after which the old session is of no use."""

ACCOUNT_LIMITS: Final = frozenset({"vendor.rate_limit", "vendor.usage_window", "vendor.overloaded"})
"""Failures that every task of the same vendor account would meet."""

FLEET_REASONS: Final = frozenset({"account.held", "budget.repo_day", "budget.fleet_day"})
"""Why a task was parked for the sake of others: decided over all tasks, so an input to this one."""

AGENT_STEPS: Final = frozenset({"plan", "agent", "compact"})
"""Steps that need the vendor and cost money."""


class CurrentJob(Struct, frozen=True, kw_only=True, gc=False):
    """The job that is asked for or running. `epoch` is None until a host has claimed it."""

    id: str
    kind: JobKind
    requested_at: datetime
    host: str | None
    epoch: int | None = None
    instance: str = ""


class Failure(Struct, frozen=True, kw_only=True, gc=False):
    """A failed step that nobody has answered yet, or the last one that was. `retry_at`: what the vendor said. `spent`: it has
    cost an attempt. `told`: what it looks like, once that was recorded."""

    kind: StepKind
    error_class: str
    message: str
    transient: bool
    retry_at: datetime | None = None
    commands: tuple[CommandResult, ...] = ()
    spent: bool = False
    told: FailureClassified | None = None

    @property
    def known_as(self) -> str:
        """The class it was given, or the one that it came with."""
        return self.error_class if self.told is None else self.told.error_class


class Parked(Struct, frozen=True, kw_only=True, gc=False):
    """Waiting by itself."""

    reason: str
    message: str
    wake_at: datetime


class Blocked(Struct, frozen=True, kw_only=True, gc=False):
    """Waiting for a person."""

    reason: str
    message: str
    can_do: str


class Proposal(Struct, frozen=True, kw_only=True, gc=False):
    """The last plan. `number` counts plans from 1; `answer` is what a person (or their silence) said of it."""

    number: int
    plan: Plan
    proposed_at: datetime
    answer: PlanAnswer = "none"
    answered_by: str = ""
    comments: tuple[str, ...] = ()


class Mail(Struct, frozen=True, kw_only=True, gc=False):
    """A message to the agent. `from_task`: the task whose agent wrote it, empty for a person. `job`: the run that was told;
    `delivered`: a host has begun that run; `answered`: the run has ended, having worked with it."""

    id: str
    text: str
    sender: str
    from_task: str = ""
    job: str = ""
    delivered: bool = False
    answered: bool = False


class Point(Struct, frozen=True, kw_only=True, gc=False):
    """Something that an agent will not do without a person, not answered yet."""

    id: str
    subject: str
    question: str
    options: tuple[str, ...] = ()


class Look(Struct, frozen=True, kw_only=True, gc=False):
    """A look at the pull request that is asked for or on its way. It goes on beside whatever job the task has."""

    id: str
    requested_at: datetime
    host: str | None = None
    epoch: int | None = None
    instance: str = ""


class Unseen(Struct, frozen=True, kw_only=True, gc=False):
    """Why the last look has seen nothing."""

    error_class: str
    message: str
    transient: bool


class Fix(Struct, frozen=True, kw_only=True, gc=False):
    """A fix run at work and the feedback it answers. `told`: an agent has read it; `said`: its last words; `handing_over`: it
    is on its way to the branch."""

    number: int
    comments: tuple[ReviewComment, ...] = ()
    checks: tuple[FailedCheck, ...] = ()
    told: bool = False
    said: str = ""
    handing_over: bool = False


End: TypeAlias = TaskSucceeded | TaskUnverified | TaskFailed | TaskCancelled
"""The event that a task has ended with."""


class Verdict(Struct, frozen=True, kw_only=True, gc=False):
    """How the checks of a commit of ours went, or why there were none."""

    commit: str
    judged: Judgement
    skipped: str
    results: tuple[CommandResult, ...]


class Review(Struct, frozen=True, kw_only=True, gc=False):
    """The pull request that the task has become. `pushed`: our own commits on it, the last at the end; `verdicts`: one of each.

    `state`, `head`, `checks_say`: as last seen, at `seen_at`. `known`: comments that were told, `idle` those of them that
    count for nothing; `left_out`: there are more than are told. `comments`, `checks`: feedback that waits for a fix run,
    `news_at` the last of it, `first_news_at` the first. `answered`: commits whose failed checks a fix run has taken,
    `comments_answered`: comments that one has answered, of this task or of one that it goes on from. `fixes`:
    fix runs so far, of `allowed`. `looks` so far, the last asked for at `asked_at` (before the first: when the pull request was
    opened); `quiet` without news and `misses` without sight in a row; `stirred`: somebody says there is news. `look_first`: the
    next step waits for a look. `taken_over`: somebody else has pushed."""

    number: int | None
    url: str
    pushed: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    allowed: int
    asked_at: datetime
    look_at: datetime
    state: str = ""
    head: str | None = None
    checks_say: str = ""
    seen_at: datetime | None = None
    known: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    left_out: bool = False
    comments: tuple[ReviewComment, ...] = ()
    checks: tuple[FailedCheck, ...] = ()
    news_at: datetime | None = None
    first_news_at: datetime | None = None
    answered: tuple[str, ...] = ()
    comments_answered: tuple[str, ...] = ()
    fix: Fix | None = None
    fixes: int = 0
    looks: int = 0
    quiet: int = 0
    misses: int = 0
    stirred: bool = False
    look_first: bool = False
    unseen: Unseen | None = None
    taken_over: bool = False


class Task(Struct, frozen=True, kw_only=True, gc=False):
    """One task. `seq`: the last sequence of its events, the next append's expectation. `held`: an event that this version
    cannot read; the task stands still until a later version runs. `admitted`: it holds a slot of the queue; `queued_at`:
    since when it has been without one. `usage`: what was spent, `cost_seen`: the part of the cost that is known,
    `run_usage`: what the run at work has reported so far. `waived`: what a person has let pass. `plans`: how often one was
    asked for, `proposals`: how often one came. `rebase_due`: the default branch has moved on from under the change; `rebases`: so
    often it was put on top of that. `results`: how the checks of the change went.
    `heard`: the last messages that the agent has worked with. `parcel`: the last
    work that a host has left whole for others, `parcel_usage`: the session's usage at that time. `answered`, at the end: the
    comments on its pull request that it has answered."""

    id: str
    repo: str
    seq: int
    spec: TaskSubmitted
    submitted_at: datetime
    updated_at: datetime
    queued_at: datetime
    vendor: str
    model: str
    priority: int
    max_cost_usd: float | None
    max_wall_seconds: float
    admitted: bool = False
    admissions: int = 0
    resolved: tuple[tuple[str, str], ...] = ()
    waived: frozenset[str] = frozenset()
    job: CurrentJob | None = None
    stop: JobStopRequested | None = None
    host: str | None = None
    branch: str = ""
    base_commit: str | None = None
    tip: str | None = None
    evidence: Evidence | None = None
    gate: GateScored | None = None
    recalled: tuple[Recalled, ...] | None = None
    plan: Proposal | None = None
    plans: int = 0
    proposals: int = 0
    attempts: int = 0
    attempts_spent: int = 0
    pauses: int = 0
    prepares: int = 0
    publishes: int = 0
    rebases: int = 0
    rebase_due: bool = False
    parks: int = 0
    lost: int = 0
    session_number: int = 1
    session_begun: bool = False
    session_attempts: int = 0
    session_usage: Usage | None = None
    agent: AgentRequested | None = None
    change: Change | None = None
    judged: Judgement = "none"
    results: tuple[CommandResult, ...] = ()
    skipped: str = ""
    failure: Failure | None = None
    last_failure: Failure | None = None
    alike_class: str = ""
    alike: int = 0
    escalated: str = ""
    escalations: int = 0
    failed_over: bool = False
    compact_wanted: str = ""
    compact_failed: bool = False
    compacted: str = ""
    summary: str = ""
    notes: tuple[Note, ...] = ()
    mail: tuple[Mail, ...] = ()
    heard: tuple[Mail, ...] = ()
    points: tuple[Point, ...] = ()
    parked: Parked | None = None
    blocked: Blocked | None = None
    cancel: TaskCancelRequested | None = None
    kept: Kept | None = None
    parcel: Parcel | None = None
    parcel_usage: Usage | None = None
    usage: Usage = Usage(cost_usd=0.0)
    cost_seen: float = 0.0
    run_usage: Usage | None = None
    warned: frozenset[str] = frozenset()
    delivery: Delivery | None = None
    delivery_job: str | None = None
    review: Review | None = None
    look: Look | None = None
    answered: tuple[str, ...] = ()
    outcome: Outcome | None = None
    end: End | None = None
    ended_at: datetime | None = None
    held: str = ""
    commands: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """The vendor account that the next agent step would be charged to."""
        return self.spec.account or self.vendor if self.vendor == self.spec.vendor else self.vendor

    @property
    def price(self) -> Price | None:
        """What the model now at work costs, where somebody has said so."""
        policy = self.spec.policy
        return policy.backup_price if self.failed_over else policy.price

    @property
    def backup(self) -> tuple[str, str] | None:
        """Vendor and model to fail over to, None where there is none or it is at work already."""
        spec = self.spec
        if not (spec.backup_vendor or spec.backup_model):
            return None
        to = (spec.backup_vendor or spec.vendor, spec.backup_model)
        return None if to == (self.vendor, self.model) else to

    @property
    def scope(self) -> tuple[str, ...]:
        """What the change may touch: by the plan, else by the task, else by the repo; empty is everything."""
        planned = () if self.plan is None else self.plan.plan.files_to_touch
        return planned or self.spec.scope or self.spec.repo.preflight.scope

    @property
    def closed(self) -> tuple[str, str] | None:
        """The first task that this one has waited for in vain, and how that ended; None where none stands in the way. What
        failed, ended unverified or is gone does not let this task through, unless a person has said so of that very one."""
        found = dict(self.resolved)
        for on in self.spec.depends_on:
            outcome = found.get(on, "succeeded")
            if outcome != "succeeded" and f"dependency.{on}" not in self.waived:
                return on, outcome
        return None

    @property
    def cost_so_far(self) -> float:
        """The known cost in USD, the run at work included: a lower bound where some of it is unknown."""
        if self.run_usage is None:
            return self.cost_seen
        return self.cost_seen + (budget.cost_usd(self.run_usage, self.price, self.spec.billing) or 0.0)

    @property
    def wall_so_far(self) -> float:
        """Seconds of agents and checks, the run at work included."""
        return self.usage.wall_seconds + (self.run_usage.wall_seconds if self.run_usage is not None else 0.0)

    @property
    def change_parcel(self) -> Parcel | None:
        """Where another host finds the change, None where none has been left."""
        left = self.parcel
        return left if left is not None and self.change is not None and left.commit == self.change.commit else None

    @property
    def pending_mail(self) -> tuple[Mail, ...]:
        """Messages that no run has been told yet."""
        return tuple(mail for mail in self.mail if not mail.job)

    @property
    def stop_wanted(self) -> str:
        """Why the running job is to end now; empty where it may go on."""
        if self.job is None or self.job.epoch is None:
            return ""
        if self.cancel is not None:
            return "the task was cancelled"
        if self.stop is not None and self.stop.job == self.job.id:
            return self.stop.reason
        return ""


def is_hosts_fault(error_class: str) -> bool:
    """True where the host could not do the step at all, so that it says nothing about the change."""
    return error_class.startswith("host.") or error_class == "env.disk_full"
