"""What a failed step looks like, and what is done about it: again, wait, escalate, ask a person, or give up."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from scenario import (
    DAY_SECONDS,
    HEAD,
    T0,
    Given,
    Said,
    agent_ok,
    failed,
    gone,
    prepare_bad,
    prepare_ok,
    publish_bad,
    refused,
    unblock,
    verify_bad,
    verify_ok,
    whole,
)
from scenario import given as given_events

from penstock.events import (
    AgentRequested,
    FailedOver,
    FailureClassified,
    HistoryCompacted,
    PrepareRequested,
    PublishRequested,
    TaskBlocked,
    TaskEscalated,
    TaskFailed,
    TaskParked,
    VerifyRequested,
)
from penstock.values import CommandResult

PYTEST_TAIL = "FAILED tests/test_sum.py::test_sum - assert 1 == 2\n1 failed, 3 passed in 0.10s"
OTHER_TAIL = "src/sum.ts(3,5): error TS2322: Type 'string' is not assignable to type 'number'."
DISK_TAIL = "OSError: [Errno 28] No space left on device"


def given(**more: object) -> Given:
    return given_events(whole(**more))


# What it looks like


def test_a_failed_check_is_known_by_the_words_it_printed() -> None:
    told = given().lives(prepare_ok, agent_ok, refused(PYTEST_TAIL)).said(FailureClassified)[0]
    assert (told.step, told.error_class, told.severity, told.times) == ("verify", "test.failed", "recoverable", 1)
    assert told.hint
    assert "failed" in told.evidence


def test_words_that_fit_no_tool_leave_the_class_that_the_host_gave() -> None:
    told = given().lives(prepare_ok, agent_ok, refused("hm")).said(FailureClassified)[0]
    assert (told.error_class, told.severity) == ("verify.failed", "recoverable")


def test_a_check_that_was_killed_without_a_word_is_known_by_its_exit_status() -> None:
    killed = CommandResult(stage="test", command="make test", exit_code=137, wall_seconds=1.0)
    told = given().lives(prepare_ok, agent_ok, refused(commands=(killed,))).said(FailureClassified)[0]
    assert (told.error_class, told.severity) == ("env.out_of_memory", "hard")


def test_a_check_that_was_stopped_keeps_its_class() -> None:
    late = CommandResult(stage="test", command="make test", exit_code=None, wall_seconds=600.0, ended="timed_out")
    told = (
        given()
        .lives(prepare_ok, agent_ok, refused(commands=(late,), error_class="verify.timeout"))
        .said(FailureClassified)[0]
    )
    assert (told.error_class, told.severity) == ("verify.timeout", "recoverable")


def test_a_check_without_a_command_that_failed_keeps_its_class() -> None:
    told = (
        given()
        .lives(prepare_ok, agent_ok, refused(commands=(), error_class="verify.timeout"))
        .said(FailureClassified)[0]
    )
    assert (told.error_class, told.severity, told.hint) == ("verify.timeout", "recoverable", "")


def test_the_first_command_that_failed_counts_and_not_one_that_passed() -> None:
    passed = CommandResult(stage="build", command="make", exit_code=0, wall_seconds=1.0, tail=OTHER_TAIL)
    broken = CommandResult(stage="test", command="pytest", exit_code=1, wall_seconds=1.0, tail=PYTEST_TAIL)
    told = given().lives(prepare_ok, agent_ok, refused(commands=(passed, broken))).said(FailureClassified)[0]
    assert told.error_class == "test.failed"


def test_what_a_host_calls_unknown_is_known_by_its_message() -> None:
    told = (
        given()
        .lives(prepare_ok, failed("agent.unknown", message="API Error: 529 Overloaded"))
        .said(FailureClassified)[0]
    )
    assert (told.error_class, told.severity) == ("vendor.overloaded", "park")
    told = given().lives(prepare_ok, failed("agent.unknown", message="la la la")).said(FailureClassified)[0]
    assert (told.error_class, told.severity) == ("agent.unknown", "recoverable")


def test_a_class_that_says_enough_is_not_guessed_again_from_its_message() -> None:
    told = (
        given()
        .lives(prepare_ok, failed("agent.crashed", message="API Error: 529 Overloaded"))
        .said(FailureClassified)[0]
    )
    assert told.error_class == "agent.crashed"


def test_a_class_nobody_knows_is_tried_again() -> None:
    state = given().lives(prepare_ok, failed("agent.new_kind"))
    assert state.said(FailureClassified)[0].severity == "recoverable"
    assert state.last(AgentRequested).attempt == 2


def test_the_hint_of_the_class_is_recorded_where_it_needs_no_filling_in() -> None:
    told = given().lives(prepare_ok, failed("agent.timeout")).said(FailureClassified)[0]
    assert "time limit" in told.hint
    told = given().lives(prepare_ok, failed("vendor.bad_answer")).said(FailureClassified)[0]
    assert told.hint == ""


# Hard: a person or the backup, at once


def test_a_hard_class_asks_a_person_at_once() -> None:
    state = given().lives(prepare_ok, failed("vendor.bad_request", message="no such field"))
    escalated = state.said(TaskEscalated)[0]
    assert (escalated.error_class, escalated.severity, escalated.times, escalated.to) == (
        "vendor.bad_request",
        "hard",
        1,
        "person",
    )
    blocked = state.last(TaskBlocked)
    assert (blocked.reason, blocked.message) == ("vendor.bad_request", "no such field")
    assert blocked.can_do == "Mend what the message says. Then unblock or cancel the task"
    assert not state.state.admitted


@pytest.mark.parametrize("error_class", ["vendor.auth", "vendor.billing", "vendor.model_not_found"])
def test_what_ails_one_vendor_goes_to_the_backup_of_another_at_once(error_class: str) -> None:
    state = given(backup_vendor="claude").lives(prepare_ok, failed(error_class))
    assert state.said(TaskEscalated)[0].to == "backup"
    assert state.said(FailedOver)[0].to_vendor == "claude"
    assert state.last(AgentRequested).attempt == 1


@pytest.mark.parametrize(("error_class", "to"), [("vendor.refusal", "backup"), ("vendor.bad_request", "person")])
def test_another_model_of_the_same_vendor_helps_only_where_the_model_is_at_fault(error_class: str, to: str) -> None:
    state = given(backup_model="small").lives(prepare_ok, failed(error_class))
    assert state.said(TaskEscalated)[0].to == to


def test_another_model_of_the_same_vendor_has_the_same_login() -> None:
    state = given(backup_model="small").lives(prepare_ok, failed("vendor.auth"))
    assert state.said(TaskEscalated) == []
    assert "renew" in state.last(TaskBlocked).can_do
    state = given(backup_model="small").lives(prepare_ok, failed("vendor.model_not_found"))
    assert state.said(FailedOver)[0].to_model == "small"


def test_a_budget_is_the_same_whoever_works() -> None:
    state = given(backup_vendor="claude").lives(prepare_ok, failed("vendor.budget"))
    assert state.said(FailedOver) == []
    assert "max_cost_usd" in state.last(TaskBlocked).can_do


def test_what_ails_the_host_does_not_go_to_the_backup() -> None:
    tail = "bash: line 1: npm: command not found"
    state = given(backup_vendor="claude").lives(prepare_ok, agent_ok, refused(tail))
    assert state.said(FailureClassified)[0].severity == "hard"
    assert state.said(TaskEscalated)[0].to == "person"
    assert state.said(FailedOver) == []


def test_a_check_that_was_mended_is_made_again_before_an_agent_runs() -> None:
    tail = "bash: line 1: npm: command not found"
    state = given().lives(prepare_ok, agent_ok, refused(tail)).asked(unblock()).settled()
    assert state.last(VerifyRequested).commit == HEAD


# The same class again and again


def test_the_same_class_twice_begins_a_fresh_session_once() -> None:
    state = given(max_attempts=9).lives(prepare_ok, agent_ok, refused(PYTEST_TAIL))
    first = state.last(AgentRequested)
    state = state.lives(agent_ok, refused(PYTEST_TAIL))
    escalated = state.said(TaskEscalated)
    assert [(one.error_class, one.times, one.to) for one in escalated] == [("test.failed", 2, "fresh_session")]
    assert state.said(HistoryCompacted)[0].reason == "escalation"
    again = state.last(AgentRequested)
    assert (again.resume, again.attempt) == (False, 3)
    assert again.session_id != first.session_id


def test_the_same_class_after_a_fresh_session_goes_to_a_person() -> None:
    state = given(max_attempts=9).lives(prepare_ok, *[agent_ok, refused(PYTEST_TAIL)] * 3)
    assert [one.to for one in state.said(TaskEscalated)] == ["fresh_session", "person"]
    assert "3 times in a row" in state.last(TaskBlocked).message


def test_a_person_who_mended_nothing_in_the_check_lets_the_agent_go_on() -> None:
    state = given(max_attempts=9).lives(prepare_ok, *[agent_ok, refused(PYTEST_TAIL)] * 3).asked(unblock()).settled()
    assert isinstance(state.log[-1], AgentRequested)


def test_a_person_is_told_how_often_in_a_row_and_once_is_no_row() -> None:
    twice = [failed("agent.crashed"), failed("agent.crashed"), failed("agent.stalled"), failed("agent.stalled")]
    assert given(max_attempts=9).lives(prepare_ok, *twice).last(TaskBlocked).message == "it broke (2 times in a row)"
    assert given().lives(prepare_ok, failed("agent.misused")).last(TaskBlocked).message == "it broke"


def test_the_same_class_after_a_fresh_session_goes_to_the_backup_where_there_is_one() -> None:
    state = given(max_attempts=9, backup_vendor="claude").lives(prepare_ok, *[agent_ok, refused(PYTEST_TAIL)] * 3)
    assert [one.to for one in state.said(TaskEscalated)] == ["fresh_session", "backup"]
    assert state.said(FailedOver)[0].attempts_spent == 3
    # The backup has a fresh count of everything, and a fresh session of its own to fall back on.
    state = state.lives(*[agent_ok, refused(PYTEST_TAIL)] * 3)
    assert [one.to for one in state.said(TaskEscalated)] == ["fresh_session", "backup", "fresh_session", "person"]
    assert len(state.said(FailedOver)) == 1


def test_another_class_in_between_begins_the_count_anew() -> None:
    state = given(max_attempts=9).lives(
        prepare_ok, agent_ok, refused(PYTEST_TAIL), agent_ok, refused(OTHER_TAIL), agent_ok, refused(PYTEST_TAIL)
    )
    assert [one.times for one in state.said(FailureClassified)] == [1, 1, 1]
    assert state.said(TaskEscalated) == []


def test_a_wait_in_between_does_not_hide_that_it_is_the_same_class() -> None:
    limit = failed("vendor.rate_limit", transient=True)
    state = given(max_attempts=9).lives(prepare_ok, agent_ok, refused(PYTEST_TAIL), limit)
    state = state.lives(agent_ok, refused(PYTEST_TAIL), seconds=100.0)
    assert [one.times for one in state.said(FailureClassified)] == [1, 1, 2]
    assert state.said(TaskEscalated)[0].to == "fresh_session"


def test_without_the_rule_the_same_class_is_tried_until_the_attempts_are_spent() -> None:
    state = given(failures_alike_max=0, compact_after_attempts=0).lives(prepare_ok, *[failed("agent.crashed")] * 3)
    assert state.said(TaskEscalated) == []
    assert state.last(TaskFailed).error_class == "agent.crashed"
    assert given(failures_alike_max=0).lives(prepare_ok, failed("vendor.bad_request")).last(AgentRequested).attempt == 2


def test_the_last_attempt_ends_the_task_and_asks_nobody() -> None:
    state = given(max_attempts=2).lives(prepare_ok, failed("agent.crashed"), failed("agent.crashed"))
    end = state.last(TaskFailed)
    assert (end.error_class, end.message, end.attempts) == ("agent.crashed", "it broke", 2)
    assert state.said(TaskEscalated) == []


def test_a_hard_class_on_the_last_attempt_still_asks_a_person_who_gives_it_one_more_try() -> None:
    state = given(max_attempts=1).lives(prepare_ok, failed("vendor.auth"))
    assert state.last(TaskBlocked).reason == "vendor.auth"
    state = state.asked(unblock()).settled()
    assert state.last(AgentRequested).attempt == 1
    state = given(max_attempts=1).lives(prepare_ok, failed("agent.misused"))
    assert state.said(TaskEscalated)[0].to == "person"


def test_attempts_that_are_spent_in_the_middle_of_an_escalation_go_to_the_backup() -> None:
    state = given(max_attempts=2, backup_vendor="claude").lives(prepare_ok, *[failed("agent.crashed")] * 2)
    assert state.said(TaskEscalated)[0].to == "backup"
    assert state.said(FailedOver)[0].attempts_spent == 2


# Waiting


def test_a_wait_spends_no_attempt_and_frees_the_slot() -> None:
    state = given().lives(prepare_ok, failed("vendor.rate_limit", transient=True))
    parked = state.last(TaskParked)
    assert (parked.reason, parked.number) == ("vendor.rate_limit", 1)
    assert (state.state.admitted, state.state.attempts_spent, state.state.alike) == (False, 0, 0)
    state = state.settled(seconds=100.0)
    assert (state.state.admitted, state.last(AgentRequested).attempt) == (True, 1)


@pytest.mark.parametrize(
    "one",
    [
        failed("vendor.rate_limit"),
        failed("agent.unknown", message="API Error: 529 Overloaded"),
        failed("agent.crashed", retry_at=T0 + timedelta(seconds=60)),
    ],
    ids=["by its class", "by its words", "by the time it names"],
)
def test_a_wait_spends_no_attempt_whoever_saw_that_it_passes(one: Said) -> None:
    state = given(max_attempts=1).lives(prepare_ok, one)
    assert isinstance(state.log[-1], TaskParked)
    assert state.state.attempts_spent == 0


def test_a_check_that_could_not_be_made_says_nothing_about_the_change_and_is_made_again() -> None:
    full = given(max_attempts=1).lives(prepare_ok, agent_ok, refused("", error_class="env.disk_full"))
    assert full.last(TaskParked).reason == "env.disk_full"
    state = given(max_attempts=1).lives(prepare_ok, agent_ok, refused("", error_class="host.disk_full"))
    assert (state.last(TaskParked).reason, state.state.attempts_spent, state.state.judged) == (
        "host.disk_full",
        0,
        "none",
    )
    assert state.settled(seconds=100.0).last(VerifyRequested).commit == HEAD


def test_a_check_that_failed_for_a_passing_reason_is_made_again_and_costs_no_attempt() -> None:
    tail = "npm error code EAI_AGAIN\nnpm error request to https://registry.npmjs.org/x failed, reason: getaddrinfo EAI_AGAIN"
    state = given(max_attempts=1).lives(prepare_ok, agent_ok, refused(tail))
    assert (state.said(FailureClassified)[0].severity, state.state.attempts_spent) == ("park", 0)
    state = state.settled(seconds=1e4)
    assert state.last(VerifyRequested).commit == HEAD
    # But not for ever: then somebody should look.
    state = state.lives(refused(tail), seconds=2e4).lives(refused(tail), seconds=3e4).lives(refused(tail), seconds=4e4)
    assert state.said(FailureClassified)[-1].severity == "hard"
    assert isinstance(state.log[-1], TaskBlocked)


def test_the_vendors_own_time_is_believed_within_the_longest_window() -> None:
    at = T0 + timedelta(days=7)
    state = given().lives(prepare_ok, failed("vendor.usage_window", transient=True, retry_at=at))
    assert state.last(TaskParked).wake_at == at
    assert state.settled(seconds=7 * DAY_SECONDS - 1).log == state.log
    assert isinstance(state.settled(seconds=7 * DAY_SECONDS).log[-1], AgentRequested)


@pytest.mark.parametrize(
    "retry_at",
    [T0 - timedelta(hours=1), T0, T0 + timedelta(days=8, seconds=1), T0 + timedelta(days=3650)],
    ids=["past", "now", "just too far", "absurd"],
)
def test_a_reset_time_that_cannot_be_is_not_believed(retry_at: datetime) -> None:
    state = given().lives(prepare_ok, failed("vendor.rate_limit", transient=True, retry_at=retry_at))
    assert 5 <= (state.last(TaskParked).wake_at - T0).total_seconds() <= 6


def test_the_pauses_double_while_a_wrong_time_comes_again_and_again() -> None:
    state, pauses = given().lives(prepare_ok), []
    for now in (0.0, 100.0, 200.0):
        state = state.settled(now).works(failed("vendor.rate_limit", transient=True, retry_at=T0)).settled(now)
        pauses.append((state.last(TaskParked).wake_at - T0).total_seconds() - now)
    assert [5 <= pauses[0] <= 6, 10 <= pauses[1] <= 12, 20 <= pauses[2] <= 24] == [True] * 3


def test_a_reset_time_that_is_almost_now_is_not_a_busy_loop() -> None:
    at = T0 + timedelta(seconds=1)
    state = given().lives(prepare_ok, failed("vendor.rate_limit", transient=True, retry_at=at))
    assert state.last(TaskParked).wake_at == T0 + timedelta(seconds=5)


def test_the_pauses_grow_up_to_their_limit_and_differ_from_task_to_task() -> None:
    state, now, pauses = given(park_seconds_max=40.0).settled(), 0.0, []
    for _ in range(6):
        state = state.works(prepare_bad).settled(now)
        pauses.append((state.last(TaskParked).wake_at - T0).total_seconds() - now)
        now += 1000.0
        state = state.settled(now)
    assert pauses[-1] <= 48.0
    assert pauses[-1] >= 40.0
    assert len({round(pause % 1, 6) for pause in pauses}) > 1


def test_a_wait_that_never_ends_asks_a_person_and_says_how_often_it_was_tried() -> None:
    state = given(parks_max=2).lives(prepare_bad).lives(prepare_bad, seconds=1e3).lives(prepare_bad, seconds=2e3)
    blocked = state.last(TaskBlocked)
    assert blocked.reason == "git.unreachable"
    assert blocked.message.startswith("gave up waiting after 2 tries: no route")


# Steps in which no agent can help


def test_a_preparation_that_cannot_work_fails_and_a_push_that_cannot_work_asks_a_person() -> None:
    state = given().lives(lambda seq: prepare_bad(seq, "git.strange", transient=False))
    assert state.last(TaskFailed).error_class == "git.strange"
    state = given().lives(prepare_ok, agent_ok, verify_ok, lambda seq: publish_bad(seq, "git.strange", transient=False))
    assert state.last(TaskBlocked).reason == "git.strange"


def test_a_repository_that_is_not_there_yet_is_waited_for() -> None:
    state = given().lives(lambda seq: prepare_bad(seq, "git.repository_missing", transient=False))
    assert state.last(TaskParked).reason == "git.repository_missing"


def test_settings_that_cannot_be_right_fail_at_once_also_where_they_come_late() -> None:
    state = given().lives(lambda seq: prepare_bad(seq, "git.bad_url", transient=True))
    assert state.last(TaskFailed).error_class == "git.bad_url"
    state = given().lives(prepare_ok, agent_ok, verify_ok, lambda seq: publish_bad(seq, "git.bad_name"))
    assert state.last(TaskFailed).error_class == "git.bad_name"


def test_a_default_branch_that_is_gone_when_the_change_is_there_asks_a_person_and_loses_nothing() -> None:
    """Somebody has given it another name on the forge while the agent was at work."""
    gone_by_now: list[Said] = [
        lambda seq: publish_bad(seq, "git.ref_missing", transient=False),
        lambda seq: publish_bad(seq, "git.base_moved", transient=False),
        lambda seq: prepare_bad(seq, "git.ref_missing", transient=False),
    ]
    for said in (gone_by_now[:1], gone_by_now[1:]):
        state = given(rebases_max=1).lives(prepare_ok, agent_ok, verify_ok, *said)
        assert (state.last(TaskBlocked).reason, state.state.outcome) == ("git.ref_missing", None)
        assert "bring the branch back" in state.last(TaskBlocked).can_do
        again = state.asked(unblock()).settled()
        assert again.last(PublishRequested).commit == HEAD


def test_a_publication_is_never_retried_in_a_circle_whatever_it_is_called() -> None:
    state = given(failures_alike_max=0).lives(
        prepare_ok, agent_ok, verify_ok, lambda seq: publish_bad(seq, "vendor.session_lost", transient=False)
    )
    assert isinstance(state.log[-1], TaskBlocked)


def test_words_for_a_person_stay_within_the_log_whatever_a_host_said() -> None:
    state = given().lives(prepare_ok, failed("vendor.bad_request", message="x" * 4_000))
    assert len(state.last(TaskBlocked).message) <= 4_000
    assert len(state.last(TaskBlocked).can_do) <= 500


def test_a_host_that_vanished_is_not_a_failure_of_the_change() -> None:
    state = given().lives(prepare_ok, gone())
    assert state.said(FailureClassified) == []
    assert isinstance(state.log[-1], AgentRequested)
    state = given().lives(lambda seq: gone()(seq))
    assert isinstance(state.log[-1], PrepareRequested)


def test_a_check_is_named_once_and_its_class_only_where_it_is_known() -> None:
    state = given().lives(prepare_ok, agent_ok, verify_bad)
    assert len(state.said(FailureClassified)) == 1
