"""The executor's own folder: held by one process at a time, known by an id of its own, and swept of what the dead have left.

Rule of this room: the lock is the proof. Whoever holds it knows that every other process which ever worked here is dead, and
only on that ground may it take over what they held.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock import ids
from penstock.bounds import ID_PATTERN

MARK: Final = "PENSTOCK_INSTALLATION"
"""A variable in every child's environment. It is no secret: it tells whose child an orphan is."""

SWEEP_SECONDS_MAX: Final = 5.0


class FolderTaken(Exception):
    """Another process works in this folder, or the folder cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """A folder this process holds, for as long as it lives. `instance` is new with every start, `installation` never."""

    path: Path
    installation: str
    instance: str = field(default_factory=ids.fresh)
    lock: int
    in_hand: Counter[str] = field(default_factory=Counter, compare=False)
    """How many jobs are worked on, by task and by repo: what they work with is not collected. Neither is ever called like the
    other: `task/<task>` and `repo/<repo>`."""

    @contextmanager
    def holding(self, *keys: str) -> Iterator[None]:
        """Count these as in hand."""
        self.in_hand.update(keys)
        try:
            yield
        finally:
            self.in_hand.subtract(keys)
            for key in keys:
                if not self.in_hand[key]:
                    del self.in_hand[key]

    @property
    def checks(self) -> Path:
        """Where checkouts for checks are made. None of them is of use after its job."""
        return self.path / "checks"

    @property
    def caches(self) -> Path:
        """Where repos keep what their builds may find again: by repo, then by the cache's name."""
        return self.path / "caches"

    @property
    def parcels(self) -> Path:
        """Where what travels between hosts lies while it is packed and unpacked."""
        return self.path / "parcels"

    @property
    def socket_prefix(self) -> str:
        """How folders for sockets begin. They are in the system's place for temporary files: a socket's path must be short."""
        return f"penstock-{self.installation}-"


def hold(path: Path) -> DataFolder:
    """Make the folder if need be and hold it. Raises FolderTaken, naming who has it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderTaken(f"{path} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise FolderTaken(f"{path} is in use by process {pid}: one executor has one folder") from error
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return DataFolder(path=path.resolve(), installation=_installation(path / "installation"), lock=lock)


def _installation(path: Path) -> str:
    """The folder's id, made once. A file that a power cut has emptied is made anew: then it is another installation."""
    if path.is_file() and re.match(ID_PATTERN, known := path.read_text().strip()):
        return known
    made = ids.fresh()
    making = path.with_suffix(".making")
    with making.open("w") as file:
        file.write(f"{made}\n")
        file.flush()
        os.fsync(file.fileno())
    making.rename(path)
    return made


def sweep(installation: str) -> list[int]:
    """Kill what a dead predecessor has left running; the pids, all of them gone when this returns.

    In a sandbox children die with the executor, so there is nothing to find. Without one, a child's descendants live on.
    Raises TimeoutError where the kernel has not ended one within SWEEP_SECONDS_MAX."""
    killed: list[int] = []
    while found := _marked(f"{MARK}={installation}".encode()):
        # Again, until nothing is found: one that was killed may have forked just before.
        for pid, pidfd in found:
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                if not select.select([pidfd], [], [], SWEEP_SECONDS_MAX)[0]:
                    raise TimeoutError(f"process {pid}, left by a predecessor, does not die")
            finally:
                os.close(pidfd)
            killed.append(pid)
    return killed


def _marked(mark: bytes) -> list[tuple[int, int]]:
    """(pid, pidfd) of every other process with `mark` in its environment, zombies aside."""
    found: list[tuple[int, int]] = []
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        if pid == os.getpid():
            continue
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            is_ours = mark in (path / "environ").read_bytes().split(b"\0")
        except OSError:
            # Somebody else's, or gone meanwhile.
            is_ours = False
        if is_ours:
            found.append((pid, pidfd))
        else:
            os.close(pidfd)
    return found
