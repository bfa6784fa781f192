"""Agent: one attempt, from the prompt to a change that the trusted side has counted.

Rule of this room: what the agent's program says is a claim, and git decides. Whatever ends the run, its work is kept on a
private ref before anything touches it, and what it used is in the report.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Final

from penstock.artifacts import ARTIFACT_BYTES_MAX
from penstock.bounds import LINE_LENGTH_MAX
from penstock.events import AgentFailed, AgentSucceeded
from penstock.jobs import AgentWork
from penstock.reports import ReportBody
from penstock.values import Change, Kept
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.agents.vendor import HostLacks, RunRefused
from penstock_agent_exec.git.change import SUBMODULE_MODE, Diffstat, has_change
from penstock_agent_exec.git.failures import TooBig
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import start_of
from penstock_agent_exec.git.secrets import secrets_in
from penstock_agent_exec.git.work import commit_leftovers, keep_work, take_result
from penstock_agent_exec.report import failed, stopped
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.leave import leave_change, leave_kept, take_session
from penstock_agent_exec.steps.running import Failure, Place, Ran, ready, run, run_for
from penstock_agent_exec.vendors import Offer, offer_of

FILES_LISTED_MAX: Final = 200
FILES_CHARACTERS_MAX: Final = 30_000
NO_CHANGE: Final = "agent.no_change"
SESSION_LOST: Final = "vendor.session_lost"
GIVES_AWAY: Final = "agent.secret_in_change"
TOO_LARGE: Final = "agent.change_too_large"
SUBMODULE: Final = "agent.submodule_in_change"
_TOO_LARGE: Final = (
    f"the change is larger than {ARTIFACT_BYTES_MAX} bytes as a git bundle, and cannot travel to the host that hands it over: "
    "leave out whatever is generated, downloaded or built"
)
_UNSEEN: Final = (
    "Only what was looked through travels to the host that hands it over: "
    "leave out whatever is generated, downloaded or built"
)


async def agent(bench: Bench, hand: InHand, work: AgentWork) -> ReportBody:
    """Raises Stopped before the agent has begun, Lost, and the failures of git and of this host."""
    try:
        offer = offer_of(bench.offers, work.vendor, work.billing)
    except HostLacks as lack:
        return failed(hand, "host.vendor_missing", str(lack), transient=True)
    place = await hand.tenure.stop.unless_asked(ready(bench, hand, work.repo, work.base_commit))
    try:
        ran = await _run(bench, hand, work, offer, place)
    except RunRefused as error:
        return failed(hand, error.error_class, str(error))
    await heal_clone(place.clone, place.sandbox)
    await _keep(hand, place, work.attempt)
    if ran.stopped or ran.failure is not None:
        await leave_kept(bench, hand, work, place, offer.vendor)
        return stopped(hand, hand.tenure.stop.reason) if ran.failure is None else _failed(hand, ran.failure)
    await commit_leftovers(place.clone, place.sandbox)
    start = await start_of(place.mirror, hand.job.task)
    result = await take_result(place.clone, place.mirror, place.sandbox, descends_from=start)
    verdict = ran.outcome.verdict
    # Of a task that goes on with a branch, what was there before is none of its doing.
    if not result.changed or (start is not None and not await has_change(place.mirror, start, result.head)):
        message = verdict.final_text or "the agent changed nothing"
        await leave_kept(bench, hand, work, place, offer.vendor)
        return _failed(hand, Failure(error_class=NO_CHANGE, message=message, transient=False, retry_at=None))
    if names := [file.path for file in result.files if SUBMODULE_MODE in (file.old_mode, file.new_mode)]:
        message = f"the change adds, moves or removes submodules, whose content is not here: {', '.join(names)[:200]}"
        await leave_kept(bench, hand, work, place, offer.vendor)
        return _failed(hand, Failure(error_class=SUBMODULE, message=message, transient=False, retry_at=None))
    if (unfit := await _unfit_to_travel(bench, hand, work, place, offer, result.head)) is not None:
        return _failed(hand, unfit)
    return AgentSucceeded(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        change=change_of(result),
        usage=hand.usage,
        session_id=hand.session_id,
        vendor_version=hand.vendor_version,
        summary=shown(verdict.final_text),
        sandbox=hand.sandbox,
        kept=hand.kept,
        session_restarted=hand.session_restarted,
        parcel=hand.parcel,
    )


async def _unfit_to_travel(
    bench: Bench, hand: InHand, work: AgentWork, place: Place, offer: Offer, head: str
) -> Failure | None:
    """Leave the change for other hosts, where they share work; why it is no result, where one of them is to hand it over and
    cannot be given it. What this host must hide, no other host would know."""
    try:
        names = await secrets_in(place.mirror, place.clone.base, head, hand.redactor) if work.publish_elsewhere else ()
    except TooBig as error:
        # As a bundle it may be small enough. What nobody has looked through does not travel all the same.
        hand.note(f"the work is not left for other hosts: {error}")
        await leave_change(bench, hand, work, place, offer.vendor, head, travels=False)
        return Failure(error_class=TOO_LARGE, message=f"{error} {_UNSEEN}", transient=False, retry_at=None)
    if names:
        message = f"the change holds secrets of the host: {', '.join(names)[:200]}; take them out of every commit"
        return Failure(error_class=GIVES_AWAY, message=message, transient=False, retry_at=None)
    await leave_change(bench, hand, work, place, offer.vendor, head)
    if work.publish_elsewhere and (hand.parcel is None or hand.parcel.bundle is None):
        return Failure(error_class=TOO_LARGE, message=_TOO_LARGE, transient=False, retry_at=None)
    return None


async def _run(bench: Bench, hand: InHand, work: AgentWork, offer: Offer, place: Place) -> Ran:
    """The session gone on with; one that has vanished is begun once more with the whole history, and that is said."""
    attempt, session = work.attempt, work.session_id
    if work.resume and work.parcel is not None and not offer.vendor.has_session(place.home, session):
        await hand.tenure.stop.unless_asked(take_session(bench, hand, place, work.parcel))
    resume = work.resume and offer.vendor.has_session(place.home, session)
    if resume:
        given = run_for(work, place, prompt=work.prompt, session_id=session, resume=True, attempt=attempt)
        ran = await run(bench, hand, work, offer, place, given)
        if ran.failure is None or ran.failure.error_class != SESSION_LOST:
            return of_session(ran, session)
        session = str(uuid.uuid4())
    if work.resume:
        hand.session_restarted = True
        hand.note("the session to go on with is not on this host: begun again with the whole history")
    prompt = work.fresh_prompt if work.resume else work.prompt
    given = run_for(work, place, prompt=prompt, session_id=session, resume=False, attempt=attempt)
    return await run(bench, hand, work, offer, place, given)


def of_session(ran: Ran, session: str) -> Ran:
    """A run that was to go on with a session and went on with another one has worked without its history: it is no result."""
    said = ran.outcome.verdict.session_id
    if ran.stopped or ran.failure is not None or said in ("", session):
        return ran
    message = f"session {session} was to be gone on with, and the agent's program went on with {shown(said, 100)}"
    return replace(ran, failure=Failure(error_class=SESSION_LOST, message=message, transient=False, retry_at=None))


async def _keep(hand: InHand, place: Place, number: int) -> None:
    """Everything in the work tree, on a ref that nothing else writes."""
    kept = await keep_work(place.clone, place.mirror, number, place.sandbox)
    if kept is None:
        return
    hand.kept = Kept(ref=kept.ref, commit=kept.commit)
    if kept.missed:
        hand.note(f"not everything could be kept: {kept.missed}")


def _failed(hand: InHand, failure: Failure) -> AgentFailed:
    return AgentFailed(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        error_class=failure.error_class,
        message=shown(failure.message),
        transient=failure.transient,
        retry_at=failure.retry_at,
        usage=hand.usage,
        session_id=hand.session_id,
        vendor_version=hand.vendor_version,
        sandbox=hand.sandbox,
        kept=hand.kept,
        session_restarted=hand.session_restarted,
        parcel=hand.parcel,
    )


def change_of(result: Diffstat) -> Change:
    """The change as an event holds it: every figure, and the names of the first files."""
    files: list[str] = []
    room = FILES_CHARACTERS_MAX
    for file in result.files[:FILES_LISTED_MAX]:
        name = shown(file.path, LINE_LENGTH_MAX)
        room -= len(name)
        if room < 0:
            break
        files.append(name)
    return Change(
        commit=result.head,
        commits=result.commits,
        files=tuple(files),
        files_changed=len(result.files),
        lines_added=result.lines_added,
        lines_removed=result.lines_removed,
    )
