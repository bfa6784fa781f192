"""The plan gate: a plan is asked for, waits for a person without holding anything, and the change is held to it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from scenario import (
    HEAD,
    T0,
    Given,
    Said,
    agent_ok,
    approve,
    change,
    comment,
    given,
    gone,
    no_plan,
    prepare_ok,
    proposed,
    refused,
    reject,
    unblock,
    verify_ok,
    whole,
    worked,
)

from penstock.events import (
    AgentRequested,
    FailedOver,
    FailureClassified,
    PlanApproved,
    PlanCommented,
    PlanRejected,
    PlanRequested,
    PlanUnanswered,
    PreflightFailed,
    PublishRequested,
    TaskBlocked,
    TaskEscalated,
    TaskFailed,
    TaskParked,
    VerifyRequested,
)
from penstock.jobs import AgentWork, PlanWork, PublishWork
from penstock.values import PlanGate
from penstock_orchestrator.core.advance import next_look
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.waiting import phase, waiting

HOUR = 3_600.0


def planning(**more: object) -> Given:
    """Up to a plan that is asked for."""
    return given(whole(mode="interactive", **more)).lives(prepare_ok)


def order(state: Given) -> PlanWork:
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, PlanWork)
    return job.work


# Asking for one


def test_a_plan_is_asked_for_before_anything_is_changed_and_waits_without_a_slot() -> None:
    state = planning()
    assert state.last(PlanRequested).number == 1
    assert phase(state.state) == "planning"
    state = state.lives(proposed("sum.py", risk="high"))
    assert (state.state.admitted, state.state.job, phase(state.state)) == (False, None, "awaiting_approval")
    assert state.settled(1e7).log == state.log
    answer = waiting(state.state)
    assert answer.why == "plan 1 waits for a person, risk high: Mend it"
    assert answer.can_move == "a person: approve, reject or comment plan 1"
    assert answer.wake_at is None
    silent = planning().lives(proposed("sum.py"))
    assert waiting(silent.state).why == "plan 1 waits for a person: Mend it"


def test_an_autonomous_task_has_no_plan() -> None:
    assert given(whole()).lives(prepare_ok).said(PlanRequested) == []


def test_the_approved_plan_is_carried_out_and_told_to_agent_and_reviewer() -> None:
    state = planning().lives(proposed("sum.py")).asked(approve())
    assert state.last(PlanApproved) == PlanApproved(number=1, approved_by="ann", via="http")
    state = state.settled()
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    assert "## The plan (approved by ann)" in job.work.prompt
    assert "Mend it" in job.work.prompt
    job = react(state.lives(agent_ok, verify_ok).state)
    assert job is not None
    assert isinstance(job.work, PublishWork)
    assert "The plan, approved by ann" in job.work.body


def test_a_comment_leads_to_a_new_plan_that_is_asked_for_with_the_comment_and_the_last_plan() -> None:
    state = planning().lives(proposed("sum.py")).asked(comment("use tabs"))
    assert state.last(PlanCommented) == PlanCommented(number=1, comment="use tabs", commented_by="bob", via="chat")
    assert phase(state.state) == "queued"
    state = state.settled()
    asked = state.last(PlanRequested)
    assert (asked.number, asked.comments) == (2, ("use tabs",))
    assert asked.session_id != state.said(PlanRequested)[0].session_id
    prompt = order(state).prompt
    assert "use tabs" in prompt
    assert "Mend it" in prompt
    state = state.lives(proposed("sum.py"))
    assert state.state.plan is not None
    assert (state.state.plan.number, state.state.plan.comments) == (2, ("use tabs",))
    state = state.asked(comment("and no new names", 2)).settled()
    assert state.last(PlanRequested).comments == ("use tabs", "and no new names")


def test_a_comment_is_not_lost_when_the_next_plan_cannot_be_read() -> None:
    state = planning().lives(proposed("sum.py")).asked(comment("use tabs")).lives(no_plan("agent.bad_plan"))
    assert state.last(PlanRequested).comments == ("use tabs",)
    assert "Your last answer could not be used: no plan in it" in order(state).prompt


def test_what_was_wrong_with_another_step_is_no_word_about_the_plan() -> None:
    assert "could not be used" not in order(planning()).prompt
    state = planning(plans_max=0).lives(no_plan("vendor.overloaded", transient=True)).settled(1e3)
    assert "could not be used" in order(state).prompt


def test_only_the_plan_that_waits_can_be_answered() -> None:
    planning().when(approve()).refused("no plan yet")
    state = planning().lives(proposed("sum.py"))
    for command in (approve(2), reject(2), comment("x", 2)):
        state.when(command).refused("the plan that waits is number 1, not 2")
    state = state.asked(comment("use tabs"))
    state.when(approve()).refused("plan 1 is commented already")
    again = state.lives(proposed("sum.py"))
    again.when(approve(1)).refused("the plan that waits is number 2, not 1")
    again.asked(approve(2)).when(reject(2)).refused("plan 2 is approved already")
    assert isinstance(again.asked(approve(2)).settled().log[-1], AgentRequested)


def test_an_answer_to_another_plan_has_no_effect_even_in_the_log() -> None:
    state = planning().lives(proposed("sum.py"))
    for event in (
        PlanApproved(number=2, approved_by="eve"),
        PlanUnanswered(number=2, waited_seconds=1.0, meaning="approve"),
    ):
        assert state.and_then(event).state.plan == state.state.plan
    early = planning()
    assert early.and_then(PlanApproved(number=1, approved_by="eve")).state.plan is None
    assert early.and_then(PlanUnanswered(number=1, waited_seconds=1.0, meaning="deny")).state.plan is None


def test_a_rejected_plan_ends_the_task() -> None:
    state = planning().lives(proposed("sum.py")).asked(reject())
    assert state.last(PlanRejected) == PlanRejected(number=1, rejected_by="cem", reason="no", via="http")
    end = state.settled().last(TaskFailed)
    assert (end.error_class, end.message) == ("plan.rejected", "plan 1: rejected by cem")


# Silence


def silent(silence: str, risk: str = "unknown") -> Given:
    gate = PlanGate(silence=silence, silence_seconds=HOUR)
    return planning(plan_gate=gate).lives(proposed("sum.py", risk=risk))


@pytest.mark.parametrize(
    ("silence", "risk", "meaning"),
    [
        ("park", "low", "park"),
        ("deny", "low", "deny"),
        ("approve_if_low_risk", "low", "approve"),
        ("approve_if_low_risk", "medium", "park"),
        ("approve_if_low_risk", "unknown", "park"),
    ],
)
def test_silence_is_recorded_as_silence_with_what_it_means(silence: str, risk: str, meaning: str) -> None:
    state = silent(silence, risk)
    assert next_look(state.state) == T0 + timedelta(hours=1)
    assert waiting(state.state).wake_at == T0 + timedelta(hours=1)
    assert state.settled(HOUR - 1).log == state.log
    state = state.settled(HOUR)
    assert state.said(PlanUnanswered) == [PlanUnanswered(number=1, waited_seconds=HOUR, meaning=meaning)]
    assert state.said(PlanRejected) == []
    assert state.said(PlanApproved) == []


def test_silence_that_denies_ends_the_task_and_nobody_is_said_to_have_rejected_it() -> None:
    end = silent("deny").settled(HOUR).last(TaskFailed)
    assert (end.error_class, end.message) == ("plan.unanswered", "plan 1: nobody approved it in time")


def test_silence_that_approves_what_is_low_in_risk_goes_on_and_says_by_which_rule() -> None:
    state = silent("approve_if_low_risk", "low").settled(HOUR)
    assert isinstance(state.log[-1], AgentRequested)
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    assert "let through by the task's rule for low risk" in job.work.prompt
    job = react(state.lives(agent_ok, verify_ok).state)
    assert job is not None
    assert isinstance(job.work, PublishWork)
    assert "approved by silence, as the rule for low risk has it" in job.work.body


def test_silence_that_parks_still_waits_for_a_person_and_for_no_clock() -> None:
    state = silent("park").settled(HOUR)
    assert state.settled(1e7).log == state.log
    assert phase(state.state) == "awaiting_approval"
    assert "nobody has answered in time" in waiting(state.state).why
    assert next_look(state.state) is None
    assert isinstance(state.asked(approve()).settled(1e7).log[-1], AgentRequested)


def test_silence_that_waits_waits() -> None:
    for gate in (PlanGate(), PlanGate(silence="wait", silence_seconds=HOUR), PlanGate(silence="deny")):
        state = planning(plan_gate=gate).lives(proposed("sum.py"))
        assert next_look(state.state) is None
        assert state.settled(1e9).log == state.log
        assert state.said(PlanUnanswered) == []


def test_the_clock_that_counts_silence_stops_with_the_answer() -> None:
    state = silent("deny").asked(approve()).settled()
    assert next_look(state.state) is None
    state = state.works(agent_ok).settled(HOUR)
    assert state.said(PlanUnanswered) == []


# Plans that fail, and too many of them


def test_an_agent_that_gives_no_plan_uses_up_attempts() -> None:
    state = planning(max_attempts=2, failures_alike_max=0).lives(no_plan("agent.bad_plan"), no_plan("agent.bad_plan"))
    end = state.last(TaskFailed)
    assert (end.error_class, end.message) == ("agent.bad_plan", "no plan in it")


def test_no_plan_twice_is_escalated_and_the_backup_may_make_one() -> None:
    state = planning(max_attempts=3, backup_vendor="claude").lives(*[no_plan("agent.bad_plan")] * 3)
    assert [one.to for one in state.said(TaskEscalated)] == ["fresh_session", "backup"]
    assert len(state.said(FailedOver)) == 1
    assert order(state).vendor == "claude"


def test_a_plan_that_has_to_wait_for_the_vendor_costs_no_attempt_and_is_no_plan_made() -> None:
    wait = no_plan("vendor.overloaded", transient=True)
    state = planning(max_attempts=1, plans_max=2)
    for turn in range(1, 4):
        state = state.works(wait).settled(turn * 1e3)
        state = state.settled(turn * 1e3 + 900.0)
    assert state.said(TaskBlocked) == []
    assert len(state.said(TaskParked)) == 3
    assert state.last(PlanRequested).number == 4


def test_the_turn_limit_of_a_plan_counts_as_an_attempt() -> None:
    state = planning(max_attempts=2).lives(no_plan("vendor.max_turns"), no_plan("vendor.max_turns"))
    assert state.last(TaskFailed).error_class == "vendor.max_turns"


def test_plans_without_end_ask_a_person_once() -> None:
    state = planning(plans_max=2).lives(proposed("a")).asked(comment("b")).lives(proposed("c"))
    state = state.asked(comment("d", 2)).settled()
    blocked = state.last(TaskBlocked)
    assert (blocked.reason, blocked.message) == ("plan.too_many", "2 plans were made and none was approved")
    state = state.asked(unblock()).settled()
    assert state.last(PlanRequested).number == 3
    assert state.lives(proposed("e")).asked(comment("f", 3)).settled().last(PlanRequested).number == 4


def test_the_last_plan_that_may_be_made_can_be_approved() -> None:
    state = planning(plans_max=1).lives(proposed("a")).asked(approve()).settled()
    assert isinstance(state.log[-1], AgentRequested)


def test_plans_are_not_counted_where_that_is_off() -> None:
    state = planning(plans_max=0).lives(proposed("a")).asked(comment("b")).settled()
    assert state.last(PlanRequested).number == 2


# What the change may touch


def touching(*files: str) -> Said:
    return worked(change=replace(change(), files=files))


def approved(*files: str, **more: object) -> Given:
    return planning(max_attempts=9, **more).lives(proposed(*files)).asked(approve()).settled()


def test_a_change_within_the_plan_is_checked() -> None:
    state = approved("src/", "sum.py").lives(touching("sum.py", "src/a/b.py"))
    assert state.said(PreflightFailed) == []
    assert isinstance(state.log[-1], VerifyRequested)


def test_files_outside_the_plan_go_back_to_the_agent_with_the_list_before_anything_is_checked() -> None:
    state = approved("sum.py").lives(touching("sum.py", "other.py", ".github/ci.yml"))
    early = state.said(PreflightFailed)[0]
    assert (early.error_class, early.commit, early.files) == ("preflight.scope", HEAD, ("other.py", ".github/ci.yml"))
    assert state.said(VerifyRequested) == []
    told = state.said(FailureClassified)[0]
    assert (told.step, told.severity) == ("preflight", "recoverable")
    again = state.last(AgentRequested)
    assert (again.attempt, again.resume) == (2, True)
    assert "other.py, .github/ci.yml" in again.hint
    assert "sum.py," not in again.hint
    assert "Take back what is outside the plan" in again.hint
    state = state.lives(touching("sum.py"))
    assert isinstance(state.log[-1], VerifyRequested)


def test_files_outside_the_plan_again_and_again_ask_a_person_who_may_let_them_pass() -> None:
    state = approved("sum.py").lives(*[touching("other.py")] * 3)
    assert [one.to for one in state.said(TaskEscalated)] == ["fresh_session", "person"]
    assert state.last(TaskBlocked).reason == "preflight.scope"
    state = state.asked(unblock()).settled()
    assert state.last(VerifyRequested).commit == HEAD
    assert isinstance(state.lives(verify_ok).log[-1], PublishRequested)


def test_attempts_on_files_outside_the_plan_are_limited() -> None:
    state = planning(max_attempts=1).lives(proposed("sum.py")).asked(approve()).lives(touching("other.py"))
    assert state.last(TaskFailed).error_class == "preflight.scope"


def test_a_plan_that_names_no_files_holds_to_none() -> None:
    assert isinstance(approved().lives(touching("other.py")).log[-1], VerifyRequested)
    state = given(whole()).lives(prepare_ok, touching("other.py"))
    assert isinstance(state.log[-1], VerifyRequested)


def test_a_change_that_has_passed_is_not_looked_at_again() -> None:
    state = approved("sum.py").lives(touching("sum.py"), refused("hm"), touching("sum.py"), verify_ok)
    assert state.said(PreflightFailed) == []
    assert isinstance(state.log[-1], PublishRequested)


def test_many_files_outside_the_plan_are_named_up_to_a_limit() -> None:
    files = tuple(f"dir/file{number}.py" for number in range(60))
    early = approved("sum.py").lives(touching(*files)).said(PreflightFailed)[0]
    assert early.files == files[:50]
    assert "file49" in early.message
    assert "file50" not in early.message


def test_a_preparation_after_a_lost_host_keeps_the_plan() -> None:
    state = planning(abstain_below=0.0).lives(proposed("sum.py")).asked(approve())
    state = state.lives(gone(host_gone=True), prepare_ok)
    assert isinstance(state.log[-1], AgentRequested)
