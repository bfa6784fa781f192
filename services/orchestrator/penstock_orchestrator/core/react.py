"""From a decision to work: the job that a `…_requested` event stands for.

Rule of this room: a job is made from the task's state alone, so the same state gives the same job whoever makes it, and
however often.
"""

from __future__ import annotations

from typing import Final, assert_never

from penstock.bounds import clip
from penstock.jobs import AgentWork, Job, PrepareWork, PublishWork, VerifyWork, Work
from penstock_orchestrator.core.prompt import fresh_prompt
from penstock_orchestrator.core.task import CurrentJob, Task

WALL_SECONDS_MIN: Final = 30.0
"""An agent run is never asked to be shorter than this, however little of the budget is left."""

BODY_LENGTH_MAX: Final = 10_000


def react(task: Task) -> Job | None:
    """The order for the task's current job, None where no job is waiting for a host."""
    job = task.job
    if job is None or job.epoch is not None or task.outcome is not None:
        return None
    return Job(
        id=job.id,
        task=task.id,
        repo=task.repo,
        pool=task.spec.vendor,
        host=job.host,
        work=_work(task, job),
    )


def _work(task: Task, job: CurrentJob) -> Work:
    spec = task.spec
    match job.kind:
        case "prepare":
            return PrepareWork(repo=spec.repo, branch=f"agent/{task.id}", base_commit=task.base_commit, kept=task.kept)
        case "agent":
            return _agent(task)
        case "verify":
            assert task.change is not None
            return VerifyWork(
                repo=spec.repo,
                branch=task.branch,
                commit=task.change.commit,
                commands=spec.repo.verify,
                command_timeout_seconds=spec.repo.command_timeout_seconds,
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
                verified=task.judged == "passed",
            )
        case never:
            assert_never(never)


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
        vendor=spec.vendor,
        model=spec.model,
        session_id=task.agent.session_id,
        resume=task.agent.resume,
        prompt=(hint or "Continue.") if task.agent.resume else fresh_prompt(task, hint),
        fresh_prompt=fresh_prompt(task, hint),
        max_turns=spec.max_turns,
        max_cost_usd=_left(spec.max_cost_usd, task.usage.cost_usd),
        wall_seconds_max=max(spec.max_wall_seconds - task.usage.wall_seconds, WALL_SECONDS_MIN),
    )


def _left(limit: float | None, spent: float | None) -> float | None:
    return None if limit is None else max(limit - (spent or 0.0), 0.01)


def pull_request_body(task: Task) -> str:
    """What a reviewer reads: what was asked, what was checked, what it took. Says "unknown" where nobody knows."""
    spec, usage = task.spec, task.usage
    cost = "unknown" if usage.cost_usd is None else f"{usage.cost_usd:.2f} USD"
    checks = "passed on this commit" if task.judged == "passed" else f"NOT run ({task.skipped or 'nothing configured'})"
    change = task.change
    size = "" if change is None else f"{change.files_changed} files, +{change.lines_added} -{change.lines_removed}"
    parts = [
        spec.description,
        f"**Checks**: {checks}",
        f"**Change**: {size}",
        f"**Attempts**: {task.attempts}, **agent**: {spec.vendor} {spec.model}".rstrip(),
        f"**Turns**: {usage.turns}, **cost**: {cost}, **work time**: {usage.wall_seconds:.0f} s",
        f"Task `{task.id}`",
    ]
    return clip("\n\n".join(part for part in parts if part), BODY_LENGTH_MAX)
