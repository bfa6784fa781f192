"""What becomes of a task whose hosts share work: another host goes on from what the first has left, and one of a pool hands
the change over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from scenario import (
    HEAD,
    REPO,
    TASK,
    WHOLE_POLICY,
    Given,
    agent_ok,
    failed,
    gone,
    prepare_bad,
    prepare_ok,
    progress,
    publish_bad,
    publish_ok,
    refused,
    stopped,
    verify_ok,
    whole,
    worked,
)
from scenario import given as given_events

from penstock.catalog import Control, FleetSettings, Repo
from penstock.commands import SubmitTask
from penstock.events import (
    AgentRequested,
    PrepareRequested,
    PublishRequested,
    TaskBlocked,
    TaskParked,
    TaskSubmitted,
    TaskSucceeded,
    VerifyRequested,
)
from penstock.jobs import AgentWork, Job, PrepareWork, PublishWork
from penstock.values import Artifact, Kept, Parcel, Usage
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.core.queue import veto
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.submit import Known, submit
from penstock_orchestrator.core.waiting import waiting

KEPT = Kept(ref=f"refs/penstock/wip/{TASK}/1", commit="d" * 40)
BUNDLE, SESSION = (Artifact(name=name, size_bytes=9, sha256="ab" * 32, chunks=1) for name in ("work", "session"))
UNDONE = Parcel(job="j" * 26, ref=KEPT.ref, commit=KEPT.commit, bundle=BUNDLE, session=SESSION)
DONE = Parcel(job="j" * 26, ref=f"refs/penstock/task/{TASK}", commit=HEAD, bundle=BUNDLE, session=SESSION)
TOO_LARGE = replace(UNDONE, bundle=None)
TAIL = "FAILED tests/test_sum.py::test_sum - assert 1 == 2"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def given(**more: object) -> Given:
    return given_events(whole(**({"share_work": True} | more)))


def order(state: Given) -> Job:
    job = react(state.state)
    assert job is not None
    return job


def agent_work(state: Given) -> AgentWork:
    work = order(state).work
    assert isinstance(work, AgentWork)
    return work


# Another host goes on


def test_a_host_that_is_gone_for_good_leaves_its_work_and_its_session_to_another() -> None:
    state = given().lives(prepare_ok, failed("vendor.max_turns", kept=KEPT, parcel=UNDONE))
    first = state.last(AgentRequested)
    state = state.works(gone(host_gone=True)).settled()
    asked = state.last(PrepareRequested)
    assert (asked.host, asked.kept) == (None, KEPT)
    work = order(state).work
    assert isinstance(work, PrepareWork)
    assert (work.kept, work.parcel) == (KEPT, UNDONE)
    state = state.lives(lambda seq: prepare_ok(seq, host="h2"))
    again = state.last(AgentRequested)
    assert (again.host, again.resume, again.session_id) == ("h2", True, first.session_id)
    assert (agent_work(state).parcel, agent_work(state).share_work) == (UNDONE, True)


def test_a_change_that_was_left_is_checked_elsewhere_and_not_made_again() -> None:
    state = given().lives(prepare_ok, worked(parcel=DONE))
    assert isinstance(state.log[-1], VerifyRequested)
    state = state.works(gone(host_gone=True)).settled()
    assert state.last(PrepareRequested).kept == Kept(ref=DONE.ref, commit=HEAD)
    state = state.lives(lambda seq: prepare_ok(seq, host="h2"))
    asked = state.last(VerifyRequested)
    assert (asked.host, asked.commit) == ("h2", HEAD)
    assert isinstance(state.lives(verify_ok, publish_ok).log[-1], TaskSucceeded)
    assert len(state.said(AgentRequested)) == 1


def test_what_a_check_has_said_of_a_change_goes_with_it() -> None:
    state = given().lives(prepare_ok, worked(parcel=DONE), refused(TAIL))
    state = state.works(gone(host_gone=True)).settled().lives(lambda seq: prepare_ok(seq, host="h2"))
    again = state.last(AgentRequested)
    assert (again.host, again.resume) == ("h2", True)
    assert TAIL in again.hint


def test_a_change_that_was_too_large_to_be_left_is_made_again_from_what_was_left_before() -> None:
    large = replace(DONE, bundle=None)
    state = given().lives(prepare_ok, failed("agent.crashed", kept=KEPT, parcel=UNDONE), worked(parcel=large))
    state = state.works(gone(host_gone=True)).settled()
    assert state.last(PrepareRequested).kept == KEPT
    assert (state.state.change, state.state.judged, state.state.last_failure) == (None, "none", None)
    state = state.lives(lambda seq: prepare_ok(seq, host="h2"))
    assert state.last(AgentRequested).host == "h2"


@pytest.mark.parametrize("left", [None, TOO_LARGE], ids=["nothing left", "too large"])
def test_where_nothing_whole_was_left_another_host_begins_anew(left: Parcel | None) -> None:
    state = given().lives(prepare_ok, failed("vendor.max_turns", kept=KEPT, parcel=left))
    first = state.last(AgentRequested)
    state = state.works(gone(host_gone=True)).settled()
    assert state.last(PrepareRequested).kept is None
    again = state.lives(lambda seq: prepare_ok(seq, host="h2")).last(AgentRequested)
    assert (again.resume, again.session_id == first.session_id) == (False, False)


def test_work_without_a_session_is_told_to_a_new_one() -> None:
    state = given().lives(prepare_ok, stopped(kept=KEPT, parcel=replace(UNDONE, session=None)))
    state = state.works(gone(host_gone=True)).settled().lives(lambda seq: prepare_ok(seq, host="h2"))
    assert not state.last(AgentRequested).resume
    assert agent_work(state).parcel is None
    assert "what it left is in this directory" in agent_work(state).prompt


def test_a_session_without_changes_is_gone_on_with() -> None:
    state = given().lives(prepare_ok, failed("vendor.max_turns", parcel=replace(UNDONE, commit=None, bundle=None)))
    state = state.works(gone(host_gone=True)).settled()
    assert state.last(PrepareRequested).kept is None
    assert state.lives(lambda seq: prepare_ok(seq, host="h2")).last(AgentRequested).resume


def test_a_session_that_is_over_is_not_carried() -> None:
    state = given().lives(prepare_ok, failed("vendor.context_overflow", kept=KEPT, parcel=UNDONE))
    assert not state.last(AgentRequested).resume
    state = state.works(gone(host_gone=True)).settled()
    assert state.last(PrepareRequested).kept == KEPT
    assert not state.lives(lambda seq: prepare_ok(seq, host="h2")).last(AgentRequested).resume


@pytest.mark.parametrize("error_class", ["parcel.gone", "parcel.refused"])
def test_a_host_that_cannot_begin_from_what_was_left_begins_anew(error_class: str) -> None:
    state = given().lives(prepare_ok, worked(parcel=DONE), gone(host_gone=True))
    state = state.lives(lambda seq: prepare_bad(seq, error_class, transient=False))
    asked = state.last(PrepareRequested)
    assert (asked.kept, state.state.change, state.state.failure) == (None, None, None)
    work = order(state).work
    assert isinstance(work, PrepareWork)
    assert work.parcel is None
    assert not state.lives(lambda seq: prepare_ok(seq, host="h2")).last(AgentRequested).resume


def test_a_session_that_counts_as_a_whole_is_counted_once_wherever_it_goes_on() -> None:
    used = {"usage_of_session": True, "parcel": UNDONE}
    state = given().lives(prepare_ok, failed("vendor.max_turns", usage=Usage(turns=2, cost_usd=1.0), **used))
    # A run that nobody else knows of, and that is not in the session as it was left.
    state = state.works(progress(turns=3, cost_usd=0.5), gone()).settled()
    assert state.state.usage.cost_usd == pytest.approx(1.5)
    state = state.works(gone(host_gone=True)).settled().lives(lambda seq: prepare_ok(seq, host="h2"))
    state = state.lives(failed("vendor.max_turns", usage=Usage(turns=4, cost_usd=1.75), **used))
    assert state.state.usage.cost_usd == pytest.approx(2.25)


def test_on_the_same_host_nothing_is_carried() -> None:
    state = given().lives(prepare_ok, failed("vendor.max_turns", kept=KEPT, parcel=UNDONE), gone())
    assert isinstance(state.log[-1], AgentRequested)
    assert state.last(AgentRequested).host == "h1"


# A pool hands the change over


def test_a_pool_hands_the_change_over_from_what_was_left() -> None:
    state = given(publish_pool="publish").lives(prepare_ok, worked(parcel=DONE), verify_ok)
    asked = state.last(PublishRequested)
    assert (asked.host, asked.pool) == ("h1", "publish")
    job = order(state)
    assert (job.pool, job.host) == ("publish", None)
    assert isinstance(job.work, PublishWork)
    assert (job.work.parcel, job.work.commit) == (DONE, HEAD)
    assert waiting(state.state).why == "publish waits for a host with a free slot in the pool publish"
    assert isinstance(state.lives(publish_ok).log[-1], TaskSucceeded)


def test_the_agent_is_told_that_its_change_has_to_travel() -> None:
    assert agent_work(given(publish_pool="publish").lives(prepare_ok)).publish_elsewhere
    assert not agent_work(given().lives(prepare_ok)).publish_elsewhere
    alone = agent_work(given(share_work=False).lives(prepare_ok))
    assert (alone.share_work, alone.publish_elsewhere) == (False, False)


def test_without_a_pool_the_host_with_the_change_hands_it_over() -> None:
    state = given().lives(prepare_ok, worked(parcel=DONE), verify_ok)
    assert state.last(PublishRequested).pool == ""
    assert (order(state).pool, order(state).host) == ("scripted", "h1")


def test_a_publisher_that_dies_is_followed_by_another_of_the_pool() -> None:
    state = given(publish_pool="publish").lives(prepare_ok, worked(parcel=DONE), verify_ok, gone())
    asked = state.last(PublishRequested)
    assert (asked.number, asked.pool, order(state).host) == (2, "publish", None)


def test_a_publisher_that_cannot_reach_the_remote_waits() -> None:
    state = given(publish_pool="publish").lives(prepare_ok, worked(parcel=DONE), verify_ok, publish_bad)
    assert isinstance(state.log[-1], TaskParked)


@pytest.mark.parametrize("error_class", ["parcel.missing", "parcel.gone", "parcel.refused", "git.base_gone"])
def test_what_cannot_be_handed_over_is_a_persons_matter(error_class: str) -> None:
    state = given(publish_pool="publish").lives(prepare_ok, worked(parcel=DONE), verify_ok)
    state = state.lives(lambda seq: publish_bad(seq, error_class, transient=False))
    assert state.last(TaskBlocked).reason == error_class
    assert "retry the task" in state.last(TaskBlocked).can_do


def test_a_host_that_may_not_hand_over_is_asked_twice_more_and_then_a_person() -> None:
    state = given().lives(prepare_ok, agent_ok, verify_ok)
    for hour in range(1, 4):
        state = state.works(lambda seq: publish_bad(seq, "host.role_missing"))
        state = state.settled(hour * 3_600.0).settled(hour * 3_600.0 + 1_800.0)
    assert state.last(TaskBlocked).reason == "host.role_missing"
    assert "publish_pool" in state.last(TaskBlocked).can_do


def test_a_pause_of_the_host_with_the_change_keeps_no_pool_from_handing_it_over() -> None:
    fleet = Fleet()
    fleet.controls["host", "h1"] = Control(mode="pause")
    state = given(publish_pool="publish").lives(prepare_ok, worked(parcel=DONE), verify_ok)
    assert veto(fleet, state.state, state.last(PublishRequested), NOW) is None
    alone = given().lives(prepare_ok, worked(parcel=DONE), verify_ok)
    assert veto(fleet, alone.state, alone.last(PublishRequested), NOW) == "wait"


# Where it is copied from


def asked_of(settings: FleetSettings) -> TaskSubmitted:
    repo = Repo(name=REPO.name, clone_url=REPO.clone_url)
    known = Known(
        repo=repo, settings=settings, policy=WHOLE_POLICY, vendors=("claude",), publish_pools=("publish", "other")
    )
    (event,) = submit(None, SubmitTask(id="i" * 26, task=TASK, repo="shop", title="x"), known)
    assert isinstance(event, TaskSubmitted)
    return event


def test_whether_hosts_share_work_is_settled_with_the_submission() -> None:
    assert asked_of(FleetSettings()).policy == WHOLE_POLICY
    assert asked_of(FleetSettings(share_work=True)).policy == replace(WHOLE_POLICY, share_work=True)
    pooled = asked_of(FleetSettings(publish_pool="other")).policy
    assert (pooled.share_work, pooled.publish_pool) == (True, "other")


def test_a_pool_that_nobody_has_made_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="'elsewhere' in the settings of the fleet; known: publish, other"):
        asked_of(FleetSettings(publish_pool="elsewhere"))
