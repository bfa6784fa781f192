"""Groups of processes that the kernel itself keeps within their limits: control groups of version 2, or 1 where we are root.

The rule of this room: groups are made below the one this process lives in, so that whatever limits it limits its children too
(beside it only where version 2 allows nothing else); one group for one child, removed when the child is gone. Which means a
host has is found by making a group, not by asking.

A group's name says whose it is, and which process has made it. What a killed process has left is found by that, and removed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

import structlog

from penstock_agent_exec.limits import ResourceLimits

log = structlog.get_logger()

Kind: TypeAlias = Literal["cgroup2", "cgroup1", "rlimits"]

PREFIX: Final = "penstock-"
OURS: Final = f"{PREFIX}executor"
"""A group of version 2 with children must hold no process: the executor moves itself into this one."""
CPU_PERIOD_US: Final = 100_000
CPU_SHARE: Final = 2
"""Children get half of the processor time that the executor may have where both want it: leases are renewed by the executor."""
PROCESSES_OF_OURS: Final = 4
"""bubblewrap, PID 1 inside, and whoever starts them count in the group and are not the child's."""
EMPTYING_ROUNDS_MAX: Final = 100
EMPTYING_PAUSE_SECONDS: Final = 0.01

_NEEDED: Final = ("memory", "pids")
_WANTED: Final = (*_NEEDED, "cpu")
_LEFT: Final = re.compile(rf"{PREFIX}(?P<name>[a-z0-9-]+)-(?P<pid>[0-9]+)-[0-9]+")
_numbers: Final = itertools.count(1)
_made: Final = set[str]()
"""The names of this process's own groups."""
_left_over: Final = set[Path]()
"""Groups that still held something dying when their child was given up. Tried again with the next."""


class NotEnclosed(Exception):
    """The group for a child could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How this host keeps children within their limits. `folders`: where groups are made, by controller; of version 2 all in
    one. `name` says whose groups they are."""

    kind: Kind = "rlimits"
    folders: Mapping[str, Path] = field(default_factory=dict)
    name: str = ""

    def enclose(self, limits: ResourceLimits) -> Group | None:
        """A group with these limits, for one child; None where this host has no groups. Raises NotEnclosed."""
        if self.kind == "rlimits":
            return None
        for folder in tuple(_left_over):
            if _gone(folder):
                _left_over.discard(folder)
        name = f"{PREFIX}{self.name}-{os.getpid()}-{next(_numbers)}"
        _made.add(name)
        group = Group(self.kind, {controller: folder / name for controller, folder in self.folders.items()})
        try:
            group.make(limits)
        except OSError as error:
            group.remove()
            raise NotEnclosed(f"no control group for a child: {error}") from error
        return group

    def sweep(self) -> int:
        """Remove what earlier processes have left: groups of this name with all that still runs in them, and of other names
        the empty ones whose maker is gone. How many there were. Only for who alone has the name: its folder's lock proves it."""
        swept = 0
        for folder in set(self.folders.values()):
            for left in folder.glob(f"{PREFIX}*"):
                found = _LEFT.fullmatch(left.name)
                if found is None or left.name in _made:
                    continue
                if found["name"] == self.name:
                    _empty(left)
                    swept += _gone(left)
                elif not Path("/proc", found["pid"]).exists():
                    # Perhaps of another PID namespace, and alive: then it is not empty, and stays.
                    swept += _gone(left)
        return swept


RLIMITS: Final = Means()
"""Limits that each process has for itself; the whole tree's memory and count are watched from outside."""


class Group:
    """One child's control group: a folder in every hierarchy that holds one of its controllers."""

    def __init__(self, kind: Kind, folders: Mapping[str, Path]) -> None:
        self._kind = kind
        self._of = folders
        self._folders = sorted(set(folders.values()))

    def make(self, limits: ResourceLimits) -> None:
        """Raises OSError."""
        for folder in self._folders:
            if folder.exists():  # of a dead process that had our name and our number
                _empty(folder)
                _gone(folder)
            folder.mkdir()
        for controller, name, value in _settings(self._kind, limits):
            path = self._of.get(controller)
            # Swap accounting may be off, and then there is no such file.
            if path is not None and (path / name).exists():
                (path / name).write_text(value)

    def joining(self) -> tuple[str, ...]:
        """The words before a command that put it into the group before its first instruction."""
        into = 'for group do shift; [ "$group" = -- ] && break; echo 0 > "$group/cgroup.procs" || exit 125; done'
        return ("/bin/sh", "-c", f'{into}; exec "$@"', "sh", *map(str, self._folders), "--")

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed anything in the group because it wanted more memory than its limit."""
        name = "memory.events" if self._kind == "cgroup2" else "memory.oom_control"
        with contextlib.suppress(OSError, KeyError):
            return "\noom_kill 0" not in f"\n{(self._of['memory'] / name).read_text()}"
        return False

    def kill(self) -> None:
        """SIGKILL to everything in the group."""
        for folder in self._folders:
            _kill(folder)

    def remove(self) -> bool:
        """False where something is still in it; then it goes when the next one is made."""
        left = {folder for folder in self._folders if not _gone(folder)}
        _left_over.update(left)
        if not left:
            _made.difference_update(folder.name for folder in self._folders)
        return not left


def find_means(name: str) -> Means:
    """How this host can keep children within their limits: the best that works when tried. `name`: a word for the groups."""
    for means in _possible(name):
        try:
            group = means.enclose(ResourceLimits())
        except NotEnclosed as error:
            log.info("cgroups.unusable", kind=means.kind, reason=str(error))
            continue
        if group is not None and group.remove():
            return means
    return RLIMITS


def _possible(name: str) -> Iterator[Means]:
    hierarchies = _hierarchies(Path("/proc/self/mountinfo").read_text())
    homes = _homes(Path("/proc/self/cgroup").read_text())
    if (home := _place(hierarchies, homes, "")) is not None and (folder := _delegated(home)) is not None:
        yield Means(kind="cgroup2", folders=dict.fromkeys(_WANTED, folder), name=name)
    found = {controller: _place(hierarchies, homes, controller) for controller in _WANTED}
    folders = {controller: folder for controller, folder in found.items() if folder is not None}
    if all(controller in folders and os.access(folders[controller], os.W_OK) for controller in _NEEDED):
        yield Means(kind="cgroup1", folders=folders, name=name)


def _hierarchies(mountinfo: str) -> dict[str, tuple[str, Path]]:
    """Where each controller's hierarchy is mounted, and which of its folders is seen there; "" is version 2."""
    found: dict[str, tuple[str, Path]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup2":
            found.setdefault("", (root, Path(mounted)))
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, (root, Path(mounted)))
    return found


def _homes(cgroup: str) -> dict[str, str]:
    """The group this process is in, by controller; "" is version 2."""
    lines = (line.split(":", 2) for line in cgroup.splitlines())
    return {controller: path for _, controllers, path in lines for controller in controllers.split(",")}


def _place(hierarchies: Mapping[str, tuple[str, Path]], homes: Mapping[str, str], controller: str) -> Path | None:
    if controller not in hierarchies or controller not in homes:
        return None
    (root, mounted), home = hierarchies[controller], homes[controller]
    # In a container the mount shows a part of the hierarchy, and the path may be told from the whole one's root.
    inner = home.removeprefix(root) if root != "/" else home
    folder = mounted / inner.lstrip("/")
    return folder if folder.is_dir() else None


def _delegated(home: Path) -> Path | None:
    """The folder of version 2 in which we may make groups with limits, if there is one."""
    if _may_divide(home) or _move_into_own(home):
        return home
    return home.parent if _may_divide(home.parent) else None


def _may_divide(folder: Path) -> bool:
    return _has(folder / "cgroup.subtree_control") and os.access(folder / "cgroup.procs", os.W_OK)


def _move_into_own(home: Path) -> bool:
    """Make `home` a folder for groups, by moving this process out of it. Only where nobody else lives there."""
    if not _has(home / "cgroup.controllers") or not os.access(home / "cgroup.procs", os.W_OK):
        return False
    try:
        if (home / "cgroup.procs").read_text().split() != [str(os.getpid())]:
            return False
        (home / OURS).mkdir(exist_ok=True)
        (home / OURS / "cgroup.procs").write_text("0")
        for controller in _WANTED:
            with contextlib.suppress(OSError):  # cpu may not be given to us, and can be gone without
                (home / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError as error:
        log.info("cgroups.not_delegated", folder=str(home), reason=str(error))
    return _may_divide(home)


def _has(path: Path) -> bool:
    """Whether this list of controllers names those that are needed."""
    try:
        return set(_NEEDED) <= set(path.read_text().split())
    except OSError:
        return False


def _settings(kind: Kind, limits: ResourceLimits) -> Iterator[tuple[str, str, str]]:
    """(controller, file, value), in the order in which they can be written."""
    two = kind == "cgroup2"
    if limits.memory_bytes is not None:
        memory = str(limits.memory_bytes)
        yield "memory", "memory.max" if two else "memory.limit_in_bytes", memory
        yield ("memory", "memory.swap.max", "0") if two else ("memory", "memory.memsw.limit_in_bytes", memory)
    if limits.processes is not None:
        yield "pids", "pids.max", str(limits.processes + PROCESSES_OF_OURS)
    yield ("cpu", "cpu.weight", str(100 // CPU_SHARE)) if two else ("cpu", "cpu.shares", str(1024 // CPU_SHARE))
    if limits.cpus is not None:
        quota = round(limits.cpus * CPU_PERIOD_US)
        yield ("cpu", "cpu.max", f"{quota} {CPU_PERIOD_US}") if two else ("cpu", "cpu.cfs_quota_us", str(quota))


def _kill(folder: Path) -> None:
    try:
        (folder / "cgroup.kill").write_text("1")
        return
    except OSError:
        pass  # version 1, or an older kernel: one by one
    with contextlib.suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _empty(folder: Path) -> None:
    for _ in range(EMPTYING_ROUNDS_MAX):
        with contextlib.suppress(OSError):
            if (folder / "cgroup.procs").read_text():
                _kill(folder)
                time.sleep(EMPTYING_PAUSE_SECONDS)
                continue
        return


def _gone(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
