"""What comes after the pull request: looks, fix runs, the hands of others, and the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pytest
from msgspec.structs import replace
from scenario import (
    AGENT,
    HEAD,
    PUBLISH,
    T0,
    TASK,
    Given,
    agent_bad,
    agent_ok,
    change,
    claimed,
    given,
    job_at,
    prepare_ok,
    publish_ok,
    recorded,
    seq_of,
    stopped,
    verified,
    verify_bad,
    verify_ok,
)

from penstock.catalog import Repo
from penstock.commands import (
    CancelTask,
    ClaimJob,
    ContinueTask,
    RetryTask,
    SendMessage,
    StirPullRequest,
    SubmitTask,
    UnblockTask,
)
from penstock.events import (
    AgentFailed,
    AgentRequested,
    FeedbackAccepted,
    JobClaimed,
    JobLost,
    JobStopped,
    JobStopRequested,
    KnownEvent,
    ObserveFailed,
    ObserveRequested,
    PrepareFailed,
    PrepareRequested,
    PublishFailed,
    PublishRequested,
    PublishSucceeded,
    PullRequestObserved,
    PullRequestStirred,
    PullRequestTakenOver,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
    TaskSubmitted,
    TaskSucceeded,
    TaskUnverified,
    VerifyRequested,
    VerifySucceeded,
)
from penstock.jobs import AgentWork, ObserveWork, PrepareWork, PublishWork
from penstock.values import CommandResult, Delivery, FailedCheck, Follow, Policy, Rerun, ReviewComment, Usage
from penstock_orchestrator.core import review
from penstock_orchestrator.core.advance import due, look_lost, next_look
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.feedback import answer_text, counted, feedback_text
from penstock_orchestrator.core.follow import follows, look_order, stir
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.reasons import REASONS
from penstock_orchestrator.core.submit import Known, again, submit
from penstock_orchestrator.core.task import Review
from penstock_orchestrator.core.waiting import phase, waiting

FOLLOW: Final = Follow(
    look_seconds_min=5.0, look_seconds=60.0, look_seconds_max=600.0, settle_seconds=0.0, fix_runs_max=2
)
POLICY: Final = Policy(park_seconds_min=10.0, parks_max=3, lost_max=2, follow=FOLLOW)
URL: Final = "https://git.example/shop/pulls/7"
FIXED, HUMAN = "d" * 40, "f" * 40
RED: Final = (FailedCheck(name="ci / test", summary="1 of 9 failed"), FailedCheck(name="ci / lint"))
HOUR: Final = 3_600.0


def delivered(commit: str = HEAD) -> Delivery:
    return Delivery(kind="pull_request", commit=commit, branch=f"agent/{TASK}", url=URL, number=7)


def in_review(**more: object) -> Given:
    """A task whose pull request was opened a moment ago."""
    follow = {name: value for name, value in more.items() if name in Follow.__struct_fields__}
    policy = replace(POLICY, follow=replace(FOLLOW, **follow), lost_max=more.pop("lost_max", POLICY.lost_max))
    rest = {name: value for name, value in more.items() if name not in follow}
    published = replace(publish_ok(11), delivery=delivered())
    return given(*verified(policy=policy, **rest), PUBLISH, claimed(11), published)


def comment(number: int, author: str = "ann") -> ReviewComment:
    return ReviewComment(id=f"c{number}", author=author, text=f"Please mend {number}.", path="sum.py", line=number)


def seen(state: Given, seconds: float, /, **more: object) -> Given:
    """What a look finds, the look with it. Everything green, and our own commit, where nothing else is said."""
    at = T0 + timedelta(seconds=seconds)
    if state.state.look is None:
        asked = due(state.state, at).event
        assert isinstance(asked, ObserveRequested), asked
        state = state.and_then(asked, seconds=seconds)
    assert state.state.look is not None
    seq = seq_of(state.state.look.id)
    assert state.state.delivery is not None
    plain: dict[str, object] = {"pull_request": 7, "state": "open", "url": URL, "checks": "passed"}
    plain["head_commit"] = state.state.delivery.commit
    event = PullRequestObserved(job=job_at(seq), epoch=7, **(plain | more))  # type: ignore[arg-type]  # a test's own keywords
    return state.and_then(claimed(seq), event, seconds=seconds)


def unseen(state: Given, seconds: float, error_class: str = "forge.unreachable", **more: object) -> Given:
    at = T0 + timedelta(seconds=seconds)
    asked = due(state.state, at).event
    assert isinstance(asked, ObserveRequested), asked
    state = state.and_then(asked, seconds=seconds)
    assert state.state.look is not None
    seq = seq_of(state.state.look.id)
    plain: dict[str, object] = {"error_class": error_class, "message": "no route", "transient": True}
    event = ObserveFailed(job=job_at(seq), epoch=7, **(plain | more))  # type: ignore[arg-type]  # likewise
    return state.and_then(claimed(seq), event, seconds=seconds)


def job(state: Given) -> int:
    """The place in the log of what asked for the job at work."""
    assert state.state.job is not None
    return seq_of(state.state.job.id)


def begun(state: Given) -> Given:
    return state.and_then(claimed(job(state)))


def of(state: Given) -> Review:
    assert state.state.review is not None
    return state.state.review


def fixing(state: Given | None = None, seconds: float = 100.0) -> Given:
    """A fix run for three comments and two checks; its agent is asked for."""
    found = {"checks": "failed", "failed_checks": RED, "comments": (comment(1), comment(2), comment(3))}
    done = seen(in_review() if state is None else state, seconds, **found).settled(seconds)
    assert done.state.job is not None
    assert done.state.job.kind == "agent"
    return done


def fixed(state: Given, commit: str = FIXED, seconds: float = 200.0) -> Given:
    """The fix run of `state` comes to its end on the branch."""

    def agent(seq: int) -> KnownEvent:
        return replace(agent_ok(seq), change=change(commit), summary="Mended both.")

    def check(seq: int) -> KnownEvent:
        return replace(verify_ok(seq), commit=commit)

    def publish(seq: int) -> KnownEvent:
        return PublishSucceeded(job=job_at(seq), epoch=7, delivery=delivered(commit))

    return state.works(agent).settled(seconds).works(check).settled(seconds).works(publish).settled(seconds)


def command(number: int = 7, **more: object) -> StirPullRequest:
    plain: dict[str, object] = {"id": "s" * 26, "repo": "shop", "number": number, "what": "review", "by": "ann"}
    return StirPullRequest(**(plain | more))  # type: ignore[arg-type]  # likewise


# -- following it, or not ----------------------------------------------------------------------------------------------


def test_without_a_word_about_following_the_task_ends_when_the_pull_request_is_open() -> None:
    state = given(*verified(), PUBLISH, claimed(11), replace(publish_ok(11), delivery=delivered()))
    state.at().then(TaskSucceeded)
    assert state.state.review is None


def test_a_patch_and_a_bare_branch_are_not_followed() -> None:
    given(*verified(policy=POLICY), PUBLISH, claimed(11), publish_ok(11)).at().then(TaskSucceeded)


def test_a_task_in_review_holds_no_slot_and_says_who_can_move_it() -> None:
    state = in_review()
    assert phase(state.state) == "in_review"
    assert not state.state.admitted
    told = waiting(state.state)
    assert "waits to be merged or closed (nobody has looked yet)" in told.why
    assert "merges, closes or reviews" in told.can_move
    assert told.wake_at == next_look(state.state) == T0 + timedelta(seconds=60)
    state.at(59).then_nothing()


def test_a_merged_pull_request_is_a_success_with_the_delivery_that_was_there() -> None:
    state = seen(in_review(), 100, state="merged")
    event = state.at(100).then(TaskSucceeded)
    assert isinstance(event, TaskSucceeded)
    assert event.delivery == delivered()


def test_a_merged_change_that_nothing_has_checked_is_unverified() -> None:
    state = in_review(skip_verify=True)
    (stood,) = of(state).verdicts
    unchecked = replace(of(state), verdicts=(replace(stood, judged="skipped", skipped="skip_verify"),))
    seen(Given(replace(state.state, review=unchecked)), 100, state="merged").at(100).then(TaskUnverified)


def test_a_pull_request_that_was_closed_is_a_failure_of_its_own_class() -> None:
    event = seen(in_review(), 100, state="closed").at(100).then(TaskFailed)
    assert isinstance(event, TaskFailed)
    assert event.error_class == "review.closed"


def test_a_cancelled_task_leaves_the_pull_request_and_says_so() -> None:
    state = in_review().asked(CancelTask(id="k" * 26, task=TASK, requested_by="ann"))
    event = state.at().then(TaskCancelled)
    assert isinstance(event, TaskCancelled)
    assert event.reason == f"the pull request {URL} is left as it is"
    reasoned = in_review().asked(CancelTask(id="k" * 26, task=TASK, requested_by="ann", reason="no use"))
    event = reasoned.at().then(TaskCancelled)
    assert isinstance(event, TaskCancelled)
    assert event.reason.startswith("no use; the pull request")


# -- looking -----------------------------------------------------------------------------------------------------------


def test_a_look_is_an_order_for_any_host_of_the_publish_pool() -> None:
    state = in_review()
    state = state.and_then(state.at(60).then(ObserveRequested), seconds=60)
    order = look_order(state.state)
    assert order is not None
    assert (order.pool, order.host) == ("publish", None)
    assert order.work == ObserveWork(repo=state.state.spec.repo, branch=f"agent/{TASK}", number=7)
    assert react(state.state) is None
    state.at(90).then_nothing()
    told = waiting(state.state)
    assert "; a look waits for a host with a free slot in the pool publish)" in told.why
    facts = dict(REASONS["in_review"].facts(state.state, T0))
    assert facts["next look"] == "not claimed yet"
    assert told.can_move == "whoever merges, closes or reviews it; any host of the pool publish"
    assert look_order(state.and_then(claimed(14)).state) is None


def test_looks_without_news_come_ever_later_and_news_bring_them_back() -> None:
    state, at, waits = in_review(), 0.0, []
    for _ in range(6):
        at = (of(state).look_at - T0).total_seconds()
        state = seen(state, at)
        waits.append((of(state).look_at - T0).total_seconds() - at)
    rough = [round(wait / 60) for wait in waits]
    assert rough[0] == 1
    assert [round(wait / 120) for wait in waits[1:3]] == [1, 2]
    assert 600 <= waits[-1] <= 720
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, checks="pending")
    assert (of(state).look_at - T0).total_seconds() - at < 75


def test_a_hint_of_the_forge_brings_the_next_look_forward_once() -> None:
    state = seen(in_review(), 60).and_then(PullRequestStirred(what="review", via="github"), seconds=61)
    assert stir(state.state, command()) == []
    state.at(62).then_nothing()
    event = state.at(65).then(ObserveRequested)
    assert isinstance(event, ObserveRequested)
    assert (event.why, event.number) == ("stirred", 2)


def test_a_hint_before_the_first_look_waits_no_longer_than_between_two() -> None:
    early = in_review().and_then(PullRequestStirred(what="review"), seconds=1)
    assert next_look(early.state) == T0 + timedelta(seconds=5)
    early.at(4).then_nothing()
    event = early.at(5).then(ObserveRequested)
    assert isinstance(event, ObserveRequested)
    assert (event.why, event.number) == ("stirred", 1)
    late = in_review().and_then(PullRequestStirred(what="review"), seconds=30)
    late.at(30).then(ObserveRequested)


@pytest.mark.parametrize(
    ("hint", "meant"),
    [
        (command(7), True),
        (command(8), False),
        (command(8, branch=f"agent/{TASK}"), False),
        (command(number=None, branch=f"agent/{TASK}"), True),  # type: ignore[arg-type]
        (command(number=None, branch="main"), False),  # type: ignore[arg-type]
        (command(number=None), False),  # type: ignore[arg-type]
        (command(7, repo="other"), False),
    ],
)
def test_a_hint_is_for_the_task_that_has_become_this_very_pull_request(hint: StirPullRequest, meant: bool) -> None:
    state = in_review().state
    assert follows(state, hint) is meant
    assert bool(stir(state, hint)) is meant


def test_a_hint_is_nothing_to_a_task_that_follows_none_or_has_ended() -> None:
    assert stir(given(*verified()).state, command()) == []
    ended = seen(in_review(), 60, state="merged").settled(60)
    assert ended.state.outcome == "succeeded"
    assert stir(ended.state, command()) == []
    held = replace(in_review().state, held="later")
    assert not follows(held, command())


def test_the_same_hint_is_taken_once_though_a_look_has_come_between() -> None:
    state = seen(in_review(), 60)
    done = evolve(state.state, recorded(PullRequestStirred(what="review"), state.state.seq + 1, cause="s" * 26))
    looked = seen(Given(done), 70)
    assert not of(looked).stirred
    assert stir(looked.state, command()) == []
    assert stir(looked.state, command(id="u" * 26)) == [PullRequestStirred(what="review", by="ann")]


def test_a_look_that_fails_is_made_again_ever_later_and_when_the_forge_says() -> None:
    state = unseen(in_review(), 60)
    assert of(state).misses == 1
    assert "the last look failed: forge.unreachable" in waiting(state.state).why
    state.at(70).then_nothing()
    later = T0 + timedelta(seconds=460)
    state = unseen(state, 300, retry_at=later)
    assert of(state).look_at == later
    far = unseen(state, 500, retry_at=T0 + timedelta(days=9))
    assert of(far).look_at == T0 + timedelta(seconds=500 + 600)
    again = seen(far, 1_200)
    assert (of(again).misses, of(again).unseen) == (0, None)


def test_a_look_that_nobody_can_make_blocks_until_one_succeeds() -> None:
    state = unseen(in_review(), 60, "forge.auth", transient=False).settled(60)
    blocked = state.last(TaskBlocked)
    assert blocked.reason == "observe.forge.auth"
    assert phase(state.state) == "blocked"
    healed = seen(state, 300)
    assert healed.state.blocked is None
    assert phase(healed.state) == "in_review"
    unblocked = state.asked(UnblockTask(id="k" * 26, task=TASK))
    unblocked.at(0).then(ObserveRequested)
    other = replace(state.state, blocked=replace(state.state.blocked, reason="vendor.auth"))  # type: ignore[type-var]
    assert seen(Given(other), 300).state.blocked is not None


def test_a_look_that_is_lost_or_stopped_is_made_again_a_little_later() -> None:
    state = in_review()
    state = state.and_then(state.at(60).then(ObserveRequested), claimed(14), seconds=60)
    assert claim_of(state, 9).state == state.state, "claimed once"
    lost = look_lost(state.state, "silence")
    assert lost == [JobLost(job=job_at(14), epoch=7, host="h1", reason="silence")]
    assert look_lost(in_review().state, "silence") == []
    stale = state.and_then(JobLost(job=job_at(14), epoch=6, host="h1", reason="late"), seconds=61)
    assert stale.state.look is not None
    for event in (*lost, JobStopped(job=job_at(14), epoch=7, reason="drain")):
        again = state.and_then(event, seconds=61)
        assert (again.state.look, of(again).misses) == (None, 1)
        again.at(400).then(ObserveRequested)
    state.when_reported(JobStopped(job=job_at(14), epoch=7, reason="drain")).then(JobStopped)


def claim_of(state: Given, epoch: int) -> Given:
    done = state.and_then(claimed(14, epoch=epoch))
    return Given(replace(done.state, seq=state.state.seq))


def test_what_is_said_about_a_look_counts_only_from_who_holds_it() -> None:
    state = in_review()
    state = state.and_then(state.at(60).then(ObserveRequested), claimed(14), seconds=60)
    said = PullRequestObserved(job=job_at(14), epoch=7, pull_request=7, state="open")
    state.when_reported(said).then(PullRequestObserved)
    state.when_reported(said, epoch=6).then_nothing()
    state.when_reported(agent_ok(14)).then_nothing()
    stray = replace(said, job=job_at(3))
    assert state.and_then(stray, seconds=61).state.look is not None
    assert state.and_then(agent_ok(14), seconds=61).state.look is not None, "a look has no change"
    given(*verified()).when_reported(said).then_nothing()
    working = begun(fixing())
    assert working.state.job is not None
    working.when_reported(replace(said, job=working.state.job.id)).then_nothing()


def test_a_host_claims_a_look_as_any_job() -> None:
    state = in_review()
    state = state.and_then(state.at(60).then(ObserveRequested), seconds=60)
    claim = ClaimJob(id="k" * 26, task=TASK, job=job_at(14), host="h2", epoch=3, instance="i2")
    state.when(claim).then(JobClaimed)


def test_what_only_a_followed_task_has_changes_no_other() -> None:
    state = given(*verified())
    for event in (ObserveRequested(number=1, why="clock", pool="publish"), PullRequestStirred(what="x")):
        assert state.and_then(event).state.review is None


# -- feedback ----------------------------------------------------------------------------------------------------------


def test_a_review_with_three_comments_and_two_failed_checks_gives_one_fix_run_on_the_same_pull_request() -> None:
    state = fixing()
    assert state.said(FeedbackAccepted) == [
        FeedbackAccepted(number=1, head_commit=HEAD, checks=("ci / test", "ci / lint"), comments=("c1", "c2", "c3"))
    ]
    asked = state.last(AgentRequested)
    assert (asked.attempt, asked.resume, asked.host) == (1, True, "h1")
    assert phase(state.state) == "running"
    done = fixed(state)
    order = [event for event in done.log if isinstance(event, PublishRequested)][-1]
    assert order.commit == FIXED
    assert of(done).pushed == (HEAD, FIXED)
    assert phase(done.state) == "in_review"
    assert not done.state.admitted
    again = seen(done, 300, checks="failed", failed_checks=RED, comments=(comment(1), comment(2), comment(3)))
    assert len(again.settled(300).said(FeedbackAccepted)) == 2, (
        "the new commit's checks are news, the old comments none"
    )
    assert again.settled(300).said(FeedbackAccepted)[1].comments == ()


def test_the_same_checks_of_the_same_commit_are_answered_once() -> None:
    state = fixing()
    state = state.works(lambda seq: replace(agent_ok(seq), change=change(HEAD), summary="It is right as it is."))
    done = (
        state.settled(150)
        .works(lambda seq: PublishSucceeded(job=job_at(seq), epoch=7, delivery=delivered(HEAD)))
        .settled(150)
    )
    assert not [one for one in done.log if isinstance(one, VerifyRequested)][1:], "there was nothing new to check"
    later = seen(done, 300, checks="failed", failed_checks=RED, comments=(comment(1),)).settled(300)
    assert len(later.said(FeedbackAccepted)) == 1
    merged = seen(later, 900, state="merged").at(900).then(TaskSucceeded)
    assert isinstance(merged, TaskSucceeded)


def test_feedback_that_comes_during_a_fix_run_waits_for_it() -> None:
    state = begun(fixing())
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, checks="failed", failed_checks=RED, comments=(comment(9),))
    assert [one.id for one in of(state).comments] == ["c9"]
    assert of(state).checks == (), "of the commit that is being mended"
    assert state.settled(at).said(FeedbackAccepted)[1:] == []
    assert state.state.job is not None
    done = fixed(Given(replace(state.state, job=replace(state.state.job, epoch=None)), state.log), seconds=at + 1)
    second = done.said(FeedbackAccepted)[-1]
    assert (second.number, second.comments, second.checks) == (2, ("c9",), ())


def test_feedback_is_answered_when_nothing_was_added_for_a_while() -> None:
    state = seen(in_review(settle_seconds=30.0), 100, comments=(comment(1),))
    state.at(100).then_nothing()
    assert 30 <= (of(state).look_at - T0).total_seconds() - 100 <= 36
    state = seen(state, 137, comments=(comment(2),))
    state.at(137).then_nothing()
    state = seen(state, 180)
    event = state.at(180).then(FeedbackAccepted)
    assert isinstance(event, FeedbackAccepted)
    assert event.comments == ("c1", "c2")


def test_who_never_stops_adding_is_answered_all_the_same() -> None:
    state, at = in_review(settle_seconds=30.0), 100.0
    state = seen(state, at, comments=(comment(1),))
    for number in range(2, 20):
        at = (of(state).look_at - T0).total_seconds()
        state = seen(state, at, comments=(comment(number),))
        if isinstance(due(state.state, T0 + timedelta(seconds=at)).event, FeedbackAccepted):
            break
    assert 400 <= at <= 450


def test_more_comments_than_one_run_can_answer_are_left_for_the_next() -> None:
    found = tuple(comment(number) for number in range(25))
    state = seen(in_review(), 100, comments=found).settled(100)
    assert len(state.said(FeedbackAccepted)[0].comments) == 20
    assert len(of(state).comments) == 5


def test_checks_that_fail_after_a_run_about_comments_alone_are_news_on_the_same_commit() -> None:
    state = seen(in_review(), 100, checks="pending", comments=(comment(1),)).settled(100)
    state = state.works(lambda seq: replace(agent_ok(seq), change=change(HEAD), summary="It is right as it is."))
    done = state.settled(150)
    done = done.works(lambda seq: PublishSucceeded(job=job_at(seq), epoch=7, delivery=delivered(HEAD))).settled(150)
    later = seen(done, 300, checks="failed", failed_checks=RED, comments=(comment(1),)).settled(300)
    assert later.said(FeedbackAccepted)[1].checks == ("ci / test", "ci / lint")


def test_what_an_agent_cannot_be_told_whole_is_left_for_the_next_run() -> None:
    found = tuple(replace(comment(number), text=f"{number} " + "x" * 1_990) for number in range(16))
    state = seen(in_review(), 100, comments=found).settled(100)
    fix = of(state).fix
    assert fix is not None
    assert 5 < len(fix.comments) < 16
    assert len(fix.comments) + len(of(state).comments) == 16
    told = feedback_text(fix)
    assert all(one.text in told for one in fix.comments)


def test_the_end_is_with_the_commit_that_was_merged_though_another_was_pushed_after_it() -> None:
    state = fixed(fixing())
    done = seen(state, 900, state="merged", head_commit=HEAD).at(900).then(TaskSucceeded)
    assert isinstance(done, TaskSucceeded)
    assert done.delivery.commit == HEAD


FLAKY: Final = CommandResult(
    stage="test",
    command="make test",
    exit_code=1,
    wall_seconds=1.0,
    again=Rerun(exit_code=0, ended="exited", wall_seconds=1.0, flaky=1),
)


@pytest.mark.parametrize(
    ("first", "second", "merged", "said"),
    [((), (FLAKY,), HEAD, ()), ((FLAKY,), (), HEAD, ("flaky",)), ((), (FLAKY,), FIXED, ("flaky",))],
)
def test_the_end_is_judged_by_the_checks_of_the_commit_that_was_merged(
    first: tuple[CommandResult, ...], second: tuple[CommandResult, ...], merged: str, said: tuple[str, ...]
) -> None:
    log = [replace(one, commands=first) if isinstance(one, VerifySucceeded) else one for one in in_review().log]

    def agent(seq: int) -> KnownEvent:
        return replace(agent_ok(seq), change=change(FIXED))

    def check(seq: int) -> KnownEvent:
        return replace(verify_ok(seq), commit=FIXED, commands=second)

    def publish(seq: int) -> KnownEvent:
        return PublishSucceeded(job=job_at(seq), epoch=7, delivery=delivered(FIXED))

    def lost(seq: int) -> KnownEvent:
        return JobLost(job=job_at(seq), epoch=7, host="h1", reason="silence")

    # The second came too late, and that was told; or in time, and nobody has told it.
    state = fixing(given(*log)).works(agent).settled(150).works(check).settled(150)
    state = state.works(publish if merged == HEAD else lost).settled(150)
    at = (of(state).look_at - T0).total_seconds()
    done = seen(state, at, state="merged", head_commit=merged).at(at).then(TaskSucceeded)
    assert isinstance(done, TaskSucceeded)
    assert (done.delivery.commit, done.reservations) == (merged, said)


def test_a_push_of_ours_whose_end_was_lost_is_where_the_next_one_begins() -> None:
    state = handing_over()
    gone = JobLost(job=job_at(job(state)), epoch=7, host="h1", reason="away", host_gone=True)
    state = state.and_then(gone).settled(250)
    seq = job(state)
    state = state.and_then(claimed(seq), replace(prepare_ok(seq, "h2"), tip=FIXED)).settled(255)
    state = state.works(lambda seq: replace(agent_ok(seq), change=change("e" * 40))).settled(300)
    state = state.works(lambda seq: replace(verify_ok(seq), commit="e" * 40)).settled(300)
    work = order_of(state)
    assert isinstance(work, PublishWork)
    assert work.expected == FIXED


def test_what_somebody_has_taken_off_the_branch_is_not_pushed_again() -> None:
    state = fixed(fixing())
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, head_commit=HEAD, comments=(comment(4),)).settled(at)
    state = state.works(lambda seq: replace(agent_ok(seq), change=change("e" * 40))).settled(at)
    state = state.works(lambda seq: replace(verify_ok(seq), commit="e" * 40)).settled(at)
    work = order_of(state)
    assert isinstance(work, PublishWork)
    assert (work.commit, work.expected) == ("e" * 40, FIXED), "it is refused where the branch is at HEAD"
    refused = PublishFailed(job=job_at(job(state)), epoch=7, error_class="git.non_fast_forward", message="no")
    state = state.and_then(claimed(job(state)), refused, seconds=at)
    assert seen(state, at, head_commit=HEAD).settled(at).last(TaskBlocked).reason == "git.non_fast_forward"


def test_a_forge_that_tells_more_than_can_wait_is_asked_again() -> None:
    state = seen(in_review(fix_runs_max=0), 100, comments=tuple(comment(number) for number in range(60)), more=True)
    assert (of(state).look_at - T0).total_seconds() <= 106
    state = seen(state, 110, comments=tuple(comment(number) for number in range(50, 120)), more=True)
    assert len(of(state).comments) == review.PENDING_MAX
    assert "c100" not in of(state).known, "it is told once more when there is room"
    assert (of(state).look_at - T0).total_seconds() > 150


def test_what_strangers_say_leads_to_nothing_unless_they_were_named() -> None:
    stranger = replace(comment(1, "mallory"), trusted=False)
    state = seen(in_review(), 100, comments=(stranger,))
    state.at(100).then_nothing()
    assert of(state).known == ("c1",)
    seen(in_review(reviewers=("mallory",)), 100, comments=(stranger,)).at(100).then(FeedbackAccepted)


def test_what_was_answered_before_is_no_news_to_the_task_that_goes_on_with_it() -> None:
    stranger = replace(comment(8, "mallory"), trusted=False)
    old = seen(fixed(fixing()), 900, head_commit=HUMAN, comments=(stranger, comment(4))).settled(900)
    assert of(old).taken_over, "and nobody of us answers the fourth"
    old = old.asked(CancelTask(id="x" * 26, task=TASK, requested_by="ann")).settled(900)
    assert old.state.outcome == "cancelled"
    further = ContinueTask(id="y" * 26, task="n" * 26, of=TASK, title="And the docs")
    known = Known(
        repo=Repo(name="shop", clone_url="https://git.example/shop.git"), policy=POLICY, vendors=("scripted",)
    )
    (made,) = again(None, further, old.state, known)
    assert isinstance(made, TaskSubmitted)
    assert made.continues is not None
    assert made.continues.answered == ("c1", "c2", "c3")
    later = in_review(continues=made.continues)
    event = due(seen(later, 100, comments=(comment(4), comment(5))).state, T0 + timedelta(seconds=100)).event
    assert isinstance(event, FeedbackAccepted)
    assert event.comments == ("c4", "c5")
    assert of(later).known == ("c1", "c2", "c3"), "so they are not told"
    stopped = later.asked(CancelTask(id="x" * 26, task=TASK, requested_by="ann")).settled(900)
    retry = RetryTask(id="z" * 26, task="m" * 26, of=TASK)
    (retried,) = again(None, retry, stopped.state, known)
    assert isinstance(retried, TaskSubmitted)
    assert retried.continues == made.continues


def test_however_much_strangers_say_what_counts_is_known_once_it_was_told() -> None:
    state = seen(in_review(fix_runs_max=0), 100, comments=(comment(1),))
    for nth in range(9):
        said = (replace(comment(1_000 + 50 * nth + key, "mallory"), trusted=False) for key in range(50))
        state = seen(state, 2_000 * (1 + nth), comments=tuple(said), left_out=True)
    known = of(state).known
    assert len(known) == review.KNOWN_MAX
    assert (known[0], known[1], known[-1]) == ("c1", "c1051", "c1449"), "of strangers' the first are forgotten"
    assert "it has more comments than are read" in waiting(state.state).why
    assert "more comments" not in waiting(seen(state, 20_000).state).why


def test_a_look_is_told_whose_comments_count() -> None:
    state = in_review(reviewers=("ann",))
    order = look_order(state.and_then(state.at(60).then(ObserveRequested), seconds=60).state)
    assert order is not None
    assert isinstance(order.work, ObserveWork)
    assert order.work.reviewers == ("ann",)


def test_only_the_reviewers_that_were_named_count() -> None:
    state = in_review(reviewers=("ann",))
    state = seen(state, 100, comments=(comment(1, "stranger"),))
    state.at(100).then_nothing()
    assert of(state).known == ("c1",)
    seen(state, 200, comments=(comment(2, "ann"),)).at(200).then(FeedbackAccepted)


def test_checks_that_fail_on_a_commit_that_is_not_our_last_are_no_feedback() -> None:
    done = fixed(fixing())
    late = seen(done, 300, head_commit=HEAD, checks="failed", failed_checks=RED)
    assert of(late).checks == ()
    assert not review.foreign(of(late)), "an earlier commit of ours is ours"
    unsaid = seen(done, 300, head_commit=None, checks="failed", failed_checks=RED)
    assert of(unsaid).checks == ()


def test_without_fix_runs_the_pull_request_is_only_watched() -> None:
    state = seen(in_review(fix_runs_max=0), 100, checks="failed", failed_checks=RED, comments=(comment(1),))
    state.at(100).then_nothing()
    assert "1 comment and 2 failed checks to answer" in waiting(state.state).why


# -- the cap -----------------------------------------------------------------------------------------------------------


def capped() -> Given:
    state = fixed(fixing())
    state = fixed(seen(state, 300, comments=(comment(10),)).settled(300), "e" * 40, 350)
    return seen(state, 400, comments=(comment(11),)).settled(400)


def test_the_cap_hands_over_to_a_person_who_can_give_more() -> None:
    state = capped()
    blocked = state.last(TaskBlocked)
    assert blocked.reason == "review.fix_runs"
    assert "2 fix runs were made" in blocked.message
    assert "1 comment are open" in blocked.message or "1 comment" in blocked.message
    assert "unblock for up to 2 more" in blocked.can_do
    more = state.asked(UnblockTask(id="k" * 26, task=TASK, requested_by="ann"))
    event = more.and_then(*more.at(0).events).at(0)
    assert of(more).allowed == 4
    accepted = next(one for one in more.settled(400).log if isinstance(one, FeedbackAccepted) and one.number == 3)
    assert accepted.comments == ("c11",)
    assert event is not None


def test_a_blocked_task_is_looked_at_and_ends_when_it_is_merged() -> None:
    state = capped()
    at = (of(state).look_at - T0).total_seconds()
    assert next_look(state.state) == of(state).look_at
    seen(state, at, state="merged").at(at).then(TaskSucceeded)


def test_a_cap_that_was_met_for_checks_is_lifted_when_they_pass() -> None:
    state = seen(in_review(fix_runs_max=1), 100, comments=(comment(1),)).settled(100)
    state = fixed(state)
    state = seen(state, 300, checks="failed", failed_checks=RED).settled(300)
    assert phase(state.state) == "blocked"
    passed = seen(state, 400)
    assert phase(passed.state) == "in_review"


# -- other people's hands ----------------------------------------------------------------------------------------------


def test_a_human_commit_stops_the_loop_and_the_task_waits_for_the_end_only() -> None:
    state = seen(in_review(), 100, head_commit=HUMAN, checks="failed", failed_checks=RED, comments=(comment(1),))
    event = state.at(100).then(PullRequestTakenOver)
    assert event == PullRequestTakenOver(head_commit=HUMAN, pushed=HEAD)
    state = state.and_then(event, seconds=100)
    state.at(101).then_nothing()
    assert "somebody else has pushed to it" in waiting(state.state).why
    later = seen(state, 300, head_commit=HUMAN, comments=(comment(2),))
    later.at(300).then_nothing()
    seen(later, 900, head_commit=HUMAN, state="merged").at(900).then(TaskSucceeded)


def test_a_human_commit_ends_the_fix_run_at_work_and_keeps_what_it_did() -> None:
    state = begun(fixing())
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, head_commit=HUMAN)
    state = state.and_then(state.at(at).then(PullRequestTakenOver), seconds=at)
    stop = state.at(at).then(JobStopRequested)
    assert isinstance(stop, JobStopRequested)
    assert stop.reason == "review.taken_over"
    state = state.and_then(stop, seconds=at)
    state.at(at).then_nothing()
    ended = state.and_then(stopped()(job(state)), seconds=at)
    assert phase(ended.state) == "in_review"
    assert ended.state.stop is None
    ended.at(at).then_nothing()


@pytest.mark.parametrize(
    "said",
    [
        lambda seq: agent_ok(seq),
        lambda seq: agent_bad(seq),
        lambda seq: agent_bad(seq, "vendor.auth"),
    ],
)
def test_however_a_fix_run_ends_that_is_none_any_more_nothing_comes_of_it(said: object) -> None:
    assert callable(said)
    state = begun(fixing())
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, head_commit=HUMAN).settled(at)
    state = state.and_then(said(job(state)), seconds=at)
    assert phase(state.settled(at).state) == "in_review"
    assert not [one for one in state.settled(at).log if isinstance(one, TaskBlocked)]


def gone(seq: int) -> JobLost:
    return JobLost(job=job_at(seq), epoch=7, host="h1", reason="away")


@pytest.mark.parametrize("lost_before", [0, 1, 2])
@pytest.mark.parametrize(
    "ends", [gone, lambda seq: agent_bad(seq, "vendor.session_lost")], ids=["its host is lost", "its session is lost"]
)
def test_a_host_that_is_lost_after_somebody_else_has_pushed_calls_nobody(
    lost_before: int, ends: Callable[[int], KnownEvent]
) -> None:
    state = fixing(in_review(lost_max=lost_before)).lives(*[gone] * lost_before, seconds=100)
    assert state.state.lost == lost_before
    state = begun(state)
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, head_commit=HUMAN).settled(at)
    state = state.and_then(ends(job(state)), seconds=at).settled(at)
    assert state.state.lost > state.state.spec.policy.lost_max
    assert phase(state.state) == "in_review", "there is nothing that a person could mend: no job comes any more"
    assert not state.said(TaskBlocked)
    seen(state, at + HOUR, head_commit=HUMAN, state="merged").at(at + HOUR).then(TaskSucceeded)


def test_a_fix_run_that_no_host_has_begun_is_not_wanted_any_more() -> None:
    state = fixing()
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, head_commit=HUMAN).settled(at)
    assert state.state.job is None
    assert phase(state.state) == "in_review"
    claim = ClaimJob(id="k" * 26, task=TASK, job=job_at(19), host="h1", epoch=3, instance="i2")
    state.when(claim).refused("not asked for any more")


def test_what_an_agent_was_to_be_told_in_a_run_that_nobody_has_begun_was_not_told() -> None:
    message = SendMessage(id="m" * 26, task=TASK, requested_by="ann", text="mind the tax")
    state = seen(in_review(), 100.0, checks="failed", failed_checks=RED)
    state = state.and_then(state.at(100.0).then(FeedbackAccepted), seconds=100.0).asked(message).settled(100.0)
    assert state.last(AgentRequested).messages == (message.id,)
    assert not state.state.pending_mail
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, head_commit=HUMAN).settled(at)
    assert [one.id for one in state.state.pending_mail] == [message.id]


def test_a_push_that_is_refused_is_looked_into_before_anybody_is_asked() -> None:
    state = handing_over()
    failed = PublishFailed(job=job_at(job(state)), epoch=7, error_class="git.non_fast_forward", message="no")
    state = state.and_then(failed, seconds=210)
    event = state.at(210).then(ObserveRequested)
    assert isinstance(event, ObserveRequested)
    assert event.why == "push_refused"
    waits = "publish has failed (git.non_fast_forward), and a look at the pull request"
    assert waiting(state.state).why == f"{waits} is due: it may say why"
    assert waiting(state.state).wake_at == T0 + timedelta(seconds=210)
    state = state.and_then(event, seconds=210)
    state.at(211).then_nothing()
    told = waiting(state.state)
    assert told.why == f"{waits} waits for a host with a free slot in the pool publish: it may say why"
    assert (told.can_move, told.wake_at) == ("any host of the pool publish", None)
    assert state.state.look is not None
    looking = waiting(state.and_then(claimed(seq_of(state.state.look.id)), seconds=211).state)
    assert looking.why == f"{waits} is made by host h1: it may say why"
    assert looking.can_move == "host h1"
    secret = replace(failed, error_class="publish.secret")
    assert handing_over().and_then(secret, seconds=210).settled(210).last(TaskBlocked).reason == "publish.secret"
    taken = seen(state, 212, head_commit=HUMAN).settled(212)
    assert taken.said(PullRequestTakenOver)
    assert not taken.said(TaskBlocked)
    assert phase(taken.state) == "in_review"
    ours = seen(state, 212).settled(212)
    assert ours.last(TaskBlocked).reason == "git.non_fast_forward"


def handing_over() -> Given:
    """A fix run whose commit is on its way to the branch."""
    state = fixing().works(lambda seq: replace(agent_ok(seq), change=change(FIXED))).settled(150)
    state = state.works(lambda seq: replace(verify_ok(seq), commit=FIXED)).settled(150)
    assert state.state.job is not None
    assert state.state.job.kind == "publish"
    return state.and_then(claimed(job(state)))


def test_a_commit_that_is_on_its_way_is_not_taken_for_somebody_elses() -> None:
    state = handing_over()
    at = max((of(state).look_at - T0).total_seconds(), 200.0)
    seen(state, at, head_commit=FIXED).at(at).then_nothing()
    seen(state, at, head_commit=HUMAN).at(at).then_nothing()
    lost = JobLost(job=job_at(job(state)), epoch=7, host="h1", reason="silence")
    after = state.and_then(lost, seconds=at)
    seen(after, at, head_commit=FIXED).at(at).then(PublishRequested)


def test_a_merge_ends_a_fix_run_and_the_task_with_what_was_merged() -> None:
    state = begun(fixing())
    at = (of(state).look_at - T0).total_seconds()
    state = seen(state, at, state="merged")
    stop = state.at(at).then(JobStopRequested)
    assert isinstance(stop, JobStopRequested)
    assert stop.reason == "review.merged"
    state = state.and_then(stop, seconds=at)
    state.at(at).then_nothing()
    done = state.and_then(stopped()(job(state)), seconds=at).at(at).then(TaskSucceeded)
    assert isinstance(done, TaskSucceeded)
    assert done.delivery == delivered()
    assert isinstance(seen(fixing(), at, state="merged").at(at).then(TaskSucceeded), TaskSucceeded)


@pytest.mark.parametrize(("head", "there"), [(HEAD, HEAD), (FIXED, FIXED)])
def test_what_was_pushed_around_the_merge_is_delivered_only_where_it_was_seen(head: str, there: str) -> None:
    state = handing_over()
    at = max((of(state).look_at - T0).total_seconds(), 200.0)
    state = seen(state, at, state="merged")
    state = Given(replace(state.state, review=replace(of(state), head=head)), state.log)
    late = PublishSucceeded(job=job_at(job(state)), epoch=7, delivery=delivered(FIXED))
    done = state.and_then(late, seconds=at).at(at).then(TaskSucceeded)
    assert isinstance(done, TaskSucceeded)
    assert done.delivery.commit == there


# -- a fix run's own troubles ------------------------------------------------------------------------------------------


def test_a_fix_run_that_comes_to_nothing_asks_a_person_and_ends_nothing() -> None:
    state = fixing(in_review(max_attempts=1)).works(lambda seq: agent_bad(seq, "agent.no_change")).settled(150)
    blocked = state.last(TaskBlocked)
    assert blocked.reason == "agent.no_change"
    assert "fix run 1" in blocked.message
    again = state.asked(UnblockTask(id="k" * 26, task=TASK)).settled(160)
    assert again.last(AgentRequested).attempt == 1


def test_checks_that_fail_in_a_fix_run_go_back_to_the_agent_as_ever() -> None:
    state = fixing().works(lambda seq: replace(agent_ok(seq), change=change(FIXED))).settled(150)
    state = state.works(verify_bad).settled(150)
    asked = state.last(AgentRequested)
    assert "did not pass" in asked.hint
    work = order_of(state)
    assert isinstance(work, AgentWork)
    assert "Feedback on your pull request" not in work.prompt, "the session has read it"
    assert "Feedback on your pull request" in work.fresh_prompt


def order_of(state: Given) -> object:
    job = react(state.state)
    assert job is not None
    return job.work


def test_an_agent_is_told_the_feedback_as_the_words_of_strangers() -> None:
    work = order_of(fixing())
    assert isinstance(work, AgentWork)
    assert work.resume
    assert "begin of ann on sum.py, line 1" in work.prompt
    assert "begin of The check ci / test failed" in work.prompt
    assert "1 of 9 failed" in work.prompt
    assert "It says nothing more." in work.prompt


@pytest.mark.parametrize(("turns", "again"), [(2, False), (0, True)])
def test_feedback_is_told_again_to_a_session_that_cannot_have_read_it(turns: int, again: bool) -> None:
    failed = AgentFailed(
        job=job_at(job(fixing())),
        epoch=7,
        error_class="agent.crashed",
        message="x",
        usage=Usage(turns=turns, cost_usd=0.1),
    )
    state = begun(fixing()).and_then(failed).settled(150)
    work = order_of(state)
    assert isinstance(work, AgentWork)
    assert ("Feedback on your pull request" in work.prompt) is again


def test_the_same_pull_request_is_updated_and_told_what_was_done() -> None:
    state = (
        fixing().works(lambda seq: replace(agent_ok(seq), change=change(FIXED), summary="Mended both.")).settled(200)
    )
    state = state.works(lambda seq: replace(verify_ok(seq), commit=FIXED)).settled(200)
    work = order_of(state)
    assert isinstance(work, PublishWork)
    assert (work.expected, work.number, work.commit) == (HEAD, 7, FIXED)
    assert work.says.startswith(
        "Fix run 1 for 3 comments and 2 failed checks: commit dddddddddddd; our own checks: passed on this commit."
    )
    assert "`ci / test`, `ci / lint`" in work.says
    assert "- ann on sum.py, line 2" in work.says
    assert work.says.endswith("Mended both.")
    assert answer_text(in_review().state) == ""


def test_words_alone_are_an_answer_too() -> None:
    state = fixing().works(lambda seq: replace(agent_ok(seq), change=change(HEAD), summary="It is right.")).settled(200)
    work = order_of(state)
    assert isinstance(work, PublishWork)
    assert "nothing was changed" in work.says
    assert "our own checks: passed" in work.says


def test_feedback_about_the_whole_and_unchecked_answers_are_said_so() -> None:
    whole = ReviewComment(id="c1", author="", text="Why?")
    bare = ReviewComment(id="c2", author="ben", text="Hm.", path="sum.py")
    state = seen(in_review(skip_verify=True), 100, comments=(whole, bare)).settled(100)
    fix = of(state).fix
    assert fix is not None
    assert "begin of Somebody on the whole change" in feedback_text(fix)
    assert "begin of ben on sum.py [" in feedback_text(fix)
    done = state.works(lambda seq: replace(agent_ok(seq), change=change(FIXED), summary="")).settled(150)
    assert "our own checks: NOT run (skip_verify)" in answer_text(done.state)
    assert counted(0, 0) == "nothing"


def test_a_fix_run_on_another_host_begins_from_what_was_handed_over() -> None:
    gone = JobLost(job=job_at(job(fixing())), epoch=0, host="h1", reason="away", host_gone=True)
    state = fixing().and_then(gone).settled(150)
    assert state.last(PrepareRequested).number == 2
    work = order_of(state)
    assert isinstance(work, PrepareWork)
    assert work.continues is not None
    assert (work.continues.commit, work.continues.branch, work.branch) == (HEAD, f"agent/{TASK}", f"agent/{TASK}")
    seq = job(state)
    stood = state.and_then(claimed(seq), replace(prepare_ok(seq, "h2"), tip=HEAD)).settled(155)
    assert stood.last(AgentRequested).host == "h2"
    moved = state.and_then(claimed(seq), replace(prepare_ok(seq, "h2"), tip=HUMAN)).settled(155)
    assert moved.said(PullRequestTakenOver)
    rewritten = PrepareFailed(job=job_at(seq), epoch=7, error_class="git.branch_rewritten", message="no")
    looking = state.and_then(claimed(seq), rewritten, seconds=155)
    looking.at(155).then(ObserveRequested)
    passing = PrepareFailed(job=job_at(seq), epoch=7, error_class="git.unreachable", message="no", transient=True)
    assert not of(state.and_then(claimed(seq), passing, seconds=155)).look_first


def test_a_person_may_write_to_a_fix_run_and_not_to_a_pull_request() -> None:
    message = SendMessage(id="m" * 26, task=TASK, text="Use decimal.", requested_by="ann")
    in_review().when(message).refused("say it on the pull request")
    fixing().when(message).then(type(fixing().asked(message).log[-1]))
    handing_over().when(message).refused("being handed over")


def test_the_facts_of_a_look_are_told_whatever_has_been_seen() -> None:
    told = waiting(fixed(fixing()).state).why
    assert "1 fix runs so far" in told


def test_a_moment_is_never_waited_for_twice() -> None:
    parked: datetime | None = next_look(given(*verified()).state)
    assert parked is None
    assert AGENT.attempt == 1


# -- who is followed ---------------------------------------------------------------------------------------------------


def policy_of(policy: Policy, **repo: object) -> Policy:
    plain: dict[str, object] = {"name": "shop", "clone_url": "https://git.example/shop.git"}
    known = Known(repo=Repo(**(plain | repo)), policy=policy, vendors=("scripted",))  # type: ignore[arg-type]
    command = SubmitTask(id="c" * 26, task=TASK, repo="shop", title="Mend the sum", vendor="scripted")
    (event,) = submit(None, command, known)
    assert isinstance(event, TaskSubmitted)
    return event.policy


@pytest.mark.parametrize(
    ("repo", "followed"),
    [
        ({"provider": "git"}, False),
        ({"provider": "recording"}, False),
        ({"provider": "recording", "follow": True}, True),
        *(({"provider": forge}, True) for forge in ("github", "gitea", "forgejo", "gitlab")),
        ({"provider": "github", "follow": False}, False),
    ],
)
def test_a_forge_is_followed_and_so_is_what_says_so(repo: dict[str, object], followed: bool) -> None:
    assert (policy_of(POLICY, **repo).follow is not None) is followed
    assert policy_of(replace(POLICY, follow=None), **repo).follow is None


def test_a_repo_says_whose_comments_count_and_how_many_fix_runs_there_are() -> None:
    assert policy_of(POLICY, provider="gitea").follow == FOLLOW
    own = policy_of(POLICY, provider="gitea", fix_runs_max=0, reviewers=("ann",)).follow
    assert own == replace(FOLLOW, fix_runs_max=0, reviewers=("ann",))
