"""What the golden documents of the first catalogue say: 25 types, from a task's submission to its end.

Rule of this room: nothing here is edited or moved, since the documents are not; a field that an event has gained since stands
here as its default, by not being named.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from penstock import events as e
from penstock import values as v

TASK: Final = "01jqa0task000000000000000a"
JOB: Final = "01jqa0job0000000000000000b"
BASE: Final = "1" * 40
COMMIT: Final = "2" * 40

USAGE = v.Usage(
    turns=12,
    input_tokens=1_500,
    output_tokens=900,
    cache_read_tokens=40_000,
    cache_write_tokens=8_000,
    cost_usd=0.42,
    wall_seconds=93.5,
)
KEPT = v.Kept(ref="refs/penstock/kept/01jqa0job0000000000000000b", commit=COMMIT)
PATCH = v.Artifact(name="change", size_bytes=2_048, sha256="ab" * 32, chunks=1, media_type="text/x-patch")
DELIVERY = v.Delivery(
    kind="pull_request",
    commit=COMMIT,
    branch="agent/fix-rounding",
    url="https://forge.example/shop/pulls/7",
    adopted=True,
    patch=PATCH,
)
PASSED = v.CommandResult(stage="test", command="make test", exit_code=0, wall_seconds=4.25, tail="12 passed")
STOPPED = v.CommandResult(
    stage="lint", command="make lint", exit_code=None, wall_seconds=600.0, tail="…", ended="timeout"
)
CHANGE = v.Change(
    commit=COMMIT, commits=2, files=("src/round.py", "tests/ü.py"), files_changed=2, lines_added=10, lines_removed=3
)
LATER = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

FIRST: Final[tuple[e.KnownEvent, ...]] = (
    e.TaskSubmitted(
        title="Round prices half to even",
        description="The cart rounds 2.5 up.\nIt should not.",
        acceptance="`make test` passes",
        priority=2,
        labels=("bug", "cart"),
        vendor="codex",
        model="gpt-5",
        flow="patch",
        repo=v.RepoSnapshot(
            name="shop",
            clone_url="https://forge.example/shop.git",
            default_branch="trunk",
            provider="gitea",
            verify=v.VerifyCommands(pre="make deps", build="make", test="make test", lint="make lint"),
            command_timeout_seconds=300.0,
        ),
        max_attempts=5,
        max_turns=None,
        max_cost_usd=2.5,
        max_wall_seconds=1_800.0,
        skip_verify=True,
        submitted_by="api:ana",
        fingerprint="f0",
        policy=v.Policy(
            park_seconds_min=1.0,
            park_seconds_max=60.0,
            parks_max=9,
            lost_max=3,
            pauses_max=2,
            host_patience_seconds=30.0,
        ),
    ),
    e.PrepareRequested(number=2, host="h1", kept=KEPT),
    e.PrepareSucceeded(job=JOB, epoch=17, host="h1", base_commit=BASE, branch="agent/fix-rounding", wall_seconds=1.5),
    e.PrepareFailed(job=JOB, epoch=17, error_class="git.auth", message="denied", transient=True),
    e.AgentRequested(attempt=2, host="h1", session_id="s-1", resume=True, hint="test_round fails: 3 != 2"),
    e.AgentSucceeded(
        job=JOB,
        epoch=17,
        change=CHANGE,
        usage=USAGE,
        session_id="s-1",
        vendor_version="2.1.197",
        summary="Rounds half to even now.",
        sandbox="bwrap",
        kept=KEPT,
    ),
    e.AgentFailed(
        job=JOB,
        epoch=17,
        error_class="vendor.rate_limit",
        message="try again later",
        transient=True,
        retry_at=LATER,
        usage=USAGE,
        session_id="s-1",
        vendor_version="2.1.197",
        sandbox="bwrap",
        kept=KEPT,
    ),
    e.VerifyRequested(attempt=2, host="h1", commit=COMMIT),
    e.VerifySucceeded(job=JOB, epoch=17, commit=COMMIT, commands=(PASSED,), sandbox="bwrap"),
    e.VerifyFailed(
        job=JOB,
        epoch=17,
        commit=COMMIT,
        error_class="test.failed",
        message="1 failed",
        commands=(PASSED, STOPPED),
        sandbox="bwrap",
    ),
    e.VerifySkipped(attempt=2, commit=COMMIT, reason="no_commands"),
    e.PublishRequested(number=1, host="h1", commit=COMMIT, branch="agent/fix-rounding", flow="branch", verified=True),
    e.PublishSucceeded(job=JOB, epoch=17, delivery=DELIVERY),
    e.PublishFailed(job=JOB, epoch=17, error_class="forge.down", message="502", transient=True),
    e.JobClaimed(job=JOB, host="h1", epoch=17, instance="4711-ab"),
    e.JobLost(job=JOB, epoch=17, host="h1", reason="its lease has expired", host_gone=True),
    e.JobStopped(job=JOB, epoch=17, reason="the task is cancelled", usage=USAGE, kept=KEPT),
    e.TaskCancelRequested(requested_by="api:ana", reason="not needed any more"),
    e.TaskParked(reason="rate_limit", message="the vendor asks for a pause", wake_at=LATER, number=1),
    e.TaskBlocked(reason="vendor.auth", message="login expired", can_do="log in on h1, then unblock"),
    e.TaskUnblocked(unblocked_by="api:ana"),
    e.TaskSucceeded(delivery=DELIVERY, attempts=2, usage=USAGE),
    e.TaskUnverified(delivery=DELIVERY, attempts=2, usage=USAGE, reason="no_commands"),
    e.TaskFailed(error_class="agent.no_change", message="nothing changed", attempts=3, usage=USAGE, kept=KEPT),
    e.TaskCancelled(cancelled_by="api:ana", reason="not needed any more", usage=USAGE, kept=KEPT),
)
