"""Given what an agent left, all of it is taken, and what the trusted side says of it is what it found itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from adapters.git_world import OTHER_TASK, TASK, World, host_git, make_world

from penstock_agent_exec.git.bundle import carry, take_bundle
from penstock_agent_exec.git.clone import drop_clone
from penstock_agent_exec.git.failures import BaseLost, BundleRefused, RefMissing, TooBig
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import forget_task, kept_commit, mirror_of, task_ref, update_mirror, wip_ref
from penstock_agent_exec.git.work import commit_leftovers, keep_work, take_result

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


EDITS = "echo z >> README; rm src/app.py; mkdir deep; echo new > 'deep/a \"name\".txt'; mkdir build; : > build/out; ln -s / root"


def in_mirror(world: World, *args: str) -> str:
    return host_git(world.root, f"--git-dir={world.mirror.path}", *args)


async def test_commits_and_leftovers_arrive_in_the_mirror_with_their_figures(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone, "echo one > one.txt; git add one.txt; git commit -qm 'Add one'; echo two >> one.txt; rm README"
    )
    left = await commit_leftovers(clone, world.sandbox)
    assert left.committed
    assert left.missed == ""
    result = await take_result(clone, world.mirror, world.sandbox)
    assert (result.base, result.head, result.commits, result.changed) == (clone.base, left.commit, 2, True)
    assert [(f.path, f.status, f.added, f.removed) for f in result.files] == [
        ("README", "D", 0, 1),
        ("one.txt", "A", 2, 0),
    ]
    assert (result.lines_added, result.lines_removed) == (2, 1)
    assert await kept_commit(world.mirror, task_ref(TASK)) == left.commit
    message = in_mirror(world, "log", "-1", "--format=%an <%ae>%n%B", left.commit)
    assert (
        message == f"Penstock Agent <agent@example.com>\nKeep what the agent left uncommitted\n\nPenstock-Task: {TASK}"
    )


async def test_leftovers_of_every_kind_are_committed_and_ignored_files_are_not(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        f"{EDITS}; echo staged > s.txt; git add s.txt; echo over >> s.txt; printf '\\377' > \"$(printf 'caf\\351')\"",
    )
    left = await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    assert [file.path for file in result.files] == [
        "README",
        r"caf\xe9",
        'deep/a "name".txt',
        "root",
        "s.txt",
        "src/app.py",
    ]
    said = await world.agent(clone, "git status --porcelain; git rev-parse HEAD; git show HEAD:s.txt; ls build")
    assert said.splitlines() == [left.commit, "staged", "over", "out"]


async def test_nothing_left_is_no_commit_and_done_again_nothing_happens(world: World) -> None:
    clone = await world.clone()
    assert (await commit_leftovers(clone, world.sandbox)).commit == clone.base
    await world.agent(clone, "echo x > x.txt")
    first = await commit_leftovers(clone, world.sandbox)
    again = await commit_leftovers(clone, world.sandbox)
    assert (first.committed, again.committed, again.commit) == (True, False, first.commit)


async def test_an_empty_commit_is_no_change(world: World) -> None:
    clone = await world.clone()
    untouched = await take_result(clone, world.mirror, world.sandbox)
    assert (untouched.head, untouched.commits, untouched.changed) == (clone.base, 0, False)
    await world.agent(
        clone,
        "git commit -q --allow-empty -m nothing; echo x > x; git add x; git commit -qm x; git rm -q x; git commit -qm back",
    )
    result = await take_result(clone, world.mirror, world.sandbox)
    assert (result.commits, result.changed, result.files) == (3, False, ())


async def test_flags_in_the_agents_index_hide_nothing(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        "git update-index --assume-unchanged README; git update-index --skip-worktree src/app.py;"
        " echo hidden >> README; echo hidden >> src/app.py; git status --porcelain",
    )
    assert (await commit_leftovers(clone, world.sandbox)).committed
    result = await take_result(clone, world.mirror, world.sandbox)
    assert [file.path for file in result.files] == ["README", "src/app.py"]


async def test_a_tracked_file_that_the_ignore_rules_name_is_neither_lost_nor_left_behind(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        "for f in same changed gone; do echo $f > $f.pyc; done; git add -f *.pyc; git commit -qm x;"
        " echo more >> changed.pyc; rm gone.pyc; echo mine > mine; mkdir -p .git/info; echo mine > .git/info/exclude",
    )
    left = await commit_leftovers(clone, world.sandbox)
    await take_result(clone, world.mirror, world.sandbox)
    told = in_mirror(world, "show", "--format=", "--name-status", left.commit)
    assert told.split() == ["M", "changed.pyc", "D", "gone.pyc"]


async def test_a_repository_inside_the_work_tree_is_kept_as_the_files_it_has(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        "mkdir -p new/lib/inner bare; git init -q new/lib; echo a > new/lib/a; git init -q new/lib/inner;"
        " echo b > new/lib/inner/b; git -C new/lib add a; git -C new/lib -c user.name=a -c user.email=a@b commit -qm a;"
        " git init -q bare; echo c > bare/c; mkdir build; git init -q build/x; echo d > build/x/d",
    )
    left = await commit_leftovers(clone, world.sandbox)
    assert left.missed == ""
    result = await take_result(clone, world.mirror, world.sandbox)
    assert [(file.path, file.new_mode) for file in result.files] == [
        ("bare/c", "100644"),
        ("new/lib/a", "100644"),
        ("new/lib/inner/b", "100644"),
    ]


async def test_a_snapshot_keeps_everything_and_touches_nothing_of_the_agents(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, f"echo staged > s.txt; git add s.txt; {EDITS}; git stash list; git checkout -q -b own")
    look = "git status --porcelain --branch; git rev-parse HEAD; sha256sum .git/index; ls -lR --time-style=full-iso src deep"
    before = await world.agent(clone, look)
    kept = await keep_work(clone, world.mirror, 1, world.sandbox)
    assert kept is not None
    assert await world.agent(clone, look) == before
    assert kept.ref == wip_ref(TASK, 1) == f"refs/penstock/wip/{TASK}/1"
    assert await kept_commit(world.mirror, kept.ref) == kept.commit
    assert in_mirror(world, "rev-parse", f"{kept.commit}^") == clone.base
    names = in_mirror(world, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", "-z", kept.commit).split(
        "\0"
    )
    assert names == [".gitignore", "README", 'deep/a "name".txt', "root", "s.txt", ""]


async def test_a_snapshot_can_be_taken_while_the_agent_holds_gits_own_locks(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo x > x.txt; touch .git/index.lock .git/HEAD.lock")
    assert await keep_work(clone, world.mirror, 1, world.sandbox) is not None
    assert (clone.git_dir / "index.lock").exists()


async def test_a_snapshot_cut_off_by_a_kill_is_taken_when_asked_again(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo x > x.txt")
    for leftover in (
        "penstock-stage-0",
        "penstock-stage-0.lock",
        "penstock.bundle",
        "penstock.bundle.lock",
        f"{wip_ref(TASK, 1)}.lock",
    ):
        path = clone.git_dir / leftover
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    first = await keep_work(clone, world.mirror, 1, world.sandbox)
    await world.agent(clone, "echo y > y.txt")
    again = await keep_work(clone, world.mirror, 1, world.sandbox)
    second = await keep_work(clone, world.mirror, 2, world.sandbox)
    assert first
    assert again
    assert second
    assert in_mirror(world, "ls-tree", "--name-only", again.commit).split() == [
        ".gitignore",
        "README",
        "src",
        "x.txt",
        "y.txt",
    ]
    assert await kept_commit(world.mirror, wip_ref(TASK, 1)) == again.commit
    assert await kept_commit(world.mirror, wip_ref(TASK, 2)) == second.commit


async def test_nothing_to_keep_is_none_and_committed_work_is_kept_as_it_is(world: World) -> None:
    clone = await world.clone()
    assert await keep_work(clone, world.mirror, 1, world.sandbox) is None
    await world.agent(clone, "echo x > x.txt; git add x.txt; git commit -qm x")
    kept = await keep_work(clone, world.mirror, 2, world.sandbox)
    assert kept is not None
    assert kept.commit == await world.agent(clone, "git rev-parse HEAD")


async def test_kept_work_begins_again_elsewhere_just_as_it_was(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone, "echo x > x.txt; git add x.txt; git commit -qm 'Add x'; echo more >> README; echo loose > loose.txt"
    )
    kept = await keep_work(clone, world.mirror, 1, world.sandbox)
    assert kept is not None
    await drop_clone(world.data, TASK)
    again = await world.clone(start=kept.commit)
    said = await world.agent(again, "git log --format=%s -1; git status --porcelain")
    assert said.splitlines() == ["Add x", " M README", "?? loose.txt"]
    assert again.base == clone.base


async def test_work_on_a_branch_of_the_agents_own_is_the_result(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "git checkout -q -b mine; echo x > x.txt; git add x.txt; git commit -qm x; echo y > y.txt")
    left = await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    assert (result.head, [file.path for file in result.files]) == (left.commit, ["x.txt", "y.txt"])
    assert await world.agent(clone, "git branch --show-current; git status --porcelain") == f"agent/{TASK}"


async def test_work_hidden_by_a_checkout_of_an_older_commit_is_still_the_result(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo x > x.txt; git add x.txt; git commit -qm x; git checkout -q --detach HEAD^")
    await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    assert [file.path for file in result.files] == ["x.txt"]
    assert (clone.path / "x.txt").exists()


async def test_work_that_split_in_two_gives_what_is_checked_out_and_keeps_the_rest(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone, "echo x > x.txt; git add x.txt; git commit -qm x; git checkout -q -b other HEAD^; echo y > y.txt"
    )
    await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    assert [file.path for file in result.files] == ["y.txt"]
    assert await world.agent(clone, f"git show --format= --name-only refs/penstock/wip/{TASK}/left-behind") == "x.txt"


@pytest.mark.parametrize(
    "how",
    [
        "git branch -m renamed",
        f"git checkout -q --detach; git branch -q -D agent/{TASK}",
        "git checkout -q --orphan fresh",
    ],
)
async def test_a_branch_that_was_renamed_deleted_or_orphaned_is_there_again(world: World, how: str) -> None:
    clone = await world.clone()
    await world.agent(clone, f"echo x > x.txt; {how}")
    await heal_clone(clone, world.sandbox)
    await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    assert [file.path for file in result.files] == ["x.txt"]


async def test_work_that_does_not_descend_from_the_base_is_refused_as_a_result_and_kept_as_work(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "git reset -q --hard HEAD^; echo x > x.txt; git add x.txt; git commit -qm x")
    with pytest.raises(BaseLost):
        await take_result(clone, world.mirror, world.sandbox)
    with pytest.raises(RefMissing):
        await kept_commit(world.mirror, task_ref(TASK))
    assert await keep_work(clone, world.mirror, 1, world.sandbox) is not None
    await world.agent(clone, "git reset -q --hard HEAD^")
    with pytest.raises(BaseLost, match="older commit"):
        await take_result(clone, world.mirror, world.sandbox)


async def test_work_over_the_limit_is_refused_with_the_limits_name_and_nothing_enters_the_mirror(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "head -c 300000 /dev/urandom > big; git add big; git commit -qm big")
    branch = f"refs/heads/{clone.branch}"
    before = in_mirror(world, "count-objects", "-v")
    with pytest.raises(TooBig, match="100000 bytes") as refused:
        await carry(clone, world.mirror, world.sandbox, ref=branch, into=task_ref(TASK), bundle_bytes_max=100_000)
    assert refused.value.error_class == "git.too_big"
    assert "penstock" not in in_mirror(world, "for-each-ref")
    await forget_task(world.mirror, TASK)  # whoever holds the lock next sweeps up
    assert in_mirror(world, "count-objects", "-v") == before


async def test_a_few_kilobytes_that_unpack_to_gigabytes_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_agent_exec.git.bundle.UNPACKED_BYTES_MAX", 50_000_000)
    clone = await world.clone()
    await world.agent(clone, "head -c 60000000 /dev/zero > zeros; git add zeros; git commit -qm zeros")
    with pytest.raises(TooBig, match="unpacks to 60000"):
        await take_result(clone, world.mirror, world.sandbox)


async def test_the_tip_may_be_rewritten_by_the_agent_and_the_mirror_follows(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo x > x.txt; git add x.txt; git commit -qm x")
    first = await take_result(clone, world.mirror, world.sandbox)
    await world.agent(clone, "echo y > x.txt; git commit -qa --amend -m y")
    second = await take_result(clone, world.mirror, world.sandbox)
    assert first.head != second.head
    assert await kept_commit(world.mirror, task_ref(TASK)) == second.head


async def test_two_tasks_hand_in_through_one_mirror_at_the_same_time(world: World) -> None:
    async def whole(task: str) -> str:
        clone = await world.clone(task)
        await world.agent(clone, f"echo {task} > {task}.txt")
        await commit_leftovers(clone, world.sandbox)
        kept = await keep_work(clone, world.mirror, 1, world.sandbox)
        assert kept is not None
        result = await take_result(clone, world.mirror, world.sandbox)
        assert [file.path for file in result.files] == [f"{task}.txt"]
        return result.head

    await world.base()
    tasks = [f"{OTHER_TASK[:-1]}{letter}" for letter in "abcd"]
    heads = await asyncio.gather(*(whole(task) for task in tasks))
    assert [await kept_commit(world.mirror, task_ref(task)) for task in tasks] == heads
    assert in_mirror(world, "fsck", "--strict", "--no-dangling") == ""
    assert not world.mirror.spool.exists()


async def test_a_bundle_from_another_host_is_taken_when_the_base_is_here(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone, "echo x > x.txt; git add x.txt; git commit -qm x; git bundle create -q out HEAD^..HEAD HEAD"
    )
    other = mirror_of(world.root / "other-host", "sample")
    bundle = clone.path / "out"
    head = await world.agent(clone, "git rev-parse HEAD")
    await update_mirror(other, world.remote)
    taken = await take_bundle(other, bundle, ref="HEAD", into=task_ref(TASK), base=clone.base, descends_from=clone.base)
    assert taken == head
    empty = mirror_of(world.root / "third-host", "sample")
    with pytest.raises(RefMissing):
        await take_bundle(empty, bundle, ref="HEAD", into=task_ref(TASK), base=clone.base)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no refs", "not a bundle", "other ref"])
async def test_a_bundle_that_is_not_sound_is_refused_and_leaves_no_ref(world: World, damage: str) -> None:
    clone = await world.clone()
    await world.agent(
        clone, "head -c 3000 /dev/urandom > x; git add x; git commit -qm x; git bundle create -q out HEAD^..HEAD HEAD"
    )
    bundle = clone.path / "out"
    content = bundle.read_bytes()
    at = len(content) // 2
    bundle.write_bytes(
        {
            "cut": content[:-30],
            "flipped": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
            "no refs": content[content.index(b"PACK") :],
            "not a bundle": b"hello\n",
            "other ref": content.replace(b" HEAD\n", b" DAEH\n"),
        }[damage]
    )
    with pytest.raises(BundleRefused) as refused:
        await take_bundle(world.mirror, bundle, ref="HEAD", into=task_ref(TASK), base=clone.base)
    assert refused.value.error_class == "git.bundle_refused"
    assert "penstock" not in in_mirror(world, "for-each-ref")


BLOB = "b=$(echo x | git hash-object -w --stdin); h=$(echo $b | sed 's/../\\\\x&/g'); "
RAW_TREE = " | git hash-object -t tree --literally -w --stdin"
BAD_OBJECTS = {
    "hasDotgit": BLOB
    + "t=$(printf '100644 blob %s\\tconfig\\n' $b | git mktree); printf '40000 tree %s\\t.git\\n' $t | git mktree",
    "duplicateEntries": BLOB + "{ for i in 1 2; do printf '100644 a\\0'; printf $h; done; }" + RAW_TREE,
    "fullPathname": BLOB + "{ printf '100644 ../../x\\0'; printf $h; }" + RAW_TREE,
    "gitmodulesSymlink": BLOB + "printf '120000 blob %s\\t.gitmodules\\n' $b | git mktree",
    "gitmodulesUrl": (
        "b=$(printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = --upload-pack=id\\n' | git hash-object -w --stdin);"
        " printf '100644 blob %s\\t.gitmodules\\n' $b | git mktree"
    ),
}


@pytest.mark.parametrize("what", BAD_OBJECTS)
async def test_objects_that_would_harm_whoever_checks_them_out_never_enter_the_mirror(world: World, what: str) -> None:
    clone = await world.clone()
    commit = f"c=$(git commit-tree $(< tree) -p HEAD -m bad); git update-ref refs/heads/agent/{TASK} $c"
    script = f"{{ {BAD_OBJECTS[what]}; }} > tree; {commit}"
    done = await world.sandbox(["bash", "-euc", script], cwd=str(clone.path), env={}, timeout_seconds=600)
    assert done.returncode == 0, done.stderr.decode()
    before = in_mirror(world, "count-objects", "-v")
    with pytest.raises(BundleRefused, match=what):
        await take_result(clone, world.mirror, world.sandbox)
    assert "penstock" not in in_mirror(world, "for-each-ref")
    await forget_task(world.mirror, TASK)  # whoever holds the lock next sweeps up
    assert in_mirror(world, "count-objects", "-v") == before
