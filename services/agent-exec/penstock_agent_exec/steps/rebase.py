"""A change put on top of where the default branch is now, and the task's clone with it.

Rule of this room: what comes out was not checked by anybody; whoever asked has it checked before it goes anywhere.
"""

from __future__ import annotations

import asyncio

from penstock.bounds import LINE_LENGTH_MAX
from penstock.events import PrepareSucceeded
from penstock.jobs import PrepareWork
from penstock.values import Change, Parcel
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.git.change import diffstat
from penstock_agent_exec.git.failures import NothingLeft, ParcelMissing
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import Mirror, has_commit, resolve_base, task_ref, wip_ref
from penstock_agent_exec.git.rebase import CONFLICTED, Rebased, move_clone, rebase
from penstock_agent_exec.steps.agent import change_of
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.leave import leave_rebased
from penstock_agent_exec.steps.prepare import standing_clone, update

CONFLICTS_NAMED_MAX = 50


async def put_on_top(bench: Bench, hand: InHand, work: PrepareWork, commit: str) -> PrepareSucceeded:
    """Raises Stopped, ParcelMissing where this host has not the change, NothingLeft, and the failures of git."""
    started = asyncio.get_running_loop().time()
    tip, to, change = await hand.tenure.stop.unless_asked(_put(bench, hand, work, commit))
    parcel = await _left(bench, hand, work, tip, to) if work.share_work else None
    return PrepareSucceeded(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        host=bench.settings.host,
        base_commit=tip,
        branch=work.branch,
        wall_seconds=round(asyncio.get_running_loop().time() - started, 3),
        change=change,
        conflicts=tuple(shown(name, LINE_LENGTH_MAX) for name in to.conflicts[:CONFLICTS_NAMED_MAX]),
        parcel=parcel,
    )


async def _put(bench: Bench, hand: InHand, work: PrepareWork, commit: str) -> tuple[str, Rebased, Change | None]:
    mirror, task = bench.mirror(work.repo), hand.job.task
    await update(bench, mirror, work.repo)
    if work.base_commit is None or not await has_commit(mirror, commit):
        raise ParcelMissing(f"{commit} is not on this host any more.")
    tip = await resolve_base(mirror, work.repo.default_branch)
    to = await rebase(mirror, task, base=work.base_commit, head=commit, onto=tip, identity=bench.settings.identity)
    stands = None if to.conflicts else await diffstat(mirror, tip, to.commit)
    if stands is not None and not stands.changed:
        raise NothingLeft(f"{work.repo.default_branch} is at {tip}.")
    hand.note(f"the default branch has moved on: the change is put on top of {tip[:12]}")
    await _move(bench, hand, work, mirror, tip, to)
    return tip, to, None if stands is None else change_of(stands)


async def _move(bench: Bench, hand: InHand, work: PrepareWork, mirror: Mirror, tip: str, to: Rebased) -> None:
    assert work.base_commit is not None
    clone = await standing_clone(bench, hand, work.repo, work.base_commit)
    sandbox = bench.git_sandbox(clone.path, mirror)
    await heal_clone(clone, sandbox)
    await move_clone(clone, sandbox, base=tip, to=to)


async def _left(bench: Bench, hand: InHand, work: PrepareWork, tip: str, to: Rebased) -> Parcel:
    task = hand.job.task
    ref = wip_ref(task, CONFLICTED) if to.conflicts else task_ref(task)
    return await leave_rebased(bench, hand, bench.mirror(work.repo), tip, ref, to.commit)
