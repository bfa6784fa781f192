"""Given an executor that is paused beyond its leases as it is about to push, when it wakes, then it pushes nothing: every time.

The short form does it four times; `PENSTOCK_TEST_FENCED=50` is the long one. Each pause catches several jobs, as it would.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from executor_world import COMMIT, MEND, World, until, world
from servers import NatsForTest
from whole import Remote, calc_remote

from penstock import ids
from penstock.events import AgentSucceeded, PublishSucceeded
from penstock.jobs import Job

TIMES = int(os.environ.get("PENSTOCK_TEST_FENCED", "4"))
AT_ONCE = 5
LEASE_SECONDS = 8  # a slow machine renews it in time

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1_200)]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, remote) as found:
        found.script("mends", [MEND, COMMIT])
        yield found


class Gate:
    """A `git` on PATH of which everybody who asks the remote for its branches waits, while the gate is shut."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        real = next(path for part in os.environ["PATH"].split(":") if (path := Path(part) / "git").exists())
        (folder / "git").write_text(
            f'#!/bin/sh\ncase " $* " in *" ls-remote "*) if [ -e {folder}/shut ]; then touch {folder}/waits-$$; '
            f'while [ -e {folder}/shut ]; do sleep 0.02; done; rm {folder}/waits-$$; fi;; esac\nexec {real} "$@"\n'
        )
        (folder / "git").chmod(0o755)
        self.path = f"{folder}:{os.environ['PATH']}"

    def shut(self) -> None:
        for waited in self._folder.glob("waits-*"):
            waited.unlink()  # of one that was killed as it waited
        (self._folder / "shut").touch()

    def open(self) -> None:
        (self._folder / "shut").unlink()

    def waiting(self) -> int:
        return len(list(self._folder.glob("waits-*")))


async def worked_on(place: World, task: str) -> tuple[str, str]:
    """(base, commit) of a task whose agent has done its work."""
    base = (await place.prepared(task)).base_commit
    done = await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)
    return base, done.change.commit


async def test_a_paused_executor_is_fenced_and_pushes_nothing_every_time(place: World, remote: Remote) -> None:
    gate = Gate(place.folder / "gate")
    process = place.executor(path=gate.path, job_lease_seconds=str(LEASE_SECONDS), slots=str(AT_ONCE))
    process.start()
    await process.ready()
    fenced = 0
    while fenced < TIMES:
        tasks = [ids.fresh() for _ in range(min(AT_ONCE, TIMES - fenced))]
        changes = {task: await worked_on(place, task) for task in tasks}
        gate.shut()
        orders = {task: place.publish(task, *change) for task, change in changes.items()}
        jobs: list[Job] = [await place.desk.order(work, task=task) for task, work in orders.items()]

        async def all_wait(count: int = len(tasks)) -> bool:
            return gate.waiting() == count

        async def all_leases_gone(jobs: list[Job] = jobs) -> bool:
            return all([await place.desk.lease_is_gone(job) for job in jobs])

        async def all_lost(count: int = fenced + len(tasks)) -> bool:
            return process.log.count("job.lease_lost") == count

        await until(all_wait)
        process.send(signal.SIGSTOP)
        await until(all_leases_gone)
        gate.open()
        process.send(signal.SIGCONT)
        await until(all_lost)
        assert remote.pushes == []
        assert not [task for task in tasks if f"agent/{task}" in remote.branches()]
        assert [await place.desk.reports(job) for job in jobs] == [0] * len(jobs)
        fenced += len(tasks)
    print(f"{fenced} of {TIMES} fenced, {len(remote.pushes)} pushed")
    # Whoever comes after them may, and does it once.
    last = tasks[-1]
    await place.step(last, orders[last], PublishSucceeded)
    assert len(remote.pushes) == 1
