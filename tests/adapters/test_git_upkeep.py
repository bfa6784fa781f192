"""Given an executor's own folder and sandbox, a round of upkeep does with them what it does in the small."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from adapters.git_world import AGENT, OTHER_TASK, TASK, World, make_world
from nats.aio.client import Client

from penstock_agent_exec.folder import DataFolder, hold
from penstock_agent_exec.git.clone import Clone, find_clone
from penstock_agent_exec.git.collect import DAY_SECONDS
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.git.mirror import is_due
from penstock_agent_exec.git.spare import spares_of
from penstock_agent_exec.git.work import newest_kept
from penstock_agent_exec.known_secrets import known_secrets
from penstock_agent_exec.settings import bwrap_of, load
from penstock_agent_exec.steps.bench import Bench
from penstock_agent_exec.upkeep import once, upkeep

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def folder(world: World) -> DataFolder:
    return hold(world.data)


def bench_of(folder: DataFolder, **more: str) -> Bench:
    """An executor's, which has never spoken to a broker."""
    settings = load(
        {
            "PENSTOCK_HOST": "h1",
            "PENSTOCK_DATA_DIR": str(folder.path),
            "PENSTOCK_NATS_URL": "nats://127.0.0.1:1",
            "PENSTOCK_NATS_PASSWORD": "none",
            "PENSTOCK_KEEP_DAYS": "3",
        }
        | more
    )
    return Bench(
        nc=Client(),
        settings=settings,
        folder=folder,
        bwrap=bwrap_of(settings) if settings.runs else None,
        offers={},
        secrets=known_secrets(settings),
    )


@pytest.fixture
def bench(folder: DataFolder) -> Bench:
    return bench_of(folder)


async def clone_of(world: World, bench: Bench, task: str) -> Clone:
    sandbox = bench.git_sandbox(world.data / "tasks" / task / "repo", world.mirror)
    return await make_clone(world.data, world.mirror, task, base=await world.base(), identity=AGENT, sandbox=sandbox)


async def test_a_clone_of_an_executor_is_kept_collected_and_used_again_in_its_own_sandbox(
    world: World, bench: Bench
) -> None:
    clone = await clone_of(world, bench, TASK)
    (clone.path / "new.txt").write_text("new\n")
    inode = (clone.path / "README").stat().st_ino
    at = time.time() - 4 * DAY_SECONDS
    os.utime(clone.record, (at, at))
    await once(bench)
    assert find_clone(world.data, TASK) is None
    assert await newest_kept(world.mirror, TASK) is not None
    assert not is_due(world.mirror, now=time.time())
    other = await clone_of(world, bench, OTHER_TASK)
    assert (other.path / "README").stat().st_ino == inode
    assert not (other.path / "new.txt").exists()
    assert not spares_of(world.data, "sample")


async def test_upkeep_ends_with_the_executor_and_does_nothing_in_its_first_minute(world: World, bench: Bench) -> None:
    clone = await clone_of(world, bench, TASK)
    os.utime(clone.record, (0, 0))
    async with upkeep(bench):
        assert find_clone(world.data, TASK) == clone
    assert find_clone(world.data, TASK) == clone


async def test_a_host_that_runs_no_agents_any_more_runs_no_git_in_what_they_have_left(
    world: World, folder: DataFolder, bench: Bench
) -> None:
    clone = await clone_of(world, bench, TASK)
    await world.agent(
        clone, f"git config core.fsmonitor 'touch {world.root}/fired'; echo '* filter=x' > .gitattributes"
    )
    await world.agent(clone, f"git config filter.x.clean 'touch {world.root}/fired'")
    os.utime(clone.record, (0, 0))
    await once(bench_of(folder, PENSTOCK_ROLES="publish"))
    assert find_clone(world.data, TASK) is None
    assert not clone.path.parent.exists()
    assert await newest_kept(world.mirror, TASK) is None
    assert not spares_of(world.data, "sample")
    assert not (world.root / "fired").exists()
