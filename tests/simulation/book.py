"""A second book of every task, kept from the log and from what was seen outside, in the plainest way.

Rule of this room: nothing here asks the core; whatever the core says is compared with this.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final, TypeAlias

from penstock.events import (
    AgentFailed,
    AgentRequested,
    AgentSucceeded,
    CompactFailed,
    CompactRequested,
    CompactSucceeded,
    Event,
    JobStopped,
    PlanFailed,
    PlanProposed,
    PlanRequested,
    PrepareFailed,
    PrepareRequested,
    PrepareSucceeded,
    PublishFailed,
    PublishRequested,
    PublishSucceeded,
    Recorded,
    TaskSubmitted,
    VerifyFailed,
    VerifyRequested,
    VerifySucceeded,
)
from penstock.values import Plan, Usage
from simulation.ground import PRICED, SILENT, TOKENS_PER_USD

COSTS_NOTHING: Final = frozenset(
    {"vendor.max_turns", "vendor.context_overflow", "vendor.session_lost", "vendor.budget"}
)
"""Failed runs of these classes are no attempts."""

REQUESTS: Final = (
    PrepareRequested,
    PlanRequested,
    AgentRequested,
    CompactRequested,
    VerifyRequested,
    PublishRequested,
)
AGENT_REQUESTS: Final = (PlanRequested, AgentRequested, CompactRequested)
NOTHING: Final = Usage(cost_usd=0.0)

Ending: TypeAlias = (
    PrepareSucceeded
    | PrepareFailed
    | PlanProposed
    | PlanFailed
    | AgentSucceeded
    | AgentFailed
    | CompactSucceeded
    | CompactFailed
    | VerifySucceeded
    | VerifyFailed
    | PublishSucceeded
    | PublishFailed
    | JobStopped
)
RUN_ENDS: Final = (
    PrepareSucceeded,
    PrepareFailed,
    PlanProposed,
    PlanFailed,
    AgentSucceeded,
    AgentFailed,
    CompactSucceeded,
    CompactFailed,
    VerifySucceeded,
    VerifyFailed,
    PublishSucceeded,
    PublishFailed,
    JobStopped,
)


WENT_WELL: Final = (AgentSucceeded, PlanProposed, CompactSucceeded)


class Book:
    """What is known of one task without asking the core."""

    def __init__(self, spec: TaskSubmitted, at: datetime) -> None:
        self.spec = spec
        self.max_cost_usd = spec.max_cost_usd
        self.max_wall_seconds = spec.max_wall_seconds
        self.cost_usd = 0.0
        self.wall_seconds = 0.0
        self.told_cost = 0.0
        self.told_wall = 0.0
        self.told_turns = 0
        self.worked_turns = 0
        self.vendor, self.model = spec.vendor, spec.model
        self.session = ""
        self.of_session: dict[str, float] = {}
        self.turns_of_session: dict[str, int] = {}
        self.failures = 0
        self.counted = False
        self.job = ""
        self.job_seq = 0
        self.job_told = ""
        self.slot = False
        self.warned: set[str] = set()
        self.recalled = False
        self.open_questions: set[str] = set()
        self.job_kind: type[Event] | None = None
        self.claimed: tuple[str, int] = ("", -1)
        self.asked: dict[str, tuple[str, ...]] = {}
        self.read: Counter[str] = Counter()
        self.unread: set[str] = set()
        self.of_agents: set[str] = set()
        self.questions: set[str] = set()
        self.plan: Plan | None = None
        self.plan_number = 0
        self.plans_asked = 0
        self.plan_at = at
        self.answer = ""
        self.comments: tuple[str, ...] = ()
        self.blocked = ""
        self.waived: set[str] = set()
        self.parked_for = ""
        self.cancel_asked = False
        self.wake_at: datetime | None = None
        self.retry_at: datetime | None = None
        self.published = 0
        self.resolved: dict[str, str] = {}
        self.compaction_asked = False
        self.failovers = 0
        self.look = ""
        self.look_claimed: tuple[str, int] = ("", -1)
        self.in_review = False
        self.fixing = False
        self.fixes = 0
        self.caps_lifted = 0
        self.taken_over = False
        self.answered_comments: set[str] = set()
        self.answered_heads: set[str] = set()
        self.pending: set[str] = set()
        self.red = False
        self.known: set[str] = set()
        self.pushed_last = ""
        self.seen_head = ""
        """The last commit on the branch that a look has found, while no commit of ours was on its way."""

    def begins_or_ends(self, recorded: Recorded) -> None:
        """What every request of a job, and every last word about one, means."""
        event = recorded.data
        if isinstance(event, REQUESTS):
            self.job, self.job_kind, self.job_seq = recorded.id, type(event), recorded.seq
            self.claimed = ("", -1)
            self.wake_at = None
            self.session = getattr(event, "session_id", "")
        elif isinstance(event, RUN_ENDS):
            if isinstance(event, AgentSucceeded | AgentFailed) and event.session_restarted:
                self.of_session.pop(self.session, None)
                self.turns_of_session.pop(self.session, None)
            if isinstance(event, WENT_WELL):
                # The last word of a run that went well counts, whatever was told on the way.
                self._nothing_told()
            self.worked_turns = max(self.told_turns, self._turns_of_run(event))
            self._charge(event)
            self.job, self.claimed = "", ("", -1)

    def known_cost(self, usage: Usage) -> float:
        """What the usage is charged with, as far as anybody can know."""
        if self.spec.billing == "subscription":
            return 0.0
        if usage.cost_usd is not None:
            return usage.cost_usd
        return usage.input_tokens / TOKENS_PER_USD if (self.vendor, self.model) == (SILENT, PRICED) else 0.0

    @property
    def waits_in_vain(self) -> str | None:
        """The first task that is waited for, has ended otherwise than well, and was not let pass by a person."""
        for on in self.spec.depends_on:
            if self.resolved.get(on, "succeeded") != "succeeded" and f"dependency.{on}" not in self.waived:
                return on
        return None

    @property
    def cost_so_far(self) -> float:
        """With what the run at work has told."""
        return self.cost_usd + self.told_cost

    def _charge(self, event: Ending) -> None:
        """Nothing twice: of a whole session only what no earlier run of it was charged with; and of a run that did not go
        well never less than it had told on the way."""
        match event:
            case VerifySucceeded() | VerifyFailed():
                for command in event.commands:
                    runs = (command, command.again, command.before)
                    self.wall_seconds += sum(run.wall_seconds for run in runs if run is not None)
                return
            case PrepareSucceeded() | PrepareFailed() | PublishSucceeded() | PublishFailed():
                return
            case AgentSucceeded() | AgentFailed() if event.usage_of_session:
                whole = self.known_cost(event.usage)
                before = self.of_session.get(self.session, 0.0)
                self.cost_usd += max(whole - before, self.told_cost)
                self.of_session[self.session] = max(whole, before + self.told_cost)
                self.wall_seconds += max(event.usage.wall_seconds, self.told_wall)
                self._nothing_told()
            case CompactFailed() | CompactSucceeded() | PlanProposed() | PlanFailed() | JobStopped():
                self._count(event.usage)
            case AgentSucceeded() | AgentFailed():
                self._count(event.usage)

    def _count(self, usage: Usage) -> None:
        cost = max(self.known_cost(usage), self.told_cost)
        self.cost_usd += cost
        self.wall_seconds += max(usage.wall_seconds, self.told_wall)
        self.of_session[self.session] = self.of_session.get(self.session, 0.0) + cost
        self._nothing_told()

    def _nothing_told(self) -> None:
        self.told_cost, self.told_wall, self.told_turns = 0.0, 0.0, 0

    def _turns_of_run(self, event: Ending) -> int:
        """Turns of this run alone, also where the vendor counts the session's; and the session's, for the next."""
        match event:
            case AgentSucceeded() | AgentFailed() if event.usage_of_session:
                before = self.turns_of_session.get(self.session, 0)
                turns = max(event.usage.turns - before, self.told_turns)
                self.turns_of_session[self.session] = before + turns
            case AgentSucceeded() | AgentFailed() | JobStopped():
                turns = max(event.usage.turns, self.told_turns)
                self.turns_of_session[self.session] = self.turns_of_session.get(self.session, 0) + turns
            case _:
                turns = 0
        return turns

    def count_failure(self, attempt: bool) -> None:
        """A run or a check has failed; whether that was an attempt."""
        self.counted = attempt
        self.failures += attempt

    def lose(self) -> None:
        """The run at work is gone: what it had told is spent."""
        self._count(NOTHING)
        self.job, self.claimed = "", ("", -1)

    def worked(self) -> None:
        """The run that has just ended had read what it was told."""
        for message in self.asked.get(self.job_told, ()):
            self.read[message] += 1
            self.unread.discard(message)
