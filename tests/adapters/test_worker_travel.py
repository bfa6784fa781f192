"""Given hosts that share work, when one has done a step, then another goes on from what it has left, or hands it over; and what
is not exactly what was promised begins nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from executor_world import COMMIT, MEND, World, logged, world
from processes import ServiceProcess
from servers import NatsForTest
from whole import CALC, CALC_MENDED, Remote, calc_remote, git

from penstock import ids
from penstock import subjects as s
from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    JobStopped,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
)
from penstock.values import Kept, Parcel

pytestmark = pytest.mark.anyio
SHARED: dict[str, Any] = {"share_work": True}
POOLED: dict[str, Any] = {"share_work": True, "publish_elsewhere": True}
LARGE_SECONDS_MAX = 600.0
HALF: dict[str, Any] = {"do": "write", "path": "half.txt", "content": "half\n"}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    """A world with no executor yet."""
    async with world(tmp_path / "w", nats, remote) as found:
        found.script("mends", [MEND, COMMIT])
        found.script("half", [HALF, {"do": "turn_limit"}])
        yield found


@pytest.fixture
def task() -> str:
    return ids.fresh()


async def start_both(place: World) -> tuple[ServiceProcess, ServiceProcess]:
    """h1 runs, h2 publishes."""
    return await place.start("h1", roles="run"), await place.start("h2", roles="publish")


async def mended(place: World, task: str) -> tuple[str, AgentSucceeded]:
    base = (await place.prepared(task)).base_commit
    return base, await place.step(task, place.agent(task, base, "mends", **POOLED), AgentSucceeded)


async def handed_over(place: World, task: str, base: str, commit: str, parcel: Parcel | None, **more: Any) -> object:
    """What the pool says to the order to publish."""
    work = place.publish(task, base, commit, parcel=parcel, **more)
    return (await place.desk.report(await place.desk.order(work, task=task, host=None, pool="publish"))).body


async def test_a_change_is_made_on_one_host_and_handed_over_by_another(place: World, task: str, remote: Remote) -> None:
    await start_both(place)
    base, done = await mended(place, task)
    assert done.parcel is not None
    assert done.parcel.bundle is not None
    assert (done.parcel.commit, done.parcel.session) == (done.change.commit, None)
    found = await handed_over(place, task, base, done.change.commit, done.parcel)
    assert isinstance(found, PublishSucceeded), found
    assert remote.branches()[f"agent/{task}"] == done.change.commit
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
    assert len(remote.pushes) == 1
    again = await handed_over(place, task, base, done.change.commit, done.parcel)
    assert isinstance(again, PublishSucceeded)
    assert again.delivery.adopted
    assert len(remote.pushes) == 1


async def test_hosts_say_what_they_are_there_for(place: World, task: str) -> None:
    await start_both(place)
    await mended(place, task)
    runs, publishes = await place.desk.host_state("h1"), await place.desk.host_state("h2")
    assert runs is not None
    assert publishes is not None
    assert (runs.roles, runs.pools, runs.vendors) == (("run",), ("scripted",), ("scripted",))
    assert (publishes.roles, publishes.pools, publishes.vendors) == (("publish",), ("publish",), ())
    assert not publishes.notes


async def test_a_patch_is_made_where_changes_are_handed_over(place: World, task: str, remote: Remote) -> None:
    await start_both(place)
    base, done = await mended(place, task)
    found = await handed_over(place, task, base, done.change.commit, done.parcel, flow="patch")
    assert isinstance(found, PublishSucceeded), found
    assert found.delivery.patch is not None
    assert remote.pushes == []


async def test_each_host_does_what_its_roles_allow_and_nothing_else(place: World, task: str, remote: Remote) -> None:
    await start_both(place)
    base, done = await mended(place, task)
    refused = await place.step(task, place.publish(task, base, done.change.commit), PublishFailed)
    assert (refused.error_class, refused.transient) == ("host.role_missing", True)
    here = await place.step(task, place.agent(task, base, "mends"), AgentFailed, host="h2")
    assert here.error_class == "host.role_missing"
    assert not (place.folder / "h2" / "tasks").exists()
    assert remote.pushes == []


# What is not what it should be


async def test_what_is_not_the_promised_commit_is_not_handed_over(place: World, task: str, remote: Remote) -> None:
    await start_both(place)
    base, done = await mended(place, task)
    assert done.parcel is not None
    other = msgspec.structs.replace(done.parcel, commit="d" * 40)
    found = await handed_over(place, task, base, "d" * 40, other)
    assert isinstance(found, PublishFailed)
    assert found.error_class == "parcel.refused"
    assert f"{done.change.commit} and not {'d' * 40}" in found.message
    elsewhere = msgspec.structs.replace(done.parcel, ref="refs/heads/main")
    found = await handed_over(place, task, base, done.change.commit, elsewhere)
    assert isinstance(found, PublishFailed)
    assert found.error_class == "parcel.refused"
    assert remote.pushes == []


async def test_a_bundle_that_was_changed_on_the_way_is_refused(place: World, task: str, remote: Remote) -> None:
    await start_both(place)
    base, done = await mended(place, task)
    assert done.parcel is not None
    assert done.parcel.bundle is not None
    subject = s.artifact_chunk(task, done.parcel.job, done.parcel.bundle.name, 0)
    await place.desk.nc.jetstream().publish(subject, b"# v2 git bundle\n", stream=s.ARTIFACTS)
    found = await handed_over(place, task, base, done.change.commit, done.parcel)
    assert isinstance(found, PublishFailed)
    assert found.error_class == "parcel.refused"
    await place.desk.nc.jetstream().purge_stream(s.ARTIFACTS)
    found = await handed_over(place, task, base, done.change.commit, done.parcel)
    assert isinstance(found, PublishFailed)
    assert (found.error_class, found.transient) == ("parcel.gone", False)
    found = await handed_over(place, task, base, done.change.commit, None)
    assert isinstance(found, PublishFailed)
    assert found.error_class == "parcel.missing"
    assert remote.pushes == []


async def test_a_change_on_a_base_that_the_remote_has_not_any_more_waits_for_a_person(
    place: World, task: str, remote: Remote
) -> None:
    await start_both(place)
    base, done = await mended(place, task)
    git(remote.path, "update-ref", "refs/heads/main", git(remote.path, "commit-tree", f"{base}^{{tree}}", "-m", "Anew"))
    found = await handed_over(place, task, base, done.change.commit, done.parcel)
    assert isinstance(found, PublishFailed)
    assert (found.error_class, found.transient) == ("git.base_gone", False)


@pytest.mark.timeout(2 * LARGE_SECONDS_MAX)
@pytest.mark.parametrize(
    "content", ["urandom", "zero"]
)  # of zeros the bundle is small, and nobody can look through them
async def test_a_change_too_large_to_travel_is_no_result_and_that_is_said(
    place: World, task: str, content: str
) -> None:
    await place.start("h1", roles="run")
    base = (await place.prepared(task)).base_commit
    place.script("large", [MEND, {"do": "run", "argv": ["sh", "-c", f"head -c 70000000 /dev/{content} > big.bin"]}])
    job = await place.desk.order(place.agent(task, base, "large", **POOLED), task=task)
    failed = (await place.desk.report(job, within_seconds=LARGE_SECONDS_MAX)).body
    assert isinstance(failed, AgentFailed), failed
    assert (failed.error_class, failed.transient) == ("agent.change_too_large", False)
    assert "leave out whatever is generated" in failed.message
    assert failed.kept is not None
    assert failed.parcel is not None
    assert not failed.parcel.is_whole
    await place.desk.says(job, "not left for other hosts")


async def test_what_a_host_hides_does_not_travel(place: World, task: str) -> None:
    secret = "a-secret-of-this-host-alone"
    (place.folder / "secrets").write_text(f"{secret}\n")
    await place.start("h1", roles="run", secrets_file=str(place.folder / "secrets"))
    base = (await place.prepared(task)).base_commit
    place.script("tells", [{"do": "write", "path": "notes.txt", "content": f"it is {secret}\n"}, COMMIT])
    failed = await place.step(task, place.agent(task, base, "tells", **POOLED), AgentFailed)
    assert (failed.error_class, failed.parcel) == ("agent.secret_in_change", None)
    assert secret not in failed.message


async def test_nothing_is_left_where_nobody_shares(place: World, task: str) -> None:
    await place.start("h1")
    base = (await place.prepared(task)).base_commit
    assert (await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)).parcel is None


# Another host goes on


async def half_done(place: World, task: str) -> tuple[str, AgentFailed]:
    base = (await place.prepared(task)).base_commit
    return base, await place.step(task, place.agent(task, base, "half", **SHARED), AgentFailed)


def carried(place: World, task: str, base: str, kept: Kept | None, parcel: Parcel | None) -> Any:
    return place.prepare(task, base_commit=base, kept=kept, parcel=parcel)


async def test_another_host_goes_on_where_one_that_is_gone_had_got_to(place: World, task: str) -> None:
    first = await place.start("h1")
    base, half = await half_done(place, task)
    assert half.kept is not None
    await asyncio.to_thread(first.kill)
    await place.start("h2")
    there = await place.step(task, carried(place, task, base, half.kept, half.parcel), PrepareSucceeded, host="h2")
    assert (there.host, there.base_commit) == ("h2", base)
    assert (place.folder / "h2" / "tasks" / task / "repo" / "half.txt").read_text() == "half\n"
    done = await place.step(task, place.agent(task, base, "mends", **SHARED), AgentSucceeded, host="h2")
    assert set(done.change.files) == {"calc.py", "half.txt"}


async def test_a_change_is_there_to_be_checked_on_the_next_host(place: World, task: str) -> None:
    first = await place.start("h1")
    base, done = await mended(place, task)
    await asyncio.to_thread(first.kill)
    await place.start("h2")
    assert done.parcel is not None
    kept = Kept(ref=done.parcel.ref, commit=done.change.commit)
    await place.step(task, carried(place, task, base, kept, done.parcel), PrepareSucceeded, host="h2")
    assert (place.folder / "h2" / "tasks" / task / "repo" / "calc.py").read_text() == CALC_MENDED


async def test_a_host_that_the_task_comes_back_to_does_not_go_on_from_what_it_had(place: World, task: str) -> None:
    await place.start("h1")
    await place.start("h2")
    base = (await place.prepared(task)).base_commit
    await place.step(task, place.prepare(task), PrepareSucceeded, host="h2")
    older = place.folder / "h2" / "tasks" / task / "repo"
    (older / "older.txt").write_text("older\n")
    half = await place.step(task, place.agent(task, base, "half", **SHARED), AgentFailed)
    job = await place.desk.order(carried(place, task, base, half.kept, half.parcel), task=task, host="h2")
    await place.desk.body(job, PrepareSucceeded)
    assert (older / "half.txt").exists()
    assert not (older / "older.txt").exists()
    await place.desk.says(job, "set aside")
    kept = git(place.folder / "h2" / "mirrors" / "calc.git", "ls-tree", "--name-only", f"refs/penstock/wip/{task}/0")
    assert "older.txt" in kept


async def test_what_is_not_there_any_more_is_said_and_nothing_is_begun(place: World, task: str) -> None:
    first = await place.start("h1")
    base, half = await half_done(place, task)
    await asyncio.to_thread(first.kill)
    await place.desk.nc.jetstream().purge_stream(s.ARTIFACTS)
    await place.start("h2")
    failed = await place.step(task, carried(place, task, base, half.kept, half.parcel), PrepareFailed, host="h2")
    assert (failed.error_class, failed.transient) == ("parcel.gone", False)
    # What the task asks for next: from the beginning.
    await place.step(task, place.prepare(task), PrepareSucceeded, host="h2")
    assert (place.folder / "h2" / "tasks" / task / "repo" / "calc.py").read_text() == CALC


async def test_an_executor_that_is_told_to_end_leaves_what_its_agent_had_done(place: World, task: str) -> None:
    first = await place.start("h1", drain_grace_seconds="0.2")
    base = (await place.prepared(task)).base_commit
    place.script("long", [HALF, {"do": "say", "text": "half way"}, {"do": "hang"}])
    job = await place.desk.order(place.agent(task, base, "long", **SHARED), task=task)
    await place.desk.says(job, "half way")
    first.send(signal.SIGTERM)
    await logged(first, "worker.draining")
    later = await place.desk.order(place.agent(task, base, "mends"), task=task)
    stopped = await place.desk.body(job, JobStopped)
    assert await asyncio.to_thread(first.ended) == 0
    assert stopped.reason == "drain"
    assert stopped.parcel is not None
    assert stopped.parcel.is_whole
    assert await place.desk.is_queued(later.id)
    assert not await place.desk.is_queued(job.id)
    await place.start("h2")
    await place.step(task, carried(place, task, base, stopped.kept, stopped.parcel), PrepareSucceeded, host="h2")
    assert (place.folder / "h2" / "tasks" / task / "repo" / "half.txt").exists()
