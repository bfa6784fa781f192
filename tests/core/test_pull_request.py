"""What a reviewer reads of a task: never more than was seen, and out of a quote nothing steps."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from scenario import (
    TASK,
    Given,
    agent_ok,
    change,
    failed,
    given,
    prepare_ok,
    ran,
    verify_ok,
    whole,
    worked,
)

from penstock.bounds import COUNT_MAX
from penstock.jobs import PublishWork
from penstock.values import Plan, RepoSnapshot, Usage, VerifyCommands
from penstock_orchestrator.core.pull_request import BODY_LENGTH_MAX, pull_request_body
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.task import Proposal, Task


def body(state: Given) -> str:
    job = react(state.state)
    assert job is not None
    assert isinstance(job.work, PublishWork)
    return job.work.body


def ready(**more: object) -> Given:
    return given(whole(**more)).lives(prepare_ok, agent_ok, verify_ok)


def at_work(**more: object) -> Task:
    """A task that is ready to be handed over, with some of its state as wanted."""
    return replace(ready().state, **more)


def test_a_reviewer_reads_what_was_asked_what_has_changed_what_was_seen_and_what_it_took() -> None:
    state = given(whole(description="Why not?\nIt is wrong.", model="large", max_attempts=9))
    text = body(state.lives(prepare_ok, failed("agent.crashed"), worked(summary="I added one."), verify_ok))
    assert text.startswith(
        "> Why not?\n> It is wrong.\n\n### What changed\n\n1 file, +2 -1, in 1 commit\n\n- `sum.py`\n\n"
        "In the agent's own words:\n\n> I added one.\n\n### Verified\n\n**Checks**: passed on this commit\n\n"
        "- `test` `make test`: passed\n\n**Not checked**: pre, build, lint (the repo has no such command)\n\n"
        "### What it took\n\n**Attempts**: 2, **agent**: `scripted` `large`  \n**Turns**: 6, **cost**: 1.00 USD  \n"
        "**Work time**: 41 s, **since it was asked for**: "
    )


def test_a_reviewer_reads_who_worked_before_the_backup() -> None:
    state = given(whole(max_attempts=1, failures_alike_max=0, backup_vendor="claude"))
    text = body(state.lives(prepare_ok, failed("agent.crashed"), agent_ok, verify_ok))
    assert "**agent**: `claude` (after `scripted`)  \n" in text


def test_a_reviewer_reads_what_was_not_checked_and_what_nobody_knows() -> None:
    bare = RepoSnapshot(name="shop", clone_url="x")
    text = body(given(whole(repo=bare, acceptance="1 + 1 = 2")).lives(prepare_ok, worked(usage=Usage(turns=1))))
    assert "NOT run (nothing_configured)" in text
    assert "**Not checked**: pre, build, test, lint (the repo has no such command); the acceptance criteria" in text
    assert "**cost**: unknown" in text


def test_a_check_that_was_not_reached_is_named() -> None:
    commands = VerifyCommands(pre="a", build="b", test="make test", lint="d")
    task = at_work()
    spec = replace(task.spec, repo=replace(task.spec.repo, verify=commands))
    assert "**Not checked**: pre, build, lint (not run)\n" in pull_request_body(replace(task, spec=spec))
    every = tuple(replace(ran(0), stage=stage) for stage in ("pre", "build", "test", "lint"))
    text = pull_request_body(replace(task, spec=spec, results=every))
    assert "**Not checked**: nothing that the repo has a check for\n" in text


def test_a_subscription_is_named_where_it_has_paid() -> None:
    task = at_work()
    text = pull_request_body(replace(task, spec=replace(task.spec, billing="subscription")))
    assert "USD, paid by a subscription" in text


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (61.0, "1 min 1 s"), (7_260.0, "2 h 1 min")])
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    task = at_work()
    usage = replace(task.usage, wall_seconds=seconds)
    assert f"**Work time**: {said}, " in pull_request_body(replace(task, usage=usage))


def test_many_files_are_counted_and_many_commits_are_said() -> None:
    files = tuple(f"src/`part`{number}.py" for number in range(30))
    task = at_work(change=replace(change(), commits=3, files=files, files_changed=41))
    text = pull_request_body(task)
    assert "41 files, +2 -1, in 3 commits" in text
    assert "- `src/'part'0.py`\n" in text
    assert "- and 11 more" in text


def test_without_a_change_or_a_description_nothing_is_made_up() -> None:
    text = pull_request_body(at_work(change=None))
    assert "What changed" not in text
    assert text.startswith("### Verified")


@pytest.mark.parametrize(("by", "said"), [("ann <details>", "by ann &lt;details>"), ("", "by silence, as the rule")])
def test_an_approved_plan_is_folded_away_and_cannot_unfold_itself(by: str, said: str) -> None:
    plan = Plan(summary="Add one.</details>\n\n# Free at last", risks=("<!-- hidden -->",), risk="low")
    task = at_work()
    proposal = Proposal(number=1, plan=plan, proposed_at=task.updated_at, answer="approved", answered_by=by)
    text = pull_request_body(replace(task, plan=proposal))
    assert f"<details><summary>The plan, approved {said}" in text
    assert "> Add one.&lt;/details>\n>\n> # Free at last\n" in text
    assert text.count("<details>") == text.count("</details>") == 1
    rejected = replace(proposal, answer="none")
    assert "The plan" not in pull_request_body(replace(task, plan=rejected))


def test_a_fence_that_is_opened_in_a_quote_ends_with_it() -> None:
    text = body(ready(description="Look:\n```\nnever closed"))
    assert text.startswith("> Look:\n> ```\n> never closed\n\n### What changed")


def test_the_way_to_all_that_happened_is_there_where_people_have_one() -> None:
    assert f"\n[All that happened](https://p.example/x/v1/tasks/{TASK})" in body(
        ready(public_url="https://p.example/x")
    )
    assert "All that happened" not in body(ready())


def test_a_reviewers_text_is_never_too_long() -> None:
    long = "d" * 20_000
    files = tuple("f" * 500 for _ in range(1_000))
    grown = replace(change(), files=files, files_changed=COUNT_MAX)
    state = given(whole(description=long)).lives(prepare_ok, worked(summary="s" * 4_000), verify_ok).state
    text = pull_request_body(replace(state, change=grown, model="m" * 100))
    assert len(text) <= BODY_LENGTH_MAX
    assert "What it took" in text
