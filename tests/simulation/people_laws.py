"""What must hold of plans, questions, commands and messages.

Rule of this room: a law judges by the book and the world, not by the core's own figures; an empty answer is a good one.
"""

from __future__ import annotations

from typing import Final

from penstock.events import (
    AgentRequested,
    CompactionAsked,
    DecisionAnswered,
    DecisionRaised,
    MessageAccepted,
    MessageConsumed,
    MessageDelivered,
    MessageTold,
    PlanApproved,
    PlanCommented,
    PlanRejected,
    PlanRequested,
    PlanUnanswered,
    PriorityChanged,
    TaskCancelRequested,
    TaskUnblocked,
    TaskWoken,
)
from simulation.world import Step

COMMENTS_TOLD_MIN: Final = 5
"""Older comments may have had to make room."""


def a_person_has_approved(step: Step) -> str:
    """In interactive mode no agent runs without a plan that a person, or their silence by the task's own rule, let pass."""
    if step.book.spec.mode != "interactive" or step.book.answer == "approved":
        return ""
    return f"plan {step.book.plan_number} is {step.book.answer or 'unanswered'}"


def comments_reach_the_next_plan(step: Step) -> str:
    """A new plan is asked for with what people have said of the last ones."""
    assert isinstance(step.event, PlanRequested)
    if step.book.answer != "commented":
        return ""
    said = step.book.comments[-COMMENTS_TOLD_MIN:]
    return "" if step.event.comments[-len(said) :] == said else f"told {step.event.comments} of {step.book.comments}"


def silence_takes_its_time(step: Step) -> str:
    """Silence counts only after the time that the task gives its people, and only where nobody has answered."""
    assert isinstance(step.event, PlanUnanswered)
    book, waited = step.book, (step.recorded.at - step.book.plan_at).total_seconds()
    if book.answer or waited < book.spec.plan_gate.silence_seconds:
        return f"after {waited} s, and the answer was {book.answer!r}"
    if step.event.meaning == "approve" and (book.plan is None or book.plan.risk != "low"):
        return "silence approved a plan that is not of low risk"
    return ""


def doubtful_tasks_wait(step: Step) -> str:
    """A task whose score is below its limit runs no agent before a person lets it."""
    gate = None if step.before is None else step.before.gate
    if gate is None or gate.score >= step.book.spec.policy.abstain_below or "gate.abstained" in step.book.waived:
        return ""
    return f"its score is {gate.score}"


def a_task_is_scored_once(step: Step) -> str:
    """The score is drawn from the first evidence, once."""
    return "" if step.before is None or step.before.gate is None else "it has a score already"


def a_question_is_asked_once(step: Step) -> str:
    """Each decision that an agent raises waits for a person once."""
    assert isinstance(step.event, DecisionRaised)
    return f"{step.event.decision} again" if step.event.decision in step.book.questions else ""


def questions_wait_for_a_person(step: Step) -> str:
    """No agent runs on, and nothing is handed over, while a decision that an agent has raised is open."""
    return f"{sorted(step.book.open_questions)} are open" if step.book.open_questions else ""


def commands_take_effect(step: Step) -> str:
    """What was accepted is in the task from that event on."""
    event, after = step.event, step.after
    match event:
        case TaskCancelRequested():
            good = after.cancel is not None
        case TaskUnblocked():
            good = after.blocked is None
        case TaskWoken():
            good = after.parked is None
        case PriorityChanged():
            good = after.priority == event.priority
        case CompactionAsked():
            good = bool(after.compact_wanted)
        case PlanApproved():
            good = after.plan is not None and after.plan.answer == "approved"
        case PlanRejected():
            good = after.plan is not None and after.plan.answer == "rejected"
        case PlanCommented():
            good = after.plan is not None and after.plan.comments[-1:] == (event.comment,)
        case MessageAccepted():
            good = any(mail.id == event.message for mail in after.mail)
        case DecisionAnswered():
            asked = any(point.id == event.decision for point in after.points)
            good = not asked and any(mail.id == event.decision for mail in after.mail)
        case _:
            good = True
    return "" if good else f"{event!r} has changed nothing"


def a_message_is_told_to_one_run(step: Step) -> str:
    """A run is told what no run that worked has been told before."""
    assert isinstance(step.event, AgentRequested)
    again = [one for one in step.event.messages if step.book.read[one]]
    return f"{again} were read before" if again else ""


def a_message_is_told_once(step: Step) -> str:
    """Who is told in the middle of a run has not been told before, by this run's order or by one that worked."""
    assert isinstance(step.event, MessageTold)
    again = step.book.read[step.event.message] or step.event.message in step.book.asked.get(step.event.job, ())
    return f"{step.event.message} was told before" if again else ""


def asked_compaction_comes_first(step: Step) -> str:
    """Whoever asks for a fresh start from a summary gets it before the next run."""
    return "the next run goes on with the old session" if step.book.compaction_asked else ""


def delivered_is_begun(step: Step) -> str:
    """A message counts as delivered when a host has begun the run that was told."""
    assert isinstance(step.event, MessageDelivered)
    told = step.event.message in step.book.asked.get(step.event.job, ())
    begun = step.book.claimed[0] == step.event.job or step.book.read[step.event.message]
    return "" if told and begun else f"{step.event!r}"


def consumed_is_read(step: Step) -> str:
    """A message counts as consumed when the run that was told has worked."""
    assert isinstance(step.event, MessageConsumed)
    return "" if step.book.read[step.event.message] == 1 else f"read by {step.book.read[step.event.message]} runs"


def messages_are_kept(step: Step) -> str:
    """A message that no run has worked with is with the run at work, or waits for the next one."""
    task = step.after
    if task.outcome is not None:
        return ""
    waiting = {mail.id for mail in task.mail if not mail.job or (task.job is not None and mail.job == task.job.id)}
    lost = step.book.unread - waiting
    return f"{sorted(lost)} will never be told" if lost else ""
