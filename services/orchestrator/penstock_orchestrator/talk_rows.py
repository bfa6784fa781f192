"""The rows of what people and agents say to each other: plans, messages, decisions.

Rule of this room: pure. A row is changed only by what the task itself has taken in, so that a late report is no plan.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeAlias, assert_never, get_args

from msgspec import Struct
from msgspec.structs import fields, replace

from penstock import events as e
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.rows import PlanState, as_json


class PlanRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.plan`. `silence`: what was made of it that nobody answered; then `answered_by` is null."""

    job: str
    task: str
    number: int
    state: PlanState
    plan: str
    comments: str
    answered_by: str | None = None
    via: str | None = None
    reason: str | None = None
    silence: str | None = None
    proposed_at: datetime
    answered_at: datetime | None = None
    seq: int


class MessageRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.message`. `job`: the run that was told last."""

    task: str
    message: str
    sender: str
    from_task: str | None
    text: str
    job: str | None = None
    accepted_at: datetime
    delivered_at: datetime | None = None
    consumed_at: datetime | None = None
    seq: int


class DecisionRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.decision`. `job`: the run that raised it. The answer travels to the agent like a message."""

    task: str
    decision: str
    job: str
    subject: str
    question: str
    options: list[str]
    answer: str | None = None
    answered_by: str | None = None
    via: str | None = None
    raised_at: datetime
    answered_at: datetime | None = None
    delivered_at: datetime | None = None
    consumed_at: datetime | None = None
    seq: int


class Comment(Struct, frozen=True, kw_only=True):
    """What somebody said of a plan, as it stands in the plan's row."""

    comment: str
    commented_by: str
    via: str
    at: datetime


TalkRow: TypeAlias = PlanRow | MessageRow | DecisionRow

PLAN_COLUMNS: Final = tuple(field.name for field in fields(PlanRow))
MESSAGE_COLUMNS: Final = tuple(field.name for field in fields(MessageRow))
DECISION_COLUMNS: Final = tuple(field.name for field in fields(DecisionRow))


class Talk:
    """What was said about one living task: its rows so far, by their own ids."""

    def __init__(self) -> None:
        self._plan: PlanRow | None = None
        self._comments: tuple[Comment, ...] = ()
        self._messages: dict[str, MessageRow] = {}
        self._decisions: dict[str, DecisionRow] = {}

    def take(self, task: Task, recorded: e.Recorded) -> TalkRow | None:
        """The row that this event, already folded into `task`, makes or changes; None where it says nothing."""
        event = recorded.data
        if isinstance(event, AboutPlan):
            return self._about_plan(task, recorded, event)
        if isinstance(event, e.MessageAccepted):
            return self._accepted(recorded, event)
        if isinstance(event, e.MessageDelivered | e.MessageConsumed):
            return self._passed_on(recorded.at, event)
        if isinstance(event, e.DecisionRaised):
            return self._raised(task, recorded, event)
        return self._decided(recorded.at, event) if isinstance(event, e.DecisionAnswered) else None

    def _about_plan(self, task: Task, recorded: e.Recorded, event: AboutPlan) -> PlanRow | None:
        if isinstance(event, e.PlanProposed):
            return self._proposed(task, recorded, event)
        row = self._plan
        if row is None or event.number != row.number:
            return None
        answered = replace(row, answered_at=recorded.at)
        match event:
            case e.PlanCommented(comment=text, commented_by=by, via=via):
                self._comments += (Comment(comment=text, commented_by=by, via=via, at=recorded.at),)
                said = replace(answered, state="commented", comments=as_json(self._comments), **_by(by, via))
            case e.PlanApproved(approved_by=by, via=via):
                said = replace(answered, state="approved", **_by(by, via))
            case e.PlanRejected(rejected_by=by, via=via, reason=reason):
                said = replace(answered, state="rejected", reason=reason or None, **_by(by, via))
            case e.PlanUnanswered(meaning=meaning):
                said = replace(row, state=_SILENCE.get(meaning, "unanswered"), silence=meaning)
            case _:
                assert_never(event)
        self._plan = said
        return said

    def _proposed(self, task: Task, recorded: e.Recorded, event: e.PlanProposed) -> PlanRow | None:
        if task.plan is None or task.plan.plan is not event.plan:
            return None
        self._comments = ()
        self._plan = PlanRow(
            job=event.job,
            task=task.id,
            number=task.plan.number,
            state="waiting",
            plan=as_json(event.plan),
            comments="[]",
            proposed_at=recorded.at,
            seq=recorded.seq,
        )
        return self._plan

    def _accepted(self, recorded: e.Recorded, event: e.MessageAccepted) -> MessageRow:
        row = MessageRow(
            task=recorded.task,
            message=event.message,
            sender=event.sender,
            from_task=event.from_task or None,
            text=event.text,
            accepted_at=recorded.at,
            seq=recorded.seq,
        )
        self._messages[row.message] = row
        return row

    def _passed_on(self, at: datetime, event: e.MessageDelivered | e.MessageConsumed) -> TalkRow | None:
        if (decision := self._decisions.get(event.message)) is not None:
            told = isinstance(event, e.MessageDelivered)
            changed = replace(decision, delivered_at=at) if told else replace(decision, consumed_at=at)
            self._decisions[changed.decision] = changed
            return changed
        if (row := self._messages.get(event.message)) is None:
            return None
        match event:
            case e.MessageDelivered():
                row = replace(row, job=event.job, delivered_at=at)
            case e.MessageConsumed():
                row = replace(row, job=event.job, consumed_at=at)
            case _:
                assert_never(event)
        self._messages[row.message] = row
        return row

    def _raised(self, task: Task, recorded: e.Recorded, event: e.DecisionRaised) -> DecisionRow | None:
        if event.decision in self._decisions or not any(point.id == event.decision for point in task.points):
            return None
        row = DecisionRow(
            task=task.id,
            decision=event.decision,
            job=event.job,
            subject=event.subject,
            question=event.question,
            options=list(event.options),
            raised_at=recorded.at,
            seq=recorded.seq,
        )
        self._decisions[row.decision] = row
        return row

    def _decided(self, at: datetime, event: e.DecisionAnswered) -> DecisionRow | None:
        row = self._decisions.get(event.decision)
        if row is None or row.answered_at is not None:
            return None
        row = replace(row, answer=event.answer, answered_at=at, **_by(event.answered_by, event.via))
        self._decisions[row.decision] = row
        return row


AboutPlan: TypeAlias = e.PlanProposed | e.PlanCommented | e.PlanApproved | e.PlanRejected | e.PlanUnanswered

_SILENCE: Final[dict[str, PlanState]] = {"approve": "approved", "deny": "rejected", "park": "unanswered"}

TALK: Final[frozenset[type]] = frozenset(
    {
        *get_args(AboutPlan),
        e.MessageAccepted,
        e.MessageDelivered,
        e.MessageConsumed,
        e.DecisionRaised,
        e.DecisionAnswered,
    }
)
"""The events that `Talk.take` makes something of: one in ten at most, so that a rebuild asks the others nothing."""


def _by(name: str, via: str) -> dict[str, str | None]:
    return {"answered_by": name or None, "via": via or None}
