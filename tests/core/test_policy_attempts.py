"""What counts as an attempt and what does not: turn limits, lost hosts, sessions that end, another vendor; and what the next
run is told of the last one."""

from __future__ import annotations

import pytest
from scenario import (
    AGENT,
    HEAD,
    Given,
    Said,
    agent_ok,
    approve,
    changed,
    failed,
    gone,
    no_plan,
    prepare_ok,
    prepared,
    progress,
    proposed,
    publish_ok,
    refused,
    stopped,
    tell,
    unblock,
    verify_ok,
    whole,
    worked,
)
from scenario import given as given_events

from penstock.events import (
    AgentRequested,
    FailedOver,
    HistoryCompacted,
    PrepareRequested,
    TaskBlocked,
    TaskFailed,
    TaskParked,
    TaskSucceeded,
    VerifyRequested,
    VerifySkipped,
)
from penstock.jobs import AgentWork, PrepareWork
from penstock.values import Kept, Price
from penstock_orchestrator.core.react import react

KEPT = Kept(ref="refs/penstock/wip/1", commit="d" * 40)
PYTEST_TAIL = "FAILED tests/test_sum.py::test_sum - assert 1 == 2\n1 failed, 3 passed in 0.10s"
LIMIT = failed("vendor.rate_limit", transient=True)


def given(**more: object) -> Given:
    return given_events(whole(**more))


def work(state: Given) -> AgentWork:
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    return job.work


# Turn limits


def test_a_turn_limit_resumes_the_same_session_and_costs_no_attempt() -> None:
    state = given(max_attempts=1).lives(prepare_ok, failed("vendor.max_turns"))
    first, again = state.said(AgentRequested)
    assert (again.attempt, again.resume, again.session_id) == (1, True, first.session_id)
    assert "Continue" in again.hint
    assert "turn limit" in again.hint


def test_turn_limits_without_end_ask_a_person_and_go_on_when_told_to() -> None:
    state = given(pauses_max=2, compact_after_attempts=0).lives(prepare_ok, *[failed("vendor.max_turns")] * 3)
    blocked = state.last(TaskBlocked)
    assert (blocked.reason, len(state.said(AgentRequested))) == ("vendor.max_turns", 3)
    assert "3 times" in blocked.message
    assert "circles" in blocked.message
    state = state.asked(unblock()).lives(failed("vendor.max_turns"))
    assert state.last(AgentRequested).attempt == 1
    assert state.state.pauses == 1


def test_a_change_forgets_the_turn_limits_before_it() -> None:
    state = given().lives(prepare_ok, failed("vendor.max_turns"), agent_ok)
    assert state.state.pauses == 0


# Hosts that are lost


def test_a_lost_run_costs_no_attempt_and_resumes_where_the_session_is() -> None:
    state = given(max_attempts=1).lives(prepare_ok, gone())
    again = state.last(AgentRequested)
    assert (again.attempt, again.resume, again.host) == (1, True, "h1")
    assert again.hint == (
        "The machine that ran you stopped in the middle. Your work tree is as you left it. Go on where you were."
    )


def test_what_a_lost_run_was_told_is_told_again() -> None:
    state = given().lives(prepare_ok, agent_ok, refused(PYTEST_TAIL), gone())
    hint = state.last(AgentRequested).hint
    assert "stopped in the middle" in hint
    assert PYTEST_TAIL in hint


@pytest.mark.parametrize("one", [agent_ok, failed("vendor.max_turns")], ids=["a change", "a pause"])
def test_a_failure_after_a_lost_run_is_told_as_what_it_is(one: Said) -> None:
    state = given().lives(prepare_ok, gone(), one)
    if isinstance(state.log[-1], VerifyRequested):
        state = state.lives(gone(), refused(PYTEST_TAIL))
        assert PYTEST_TAIL in state.last(AgentRequested).hint
    assert "stopped in the middle" not in state.last(AgentRequested).hint


def test_hosts_that_die_again_and_again_are_somebodys_matter() -> None:
    state = given(lost_max=2).lives(prepare_ok, gone(), gone(), gone())
    blocked = state.last(TaskBlocked)
    assert (blocked.reason, state.state.attempts_spent) == ("job.lost", 0)
    assert "3 jobs in a row were lost" in blocked.message
    assert isinstance(state.asked(unblock()).settled().log[-1], AgentRequested)


@pytest.mark.parametrize(
    "between",
    [agent_ok, failed("agent.crashed"), failed("vendor.max_turns"), stopped()],
    ids=["a change", "a failure", "a pause", "a stop"],
)
def test_a_host_that_has_spoken_in_between_is_not_lost_in_a_row(between: Said) -> None:
    assert given(lost_max=2).lives(prepare_ok, gone(), gone(), between).state.lost == 0


@pytest.mark.parametrize(
    "between", [refused("hm"), verify_ok, refused("", error_class="host.disk_full")], ids=["no", "yes", "not made"]
)
def test_a_check_that_was_made_or_could_not_be_is_not_a_lost_one(between: Said) -> None:
    assert given(lost_max=2).lives(prepare_ok, agent_ok, gone(), gone(), between).state.lost == 0


def test_a_host_that_is_gone_for_good_takes_its_clone_and_session_and_nothing_false_is_said_of_it() -> None:
    state = given().lives(prepare_ok, failed("agent.crashed", kept=KEPT), worked(kept=KEPT), refused(PYTEST_TAIL))
    assert state.state.kept == KEPT
    state = state.works(gone(host_gone=True)).settled()
    asked = state.last(PrepareRequested)
    assert (asked.number, asked.host, asked.kept) == (2, None, None)
    assert (state.state.change, state.state.judged, state.state.skipped) == (None, "none", "")
    state = state.lives(lambda seq: prepare_ok(seq, host="h2"))
    again = state.last(AgentRequested)
    assert (again.host, again.resume, again.hint) == ("h2", False, "")
    assert again.session_id != state.said(AgentRequested)[0].session_id
    assert "what it left is in this directory" not in work(state).prompt


def test_a_preparation_keeps_what_was_kept_and_begins_where_it_was() -> None:
    state = given().lives(prepare_ok, worked(kept=KEPT)).works(gone()).settled()
    assert isinstance(state.log[-1], VerifyRequested)
    job = react(given_events(*prepared()).and_then(PrepareRequested(number=2, kept=KEPT)).state)
    assert job is not None
    assert isinstance(job.work, PrepareWork)
    assert job.work.base_commit == "b" * 40


# Sessions that end


@pytest.mark.parametrize("error_class", ["vendor.context_overflow", "vendor.session_lost"])
def test_a_session_of_no_use_is_begun_anew_once_with_the_history_and_costs_no_attempt(error_class: str) -> None:
    state = given(max_attempts=1).lives(prepare_ok, failed(error_class))
    first, again = state.said(AgentRequested)
    assert (again.attempt, again.resume) == (1, False)
    assert again.session_id != first.session_id
    wanted = ["context_full"] if error_class == "vendor.context_overflow" else []
    assert [one.reason for one in state.said(HistoryCompacted)] == wanted


def test_a_full_context_is_not_summarised_where_that_is_off() -> None:
    state = given(compact_after_attempts=0).lives(prepare_ok, failed("vendor.context_overflow"))
    assert state.said(HistoryCompacted) == []
    assert not state.last(AgentRequested).resume


def test_sessions_that_end_again_and_again_ask_for_a_person() -> None:
    state = given(failures_alike_max=0, lost_max=2).lives(prepare_ok, *[failed("vendor.session_lost")] * 3)
    assert state.last(TaskBlocked).reason == "job.lost"


# Another vendor


def test_when_the_attempts_are_spent_the_backup_takes_over_with_a_fresh_count() -> None:
    price, backup_price = Price(input_usd=1.0, output_usd=1.0), Price(input_usd=2.0, output_usd=2.0)
    state = given(
        max_attempts=2,
        failures_alike_max=0,
        model="large",
        account="team",
        backup_vendor="claude",
        backup_model="small",
        price=price,
        backup_price=backup_price,
    )
    assert (state.state.account, state.state.price) == ("team", price)
    state = state.lives(prepare_ok, failed("agent.crashed"), failed("agent.stalled", message="silence"))
    over = state.said(FailedOver)
    assert over == [
        FailedOver(
            error_class="agent.stalled",
            from_vendor="scripted",
            from_model="large",
            to_vendor="claude",
            to_model="small",
            attempts_spent=2,
        )
    ]
    again = state.last(AgentRequested)
    assert (again.attempt, again.resume) == (1, False)
    assert [one.reason for one in state.said(HistoryCompacted)] == ["failover"]
    order = work(state)
    assert (order.vendor, order.model) == ("claude", "small")
    assert "scripted" in order.prompt
    job = react(state.state)
    assert job is not None
    assert job.pool == "claude"
    # The account is the backup's own, and so is the price.
    assert (state.state.account, state.state.price, state.state.backup) == ("claude", backup_price, None)
    assert (state.state.pauses, state.state.parks, state.state.alike) == (0, 0, 0)


def test_another_model_of_the_same_vendor_is_charged_to_the_same_account() -> None:
    state = given(max_attempts=1, failures_alike_max=0, account="team", backup_model="small")
    state = state.lives(prepare_ok, failed("agent.crashed"))
    assert (state.state.vendor, state.state.model, state.state.account) == ("scripted", "small", "team")
    assert given().state.account == "scripted"


def test_after_the_backup_there_is_nobody_left() -> None:
    state = given(max_attempts=1, failures_alike_max=0, backup_vendor="claude")
    state = state.lives(prepare_ok, failed("agent.crashed"), failed("agent.stalled", message="silence"))
    end = state.last(TaskFailed)
    assert (end.error_class, end.message) == ("agent.stalled", "silence")
    assert len(state.said(FailedOver)) == 1


def test_a_backup_that_is_what_works_already_is_none() -> None:
    state = given(max_attempts=1, model="large", backup_vendor="scripted", backup_model="large")
    assert state.state.backup is None
    assert given(model="large").state.backup is None
    assert isinstance(state.lives(prepare_ok, failed("agent.crashed")).log[-1], TaskFailed)
    assert given(backup_vendor="claude").state.backup == ("claude", "")
    assert given(backup_model="small").state.backup == ("scripted", "small")


def test_a_failover_keeps_what_was_said_to_the_agent() -> None:
    state = given(max_attempts=1, failures_alike_max=0, backup_vendor="claude").settled().works(prepare_ok)
    state = state.asked(tell("use tabs")).lives(failed("agent.crashed"))
    order = work(state)
    assert order.vendor == "claude"
    assert "use tabs" in order.prompt
    assert "told before" in order.prompt


# What the next run is told


def test_no_change_is_told_and_is_the_end_after_the_last_attempt() -> None:
    state = given(max_attempts=1).lives(prepare_ok, failed("agent.no_change"))
    assert (state.state.outcome, state.last(TaskFailed).error_class) == ("no_change", "agent.no_change")
    hint = given().lives(prepare_ok, failed("agent.no_change")).last(AgentRequested).hint
    assert "without any change" in hint


def test_a_run_that_broke_is_told_how() -> None:
    hint = given().lives(prepare_ok, failed("agent.crashed", message="segfault")).last(AgentRequested).hint
    assert hint == "Your last run ended early (agent.crashed): segfault\nContinue, and finish the task."


def test_a_run_that_was_interrupted_from_outside_goes_on() -> None:
    state = given().lives(prepare_ok, LIMIT).settled(seconds=1e3)
    assert state.last(AgentRequested).hint == "The run was interrupted from outside. Continue where you were."


def test_an_interruption_does_not_hide_what_is_to_be_mended() -> None:
    state = given().lives(prepare_ok, agent_ok, refused(PYTEST_TAIL), LIMIT).settled(seconds=1e3)
    assert PYTEST_TAIL in state.last(AgentRequested).hint


def test_the_last_failure_is_told_again_and_not_an_older_one() -> None:
    state = given().lives(prepare_ok, failed("agent.crashed"), failed("agent.stalled"), gone())
    assert "agent.stalled" in state.last(AgentRequested).hint
    assert "agent.crashed" not in state.last(AgentRequested).hint


def test_what_was_kept_last_stays_kept() -> None:
    other = Kept(ref="refs/penstock/wip/2", commit="e" * 40)
    state = given(max_attempts=9).lives(prepare_ok, failed("agent.crashed", kept=KEPT), agent_ok)
    assert state.state.kept == KEPT
    state = state.lives(refused("hm"), worked(kept=other))
    assert state.state.kept == other
    state = state.lives(refused("hm"), stopped())
    assert state.state.kept == other
    assert state.lives(failed("agent.timeout")).state.kept == other


def test_a_failed_check_comes_with_its_command_its_end_and_what_it_looks_like() -> None:
    hint = given().lives(prepare_ok, agent_ok, refused(PYTEST_TAIL)).last(AgentRequested).hint
    assert "`make test` (test) did not pass on your commit (exit code 2)" in hint
    assert "What it looks like (test.failed): " in hint
    assert hint.endswith("Fix the cause, not the check, and commit.")


def test_a_check_that_says_nothing_comes_with_its_message() -> None:
    hint = given().lives(prepare_ok, agent_ok, refused(commands=(), message="too slow")).last(AgentRequested).hint
    assert hint == "The checks did not pass: too slow"


def test_a_change_that_passed_leaves_no_hint_for_a_later_round() -> None:
    state = given(max_attempts=9).lives(prepare_ok, agent_ok, refused(PYTEST_TAIL), agent_ok)
    state = state.asked(tell("and the docs")).lives(verify_ok)
    assert state.last(AgentRequested).hint == ""


def test_a_task_that_is_good_at_last_says_how_many_attempts_it_took() -> None:
    state = given().lives(prepare_ok, failed("agent.crashed"), agent_ok, verify_ok)
    assert state.lives(publish_ok).last(TaskSucceeded).attempts == 2


def test_while_an_agent_works_anew_there_is_no_change_and_no_word_on_it() -> None:
    state = given().lives(prepare_ok, agent_ok, refused("hm")).state
    assert (state.change, state.judged, state.skipped) == (None, "none", "")
    skipped = VerifySkipped(attempt=1, commit=HEAD, reason="skip_verify")
    running = given_events(*changed(skip_verify=True), skipped, AGENT).state
    assert (running.change, running.judged, running.skipped) == (None, "none", "")


def test_progress_alone_changes_nothing_but_what_was_used() -> None:
    state = given().lives(prepare_ok).works(progress(turns=2, cost_usd=0.1)).settled()
    assert state.state.run_usage is not None
    assert state.state.run_usage.turns == 2
    assert not isinstance(state.log[-1], TaskParked)


def test_a_plan_that_came_forgets_what_it_took() -> None:
    state = given(mode="interactive", max_attempts=2).lives(prepare_ok)
    state = state.lives(no_plan("agent.crashed"), proposed("sum.py")).asked(approve(2)).settled()
    assert (state.last(AgentRequested).attempt, state.state.attempts_spent) == (1, 0)
