"""Evidence: what this host can find out about a task in its repository before an agent is paid for it.

Rule of this room: only the mirror and the forge are asked, never a place that an agent can write. A source that fails fails
alone, within its time, and is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from penstock.bounds import LINE_LENGTH_MAX
from penstock.jobs import PrepareWork
from penstock.values import Evidence
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.forge import Forge, ForgeFailed
from penstock_agent_exec.git.evidence import PATHS_MAX, branch_touches, commits_since, known_words
from penstock_agent_exec.git.failures import GitFailed
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.steps.bench import Bench

T = TypeVar("T")

SOURCE_SECONDS_MAX: Final = 10.0
RECENT: Final = timedelta(days=14)
PULL_REQUESTS_MAX: Final = 50

REPO_MAP: Final = "repo_map"
RECENT_COMMITS: Final = "recent_commits"
OPEN_PULL_REQUESTS: Final = "open_pull_requests"


async def evidence(bench: Bench, work: PrepareWork, mirror: Mirror, commit: str) -> Evidence:
    """What the sources say of `work.words`, as of `commit`."""
    sources = _Sources()
    since = datetime.now(UTC) - RECENT
    seconds = SOURCE_SECONDS_MAX
    known = await sources.ask(REPO_MAP, known_words(mirror, commit, work.words, timeout_seconds=seconds))
    if known is not None and known.more:
        sources.degraded.append(f"{REPO_MAP}: only the first {PATHS_MAX} paths were looked at")
    every = await sources.ask(RECENT_COMMITS, commits_since(mirror, commit, since, None, timeout_seconds=seconds))
    recent = pull_requests = None
    if known is None:
        sources.degraded += [f"{name}: the paths are not known" for name in (RECENT_COMMITS, OPEN_PULL_REQUESTS)]
    else:
        counting = commits_since(mirror, commit, since, known.paths, timeout_seconds=seconds)
        recent = await sources.ask(RECENT_COMMITS, counting)
        forge = bench.forge(work.repo)
        if forge is None:
            sources.degraded.append(f"{OPEN_PULL_REQUESTS}: no forge configured")
        else:
            looking = _pull_requests(forge, work, mirror, commit, known.paths)
            pull_requests = await sources.ask(OPEN_PULL_REQUESTS, looking)
    return Evidence(
        words=len(work.words),
        overlap=None if known is None else known.words,
        paths=() if known is None else tuple(shown(path, LINE_LENGTH_MAX) for path in known.paths),
        recent_commits=recent,
        recent_commits_all=every,
        open_pull_requests=pull_requests,
        degraded=tuple(dict.fromkeys(sources.degraded)),
    )


async def _pull_requests(forge: Forge, work: PrepareWork, mirror: Mirror, commit: str, paths: tuple[bytes, ...]) -> int:
    """How many of the newest open ones change one of the paths; the one that the task goes on with is none of them."""
    own = work.continues.branch if work.continues is not None else work.branch
    opened = await forge.list_open(PULL_REQUESTS_MAX)
    touching = 0
    for head in dict.fromkeys(one.head for one in opened if one.head != own):
        touching += await branch_touches(mirror, head, commit, paths, timeout_seconds=SOURCE_SECONDS_MAX)
    return touching


class _Sources:
    """What became of each source that was asked."""

    def __init__(self) -> None:
        self.degraded: list[str] = []

    async def ask(self, name: str, asking: Coroutine[Any, Any, T]) -> T | None:
        """The answer; None, and `name` noted with the reason, where there is none in time."""
        try:
            async with asyncio.timeout(SOURCE_SECONDS_MAX):
                return await asking
        except TimeoutError:
            reason = f"no answer within {SOURCE_SECONDS_MAX:g} s"
        except (GitFailed, ForgeFailed, OSError) as error:
            reason = str(error) or type(error).__name__
        self.degraded.append(shown(f"{name}: {reason}", LINE_LENGTH_MAX))
        return None
