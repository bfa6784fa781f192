"""What to make of a failed step: its class, and the answer to it.

Rule of this room: one table from class to answer. A class that is in no table and passes by itself is waited for; one that
does not is "again", which the attempt limit bounds.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from penstock.bounds import LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX, clip
from penstock.events import FailureClassified
from penstock_orchestrator.core import checks
from penstock_orchestrator.core.classify import CLASSES, classify
from penstock_orchestrator.core.classify.table import UNCLASSIFIED
from penstock_orchestrator.core.task import BUDGET, MAX_TURNS, Failure, StepKind, Task, is_hosts_fault

Answer: TypeAlias = Literal["again", "pause", "park", "block", "fail", "escalate"]
Rung: TypeAlias = Literal["fresh_session", "backup", "person"]
Severity: TypeAlias = Literal["recoverable", "hard", "park"]

BLOCKING: Final = {
    "vendor.auth": "renew the vendor's key or login on the host, then unblock the task",
    "vendor.billing": "settle the vendor's account, then unblock the task",
    "vendor.model_not_found": "this model is not offered: cancel, and submit with another model",
    "git.auth": "give the host a credential that may read and push, then unblock the task",
    "git.non_fast_forward": "somebody else has pushed to the task's branch: look at it, then unblock or cancel",
    "forge.auth": "give the publishing host a credential that the forge takes for this, then unblock the task",
    "forge.missing": "see that the repository is there and the host's credential may see it, then unblock the task",
    "forge.refused": "see the forge's words: mend the repo's settings or its rights there, then unblock or cancel",
    "forge.answer": "what answers there is no such forge: mend the repo's provider or the host's api_url, then unblock",
    "git.protected_branch": "the remote protects this branch: allow the push, then unblock the task",
    "git.hook_rejected": "a hook of the remote refuses the push: see its words, then unblock or cancel the task",
    "git.branch_gone": "the branch to go on with is not on the remote any more: restore it and unblock, or cancel",
    "git.branch_rewritten": "the branch to go on with was rewritten: look at it, then cancel, or restore and unblock",
    BUDGET: "unblock with a higher max_cost_usd, or cancel",
    "publish.secret": "the change holds a secret of the host: renew it there, and cancel the task or submit it anew",
    "git.base_gone": "the commit the task began at was taken off the remote: restore it and unblock, or retry the task anew",
    "git.base_moved": "others keep pushing to the default branch: unblock to put the change on top once more, or cancel",
    "git.nothing_left": "the default branch holds all of the change by now: cancel the task",
    "local.dirty": "commit or put away what is changed in the folder, then unblock the task",
    "local.in_the_way": "put away what was changed in these files of the folder, then unblock the task",
    "local.refused": "mend what the message says on the host, or correct the repo's folder, then unblock or retry the task",
    "local.unfit": "the folder cannot take such a change: cancel, and submit it with flow patch",
    "parcel.missing": "the host with the change left nothing for the one that hands it over: see its log, then retry the task",
    "parcel.gone": "what the host with the change had left is not kept any more: retry the task",
    "parcel.refused": "what the host with the change had left is not what it said: look at that host, then retry the task",
}
HELD_BACK: Final = {
    "preflight.secret": "unblock to have the agent take it out of every commit (have it revoked if it is real), or cancel",
    "preflight.forbidden_file": "unblock to have the agent take the file out of every commit, or cancel",
    "preflight.author": "unblock to have the agent make its commits anew under the name it was given, or cancel",
    "preflight.failed": "mend what the message says on the host that hands changes over, then unblock the task",
    "preflight.size": "unblock to let it pass, or cancel; the repo's preflight.file_bytes_max is the limit",
    "preflight.symlink": "look where it leads: unblock to let it pass, or cancel",
    "preflight.submodule": "look at what it brings in: unblock to let it pass, or cancel",
    "preflight.workflow": "look at what the forge would run: unblock to let it pass, or cancel",
    "preflight.path": "look at the names: unblock to let them pass, or cancel",
}
"""What a person can do about a change that is not handed over for what was found in it."""

MENDED_BY_THE_AGENT: Final = frozenset({"preflight.secret", "preflight.forbidden_file", "preflight.author"})
"""Of these nothing is ever let pass."""

VENDOR_MISSING: Final = "host.vendor_missing"
ROLE_MISSING: Final = "host.role_missing"
REF_MISSING: Final = "git.ref_missing"
ADVICE: Final = {
    ROLE_MISSING: "give the host this role, or name a publish_pool in the fleet's settings and retry the task",
    REF_MISSING: "bring the branch back under the name that the message says, then unblock the task; or cancel it",
    VENDOR_MISSING: "let the host that has the task's clone offer this vendor, then unblock the task; or cancel it",
}
"""What a person can do about classes that are not always asked of one."""

VENDOR_WAITS_MAX: Final = 2
"""A host that has the task's clone and not its vendor (or the role) is asked this often; then a person."""

WAITING: Final = frozenset({"git.repository_missing"})
"""What looks final and may not be: a repository that is not there (yet), or not shown to this credential (yet)."""

FAILING: Final = frozenset({"git.bad_name", REF_MISSING, "git.bad_url"})
"""What no retry and no login can mend: the task's own copy of the repo's settings is wrong."""

VAGUE: Final = frozenset({"agent.unknown", "agent.failed", "vendor.unavailable"})
"""What a host says when it does not know: the words that came with it may tell more."""

CHECK_FAILED: Final = "verify.failed"
CHECK_WAITS_MAX: Final = 3
"""A check that fails for a passing reason is tried again this often; then somebody should look."""

_WORKING: Final[frozenset[StepKind]] = frozenset({"plan", "agent", "compact", "verify", "preflight"})


def classified(task: Task, failure: Failure) -> FailureClassified:
    """What the failure looks like, for the log: the class decides, the hint goes to the agent."""
    error_class, severity, hint, evidence = _look(task, failure)
    again = task.alike + 1 if error_class == task.alike_class else 1
    return FailureClassified(
        step=failure.kind,
        error_class=error_class,
        severity=severity,
        hint=clip(hint, MESSAGE_LENGTH_MAX),
        evidence=clip(evidence, LINE_LENGTH_MAX),
        times=1 if severity == "park" else again,
    )


def _look(task: Task, failure: Failure) -> tuple[str, Severity, str, str]:
    given = failure.error_class
    if failure.kind == "verify" and not is_hosts_fault(given):
        return _look_at_check(task, failure)
    if given in BLOCKING or given in FAILING or (failure.kind == "preflight" and given in HELD_BACK):
        return given, "hard", "", ""
    if failure.transient or failure.retry_at is not None or given in WAITING:
        return given, "park", "", ""
    if given in VAGUE:
        told = classify(failure.message, source="agent")
        if told.error_class != UNCLASSIFIED:
            return told.error_class, told.severity, told.hint, told.evidence
    known = CLASSES.get(given)
    if known is not None and failure.kind in _WORKING:
        return given, known.severity, "" if "{" in known.hint else known.hint, ""
    return given, "recoverable" if failure.kind in _WORKING else "hard", "", ""


def _look_at_check(task: Task, failure: Failure) -> tuple[str, Severity, str, str]:
    if failure.error_class == checks.FLAKY:
        return failure.error_class, "recoverable", checks.FLAKY_HINT, ""
    failed = checks.to_mend(failure.commands)
    if failed is None:
        return failure.error_class, "recoverable", "", ""
    told = classify(
        failed.tail, stage=failed.stage, exit_code=failed.exit_code, command=failed.command, source="verify"
    )
    if told.error_class in (UNCLASSIFIED, CHECK_FAILED) and failed.tests is not None and failed.tests.failed:
        # Its words say nothing, its report does.
        return failure.error_class, "recoverable", checks.REPORTED_HINT, told.evidence
    if told.error_class == UNCLASSIFIED:
        return failure.error_class, "recoverable", "", told.evidence
    severity = told.severity
    if severity == "park" and task.parks >= CHECK_WAITS_MAX:
        severity = "hard"
    # That a check failed is no more than its host has said already.
    error_class = failure.error_class if told.error_class == CHECK_FAILED else told.error_class
    return error_class, severity, told.hint, told.evidence


def answer(task: Task, failure: Failure) -> Answer:
    """What to do about this failure, before any limit is looked at."""
    error_class, told = failure.known_as, failure.told
    severity = "recoverable" if told is None else told.severity
    if failure.kind == "preflight" and error_class in HELD_BACK:
        return "block"
    if error_class in BLOCKING:
        return "escalate" if _backup_helps(task, error_class) else "block"
    if error_class in (VENDOR_MISSING, ROLE_MISSING) and task.host is not None and task.parks >= VENDOR_WAITS_MAX:
        return "block"
    if error_class in FAILING:
        # What was there at the beginning can be brought back, and a change that was made is not thrown away for it.
        return "block" if error_class == REF_MISSING and task.change is not None else "fail"
    if error_class == MAX_TURNS:
        return "pause"
    if severity == "park":
        return "park"
    if failure.kind not in _WORKING:
        # Another try of the same step would meet the same repository and the same remote.
        return "block" if failure.kind == "publish" else "fail"
    limit = task.spec.policy.failures_alike_max
    if limit and (severity == "hard" or (told is not None and told.times >= limit)):
        return "escalate"
    return "again"


def rung(task: Task, failure: Failure) -> Rung:
    """Where to escalate to: a fresh session once, where another look may help and an attempt is left; then the backup, where
    it could help; then a person."""
    hard = failure.told is not None and failure.told.severity == "hard"
    if not hard and not task.escalations and task.attempts_spent < task.spec.max_attempts:
        return "fresh_session"
    if task.backup is not None and (not hard or _backup_helps(task, failure.known_as)):
        return "backup"
    return "person"


def _backup_helps(task: Task, error_class: str) -> bool:
    """Another vendor has another login and another model; it has the same disk, tools and remote."""
    if task.backup is None or not error_class.startswith(("vendor.", "agent.")):
        return False
    if error_class == BUDGET:
        return False
    return error_class == "vendor.model_not_found" or error_class == "vendor.refusal" or task.backup[0] != task.vendor


def wake_at(task: Task, failure: Failure, now: datetime) -> datetime:
    """When a parked task goes on: when the vendor said, but never sooner than the shortest pause. A time that has passed, or
    is further away than anybody's window, is not believed: then, and where nobody said anything, doubling pauses with up to a
    fifth of jitter, drawn from the log so that a replay draws the same."""
    policy = task.spec.policy
    soonest = now + timedelta(seconds=policy.park_seconds_min)
    told = failure.retry_at
    if told is not None and told > now:
        latest = policy.reset_seconds_max
        if not latest or told <= now + timedelta(seconds=latest):
            return max(told, soonest)
    doubled = policy.park_seconds_min * 2.0 ** min(task.parks, 30)
    seconds = min(doubled, policy.park_seconds_max)
    seconds *= 1.0 + 0.2 * _fraction(f"{task.id}.{task.parks}.{task.seq}")
    return now + timedelta(seconds=seconds)


def _fraction(seed: str) -> float:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6]) / 2**48
