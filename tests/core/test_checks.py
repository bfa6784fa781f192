"""Given how the checks of a change went, when they are more than yes or no, then it ends so, and says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace
from scenario import BASE, HEAD, REPO, Given, agent_ok, given, job_at, prepare_ok, publish_ok, whole

from penstock.events import (
    AgentRequested,
    FailureClassified,
    KnownEvent,
    PublishRequested,
    TaskSucceeded,
    TaskUnverified,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.jobs import PublishWork, VerifyWork
from penstock.values import Baseline, Checking, CommandResult, Rerun, Tally, VerifyCommands
from penstock_orchestrator.core import checks
from penstock_orchestrator.core.pull_request import pull_request_body
from penstock_orchestrator.core.react import react

Said = Callable[[int], KnownEvent]
PASSED: Final = CommandResult(stage="lint", command="make lint", exit_code=0, wall_seconds=1.0)
FAILED: Final = CommandResult(stage="test", command="make test", exit_code=1, wall_seconds=1.0, tail="assert 1 == 2")
TESTS: Final = Tally(
    total=6, passed=4, failed=2, skipped=0, failed_names=("t::test_half_even", "t::test_old_one"), source="junit"
)
AGAIN: Final = Rerun(exit_code=0, ended="exited", wall_seconds=2.0, flaky=1, flaky_names=("t::test_clock_now",))
OLD: Final = Baseline(
    commit=BASE,
    exit_code=1,
    ended="exited",
    wall_seconds=4.0,
    tests=TESTS,
    new_failures=0,
    failed_before=1,
    failed_before_names=("t::test_old_one",),
    fixed=1,
    fixed_names=("t::test_mended_one",),
)
NEW: Final = replace(OLD, new_failures=1, new_names=("t::test_half_even",))
BARE: Final = Baseline(commit=BASE, exit_code=1, ended="exited")
FLAKY: Final = replace(FAILED, again=AGAIN)
EXCUSED: Final = replace(FAILED, tests=TESTS, before=OLD)
BASELINE: Final = Checking(baseline="failed")
GENEROUS: Final = Checking(baseline="failed", failed_before="succeeded")


def of(checking: Checking, **more: object) -> Given:
    return given(whole(repo=replace(REPO, checking=checking), **more))


def passed(*commands: CommandResult) -> Said:
    return lambda seq: VerifySucceeded(job=job_at(seq), epoch=7, commit=HEAD, commands=commands)


def failed(*commands: CommandResult) -> Said:
    return lambda seq: VerifyFailed(
        job=job_at(seq), epoch=7, commit=HEAD, error_class="test.failed", message="no", commands=commands
    )


def passes(state: Given) -> bool:
    """Whether the change is handed over as it is; if not, somebody or something has to act first."""
    return isinstance(state.log[-1], PublishRequested)


def body(state: Given) -> str:
    return pull_request_body(state.state)


def work(state: Given) -> object:
    job = react(state.state)
    return None if job is None else job.work


def test_the_base_commit_is_named_where_it_is_to_be_looked_at() -> None:
    looked, not_looked = (work(of(c).lives(prepare_ok, agent_ok)) for c in (BASELINE, Checking()))
    assert isinstance(looked, VerifyWork)
    assert isinstance(not_looked, VerifyWork)
    assert (looked.base_commit, not_looked.base_commit) == (BASE, None)


def test_a_flaky_check_is_good_enough_and_the_mark_goes_all_the_way() -> None:
    state = of(Checking()).lives(prepare_ok, agent_ok, passed(FLAKY, PASSED))
    assert state.last(PublishRequested).verified
    assert "**Checks**: passed on this commit, FLAKY: some only when run again" in body(state)
    assert "FLAKY: failed, and passed when it was run again on the same commit; flaky: `t::test_clock_now`" in body(
        state
    )
    assert state.lives(publish_ok).last(TaskSucceeded).reservations == ("flaky",)


def test_where_flaky_is_not_good_enough_it_is_a_class_of_its_own_and_costs_an_attempt() -> None:
    state = of(Checking(flaky_passes=False)).lives(prepare_ok, agent_ok, passed(FLAKY, PASSED))
    told = state.said(FailureClassified)[0]
    assert (told.error_class, told.severity, told.hint) == ("verify.flaky", "recoverable", checks.FLAKY_HINT)
    again = state.last(AgentRequested)
    assert again.attempt == 2
    assert "Flaky, failed once and passed once on the same commit: `t::test_clock_now`" in again.hint
    assert "independent of time, order, chance" in again.hint


def test_flaky_beside_what_had_failed_before_is_no_excuse_where_flaky_is_none() -> None:
    strict = Checking(flaky_passes=False, baseline="failed")
    state = of(strict).lives(prepare_ok, agent_ok, failed(replace(FLAKY, stage="pre"), EXCUSED))
    assert not passes(state)


def test_what_had_failed_before_is_let_pass_and_the_task_is_unverified_for_that_reason() -> None:
    state = of(BASELINE).lives(prepare_ok, agent_ok, failed(EXCUSED, PASSED))
    requested = state.last(PublishRequested)
    assert (requested.verified, state.state.judged, state.state.attempts_spent) == (False, "excused", 0)
    assert "**Checks**: FAILED on this commit, with nothing known to fail that did not before" in body(state)
    line = "FAILED, as it did before the change; 4 of 6 tests passed, 2 failed, 0 skipped; 0 new failures, 1 older, 1 fixed"
    assert line in body(state)
    order = work(state)
    assert isinstance(order, PublishWork)
    assert not order.verified
    end = state.lives(publish_ok).last(TaskUnverified)
    assert (end.reason, end.reservations) == ("failed_before", ("failed_before",))


def test_the_repo_may_call_that_a_success_and_it_is_said_all_the_same() -> None:
    state = of(GENEROUS).lives(prepare_ok, agent_ok, failed(FLAKY, EXCUSED))
    assert state.last(PublishRequested).verified
    assert state.lives(publish_ok).last(TaskSucceeded).reservations == ("flaky", "failed_before")


@pytest.mark.parametrize(
    "bare",
    [
        replace(FAILED, stage="lint", before=BARE),
        replace(EXCUSED, tests=replace(TESTS, passed=0)),
    ],
    ids=["no names", "nothing passed"],
)
def test_without_names_or_where_nothing_passed_it_is_never_a_success(bare: CommandResult) -> None:
    state = of(GENEROUS).lives(prepare_ok, agent_ok, failed(bare))
    assert not state.last(PublishRequested).verified
    assert state.lives(publish_ok).last(TaskUnverified).reason == "failed_before"


@pytest.mark.parametrize(
    "command",
    [
        replace(FAILED, tests=TESTS, before=NEW),
        replace(FAILED, before=None),
        replace(EXCUSED, stage="build"),
        replace(EXCUSED, exit_code=127),
        replace(EXCUSED, exit_code=137),
        replace(EXCUSED, exit_code=None, ended="timeout"),
        replace(FAILED, before=replace(BARE, exit_code=0)),
        replace(FAILED, before=replace(BARE, exit_code=None, ended="timeout")),
        replace(FAILED, tests=TESTS, before=BARE),
        replace(FAILED, before=replace(BARE, tests=TESTS)),
        replace(EXCUSED, before=replace(OLD, failed_before=0)),
    ],
    ids=[
        *(
            "new",
            "never looked",
            "a build",
            "no program",
            "a signal",
            "a time-out",
            "passed before",
            "timed out before",
        ),
        *("a report now", "a report then", "none of them named"),
    ],
)
def test_only_what_is_known_to_have_failed_before_is_excused(command: CommandResult) -> None:
    state = of(GENEROUS).lives(prepare_ok, agent_ok, failed(command))
    assert not passes(state)


@pytest.mark.parametrize(
    "asked",
    [
        {"description": "Make test_old_one pass."},
        {"title": "Mend t.test_old_one."},
        {"acceptance": "`make test` is green"},
    ],
    ids=["the test", "its path", "the command"],
)
def test_what_the_task_is_about_is_not_excused(asked: dict[str, object]) -> None:
    state = of(GENEROUS, **asked).lives(prepare_ok, agent_ok, failed(EXCUSED))
    assert not passes(state)


def test_nothing_said_is_no_excuse() -> None:
    assert checks.judgement(of(GENEROUS).state.spec, ()) == "failed"
    assert checks.judgement(of(GENEROUS).state.spec, (PASSED, FLAKY)) == "passed"


def test_a_test_whose_name_is_a_sentence_is_known_by_all_of_it() -> None:
    before = replace(OLD, failed_before_names=("cart.test.js::cart adds up", "x::y"))
    said = failed(replace(EXCUSED, before=before))
    about = of(BASELINE, description="See that the Cart adds up again").lives(prepare_ok, agent_ok, said)
    file = of(BASELINE, description="Mend cart.test.js.").lives(prepare_ok, agent_ok, said)
    other = of(BASELINE, description="Add a cart, and see what adds up").lives(prepare_ok, agent_ok, said)
    assert (passes(about), passes(file), passes(other)) == (False, False, True)


def test_the_agent_is_told_which_are_new_and_which_to_leave_alone() -> None:
    new = replace(FAILED, tests=TESTS, before=NEW, again=replace(AGAIN, exit_code=1))
    hint = of(BASELINE).lives(prepare_ok, agent_ok, failed(new)).last(AgentRequested).hint
    assert "New failures, which were none before your change: `t::test_half_even`" in hint
    assert "leave them alone unless the task is about them: `t::test_old_one`" in hint
    assert "Flaky, failed once and passed once on the same commit: `t::test_clock_now`" in hint
    assert "begin of What its tests are, by its own report" in hint


def test_the_agent_is_told_what_failed_where_nobody_looked_before() -> None:
    hint = of(Checking()).lives(prepare_ok, agent_ok, failed(replace(FAILED, tests=TESTS))).last(AgentRequested).hint
    assert "Failed (2 of 6): `t::test_half_even`, `t::test_old_one`" in hint


def test_a_report_that_knows_nothing_of_it_adds_nothing() -> None:
    fine = Tally(total=1, passed=1, failed=0, skipped=0, source="junit")
    assert checks.told(replace(FAILED, tests=fine, before=replace(NEW, new_failures=0, failed_before=0))) == ""
    assert checks.told(replace(FAILED, tests=fine)) == ""


def test_the_failure_that_is_the_changes_own_is_the_one_to_mend() -> None:
    own = replace(FAILED, stage="lint", command="make lint")
    state = of(BASELINE).lives(prepare_ok, agent_ok, failed(EXCUSED, own))
    assert "`make lint`" in state.last(AgentRequested).hint
    assert checks.to_mend((PASSED,)) is None


def test_the_time_of_all_runs_is_spent() -> None:
    state = of(BASELINE).lives(prepare_ok, agent_ok, failed(replace(EXCUSED, again=replace(AGAIN, exit_code=1))))
    plain = of(BASELINE).lives(prepare_ok, agent_ok, passed(PASSED))
    assert state.state.usage.wall_seconds - plain.state.usage.wall_seconds == pytest.approx(6.0)


def test_names_are_shown_as_names_whatever_stands_in_them() -> None:
    assert checks.named(("a`b", "c"), 2) == "`a'b`, `c`"
    assert checks.named(("a",), 3) == "`a` and 2 more"
    assert checks.named((), 3) == "3 without names"


def test_what_came_of_each_check_is_said_in_a_few_words() -> None:
    assert checks.summary(PASSED) == "passed"
    assert checks.summary(FAILED) == "failed"
    assert checks.summary(replace(FAILED, exit_code=None, ended="timeout")) == "failed: timeout"
    again = replace(AGAIN, tests=replace(TESTS, passed=6, failed=0))
    assert "6 of 6 tests passed" in checks.summary(replace(FLAKY, tests=TESTS, again=again))
    text = checks.summary(replace(PASSED, before=replace(NEW, fixed=None, failed_before=None)))
    assert text == "passed; 1 new failures, 0 older"


def test_what_nothing_has_checked_has_no_reservations_of_checks() -> None:
    assert checks.reservations("skipped", (FLAKY,)) == ()
    last = of(Checking(), max_attempts=1).lives(prepare_ok, agent_ok, failed(FAILED)).state
    assert checks.headline(last) == "FAILED on this commit"
    assert checks.headline(of(Checking()).state) == "not run yet"
    bare = given(whole(repo=replace(REPO, verify=VerifyCommands()))).state
    assert checks.headline(bare) == "NOT run (nothing configured)"
    assert checks.headline(of(Checking()).lives(prepare_ok, agent_ok, passed(PASSED)).state) == "passed on this commit"


def test_where_the_output_says_nothing_the_report_does() -> None:
    silent = replace(FAILED, tail="hm", tests=TESTS)
    told = of(Checking()).lives(prepare_ok, agent_ok, failed(silent)).said(FailureClassified)[0]
    assert (told.error_class, told.severity, told.hint) == ("test.failed", "recoverable", checks.REPORTED_HINT)
