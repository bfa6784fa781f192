"""Given a task, it has a clone of its own, on its branch, whole or not at all; and whatever was killed in it, it works again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from adapters.git_world import AGENT, OTHER_TASK, TASK, Bubblewrap, World, make_world, until

from penstock_agent_exec.git.clone import Clone, drop_clone, find_clone, in_clone
from penstock_agent_exec.git.command import Completed
from penstock_agent_exec.git.failures import BadName, CloneDamaged, RefMissing, TimedOut
from penstock_agent_exec.git.heal import HEAL_SECONDS_MAX, heal_clone
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.git.work import commit_leftovers, keep_work

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


async def test_a_clone_is_on_its_own_branch_at_the_base_with_the_agents_name(world: World) -> None:
    clone = await world.clone()
    said = await world.agent(
        clone,
        "git status --porcelain --branch; git rev-parse HEAD; git config user.name; git config user.email; cat src/app.py",
    )
    assert said.splitlines() == [
        f"## agent/{TASK}",
        clone.base,
        "Penstock Agent",
        "agent@example.com",
        "print('one')",
        "print('two')",
    ]
    assert clone.path == world.data / "tasks" / TASK / "repo"
    assert clone.base == world.on_remote("main")


async def test_a_clone_borrows_its_objects_and_shares_nothing_that_can_be_written(world: World) -> None:
    clone = await world.clone()
    assert [p for p in (clone.git_dir / "objects").rglob("*") if p.is_file()] == [
        clone.git_dir / "objects" / "info" / "alternates"
    ]
    assert not (world.mirror.path / "worktrees").exists()
    said = await world.agent(clone, f"touch {world.mirror.objects}/x 2>&1 || echo refused")
    assert said.splitlines()[-1] == "refused"


async def test_asked_again_a_whole_clone_is_kept_with_the_agents_work_and_its_old_base(world: World) -> None:
    first = await world.clone()
    await world.agent(first, "echo more >> README; git commit -qam more; echo loose > new.txt")
    world.somebody_pushes("main", "other.txt", "x")
    calls = len(world.sandbox.calls)
    again = await world.clone()
    assert again == first
    assert (again.path / "new.txt").read_text() == "loose\n"
    assert len(world.sandbox.calls) == calls


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it happens."""


@dataclass
class CutOff:
    """A runner that dies before or after its n-th command."""

    sandbox: Bubblewrap
    at: int
    after: bool
    calls: int = 0

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float
    ) -> Completed:
        self.calls += 1
        if self.calls > self.at and not self.after:
            raise Killed
        done = await self.sandbox(argv, cwd=cwd, env=env, timeout_seconds=timeout_seconds)
        if self.calls > self.at:
            raise Killed
        return done


@pytest.mark.parametrize("from_kept_work", [False, True])
async def test_a_clone_cut_off_at_any_point_of_its_making_is_made_anew(world: World, from_kept_work: bool) -> None:
    whole = await world.clone()
    await world.agent(whole, "echo more >> README; echo new > new.txt")
    kept = await keep_work(whole, world.mirror, 1, world.sandbox)
    assert kept is not None
    start, status = (kept.commit, "M README\n?? new.txt\n") if from_kept_work else (None, "")
    for at, after in product(range(2 if from_kept_work else 1), (False, True)):
        await drop_clone(world.data, TASK)
        runner = CutOff(world.sandbox, at, after)
        with pytest.raises(Killed):
            await make_clone(
                world.data, world.mirror, TASK, base=whole.base, identity=AGENT, sandbox=runner, start=start
            )
        assert runner.calls == at + 1
        assert find_clone(world.data, TASK) is None
        healed = await world.clone(start=start)
        assert await world.agent(healed, "git status --porcelain; git rev-parse HEAD") == f"{status}{whole.base}"


async def test_a_half_made_folder_without_a_record_is_not_a_clone(world: World) -> None:
    base = await world.base()
    half = world.data / "tasks" / TASK / "repo"
    (half / ".git" / "objects").mkdir(parents=True)
    (half / "stray.txt").write_text("x")
    (half / "locked").mkdir(mode=0)
    clone = await make_clone(world.data, world.mirror, TASK, base=base, identity=AGENT, sandbox=world.sandbox)
    assert not (clone.path / "stray.txt").exists()
    assert await world.agent(clone, "git rev-parse HEAD") == base


async def test_a_clone_can_begin_at_kept_work_and_a_commit_nobody_has_is_named(world: World) -> None:
    base = await world.base()
    with pytest.raises(RefMissing, match="0000000000"):
        await make_clone(world.data, world.mirror, TASK, base="0" * 40, identity=AGENT, sandbox=world.sandbox)
    start = world.somebody_pushes("fix", "fix.txt", "x")
    clone = await world.clone(start=start)
    assert clone.base == base
    assert await world.agent(clone, "git rev-parse HEAD; git branch --show-current") == f"{start}\nagent/{TASK}"


async def test_a_task_id_that_is_a_path_reaches_no_file(world: World) -> None:
    base = await world.base()
    for task in ("../../../../tmp/escape", "a/b/c/d/e/f/g/h/i/j"):
        with pytest.raises(BadName):
            await make_clone(world.data, world.mirror, task, base=base, identity=AGENT, sandbox=world.sandbox)
        with pytest.raises(BadName):
            await drop_clone(world.data, task)


async def test_two_tasks_of_one_repo_see_nothing_of_each_other(world: World) -> None:
    await world.base()
    one, two = await asyncio.gather(world.clone(TASK), world.clone(OTHER_TASK))
    await world.agent(
        one, "git config core.fsmonitor 'touch fired'; echo one > one.txt; git add one.txt; git commit -qm one"
    )
    said = await world.agent(
        two, "git status --porcelain; git log --oneline --all | wc -l; git config core.fsmonitor || echo none"
    )
    assert said.splitlines() == ["2", "none"]


async def test_a_dropped_clone_is_gone_however_the_agent_left_it(world: World) -> None:
    clone = await world.clone()
    deep = "d=x; for i in 1 2 3 4 5 6; do d=$d/$d; mkdir -p $d; cd $d; done"
    await world.agent(clone, f"mkdir shut; touch shut/file; chmod 0 shut; ln -s / root; {deep}")
    await drop_clone(world.data, TASK)
    await drop_clone(world.data, TASK)
    assert not clone.path.parent.exists()
    assert find_clone(world.data, TASK) is None
    assert Path("/").exists()


def planted(clone: Clone, name: str, content: str = "") -> Path:
    path = clone.git_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    "leftover",
    [
        "index.lock",
        "HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "ORIG_HEAD.lock",
        "shallow.lock",
        f"refs/heads/agent/{TASK}.lock",
        "refs/stash.lock",
        "objects/info/commit-graphs/commit-graph-chain.lock",
        "objects/maintenance.lock",
        "objects/pack/tmp_pack_abc123",
        "objects/ab/tmp_obj_abc123",
        "gc.pid",
    ],
)
async def test_a_file_that_a_killed_git_left_is_cleared_and_the_next_commit_works(world: World, leftover: str) -> None:
    clone = await world.clone()
    path = planted(clone, leftover)
    healed = await heal_clone(clone, world.sandbox)
    assert not path.exists()
    assert not healed.rebuilt
    await world.agent(clone, "echo x > x.txt; git add -A; git commit -qm x; git stash list; git pack-refs --all")


@pytest.mark.parametrize("leftover", ["index.lock", "HEAD.lock", f"refs/heads/agent/{TASK}.lock", "gc.pid"])
@pytest.mark.parametrize("made", ["mkfifo", "ln -s /etc/passwd"])
async def test_a_lock_that_is_no_plain_file_is_cleared_all_the_same(world: World, leftover: str, made: str) -> None:
    clone = await world.clone()
    await world.agent(clone, f"{made} .git/{leftover}")
    healed = await heal_clone(clone, world.sandbox)
    assert not os.path.lexists(clone.git_dir / leftover)
    assert not healed.rebuilt
    await world.agent(clone, "echo x > x.txt; git add -A; git commit -qm x")


async def test_healing_touches_no_lock_file_of_the_project_itself(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "touch poetry.lock; mkdir tmp_x; touch tmp_x/a")
    await heal_clone(clone, world.sandbox)
    assert (clone.path / "poetry.lock").exists()
    assert (clone.path / "tmp_x" / "a").exists()


async def test_an_add_killed_with_kill_9_leaves_a_lock_and_after_healing_all_is_committed(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        "mkdir -p .git/info; echo '*.slow filter=slow' > .git/info/attributes;"
        " git config filter.slow.clean 'touch .git/adding; exec sleep 1000'; echo x > a.slow",
    )
    command = world.sandbox.command(str(clone.path), {})
    process = await asyncio.create_subprocess_exec(*command, "git", "add", "a.slow", env={})
    await until(clone.git_dir / "adding")
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert (clone.git_dir / "index.lock").exists()
    await world.agent(clone, "git config --unset filter.slow.clean")
    await heal_clone(clone, world.sandbox)
    left = await commit_leftovers(clone, world.sandbox)
    assert left.committed
    assert await world.agent(clone, "git show --format= --name-only HEAD") == "a.slow"


async def test_a_rebase_cut_off_in_the_middle_ends_on_the_branch_and_its_files_are_kept(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        "echo mine > README; git commit -qam mine; tip=$(git rev-parse HEAD); git checkout -q -b side HEAD^;"
        " echo theirs > README; git commit -qam theirs; git checkout -q -;"
        " git rebase side >/dev/null 2>&1 || true; test -d .git/rebase-merge; echo resolving > README; echo new > new.txt",
    )
    tip = await world.agent(clone, f"git rev-parse agent/{TASK}")
    healed = await heal_clone(clone, world.sandbox)
    assert healed.ended == ("rebase-merge",)
    assert healed.set_aside is not None
    said = await world.agent(
        clone, f"git branch --show-current; git rev-parse HEAD; git show {healed.set_aside}:new.txt"
    )
    assert said.splitlines() == [f"agent/{TASK}", tip, "new"]
    said = await world.agent(clone, "git status --porcelain; git rebase --abort 2>&1 || true")
    assert said == "?? new.txt\nfatal: No rebase in progress?"


@pytest.mark.parametrize("operation", ["merge side", "cherry-pick side", "revert --no-edit HEAD~1"])
async def test_a_merge_cut_off_in_the_middle_ends_where_it_stands_with_its_files(world: World, operation: str) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        "git checkout -q -b side; echo theirs > README; git commit -qam theirs; git checkout -q -;"
        " echo mine > README; git commit -qam mine; echo mine2 > README; git commit -qam mine2;"
        f" git {operation} >/dev/null 2>&1 && exit 1; echo resolved > README",
    )
    healed = await heal_clone(clone, world.sandbox)
    assert healed.ended
    assert await world.agent(clone, "git status --porcelain; cat README") == "M README\nresolved"
    assert (await commit_leftovers(clone, world.sandbox)).committed


async def test_a_bisect_cut_off_in_the_middle_ends_on_the_branch(world: World) -> None:
    clone = await world.clone()
    await world.agent(
        clone,
        "for i in 1 2 3 4; do echo $i > n; git add n; git commit -qm $i; done;"
        " git bisect start HEAD HEAD~4 >/dev/null; ! git symbolic-ref -q HEAD",
    )
    healed = await heal_clone(clone, world.sandbox)
    assert "BISECT_LOG" in healed.ended
    assert await world.agent(clone, "cat n; git branch --show-current") == f"4\nagent/{TASK}"


BROKEN = {
    "removed": "rm -rf .git",
    "another repository": "rm -rf .git; git init -q; git add -A; git -c user.name=a -c user.email=a@b commit -qm fresh",
    "a file": "rm -rf .git; echo 'gitdir: /tmp/elsewhere' > .git",
    "a link": "mv .git /tmp/x; ln -s /etc .git",
    "head without sense": "echo nonsense > .git/HEAD",
    "empty branch": "git commit -q --allow-empty -m x; : > $(git rev-parse --git-path $(git symbolic-ref HEAD))",
    "no borrowed objects": "rm .git/objects/info/alternates",
    "borrowed from elsewhere": "echo /etc > .git/objects/info/alternates",
    "objects gone": "rm -rf .git/objects",
    "settings without sense": "echo '[core' > .git/config",
    "a format from the future": "git config core.repositoryformatversion 99",
    "zeros for a commit": (
        "git commit -q --allow-empty -m x; o=.git/objects/$(git rev-parse HEAD | sed 's,^..,&/,'); chmod u+w $o; : > $o"
    ),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_git_folder_that_is_beyond_repair_is_begun_anew_and_every_file_is_kept(world: World, how: str) -> None:
    clone = await world.clone()
    await world.agent(clone, f"echo changed > README; rm src/app.py; echo new > new.txt; {BROKEN[how]}")
    healed = await heal_clone(clone, world.sandbox)
    assert healed.rebuilt
    left = await commit_leftovers(clone, world.sandbox)
    assert left.committed
    said = await world.agent(clone, "git rev-parse HEAD^; git show --format= --name-status HEAD; git symbolic-ref HEAD")
    assert said.split() == [clone.base, "M", "README", "A", "new.txt", "D", "src/app.py", f"refs/heads/agent/{TASK}"]


@pytest.mark.parametrize("index", ["", "garbage", "DIRC\0\0\0\2\0\0\0\1"])
async def test_an_index_that_cannot_be_read_is_made_anew(world: World, index: str) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo changed > README")
    planted(clone, "index", index)
    await heal_clone(clone, world.sandbox)
    assert await world.agent(clone, "git status --porcelain") == "M README"


@pytest.mark.parametrize("made", ["mkfifo .git/index", "ln -s /etc/passwd .git/index", "mkdir -p .git/index/a"])
async def test_an_index_that_is_no_plain_file_is_made_anew_without_waiting_for_it(world: World, made: str) -> None:
    clone = await world.clone()
    await world.agent(clone, f"echo changed > README; rm .git/index; {made}")
    async with asyncio.timeout(HEAL_SECONDS_MAX / 2):
        assert not (await heal_clone(clone, world.sandbox)).rebuilt
    assert await world.agent(clone, "git status --porcelain") == "M README"


async def test_a_healthy_clone_is_left_as_it_is(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo staged > s.txt; git add s.txt; echo changed > README; git checkout -q -b mine")
    before = await world.agent(clone, "git status --porcelain --branch; git stash list")
    healed = await heal_clone(clone, world.sandbox)
    assert not healed.rebuilt
    assert not healed.ended
    assert await world.agent(clone, "git status --porcelain --branch; git stash list") == before


async def test_a_work_tree_that_became_a_link_is_refused_and_nothing_is_written_behind_it(world: World) -> None:
    clone = await world.clone()
    elsewhere = world.root / "elsewhere"
    elsewhere.mkdir()
    clone.path.rename(world.root / "moved")
    clone.path.symlink_to(elsewhere)
    with pytest.raises(CloneDamaged):
        await heal_clone(clone, world.sandbox)
    assert list(elsewhere.iterdir()) == []


async def test_git_that_hangs_in_the_clone_is_a_timeout_with_a_name_and_healing_begins_anew(world: World) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo changed > README; rm .git/config; mkfifo .git/config")
    with pytest.raises(TimedOut) as late:
        await in_clone(clone, world.sandbox, "status", timeout_seconds=0.5)
    assert late.value.transient
    healed = await heal_clone(clone, world.sandbox, timeout_seconds=6)
    assert healed.rebuilt
    assert await world.agent(clone, "git status --porcelain") == "M README"
