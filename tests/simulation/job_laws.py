"""What must hold of the log and of jobs: each law is a function that says what is wrong.

Rule of this room: a law judges by the book and the world, not by the core's own figures; an empty answer is a good one.
"""

from __future__ import annotations

from penstock.events import (
    AgentProgressed,
    AgentRequested,
    DecisionRaised,
    JobClaimed,
    JobLost,
    MessageAccepted,
    MessageTold,
    NetworkDenied,
    ObserveFailed,
    PlanRequested,
    PullRequestObserved,
)
from simulation.book import RUN_ENDS
from simulation.world import COMMAND, Step


def sequences_grow(step: Step) -> str:
    """Every event of a task has a higher sequence than the one before, and the task knows it."""
    last = 0 if step.before is None else step.before.seq
    return "" if step.after.seq == step.recorded.seq > last else f"{last} was followed by {step.after.seq}"


def the_end_is_the_end(step: Step) -> str:
    """Nothing is appended to a task that has ended."""
    ended = step.before is not None and step.before.outcome is not None
    return f"{type(step.event).__name__} came after the end" if ended else ""


def a_command_is_done_once(step: Step) -> str:
    """A command or a report leads to one event, however often and to whomever it was sent."""
    cause = step.recorded.causation_id
    if cause[0] not in (COMMAND, "r"):
        return ""
    done = step.world.commands_done
    if cause in done:
        return f"{type(step.event).__name__} is the second event of {cause}"
    done.add(cause)
    return ""


def agents_only_talk(step: Step) -> str:
    """What an agent asks for becomes a message or a question, and nothing else: it approves nothing."""
    if step.recorded.causation_id not in step.world.of_agents:
        return ""
    talks = isinstance(step.event, MessageAccepted | DecisionRaised)
    return "" if talks else f"an agent's wish became {type(step.event).__name__}"


def one_job_at_a_time(step: Step) -> str:
    """A job is asked for only when the task has none that is asked for or running."""
    return f"job {step.book.job} is still there" if step.book.job else ""


def no_work_without_a_slot(step: Step) -> str:
    """A task that asks for a job was given a slot and has not given it back since."""
    return "" if step.book.slot else "it holds no slot"


def parked_until_its_time(step: Step) -> str:
    """A parked task asks for nothing before its time, unless somebody wakes it."""
    wake_at = step.book.wake_at
    return f"it is parked until {wake_at}" if wake_at is not None and step.recorded.at < wake_at else ""


def blocked_until_let_go(step: Step) -> str:
    """A blocked task asks for nothing before a person has answered."""
    return f"it is blocked: {step.book.blocked}" if step.book.blocked else ""


def dependencies_are_closed(step: Step) -> str:
    """A task begins when everything it waits for has succeeded, by itself or by a retry, or a person went on without."""
    for on in step.book.spec.depends_on:
        if _succeeded(step, on) or f"dependency.{on}" in step.book.waived:
            continue
        return f"task {on} has not succeeded"
    return ""


def _succeeded(step: Step, on: str) -> bool:
    line = [on]
    for one in line:
        line += [task.id for task in step.world.tasks.values() if task.spec.retry_of == one]
    return any(step.world.tasks[one].outcome == "succeeded" for one in line if one in step.world.tasks)


def what_is_paused_waits(step: Step) -> str:
    """No step is asked for while the fleet, the repository or (for agents) the vendor is paused."""
    scopes = [("fleet", "all"), ("repo", step.after.repo)]
    if isinstance(step.event, AgentRequested | PlanRequested):
        scopes.append(("vendor", step.book.vendor))
    for scope in scopes:
        control = step.world.controls.get(scope)
        if control is not None and control.mode == "pause":
            return f"{scope} is paused"
    return ""


def a_job_is_claimed_once(step: Step) -> str:
    """One holder at a time: a job that somebody holds is granted to nobody else."""
    assert isinstance(step.event, JobClaimed)
    if step.book.look and step.event.job == step.book.look:
        return f"it is held under {step.book.look_claimed}" if step.book.look_claimed[0] else ""
    if step.event.job != step.book.job:
        return f"job {step.event.job} is not the task's ({step.book.job or 'none'})"
    return f"it is held under {step.book.claimed}" if step.book.claimed[0] else ""


def the_stale_are_refused(step: Step) -> str:
    """What is said of a job comes from the one who holds it, under the epoch that was granted last."""
    said_of_jobs = (*RUN_ENDS, AgentProgressed, DecisionRaised, MessageTold, NetworkDenied)
    assert isinstance(step.event, (*said_of_jobs, PullRequestObserved, ObserveFailed))
    said = (step.event.job, step.event.epoch)
    looks = step.book.look and step.event.job == step.book.look
    holder = step.book.look_claimed if looks else step.book.claimed
    return "" if said == holder else f"{said} spoke, and {holder} holds the job"


def only_the_running_job_is_lost(step: Step) -> str:
    """A loss is of the job that is asked for or running, under the epoch of its holder."""
    assert isinstance(step.event, JobLost)
    looks = step.book.look and step.event.job == step.book.look
    holder = (step.book.job, max(step.book.claimed[1], 0))
    if looks:
        holder = (step.book.look, max(step.book.look_claimed[1], 0))
    return "" if (step.event.job, step.event.epoch) == holder else f"the job is {holder}"
