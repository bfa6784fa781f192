"""What each event of the log means to the second book of its task.

Rule of this room: in the plainest words; nothing here asks the core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentRequested,
    AgentSucceeded,
    BudgetWarned,
    CompactionAsked,
    DecisionAnswered,
    DecisionRaised,
    DependencyResolved,
    FailedOver,
    FailureClassified,
    HistoryCompacted,
    JobClaimed,
    JobLost,
    JobStopped,
    MemoryRecalled,
    MessageAccepted,
    MessageConsumed,
    MessageTold,
    PlanApproved,
    PlanCommented,
    PlanFailed,
    PlanProposed,
    PlanRejected,
    PlanRequested,
    PlanUnanswered,
    PreflightFailed,
    PrepareFailed,
    PublishFailed,
    PublishSucceeded,
    Recorded,
    TaskAdmitted,
    TaskBlocked,
    TaskCancelRequested,
    TaskParked,
    TaskUnblocked,
    TaskWoken,
    VerifyFailed,
)
from simulation.book import COSTS_NOTHING, Book


def _claimed(book: Book, event: JobClaimed, _: Recorded) -> None:
    book.claimed = (event.job, event.epoch)


def _lost(book: Book, event: JobLost, _: Recorded) -> None:
    book.turns_of_session[book.session] = book.turns_of_session.get(book.session, 0) + book.told_turns
    if not event.host_gone and book.job_kind is AgentRequested and book.told_turns:
        # Its session is there still, and knows what it was told.
        book.worked()
    book.lose()


def _agent_asked(book: Book, event: AgentRequested, recorded: Recorded) -> None:
    book.asked[recorded.id] = event.messages
    book.job_told = recorded.id


def _plan_asked(book: Book, event: PlanRequested, _: Recorded) -> None:
    book.plans_asked = event.number


def _agent_done(book: Book, event: AgentSucceeded, _: Recorded) -> None:
    book.worked()


def _agent_failed(book: Book, event: AgentFailed, _: Recorded) -> None:
    hosts = event.error_class == "env.disk_full" or event.error_class.startswith("host.")
    book.count_failure(not (event.transient or hosts or event.error_class in COSTS_NOTHING))
    if book.worked_turns:
        book.worked()
    book.retry_at = event.retry_at


def _stopped(book: Book, event: JobStopped, _: Recorded) -> None:
    if book.worked_turns and book.job_kind is AgentRequested:
        book.worked()


def _plan_failed(book: Book, event: PlanFailed, _: Recorded) -> None:
    hosts = event.error_class == "env.disk_full" or event.error_class.startswith("host.")
    book.count_failure(not (event.transient or hosts))
    book.retry_at = event.retry_at


def _check_failed(book: Book, event: VerifyFailed, _: Recorded) -> None:
    book.retry_at = None
    hosts = event.error_class == "env.disk_full" or event.error_class.startswith("host.")
    book.count_failure(not hosts)


def _outside(book: Book, event: PreflightFailed, _: Recorded) -> None:
    book.retry_at = None
    book.count_failure(True)


def _failed_without_a_word(book: Book, event: PrepareFailed | PublishFailed, _: Recorded) -> None:
    book.retry_at = None
    book.count_failure(False)


def _classified(book: Book, event: FailureClassified, _: Recorded) -> None:
    if event.severity == "park" and book.counted:
        # What passes by itself is no attempt.
        book.failures -= 1
    book.counted = False


def _proposed(book: Book, event: PlanProposed, recorded: Recorded) -> None:
    book.failures = 0
    book.plan, book.plan_number, book.plan_at = event.plan, book.plans_asked, recorded.at
    book.answer, book.slot = "", False


def _approved(book: Book, event: PlanApproved, _: Recorded) -> None:
    if event.number == book.plan_number:
        book.answer = "approved"


def _rejected(book: Book, event: object, _: Recorded) -> None:
    book.answer = "rejected"


def _commented(book: Book, event: PlanCommented, _: Recorded) -> None:
    book.answer = "commented"
    book.comments = (*book.comments, event.comment)


def _unanswered(book: Book, event: PlanUnanswered, _: Recorded) -> None:
    gate = book.spec.plan_gate.silence
    if event.meaning == "approve" and gate == "approve_if_low_risk" and book.plan is not None:
        book.answer = "approved" if book.plan.risk == "low" else book.answer
    elif event.meaning == "deny" and gate == "deny":
        book.answer = "rejected"


def _over(book: Book, event: FailedOver, recorded: Recorded) -> None:
    book.failures = 0
    book.failovers += 1
    # Another vendor is another account: the slot is asked for anew.
    book.slot = book.slot and event.to_vendor == book.vendor
    book.vendor, book.model = event.to_vendor, event.to_model


def _message(book: Book, event: MessageAccepted, _: Recorded) -> None:
    book.unread.add(event.message)
    if event.from_task:
        book.of_agents.add(event.message)


def _consumed(book: Book, event: MessageConsumed, _: Recorded) -> None:
    book.unread.discard(event.message)


def _told(book: Book, event: MessageTold, _: Recorded) -> None:
    book.asked[event.job] = (*book.asked.get(event.job, ()), event.message)


def _question(book: Book, event: DecisionRaised, _: Recorded) -> None:
    book.questions.add(event.decision)
    book.open_questions.add(event.decision)


def _answered(book: Book, event: DecisionAnswered, _: Recorded) -> None:
    book.unread.add(event.decision)
    book.open_questions.discard(event.decision)
    if book.blocked.startswith("decision.") and not book.open_questions:
        book.blocked = ""


def _progress(book: Book, event: AgentProgressed, _: Recorded) -> None:
    # An older word may come later: what was used does not become less.
    book.told_cost = max(book.told_cost, book.known_cost(event.usage))
    book.told_wall = max(book.told_wall, event.usage.wall_seconds)
    book.told_turns = max(book.told_turns, event.usage.turns)


def _slot(book: Book, event: TaskAdmitted, _: Recorded) -> None:
    book.slot = True


def _dependency(book: Book, event: DependencyResolved, _: Recorded) -> None:
    before = book.waits_in_vain
    book.resolved[event.on] = event.outcome
    if book.blocked.startswith("dependency.") and book.waits_in_vain != before:
        book.blocked = ""


def _recalled(book: Book, _: MemoryRecalled, __: Recorded) -> None:
    book.recalled = True


def _warned(book: Book, event: BudgetWarned, _: Recorded) -> None:
    book.warned.add(event.budget)


def _parked(book: Book, event: TaskParked, _: Recorded) -> None:
    book.wake_at, book.parked_for, book.slot = event.wake_at, event.reason, False


def _woken(book: Book, event: TaskWoken, _: Recorded) -> None:
    book.wake_at = None
    if book.parked_for == "night_window":
        book.waived.add("night_window")


def _blocked(book: Book, event: TaskBlocked, _: Recorded) -> None:
    book.blocked, book.wake_at, book.slot = event.reason, None, False


def _unblocked(book: Book, event: TaskUnblocked, _: Recorded) -> None:
    in_vain = book.waits_in_vain
    book.waived.add(book.blocked if in_vain is None else f"dependency.{in_vain}")
    book.blocked = ""
    book.failures = min(book.failures, book.spec.max_attempts - 1)
    if event.max_cost_usd is not None:
        book.max_cost_usd = event.max_cost_usd
        book.warned.discard("cost")
    if event.max_wall_seconds is not None:
        book.max_wall_seconds = event.max_wall_seconds
        book.warned.discard("wall")


def _cancel(book: Book, event: TaskCancelRequested, _: Recorded) -> None:
    book.cancel_asked, book.wake_at, book.blocked = True, None, ""


def _published(book: Book, event: PublishSucceeded, _: Recorded) -> None:
    book.published += 1


def _compaction(book: Book, event: CompactionAsked, _: Recorded) -> None:
    book.compaction_asked = True


def _compacted(book: Book, event: HistoryCompacted, _: Recorded) -> None:
    book.compaction_asked = False


# The key decides the event's type, which a table cannot say.
_ENTRIES: Final[dict[type, Callable[..., None]]] = {
    JobClaimed: _claimed,
    JobLost: _lost,
    AgentRequested: _agent_asked,
    PlanRequested: _plan_asked,
    AgentSucceeded: _agent_done,
    AgentFailed: _agent_failed,
    JobStopped: _stopped,
    PlanFailed: _plan_failed,
    VerifyFailed: _check_failed,
    PreflightFailed: _outside,
    PrepareFailed: _failed_without_a_word,
    PublishFailed: _failed_without_a_word,
    FailureClassified: _classified,
    PlanProposed: _proposed,
    PlanApproved: _approved,
    PlanCommented: _commented,
    PlanUnanswered: _unanswered,
    FailedOver: _over,
    MessageAccepted: _message,
    MessageConsumed: _consumed,
    MessageTold: _told,
    DecisionRaised: _question,
    DecisionAnswered: _answered,
    AgentProgressed: _progress,
    TaskAdmitted: _slot,
    DependencyResolved: _dependency,
    BudgetWarned: _warned,
    MemoryRecalled: _recalled,
    PlanRejected: _rejected,
    TaskParked: _parked,
    TaskWoken: _woken,
    TaskBlocked: _blocked,
    TaskUnblocked: _unblocked,
    TaskCancelRequested: _cancel,
    PublishSucceeded: _published,
    CompactionAsked: _compaction,
    HistoryCompacted: _compacted,
}


def enter(book: Book, recorded: Recorded) -> None:
    """One more event of the log."""
    book.begins_or_ends(recorded)
    entry = _ENTRIES.get(type(recorded.data))
    if entry is not None:
        entry(book, recorded.data, recorded)
