"""What a task waits for before it may begin or go on: other tasks, a score that makes sense, the hours of work, a slot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from scenario import (
    ADMITTED,
    AGENT,
    T0,
    TASK,
    Given,
    agent_ok,
    failed,
    found,
    given,
    gone,
    prepare_ok,
    scored,
    unblock,
    verify_ok,
    whole,
)

from penstock.commands import PrioritizeTask, WakeTask
from penstock.events import (
    AgentRequested,
    DependencyResolved,
    GateScored,
    PrepareRequested,
    PriorityChanged,
    TaskAdmitted,
    TaskBlocked,
    TaskCancelRequested,
    TaskParked,
    TaskUnblocked,
    TaskWoken,
    Unknown,
    VerifyRequested,
)
from penstock.values import Evidence, History, Window
from penstock_orchestrator.core.advance import admitted, advance, due, gate_event, wants_slot
from penstock_orchestrator.core.waiting import phase, waiting

A, B = "a" * 26, "b" * 26
NIGHTLY = Window(opens="22:00", closes="06:00")
DAILY = Window(opens="08:00", closes="18:00")


def resolved(on: str, outcome: str = "succeeded") -> DependencyResolved:
    return DependencyResolved(on=on, outcome=outcome)


def depending(*on: str) -> Given:
    return given(whole(depends_on=on))


# Other tasks


def test_a_task_waits_for_all_the_tasks_it_depends_on_and_holds_nothing() -> None:
    state = depending(A, B).settled()
    assert len(state.log) == 1
    assert (phase(state.state), wants_slot(state.state, T0)) == ("parked", False)
    answer = waiting(state.state)
    assert answer.why == f"dependency: waits for 2 of 2 tasks: {A}, {B}"
    assert answer.can_move == "the end of these tasks"
    state = state.and_then(resolved(A)).settled()
    assert waiting(state.state).why == f"dependency: waits for 1 of 2 tasks: {B}"
    state = state.and_then(resolved(B), seconds=60.0)
    assert phase(state.state) == "queued"
    assert state.state.queued_at == T0 + timedelta(seconds=60)
    assert isinstance(state.settled(60.0).log[-1], PrepareRequested)


def test_many_dependencies_are_counted_and_the_first_of_them_named() -> None:
    names = [f"d{number:025d}" for number in range(7)]
    why = waiting(depending(*names).state).why
    assert "waits for 7 of 7 tasks" in why
    assert [name in why for name in names] == [True] * 5 + [False] * 2


@pytest.mark.parametrize("outcome", ["failed", "unverified", "no_change", "cancelled", "missing", "something new"])
def test_a_dependency_that_did_not_succeed_closes_the_way(outcome: str) -> None:
    state = depending(A, B).and_then(resolved(A, outcome)).settled()
    blocked = state.last(TaskBlocked)
    assert blocked.reason == f"dependency.{outcome}"
    assert blocked.message == f"this task waits for task {A}, which ended as {outcome}"
    assert blocked.can_do == f"retry task {A}, or unblock to go on without it, or cancel"
    assert state.settled(1e9).log == state.log


def test_a_retry_that_succeeds_lets_it_go_on() -> None:
    state = depending(A).and_then(resolved(A, "failed")).settled().and_then(resolved(A)).settled()
    assert isinstance(state.log[-1], PrepareRequested)


def test_a_retry_that_fails_too_is_told_anew_only_where_it_ended_otherwise() -> None:
    state = depending(A).and_then(resolved(A, "failed")).settled()
    assert state.and_then(resolved(A, "failed")).settled().said(TaskBlocked) == state.said(TaskBlocked)
    again = state.and_then(resolved(A, "cancelled")).settled()
    assert [one.reason for one in again.said(TaskBlocked)] == ["dependency.failed", "dependency.cancelled"]


def test_what_stands_in_the_way_next_is_named_when_the_first_is_mended() -> None:
    state = depending(A, B).and_then(resolved(A, "failed"), resolved(B, "failed")).settled()
    assert A in state.last(TaskBlocked).message
    state = state.and_then(resolved(A)).settled()
    assert B in state.last(TaskBlocked).message
    assert isinstance(state.and_then(resolved(B)).settled().log[-1], PrepareRequested)


def test_a_person_lets_one_dependency_go_and_not_all_of_them() -> None:
    state = depending(A, B).and_then(resolved(A, "failed")).settled().asked(unblock()).settled()
    assert isinstance(state.log[-1], TaskUnblocked)
    assert waiting(state.state).why == f"dependency: waits for 1 of 2 tasks: {B}"
    state = state.and_then(resolved(B, "failed")).settled()
    assert B in state.last(TaskBlocked).message
    assert isinstance(state.asked(unblock(max_cost_usd=9.0)).settled().log[-1], PrepareRequested)


def test_news_of_a_dependency_do_not_lift_another_block() -> None:
    state = depending(A).and_then(resolved(A)).lives(prepare_ok, failed("vendor.auth"))
    again = state.and_then(resolved(A, "failed"))
    assert again.state.blocked == state.state.blocked


# A score before money is spent


def test_a_score_is_due_once_when_there_is_evidence() -> None:
    state = given(whole()).lives(found())
    assert due(state.state, T0).rule == "gate_due"
    event = gate_event(state.state, History(succeeded=3))
    assert isinstance(event, GateScored)
    assert (event.abstain_below, event.abstained, event.history) == (40.0, False, History(succeeded=3))
    assert event.forecast.samples == 3
    assert len(event.signals) >= 3
    assert event.score > 40
    assert event.confidence
    state = state.and_then(event).settled()
    assert isinstance(state.log[-1], AgentRequested)
    assert gate_event(state.state, History()) is None


def test_no_score_is_due_without_evidence_or_where_it_is_too_late() -> None:
    assert isinstance(given(whole()).lives(prepare_ok).log[-1], AgentRequested)
    assert gate_event(given(whole()).lives(prepare_ok).state, History()) is None
    assert gate_event(given(whole()).settled().state, History()) is None
    state = given(whole()).lives(found())
    ended = state.and_then(TaskCancelRequested(requested_by="ann")).settled()
    assert gate_event(ended.state, History()) is None
    assert gate_event(state.and_then(Unknown(type="x")).state, History()) is None


def test_a_score_waits_for_what_it_is_drawn_from_and_is_not_drawn_twice() -> None:
    cloned = given(whole()).settled().works(prepare_ok)
    assert gate_event(cloned.state, History()) is None
    known = given(whole()).lives(found())
    event = gate_event(known.state, History())
    assert isinstance(event, GateScored)
    assert gate_event(known.and_then(event).state, History()) is None
    assert gate_event(known.and_then(AGENT).state, History()) is None


def test_a_score_that_just_reaches_the_limit_is_enough() -> None:
    state = given(whole()).lives(found())
    event = gate_event(state.state, History())
    assert isinstance(event, GateScored)
    for below, abstained in ((event.score, False), (event.score + 0.001, True)):
        again = given(whole(abstain_below=below)).lives(found())
        drawn = gate_event(again.state, History())
        assert isinstance(drawn, GateScored)
        assert drawn.abstained is abstained


def test_a_low_score_asks_a_person_who_can_run_it_all_the_same() -> None:
    evidence = Evidence(words=6, overlap=0, recent_commits=90, recent_commits_all=90, open_pull_requests=3)
    state = given(whole(abstain_below=95.0)).lives(found(evidence=evidence))
    event = gate_event(state.state, History(failed=9))
    assert isinstance(event, GateScored)
    assert event.abstained
    state = state.and_then(event).settled()
    blocked = state.last(TaskBlocked)
    assert blocked.reason == "gate.abstained"
    assert blocked.message.startswith(f"score {event.score:.0f} of 100, below 95: ")
    assert event.warnings[0] in blocked.message
    assert not state.state.admitted
    state = state.asked(unblock()).settled()
    assert isinstance(state.log[-1], AgentRequested)
    assert len(state.lives(failed("agent.crashed")).said(TaskBlocked)) == 1


def test_a_low_score_without_a_warning_says_so() -> None:
    state = given(whole()).lives(found()).and_then(scored(12.4, abstained=True)).settled()
    assert state.last(TaskBlocked).message == (
        "score 12 of 100, below 40: little speaks for this task in this repository"
    )


def test_evidence_is_kept_when_the_clone_is_made_again() -> None:
    state = given(whole()).lives(found()).and_then(scored()).settled()
    state = state.lives(gone(host_gone=True), prepare_ok)
    assert state.state.evidence is not None
    assert state.state.evidence.paths == ("sum.py",)
    assert isinstance(state.log[-1], AgentRequested)


def test_a_score_that_comes_late_does_not_throw_away_a_change() -> None:
    state = given(whole()).lives(prepare_ok, agent_ok).and_then(scored(1.0, abstained=True))
    assert state.lives(verify_ok).said(TaskBlocked) == []


# The hours of work


def test_outside_its_hours_a_task_waits_until_they_begin_and_it_is_no_trouble() -> None:
    state = given(whole(window=DAILY)).settled()
    parked = state.last(TaskParked)
    assert (parked.reason, parked.number) == ("night_window", 0)
    assert parked.wake_at == datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert parked.message == "agents may run from 08:00 to 18:00 UTC"
    assert state.state.parks == 0
    assert isinstance(state.settled(8 * 3600).log[-1], PrepareRequested)


def test_within_its_hours_or_without_any_a_task_begins_at_once() -> None:
    assert isinstance(given(whole(window=NIGHTLY)).settled().log[-1], PrepareRequested)
    assert isinstance(given(whole()).settled().log[-1], PrepareRequested)


def test_a_check_and_a_hand_over_are_made_at_any_hour_and_the_next_attempt_is_not() -> None:
    state = given(whole(window=NIGHTLY)).lives(prepare_ok).works(agent_ok).settled(12 * 3600)
    assert isinstance(state.log[-1], VerifyRequested)
    state = given(whole(window=NIGHTLY)).lives(prepare_ok).works(failed("agent.crashed")).settled(12 * 3600)
    assert state.last(TaskParked).wake_at == datetime(2026, 1, 1, 22, tzinfo=UTC)
    again = state.settled(22 * 3600).last(AgentRequested)
    assert (again.attempt, again.resume) == (2, True)
    assert "ended early" in again.hint


def test_a_plan_is_not_made_out_of_hours_either() -> None:
    state = given(whole(window=NIGHTLY, mode="interactive")).settled().works(prepare_ok).settled(12 * 3600)
    assert state.last(TaskParked).reason == "night_window"


def test_waking_a_task_in_the_night_lets_it_run_in_the_night() -> None:
    wake = WakeTask(id="w" * 26, task=TASK, requested_by="ann")
    state = given(whole(window=DAILY)).settled().asked(wake).settled()
    assert isinstance(state.log[-1], PrepareRequested)
    assert isinstance(state.lives(prepare_ok).log[-1], AgentRequested)


# A person's hand


def test_a_parked_task_can_be_woken_and_tries_at_once() -> None:
    wake = WakeTask(id="w" * 26, task=TASK, requested_by="ann")
    state = given(whole()).lives(prepare_ok, failed("vendor.rate_limit", transient=True))
    state = state.asked(wake)
    assert state.last(TaskWoken).woken_by == "ann"
    assert state.state.parks == 1
    assert isinstance(state.settled().log[-1], AgentRequested)
    state.when(wake).then_nothing()
    state.when(WakeTask(id="x" * 26, task=TASK)).refused("not parked")
    # It was woken from something else than the night.
    assert state.state.waived == frozenset()


def test_a_task_is_moved_in_the_queue_once() -> None:
    first = PrioritizeTask(id="p" * 26, task=TASK, priority=1, requested_by="ann")
    state = given(whole()).asked(first)
    assert state.last(PriorityChanged) == PriorityChanged(priority=1, changed_by="ann")
    assert state.state.priority == 1
    state.when(PrioritizeTask(id="q" * 26, task=TASK, priority=1)).then_nothing()
    assert given(whole(priority=3)).state.priority == 3


# Slots


def test_a_task_wants_a_slot_for_its_next_step_and_gives_it_back_where_it_waits() -> None:
    state = given(whole())
    assert wants_slot(state.state, T0)
    assert advance(state.state, T0) == []
    assert advance(admitted(state.state), T0) == [PrepareRequested(number=1)]
    state = state.and_then(TaskAdmitted(number=1, priority=2, waited_seconds=9.0))
    assert (state.state.admitted, state.state.admissions) == (True, 1)
    assert not wants_slot(state.state, T0)
    assert state.settled().said(TaskAdmitted) == state.said(TaskAdmitted)


def test_a_task_keeps_its_slot_from_step_to_step() -> None:
    state = given(whole(max_attempts=9)).lives(prepare_ok, failed("agent.crashed"), agent_ok, verify_ok)
    assert state.said(TaskAdmitted) == [ADMITTED]


@pytest.mark.parametrize(
    "wait",
    [
        TaskParked(reason="account.held", message="full", wake_at=T0 + timedelta(hours=1), number=7),
        TaskParked(reason="budget.repo_day", message="spent", wake_at=T0 + timedelta(hours=1), number=7),
        TaskParked(reason="budget.fleet_day", message="spent", wake_at=T0 + timedelta(hours=1), number=7),
    ],
    ids=lambda event: event.reason,
)
def test_a_wait_for_the_sake_of_others_is_no_trouble_of_its_own(wait: TaskParked) -> None:
    state = given(whole()).lives(prepare_ok, failed("agent.crashed")).and_then(wait)
    assert (state.state.parks, state.state.admitted) == (0, False)
    assert state.state.queued_at == T0 + timedelta(hours=1)


def test_since_when_a_task_waits_for_a_slot_is_known_whatever_it_waited_for_before() -> None:
    state = given(whole()).lives(prepare_ok, failed("vendor.auth")).settled()
    state = state.and_then(TaskUnblocked(unblocked_by="ann"), seconds=50.0)
    assert state.state.queued_at == T0 + timedelta(seconds=50)
    state = given(whole()).lives(prepare_ok, failed("vendor.rate_limit", transient=True))
    state = state.and_then(TaskWoken(woken_by="ann"), seconds=2.0)
    assert state.state.queued_at == T0 + timedelta(seconds=2)
