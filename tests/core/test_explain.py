"""Every step of a task's history, with the rule that made it and what the rule looked at."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from golden_lives import LIVES
from msgspec.structs import replace
from scenario import ADMITTED, T0, given, recorded, submitted

from penstock import events as e
from penstock.commands import Transition
from penstock.schema.documents import EVENT_TYPES
from penstock_orchestrator.core.advance import RULES
from penstock_orchestrator.core.clause import clause
from penstock_orchestrator.core.explain import explain
from penstock_orchestrator.core.origin import origin
from penstock_orchestrator.core.reasons import REASONS, named, of

PAST: Final = {name: life() for name, life in LIVES.items()}
TOLD: Final = {name: explain(life.log) for name, life in PAST.items()}


def step(name: str, event: str, number: int = 0) -> Transition:
    return [one for one in TOLD[name] if one.event == event][number]


def facts(name: str, event: str, number: int = 0) -> dict[str, str]:
    return dict(step(name, event, number).facts)


def test_every_rule_says_why_it_spoke_and_what_it_looked_at() -> None:
    assert set(REASONS) == {name for name, _ in RULES}
    assert len({reason.because for reason in REASONS.values()}) == len(REASONS)


@pytest.mark.parametrize("name", LIVES)
def test_every_rule_can_tell_its_facts_in_every_state_of_every_life(name: str) -> None:
    """A rule is asked about states that it was not made for: by today's rules an old log may be decided by any of them."""
    for length in range(1, len(PAST[name].log) + 1):
        state = given(*(event.data for event in PAST[name].log[:length])).state
        for reason in REASONS.values():
            found = reason.facts(state, T0)
            assert len(dict(found)) == len(found), "a fact is told once"


@pytest.mark.parametrize("name", LIVES)
def test_every_event_is_a_step_and_every_decision_names_its_rule(name: str) -> None:
    log, told = PAST[name].log, TOLD[name]
    assert [one.seq for one in told] == [event.seq for event in log]
    rules = {rule for rule, _ in RULES}
    for event, one in zip(log, told, strict=True):
        assert one.agrees
        assert one.says
        assert len(dict(one.facts)) == len(one.facts)
        assert (one.rule in rules) is (origin(event.data) == "rule") is (one.kind == "decision")
        assert msgspec.convert(msgspec.to_builtins(one), Transition) == one, "within the bounds of the contract"
    assert [one.before for one in told[1:]] == [one.after for one in told[:-1]]


def test_the_end_of_the_attempts_names_how_many_were_spent_of_how_many() -> None:
    one = step("fails_after_attempts", "task_failed")
    assert one.rule == "attempts_spent"
    assert facts("fails_after_attempts", "task_failed") == {
        "attempts spent": "3 of 3",
        "last failure": "test.failed",
        "backup": "none",
    }
    assert one.says.endswith("because no attempt is left")


def test_a_park_names_the_class_the_severity_and_the_vendors_own_time() -> None:
    said = facts("rate_limit_with_reset", "task_parked")
    assert said["class"] == "vendor.usage_window"
    assert said["severity"] == "park"
    assert said["retry at"].endswith("UTC")
    assert said["parks in a row"] == "0 of 3"


def test_an_escalation_names_how_often_the_same_class_came() -> None:
    said = facts("same_class_twice", "task_escalated")
    assert said["times in a row"] == "2 of 2"
    assert step("same_class_twice", "task_escalated").rule == "after_failure"


def test_a_budget_names_what_was_spent_of_what() -> None:
    assert step("budget_in_mid_run", "job_stop_requested").rule == "budget_stop"
    assert facts("budget_in_mid_run", "job_stop_requested")["cost"] == "1.02 of 1.00 USD"
    assert facts("budget_wall", "task_blocked")["work time"] == "91 of 90 s"


def test_an_input_names_who_brought_it() -> None:
    approved = step("plan_approved", "plan_approved")
    assert (approved.kind, approved.rule) == ("input", "command")
    assert dict(approved.facts)["approved by"] == "ben"
    assert dict(approved.facts)["via"] == "chat"
    assert step("host_gone", "job_lost").rule == "watch"
    assert step("plain_success", "task_admitted").rule == "queue"
    assert step("account_held", "task_parked").rule == "queue"
    assert step("plain_success", "gate_scored").rule == "gate"
    assert step("plain_success", "prepare_succeeded").rule == "report"


def test_a_decision_after_silence_says_what_silence_means() -> None:
    said = facts("plan_silent_low_risk", "plan_unanswered")
    assert said["silence means"] == "approve_if_low_risk after 3600 s"
    assert said["risk"] == "low"


def test_what_is_decided_otherwise_today_says_what_would_come_instead() -> None:
    log = PAST["plain_success"].log
    blocked = e.TaskBlocked(reason="made.up", message="no", can_do="nothing")
    told = explain([*log[:2], recorded(blocked, 1_006, at=log[2].at)])
    assert not told[-1].agrees
    assert told[-1].instead == "prepare_requested"
    assert "by today's rules a clone is asked for" in told[-1].says
    waits = explain([*log[:3], recorded(blocked, 1_009, at=log[3].at)])[-1]
    assert (waits.agrees, waits.instead, waits.rule) == (False, "", "at_work")
    assert "by today's rules nothing would be done" in waits.says


def test_other_words_for_the_same_decision_agree_and_are_shown() -> None:
    log = PAST["fails_after_attempts"].log
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.FailureClassified))
    old = replace(log[at].data, evidence="other words")
    one = explain([*log[:at], replace(log[at], data=old)])[-1]
    assert one.agrees
    assert "today it would read" in one.says


def test_another_decision_of_the_same_type_says_how_it_would_read() -> None:
    log = PAST["rate_limit_with_reset"].log
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.TaskParked))
    one = explain([*log[:at], replace(log[at], data=replace(log[at].data, wake_at=T0))])[-1]
    assert (one.agrees, one.instead) == (False, "task_parked")
    assert "today it would read: the task is parked until 2026-03-02 11:00:04 UTC" in one.says


def test_what_comes_too_late_says_that_it_changed_nothing() -> None:
    log = PAST["plain_success"].log
    late = recorded(e.PriorityChanged(priority=1, changed_by="ana"), 9_999, at=log[-1].at)
    assert explain([*log, late])[-1].says == "ana gave it priority 1; it changed nothing"


def test_an_event_of_a_later_version_is_a_step_and_what_is_before_the_submission_is_none() -> None:
    stray = recorded(ADMITTED, 1)
    unknown = recorded(e.Unknown(type="task_sang"), 3)
    told = explain([stray, recorded(submitted(), 2), unknown])
    assert [one.event for one in told] == ["task_submitted", "task_sang"]
    assert (told[-1].rule, told[-1].after) == ("unknown", "blocked")


def test_a_decision_without_a_task_is_told_as_what_it_is() -> None:
    assert explain([recorded(e.TaskBlocked(reason="x", message="m", can_do="c"), 1)]) == []


def test_long_lists_and_limits_that_are_off_are_told_in_short() -> None:
    assert named([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert named(()) == "none"
    assert (of(2, 0), of(2.5, 3, " s")) == ("2 of no limit", "2.5 of 3 s")


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: str(kind.__struct_config__.tag))
def test_every_type_of_event_has_its_clause_and_its_origin(kind: type[e.Event]) -> None:
    plain: dict[str, object] = {
        field.name: _value(field.name) for field in msgspec.structs.fields(kind) if field.required
    }
    event = msgspec.convert({"type": kind.__struct_config__.tag, **plain}, e.KnownEvent)
    assert len(clause(event)) > 5
    assert origin(event) in ("rule", "command", "report", "queue", "watch", "gate", "memory")


def _value(name: str) -> object:
    made = {
        "repo": {"name": "shop", "clone_url": "x"},
        "usage": {},
        "plan": {"summary": "s"},
        "change": {
            "commit": "c" * 40,
            "commits": 1,
            "files": [],
            "files_changed": 2,
            "lines_added": 1,
            "lines_removed": 1,
        },
        "delivery": {"kind": "branch", "commit": "c" * 40},
        "signals": [],
        "commands": [],
        "confidence": "high",
        "severity": "hard",
        "meaning": "park",
        "made_by": "rules",
        "wake_at": "2026-03-02T09:00:00Z",
        "verified": True,
        "resume": True,
    }
    if name in made:
        return made[name]
    if name in ("head_commit", "pushed"):
        return "c" * 40
    if name in ("epoch", "number", "pull_request", "attempt", "times", "attempts", "attempts_spent", "priority"):
        return 4
    if name in ("characters_in", "characters_out", "score", "spent", "limit", "waited_seconds"):
        return 5
    return "c" * 40 if name in ("commit", "base_commit", "job", "decision", "message", "on") else "word"
