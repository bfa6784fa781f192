"""Given a change that is to be handed over, when something speaks against it or its base has moved on, then what comes next."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from scenario import (
    BASE,
    HEAD,
    REPO,
    Given,
    agent_ok,
    change,
    given,
    gone,
    job_at,
    prepare_ok,
    proposed,
    publish_ok,
    tell,
    unblock,
    verified,
    verify_ok,
    whole,
)

from penstock.catalog import Repo
from penstock.commands import SubmitTask
from penstock.events import (
    AgentRequested,
    KnownEvent,
    PreflightFailed,
    PrepareFailed,
    PrepareRequested,
    PublishFailed,
    PublishRequested,
    TaskBlocked,
    TaskSucceeded,
    VerifyRequested,
    VerifySkipped,
)
from penstock.jobs import AgentWork, PrepareWork, PublishWork
from penstock.values import Artifact, Continuation, Finding, Parcel, Policy, Preflight
from penstock_orchestrator.core.clause import clause
from penstock_orchestrator.core.react import react

TIP = "d" * 40
REBASED = "e" * 40
HARD = Finding(rule="secret", severity="hard", file="a.py", line=3, message="a secret", can_do="take it out")

Said = Callable[[int], KnownEvent]


def held_back(error_class: str, message: str = "a.py:3: [rule] no") -> Said:
    return lambda seq: PublishFailed(
        job=job_at(seq), epoch=7, error_class=error_class, message=message, findings=(HARD,)
    )


def moved(seq: int) -> KnownEvent:
    return PublishFailed(job=job_at(seq), epoch=7, error_class="git.base_moved", message="main is elsewhere")


def rebased(**more: object) -> Said:
    onto: dict[str, object] = {"base_commit": TIP, "change": change(REBASED)}
    return lambda seq: replace(prepare_ok(seq), **(onto | more))


def verified_at(commit: str) -> Said:
    return lambda seq: replace(verify_ok(seq), commit=commit)


def at_hand_over(**more: object) -> Given:
    return given(whole(**more)).lives(prepare_ok, agent_ok, verify_ok)


def publish_work(state: Given) -> PublishWork:
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, PublishWork)
    return job.work


# What speaks against a change


def test_what_a_repo_and_a_person_have_said_of_findings_goes_along_with_the_order() -> None:
    repo = replace(REPO, preflight=Preflight(scope=("sum.py",), workflows="block"))
    state = at_hand_over(repo=repo)
    assert publish_work(state).scope == ("sum.py",)
    assert publish_work(state).repo.preflight.workflows == "block"
    assert publish_work(at_hand_over(repo=repo, scope=("*.py",))).scope == ("*.py",)


def test_scope_creep_that_a_host_has_found_goes_back_to_the_agent_with_the_list_and_costs_an_attempt() -> None:
    state = at_hand_over().lives(held_back("preflight.scope", "other.py: [scope] outside"))
    asked = state.last(AgentRequested)
    assert "other.py: [scope] outside" in asked.hint
    assert "Take back what is outside the plan" in asked.hint
    assert state.state.attempts_spent == 1
    again = state.lives(agent_ok, verify_ok)
    assert isinstance(again.log[-1], PublishRequested)
    assert isinstance(again.lives(publish_ok).log[-1], TaskSucceeded)


@pytest.mark.parametrize("error_class", ["preflight.secret", "preflight.forbidden_file", "preflight.author"])
def test_a_secret_is_never_let_pass_who_unblocks_has_the_agent_take_it_out(error_class: str) -> None:
    state = at_hand_over().lives(held_back(error_class))
    blocked = state.last(TaskBlocked)
    assert (blocked.reason, blocked.message) == (error_class, "a.py:3: [rule] no")
    assert "unblock to have the agent" in blocked.can_do
    on = state.asked(unblock()).settled()
    assert "a.py:3: [rule] no" in on.last(AgentRequested).hint
    assert "make them anew" in on.last(AgentRequested).hint
    assert publish_work(on.lives(agent_ok, verify_ok)).waived == ()


@pytest.mark.parametrize("error_class", ["preflight.size", "preflight.symlink", "preflight.workflow", "preflight.path"])
def test_what_a_person_lets_pass_is_checked_and_handed_over_with_their_word(error_class: str) -> None:
    state = at_hand_over().lives(held_back(error_class))
    assert state.last(TaskBlocked).reason == error_class
    on = state.asked(unblock()).settled()
    assert isinstance(on.log[-1], VerifyRequested)
    done = on.lives(verify_ok)
    assert publish_work(done).waived == (error_class,)
    assert isinstance(done.lives(publish_ok).log[-1], TaskSucceeded)


def test_a_look_that_could_not_be_made_is_made_again_when_the_host_is_mended() -> None:
    state = at_hand_over().lives(held_back("preflight.failed", "kingfisher ended with 1"))
    assert "on the host" in state.last(TaskBlocked).can_do
    again = state.asked(unblock()).settled().lives(verify_ok)
    assert publish_work(again).waived == ()


def test_the_agent_can_be_written_to_again_once_its_change_was_held_back() -> None:
    state = at_hand_over()
    state.when(tell("wait")).refused("handed over")
    assert state.lives(held_back("preflight.secret")).when(tell("take it out")).events


def test_a_change_without_checks_is_looked_at_too() -> None:
    state = given(whole(skip_verify=True)).lives(prepare_ok, agent_ok, held_back("preflight.size"))
    assert isinstance(state.asked(unblock()).settled().said(VerifySkipped)[-1], VerifySkipped)


def test_the_task_s_own_scope_is_held_before_anything_is_checked() -> None:
    state = given(whole(scope=("docs",))).lives(prepare_ok, agent_ok)
    early = state.said(PreflightFailed)[-1]
    assert (early.error_class, early.files) == ("preflight.scope", ("sum.py",))
    assert early.message == "changed outside what it may touch: sum.py"


def test_the_agent_is_told_what_it_may_touch_before_it_begins() -> None:
    work = react(given(whole(scope=("src", "docs/*.md"))).lives(prepare_ok).state)
    assert work is not None
    assert isinstance(work.work, AgentWork)
    assert "## What you may change" in work.work.prompt
    assert "- `docs/*.md`" in work.work.prompt


def test_a_plan_that_is_not_approved_yet_says_nothing_of_what_may_be_touched() -> None:
    state = given(whole(mode="interactive", scope=("src",))).lives(prepare_ok, proposed())
    assert state.state.scope == ("src",)


# The default branch has moved on


def test_a_change_whose_base_has_moved_is_put_on_top_once_and_checked_again_before_it_is_handed_over() -> None:
    state = at_hand_over(rebases_max=1)
    assert publish_work(state).on_tip
    asked = state.lives(moved)
    request = asked.last(PrepareRequested)
    assert (request.number, request.host, request.rebase) == (2, "h1", HEAD)
    job = react(asked.state)
    assert job is not None
    assert isinstance(job.work, PrepareWork)
    assert (job.host, job.work.rebase, job.work.base_commit, job.work.parcel) == ("h1", HEAD, BASE, None)
    stands = asked.lives(rebased())
    assert stands.last(VerifyRequested).commit == REBASED
    handed = stands.lives(verified_at(REBASED))
    work = publish_work(handed)
    assert (work.commit, work.base_commit, work.on_tip) == (REBASED, TIP, False)
    assert isinstance(handed.lives(publish_ok).log[-1], TaskSucceeded)
    assert handed.state.attempts_spent == 0


def test_a_change_that_does_not_fit_goes_to_the_agent_once_with_the_files_named() -> None:
    state = at_hand_over(rebases_max=1).lives(moved, rebased(change=None, conflicts=("sum.py", "cart.py")))
    hint = state.last(AgentRequested).hint
    assert "both sides marked in: sum.py, cart.py" in hint
    assert "main has moved on to dddddddddddd" in hint
    assert "take every mark out" in hint
    assert (state.state.base_commit, state.state.attempts_spent) == (TIP, 0)
    done = state.lives(agent_ok, verify_ok)
    assert (publish_work(done).base_commit, publish_work(done).on_tip) == (TIP, False)


def test_whoever_has_one_attempt_only_may_still_bring_both_sides_together() -> None:
    state = at_hand_over(rebases_max=1, max_attempts=1).lives(moved, rebased(change=None, conflicts=("sum.py",)))
    assert state.last(AgentRequested).attempt == 1


def test_a_commit_onto_a_branch_that_keeps_moving_waits_for_a_person_who_may_have_it_tried_again() -> None:
    state = at_hand_over(flow="commit", rebases_max=1).lives(moved, rebased(), verified_at(REBASED))
    assert publish_work(state).on_tip
    blocked = state.lives(moved).last(TaskBlocked)
    assert blocked.reason == "git.base_moved"
    on = state.lives(moved).asked(unblock()).settled()
    assert on.last(PrepareRequested).rebase == REBASED
    assert on.state.rebases == 0


def test_without_the_policy_nothing_is_ever_put_on_top() -> None:
    state = at_hand_over(flow="commit")
    assert not publish_work(at_hand_over()).on_tip
    on = state.lives(moved).asked(unblock()).settled()
    assert isinstance(on.log[-1], PublishRequested)


def test_what_goes_on_with_a_branch_is_not_put_elsewhere() -> None:
    before = Continuation(task="a" * 26, branch="agent/x", commit="f" * 40, base_commit=BASE)
    state = given(whole(rebases_max=1, continues=before)).lives(prepare_ok, agent_ok, verify_ok)
    assert not publish_work(state).on_tip


def test_a_host_of_an_earlier_version_leaves_the_change_where_it_was() -> None:
    state = at_hand_over(rebases_max=1).lives(moved, prepare_ok)
    assert (publish_work(state).commit, publish_work(state).on_tip) == (HEAD, False)


def test_a_default_branch_that_holds_the_change_already_waits_for_a_person() -> None:
    def nothing_left(seq: int) -> KnownEvent:
        return PrepareFailed(job=job_at(seq), epoch=7, error_class="git.nothing_left", message="it is all there")

    assert at_hand_over(rebases_max=1).lives(moved, nothing_left).last(TaskBlocked).reason == "git.nothing_left"


def test_what_was_left_for_others_is_replaced_by_what_stands_on_the_new_base() -> None:
    bundle = Artifact(name="work", size_bytes=1, sha256="a" * 64, chunks=1)
    parcel = Parcel(job="j" * 26, ref="refs/penstock/task/x", commit=REBASED, bundle=bundle)
    old = Parcel(job="k" * 26, ref="refs/penstock/task/x", commit=HEAD, bundle=bundle)

    def shared(seq: int) -> KnownEvent:
        return replace(agent_ok(seq), parcel=old)

    state = given(whole(rebases_max=1, share_work=True)).lives(prepare_ok, shared, verify_ok, moved)
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, PrepareWork)
    assert job.work.share_work
    assert state.lives(rebased()).state.parcel is None
    assert publish_work(state.lives(rebased(parcel=parcel), verified_at(REBASED))).parcel == parcel


def test_a_host_that_is_gone_in_the_middle_of_it_is_gone_as_ever() -> None:
    state = at_hand_over(rebases_max=1).lives(moved).works(gone(host_gone=True)).settled()
    assert state.last(PrepareRequested).rebase is None
    assert not state.state.rebase_due


def test_a_job_that_is_lost_in_the_middle_of_it_is_asked_for_again() -> None:
    state = at_hand_over(rebases_max=1).lives(moved).works(gone()).settled()
    assert state.last(PrepareRequested).rebase == HEAD


# Folders of a host


def test_what_is_made_in_a_folder_is_handed_over_by_its_own_host_whatever_the_pool() -> None:
    repo = replace(REPO, provider="local", clone_url="/home/ann/shop")
    policy = Policy(publish_pool="publish")
    state = given(*verified(repo=repo, flow="untracked", policy=policy)).settled()
    assert state.last(PublishRequested).pool == ""
    prepares = given(whole(repo=repo, flow="patch")).settled()
    job = react(prepares.state)
    assert job is not None
    assert isinstance(job.work, PrepareWork)
    assert job.work.clean


FOLDER = Repo(name="shop", clone_url="/home/ann/shop", provider="local")
REMOTE = Repo(name="shop", clone_url="https://git.example/shop.git")


@pytest.mark.parametrize(
    ("repo", "flow", "part"),
    [
        (FOLDER, "branch", "flow branch pushes, and this repo is a folder; flows for it: patch, untracked"),
        (FOLDER, "commit", "flow commit pushes"),
        (REMOTE, "untracked", "the repo must be of the provider `local`"),
    ],
)
def test_a_folder_is_asked_for_what_a_folder_can_take_and_nothing_else_is_written_into(
    repo: Repo, flow: str, part: str
) -> None:
    wish = SubmitTask(id="c" * 26, task="t" * 26, repo="shop", title="Mend it", vendor="scripted", flow=flow)
    refusal = given().when_submitted(wish, repo)
    refusal.refused(part)
    assert refusal.refusal is not None
    assert (refusal.refusal.code, refusal.refusal.field) == ("invalid", "flow")


@pytest.mark.parametrize("flow", ["patch", "untracked"])
def test_what_a_folder_can_take_is_taken(flow: str) -> None:
    wish = SubmitTask(id="c" * 26, task="t" * 26, repo="shop", title="Mend it", vendor="scripted", flow=flow)
    assert given().when_submitted(wish, FOLDER).events


def test_what_became_of_a_base_and_what_was_found_is_told_in_a_sentence() -> None:
    assert "with the change on top" in clause(rebased()(3))
    assert "both sides are in sum.py" in clause(rebased(change=None, conflicts=("sum.py",))(3))
    assert clause(replace(publish_ok(3), findings=(HARD,))).endswith("with 1 finding to look at")
