"""What a repository knows of a task's words: paths, recent commits, what other branches change. Read from the mirror.

The rule of this room: everything is bounded, in paths, in bytes and in time, and what was not looked at is said.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from penstock_agent_exec.git.command import git, git_output
from penstock_agent_exec.git.failures import failure_from
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.git.names import check_branch, check_commit

PATHS_MAX: Final = 50_000
PATHS_BYTES_MAX: Final = 16 * 1024 * 1024
TELLING_MAX: Final = 50
COMMITS_MAX: Final = 10_000

# Where a name is cut: at what is neither a letter nor a digit, and where small letters turn to capitals.
_SEAM: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")


@dataclass(frozen=True)
class Known:
    """`which`: those of the words that a path of the tree knows. `paths`: those that know most of them, as git has them. `more`:
    the tree has more paths than were looked at."""

    which: frozenset[str]
    paths: tuple[bytes, ...]
    more: bool

    @property
    def words(self) -> int:
        return len(self.which)


async def known_words(mirror: Mirror, commit: str, words: Sequence[str], *, timeout_seconds: float) -> Known:
    """Where the tree of `commit` knows the words. Raises RefMissing, TimedOut."""
    done = await git(
        mirror.path,
        *("ls-tree", "-r", "-z", "--name-only", "--full-tree", check_commit(commit)),
        timeout_seconds=timeout_seconds,
        stdout_bytes_max=PATHS_BYTES_MAX,
    )
    if done.returncode != 0 and not done.truncated:
        raise failure_from(done.stderr)
    # What stands behind the last end mark is nothing, or a path that was cut.
    paths = done.stdout.split(b"\0")[:-1]
    which, telling = await asyncio.to_thread(_look, paths[:PATHS_MAX], frozenset(words))
    return Known(which, telling, more=done.truncated or len(paths) > PATHS_MAX)


async def commits_since(
    mirror: Mirror, tip: str, since: datetime, paths: Sequence[bytes] | None, *, timeout_seconds: float
) -> int:
    """How many commits of `tip` there are since then on the paths, or (None) on any; at most COMMITS_MAX. Raises RefMissing,
    TimedOut."""
    if paths is not None and not paths:
        return 0
    only = [f":(top,literal){path.decode('utf-8', 'surrogateescape')}" for path in paths or ()]
    counted = await git_output(
        mirror.path,
        *("rev-list", "--count", f"--max-count={COMMITS_MAX}", f"--since={since.isoformat()}", check_commit(tip), "--"),
        *only,
        timeout_seconds=timeout_seconds,
    )
    return int(counted)


async def branch_touches(
    mirror: Mirror, branch: str, base: str, paths: Sequence[bytes], *, timeout_seconds: float
) -> bool | None:
    """Whether the branch changes one of the paths, seen from where it left `base`. None where that cannot be said: the mirror
    has no such branch, or it has no history in common. Raises BadName, TimedOut."""
    head = f"refs/heads/{check_branch(branch)}"
    forked = await git(mirror.path, "merge-base", check_commit(base), head, timeout_seconds=timeout_seconds)
    if forked.returncode != 0:
        return None
    fork = check_commit(forked.stdout.decode("ascii", "replace").strip())
    changed = await git_output(
        mirror.path,
        *("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", fork, head),
        timeout_seconds=timeout_seconds,
    )
    return not set(paths).isdisjoint(changed.split(b"\0"))


def _look(paths: Sequence[bytes], words: frozenset[str]) -> tuple[frozenset[str], tuple[bytes, ...]]:
    """The words that any path knows, and the paths that know most."""
    with_slash = tuple(word for word in words if "/" in word)
    seen: set[str] = set()
    ranked: list[tuple[int, int, bytes]] = []
    for path in paths:
        text = path.decode("utf-8", "replace")
        known = _names(text) & words
        known |= {word for word in with_slash if f"/{word}" in f"/{text.lower()}"}
        if known:
            seen |= known
            ranked.append((-len(known), len(path), path))
    return frozenset(seen), tuple(path for _, _, path in sorted(ranked)[:TELLING_MAX])


def _names(path: str) -> set[str]:
    """Every name that a path goes by: its segments, whole, without an ending, run together, and in their parts."""
    names: set[str] = set()
    for segment in path.split("/"):
        stem = segment.rpartition(".")[0] or segment
        parts = [part.lower() for part in _SEAM.split(segment) if part]
        names |= {segment.lower(), stem.lower(), re.sub(r"[\W_]+", "", stem).lower(), *parts}
    return names
