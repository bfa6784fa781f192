"""Given a host's own limits, mounts and caches, jobs are held to them, see them, and the reports say so."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from executor_world import COMMIT, MEND, World, until, world
from servers import NatsForTest
from whole import calc_remote

from penstock import ids
from penstock.events import AgentFailed, AgentSucceeded, VerifyFailed, VerifySucceeded
from penstock_agent_exec.cgroups import find_means

pytestmark = pytest.mark.anyio

GREEDY = "python3 -I -S -c 'held = [bytearray(8 << 20) for _ in range(100)]; __import__(\"time\").sleep(3)'"
MEMORY_BYTES = 250 << 20
HELD_BY = find_means("tests").kind


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, calc_remote(tmp_path / "calc")) as found:
        yield found


@pytest.fixture
def task() -> str:
    return ids.fresh()


async def mended(place: World, task: str) -> str:
    base = (await place.prepared(task)).base_commit
    place.script("mends", [MEND, COMMIT])
    done = await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)
    assert done.sandbox.startswith(f"bwrap, no network, {HELD_BY}")
    return done.change.commit


async def test_a_check_that_runs_out_of_memory_is_told_from_one_that_fails(place: World, task: str) -> None:
    process = await place.start(sandbox_memory_bytes=str(MEMORY_BYTES))
    commit = await mended(place, task)
    failed = await place.step(task, place.verify(task, commit, test=f"{GREEDY}; exit 1"), VerifyFailed)
    last = failed.commands[-1]
    assert (failed.error_class, last.ended, last.exit_code) == ("env.out_of_memory", "out_of_memory", None)
    assert "Out of memory: Killed process" in last.tail
    plain = await place.step(task, place.verify(task, commit, test="exit 1"), VerifyFailed)
    assert (plain.error_class, plain.commands[-1].ended, plain.commands[-1].exit_code) == ("test.failed", "exited", 1)
    assert plain.sandbox == f"bwrap, no network, {HELD_BY}"

    async def no_group_is_left() -> bool:
        folders = find_means("tests").folders.values()
        return not [left for folder in folders for left in folder.glob(f"penstock-*-{process.pid}-*")]

    await until(no_group_is_left)


async def test_an_agent_that_runs_out_of_memory_fails_by_that_name(place: World, task: str) -> None:
    await place.start(sandbox_memory_bytes=str(MEMORY_BYTES))
    base = (await place.prepared(task)).base_commit
    # Groups kill the greedy part only; what it was a part of goes with it here.
    place.script("greedy", [{"do": "run", "argv": ["sh", "-c", f"{GREEDY}; kill -9 $PPID"]}, {"do": "hang"}])
    failed = await place.step(task, place.agent(task, base, "greedy"), AgentFailed)
    assert (failed.error_class, failed.transient) == ("env.out_of_memory", False)


async def test_a_repo_finds_its_cache_again_and_what_its_host_shows_it(place: World, task: str) -> None:
    (place.folder / "tools").mkdir()
    (place.folder / "tools" / "word").write_text("of the host\n")
    mounts = place.folder / "mounts.toml"
    mounts.write_text(f"""
        [[mount]]
        path = "{place.folder}/tools"
        inside = "/opt/tools"
        [[cache]]
        name = "pip"
        variables = ["PIP_CACHE_DIR"]
        repos = ["calc"]
    """)
    await place.start(mounts_file=str(mounts))
    commit = await mended(place, task)
    command = "cat /opt/tools/word; cat $PIP_CACHE_DIR/kept; echo found again > $PIP_CACHE_DIR/kept"
    first = await place.step(task, place.verify(task, commit, test=command), VerifySucceeded)
    again = await place.step(task, place.verify(task, commit, test=command), VerifySucceeded)
    assert "of the host" in first.commands[-1].tail
    assert "found again" not in first.commands[-1].tail
    assert "found again" in again.commands[-1].tail
    kept = place.folder / "h1" / "caches" / "calc" / "pip" / "kept"
    assert kept.read_text() == "found again\n"
    assert kept.stat().st_uid == os.geteuid()


async def test_an_executor_with_a_bad_file_of_mounts_does_not_start_and_names_the_entry(place: World) -> None:
    mounts = place.folder / "mounts.toml"
    mounts.write_text(f'[[mount]]\npath = "{place.folder}/h1"\n')
    process = place.executor(mounts_file=str(mounts))
    process.start()
    assert process.ended() == 1
    assert f"mount 1 ('{place.folder}/h1'): would show" in process.log
