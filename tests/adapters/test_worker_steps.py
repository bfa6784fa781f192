"""Given an order for one step, when the executor has done it, then this is in its report, and nothing else happened."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from executor_world import COMMIT, MEND, World, world
from servers import PASSWORD, NatsForTest
from whole import CALC_MENDED, TEST_COMMAND, Remote, calc_remote, git

from penstock import artifacts, ids
from penstock.bounds import TAIL_LENGTH_MAX
from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    JobStopped,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
    VerifyFailed,
    VerifySucceeded,
)
from penstock_agent_exec.forge.recording import recorded

pytestmark = pytest.mark.anyio


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
def task() -> str:
    return ids.fresh()


async def mended(place: World, task: str) -> tuple[str, str]:
    """(base, commit) of a task whose agent has done its work."""
    base = (await place.prepared(task)).base_commit
    place.script("mends", [MEND, COMMIT])
    done = await place.step(task, place.agent(task, base, "mends"), AgentSucceeded)
    return base, done.change.commit


async def test_a_task_goes_from_a_clone_to_a_pushed_branch(place: World, task: str, remote: Remote) -> None:
    prepared = await place.prepared(task, host=None)
    assert (prepared.host, prepared.branch) == ("h1", f"agent/{task}")
    assert prepared.base_commit == remote.branches()["main"]
    place.script(
        "mends", [{"do": "say", "text": "I see."}, MEND, COMMIT, {"do": "usage", "turns": 2, "input_tokens": 7}]
    )
    done = await place.step(task, place.agent(task, prepared.base_commit, "mends"), AgentSucceeded)
    assert done.change.files == ("calc.py",)
    assert (done.change.commits, done.change.lines_added, done.change.lines_removed) == (1, 1, 1)
    assert (done.usage.turns, done.usage.input_tokens, done.usage.cost_usd) == (2, 7, 0.0)
    assert done.sandbox.startswith("bwrap, no network, ")
    assert done.summary == "I see."
    checked = await place.step(task, place.verify(task, done.change.commit, test=TEST_COMMAND), VerifySucceeded)
    assert [(command.stage, command.exit_code) for command in checked.commands] == [("test", 0)]
    published = await place.step(task, place.publish(task, prepared.base_commit, done.change.commit), PublishSucceeded)
    assert published.delivery.kind == "branch"
    assert remote.branches()[f"agent/{task}"] == published.delivery.commit == done.change.commit
    assert remote.file(f"agent/{task}", "calc.py") == CALC_MENDED
    assert place.desk.stored_at_claim == [True] * 4
    assert not any([await place.desk.is_queued(claim.job) for claim in place.desk.claims])


async def test_a_base_that_is_not_there_fails_the_prepare(place: World, task: str) -> None:
    place.repo = type(place.repo)(name="calc", clone_url=str(place.remote.path), default_branch="no-such-branch")
    failed = await place.step(task, place.prepare(task), PrepareFailed)
    assert (failed.error_class, failed.transient) == ("git.ref_missing", False)


async def test_an_agent_that_changes_nothing_has_not_succeeded(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("idle", [{"do": "say", "text": "All is well already."}])
    failed = await place.step(task, place.agent(task, base, "idle"), AgentFailed)
    assert failed.error_class == "agent.no_change"
    assert failed.message == "All is well already."
    assert failed.kept is None


async def test_what_the_agent_left_uncommitted_is_in_the_change(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("forgets", [MEND, {"do": "write", "path": "docs/new.md", "content": "new\n"}])
    done = await place.step(task, place.agent(task, base, "forgets"), AgentSucceeded)
    assert done.change.files == ("calc.py", "docs/new.md")


async def test_a_failed_agent_says_its_class_when_to_come_back_and_where_its_work_is(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    limit = {"do": "fail", "class": "vendor.rate_limit", "transient": True, "retry_after_seconds": 600}
    place.script("limited", [MEND, limit])
    failed = await place.step(task, place.agent(task, base, "limited"), AgentFailed)
    assert (failed.error_class, failed.transient) == ("vendor.rate_limit", True)
    assert failed.retry_at is not None
    assert failed.usage.cost_usd == 0.0
    assert failed.kept is not None
    mirror = place.folder / "h1" / "mirrors" / "calc.git"
    assert git(mirror, "show", f"{failed.kept.commit}:calc.py") + "\n" == CALC_MENDED
    assert git(mirror, "rev-parse", failed.kept.ref) == failed.kept.commit


async def test_a_script_that_does_not_exist_is_refused_with_a_class(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    failed = await place.step(task, place.agent(task, base, "no-such-script"), AgentFailed)
    assert failed.error_class == "vendor.model_not_found"
    assert failed.usage.cost_usd == 0.0


async def test_an_agent_that_takes_too_long_is_ended_and_its_work_kept(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("hangs", [MEND, {"do": "hang", "deaf": True}])
    failed = await place.step(task, place.agent(task, base, "hangs", wall_seconds_max=5.0), AgentFailed)
    assert failed.error_class == "agent.timeout"
    assert failed.usage.wall_seconds >= 5.0
    assert failed.kept is not None


async def test_a_line_of_ten_megabytes_and_a_flood_of_lines_are_borne(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    floods = [{"do": "emit", "count": 1, "line_bytes": 10_000_000}, {"do": "emit", "count": 50_000}]
    place.script("floods", [*floods, MEND, COMMIT, {"do": "say", "text": "after the flood"}])
    job = await place.desk.order(place.agent(task, base, "floods"), task=task)
    assert (await place.desk.body(job, AgentSucceeded)).summary == "after the flood"
    await place.desk.says(job, "after the flood")


async def test_a_failed_check_says_which_and_shows_how_it_began_and_ended(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    noisy = "echo first words; seq 1 100000; echo last words; exit 3"
    job = await place.desk.order(place.verify(task, base, build="true", test=noisy, lint="true"), task=task)
    failed = await place.desk.body(job, VerifyFailed)
    assert failed.error_class == "test.failed"
    assert [(command.stage, command.exit_code) for command in failed.commands] == [("build", 0), ("test", 3)]
    tail = failed.commands[1].tail
    assert tail.startswith("first words")
    assert tail.rstrip().endswith("last words")
    assert "left out" in tail
    assert len(tail) <= TAIL_LENGTH_MAX
    assert "exit code 3" in failed.message
    await place.desk.says(job, "last words")


async def test_a_check_that_does_not_end_is_ended(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    work = place.verify(task, base, seconds=5.0, test="echo begun; sleep 600")
    failed = await place.step(task, work, VerifyFailed)
    assert failed.error_class == "verify.timeout"
    assert (failed.commands[0].ended, failed.commands[0].exit_code) == ("timeout", None)
    assert "begun" in failed.commands[0].tail


async def test_what_an_agent_left_lying_cannot_make_a_check_pass(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    ignored = {"do": "write", "path": "__pycache__/passes", "content": "yes\n"}
    place.script("cheats", [MEND, COMMIT, ignored])
    done = await place.step(task, place.agent(task, base, "cheats"), AgentSucceeded)
    work = place.verify(task, done.change.commit, test="test -e __pycache__/passes")
    assert (await place.step(task, work, VerifyFailed)).error_class == "test.failed"


async def test_a_check_sees_no_network_no_credential_and_no_other_task(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    look = f"env; ls {place.folder}/h1 {place.folder}/h1/tasks; cat /proc/net/dev; exit 1"
    failed = await place.step(task, place.verify(task, base, test=look), VerifyFailed)
    seen = failed.commands[0].tail
    assert "CI=true" in seen
    assert PASSWORD not in seen
    assert "PENSTOCK_NATS" not in seen
    assert "installation" not in seen.replace("PENSTOCK_INSTALLATION", "")
    assert "No such file or directory" in seen
    assert [line.split(":")[0].strip() for line in seen.splitlines() if ":" in line and "packets" not in line][
        -1
    ] == "lo"


async def test_a_branch_that_is_already_there_is_adopted_and_not_pushed_again(
    place: World, task: str, remote: Remote
) -> None:
    base, commit = await mended(place, task)
    deliveries = [
        (await place.step(task, place.publish(task, base, commit), PublishSucceeded)).delivery for _ in range(2)
    ]
    assert [delivery.adopted for delivery in deliveries] == [False, True]
    assert len(remote.pushes) == 1


async def test_a_branch_that_is_somebody_elses_is_left_alone(place: World, task: str, remote: Remote) -> None:
    base, commit = await mended(place, task)
    git(remote.path, "update-ref", f"refs/heads/agent/{task}", base)
    failed = await place.step(task, place.publish(task, base, commit), PublishFailed)
    assert (failed.error_class, failed.transient) == ("git.non_fast_forward", False)
    assert remote.branches()[f"agent/{task}"] == base


async def test_a_pull_request_whose_answer_was_lost_is_found_and_not_opened_again(
    place: World, task: str, remote: Remote
) -> None:
    base, commit = await mended(place, task)
    forge = place.folder / "h1" / "forge"
    forge.mkdir()
    (forge / "fault.json").write_text('{"kind": "timeout_after_effect"}')
    work = place.publish(task, base, commit, provider="recording")
    failed = await place.step(task, work, PublishFailed)
    assert (failed.error_class, failed.transient) == ("forge.unreachable", True)
    delivery = (await place.step(task, work, PublishSucceeded)).delivery
    assert (delivery.kind, delivery.adopted) == ("pull_request", True)
    assert [(entry.url, entry.title) for entry in recorded(forge)] == [(delivery.url, "Mend the sum")]
    assert len(remote.pushes) == 1


async def test_a_patch_is_stored_whole_and_applies(place: World, task: str, remote: Remote, tmp_path: Path) -> None:
    base, commit = await mended(place, task)
    job = await place.desk.order(place.publish(task, base, commit, flow="patch"), task=task)
    delivery = (await place.desk.body(job, PublishSucceeded)).delivery
    assert delivery.kind == "patch"
    assert delivery.patch is not None
    loaded = artifacts.load(place.desk.nc, delivery.patch, task=task, job=job.id)
    (tmp_path / "change.patch").write_bytes(b"".join([chunk async for chunk in loaded]))
    git(tmp_path, "clone", "-q", str(remote.path), "fresh")
    git(tmp_path / "fresh", "am", "-q", str(tmp_path / "change.patch"))
    assert (tmp_path / "fresh" / "calc.py").read_text() == CALC_MENDED
    assert remote.pushes == []


async def test_a_clone_that_the_host_has_lost_is_made_again_and_that_is_said(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    (place.folder / "h1" / "tasks" / f"{task}.clone").unlink()
    place.script("mends", [MEND, COMMIT])
    job = await place.desk.order(place.agent(task, base, "mends"), task=task)
    assert (await place.desk.body(job, AgentSucceeded)).change.files == ("calc.py",)
    await place.desk.says(job, "not on this host any more")


async def test_a_clone_that_the_host_has_let_go_is_begun_again_from_the_work_that_was_kept(
    place: World, task: str
) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("fails", [MEND, {"do": "fail", "class": "vendor.overloaded"}])
    failure = await place.step(task, place.agent(task, base, "fails"), AgentFailed)
    assert failure.kept is not None
    shutil.rmtree(place.folder / "h1" / "tasks" / task)
    place.script("adds", [{"do": "write", "path": "x", "content": "x"}])
    job = await place.desk.order(place.agent(task, base, "adds"), task=task)
    assert (await place.desk.body(job, AgentSucceeded)).change.files == ("calc.py", "x")
    await place.desk.says(job, "begun again from the work that was kept")


async def test_a_change_with_a_submodule_is_no_result_and_that_is_said(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    add = f"git update-index --add --cacheinfo 160000,{base},sub; mkdir -p sub; git commit -qm sub"
    place.script("adds", [MEND, {"do": "run", "argv": ["sh", "-c", add]}])
    failure = await place.step(task, place.agent(task, base, "adds"), AgentFailed)
    assert (failure.error_class, failure.transient) == ("agent.submodule_in_change", False)
    assert failure.message.endswith("sub")


async def test_a_session_that_is_lost_is_begun_again_with_the_whole_history_and_that_is_said(
    place: World, task: str
) -> None:
    base = (await place.prepared(task)).base_commit
    lost = {"when": {"resumed": True}, "steps": [{"do": "fail", "class": "vendor.session_lost"}]}
    whole = {"when": {"prompt_contains": "from the beginning"}, "steps": [MEND, COMMIT]}
    place.cases("forgets", lost, whole)
    work = place.agent(task, base, "forgets", resume=True)
    done = await place.step(task, work, AgentSucceeded)
    assert done.session_restarted
    assert done.session_id != work.session_id
    place.script("goes-on", [MEND, COMMIT, {"do": "write", "path": "x", "content": "x"}])
    gone_on = await place.step(task, place.agent(task, base, "goes-on", resume=True), AgentSucceeded)
    assert not gone_on.session_restarted


async def test_a_session_that_is_in_use_is_come_back_to_soon(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("busy", [{"do": "fail", "class": "vendor.session_in_use", "transient": True}])
    report = await place.desk.report(await place.desk.order(place.agent(task, base, "busy"), task=task))
    failed = report.body
    assert isinstance(failed, AgentFailed)
    assert (failed.error_class, failed.transient) == ("vendor.session_in_use", True)
    assert failed.retry_at is not None
    # The report is written a moment later, and read whenever the machine has time.
    assert abs((failed.retry_at - report.at).total_seconds() - 10) < 10


async def test_the_scripted_agent_under_a_second_name_is_a_second_vendor(
    tmp_path: Path, remote: Remote, task: str
) -> None:
    names = ("scripted", "scripted-backup")
    server = NatsForTest(tmp_path / "two-pools", pools=names)
    server.start()
    try:
        await server.provision()
        await _goes_over(tmp_path, server, remote, task, names)
    finally:
        server.kill()


async def _goes_over(tmp_path: Path, server: NatsForTest, remote: Remote, task: str, names: tuple[str, str]) -> None:
    async with world(tmp_path / "w", server, remote) as place:
        await place.start(vendors=",".join(names))
        base = (await place.prepared(task)).base_commit
        place.cases(
            "fails-over",
            {"when": {"vendor": "scripted"}, "steps": [{"do": "fail", "class": "vendor.overloaded"}]},
            {"when": {"vendor": "scripted-backup"}, "steps": [MEND, COMMIT]},
        )
        first, second = (place.agent(task, base, "fails-over", vendor=name) for name in names)
        assert (await place.step(task, first, AgentFailed)).error_class == "vendor.overloaded"
        assert (await place.step(task, second, AgentSucceeded)).change.files == ("calc.py",)


async def test_prepare_done_twice_keeps_the_work_that_is_there(place: World, task: str) -> None:
    base = (await place.prepared(task)).base_commit
    place.script("fails", [MEND, {"do": "fail", "class": "agent.crashed"}])
    await place.step(task, place.agent(task, base, "fails"), AgentFailed)
    again = await place.step(task, place.prepare(task), PrepareSucceeded)
    assert again.base_commit == base
    assert (place.folder / "h1" / "tasks" / task / "repo" / "calc.py").read_text() == CALC_MENDED


async def test_several_steps_run_at_once_on_one_host(tmp_path: Path, nats: NatsForTest, remote: Remote) -> None:
    async with world(tmp_path / "w", nats, remote) as place:
        await place.start(slots="3")
        place.script("hangs", [{"do": "say", "text": "at work"}, {"do": "hang"}])
        tasks = [ids.fresh() for _ in range(3)]
        bases = await asyncio.gather(*(place.prepared(task) for task in tasks))
        works = [place.agent(task, bases[0].base_commit, "hangs") for task in tasks]
        jobs = [await place.desk.order(work, task=task) for task, work in zip(tasks, works, strict=True)]
        await asyncio.gather(*(place.desk.says(job, "at work") for job in jobs))
        # None had ended when the last one had begun.
        assert [await place.desk.reports(job) for job in jobs] == [0, 0, 0]
        for job in jobs:
            await place.desk.stop(job)
        await asyncio.gather(*(place.desk.body(job, JobStopped) for job in jobs))
