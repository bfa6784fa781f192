"""Prepare: the mirror up to date, and the task's own clone standing on its branch.

Rule of this room: done again, it does what is missing and nothing else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from penstock.events import PrepareSucceeded
from penstock.jobs import PrepareWork
from penstock.reports import ReportBody
from penstock.values import LOCAL, Continuation, Evidence, ProposedCheck, RepoSnapshot
from penstock_agent_exec.git.clone import Clone, drop_clone, find_clone
from penstock_agent_exec.git.failures import (
    BranchGone,
    BranchRewritten,
    BundleRefused,
    CloneDamaged,
    RefMissing,
    TimedOut,
    TooBig,
)
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.left_out import left_out
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.git.mirror import (
    Mirror,
    contains,
    has_commit,
    resolve_base,
    set_start,
    start_of,
    update_mirror,
)
from penstock_agent_exec.git.work import SET_ASIDE, keep_work, newest_kept
from penstock_agent_exec.local.folder import check_clean
from penstock_agent_exec.sandbox import Bind
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.evidence import evidence
from penstock_agent_exec.steps.parcel import take
from penstock_agent_exec.steps.proposals import proposals


@dataclass(frozen=True, slots=True)
class _Prepared:
    clone: Clone
    tip: str | None
    evidence: Evidence | None
    proposed: tuple[ProposedCheck, ...] | None


async def prepare(bench: Bench, hand: InHand, work: PrepareWork) -> ReportBody:
    """Raises Stopped, and the failures of git."""
    started = asyncio.get_running_loop().time()
    prepared = await hand.tenure.stop.unless_asked(_prepare(bench, hand, work))
    return PrepareSucceeded(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        host=bench.settings.host,
        base_commit=prepared.clone.base,
        # The clone's own branch has the task's name, whatever the remote's is called.
        branch=work.branch if work.continues is None else work.continues.branch,
        wall_seconds=round(asyncio.get_running_loop().time() - started, 3),
        evidence=prepared.evidence,
        tip=prepared.tip,
        proposed=prepared.proposed,
    )


async def _prepare(bench: Bench, hand: InHand, work: PrepareWork) -> _Prepared:
    mirror = bench.mirror(work.repo)
    await update(bench, mirror, work.repo)
    if work.clean and work.repo.provider == LOCAL:
        folder = bench.local_folder(work.repo)
        await check_clean(folder, bench.sandbox(Bind(folder)))
    if work.continues is not None:
        tip: str | None = await _tip(bench, hand, mirror, work.continues)
        base = work.continues.base_commit
    else:
        tip, base = None, work.base_commit or await resolve_base(mirror, work.repo.default_branch)
    if work.parcel is not None:
        await _drop_older(bench, hand, mirror)
        await take(bench, hand, mirror, work.parcel, base=base)
    clone = await _clone(bench, hand, mirror, base, None if work.kept is None else work.kept.commit)
    for sentence in await left_out(mirror, tip or clone.base):
        hand.note(sentence)
    if not work.wants_evidence and not work.words:
        return _Prepared(clone, tip, None, None)
    at = tip or clone.base
    # Next to each other: each is a program of its own that reads the mirror.
    found, proposed = await asyncio.gather(
        evidence(bench, work, mirror, at), proposals(bench, hand, work.repo, mirror, at)
    )
    return _Prepared(clone, tip, found, proposed)


async def _drop_older(bench: Bench, hand: InHand, mirror: Mirror) -> None:
    """A clone from before the task went on elsewhere is behind by now. Its work is kept; it and its sessions go."""
    older = find_clone(bench.folder.path, hand.job.task)
    if older is None:
        return
    hand.note("this host had a clone of the task from before it went on elsewhere: set aside")
    sandbox = bench.git_sandbox(older.path, mirror)
    try:
        await heal_clone(older, sandbox)
        await keep_work(older, mirror, SET_ASIDE, sandbox)
    except (CloneDamaged, BundleRefused, TooBig, TimedOut) as error:
        hand.note(f"its work could not be kept: {error}")
    await drop_clone(bench.folder.path, hand.job.task)


async def _tip(bench: Bench, hand: InHand, mirror: Mirror, continues: Continuation) -> str:
    """Where the task begins: the branch's tip on the remote, which stays the start of a clone that is there already."""
    start = await start_of(mirror, hand.job.task)
    if start is not None and find_clone(bench.folder.path, hand.job.task) is not None:
        return start
    try:
        tip = await resolve_base(mirror, continues.branch)
    except RefMissing as error:
        raise BranchGone(f"{continues.branch}, for task {continues.task}.") from error
    if not await contains(mirror, tip, continues.commit):
        raise BranchRewritten(f"{continues.branch} is at {tip}, without {continues.commit}.")
    await set_start(mirror, hand.job.task, tip)
    return tip


async def standing_clone(bench: Bench, hand: InHand, repo: RepoSnapshot, base: str) -> Clone:
    """The task's clone as `prepare` left it; made again, and that said, where the host has lost it or let it go."""
    if known := find_clone(bench.folder.path, hand.job.task):
        return known
    mirror = bench.mirror(repo)
    await update(bench, mirror, repo)
    kept = await newest_kept(mirror, hand.job.task)
    where = "where the task began" if kept is None else "from the work that was kept"
    hand.note(f"the task's clone is not on this host any more: begun again {where}")
    return await _clone(bench, hand, mirror, base, kept)


async def update(bench: Bench, mirror: Mirror, repo: RepoSnapshot) -> None:
    """The mirror as the remote is. Raises the failures of a fetch, and MirrorBusy."""
    remote = bench.remote(repo)
    await bench.forges.fresh(remote)
    await update_mirror(mirror, remote, credential=bench.credential(remote))


async def _clone(bench: Bench, hand: InHand, mirror: Mirror, base: str, kept: str | None) -> Clone:
    # Kept work is on the host that kept it; elsewhere the task begins again where it began.
    start = await start_of(mirror, hand.job.task)
    if kept is not None and await has_commit(mirror, kept):
        start = kept
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
