"""What was spent, and what happens when it is most, or all, of what may be: within a run, between runs, over losses."""

from __future__ import annotations

import pytest
from scenario import (
    Given,
    Said,
    agent_bad,
    agent_ok,
    failed,
    gone,
    no_plan,
    no_summary,
    prepare_ok,
    progress,
    proposed,
    refused,
    report,
    stopped,
    summed_up,
    unblock,
    verify_ok,
    whole,
    worked,
)
from scenario import given as given_events

from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentRequested,
    BudgetWarned,
    CompactRequested,
    HistoryCompacted,
    JobStopRequested,
    PlanRequested,
    PublishRequested,
    TaskBlocked,
    TaskFailed,
    VerifyRequested,
)
from penstock.jobs import AgentWork, CompactWork, PlanWork
from penstock.values import Price, Usage
from penstock_orchestrator.core.decide import accept
from penstock_orchestrator.core.react import react

PRICE = Price(input_usd=10.0, output_usd=100.0)


def given(**more: object) -> Given:
    return given_events(whole(**more))


def running(**more: object) -> Given:
    """Up to an agent that a host has begun to run."""
    return given(**more).lives(prepare_ok).works()


def says(state: Given, *said: Said) -> Given:
    """The host of the running job says this, and what is due then is due."""
    assert state.state.job is not None
    seq = int(state.state.job.id[1:])
    return state.and_then(*(one(seq) for one in said)).settled()


# While it runs


def test_a_warning_comes_once_when_most_of_the_money_is_spent() -> None:
    state = says(running(max_cost_usd=1.0), progress(cost_usd=0.79))
    assert state.said(BudgetWarned) == []
    state = says(state, progress(cost_usd=0.8))
    assert state.said(BudgetWarned) == [BudgetWarned(budget="cost", spent=0.8, limit=1.0)]
    assert len(says(state, progress(cost_usd=0.9)).said(BudgetWarned)) == 1
    assert says(state, progress(cost_usd=0.9)).said(JobStopRequested) == []


def test_where_nothing_may_be_spent_nothing_is() -> None:
    state = given(max_cost_usd=0.0).lives(prepare_ok)
    assert state.said(AgentRequested) == []
    assert [(one.spent, one.limit) for one in state.said(BudgetWarned)] == [(0.0, 0.0)]
    assert state.last(TaskBlocked).reason == "budget.cost"


def test_a_warning_comes_once_when_most_of_the_time_is_used() -> None:
    state = says(running(max_wall_seconds=100.0), progress(wall_seconds=80.0), progress(wall_seconds=90.0))
    assert state.said(BudgetWarned) == [BudgetWarned(budget="wall", spent=90.0, limit=100.0)]
    assert state.said(JobStopRequested) == []


def test_without_a_share_or_a_limit_there_is_no_warning() -> None:
    assert says(running(max_cost_usd=1.0, budget_warning=0.0), progress(cost_usd=0.9)).said(BudgetWarned) == []
    assert says(running(), progress(cost_usd=900.0)).said(BudgetWarned) == []


@pytest.mark.parametrize(
    ("more", "used", "reason", "message"),
    [
        ({"max_cost_usd": 1.0}, {"cost_usd": 1.0}, "budget.cost", "1.00 USD spent of 1.00"),
        ({"max_wall_seconds": 60.0}, {"wall_seconds": 60.0}, "budget.wall", "60 s of work used of 60 s"),
    ],
)
def test_a_run_that_has_used_up_a_budget_is_told_to_stop_once_and_then_a_person_is_asked(
    more: dict[str, object], used: dict[str, object], reason: str, message: str
) -> None:
    state = says(running(**more), progress(**used))
    stops = state.said(JobStopRequested)
    assert [(stop.reason, stop.message) for stop in stops] == [(reason, message)]
    assert state.state.job is not None
    assert (stops[0].job, state.state.stop_wanted) == (state.state.job.id, reason)
    state = says(state, progress(**used, turns=9))
    assert len(state.said(JobStopRequested)) == 1
    state = says(state, stopped(usage=Usage(**used)))  # type: ignore[arg-type]  # a test's own keywords
    blocked = state.last(TaskBlocked)
    assert (blocked.reason, blocked.message) == (reason, message)
    assert f"max_{'cost_usd' if reason == 'budget.cost' else 'wall_seconds'}" in blocked.can_do
    assert (state.state.stop, state.state.run_usage, state.state.admitted) == (None, None, False)


def test_a_run_that_reports_nothing_is_bounded_by_its_own_limits_alone() -> None:
    state = given(max_wall_seconds=20.0).lives(prepare_ok, worked(), verify_ok)
    assert state.said(JobStopRequested) == []
    assert isinstance(state.log[-1], PublishRequested)


def test_a_change_that_took_the_last_cent_is_still_checked_and_handed_over() -> None:
    state = says(running(max_cost_usd=0.5), progress(cost_usd=0.5))
    assert len(state.said(JobStopRequested)) == 1
    state = says(state, agent_ok)
    assert isinstance(state.log[-1], VerifyRequested)
    assert state.state.stop is None
    assert isinstance(state.lives(verify_ok).log[-1], PublishRequested)


def test_a_check_is_not_stopped_for_money() -> None:
    state = given(max_cost_usd=0.5).lives(prepare_ok, agent_ok).works().settled(1e6)
    assert state.said(JobStopRequested) == []
    assert [(one.budget, one.spent, one.limit) for one in state.said(BudgetWarned)] == [("cost", 0.5, 0.5)]


def test_an_order_to_stop_is_about_one_job_only() -> None:
    state = says(running(max_cost_usd=1.0), progress(cost_usd=2.0))
    state = says(state, gone())
    assert (state.state.stop, state.last(TaskBlocked).reason) == (None, "budget.cost")
    state = state.asked(unblock(max_cost_usd=5.0)).settled().works()
    assert state.state.stop_wanted == ""


# Between runs


def test_a_spent_budget_asks_a_person_and_a_higher_one_goes_on() -> None:
    state = given(max_cost_usd=0.5).lives(prepare_ok, failed("agent.crashed"))
    assert state.last(TaskBlocked).reason == "budget.cost"
    state.when(unblock()).refused("0.50 USD are spent: name a max_cost_usd above that")
    state.when(unblock(max_cost_usd=0.5)).refused("0.50 USD")
    state = state.asked(unblock(max_cost_usd=0.51)).settled()
    assert state.last(AgentRequested).attempt == 2
    assert state.state.max_cost_usd == 0.51
    assert state.lives(agent_ok, refused("hm")).last(TaskBlocked).reason == "budget.cost"


def test_spent_time_asks_a_person_and_more_time_goes_on() -> None:
    state = given(max_wall_seconds=20.0).lives(prepare_ok, failed("agent.crashed"))
    assert state.last(TaskBlocked).reason == "budget.wall"
    state.when(unblock(max_cost_usd=9.0)).refused("20 s of work are used: name a max_wall_seconds above that")
    state.when(unblock(max_wall_seconds=20.0)).refused("20 s")
    state = state.asked(unblock(max_wall_seconds=21.0)).settled()
    assert isinstance(state.log[-1], AgentRequested)
    assert (state.state.max_wall_seconds, state.state.max_cost_usd) == (21.0, None)


def test_a_new_limit_is_warned_of_anew_and_an_old_one_is_not() -> None:
    state = given(max_cost_usd=0.6, max_attempts=9, failures_alike_max=0, compact_after_attempts=0)
    state = state.lives(prepare_ok, failed("vendor.auth"))
    assert len(state.said(BudgetWarned)) == 1
    state = state.asked(unblock()).settled()
    assert len(state.said(BudgetWarned)) == 1
    state = state.lives(failed("vendor.auth"))
    assert state.last(TaskBlocked).reason == "vendor.auth"
    state = state.asked(unblock(max_cost_usd=1.2)).settled()
    assert [one.limit for one in state.said(BudgetWarned)] == [0.6, 1.2]
    state = state.lives(failed("vendor.auth")).asked(unblock(max_wall_seconds=9.0, max_cost_usd=99.0)).settled()
    assert [one.budget for one in state.said(BudgetWarned)] == ["cost", "cost", "wall"]


def test_attempts_that_are_spent_end_the_task_before_the_budget_is_asked_for() -> None:
    state = given(max_cost_usd=0.5, max_attempts=1).lives(prepare_ok, failed("agent.crashed"))
    assert isinstance(state.log[-1], TaskFailed)


def test_a_vendor_that_stopped_for_money_asks_for_more_and_costs_no_attempt() -> None:
    state = given(max_attempts=1, max_cost_usd=2.0).lives(prepare_ok, failed("vendor.budget"))
    assert state.last(TaskBlocked).reason == "vendor.budget"
    assert state.state.attempts_spent == 0
    assert state.asked(unblock(max_cost_usd=3.0)).settled().last(AgentRequested).attempt == 1


def test_an_order_says_what_is_left_and_never_nothing() -> None:
    state = given(max_cost_usd=2.0, max_wall_seconds=60.0).lives(prepare_ok, failed("agent.crashed"))
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    assert (job.work.max_cost_usd, job.work.wall_seconds_max) == (1.5, 40.0)
    state = given(max_cost_usd=0.5 + 1e-9, max_wall_seconds=21.0).lives(prepare_ok, failed("agent.crashed"))
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    assert (job.work.max_cost_usd, job.work.wall_seconds_max) == (0.01, 30.0)


def test_plans_and_summaries_have_what_is_left_and_no_more_than_a_quarter_of_an_hour() -> None:
    state = given(mode="interactive", max_cost_usd=2.0).lives(prepare_ok)
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, PlanWork)
    assert (job.work.max_cost_usd, job.work.wall_seconds_max, job.work.max_turns) == (2.0, 900.0, 30)
    state = given(mode="interactive", plan_seconds_max=0.0, plan_turns_max=0, max_wall_seconds=50.0).lives(prepare_ok)
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, PlanWork)
    assert (job.work.max_cost_usd, job.work.wall_seconds_max, job.work.max_turns) == (None, 50.0, None)
    state = given(compaction="agent").lives(prepare_ok, failed("vendor.context_overflow"))
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, CompactWork)
    assert (job.work.max_cost_usd, job.work.wall_seconds_max, job.work.max_turns) == (None, 900.0, 30)


# What was spent


def test_spending_survives_a_lost_host_and_counts_once() -> None:
    state = says(running(), progress(turns=2, cost_usd=0.3, wall_seconds=9.0, input_tokens=5))
    assert state.state.cost_so_far == 0.3
    state = says(state, gone())
    assert (state.state.usage.cost_usd, state.state.usage.turns, state.state.cost_seen) == (0.3, 2, 0.3)
    assert (state.state.usage.wall_seconds, state.state.run_usage) == (9.0, None)
    state = state.lives(agent_ok)
    assert state.state.usage.cost_usd == 0.8
    assert state.state.wall_so_far == 29.0


def test_a_lost_run_that_had_reported_nothing_adds_nothing() -> None:
    state = says(running(), gone())
    assert state.state.usage == Usage(cost_usd=0.0)


def test_spending_survives_a_stop_and_the_larger_word_counts() -> None:
    told = Usage(turns=1, input_tokens=9, cost_usd=0.1, wall_seconds=30.0)
    state = says(running(), progress(turns=2, output_tokens=3, cost_usd=0.3, wall_seconds=9.0), stopped(usage=told))
    assert state.state.usage == Usage(turns=2, input_tokens=9, output_tokens=3, cost_usd=0.3, wall_seconds=30.0)


def test_a_run_that_was_cut_off_costs_no_less_than_it_had_reported() -> None:
    lost_count = agent_bad(1, "agent.timeout").usage
    state = says(running(), progress(turns=2, cost_usd=0.3), failed("agent.timeout", usage=lost_count))
    assert (state.state.usage.turns, state.state.usage.cost_usd) == (2, 0.3)
    state = given(mode="interactive").lives(prepare_ok).works()
    state = says(state, progress(cost_usd=0.3), no_plan("agent.timeout"))
    assert state.state.usage.cost_usd == 0.3
    state = given(compaction="agent").lives(prepare_ok, failed("vendor.context_overflow")).works()
    state = says(state, progress(cost_usd=0.3, turns=1), no_summary())
    assert state.state.usage.cost_usd == 0.8


def test_the_last_word_of_a_run_that_went_well_is_taken_as_it_is() -> None:
    state = says(running(), progress(turns=9, cost_usd=9.0), agent_ok)
    assert (state.state.usage.cost_usd, state.state.cost_so_far, state.state.run_usage) == (0.5, 0.5, None)


def test_a_run_that_broke_before_it_was_stopped_does_not_save_the_next_one_from_being_stopped() -> None:
    state = says(running(max_cost_usd=1.0), progress(cost_usd=1.0))
    state = says(state, failed("agent.crashed", usage=Usage(cost_usd=1.0)))
    state = state.asked(unblock(max_cost_usd=2.0)).settled().works()
    state = says(state, progress(cost_usd=1.0))
    assert len(state.said(JobStopRequested)) == 2


def test_a_plan_and_a_summary_are_paid_for() -> None:
    state = given(mode="interactive").lives(prepare_ok, proposed("sum.py", usage=Usage(cost_usd=0.2, turns=4)))
    assert (state.state.usage.cost_usd, state.state.usage.turns) == (0.2, 4)
    state = given(compaction="agent").lives(prepare_ok, failed("vendor.context_overflow"), summed_up("so far so good"))
    assert state.state.usage.cost_usd == 0.6
    assert state.state.cost_seen == 0.6


def test_a_check_costs_time_and_no_money() -> None:
    state = given().lives(prepare_ok, agent_ok, refused("hm"))
    assert (state.state.usage.wall_seconds, state.state.usage.cost_usd) == (21.0, 0.5)
    state = given().lives(prepare_ok, agent_ok, stopped(usage=Usage(wall_seconds=4.0, cost_usd=0.0)))
    assert (state.state.usage.wall_seconds, state.state.usage.cost_usd) == (24.0, 0.5)
    assert isinstance(state.log[-1], VerifyRequested)


def test_totals_of_a_whole_session_are_counted_once() -> None:
    def total(turns: int, cost: float) -> Usage:
        return Usage(turns=turns, input_tokens=turns * 10, cost_usd=cost, wall_seconds=7.0)

    state = given(max_attempts=9, failures_alike_max=0, compact_after_attempts=0).lives(
        prepare_ok,
        failed("agent.crashed", usage=total(2, 0.25), usage_of_session=True),
        failed("agent.stalled", usage=total(5, 1.0), usage_of_session=True),
    )
    assert (state.state.usage.turns, state.state.usage.cost_usd, state.state.usage.wall_seconds) == (5, 1.0, 14.0)
    # Cut off without figures: nothing is added, and the totals of before are still subtracted afterwards.
    state = state.lives(failed("agent.timeout", usage=Usage(), usage_of_session=True))
    assert state.state.cost_seen == 1.0
    state = state.lives(worked(usage=total(6, 1.5), usage_of_session=True))
    assert state.state.usage.turns == 6
    assert state.state.cost_seen == 1.5


def test_totals_of_a_session_that_was_begun_anew_are_its_own() -> None:
    state = given(max_attempts=9).lives(
        prepare_ok,
        failed("agent.crashed", usage=Usage(turns=2, cost_usd=1.0), usage_of_session=True),
        failed("agent.stalled", usage=Usage(turns=1, cost_usd=0.5), usage_of_session=True, session_restarted=True),
    )
    assert (state.state.usage.turns, state.state.usage.cost_usd) == (3, 1.5)
    state = given(max_attempts=9).lives(
        prepare_ok,
        failed("vendor.context_overflow", usage=Usage(turns=2, cost_usd=1.0), usage_of_session=True),
        failed("agent.stalled", usage=Usage(turns=1, cost_usd=0.5), usage_of_session=True),
    )
    assert state.state.usage.cost_usd == 1.5


def test_a_subscription_is_charged_nothing_and_cannot_run_out_of_money() -> None:
    state = says(running(billing="subscription", max_cost_usd=1.0), progress(cost_usd=5.0))
    assert (state.said(BudgetWarned), state.said(JobStopRequested), state.state.cost_so_far) == ([], [], 0.0)
    state = says(state, worked(usage=Usage(cost_usd=5.0, turns=1)))
    assert (state.state.usage.cost_usd, state.state.cost_seen) == (0.0, 0.0)


def test_what_nobody_can_price_stays_unknown_and_yet_the_known_part_binds() -> None:
    state = given(max_cost_usd=0.9, max_attempts=9, failures_alike_max=0, compact_after_attempts=0)
    state = state.lives(prepare_ok, failed("agent.crashed"), failed("agent.crashed", usage=Usage(turns=1)))
    assert (state.state.usage.cost_usd, state.state.cost_seen) == (None, 0.5)
    state = state.lives(failed("agent.crashed"))
    assert (state.last(TaskBlocked).reason, state.state.usage.cost_usd) == ("budget.cost", None)
    assert state.last(TaskBlocked).message == "1.00 USD spent of 0.90"


def test_tokens_are_priced_where_somebody_has_said_what_they_cost_also_while_they_are_used() -> None:
    tokens = {"input_tokens": 10_000, "output_tokens": 4_000}
    state = says(running(price=PRICE, max_cost_usd=0.5), progress(**tokens))
    assert state.state.cost_so_far == pytest.approx(0.5)
    assert state.said(JobStopRequested)[0].reason == "budget.cost"
    state = says(state, stopped(usage=Usage(**tokens)))
    assert state.state.usage.cost_usd == pytest.approx(0.5)


def test_news_that_overtook_each_other_do_not_turn_the_figures_back() -> None:
    state = says(running(), progress(turns=3, cost_usd=0.3), progress(turns=2, cost_usd=0.2))
    assert state.state.run_usage == Usage(turns=3, cost_usd=0.3)
    assert state.state.job is not None
    job = state.state.job.id

    def news(**usage: object) -> list[object]:
        body = AgentProgressed(job=job, epoch=7, usage=Usage(**usage))  # type: ignore[arg-type]  # a test's own keywords
        return list(accept(state.task, report(body)))

    assert news(turns=2, cost_usd=0.2) == []
    assert news(turns=3, cost_usd=0.3) == []
    assert len(news(turns=4, cost_usd=0.3)) == 1


def test_a_summary_is_not_written_with_money_that_is_not_there() -> None:
    state = given(compaction="agent", max_cost_usd=0.5).lives(prepare_ok, failed("vendor.context_overflow"))
    assert state.said(CompactRequested) == []
    assert state.last(TaskBlocked).reason == "budget.cost"
    state = given(mode="interactive", max_cost_usd=0.1).lives(
        prepare_ok, no_plan("agent.crashed", usage=Usage(cost_usd=0.1))
    )
    assert (len(state.said(PlanRequested)), state.last(TaskBlocked).reason) == (1, "budget.cost")
    assert state.said(HistoryCompacted) == []
    assert state.said(AgentFailed) == []
