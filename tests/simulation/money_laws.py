"""What must hold of cost, time, attempts and waits.

Rule of this room: a law judges by the book and the world, not by the core's own figures; an empty answer is a good one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from penstock.events import (
    BudgetWarned,
    TaskParked,
)
from simulation.book import WENT_WELL
from simulation.world import Step

CENT: Final = 1e-6
COUNTED_BY_THE_FLEET: Final = frozenset({"account.held", "budget.repo_day", "budget.fleet_day", "night_window"})


def the_budget_holds(step: Step) -> str:
    """No agent is asked for when the known cost, or the time of work, is at the task's limit: what is spent beyond it is one
    run's at most."""
    book = step.book
    if book.max_cost_usd is not None and book.cost_usd >= book.max_cost_usd:
        return f"{book.cost_usd:.4f} USD are spent of {book.max_cost_usd:.4f}"
    if book.wall_seconds >= book.max_wall_seconds:
        return f"{book.wall_seconds:.0f} s are used of {book.max_wall_seconds:.0f}"
    return ""


def the_days_budget_holds(step: Step) -> str:
    """No agent is asked for when the day's known cost is at the limit of the repository or of the fleet."""
    world, today = step.world, step.recorded.at.date().isoformat()
    if step.book.spec.billing == "subscription" or step.leader.position < len(world.log) or world.last_day > today:
        return ""
    limits = (
        (step.after.repo, world.repos[step.after.repo].max_cost_usd_per_day),
        ("", world.settings.max_cost_usd_per_day),
    )
    for whose, limit in limits:
        spent = world.day_costs[today, whose]
        if limit is not None and spent >= limit + CENT:
            return f"{spent:.4f} USD are spent today of {limit:.4f} ({whose or 'fleet'})"
    return ""


def tries_are_counted(step: Step) -> str:
    """No agent is asked for when all attempts are spent; a fail-over or an approved plan's first run counts anew."""
    most = step.book.spec.max_attempts
    return f"{step.book.failures} attempts of {most} have failed" if step.book.failures >= most else ""


def it_fails_over_once(step: Step) -> str:
    """A task changes to its backup once, and only where it has one."""
    spec = step.book.spec
    if step.book.failovers or not (spec.backup_vendor or spec.backup_model):
        return f"fail-over number {step.book.failovers + 1}"
    return ""


def a_budget_is_warned_of_once(step: Step) -> str:
    """One warning for each budget, until a person gives more."""
    assert isinstance(step.event, BudgetWarned)
    return f"{step.event.budget} again" if step.event.budget in step.book.warned else ""


def waits_are_believable(step: Step) -> str:
    """A wait is neither shorter than the shortest nor longer than anybody's window, and not shorter than a vendor's word."""
    assert isinstance(step.event, TaskParked)
    now, event, policy, told = step.recorded.at, step.event, step.book.spec.policy, step.book.retry_at
    wait = (event.wake_at - now).total_seconds()
    if event.reason in COUNTED_BY_THE_FLEET:
        # A hold may last as long as a vendor's word is believed, a day's budget or the night for a day.
        longest = max(policy.reset_seconds_max, 86_400.0, 20_000.0) + 3_700.0
        return "" if event.reason == "account.held" or 0 < wait <= longest else f"it waits {wait} s"
    if wait < policy.park_seconds_min - CENT:
        return f"it waits {wait} s only"
    longest = max(policy.reset_seconds_max, policy.park_seconds_max * 1.2)
    if wait > longest + CENT:
        return f"it waits {wait} s, more than {longest} s"
    believed = told is not None and now < told <= now + timedelta(seconds=policy.reset_seconds_max)
    if believed and told is not None and event.wake_at < told:
        return f"it wakes at {event.wake_at}, and the vendor said {told}"
    return ""


def agents_keep_the_hours(step: Step) -> str:
    """A task with a window asks for no agent and no clone outside of it, unless a person wakes it."""
    window = step.book.spec.window
    if window is None or "night_window" in step.book.waived:
        return ""
    clock = f"{step.recorded.at:%H:%M}"
    return "" if clock >= window.opens or clock < window.closes else f"it is {clock}"


def spending_is_counted_once(step: Step) -> str:
    """The task's cost and time are those of its runs: each once, and all that was told before a loss."""
    if abs(step.after.cost_seen - step.book.cost_usd) > CENT:
        return f"{step.after.cost_seen:.4f} USD are counted, {step.book.cost_usd:.4f} were told"
    if abs(step.after.usage.wall_seconds - step.book.wall_seconds) > CENT:
        return f"{step.after.usage.wall_seconds:.0f} s are counted, {step.book.wall_seconds:.0f} were told"
    return ""


def spending_never_falls(step: Step) -> str:
    """What is known to be spent becomes less by the last word of a run that went well, and by nothing that comes late."""
    if step.before is None or step.after.outcome is not None or isinstance(step.event, WENT_WELL):
        return ""
    fell = step.before.cost_so_far - step.after.cost_so_far
    return f"it fell by {fell:.4f} USD" if fell > CENT else ""


def attempts_are_counted_once(step: Step) -> str:
    """The attempts that are spent are the runs and checks that have failed by themselves: each once, and what passes never."""
    if step.after.outcome is not None or step.after.attempts_spent == step.book.failures:
        return ""
    return f"{step.after.attempts_spent} attempts are counted, and {step.book.failures} have failed"
