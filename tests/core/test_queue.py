"""Many tasks, few slots: whose turn it is, what is held, who is told why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from penstock.catalog import Control, FleetSettings, Repo
from penstock.events import (
    AgentFailed,
    AgentRequested,
    AgentSucceeded,
    DependencyResolved,
    GateScored,
    JobClaimed,
    KnownEvent,
    PrepareRequested,
    PrepareSucceeded,
    PriorityChanged,
    Recorded,
    TaskAdmitted,
    TaskCancelled,
    TaskFailed,
    TaskParked,
    TaskSubmitted,
    TaskSucceeded,
    TaskWoken,
    VerifyRequested,
)
from penstock.values import Change, Delivery, Kept, RepoSnapshot, Usage, Window
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.fleet import DAYS_KEPT, Fleet
from penstock_orchestrator.core.queue import (
    ADMISSIONS_AT_ONCE_MAX,
    admissions,
    may_claim,
    next_look,
    resolutions,
    resolvable,
    veto,
    why,
)
from penstock_orchestrator.core.task import Task

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HEAD = "c" * 40


def later(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


class World:
    """A fleet that is told events as the log would tell them."""

    def __init__(self, *repos: Repo, **settings: object) -> None:
        self.fleet = Fleet()
        self.fleet.settings = FleetSettings(**settings)  # type: ignore[arg-type]  # a test's own keywords
        for repo in repos or (repo_of("shop", 50),):
            self.fleet.repos[repo.name] = repo
        self.tasks: dict[str, Task] = {}
        self.seq = 0

    def tell(self, name: str, event: KnownEvent, at: datetime = T0, repo: str = "shop") -> Task:
        self.seq += 1
        before = self.tasks.get(name)
        recorded = Recorded(
            seq=self.seq,
            id=f"e{self.seq:025d}",
            repo=repo if before is None else before.repo,
            task=name,
            at=at,
            causation_id=f"cause{self.seq}",
            data=event,
        )
        after = evolve(before, recorded)
        assert after is not None
        self.tasks[name] = after
        self.fleet.changed(before, after, recorded)
        return after

    def submit(self, name: str, at: datetime = T0, repo: str = "shop", **more: object) -> Task:
        spec: dict[str, object] = {
            "title": name,
            "repo": RepoSnapshot(name=repo, clone_url="https://git.example/x.git"),
        }
        return self.tell(name, TaskSubmitted(**(spec | more)), at, repo)  # type: ignore[arg-type]  # own keywords

    def admit(self, at: datetime = T0) -> list[str]:
        """Who is given a slot, told to the fleet as the loop does."""
        given = admissions(self.fleet, at)
        for name, event in given:
            self.tell(name, event, at)
        return [name for name, _ in given]

    def prepared(self, name: str, at: datetime = T0, host: str = "h1") -> Task:
        """A task with a slot, up to where its agent is due."""
        self.tell(name, PrepareRequested(number=1), at)
        job = f"e{self.seq:025d}"
        self.tell(name, JobClaimed(job=job, host=host, epoch=1), at)
        return self.tell(
            name, PrepareSucceeded(job=job, epoch=1, host=host, base_commit="b" * 40, branch=f"agent/{name}"), at
        )

    def agent(self, name: str, at: datetime = T0) -> str:
        """An agent run of the task, claimed: the job's id."""
        host = self.tasks[name].host
        assert host is not None
        self.tell(name, AgentRequested(attempt=1, host=host, session_id="s"), at)
        job = f"e{self.seq:025d}"
        self.tell(name, JobClaimed(job=job, host=host, epoch=1), at)
        return job

    def limited(self, name: str, at: datetime, wake_at: datetime, reason: str = "vendor.rate_limit") -> Task:
        """The task's agent has met a limit of its account, and the task is parked."""
        job = self.agent(name, at)
        self.tell(name, AgentFailed(job=job, epoch=1, error_class=reason, message="slow down", transient=True), at)
        return self.tell(name, TaskParked(reason=reason, message="slow down", wake_at=wake_at, number=1), at)

    def end(self, name: str, at: datetime = T0, *, good: bool = True, usage: Usage | None = None) -> Task:
        usage = usage or Usage(cost_usd=0.0)
        if good:
            delivery = Delivery(kind="branch", commit=HEAD)
            return self.tell(name, TaskSucceeded(delivery=delivery, attempts=1, usage=usage), at)
        return self.tell(name, TaskFailed(error_class="test.failed", message="no", attempts=1, usage=usage), at)

    def wants(self, name: str, event: KnownEvent, at: datetime = T0) -> KnownEvent | str | None:
        return veto(self.fleet, self.tasks[name], event, at)


def repo_of(name: str, parallel_max: int = 50, **more: object) -> Repo:
    given: dict[str, object] = {"name": name, "clone_url": "https://git.example/x.git", "parallel_max": parallel_max}
    return Repo(**(given | more))  # type: ignore[arg-type]  # a test's own keywords


def agent_request(host: str = "h1") -> AgentRequested:
    return AgentRequested(attempt=1, host=host, session_id="s")


# The order


def test_priority_goes_first_and_of_two_alike_the_older_one() -> None:
    world = World()
    world.submit("late", later(2), priority=1)
    world.submit("middle", later(1))
    world.submit("early", later(0))
    world.submit("last", later(0), priority=9)
    assert world.admit(later(3)) == ["late", "early", "middle", "last"]


def test_an_old_nine_is_at_last_before_a_fresh_one() -> None:
    world = World(ageing_seconds=60.0, tasks_max=1)
    world.submit("nine", later(0), priority=9)
    world.submit("soon", later(8 * 60 - 1), priority=1)
    world.submit("fresh", later(8 * 60 + 1), priority=1)
    assert world.admit(later(8 * 60 + 2)) == ["soon"]
    world.end("soon")
    given = admissions(world.fleet, later(8 * 60 + 2))
    assert [name for name, _ in given] == ["nine"]
    assert given[0][1] == TaskAdmitted(number=1, priority=1, waited_seconds=8 * 60 + 2)


def test_asked_twice_the_answer_is_the_same_and_does_not_depend_on_the_order_of_arrival() -> None:
    names = [f"t{number}" for number in range(20)]
    answers = []
    for order in (names, names[::-1], names[10:] + names[:10]):
        world = World(tasks_max=7)
        for name in order:
            world.submit(name, priority=1 + int(name[1:]) % 9)
        answers.append([name for name, _ in admissions(world.fleet, later(5))])
        assert [name for name, _ in admissions(world.fleet, later(5))] == answers[-1]
    assert answers[0] == answers[1] == answers[2]


def test_a_new_priority_moves_a_waiting_task() -> None:
    world = World(tasks_max=1)
    world.submit("a")
    world.submit("b")
    world.tell("b", PriorityChanged(priority=1, changed_by="ann"))
    assert world.admit() == ["b"]


def test_another_ageing_changes_the_order_of_those_that_wait_already() -> None:
    world = World(ageing_seconds=900.0, tasks_max=1)
    world.submit("old", later(0), priority=9)
    world.submit("new", later(100), priority=1)
    assert [name for name, _ in admissions(world.fleet, later(101))] == ["new"]
    world.fleet.settings = FleetSettings(ageing_seconds=1.0, tasks_max=1)
    assert [name for name, _ in admissions(world.fleet, later(101))] == ["old"]


# The limits


def test_a_full_repo_does_not_stop_the_others() -> None:
    world = World(repo_of("a", 1), repo_of("b", 2))
    for number in range(3):
        world.submit(f"a{number}", later(number), "a", priority=1)
        world.submit(f"b{number}", later(number), "b", priority=9)
    assert world.admit(later(5)) == ["a0", "b0", "b1"]
    world.end("a0")
    assert world.admit(later(6)) == ["a1"]
    told = why(world.fleet, world.tasks["b2"], later(6))
    assert (told.position, told.phase) == (2, "queued")
    assert "2 of 2 tasks of repo b are at work" in told.why


def test_a_repo_that_left_the_catalogue_keeps_one_slot() -> None:
    world = World(repo_of("other"))
    world.submit("a")
    world.submit("b")
    assert world.admit() == ["a"]


def test_the_fleets_slots_and_the_accounts_are_kept_to() -> None:
    world = World(tasks_max=3, accounts={"work": 2})
    for number in range(3):
        world.submit(f"w{number}", later(number), account="work", priority=1)
        world.submit(f"x{number}", later(number))
    assert world.admit(later(5)) == ["w0", "w1", "x0"]
    assert world.fleet.slots_taken == 3
    assert "all 3 slots of the fleet are taken" in why(world.fleet, world.tasks["x1"], later(5)).why
    world.end("x0")
    told = why(world.fleet, world.tasks["w2"], later(5))
    assert "2 of 2 tasks of account work are at work" in told.why
    assert told.can_move == "a task that gives its slot back"


def test_a_task_with_its_clone_on_a_full_host_waits_and_others_do_not() -> None:
    world = World(hosts={"h1": 1})
    world.submit("first")
    world.submit("second", later(1))
    assert world.admit(later(1)) == ["first", "second"]
    world.prepared("first")
    world.tell("second", PrepareRequested(number=1))
    assert may_claim(world.fleet, world.tasks["second"], "h1") == "host h1 has 1 of 1 tasks already"
    assert may_claim(world.fleet, world.tasks["second"], "h2") == ""
    assert may_claim(world.fleet, world.tasks["first"], "h1") == ""
    world.limited("first", later(2), later(10))
    assert may_claim(world.fleet, world.tasks["second"], "h1") == ""
    world.tell("second", JobClaimed(job=f"e{world.tasks['second'].seq:025d}", host="h1", epoch=2))
    told = why(world.fleet, world.tasks["first"], later(11))
    assert "host h1, which has its clone, has 1 of 1 tasks" in told.why
    assert world.admit(later(11)) == []


def test_of_two_that_come_back_to_a_host_for_one_only_one_is_let_in() -> None:
    world = World(hosts={"h1": 1})
    for name in ("a", "b"):
        world.submit(name, account=name)
    world.admit()
    for name in ("a", "b"):
        world.prepared(name)
        world.tell(name, TaskParked(reason="git.unreachable", message="", wake_at=later(5), number=1))
    assert world.admit(later(6)) == ["a"]
    assert world.admit(later(6)) == []


def test_a_parked_task_gives_its_slot_back_and_gets_one_again_when_its_time_has_come() -> None:
    world = World(tasks_max=1)
    world.submit("a")
    world.submit("b")
    assert world.admit() == ["a"]
    world.tell("a", TaskParked(reason="git.unreachable", message="no", wake_at=later(60), number=1))
    assert world.admit(later(1)) == ["b"]
    assert why(world.fleet, world.tasks["a"], later(59)).position is None
    assert world.admit(later(61)) == []
    assert why(world.fleet, world.tasks["a"], later(61)).position == 1
    world.end("b")
    assert world.admit(later(61)) == ["a"]
    assert world.tasks["a"].admissions == 2


def test_a_task_is_passed_over_when_the_night_has_begun_while_it_waited() -> None:
    world = World(tasks_max=1)
    world.submit("a")
    world.submit("day", later(1), window=Window(opens="08:00", closes="18:00"))
    world.submit("any", later(2))
    assert world.admit(later(3)) == ["a"]
    world.end("a")
    assert world.admit(later(7 * 3600)) == ["any"]
    assert world.fleet.passed_over == {"day"}
    world.end("any")
    assert world.admit(later(7 * 3600)) == []


# Somebody's hand


@pytest.mark.parametrize(
    ("scope", "words"),
    [(("fleet", "all"), "the fleet"), (("repo", "shop"), "repo shop"), (("vendor", "claude"), "vendor claude")],
)
def test_what_is_paused_or_drained_begins_nothing_and_says_who_did_it(scope: tuple[str, str], words: str) -> None:
    for mode, said in (("pause", "paused"), ("drain", "drained")):
        world = World()
        world.submit("a")
        world.fleet.controls[scope] = Control(mode=mode, set_by="ann", reason="upgrade")
        assert world.admit() == []
        told = why(world.fleet, world.tasks["a"], T0)
        assert f"{words} is {said} by ann: upgrade" in told.why
        assert told.can_move == f"a person: resume {words}"
        del world.fleet.controls[scope]
        assert world.admit() == ["a"]


def test_a_pause_makes_the_next_step_wait_and_a_drain_lets_it_go_on() -> None:
    world = World()
    world.submit("a")
    world.admit()
    world.prepared("a")
    world.fleet.controls["repo", "shop"] = Control(mode="drain")
    assert world.wants("a", agent_request()) is None
    world.fleet.controls["repo", "shop"] = Control(mode="pause", set_by="ann")
    assert world.wants("a", agent_request()) == "wait"
    told = why(world.fleet, world.tasks["a"], T0)
    assert told.why == "the next step waits: repo shop is paused by ann"


def test_a_paused_vendor_stops_agents_and_not_checks() -> None:
    world = World()
    world.submit("a")
    world.admit()
    world.prepared("a")
    world.fleet.controls["vendor", "claude"] = Control(mode="pause")
    assert world.wants("a", agent_request()) == "wait"
    assert world.wants("a", VerifyRequested(attempt=1, host="h1", commit=HEAD)) is None


def test_no_pause_stands_in_the_way_of_what_begins_nothing() -> None:
    world = World()
    world.submit("a")
    world.admit()
    world.prepared("a")
    world.fleet.controls["fleet", "all"] = Control(mode="pause")
    assert world.wants("a", agent_request()) == "wait"
    assert world.wants("a", TaskFailed(error_class="task.wall", message="no", attempts=1, usage=Usage())) is None


@pytest.mark.parametrize("scope", [("fleet", "all"), ("repo", "shop"), ("vendor", "claude")])
def test_a_job_that_was_asked_for_before_the_pause_is_not_begun_in_it(scope: tuple[str, str]) -> None:
    world = World()
    world.submit("a")
    world.admit()
    world.prepared("a")
    asked_for(world, "a")
    world.fleet.controls[scope] = Control(mode="drain")
    assert may_claim(world.fleet, world.tasks["a"], "h1", later(1)) == ""
    world.fleet.controls[scope] = Control(mode="pause", set_by="ann")
    assert "is paused by ann" in may_claim(world.fleet, world.tasks["a"], "h1", later(1))
    assert "is paused by ann" in why(world.fleet, world.tasks["a"], later(1)).why


def test_tasks_of_a_paused_repo_leave_their_slots_to_others_and_not_to_their_own_repo() -> None:
    world = World(repo_of("shop", 2), repo_of("other"), tasks_max=2, accounts={"claude": 2})
    for name in ("one", "two"):
        world.submit(name)
    world.admit()
    for name in ("one", "two"):
        world.prepared(name)
    world.submit("third", later(1))
    world.submit("else", later(1), repo="other")
    assert world.admit(later(2)) == []
    world.fleet.controls["repo", "shop"] = Control(mode="pause")
    for name in ("one", "two"):
        assert world.wants(name, agent_request(), later(3)) == "wait"
        world.fleet.halt(name)
    assert world.admit(later(4)) == ["else"]
    assert (world.fleet.slots_taken, dict(world.fleet.of_account), world.fleet.of_repo["shop"]) == (1, {"claude": 1}, 2)
    world.fleet.controls.clear()
    world.fleet.go_on()
    assert (world.fleet.slots_taken, dict(world.fleet.of_account)) == (3, {"claude": 3})
    assert world.wants("one", agent_request(), later(5)) is None
    world.fleet.halt("one")
    world.end("one")
    world.end("two")
    assert (world.fleet.slots_taken, dict(world.fleet.of_account)) == (1, {"claude": 1})


def test_under_settings_or_a_repo_that_cannot_be_read_nothing_begins() -> None:
    world = World(repo_of("shop"), repo_of("other"))
    world.submit("a")
    world.submit("b", later(1), repo="other")
    world.fleet.unreadable.add(("repo", "shop"))
    assert world.admit(later(2)) == ["b"]
    assert "entry of repo shop cannot be read" in why(world.fleet, world.tasks["a"], later(2)).why
    world.fleet.unreadable = {("settings", "")}
    assert world.admit(later(2)) == []
    assert "the settings of the fleet cannot be read" in why(world.fleet, world.tasks["a"], later(2)).why


def test_a_drained_host_goes_on_with_what_it_has_and_a_paused_one_does_not() -> None:
    world = World()
    world.submit("has")
    world.submit("new", later(1))
    world.admit(later(1))
    world.prepared("has")
    world.fleet.controls["host", "h1"] = Control(mode="drain")
    assert may_claim(world.fleet, world.tasks["has"], "h1") == ""
    assert may_claim(world.fleet, world.tasks["new"], "h1") == "host h1 is drained"
    assert may_claim(world.fleet, world.tasks["new"], "h2") == ""
    world.fleet.controls["host", "h1"] = Control(mode="pause")
    assert may_claim(world.fleet, world.tasks["has"], "h1") == "host h1 is paused"
    assert world.wants("has", agent_request()) == "wait"


# Whom a task waits for


def test_a_task_waits_for_what_it_depends_on() -> None:
    world = World()
    world.submit("first")
    world.submit("second", depends_on=("first",))
    assert world.admit() == ["first"]
    assert "waits for task first (preparing)" in why(world.fleet, world.tasks["second"], T0).why
    assert resolvable(world.fleet) == []
    world.end("first")
    assert resolvable(world.fleet) == [("second", DependencyResolved(on="first", outcome="succeeded"))]
    world.tell("second", DependencyResolved(on="first", outcome="succeeded"))
    assert resolvable(world.fleet) == []
    assert world.admit() == ["second"]


def test_a_dependency_that_ended_before_or_never_was_is_told_too() -> None:
    world = World()
    world.submit("gone")
    world.tell("gone", TaskCancelled(cancelled_by="ann", usage=Usage()))
    task = world.submit("a", depends_on=("gone", "never"))
    assert resolutions(world.fleet, task) == [
        DependencyResolved(on="gone", outcome="cancelled"),
        DependencyResolved(on="never", outcome="missing"),
    ]
    assert resolvable(world.fleet) == [("a", DependencyResolved(on="gone", outcome="cancelled"))]


def test_a_dependency_that_failed_is_met_by_a_retry_of_a_retry() -> None:
    world = World()
    world.submit("a")
    world.submit("b", depends_on=("a",))
    world.end("a", good=False)
    assert resolvable(world.fleet) == [("b", DependencyResolved(on="a", outcome="failed"))]
    world.tell("b", DependencyResolved(on="a", outcome="failed"))
    world.submit("a2", retry_of="a")
    world.end("a2", good=False)
    world.submit("a3", retry_of="a2")
    assert resolvable(world.fleet) == []
    world.end("a3")
    assert resolvable(world.fleet) == [("b", DependencyResolved(on="a", outcome="succeeded"))]


def test_a_dependency_is_not_over_while_a_retry_of_it_lives() -> None:
    world = World()
    world.submit("a")
    world.end("a", good=False)
    world.submit("a2", retry_of="a")
    task = world.submit("b", depends_on=("a",))
    assert resolutions(world.fleet, task) == []
    assert resolvable(world.fleet) == []
    world.end("a2", good=False)
    assert resolvable(world.fleet) == [("b", DependencyResolved(on="a", outcome="failed"))]


# A held account


def two_with_a_limit(*more: str, **settings: object) -> World:
    """`hit` has met a limit until T0 + 100 s; `other`, and `more`, of the same account have a clone and their agent is due."""
    world = World(**settings)
    for name in ("hit", "other", *more):
        world.submit(name)
    world.admit()
    for name in ("hit", "other", *more):
        world.prepared(name)
    world.limited("hit", later(0), later(100))
    return world


def test_a_limit_of_one_task_holds_the_others_of_its_account() -> None:
    world = two_with_a_limit()
    said = world.wants("other", agent_request(), later(10))
    assert isinstance(said, TaskParked)
    assert said.reason == "account.held"
    assert later(100) <= said.wake_at <= later(130)
    assert "account claude is held until 2026-03-02 12:01:40 UTC: vendor.rate_limit" in said.message
    assert world.wants("other", VerifyRequested(attempt=1, host="h1", commit=HEAD), later(10)) is None
    assert next_look(world.fleet, later(10)) == later(100)
    world.submit("elsewhere", account="mine")
    world.admit(later(10))
    world.prepared("elsewhere", later(10))
    assert world.wants("elsewhere", agent_request(), later(10)) is None


def test_after_a_hold_one_task_tries_and_its_success_lifts_it_for_all() -> None:
    world = two_with_a_limit()
    world.tell("other", TaskParked(reason="account.held", message="", wake_at=later(105), number=0), later(10))
    world.submit("third", later(20), priority=9)
    assert world.admit(later(20)) == []
    assert world.admit(later(101)) == ["hit"]
    assert world.admit(later(110)) == []
    told = why(world.fleet, world.tasks["other"], later(110))
    assert "account claude has met vendor.rate_limit, and task hit tries it again" in told.why
    job = world.agent("hit", later(111))
    change = Change(commit=HEAD, commits=1, files=("a",), files_changed=1, lines_added=1, lines_removed=0)
    world.tell("hit", AgentSucceeded(job=job, epoch=1, change=change), later(200))
    assert sorted(world.admit(later(200))) == ["other", "third"]
    assert world.wants("other", agent_request(), later(200)) is None


def test_a_probe_that_meets_the_limit_renews_the_hold() -> None:
    world = two_with_a_limit()
    world.tell("other", TaskParked(reason="account.held", message="", wake_at=later(105), number=0), later(10))
    assert world.admit(later(101)) == ["hit"]
    world.limited("hit", later(102), later(500))
    assert world.admit(later(300)) == []
    assert next_look(world.fleet, later(300)) == later(500)
    assert world.admit(later(501)) in (["hit"], ["other"])


def test_a_probe_that_fails_for_another_reason_makes_room_for_the_next() -> None:
    world = two_with_a_limit()
    world.tell("other", TaskParked(reason="account.held", message="", wake_at=later(105), number=0), later(10))
    assert world.admit(later(101)) == ["hit"]
    world.tell("hit", TaskParked(reason="host.bug", message="", wake_at=later(900), number=2), later(102))
    assert world.admit(later(106)) == ["other"]


def test_only_one_of_two_that_hold_slots_tries_the_account() -> None:
    world = two_with_a_limit("third")
    assert world.wants("other", agent_request(), later(101)) is None
    said = world.wants("third", agent_request(), later(101))
    assert isinstance(said, TaskParked)
    assert said.wake_at >= later(161)
    assert world.wants("other", agent_request(), later(101)) is None


def test_work_begun_before_the_limit_does_not_lift_the_hold() -> None:
    world = World()
    for name in ("early", "hit"):
        world.submit(name)
    world.admit()
    for name in ("early", "hit"):
        world.prepared(name)
    job = world.agent("early", later(0))
    world.limited("hit", later(1), later(100))
    change = Change(commit=HEAD, commits=1, files=("a",), files_changed=1, lines_added=1, lines_removed=0)
    world.tell("early", AgentSucceeded(job=job, epoch=1, change=change), later(5))
    assert next_look(world.fleet, later(5)) == later(100)


def test_a_failure_that_worked_lifts_the_hold_and_one_that_did_nothing_does_not() -> None:
    for turns, lifted in ((3, True), (0, False)):
        world = two_with_a_limit()
        assert world.admit(later(101)) == ["hit"]
        job = world.agent("hit", later(101))
        failed = AgentFailed(job=job, epoch=1, error_class="agent.no_change", message="", usage=Usage(turns=turns))
        world.tell("hit", failed, later(102))
        assert (world.fleet.holds == {}) is lifted


def test_a_person_who_wakes_a_held_task_lets_it_try_at_once() -> None:
    world = two_with_a_limit()
    world.tell("hit", TaskWoken(woken_by="ann"), later(10))
    assert world.admit(later(10)) == ["hit"]
    assert isinstance(world.wants("other", agent_request(), later(11)), TaskParked)


def test_a_hold_that_nobody_has_tried_for_an_hour_is_forgotten() -> None:
    world = two_with_a_limit()
    assert world.fleet.hold_of("claude", later(100 + 3599)) is not None
    assert world.wants("other", agent_request(), later(100 + 3601)) is None
    assert world.fleet.holds["claude"].probe == ""


def asked_for(world: World, name: str, at: datetime = T0) -> str:
    """The task's agent is asked for, and no host has begun it: the job's id."""
    world.tell(name, agent_request(), at)
    return f"e{world.seq:025d}"


def test_a_job_nobody_has_begun_is_not_begun_on_a_held_account_but_by_one_that_tries_it() -> None:
    world = World()
    for name in ("hit", "one", "two"):
        world.submit(name)
    world.admit()
    for name in ("hit", "one", "two"):
        world.prepared(name)
    for name in ("one", "two"):
        asked_for(world, name)
    world.limited("hit", later(0), later(100))
    told = "account claude is held until 2026-03-02 12:01:40 UTC: vendor.rate_limit"
    assert may_claim(world.fleet, world.tasks["one"], "h1", later(10)) == told
    assert why(world.fleet, world.tasks["one"], later(10)).why == f"agent waits: {told}"
    assert may_claim(world.fleet, world.tasks["one"], "h1", later(101)) == ""
    assert "task one tries it again" in may_claim(world.fleet, world.tasks["two"], "h1", later(101))
    assert may_claim(world.fleet, world.tasks["one"], "h1", later(102)) == ""


def test_a_probe_that_does_not_try_makes_room_for_another_after_a_minute() -> None:
    world = two_with_a_limit()
    world.tell("other", TaskParked(reason="account.held", message="", wake_at=later(101), number=0), later(10))
    [probe] = world.admit(later(102))
    [next_one] = {"hit", "other"} - {probe}
    world.fleet.controls["repo", "shop"] = Control(mode="pause")
    assert world.wants(probe, agent_request(), later(103)) == "wait"
    del world.fleet.controls["repo", "shop"]
    assert world.admit(later(161)) == []
    assert next_look(world.fleet, later(161)) == later(162)
    assert world.admit(later(162)) == [next_one]


def test_a_probe_at_work_counts_however_long_it_takes() -> None:
    world = two_with_a_limit()
    assert world.admit(later(101)) == ["hit"]
    world.agent("hit", later(102))
    assert isinstance(world.wants("other", agent_request(), later(5000)), TaskParked)


def test_no_clones_are_made_for_an_account_that_is_held_but_the_one_of_who_tries_it() -> None:
    world = World(tasks_max=2)
    world.submit("hit")
    world.admit()
    world.prepared("hit")
    world.limited("hit", later(0), later(100))
    for number in range(20):
        world.submit(f"t{number:02}", later(1), priority=1)
    world.submit("elsewhere", later(2), account="mine")
    assert world.admit(later(10)) == ["elsewhere"]
    assert "account claude is held until" in why(world.fleet, world.tasks["t00"], later(10)).why
    assert world.admit(later(101)) == ["t00"]
    world.prepared("t00", later(102))
    assert world.wants("t00", agent_request(), later(103)) is None


def test_a_hold_that_a_wrong_clock_has_begun_ends_with_the_longest_window_of_a_vendor() -> None:
    world = World()
    for name in ("hit", "other"):
        world.submit(name)
    world.admit()
    for name in ("hit", "other"):
        world.prepared(name)
    ahead = T0 + timedelta(days=300)
    world.limited("hit", ahead, ahead + timedelta(seconds=10))
    said = world.wants("other", agent_request(), later(60))
    assert isinstance(said, TaskParked)
    assert T0 + timedelta(days=8) <= said.wake_at <= T0 + timedelta(days=8, minutes=2)
    assert isinstance(world.wants("other", agent_request(), T0 + timedelta(days=7)), TaskParked)
    assert world.wants("other", agent_request(), said.wake_at) is None


def test_no_hold_is_longer_than_the_longest_window_of_a_vendor() -> None:
    world = World()
    world.submit("hit")
    world.admit()
    world.prepared("hit")
    world.limited("hit", T0, datetime(2106, 2, 7, tzinfo=UTC))
    assert next_look(world.fleet, T0) == T0 + timedelta(days=8)


# Budgets of a day


def test_one_moment_of_a_wrong_clock_does_not_make_the_day_free() -> None:
    world = World(max_cost_usd_per_day=1.0)
    for name in ("a", "b"):
        world.submit(name)
    world.admit()
    for name in ("a", "b"):
        world.prepared(name)
    spend(world, "a", 0.75, later(0))
    spend(world, "a", 0.25, T0 + timedelta(days=365))
    assert world.wants("b", agent_request(), later(1)) is None
    spend(world, "a", 0.5, later(2))
    assert isinstance(world.wants("b", agent_request(), later(3)), TaskParked)


def test_of_the_days_that_were_charged_only_the_last_are_kept() -> None:
    world = World()
    world.submit("a")
    world.admit()
    world.prepared("a")
    for number in range(DAYS_KEPT + 1):
        spend(world, "a", 1.0, T0 + timedelta(days=number))
    known = [world.fleet.cost_usd_of_day(T0 + timedelta(days=number)) for number in range(DAYS_KEPT + 1)]
    assert known == [0.0] + [1.0] * DAYS_KEPT


def test_when_the_days_money_is_spent_no_clone_is_made_and_no_agent_begun() -> None:
    world = World(max_cost_usd_per_day=1.0)
    for name in ("a", "b"):
        world.submit(name)
    world.admit()
    for name in ("a", "b"):
        world.prepared(name)
    asked_for(world, "b")
    assert may_claim(world.fleet, world.tasks["b"], "h1", later(1)) == ""
    spend(world, "a", 9.0, later(2))
    told = "all tasks have cost 9.00 USD today (UTC), of 1.00 a day"
    assert may_claim(world.fleet, world.tasks["b"], "h1", later(3)) == told
    world.submit("new", later(4))
    world.submit("free", later(4), billing="subscription")
    assert world.admit(later(5)) == ["free"]
    asked = why(world.fleet, world.tasks["new"], later(6))
    assert asked.why == f"place 1 of 1 in the queue; {told}"
    assert asked.wake_at == datetime(2026, 3, 3, tzinfo=UTC)
    assert may_claim(world.fleet, world.tasks["b"], "h1", T0 + timedelta(days=1)) == ""
    assert world.admit(T0 + timedelta(days=1)) == ["new"]


def spend(world: World, name: str, cost_usd: float, at: datetime) -> None:
    job = world.agent(name, at)
    change = Change(commit=HEAD, commits=1, files=("a",), files_changed=1, lines_added=1, lines_removed=0)
    world.tell(name, AgentSucceeded(job=job, epoch=1, change=change, usage=Usage(turns=1, cost_usd=cost_usd)), at)


@pytest.mark.parametrize("of", ["repo", "fleet"])
def test_agents_wait_for_the_next_day_when_the_days_money_is_spent(of: str) -> None:
    of_repo, of_fleet = (2.0, None) if of == "repo" else (None, 2.0)
    world = World(repo_of("shop", max_cost_usd_per_day=of_repo), max_cost_usd_per_day=of_fleet)
    for name in ("a", "b"):
        world.submit(name)
    world.admit()
    for name in ("a", "b"):
        world.prepared(name)
    spend(world, "a", 1.5, later(1))
    assert world.wants("b", agent_request(), later(2)) is None
    spend(world, "a", 0.5, later(3))
    said = world.wants("b", agent_request(), later(4))
    assert isinstance(said, TaskParked)
    assert said.reason == f"budget.{of}_day"
    assert datetime(2026, 3, 3, tzinfo=UTC) <= said.wake_at <= datetime(2026, 3, 3, 0, 0, 30, tzinfo=UTC)
    assert "2.00 USD today (UTC), of 2.00 a day" in said.message
    assert world.wants("b", agent_request(), said.wake_at) is None


def test_a_subscription_charges_the_day_nothing() -> None:
    world = World(repo_of("shop", max_cost_usd_per_day=1.0))
    world.submit("a", billing="subscription")
    world.admit()
    world.prepared("a")
    spend(world, "a", 5.0, later(1))
    assert world.fleet.cost_usd_of_day(later(2)) == 0.0
    assert world.wants("a", agent_request(), later(2)) is None


# What is kept


def test_history_holds_the_last_fifty_ends_and_nothing_of_the_tasks() -> None:
    world = World()
    for number in range(60):
        world.submit(f"t{number}")
        world.end(f"t{number}", good=number % 3 > 0, usage=Usage(turns=2, wall_seconds=1.0))
    world.submit("cancelled")
    world.tell("cancelled", TaskCancelled(cancelled_by="ann", usage=Usage(), kept=Kept(ref="r", commit=HEAD)))
    history = world.fleet.history("shop")
    assert history.succeeded + history.failed == 50
    assert len(history.turns) == history.succeeded
    assert world.fleet.living == {}
    assert world.fleet.history("other") == world.fleet.history("none")
    assert world.admit() == []


def test_after_the_end_nothing_changes() -> None:
    world = World()
    world.submit("a")
    world.admit()
    ended = world.end("a")
    world.tell("a", TaskAdmitted(number=9, priority=1, waited_seconds=0.0))
    assert world.fleet.slots_taken == 0
    assert world.tasks["a"].outcome == ended.outcome
    assert world.admit() == []


# The size


def many(count: int, repos: int, parallel_max: int = 1, **settings: object) -> World:
    world = World(*(repo_of(f"r{number}", parallel_max) for number in range(repos)), **settings)
    for number in range(count):
        world.submit(f"t{number:05d}", later(number / 100), f"r{number % repos}", priority=1 + number % 9)
    return world


def quickest(world: World, names: Sequence[str]) -> float:
    """CPU seconds of one look at the fleet after each of these has ended: the best of them."""
    took = []
    for name in names:
        world.end(name, later(200))
        begun = time.process_time()
        given = admissions(world.fleet, later(200))
        took.append(time.process_time() - begun)
        for task, event in given:
            world.tell(task, event, later(200))
    return min(took)


@pytest.mark.parametrize("repos", [1, 100, 5_000])
def test_a_look_at_ten_thousand_waiting_tasks_is_cheap(repos: int) -> None:
    begun = time.process_time()
    world = many(10_100, repos, tasks_max=100)
    made = time.process_time() - begun
    running = world.admit(later(200))
    assert len(running) == min(repos, 100)
    # Against what it takes on this machine to make them: to look at each of them once more would be a large part of that.
    assert quickest(world, running[:5] or running) < made / 4


def test_not_more_than_one_go_is_given_out_at_once_and_the_rest_follows() -> None:
    world = many(1_000, 1, parallel_max=1_000, tasks_max=900)
    given = [world.admit(later(200)) for _ in range(6)]
    assert [len(one) for one in given] == [ADMISSIONS_AT_ONCE_MAX] * 4 + [100, 0]


def test_gate_and_other_events_that_change_no_place_leave_the_counts_alone() -> None:
    world = World()
    world.submit("a")
    world.admit()
    world.prepared("a")
    world.tell("a", GateScored(score=80.0, confidence="high", signals=()))
    assert world.fleet.of_repo == {"shop": 1}
    assert world.fleet.of_host == {"h1": 1}
    world.end("a")
    assert (world.fleet.of_repo, world.fleet.of_account, world.fleet.of_host) == ({}, {}, {})
