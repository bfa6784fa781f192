"""What a failed step means for the task: again, later, for a person, or the end.

Rule of this room: a table from failure to answer, and no state. Classes are open (`family.detail`): an unknown one falls to
its family, an unknown family to "try again", which the attempt limit bounds.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from penstock_orchestrator.core.task import MAX_TURNS, SESSION_ENDERS, Failure, JobKind, Task

Answer: TypeAlias = Literal["again", "pause", "park", "block", "fail"]

BLOCKING: Final = {
    "vendor.auth": "renew the vendor's key or login on the host, then unblock the task",
    "vendor.billing": "settle the vendor's account, then unblock the task",
    "vendor.model_not_found": "this model is not offered: cancel, and submit with another model",
    "git.auth": "give the host a credential that may read and push, then unblock the task",
    "git.non_fast_forward": "somebody else has pushed to the task's branch: look at it, then unblock or cancel",
    "git.protected_branch": "the remote protects this branch: allow the push, then unblock the task",
    "git.hook_rejected": "a hook of the remote refuses the push: see its words, then unblock or cancel the task",
}
WAITING: Final = frozenset({"git.repository_missing"})
"""What looks final and may not be: a repository that is not there (yet), or not shown to this credential (yet)."""

FAILING: Final = frozenset({"git.bad_name", "git.ref_missing", "git.bad_url"})
"""What no retry and no login can mend: the task's own copy of the repo's settings is wrong."""


def answer(failure: Failure) -> Answer:
    """What to do about this failure, before any limit is looked at."""
    if failure.error_class in BLOCKING:
        return "block"
    if failure.error_class in FAILING:
        return "fail"
    if failure.error_class == MAX_TURNS:
        return "pause"
    if failure.transient or failure.retry_at is not None or failure.error_class in WAITING:
        return "park"
    if failure.kind in ("agent", "verify") or failure.error_class in SESSION_ENDERS:
        return "again"
    return _without_agent(failure.kind)


def _without_agent(kind: JobKind) -> Answer:
    # Another try of the same step would meet the same repository and the same remote.
    return "block" if kind == "publish" else "fail"


def wake_at(task: Task, failure: Failure, now: datetime) -> datetime:
    """When a parked task goes on: what the vendor said, but never sooner than the shortest pause; else doubling pauses
    with up to a fifth of jitter, drawn from the task's id so that a replay draws the same."""
    policy = task.spec.policy
    doubled = policy.park_seconds_min * 2.0 ** min(task.parks, 30)
    seconds = min(doubled, policy.park_seconds_max)
    seconds *= 1.0 + 0.2 * _fraction(f"{task.id}.{task.parks}.{task.seq}")
    soonest = now + timedelta(seconds=policy.park_seconds_min)
    if failure.retry_at is not None:
        return max(failure.retry_at, soonest)
    return now + timedelta(seconds=seconds)


def _fraction(seed: str) -> float:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6]) / 2**48
