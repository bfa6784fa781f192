"""Given a commit to publish, the branch is there once, it is never put over somebody else's, and a lost answer is looked up."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from adapters.git_world import OTHER_TASK, TASK, World, gone, host_git, make_world, until

from penstock_agent_exec.git.failures import (
    BadName,
    HookRejected,
    NonFastForward,
    ProtectedBranch,
    RefMissing,
    RepositoryMissing,
    TimedOut,
    Unreachable,
)
from penstock_agent_exec.git.mirror import maintain_mirror, update_mirror
from penstock_agent_exec.git.names import check_remote
from penstock_agent_exec.git.publish import Published, look, publish_branch
from penstock_agent_exec.git.work import commit_leftovers, take_result

pytestmark = pytest.mark.anyio

BRANCH = f"agent/{TASK}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


async def result_of(world: World, script: str, task: str = TASK) -> str:
    clone = await world.clone(task)
    await world.agent(clone, script)
    await commit_leftovers(clone, world.sandbox)
    return (await take_result(clone, world.mirror, world.sandbox)).head


def pushes(world: World) -> list[str]:
    """What reached the remote's receive hook, one line for each ref of each push."""
    log = world.root / "pushes"
    return log.read_text().splitlines() if log.exists() else []


async def test_a_branch_is_pushed_once_alone_and_found_when_asked_again(world: World) -> None:
    world.hook("post-receive", f"cat >> {world.root}/pushes")
    head = await result_of(world, "echo x > x.txt; git tag v1")
    first = await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)
    again = await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)
    assert first == Published(head, BRANCH, adopted=False)
    assert again == Published(head, BRANCH, adopted=True)
    assert world.on_remote(BRANCH) == head
    assert pushes(world) == [f"{'0' * 40} {head} refs/heads/{BRANCH}"]
    refs = host_git(world.origin, "for-each-ref", "--format=%(refname)").splitlines()
    assert refs == [f"refs/heads/{BRANCH}", "refs/heads/main"]


async def test_a_second_publish_moves_our_own_branch_even_if_the_agent_rewrote_it(world: World) -> None:
    first = await result_of(world, "echo x > x.txt")
    await publish_branch(world.mirror, world.remote, BRANCH, first, expected=None)
    second = await result_of(world, "echo y > x.txt; git commit -qa --amend -m y")
    published = await publish_branch(world.mirror, world.remote, BRANCH, second, expected=first)
    assert published == Published(second, BRANCH, adopted=False)
    assert world.on_remote(BRANCH) == second


@pytest.mark.parametrize("known", [None, "ours"])
async def test_a_branch_with_somebody_elses_commit_is_left_alone(world: World, known: str | None) -> None:
    head = await result_of(world, "echo x > x.txt")
    expected = None
    if known:
        await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)
        expected, head = head, await result_of(world, "echo y > y.txt")
    theirs = world.somebody_pushes(BRANCH, "theirs.txt", "x")
    world.hook("pre-receive", f"cat >> {world.root}/pushes")
    with pytest.raises(NonFastForward, match=theirs) as refused:
        await publish_branch(world.mirror, world.remote, BRANCH, head, expected=expected)
    assert refused.value.error_class == "git.non_fast_forward"
    assert not refused.value.transient
    assert world.on_remote(BRANCH) == theirs
    assert pushes(world) == []


async def test_a_branch_that_somebody_deleted_is_not_put_back(world: World) -> None:
    first = await result_of(world, "echo x > x.txt")
    await publish_branch(world.mirror, world.remote, BRANCH, first, expected=None)
    host_git(world.origin, "branch", "-D", BRANCH)
    second = await result_of(world, "echo y > y.txt")
    with pytest.raises(NonFastForward, match="not there, expected at"):
        await publish_branch(world.mirror, world.remote, BRANCH, second, expected=first)
    assert world.on_remote(BRANCH) is None


async def test_of_two_that_push_at_the_same_time_one_wins_and_the_other_is_told(world: World) -> None:
    """Both have looked and both are connected before either is let through: the remote's hook waits for the second."""
    one = await result_of(world, "echo 1 > x.txt", TASK)
    two = await result_of(world, "echo 2 > x.txt", OTHER_TASK)
    world.hook(
        "pre-receive",
        f"cd {world.root}; mkdir here.$$; n=0;"
        " while [ $(ls -d here.* | wc -l) -lt 2 ] && [ $n -lt 3000 ]; do n=$((n+1)); sleep 0.05; done",
    )
    ended = await asyncio.gather(
        *(publish_branch(world.mirror, world.remote, "shared", commit, expected=None) for commit in (one, two)),
        return_exceptions=True,
    )
    assert len(list(world.root.glob("here.*"))) == 2
    (won,) = [end for end in ended if isinstance(end, Published)]
    (lost,) = [end for end in ended if isinstance(end, BaseException)]
    assert isinstance(lost, NonFastForward)
    assert world.on_remote("shared") == won.commit


async def test_the_same_commit_pushed_twice_at_the_same_time_ends_well_for_both(world: World) -> None:
    head = await result_of(world, "echo 1 > x.txt")
    ended = await asyncio.gather(
        *(publish_branch(world.mirror, world.remote, BRANCH, head, expected=None) for _ in range(4))
    )
    assert {end.commit for end in ended} == {head}
    assert world.on_remote(BRANCH) == head


async def test_a_push_whose_answer_is_lost_is_looked_up_and_adopted(world: World) -> None:
    world.hook("post-receive", f"cat >> {world.root}/pushes; kill -9 $PPID")
    head = await result_of(world, "echo x > x.txt")
    published = await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)
    assert published == Published(head, BRANCH, adopted=True)
    assert len(pushes(world)) == 1


async def test_a_push_that_broke_before_it_took_effect_is_a_failure_that_may_be_tried_again(world: World) -> None:
    world.hook("pre-receive", "kill -9 $PPID")
    head = await result_of(world, "echo x > x.txt")
    with pytest.raises(Unreachable) as broken:
        await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)
    assert broken.value.transient
    assert world.on_remote(BRANCH) is None
    (world.origin / "hooks" / "pre-receive").unlink()
    assert not (await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)).adopted


@pytest.mark.parametrize(("hook", "adopted"), [("pre-receive", False), ("post-receive", True)])
async def test_a_push_that_hangs_is_cut_off_and_looked_up(world: World, hook: str, adopted: bool) -> None:
    pid = world.root / "hanging"
    world.hook(hook, f"echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 1000")
    head = await result_of(world, "echo x > x.txt")
    publishing = asyncio.create_task(
        publish_branch(world.mirror, world.remote, BRANCH, head, expected=None, timeout_seconds=8)
    )
    await until(pid)
    if adopted:
        assert await publishing == Published(head, BRANCH, adopted=True)
    else:
        with pytest.raises(TimedOut):
            await publishing
        assert world.on_remote(BRANCH) is None
    assert await gone(int(pid.read_text()))


@pytest.mark.parametrize(
    ("says", "failure"),
    [("echo no >&2", HookRejected), ("echo 'GH006: Protected branch update failed' >&2", ProtectedBranch)],
)
async def test_a_refusal_of_the_remote_is_told_by_its_kind(world: World, says: str, failure: type[Exception]) -> None:
    world.hook("pre-receive", f"{says}; exit 1")
    head = await result_of(world, "echo x > x.txt")
    with pytest.raises(failure):
        await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)
    assert world.on_remote(BRANCH) is None


async def test_a_commit_that_arrives_between_our_look_and_our_push_is_not_overwritten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `git` in front of the real one lets somebody else push first, whenever it is asked to push."""
    ours = await result_of(world, "echo x > x.txt")
    await publish_branch(world.mirror, world.remote, BRANCH, ours, expected=None)
    theirs = world.somebody_pushes("theirs", "theirs.txt", "x")
    newer = await result_of(world, "echo y > y.txt")
    real, programs = shutil.which("git"), world.root / "bin"
    programs.mkdir()
    (programs / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *" push "*) {real} --git-dir={world.origin} update-ref refs/heads/{BRANCH} {theirs};; esac\n'
        f'exec {real} "$@"\n'
    )
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(NonFastForward, match=theirs):
        await publish_branch(world.mirror, world.remote, BRANCH, newer, expected=ours)
    assert world.on_remote(BRANCH) == theirs


async def test_whoever_lost_the_job_while_looking_pushes_no_more(world: World) -> None:
    class Lost(Exception):
        """The lease is somebody else's."""

    def fence() -> None:
        raise Lost

    head = await result_of(world, "echo x > x.txt")
    with pytest.raises(Lost):
        await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None, fence=fence)
    assert world.on_remote(BRANCH) is None


async def test_no_hook_of_the_mirror_runs_whoever_may_have_put_it_there(world: World) -> None:
    head = await result_of(world, "echo x > x.txt")
    for name in ("pre-push", "reference-transaction", "post-index-change", "pre-auto-gc"):
        hook = world.mirror.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {world.root}/fired\n")
        hook.chmod(0o755)
    await publish_branch(world.mirror, world.remote, BRANCH, head, expected=None)
    await update_mirror(world.mirror, world.remote)
    await maintain_mirror(world.mirror)
    assert not (world.root / "fired").exists()


async def test_a_look_finds_the_branch_itself_and_none_that_ends_like_it(world: World) -> None:
    await update_mirror(world.mirror, world.remote)
    host_git(world.origin, "update-ref", "refs/heads/refs/heads/x", "main")
    host_git(world.origin, "update-ref", "refs/other/refs/heads/x", "main")
    assert await look(world.mirror, world.remote, "x") is None
    assert await look(world.mirror, world.remote, "main") == world.on_remote("main")


async def test_what_cannot_be_published_is_refused_before_the_remote_is_asked(world: World) -> None:
    head = await result_of(world, "echo x > x.txt")
    with pytest.raises(RefMissing):
        await publish_branch(world.mirror, world.remote, BRANCH, "1" * 40, expected=None)
    for branch, commit, expected in (
        ("--mirror", head, None),
        ("a:b", head, None),
        ("+x", head, None),
        (BRANCH, "HEAD", None),
        (BRANCH, head, "main"),
    ):
        with pytest.raises(BadName):
            await publish_branch(world.mirror, world.remote, branch, commit, expected=expected)
    nowhere = check_remote(str(world.root / "none.git"), allow_local=True)
    with pytest.raises(RepositoryMissing):
        await publish_branch(world.mirror, nowhere, BRANCH, head, expected=None)
