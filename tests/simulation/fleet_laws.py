"""What must hold over all tasks: limits, holds of accounts, turns, the cost of a day; and the one judge of every append.

Rule of this room: as among the laws of one task; the holds and the day's costs are written down here a second time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    CompactSucceeded,
    JobClaimed,
    PlanFailed,
    PlanProposed,
    TaskAdmitted,
    TaskParked,
    TaskWoken,
)
from penstock_orchestrator.core import advance as advancing
from penstock_orchestrator.core.fleet import needs_agent
from penstock_orchestrator.core.task import Task
from simulation.book import AGENT_REQUESTS
from simulation.entries import enter
from simulation.laws import ABOUT, AFTERWARDS, ALWAYS, Law
from simulation.world import AccountHold, Broken, Step

LIMITS: Final = frozenset({"vendor.rate_limit", "vendor.usage_window", "vendor.overloaded"})
_ABOUT_ACCOUNTS: Final = frozenset(
    {TaskParked, AgentSucceeded, PlanProposed, CompactSucceeded, AgentFailed, PlanFailed, TaskWoken}
)
FORGOTTEN: Final = timedelta(hours=1)


def judge(step: Step) -> None:
    """Ask every law about an append, and write it into the second books. Raises Broken."""
    for law in ALWAYS:
        _ask(law, step)
    kind = type(step.event)
    for law in ABOUT.get(kind, ()):
        _ask(law, step)
    if kind is TaskAdmitted:
        for law in (limits_hold, nobody_is_admitted_twice, whose_turn_it_is, what_is_drained_begins_nothing):
            _ask(law, step)
    elif isinstance(step.event, JobClaimed):
        # A look takes nobody's place.
        if step.event.job != step.book.look:
            _ask(hosts_hold, step)
    elif kind in AGENT_REQUESTS:
        _ask(one_tries_a_held_account, step)
    before = step.book.cost_so_far
    enter(step.book, step.recorded)
    for law in AFTERWARDS:
        _ask(law, step)
    _charge(step, step.book.cost_so_far - before)
    if kind in _ABOUT_ACCOUNTS:
        _limits(step)


def _ask(law: Law, step: Step) -> None:
    if said := law(step):
        raise Broken(law.__name__, f"task {step.after.id}, event {step.recorded.seq}: {said}")


def limits_hold(step: Step) -> str:
    """No slot is given beyond the limits of the fleet, the repository, the account and the host."""
    task, world = step.after, step.world
    if step.leader.surprised:
        return ""
    at_work = [one for one in step.leader.tasks.values() if one.admitted and one.outcome is None and one.id != task.id]
    # What a pause keeps from its next step leaves its slot to others, but for those of its repository.
    going_on = [one for one in at_work if one.id not in step.leader.halted]
    if len(going_on) >= world.settings.tasks_max:
        return f"{len(going_on)} tasks have a slot already"
    if sum(one.repo == task.repo for one in at_work) >= world.repos[task.repo].parallel_max:
        return f"repository {task.repo} is full"
    most = world.settings.accounts.get(task.account)
    if most is not None and sum(one.account == task.account for one in going_on) >= most:
        return f"account {task.account} is full"
    most = world.settings.hosts.get(task.host or "")
    if most is not None and sum(one.host == task.host for one in at_work) >= most:
        return f"host {task.host} is full"
    return ""


def hosts_hold(step: Step) -> str:
    """No host begins a task beyond its own limit; what it has begun it goes on with."""
    assert isinstance(step.event, JobClaimed)
    host, task = step.event.host, step.before
    most = step.world.settings.hosts.get(host)
    assert task is not None
    if most is None or task.host == host:
        return ""
    others = [one for one in step.leader.tasks.values() if one.id != task.id and one.admitted and _host(one) == host]
    return f"host {host} has {len(others)} tasks of {most}" if len(others) >= most else ""


def _host(task: Task) -> str | None:
    if task.outcome is not None:
        return None
    return task.host or (task.job.host if task.job is not None else None)


def nobody_is_admitted_twice(step: Step) -> str:
    """A slot is given to who has none, and each with its own number."""
    assert isinstance(step.event, TaskAdmitted)
    if step.book.slot:
        return "it has a slot"
    number = 0 if step.before is None else step.before.admissions
    return "" if step.event.number == number + 1 else f"admission {step.event.number} after {number}"


def whose_turn_it_is(step: Step) -> str:
    """Of tasks that the same limits apply to, the one of the best priority and the longest wait begins first."""
    task, world = step.before, step.world
    assert task is not None
    if step.leader.surprised:
        return ""
    ageing = world.settings.ageing_seconds
    mine = task.priority * ageing + task.queued_at.timestamp()
    for other in step.leader.tasks.values():
        if other.id == task.id or other.admitted or other.outcome is not None or not _alike(task, other):
            continue
        if other.priority * ageing + other.queued_at.timestamp() < mine - 1e-3 and advancing.wants_slot(
            other, world.now
        ):
            return f"task {other.id} (priority {other.priority}) waits since {other.queued_at}"
    return ""


def _alike(task: Task, other: Task) -> bool:
    """Whether both wait for the same: repository, account, host, the day's budget, and an agent or none."""
    return _lane(task) == _lane(other)


def _lane(task: Task) -> tuple[object, ...]:
    spec = task.spec
    return task.repo, task.vendor, task.account, task.host, needs_agent(task), spec.mode, spec.billing


def what_is_drained_begins_nothing(step: Step) -> str:
    """No slot is given while somebody's hand is on the fleet, the repository or the vendor."""
    for scope in (("fleet", "all"), ("repo", step.after.repo), ("vendor", step.after.vendor)):
        if scope in step.world.controls:
            return f"{scope} is {step.world.controls[scope].mode}d"
    return ""


def one_tries_a_held_account(step: Step) -> str:
    """An account that has met a limit begins nothing before the limit's end, and then one task at a time, until it works."""
    world, account = step.world, step.after.account
    hold = world.holds.get(account)
    if hold is None or step.leader.position < len(world.log):
        return ""
    now = step.recorded.at
    if now > hold.until + FORGOTTEN:
        del world.holds[account]
        return ""
    # A clock that is put back has its own rules: a hold is never longer than it was meant to be.
    if now < hold.until and world.put_back == hold.put_back and step.after.id not in hold.trying:
        return f"account {account} is held until {hold.until}"
    others = [one for one in hold.trying if one != step.after.id and world.books[one].job_kind in AGENT_REQUESTS]
    others = [one for one in others if world.books[one].job and _uses(world.tasks[one], account)]
    if others:
        return f"{others} try account {account} already"
    hold.trying.add(step.after.id)
    return ""


def _uses(task: Task, account: str) -> bool:
    return task.outcome is None and task.account == account


def _limits(step: Step) -> None:
    """What the event says of its account."""
    event, world = step.event, step.world
    match event:
        case TaskParked() if event.reason in LIMITS:
            account = step.after.account
            hold = world.holds.get(account)
            until = event.wake_at if hold is None else max(hold.until, event.wake_at)
            world.holds[account] = AccountHold(
                since=step.recorded.seq, since_at=step.recorded.at, until=until, put_back=world.put_back, trying=set()
            )
        case AgentSucceeded() | PlanProposed() | CompactSucceeded():
            _lift(step)
        case AgentFailed() | PlanFailed() if event.usage.turns and event.error_class not in LIMITS:
            _lift(step)
        case TaskWoken() if step.before is not None and step.before.parked is not None:
            hold = world.holds.get(step.after.account)
            if hold is not None and step.before.parked.reason in LIMITS | {"account.held"}:
                hold.until = min(hold.until, step.recorded.at)
        case _:
            return


def _lift(step: Step) -> None:
    assert step.before is not None
    hold = step.world.holds.get(step.before.account)
    job = step.before.job
    # After the clock was put back the two orders differ: then either may count.
    if hold is not None and job is not None and (step.book.job_seq > hold.since or job.requested_at >= hold.since_at):
        del step.world.holds[step.before.account]


def _charge(step: Step, cost_usd: float) -> None:
    if cost_usd <= 0:
        return
    world, today = step.world, step.recorded.at.date().isoformat()
    if today >= world.last_day:
        world.last_day = today
        world.day_costs[today, ""] += cost_usd
        world.day_costs[today, step.after.repo] += cost_usd
