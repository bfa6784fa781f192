"""All tasks at once, as far as one task's turn depends on the others: who waits, who holds a slot, which accounts are held,
what the day has cost, how earlier tasks have ended.

Rule of this room: it is a fold like the tasks themselves: the same events give the same fleet. What it does for one event
does not grow with the number of tasks, and it keeps nothing of an ended task but its id, its outcome and three numbers.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple, assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.catalog import Control, FleetSettings, Repo
from penstock.events import (
    AgentFailed,
    AgentRequested,
    AgentSucceeded,
    CompactRequested,
    CompactSucceeded,
    PlanFailed,
    PlanProposed,
    PlanRequested,
    Recorded,
    TaskAdmitted,
    TaskParked,
    TaskWoken,
)
from penstock.values import History
from penstock_orchestrator.core.advance import wants_slot
from penstock_orchestrator.core.budget import SUBSCRIPTION, day
from penstock_orchestrator.core.step import stage
from penstock_orchestrator.core.task import ACCOUNT_LIMITS, AGENT_STEPS, CurrentJob, Outcome, Task

HISTORY_MAX: Final = 50
"""How many ended tasks of a repo the score and the forecast look at."""

LINEAGE_MAX: Final = 100
"""How many retries of retries are followed."""

HOLD_FORGOTTEN_SECONDS: Final = 3_600.0
"""A hold that nobody has tried for so long after its end says nothing any more."""

HOLD_SECONDS_MAX: Final = 8 * 86_400.0
"""No window of a vendor is longer: what says so was written by a clock that was wrong, or by a vendor that was."""

PROBE_SECONDS_MAX: Final = 60.0
"""So long a task that is let through to try an account may be without a job that leads there; then another one tries."""

DAYS_KEPT: Final = 8

ACCOUNT_HELD: Final = "account.held"

ABOUT_ACCOUNTS: Final = frozenset(
    {
        TaskParked,
        AgentSucceeded,
        PlanProposed,
        CompactSucceeded,
        AgentFailed,
        PlanFailed,
        TaskWoken,
        TaskAdmitted,
        AgentRequested,
        PlanRequested,
        CompactRequested,
    }
)
"""Events that may say something about a vendor account."""


class Hold(Struct, kw_only=True):
    """A vendor account that has met a limit. After `until`, one task is let through to try; `probe` is that task, let through
    at `probe_at`."""

    reason: str
    since: datetime
    until: datetime
    probe: str = ""
    probe_at: datetime | None = None


class Place(NamedTuple):
    """Where a task that holds a slot is counted. `host` is empty until one has taken it."""

    repo: str
    account: str
    host: str


class Lane(NamedTuple):
    """Waiting tasks that the same limits apply to: if the first may not begin, none of them may."""

    repo: str
    vendor: str
    account: str
    host: str
    agent: bool
    """Whether the vendor is needed next, or as soon as the clone is made."""
    charged: bool
    """Whether what the vendor does is charged to the day."""


class Turn(NamedTuple):
    """A task's place among those that wait. Every task ages alike, so the order does not change with time: a step of
    priority is worth `ageing_seconds` of waiting."""

    rank: float
    since: float
    task: str


class EndedTask(NamedTuple):
    """What the history of a repo keeps of a task. `good`: its change was handed over."""

    good: bool
    wall_seconds: float
    turns: int


class Fleet:
    """`changed` is told every folded event, from the first one on; the catalogue's part is set by whoever reads it.

    `controls` by scope and name (`("fleet", "all")`). `living`: tasks that have not ended. `outcomes`: how the others have.
    `fired`: the last fire of each schedule that became a task. `unreadable`: entries of the catalogue, by kind and name, that
    nobody can go by. `resolvable`: living tasks whose dependencies may have news.
    `passed_over`: tasks whose turn it was and that have something else due first; whoever drives them empties it."""

    def __init__(self) -> None:
        self.controls: dict[tuple[str, str], Control] = {}
        self.unreadable: set[tuple[str, str]] = set()
        self.settings = FleetSettings()
        self.repos: dict[str, Repo] = {}
        self.living: dict[str, Task] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.fired: dict[str, datetime] = {}
        self.resolvable: set[str] = set()
        self.passed_over: set[str] = set()
        self.holds: dict[str, Hold] = {}
        self.of_repo: Counter[str] = Counter()
        self.of_account: Counter[str] = Counter()
        self.of_host: Counter[str] = Counter()
        self._places: dict[str, Place] = {}
        self._halted: set[str] = set()
        self._dependants: dict[str, set[str]] = {}
        self._retry_of: dict[str, str] = {}
        self._retries: dict[str, list[str]] = {}
        self._histories: dict[str, deque[EndedTask]] = {}
        self._costs_usd: dict[str, dict[str | None, float]] = {}
        self._lanes: dict[Lane, list[Turn]] = {}
        self._turns: dict[str, tuple[Lane, Turn]] = {}
        self._ranked_with = self.settings.ageing_seconds
        self._unsettled: set[str] = set()
        self._parked: list[tuple[datetime, str]] = []

    def changed(self, before: Task | None, after: Task, recorded: Recorded | None) -> None:
        """One more event of a task. `recorded` is None where it could not be read."""
        if before is not None and before.outcome is not None:
            return
        self._resume(after.id)
        if before is None:
            self._begun(after)
        elif before.admitted or after.admitted:
            self._place(before, after)
        if recorded is not None and before is not None:
            self._charge(before, after, recorded.at)
            if type(recorded.data) in ABOUT_ACCOUNTS:
                self._limits(before, after, recorded)
        if after.outcome is not None:
            self._ended(after)
            return
        self.living[after.id] = after
        self._unsettled.add(after.id)
        if after.spec.depends_on and (before is None or before.resolved is not after.resolved):
            self.resolvable.add(after.id)

    # Who holds a slot ------------------------------------------------------------------------------------------------

    @property
    def slots_taken(self) -> int:
        """Those of halted tasks are not counted."""
        return len(self._places) - len(self._halted)

    def halt(self, task_id: str) -> None:
        """A pause keeps the task from its next step: until it goes on, neither the fleet nor its account count its slot. Its
        repo does: whoever pauses a repo wants no more of it."""
        place = self._places.get(task_id)
        if place is not None and task_id not in self._halted:
            self._halted.add(task_id)
            _less(self.of_account, place.account)

    def go_on(self) -> None:
        """The halted are asked anew, and counted. Where there are too many now, each goes on, as after a limit is lowered."""
        for task_id in list(self._halted):
            self._resume(task_id)

    def _resume(self, task_id: str) -> None:
        if task_id in self._halted:
            self._halted.discard(task_id)
            self.of_account[self._places[task_id].account] += 1

    def place_of(self, task_id: str) -> Place | None:
        """Where the task's slot is counted, None where it holds none."""
        return self._places.get(task_id)

    def _place(self, before: Task, task: Task) -> None:
        where = (before.admitted, before.host, before.job, before.vendor, before.outcome)
        if where == (task.admitted, task.host, task.job, task.vendor, task.outcome):
            return
        new = Place(task.repo, task.account, host_of(task)) if task.admitted and task.outcome is None else None
        old = self._places.get(task.id)
        if new == old:
            return
        if old is not None:
            _less(self.of_repo, old.repo)
            _less(self.of_account, old.account)
            _less(self.of_host, old.host)
        if new is None:
            del self._places[task.id]
            return
        self._places[task.id] = new
        self.of_repo[new.repo] += 1
        self.of_account[new.account] += 1
        self.of_host[new.host] += 1

    # Who waits for one -----------------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> None:
        """Put every task whose state, or whose time, has changed where it belongs: among those that wait, or not."""
        while self._parked and self._parked[0][0] <= now:
            self._unsettled.add(heapq.heappop(self._parked)[1])
        if self._ranked_with != self.settings.ageing_seconds:
            self._ranked_with = self.settings.ageing_seconds
            self._unsettled |= self._turns.keys()
        for task_id in self._unsettled:
            self._out(task_id)
            task = self.living.get(task_id)
            if task is None:
                continue
            if task.parked is not None and task.parked.wake_at > now:
                heapq.heappush(self._parked, (task.parked.wake_at, task_id))
            elif wants_slot(task, now):
                self._in(task)
        self._unsettled.clear()

    def pass_over(self, task_id: str) -> None:
        """Take a task out of those that wait, to be asked what it wants instead."""
        self._out(task_id)
        self.passed_over.add(task_id)
        task = self.living.get(task_id)
        if task is not None and task.parked is not None:
            # The clock was put back: its time comes once more.
            heapq.heappush(self._parked, (task.parked.wake_at, task_id))

    def lanes(self) -> Iterator[tuple[Lane, list[Turn]]]:
        """Those that wait, each lane in its order. Settle first."""
        return iter(self._lanes.items())

    def waits_in(self, task_id: str) -> Lane | None:
        """The lane the task waits in, None where it does not wait for a slot. Settle first."""
        found = self._turns.get(task_id)
        return None if found is None else found[0]

    def position(self, task_id: str) -> int:
        """The task's place among all that wait, 1 first. Raises KeyError where it does not wait."""
        turn = self._turns[task_id][1]
        return 1 + sum(bisect_left(turns, turn) for turns in self._lanes.values())

    @property
    def waiting_count(self) -> int:
        return len(self._turns)

    def _in(self, task: Task) -> None:
        since = task.queued_at.timestamp()
        turn = Turn(task.priority * self._ranked_with + since, since, task.id)
        agent = needs_agent(task)
        charged = agent and task.spec.billing != SUBSCRIPTION
        lane = Lane(task.repo, task.vendor, task.account, task.host or "", agent, charged)
        insort(self._lanes.setdefault(lane, []), turn)
        self._turns[task.id] = (lane, turn)

    def _out(self, task_id: str) -> None:
        found = self._turns.pop(task_id, None)
        if found is None:
            return
        lane, turn = found
        turns = self._lanes[lane]
        del turns[bisect_left(turns, turn)]
        if not turns:
            del self._lanes[lane]

    # Who waits for whom ----------------------------------------------------------------------------------------------

    def outcome_of(self, task_id: str) -> str | None:
        """How the task, or a retry of it, has ended: `succeeded` as soon as one of them has; "" while one is living;
        None where there is no such task."""
        if task_id not in self.living and task_id not in self.outcomes:
            return None
        line = self._line(task_id)
        if any(self.outcomes.get(one) == "succeeded" for one in line):
            return "succeeded"
        return "" if any(one in self.living for one in line) else self.outcomes[task_id]

    def _line(self, task_id: str) -> list[str]:
        line = [task_id]
        for one in line:
            if len(line) >= LINEAGE_MAX:
                break
            line += self._retries.get(one, [])
        return line

    def _begun(self, task: Task) -> None:
        spec = task.spec
        for on in spec.depends_on:
            self._dependants.setdefault(on, set()).add(task.id)
        if spec.retry_of:
            self._retry_of[task.id] = spec.retry_of
            self._retries.setdefault(spec.retry_of, []).append(task.id)
        origin = spec.origin
        if origin is not None and origin.kind == "schedule" and origin.scheduled_for is not None:
            # The last of the log, not the latest: one that a wrong clock has made is not believed for ever.
            self.fired[origin.name] = origin.scheduled_for

    def _ended(self, task: Task) -> None:
        assert task.outcome is not None
        self.outcomes[task.id] = task.outcome
        self.living.pop(task.id, None)
        self._unsettled.add(task.id)
        self.resolvable.discard(task.id)
        for on in task.spec.depends_on:
            if waiting := self._dependants.get(on):
                waiting.discard(task.id)
                if not waiting:
                    del self._dependants[on]
        one: str | None = task.id
        for _ in range(LINEAGE_MAX):
            if one is None:
                break
            self.resolvable |= self._dependants.get(one, set())
            one = self._retry_of.get(one)
        if task.outcome != "cancelled":
            self._remember(task)

    # What is held ----------------------------------------------------------------------------------------------------

    def hold_of(self, account: str, now: datetime) -> Hold | None:
        """The account's hold, None where it has none (any more). However far ahead a wrong clock has put its end, from now on
        it is no further than HOLD_SECONDS_MAX."""
        hold = self.holds.get(account)
        if hold is None:
            return None
        hold.until = min(hold.until, now + timedelta(seconds=HOLD_SECONDS_MAX))
        if now > hold.until + timedelta(seconds=HOLD_FORGOTTEN_SECONDS) and not self.probe_of(hold, now):
            return None
        return hold

    def probe_of(self, hold: Hold, now: datetime) -> str:
        """The task that is let through to try the account, empty where there is none at it: one that has had no job which
        leads there for PROBE_SECONDS_MAX is not."""
        task = self.living.get(hold.probe)
        if task is None or task.id not in self._places:
            return ""
        job = task.job
        if job is not None and (job.kind in AGENT_STEPS or (job.kind == "prepare" and job.epoch is not None)):
            return task.id
        left_seconds = (self.probe_ends(hold) - now).total_seconds()
        return task.id if 0.0 < left_seconds <= 2 * PROBE_SECONDS_MAX else ""

    def probe_ends(self, hold: Hold) -> datetime:
        """When the one that is let through to try the account is none any more, unless it has a job by then."""
        task = self.living.get(hold.probe)
        seen = [at for at in (hold.probe_at, None if task is None else task.updated_at) if at is not None]
        return max(seen, default=hold.since) + timedelta(seconds=PROBE_SECONDS_MAX)

    def _limits(self, before: Task, after: Task, recorded: Recorded) -> None:
        """What the event says about the vendor account: a limit, a success, or somebody's wish to try now."""
        event = recorded.data
        match event:
            case TaskParked() if event.reason in ACCOUNT_LIMITS:
                self._limited(after.account, event, recorded.at)
            case AgentSucceeded() | PlanProposed() | CompactSucceeded() | AgentFailed() | PlanFailed():
                if before.job is not None and _worked(event):
                    self._lift(before.account, before.job)
            case TaskWoken() if before.parked is not None:
                hold = self.holds.get(after.account)
                if hold is not None and before.parked.reason in ACCOUNT_LIMITS | {ACCOUNT_HELD}:
                    hold.until = min(hold.until, recorded.at)
            case TaskAdmitted() | AgentRequested() | PlanRequested() | CompactRequested():
                hold = self.holds.get(after.account)
                # Who was let in before the end of the hold, by a leader that had not heard of it, is not the one who tries.
                if hold is None or recorded.at < hold.until:
                    return
                if not self.probe_of(hold, recorded.at) and needs_agent(after):
                    hold.probe, hold.probe_at = after.id, recorded.at
            case _:
                return

    def _limited(self, account: str, event: TaskParked, at: datetime) -> None:
        hold = self.holds.get(account)
        until = event.wake_at if hold is None else max(event.wake_at, hold.until)
        until = min(until, at + timedelta(seconds=HOLD_SECONDS_MAX))
        self.holds[account] = Hold(reason=event.reason, since=at, until=until)

    def _lift(self, account: str, job: CurrentJob) -> None:
        hold = self.holds.get(account)
        # What was begun before the limit was met may have worked before it, too.
        if hold is not None and job.requested_at >= hold.since:
            del self.holds[account]

    # What it cost, and how it ended ----------------------------------------------------------------------------------

    def cost_usd_of_day(self, at: datetime, repo: str | None = None) -> float:
        """The known cost of the day (UTC) of `at`, of one repo or of all; 0 for any day but the DAYS_KEPT last charged ones."""
        return self._costs_usd.get(day(at), {}).get(repo, 0.0)

    def _charge(self, before: Task, after: Task, at: datetime) -> None:
        if before.cost_seen == after.cost_seen and before.run_usage is after.run_usage:
            return
        cost_usd = after.cost_so_far - before.cost_so_far
        if not cost_usd:
            return
        # A clock that was wrong once makes another day, and takes nothing from this one: the one charged longest ago goes.
        today = day(at)
        costs_usd = self._costs_usd[today] = self._costs_usd.pop(today, {})
        for one in (None, after.repo):
            costs_usd[one] = costs_usd.get(one, 0.0) + cost_usd
        if len(self._costs_usd) > DAYS_KEPT:
            del self._costs_usd[next(iter(self._costs_usd))]

    def history(self, repo: str) -> History:
        """How the repo's last tasks have ended; cancelled ones say nothing and are left out."""
        ended = self._histories.get(repo, deque())
        good = [one for one in ended if one.good]
        return History(
            succeeded=len(good),
            failed=len(ended) - len(good),
            wall_seconds=tuple(one.wall_seconds for one in good),
            turns=tuple(one.turns for one in good),
        )

    def _remember(self, task: Task) -> None:
        # Unverified is handed over too: what a repo without checks can have at best.
        good = task.outcome in ("succeeded", "unverified")
        ended = self._histories.setdefault(task.repo, deque(maxlen=HISTORY_MAX))
        ended.append(EndedTask(good, task.usage.wall_seconds, task.usage.turns))


def needs_agent(task: Task) -> bool:
    """Whether the vendor is needed next, or as soon as the clone is made."""
    cloned = task if task.host is not None else replace(task, host="")
    return stage(cloned) in ("plan", "agent")


def host_of(task: Task) -> str:
    """The host that has the task's clone, or that is making it; empty where there is none."""
    return task.host or (task.job.host if task.job is not None else None) or ""


def _worked(event: AgentSucceeded | PlanProposed | CompactSucceeded | AgentFailed | PlanFailed) -> bool:
    match event:
        case AgentSucceeded() | PlanProposed() | CompactSucceeded():
            return True
        case AgentFailed() | PlanFailed():
            return event.usage.turns > 0 and event.error_class not in ACCOUNT_LIMITS
        case _:
            assert_never(event)


def _less(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
