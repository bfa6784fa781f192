"""One job's work, whatever kind it is, and whatever becomes of it: a report's body comes out.

Rule of this room: only the loss of the lease and the end of this process pass through. Everything else is said.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec
import nats.errors
import structlog

from penstock.artifacts import ArtifactTooLarge, store
from penstock.events import AgentFailed, AgentSucceeded, CompactFailed, CompactSucceeded, PlanFailed, PlanProposed
from penstock.jobs import AgentWork, CompactWork, ObserveWork, PlanWork, PrepareWork, PublishWork, VerifyWork
from penstock.lease import Lost
from penstock.reports import ReportBody
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.forge import ForgeFailed
from penstock_agent_exec.git.collect import in_hand
from penstock_agent_exec.git.failures import GitFailed
from penstock_agent_exec.report import class_of_os_error, failed, stopped
from penstock_agent_exec.steps.agent import agent
from penstock_agent_exec.steps.answer import answer
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.observe import observe
from penstock_agent_exec.steps.prepare import prepare
from penstock_agent_exec.steps.publish import publish
from penstock_agent_exec.steps.rebase import put_on_top
from penstock_agent_exec.steps.verify import verify
from penstock_agent_exec.tenure import Stopped
from penstock_agent_exec.transcript import MEDIA_TYPE
from penstock_agent_exec.transcript import NAME as TRANSCRIPT

log = structlog.get_logger()

ROLE_MISSING: Final = "host.role_missing"

Ran = AgentSucceeded | AgentFailed | PlanProposed | PlanFailed | CompactSucceeded | CompactFailed
"""How a run ends that was not stopped."""


async def perform(bench: Bench, hand: InHand) -> ReportBody:
    """Do what the job asks for, and keep what an agent has printed. Raises Lost and nothing else."""
    with in_hand(bench.folder, hand.job.task, hand.job.work.repo.name):
        return await _with_transcript(bench, hand, await _done(bench, hand))


async def _done(bench: Bench, hand: InHand) -> ReportBody:
    try:
        return await _step(bench, hand)
    except Lost:
        raise
    except Stopped as error:
        return stopped(hand, str(error))
    except GitFailed as error:
        return failed(hand, error.error_class, str(error), transient=error.transient)
    except ForgeFailed as error:
        return failed(hand, error.error_class, str(error), transient=error.transient, retry_at=error.retry_at)
    except ArtifactTooLarge as error:
        return failed(hand, "publish.too_large", str(error))
    except ChildNotStarted as error:
        return failed(hand, "host.sandbox", f"a sandbox could not be set up on this host: {error}", transient=True)
    except nats.errors.Error as error:
        message = f"the broker did not take what belongs to the job: {str(error) or type(error).__name__}"
        return failed(hand, "host.broker", message, transient=True)
    except OSError as error:
        log.warning("job.os_error", task=hand.job.task, job=hand.job.id, exc_info=True)
        return failed(hand, class_of_os_error(error), f"{type(error).__name__}: {error}", transient=True)
    except Exception as error:
        # Nobody foresaw it, so nobody knows whether it would come again: said to the orchestrator, shown in the log.
        log.exception("job.bug", task=hand.job.task, job=hand.job.id)
        return failed(hand, "host.bug", f"{type(error).__name__}: {error}", transient=True)


async def _with_transcript(bench: Bench, hand: InHand, body: ReportBody) -> ReportBody:
    """The body with a reference to the transcript, where there is one. No report waits for a transcript that is not taken."""
    if not isinstance(body, Ran) or not (content := hand.transcript.content()):
        return body
    hand.tenure.must_hold()
    given = {"task": hand.job.task, "job": hand.job.id, "name": TRANSCRIPT, "media_type": MEDIA_TYPE}
    try:
        transcript = await store(bench.nc, body=content, **given)
    except (nats.errors.Error, OSError) as error:
        reason = str(error) or type(error).__name__
        log.warning("transcript.not_kept", task=hand.job.task, job=hand.job.id, reason=reason)
        return body
    return msgspec.structs.replace(body, transcript=transcript)


async def _step(bench: Bench, hand: InHand) -> ReportBody:
    work = hand.job.work
    if role := bench.lacks(work):
        return failed(hand, ROLE_MISSING, f"this host has not the role {role}", transient=True)
    match work:
        case PrepareWork(rebase=str(commit)):
            return await put_on_top(bench, hand, work, commit)
        case PrepareWork():
            return await prepare(bench, hand, work)
        case AgentWork():
            return await agent(bench, hand, work)
        case PlanWork() | CompactWork():
            return await answer(bench, hand, work)
        case VerifyWork():
            return await verify(bench, hand, work)
        case PublishWork():
            return await publish(bench, hand, work)
        case ObserveWork():
            return await observe(bench, hand, work)
        case _:
            assert_never(work)
