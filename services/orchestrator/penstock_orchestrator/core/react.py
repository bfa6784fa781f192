"""From a decision to work: the job that a `…_requested` event stands for.

Rule of this room: a job is made from the task's state alone, so the same state gives the same job whoever makes it, and
however often.
"""

from __future__ import annotations

from typing import Final, assert_never

from penstock.jobs import (
    WAIVABLE,
    AgentWork,
    CompactWork,
    Job,
    PlanWork,
    PrepareWork,
    PublishWork,
    SayOrder,
    VerifyWork,
    Work,
)
from penstock.values import LOCAL, Continuation, Price
from penstock_orchestrator.core import checks
from penstock_orchestrator.core.budget import SUBSCRIPTION
from penstock_orchestrator.core.feedback import answer_text
from penstock_orchestrator.core.gate import words
from penstock_orchestrator.core.prompt import compact_prompt, fitting, fresh_prompt, next_prompt, plan_prompt, spoken
from penstock_orchestrator.core.pull_request import pull_request_body
from penstock_orchestrator.core.review import last_pushed
from penstock_orchestrator.core.step import side_session
from penstock_orchestrator.core.task import CurrentJob, Task

SIDE_SECONDS_MAX: Final = 900.0
"""A run that only reads is never longer than this."""

WALL_SECONDS_MIN: Final = 30.0
"""An agent run is never asked to be shorter than this, however little of the budget is left."""


def react(task: Task) -> Job | None:
    """The order for the task's current job, None where no job is waiting for a host."""
    job = task.job
    if job is None or job.epoch is not None or task.outcome is not None:
        return None
    return Job(
        id=job.id,
        task=task.id,
        repo=task.repo,
        pool=_pool(task, job),
        host=job.host,
        work=_work(task, job),
    )


def _pool(task: Task, job: CurrentJob) -> str:
    """Whose hosts may take the job, where it is not one host's."""
    return task.spec.policy.publish_pool or task.vendor if job.kind == "publish" else task.vendor


def to_say(task: Task) -> tuple[SayOrder, ...]:
    """What people and other tasks have to say to the agent that is at work now, and has not been told. What its program does
    not take goes into the next prompt."""
    job = task.job
    if job is None or job.kind != "agent" or job.epoch is None or task.cancel is not None or task.stop_wanted:
        return ()
    return tuple(SayOrder(job=job.id, message=mail.id, text=spoken(mail)) for mail in fitting(task.pending_mail))


def _work(task: Task, job: CurrentJob) -> Work:
    spec = task.spec
    match job.kind:
        case "prepare":
            return _prepare(task)
        case "plan":
            return _plan(task)
        case "agent":
            return _agent(task)
        case "compact":
            return _compact(task)
        case "verify":
            assert task.change is not None
            return VerifyWork(
                repo=spec.repo,
                branch=task.branch,
                commit=task.change.commit,
                commands=spec.repo.verify,
                command_timeout_seconds=spec.repo.command_timeout_seconds,
                base_commit=task.base_commit if spec.repo.checking.baseline != "off" else None,
            )
        case "publish":
            assert task.change is not None
            assert task.base_commit is not None
            return PublishWork(
                repo=spec.repo,
                branch=task.branch,
                base_commit=task.base_commit,
                commit=task.change.commit,
                flow=spec.flow,
                title=spec.title,
                body=pull_request_body(task),
                verified=checks.is_verified(spec, task.judged, task.results),
                expected=_expected(task),
                number=None if task.review is None else task.review.number,
                says=answer_text(task),
                parcel=task.change_parcel,
                scope=task.scope,
                waived=tuple(sorted(task.waived & WAIVABLE)),
                on_tip=_on_tip(task),
            )
        case never:
            assert_never(never)


def _prepare(task: Task) -> PrepareWork:
    spec = task.spec
    branch = f"agent/{task.id}" if spec.continues is None else spec.continues.branch
    # Evidence is asked for once: what is decided from it is decided once.
    about = words(spec.title, spec.description, spec.acceptance) if task.evidence is None else ()
    return PrepareWork(
        repo=spec.repo,
        branch=branch,
        base_commit=task.base_commit,
        kept=task.kept,
        continues=_continues(task),
        words=about,
        wants_evidence=task.evidence is None,
        parcel=None if task.rebase_due else task.parcel,
        rebase=task.change.commit if task.rebase_due and task.change is not None else None,
        share_work=spec.policy.share_work,
        clean=spec.repo.provider == LOCAL and spec.flow == "patch",
    )


def _continues(task: Task) -> Continuation | None:
    """What a clone begins from that is not the default branch: what an earlier task has handed over, or, for a fix run on
    another host, this one."""
    delivery = task.delivery
    if task.review is None or delivery is None or task.base_commit is None:
        return task.spec.continues
    return Continuation(
        task=task.id, branch=task.branch, commit=delivery.commit, base_commit=task.base_commit, url=delivery.url
    )


def _plan(task: Task) -> PlanWork:
    spec = task.spec
    assert task.base_commit is not None
    return PlanWork(
        repo=spec.repo,
        branch=task.branch,
        base_commit=task.base_commit,
        vendor=task.vendor,
        model=task.model,
        session_id=_side(task, f"plan{task.plans}"),
        prompt=plan_prompt(task),
        max_turns=spec.policy.plan_turns_max or None,
        max_cost_usd=_left(task.max_cost_usd, task.cost_seen),
        wall_seconds_max=min(_wall_left(task), spec.policy.plan_seconds_max or SIDE_SECONDS_MAX),
        billing=spec.billing,
        price=_price(task),
    )


def _compact(task: Task) -> CompactWork:
    spec = task.spec
    assert task.base_commit is not None
    return CompactWork(
        repo=spec.repo,
        branch=task.branch,
        base_commit=task.base_commit,
        vendor=task.vendor,
        model=task.model,
        session_id=_side(task, "compact"),
        prompt=compact_prompt(task),
        max_turns=spec.policy.plan_turns_max or None,
        max_cost_usd=_left(task.max_cost_usd, task.cost_seen),
        wall_seconds_max=min(_wall_left(task), SIDE_SECONDS_MAX),
        billing=spec.billing,
        price=_price(task),
    )


def _side(task: Task, purpose: str) -> str:
    return side_session(task, purpose)


def _expected(task: Task) -> str | None:
    """Where the remote's branch must stand: as it was found, for a task that goes on with one; where we have left it, for a
    fix run."""
    if task.review is not None:
        # A push whose end was lost is ours all the same, once it was seen. Where an earlier one is seen, the forge is behind, or
        # somebody has taken a commit of ours away: then it is not for us to bring it back.
        last, pushed = last_pushed(task), task.review.pushed
        return next((head for head in pushed[pushed.index(last) :] if head == task.review.head), last)
    if task.spec.continues is None or task.spec.flow != "branch":
        return None
    return task.tip or task.spec.continues.commit


def _on_tip(task: Task) -> bool:
    """Whether the change must stand where the default branch is now: a commit onto it must; a branch of the task's own is put
    there as often as the policy says, and then handed over as it is."""
    if task.spec.flow == "commit":
        return True
    fresh = task.spec.flow == "branch" and _expected(task) is None
    return fresh and task.rebases < task.spec.policy.rebases_max


def _agent(task: Task) -> AgentWork:
    spec, job = task.spec, task.job
    assert task.base_commit is not None
    assert job is not None
    assert task.agent is not None
    hint = task.agent.hint
    return AgentWork(
        repo=spec.repo,
        branch=task.branch,
        base_commit=task.base_commit,
        attempt=task.agent.attempt,
        vendor=task.vendor,
        model=task.model,
        session_id=task.agent.session_id,
        resume=task.agent.resume,
        prompt=next_prompt(task, hint) if task.agent.resume else fresh_prompt(task, hint),
        fresh_prompt=fresh_prompt(task, hint),
        max_turns=spec.max_turns,
        max_cost_usd=_left(task.max_cost_usd, task.cost_seen),
        wall_seconds_max=_wall_left(task),
        billing=spec.billing,
        parcel=task.parcel if task.agent.resume else None,
        share_work=spec.policy.share_work,
        publish_elsewhere=spec.policy.publish_pool is not None,
        price=_price(task),
    )


def _price(task: Task) -> Price | None:
    """What the run is charged with by the token; nothing is, where a subscription pays."""
    return None if task.spec.billing == SUBSCRIPTION else task.price


def _left(limit: float | None, spent: float) -> float | None:
    return None if limit is None else max(limit - spent, 0.01)


def _wall_left(task: Task) -> float:
    return max(task.max_wall_seconds - task.usage.wall_seconds, WALL_SECONDS_MIN)
