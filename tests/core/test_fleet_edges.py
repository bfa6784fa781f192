"""What the fleet does at its edges: halted twice, parked while the clock goes back, retried without end, woken for nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.test_queue import T0, World, agent_request, later

from penstock.catalog import Control, Schedule
from penstock.events import (
    AgentProgressed,
    AgentRequested,
    AgentSucceeded,
    PrepareRequested,
    TaskCancelled,
    TaskParked,
    TaskWoken,
    VerifyRequested,
)
from penstock.values import Change, Origin, Usage, Window
from penstock_orchestrator.core.fleet import LINEAGE_MAX
from penstock_orchestrator.core.queue import PASSED_OVER_MAX, admissions, next_look, resolvable, why
from penstock_orchestrator.core.schedule import due, fires

PAUSE = Control(mode="pause", set_by="ann", reason="lunch")
NOBODY = Usage(cost_usd=0.0)


def cancelled() -> TaskCancelled:
    return TaskCancelled(cancelled_by="ann", usage=NOBODY)


def at_work(**settings: object) -> World:
    """One task with its clone on h1, and a slot."""
    world = World(**settings)
    world.submit("a")
    world.admit()
    world.prepared("a")
    return world


# Slots


def test_a_task_is_halted_once_and_one_without_a_slot_not_at_all() -> None:
    world = World(accounts={"claude": 1})
    world.submit("a")
    world.submit("b", later(1))
    world.admit()
    for name in ("a", "a", "b"):
        world.fleet.halt(name)
    assert (world.fleet.slots_taken, world.fleet.of_account["claude"]) == (0, 0)
    world.fleet.go_on()
    assert (world.fleet.slots_taken, world.fleet.of_account["claude"]) == (1, 1)


def test_a_parked_task_that_the_clock_went_back_on_gets_its_turn_when_its_time_comes_again() -> None:
    world = at_work()
    world.tell("a", TaskParked(reason="git.unreachable", message="", wake_at=later(10), number=1))
    world.fleet.settle(later(20))
    assert world.fleet.waiting_count == 1
    assert admissions(world.fleet, later(5)) == []
    assert world.fleet.passed_over == {"a"}
    assert admissions(world.fleet, later(9)) == []
    assert world.admit(later(11)) == ["a"]


def test_no_more_tasks_are_passed_over_in_one_go_than_anybody_can_ask() -> None:
    world = World()
    for number in range(PASSED_OVER_MAX + 1):
        world.submit(f"t{number:04d}", window=Window(opens="08:00", closes="18:00"))
    world.fleet.settle(later(1))
    assert admissions(world.fleet, later(7 * 3600)) == []
    assert len(world.fleet.passed_over) == PASSED_OVER_MAX
    assert world.fleet.waiting_count == 1


def test_a_task_whose_host_is_drained_waits_and_says_for_whom() -> None:
    world = at_work()
    world.tell("a", TaskParked(reason="git.unreachable", message="", wake_at=later(10), number=1))
    world.fleet.controls["host", "h1"] = Control(mode="drain", set_by="ann", reason="new disk")
    assert world.admit(later(20)) == []
    told = why(world.fleet, world.tasks["a"], later(20))
    assert told.why == "place 1 of 1 in the queue; host h1 is drained by ann: new disk"
    del world.fleet.controls["host", "h1"]
    told = why(world.fleet, world.tasks["a"], later(20))
    assert (told.why, told.can_move) == ("place 1 of 1 in the queue; it is given a slot next", "the orchestrator")


# Steps


def test_a_check_passes_where_nothing_is_paused() -> None:
    world = at_work(max_cost_usd_per_day=0.0)
    assert world.wants("a", VerifyRequested(attempt=1, host="h1", commit="c" * 40)) is None
    assert world.wants("a", PrepareRequested(number=2)) is None
    assert isinstance(world.wants("a", agent_request()), TaskParked)


def test_who_asks_why_is_told_what_the_task_itself_says_where_the_fleet_has_no_part_in_it() -> None:
    world = at_work()
    assert why(world.fleet, world.tasks["a"], T0).why == "the next step is being decided"
    world.fleet.controls["repo", "other"] = PAUSE
    assert why(world.fleet, world.tasks["a"], T0).why == "the next step is being decided"
    world.tell("a", AgentRequested(attempt=1, host="h1", session_id="s"))
    assert why(world.fleet, world.tasks["a"], T0).why.startswith("agent waits for a free slot on host h1")
    ended = world.end("a")
    told = why(world.fleet, ended, T0)
    assert (told.why, told.can_move, told.phase, told.position) == ("", "", "done", None)


def test_a_decision_that_is_due_and_no_step_is_nothing_the_fleet_waits_for() -> None:
    world = World()
    world.submit("a", max_wall_seconds=1.0)
    world.admit()
    world.prepared("a")
    job = world.agent("a")
    change = Change(commit="c" * 40, commits=1, files=("a",), files_changed=1, lines_added=1, lines_removed=0)
    world.tell("a", AgentSucceeded(job=job, epoch=1, change=change))
    # Nothing is configured to check it: that this is skipped is no step of a host.
    world.fleet.controls["fleet", "all"] = PAUSE
    assert why(world.fleet, world.tasks["a"], T0).why == "the next step is being decided"


def test_an_agent_that_was_asked_for_waits_for_the_next_day_when_this_ones_money_is_spent() -> None:
    world = at_work(max_cost_usd_per_day=0.0)
    world.tell("a", AgentRequested(attempt=1, host="h1", session_id="s"))
    told = why(world.fleet, world.tasks["a"], T0)
    assert told.why == "agent waits: all tasks have cost 0.00 USD today (UTC), of 0.00 a day"
    assert told.can_move == "the clock"


def test_the_next_day_is_looked_for_only_while_somebody_waits_for_its_money() -> None:
    world = at_work(max_cost_usd_per_day=0.0)
    world.fleet.settle(later(1))
    assert next_look(world.fleet, later(1)) is None
    world.tell("a", TaskParked(reason="git.unreachable", message="", wake_at=later(10), number=1))
    world.fleet.settle(later(11))
    assert next_look(world.fleet, later(11)) == datetime(2026, 3, 3, tzinfo=UTC)


def test_a_run_that_costs_nothing_charges_no_day() -> None:
    world = at_work()
    job = world.agent("a")
    world.tell("a", AgentProgressed(job=job, epoch=1, usage=Usage(turns=1)))
    assert world.fleet.cost_usd_of_day(T0) == 0.0
    world.tell("a", AgentProgressed(job=job, epoch=1, usage=Usage(turns=2, cost_usd=0.5)))
    assert world.fleet.cost_usd_of_day(T0) == world.fleet.cost_usd_of_day(T0, "shop") == 0.5


def test_a_subscription_charges_no_day_neither_while_it_runs_nor_after() -> None:
    world = World()
    world.submit("a", billing="subscription")
    world.admit()
    world.prepared("a")
    job = world.agent("a")
    world.tell("a", AgentProgressed(job=job, epoch=1, usage=Usage(turns=2, cost_usd=0.5)))
    assert world.fleet.cost_usd_of_day(T0) == 0.0


def test_waking_a_task_that_waited_for_something_else_lifts_no_hold() -> None:
    world = World()
    for name in ("hit", "other"):
        world.submit(name)
    world.admit()
    for name in ("hit", "other"):
        world.prepared(name)
    world.limited("hit", later(1), later(100))
    world.tell("other", TaskParked(reason="git.unreachable", message="", wake_at=later(50), number=1), later(2))
    world.tell("other", TaskWoken(woken_by="ann"), later(3))
    hold = world.fleet.hold_of("claude", later(4))
    assert hold is not None
    assert hold.until == later(100)


# Who waits for whom


def test_a_dependant_that_ends_is_waited_for_by_nobody_and_asked_no_more() -> None:
    world = World()
    world.submit("first")
    # Twice the same: a log may hold what no command can ask for any more.
    world.submit("b", depends_on=("first", "first"))
    world.submit("c", depends_on=("first",))
    world.tell("c", cancelled())
    world.tell("b", cancelled())
    world.end("first")
    assert resolvable(world.fleet) == []


def test_a_line_of_retries_without_end_is_followed_only_so_far() -> None:
    world = World()
    names = [f"r{number:03d}" for number in range(LINEAGE_MAX + 2)]
    for before, name in zip(["", *names], names, strict=False):
        world.submit(name, retry_of=before)
    world.submit("waits", depends_on=(names[0],))
    for name in names[:-1]:
        world.end(name, good=False)
    assert world.fleet.outcome_of(names[0]) == "failed"
    resolvable(world.fleet)
    world.end(names[-1])
    # The last one is too far from the first to speak for it.
    assert resolvable(world.fleet) == [] or world.tasks["waits"].resolved == ()
    assert world.fleet.outcome_of(names[0]) == "failed"
    assert world.fleet.outcome_of(names[2]) == "succeeded"


# Schedules


def test_the_last_fire_of_a_schedule_is_known_from_the_task_that_it_became() -> None:
    world = World()
    world.submit("a", origin=Origin(kind="schedule", name="nightly", scheduled_for=T0))
    world.submit("b", origin=Origin(kind="schedule", name="nightly", scheduled_for=later(60)))
    world.submit("c", origin=Origin(kind="retry", name="b"))
    assert world.fleet.fired == {"nightly": later(60)}


def test_fires_are_looked_for_no_further_back_than_anybody_remembers() -> None:
    yearly = Schedule(name="yearly", cron="0 0 1 1 *", missed="all", since=datetime(2001, 1, 1, tzinfo=UTC))
    found = [one.origin.scheduled_for.year for one in due(yearly, None, T0) if one.origin and one.origin.scheduled_for]
    assert found == list(range(2015, 2027))


def test_a_schedule_in_a_zone_that_is_no_more_keeps_to_utc() -> None:
    lost = Schedule(name="lost", cron="0 9 * * *", timezone="Mars/Base")
    assert fires(lost, T0, T0 + timedelta(days=1)) == [datetime(2026, 3, 3, 9, tzinfo=UTC)]
