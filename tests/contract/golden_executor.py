"""What the executor for four vendors has added to the golden documents.

Rule of this room: new ones go to the end, since a document's number is its place.
"""

from __future__ import annotations

from typing import Final

from contract.golden_first import CHANGE, COMMIT, JOB, KEPT
from contract.golden_policy import MESSAGE, PLAN

from penstock import events as e
from penstock import values as v

PARCEL = v.Parcel(
    job=JOB,
    ref="refs/penstock/task/01jqa0task000000000000000a",
    commit=COMMIT,
    bundle=v.Artifact(name="work", size_bytes=4_096, sha256="cd" * 32, chunks=1, media_type="application/x-git-bundle"),
    session=v.Artifact(name="session", size_bytes=700_000, sha256="ef" * 32, chunks=2, media_type="application/x-tar"),
)

TRANSCRIPT = v.Artifact(name="transcript", size_bytes=81_920, sha256="0a" * 32, chunks=1, media_type="application/gzip")

EXECUTOR: Final[tuple[e.KnownEvent, ...]] = (
    e.MessageTold(job=JOB, epoch=17, message=MESSAGE),
    e.TaskSubmitted(
        title="Round prices half to even",
        repo=v.RepoSnapshot(name="shop", clone_url="https://forge.example/shop.git"),
        policy=v.Policy(share_work=True, publish_pool="publish"),
    ),
    e.AgentSucceeded(job=JOB, epoch=17, change=CHANGE, parcel=PARCEL),
    e.AgentFailed(job=JOB, epoch=17, error_class="vendor.max_turns", message="50 turns", kept=KEPT, parcel=PARCEL),
    e.JobStopped(job=JOB, epoch=17, reason="drain", kept=KEPT, parcel=PARCEL),
    e.PublishRequested(
        number=1, host="h1", commit=COMMIT, branch="agent/fix-rounding", flow="branch", verified=True, pool="publish"
    ),
    e.NetworkDenied(
        job=JOB, epoch=17, what="egress", target="pastebin.example:443", reason="not open to this repo", count=3
    ),
    e.TaskSubmitted(
        title="Round prices half to even",
        repo=v.RepoSnapshot(
            name="shop",
            clone_url="https://forge.example/shop.git",
            egress=("pypi.org:443", "*.pythonhosted.org:443"),
        ),
    ),
    e.AgentSucceeded(job=JOB, epoch=17, change=CHANGE, transcript=TRANSCRIPT),
    e.AgentFailed(job=JOB, epoch=17, error_class="vendor.max_turns", message="50 turns", transcript=TRANSCRIPT),
    e.PlanProposed(job=JOB, epoch=17, plan=PLAN, transcript=TRANSCRIPT),
    e.PlanFailed(job=JOB, epoch=17, error_class="plan.unreadable", message="no plan", transcript=TRANSCRIPT),
    e.CompactSucceeded(job=JOB, epoch=17, summary="Two attempts changed `round.py`.", transcript=TRANSCRIPT),
    e.CompactFailed(job=JOB, epoch=17, error_class="compact.empty", message="no words", transcript=TRANSCRIPT),
)
