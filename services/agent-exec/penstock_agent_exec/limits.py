"""What one child may take of its host.

The rule of this room: plain numbers, and the words that put those on a process which each process keeps for itself. Those that
hold a whole tree (memory, processes, processor time) are kept by `cgroups.py`, or by `watchdog.py` where a host has none.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
SHARE_OF_HOST_MAX: Final = 0.75
"""However much a child may take, so much of the host's memory at most: the services live on the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What one child and its descendants may take. None: no limit of ours.

    `processes` counts threads too, and only within the sandbox. `cpus`: processor seconds per second. `scratch_bytes` bounds
    /tmp and /dev/shm each, which are memory.
    """

    file_size_bytes: int = 8 * GIB
    open_files: int = 16_384
    processes: int | None = 4_096
    memory_bytes: int | None = 8 * GIB
    cpus: float | None = None
    scratch_bytes: int = GIB


USUAL: Final = ResourceLimits()


def limits_for(*, memory_bytes: int, processes: int, cpus: float) -> ResourceLimits:
    """A host's limits, from its settings. `cpus` of 0 is no limit."""
    host_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return ResourceLimits(
        memory_bytes=min(memory_bytes, int(host_bytes * SHARE_OF_HOST_MAX)), processes=processes, cpus=cpus or None
    )


def prlimit_argv(limits: ResourceLimits) -> tuple[str, ...]:
    """The words before a command that put `limits` on it. Never above the hard limit this process has itself.

    The kernel exempts children of a root executor from the one on processes. There is none on a process's addresses: the
    runtimes of agents reserve many times what they use.
    """
    wanted = (
        ("core", resource.RLIMIT_CORE, 0),
        ("fsize", resource.RLIMIT_FSIZE, limits.file_size_bytes),
        ("nofile", resource.RLIMIT_NOFILE, limits.open_files),
        ("nproc", resource.RLIMIT_NPROC, limits.processes),
    )
    options = [f"--{name}={_allowed(kind, value)}" for name, kind, value in wanted if value is not None]
    return ("prlimit", *options, "--")


def _allowed(kind: int, value: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
