"""Making a clone usable again after whatever was killed in it, or done to it.

The rule of this room: nothing the agent wrote is thrown away to get going. Only for a clone in which no process is alive.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

from penstock_agent_exec.git.clone import Clone, begin_repository, in_clone, is_folder, sandboxed
from penstock_agent_exec.git.command import Sandboxed
from penstock_agent_exec.git.failures import CloneDamaged, TimedOut
from penstock_agent_exec.git.mirror import remove_tree
from penstock_agent_exec.git.work import snapshot

HEAL_SECONDS_MAX: Final = 60.0

# What git leaves in `.git` in the middle of an operation that somebody would have had to go on with.
_REPLAYING: Final = ("rebase-merge", "rebase-apply", "BISECT_LOG", "BISECT_START")
_JOINING: Final = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "sequencer")
_REMAINS: Final = ("MERGE_MSG", "MERGE_MODE", "MERGE_RR", "AUTO_MERGE", "REBASE_HEAD", "SQUASH_MSG", "MERGE_AUTOSTASH")
_BISECT: Final = ("BISECT_EXPECTED_REV", "BISECT_NAMES", "BISECT_TERMS", "BISECT_ANCESTORS_OK", "BISECT_RUN")


@dataclass(frozen=True)
class Healed:
    """What was wrong. `rebuilt`: `.git` was beyond repair, was set aside and begun anew, the files untouched.
    `ended`: git operations that were cut off in the middle. `set_aside`: a commit with the files as they were before."""

    rebuilt: bool = False
    ended: tuple[str, ...] = ()
    set_aside: str | None = None


async def heal_clone(clone: Clone, sandbox: Sandboxed, *, timeout_seconds: float = HEAL_SECONDS_MAX) -> Healed:
    """Locks and half-made objects go; an operation cut off in the middle is ended; a `.git` that git cannot read is begun
    anew over the files as they are. Healthy, it is left as it is. Raises CloneDamaged if even that does not help."""
    if not is_folder(clone.git_dir):
        return await _rebuild(clone, sandbox)
    await _drop_locks(clone, sandbox)
    index = clone.git_dir / "index"
    is_odd = os.path.lexists(index) and not stat.S_ISREG(index.lstat().st_mode)
    if is_odd:
        # Git would wait at a pipe for ever, and write through a link.
        await sandboxed(clone, sandbox, ["rm", "-rf", "--", str(index)])
    if not await _answers(clone, sandbox, timeout_seconds, "merge-base", "--is-ancestor", clone.base, "HEAD"):
        return await _rebuild(clone, sandbox)
    if interrupted := tuple(name for name in _REPLAYING + _JOINING if os.path.lexists(clone.git_dir / name)):
        return await _end(clone, sandbox, interrupted)
    if is_odd or not await _answers(clone, sandbox, timeout_seconds, "diff-index", "--cached", "--quiet", "HEAD"):
        await sandboxed(clone, sandbox, ["rm", "-rf", "--", str(index)])
        await in_clone(clone, sandbox, "reset", "--quiet", "--mixed")
    return Healed()


async def _answers(clone: Clone, sandbox: Sandboxed, timeout_seconds: float, *args: str) -> bool:
    """Whether git can say yes or no (0 or 1): then it can read the repository, HEAD, the borrowed objects, the index."""
    try:
        await in_clone(clone, sandbox, *args, allow=(0, 1), timeout_seconds=timeout_seconds)
    except (CloneDamaged, TimedOut):
        return False
    return True


async def _drop_locks(clone: Clone, sandbox: Sandboxed) -> None:
    """Nobody is alive in the clone, so no lock has an owner, whatever it is made of. `find` follows no link."""
    half_made = ["-path", "*/objects/*", "(", "-name", "tmp_*", "-o", "-name", ".tmp-*", ")"]
    names = ["(", "-name", "*.lock", "-o", "-name", "gc.pid", "-o", *half_made, ")"]
    await sandboxed(clone, sandbox, ["find", str(clone.git_dir), "!", "-type", "d", *names, "-delete"])


async def _end(clone: Clone, sandbox: Sandboxed, interrupted: tuple[str, ...]) -> Healed:
    """A replay (rebase, bisect) with HEAD off the branch goes back to where the branch still is, after a snapshot; anything
    else ends where it stands, with the files as they are."""
    kept = await snapshot(clone, sandbox, ref=f"refs/penstock/wip/{clone.task}/interrupted")
    head = await in_clone(clone, sandbox, "symbolic-ref", "--quiet", "HEAD", allow=(0, 1))
    back = head.returncode == 1 and any(name in _REPLAYING for name in interrupted)
    if back:
        await in_clone(clone, sandbox, "symbolic-ref", "HEAD", f"refs/heads/{clone.branch}")
    await in_clone(clone, sandbox, "reset", "--quiet", "--hard" if back else "--mixed")
    state = (*_REPLAYING, *_JOINING, *_REMAINS, *_BISECT)
    await sandboxed(clone, sandbox, ["rm", "-rf", "--", *(str(clone.git_dir / name) for name in state)])
    return Healed(ended=interrupted, set_aside=kept.commit)


async def _rebuild(clone: Clone, sandbox: Sandboxed) -> Healed:
    """A new `.git` at the base, the files untouched: all the agent's work is then uncommitted, and none of it is lost.

    The old one is set aside in the task's folder. Renaming it follows no link and runs nothing.
    """
    aside = clone.path.parent / "damaged.git"
    if os.path.lexists(clone.git_dir):
        await remove_tree(aside)
        clone.git_dir.rename(aside)
    begin_repository(clone, at=clone.base)
    await in_clone(clone, sandbox, "reset", "--quiet", "--mixed")
    return Healed(rebuilt=True)
