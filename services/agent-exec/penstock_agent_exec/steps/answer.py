"""Plan and compact: a run that may look at everything and change nothing, for the sake of its answer.

Rule of this room: the answer is a stranger's text. It becomes a plan by being read, or a summary by being clipped, and
whatever else the run may have left in the clone does not stay.
"""

from __future__ import annotations

from typing import Final, assert_never

from penstock.events import CompactFailed, CompactSucceeded, PlanFailed, PlanProposed
from penstock.jobs import CompactWork, PlanWork
from penstock.plan_text import read_plan
from penstock.reports import ReportBody
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.agents.vendor import HostLacks, RunRefused
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.work import put_back, remember
from penstock_agent_exec.report import failed, stopped
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.running import Failure, Place, Ran, ready, run, run_for
from penstock_agent_exec.vendors import Offer, offer_of

SUMMARY_LENGTH_MAX: Final = 20_000
UNREADABLE: Final = "plan.unreadable"
EMPTY: Final = "compact.empty"
DISCARDED: Final = ", changes discarded"


async def answer(bench: Bench, hand: InHand, work: PlanWork | CompactWork) -> ReportBody:
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
    if ran.stopped:
        return stopped(hand, hand.tenure.stop.reason)
    said = ran.outcome.verdict.answer.strip()
    match work:
        case PlanWork():
            return _plan(hand, ran.failure, said)
        case CompactWork():
            return _summary(hand, ran.failure, said)
        case _:
            assert_never(work)


async def _run(bench: Bench, hand: InHand, work: PlanWork | CompactWork, offer: Offer, place: Place) -> Ran:
    given = run_for(work, place, prompt=work.prompt, session_id=work.session_id, resume=False)
    if bench.bwrap is not None:
        return await run(bench, hand, work, offer, place, given)
    # Nothing keeps the clone from being written to here, so it is looked at afterwards.
    before = await remember(place.clone, place.sandbox)
    ran = await run(bench, hand, work, offer, place, given)
    await heal_clone(place.clone, place.sandbox)
    if await put_back(place.clone, place.sandbox, before):
        hand.sandbox += DISCARDED
        hand.note("the run was to read only and had changed the work tree: put back as it was")
    return ran


def _plan(hand: InHand, failure: Failure | None, said: str) -> PlanProposed | PlanFailed:
    if failure is None:
        plan = read_plan(said)
        if not isinstance(plan, str):
            return PlanProposed(
                job=hand.job.id,
                epoch=hand.tenure.epoch,
                plan=plan,
                usage=hand.usage,
                session_id=hand.session_id,
                vendor_version=hand.vendor_version,
                sandbox=hand.sandbox,
            )
        failure = Failure(error_class=UNREADABLE, message=plan, transient=False, retry_at=None)
    return PlanFailed(
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
    )


def _summary(hand: InHand, failure: Failure | None, said: str) -> CompactSucceeded | CompactFailed:
    if failure is None and said:
        return CompactSucceeded(
            job=hand.job.id,
            epoch=hand.tenure.epoch,
            summary=shown(said, SUMMARY_LENGTH_MAX),
            usage=hand.usage,
            session_id=hand.session_id,
            vendor_version=hand.vendor_version,
            sandbox=hand.sandbox,
        )
    return CompactFailed(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        error_class=EMPTY if failure is None else failure.error_class,
        message="the agent answered nothing" if failure is None else shown(failure.message),
        usage=hand.usage,
    )
