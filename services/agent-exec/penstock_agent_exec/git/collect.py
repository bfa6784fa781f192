"""Collection: what is on this host's disk of tasks that are over, and of repos that nobody uses any more.

Nothing tells a host that a task is over. So what decides is when a job last worked with it: whatever has been left alone for
`keep_days` goes, and where the folder is larger than `disk_bytes_max`, the oldest first. A task that comes back nevertheless
loses its agent's session and nothing else: its work is in the mirror, from where a clone begins again.

The rule of this room: between looking whether a job is at work and taking a thing out of its place nobody else gets a turn,
and what has been taken out is deleted elsewhere, under no lock. Kept work is no matter of bytes: a mirror goes only when it
holds none, and kept work goes by age alone.

    <data>/leaving/<id>/tasks/<task>    a task's folder on its way out
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from penstock import ids
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.folder import DataFolder
from penstock_agent_exec.git.clone import Clone, find_clone
from penstock_agent_exec.git.command import LOW_PRIORITY, Sandboxed, git_output, run, trusted_environment
from penstock_agent_exec.git.failures import BadName, GitFailed
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import (
    Mirror,
    forget_task,
    has_work,
    is_due,
    maintain_mirror,
    mirror_of,
    remove_tree,
    repos_of,
)
from penstock_agent_exec.git.names import check_task
from penstock_agent_exec.git.spare import SPARES_PER_REPO_MAX, make_spare, spares_of
from penstock_agent_exec.git.work import SET_ASIDE, keep_work

log = structlog.get_logger()

DAY_SECONDS: Final = 86_400.0
KEPT_WORK_DAYS: Final = 180
"""How long work that was kept stays in a mirror, where no clone of its task is on this host."""

QUOTA_IDLE_SECONDS: Final = 3_600.0
"""A task that was worked on within this time keeps its clone whatever the folder's size."""

DISK_SECONDS_MAX: Final = 600.0
DELETE_SECONDS_MAX: Final = 3_600.0
InClone: TypeAlias = Callable[[Path, Mirror], Sandboxed]
"""A sandbox for git in a work tree that borrows from a mirror."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept. `disk_bytes_max` 0: whatever there is."""

    keep_days: float
    disk_bytes_max: int
    kept_work_days: float = KEPT_WORK_DAYS


@dataclass(frozen=True, slots=True)
class _Leaving:
    """Something that can go, and since when nobody has used it."""

    path: Path
    used_at: float


async def collect(folder: DataFolder, bounds: Bounds, in_clone: InClone | None) -> None:
    """One round: what is too old, then what is too much, then the mirrors. Whatever cannot be done is logged and left for the
    next round. `in_clone` is None where nothing may run in a clone: then nothing more of its work is kept, and no spare made.
    """
    await _finish(folder, in_clone)
    now = time.time()
    old = now - bounds.keep_days * DAY_SECONDS
    for task in _tasks(folder):
        if task.used_at < old:
            await _collect_task(folder, task, in_clone, why="age")
    for saving in [*_maps(folder), *_spares(folder)]:
        if saving.used_at < old:
            await _drop(folder, saving.path, why="age")
    await _keep_within(folder, bounds, in_clone)
    for mirror in _mirrors(folder):
        await _forget_old(folder, mirror, now - bounds.kept_work_days * DAY_SECONDS)
        if _used_at(mirror) < old:
            await _collect_mirror(folder, mirror)


async def maintain(folder: DataFolder) -> None:
    """Maintenance for the mirrors that need it and that no job works with."""
    for mirror in _mirrors(folder):
        if _in_hand(folder, _repo_key(mirror.repo)) or not is_due(mirror, now=time.time()):
            continue
        try:
            await maintain_mirror(mirror)
            log.info("mirror.maintained", repo=mirror.repo)
        except GitFailed as error:
            log.warning("mirror.not_maintained", repo=mirror.repo, reason=str(error))


@contextmanager
def in_hand(folder: DataFolder, task: str, repo: str) -> Iterator[None]:
    """While a job of the task is worked on: nothing of it is collected, and it counts as used until the job's end."""
    with folder.holding(_task_key(task), _repo_key(repo)):
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                os.utime(folder.path / "tasks" / f"{task}.clone")


def _task_key(task: str) -> str:
    return f"task/{task}"


def _repo_key(repo: str) -> str:
    return f"repo/{repo}"


async def _finish(folder: DataFolder, in_clone: InClone | None) -> None:
    """What an earlier round, cut off, has left on its way out."""
    for path in sorted((folder.path / "leaving").glob("*")):
        await _see_off(folder, path, in_clone)


def _tasks(folder: DataFolder) -> Iterator[_Leaving]:
    """The tasks on the disk that no job works with, those left alone for longest first."""
    found: list[_Leaving] = []
    for path in (folder.path / "tasks").glob("*"):
        if path.suffix in (".clone", ".making") or _in_hand(folder, _task_key(path.name)):
            continue
        record = path.with_name(f"{path.name}.clone")
        found.append(_Leaving(path, (record if record.exists() else path).lstat().st_mtime))
    yield from sorted(found, key=lambda leaving: leaving.used_at)


def _spares(folder: DataFolder) -> list[_Leaving]:
    found = [_Leaving(path, path.lstat().st_mtime) for path in (folder.path / "spare").glob("*/*")]
    return sorted(found, key=lambda leaving: leaving.used_at)


def _maps(folder: DataFolder) -> list[_Leaving]:
    found = [_Leaving(path, path.lstat().st_mtime) for path in (folder.path / "maps").glob("*.sqlite")]
    return sorted(found, key=lambda leaving: leaving.used_at)


def _mirrors(folder: DataFolder) -> list[Mirror]:
    return [mirror_of(folder.path, repo) for repo in repos_of(folder.path)]


def _in_hand(folder: DataFolder, key: str) -> bool:
    return folder.in_hand[key] > 0


async def _collect_task(
    folder: DataFolder, task: _Leaving, in_clone: InClone | None, *, why: str, may_be_spare: bool = True
) -> None:
    if _in_hand(folder, _task_key(task.path.name)) or not task.path.exists():
        return
    place = folder.path / "leaving" / ids.fresh() / "tasks"
    try:
        place.mkdir(parents=True)
        # No turn for anybody else from the look above to the last of these. The record last: without its folder it says nothing.
        task.path.rename(place / task.path.name)
        record = task.path.with_name(f"{task.path.name}.clone")
        if record.exists():
            record.rename(place / record.name)
    except OSError as error:
        log.warning("folder.not_collected", path=str(task.path), reason=str(error))
        return
    unused_days = round((time.time() - task.used_at) / DAY_SECONDS, 1)
    log.info("task.collected", task=task.path.name, why=why, unused_days=unused_days)
    await _see_off(folder, place.parent, in_clone, may_be_spare=may_be_spare)


async def _see_off(folder: DataFolder, place: Path, in_clone: InClone | None, *, may_be_spare: bool = True) -> None:
    """Keep the work of a task on its way out, make a spare of its work tree, delete the rest."""
    for record in (place / "tasks").glob("*.clone"):
        try:
            clone = find_clone(place, record.stem)
            if clone is not None and in_clone is not None:
                await _use(folder, clone, in_clone, may_be_spare=may_be_spare)
        except (GitFailed, ChildNotStarted, OSError, ValueError, KeyError) as error:
            log.info("clone.no_spare", task=record.stem, reason=str(error))
    await _drop(folder, place, why="left")


async def _use(folder: DataFolder, clone: Clone, in_clone: InClone, *, may_be_spare: bool) -> None:
    """Raises the failures of git, OSError, ChildNotStarted."""
    mirror = Mirror(clone.objects.parent)
    sandbox = in_clone(clone.path, mirror)
    try:
        await heal_clone(clone, sandbox)
        await keep_work(clone, mirror, SET_ASIDE, sandbox)
    except GitFailed as error:
        log.warning("clone.not_kept", task=clone.task, reason=str(error))
    if may_be_spare and len(spares_of(folder.path, mirror.repo)) < SPARES_PER_REPO_MAX:
        spare = await make_spare(clone, mirror, sandbox, data=folder.path)
        log.info("clone.spared", repo=mirror.repo, spare=spare.path.name)


async def _keep_within(folder: DataFolder, bounds: Bounds, in_clone: InClone | None) -> None:
    """What maps remember and spares first: they save time and nothing else."""
    if not bounds.disk_bytes_max:
        return
    size = await _size_bytes(folder.path)
    idle = time.time() - QUOTA_IDLE_SECONDS
    tasks = [task for task in _tasks(folder) if task.used_at < idle]
    for leaving in [*_maps(folder), *_spares(folder), *tasks]:
        if size <= bounds.disk_bytes_max:
            return
        size -= await _size_bytes(leaving.path)
        if leaving in tasks:
            await _collect_task(folder, leaving, in_clone, why="size", may_be_spare=False)
        else:
            await _drop(folder, leaving.path, why="size")
    if size > bounds.disk_bytes_max:
        log.warning("folder.too_large", size_bytes=size, disk_bytes_max=bounds.disk_bytes_max)


async def _size_bytes(path: Path) -> int:
    """What it takes on the disk; what cannot be read counts for nothing."""
    du = [*LOW_PRIORITY, "du", "-sx", "--block-size=1", "--", str(path)]
    done = await run(du, env=trusted_environment(), timeout_seconds=DISK_SECONDS_MAX)
    said = done.stdout.split()
    return int(said[0]) if said else 0


async def _forget_old(folder: DataFolder, mirror: Mirror, before: float) -> None:
    """Drop the refs of tasks of which nothing has come for long. Their objects stay: a commit that somebody still names is
    found by its name."""
    try:
        listed = await git_output(
            mirror.path,
            "for-each-ref",
            "--format=%(committerdate:unix) %(refname)",
            "refs/penstock/",
            before=LOW_PRIORITY,
        )
        newest: dict[str, float] = {}
        for line in listed.decode("utf-8", "replace").splitlines():
            date, _, ref = line.partition(" ")
            task = ref.split("/")[3]
            newest[task] = max(newest.get(task, 0.0), float(date or 0))
        for task, at in newest.items():
            here = (folder.path / "tasks" / task).exists() or _in_hand(folder, _task_key(task))
            if at < before and not here:
                await forget_task(mirror, check_task(task))
                log.info("task.forgotten", task=task, repo=mirror.repo)
    except (GitFailed, BadName) as error:
        log.warning("mirror.not_pruned", repo=mirror.repo, reason=str(error))


def _used_at(mirror: Mirror) -> float:
    found = mirror.fetched_file if mirror.fetched_file.exists() else mirror.path
    return found.stat().st_mtime


async def _collect_mirror(folder: DataFolder, mirror: Mirror) -> None:
    """A mirror that holds no task's work and that no clone borrows from can be fetched again."""
    if await has_work(mirror) or _in_hand(folder, _repo_key(mirror.repo)) or _is_borrowed(folder, mirror):
        return
    place = folder.path / "leaving" / ids.fresh()
    place.mkdir(parents=True)
    mirror.path.rename(place / "mirror")
    for path in (mirror.fetched_file, mirror.maintained_file):
        path.unlink(missing_ok=True)
    log.info("mirror.collected", repo=mirror.repo)
    await _drop(folder, place, why="age")
    await _drop(folder, folder.path / "spare" / mirror.repo, why="age")
    await _drop(folder, folder.path / "maps" / f"{mirror.repo}.sqlite", why="age")


def _is_borrowed(folder: DataFolder, mirror: Mirror) -> bool:
    for record in [*(folder.path / "tasks").glob("*.clone"), *(folder.path / "leaving").glob("*/tasks/*.clone")]:
        try:
            if Path(json.loads(record.read_text())["objects"]) == mirror.objects:
                return True
        except (OSError, ValueError, KeyError):
            return True  # nobody knows
    return False


async def _drop(folder: DataFolder, path: Path, *, why: str) -> None:
    """Out of its place first, so that what is cut off is never taken for whole."""
    leaving = folder.path / "leaving"
    try:
        if leaving not in path.parents:
            leaving.mkdir(exist_ok=True)
            away = leaving / ids.fresh()
            path.rename(away)
            log.info("folder.collected", path=str(path), why=why)
            path = away
        await remove_tree(path, timeout_seconds=DELETE_SECONDS_MAX, before=LOW_PRIORITY)
    except FileNotFoundError:
        return
    except (GitFailed, OSError) as error:
        log.warning("folder.not_collected", path=str(path), reason=str(error))
