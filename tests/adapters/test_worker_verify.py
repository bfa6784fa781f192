"""Given a repository whose tests report what they do, when its checks are run by a real executor, then this is told apart: what
is new, what had failed before, what was mended, and what fails only now and then."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from executor_world import COMMIT, World, until, world
from msgspec.structs import replace
from reporting_suite import REPOSITORY, TEST
from reporting_suite import cases as suite_cases
from servers import NatsForTest
from toolchains import SAMPLES, Sample
from toolchains.tools import missing
from whole import Remote

from penstock import artifacts, ids
from penstock.events import AgentSucceeded, JobStopped, VerifyFailed, VerifySucceeded
from penstock.jobs import VerifyWork
from penstock.values import Artifact, Checking

pytestmark = pytest.mark.anyio

RERUN: Final = Checking(rerun="test")
BASELINE: Final = Checking(rerun="test", baseline="failed")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path / "suite", REPOSITORY)


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest, remote: Remote) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, remote) as found:
        await found.start()
        yield found


@pytest.fixture
def task() -> str:
    return ids.fresh()


async def changed(place: World, task: str, **cases: str) -> tuple[str, str]:
    """(base, commit) of a task whose agent has made these of the test cases."""
    base = (await place.prepared(task)).base_commit
    write = {"do": "write", "path": "cases.json", "content": suite_cases(**cases)}
    place.script("changes", [write, {"do": "write", "path": "changed", "content": "yes\n"}, COMMIT])
    done = await place.step(task, place.agent(task, base, "changes"), AgentSucceeded)
    return base, done.change.commit


def checks(
    place: World, task: str, commit: str, checking: Checking, base: str | None = None, **commands: Any
) -> VerifyWork:
    work = place.verify(task, commit, **(commands or {"test": TEST}))
    return replace(work, repo=replace(work.repo, checking=checking), base_commit=base)


async def test_new_old_mended_and_flaky_are_told_apart_by_name(place: World, task: str) -> None:
    base, commit = await changed(place, task, mended="passes", will="fails", flick="flaky")
    work = checks(place, task, commit, BASELINE, base, test=TEST, lint="true")
    failed = await place.step(task, work, VerifyFailed)
    (only,) = failed.commands
    tests, again, before = only.tests, only.again, only.before
    assert tests is not None
    assert again is not None
    assert before is not None
    assert (tests.total, tests.passed, tests.failed, tests.skipped, tests.source) == (6, 2, 3, 1, "junit")
    assert tests.failed_names == ("t::flick", "t::old", "t::will")
    assert (again.exit_code, again.flaky, again.flaky_names) == (1, 1, ("t::flick",))
    assert (before.commit, before.exit_code, before.tests and before.tests.failed) == (base, 1, 2)
    assert (before.new_failures, before.new_names) == (1, ("t::will",))
    assert (before.failed_before, before.failed_before_names) == (1, ("t::old",))
    assert (before.fixed, before.fixed_names) == (1, ("t::mended",))
    assert before.wall_seconds > 0
    assert (failed.error_class, only.failed_before, only.flaky) == ("test.failed", False, False)

    # The host has looked at that commit: the next job asks what it knows.
    later = (await place.step(task, work, VerifyFailed)).commands[0].before
    assert later == replace(before, wall_seconds=0.0)


async def test_a_check_that_passes_when_it_is_run_again_is_flaky_and_not_silently_green(
    place: World, task: str
) -> None:
    base, commit = await changed(place, task, old="passes", mended="passes", flick="flaky")
    job = await place.desk.order(checks(place, task, commit, RERUN, base, test=TEST, lint="true"), task=task)
    passed = await place.desk.body(job, VerifySucceeded)
    test, lint = passed.commands
    assert (test.exit_code, test.flaky, test.passed, lint.passed) == (1, True, True, True)
    assert test.again is not None
    assert (test.again.exit_code, test.again.flaky_names) == (0, ("t::flick",))
    for kept, printed in ((test.output, "try 1: 1 failed\n"), (test.again.output, "try 2: 0 failed\n")):
        assert isinstance(kept, Artifact)
        whole = await artifacts.load_whole(place.desk.nc, kept, task=task, job=job.id)
        assert gzip.decompress(whole).decode() == printed
    await place.desk.says(job, "once more")


async def test_what_failed_before_and_nothing_else_is_said_so_and_the_other_checks_are_run(
    place: World, task: str
) -> None:
    base, commit = await changed(place, task, mended="passes")
    failed = await place.step(task, checks(place, task, commit, BASELINE, base, test=TEST, lint="true"), VerifyFailed)
    test, lint = failed.commands
    assert (test.failed_before, test.passed, lint.passed) == (True, False, True)
    assert "as on the commit where the task began" in failed.message


async def test_without_reports_one_failure_is_like_another(place: World, task: str) -> None:
    base, commit = await changed(place, task)
    work = checks(place, task, commit, BASELINE, base, lint="echo some words; exit 1")
    (lint,) = (await place.step(task, work, VerifyFailed)).commands
    assert lint.before is not None
    assert (lint.tests, lint.before.new_failures, lint.before.fixed, lint.failed_before) == (None, None, None, True)


async def test_a_failure_whose_report_is_gone_is_not_taken_for_an_old_one(place: World, task: str) -> None:
    base, commit = await changed(place, task)
    work = checks(place, task, commit, BASELINE, base, test=f"test -e changed && exit 1; {TEST}")
    test = (await place.step(task, work, VerifyFailed)).commands[-1]
    assert test.before is not None
    assert test.before.tests is not None
    assert (test.stage, test.tests, test.failed_before) == ("test", None, False)


async def test_how_it_looked_before_is_known_of_what_passes_too_where_that_is_asked_for(
    place: World, task: str
) -> None:
    base, commit = await changed(place, task, old="passes", mended="passes")
    always = Checking(rerun="off", baseline="always")
    (test,) = (await place.step(task, checks(place, task, commit, always, base), VerifySucceeded)).commands
    assert test.before is not None
    assert (test.before.new_failures, test.before.fixed_names) == (0, ("t::mended", "t::old"))


async def test_nothing_is_run_twice_where_nobody_asked_for_it(place: World, task: str) -> None:
    base, commit = await changed(place, task, flick="flaky")
    (test,) = (await place.step(task, checks(place, task, commit, Checking(rerun="off"), base), VerifyFailed)).commands
    assert (test.again, test.before, test.tail.strip()) == (None, None, "try 1: 3 failed")


async def test_a_check_that_mends_the_commit_itself_is_not_run_again(place: World, task: str) -> None:
    base, commit = await changed(place, task)
    mends = "grep -q passes suite.py && exit 0; echo '# passes' >> suite.py; exit 1"
    work = checks(place, task, commit, Checking(rerun="all"), base, lint=mends)
    (lint,) = (await place.step(task, work, VerifyFailed)).commands
    assert (lint.exit_code, lint.again) == (1, None)


async def test_a_report_that_says_otherwise_than_the_exit_status_changes_nothing(place: World, task: str) -> None:
    base, commit = await changed(place, task)
    well = "echo '<testsuite><testcase name=\"a\"/></testsuite>' > junit.xml"
    ill = "echo '<testsuite><testcase name=\"a\"><failure/></testcase></testsuite>' > junit.xml"
    (failed,) = (
        await place.step(task, checks(place, task, commit, BASELINE, base, test=f"{well}; exit 1"), VerifyFailed)
    ).commands
    assert failed.tests is not None
    assert (failed.tests.failed, failed.passed, failed.failed_before) == (0, False, False)
    (passed,) = (await place.step(task, checks(place, task, commit, RERUN, base, test=ill), VerifySucceeded)).commands
    assert passed.tests is not None
    assert (passed.tests.failed, passed.passed, passed.again) == (1, True, None)


async def test_hostile_reports_are_left_alone_and_the_honest_one_is_read(place: World, task: str) -> None:
    base, commit = await changed(place, task)
    entity = '<!DOCTYPE x [<!ENTITY a "a"><!ENTITY b "&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
    token = "ghp_" + "A1b2C3d4E5f6" * 3
    hostile = (
        "mkdir -p reports; ln -s /etc/passwd reports/one.xml; mkfifo reports/two.xml; ln -s / reports/all; "
        f"echo '{entity}' > reports/three.xml; truncate -s 3G reports/four.xml; "
        "python3 -c \"print('<testsuite>' + '<a>' * 300000)\" > reports/five.xml; "
        f"echo '<testsuite><testcase name=\"x {token}\"><failure/></testcase></testsuite>' > reports/six.xml; exit 1"
    )
    work = checks(place, task, commit, Checking(rerun="off"), base, test=hostile)
    (test,) = (await place.step(task, work, VerifyFailed)).commands
    assert test.tests is not None
    assert (test.tests.total, test.tests.failed) == (1, 1)
    assert token not in test.tests.failed_names[0]
    assert "x [secret]" in test.tests.failed_names[0]


async def test_a_report_that_lay_there_before_is_not_this_commands(place: World, task: str) -> None:
    base, commit = await changed(place, task)
    work = checks(
        place,
        task,
        commit,
        Checking(rerun="off"),
        base,
        build=f"{TEST} || true",
        test="touch -d 2001-01-01 other; exit 1",
    )
    build, test = (await place.step(task, work, VerifyFailed)).commands
    assert build.tests is not None
    assert (build.tests.total, test.tests) == (6, None)


async def test_a_job_that_is_stopped_while_the_base_is_looked_at_leaves_nothing(place: World, task: str) -> None:
    base, commit = await changed(place, task)
    both = "test -e changed || sleep 60; exit 1"
    job = await place.desk.order(
        checks(place, task, commit, Checking(rerun="off", baseline="failed"), base, test=both), task=task
    )
    await place.desk.says(job, "on the commit where the task began")
    await place.desk.stop(job)
    await place.desk.body(job, JobStopped)
    roots = (place.folder / "h1" / "checks" / "tasks", place.folder / "h1" / "checks" / "base" / "tasks")

    async def gone() -> bool:
        return not any(path.name.startswith(task) for root in roots for path in root.iterdir())

    await until(gone)


SYSTEM: Final = ("node-junit", "ctest-junit", "go-json", "rspec-junit", "bats-junit", "unittest-text")
"""Samples in six languages whose tools can be below `/usr`, so that a sandbox has them without being told."""
TOOL_SECONDS_MAX: Final = 180.0


@pytest.mark.slow
@pytest.mark.timeout(4 * TOOL_SECONDS_MAX + 60)
@pytest.mark.parametrize("sample", [one for one in SAMPLES if one.name in SYSTEM], ids=lambda one: str(one.name))
async def test_a_toolchain_of_the_system_reports_out_of_the_sandbox(
    place: World, task: str, tmp_path: Path, sample: Sample
) -> None:
    if lacks := missing(sample):
        pytest.skip(f"no {lacks} on this machine")
    folders = {str(Path(found).parent) for need in sample.needs if (found := shutil.which(need)) is not None}
    if not all(folder.startswith("/usr/") for folder in folders):
        pytest.skip(f"{sample.tool} is in {sorted(folders)}, which a sandbox has not")
    place.repo = replace(place.repo, name="sample", clone_url=str(Remote(tmp_path / "sample", sample.files).path))
    base = (await place.prepared(task)).base_commit
    command = f"PATH={':'.join(sorted(folders))}:$PATH; " + sample.command.replace("python ", "python3 ", 1)
    work = checks(place, task, base, Checking(rerun="test", baseline="failed"), base, test=command)
    work = replace(work, command_timeout_seconds=TOOL_SECONDS_MAX)
    report = await place.desk.report(await place.desk.order(work, task=task), within_seconds=4 * TOOL_SECONDS_MAX)
    assert isinstance(report.body, VerifyFailed)
    (test,) = report.body.commands
    assert test.tests is not None, test.tail
    assert (test.tests.total, test.tests.passed, test.tests.failed, test.tests.skipped) == sample.counts
    assert len(test.tests.failed_names) == len(sample.failed)
    assert test.before is not None
    assert (test.before.new_failures, test.failed_before) == (0, True)


async def test_a_base_that_cannot_be_had_leaves_the_check_as_it_is(place: World, task: str) -> None:
    _, commit = await changed(place, task, will="fails")
    (test,) = (await place.step(task, checks(place, task, commit, BASELINE, "0" * 40), VerifyFailed)).commands
    assert (test.before, test.again is not None) == (None, True)
