"""Recorded logs under other limits: the first decision that differs, and how far the log can tell what comes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest
from golden_lives import FOLDER, LIVES
from msgspec.structs import replace

from penstock import events as e
from penstock_orchestrator.core import world
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.replay import Difference
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.what_if import Story, what_if
from penstock_orchestrator.replay import read_file

PAST: Final = {path.stem: read_file(path) for path in FOLDER.glob("*.jsonl")}


def told(name: str, /, **limits: str) -> Story:
    return told_until(name, None, limits)


def told_until(name: str, until: type[e.Event] | None, limits: dict[str, str]) -> Story:
    """The story of a golden log up to the first event of a type."""
    log = PAST[name]
    if until is not None:
        log = log[: next(index for index, one in enumerate(log) if isinstance(one.data, until))]
    return what_if(log, {field.replace("__", "."): value for field, value in limits.items()})


def came(story: Story) -> list[str]:
    return [str(step.event.__struct_config__.tag) for step in story.course]


def first(story: Story) -> Difference:
    assert story.first is not None
    return story.first


def test_the_same_limits_give_the_same_run() -> None:
    for name in LIVES:
        story = told(name)
        assert (story.first, story.course, story.unknown, story.task) == (None, (), "", story.recorded), name


def test_fewer_attempts_end_it_sooner_and_cheaper() -> None:
    story = told("fails_after_attempts", max_attempts="1")
    assert (first(story).rule, came(story), story.unknown) == ("attempts_spent", ["task_failed"], "")
    assert story.task.outcome == "failed"
    assert story.task.usage.cost_usd == 0.4
    assert story.recorded.usage.cost_usd == pytest.approx(1.2)
    assert story.changed == (("max_attempts", "3", "1"),)


def test_more_attempts_ask_the_agent_what_the_log_cannot_answer() -> None:
    story = told("fails_after_attempts", max_attempts="5", policy__compact_after_attempts="0")
    assert came(story) == ["agent_requested"]
    assert "nobody was asked" in story.unknown


def test_a_fresh_session_is_an_agent_that_was_told_something_else() -> None:
    story = told("fails_after_attempts", policy__failures_alike_max="2")
    assert (first(story).seq, first(story).rule) == (1_060, "after_failure")
    assert came(story) == ["task_escalated", "history_compacted", "agent_requested"]
    assert "told something else" in story.unknown


def test_a_limit_on_parks_asks_a_person() -> None:
    story = told("rate_limit_with_reset", policy__parks_max="0")
    assert came(story) == ["task_blocked"]
    assert "what they would do, the log cannot know" in story.unknown


def test_longer_parks_skip_answers_and_shorter_ones_ask_when_the_log_cannot_know() -> None:
    longer = told("wrong_reset", policy__park_seconds_min="300", policy__park_seconds_max="600")
    assert (longer.task.outcome, longer.unknown) == ("succeeded", "")
    assert came(longer).count("task_parked") == 1
    assert longer.task.usage.cost_usd == pytest.approx(0.5)
    shorter = told("wrong_reset", policy__park_seconds_min="1")
    assert came(shorter).count("agent_failed") == 1, "between two answers that are the same, it is the same"
    assert "whether it had passed" in shorter.unknown


def test_a_lower_budget_stops_the_run_at_its_last_word() -> None:
    story = told("budget_in_mid_run", max_cost_usd="0.5")
    assert came(story)[:4] == ["budget_warned", "job_stop_requested", "job_stopped", "task_blocked"]
    assert (story.task.outcome, story.unknown) == ("succeeded", "")
    assert story.task.usage.cost_usd == pytest.approx(1.25)
    assert "people answer the same question as they did in the log" in story.assumed


def test_a_run_that_the_budget_stopped_cannot_be_told_on() -> None:
    story = told("budget_in_mid_run", max_cost_usd="null")
    assert (first(story).kind, first(story).today) == ("decision", None)
    assert "was told to stop" in story.unknown


def test_an_earlier_warning_changes_nothing_else() -> None:
    story = told("budget_in_mid_run", policy__budget_warning="0.2")
    assert (first(story).kind, first(story).rule) == ("missing", "budget_warning")
    assert first(story).at == PAST["budget_in_mid_run"][8].at
    assert story.task.outcome == "succeeded"
    assert story.task.usage == story.recorded.usage


def test_a_limit_within_a_run_is_held_against_what_it_used() -> None:
    for limits, unit in (({"max_turns": "5"}, "turns"), ({"max_cost_usd": "0.2"}, "USD")):
        story = told("plain_success", **limits)
        assert story.first is None
        assert f"{unit} and would have had" in story.unknown
    assert told("plain_success", max_turns="9").unknown == ""
    more = told("turn_limit", max_turns="200")
    assert "cut off at 50 turns" in more.unknown
    assert told("plain_success", max_wall_seconds="40").unknown.startswith("the recorded run used 45 seconds")


def test_a_word_of_a_run_that_is_over_is_held_against_nothing() -> None:
    log = PAST["plain_success"]
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.VerifySucceeded))
    late = next(one for one in log if isinstance(one.data, e.AgentSucceeded))
    again = replace(late, at=log[at].at)
    stray = next(index for index, one in enumerate(log) if isinstance(one.data, e.VerifyRequested)) + 2
    forged = replace(log[at], data=replace(late.data, job=log[stray - 2].id))
    assert "turns" not in what_if([*log[:stray], forged, *log[stray:]], {"max_turns": "9"}).unknown
    assert "turns" not in what_if([*log[:at], again, *log[at:]], {"max_turns": "9"}).unknown


def test_unchecked_work_is_handed_over_all_the_same() -> None:
    story = told("plain_success", skip_verify="true")
    assert came(story) == ["verify_skipped", "publish_requested", "job_claimed", "publish_succeeded", "task_unverified"]


def test_a_score_is_held_against_the_other_limit() -> None:
    assert told("abstained", policy__abstain_below="0").task.outcome == "succeeded"
    asked = told("plain_success", policy__abstain_below="95")
    assert came(asked) == ["task_blocked"]


def test_silence_means_something_else() -> None:
    assert told("plan_silent_low_risk", plan_gate__silence="deny").task.outcome == "failed"
    sooner = told("plan_approved", plan_gate__silence="deny", plan_gate__silence_seconds="600")
    assert came(sooner) == ["plan_unanswered", "task_failed"]
    assert first(sooner).at == PAST["plan_approved"][8].at + timedelta(seconds=600)


def test_people_answer_the_same_plan_and_their_own_wishes_come_at_their_own_time() -> None:
    plans = told("plan_commented", policy__abstain_below="95")
    assert plans.unknown.startswith("a person would be asked (gate.abstained")
    later = told("plan_silent_high_risk", plan_gate__silence="wait")
    assert later.task.outcome == "succeeded"
    assert came(later)[0] == "plan_approved"


def test_a_window_that_is_not_there_lets_the_same_work_be_done_at_once() -> None:
    story = told("night_window", window="null")
    assert (story.task.outcome, story.unknown) == ("succeeded", "")
    assert "task_parked" not in came(story)
    assert "the score is the one of the log" in story.assumed


def test_a_backup_that_is_not_there_fails_the_task() -> None:
    story = told("failover", backup_vendor="", backup_model="")
    assert (came(story), story.task.outcome) == (["task_failed"], "failed")


def test_another_classifier_leads_elsewhere() -> None:
    def always_hard(task: Task, said: e.FailureClassified) -> e.FailureClassified:
        return replace(said, error_class="env.disk_full", severity="hard")

    story = what_if(PAST["mended_at_second_attempt"], classifier=always_hard)
    assert first(story).rule == "classify"
    assert came(story) == ["failure_classified", "task_escalated", "task_blocked"]


def test_people_do_of_their_own_accord_what_they_did() -> None:
    """Blocked for its score, the task hears what came later in the log, as far as it would be let in."""
    below = {"policy__abstain_below": "95"}
    spoken = told("message_consumed", **below)
    assert came(spoken) == ["task_blocked", "message_accepted"]
    assert "what people did of their own accord, they do at the same time" in spoken.assumed
    cancelled = told("cancelled_at_work", **below)
    assert (came(cancelled)[-2:], cancelled.task.outcome) == (["task_cancel_requested", "task_cancelled"], "cancelled")
    assert came(told("account_held", **below)) == ["task_blocked", "priority_changed"], "not parked, not woken"
    assert came(told("summary_by_an_agent", **below)) == ["task_blocked", "compaction_asked"]


def test_what_was_said_too_early_is_not_said_again() -> None:
    """Woken while it works already: nothing is let pass that parks it later."""
    story = told("night_woken", window="null")
    assert (story.task.outcome, story.unknown) == ("succeeded", "")
    assert "task_woken" not in came(story)


def test_a_cancel_meets_a_run_that_has_to_be_stopped() -> None:
    """Stopped at once by its word, which the log does not have for this run."""
    log = PAST["night_woken"]
    cancel = replace(log[-1], data=e.TaskCancelRequested(requested_by="ana"), at=log[0].at + timedelta(seconds=10))
    story = what_if([*log[:2], cancel, *log[2:]], {"window": "null"})
    assert came(story)[-3:] == ["task_cancel_requested", "job_stopped", "task_cancelled"]


def test_the_budget_warns_and_people_answer_the_same_plan_as_before() -> None:
    warned = {"max_cost_usd": "0.06", "policy__compact_after_attempts": "0"}
    story = told("plan_approved", **warned)
    assert came(story)[:2] == ["budget_warned", "plan_approved"]
    assert "would have had 0.01" in story.unknown
    denied = told("plan_approved", **warned, plan_gate__silence="deny", plan_gate__silence_seconds="600")
    assert came(denied)[-2:] == ["plan_unanswered", "task_failed"]
    alone = told_until("plan_approved", e.PlanApproved, warned)
    assert (first(alone).kind, came(alone)) == ("pending", ["budget_warned"])
    assert alone.unknown.startswith("a person would be asked about plan 1;")
    log = PAST["plan_approved"]
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.PlanApproved))
    moved = replace(log[at], data=e.PriorityChanged(priority=1, changed_by="ana"))
    both = what_if([*log[:at], moved, *log[at:]], {"max_cost_usd": "0.06"})
    assert came(both)[:3] == ["budget_warned", "priority_changed", "plan_approved"]
    again = told("plan_commented", max_cost_usd="0.06", policy__budget_warning="0.1")
    assert came(again)[:2] == ["budget_warned", "plan_commented"]


def test_a_summary_of_an_agent_is_the_same_summary() -> None:
    story = told("summary_by_an_agent", max_cost_usd="100", policy__budget_warning="0.001")
    assert came(story)[0] == "budget_warned"
    assert "compact_succeeded" in came(story)
    assert story.task.outcome == "succeeded"


@pytest.mark.parametrize(
    ("name", "until", "limits", "says"),
    [
        ("night_window", e.GateScored, {"window": "null"}, "the log holds no score"),
        ("night_window", e.PrepareSucceeded, {"window": "null"}, "the log ends while the job prepare runs"),
        ("night_window", None, {"window": "null", "max_turns": "5"}, "used 9 turns and would have had 5"),
        ("dependency_retried", None, {"max_cost_usd": "0"}, "budget.cost"),
    ],
)
def test_a_story_ends_where_the_log_has_nothing_to_say(
    name: str, until: type[e.Event] | None, limits: dict[str, str], says: str
) -> None:
    assert says in told_until(name, until, limits).unknown


def test_what_is_waited_for_and_never_ended_is_not_made_up() -> None:
    log = PAST["dependency_retried"]
    woken = replace(log[1], data=e.PriorityChanged(priority=1, changed_by="ana"))
    assert "(dependencies)" in what_if([log[0], woken], {"max_cost_usd": "0"}).unknown


def test_a_story_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "STEPS_MAX", 3)
    assert "more than 3 steps" in told("night_window", window="null").unknown


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("max_attempts", "0", ">= 1"),
        ("max_attempts", "many", "Expected `int`"),
        ("max_atempts", "1", "max_attempts"),
        ("policy.parks", "1", "parks_max"),
        ("policy.parks_max.x", "1", "no 'parks_max'"),
        ("window.opens", "22:00", "no 'window'"),
        ("repo.name", "other", "nothing to change"),
        ("title", "other", "nothing to change"),
        ("type", "other", "nothing to change"),
    ],
)
def test_a_limit_that_is_none_is_refused_by_its_name(field: str, value: str, says: str) -> None:
    with pytest.raises(Refused) as refusal:
        what_if(PAST["plain_success"], {field: value})
    assert refusal.value.field == field
    assert says in refusal.value.message


def test_a_text_may_look_like_a_number_and_a_log_must_begin_at_its_beginning() -> None:
    assert told("plain_success", account="7").changed == (("account", "", "7"),)
    with pytest.raises(Refused, match="task_submitted"):
        what_if(PAST["plain_success"][1:])
