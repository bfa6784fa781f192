"""Putting a change on top of what its branch has become, in the mirror and without a work tree; and the clone after it.

Rule of this room: merges are made by git's own merge of trees, which runs no filter, no driver and no hook; asked again with
the same commits it is the same result. What does not fit is not guessed: both sides stay, marked, for somebody to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from penstock_agent_exec.git.change import Commit, commits_of
from penstock_agent_exec.git.clone import SNAPSHOT_TRAILER, Clone, in_clone, to_disk, write_record
from penstock_agent_exec.git.command import Sandboxed, git, git_output
from penstock_agent_exec.git.failures import failure_from
from penstock_agent_exec.git.mirror import Mirror, held, task_ref, wip_ref
from penstock_agent_exec.git.names import Identity, check_commit, check_identity

PICKED_MAX: Final = 100
"""A change of more commits becomes one."""

CONFLICTED: Final = 999
"""The number of kept work that has both sides in it; no attempt has that many."""

MOVE_SECONDS_MAX: Final = 300.0


@dataclass(frozen=True, slots=True)
class Rebased:
    """`commit` stands on the new base. `conflicts`: the files in which both sides are marked; then it is work in progress."""

    commit: str
    conflicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Merged:
    tree: str
    conflicts: tuple[str, ...]


async def rebase(mirror: Mirror, task: str, *, base: str, head: str, onto: str, identity: Identity) -> Rebased:
    """What `base`..`head` changes, on top of `onto`: commit by commit, or as one where that does not go. It is kept under the
    task's refs. Raises RefMissing, TooBig, MirrorBusy, TimedOut."""
    check_identity(identity)
    commits = await commits_of(mirror, base, head)
    async with held(mirror) as lock:
        picked = await _picked(mirror, commits, onto, lock)
        if picked is not None:
            await _keep(mirror, task_ref(task), picked, lock)
            return Rebased(picked, ())
        merged = await _merge(mirror, onto, head, lock)
        subjects = "\n".join(f"- {commit.subject}" for commit in commits)
        message = f"{commits[-1].subject}\n\n{subjects}\n" if len(commits) > 1 else f"{commits[-1].subject}\n"
        if merged.conflicts:
            message = f"Work in progress\n\n{SNAPSHOT_TRAILER}{task}\n"
        commit = await _commit(mirror, merged.tree, onto, message, await _like(mirror, head, identity), lock)
        await _keep(mirror, wip_ref(task, CONFLICTED) if merged.conflicts else task_ref(task), commit, lock)
        return Rebased(commit, merged.conflicts)


async def _picked(mirror: Mirror, commits: tuple[Commit, ...], onto: str, lock: int) -> str | None:
    """Each commit's own change on top of the last one; None where one does not fit, or is no plain commit."""
    if len(commits) > PICKED_MAX or any(commit.parents != 1 for commit in commits):
        return None
    at = onto
    for commit in commits:
        # A commit with the tree of `at` and the parent of the one to be picked: that parent is where the two of them part.
        beside = await _commit(
            mirror, await _tree(mirror, at), f"{commit.commit}^", "beside\n", await _like(mirror, commit.commit), lock
        )
        merged = await _merge(mirror, beside, commit.commit, lock)
        if merged.conflicts:
            return None
        if merged.tree == await _tree(mirror, at):
            continue
        message = await git_output(mirror.path, "log", "-1", "--format=%B", "--no-show-signature", commit.commit)
        at = await _commit(
            mirror, merged.tree, at, message.decode("utf-8", "replace"), await _like(mirror, commit.commit), lock
        )
    return at


async def _merge(mirror: Mirror, ours: str, theirs: str, lock: int) -> _Merged:
    done = await git(
        mirror.path,
        *("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs),
        keep_open=(lock,),
    )
    if done.returncode not in (0, 1):
        raise failure_from(done.stderr)
    tree, *names = done.stdout.decode("utf-8", "backslashreplace").split("\0")
    return _Merged(check_commit(tree.strip()), tuple(name for name in names if name) if done.returncode else ())


async def _like(mirror: Mirror, commit: str, identity: Identity | None = None) -> dict[str, str]:
    """Who and when, as the commit says, or as `identity`: the same every time it is asked."""
    out = await git_output(
        mirror.path,
        *("log", "-1", "--date=raw", "--no-mailmap", "--no-show-signature"),
        *("--format=%an%n%ae%n%ad%n%cn%n%ce%n%cd", commit),
    )
    said = out.decode("utf-8", "replace").split("\n")
    who = {}
    for role, (name, email, when) in (("AUTHOR", said[:3]), ("COMMITTER", said[3:6])):
        who[f"GIT_{role}_NAME"] = name if identity is None else identity.name
        who[f"GIT_{role}_EMAIL"] = email if identity is None else identity.email
        who[f"GIT_{role}_DATE"] = when
    return who


async def _commit(mirror: Mirror, tree: str, parent: str, message: str, who: Mapping[str, str], lock: int) -> str:
    made = await git_output(
        mirror.path, "commit-tree", tree, "-p", parent, env=who, stdin=message.encode(), keep_open=(lock,)
    )
    return check_commit(made.decode("ascii", "replace").strip())


async def _tree(mirror: Mirror, commit: str) -> str:
    out = await git_output(mirror.path, "rev-parse", "--verify", "--end-of-options", f"{check_commit(commit)}^{{tree}}")
    return out.decode().strip()


async def _keep(mirror: Mirror, ref: str, commit: str, lock: int) -> None:
    await git_output(mirror.path, "update-ref", ref, commit, keep_open=(lock,))


async def move_clone(clone: Clone, sandbox: Sandboxed, *, base: str, to: Rebased) -> Clone:
    """The task's clone on the new base: at the change, or with both sides in its work tree, not committed. For a clone that
    `heal_clone` has seen. Done again, it is the same. Raises CloneDamaged, TimedOut."""
    branch = f"refs/heads/{clone.branch}"
    await in_clone(clone, sandbox, "symbolic-ref", "HEAD", branch)
    await in_clone(clone, sandbox, "update-ref", branch, to.commit)
    await in_clone(clone, sandbox, "reset", "--quiet", "--hard", to.commit, timeout_seconds=MOVE_SECONDS_MAX)
    await in_clone(clone, sandbox, "clean", "--quiet", "-ffd", timeout_seconds=MOVE_SECONDS_MAX)
    if to.conflicts:
        await in_clone(clone, sandbox, "reset", "--quiet", "--mixed", base)
    await to_disk(clone.path)
    moved = replace(clone, base=base)
    write_record(moved)
    return moved
