"""What the look at a change before it is handed over, and the other ways of handing over, have added to the golden documents.

Rule of this room: new ones go to the end, since a document's number is its place.
"""

from __future__ import annotations

from typing import Final

from contract.golden_executor import PARCEL
from contract.golden_first import CHANGE, COMMIT, JOB, KEPT

from penstock import events as e
from penstock import values as v

FINDINGS = (
    v.Finding(
        rule="secret",
        severity="hard",
        file="src/settings.py",
        line=12,
        message="what looks like a secret (GitHub) of 40 characters, in commit 222222222222",
        can_do="take it out of every commit, and have it revoked if it is real",
    ),
    v.Finding(rule="workflow", severity="flagged", file=".github/workflows/ci.yml", message="it changes what runs"),
)

PATCH = v.Artifact(name="change-patch", size_bytes=2_048, sha256="ab" * 32, chunks=1, media_type="application/mbox")
FIRST_PATCH = v.Artifact(
    name="change-patch-1", size_bytes=1_024, sha256="ac" * 32, chunks=1, media_type="application/mbox"
)

PREFLIGHT: Final[tuple[e.KnownEvent, ...]] = (
    e.TaskSubmitted(
        title="Round prices half to even",
        flow="commit",
        repo=v.RepoSnapshot(
            name="shop",
            clone_url="https://forge.example/shop.git",
            preflight=v.Preflight(
                file_bytes_max=2_000_000, workflows="block", scope=("src", "tests"), fixtures=("tests/fixtures",)
            ),
        ),
        policy=v.Policy(rebases_max=1),
        scope=("src/price.py",),
    ),
    e.PrepareRequested(number=2, host="h1", kept=KEPT, rebase=COMMIT),
    e.PrepareSucceeded(
        job=JOB,
        epoch=17,
        host="h1",
        base_commit=COMMIT,
        branch="agent/fix-rounding",
        change=CHANGE,
        conflicts=("src/price.py",),
        parcel=PARCEL,
    ),
    e.PublishFailed(
        job=JOB,
        epoch=17,
        error_class="preflight.secret",
        message="src/settings.py:12: [secret] what looks like a secret",
        findings=FINDINGS,
    ),
    e.PublishSucceeded(
        job=JOB,
        epoch=17,
        delivery=v.Delivery(kind="patch", commit=COMMIT, patch=PATCH, patches=(FIRST_PATCH,)),
        findings=FINDINGS[1:],
    ),
)
