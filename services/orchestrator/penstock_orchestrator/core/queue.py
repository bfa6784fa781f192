"""Whose turn it is, and what stands in the way of everybody else: limits, holds, budgets of a day, somebody's hand.

Rule of this room: what is decided here about a task becomes an event of that task, so that its log replays alone. No task
waits behind another that is stopped by a limit which is not its own.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, assert_never

from penstock.bounds import COUNT_MAX, LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX, SECONDS_MAX, USD_MAX, clip
from penstock.catalog import Control, Repo
from penstock.commands import Why
from penstock.events import (
    AgentRequested,
    CompactRequested,
    DependencyResolved,
    KnownEvent,
    PlanRequested,
    PrepareRequested,
    PublishRequested,
    TaskAdmitted,
    TaskParked,
    VerifyRequested,
)
from penstock_orchestrator.core.advance import advance, wants_slot
from penstock_orchestrator.core.budget import SUBSCRIPTION, next_day
from penstock_orchestrator.core.fleet import ACCOUNT_HELD, Fleet, Hold, Lane, Turn, host_of
from penstock_orchestrator.core.task import AGENT_STEPS, Task
from penstock_orchestrator.core.waiting import phase, waiting

ADMISSIONS_AT_ONCE_MAX: Final = 200
"""So many slots are given out in one go; then the fleet is looked at again."""

PASSED_OVER_MAX: Final = 500
"""So many tasks that do not want their slot any more are met in one go."""

PRIORITY_FIRST: Final = 1
PROBE_PATIENCE_SECONDS: Final = 60.0
"""How long a step waits, parked, while another task tries the held account. After that it waits in the queue."""

JITTER_SHARE: Final = 0.2
JITTER_SECONDS_MAX: Final = 30.0

REPO_DAY: Final = "budget.repo_day"
FLEET_DAY: Final = "budget.fleet_day"

Step: TypeAlias = (
    PrepareRequested | PlanRequested | AgentRequested | CompactRequested | VerifyRequested | PublishRequested
)
AGENT_REQUESTS: Final = (PlanRequested, AgentRequested, CompactRequested)
STEPS: Final = (PrepareRequested, *AGENT_REQUESTS, VerifyRequested, PublishRequested)

Obstacle: TypeAlias = Literal[
    "",
    "fleet_unreadable",
    "repo_unreadable",
    "fleet_control",
    "repo_control",
    "vendor_control",
    "host_control",
    "slots",
    "repo",
    "account",
    "host",
    "day",
    "hold",
]
"""What keeps the tasks of a lane from beginning; empty where nothing does."""


# Whose turn it is ----------------------------------------------------------------------------------------------------


class Given(NamedTuple):
    """Slots that are given out in this go and not yet in the fleet. `probes`: accounts that are being tried by one of them."""

    repos: Counter[str]
    accounts: Counter[str]
    hosts: Counter[str]
    probes: set[str]


def admissions(fleet: Fleet, now: datetime) -> list[tuple[str, TaskAdmitted]]:
    """Who gets a slot now, in the order of their turns: (task, event). At most ADMISSIONS_AT_ONCE_MAX of them.

    A step of priority is worth `ageing_seconds` of waiting, without an end: an old 9 is at last before a fresh 1."""
    fleet.settle(now)
    given = Given(Counter(), Counter(), Counter(), set())
    found: list[tuple[str, TaskAdmitted]] = []
    passed: list[str] = []
    most = min(fleet.settings.tasks_max - fleet.slots_taken, ADMISSIONS_AT_ONCE_MAX)
    heads = _heads(fleet) if most > 0 else []
    while heads and len(found) < most:
        turn, lane, rest = heapq.heappop(heads)
        if _obstacle(fleet, lane, given, now):
            continue
        task = fleet.living[turn.task]
        if wants_slot(task, now):
            _give(fleet, lane, given, now)
            found.append((task.id, _admitted(fleet, task, now)))
        elif len(passed) < PASSED_OVER_MAX:
            # The night has begun since it was put among those that wait: it has something else to say first.
            passed.append(task.id)
        else:
            break
        if (following := next(rest, None)) is not None:
            heapq.heappush(heads, (following, lane, rest))
    for task_id in passed:
        fleet.pass_over(task_id)
    return found


def _heads(fleet: Fleet) -> list[tuple[Turn, Lane, Iterator[Turn]]]:
    """A heap of the lanes, by their first tasks, each with those behind it."""
    heads = []
    for lane, turns in fleet.lanes():
        rest = iter(turns)
        heads.append((next(rest), lane, rest))
    heapq.heapify(heads)
    return heads


def _admitted(fleet: Fleet, task: Task, now: datetime) -> TaskAdmitted:
    waited_seconds = min(max((now - task.queued_at).total_seconds(), 0.0), float(SECONDS_MAX))
    aged = task.priority - int(waited_seconds // fleet.settings.ageing_seconds)
    return TaskAdmitted(
        number=task.admissions + 1, priority=max(aged, PRIORITY_FIRST), waited_seconds=round(waited_seconds, 3)
    )


def _give(fleet: Fleet, lane: Lane, given: Given, now: datetime) -> None:
    given.repos[lane.repo] += 1
    given.accounts[lane.account] += 1
    given.hosts[lane.host] += 1
    if lane.agent and fleet.hold_of(lane.account, now) is not None:
        given.probes.add(lane.account)


def _obstacle(fleet: Fleet, lane: Lane, given: Given, now: datetime) -> Obstacle:
    """The first thing that keeps this lane from beginning."""
    controls, settings = fleet.controls, fleet.settings
    if controls:
        if ("fleet", "all") in controls:
            return "fleet_control"
        if ("repo", lane.repo) in controls:
            return "repo_control"
        if ("vendor", lane.vendor) in controls:
            return "vendor_control"
        if lane.host and ("host", lane.host) in controls:
            return "host_control"
    if fleet.unreadable:
        if ("settings", "") in fleet.unreadable:
            return "fleet_unreadable"
        if ("repo", lane.repo) in fleet.unreadable:
            return "repo_unreadable"
    if fleet.slots_taken + given.repos.total() >= settings.tasks_max:
        return "slots"
    if fleet.of_repo[lane.repo] + given.repos[lane.repo] >= parallel_max(fleet.repos.get(lane.repo)):
        return "repo"
    most = settings.accounts.get(lane.account)
    if most is not None and fleet.of_account[lane.account] + given.accounts[lane.account] >= most:
        return "account"
    most = settings.hosts.get(lane.host) if lane.host else None
    if most is not None and fleet.of_host[lane.host] + given.hosts[lane.host] >= most:
        return "host"
    if lane.charged and _day_spent(fleet, lane.repo, now) is not None:
        return "day"
    hold = fleet.hold_of(lane.account, now) if lane.agent and fleet.holds else None
    if hold is not None and (now < hold.until or fleet.probe_of(hold, now) or lane.account in given.probes):
        return "hold"
    return ""


def parallel_max(repo: Repo | None) -> int:
    """How many tasks of a repo hold a slot at once; of one that is no longer in the catalogue, one."""
    return 1 if repo is None else repo.parallel_max


def next_look(fleet: Fleet, now: datetime) -> datetime | None:
    """When the clock alone may let somebody begin: the next end of a hold, or of a probe that does not try, or of a day whose
    money is spent."""
    times = [hold.until for hold in fleet.holds.values()]
    times += [fleet.probe_ends(hold) for hold in fleet.holds.values() if hold.probe]
    if any(lane.charged and _day_spent(fleet, lane.repo, now) is not None for lane, _ in fleet.lanes()):
        times.append(next_day(now))
    return min((at for at in times if at > now), default=None)


# Whom a task waits for -----------------------------------------------------------------------------------------------


def resolutions(fleet: Fleet, task: Task) -> list[DependencyResolved]:
    """One event for each dependency that has ended, or is missing, and whose outcome the task does not know yet.

    One that failed is met after all when a retry of it succeeds, and is not yet over while such a retry lives."""
    known = dict(task.resolved)
    found: list[DependencyResolved] = []
    for on in task.spec.depends_on:
        outcome = fleet.outcome_of(on)
        if outcome is None:
            outcome = "missing"
        if outcome and known.get(on) != outcome:
            found.append(DependencyResolved(on=on, outcome=outcome))
    return found


def resolvable(fleet: Fleet) -> list[tuple[str, DependencyResolved]]:
    """One event for each task that has one to get. Who has none is not looked at again before there is news."""
    found: list[tuple[str, DependencyResolved]] = []
    for task_id in sorted(fleet.resolvable):
        task = fleet.living.get(task_id)
        events = [] if task is None else resolutions(fleet, task)
        if not events:
            fleet.resolvable.discard(task_id)
        found += [(task_id, event) for event in events[:1]]
    return found


# What an event that is due must still pass ---------------------------------------------------------------------------


def veto(fleet: Fleet, task: Task, event: KnownEvent, now: datetime) -> TaskParked | Literal["wait"] | None:
    """What the fleet says to an event that `advance` wants: None lets it through; a TaskParked takes its place; "wait": none
    now, and the task is looked at again when a control changes.

    Whoever is let through to try a held account is remembered at once: others are asked before the event is folded."""
    if not isinstance(event, STEPS):
        return None
    if _pause(fleet, task, _place_of(task, event), agent=isinstance(event, AGENT_REQUESTS)) is not None:
        return "wait"
    if not isinstance(event, AGENT_REQUESTS):
        return None
    return _over_the_day(fleet, task, now) or _held(fleet, task, now)


def _place_of(task: Task, step: Step) -> str:
    """The host that the step is for; empty where any of a pool may take it."""
    if isinstance(step, PublishRequested) and step.pool:
        return ""
    return step.host or host_of(task)


def _pause(fleet: Fleet, task: Task, host: str, *, agent: bool) -> tuple[str, Control] | None:
    """The pause that stops a step of the task on this host, with the words for its scope."""
    scopes = [("fleet", "all"), ("repo", task.repo), ("host", host)]
    if agent:
        scopes.append(("vendor", task.vendor))
    for scope in scopes:
        control = fleet.controls.get(scope)
        if control is not None and control.mode == "pause":
            return _scope_words(*scope), control
    return None


def _over_the_day(fleet: Fleet, task: Task, now: datetime) -> TaskParked | None:
    spent = None if task.spec.billing == SUBSCRIPTION else _day_spent(fleet, task.repo, now)
    return None if spent is None else _parked(task, *spent, next_day(now), now)


def _day_spent(fleet: Fleet, name: str, now: datetime) -> tuple[str, str] | None:
    """The limit of the day that tasks of the repo have reached, and the words for it."""
    repo = fleet.repos.get(name)
    limits = (
        (REPO_DAY, f"tasks of {name}", None if repo is None else repo.max_cost_usd_per_day, name),
        (FLEET_DAY, "all tasks", fleet.settings.max_cost_usd_per_day, None),
    )
    for reason, whose, limit, of_repo in limits:
        cost_usd = fleet.cost_usd_of_day(now, of_repo)
        if limit is not None and cost_usd >= limit:
            return reason, f"{whose} have cost {min(cost_usd, USD_MAX):.2f} USD today (UTC), of {limit:.2f} a day"
    return None


def _held(fleet: Fleet, task: Task, now: datetime) -> TaskParked | None:
    hold = fleet.hold_of(task.account, now)
    if hold is None:
        return None
    probe = fleet.probe_of(hold, now)
    if probe == task.id:
        return None
    if now < hold.until:
        return _parked(task, ACCOUNT_HELD, _hold_words(task.account, hold, probe), hold.until, now)
    if probe:
        patience = now + timedelta(seconds=PROBE_PATIENCE_SECONDS)
        return _parked(task, ACCOUNT_HELD, _hold_words(task.account, hold, probe), patience, now)
    hold.probe, hold.probe_at = task.id, now
    return None


def _parked(task: Task, reason: str, message: str, until: datetime, now: datetime) -> TaskParked:
    """`until`, and a little later, so that not all wake at once."""
    seconds = min((until - now).total_seconds() * JITTER_SHARE, JITTER_SECONDS_MAX) * _fraction(f"{task.id}.{task.seq}")
    wake_at = until + timedelta(seconds=seconds)
    return TaskParked(
        reason=reason, message=clip(message, MESSAGE_LENGTH_MAX), wake_at=wake_at, number=min(task.parks, COUNT_MAX)
    )


def _fraction(seed: str) -> float:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6]) / 2**48


def may_claim(fleet: Fleet, task: Task, host: str, now: datetime | None = None) -> str:
    """Why the host may not begin the task's job now, in words; empty where it may. Without `now`, nothing that ends by
    itself is asked about.

    Much may have happened since the job was asked for; whoever is let through to try a held account is remembered."""
    agent = task.job is not None and task.job.kind in AGENT_STEPS
    if (paused := _pause(fleet, task, host, agent=agent)) is not None:
        return _control_words(*paused)
    control = fleet.controls.get(("host", host))
    # Drained: what it has begun it goes on with.
    if control is not None and task.host != host:
        return _control_words(_scope_words("host", host), control)
    if agent and now is not None and (parked := _over_the_day(fleet, task, now) or _held(fleet, task, now)) is not None:
        return parked.message
    place = fleet.place_of(task.id)
    if place is not None and place.host == host:
        # It is counted there. Where there are too many (the limit was lowered), each goes on: or they would wait for each other.
        return ""
    most, others = fleet.settings.hosts.get(host), fleet.of_host[host]
    if most is not None and others >= most:
        return f"host {host} has {others} of {most} tasks already"
    return ""


# Why ------------------------------------------------------------------------------------------------------------------


def why(fleet: Fleet, task: Task, now: datetime) -> Why:
    """Why the task is not moving: what the fleet knows where the fleet is waited for, else what the task itself says."""
    fleet.settle(now)
    told = waiting(task)
    words, can_move, wake_at, position = told.why, told.can_move, told.wake_at, None
    lane = fleet.waits_in(task.id)
    if lane is not None:
        position = fleet.position(task.id)
        words, can_move, wake_at = _why_queued(fleet, lane, position, now)
    elif task.outcome is None:
        words, can_move = _why_not_queued(fleet, task, now) or (words, can_move)
    return Why(
        task=task.id,
        seq=task.seq,
        phase=phase(task),
        why=clip(words, MESSAGE_LENGTH_MAX),
        can_move=clip(can_move, MESSAGE_LENGTH_MAX),
        wake_at=wake_at,
        position=position,
    )


def _why_queued(fleet: Fleet, lane: Lane, position: int, now: datetime) -> tuple[str, str, datetime | None]:
    place = f"place {position} of {fleet.waiting_count} in the queue"
    settings = fleet.settings
    given = Given(Counter(), Counter(), Counter(), set())
    slot = "a task that gives its slot back"
    match _obstacle(fleet, lane, given, now):
        case "":
            return f"{place}; it is given a slot next", "the orchestrator", None
        case "fleet_unreadable":
            return f"{place}; the settings of the fleet cannot be read", "a person: put them anew", None
        case "repo_unreadable":
            return f"{place}; the catalogue's entry of repo {lane.repo} cannot be read", "a person: put it anew", None
        case "fleet_control":
            return _why_controlled(fleet, place, "fleet", "all")
        case "repo_control":
            return _why_controlled(fleet, place, "repo", lane.repo)
        case "vendor_control":
            return _why_controlled(fleet, place, "vendor", lane.vendor)
        case "host_control":
            return _why_controlled(fleet, place, "host", lane.host)
        case "slots":
            return f"{place}; all {settings.tasks_max} slots of the fleet are taken", slot, None
        case "repo":
            taken, most = fleet.of_repo[lane.repo], parallel_max(fleet.repos.get(lane.repo))
            return f"{place}; {taken} of {most} tasks of repo {lane.repo} are at work", slot, None
        case "account":
            taken, most = fleet.of_account[lane.account], settings.accounts[lane.account]
            return f"{place}; {taken} of {most} tasks of account {lane.account} are at work", slot, None
        case "host":
            taken, most = fleet.of_host[lane.host], settings.hosts[lane.host]
            return f"{place}; host {lane.host}, which has its clone, has {taken} of {most} tasks", slot, None
        case "day":
            spent = _day_spent(fleet, lane.repo, now)
            return f"{place}; {'' if spent is None else spent[1]}", "the clock", next_day(now)
        case "hold":
            hold = fleet.holds[lane.account]
            words = _hold_words(lane.account, hold, fleet.probe_of(hold, now))
            return f"{place}; {words}", "the clock", hold.until if hold.until > now else None
        case never:
            assert_never(never)


def _why_controlled(fleet: Fleet, place: str, scope: str, name: str) -> tuple[str, str, None]:
    control = fleet.controls[scope, name]
    whose = _scope_words(scope, name)
    return f"{place}; {_control_words(whose, control)}", f"a person: resume {whose}", None


def _why_not_queued(fleet: Fleet, task: Task, now: datetime) -> tuple[str, str] | None:
    if task.parked is not None or task.blocked is not None or task.held:
        return None
    known = dict(task.resolved)
    open_ = [on for on in task.spec.depends_on if on not in known]
    if open_ and not task.admissions:
        named = ", ".join(f"{on} ({_phase_of(fleet, on)})" for on in open_)
        return f"waits for {'task' if len(open_) == 1 else 'tasks'} {named}", "the end of what it waits for"
    if task.job is not None and task.job.epoch is None:
        agent = task.job.kind in AGENT_STEPS
        paused = _pause(fleet, task, task.job.host or "", agent=agent)
        if paused is not None:
            whose, control = paused
            return f"{task.job.kind} waits: {_control_words(whose, control)}", f"a person: resume {whose}"
        spent = _day_spent(fleet, task.repo, now) if agent and task.spec.billing != SUBSCRIPTION else None
        hold = fleet.hold_of(task.account, now) if agent else None
        if spent is not None:
            return f"{task.job.kind} waits: {spent[1]}", "the clock"
        if hold is not None and (probe := fleet.probe_of(hold, now)) != task.id and (probe or now < hold.until):
            return f"{task.job.kind} waits: {_hold_words(task.account, hold, probe)}", "the clock"
    for event in advance(task, now):
        if not isinstance(event, STEPS):
            continue
        paused = _pause(fleet, task, _place_of(task, event), agent=isinstance(event, AGENT_REQUESTS))
        if paused is not None:
            whose, control = paused
            return f"the next step waits: {_control_words(whose, control)}", f"a person: resume {whose}"
    return None


def _phase_of(fleet: Fleet, task_id: str) -> str:
    task = fleet.living.get(task_id)
    return phase(task) if task is not None else fleet.outcome_of(task_id) or "retried"


def _scope_words(scope: str, name: str) -> str:
    return "the fleet" if scope == "fleet" else f"{scope} {name}"


def _control_words(whose: str, control: Control) -> str:
    done = "paused" if control.mode == "pause" else "drained"
    by = f" by {control.set_by}" if control.set_by else ""
    reason = f": {control.reason}" if control.reason else ""
    return clip(f"{whose} is {done}{by}{reason}", LINE_LENGTH_MAX)


def _hold_words(account: str, hold: Hold, probe: str) -> str:
    if probe:
        return f"account {account} has met {hold.reason}, and task {probe} tries it again"
    return f"account {account} is held until {hold.until:%Y-%m-%d %H:%M:%S} UTC: {hold.reason}"
