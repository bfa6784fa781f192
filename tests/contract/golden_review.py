"""What has come after the pull request: how it is followed, and what reviewers and checks lead to.

Rule of this room: new ones go to the end, since a document's number is its place.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from contract.golden_first import COMMIT, JOB

from penstock import events as e
from penstock import values as v

PUSHED = "ab" * 20
DELIVERY = v.Delivery(
    kind="pull_request", commit=COMMIT, branch="agent/fix-rounding", url="https://forge.example/shop/pulls/7", number=7
)

REVIEW: Final[tuple[e.KnownEvent, ...]] = (
    e.TaskSubmitted(
        title="Round prices half to even",
        repo=v.RepoSnapshot(name="shop", clone_url="https://forge.example/shop.git", provider="gitea"),
        policy=v.Policy(
            follow=v.Follow(
                look_seconds_min=2.0,
                look_seconds=30.0,
                look_seconds_max=600.0,
                settle_seconds=10.0,
                fix_runs_max=5,
                reviewers=("ann", "ben"),
            )
        ),
    ),
    e.PublishSucceeded(job=JOB, epoch=17, delivery=DELIVERY),
    e.ObserveRequested(number=3, why="stirred", pool="publish"),
    e.PullRequestObserved(
        job=JOB,
        epoch=17,
        pull_request=7,
        state="open",
        url="https://forge.example/shop/pulls/7",
        head_commit=COMMIT,
        draft=True,
        checks="failed",
        failed_checks=(
            v.FailedCheck(name="ci / test", url="https://forge.example/shop/runs/9", summary="1 of 240 tests failed"),
        ),
        comments=(v.ReviewComment(id="501", author="ann", text="Not for negative sums.", path="round.py", line=12),),
        more=True,
    ),
    e.ObserveFailed(
        job=JOB,
        epoch=17,
        error_class="forge.rate_limited",
        message="the forge takes no more requests until 09:40",
        transient=True,
        retry_at=datetime(2026, 3, 1, 9, 40, tzinfo=UTC),
    ),
    e.PullRequestStirred(what="pull_request_review", by="ann", via="gitea"),
    e.FeedbackAccepted(number=1, head_commit=COMMIT, checks=("ci / test",), comments=("501",)),
    e.PullRequestTakenOver(head_commit=COMMIT, pushed=PUSHED),
    e.TaskSucceeded(delivery=DELIVERY, attempts=1, usage=v.Usage(turns=9, cost_usd=0.4)),
    e.TaskUnverified(delivery=DELIVERY, attempts=1, usage=v.Usage(turns=9, cost_usd=0.4), reason="nothing_configured"),
    e.TaskSubmitted(
        title="Round prices half to even",
        repo=v.RepoSnapshot(name="shop", clone_url="https://forge.example/shop.git", provider="github"),
        continues=v.Continuation(
            task="01jqa0task000000000000000b",
            branch="agent/01jqa0task000000000000000b",
            commit=COMMIT,
            base_commit="3" * 40,
            url="https://forge.example/shop/pulls/7",
            answered=("line-501", "review-7"),
        ),
    ),
)
