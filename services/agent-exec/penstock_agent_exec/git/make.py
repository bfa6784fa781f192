"""A new clone for a task: out of a spare where there is one that will do, from nothing where there is none.

The rule of this room: until its record is written there is no clone, and whatever is left of a making is deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from penstock_agent_exec.git.clone import (
    SNAPSHOT_TRAILER,
    Clone,
    begin_repository,
    drop_clone,
    find_clone,
    in_clone,
    to_disk,
    write_record,
)
from penstock_agent_exec.git.command import Sandboxed, git_output
from penstock_agent_exec.git.failures import GitFailed, RefMissing
from penstock_agent_exec.git.mirror import Mirror, has_commit, remove_tree
from penstock_agent_exec.git.names import Identity, check_commit, check_identity, check_task
from penstock_agent_exec.git.spare import take_spare

log = structlog.get_logger()

CLONE_SECONDS_MAX: Final = 900.0


async def make_clone(
    data: Path,
    mirror: Mirror,
    task: str,
    *,
    base: str,
    identity: Identity,
    sandbox: Sandboxed,
    start: str | None = None,
    timeout_seconds: float = CLONE_SECONDS_MAX,
) -> Clone:
    """The task's clone, made if it is not there or only half made; one that is whole is kept as it is, work included.

    Use the `base` of what comes back: a clone that was there keeps the base it was made with. `start`: a commit to begin at
    instead of `base`, such as kept work; of a snapshot, what was uncommitted is uncommitted again.
    Raises BadName, RefMissing if the mirror lacks a commit, CloneDamaged, TimedOut.
    """
    if known := find_clone(data, task):
        return known
    check_identity(identity)
    clone = Clone(data.resolve(), check_task(task), check_commit(base), mirror.objects, identity)
    for commit in (base, start or base):
        if not await has_commit(mirror, check_commit(commit)):
            raise RefMissing(f"The mirror has no commit {commit}.")
    await drop_clone(data, task)
    await _check_out(clone, mirror, sandbox, start or base, timeout_seconds)
    if start and await _is_snapshot(mirror, start, task):
        await in_clone(clone, sandbox, "reset", "--quiet", "--mixed", f"{start}^")
    await to_disk(clone.path)
    write_record(clone)
    return clone


async def _check_out(clone: Clone, mirror: Mirror, sandbox: Sandboxed, at: str, timeout_seconds: float) -> None:
    """A clean checkout of a commit in a repository of the task's own: out of a spare, or from nothing."""
    try:
        if await take_spare(clone, mirror, sandbox, at=at, timeout_seconds=timeout_seconds):
            return
    except (GitFailed, OSError) as error:
        log.warning("clone.spare_unfit", task=clone.task, reason=str(error))
    await remove_tree(clone.path.parent)
    clone.path.mkdir(parents=True)
    begin_repository(clone, at=at)
    await in_clone(clone, sandbox, "reset", "--quiet", "--hard", timeout_seconds=timeout_seconds)


async def _is_snapshot(mirror: Mirror, commit: str, task: str) -> bool:
    message = await git_output(mirror.path, "log", "-1", "--format=%B", "--no-show-signature", commit)
    return f"\n{SNAPSHOT_TRAILER}{task}\n".encode() in message
