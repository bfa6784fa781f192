"""What a whole tree of processes takes, where no control group keeps it: looked at from outside, again and again.

The rule of this room: look, and say. What is shared between processes is counted once, because that is what killing them frees.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

from penstock_agent_exec.limits import ResourceLimits

LOOK_SECONDS: Final = 0.2
"""A program fills memory at some gigabytes per second at most: what it takes between two looks is what it may take too much."""
PROCESSES_LOOKED_AT_MAX: Final = 20_000

Over: TypeAlias = Literal["memory_limit", "process_limit"]


def over_limit(root: int, limits: ResourceLimits) -> Over | None:
    """Which limit the tree under process `root` is beyond, if any. Reads /proc: some 50 us for each process."""
    tree = tree_of(root)
    if limits.processes is not None and len(tree) > limits.processes:
        return "process_limit"
    if limits.memory_bytes is None:
        return None
    # The first number is cheap and too high where processes share memory; the second is right and slow.
    if sum(map(_private_at_most, tree)) > limits.memory_bytes and sum(map(_share, tree)) > limits.memory_bytes:
        return "memory_limit"
    return None


def tree_of(root: int) -> list[int]:
    """`root` and everything that hangs on it; in a sandbox that is everything, since orphans go to PID 1."""
    found = [root]
    for pid in found:  # grows while it is gone through
        if len(found) > PROCESSES_LOOKED_AT_MAX:
            break
        found += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    """Of every thread of `pid`; none where it has ended meanwhile."""
    found: list[int] = []
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for thread in threads:
        try:
            found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


def _private_at_most(pid: int) -> int:
    return _bytes(Path(f"/proc/{pid}/status"), ("RssAnon:", "RssShmem:"))


def _share(pid: int) -> int:
    """What is its own, and its part of what it shares with others."""
    return _bytes(Path(f"/proc/{pid}/smaps_rollup"), ("Pss_Anon:", "Pss_Shmem:")) or _private_at_most(pid)


def _bytes(path: Path, fields: tuple[str, ...]) -> int:
    """Zero where the process is gone, or not to be looked at."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(fields))
