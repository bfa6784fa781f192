"""Taking what the agent left in its clone: as commits on its branch, or as a snapshot that touches nothing of the agent's.

The rule of this room: all of it, tracked, new and deleted, ignored files excepted; and what could not be taken is said.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.git.bundle import carry
from penstock_agent_exec.git.change import Diffstat, diffstat
from penstock_agent_exec.git.clone import SNAPSHOT_TRAILER, Clone, in_clone, sandboxed
from penstock_agent_exec.git.command import Completed, Sandboxed, git_output
from penstock_agent_exec.git.failures import BadName, BaseLost, CloneDamaged, RefMissing, readable
from penstock_agent_exec.git.mirror import Mirror, task_ref, wip_ref
from penstock_agent_exec.git.names import check_commit, check_task

STAGE_SECONDS_MAX: Final = 300.0
NESTED_DEPTH_MAX: Final = 8
SET_ASIDE: Final = 0
"""The number of kept work that no attempt has."""

_STAGE: Final = "penstock-stage-"


@dataclass(frozen=True)
class Leftovers:
    """Where the task's branch is now. `committed`: there was something uncommitted, and now it is in `commit`.
    `missed`: git's words about files that it could not read; empty when everything was taken."""

    commit: str
    committed: bool
    missed: str


@dataclass(frozen=True)
class Kept:
    """Work in progress on a private ref. `missed` as in Leftovers."""

    ref: str
    commit: str
    missed: str


@dataclass(frozen=True)
class Remembered:
    """How a clone was. `where`: the ref that HEAD was, empty where it was a commit. `commit` holds all files, as `tree`."""

    where: str
    head: str
    commit: str
    tree: str


@dataclass(frozen=True)
class _Staged:
    tree: str
    missed: str


async def commit_leftovers(clone: Clone, sandbox: Sandboxed) -> Leftovers:
    """Commit onto the task's branch whatever is uncommitted, and leave the clone on that branch, clean. For a clone that
    `heal_clone` has seen since anything was killed in it.

    What is checked out is the agent's result. Where that is not the task's branch, the branch moves there; its own commits,
    if it had others, stay on `refs/penstock/wip/<task>/left-behind`. Only where a clean checkout of an older commit hides
    the branch, the branch is checked out again. Raises CloneDamaged, TooBig, TimedOut.
    """
    branch = f"refs/heads/{clone.branch}"
    where = await in_clone(clone, sandbox, "symbolic-ref", "--quiet", "HEAD", allow=(0, 1))
    on_branch = where.stdout == f"{branch}\n".encode()
    tip = await _commit(clone, sandbox, branch)
    head = await _commit(clone, sandbox, "HEAD") or tip or clone.base
    staged = await _stage(clone, sandbox, head)
    dirty = staged.tree != await _tree(clone, sandbox, head)
    if tip and not on_branch:
        if not dirty and await _is_ancestor(clone, sandbox, head, tip):
            await in_clone(clone, sandbox, "symbolic-ref", "HEAD", branch)
            await in_clone(clone, sandbox, "reset", "--quiet", "--hard", timeout_seconds=STAGE_SECONDS_MAX)
            return Leftovers(tip, committed=False, missed=staged.missed)
        if not await _is_ancestor(clone, sandbox, tip, head):
            await in_clone(clone, sandbox, "update-ref", f"refs/penstock/wip/{clone.task}/left-behind", tip)
    if dirty:
        message = f"Keep what the agent left uncommitted\n\nPenstock-Task: {clone.task}\n"
        head = await _commit_tree(clone, sandbox, staged.tree, head, message)
    await in_clone(clone, sandbox, "update-ref", branch, head)
    await in_clone(clone, sandbox, "symbolic-ref", "HEAD", branch)
    # The index that made the commit is the one that fits it, and it runs no filter of the agent's.
    await sandboxed(
        clone, sandbox, ["mv", "-fT", str(clone.git_dir / f"{_STAGE}0" / "index"), str(clone.git_dir / "index")]
    )
    return Leftovers(head, committed=dirty, missed=staged.missed)


async def keep_work(clone: Clone, mirror: Mirror, number: int, sandbox: Sandboxed) -> Kept | None:
    """A snapshot of the whole work tree on `refs/penstock/wip/<task>/<number>`, carried into the mirror; None when the clone
    is as it was at the base. The agent's index, HEAD and files are not touched, so it may even be at work.

    With the same number again it replaces what was kept. Raises CloneDamaged (see `heal_clone`), BundleRefused, TooBig,
    TimedOut, MirrorBusy.
    """
    ref = wip_ref(clone.task, number)
    kept = await snapshot(clone, sandbox, ref=ref)
    if await carry(clone, mirror, sandbox, ref=ref, into=ref) is None:
        return None
    return kept


async def newest_kept(mirror: Mirror, task: str) -> str | None:
    """The last work of the task that was kept in this mirror, whatever its number."""
    found = await git_output(
        mirror.path,
        *("for-each-ref", "--count=1", "--sort=-committerdate", "--format=%(objectname)"),
        f"refs/penstock/wip/{check_task(task)}/",
    )
    return check_commit(found.decode("ascii").strip()) if found else None


async def take_result(
    clone: Clone, mirror: Mirror, sandbox: Sandboxed, *, descends_from: str | None = None
) -> Diffstat:
    """Bring the task's branch into the mirror, on `refs/penstock/task/<task>`, and say what it changes.

    Raises BaseLost if it does not descend from the task's base (or from `descends_from`, a later commit),
    BundleRefused, TooBig, CloneDamaged, TimedOut, MirrorBusy.
    """
    branch = f"refs/heads/{clone.branch}"
    tip = await _commit(clone, sandbox, branch)
    if tip is None:
        raise RefMissing(f"The clone has no {clone.branch}.")
    if tip != clone.base:
        carried = await carry(
            clone, mirror, sandbox, ref=branch, into=task_ref(clone.task), descends_from=descends_from or clone.base
        )
        if carried is None:
            raise BaseLost("The branch has been set to an older commit.")
        tip = carried
    return await diffstat(mirror, clone.base, tip)


async def snapshot(clone: Clone, sandbox: Sandboxed, *, ref: str) -> Kept:
    """A commit with the work tree as it is, on `ref` in the clone; HEAD itself where nothing is uncommitted."""
    head = await _commit(clone, sandbox, "HEAD") or clone.base
    staged = await _stage(clone, sandbox, head)
    commit = head
    if staged.tree != await _tree(clone, sandbox, head):
        message = f"Work in progress\n\n{SNAPSHOT_TRAILER}{clone.task}\n"
        commit = await _commit_tree(clone, sandbox, staged.tree, head, message)
    await _drop(clone, sandbox, f"{ref}.lock")
    await in_clone(clone, sandbox, "update-ref", ref, commit)
    return Kept(ref, commit, staged.missed)


async def remember(clone: Clone, sandbox: Sandboxed) -> Remembered:
    """How the clone is now, for `put_back`. Raises as `keep_work`."""
    head = await _commit(clone, sandbox, "HEAD") or clone.base
    where = await in_clone(clone, sandbox, "symbolic-ref", "--quiet", "HEAD", allow=(0, 1))
    files = await snapshot(clone, sandbox, ref=wip_ref(clone.task, 0))
    return Remembered(
        where.stdout.decode("utf-8", "replace").strip(), head, files.commit, await _tree(clone, sandbox, files.commit)
    )


async def put_back(clone: Clone, sandbox: Sandboxed, before: Remembered) -> bool:
    """Make the work tree and HEAD as they were; True where they had changed. Ignored files stay as they are. For a clone that
    `heal_clone` has seen since anything was killed in it."""
    now = await remember(clone, sandbox)
    if (now.where, now.head, now.tree) == (before.where, before.head, before.tree):
        return False
    if before.where:
        await in_clone(clone, sandbox, "symbolic-ref", "HEAD", before.where)
        await in_clone(clone, sandbox, "reset", "--quiet", "--hard", before.commit, timeout_seconds=STAGE_SECONDS_MAX)
    else:
        await in_clone(clone, sandbox, "checkout", "--quiet", "--force", "--detach", before.commit)
    await in_clone(clone, sandbox, "clean", "--quiet", "-ffd", timeout_seconds=STAGE_SECONDS_MAX)
    await in_clone(clone, sandbox, "reset", "--quiet", "--mixed", before.head)
    return True


async def _stage(clone: Clone, sandbox: Sandboxed, start: str) -> _Staged:
    """The work tree as a tree object, by a repository of our own (`.git/penstock-stage-0`) that has the agent's objects and
    ignore rules and nothing else of it: a filter that fails, or an index that hides files, would keep work from us."""
    return await _stage_folder(clone, sandbox, clone.path, start, depth=0)


async def _stage_folder(clone: Clone, sandbox: Sandboxed, folder: Path, start: str | None, *, depth: int) -> _Staged:
    """A repository the agent made inside the work tree would be one line without its content (or, without a commit, an
    error that takes everything down). It is staged as the folder that it is."""
    stage = f"{_STAGE}{depth}"
    await _drop(clone, sandbox, stage)
    git = functools.partial(
        in_clone,
        clone,
        sandbox,
        git_dir=clone.git_dir / stage,
        work_tree=folder,
        settings=(("core.excludesFile", str(clone.git_dir / "info" / "exclude")),),
        timeout_seconds=STAGE_SECONDS_MAX,
    )
    await in_clone(clone, sandbox, "init", "--quiet", "--template=", git_dir=clone.git_dir / stage)
    await git("read-tree", start or "--empty")
    listed = await git("ls-files", "-z", "--others", "--exclude-standard")
    nested = [os.fsdecode(name[:-1]) for name in listed.stdout.split(b"\0") if name.endswith(b"/")]
    if depth == NESTED_DEPTH_MAX:
        nested = []
    without = (f":(exclude,literal){name}" for name in nested)
    added = await git("add", "--all", "--ignore-errors", "--", ".", *without, allow=(0, 1))
    missed = added.stderr.decode("utf-8", "replace") if added.returncode else ""
    for name in nested:
        inner = await _stage_folder(clone, sandbox, folder / name, None, depth=depth + 1)
        await git("read-tree", f"--prefix={name}/", inner.tree)
        missed += inner.missed
    return _Staged(_oid(await git("write-tree")), readable(missed))


async def _commit_tree(clone: Clone, sandbox: Sandboxed, tree: str, parent: str, message: str) -> str:
    return _oid(await in_clone(clone, sandbox, "commit-tree", tree, "-p", parent, "-m", message))


async def _tree(clone: Clone, sandbox: Sandboxed, commit: str) -> str:
    return _oid(await in_clone(clone, sandbox, "rev-parse", "--verify", f"{commit}^{{tree}}"))


async def _commit(clone: Clone, sandbox: Sandboxed, ref: str) -> str | None:
    done = await in_clone(clone, sandbox, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", allow=(0, 1, 128))
    return _oid(done) if done.returncode == 0 else None


async def _is_ancestor(clone: Clone, sandbox: Sandboxed, older: str, newer: str) -> bool:
    done = await in_clone(clone, sandbox, "merge-base", "--is-ancestor", older, newer, allow=(0, 1))
    return done.returncode == 0


async def _drop(clone: Clone, sandbox: Sandboxed, *names: str) -> None:
    """Remove files of our own in `.git`, which a killed run may have left."""
    await sandboxed(clone, sandbox, ["rm", "-rf", "--", *(str(clone.git_dir / name) for name in names)])


def _oid(done: Completed) -> str:
    said = done.stdout.decode("ascii", "replace").strip()
    try:
        return check_commit(said)
    except BadName as error:
        raise CloneDamaged("Git in the clone did not answer with an object id.") from error
