"""What must hold of the hand-over and of the end of a task.

Rule of this room: a law judges by the book and the world, not by the core's own figures; an empty answer is a good one.
"""

from __future__ import annotations

from penstock.events import (
    PublishRequested,
    TaskCancelled,
    TaskFailed,
    TaskSucceeded,
    TaskUnverified,
)
from simulation.ground import UNCHECKED
from simulation.world import Step


def nothing_unchecked_is_published(step: Step) -> str:
    """A change is handed over after its own checks have passed, or have failed for nothing that is new, or where nobody wants or
    has any."""
    assert isinstance(step.event, PublishRequested)
    if step.event.commit in step.world.passed:
        return ""
    if step.event.commit in step.world.failed_before:
        lenient = step.book.spec.repo.checking.failed_before == "succeeded"
        return "" if lenient or not step.event.verified else "it is called verified, and that is not the rule"
    unchecked = step.book.spec.skip_verify or step.after.repo == UNCHECKED
    return "" if unchecked and not step.event.verified else f"no check has passed on {step.event.commit}"


def checks_are_skipped_on_purpose(step: Step) -> str:
    """Checks are left out only where the task says so or the repository has none."""
    return "" if step.book.spec.skip_verify or step.after.repo == UNCHECKED else "nobody said so"


def published_changes_are_read(step: Step) -> str:
    """Nothing is handed over while a person's message waits for the agent."""
    unread = step.book.unread - step.book.of_agents
    return f"{sorted(unread)} were not read" if unread else ""


def the_plan_is_kept(step: Step) -> str:
    """What is handed over touches the files of the approved plan, unless a person let more pass."""
    plan, change = step.book.plan, step.after.change
    if plan is None or change is None or not plan.files_to_touch or "preflight.scope" in step.book.waived:
        return ""
    outside = [path for path in change.files if path not in plan.files_to_touch]
    return f"{outside} are outside" if outside else ""


def delivered_once(step: Step) -> str:
    """A task is handed over once, and once more by each fix run; the world outside has seen as many pushes of it. What a host has
    pushed that was gone for good before it could say so is not counted: nobody can know of it."""
    # Each fix run hands over once more, on the same branch.
    if step.book.published > step.book.fixes:
        return "it was handed over before"
    gone = step.world.hosts
    pushes = sum(not gone[host].gone for host in step.world.pushes[step.after.id])
    return f"{pushes} pushes" if pushes > 1 + step.book.fixes else ""


def outcomes_are_honest(step: Step) -> str:
    """Succeeded: handed over, there to be found, and checked. Unverified: handed over. Cancelled: somebody asked. Failed, or
    without a change: nothing was handed over. Where a pull request is followed, succeeded is merged and failed is closed."""
    event, book, world = step.event, step.book, step.world
    match event:
        case TaskSucceeded() | TaskUnverified():
            if not book.published:
                return "nothing was handed over"
            if book.in_review and world.pulls[step.after.id].state != "merged":
                return "it is not merged"
            if (
                event.delivery.kind in ("branch", "pull_request")
                and event.delivery.commit not in world.pushed[event.delivery.branch]
            ):
                return f"{event.delivery.commit} is not on the remote"
            excused = event.delivery.commit in world.failed_before - world.passed
            if excused != ("failed_before" in event.reservations):
                return "what had failed before is not said, or said where it had not"
            if isinstance(event, TaskSucceeded) and event.delivery.commit not in world.passed and not excused:
                return "nothing has checked it"
            right = "succeeded" if isinstance(event, TaskSucceeded) else "unverified"
        case TaskFailed():
            closed = book.in_review and world.pulls[step.after.id].state == "closed"
            if book.published and not (closed and event.error_class == "review.closed"):
                return "it was handed over"
            if event.error_class == "plan.rejected" and book.answer != "rejected":
                return "nobody has rejected its plan"
            right = "no_change" if event.error_class == "agent.no_change" else "failed"
        case TaskCancelled():
            if not book.cancel_asked or (book.published and not book.in_review):
                return "it was handed over" if book.published else "nobody has asked for that"
            right = "cancelled"
        case _:
            return ""
    return "" if step.after.outcome == right else f"{type(event).__name__} became {step.after.outcome}"
