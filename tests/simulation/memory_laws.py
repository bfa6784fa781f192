"""Laws of what is remembered: who is told of which earlier task, when, and how often.

Rule of this room: judged by the second book and by the world's tasks, never by what the core says of itself.
"""

from __future__ import annotations

from penstock.events import MemoryRecalled
from simulation.world import Step


def a_task_recalls_once(step: Step) -> str:
    """What is remembered is asked for once, of ended tasks of the same repo, and no more of them than are wanted."""
    event, book = step.event, step.book
    assert isinstance(event, MemoryRecalled)
    if book.recalled:
        return "it has been told before"
    if len(event.items) > book.spec.policy.recall_max:
        return f"{len(event.items)} are more than {book.spec.policy.recall_max}"
    others = [step.world.tasks[item.task] for item in event.items]
    wrong = [one.id for one in others if one.outcome is None or one.repo != step.recorded.repo]
    return f"{wrong} are of another repo, or have not ended" if wrong else ""


def agents_are_told_what_is_remembered(step: Step) -> str:
    """No agent begins before what is remembered was asked for, where the task's policy wants it."""
    wants = step.book.spec.policy.recall_max
    return (
        "" if not wants or step.book.recalled else "an agent is asked for, and nobody has been asked what is remembered"
    )
