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
from penstock_agent_exec.git.evidence import PATHS_MAX, Known, branch_touches, commits_since, known_words
from penstock_agent_exec.git.failures import GitFailed
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.steps.bench import Bench
from penstock_agent_exec.steps.repo_map import SECONDS_MAX as MAP_SECONDS_MAX
from penstock_agent_exec.steps.repo_map import Made, repo_map

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
    # Next to each other: both read the whole tree, each may fail alone.
    known, made = await asyncio.gather(
        sources.ask(REPO_MAP, known_words(mirror, commit, work.words, timeout_seconds=seconds)),
        sources.ask(REPO_MAP, repo_map(bench, mirror, commit, work.words), seconds_max=MAP_SECONDS_MAX),
    )
    if known is not None and known.more:
        sources.degraded.append(f"{REPO_MAP}: only the first {PATHS_MAX} paths were looked at")
    if made is not None and made.lacking:
        sources.degraded.append(shown(f"{REPO_MAP}: not read: {made.lacking}", LINE_LENGTH_MAX))
    paths = tuple(dict.fromkeys((*(known.paths if known else ()), *(made.files if made else ()))))
    every = await sources.ask(RECENT_COMMITS, commits_since(mirror, commit, since, None, timeout_seconds=seconds))
    recent = pull_requests = None
    if known is None and made is None:
        sources.degraded += [f"{name}: the paths are not known" for name in (RECENT_COMMITS, OPEN_PULL_REQUESTS)]
    else:
        counting = commits_since(mirror, commit, since, paths, timeout_seconds=seconds)
        recent = await sources.ask(RECENT_COMMITS, counting)
        pull_requests = await _pull_requests(sources, bench, work, mirror, commit, paths)
    return Evidence(
        words=len(work.words),
        overlap=_overlap(known, made),
        paths=() if known is None else tuple(shown(path, LINE_LENGTH_MAX) for path in known.paths),
        recent_commits=recent,
        recent_commits_all=every,
        open_pull_requests=pull_requests,
        degraded=tuple(dict.fromkeys(sources.degraded)),
        symbols=None if made is None else len(made.names),
        map="" if made is None else made.text,
    )


def _overlap(known: Known | None, made: Made | None) -> int | None:
    """How many of the words any path or any name knows; None where neither was looked at."""
    if known is None and made is None:
        return None
    return len((known.which if known else frozenset()) | (made.words if made else frozenset()))


async def _pull_requests(
    sources: _Sources, bench: Bench, work: PrepareWork, mirror: Mirror, commit: str, paths: tuple[bytes, ...]
) -> int | None:
    forge = bench.forge(work.repo)
    if forge is None:
        sources.degraded.append(f"{OPEN_PULL_REQUESTS}: no forge configured")
        return None
    looked = await sources.ask(OPEN_PULL_REQUESTS, _touching(forge, work, mirror, commit, paths))
    if looked is None:
        return None
    touching, elsewhere = looked
    if elsewhere:
        said = f"{OPEN_PULL_REQUESTS}: the branches of {elsewhere} are not in this repository, and were not looked at"
        sources.degraded.append(said)
    return touching


async def _touching(
    forge: Forge, work: PrepareWork, mirror: Mirror, commit: str, paths: tuple[bytes, ...]
) -> tuple[int, int]:
    """How many of the newest open ones change one of the paths, and of how many that cannot be said; the one that the task goes
    on with is none of them."""
    own = work.continues.branch if work.continues is not None else work.branch
    opened = await forge.list_open(PULL_REQUESTS_MAX)
    touching = elsewhere = 0
    for head in dict.fromkeys(one.head for one in opened if one.head != own):
        touches = await branch_touches(mirror, head, commit, paths, timeout_seconds=SOURCE_SECONDS_MAX)
        touching += touches is True
        elsewhere += touches is None
    return touching, elsewhere


class _Sources:
    """What became of each source that was asked."""

    def __init__(self) -> None:
        self.degraded: list[str] = []

    async def ask(
        self, name: str, asking: Coroutine[Any, Any, T], *, seconds_max: float = SOURCE_SECONDS_MAX
    ) -> T | None:
        """The answer; None, and `name` noted with the reason, where there is none in time."""
        try:
            async with asyncio.timeout(seconds_max):
                return await asking
        except TimeoutError:
            reason = f"no answer within {seconds_max:g} s"
        except (GitFailed, ForgeFailed, OSError) as error:
            reason = str(error) or type(error).__name__
        self.degraded.append(shown(f"{name}: {reason}", LINE_LENGTH_MAX))
        return None
