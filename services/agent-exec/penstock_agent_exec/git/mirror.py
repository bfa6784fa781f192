"""One bare mirror per repo, outside every sandbox: what the remote's branches are, and what tasks have handed in.

The rule of this room: whoever writes into a mirror holds its lock, and every git that writes inherits the lock, so it is
held until the last of them is gone. Objects are never deleted, since clones borrow them.

    refs/heads/*                    as on the remote
    refs/penstock/task/<task>       what a task has to show
    refs/penstock/start/<task>      where a task that goes on with a branch began
    refs/penstock/wip/<task>/<n>    work in progress, kept before anything touched it
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVarTuple

from penstock_agent_exec.git.command import (
    LOCAL_SECONDS_MAX,
    LOW_PRIORITY,
    git,
    git_output,
    run,
    trusted_environment,
)
from penstock_agent_exec.git.credential import Credential, access_to
from penstock_agent_exec.git.failures import GitFailed, MirrorBusy, RefMissing, failure_from
from penstock_agent_exec.git.names import Remote, check_branch, check_commit, check_repo, check_task

_Args = TypeVarTuple("_Args")

FETCH_SECONDS_MAX: Final = 1_800.0
LOCK_SECONDS_MAX: Final = 600.0
MAINTENANCE_SECONDS_MAX: Final = 900.0
MAINTENANCE_EVERY_SECONDS: Final = 86_400.0
PACKS_MAX: Final = 50
LOOSE_MAX: Final = 6_700
"""As many as git itself tolerates."""

_LOCK_POLL_SECONDS: Final = 0.05

# preciousObjects: git itself refuses to delete objects here, whoever runs gc or prune by hand.
_CONFIG: Final = """\
[core]
	repositoryformatversion = 1
	filemode = true
	bare = true
[extensions]
	preciousObjects = true
[gc]
	auto = 0
"""


@dataclass(frozen=True)
class Mirror:
    """A repo's mirror on this host. Made by `mirror_of`."""

    path: Path

    @property
    def repo(self) -> str:
        return self.path.name.removesuffix(".git")

    @property
    def objects(self) -> Path:
        """The folder that clones borrow from; it has to be readable in their sandbox, at this very path."""
        return self.path / "objects"

    @property
    def lock_file(self) -> Path:
        return self.path.with_suffix(".lock")

    @property
    def spool(self) -> Path:
        """Where a bundle waits to be checked; emptied by whoever holds the lock."""
        return self.path.with_suffix(".spool")

    @property
    def fetched_file(self) -> Path:
        """Its time is that of the last fetch from the remote."""
        return self.path.with_suffix(".fetched")

    @property
    def maintained_file(self) -> Path:
        """Its time is that of the last maintenance."""
        return self.path.with_suffix(".maintained")


def mirror_of(data: Path, repo: str) -> Mirror:
    """The mirror of `repo` under the data directory; nothing is touched. Raises BadName."""
    return Mirror(data.resolve() / "mirrors" / f"{check_repo(repo)}.git")


def repos_of(data: Path) -> tuple[str, ...]:
    """The repos that have a mirror under the data directory."""
    return tuple(sorted(path.name.removesuffix(".git") for path in (data / "mirrors").glob("*.git")))


def task_ref(task: str) -> str:
    return f"refs/penstock/task/{check_task(task)}"


def wip_ref(task: str, number: int) -> str:
    return f"refs/penstock/wip/{check_task(task)}/{number:d}"


def start_ref(task: str) -> str:
    return f"refs/penstock/start/{check_task(task)}"


async def update_mirror(
    mirror: Mirror,
    remote: Remote,
    *,
    credential: Credential | None = None,
    timeout_seconds: float = FETCH_SECONDS_MAX,
    lock_seconds: float = LOCK_SECONDS_MAX,
) -> None:
    """Make the mirror if there is none and bring its branches up to date; those deleted on the remote go.

    Objects are not checked here: real histories hold old, harmless defects that nobody can mend, and nothing is checked
    out on this side. What an agent hands in is checked (`bundle.py`). Raises the failures of a fetch, and MirrorBusy.
    """
    access = access_to(remote, credential)
    async with held(mirror, wait_seconds=lock_seconds) as lock:
        await _make(mirror, lock)
        await git_output(
            mirror.path,
            *("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--force"),
            *("--no-recurse-submodules", "--end-of-options", remote.url, "+refs/heads/*:refs/heads/*"),
            timeout_seconds=timeout_seconds,
            protocol=remote.protocol,
            settings=access.settings,
            env=access.env,
            keep_open=(lock,),
        )
        mirror.fetched_file.touch()


async def resolve_base(mirror: Mirror, branch: str) -> str:
    """The commit a branch of the remote was at when the mirror was last updated. Raises BadName, RefMissing."""
    return await _resolve(mirror, f"refs/heads/{check_branch(branch)}", f"The remote has no branch {branch}.")


async def has_commit(mirror: Mirror, commit: str) -> bool:
    """Whether the mirror has this commit, from whatever ref it came."""
    done = await git(mirror.path, "cat-file", "-e", f"{check_commit(commit)}^{{commit}}")
    return done.returncode == 0


async def kept_commit(mirror: Mirror, ref: str) -> str:
    """The commit on a `refs/penstock/` ref. Raises RefMissing."""
    return await _resolve(mirror, ref, f"The mirror has no {ref}.")


async def contains(mirror: Mirror, tip: str, commit: str) -> bool:
    """Whether `commit` is in the history of `tip`. Raises RefMissing where the mirror has no such tip."""
    if not await has_commit(mirror, commit):
        return False
    done = await git(mirror.path, "merge-base", "--is-ancestor", check_commit(commit), check_commit(tip))
    if done.returncode not in (0, 1):
        raise failure_from(done.stderr)
    return done.returncode == 0


async def set_start(mirror: Mirror, task: str, commit: str) -> None:
    """Remember where a task began that goes on with a branch; it also keeps that commit. Raises RefMissing, MirrorBusy."""
    async with held(mirror) as lock:
        await git_output(mirror.path, "update-ref", start_ref(task), check_commit(commit), keep_open=(lock,))


async def start_of(mirror: Mirror, task: str) -> str | None:
    """Where a task began that goes on with a branch; None for any other."""
    try:
        return await kept_commit(mirror, start_ref(task))
    except RefMissing:
        return None


async def maintain_mirror(mirror: Mirror, *, timeout_seconds: float = MAINTENANCE_SECONDS_MAX) -> None:
    """Pack what has piled up and renew the commit graph; drops no object. The lock is given back between one task and the
    next, so a job waits for no more than one of them. Raises MirrorBusy, TimedOut."""
    for task in ("pack-refs", "loose-objects", "incremental-repack", "commit-graph"):
        async with held(mirror) as lock:
            await _make(mirror, lock)
            command: tuple[str, ...] = ("maintenance", "run", "--quiet", f"--task={task}")
            if task == "commit-graph":
                # With the paths that each commit has changed, which `maintenance` does not write of itself.
                command = ("commit-graph", "write", "--reachable", "--split", "--changed-paths", "--no-progress")
            elif task == "incremental-repack" and not _packs(mirror):
                continue  # calls it an error to find no pack
            await git_output(
                mirror.path, *command, timeout_seconds=timeout_seconds, keep_open=(lock,), before=LOW_PRIORITY
            )
    mirror.maintained_file.touch()


def is_due(mirror: Mirror, *, now: float) -> bool:
    """Whether maintenance is worth its while: a first one at once, another one after a day with fetches or when files have
    piled up."""
    fetched, last = _time(mirror.fetched_file), _time(mirror.maintained_file)
    if fetched is None or last is None or fetched <= last:
        return fetched is not None and last is None
    return now - last > MAINTENANCE_EVERY_SECONDS or _packs(mirror) > PACKS_MAX or _loose(mirror) > LOOSE_MAX


def _time(file: Path) -> float | None:
    return file.stat().st_mtime if file.exists() else None


def _packs(mirror: Mirror) -> int:
    return sum(1 for _ in (mirror.objects / "pack").glob("*.idx"))


def _loose(mirror: Mirror) -> int:
    """About how many: the first byte of an id is evenly spread, and one folder of 256 is counted."""
    return 256 * sum(1 for _ in (mirror.objects / "17").glob("*"))


async def forget_task(mirror: Mirror, task: str) -> None:
    """Remove a task's refs from the mirror; its objects stay. Done again, it does nothing."""
    async with held(mirror) as lock:
        await _make(mirror, lock)
        mine = (task_ref(task), start_ref(task), f"refs/penstock/wip/{task}/")
        found = await git_output(mirror.path, "for-each-ref", "--format=delete %(refname)", *mine)
        await git_output(mirror.path, "update-ref", "--stdin", stdin=found, keep_open=(lock,))


async def has_work(mirror: Mirror) -> bool:
    """Whether it holds anything that a task has handed in or begun with."""
    return bool(await git_output(mirror.path, "for-each-ref", "--count=1", "refs/penstock/"))


@asynccontextmanager
async def held(mirror: Mirror, *, wait_seconds: float = LOCK_SECONDS_MAX) -> AsyncIterator[int]:
    """The mirror's lock, healed of what a killed git has left. Yields the descriptor to hand on. Raises MirrorBusy."""
    mirror.path.parent.mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_seconds
    lock = os.open(mirror.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if loop.time() >= until:
                    raise MirrorBusy(f"Waited {wait_seconds:g} s for {mirror.path.name}.") from None
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        await in_thread(_heal, mirror)
        yield lock
    finally:
        os.close(lock)


async def in_thread(work: Callable[[*_Args], None], *args: *_Args) -> None:
    """Do blocking `work` beside the loop, to its end: a thread cannot be cancelled, so whoever is cancelled here waits for it,
    and what it works under, a lock or an open file, stays until then. Raises what `work` raises."""
    # A future of the pool, not a task: at the end of the loop all tasks are cancelled, the thread still is not.
    working = asyncio.get_running_loop().run_in_executor(None, work, *args)
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError as error:
            cancelled = error
    failed = working.exception()
    if cancelled is not None:
        raise cancelled
    if failed is not None:
        raise failed


async def remove_tree(path: Path, *, timeout_seconds: float = LOCAL_SECONDS_MAX, before: Sequence[str] = ()) -> None:
    """Delete a tree that an agent may have written: any depth, any permissions, no link followed. `before`: words before the
    commands, such as LOW_PRIORITY. Raises GitFailed, TimedOut.

    `rm` does what `shutil.rmtree` cannot: folders nested beyond Python's recursion and beyond the limit of open files.
    """
    env = trusted_environment()
    for make_way in (None, ["chmod", "-R", "u+rwX", "--", str(path)]):
        if not os.path.lexists(path):
            return
        if make_way:
            await run([*before, *make_way], env=env, timeout_seconds=timeout_seconds)
        rm = [*before, "rm", "-rf", "--one-file-system", "--", str(path)]
        done = await run(rm, env=env, timeout_seconds=timeout_seconds)
    if os.path.lexists(path):
        raise failure_from(done.stderr)


async def _make(mirror: Mirror, lock: int) -> None:
    """An empty mirror where there is none. It gets its name only when it is whole."""
    if mirror.path.is_dir():
        return
    making = mirror.path.with_suffix(".making")
    await remove_tree(making)
    await git_output(making, "init", "--quiet", "--bare", "--template=", keep_open=(lock,))
    (making / "config").write_text(_CONFIG)
    try:
        making.rename(mirror.path)
    except OSError as error:
        raise GitFailed(str(error)) from error


async def _resolve(mirror: Mirror, ref: str, missing: str) -> str:
    done = await git(mirror.path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode != 0:
        raise failure_from(done.stderr) if done.stderr else RefMissing(missing)
    return check_commit(done.stdout.decode("ascii", "replace").strip())


def _heal(mirror: Mirror) -> None:
    """Remove what a git killed in the middle leaves: lock files, half-written objects, refs a power cut has emptied.

    Only for the holder of the lock: every git that writes here inherits it, so none of these has an owner alive.
    """
    for folder, folders, files in os.walk(mirror.path):
        inside = Path(folder)
        is_object = "objects" in inside.relative_to(mirror.path).parts
        is_ref = "refs" in inside.relative_to(mirror.path).parts
        for name in files:
            half_made = is_object and name.startswith(("tmp_", ".tmp-"))
            if name.endswith(".lock") or half_made or (is_ref and _is_empty(inside / name)):
                (inside / name).unlink(missing_ok=True)
        folders[:] = [name for name in folders if not (is_object and _drop_quarantine(inside / name))]


def _is_empty(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size == 0


def _drop_quarantine(folder: Path) -> bool:
    """Remove a folder of objects that git had not yet taken in."""
    if not folder.name.startswith(("tmp_objdir-", "incoming-")):
        return False
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            (Path(parent) / name).unlink()
        for name in folders:
            (Path(parent) / name).rmdir()
    folder.rmdir()
    return True
