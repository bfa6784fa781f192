"""What reports and claims do that come too late, twice or from somebody else; what a task remembers of its log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from scenario import (
    AGENT,
    T0,
    TASK,
    Given,
    Said,
    agent_bad,
    agent_ok,
    claimed,
    failed,
    given,
    gone,
    job_at,
    no_plan,
    no_summary,
    prepare_bad,
    prepare_ok,
    progress,
    proposed,
    publish_bad,
    publish_ok,
    raised,
    recorded,
    refused,
    report,
    seq_of,
    stopped,
    submitted,
    summed_up,
    tell,
    verify_ok,
    whole,
)

from penstock.commands import ClaimJob, WakeTask
from penstock.events import (
    AgentRequested,
    DecisionAnswered,
    DependencyResolved,
    FailedOver,
    JobClaimed,
    JobLost,
    PlanApproved,
    PlanCommented,
    PlanUnanswered,
    PreflightFailed,
    TaskBlocked,
    TaskCancelRequested,
    TaskParked,
    TaskUnblocked,
)
from penstock.values import PlanGate, Usage
from penstock_orchestrator.core.advance import lost
from penstock_orchestrator.core.decide import accept
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.task import COMMANDS_REMEMBERED, Blocked
from penstock_orchestrator.core.waiting import phase

WANTED = TaskCancelRequested(requested_by="ann", reason="no")


def living(**more: object) -> Given:
    return given(whole(**more))


BODIES: dict[str, tuple[Said, ...]] = {
    "prepare": (prepare_ok, prepare_bad),
    "plan": (proposed("a"), no_plan()),
    "agent": (agent_ok, failed(), raised("d" * 26)),
    "compact": (summed_up("so"), no_summary()),
    "verify": (verify_ok, refused("no")),
    "publish": (publish_ok, publish_bad),
}
AT_WORK: dict[str, Callable[[], Given]] = {
    "prepare": lambda: living().settled().works(),
    "plan": lambda: living(mode="interactive").lives(prepare_ok).works(),
    "agent": lambda: living().lives(prepare_ok).works(),
    "compact": lambda: living(compaction="agent").lives(prepare_ok, failed("vendor.context_overflow")).works(),
    "verify": lambda: living().lives(prepare_ok, agent_ok).works(),
    "publish": lambda: living().lives(prepare_ok, agent_ok, verify_ok).works(),
}


@pytest.mark.parametrize("kind", AT_WORK)
def test_a_job_is_heard_about_what_it_is_and_nothing_else(kind: str) -> None:
    state = AT_WORK[kind]()
    assert state.state.job is not None
    assert state.state.job.kind == kind
    seq = seq_of(state.state.job.id)
    for other, bodies in BODIES.items():
        for said in bodies:
            body = said(seq)
            assert accept(state.task, report(body)) == ([body] if other == kind else [])  # type: ignore[arg-type]  # one of its bodies
    halt = stopped()(seq)
    assert accept(state.task, report(halt)) == [halt]  # type: ignore[arg-type]  # likewise
    news = progress(turns=1)(seq)
    assert accept(state.task, report(news)) == ([news] if kind in ("plan", "agent", "compact") else [])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", AT_WORK)
def test_what_comes_late_from_another_job_or_under_an_old_lease_changes_nothing(kind: str) -> None:
    state = AT_WORK[kind]()
    assert state.state.job is not None
    seq = seq_of(state.state.job.id)
    for said in BODIES[kind]:
        for stray in (replace(said(seq), epoch=6), said(seq - 1)):
            assert accept(state.task, report(stray)) == []  # type: ignore[arg-type]  # likewise
            assert replace(state.and_then(stray).state, seq=state.state.seq) == state.state
        forged = replace(report(said(seq)), epoch=6)  # type: ignore[arg-type]  # likewise
        assert accept(state.task, forged) == []
        assert accept(state.task, replace(report(said(seq)), body=replace(said(seq), epoch=6))) == []  # type: ignore[arg-type]
        assert accept(state.task, replace(report(said(seq)), job=job_at(99))) == []  # type: ignore[arg-type]  # likewise
    for event in (
        JobLost(job=job_at(seq), epoch=6, host="h1", reason="?"),
        JobLost(job=job_at(99), epoch=7, host="h1", reason="?"),
        claimed(seq, epoch=9),
        claimed(99),
    ):
        assert replace(state.and_then(event).state, seq=state.state.seq) == state.state


def test_reports_about_nothing_are_forgotten() -> None:
    body = agent_bad(5)
    assert accept(None, report(body)) == []
    assert accept(living().task, report(body)) == []
    over = living().lives(prepare_ok, agent_ok, verify_ok, publish_ok)
    assert accept(over.task, report(body)) == []


def test_an_unclaimed_job_is_lost_under_no_lease_and_a_claimed_one_under_its_own() -> None:
    state = living().settled()
    assert state.state.job is not None
    assert lost(state.state, "h1", "away", host_gone=True) == [
        JobLost(job=state.state.job.id, epoch=0, host="h1", reason="away", host_gone=True)
    ]
    (event,) = lost(state.works().state, "h1", "silence")
    assert isinstance(event, JobLost)
    assert (event.epoch, event.host_gone) == (7, False)
    assert lost(living().state, "h1", "silence") == []


def test_a_claim_names_host_lease_and_process() -> None:
    state = living().settled()
    assert state.state.job is not None
    job = state.state.job.id
    order = ClaimJob(id="j" * 26, task=TASK, job=job, host="h2", epoch=3, instance="i9")
    state = state.asked(order)
    assert state.last(JobClaimed) == JobClaimed(job=job, host="h2", epoch=3, instance="i9")
    assert state.state.job is not None
    assert (state.state.job.host, state.state.job.epoch, state.state.job.instance) == ("h2", 3, "i9")
    state.when(replace(order, id="l" * 26)).then_nothing()
    state.when(replace(order, id="l" * 26, epoch=4)).refused("held by h2 under epoch 3")
    state.when(replace(order, id="l" * 26, instance="i8")).refused("held by h2 under epoch 3")
    living().when(order).refused("not asked for")
    living().settled().when(replace(order, job=job_at(99))).refused("not asked for")
    agent = living().lives(prepare_ok)
    assert agent.state.job is not None
    order = replace(order, job=agent.state.job.id)
    agent.when(order).refused("for host h1")
    agent.when(replace(order, host="h1")).then(JobClaimed)


# The log


def test_nothing_is_a_task_before_it_was_submitted_and_it_is_submitted_once() -> None:
    assert evolve(None, recorded(AGENT, 1)) is None
    assert given(AGENT).task is None
    state = living()
    assert replace(state.and_then(submitted(title="other")).state, seq=1) == state.state


def test_the_last_change_is_remembered_with_its_time_and_a_stray_event_is_none() -> None:
    state = living().and_then(WANTED, seconds=5.0)
    assert (state.state.updated_at, state.state.seq) == (T0 + timedelta(seconds=5), 2)
    again = state.and_then(claimed(99), seconds=9.0)
    assert (again.state.updated_at, again.state.seq) == (T0 + timedelta(seconds=5), 3)


def test_a_command_is_remembered_for_as_long_as_anybody_may_repeat_it() -> None:
    first = tell("note")
    state = living().asked(first)
    state.when(first).then_nothing()
    for number in range(COMMANDS_REMEMBERED):
        state = state.and_then(TaskUnblocked(unblocked_by=f"a{number}"))
    assert len(state.state.commands) == COMMANDS_REMEMBERED
    assert first.id not in state.state.commands


def test_a_log_from_before_the_queue_needs_no_slot_for_what_it_has_begun() -> None:
    old = given(submitted(), *living().settled().log[2:3])
    assert old.state.admitted
    assert old.state.job is not None


TROUBLED: dict[str, object] = {
    "parks": 3,
    "lost": 2,
    "pauses": 1,
    "alike": 2,
    "escalated": "person",
    "escalations": 1,
    "warned": frozenset({"cost", "wall"}),
}


def troubled(state: Given) -> Given:
    return Given(replace(state.state, **TROUBLED))


def test_an_unblocked_task_has_counts_that_begin_anew_and_an_unblock_of_nothing_lets_nothing_pass() -> None:
    state = troubled(living(max_cost_usd=9.0).lives(prepare_ok, failed("vendor.auth")))
    task = state.and_then(TaskUnblocked(unblocked_by="ann"), seconds=50.0).state
    assert (task.blocked, task.failure, task.parks, task.lost, task.pauses, task.alike) == (None, None, 0, 0, 0, 0)
    assert (task.escalated, task.escalations, task.waived) == ("", 0, frozenset({"vendor.auth"}))
    assert (task.max_cost_usd, task.max_wall_seconds, task.warned) == (9.0, 3_600.0, frozenset({"cost", "wall"}))
    assert task.queued_at == T0 + timedelta(seconds=50)
    assert task.last_failure is not None
    more = state.and_then(TaskUnblocked(unblocked_by="ann", max_wall_seconds=7.0)).state
    assert (more.max_cost_usd, more.max_wall_seconds, more.warned) == (9.0, 7.0, frozenset({"cost"}))
    assert living().and_then(TaskUnblocked(unblocked_by="x")).state.waived == frozenset()


def test_a_backup_begins_without_the_troubles_of_the_one_before() -> None:
    over = FailedOver(
        error_class="x", from_vendor="scripted", from_model="", to_vendor="claude", to_model="", attempts_spent=3
    )
    before = replace(troubled(living().lives(prepare_ok, failed("vendor.auth"))).state, session_usage=Usage(turns=5))
    task = Given(before).and_then(over, seconds=50.0).state
    assert (task.attempts_spent, task.pauses, task.parks, task.alike, task.escalations) == (0, 0, 0, 0, 0)
    assert (task.escalated, task.session_begun, task.session_attempts, task.session_usage) == ("", False, 0, None)
    # Another account has a queue of its own; another model of the same one keeps the slot.
    assert (task.admitted, task.queued_at) == (False, T0 + timedelta(seconds=50))
    held = replace(before, admitted=True)
    same = Given(held).and_then(replace(over, to_vendor="scripted", to_model="small"), seconds=50.0).state
    assert (same.admitted, same.queued_at) == (True, held.queued_at)


def test_a_host_that_is_gone_takes_all_that_was_there_alone() -> None:
    state = living().lives(prepare_ok, agent_ok).works()
    there: dict[str, object] = {"judged": "failed", "skipped": "x", "session_attempts": 2, "session_usage": Usage()}
    assert state.state.job is not None
    before = Given(replace(state.state, **there))
    task = before.and_then(gone(host_gone=True)(seq_of(state.state.job.id))).state
    assert (task.host, task.change, task.judged, task.skipped, task.kept) == (None, None, "none", "", None)
    assert (task.session_begun, task.session_attempts, task.session_usage) == (False, 0, None)
    assert task.session_number == state.state.session_number + 1


def test_a_block_ends_every_other_wait_and_gives_the_slot_back() -> None:
    wait = TaskParked(reason="x", message="m", wake_at=T0, number=1)
    state = troubled(living().settled().and_then(wait))
    blocked = TaskBlocked(reason="y", message="m", can_do="z")
    task = Given(replace(state.state, admitted=True)).and_then(blocked, seconds=50.0).state
    assert (task.parked, task.escalated, task.admitted) == (None, "", False)
    assert task.queued_at == T0 + timedelta(seconds=50)


def test_whoever_waited_for_a_person_waits_for_a_slot_from_the_answer_on() -> None:
    gate = PlanGate(silence="approve_if_low_risk", silence_seconds=60.0)
    plan = living(mode="interactive", plan_gate=gate).lives(prepare_ok, proposed("a", risk="low"))
    for event in (
        PlanApproved(number=1, approved_by="ann"),
        PlanCommented(number=1, comment="x", commented_by="ann"),
        PlanUnanswered(number=1, waited_seconds=60.0, meaning="approve"),
    ):
        assert plan.and_then(event, seconds=60.0).state.queued_at == T0 + timedelta(seconds=60)
    asked = living().lives(prepare_ok).works(raised("d" * 26), stopped()).settled()
    answer = DecisionAnswered(decision="d" * 26, answer="yes", answered_by="ann")
    task = asked.and_then(answer, seconds=60.0).state
    assert (task.blocked, task.queued_at) == (None, T0 + timedelta(seconds=60))


def test_an_answer_does_not_lift_another_block() -> None:
    asked = living().lives(prepare_ok).works(raised("d" * 26), stopped()).settled().state
    other = replace(asked, blocked=Blocked(reason="vendor.auth", message="m", can_do="c"))
    task = Given(other).and_then(DecisionAnswered(decision="d" * 26, answer="y", answered_by="a"), seconds=9.0).state
    assert (task.blocked, task.queued_at) == (other.blocked, asked.queued_at)


def test_a_dependency_has_one_outcome_the_last() -> None:
    first = DependencyResolved(on="o" * 26, outcome="failed")
    state = living(depends_on=("o" * 26,)).and_then(first, replace(first, outcome="succeeded"))
    assert state.state.resolved == (("o" * 26, "succeeded"),)


def test_a_note_says_which_step_it_is_of() -> None:
    early = PreflightFailed(commit="c" * 40, error_class="preflight.scope", message="outside")
    assert living().lives(prepare_ok, agent_ok).and_then(early).state.notes[-1].step == "preflight"


def test_what_happens_to_a_task_that_is_not_there_is_refused() -> None:
    Given(None).when(WakeTask(id="w" * 26, task=TASK)).refused(f"there is no task {TASK}")


def test_a_park_is_left_when_the_next_step_is_asked_for() -> None:
    state = living().lives(prepare_ok, failed("vendor.rate_limit", transient=True)).settled(1e3)
    assert isinstance(state.log[-1], AgentRequested)
    assert state.state.parked is None
    assert phase(state.state) == "running"
