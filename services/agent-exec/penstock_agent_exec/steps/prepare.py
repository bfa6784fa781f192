"""Prepare: the mirror up to date, and the task's own clone standing on its branch.

Rule of this room: done again, it does what is missing and nothing else.
"""

from __future__ import annotations

import asyncio

from penstock.events import PrepareSucceeded
from penstock.jobs import PrepareWork
from penstock.reports import ReportBody
from penstock.values import Kept, RepoSnapshot
from penstock_agent_exec.git.clone import Clone, find_clone, make_clone
from penstock_agent_exec.git.mirror import Mirror, has_commit, resolve_base, update_mirror
from penstock_agent_exec.steps.bench import Bench, InHand


async def prepare(bench: Bench, hand: InHand, work: PrepareWork) -> ReportBody:
    """Raises Stopped, and the failures of git."""
    started = asyncio.get_running_loop().time()
    clone = await hand.tenure.stop.unless_asked(_prepare(bench, hand, work))
    return PrepareSucceeded(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        host=bench.settings.host,
        base_commit=clone.base,
        branch=clone.branch,
        wall_seconds=round(asyncio.get_running_loop().time() - started, 3),
    )


async def _prepare(bench: Bench, hand: InHand, work: PrepareWork) -> Clone:
    mirror = bench.mirror(work.repo)
    await _update(bench, mirror, work.repo)
    base = work.base_commit or await resolve_base(mirror, work.repo.default_branch)
    return await _clone(bench, hand, mirror, base, work.kept)


async def standing_clone(bench: Bench, hand: InHand, repo: RepoSnapshot, base: str) -> Clone:
    """The task's clone as `prepare` left it; made again, and that said, where the host has lost it."""
    if known := find_clone(bench.folder.path, hand.job.task):
        return known
    hand.note("the task's clone is not on this host any more: begun again at its base commit")
    mirror = bench.mirror(repo)
    await _update(bench, mirror, repo)
    return await _clone(bench, hand, mirror, base, None)


async def _update(bench: Bench, mirror: Mirror, repo: RepoSnapshot) -> None:
    remote = bench.remote(repo)
    await update_mirror(mirror, remote, credential=bench.credential(remote))


async def _clone(bench: Bench, hand: InHand, mirror: Mirror, base: str, kept: Kept | None) -> Clone:
    # Kept work is on the host that kept it; elsewhere the task begins again at its base.
    start = kept.commit if kept is not None and await has_commit(mirror, kept.commit) else None
    data = bench.folder.path
    work_tree = data / "tasks" / hand.job.task / "repo"
    return await make_clone(
        data,
        mirror,
        hand.job.task,
        base=base,
        start=start,
        identity=bench.settings.identity,
        sandbox=bench.git_sandbox(work_tree, mirror),
    )
