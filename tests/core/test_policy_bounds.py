"""What many, long, hostile or unlucky ones may not do: push others out, run without end, or get past a gate."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scenario import (
    T0,
    TASK,
    Given,
    agent_ok,
    approve,
    failed,
    found,
    given,
    gone,
    prepare_ok,
    progress,
    proposed,
    raised,
    refused,
    stopped,
    tell,
    verify_ok,
    whole,
    worked,
)

from penstock.codec import encode
from penstock.commands import AnswerDecision
from penstock.events import (
    AgentRequested,
    BudgetWarned,
    FailedOver,
    HistoryCompacted,
    MessageConsumed,
    PreflightFailed,
    PrepareRequested,
    TaskBlocked,
    TaskParked,
    VerifyRequested,
)
from penstock.jobs import AgentWork, Job, PrepareWork
from penstock.values import Change, Usage
from penstock_orchestrator.core.advance import wants_slot
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.task import MAIL_MAX, MAIL_OF_AGENTS_MAX

OTHER = "o" * 26
JOB_BYTES_MAX = 1024 * 1024 - 64 * 1024


def order(state: Given) -> Job:
    job = react(state.state)
    assert job is not None
    return job


def work(state: Given) -> AgentWork:
    found_work = order(state).work
    assert isinstance(found_work, AgentWork)
    return found_work


def answer(decision: str) -> AnswerDecision:
    return AnswerDecision(id="w" + decision[1:], task=TASK, decision=decision, answer="yes", requested_by="ann")


# Room in a prompt


@pytest.mark.parametrize("sign", ["\x1b", "\U0001f600", '"', "\n"], ids=["control", "emoji", "quote", "line"])
def test_an_order_fits_into_one_message_of_the_broker_whatever_was_written(sign: str) -> None:
    words = {"description": sign * 20_000, "acceptance": sign * 20_000}
    state = given(whole(**words)).lives(prepare_ok).works()
    for number in range(MAIL_MAX):
        state = state.asked(tell(f"{number}" + sign * 3_990))
    state = state.lives(agent_ok)
    assert work(state).attempt == 1
    assert len(encode(order(state))) < JOB_BYTES_MAX


def test_messages_that_do_not_fit_are_told_by_the_next_run_and_none_is_said_to_be_read_before() -> None:
    state = given(whole()).lives(prepare_ok).works()
    for number in range(MAIL_MAX):
        state = state.asked(tell(f"[message {number}] " + "x" * 3_900))
    told: list[int] = []
    for _ in range(MAIL_MAX):
        state = state.lives(agent_ok)
        if not isinstance(state.log[-1], AgentRequested):
            break
        told += [number for number in range(MAIL_MAX) if f"[message {number}] " in work(state).prompt]
    assert told == list(range(MAIL_MAX))
    assert len(state.said(MessageConsumed)) == MAIL_MAX
    assert isinstance(state.log[-1], VerifyRequested)


def test_no_message_pushes_the_rules_or_the_acceptance_criteria_out_of_a_fresh_prompt() -> None:
    state = given(whole(description="d" * 20_000, acceptance="[first]" + "a" * 19_000 + "[last]")).lives(prepare_ok)
    state = state.works()
    for number in range(MAIL_MAX):
        state = state.asked(tell(f"{number} " + "x" * 3_900))
    prompt = work(state.lives(agent_ok)).fresh_prompt
    assert "Do not push" in prompt
    assert "[first]" in prompt
    assert "[last]" in prompt


# Agents that write


def test_an_agent_cannot_write_to_itself() -> None:
    state = given(whole()).lives(prepare_ok).works()
    state.when(tell("again", as_agent_of=TASK)).refused("not to itself")


def test_what_another_agent_writes_calls_for_no_run_and_goes_along_with_the_next_one() -> None:
    state = given(whole()).lives(prepare_ok, agent_ok).works().asked(tell("mind the tax", as_agent_of=OTHER))
    done = state.settled().lives(verify_ok)
    assert done.said(AgentRequested)[1:] == []
    again = state.lives(refused("assert 1 == 2"))
    assert "mind the tax" in work(again).prompt


def test_agents_leave_room_for_people() -> None:
    state = given(whole()).lives(prepare_ok).works()
    for number in range(MAIL_OF_AGENTS_MAX):
        state = state.asked(tell(f"{number}", as_agent_of=OTHER))
    state.when(tell("one more", as_agent_of=OTHER)).refused("other agents wait")
    state.asked(tell("a word from a person"))


# Gates that must not be got around


def test_files_that_a_host_does_not_name_are_outside_the_plan() -> None:
    many = Change(commit="c" * 40, commits=1, files=("sum.py",), files_changed=201, lines_added=1, lines_removed=0)
    state = given(whole(mode="interactive")).lives(prepare_ok, proposed("sum.py")).asked(approve())
    state = state.lives(worked(change=many))
    (said,) = state.said(PreflightFailed)
    assert "200 files that were not named" in said.message


def test_evidence_is_asked_for_also_where_no_word_says_anything() -> None:
    job = order(given(whole(title="Fix the test", description="please make it work")).settled())
    assert isinstance(job.work, PrepareWork)
    assert job.work.words == ()
    assert job.work.wants_evidence


def test_evidence_is_asked_for_once() -> None:
    state = given(whole()).lives(found()).and_then()
    assert state.state.evidence is not None


# Without end


def test_a_job_that_kills_every_host_it_comes_to_is_stopped() -> None:
    state = given(whole())
    for _ in range(20):
        state = state.lives(prepare_ok, gone(host_gone=True))
        if isinstance(state.log[-1], TaskBlocked):
            break
    blocked = state.last(TaskBlocked)
    assert blocked.reason == "job.lost"
    assert len(state.said(PrepareRequested)) <= state.state.spec.policy.lost_max + 2


def test_a_context_that_is_full_again_and_again_is_stopped_whoever_writes_the_summary() -> None:
    state = given(whole(failures_alike_max=0)).lives(prepare_ok)
    for _ in range(20):
        state = state.lives(failed("vendor.context_overflow"))
        if isinstance(state.log[-1], TaskBlocked):
            break
    state.last(TaskBlocked)
    assert len(state.said(HistoryCompacted)) <= state.state.spec.policy.lost_max + 1


def test_a_host_without_the_vendor_is_asked_a_few_times_and_then_a_person() -> None:
    state = given(whole(backup_vendor="claude", max_attempts=1)).lives(prepare_ok, failed("agent.crashed"))
    assert len(state.said(FailedOver)) == 1
    seconds = 0.0
    for _ in range(5):
        seconds += 1e4
        state = state.lives(failed("host.vendor_missing", transient=True, usage=Usage()), seconds=seconds)
        if isinstance(state.log[-1], TaskBlocked):
            break
    assert "offer this vendor" in state.last(TaskBlocked).can_do
    assert len(state.said(TaskParked)) == 2


# Slots, limits and decisions together


def test_a_failover_to_another_vendor_gives_its_slot_back_and_one_to_another_model_does_not() -> None:
    there = given(whole(backup_vendor="claude", max_attempts=1)).lives(prepare_ok).works(failed("agent.crashed"))
    there = there.ready()
    over = there.at().then(FailedOver)
    assert not there.and_then(over).state.admitted
    assert wants_slot(there.and_then(over).state, T0)
    here = given(whole(backup_model="big", max_attempts=1)).lives(prepare_ok).works(failed("agent.crashed")).ready()
    assert here.and_then(here.at().then(FailedOver)).state.admitted


def test_the_second_of_two_decisions_is_asked_when_the_first_is_answered() -> None:
    first, second = "d1" + "0" * 24, "d2" + "0" * 24
    state = given(whole()).lives(prepare_ok).works(raised(first), raised(second, "spend_money")).settled()
    state = state.and_then(stopped()(int(order_seq(state)))).settled()
    assert first in state.last(TaskBlocked).can_do
    state = state.asked(answer(first)).settled()
    assert second in state.last(TaskBlocked).can_do
    assert isinstance(state.asked(answer(second)).settled().log[-1], AgentRequested)


def order_seq(state: Given) -> str:
    assert state.state.job is not None
    return state.state.job.id[1:]


def test_a_limit_that_comes_with_a_decision_is_not_forgotten() -> None:
    decision = "d1" + "0" * 24
    later = T0 + timedelta(days=3)
    limit = failed("vendor.usage_window", transient=True, retry_at=later)
    state = given(whole()).lives(prepare_ok).works(raised(decision), limit).settled()
    assert [event.wake_at for event in state.said(TaskParked)] == [later]
    assert decision in state.last(TaskBlocked).can_do


def test_a_warning_can_be_written_whatever_a_run_claims() -> None:
    state = given(whole(max_wall_seconds=31_536_000.0)).lives(prepare_ok)
    state = state.lives(failed("agent.crashed", usage=Usage(turns=1, cost_usd=0.0, wall_seconds=20_000_000.0)))
    state = state.works(progress(turns=1, wall_seconds=31_536_000.0)).settled()
    assert [event.spent for event in state.said(BudgetWarned)] == [31_536_000.0]
