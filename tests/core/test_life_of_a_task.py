"""The happy path and every way off it, one decision at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scenario import (
    AGENT,
    HEAD,
    PREPARE,
    PUBLISH,
    REPO,
    T0,
    TASK,
    VERIFY,
    agent_bad,
    agent_ok,
    changed,
    claimed,
    given,
    job_at,
    prepare_bad,
    prepare_ok,
    prepared,
    publish_bad,
    publish_ok,
    published,
    submitted,
    verified,
    verify_bad,
)

from penstock.catalog import Repo
from penstock.commands import CancelTask, ClaimJob, SubmitTask, UnblockTask
from penstock.events import (
    AgentRequested,
    JobClaimed,
    JobLost,
    JobStopped,
    PrepareRequested,
    PublishRequested,
    TaskBlocked,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskParked,
    TaskSubmitted,
    TaskSucceeded,
    TaskUnblocked,
    TaskUnverified,
    Unknown,
    VerifyRequested,
    VerifySkipped,
)
from penstock.jobs import AgentWork, PrepareWork, PublishWork, VerifyWork
from penstock.values import Kept, RepoSnapshot, Usage, VerifyCommands
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.waiting import phase, waiting


def command(**more: object) -> SubmitTask:
    plain: dict[str, object] = {"id": "i" * 26, "task": TASK, "repo": "shop", "title": "x", "vendor": "scripted"}
    return SubmitTask(**(plain | more))  # type: ignore[arg-type]  # a test's own keywords


CATALOG_REPO = Repo(name="shop", clone_url="https://git.example/shop.git")
CANCEL = CancelTask(id="k" * 26, task=TASK, requested_by="ann", reason="no")
UNBLOCK = UnblockTask(id="u" * 26, task=TASK, requested_by="ann")
WANTED = TaskCancelRequested(requested_by="ann", reason="no")


def claim(seq: int, *, epoch: int = 7, host: str = "h1", instance: str = "i1") -> ClaimJob:
    return ClaimJob(id="j" * 26, task=TASK, job=job_at(seq), host=host, epoch=epoch, instance=instance)


# Submission


def test_a_submission_copies_the_repos_settings() -> None:
    event = given().when_submitted(command(), CATALOG_REPO).then(TaskSubmitted)
    assert isinstance(event, TaskSubmitted)
    assert event.repo.clone_url == CATALOG_REPO.clone_url


def test_the_same_submission_again_is_already_so() -> None:
    first = given().when_submitted(command(), CATALOG_REPO).then(TaskSubmitted)
    given(first).when_submitted(command(id="o" * 26), CATALOG_REPO).then_nothing()


def test_another_wish_under_the_same_id_is_refused() -> None:
    first = given().when_submitted(command(), CATALOG_REPO).then(TaskSubmitted)
    given(first).when_submitted(command(title="other"), CATALOG_REPO).refused("exists already")


def test_unknown_words_are_refused_with_what_is_known() -> None:
    given().when_submitted(command(), None).refused("PUT /v1/repos")
    given().when_submitted(command(vendor="nobody"), CATALOG_REPO).refused("scripted, claude")
    given().when_submitted(command(flow="fax"), CATALOG_REPO).refused("branch, commit, patch, untracked")


def test_a_command_to_a_task_that_does_not_exist_is_refused() -> None:
    given().when(CANCEL).refused("there is no task")


# The steps


def test_a_new_task_is_prepared_on_any_host() -> None:
    given(submitted()).at().then(PrepareRequested(number=1, host=None))


def test_a_prepared_task_runs_the_agent_where_the_clone_is() -> None:
    event = given(*prepared()).at().then(AgentRequested)
    assert isinstance(event, AgentRequested)
    assert (event.attempt, event.host, event.resume, event.hint) == (1, "h1", False, "")


def test_a_change_is_verified() -> None:
    given(*changed()).at().then(VerifyRequested(attempt=1, host="h1", commit=HEAD))


def test_a_verified_change_is_published() -> None:
    event = given(*verified()).at().then(PublishRequested)
    assert isinstance(event, PublishRequested)
    assert event.verified


def test_a_published_change_ends_the_task_well() -> None:
    event = given(*published()).at().then(TaskSucceeded)
    assert isinstance(event, TaskSucceeded)
    assert event.usage == Usage(turns=3, input_tokens=100, output_tokens=10, cost_usd=0.5, wall_seconds=21.0)


def test_while_a_job_runs_nothing_is_due() -> None:
    given(submitted(), PREPARE).at(1e6).then_nothing()
    given(*prepared(), AGENT, claimed(5)).at(1e6).then_nothing()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"skip_verify": True}, "skip_verify"),
        ({"repo": RepoSnapshot(name="shop", clone_url="x")}, "nothing_configured"),
    ],
)
def test_what_nothing_checked_is_published_as_unverified(more: dict[str, object], reason: str) -> None:
    skipped = given(*changed(**more)).at().then(VerifySkipped(attempt=1, commit=HEAD, reason=reason))
    state = given(*changed(**more), skipped)
    event = state.at().then(PublishRequested)
    assert isinstance(event, PublishRequested)
    assert not event.verified
    end = state.and_then(event, claimed(9), publish_ok(9))
    final = end.at().then(TaskUnverified)
    assert isinstance(final, TaskUnverified)
    assert final.reason == reason


# Attempts


def test_a_failed_check_comes_back_to_the_same_session_with_its_output() -> None:
    event = given(*changed(), VERIFY, claimed(8), verify_bad(8)).at().then(AgentRequested)
    assert isinstance(event, AgentRequested)
    assert (event.attempt, event.resume) == (2, True)
    assert "assert 1 == 2" in event.hint
    assert "make test" in event.hint


def test_attempts_are_limited_and_the_end_names_the_last_failure() -> None:
    state = given(*changed(max_attempts=1), VERIFY, claimed(8), verify_bad(8))
    event = state.at().then(TaskFailed)
    assert isinstance(event, TaskFailed)
    assert (event.error_class, event.message) == ("test.failed", "1 failed")


def test_no_change_is_an_outcome_of_its_own() -> None:
    state = given(*prepared(max_attempts=1), AGENT, claimed(5), agent_bad(5, "agent.no_change"))
    state = state.and_then(state.at().then(TaskFailed))
    assert state.state.outcome == "no_change"
    assert phase(state.state) == "failed"


def test_reaching_the_turn_limit_spends_no_attempt_until_the_pauses_are_used_up() -> None:
    state = given(*prepared())
    for pause in range(3):
        event = state.at().then(AgentRequested)
        assert isinstance(event, AgentRequested)
        assert event.attempt == 1
        assert event.resume is (pause > 0)
        seq = state.state.seq + 1
        state = state.and_then(event, claimed(seq), agent_bad(seq, "vendor.max_turns"))
    state.at().then(TaskBlocked)


def test_a_full_context_begins_a_new_session_and_spends_no_attempt() -> None:
    state = given(*prepared(), AGENT, claimed(5), agent_bad(5, "vendor.context_overflow"))
    event = state.at().then(AgentRequested)
    assert isinstance(event, AgentRequested)
    assert not event.resume
    assert event.attempt == 1
    assert event.session_id != AGENT.session_id


# Waiting


def test_a_rate_limit_parks_until_the_vendors_own_time_and_spends_no_attempt() -> None:
    retry_at = T0 + timedelta(hours=3)
    state = given(*prepared(), AGENT, claimed(5), agent_bad(5, "vendor.rate_limit", transient=True, retry_at=retry_at))
    parked = state.at().then(TaskParked)
    assert isinstance(parked, TaskParked)
    assert parked.wake_at == retry_at
    state = state.and_then(parked)
    assert phase(state.state) == "parked"
    assert waiting(state.state).wake_at == retry_at
    state.at(3 * 3600 - 1).then_nothing()
    event = state.at(3 * 3600).then(AgentRequested)
    assert isinstance(event, AgentRequested)
    assert (event.attempt, event.resume) == (1, True)


def test_a_reset_time_in_the_past_is_not_believed_and_backs_off() -> None:
    state = given(*prepared(), AGENT, claimed(5), agent_bad(5, "vendor.rate_limit", transient=True, retry_at=T0))
    parked = state.at().then(TaskParked)
    assert isinstance(parked, TaskParked)
    assert T0 + timedelta(seconds=10) <= parked.wake_at <= T0 + timedelta(seconds=12)


def test_pauses_double_up_to_a_limit_and_then_a_person_is_asked() -> None:
    state = given(submitted())
    waits = []
    for _ in range(3):
        state = state.and_then(state.at(1e9).then(PrepareRequested))
        seq = state.state.seq
        state = state.and_then(claimed(seq), prepare_bad(seq))
        parked = state.at().then(TaskParked)
        assert isinstance(parked, TaskParked)
        waits.append((parked.wake_at - T0).total_seconds())
        state = state.and_then(parked)
    assert [10 <= waits[0] <= 12, 20 <= waits[1] <= 24, 40 <= waits[2] <= 48] == [True] * 3
    state = state.and_then(state.at(1e9).then(PrepareRequested))
    seq = state.state.seq
    state.and_then(claimed(seq), prepare_bad(seq)).at().then(TaskBlocked)


def test_a_success_forgets_the_pauses_before_it() -> None:
    state = given(submitted(), PREPARE, claimed(2), prepare_bad(2))
    state = state.and_then(state.at().then(TaskParked))
    state = state.and_then(state.at(1e9).then(PrepareRequested))
    seq = state.state.seq
    ok = prepare_ok(seq)
    assert state.and_then(claimed(seq), ok).state.parks == 0


@pytest.mark.parametrize("error_class", ["vendor.auth", "vendor.billing", "vendor.model_not_found"])
def test_what_only_a_person_can_mend_blocks_and_says_what_to_do(error_class: str) -> None:
    state = given(*prepared(), AGENT, claimed(5), agent_bad(5, error_class))
    event = state.at().then(TaskBlocked)
    assert isinstance(event, TaskBlocked)
    assert len(event.can_do) > 10
    state = state.and_then(event)
    assert phase(state.state) == "blocked"
    state.at(1e9).then_nothing()
    state = state.and_then(state.when(UNBLOCK).then(TaskUnblocked))
    state.at().then(AgentRequested)


def test_only_a_blocked_task_can_be_unblocked() -> None:
    given(*prepared()).when(UNBLOCK).refused("not blocked")
    given(*published(), _end()).when(UNBLOCK).refused("already ended: succeeded")


def test_settings_that_cannot_be_right_fail_the_task_at_once() -> None:
    state = given(submitted(), PREPARE, claimed(2), prepare_bad(2, "git.ref_missing", transient=False))
    state.at().then(TaskFailed)


def test_a_push_that_is_refused_asks_a_person_and_a_remote_that_is_away_is_waited_for() -> None:
    history = (*verified(), PUBLISH, claimed(11))
    given(*history, publish_bad(11, "git.non_fast_forward", transient=False)).at().then(TaskBlocked)
    given(*history, publish_bad(11, "git.strange", transient=False)).at().then(TaskBlocked)
    given(*history, publish_bad(11)).at().then(TaskParked)


def test_a_host_that_cannot_verify_says_nothing_about_the_change() -> None:
    state = given(*changed(), VERIFY, claimed(8), verify_bad(8, "host.disk_full"))
    state = state.and_then(state.at().then(TaskParked))
    state.at(1e9).then(VerifyRequested(attempt=1, host="h1", commit=HEAD))


# Budgets


def test_money_that_is_spent_stops_the_next_attempt() -> None:
    state = given(*changed(max_cost_usd=0.5), VERIFY, claimed(8), verify_bad(8))
    event = state.at().then(TaskBlocked)
    assert isinstance(event, TaskBlocked)
    assert event.reason == "budget.cost"


def test_an_unknown_cost_stays_unknown() -> None:
    assert given(*prepared(), AGENT, claimed(5), agent_ok(5, cost=None)).state.usage.cost_usd is None


def test_time_that_is_used_up_stops_the_next_attempt() -> None:
    state = given(*changed(max_wall_seconds=20.0), VERIFY, claimed(8), verify_bad(8))
    event = state.at().then(TaskBlocked)
    assert isinstance(event, TaskBlocked)
    assert event.reason == "budget.wall"


# Jobs


def test_a_claim_is_recorded_once() -> None:
    state = given(submitted(), PREPARE)
    event = state.when(claim(2)).then(JobClaimed)
    state.and_then(event).when(claim(2)).then_nothing()


def test_a_second_holder_is_refused() -> None:
    state = given(submitted(), PREPARE, claimed(2))
    state.when(claim(2, epoch=9, host="h2", instance="i2")).refused("held by h1")


def test_a_job_that_is_not_asked_for_any_more_cannot_be_claimed() -> None:
    given(*prepared()).when(claim(2)).refused("not asked for")


def test_a_job_of_another_host_cannot_be_claimed() -> None:
    given(*prepared(), AGENT).when(claim(5, host="h2")).refused("for host h1")


def test_a_lost_agent_job_resumes_its_session_and_spends_no_attempt() -> None:
    state = given(*prepared(), AGENT, claimed(5), JobLost(job=job_at(5), epoch=7, host="h1", reason="gone"))
    event = state.at().then(AgentRequested)
    assert isinstance(event, AgentRequested)
    assert (event.attempt, event.resume) == (1, True)
    assert "stopped in the middle" in event.hint


def test_a_host_that_is_gone_for_good_means_another_clone_and_another_session() -> None:
    lost = JobLost(job=job_at(5), epoch=0, host="h1", reason="away", host_gone=True)
    state = given(*prepared(), AGENT, lost)
    event = state.at().then(PrepareRequested)
    assert isinstance(event, PrepareRequested)
    again = state.and_then(event, claimed(7), prepare_ok(7, host="h2"))
    agent = again.at().then(AgentRequested)
    assert isinstance(agent, AgentRequested)
    assert (agent.host, agent.resume) == ("h2", False)


def test_jobs_that_are_lost_again_and_again_ask_for_a_person() -> None:
    state = given(*prepared())
    for _ in range(3):
        state = state.and_then(state.at().then(AgentRequested))
        seq = state.state.seq
        state = state.and_then(claimed(seq), JobLost(job=job_at(seq), epoch=7, host="h1", reason="gone"))
    event = state.at().then(TaskBlocked)
    assert isinstance(event, TaskBlocked)
    assert event.reason == "job.lost"


def test_a_late_failure_of_attempt_one_does_not_burn_attempt_two() -> None:
    state = given(*prepared(), AGENT, claimed(5), JobLost(job=job_at(5), epoch=7, host="h1", reason="gone"))
    state = state.and_then(state.at().then(AgentRequested))
    state.when_reported(agent_bad(5)).then_nothing()
    assert state.and_then(agent_bad(5)).state.attempts_spent == 0


def test_a_report_of_the_wrong_kind_or_epoch_is_not_accepted() -> None:
    state = given(*prepared(), AGENT, claimed(5))
    state.when_reported(verify_bad(5)).then_nothing()
    state.when_reported(agent_ok(5), epoch=6).then_nothing()
    state.when_reported(agent_ok(5)).then(agent_ok(5))


# Cancel


def test_a_cancelled_task_without_a_holder_ends_at_once() -> None:
    for history in ((submitted(),), (submitted(), PREPARE), prepared(), changed()):
        state = given(*history)
        state = state.and_then(state.when(CANCEL).then(WANTED))
        state.at().then(TaskCancelled)


def test_a_cancelled_task_with_a_holder_waits_for_its_last_word_and_keeps_the_work() -> None:
    kept = Kept(ref="refs/penstock/wip/1", commit=HEAD)
    state = given(*prepared(), AGENT, claimed(5), WANTED)
    state.at(1e9).then_nothing()
    state.when(claim(5, epoch=9, instance="i2")).refused("held by")
    state = state.and_then(JobStopped(job=job_at(5), epoch=7, reason="told", kept=kept))
    event = state.at().then(TaskCancelled)
    assert isinstance(event, TaskCancelled)
    assert event.kept == kept


def test_a_cancel_that_comes_after_the_delivery_comes_too_late() -> None:
    given(*verified(), PUBLISH, claimed(11), WANTED, published()[-1]).at().then(TaskSucceeded)


def test_cancelling_twice_is_already_so_and_cancelling_an_ended_task_is_refused() -> None:
    given(*prepared(), WANTED).when(CANCEL).then_nothing()
    given(*published(), _end()).when(CANCEL).refused("already ended: succeeded")
    cancelled = given(submitted(), WANTED)
    cancelled.and_then(cancelled.at().then(TaskCancelled)).when(CANCEL).then_nothing()


def test_an_unclaimed_job_of_a_cancelled_task_cannot_be_claimed() -> None:
    given(submitted(), PREPARE, WANTED).when(claim(2)).refused("being cancelled")


# What this version cannot read


def test_an_event_of_a_later_version_holds_the_task_and_says_so() -> None:
    state = given(*prepared(), Unknown(type="task_teleported"))
    state.at(1e9).then_nothing()
    state.when(CANCEL).refused("task_teleported")
    assert "later version" in waiting(state.state).can_move


# Orders


def test_every_step_has_its_order() -> None:
    histories = {
        PrepareWork: (submitted(), PREPARE),
        AgentWork: (*prepared(), AGENT),
        VerifyWork: (*changed(), VERIFY),
        PublishWork: (*verified(), PUBLISH),
    }
    for kind, history in histories.items():
        job = react(given(*history).state)
        assert job is not None
        assert isinstance(job.work, kind)
        assert job.id == job_at(len(history))
        assert react(given(*history, claimed(len(history))).state) is None


def test_a_resumed_session_is_told_only_what_is_new() -> None:
    state = given(*changed(), VERIFY, claimed(8), verify_bad(8))
    state = state.and_then(state.at().then(AgentRequested))
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    assert "Mend the sum" not in job.work.prompt
    assert "assert 1 == 2" in job.work.prompt
    assert "Mend the sum" in job.work.fresh_prompt
    assert "assert 1 == 2" in job.work.fresh_prompt


def test_a_prompt_cannot_begin_with_what_its_author_wrote() -> None:
    job = react(given(*prepared(title="/exit @/etc/passwd"), AGENT).state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    assert job.work.prompt.startswith("# Task ")


def test_an_order_says_what_is_left_of_the_budget() -> None:
    state = given(*changed(max_cost_usd=2.0, max_wall_seconds=100.0), VERIFY, claimed(8), verify_bad(8))
    job = react(state.and_then(state.at().then(AgentRequested)).state)
    assert job is not None
    assert isinstance(job.work, AgentWork)
    assert (job.work.max_cost_usd, job.work.wall_seconds_max) == (1.5, 79.0)


def test_the_pull_requests_text_says_what_was_not_checked_and_what_is_unknown() -> None:
    history = (*prepared(skip_verify=True), AGENT, claimed(5), agent_ok(5, cost=None))
    skipped = VerifySkipped(attempt=1, commit=HEAD, reason="skip_verify")
    job = react(given(*history, skipped, PUBLISH).state)
    assert job is not None
    assert isinstance(job.work, PublishWork)
    assert "NOT run (skip_verify)" in job.work.body
    assert "unknown" in job.work.body


def test_every_state_says_why_it_is_not_moving() -> None:
    histories = [published()[:length] for length in range(1, 14)]
    for history in histories:
        answer = waiting(given(*history).state)
        assert answer.why
        assert answer.can_move
    ended = given(*published(), _end()).state
    assert waiting(ended).why == ""
    assert phase(ended) == "done"


def _end() -> TaskSucceeded:
    event = given(*published()).at().then(TaskSucceeded)
    assert isinstance(event, TaskSucceeded)
    return event


def test_the_snapshot_of_a_repo_is_whole() -> None:
    assert REPO.verify == VerifyCommands(test="make test")
