"""The events: what has happened to a task, in the past tense, for ever.

Rule of this room: a tag is written by hand and never changes; a new fact is a new field whose default says what was true
before it was recorded; a new meaning is a new tag. Text is bounded, tuples are tuples, units are in the names.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from penstock.bounds import (
    PATHS_MAX,
    PROPOSED_MAX,
    RECALLED_MAX,
    Amount,
    Attempts,
    Count,
    Id,
    Line,
    Message,
    Name,
    Oid,
    Priority,
    Ref,
    Score,
    Seconds,
    Tail,
    Text,
    Title,
    Turns,
    Usd,
    Word,
)
from penstock.values import (
    Artifact,
    Change,
    CommandResult,
    Continuation,
    Delivery,
    Evidence,
    FailedCheck,
    Finding,
    Forecast,
    History,
    Kept,
    Origin,
    Parcel,
    Plan,
    PlanGate,
    Policy,
    ProposedCheck,
    Recalled,
    RepoSnapshot,
    ReviewComment,
    Signal,
    Usage,
    Utc,
    Window,
)

Mode = Annotated[str, Meta(pattern=r"^(autonomous|interactive)(?!\n)$")]
Billing = Annotated[str, Meta(pattern=r"^(api|subscription)(?!\n)$")]
Severity = Annotated[str, Meta(pattern=r"^(recoverable|hard|park)(?!\n)$")]


class Event(Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Something that happened to a task. Its id, time and task stand in the envelope, not here. Frozen to the bottom, it cannot
    hold itself, and the collector is spared it."""


# -- the life of a task ------------------------------------------------------------------------------------------------


class TaskSubmitted(Event, frozen=True, kw_only=True, tag="task_submitted"):
    """Somebody asked for a change; everything a later decision depends on is copied here. `scope`: what it may touch, where
    no plan says so; empty: what the repo's own settings say."""

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
    mode: Mode = "autonomous"
    plan_gate: PlanGate = PlanGate()
    depends_on: tuple[Id, ...] = ()
    backup_vendor: Word = ""
    backup_model: Word = ""
    billing: Billing = "api"
    account: Word = ""
    window: Window | None = None
    continues: Continuation | None = None
    retry_of: Word = ""
    origin: Origin | None = None
    template: Word = ""
    scope: Annotated[tuple[Line, ...], Meta(max_length=PATHS_MAX)] = ()


class TaskAdmitted(Event, frozen=True, kw_only=True, tag="task_admitted"):
    """The queue has given the task a slot; it keeps it until it waits for something or ends. `priority` is the one it had
    with its age, 1 first."""

    number: Count
    priority: Priority
    waited_seconds: Seconds


class DependencyResolved(Event, frozen=True, kw_only=True, tag="dependency_resolved"):
    """A task that this one waited for has ended (`outcome`), or cannot be found any more (`missing`)."""

    on: Id
    outcome: Word


class PriorityChanged(Event, frozen=True, kw_only=True, tag="priority_changed"):
    """Somebody has moved the task in the queue."""

    priority: Priority
    changed_by: Line


class PrepareRequested(Event, frozen=True, kw_only=True, tag="prepare_requested"):
    """A host is to bring the mirror up to date and make the task's own clone. `rebase`: the task has this change already, and
    the default branch has moved on: the change is to be put on top of it."""

    number: Count
    host: Name | None = None
    kept: Kept | None = None
    rebase: Oid | None = None


class PrepareSucceeded(Event, frozen=True, kw_only=True, tag="prepare_succeeded"):
    """The clone stands on a host, at a recorded base commit. `tip`: where the branch that the task goes on with stood on the
    remote, None for a task with a branch of its own. `change`: the task's change on top of the new base, where it was to be put
    there; the files in `conflicts` hold both sides, marked, since they did not fit. `proposed`: for a repo that has no checks,
    the commands that its own files propose, by stage and the surest first; None where nobody has looked."""

    job: Id
    epoch: Count
    host: Name
    base_commit: Oid
    branch: Ref
    wall_seconds: Seconds = 0.0
    evidence: Evidence | None = None
    tip: Oid | None = None
    change: Change | None = None
    conflicts: tuple[Line, ...] = ()
    parcel: Parcel | None = None
    proposed: Annotated[tuple[ProposedCheck, ...], Meta(max_length=PROPOSED_MAX)] | None = None


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
    messages: tuple[Id, ...] = ()


class AgentProgressed(Event, frozen=True, kw_only=True, tag="agent_progressed"):
    """What the run at work has used so far (all of it, not since the last time)."""

    job: Id
    epoch: Count
    usage: Usage


class AgentSucceeded(Event, frozen=True, kw_only=True, tag="agent_succeeded"):
    """The agent ended well and git shows a change. `usage_of_session`: the vendor counts over the whole session, so what
    earlier runs of it used is in these numbers too. `session_restarted`: the session to resume was gone. `parcel`: what the
    host has left for others, where hosts share work. `transcript`: what the program printed, secrets hidden."""

    job: Id
    epoch: Count
    change: Change
    usage: Usage = Usage()
    session_id: Word = ""
    vendor_version: Word = ""
    summary: Message = ""
    sandbox: Word = ""
    kept: Kept | None = None
    usage_of_session: bool = False
    session_restarted: bool = False
    parcel: Parcel | None = None
    transcript: Artifact | None = None


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
    usage_of_session: bool = False
    session_restarted: bool = False
    parcel: Parcel | None = None
    transcript: Artifact | None = None


class GateScored(Event, frozen=True, kw_only=True, tag="gate_scored"):
    """How likely the task is to make sense, from recorded evidence, before money is spent. `abstained`: the score is below
    the task's limit and a person is asked first."""

    score: Score
    confidence: Annotated[str, Meta(pattern=r"^(low|medium|high)(?!\n)$")]
    signals: tuple[Signal, ...]
    warnings: tuple[Line, ...] = ()
    degraded: tuple[Line, ...] = ()
    history: History = History()
    forecast: Forecast = Forecast(samples=0)
    abstain_below: Score = 0.0
    abstained: bool = False


class MemoryRecalled(Event, frozen=True, kw_only=True, tag="memory_recalled"):
    """What is remembered of earlier work in the repo that is like this task, most alike first: the first agent is told. Asked
    for once, before the first run. `degraded`: why nothing, or less than usual, could be asked; empty where all was well."""

    items: Annotated[tuple[Recalled, ...], Meta(max_length=RECALLED_MAX)] = ()
    degraded: Line = ""


class PlanRequested(Event, frozen=True, kw_only=True, tag="plan_requested"):
    """An agent that may only read is to propose a plan; `comments` are what people said of the last one."""

    number: Count
    host: Name
    session_id: Word
    comments: tuple[Message, ...] = ()


class PlanProposed(Event, frozen=True, kw_only=True, tag="plan_proposed"):
    """A plan waits for a person."""

    job: Id
    epoch: Count
    plan: Plan
    usage: Usage = Usage()
    session_id: Word = ""
    vendor_version: Word = ""
    sandbox: Word = ""
    transcript: Artifact | None = None


class PlanFailed(Event, frozen=True, kw_only=True, tag="plan_failed"):
    """The agent gave no plan that can be read."""

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
    transcript: Artifact | None = None


class PlanCommented(Event, frozen=True, kw_only=True, tag="plan_commented"):
    """Somebody wants a new plan that takes this into account."""

    number: Count
    comment: Message
    commented_by: Line
    via: Word = ""


class PlanApproved(Event, frozen=True, kw_only=True, tag="plan_approved"):
    """The plan may be carried out; its files are what the change may touch."""

    number: Count
    approved_by: Line
    via: Word = ""


class PlanRejected(Event, frozen=True, kw_only=True, tag="plan_rejected"):
    """The plan, and with it the task, is not wanted."""

    number: Count
    rejected_by: Line
    reason: Line = ""
    via: Word = ""


class PlanUnanswered(Event, frozen=True, kw_only=True, tag="plan_unanswered"):
    """Nobody has answered in time. It is silence, not an answer; `meaning` is what the task's gate makes of it."""

    number: Count
    waited_seconds: Seconds
    meaning: Annotated[str, Meta(pattern=r"^(park|deny|approve)(?!\n)$")]


class FailureClassified(Event, frozen=True, kw_only=True, tag="failure_classified"):
    """What a failed step looks like. `times`: failures of this class in a row, this one included."""

    step: Word
    error_class: Word
    severity: Severity
    hint: Message = ""
    evidence: Line = ""
    times: Count = 1


class TaskEscalated(Event, frozen=True, kw_only=True, tag="task_escalated"):
    """Another try of the same kind would be no use: `to` is fresh_session, backup, person or another word."""

    error_class: Word
    severity: Severity
    times: Count
    to: Word


class FailedOver(Event, frozen=True, kw_only=True, tag="failed_over"):
    """From here on another vendor or model works, with a fresh count of attempts."""

    error_class: Word
    from_vendor: Word
    from_model: Word
    to_vendor: Name
    to_model: Word
    attempts_spent: Count


class BudgetWarned(Event, frozen=True, kw_only=True, tag="budget_warned"):
    """Most of a budget is spent. `budget` is cost (in USD), wall (in seconds of agents and checks) or another word."""

    budget: Word
    spent: Amount
    limit: Amount


class JobStopRequested(Event, frozen=True, kw_only=True, tag="job_stop_requested"):
    """The running job is to end now, with its work kept; the task itself goes on or waits."""

    job: Id
    reason: Word
    message: Message = ""


class CompactionAsked(Event, frozen=True, kw_only=True, tag="compaction_asked"):
    """Somebody wants the next run to start afresh from a summary."""

    asked_by: Line


class CompactRequested(Event, frozen=True, kw_only=True, tag="compact_requested"):
    """An agent that may only read is to summarise what has happened."""

    reason: Word
    host: Name
    session_id: Word


class CompactSucceeded(Event, frozen=True, kw_only=True, tag="compact_succeeded"):
    """An agent has summarised the history."""

    job: Id
    epoch: Count
    summary: Text
    usage: Usage = Usage()
    session_id: Word = ""
    vendor_version: Word = ""
    sandbox: Word = ""
    transcript: Artifact | None = None


class CompactFailed(Event, frozen=True, kw_only=True, tag="compact_failed"):
    """No agent could summarise; the rules do it instead."""

    job: Id
    epoch: Count
    error_class: Word
    message: Message
    usage: Usage = Usage()
    transcript: Artifact | None = None


class HistoryCompacted(Event, frozen=True, kw_only=True, tag="history_compacted"):
    """The next session starts from `summary` instead of the whole history. `made_by`: `rules` or `agent`."""

    reason: Word
    made_by: Annotated[str, Meta(pattern=r"^(rules|agent)(?!\n)$")]
    summary: Text
    characters_in: Count
    characters_out: Count


class VerifyRequested(Event, frozen=True, kw_only=True, tag="verify_requested"):
    """The repo's own commands are to be run on the change."""

    attempt: Count
    host: Name
    commit: Oid


class VerifySucceeded(Event, frozen=True, kw_only=True, tag="verify_succeeded"):
    """Every configured command ended with 0 on this commit, some perhaps only when they were run once more (`again`)."""

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


class PreflightFailed(Event, frozen=True, kw_only=True, tag="preflight_failed"):
    """The change may not be handed over as it is; `files` are those that speak against it."""

    commit: Oid
    error_class: Word
    message: Message
    files: tuple[Line, ...] = ()


class PublishRequested(Event, frozen=True, kw_only=True, tag="publish_requested"):
    """The change is to be handed over, exactly once. `host` has it; where a `pool` is named, any host of that one hands it
    over, from what the first has left."""

    number: Count
    host: Name
    commit: Oid
    branch: Ref
    flow: Word
    verified: bool
    pool: Word = ""


class PublishSucceeded(Event, frozen=True, kw_only=True, tag="publish_succeeded"):
    """The change is where it was asked for. `findings`: what a reviewer should look at."""

    job: Id
    epoch: Count
    delivery: Delivery
    findings: tuple[Finding, ...] = ()


class PublishFailed(Event, frozen=True, kw_only=True, tag="publish_failed"):
    """The change could not be handed over. `findings`: what the look at it has found, the worst first; then nothing outside
    was touched. `retry_at`: before then the forge takes no more, where it has said so."""

    job: Id
    epoch: Count
    error_class: Word
    message: Message
    transient: bool = False
    findings: tuple[Finding, ...] = ()
    retry_at: Utc | None = None


class ObserveRequested(Event, frozen=True, kw_only=True, tag="observe_requested"):
    """A host is to look at the task's pull request. `why`: clock, stirred (somebody says there is news), push_refused or
    another word. `pool`: whose hosts may."""

    number: Count
    why: Word
    pool: Name


class PullRequestObserved(Event, frozen=True, kw_only=True, tag="pull_request_observed"):
    """How the pull request stands. `state` is open, merged, closed or another word; `checks`: none, pending, passed, failed
    or another word, of `head_commit`, which is None where the forge did not say. `comments` are those that no look before
    has found, the oldest first; `more`: there are others that the next look will tell. `left_out`: there are more comments
    than are read of one pull request: the oldest are not told, and of those that count none for the sake of others."""

    job: Id
    epoch: Count
    pull_request: Count
    state: Word
    url: Annotated[str, Meta(max_length=1_000)] = ""
    head_commit: Oid | None = None
    draft: bool = False
    checks: Word = "none"
    failed_checks: tuple[FailedCheck, ...] = ()
    comments: tuple[ReviewComment, ...] = ()
    more: bool = False
    left_out: bool = False


class ObserveFailed(Event, frozen=True, kw_only=True, tag="observe_failed"):
    """The pull request could not be looked at; `retry_at` where the forge said when to come back."""

    job: Id
    epoch: Count
    error_class: Word
    message: Message
    transient: bool = False
    retry_at: Utc | None = None


class PullRequestStirred(Event, frozen=True, kw_only=True, tag="pull_request_stirred"):
    """The forge says that there is news of the pull request (`what` is its word for it, `by` the one who caused it). It is a
    reason to look, and no news by itself."""

    what: Word
    by: Line = ""
    via: Word = ""


class FeedbackAccepted(Event, frozen=True, kw_only=True, tag="feedback_accepted"):
    """Fix run `number` of this pull request begins: it answers these failed checks of `head_commit` and these comments, each
    once."""

    number: Count
    head_commit: Oid
    checks: tuple[Line, ...] = ()
    comments: tuple[Word, ...] = ()


class PullRequestTakenOver(Event, frozen=True, kw_only=True, tag="pull_request_taken_over"):
    """Somebody else has pushed to the pull request: no fix run begins any more, and one at work is ended. The task waits for
    it to be merged or closed. `pushed` is what we had put there last."""

    head_commit: Oid
    pushed: Oid


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
    parcel: Parcel | None = None


class NetworkDenied(Event, frozen=True, kw_only=True, tag="network_denied"):
    """Something in a job's sandbox has asked for what is not open to it. `what`: `model` (a request that agents may not make
    of the model's API) or `egress` (a host). `count`: so many times; where `target`
    is empty, these are the ones that were not told one by one."""

    job: Id
    epoch: Count
    what: Word
    target: Line
    reason: Line
    count: Count = 1


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
    """A person has let the task go on, maybe with more to spend than before."""

    unblocked_by: Line
    max_cost_usd: Usd | None = None
    max_wall_seconds: Seconds | None = None


class TaskWoken(Event, frozen=True, kw_only=True, tag="task_woken"):
    """A person has ended the task's waiting before its time."""

    woken_by: Line


class MessageAccepted(Event, frozen=True, kw_only=True, tag="message_accepted"):
    """Somebody has something to say to the agent. `from_task`: the task whose agent wrote it, empty for a person."""

    message: Id
    text: Message
    sender: Line
    from_task: Word = ""


class MessageDelivered(Event, frozen=True, kw_only=True, tag="message_delivered"):
    """The message is part of what a run was told."""

    message: Id
    job: Id


class MessageTold(Event, frozen=True, kw_only=True, tag="message_told"):
    """The agent was told the message in the middle of its run, by a program that takes such a thing."""

    job: Id
    epoch: Count
    message: Id


class MessageConsumed(Event, frozen=True, kw_only=True, tag="message_consumed"):
    """The run that was told has answered: the agent has worked with it."""

    message: Id
    job: Id


class DecisionRaised(Event, frozen=True, kw_only=True, tag="decision_raised"):
    """The agent will not do this without a person: `subject` is spend_money, send_message, publish, irreversible,
    ambiguous or another word."""

    job: Id
    epoch: Count
    decision: Id
    subject: Word
    question: Message
    options: tuple[Line, ...] = ()


class DecisionAnswered(Event, frozen=True, kw_only=True, tag="decision_answered"):
    """A person has decided; the agent is told with its next message."""

    decision: Id
    answer: Message
    answered_by: Line
    via: Word = ""


class TaskSucceeded(Event, frozen=True, kw_only=True, tag="task_succeeded"):
    """The end: a verified change was handed over. `reservations`: what has to be said about that: `flaky` (a check passed only
    when it was run again), `failed_before` (what fails had failed at the task's beginning too)."""

    delivery: Delivery
    attempts: Count
    usage: Usage
    reservations: tuple[Word, ...] = ()


class TaskUnverified(Event, frozen=True, kw_only=True, tag="task_unverified"):
    """The end: a change was handed over that is not verified: nothing has checked it, or (`reason` is `failed_before`) what
    fails had failed at the task's beginning too."""

    delivery: Delivery
    attempts: Count
    usage: Usage
    reason: Word
    reservations: tuple[Word, ...] = ()


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


class Unknown(Struct, frozen=True, kw_only=True, gc=False):
    """An event of a type that this version does not know: skipped and counted by readers; it holds the task in the core."""

    type: str


KnownEvent: TypeAlias = (
    TaskSubmitted
    | TaskAdmitted
    | DependencyResolved
    | PriorityChanged
    | PrepareRequested
    | PrepareSucceeded
    | PrepareFailed
    | AgentRequested
    | AgentProgressed
    | AgentSucceeded
    | AgentFailed
    | GateScored
    | MemoryRecalled
    | PlanRequested
    | PlanProposed
    | PlanFailed
    | PlanCommented
    | PlanApproved
    | PlanRejected
    | PlanUnanswered
    | FailureClassified
    | TaskEscalated
    | FailedOver
    | BudgetWarned
    | JobStopRequested
    | CompactionAsked
    | CompactRequested
    | CompactSucceeded
    | CompactFailed
    | HistoryCompacted
    | VerifyRequested
    | VerifySucceeded
    | VerifyFailed
    | VerifySkipped
    | PreflightFailed
    | PublishRequested
    | PublishSucceeded
    | PublishFailed
    | ObserveRequested
    | PullRequestObserved
    | ObserveFailed
    | PullRequestStirred
    | FeedbackAccepted
    | PullRequestTakenOver
    | JobClaimed
    | JobLost
    | JobStopped
    | NetworkDenied
    | TaskCancelRequested
    | TaskParked
    | TaskBlocked
    | TaskUnblocked
    | TaskWoken
    | MessageAccepted
    | MessageDelivered
    | MessageTold
    | MessageConsumed
    | DecisionRaised
    | DecisionAnswered
    | TaskSucceeded
    | TaskUnverified
    | TaskFailed
    | TaskCancelled
)

AnyEvent: TypeAlias = KnownEvent | Unknown


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """An event as the log holds it: `seq` is the stream's sequence, `at` the writer's clock."""

    seq: int
    id: Id
    repo: Name
    task: Id
    at: datetime
    causation_id: str
    data: AnyEvent
