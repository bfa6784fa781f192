"""What looking closer at checks has added to the golden documents.

Rule of this room: new ones go to the end, since a document's number is its place.
"""

from __future__ import annotations

from typing import Final

from contract.golden_first import BASE, COMMIT, DELIVERY, JOB, USAGE

from penstock import events as e
from penstock import values as v

OUTPUT = v.Artifact(name="output-test", size_bytes=9_301, sha256="3c" * 32, chunks=1, media_type="application/gzip")

NOW = v.Tally(
    total=212,
    passed=207,
    failed=3,
    skipped=2,
    failed_names=("tests.test_cart::test_empty", "tests.test_price::test_half", "tests.test_clock::test_midnight"),
    source="junit",
)

AGAIN_FAILED = v.Rerun(
    exit_code=1,
    ended="exited",
    wall_seconds=11.25,
    tests=v.Tally(
        total=212,
        passed=208,
        failed=2,
        skipped=2,
        failed_names=("tests.test_cart::test_empty", "tests.test_price::test_half"),
        source="junit",
    ),
    flaky=1,
    flaky_names=("tests.test_clock::test_midnight",),
    output=v.Artifact(
        name="output-test-again", size_bytes=9_120, sha256="4d" * 32, chunks=1, media_type="application/gzip"
    ),
)

BEFORE = v.Baseline(
    commit=BASE,
    exit_code=1,
    ended="exited",
    wall_seconds=10.5,
    tests=v.Tally(
        total=211,
        passed=207,
        failed=2,
        skipped=2,
        failed_names=("tests.test_cart::test_empty", "tests.test_tax::test_zero"),
        source="junit",
    ),
    new_failures=1,
    new_names=("tests.test_price::test_half",),
    failed_before=1,
    failed_before_names=("tests.test_cart::test_empty",),
    fixed=1,
    fixed_names=("tests.test_tax::test_zero",),
)

FAILED = v.CommandResult(
    stage="test",
    command="pytest --junitxml=junit.xml",
    exit_code=1,
    wall_seconds=12.5,
    tail="2 failed, 208 passed",
    output=OUTPUT,
    tests=NOW,
    again=AGAIN_FAILED,
    before=BEFORE,
)

FLAKY = v.CommandResult(
    stage="test",
    command="pytest --junitxml=junit.xml",
    exit_code=1,
    wall_seconds=12.5,
    tail="1 failed, 211 passed",
    output=OUTPUT,
    tests=NOW,
    again=v.Rerun(exit_code=0, ended="exited", wall_seconds=11.25),
)

CHECKS: Final[tuple[e.KnownEvent, ...]] = (
    e.TaskSubmitted(
        title="Round prices half to even",
        repo=v.RepoSnapshot(
            name="shop",
            clone_url="https://forge.example/shop.git",
            verify=v.VerifyCommands(test="pytest --junitxml=junit.xml", reports=("junit.xml",)),
            checking=v.Checking(rerun="all", flaky_passes=False, baseline="failed", failed_before="succeeded"),
        ),
    ),
    e.VerifySucceeded(job=JOB, epoch=17, commit=COMMIT, commands=(FLAKY,), sandbox="bwrap"),
    e.VerifyFailed(
        job=JOB,
        epoch=17,
        commit=COMMIT,
        error_class="test.failed",
        message="test: `pytest --junitxml=junit.xml` ended with exit code 1",
        commands=(FAILED,),
        sandbox="bwrap",
    ),
    e.TaskSucceeded(delivery=DELIVERY, attempts=1, usage=USAGE, reservations=("flaky",)),
    e.TaskUnverified(
        delivery=DELIVERY, attempts=1, usage=USAGE, reason="failed_before", reservations=("failed_before",)
    ),
)
