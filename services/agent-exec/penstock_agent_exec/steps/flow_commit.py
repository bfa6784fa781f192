"""The flow `commit`: the whole change as one commit on the default branch.

Rule of this room: the same change on the same base lands once, whoever makes it and however often; what is on the remote already
is known by its task, its base and its tree, also below what others have pushed since, and where a host has another name or
other secrets by now, which make another commit of it. Nothing but exactly the tree that was checked.
"""

from __future__ import annotations

from penstock.jobs import PublishWork
from penstock.values import Delivery
from penstock_agent_exec.git.change import squash, squashed
from penstock_agent_exec.git.failures import BaseMoved, NonFastForward
from penstock_agent_exec.git.mirror import resolve_base
from penstock_agent_exec.git.publish import publish_branch
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.prepare import update
from penstock_agent_exec.tenure import Stopped

TRAILER = "Penstock-Task"


async def hand_over_commit(bench: Bench, hand: InHand, work: PublishWork) -> Delivery:
    """Raises Stopped, BaseMoved where somebody else has pushed, Lost, and the failures of git."""
    if hand.tenure.stop.asked.is_set():
        raise Stopped(hand.tenure.stop.reason)
    remote, mirror, branch = bench.remote(work.repo), bench.mirror(work.repo), work.repo.default_branch
    await update(bench, mirror, work.repo)
    if (there := await _there(bench, hand, work)) is not None:
        return _delivered(work, there, adopted=True)
    commit = await _made(bench, hand, work)
    if (tip := await resolve_base(mirror, branch)) != work.base_commit:
        raise BaseMoved(f"{branch} is at {tip}, and the change was made on {work.base_commit}.")
    try:
        published = await publish_branch(
            mirror,
            remote,
            branch,
            commit,
            expected=work.base_commit,
            credential=bench.credential(remote, pushes=True),
            fence=hand.tenure.must_hold,
        )
    except NonFastForward as error:
        # Somebody was faster; or our own push has landed, its answer was lost, and somebody has pushed on top.
        await update(bench, mirror, work.repo)
        if (there := await _there(bench, hand, work)) is not None:
            return _delivered(work, there, adopted=True)
        raise BaseMoved(error.detail) from error
    return _delivered(work, commit, adopted=published.adopted)


async def handed_over(bench: Bench, hand: InHand, work: PublishWork) -> Delivery | None:
    """What is on the default branch already, of a job whose end was lost. Raises the failures of git."""
    await update(bench, bench.mirror(work.repo), work.repo)
    there = await _there(bench, hand, work)
    return None if there is None else _delivered(work, there, adopted=True)


async def _made(bench: Bench, hand: InHand, work: PublishWork) -> str:
    """The one commit, in the mirror."""
    message = f"{hand.redactor.text(work.title)}\n\n{_trailer(hand)}\n"
    return await squash(
        bench.mirror(work.repo), work.base_commit, work.commit, message=message, identity=bench.settings.identity
    )


async def _there(bench: Bench, hand: InHand, work: PublishWork) -> str | None:
    mirror = bench.mirror(work.repo)
    tip = await resolve_base(mirror, work.repo.default_branch)
    return await squashed(mirror, work.base_commit, work.commit, tip=tip, line=_trailer(hand))


def _trailer(hand: InHand) -> str:
    return f"{TRAILER}: {hand.job.task}"


def _delivered(work: PublishWork, commit: str, *, adopted: bool) -> Delivery:
    return Delivery(kind="commit", commit=commit, branch=work.repo.default_branch, adopted=adopted)
