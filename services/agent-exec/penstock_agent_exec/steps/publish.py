"""Publish: hand the change over, once, however often it is asked for.

Rule of this room: before the world outside is changed, the lease is looked at; what has begun is finished and not stopped;
and what is there already is adopted, not done again.
"""

from __future__ import annotations

from penstock.events import PublishFailed, PublishSucceeded
from penstock.jobs import PublishWork
from penstock.reports import ReportBody
from penstock.values import LOCAL, Delivery
from penstock_agent_exec.forge import Forge, ForgeRefused, PullRequest, find_or_open, marked
from penstock_agent_exec.git.failures import BaseLost, BaseMoved, ParcelMissing
from penstock_agent_exec.git.mirror import contains, has_commit, resolve_base, update_mirror
from penstock_agent_exec.git.publish import look, publish_branch
from penstock_agent_exec.git.secrets import secrets_in
from penstock_agent_exec.preflight.look import FINDINGS_MAX
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.flow_commit import hand_over_commit, handed_over
from penstock_agent_exec.steps.flow_patch import hand_over_patch
from penstock_agent_exec.steps.flow_untracked import hand_over_edits
from penstock_agent_exec.steps.parcel import take
from penstock_agent_exec.steps.preflight import held_back, preflight, worth_a_look
from penstock_agent_exec.steps.prepare import update
from penstock_agent_exec.tenure import Stopped

FLOWS = ("branch", "commit", "patch")
FLOWS_OF_FOLDERS = ("patch", "untracked")


async def publish(bench: Bench, hand: InHand, work: PublishWork) -> ReportBody:
    """Raises Stopped before it has begun, Lost, and the failures of git and of forges."""
    if work.flow in (*FLOWS, *FLOWS_OF_FOLDERS):
        await hand.tenure.stop.unless_asked(_have(bench, hand, work))
    looked = secrets_in(bench.mirror(work.repo), work.base_commit, work.commit, hand.redactor)
    if names := await hand.tenure.stop.unless_asked(looked):
        return PublishFailed(
            job=hand.job.id,
            epoch=hand.tenure.epoch,
            error_class="publish.secret",
            message=f"the change holds secrets of this host and is not handed over: {', '.join(names)[:200]}",
        )
    findings = await hand.tenure.stop.unless_asked(preflight(bench, hand, work))
    local, listed = work.repo.provider == LOCAL, findings[:FINDINGS_MAX]
    if (refused := held_back(hand, findings)) is not None:
        # What has landed is not held back by a rule, or a scanner's trouble, that is newer than it: a second one would land too.
        there = await handed_over(bench, hand, work) if work.flow == "commit" and not local else None
        if there is None:
            return refused
        return PublishSucceeded(job=hand.job.id, epoch=hand.tenure.epoch, delivery=there, findings=listed)
    match work.flow:
        case "patch":
            delivery = await hand_over_patch(bench, hand, work)
        case "commit" if not local:
            delivery = await hand_over_commit(bench, hand, work)
        case "untracked" if local:
            delivery = await hand_over_edits(bench, hand, work)
        case "branch" if not local:
            delivery = await _branch(bench, hand, work, worth_a_look(findings))
        case other:
            known = FLOWS_OF_FOLDERS if local else FLOWS
            return PublishFailed(
                job=hand.job.id,
                epoch=hand.tenure.epoch,
                error_class="publish.unknown_flow",
                message=f"this executor knows no flow {other[:100]!r} for such a repo; known: {', '.join(known)}",
            )
    return PublishSucceeded(job=hand.job.id, epoch=hand.tenure.epoch, delivery=delivery, findings=listed)


async def _have(bench: Bench, hand: InHand, work: PublishWork) -> None:
    """The change in this host's own mirror: as another host has left it, on what the remote has. Raises ParcelMissing."""
    mirror = bench.mirror(work.repo)
    if work.parcel is None and hand.job.host is not None:
        return
    if mirror.path.is_dir() and await has_commit(mirror, work.commit):
        return
    if work.parcel is None or work.parcel.commit != work.commit:
        raise ParcelMissing(f"{work.commit} was made on another host.")
    remote = bench.remote(work.repo)
    await bench.forges.fresh(remote)
    await update_mirror(mirror, remote, credential=bench.credential(remote))
    await take(bench, hand, mirror, work.parcel, base=work.base_commit, descends_from=work.base_commit)


async def _must_be_on_tip(bench: Bench, work: PublishWork) -> None:
    """Raises BaseMoved, unless the branch is there already: then that is what was handed over."""
    remote, mirror = bench.remote(work.repo), bench.mirror(work.repo)
    await update(bench, mirror, work.repo)
    tip = await resolve_base(mirror, work.repo.default_branch)
    if tip == work.base_commit:
        return
    if await look(mirror, remote, work.branch, credential=bench.credential(remote)) != work.commit:
        raise BaseMoved(f"{work.repo.default_branch} is at {tip}, and the change was made on {work.base_commit}.")


async def _branch(bench: Bench, hand: InHand, work: PublishWork, notes: str) -> Delivery:
    if hand.tenure.stop.asked.is_set():
        raise Stopped(hand.tenure.stop.reason)
    remote, mirror = bench.remote(work.repo), bench.mirror(work.repo)
    if work.expected is not None and not await contains(mirror, work.commit, work.expected):
        raise BaseLost(f"{work.commit} does not hold {work.expected}, which is on {work.branch}.")
    await bench.forges.fresh(remote)
    forge = bench.forge(work.repo)
    if forge is not None and (ended := await _ended(forge, hand, work)) is not None:
        return _delivered(ended, work, adopted=True)
    if work.on_tip:
        await _must_be_on_tip(bench, work)
    published = await publish_branch(
        mirror,
        remote,
        work.branch,
        work.commit,
        expected=work.expected,
        credential=bench.credential(remote, pushes=True),
        fence=hand.tenure.must_hold,
    )
    if forge is None:
        return Delivery(kind="branch", commit=published.commit, branch=published.branch, adopted=published.adopted)
    hand.tenure.must_hold()
    title = hand.redactor.text(work.title)
    body = hand.redactor.text("\n\n".join(part for part in (work.body, notes) if part))
    if work.number is not None:
        # By its number: people may have made others from the same branch, and those are theirs.
        pull_request, adopted = await forge.get(work.number), True
    else:
        pull_request, adopted = await find_or_open(
            forge,
            work.branch,
            task=hand.job.task,
            base=work.repo.default_branch,
            title=title,
            body=body,
            draft=work.repo.pull_requests.draft,
            labels=work.repo.pull_requests.labels,
        )
    if work.says and pull_request.state == "open":
        # The branch has it already, and both are said once however often they are asked for.
        await forge.update(pull_request.number, body=marked(body, hand.job.task))
        await forge.comment(pull_request.number, hand.redactor.text(work.says))
    return _delivered(pull_request, work, adopted=adopted)


async def _ended(forge: Forge, hand: InHand, work: PublishWork) -> PullRequest | None:
    """This task's pull request where somebody has merged or closed it with this very commit on it: then that is what was handed
    over, and its branch, which may be gone, is not made anew. Raises ForgeRefused where it has ended with another."""
    if work.number is None:
        found = await forge.find(work.branch)
        ours = found is not None and (found.task, found.commit) == (hand.job.task, work.commit)
        return found if ours and found is not None and found.state != "open" else None
    found = await forge.get(work.number)
    if found.state == "open":
        return None
    if found.commit != work.commit:
        raise ForgeRefused(f"the pull request is {found.state} already")
    return found


def _delivered(pull_request: PullRequest, work: PublishWork, *, adopted: bool) -> Delivery:
    return Delivery(
        kind="pull_request",
        commit=work.commit,
        branch=work.branch,
        url=pull_request.url,
        number=pull_request.number,
        adopted=adopted,
    )
