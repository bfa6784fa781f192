"""Given a branch that a finished task has handed over, when another goes on with it, then nobody's commit on it is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from executor_world import COMMIT, MEND, World, world
from msgspec import structs
from servers import NatsForTest
from whole import Remote, calc_remote, git

from penstock import ids
from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
)
from penstock.jobs import PrepareWork, PublishWork
from penstock.values import Continuation

pytestmark = pytest.mark.anyio

MORE: dict[str, Any] = {"do": "write", "path": "more.py", "content": "more = 1\n"}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """A world with one running executor, h1."""
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start()
        yield found


@pytest.fixture
async def handed_over(place: World) -> Continuation:
    """What a first task has pushed."""
    task = ids.fresh()
    base = (await place.prepared(task)).base_commit
    place.script("mends", [MEND, COMMIT])
    place.script("adds", [MORE, COMMIT])
    place.script("idles", [{"do": "say", "text": "Nothing to do."}])
    commit = (await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)).change.commit
    await place.step(task, place.publish(task, base, commit), PublishSucceeded)
    return Continuation(task=task, branch=f"agent/{task}", commit=commit, base_commit=base)


def prepare(place: World, task: str, continues: Continuation) -> PrepareWork:
    return structs.replace(place.prepare(task), branch=continues.branch, continues=continues)


def publish(place: World, task: str, continues: Continuation, commit: str, expected: str | None) -> PublishWork:
    work = place.publish(task, continues.base_commit, commit)
    return structs.replace(work, branch=continues.branch, expected=expected)


def somebody_commits(remote: Remote, branch: str, name: str) -> str:
    """A person's commit on the branch."""
    tree = remote.path.parent / "tree"
    git(tree, "fetch", "-q", str(remote.path), branch)
    git(tree, "checkout", "-q", "-B", "mine", "FETCH_HEAD")
    (tree / name).write_text("by a person\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", f"Write {name}")
    git(tree, "push", "-q", str(remote.path), f"mine:{branch}")
    return git(tree, "rev-parse", "HEAD")


async def test_the_same_branch_moves_on_with_a_persons_commits_taken_along(
    place: World, remote: Remote, handed_over: Continuation
) -> None:
    theirs = somebody_commits(remote, handed_over.branch, "theirs.txt")
    task = ids.fresh()
    prepared = await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    assert (prepared.base_commit, prepared.branch) == (handed_over.base_commit, handed_over.branch)
    assert prepared.tip == theirs
    done = await place.step(task, place.agent(task, prepared.base_commit, "adds"), AgentSucceeded)
    assert done.change.files == ("calc.py", "more.py", "theirs.txt")
    work = publish(place, task, handed_over, done.change.commit, prepared.tip)
    delivery = (await place.step(task, work, PublishSucceeded)).delivery
    assert (delivery.branch, delivery.adopted) == (handed_over.branch, False)
    assert remote.branches()[handed_over.branch] == done.change.commit
    assert git(remote.path, "merge-base", "--is-ancestor", theirs, done.change.commit) == ""
    assert (await place.step(task, work, PublishSucceeded)).delivery.adopted


async def test_an_ordinary_task_has_no_tip(place: World) -> None:
    assert (await place.prepared(ids.fresh())).tip is None


async def test_an_agent_that_adds_nothing_to_the_branch_has_changed_nothing(
    place: World, handed_over: Continuation
) -> None:
    task = ids.fresh()
    prepared = await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    failed = await place.step(task, place.agent(task, prepared.base_commit, "idles"), AgentFailed)
    assert failed.error_class == "agent.no_change"


async def test_a_branch_that_moved_meanwhile_is_left_alone(
    place: World, remote: Remote, handed_over: Continuation
) -> None:
    task = ids.fresh()
    prepared = await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    done = await place.step(task, place.agent(task, prepared.base_commit, "adds"), AgentSucceeded)
    theirs = somebody_commits(remote, handed_over.branch, "theirs.txt")
    work = publish(place, task, handed_over, done.change.commit, prepared.tip)
    failed = await place.step(task, work, PublishFailed)
    assert (failed.error_class, failed.transient) == ("git.non_fast_forward", False)
    assert remote.branches()[handed_over.branch] == theirs


async def test_a_branch_that_is_gone_is_said_so(place: World, remote: Remote, handed_over: Continuation) -> None:
    git(remote.path, "update-ref", "-d", f"refs/heads/{handed_over.branch}")
    task = ids.fresh()
    failed = await place.step(task, prepare(place, task, handed_over), PrepareFailed)
    assert (failed.error_class, failed.transient) == ("git.branch_gone", False)
    assert handed_over.branch in failed.message


async def test_a_branch_that_was_rewritten_is_said_so(place: World, remote: Remote, handed_over: Continuation) -> None:
    git(remote.path, "update-ref", f"refs/heads/{handed_over.branch}", handed_over.base_commit)
    task = ids.fresh()
    failed = await place.step(task, prepare(place, task, handed_over), PrepareFailed)
    assert (failed.error_class, failed.transient) == ("git.branch_rewritten", False)


async def test_an_agent_cannot_take_back_what_was_on_the_branch(place: World, handed_over: Continuation) -> None:
    task = ids.fresh()
    prepared = await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    back = {"do": "run", "argv": ["git", "reset", "-q", "--hard", handed_over.base_commit]}
    place.script("undoes", [back, MORE, COMMIT])
    failed = await place.step(task, place.agent(task, prepared.base_commit, "undoes"), AgentFailed)
    assert failed.error_class == "git.base_lost"


async def test_what_does_not_hold_the_branchs_tip_is_never_pushed_over_it(
    place: World, remote: Remote, handed_over: Continuation
) -> None:
    theirs = somebody_commits(remote, handed_over.branch, "theirs.txt")
    task = ids.fresh()
    await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    # A commit of another task, which knows nothing of theirs.
    other = ids.fresh()
    base = (await place.prepared(other)).base_commit
    commit = (await place.step(other, place.agent(other, base, "adds"), AgentSucceeded)).change.commit
    failed = await place.step(task, publish(place, task, handed_over, commit, theirs), PublishFailed)
    assert failed.error_class == "git.base_lost"
    assert remote.branches()[handed_over.branch] == theirs


async def test_prepared_again_or_lost_by_the_host_the_clone_stands_where_the_task_began(
    place: World, remote: Remote, handed_over: Continuation
) -> None:
    task = ids.fresh()
    first = await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    somebody_commits(remote, handed_over.branch, "theirs.txt")
    again = await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    assert again.tip == first.tip == handed_over.commit
    (place.folder / "h1" / "tasks" / f"{task}.clone").unlink()
    done = await place.step(task, place.agent(task, first.base_commit, "adds"), AgentSucceeded)
    assert done.change.files == ("calc.py", "more.py")


async def test_a_branch_that_should_not_be_there_yet_and_is_stays_as_it_is(
    place: World, handed_over: Continuation
) -> None:
    task = ids.fresh()
    await place.step(task, prepare(place, task, handed_over), PrepareSucceeded)
    done = await place.step(task, place.agent(task, handed_over.base_commit, "adds"), AgentSucceeded)
    failed = await place.step(task, publish(place, task, handed_over, done.change.commit, None), PublishFailed)
    assert failed.error_class == "git.non_fast_forward"
