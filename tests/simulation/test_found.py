"""What the simulator has found in the rules, each as the shortest story of it."""

from __future__ import annotations

from datetime import timedelta

from scenario import T0, TASK, Given, failed, found, given, progress, scored, stopped, submitted, worked

from penstock.catalog import FleetSettings, Repo
from penstock.commands import SendMessage
from penstock.events import AgentRequested, KnownEvent, PrepareRequested, TaskAdmitted, TaskParked
from penstock.values import RepoSnapshot, Usage
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.core.queue import admissions, may_claim, veto
from penstock_orchestrator.core.task import Task

from penstock.events import JobClaimed, PrepareSucceeded, Recorded  # isort: skip


def at_its_agent() -> Given:
    """A clone, a score, and the first run asked for."""
    return given(submitted()).lives(found()).and_then(scored()).settled()


def cents(number: int, turns: int = 1) -> Usage:
    return Usage(turns=turns, cost_usd=number / 100)


def test_a_run_that_was_stopped_is_not_counted_again_with_its_session() -> None:
    stopped_once = at_its_agent().lives(stopped(usage=cents(25)))
    whole = stopped_once.lives(worked(usage=cents(60, turns=3), usage_of_session=True))
    assert whole.state.cost_seen == 0.60


def test_a_run_that_failed_without_its_numbers_is_not_counted_again_with_its_session() -> None:
    state = at_its_agent().works(progress(turns=1, cost_usd=0.2), failed(usage=Usage())).settled()
    assert state.state.cost_seen == 0.2
    assert state.lives(worked(usage=cents(50, turns=4), usage_of_session=True)).state.cost_seen == 0.5


def test_a_run_that_never_worked_has_read_nothing_whatever_its_session_had_used_before() -> None:
    first = at_its_agent().lives(failed(usage=cents(20, turns=3), usage_of_session=True))
    told = first.works(failed("vendor.max_turns", usage=cents(20, turns=3), usage_of_session=True))
    message = SendMessage(id="m" * 26, task=TASK, requested_by="ann", text="mind the tax")
    told = told.asked(message).settled()
    assert told.last(AgentRequested).messages == (message.id,)
    again = told.lives(failed("vendor.max_turns", usage=cents(20, turns=3), usage_of_session=True))
    assert again.last(AgentRequested).messages == (message.id,)


def test_a_run_that_worked_and_forgot_its_numbers_has_read_what_it_was_told() -> None:
    message = SendMessage(id="m" * 26, task=TASK, requested_by="ann", text="mind the tax")
    first = at_its_agent().lives(failed(usage=cents(20))).asked(message)
    told = first.lives(failed()).said(AgentRequested)[-1]
    assert told.messages == (message.id,)
    state = first.lives(failed())
    state = state.works(progress(turns=2, cost_usd=0.1), failed("vendor.max_turns", usage=Usage())).settled()
    assert state.last(AgentRequested).messages == ()


class Few:
    """A fleet with few tasks, told events as the log would tell them."""

    def __init__(self, **settings: object) -> None:
        self.fleet = Fleet()
        self.fleet.settings = FleetSettings(**settings)  # type: ignore[arg-type]  # a test's own keywords
        self.fleet.repos["shop"] = Repo(name="shop", clone_url="https://git.example/x.git", parallel_max=9)
        self.tasks: dict[str, Task] = {}
        self.seq = 0

    def tell(self, name: str, event: KnownEvent, seconds: float = 0.0) -> str:
        """The id of the event."""
        self.seq += 1
        id_ = f"e{self.seq:025d}"
        at = T0 + timedelta(seconds=seconds)
        recorded = Recorded(seq=self.seq, id=id_, repo="shop", task=name, at=at, causation_id="c", data=event)
        before = self.tasks.get(name)
        after = evolve(before, recorded)
        assert after is not None
        self.tasks[name] = after
        self.fleet.changed(before, after, recorded)
        return id_

    def submit(self, name: str) -> None:
        self.tell(name, submitted(repo=RepoSnapshot(name="shop", clone_url="https://git.example/x.git")))

    def whose_turn(self, seconds: float) -> list[str]:
        return [name for name, _ in admissions(self.fleet, T0 + timedelta(seconds=seconds))]


def test_a_clock_that_is_put_back_strands_nobody_who_was_parked() -> None:
    few = Few(tasks_max=1)
    few.submit("first")
    assert few.whose_turn(0.0) == ["first"]
    few.tell("first", TaskAdmitted(number=1, priority=5, waited_seconds=0.0))
    few.submit("parked")
    wake_at = T0 + timedelta(seconds=60)
    few.tell("parked", TaskParked(reason="git.unreachable", message="no route", wake_at=wake_at, number=1))
    assert few.whose_turn(61.0) == []  # its time has come, and the one slot is taken
    few.fleet.settings = FleetSettings(tasks_max=2)
    assert few.whose_turn(30.0) == []  # the clock was put back: it does not want its slot yet
    assert few.whose_turn(61.0) == ["parked"]


def test_two_tasks_on_a_host_with_room_for_one_do_not_wait_for_each_other() -> None:
    few = Few(hosts={"h1": 2})
    for name in ("one", "two"):
        few.submit(name)
        few.tell(name, TaskAdmitted(number=1, priority=5, waited_seconds=0.0))
        job = few.tell(name, PrepareRequested(number=1))
        few.tell(name, JobClaimed(job=job, host="h1", epoch=1))
        few.tell(name, PrepareSucceeded(job=job, epoch=1, host="h1", base_commit="b" * 40, branch=f"agent/{name}"))
        few.tell(name, AgentRequested(attempt=1, host="h1", session_id="s"))
    few.fleet.settings = FleetSettings(hosts={"h1": 1})
    assert [may_claim(few.fleet, few.tasks[name], "h1") for name in ("one", "two")] == ["", ""]
    few.submit("three")
    few.tell("three", TaskAdmitted(number=1, priority=5, waited_seconds=0.0))
    few.tell("three", PrepareRequested(number=1))
    assert may_claim(few.fleet, few.tasks["three"], "h1") == "host h1 has 2 of 1 tasks already"


def test_who_was_let_in_by_a_leader_that_had_not_heard_of_a_hold_does_not_try_the_account_before_its_end() -> None:
    few = Few()
    for name in ("one", "two"):
        few.submit(name)
    few.tell("one", TaskAdmitted(number=1, priority=5, waited_seconds=0.0))
    wake_at = T0 + timedelta(seconds=60)
    few.tell("one", TaskParked(reason="vendor.rate_limit", message="too many", wake_at=wake_at, number=1))
    few.tell("two", TaskAdmitted(number=1, priority=5, waited_seconds=0.0), seconds=10.0)
    run = AgentRequested(attempt=1, host="h1", session_id="s")
    parked = veto(few.fleet, few.tasks["two"], run, T0 + timedelta(seconds=20))
    assert isinstance(parked, TaskParked)
    assert (parked.reason, parked.wake_at >= wake_at) == ("account.held", True)
    assert veto(few.fleet, few.tasks["two"], run, wake_at) is None
