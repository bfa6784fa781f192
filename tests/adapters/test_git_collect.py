"""Given a folder with what tasks and repos have left, what nobody has used for long goes, and nothing that is worked with."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from adapters.git_world import AGENT, OTHER_TASK, TASK, World, host_git, make_world

from penstock_agent_exec.folder import DataFolder, hold
from penstock_agent_exec.git.clone import Clone, find_clone
from penstock_agent_exec.git.collect import DAY_SECONDS, Bounds, collect, in_hand, maintain
from penstock_agent_exec.git.command import Sandboxed
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.git.mirror import Mirror, is_due, kept_commit, set_start, start_of, task_ref, wip_ref
from penstock_agent_exec.git.spare import spares_of
from penstock_agent_exec.git.work import keep_work, newest_kept, take_result

pytestmark = pytest.mark.anyio

THIRD_TASK = "01hzzzzzzzzzzzzzzzzzzzzzz3"
BOUNDS = Bounds(keep_days=14, disk_bytes_max=0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def folder(world: World) -> DataFolder:
    return hold(world.data)


def unused(path: Path, days: float) -> None:
    at = time.time() - days * DAY_SECONDS
    os.utime(path, (at, at))


async def one_round(world: World, folder: DataFolder, bounds: Bounds = BOUNDS) -> None:
    def in_clone(work_tree: Path, mirror: Mirror) -> Sandboxed:
        assert mirror == world.mirror
        assert work_tree.is_relative_to(world.data / "leaving")
        return world.sandbox

    await collect(folder, bounds, in_clone)


def on_disk(world: World) -> set[str]:
    """The tasks that have anything here."""
    assert not list((world.data / "leaving").glob("*"))
    return {path.name.removesuffix(".clone") for path in (world.data / "tasks").glob("*")}


async def old_clone(world: World, task: str = TASK, days: float = 15) -> Clone:
    clone = await world.clone(task)
    (clone.path.parent / "home").mkdir()
    (clone.path.parent / "home" / "session").write_text("x")
    unused(clone.record, days)
    return clone


async def test_a_clone_that_no_job_has_worked_with_for_long_goes_and_a_younger_one_stays(
    world: World, folder: DataFolder
) -> None:
    await old_clone(world, TASK, 15)
    await old_clone(world, OTHER_TASK, 13)
    await one_round(world, folder)
    assert on_disk(world) == {OTHER_TASK}
    assert find_clone(world.data, OTHER_TASK) is not None


async def test_its_uncommitted_work_is_kept_and_a_clone_begins_again_from_it(world: World, folder: DataFolder) -> None:
    clone = await old_clone(world)
    await world.agent(clone, "echo more >> README; git commit -qam more; echo loose > new.txt; touch .git/index.lock")
    await one_round(world, folder)
    kept = await newest_kept(world.mirror, TASK)
    assert kept is not None
    again = await world.clone(TASK, start=kept)
    assert await world.agent(again, "cat README new.txt; git status --porcelain") == "hello\nmore\nloose\n?? new.txt"


async def test_its_work_tree_is_a_spare_for_the_next_task(world: World, folder: DataFolder) -> None:
    clone = await old_clone(world)
    inode = (clone.path / "README").stat().st_ino
    await one_round(world, folder)
    assert ((await world.clone(OTHER_TASK)).path / "README").stat().st_ino == inode


async def test_no_more_spares_are_kept_than_a_repo_may_have_and_none_for_longer_than_a_clone(
    world: World, folder: DataFolder
) -> None:
    for task in (TASK, OTHER_TASK, THIRD_TASK):
        await old_clone(world, task)
    await one_round(world, folder)
    spares = spares_of(world.data, "sample")
    assert len(spares) == 2
    unused(spares[0].path, 15)
    await one_round(world, folder)
    assert spares_of(world.data, "sample") == [spares[1]]


async def test_what_maps_remember_goes_by_age_with_its_mirror_and_before_anything_else_where_there_is_too_much(
    world: World, folder: DataFolder
) -> None:
    maps = world.data / "maps"
    maps.mkdir()
    for repo, days in (("sample", 0), ("other", 15)):
        (maps / f"{repo}.sqlite").write_bytes(bytes(1 << 20))
        unused(maps / f"{repo}.sqlite", days)
    clone = await old_clone(world, days=1)
    await one_round(world, folder)
    assert [path.name for path in maps.iterdir()] == ["sample.sqlite"]
    await one_round(world, folder, Bounds(keep_days=14, disk_bytes_max=1))
    assert list(maps.iterdir()) == []
    assert not clone.path.exists()
    (maps / "sample.sqlite").write_bytes(b"x")
    for file in (world.mirror.path, world.mirror.fetched_file):
        unused(file, 15)
    await one_round(world, folder)
    assert (world.mirror.path.exists(), list(maps.iterdir())) == (False, [])


async def test_a_task_in_hand_keeps_its_clone_and_counts_as_used_afterwards(world: World, folder: DataFolder) -> None:
    clone = await old_clone(world)
    with in_hand(folder, TASK, "sample"):
        await one_round(world, folder, Bounds(keep_days=14, disk_bytes_max=1))
        assert find_clone(world.data, TASK) == clone
    await one_round(world, folder)
    assert find_clone(world.data, TASK) == clone
    assert not folder.in_hand


async def test_a_job_that_begins_while_its_clone_is_on_its_way_out_gets_another_one(
    world: World, folder: DataFolder
) -> None:
    clone = await old_clone(world)
    begun: list[Clone] = []

    def in_clone(_: Path, __: Mirror) -> Sandboxed:
        assert find_clone(world.data, TASK) is None
        begun.append(clone)
        return world.sandbox

    await collect(folder, BOUNDS, in_clone)
    assert begun
    assert (await world.clone(TASK)).path.is_dir()


async def test_a_clone_that_cannot_be_kept_or_spared_goes_all_the_same(world: World, folder: DataFolder) -> None:
    clone = await old_clone(world)
    await world.agent(clone, "rm -rf .git; mkdir shut; touch shut/x; chmod 0 shut; ln -s / root")
    clone.path.rename(clone.path.with_name("moved"))
    clone.path.symlink_to("/etc")
    await one_round(world, folder)
    assert on_disk(world) == set()
    assert Path("/etc/passwd").exists()


async def test_a_half_made_clone_goes_when_nobody_is_making_it_any_more(world: World, folder: DataFolder) -> None:
    half = world.data / "tasks" / TASK
    (half / "repo").mkdir(parents=True)
    await one_round(world, folder)
    assert half.exists()
    unused(half, 15)
    await one_round(world, folder)
    assert on_disk(world) == set()


async def test_over_the_limit_the_oldest_go_first_until_it_fits_and_a_task_of_this_hour_stays(
    world: World, folder: DataFolder
) -> None:
    for number, task in enumerate((TASK, OTHER_TASK, THIRD_TASK)):
        clone = await old_clone(world, task, days=(3, 2, 0)[number])
        (clone.path / "build").mkdir()
        (clone.path / "build" / "large").write_bytes(os.urandom(8 << 20))
        unused(clone.record, (3, 2, 0)[number])
    await one_round(world, folder, Bounds(keep_days=14, disk_bytes_max=20 << 20))
    assert on_disk(world) == {OTHER_TASK, THIRD_TASK}
    assert not spares_of(world.data, "sample")
    await one_round(world, folder, Bounds(keep_days=14, disk_bytes_max=1))
    assert on_disk(world) == {THIRD_TASK}


@pytest.mark.parametrize("with_record", [True, False])
async def test_a_round_cut_off_with_a_clone_on_its_way_out_is_finished_by_the_next(
    world: World, folder: DataFolder, with_record: bool
) -> None:
    clone = await old_clone(world)
    await world.agent(clone, "echo loose > new.txt")
    place = world.data / "leaving" / "x" / "tasks"
    place.mkdir(parents=True)
    clone.path.parent.rename(place / TASK)
    if with_record:
        clone.record.rename(place / clone.record.name)
    assert find_clone(world.data, TASK) is None
    await one_round(world, folder)
    assert (await newest_kept(world.mirror, TASK) is not None) is with_record
    assert len(spares_of(world.data, "sample")) == with_record
    assert find_clone(world.data, TASK) is None


async def test_kept_work_stays_as_long_as_its_task_has_a_clone_and_goes_by_age_after_that(
    world: World, folder: DataFolder
) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo more > README; git commit -qam more")
    await keep_work(clone, world.mirror, 1, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    await set_start(world.mirror, TASK, clone.base)
    no_age = Bounds(keep_days=14, disk_bytes_max=0, kept_work_days=-1)
    await one_round(world, folder, no_age)
    assert await kept_commit(world.mirror, task_ref(TASK)) == result.head
    shutil.rmtree(clone.path.parent)
    await one_round(world, folder)
    assert await kept_commit(world.mirror, wip_ref(TASK, 1)) == result.head
    await one_round(world, folder, no_age)
    assert await newest_kept(world.mirror, TASK) is None
    assert await start_of(world.mirror, TASK) is None
    # Whoever still names the commit finds it.
    assert host_git(world.root, f"--git-dir={world.mirror.path}", "cat-file", "-t", result.head) == "commit"


async def test_a_mirror_nobody_uses_goes_unless_it_holds_work_or_a_clone_borrows_from_it(
    world: World, folder: DataFolder
) -> None:
    base = await world.base()
    clone = await world.clone()
    unused(world.mirror.fetched_file, 15)
    await one_round(world, folder)
    assert world.mirror.path.is_dir()  # borrowed
    await world.agent(clone, "echo x > x")
    await keep_work(clone, world.mirror, 1, world.sandbox)
    unused(clone.record, 15)
    await one_round(world, folder)
    assert find_clone(world.data, TASK) is None
    assert world.mirror.path.is_dir()  # holds work
    forgetting = Bounds(keep_days=14, disk_bytes_max=0, kept_work_days=-1)
    with in_hand(folder, OTHER_TASK, "sample"):
        await one_round(world, folder, forgetting)
        assert world.mirror.path.is_dir()  # in hand
    await one_round(world, folder, forgetting)
    assert not world.mirror.path.exists()
    assert not spares_of(world.data, "sample")
    assert await world.base() == base


async def test_a_mirror_is_maintained_once_and_again_only_when_there_is_reason(
    world: World, folder: DataFolder
) -> None:
    await world.base()
    now = time.time()
    assert is_due(world.mirror, now=now)
    with in_hand(folder, TASK, "sample"):
        await maintain(folder)
    assert is_due(world.mirror, now=now)
    await maintain(folder)
    assert (world.mirror.objects / "info" / "commit-graphs" / "commit-graph-chain").is_file()
    assert not is_due(world.mirror, now=now + 2 * DAY_SECONDS)
    await world.base()
    assert not is_due(world.mirror, now=now)
    assert is_due(world.mirror, now=now + 2 * DAY_SECONDS)


async def test_a_clone_made_after_maintenance_finds_all_it_needs(world: World, folder: DataFolder) -> None:
    world.somebody_pushes("main", "more.txt", "x")
    await world.base()
    await maintain(folder)
    clone = await make_clone(
        world.data, world.mirror, TASK, base=await world.base(), identity=AGENT, sandbox=world.sandbox
    )
    assert await world.agent(clone, "git fsck --no-dangling 2>&1; git log --oneline | wc -l") == "3"
